"""Polynomials by their coefficients: `np.polyval` and its relatives, highest degree first.

The functions of `numpy.polynomial` have the lowest degree first and are in `series`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, message
from adgraph.tracing.numpy_api.assembly import join
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.reduction import sum as sum_
from adgraph.tracing.numpy_api.shape import atleast_1d, reshape, strong, transpose
from adgraph.tracing.numpy_api.signal import convolve
from adgraph.tracing.numpy_api.table import implements, refuse
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype


def _coefficients(name: str, *polynomials: Any) -> list[Tracer]:
    found = [atleast_1d(as_tracer(asarray(p))) for p in polynomials]
    if any(p.ndim != 1 for p in found):
        raise ShapeError(message(f"{name}: coefficients have one axis, found {found[0].type}"))
    return found


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Evaluate by Horner's rule."""
    coefficients = as_tracer(asarray(p))
    at = as_tracer(asarray(x))
    result: Any = np.zeros_like(at)
    for i in range(coefficients.shape[0]):
        result = result * at + coefficients[i]  # type: ignore[index]  # it has an axis
    return result


# --- arithmetic -----------------------------------------------------------------------------------


def _added(name: str, a1: Any, a2: Any, combine: Any) -> Any:
    first, second = _coefficients(name, a1, a2)
    size = max(first.size, second.size)
    return combine(*(_padded(p, size) for p in (first, second)))


def _padded(p: Tracer, size: int) -> Any:
    missing = size - p.size
    return join([as_tracer(np.zeros(missing, p.dtype)), p], 0) if missing else p


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    return _added("np.polyadd", a1, a2, np.add)


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    return _added("np.polysub", a1, a2, np.subtract)


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    return convolve(*_coefficients("np.polymul", a1, a2))


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Divide; the remainder has a coefficient for every degree below that of `v`, zero or not."""
    rest, divisor = _coefficients("np.polydiv", u, v)
    dtype = result_dtype(rest, divisor, np.float32(0) if _single(rest, divisor) else 0.0)
    rest, divisor = as_tracer(rest, dtype), as_tracer(divisor, dtype)
    steps, size = rest.size - divisor.size + 1, divisor.size
    if steps <= 0:
        return as_tracer(np.zeros(1, dtype)), strong(rest)
    line: Any = rest
    found = []
    for k in range(steps):
        factor = line[k] / divisor[0]  # type: ignore[index]
        found.append(reshape(factor, (1,)))
        changed = line[k : k + size] - factor * divisor
        line = join([line[:k], changed, line[k + size :]], 0)
    return join(found, 0), strong(line[min(steps, rest.size - 1) :])


def _single(*arrays: Tracer) -> bool:
    return all(a.dtype in (np.float32, np.complex64) for a in arrays)


# --- derivatives and integrals --------------------------------------------------------------------


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    (line,) = _coefficients("np.polyder", p)
    if m < 0:
        raise ShapeError(message(f"np.polyder: the order m={m} of the derivative is negative"))
    result: Any = line
    for _ in range(m):
        degree = result.size - 1
        if degree < 0:
            break
        result = result[:-1] * np.arange(degree, 0, -1)
    return strong(result)


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    (line,) = _coefficients("np.polyint", p)
    if m < 0:
        raise ShapeError(message(f"np.polyint: the order m={m} of the integral is negative"))
    (constants,) = _coefficients("np.polyint", np.zeros(m, float) if k is None else k)
    if constants.size == 1 and m > 1:
        constants = constants * np.ones(m)
    if constants.size < m:
        raise ShapeError(message(f"np.polyint: {constants.size} constants for {m} integrals"))
    result: Any = line
    for i in range(m):
        scaled = result / np.arange(result.size, 0, -1)
        result = join([scaled, constants[i : i + 1]], 0)  # type: ignore[index]
    return strong(result)


# --- roots ----------------------------------------------------------------------------------------


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """Multiply the factors of the zeros, or of the eigenvalues of a matrix."""
    zeros: Any = atleast_1d(as_tracer(asarray(seq_of_zeros)))
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] and zeros.shape[0]:
        real = zeros.dtype.kind != "c"
        found = _product(np.linalg.eigvals(zeros))
        return np.real(found) if real else found  # the zeros are conjugate pairs
    if zeros.ndim != 1:
        raise ShapeError(message(f"np.poly takes one axis or a square matrix, found {zeros.type}"))
    if zeros.dtype.kind == "c":
        raise TracingError(
            message(
                f"np.poly of complex zeros {zeros.type}",
                "NumPy gives real coefficients if the zeros are conjugate pairs, which is not "
                "known while tracing",
                "multiply the factors with np.convolve, and take the real part if it is wanted",
            )
        )
    return _product(zeros)


def _product(zeros: Any) -> Any:
    """Multiply the polynomials of degree one with these zeros."""
    one = as_tracer(np.ones(1, zeros.dtype))
    result: Any = one
    for i in range(zeros.size):
        result = convolve(result, join([one, -zeros[i : i + 1]], 0))
    return result


@implements(np.roots)
def roots(p: Any) -> Any:
    """The eigenvalues of the companion matrix; the first coefficient may not be zero."""
    (line,) = _coefficients("np.roots", p)
    size = line.size - 1
    if size < 1:
        return as_tracer(np.zeros(0))
    wide = line if line.dtype.kind in "fc" else as_tracer(line, np.float64)
    first: Any = -wide[1:] / wide[0]  # type: ignore[index]
    below = as_tracer(np.eye(size - 1, size, dtype=wide.dtype))
    companion = join([reshape(first, (1, size)), below], 0)
    return np.linalg.eigvals(companion)


# --- least squares --------------------------------------------------------------------------------


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    refuse("np.polyfit", full=full)
    at = as_tracer(as_tracer(asarray(x)) + 0.0)
    values: Any = as_tracer(asarray(y)) + 0.0
    if at.ndim != 1 or values.ndim not in (1, 2) or not at.size or int(deg) != deg:
        raise DtypeError(
            message(f"np.polyfit: x of {at.type}, y of {values.type}, deg={deg} do not fit")
        )
    if deg < 0:
        raise ShapeError(message(f"np.polyfit: deg={deg} is negative"))
    if values.shape[0] != at.size:
        raise DtypeError(message(f"np.polyfit: {values.shape[0]} values for {at.size} positions"))
    order = int(deg) + 1
    left: Any = np.vander(at, order)
    if w is not None:
        weights: Any = as_tracer(asarray(w)) + 0.0
        left = left * weights[:, None]
        values = values * (weights if values.ndim == 1 else weights[:, None])
    cut = at.size * np.finfo(at.dtype).eps if rcond is None else rcond
    scale = np.sqrt(sum_(left * left, 0))
    left = left / scale
    solved = np.linalg.lstsq(left, values, cut)[0]
    found = transpose(transpose(solved) / scale)
    if not cov:
        return found
    inverse = np.linalg.inv(transpose(left) @ left) / np.outer(scale, scale)
    inverse = inverse if values.ndim == 1 else inverse[:, :, None]
    if cov == "unscaled":
        return found, inverse
    if at.size <= order:
        raise ShapeError(message("np.polyfit: too few points to scale the covariance matrix"))
    residual = sum_(np.square(left @ solved - values), 0) / (at.size - order)
    return found, inverse * residual
