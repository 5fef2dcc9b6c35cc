"""Buffers, views and in-place updates: values equal NumPy's, derivatives are transposes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.testing import check_derivatives

Array = np.ndarray[Any, Any]
Program = Callable[..., Any]

RNG = np.random.default_rng(11)
X = RNG.normal(size=6)
A = RNG.normal(size=(4, 4))
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    """Enter a function of a vector of 6 and a matrix of 4 x 4; it may write both."""
    PROGRAMS[function.__name__.strip("_")] = function
    return function


# --- constructors ---------------------------------------------------------------------------------


@program
def empty_like(x: Any, a: Any) -> Any:
    y = np.empty_like(x)
    y[1:-1] = x[2:] * x[:-2]
    y[0] = y[-1] = 2.0
    return y


@program
def zeros_and_ones(x: Any, a: Any) -> Any:
    y, z = np.zeros((2, 3)), np.ones((3,), dtype=float)
    y[0] = x[:3]
    y[1, ::2] += x[4]
    z[1] = x[1]
    return y * z


@program
def full(x: Any, a: Any) -> Any:
    y = np.full(6, x[0])
    z = np.full((2, 3), x[:3])
    y[2:4] *= x[1]
    z[1] += y[:3]
    return y @ x + z


@program
def full_like(x: Any, a: Any) -> Any:
    y = np.full_like(x, 2.5)
    z = np.full_like(x, x[2])
    y[0] = z[1] * x[1]
    z[:] = y
    return z * x


@program
def eye_and_identity(x: Any, a: Any) -> Any:
    e, i = np.eye(4), np.identity(4)
    e[1] += a[0]
    i[:, 2] = a[2]
    return e @ i + np.eye(4, k=1) * a + np.eye(4, 4, -1)


@program
def ndarray(x: Any, a: Any) -> Any:
    y = np.ndarray((2, 3))
    y[0], y[1] = x[:3], x[3:] ** 2
    z = np.ndarray(shape=(3,), dtype=np.float64)
    z.fill(x[0])
    return y * z


@program
def arrays_of_scalars(x: Any, a: Any) -> Any:
    y = np.array([x[0], x[1] * 2, 3.0])
    z = np.array([[x[2], 1], [0, x[3]]])
    y[1] += 1.0
    z[0] *= y[0]
    w = np.asarray([x[:2], x[2:4]])
    w[1, 0] = y[2]
    return z @ w @ np.asarray((x[4], y[1]))


@program
def dtypes(x: Any, a: Any) -> Any:
    y = np.zeros_like(x, dtype=np.float32)
    y[:] = x
    k = np.zeros(6, dtype=int)
    k[:] = x * 10
    z = np.empty(6, np.int64)
    z[:3] = 7
    z[3:] = k[:3]
    w = np.ones_like(k, dtype=float)
    w[2] = x[2]
    narrow = np.empty(6, np.float32)
    np.add(x, y, out=narrow, casting="same_kind")
    return np.sum(y * w), z, np.array(x, dtype=np.float32), narrow


@program
def asarray_is_the_array_itself(x: Any, a: Any) -> Any:
    np.asarray(x)[0] = 3.0
    np.asanyarray(x)[1] *= 2.0
    np.ascontiguousarray(x)[2] = x[0]
    return x * x


@program
def copies(x: Any, a: Any) -> Any:
    y, z, w = np.array(x), np.copy(x), x.copy()
    v = np.array(x, copy=True)
    u = x.astype(float)
    y[0] = 1.0
    z[1] = y[0] * x[1]
    w *= z
    v[3] = w[2]
    u += v
    return y, z, w, v, u, x * 2


@program
def ranges(x: Any, a: Any) -> Any:
    y = np.arange(6.0)
    y[2] = x[2]
    z = np.linspace(0.0, 1.0, 6)
    z *= x
    g = np.array(np.arange(6).reshape(2, 3) * 1.0)
    g[1] += x[:3]
    return y * z, g


@program
def constructed_by_others(x: Any, a: Any) -> Any:
    y = np.tile(x[:2], 3)
    y[0] = 1.0
    z = np.repeat(x[:3], 2)
    z[1] = 2.0
    w = np.concatenate([x[:3], x[3:]])
    w[:2] = 0.0
    d = np.diag(x[:4])
    d[0, 1] = x[5]
    r = np.roll(x, 2)
    r[0] *= 2
    return y, z, w, d, r, x


@program
def tri_and_vander(x: Any, a: Any) -> Any:
    t = np.tri(4)
    t[0] = a[1]
    u = np.tril(a)
    u[1] += 1.0
    v = np.triu(a, 1)
    v *= 2
    i, j = np.indices((4, 4))
    return t + u + v + i * a + j


# --- in-place operators ---------------------------------------------------------------------------


@program
def every_operator(x: Any, a: Any) -> Any:
    y = x * x + 1.0
    y += x
    y -= 2.0
    y *= x
    y /= 3.0
    y **= 2
    y //= 0.1
    y %= 2.5
    y += x
    k = np.arange(6)
    k <<= 2
    k |= 1
    k &= 13
    k ^= 2
    k >>= 1
    return y * k


@program
def matmul_in_place(x: Any, a: Any) -> Any:
    b = a.copy()
    b @= a
    return b


@program
def rows_and_columns(x: Any, a: Any) -> Any:
    a[0] += x[:4]
    a[:, 1] *= a[:, 0]
    a[2:, 2:] -= a[:2, :2]
    a[-1, ::-1] = a[0]
    a[..., -1] /= 2.0
    return a


@program
def view_of_view(x: Any, a: Any) -> Any:
    row = a[1]
    part = row[1:]
    part[::2] *= 3.0
    part[1:2] = x[0]
    block = a[1:, 1:][:2, :2]
    block += block.T
    return a


@program
def elements(x: Any, a: Any) -> Any:
    a[0, 0] += x[0]
    a[1, 2] *= a[0, 0]
    a[-1, -1] = a[1, 2] ** 2
    a[2][3] = x[1]
    x[-1] -= a[2, 3]
    return a, x


@program
def number_or_array(x: Any, a: Any) -> Any:
    s = x[0]
    s += 1.0
    t = x[:1]
    t += 1.0
    u = s
    u *= 2
    return s, t, u, x


@program
def sum_into(x: Any, a: Any) -> Any:
    total = np.zeros(())
    total += x[0]
    total += x[1] * x[2]
    box = np.array(0.0)
    box[...] = total
    box[()] += x[3]
    return total, box


# --- views ----------------------------------------------------------------------------------------


@program
def transposed(x: Any, a: Any) -> Any:
    a.T[0] = x[:4]
    a.T[1:, 1] *= 2.0
    a.transpose()[2] += 1.0
    np.transpose(a)[3, :2] = x[4:]
    return a


@program
def reshaped(x: Any, a: Any) -> Any:
    a.reshape(-1)[3:7] = x[:4]
    a.reshape(2, 8)[1, ::3] *= 2.0
    x.reshape(2, 3)[:, 1] = 0.5
    np.reshape(a, 16)[0] = x[1]
    return a, x


@program
def raveled(x: Any, a: Any) -> Any:
    a.ravel()[::5] = x[0]
    np.ravel(a)[1] += 2.0
    a.flatten()[0] = 7.0
    return a


@program
def flat(x: Any, a: Any) -> Any:
    a.flat[5] = x[0]
    a.flat[::4] *= 2.0
    y = a.flat[2:6] * x[:4]
    a.flat[[1, 3]] = x[4:]
    return a, y, a.flat[7]


@program
def flat_whole(x: Any, a: Any) -> Any:
    b: Any = np.zeros((2, 3))
    b.flat = x
    c = np.zeros((2, 2))
    c.T.flat[1] = x[0]
    return b, c, sum(v * v for v in b.flat)


@program
def axes_moved(x: Any, a: Any) -> Any:
    c = np.zeros((2, 3, 4))
    np.swapaxes(c, 0, 2)[1] += x[:3][:, None]
    np.moveaxis(c, 1, 0)[2] = a[:2]
    np.rollaxis(c, 2)[0] -= 1.0
    c.swapaxes(0, 1)[1, 1] *= 3.0
    np.flip(c, 1)[0, 0] = a[1]
    np.fliplr(a)[0, 0] = x[0]
    np.flipud(a)[0, 1] = x[1]
    np.rot90(a)[0, 0] = x[2]
    return c, a


@program
def axes_added(x: Any, a: Any) -> Any:
    x[:, None][2] = 4.0
    x[None, :][0, 1:3] *= 2.0
    np.atleast_2d(x)[0, 3] = a[0, 0]
    np.expand_dims(x, 1)[4, 0] += 1.0
    np.squeeze(x[None])[0] = a[1, 1]
    a[:1].squeeze()[2] = x[0]
    np.atleast_1d(x)[5] = 2.0
    np.atleast_3d(a)[0, 1, 0] = x[5]
    return x, a


@program
def parts_of_splits(x: Any, a: Any) -> Any:
    first, second = np.split(x, 2)
    first *= second
    left, right = np.hsplit(a, 2)
    left += right
    top, _ = np.vsplit(a, [1])
    top[:] = 1.0
    for row in a:
        row[0] += 0.5
    for piece in np.array_split(x, 4):
        piece *= 2
    return x, a


@program
def complex_parts(x: Any, a: Any) -> Any:
    x.real[1:3] = 2.0
    return x


@program
def broadcast_and_read(x: Any, a: Any) -> Any:
    wide = np.broadcast_to(x[:4], (4, 4))
    a += wide
    x[0] = 5.0
    return a * wide, np.diagonal(a) * x[:4]


@program
def diagonal_by_flat_slice(x: Any, a: Any) -> Any:
    a.reshape(-1)[::5] = x[:4]
    a.flat[1::5] += 1.0
    i = np.arange(4)
    a[i, i] *= 2.0
    a[i[:3], i[1:]] = x[3:]
    a[np.diag_indices(4)] += 1.0
    a[np.tril_indices(4, -1)] = 0.0
    a[np.triu_indices(4, 2)] *= x[1]
    return a


# --- assignment -----------------------------------------------------------------------------------


@program
def chained(x: Any, a: Any) -> Any:
    a[1:, 0] = a[0, 1:] = x[:3]
    y = z = np.zeros(3)
    y[0] = x[0]
    z[1] = x[1]
    return a, y


@program
def swapped_by_copy(x: Any, a: Any) -> Any:
    row = a[0].copy()
    a[0] = a[1]
    a[1] = row
    x[0], x[1] = x[1], x[0]
    return a, x


@program
def swapped_by_views(x: Any, a: Any) -> Any:
    a[0], a[1] = a[1], a[0]
    return a


@program
def swapped_by_index(x: Any, a: Any) -> Any:
    a[[0, 2]] = a[[2, 0]]
    a[:, [1, 3]] = a[:, [3, 1]]
    x[[0, 1, 2]] = x[[2, 0, 1]]
    p = np.array([3, 1, 0, 2])
    a[p] = a.copy()
    return a, x


@program
def broadcast_assignment(x: Any, a: Any) -> Any:
    a[:] = x[:4]
    a[1:3] = x[1:3, None]
    a[0] = [1.0, x[0], 2.0, x[1]]
    a[3, :] = np.array([[x[2], 0, 0, 0]])
    return a


@program
def ellipsis(x: Any, a: Any) -> Any:
    x[...] = x[::-1] * 2
    a[..., 0] = x[:4]
    a[1, ...] *= 3
    a[None, 2, ..., None][0, 1] = 9.0
    return x, a


@program
def aliases(x: Any, a: Any) -> Any:
    b = a
    b[0] = x[:4]
    c = b.T
    a += 1.0
    d = a
    d = d * 2
    d[0] = 0.0
    return b, c, d


@program
def aliases_in_containers(x: Any, a: Any) -> Any:
    state = {"a": a, "rows": [a[0], a[1]]}
    state["a"][2] = 1.0
    state["rows"][0] *= 2.0
    state["rows"][1][:] = x[:4]
    state["a"] += 1.0
    return a


@program
def in_a_callee(x: Any, a: Any) -> Any:
    def scale(v: Any, by: Any) -> None:
        v *= by

    scale(a[1], x[0])
    scale(a[:, 2], a[0, 0])
    scale(x, 2.0)
    return a, x


@program
def walrus_and_conditional(x: Any, a: Any) -> Any:
    (y := x.copy())[0] = 2.0
    (x if len(x) > 3 else a)[1] = 5.0
    return y, x


# --- overlap --------------------------------------------------------------------------------------


@program
def shifted(x: Any, a: Any) -> Any:
    x[1:] = x[:-1]
    x[:-2] = x[2:]
    x[1:] += x[:-1]
    x[:-1] *= x[1:]
    return x


@program
def reversed_onto_itself(x: Any, a: Any) -> Any:
    x[:] = x[::-1]
    x += x[::-1]
    x[::2] = x[1::2]
    return x


@program
def transposed_onto_itself(x: Any, a: Any) -> Any:
    a += a.T
    a[:] = a.T * 2
    a[:2] = a.T[2:]
    a[1:, 1:] = a[:-1, :-1]
    np.add(a, a.T, out=a)
    return a


# --- out= -----------------------------------------------------------------------------------------


@program
def out_of_ufuncs(x: Any, a: Any) -> Any:
    y = np.empty_like(x)
    np.multiply(x, x, out=y)
    np.add(y, 1.0, y)
    np.exp(x[:3], out=y[3:])
    np.sin(a, out=a)
    np.subtract(a, x[:4], out=(a,))
    np.negative(x, out=x)
    np.maximum(x, 0.1, out=x, where=np.array([True, False] * 3))
    np.multiply(x, 2.0, out=x, where=x > 0.2)
    np.sqrt(y * y, out=y)
    return x, y, a


@program
def out_of_several(x: Any, a: Any) -> Any:
    y, z = np.empty_like(x), np.empty_like(x)
    np.divmod(x, 0.3, out=(y, z))
    np.modf(x, y, None)
    return y, z


@program
def out_of_products(x: Any, a: Any) -> Any:
    b, c, d = np.empty_like(a), np.zeros(4), np.zeros((4, 4))
    np.dot(a, a, out=b)
    np.matmul(a, x[:4], out=c)
    np.outer(c, x[:4], out=d)
    np.einsum("ij,jk->ik", a, b, out=a)
    return np.matmul(a, b, out=d), c, a


@program
def out_of_reductions(x: Any, a: Any) -> Any:
    s, m, v = np.empty(4), np.empty(4), np.empty(4)
    np.sum(a, axis=0, out=s)
    np.mean(a, axis=1, out=m)
    a.max(axis=0, out=v)
    t = np.zeros((3, 4))
    np.sum(a, axis=0, out=t[1])
    np.prod(a, axis=1, out=t[2])
    np.add.reduce(a, axis=1, out=t[0])
    a.std(axis=0, out=x[:4])
    return s, m, v, t, x


@program
def out_of_scans(x: Any, a: Any) -> Any:
    y = np.empty(6)
    np.cumsum(x, out=y)
    np.add.accumulate(y, out=y)
    x[:2].cumsum(out=x[2:4])
    b = np.empty((4, 4))
    np.cumprod(a, axis=1, out=b)
    return y, x, b


@program
def out_of_the_rest(x: Any, a: Any) -> Any:
    y, b = np.empty(6), np.empty((2, 6))
    np.clip(x, -0.5, 0.5, out=y)
    x.clip(0.0, None, out=x)
    np.concatenate([x[:3], a[0, :3]], out=y)
    np.stack([x, y], out=b)
    np.take(a, [0, 2], axis=0, out=a[:2])
    np.round(b, 1, out=b)
    np.where(x > 0, x, y)
    return x, y, b, a


# --- functions that write -------------------------------------------------------------------------


@program
def ufunc_at(x: Any, a: Any) -> Any:
    i = np.array([0, 2, 2, 5, 0])
    v = a.reshape(-1)[:5]
    np.add.at(x, i, v)
    np.subtract.at(x, [1, 1], 0.5)
    np.multiply.at(x, i, v)
    np.maximum.at(x, i, v)
    np.minimum.at(x, [3, 3], v[:2])
    np.divide.at(x, [4, 4, 1], 2.0)
    np.negative.at(x, [0, 1])
    rows: Any = (i[:3], [1, 1, 1])
    columns: Any = (slice(None), [0, 0])
    np.add.at(a, rows, x[:3])
    np.add.at(a, columns, 1.0)
    np.add.at(a, 1, x[:4])
    np.multiply.at(a, ([0, 0, 1], [1, 1, 2]), x[:3])
    np.exp.at(x, [0])
    return x, a


@program
def copied(x: Any, a: Any) -> Any:
    b = np.zeros((4, 4))
    np.copyto(b, a)
    np.copyto(b[0], x[:4])
    np.copyto(b, 1.5, where=a > 0)
    np.copyto(a, b, where=[True, False, True, False])
    np.copyto(x, 3)
    return a, b, x


@program
def put_functions(x: Any, a: Any) -> Any:
    np.put(x, [0, -1], [a[0, 0], 2.0])
    np.put(a, [1, 5, 6], x[:3])
    x.put([2, 3], 1.5)
    np.put(a, [17], 1.0, mode="wrap")
    np.putmask(x, [True, False, False, True, True, False], a[1])
    np.place(a, np.eye(4) > 0, x[:2])
    np.put_along_axis(a, np.array([[0], [1], [2], [3]]), x[:4, None], axis=1)
    np.put_along_axis(a, np.argmin(a, axis=0)[None], 0.25, axis=0)
    return x, a


@program
def diagonals(x: Any, a: Any) -> Any:
    np.fill_diagonal(a, x[:4])
    b = np.zeros((3, 4))
    np.fill_diagonal(b, 1.0)
    np.fill_diagonal(b[:, 1:], x[:3])
    c = np.zeros((2, 2, 2))
    np.fill_diagonal(c, x[5])
    d = np.zeros((5, 2))
    np.fill_diagonal(d, x[0], wrap=True)
    return a, b, c, d


@program
def filled(x: Any, a: Any) -> Any:
    a.fill(x[0])
    a[1].fill(2.0)
    x[1:3].fill(x[5])
    return x, a


@program
def sorted_in_place(x: Any, a: Any) -> Any:
    x.sort()
    a.sort(axis=0)
    a[1].sort()
    return x, a


@program
def itemset_and_items(x: Any, a: Any) -> Any:
    a[0, 0] = x[2].item() * 2
    x.itemsize  # noqa: B018
    x[1] = a.item(3) + a.item((1, 2)) + x.item(0)
    return a, x


# --- iterators ------------------------------------------------------------------------------------


@program
def ndindex(x: Any, a: Any) -> Any:
    for i in np.ndindex(a.shape):
        a[i] *= i[0] + x[i[1]]
    for i, j in np.ndindex(2, 2):
        a[i, j] += a[j, i]
    return a


@program
def ndenumerate(x: Any, a: Any) -> Any:
    total = 0.0
    for (i, j), v in np.ndenumerate(a):
        total += v * x[i] * (j + 1)
        a[i, j] = total
    return total, a


# --- written arguments ----------------------------------------------------------------------------


@program
def returns_nothing(x: Any, a: Any) -> None:
    x[1:] -= a[0, 0] * x[:-1]
    a[:, 0] = x[:4]


@program
def zero_dimensional_views(x: Any, a: Any) -> Any:
    s = x[0:1].reshape(())
    s += 2.0
    t = x[1, ...]
    t[...] = 5.0
    u = a[0, 0, ...]
    u += x[2]
    return x, a


COARSE = {"dtypes"}  # float32 is too coarse for differences


def _leaves(result: Any) -> list[Any]:
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]


def _equal(found: Any, wanted: Any) -> None:
    assert np.shape(found) == np.shape(wanted)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_numpys_for_the_caller_too(name: str) -> None:
    ours, numpys = copy.deepcopy((X, A)), copy.deepcopy((X, A))
    found, wanted = _leaves(trace(PROGRAMS[name])(*ours)), _leaves(PROGRAMS[name](*numpys))
    for f, w in zip([*found, *ours], [*wanted, *numpys], strict=True):
        _equal(f, w)


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - COARSE))
def test_a_program_has_its_derivatives(name: str) -> None:
    def pure(x: Any, a: Any) -> Any:
        x, a = x * 1.0, a * 1.0
        results = _leaves(PROGRAMS[name](x, a))
        return [r for r in results if r.dtype.kind == "f"], x, a

    check_derivatives(pure, X, A)


# --- what NumPy refuses to write ------------------------------------------------------------------

READ_ONLY: dict[str, Program] = {
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 6)).__setitem__(0, 1.0),
    "broadcast_to, element": lambda x: np.broadcast_to(x, (2, 6)).__setitem__((0, 0), 1.0),
    "part of broadcast_to": lambda x: np.multiply(x[:2], 2, out=np.broadcast_to(x, (2, 6))[0, :2]),
    "diagonal": lambda x: np.diagonal(x.reshape(2, 3)).__iadd__(1.0),
    "view of a diagonal": lambda x: x.reshape(2, 3).diagonal()[1:].fill(0.0),
    "masked": lambda x: np.broadcast_to(x, (2, 6)).__setitem__(x > np.ones((2, 6)), 1.0),
    "positions": lambda x: np.broadcast_to(x, (2, 6)).__setitem__(([0, 1], [2, 3]), 1.0),
    "flat": lambda x: np.broadcast_to(x, (2, 6)).flat.__setitem__(0, 1.0),
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_view_that_numpy_makes_read_only_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        READ_ONLY[name](X.copy())
    with pytest.raises(ValueError, match="assignment destination is read-only") as error:
        trace(READ_ONLY[name])(X.copy())
    assert "test_buffers.py:" in str(error.value)


def test_an_element_of_a_number_cannot_be_assigned() -> None:
    def f(x: Any) -> None:
        x[0][...] = 1.0

    with pytest.raises(TypeError):
        f(X.copy())
    with pytest.raises(TracingError, match="a number cannot be changed"):
        trace(f)(X.copy())


def test_broadcast_arrays_and_diagonals_see_later_writes() -> None:
    def f(x: Any) -> Any:
        wide, diagonal = np.broadcast_to(x[:3], (2, 3)), np.diagonal(x.reshape(2, 3))
        x[0] = 7.0
        x[4] *= 2.0
        return wide * 1.0, diagonal + 0.0

    for found, wanted in zip(trace(f)(X.copy()), f(X.copy()), strict=True):
        np.testing.assert_array_equal(found, wanted)


# --- arrays without axes --------------------------------------------------------------------------


def test_an_array_without_axes_is_written_for_the_caller_and_a_number_is_not() -> None:
    def f(x: Any) -> Any:
        x += 1.0
        return x * 2.0

    traced = trace(f)
    ours, numpys = np.array(2.0), np.array(2.0)
    assert traced(ours) == f(numpys) == 6.0
    assert ours == numpys == 3.0
    for number in (2.0, np.float64(2.0)):
        assert traced(number) == 6.0
        assert number == 2.0
    assert traced.grad(np.array(2.0)) == 2.0
    narrow = np.array(2.0, np.float32)
    assert traced(np.float32(2.0)) == traced(narrow) == 6.0
    assert narrow == 3.0


def test_arrays_without_axes_alias_as_arrays_do() -> None:
    def f(x: Any, b: Any) -> Any:
        c = b
        c *= x[0]
        d = np.asarray(b)
        d[...] = d + 1.0
        e = np.asarray(x[1])
        e += 5.0
        s = b[()]
        b += 1.0
        return b, c, d, e, s

    ours, numpys = np.array(2.0), np.array(2.0)
    for found, wanted in zip(trace(f)(X, ours), f(X, numpys), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert ours == numpys
