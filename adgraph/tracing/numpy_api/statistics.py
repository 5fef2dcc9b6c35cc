"""Medians, quantiles and covariances.

A quantile lies between two elements of given ranks: few are selected, for many the array is sorted.
Its derivative goes to these. Without nan the number of elements is that of each row, read when
running. The rules of `method=` are those of
Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician, 1996.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, DtypeError, ShapeError, message
from adgraph.ir.op import type_of
from adgraph.ops.selection import argselect
from adgraph.tracing.numpy_api.choosing import take_along_axis
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.diagonal import diagonal
from adgraph.tracing.numpy_api.reduction import mean as mean_
from adgraph.tracing.numpy_api.reduction import weights_like
from adgraph.tracing.numpy_api.shape import moveaxis, normal_axes, reshape, strong, transpose
from adgraph.tracing.numpy_api.sorting import argsort, ordered, search_rows
from adgraph.tracing.numpy_api.table import implements, store
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, result_dtype

# --- rows -----------------------------------------------------------------------------------------


def _rows(x: Tracer, axis: Any) -> Any:
    """Return the array with the axes that are folded made one, the last."""
    axes = normal_axes(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    turned = transpose(x, (*rest, *axes))
    count = math.prod(x.shape[i] for i in axes)
    return reshape(turned, (*(x.shape[i] for i in rest), count))


def _kept(result: Any, x: Tracer, axis: Any, lead: int) -> Any:
    """Insert axes of extent one, behind the `lead` axes of the quantiles, for those folded."""
    axes = normal_axes(axis, x.ndim)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return reshape(result, (*type_of(result).shape[:lead], *shape))


def _real_numbers(name: str, a: Any) -> Tracer:
    x = as_tracer(asarray(a))
    if x.dtype.kind == "c":
        raise DtypeError(message(f"{name} of complex numbers", "adgraph does not order them"))
    return x


def _count_numbers(rows: Any) -> Any:
    """Return how many elements of each row are not nan, in a last axis of extent one."""
    return np.sum(~np.isnan(rows), axis=-1, keepdims=True)


def _nan_like(rows: Any, result: Any) -> Any:
    """Replace the results of rows with nan in them by nan."""
    if rows.dtype.kind != "f":
        return result
    found = np.any(np.isnan(rows), axis=-1, keepdims=True)
    return np.where(found, as_tracer(np.nan, result.dtype), result)


def _of_rank(rows: Any, ranks: Any) -> Any:
    """Return the elements of each row that have given ranks, common to all rows or of each."""
    n, count = rows.shape[-1], type_of(ranks).shape[-1]
    if rows.dtype.kind == "c" or count > 2 * math.log2(n) + 2:
        line = ordered(rows, rows.ndim - 1)
        return np.take(line, ranks, -1) if type_of(ranks).ndim == 1 else _along(line, ranks)
    whole = as_tracer(np.broadcast_to(ranks, (*rows.shape[:-1], count)))
    keys = as_tracer(rows, np.uint8) if rows.dtype.kind == "b" else rows
    return _along(rows, argselect(keys, whole))


def _along(rows: Any, positions: Any) -> Any:
    return take_along_axis(rows, positions, -1)


# --- medians --------------------------------------------------------------------------------------


@implements(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    x = as_tracer(asarray(a))
    rows = _rows(x, axis)
    n = rows.shape[-1]
    middle = _of_rank(rows, np.arange((n - 1) // 2, n // 2 + 1)) if n else rows
    result = reshape(_nan_like(rows, mean_(middle, -1, keepdims=True)), rows.shape[:-1])
    return store(_kept(result, x, axis, 0) if keepdims else result, out, "np.median")


@implements(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    x = as_tracer(asarray(a))
    if x.dtype.kind != "f" or not x.size:
        return median(x, axis, out, overwrite_input, keepdims)
    rows = _rows(x, axis)
    count = _count_numbers(rows)
    ends = np.concatenate([np.maximum(count - 1, 0) // 2, count // 2], axis=-1)
    result = mean_(_of_rank(rows, ends), -1)
    return store(_kept(result, x, axis, 0) if keepdims else result, out, "np.nanmedian")


# --- quantiles: where they lie in the sorted rows -------------------------------------------------
# Positions count from 0; `n` is a number, or an array with one number for every row.

CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3.0, 1 / 3.0),
    "normal_unbiased": (3 / 8.0, 3 / 8.0),
}
DISCRETE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
METHODS = (*DISCRETE, "averaged_inverted_cdf", "linear", "midpoint", *CONTINUOUS)


def _position(method: str, n: Any, q: Any) -> Any:
    """Return the position, in general between two elements, of a quantile."""
    if method in CONTINUOUS:
        alpha, beta = CONTINUOUS[method]
        return n * q + (alpha + q * (1 - alpha - beta)) - 1
    match method:
        case "inverted_cdf" | "averaged_inverted_cdf":
            return n * q - 1
        case "closest_observation":
            return n * q - 1.5
        case "midpoint":
            return 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q))
        case _:
            return (n - 1) * q


def _chosen(method: str, position: Any) -> Any:
    """Return the element that a discrete method takes."""
    whole = np.floor(position)
    match method:
        case "inverted_cdf":
            return np.where(position == whole, whole, whole + 1)
        case "closest_observation":
            return np.where((position == whole) & (whole % 2 == 1), whole, whole + 1)
        case "lower":
            return whole
        case "higher":
            return np.ceil(position)
        case _:
            return np.round(position)


def _weight(method: str, position: Any) -> Any:
    """Return the share of the next element in a quantile between two."""
    share = position - np.floor(position)
    match method:
        case "averaged_inverted_cdf":
            return np.where(share == 0, 0.5, 1.0)
        case "midpoint":
            return np.where(share == 0, 0.0, 0.5)
        case _:
            return share


def _bounded(position: Any, n: Any) -> Any:
    return np.maximum(np.minimum(position, n - 1), 0).astype(np.int64)


def _between(rows: Any, n: Any, q: Any, method: str, dtype: Any) -> Any:
    """Return the quantiles `q` (one axis) of rows with `n` numbers each."""
    numbers = n.astype(q.dtype) if isinstance(n, Tracer) and q.dtype.kind == "f" else n
    position = _position(method, numbers, q)
    whole = position.dtype.kind in "iu" and method == "linear"
    if whole or method in DISCRETE:
        chosen = position if whole else _chosen(method, position)
        return _of_rank(rows, _bounded(chosen, n))
    before = np.floor(position)
    after = np.where(position < 0, 0, before + 1)
    ends = np.stack([_bounded(before, n), _bounded(after, n)], axis=-1)
    shape = type_of(ends).shape
    found = _of_rank(rows, np.reshape(ends, (*shape[:-2], -1)))
    found = reshape(found, (*found.shape[:-1], *shape[-2:]))
    low, high = found[..., 0], found[..., 1]
    share = _weight(method, position).astype(dtype or position.dtype)
    step = high - low
    return np.where(share >= 0.5, high - step * (1 - share), low + step * share)


# --- quantiles ------------------------------------------------------------------------------------


def _quantiles_of(name: str, q: Any, scale: float) -> tuple[Any, bool]:
    """Return the quantiles, plain if they are known, and whether they are a Python number."""
    weak = type(q) in (int, float) or (isinstance(q, Tracer) and q.weak in (int, float))
    given = asarray(q)
    known = known_value(given) if isinstance(given, Tracer) else given
    values = given if known is None else known
    values = values / scale if scale != 1 else values
    if known is not None and not ((values >= 0) & (values <= 1)).all():
        raise ShapeError(message(f"{name}: q={q} must lie between 0 and {scale:g}"))
    if values.ndim > 2:
        raise ShapeError(message(f"{name}: q must be a number or have one axis"))
    return values, weak


def _method(name: str, method: str, weights: Any) -> None:
    if method not in METHODS:
        raise ShapeError(
            message(f"{name}: method={method!r} is none of the known ones", "", ", ".join(METHODS))
        )
    if weights is not None and method != "inverted_cdf":
        raise ShapeError(message(f"{name}: only method='inverted_cdf' has weights, not {method!r}"))


def _quantile(name: str, scale: float, skips: bool) -> Any:
    """Make `quantile` and its relatives; `skips` leaves nan out."""

    def quantile(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        *,
        weights: Any = None,
    ) -> Any:
        x = _real_numbers(name, a)
        points, weak = _quantiles_of(name, q, scale)
        _method(name, method, weights)
        if not x.size:
            if skips:
                return np.nanmean(x, axis, None, out, keepdims)  # it dispatches
            raise AxisIndexError(message(f"{name} of an empty array of shape {x.shape}"))
        line = np.reshape(points, (-1,))
        rows = _rows(x, axis)
        if weights is not None:
            given = weights_like(name, x, as_tracer(asarray(weights)), axis)
            found = _weighted(rows, line, _rows(given, axis), skips)
        else:
            n = _count_numbers(rows) if skips and x.dtype.kind == "f" else rows.shape[-1]
            dtype = (x.dtype if x.dtype.kind == "f" else np.float64) if weak else None
            found = _between(rows, n, line, method, dtype)
            found = found if skips else _nan_like(rows, found)
        turned = moveaxis(found, -1, 0)
        result = reshape(turned, (*points.shape, *type_of(turned).shape[1:]))
        result = _kept(result, x, axis, points.ndim) if keepdims else result
        return store(result, out, name)

    return quantile


def _weighted(rows: Any, q: Any, weights: Any, skips: bool) -> Any:
    """Return the elements at which the share of the weights of smaller ones reaches `q`."""
    n = rows.shape[-1]
    order = argsort(rows)
    line, wide = take_along_axis(rows, order), take_along_axis(as_tracer(weights, float), order)
    if skips and rows.dtype.kind == "f":
        wide = np.where(np.isnan(line), 0.0, wide)
    share: Any = np.cumsum(wide, axis=-1)
    share = share / share[..., -1:]
    share = np.where(share == 0, -1.0, share)  # a quantile of 0 is the first that has a weight
    found = take_along_axis(line, np.minimum(search_rows(share, q), n - 1))
    if not skips:
        return _nan_like(line, found)
    return np.where(np.isnan(line[..., :1]), line[..., :1], found)


quantile = implements(np.quantile)(_quantile("np.quantile", 1.0, False))
percentile = implements(np.percentile)(_quantile("np.percentile", 100.0, False))
nanquantile = implements(np.nanquantile)(_quantile("np.nanquantile", 1.0, True))
nanpercentile = implements(np.nanpercentile)(_quantile("np.nanpercentile", 100.0, True))


# --- covariances ----------------------------------------------------------------------------------


def _variables(name: str, m: Any, rowvar: bool, dtype: Any) -> Tracer:
    """Return observations as rows of variables."""
    x = as_tracer(asarray(m))
    if x.ndim > 2:
        raise ShapeError(message(f"{name}: m has more than 2 dimensions: {x.shape}"))
    wide = as_tracer(reshape(x, (1, *x.shape)[-2:] if x.ndim else (1, 1)), dtype)
    return transpose(wide) if not rowvar and x.ndim == 2 else wide


def _frequencies(name: str, weights: Any, count: int) -> Any:
    """Check one of the two kinds of weights."""
    w = as_tracer(asarray(weights), np.float64)
    known = known_value(w)
    if w.shape != (count,):
        raise ShapeError(message(f"np.cov: {name} of shape {w.shape} for {count} observations"))
    if known is not None and (known < 0).any():
        raise ShapeError(message(f"np.cov: {name} cannot be negative"))
    if name == "fweights" and known is not None and (known != np.rint(known)).any():
        raise DtypeError(message("np.cov: fweights must be integers"))
    return w


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    if ddof is not None and int(ddof) != ddof:
        raise ShapeError(message(f"np.cov: ddof={ddof} must be an integer"))
    freedom = (0 if bias else 1) if ddof is None else ddof
    given = [as_tracer(asarray(x)) for x in (m, y) if x is not None]
    common = result_dtype(*given, np.dtype(float)) if dtype is None else np.dtype(dtype)
    parts = [_variables("np.cov", x, rowvar, common) for x in given]
    x: Any = np.concatenate(parts, axis=0) if y is not None else parts[0]
    rows, count = type_of(x).shape
    if not rows:
        return as_tracer(np.zeros((0, 0)))
    w = None if fweights is None else _frequencies("fweights", fweights, count)
    if aweights is not None:
        balance = _frequencies("aweights", aweights, count)
        w = balance if w is None else w * balance
    if w is None:
        divisor = float(max(count - freedom, 0))
        centred = x - mean_(x, 1, keepdims=True)
        weighted = centred
    else:
        total = np.sum(w)
        lost = freedom if aweights is None else freedom * np.sum(w * balance) / total
        divisor = np.maximum(total - lost, 0.0)
        centred = x - np.sum(x * w, axis=1, keepdims=True) / total
        weighted = centred * w
    product = np.dot(centred, np.conj(transpose(weighted)))
    scale = np.true_divide(1, divisor) if w is not None or divisor else math.inf
    result = product * as_tracer(scale, product.dtype)
    return reshape(strong(result), tuple(n for n in result.shape if n != 1))


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.real(diagonal(c)))
    scaled = c / deviation[:, None] / deviation[None, :]
    if scaled.dtype.kind != "c":
        return np.clip(scaled, -1, 1)
    return np.clip(scaled.real, -1, 1) + 1j * np.clip(scaled.imag, -1, 1)
