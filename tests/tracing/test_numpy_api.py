"""Functions of NumPy with many combinations of options: what a trace records equals NumPy."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph.tracing.numpy_api  # noqa: F401  fills the table
from adgraph.errors import AdgraphError, TracingError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.verify import verify
from adgraph.testing import assert_close
from adgraph.tracing.trace import Trace, abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp

Function = Callable[..., Any]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3, 2))
M = RNG.standard_normal((4, 3))
V = RNG.standard_normal(5)
SQUARE = RNG.standard_normal((3, 3)) + 3 * np.eye(3)
STACK = RNG.standard_normal((2, 3, 3)) + 3 * np.eye(3)
K = RNG.integers(-5, 6, (4, 3))
SMALL = K.astype(np.int16)
UNSIGNED = np.abs(K).astype(np.uint8)
B = K > 0
NARROW = M.astype(np.float32)
I1 = np.array([3, 0, -1])
I2 = np.array([[0, 2], [1, -3]])
ROW_MASK = np.array([True, False, True, True])
CELL_MASK = np.array([[True, False, True], [False, False, True], [True] * 3, [False] * 3])
EMPTY = np.zeros((0, 3))
ZERO = np.zeros(3)


def recorded(function: Function, args: tuple[Any, ...]) -> Trace:
    leaves, structure = flatten((args, {}))
    return trace_function(function, structure, [abstract(x) for x in leaves])


def assert_equals_numpy(function: Function, *args: Any, accuracy: str = "rounded") -> None:
    t = recorded(function, args)
    verify(t.graph)
    own = copy.deepcopy(args)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted = list(flatten(function(*own))[0])
    wanted += [flatten((own, {}))[0][i] for i in t.written]
    arrays = [np.asarray(x) for x in flatten((args, {}))[0]]
    actual = evaluate(t.graph, *arrays)
    assert len(actual) == len(wanted)
    for a, w in zip(actual, wanted, strict=True):
        assert_close(a, np.asarray(w), accuracy)


def case(function: Function, *args: Any) -> Any:
    return pytest.param(function, args)


def gradient(function: Function, *args: Any) -> list[Any]:
    """Return the gradients of a scalar function by the interpreter."""
    t = recorded(function, args)
    active = [i for i, v in enumerate(t.graph.inputs) if v.type.inexact]
    return list(evaluate(vjp(t.graph, active, unit_seed=True), *args)[len(t.graph.outputs) :])


# --- reductions -----------------------------------------------------------------------------------

REDUCTIONS = [
    case(lambda x: np.sum(x, axis=()), X),
    case(lambda x: np.sum(x, axis=-1, dtype=np.float32), X),
    case(lambda x: np.sum(x, keepdims=True), X),
    case(lambda x: x.sum((2, 0), keepdims=True, initial=3), X),
    case(lambda x: np.sum(x, where=CELL_MASK[:, :, None]), X),
    case(lambda x, m: np.sum(x, axis=0, where=m, initial=-1.5), M, B),
    case(np.sum, K),
    case(np.sum, SMALL),
    case(np.sum, UNSIGNED),
    case(np.sum, B),
    case(np.sum, NARROW),
    case(np.sum, EMPTY),
    case(np.sum, 2.5),
    case(np.add.reduce, X),
    case(lambda x: np.add.reduce(x, axis=None), X),
    case(lambda x: np.add.reduce(x, axis=(0, 1), keepdims=True), X),
    case(lambda x: np.add.accumulate(x), X),
    case(lambda x: np.add.accumulate(x, axis=1, dtype=np.float64), NARROW),
    case(np.prod, M),
    case(lambda x: np.prod(x, axis=1, initial=2, keepdims=True), SMALL),
    case(lambda x: x.prod(axis=(0, 2), where=np.arange(3)[:, None] > 0), X),
    case(np.prod, EMPTY),
    case(np.prod, UNSIGNED),
    case(lambda x: np.multiply.accumulate(x, axis=1), K),
    case(lambda x: np.multiply.reduce(x), NARROW),
    case(np.mean, X),
    case(np.mean, K),
    case(np.mean, NARROW),
    case(np.mean, B),
    case(lambda x: np.mean(x, axis=(0, 1), keepdims=True), X),
    case(lambda x: np.mean(x, axis=0, dtype=np.float64), NARROW),
    case(lambda x: x.mean(1, where=CELL_MASK), M[:3].repeat(2, 0)[:4]),
    case(lambda x: np.mean(x, axis=0), EMPTY),
    case(np.var, X),
    case(lambda x: np.var(x, axis=(0, 2), ddof=1, keepdims=True), X),
    case(lambda x: np.var(x, axis=0, correction=2), M),
    case(lambda x: np.var(x, axis=0, where=CELL_MASK), M),
    case(lambda x: np.var(x, mean=x.mean(axis=1, keepdims=True), axis=1), M),
    case(np.var, K),
    case(lambda x: np.var(x, axis=1, ddof=3), M),
    case(lambda x: x.std(axis=1, ddof=1), NARROW),
    case(lambda x: np.std(x, where=CELL_MASK), M),
    case(np.std, np.ones(4)),
    case(np.average, M),
    case(lambda x, w: np.average(x, axis=0, weights=w), M, np.arange(1.0, 5.0)),
    case(lambda x, w: np.average(x, weights=w, returned=True), M, M * M),
    case(lambda x, w: np.average(x, 1, w, keepdims=True), K, np.arange(3)),
    case(lambda x: np.average(x, axis=1, returned=True), M),
    case(lambda x, w: np.average(x, axis=(2, 0), weights=w), X, RNG.random((2, 4))),
    case(np.max, X),
    case(np.amax, K),
    case(np.max, B),
    case(lambda x: np.max(x, axis=(0, 2), keepdims=True, initial=0.5), X),
    case(lambda x: np.max(x, axis=1, initial=-9, where=CELL_MASK), SMALL),
    case(lambda x: np.max(x, axis=0, initial=1.0), EMPTY),
    case(lambda x: np.max(x, axis=1), EMPTY),
    case(lambda x: np.max(x, axis=0), np.array([[np.nan, 1.0], [2.0, 3.0]])),
    case(np.min, UNSIGNED),
    case(lambda x: x.min(axis=-1), NARROW),
    case(np.amin, X),
    case(np.maximum.reduce, X),
    case(lambda x: np.minimum.reduce(x, axis=1, initial=0.0), X),
    case(lambda x: np.ptp(x, axis=1, keepdims=True), M),
    case(np.argmax, X),
    case(np.argmax, B),
    case(lambda x: np.argmax(x, axis=1, keepdims=True), X),
    case(lambda x: np.argmax(x, keepdims=True), M),
    case(np.argmax, np.array([1.0, np.nan, 3.0, np.nan])),
    case(np.argmin, np.array([1.0, np.nan, 3.0])),
    case(lambda x: x.argmin(-1), K),
    case(np.any, B),
    case(np.any, M),
    case(lambda x: np.any(x, axis=0, keepdims=True, where=CELL_MASK), B),
    case(lambda x: x.all(axis=(0, 1)), X),
    case(np.all, EMPTY),
    case(lambda x: np.logical_and.reduce(x, axis=1), B),
    case(np.logical_or.reduce, K),
    case(np.count_nonzero, K),
    case(lambda x: np.count_nonzero(x, axis=0, keepdims=True), M),
    case(np.cumsum, SMALL),
    case(np.cumsum, B),
    case(lambda x: np.cumsum(x, axis=-2), X),
    case(lambda x: x.cumsum(0, dtype=np.float64), NARROW),
    case(np.cumsum, EMPTY),
    case(np.cumprod, K[0]),
    case(lambda x: np.cumprod(x, axis=0), EMPTY),
    case(np.nansum, np.array([1.0, np.nan, 2.0])),
    case(lambda x: np.nanmean(x, axis=1), np.array([[1.0, np.nan], [np.nan, 2.0]])),
    case(np.logaddexp.reduce, X),
    case(lambda x: np.logaddexp.reduce(x, axis=None, keepdims=True), X),
    case(lambda x: np.logaddexp.reduce(x, axis=(0, 2), initial=1.0), X),
    case(lambda x: np.logaddexp.reduce(x, where=CELL_MASK), 400 * M),
    case(np.logaddexp.reduce, np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])),
    case(np.logaddexp.reduce, np.array([1000.0, 1000.0, -np.inf])),
    case(np.logaddexp.reduce, np.array([np.inf, 1.0])),
    case(np.logaddexp.reduce, np.array([np.nan, 1.0])),
    case(lambda x: np.logaddexp.reduce(x, axis=0), EMPTY),
    case(lambda x: np.sum(x, axis=0, out=np.zeros(3)), M),
]


@pytest.mark.parametrize(("function", "args"), REDUCTIONS)
def test_reductions_equal_numpy(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args)


def test_out_receives_the_result_of_a_reduction() -> None:
    def total(x: Any) -> Any:
        out = np.zeros((2, 3))
        np.sum(x, axis=0, out=out[0])
        np.mean(x, axis=0, out=out[1])
        return out

    assert_equals_numpy(total, M)


# --- shapes ---------------------------------------------------------------------------------------


def _rolled_copy(x: Any) -> Any:
    """Copies must not alias what they copy."""
    for y in (
        np.roll(x, 0),
        x.flatten(),
        np.copy(x),
        np.tile(x, 1),
        np.repeat(x, 1, 0),
        np.pad(x, 0),
    ):
        y[...] = 0
    return x


def _views(x: Any) -> Any:
    """Views must write to what they view."""
    x.ravel()[1] = 10
    x.T[0, 2] = 20
    np.flip(x)[0] *= 2
    np.squeeze(x[None], 0)[2, 0] = 30
    np.split(x, 2)[1][...] += 1
    np.atleast_3d(x)[0, 0, 0] = 7
    np.swapaxes(x, 0, 1)[1] = -1
    return x.sum()


SHAPES = [
    case(lambda x: x.reshape(2, -1), X),
    case(lambda x: x.reshape((6, 4), order="F"), X),
    case(lambda x: np.reshape(x, -1), K),
    case(lambda x: x.ravel("F"), M),
    case(lambda x: x.flatten(), X),
    case(np.ravel, 3.0),
    case(lambda x: x.transpose(2, 0, 1), X),
    case(lambda x: x.transpose((1, 0, 2)), X),
    case(lambda x: np.permute_dims(x, (1, 2, 0)), X),
    case(lambda x: x.T, X),
    case(lambda x: x.mT, X),
    case(lambda x: np.swapaxes(x, 0, -1), X),
    case(lambda x: np.moveaxis(x, (0, 1), (-1, 0)), X),
    case(lambda x: np.rollaxis(x, 2), X),
    case(lambda x: np.rollaxis(x, 0, 3), X),
    case(lambda x: np.broadcast_to(x, (3, 5)), V),
    case(lambda x, y: np.broadcast_arrays(x, y[:, None]), V, V[:2]),
    case(lambda x: (np.atleast_1d(x), np.atleast_2d(x), np.atleast_3d(x)), 2.0),
    case(lambda x: (np.atleast_1d(x), np.atleast_2d(x), np.atleast_3d(x)), V),
    case(lambda x, y: np.atleast_2d(x, y), V, X),
    case(np.atleast_3d, M),
    case(lambda x: np.expand_dims(x, (0, -1)), M),
    case(np.squeeze, X[:1, :, :1]),
    case(lambda x: x[None].squeeze(0), M),
    case(lambda x, y: np.concatenate((x, y), axis=None), M, V),
    case(lambda x, y: np.concatenate([x, y]), K, M),
    case(lambda x, y: np.concatenate([x, y], dtype=np.float64), NARROW, K),
    case(lambda x, y: np.concatenate([x, y], dtype=np.int64, casting="unsafe"), M, K),
    case(lambda x: np.concatenate([x, np.ones((1, 3), np.float32)]), NARROW),
    case(lambda x, y: np.stack([x, y], axis=1), M, K),
    case(lambda x, y: np.hstack([x, y]), V, V),
    case(lambda x, y: np.hstack([x, y]), M, K),
    case(lambda x, y: np.vstack([x, y[0]]), M, K),
    case(lambda x: np.dstack([x, x]), V),
    case(lambda x: np.dstack([x, x]), M),
    case(lambda x, y: np.column_stack([x, y]), V[:4], M),
    case(lambda x: np.append(x, [1.0, 2.0]), V),
    case(lambda x: np.split(x, [1, 3]), V),
    case(lambda x: np.split(x, [2, 1, 9]), V),
    case(lambda x: np.array_split(x, 3), V),
    case(lambda x: np.hsplit(x, 3), M),
    case(lambda x: np.vsplit(x, [1]), M),
    case(lambda x: np.dsplit(x, 2), X),
    case(lambda x: np.unstack(x, axis=1), M),
    case(np.flip, X),
    case(lambda x: np.flip(x, -1), X),
    case(np.fliplr, M),
    case(np.flipud, X),
    *(case(lambda x, k=k: np.rot90(x, k), M) for k in range(-1, 5)),
    case(lambda x: np.rot90(x, 1, (2, 0)), X),
    case(lambda x: np.roll(x, 2), M),
    case(lambda x: np.roll(x, -7, axis=1), M),
    case(lambda x: np.roll(x, (1, 1), axis=(0, 0)), M),
    case(lambda x: np.roll(x, 1), EMPTY),
    case(lambda x: np.tile(x, 3), V),
    case(lambda x: np.tile(x, (2, 1, 2)), M),
    case(lambda x: np.tile(x, 2), X),
    case(lambda x: np.repeat(x, 2), M),
    case(lambda x: np.repeat(x, 3, axis=-1), X),
    case(lambda x: x.repeat([1, 0, 2, 1], axis=0), M),
    case(lambda x: np.resize(x, (3, 7)), V),
    case(lambda x: np.pad(x, 2), M),
    case(lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=4), K),
    case(lambda x: np.pad(x, (1, 2), constant_values=(3, 4)), M),
    *(
        [case(lambda x: np.pad(x, {-1: (1, 2)}), M)]
        if np.lib.NumpyVersion(np.__version__) >= "2.4.0"  # which gave np.pad the dict
        else []
    ),
    *(
        case(lambda x, mode=mode, width=width: np.pad(x, width, mode), M)
        for mode in ("edge", "wrap", "reflect", "symmetric")
        for width in (1, (0, 5), ((2, 1), (4, 7)))
    ),
    case(lambda x: np.diff(x), M),
    case(lambda x: np.diff(x, n=2, axis=0, prepend=x[:1], append=0), M),
    case(np.diff, B),
    case(lambda x: np.diff(x, n=4), V[:2]),
    case(lambda x: np.delete(x, [1, -1]), V),
    case(lambda x: np.delete(x, 1, axis=1), M),
    case(np.trace, M),
    case(lambda x: x.trace(offset=1, axis1=1, axis2=2), X),
    case(np.trace, SMALL),
    case(np.diag, M),
    case(lambda x: np.diag(x, 2), V),
    case(lambda x: np.diag(x, -7), M),
    case(lambda x: np.diagflat(x, 1), M),
    *(case(lambda x, k=k: np.diagonal(x, k, 0, 2), X) for k in (-4, -3, -1, 0, 1, 2)),
    case(lambda x: np.linalg.diagonal(x, offset=1), X),
    case(lambda x: np.tril(x, 1), X),
    case(lambda x: np.triu(x, -1), K),
    case(np.triu, V),
    case(lambda x, y: np.meshgrid(x, y), V, V[:3]),
    case(lambda x, y: np.meshgrid(x, y, x[:2], indexing="ij", sparse=True), V, V[:3]),
    case(lambda x, y: np.ix_(x, y), I1, I1[:2]),
    case(lambda x: np.zeros_like(x, dtype=int), M),
    case(lambda x: np.full_like(x, 2.5, shape=(2,)), M),
    case(_rolled_copy, M),
    case(_views, M),
]


@pytest.mark.parametrize(("function", "args"), SHAPES)
def test_functions_of_shape_equal_numpy(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args, accuracy="exact")


# --- indexing -------------------------------------------------------------------------------------

KEYS: list[Any] = [
    np.s_[I1],
    np.s_[[0, 2]],
    np.s_[[]],
    np.s_[I2],
    np.s_[I1, 1],
    np.s_[1, I2],
    np.s_[0, :, [1, 0]],
    np.s_[:, I2],
    np.s_[..., [1, 0, 0]],
    np.s_[[0, 1], :, [1, 0]],
    np.s_[[0, 1], [1, 0]],
    np.s_[:, [0, 1], [1, 0]],
    np.s_[[[0], [1]], [0, 1, 2]],
    np.s_[None, I1],
    np.s_[I1, None],
    np.s_[:, None, I1],
    np.s_[I1, None, I1 % 3],
    np.s_[1:3, I1, ::-1],
    np.s_[::2, ..., [0, 1]],
    np.s_[[0, 1], 1:, None, [0, 1]],
    np.s_[2, None, [0, 1], 1],
    np.s_[ROW_MASK],
    np.s_[CELL_MASK],
    np.s_[CELL_MASK, 0],
    np.s_[ROW_MASK, 1:, 0],
    np.s_[:, [True, False, True]],
    np.s_[ROW_MASK, [0, 1, 2]],
    np.s_[np.int64(1)],
    np.s_[np.array(2), 1],
    np.s_[-1, ::-1],
]
INDEXED = RNG.standard_normal((4, 4, 3))


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_an_array_is_read_as_numpy_reads_it(key: Any) -> None:
    x = INDEXED[:, :3]
    try:
        x[key]
    except IndexError:
        with pytest.raises(IndexError):
            recorded(lambda x: x[key], (x,))
        return
    assert_equals_numpy(lambda x: x[key], x, accuracy="exact")


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_an_array_is_written_as_numpy_writes_it(key: Any) -> None:
    x = np.array(INDEXED[:, :3])
    try:
        count = np.zeros(x.shape)
        np.add.at(count, key, 1)
    except IndexError:
        return
    values = RNG.standard_normal(x[key].shape)

    def write(x: Any, v: Any) -> Any:
        x[key] = 1.5
        if count.max() <= 1:
            x[key] = v
        np.add.at(x, key, 2 * v)
        np.subtract.at(x, key, 0.5)
        return x * 2

    assert_equals_numpy(write, x, values)


@pytest.mark.parametrize("key", [k for k in KEYS if not isinstance(k, tuple)], ids=repr)
def test_views_are_written_through_arrays_of_integers(key: Any) -> None:
    def write(x: Any) -> Any:
        x.T[0, :, 1:][..., [1, 0]] = 5
        x[::-1][key] = 3
        return x

    x = np.array(INDEXED[:, :3])
    try:
        x[key]
    except IndexError:
        return
    assert_equals_numpy(write, x, accuracy="exact")


TRACED_KEYS = [
    case(lambda x, i: x[i], INDEXED, I1),
    case(lambda x, i: x[i], INDEXED, np.array(-2)),
    case(lambda x, i: x[i, i, 1], INDEXED, 2),
    case(lambda x, i: x[i, :, i], INDEXED, np.array([0, -1, 2])),
    case(lambda x, i: x[1:, i], INDEXED, I2),
    case(lambda x, i: x[i, None, 1:, I1 % 3], INDEXED, np.array([[1], [0]])),
    case(lambda x, i: x[..., i % 3], INDEXED, I1.astype(np.int8)),
    case(lambda x, i: x[i], INDEXED, UNSIGNED[0] % 4),
    case(lambda x, i: np.take(x, i), INDEXED, I2),
    case(lambda x, i: np.take(x, i, axis=1, mode="clip"), INDEXED, np.array([-3, 9, 2])),
    case(lambda x, i: np.take(x, i, axis=1, mode="wrap"), INDEXED, np.array([-7, 9, 2])),
    case(lambda x, i: x.take(i, axis=-1), INDEXED, np.array([0, 2])),
    case(lambda x: np.take(x, 1, axis=0), INDEXED),
    case(lambda x, i: np.take_along_axis(x, i, axis=0), M, K[:2] % 4),
    case(lambda x: np.take_along_axis(x, np.argmax(x, 1, keepdims=True), 1), M),
    case(lambda x, i: np.take_along_axis(x, i, axis=None), M, I1),
    case(lambda x: np.compress([True, False, True], x, axis=1), M),
    case(lambda x: np.extract(CELL_MASK, x), M),
    case(lambda x, c: np.select([c, x > 0], [x, 2 * x], 7), M, B),
    case(lambda x, a: np.choose(a, [x, -x, 0]), M, K % 3),
    case(lambda x: x.item(3) + x[0, 0].item(), NARROW),
]


@pytest.mark.parametrize(("function", "args"), TRACED_KEYS)
def test_traced_positions_read_as_numpy_does(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args)


def _put_traced(x: Any, i: Any, v: Any) -> Any:
    x[i] = v[:, None]
    x[i, 1] *= 2
    np.put_along_axis(x, i[:, None], 0.5, 1)
    return x


def _written_masks(x: Any, y: Any) -> Any:
    x[x > 0] = 0
    x[y.sum(axis=1) > 0] = y[0]
    x[y < 0, ...] = [3]
    np.copyto(x, y, where=y > 1)
    np.fill_diagonal(x, 9)
    x[x[:, 0] > 8] = x[3, None]
    x[1:][CELL_MASK[1:]] = 4
    return x.sum()


def test_traced_positions_and_masks_are_written_as_numpy_does() -> None:
    assert_equals_numpy(_put_traced, np.array(M[:3]), np.array([2, 0, -2]), V[:3])
    assert_equals_numpy(_written_masks, np.array(M), np.array(M[::-1]))


def test_a_position_out_of_bounds_is_an_error_at_run_time() -> None:
    for function in (lambda x, i: x[i], lambda x, i: x[i, i]):
        graph = recorded(function, (M, I1)).graph
        with pytest.raises(IndexError):
            evaluate(graph, M, np.array([0, 1, 4]))


# --- products and contractions --------------------------------------------------------------------

A23, A34, A42 = (RNG.standard_normal(s) for s in ((2, 3), (3, 4), (4, 2)))
T4 = RNG.standard_normal((2, 3, 4, 3))
RHS = RNG.standard_normal((3, 2))

PRODUCTS = [
    case(np.matmul, K, K.T),
    case(np.matmul, B, B.T),
    case(np.matmul, SMALL, UNSIGNED.T),
    case(np.matmul, NARROW, K.T),
    case(np.dot, K, M.T),
    case(np.dot, X, RNG.standard_normal((5, 2, 3))),
    case(np.dot, M, 3.0),
    case(lambda a, b: a.dot(b), A23, A34),
    case(np.vdot, M, K),
    case(np.inner, M, K[:2]),
    case(np.inner, V, V),
    case(np.outer, M, K),
    case(np.linalg.outer, V, V),
    case(np.vecdot, M, K),
    case(lambda a, b: np.linalg.vecdot(a, b, axis=0), M, K),
    case(np.matvec, STACK, RHS.T),
    case(np.vecmat, RHS.T, STACK),
    case(np.linalg.matmul, A23, A34),
    case(np.kron, M, V),
    case(np.kron, X, K),
    case(np.cross, M, K),
    case(lambda a, b: np.cross(a, b, axisa=0, axisc=0), M.T, M),
    case(lambda a, b: np.cross(a, b, axis=0), M[:3], M[1:]),
    case(np.linalg.cross, M, M[::-1]),
    case(np.tensordot, X, T4[0, :, 0, :2]),
    case(lambda a, b: np.tensordot(a, b, 0), V, K),
    case(lambda a, b: np.tensordot(a, b, 1), K, M.T),
    case(lambda a, b: np.tensordot(a, b, ((0, 2), (2, 3))), X, RNG.standard_normal((3, 1, 4, 2))),
    case(lambda a, b: np.linalg.tensordot(a, b, axes=([1], [0])), A23, A34),
    case(np.multiply.outer, V, M),
    case(np.add.outer, K, 2),
    case(lambda a: np.subtract.outer(a, [1.0, 2.0]), V),
    case(lambda *xs: np.linalg.multi_dot(xs), A23, A34, A42, A23),
    case(lambda *xs: np.linalg.multi_dot(xs), V[:2], A23, A34, V[:4]),
    case(lambda a: np.linalg.matrix_power(a, 0), STACK),
    case(lambda a: np.linalg.matrix_power(a, 7), np.abs(K[:3]) % 3),
    case(lambda a: np.linalg.matrix_power(a, -3), SQUARE),
]

EINSUMS = [
    ("ij,jk->ik", (A23, A34)),
    ("ij,jk", (A23, A34)),
    ("ij,jk->ki", (A23, A34)),
    ("ba,ca", (A23, A42.T[:, :3])),
    ("i,i", (V, V)),
    ("i,i->i", (V, V)),
    ("ij->", (A23,)),
    ("ij->j", (A23,)),
    ("ij->ji", (A23,)),
    ("ji", (A23,)),
    ("ii", (SQUARE,)),
    ("ii->i", (SQUARE,)),
    ("bii->b", (STACK,)),
    ("iji->j", (RNG.standard_normal((3, 2, 3)),)),
    ("iii->i", (RNG.standard_normal((3, 3, 3)),)),
    ("...ii->...i", (STACK,)),
    ("...i->...", (X,)),
    ("i...->...", (X,)),
    ("...,...", (X, X[0])),
    ("bij,bjk->bik", (STACK, STACK)),
    ("...ij,...jk", (STACK, SQUARE)),
    ("ij...,jk...->ik...", (STACK[..., None], SQUARE[..., None])),
    ("ij,ij->ij", (A23, A23[:1])),
    ("i,j,k->kij", (V, V[:2], V[:3])),
    ("ij,jk,kl->il", (A23, A34, A42)),
    ("ij,jk,ki", (A23, A34, A42)),
    ("ij,kj,lj->ikl", (A23, SQUARE, RHS.T)),
    ("ijkj->ik", (T4,)),
    ("abcd,dc->ab", (T4, A34)),
    ("ij,jk,kl,lm,mn->in", (A23, A34, A42, A23, A34)),
    ("i,", (V, np.array(2.0))),
    ("ij,jk", (K, K.T)),
    ("ij,ij->i", (B, B)),
    ("ij,jk", (NARROW, K.T)),
    (" i j , j k -> i k ", (A23, A34)),
]


@pytest.mark.parametrize(("function", "args"), PRODUCTS)
def test_products_equal_numpy(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args)


@pytest.mark.parametrize(("subscripts", "args"), EINSUMS, ids=[s for s, _ in EINSUMS])
def test_einsum_equals_numpy(subscripts: str, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(lambda *xs: np.einsum(subscripts, *xs), *args)


def test_einsum_takes_lists_of_labels_and_options() -> None:
    assert_equals_numpy(lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), A23, A34)
    assert_equals_numpy(lambda a, b: np.einsum(a, [Ellipsis, 1], b, [1, 2]), A23, A34)
    assert_equals_numpy(lambda a, b: np.einsum("ij,jk", a, b, optimize=True, dtype=float), K, M.T)


SOLVES = [
    case(np.linalg.solve, SQUARE, RHS),
    case(np.linalg.solve, SQUARE, V[:3]),
    case(np.linalg.solve, STACK, V[:3]),
    case(np.linalg.solve, STACK, RHS),
    case(np.linalg.solve, SQUARE, STACK),
    case(np.linalg.solve, STACK[:, None], np.stack([RHS] * 4)),
    case(np.linalg.solve, np.eye(3, dtype=int) * 2, np.arange(3)),
    case(np.linalg.solve, SQUARE.astype(np.float32), RHS.astype(np.float32)),
    case(np.linalg.solve, np.zeros((0, 0)), np.zeros((0, 2))),
    case(np.linalg.inv, STACK),
    case(np.linalg.inv, np.array([[2, 1], [0, 1]])),
    case(np.linalg.det, STACK),
    case(np.linalg.det, np.array([[2, 1], [0, 3]], np.int32)),
    case(np.linalg.det, np.ones((2, 2))),
    case(np.linalg.slogdet, -STACK),
    case(np.linalg.slogdet, np.zeros((2, 2), np.float32)),
    case(lambda a: np.linalg.slogdet(a).logabsdet, SQUARE),
    case(lambda a: np.linalg.cholesky(a @ a.mT), STACK),
    case(lambda a: np.linalg.cholesky(a, upper=True), STACK @ STACK.mT),
    case(lambda a: np.linalg.cholesky(a), np.tril(SQUARE @ SQUARE.T)),
    case(np.linalg.norm, X),
    case(np.linalg.norm, K),
    case(np.linalg.norm, NARROW),
    case(np.linalg.norm, ZERO),
    *(case(lambda a, p=p: np.linalg.norm(a, p), V) for p in (1, 2, 3, 0.5, 0, np.inf, -np.inf)),
    *(
        case(lambda a, p=p: np.linalg.norm(a, p, axis=(2, 0), keepdims=True), X)
        for p in ("fro", 1, -1, np.inf, -np.inf)
    ),
    case(lambda a: np.linalg.norm(a, axis=(0, 2)), X),
    case(lambda a: np.linalg.norm(a, 1, axis=1), X),
    case(lambda a: np.linalg.vector_norm(a, axis=(0, 2), ord=3, keepdims=True), X),
    case(np.linalg.vector_norm, X),
    case(lambda a: np.linalg.matrix_norm(a, ord=1), X),
    case(np.linalg.matrix_transpose, X),
    case(np.linalg.trace, STACK),
]


@pytest.mark.parametrize(("function", "args"), SOLVES)
def test_linear_algebra_equals_numpy(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args)


def test_a_singular_matrix_is_an_error_at_run_time() -> None:
    singular = np.ones((2, 2))
    for function in (lambda a: np.linalg.solve(a, a), np.linalg.inv):
        with pytest.raises(np.linalg.LinAlgError):
            evaluate(recorded(function, (singular,)).graph, singular)


def test_forward_and_backward_program_of_a_solve_share_one_factorization() -> None:
    graph = recorded(lambda a, b: np.linalg.solve(a, b).sum(), (SQUARE, V[:3])).graph
    names = [node.op.name for node in vjp(graph, [0, 1]).nodes]
    assert names.count("lu") == 1
    assert names.count("lu_solve") == 2


# --- constructors ---------------------------------------------------------------------------------

CONSTRUCTORS = [
    case(lambda x: np.array([x[0], 2 * x[1]]), V),
    case(lambda x: np.array([[x[0], 1], [2, x[1]]]), V),
    case(lambda x: np.array([x, x]), NARROW),
    case(lambda x: np.array(x, ndmin=3), V),
    case(lambda x: np.array([x[0], 1], dtype=np.float32), V),
    case(lambda x: np.asarray([x, x * 2], dtype=np.float64), K),
    case(lambda x: np.zeros(3, order="F") + x, 1.0),
    case(lambda x: np.full((2, 2), x), 2.5),
    case(lambda x: np.full((2, 5), x, dtype=np.float32), V),
    case(lambda x: np.eye(3, k=1) * x, 2.0),
    case(lambda x: np.ones((2,), dtype=int) + x, K[0, 0]),
]


@pytest.mark.parametrize(("function", "args"), CONSTRUCTORS)
def test_constructors_equal_numpy(function: Function, args: tuple[Any, ...]) -> None:
    assert_equals_numpy(function, *args, accuracy="exact")


# --- conventions of derivatives -------------------------------------------------------------------


def test_the_deviation_of_equal_numbers_and_the_norm_of_zeros_have_gradient_zero() -> None:
    assert (gradient(np.std, np.ones(4))[0] == 0).all()
    assert (gradient(np.linalg.norm, ZERO)[0] == 0).all()


def test_ties_share_the_derivative_of_an_extremum() -> None:
    (g,) = gradient(np.max, np.array([1.0, 3.0, 3.0, 3.0]))
    np.testing.assert_allclose(g, [0, 1 / 3, 1 / 3, 1 / 3])


def test_the_gradient_of_a_product_is_right_at_zeros() -> None:
    assert gradient(np.prod, np.array([0.0, 2.0, 3.0]))[0].tolist() == [6, 0, 0]
    assert gradient(np.prod, np.array([0.0, 2.0, 0.0]))[0].tolist() == [0, 0, 0]
    assert gradient(np.prod, np.array([4.0]))[0].tolist() == [1]


def test_the_hessian_of_a_product_is_right_at_two_zeros() -> None:
    x = np.array([0.0, 2.0, 0.0])
    graph = jvp(vjp(recorded(np.prod, (x,)).graph, [0], unit_seed=True), [0])
    columns = [evaluate(graph, x, e)[-1] for e in np.eye(3)]
    np.testing.assert_array_equal(columns, [[0, 0, 2], [0, 0, 0], [2, 0, 0]])


def test_minus_infinity_has_no_part_in_the_gradient_of_a_logarithm_of_sums() -> None:
    np.testing.assert_allclose(
        gradient(np.logaddexp.reduce, np.array([-np.inf, 0.0, 0.0]))[0], [0, 0.5, 0.5]
    )
    assert (gradient(np.logaddexp.reduce, np.full(3, -np.inf))[0] == 0).all()


def test_of_repeated_positions_only_the_last_has_a_gradient() -> None:
    def last(v: Any, i: Any) -> Any:
        out = np.zeros(3)
        out[i] = v
        return np.sum(out * np.arange(1.0, 4.0))

    v, i = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1])
    np.testing.assert_array_equal(gradient(last, v, i)[0], [0, 1, 2])


def test_a_cholesky_factor_depends_on_the_lower_triangle_only() -> None:
    a = SQUARE @ SQUARE.T
    (g,) = gradient(lambda a: np.linalg.cholesky(a).sum(), a)
    assert (np.triu(g, 1) == 0).all()


# --- errors ---------------------------------------------------------------------------------------

FAULTS = [
    (lambda x: np.sum(x, axis=5), ValueError, IndexError, (M,)),
    (lambda x: np.sum(x, axis=(0, 0)), ValueError, ValueError, (M,)),
    (lambda x: np.sum(x, where=np.ones((2, 4, 3), bool)), ValueError, ValueError, (M,)),
    (lambda x: np.max(x, axis=0), ValueError, ValueError, (EMPTY,)),
    (lambda x: np.max(x, where=CELL_MASK), ValueError, ValueError, (M,)),
    (np.argmax, ValueError, ValueError, (EMPTY,)),
    (lambda x: np.var(x, ddof=1, correction=1), ValueError, ValueError, (M,)),
    (lambda x: np.average(x, 0, np.ones(7)), (ValueError, TypeError), ValueError, (M,)),
    (lambda x: x.reshape(5, -1), ValueError, ValueError, (M,)),
    (lambda x: x.reshape(-1, -1), ValueError, ValueError, (M,)),
    (lambda x: np.transpose(x, (0, 0)), ValueError, ValueError, (M,)),
    (lambda x: np.moveaxis(x, (0, 1), (0, 0)), ValueError, ValueError, (M,)),
    (lambda x: np.squeeze(x, 0), ValueError, ValueError, (M,)),
    (lambda x: np.broadcast_to(x, (4, 4)), ValueError, ValueError, (M,)),
    (lambda x: np.concatenate([x, x[0]]), ValueError, ValueError, (M,)),
    (lambda x: np.concatenate([x, x[:, :1]]), ValueError, ValueError, (M,)),
    (lambda x: np.concatenate([x, x], dtype=int), TypeError, TypeError, (M,)),
    (lambda x: np.stack([x, x[:1]]), ValueError, ValueError, (M,)),
    (lambda x: np.split(x, 3), ValueError, ValueError, (M,)),
    (lambda x: np.repeat(x, [1, 2], axis=0), ValueError, ValueError, (M,)),
    (lambda x: np.pad(x, -1), ValueError, ValueError, (M,)),
    (lambda x: np.pad(x, 1, "reflect"), ValueError, ValueError, (EMPTY,)),
    (lambda x: np.rot90(x, 1, (0, 0)), ValueError, ValueError, (M,)),
    (lambda x: x[4], IndexError, IndexError, (M,)),
    (lambda x: x[[0, 4]], IndexError, IndexError, (M,)),
    (lambda x: x[[0, 1], [0, 1, 2]], IndexError, IndexError, (M,)),
    (lambda x: x[0, 0, 0], IndexError, IndexError, (M,)),
    (lambda x: x[1.0], IndexError, IndexError, (M,)),
    (lambda x: x[..., 0, ...], IndexError, IndexError, (M,)),
    (lambda x: x[np.ones(3, bool)], IndexError, IndexError, (M,)),
    (lambda x: x["a"], IndexError, (IndexError, TypeError), (M,)),
    (lambda x: x.__setitem__([0, 1], np.ones(2)), ValueError, ValueError, (M,)),
    (lambda x: np.take(x, 77), IndexError, IndexError, (M,)),
    (lambda a, b: a @ b, ValueError, ValueError, (M, M)),
    (lambda a: a @ 2.0, ValueError, ValueError, (M,)),
    (np.dot, ValueError, ValueError, (M, M)),
    (np.inner, ValueError, ValueError, (M, A34)),
    (np.vdot, ValueError, ValueError, (M, V)),
    (lambda a, b: np.tensordot(a, b, 1), ValueError, ValueError, (M, M)),
    (lambda a, b: np.cross(a, b), ValueError, ValueError, (V, V)),
    (lambda a, b: np.einsum("ij,jk", a, b), ValueError, ValueError, (M, M)),
    (lambda a: np.einsum("ijk", a), ValueError, ValueError, (M,)),
    (lambda a: np.einsum("ij->iik", a), ValueError, ValueError, (M,)),
    (lambda a: np.einsum("ij,jk", a), ValueError, ValueError, (M,)),
    (np.linalg.inv, np.linalg.LinAlgError, np.linalg.LinAlgError, (M,)),
    (np.linalg.det, np.linalg.LinAlgError, np.linalg.LinAlgError, (V,)),
    (np.linalg.solve, np.linalg.LinAlgError, np.linalg.LinAlgError, (M, M)),
    (np.linalg.solve, ValueError, ValueError, (SQUARE, M)),
    (np.linalg.cholesky, np.linalg.LinAlgError, np.linalg.LinAlgError, (M,)),
    (lambda a: np.linalg.matrix_power(a, 2), np.linalg.LinAlgError, ValueError, (M,)),
    (lambda a: np.linalg.norm(a, 2), ValueError, ValueError, (X,)),
    (lambda x: np.array([x, x[0]]), ValueError, ValueError, (M,)),
]


@pytest.mark.parametrize(("function", "numpys", "ours", "args"), FAULTS)
def test_what_numpy_refuses_is_refused(
    function: Function, numpys: Any, ours: Any, args: tuple[Any, ...]
) -> None:
    with pytest.raises(numpys):
        function(*copy.deepcopy(args))
    with pytest.raises(ours) as caught:
        recorded(function, args)
    assert isinstance(caught.value, AdgraphError)


OUT = np.zeros(3)
REFUSALS = [
    (lambda x: np.ravel(x, order="K"), "order='K'"),
    (lambda x: x.reshape(-1, order="A"), "order='A'"),
    (lambda x: np.broadcast_to(x, (2, 4, 3), subok=True), "subok=True"),
    (lambda x: np.einsum("ij->ji", x, order="F"), "order='F'"),
    (lambda x: x[x > 0], "np.where"),
    (lambda x: x[x[:, 0] > 0, [0, 1]], "beside another array"),
    (lambda x: np.compress(x[0] > 0, x, 1), "np.where"),
    (lambda x: x.__setitem__(x > 0, np.arange(3.0)), "np.where"),
    (lambda x: np.sum(x, axis=0, out=OUT), "plain NumPy array"),
    (lambda x: np.add.at(M, 0, x[0]), "plain NumPy array"),
    (lambda x: np.repeat(x, np.argmax(x)), "repeats"),
    (lambda x: np.unique(x), "np.unique has no program"),
]


@pytest.mark.parametrize(("function", "named"), REFUSALS)
def test_what_has_no_program_is_refused_by_name(function: Function, named: str) -> None:
    with pytest.raises(TracingError) as caught:
        recorded(function, (np.array(M),))
    assert named in str(caught.value)
    assert "test_numpy_api.py" in str(caught.value)
