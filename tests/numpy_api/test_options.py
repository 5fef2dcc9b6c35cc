"""Random combinations of keyword arguments: value, shape, dtype or type of error are NumPy's.

`CASES` gives for every function the arrays it is tried on and the values of each keyword, right and
wrong ones. Reductions, norms, convolutions and indexing have tests of their own in this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from adgraph import trace
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(23)
V = RNG.standard_normal(6)
M = RNG.standard_normal((4, 3))
X = RNG.standard_normal((2, 3, 4))
Y = RNG.standard_normal((4, 2, 3))
K = RNG.integers(-3, 4, (3, 4))
Z = M + 1j * RNG.standard_normal((4, 3))
S = RNG.standard_normal((2, 3, 3)) + 3 * np.eye(3)
FLOATS = (V, M, X, M.astype("f4"), M[:1], M[:0])
NUMBERS = (*FLOATS, K, K > 0, Z, np.float64(1.5))
MATRICES = (S, S[0], Z[:3], S.astype("f4"), M, M.T, K[:, :3], V)
AXES = (0, 1, -1, 2, -3)
TUPLES = (None, 0, -1, (0, 1), (1, -1), (0, 0), ())
DTYPES = (np.float64, np.float32, np.complex128, np.int64, bool)
CASTINGS = ("same_kind", "unsafe", "safe", "no", "other")
NORMS = (None, "ortho", "forward", "backward", "other")
LENGTHS = (None, 1, 3, 4, 9, 0)
ORDERS = ("C", "F", "X")
METHODS = (
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "hazen", "weibull", "linear"),
    *("interpolated_inverted_cdf", "median_unbiased", "normal_unbiased", "lower", "higher"),
    *("midpoint", "nearest", "other"),
)
FLAG = (False, True)


@dataclass(frozen=True)
class Case:
    """A function, what its first argument may be, what its others, and its keywords.

    Other arguments than arrays of floats are numbers of the program, not of the trace.
    """

    function: Callable[..., Any]
    arrays: Sequence[Any]
    options: Mapping[str, Sequence[Any]]
    rest: Sequence[Sequence[Any]] = ()


def _stored(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a ufunc writes into an array."""

    def function(*args: Any, size: Any = None, kind: Any = "f8", **options: Any) -> Any:
        out = np.full(np.broadcast_shapes(*map(np.shape, args)) if size is None else size, 9, kind)
        result = ufunc(*args, out=out, **options)
        return result, out

    return function


def _magnitudes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what of a decomposition has no sign of its own."""

    def result(*args: Any, **options: Any) -> Any:
        found = function(*args, **options)
        return [np.abs(x) for x in found] if isinstance(found, tuple) else np.abs(found)

    return result


UFUNC = {"dtype": DTYPES, "casting": CASTINGS}
WRITTEN = {
    "where": (True, M > 0, np.array([True, False, True])),
    "size": (None, (4, 3), (2, 4, 3), (4, 1)),
    "kind": ("f8", "f4", "c16", "i8"),
    "casting": CASTINGS,
}
CORE = {
    "axes": (
        *([0, 0], [1, -1, ()], [-1, -1, 0], [0, (1, 2), 0], [(0, 1), 0, 0], [(-2, -1), -1, 9]),
        *([(0, 1), (2, 0), (1, 0)], [(1, 2), (1, 2), (0, 0)], [(1, 2), (1, 2)], (0, 0), None),
    ),
    "axis": (0, 1, -1, 3, None),
    "keepdims": (True, False, 1),
    "dtype": (np.float64, np.complex128, np.int64),
}
TRANSFORM = {"n": LENGTHS, "axis": AXES, "norm": NORMS}
TRANSFORMS = {
    "s": (None, (2, 3), (4,), (3, 5)),
    "axes": (None, (0, 1), (-1,), (1, 0), (2,)),
}
QUANTILE = {
    "axis": TUPLES,
    "method": METHODS,
    "keepdims": FLAG,
    "overwrite_input": FLAG,
}
MODES = ("raise", "wrap", "clip", "other")

CASES: dict[str, Case] = {
    # ufuncs
    **{
        name: Case(getattr(np, name), NUMBERS, UFUNC, ((M[:1], K[:1, :3], 2, 1.5, Z),))
        for name in ("add", "subtract", "multiply", "divide", "maximum", "less", "logical_and")
    },
    **{
        name: Case(getattr(np, name), (*FLOATS, K, Z, np.float64(1.5)), UFUNC)
        for name in ("negative", "absolute", "sqrt", "exp", "floor", "isnan", "conjugate", "sign")
    },
    "add into out": Case(_stored(np.add), (M, M.astype("f4"), K[:, :3]), WRITTEN, ((1, M, Z),)),
    "exp into out": Case(_stored(np.exp), (M, M.astype("f4"), Z, K[:, :3]), WRITTEN),
    "greater into out": Case(_stored(np.greater), (M,), WRITTEN, ((0.5, M.T),)),
    "sum into out": Case(_stored(np.sum), (M,), {"axis": TUPLES, "size": ((3,), (), (4, 3))}),
    "mean into out": Case(
        _stored(np.mean), (M, X), {"axis": (0, None), "size": ((3,), ()), "kind": ("f8", "f4")}
    ),
    "clip": Case(np.clip, NUMBERS, {"dtype": DTYPES}, ((None, -1, M[:1]), (None, 1, 0.5))),
    "clip of integers": Case(
        np.clip,
        (K, K.astype("i1"), np.abs(K).astype("u1"), K > 0),
        {},
        ((None, -1, -128, -300, 300), (None, 2, 127, 200, 300)),
    ),
    "round": Case(np.round, (*FLOATS, K), {"decimals": (0, 1, -1, 3)}),
    "nan_to_num": Case(
        np.nan_to_num,
        (np.array([1, np.nan, np.inf, -np.inf]), K, Z),
        {"nan": (0.0, 2.0), "posinf": (None, 5.0), "neginf": (None, -5.0)},
    ),
    "unwrap": Case(
        np.unwrap, FLOATS, {"discont": (None, 1.0), "axis": AXES, "period": (6.28, 2.0)}
    ),
    "comparison with None": Case(
        lambda x: (x == None, x != None),  # noqa: E711
        (V, M, K, M[:0], np.float64(1)),
        {},
    ),
    "mean": Case(
        np.mean, (M, K, M.astype("f4")), {"dtype": ("i4", "u1", "f4", "c16"), "axis": TUPLES}
    ),
    # Fourier transforms
    **{
        name: Case(getattr(np.fft, name), (*FLOATS, K, Z), TRANSFORM)
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        name: Case(getattr(np.fft, name), (M, X, Z), {**TRANSFORMS, "norm": NORMS})
        for name in ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")
    },
    "fftshift": Case(np.fft.fftshift, (V, M, X), {"axes": TUPLES}),
    "ifftshift": Case(np.fft.ifftshift, (V, M, X), {"axes": TUPLES}),
    # linear algebra
    "svd": Case(
        _magnitudes(np.linalg.svd),
        (S, S[0] + S[0].T, Z, M, V),
        {"full_matrices": FLAG, "compute_uv": FLAG},
    ),
    "qr": Case(
        _magnitudes(np.linalg.qr), MATRICES, {"mode": ("reduced", "complete", "r", "raw", "other")}
    ),
    "pinv": Case(
        np.linalg.pinv, (S, M, M.T, Z[:3]), {"rcond": (None, 1e-3, 0.5), "rtol": (None, 0.1)}
    ),
    "lstsq": Case(
        np.linalg.lstsq, (M, Z, S[0]), {"rcond": (None, -1, 0.2)}, ((V[:4], M, V[:3], X),)
    ),
    "eigh": Case(
        lambda a, **o: np.abs(np.linalg.eigh(a, **o)[0]), MATRICES, {"UPLO": ("L", "U", "l", "X")}
    ),
    "eigvalsh": Case(np.linalg.eigvalsh, MATRICES, {"UPLO": ("L", "U", "X")}),
    "cholesky": Case(
        lambda a, **o: np.linalg.cholesky(a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(3), **o),
        (S, Z[:3], S.astype("f4")),
        {"upper": FLAG},
    ),
    "matrix_power": Case(
        lambda a, n: np.linalg.matrix_power(a, n), MATRICES, {}, ((0, 1, 3, -2, 2.5),)
    ),
    "matrix_rank": Case(np.linalg.matrix_rank, MATRICES, {"tol": (None, 0.5), "rtol": (None, 0.5)}),
    "cond": Case(np.linalg.cond, (S, M, Z[:3]), {"p": (None, 2, -2, 1, -1, np.inf, "fro", 5)}),
    "vector_norm": Case(
        np.linalg.vector_norm,
        (V, M, X, Z, K),
        {"axis": TUPLES, "keepdims": FLAG, "ord": (2, 1, 0, 3, np.inf, -np.inf)},
    ),
    "matrix_norm": Case(
        np.linalg.matrix_norm,
        (S, X, Z),
        {"keepdims": FLAG, "ord": ("fro", "nuc", 1, -1, 2, -2, np.inf, 7)},
    ),
    "trace": Case(
        np.trace, (M, X, K, Z), {"offset": (0, 1, -2), "axis1": (0, 1), "axis2": (1, 2, 0)}
    ),
    "diagonal": Case(
        np.diagonal, (M, X, V), {"offset": (0, 1, -2, 9), "axis1": (0, 1), "axis2": (1, 2, 0)}
    ),
    "cross": Case(
        np.cross, (M, M[:3]), {"axisa": (0, -1), "axisb": (0, -1), "axis": (-1, 0)}, ((M, M[:3]),)
    ),
    "tensordot": Case(
        np.tensordot, (X,), {"axes": (0, 1, 2, ([0], [0]), ([2, 1], [0, 1]))}, ((X, M),)
    ),
    **{
        f"einsum {subscripts}": Case(
            lambda x, y, s=subscripts, **o: np.einsum(s, x, y, **o),
            (S[0], K[:, :3], Z[:3]),
            {"optimize": (False, True, "greedy", "optimal"), "dtype": (None, "f8", "c16")},
            ((S[1],),),
        )
        for subscripts in ("ij,jk", "ij,ij->i", "ii,ij", "...j,kj->k...", "ij,kl->", "ij,jq->qz")
    },
    # sorting and searching
    "sort": Case(np.sort, NUMBERS, {"axis": (*AXES, None), "kind": (None, "stable", "other")}),
    "argsort": Case(np.argsort, (V, M, X), {"axis": (*AXES, None), "stable": (None, True)}),
    "median": Case(
        np.median, FLOATS, {"axis": TUPLES[:-1], "keepdims": FLAG, "overwrite_input": FLAG}
    ),
    **{
        name: Case(getattr(np, name), (V, M, X, K), QUANTILE, ((20, [10, 95.5], 0, 100, 101),))
        for name in ("percentile", "nanpercentile")
    },
    "quantile": Case(np.quantile, (V, M, X, Z), QUANTILE, ((0.2, [0.1, 0.95], 1, -0.1),)),
    "searchsorted": Case(
        np.searchsorted,
        (np.sort(V), np.arange(5)),
        {"side": ("left", "right", "other")},
        ((V, M, 0.3),),
    ),
    "digitize": Case(
        np.digitize, (V, M, 0.3), {"right": FLAG}, ((np.sort(V), np.sort(V)[::-1].copy()),)
    ),
    "histogram": Case(
        np.histogram,
        (V, M, K),
        {
            "range": (None, (-1.0, 1.0), (1.0, -1.0)),
            "density": FLAG,
            "bins": (3, [-1.0, 0.1, 2.0], 0),
        },
    ),
    # generalized ufuncs
    "matmul": Case(np.matmul, (X, X[0], V[:4]), CORE, ((np.swapaxes(X, 1, 2), V[:4], Y),)),
    "vecdot": Case(np.vecdot, (X, Z.T, V[:4]), CORE, ((X, X[0], V[:4]),)),
    "matvec": Case(np.matvec, (X, Z), CORE, ((V[:4], M.T),)),
    "vecmat": Case(np.vecmat, (V[:4], Z.T), CORE, ((np.swapaxes(X, 1, 2),),)),
    # movement
    "take_along_axis": Case(
        np.take_along_axis,
        (K, M.T, M.T.astype("f4")),
        {"axis": (1, -1, 0, None)},
        ((np.array([[0, 1], [2, -1], [1, 1]]), np.array([0, 5]), np.array([[0, 2, 1, 1]])),),
    ),
    "choose": Case(
        np.choose, (np.array([[0, 1], [1, 0]]),), {"mode": MODES}, (([M[:2, :2], 2.0],),)
    ),
    "repeat": Case(np.repeat, (V, M, K), {"axis": (None, 0, 1, 2)}, ((2, 0, [1, 2, 0, 1]),)),
    "roll": Case(np.roll, (V, M, X), {"axis": (None, 0, -1, (0, 1), 3)}, ((1, -2, (1, 2)),)),
    "flip": Case(np.flip, (V, M, X), {"axis": TUPLES}),
    "diff": Case(
        np.diff, (V, M, K, K > 0), {"n": (0, 1, 2, -1), "axis": AXES, "prepend": (0, M[:, :1])}
    ),
    "reshape": Case(np.reshape, (M, X, Z), {"order": ORDERS}, (((4, -1), -1, (12,), (5, 2)),)),
    "ravel": Case(np.ravel, (V, M, X), {"order": ORDERS}),
    "squeeze": Case(np.squeeze, (M[:1], M, X[:1, :1]), {"axis": TUPLES}),
    "expand_dims": Case(np.expand_dims, (M, V), {"axis": (*AXES, (0, 2), (0, 0), 9)}),
    "concatenate": Case(
        lambda x, y, **o: np.concatenate([x, y], **o),
        (M, K[:, :3], Z, M.astype("f4")),
        {"axis": (0, 1, None, 2), "dtype": (None, *DTYPES), "casting": CASTINGS},
        ((M, K[:, :3]),),
    ),
    "stack": Case(lambda x, **o: np.stack([x, x + 1], **o), (V, M, K), {"axis": (*AXES, 5)}),
    "linspace": Case(
        np.linspace,
        (0.5, V[:3]),
        {"num": (2, 5), "endpoint": FLAG, "retstep": FLAG, "dtype": (None, "f4", "i8")},
        ((2.0, V[3:]),),
    ),
    "full_like": Case(
        np.full_like, (M, K, Z), {"dtype": (None, *DTYPES), "shape": (None, (2,), 3)}, ((1, 2.5),)
    ),
    "vander": Case(np.vander, (V, V.astype("f4")), {"N": (None, 0, 2, 7), "increasing": FLAG}),
    "cov": Case(np.cov, (M, V, Z), {"rowvar": FLAG, "bias": FLAG, "ddof": (None, 0, 1)}),
    "average": Case(
        np.average,
        (M, M.astype("f4")),
        {"axis": TUPLES, "keepdims": FLAG, "weights": (None, M * M)},
    ),
}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(st.data())
def test_options_are_numpys(name: str, data: DataObject) -> None:
    case = CASES[name]
    first = data.draw(st.sampled_from(case.arrays))
    rest = [data.draw(st.sampled_from(choices)) for choices in case.rest]
    traced = [x for x in rest if isinstance(x, np.ndarray) and x.dtype.kind in "fc"]
    options = {
        key: data.draw(st.sampled_from(values))
        for key, values in case.options.items()
        if data.draw(st.booleans())
    }

    def program(first: Any, *arrays: Any) -> Any:
        left = iter(arrays)
        given = (next(left) if any(x is y for y in traced) else x for x in rest)
        return case.function(first, *given, **options)

    assert_agrees(program, first, *traced, strict=len(options) < 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sum(x, axis=2),
        lambda x: np.swapaxes(x, 0, 5),
        lambda x: np.expand_dims(x, 9),
        lambda x: np.sort(x, axis=-3),
        lambda x: np.vecdot(x, x, axis=2),
    ],
)
def test_the_error_of_an_axis_is_numpys(function: Callable[..., Any]) -> None:
    with pytest.raises(np.exceptions.AxisError, match=r"^axis -?\d is out of bounds"):
        trace(function)(M)
