"""One small call of every function that works, by its full name.

An entry is the arguments of a call, of which the arrays are traced, or a function with its own
arguments where more is needed than a call. Ufuncs of one or two numbers need no entry unless
their domain is special.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import fft as scipy_fft
from scipy import linalg, special

from adgraph.coverage import Form
from tests.numpy_api.special_points import POINTS

Function = Callable[..., Any]

RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 4))
Y = RNG.standard_normal((3, 4))
V = np.array([0.23, 0.37, 0.52, 0.66, 0.79])
W = np.array([0.31, 0.47, 0.61, 0.71, 0.27])
SQUARE = RNG.standard_normal((3, 3)) + 3 * np.eye(3)
SYMMETRIC = SQUARE @ SQUARE.T
STACK = RNG.standard_normal((2, 3, 3)) + 3 * np.eye(3)
CUBE = RNG.standard_normal((2, 3, 4))
COMPLEX = X + 1j * Y
GAPS = np.where(X > 1, np.nan, X)
K = RNG.integers(1, 9, (3, 4))
L = RNG.integers(1, 9, (3, 4))
B = X > 0
C = Y > 0
ORDER = np.argsort(V)


def _writing(function: Function, *args: Any, **options: Any) -> Function:
    """Apply a function that writes into its first argument to a copy."""

    def written(x: Any) -> Any:
        copy = np.array(x)
        function(copy, *args, **options)
        return copy

    return written


def _on(function: Function, *args: Any) -> tuple[Function, tuple[Any, ...]]:
    return function, args


def _spheroidal(name: str) -> Function:
    """Return a spheroidal wave function of its argument, with the characteristic value given."""
    value = getattr(special, f"{name[:3]}_cv")(1.0, 2.0, 1.5)
    function = getattr(special, f"{name}_cv")
    return lambda x: function(1.0, 2.0, 1.5, value, x)


_INTEGERS = (
    "bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
    "bitwise_right_shift bitwise_xor gcd invert lcm left_shift right_shift"
)
_OF_ONE_ARRAY = (
    "all amax amin any argmax argmin argsort argwhere array asanyarray asarray ascontiguousarray "
    "asfortranarray atleast_1d atleast_2d atleast_3d average copy corrcoef count_nonzero cov "
    "cumprod cumsum diag diagflat diagonal diff ediff1d fix flatnonzero flip "
    "fliplr flipud gradient imag iscomplex iscomplexobj isneginf isposinf isreal isrealobj "
    "isscalar "
    "max mean median min nan_to_num nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod "
    "nanstd nansum nanvar ndim nonzero ones_like prod ptp ravel real real_if_close require "
    "rot90 round around shape size sinc sort sort_complex squeeze std sum "
    "trace transpose trapezoid tril triu unstack unwrap var zeros_like matrix_transpose "
    "permute_dims i0 nanargmax nanargmin histogram "
    "tril_indices_from triu_indices_from histogram_bin_edges"
)
_OF_TWO_ARRAYS = (
    "allclose append array_equal array_equiv broadcast_arrays isclose kron "
    "may_share_memory shares_memory vdot"
)
_FOURIER = "fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift ihfft rfft rfft2 rfftn"
_OF_SEQUENCES = "block column_stack concat concatenate dstack hstack row_stack stack vstack"

EXAMPLES: dict[str, Any] = {
    **{f"np.{name}": (K, L) for name in _INTEGERS.split()},
    **{f"np.{name}": (K,) for name in ("bitwise_count", "bitwise_invert", "bitwise_not", "invert")},
    **{f"np.{name}": (X,) for name in _OF_ONE_ARRAY.split()},
    **{f"np.{name}": (X, Y) for name in _OF_TWO_ARRAYS.split()},
    **{
        f"np.{name}": _on(lambda x, y, name=name: getattr(np, name)([x, y]), X, Y)
        for name in _OF_SEQUENCES.split()
    },
    **{f"np.{name}": (B, C) for name in ("logical_and", "logical_or", "logical_xor")},
    "np.logical_not": (B,),
    "np.acosh": (V + 1.5,),
    "np.arccosh": (V + 1.5,),
    "np.angle": _on(lambda x, y: np.angle(x + 1j * y), V, W),
    "np.apply_along_axis": _on(lambda x: np.apply_along_axis(lambda r: r * r[0], 1, x), X),
    "np.apply_over_axes": _on(lambda x: np.apply_over_axes(np.sum, x, [0, 1]), X),
    "np.arange": _on(lambda x: x * np.arange(4.0), X),
    "np.argpartition": _on(lambda x: np.sort(np.argpartition(x, 2)[:, :2]), X),
    "np.argwhere": _on(lambda x: np.sum(np.argwhere(x > 0)), X),
    "np.array_split": (V, 2),
    "np.astype": _on(lambda x: np.astype(x, complex) * (1 + 2j), X),
    "np.bartlett": _on(lambda x: x * np.bartlett(4), X),
    "np.bincount": _on(lambda w: np.bincount([0, 2, 1, 2, 0], w), V),
    "np.blackman": _on(lambda x: x * np.blackman(4), X),
    "np.broadcast_to": (X, (2, 3, 4)),
    "np.can_cast": _on(lambda x: np.can_cast(x.dtype, np.float32), X),
    "np.choose": (np.array([0, 1, 1, 0]), (X[0], X[1])),
    "np.clip": (X, -0.5, 0.5),
    "np.common_type": _on(lambda x: np.zeros(2, np.common_type(x, x)), X),
    "np.min_scalar_type": _on(lambda x: np.zeros(2, np.min_scalar_type(x)), X),
    "np.result_type": _on(lambda x: np.zeros(2, np.result_type(x, np.float32)), X),
    "np.compress": _on(lambda x: np.compress([True, False, True], x, axis=0), X),
    "np.convolve": (V, W),
    "np.copyto": _on(_writing(np.copyto, 1.0, where=B), X),
    "np.correlate": (V, W),
    "np.cross": (SQUARE, STACK),
    "np.cumulative_prod": (V,),
    "np.cumulative_sum": (V,),
    "np.delete": (V, 1),
    "np.diag_indices_from": _on(lambda x: np.diag_indices_from(x), SQUARE),
    "np.digitize": (X, np.array([-1.0, 0.0, 1.0])),
    "np.dot": (X, Y.T),
    "np.dsplit": (CUBE, 2),
    "np.einsum": ("ij,kj->ik", X, Y),
    "np.einsum_path": _on(lambda x, y: len(np.einsum_path("ij,kj->ik", x, y)[1]), X, Y),
    "np.empty": _on(lambda x: x * np.empty((3, 4)).shape[0], X),
    "np.empty_like": _on(lambda x: np.empty_like(x).shape, X),
    "np.expand_dims": (X, 1),
    "np.extract": _on(lambda x: np.sum(np.extract(x > 0, x)), X),
    "np.eye": _on(lambda x: x @ np.eye(4), X),
    "np.fill_diagonal": _on(_writing(np.fill_diagonal, 2.0), X),
    "np.flatnonzero": _on(lambda x: np.sum(np.flatnonzero(x > 0)), X),
    "np.float_power": (V, W),
    "np.floor_divide": (X, V[0]),
    "np.frexp": (V,),
    "np.fromfunction": _on(lambda x: np.fromfunction(lambda i, j: i * x[0, 0] + j, (2, 3)), X),
    "np.fromiter": _on(lambda x: np.fromiter((v * v for v in x), float), V),
    "np.full": _on(lambda x: np.full((2, 3, 4), x), X),
    "np.full_like": _on(lambda x: np.full_like(x, x[0, 0]), X),
    "np.geomspace": (V, W + 3, 5),
    "np.hamming": _on(lambda x: x * np.hamming(4), X),
    "np.hanning": _on(lambda x: x * np.hanning(4), X),
    "np.heaviside": (X, V[0]),
    "np.histogram": _on(lambda w: np.histogram(X.ravel()[:5], 3, weights=w), V),
    "np.histogram2d": _on(lambda w: np.histogram2d(X[0], X[1], 2, weights=w), V[:4]),
    "np.histogramdd": _on(lambda w: np.histogramdd(X[:2].T, 2, weights=w)[0], V[:4]),
    "np.hsplit": (X, 2),
    "np.identity": _on(lambda x: x @ np.identity(4), X),
    "np.inner": (X, Y),
    "np.insert": (V, [1, 3], W[:2]),
    "np.interp": _on(np.interp, np.array([0.1, 0.45, 0.93]), np.linspace(0, 1, 5), V),
    "np.isin": (K, np.array([2, 3])),
    "np.ix_": _on(lambda k: np.ix_(k[0], k[1]), K),
    "np.kaiser": _on(lambda b: np.kaiser(6, b[0]), V),
    "np.kron": (X[:2, :2], Y[:2]),
    "np.ldexp": _on(lambda x: np.ldexp(x, 3), X),
    "np.lexsort": _on(lambda x: np.lexsort((x[0], x[1])), X),
    "np.linspace": _on(lambda x: np.linspace(x[0], x[1], 5), X),
    "np.logspace": _on(lambda x: np.logspace(x[0], x[1], 5), X),
    "np.matmul": (X, Y.T),
    "np.matvec": (X, Y[0]),
    "np.meshgrid": (V, W),
    "np.modf": (X,),
    "np.moveaxis": (CUBE, 0, 2),
    "np.nancumprod": (GAPS,),
    "np.nanpercentile": (X, 30.0),
    "np.nanquantile": (X, 0.3),
    "np.nextafter": (X, Y),
    "np.ones": _on(lambda x: x + np.ones(4), X),
    "np.nonzero": _on(lambda x: np.sum(np.nonzero(x > 0)[1]), X),
    "np.outer": (V, W),
    "np.packbits": (B,),
    "np.pad": (X, 2),
    "np.unpackbits": (K.astype(np.uint8),),
    "np.partition": _on(lambda x: np.sort(np.partition(x, 2)[:, :2]), X),
    "np.percentile": (X, 30.0),
    "np.piecewise": _on(lambda x: np.piecewise(x, [x < 0, x >= 0], [np.negative, np.square]), X),
    "np.place": _on(_writing(np.place, B, [1.0, 2.0]), X),
    "np.poly": (V[:3],),
    "np.polyadd": (V, W[:3]),
    "np.polyder": (V,),
    "np.polydiv": (V, W[:3]),
    "np.polyfit": _on(lambda y: np.polyfit(np.arange(5.0), y, 2), V),
    "np.polyint": (V,),
    "np.polymul": (V, W),
    "np.polysub": (V, W[:3]),
    "np.polyval": (V, X),
    "np.pow": (V, W),
    "np.power": (V, W),
    "np.put": _on(_writing(np.put, [0, 5], [1.0, 2.0]), X),
    "np.put_along_axis": _on(_writing(np.put_along_axis, K[:, :1] % 4, 9.0, axis=1), X),
    "np.putmask": _on(_writing(np.putmask, B, 2.0), X),
    "np.quantile": (X, 0.3),
    "np.ravel_multi_index": _on(lambda k: np.ravel_multi_index((k, k), (9, 9)), K),
    "np.repeat": (X, 2),
    "np.reshape": (X, (4, 3)),
    "np.resize": (X, (5, 3)),
    "np.roll": (X, 2),
    "np.rollaxis": (CUBE, 2),
    "np.roots": _on(lambda p: np.sort(np.real(np.roots(p))), np.array([1.0, -6.0, 11.0, -6.1])),
    "np.searchsorted": (np.linspace(-2, 2, 9), X),
    "np.select": _on(lambda x: np.select([x > 1, x < 0], [x, x * x], 3.0), X),
    "np.split": (X, 3),
    "np.swapaxes": (X, 0, 1),
    "np.take": (X, [0, 2, 2]),
    "np.take_along_axis": _on(lambda x: np.take_along_axis(x, K % 4, axis=1), X),
    "np.tensordot": (X, Y.T, 1),
    "np.tile": (X, 2),
    "np.trapezoid": (X, 0.5 * np.arange(4.0) ** 2),
    "np.unravel_index": _on(lambda k: np.unravel_index(k, (9, 9)), K),
    "np.vander": (V,),
    "np.vecdot": (X, Y),
    "np.vecmat": (Y[:, 0], X),
    "np.vsplit": (X, 3),
    "np.where": (B, X, Y),
    "np.zeros": _on(lambda x: x + np.zeros(4), X),
    "np.linalg.cholesky": _on(lambda a: np.linalg.cholesky(a @ a.T), SQUARE),
    "np.linalg.cond": (SQUARE,),
    "np.linalg.cross": (SQUARE, STACK),
    "np.linalg.det": (STACK,),
    "np.linalg.diagonal": (STACK,),
    "np.linalg.eig": _on(lambda a: np.sum(np.linalg.eig(a)[0] ** 2 + 0j), SQUARE),
    "np.linalg.eigh": _on(lambda a: np.abs(np.linalg.eigh(a + a.T)[1]), SQUARE),
    "np.linalg.eigvals": _on(lambda a: np.sum(np.linalg.eigvals(a) ** 2 + 0j), SQUARE),
    "np.linalg.eigvalsh": _on(lambda a: np.linalg.eigvalsh(a + a.T), SQUARE),
    "np.linalg.inv": (STACK,),
    "np.linalg.lstsq": _on(lambda a, b: np.linalg.lstsq(a, b)[0], X.T, V[:4]),
    "np.linalg.matmul": (X, Y.T),
    "np.linalg.matrix_norm": (STACK,),
    "np.linalg.matrix_power": (SQUARE, 3),
    "np.linalg.matrix_rank": (SQUARE,),
    "np.linalg.matrix_transpose": (STACK,),
    "np.linalg.multi_dot": _on(lambda a, b, c: np.linalg.multi_dot([a, b, c]), X, Y.T, X),
    "np.linalg.norm": (X,),
    "np.linalg.outer": (V, W),
    "np.linalg.pinv": (X,),
    "np.linalg.qr": (X.T,),
    "np.linalg.slogdet": (STACK,),
    "np.linalg.solve": (SQUARE, X),
    "np.linalg.svd": _on(lambda a: np.abs(np.linalg.svd(a, full_matrices=False)[0]), X),
    "np.linalg.svdvals": (X,),
    "np.linalg.tensordot": _on(lambda x, y: np.linalg.tensordot(x, y, axes=1), X, Y.T),
    "np.linalg.tensorinv": (SQUARE.reshape(3, 3, 1)[:, :, 0], 1),
    "np.linalg.tensorsolve": (SQUARE, V[:3]),
    "np.linalg.trace": (STACK,),
    "np.linalg.vecdot": (X, Y),
    "np.linalg.vector_norm": (X,),
    **{f"{space}.fft.{name}": (X,) for space in ("np", "scipy") for name in _FOURIER.split()},
    **{
        f"{space}.fft.{name}": _on(
            lambda x, y, space=transforms, name=name: getattr(space, name)(x + 1j * y), X, Y
        )
        for space, transforms in (("np", np.fft), ("scipy", scipy_fft))
        for name in ("hfft", "irfft", "irfft2", "irfftn")
    },
    "scipy.special.besselpoly": _on(lambda a: special.besselpoly(a, 1.0, 2.0), V),
    "scipy.special.multigammaln": _on(lambda a: special.multigammaln(a, 3), V + 2.0),
    **{
        f"scipy.special.{kind}_{name}_cv": _on(_spheroidal(f"{kind}_{name}"), np.asarray(at))
        for kind in ("obl", "pro")
        for name, at in (("ang1", 0.3), ("rad1", 1.3), ("rad2", 2.0))
    },
    "math.dist": _on(lambda p, q: math.dist(p, q), V, W),
    "math.fsum": _on(lambda x: math.fsum(x), V),
    "math.isclose": _on(lambda x: math.isclose(x[0], 0.23), V),
    "math.modf": _on(lambda x: math.modf(x[0])[0], V),
    "scipy.integrate.cumulative_trapezoid": (V, W),
    "scipy.integrate.trapezoid": (V, W),
    "scipy.linalg.block_diag": (X, SQUARE),
    "scipy.linalg.cho_factor": _on(lambda a: linalg.cholesky(a @ a.T, lower=True), SQUARE),
    "scipy.linalg.cho_solve": _on(
        lambda a, b: linalg.cho_solve(linalg.cho_factor(a @ a.T), b), SQUARE, X
    ),
    "scipy.linalg.cholesky": _on(lambda a: linalg.cholesky(a @ a.T), SQUARE),
    "scipy.linalg.det": (SQUARE,),
    "scipy.linalg.eigh": _on(lambda a: np.abs(linalg.eigh(a + a.T)[1]), SQUARE),
    "scipy.linalg.eigvalsh": _on(lambda a: linalg.eigvalsh(a + a.T), SQUARE),
    "scipy.linalg.expm": (SQUARE,),
    "scipy.linalg.inv": (SQUARE,),
    "scipy.linalg.lu_factor": (SQUARE,),
    "scipy.linalg.lu_solve": _on(lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b), SQUARE, X),
    "scipy.linalg.norm": (X,),
    "scipy.linalg.pinv": (X,),
    "scipy.linalg.qr": _on(lambda a: linalg.qr(a, mode="economic"), X.T),
    "scipy.linalg.solve": (SQUARE, X),
    "scipy.linalg.solve_triangular": (SQUARE, X),
    "scipy.linalg.svd": _on(lambda a: np.abs(linalg.svd(a, full_matrices=False)[0]), X),
    "scipy.linalg.svdvals": (X,),
    "scipy.signal.convolve": (V, W[:3]),
    "scipy.signal.correlate": (V, W[:3]),
    "scipy.signal.fftconvolve": (V, W[:3]),
    "scipy.signal.lfilter": (W[:2], V[:3], X[0]),
    **{
        f"scipy.special.{name}": _on(getattr(special, name), X)
        for name in ("log_softmax", "logsumexp", "sinc", "softmax")
    },
    "ndarray.all": (X,),
    "ndarray.argpartition": _on(lambda x: np.sort(x.argpartition(2)[:, :2]), X),
    "ndarray.astype": _on(lambda x: x.astype(complex) * (1 + 2j), X),
    "ndarray.choose": (np.array([0, 1, 1, 0]), (X[0], X[1])),
    "ndarray.clip": (X, -0.5, 0.5),
    "ndarray.compress": _on(lambda x: x.compress([True, False, True], axis=0), X),
    "ndarray.dot": (X, Y.T),
    "ndarray.fill": _on(lambda x: _filled(x), X),
    "ndarray.flat": _on(lambda x: x.flat[3] * x.flat[1:4], X),
    "ndarray.item": _on(lambda x: x.item(2) * 2.0, X),
    "ndarray.nonzero": _on(lambda x: np.sum((x > 0).nonzero()[1]), X),
    "ndarray.partition": _on(lambda x: _parted(x), X),
    "ndarray.put": _on(lambda x: _put(x), X),
    "ndarray.repeat": (X, 2),
    "ndarray.reshape": (X, (4, 3)),
    "ndarray.searchsorted": (np.linspace(-2, 2, 9), X),
    "ndarray.sort": _on(lambda x: _sorted(x), X),
    "ndarray.swapaxes": (X, 0, 1),
    "ndarray.take": (X, [0, 2, 2]),
}


def _filled(x: Any) -> Any:
    copy = np.array(x)
    copy[0].fill(x[1, 0])
    return copy


def _parted(x: Any) -> Any:
    copy = np.array(x)
    copy.partition(2)
    return np.sort(copy[:, :2])


def _put(x: Any) -> Any:
    copy = np.array(x)
    copy.put([0, 5], [1.0, 2.0])
    return copy


def _sorted(x: Any) -> Any:
    copy = np.array(x)
    copy.sort()
    return copy


# Arguments of functions whose domain is not between 0.2 and 0.8.
DOMAINS: dict[str, tuple[Any, ...]] = {
    "math.acosh": (1.7,),
    "math.fmod": (1.7, 0.4),
}


def example(form: Form) -> tuple[Function, tuple[Any, ...]]:
    """Return a function of arrays and its arguments, of which the floats are to be varied."""
    given = EXAMPLES.get(form.full_name)
    match given:
        case (function, tuple(args)) if callable(function):
            return function, args
        case tuple(args):
            return _with_fixed(_callee(form), args)
    if form.space == "ufunc":
        return _of_ufunc_method(*form.name.split("."))
    if form.space == "math":
        return form.function, DOMAINS.get(form.full_name, (0.3, 0.7)[: _arity(form)])
    if form.space == "ndarray":
        return _callee(form), (X,)
    if form.space == "scipy.special" and form.name in POINTS:
        return _special(form, *POINTS[form.name])
    if isinstance(form.function, np.ufunc):
        return form.function, (V, W, V + 0.1, W + 0.2, V)[: form.function.nin]
    raise LookupError(f"tests/numpy_api/examples.py has no example of {form.full_name}")


def _special(form: Form, *point: Any) -> tuple[Function, tuple[Any, ...]]:
    """Vary the last operand of a function of `scipy.special`; the others are parameters."""
    *parameters, last = point
    return lambda x: form.function(*parameters, x), (np.asarray(last),)


def _callee(form: Form) -> Function:
    if form.space != "ndarray":
        return form.function  # type: ignore[no-any-return]
    return lambda x, *args: getattr(x, form.name)(*args)


def _arity(form: Form) -> int:
    return 2 if form.name in ("atan2", "copysign", "fmod", "hypot", "pow") else 1


def _with_fixed(function: Function, args: tuple[Any, ...]) -> tuple[Function, tuple[Any, ...]]:
    """Bind the arguments that are no arrays; lists of arrays stay arguments."""
    traced = [i for i, x in enumerate(args) if _is_array(x)]

    def call(*given: Any) -> Any:
        whole = list(args)
        for i, x in zip(traced, given, strict=True):
            whole[i] = x
        return function(*whole)

    return call, tuple(args[i] for i in traced)


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or (
        isinstance(x, tuple) and all(isinstance(item, np.ndarray) for item in x)
    )


def _of_ufunc_method(name: str, how: str) -> tuple[Function, tuple[Any, ...]]:
    ufunc = getattr(np, name)
    whole = f"np.{name}" in {f"np.{n}" for n in _INTEGERS.split()}
    a, b = (K, L) if whole else (B, C) if name.startswith("logical_") else (V, W)
    method = getattr(ufunc, how)
    match how:
        case "outer":
            return method, (a, K[0] if name == "ldexp" else b)
        case "at":
            operand = () if ufunc.nin == 1 else (b[:2],)
            return _writing(functools.partial(_at, method, operand)), (a,)
        case "reduceat":
            return (lambda x: method(x, [0, 2, 1])), (a,)
        case _:
            return method, (a,)


def _at(method: Function, operand: tuple[Any, ...], x: Any) -> None:
    method(x, [0, 2], *operand)
