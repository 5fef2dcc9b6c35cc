"""Reductions and scans: sum, prod, mean, var, max, argmax, cumsum, logsumexp and their relatives.

Most are composed of the few folds of `adgraph.ops.reduction`. `axis=`, `keepdims=`, `where=` and
`initial=` mean what they mean in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ir.op import Op, type_of
from adgraph.ops import position
from adgraph.ops import reduction as ops
from adgraph.ops.constant import stop_gradient
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    normal_axes,
    normal_axis,
    ravel,
    reshape,
    strong,
    transpose,
)
from adgraph.tracing.numpy_api.table import implements, method, store
from adgraph.tracing.tracer import Tracer, as_tracer, integer, result_dtype

Axis = int | tuple[int, ...] | None


def folded_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Return `axis=` of a fold; as in NumPy a number has an axis 0, which is no axis."""
    return () if rank == 0 and axis in (0, -1) else normal_axes(axis, rank)


def one_axis(x: Tracer, axis: int | None) -> tuple[Any, int]:
    """Return what is searched or scanned along one axis: without `axis=` all elements."""
    if axis is None or (not x.ndim and axis in (0, -1)):
        return ravel(x), 0
    return x, normal_axis(axis, x.ndim)


def fold(op: Op, x: Tracer, axis: Any, keepdims: bool) -> Any:
    """Apply a folding op over `axis=`, and keep the axes with extent one if asked."""
    axes = folded_axes(axis, x.ndim)
    result = op(x, axis=axes) if axes else strong(x)
    return reshape(result, ops.unit(x.shape, axes)) if keepdims else result


def selected(x: Tracer, where: Any, otherwise: Any, name: str) -> Tracer:
    """Replace the elements that `where=` leaves out."""
    if where is True:
        return x
    result: Any = np.where(where, x, as_tracer(otherwise, x.dtype))
    if result.shape != x.shape:
        raise ShapeError(
            message(
                f"{name}: where= of shape {type_of(where).shape} does not broadcast to {x.shape}"
            )
        )
    return as_tracer(result)


def number_of(x: Tracer, axis: Any, where: Any, keepdims: bool) -> Any:
    """Return how many elements each fold has: a number, or an array if `where=` selects.

    The array broadcasts against the results of the folds.
    """
    axes = folded_axes(axis, x.ndim)
    if where is True:
        return integer(math.prod(x.shape[i] for i in axes))
    chosen = as_tracer(where, bool)
    aligned = (1,) * (x.ndim - chosen.ndim) + chosen.shape
    counted = tuple(n if i in axes else aligned[i] for i, n in enumerate(x.shape))
    return sum(broadcast_to(chosen, counted), axes, keepdims=keepdims)


# --- sums and products ----------------------------------------------------------------------------


def _sum_dtype(x: Tracer, dtype: Any) -> Any:
    """NumPy sums bools and small integers in the machine's integer."""
    if dtype is not None:
        return np.dtype(dtype)
    if x.dtype.kind in "bi":
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if x.dtype.kind == "u" else x.dtype


def _accumulation(name: str, op: Op, start: int, combine: np.ufunc) -> Callable[..., Any]:
    def accumulate(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = as_tracer(a)
        x = selected(as_tracer(x, _sum_dtype(x, dtype)), where, start, f"np.{name}")
        result = fold(op, x, axis, keepdims)
        if initial is not None and not (type(initial) is int and initial == start):
            result = combine(result, as_tracer(initial, x.dtype))
        return store(result, out, f"np.{name}")

    return accumulate


sum = method("sum")(implements(np.sum)(_accumulation("sum", ops.reduce_sum, 0, np.add)))
prod = method("prod")(implements(np.prod)(_accumulation("prod", ops.reduce_prod, 1, np.multiply)))


@implements(np.count_nonzero, differentiable=False)
def count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return sum(as_tracer(as_tracer(a), bool), axis, keepdims=keepdims)


# --- extrema --------------------------------------------------------------------------------------


def _extremum(name: str, op: Op, combine: np.ufunc) -> Callable[..., Any]:
    def extremum(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = as_tracer(a)
        if where is not True and initial is None:
            raise ShapeError(
                message(
                    f"np.{name} was called with where= and without initial=",
                    "where nothing is selected there is no extremum",
                    "pass initial=, the value to start from",
                )
            )
        if initial is None:
            return store(fold(op, x, axis, keepdims), out, f"np.{name}")
        start = as_tracer(initial, x.dtype)
        axes = folded_axes(axis, x.ndim)
        if x.size == 0:
            shape = ops.unit(x.shape, axes) if keepdims else ops.kept(x.shape, axes)
            return store(strong(broadcast_to(start, shape)), out, f"np.{name}")
        chosen = selected(x, where, start, f"np.{name}")
        return store(combine(fold(op, chosen, axes, keepdims), start), out, f"np.{name}")

    return extremum


max = method("max")(implements(np.max, np.amax)(_extremum("max", ops.reduce_max, np.maximum)))
min = method("min")(implements(np.min, np.amin)(_extremum("min", ops.reduce_min, np.minimum)))


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, out: Any = None, keepdims: bool = False) -> Any:
    x = as_tracer(a)
    return store(max(x, axis, None, keepdims) - min(x, axis, None, keepdims), out, "np.ptp")


def _position(name: str, op: Op) -> Callable[..., Any]:
    def position(
        a: Any, axis: int | None = None, out: Any = None, *, keepdims: bool = False
    ) -> Any:
        x = as_tracer(a)
        flat, place = one_axis(x, axis)
        result = op(flat, axis=place)
        if keepdims:
            axes = tuple(range(x.ndim)) if axis is None or not x.ndim else (place,)
            result = reshape(result, ops.unit(x.shape, axes))
        return store(result, out, f"np.{name}")

    return position


argmax = method("argmax", differentiable=False)(
    implements(np.argmax, differentiable=False)(_position("argmax", position.argmax))
)
argmin = method("argmin", differentiable=False)(
    implements(np.argmin, differentiable=False)(_position("argmin", position.argmin))
)


# --- logic ----------------------------------------------------------------------------------------


def _logical(name: str, op: Op, start: bool) -> Callable[..., Any]:
    def logical(
        a: Any, axis: Axis = None, out: Any = None, keepdims: bool = False, *, where: Any = True
    ) -> Any:
        x = selected(as_tracer(as_tracer(a), bool), where, start, f"np.{name}")
        return store(fold(op, x, axis, keepdims), out, f"np.{name}")

    return logical


any = method("any", differentiable=False)(
    implements(np.any, differentiable=False)(_logical("any", ops.reduce_any, False))
)
all = method("all", differentiable=False)(
    implements(np.all, differentiable=False)(_logical("all", ops.reduce_all, True))
)


# --- means and deviations -------------------------------------------------------------------------


def _mean_dtype(x: Tracer, dtype: Any) -> Any:
    if dtype is not None:
        return np.dtype(dtype)
    return x.dtype if x.dtype.kind in "fc" else np.dtype(float)


@implements(np.mean)
@method("mean")
def mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = True,
) -> Any:
    x = as_tracer(a)
    total = sum(x, axis, _mean_dtype(x, dtype), None, keepdims, where=where)
    result = _over(total, number_of(x, axis, where, keepdims))
    if dtype is not None and total.dtype.kind in "iu":
        result = as_tracer(result, total.dtype)
    return store(result, out, "np.mean")


def _over(total: Tracer, count: Any) -> Any:
    """Divide, 0 / 0 being nan; the dtype stays that of the sum."""
    return total / (as_tracer(count, total.dtype) if isinstance(count, Tracer) else count or 0.0)


def _variance(
    x: Tracer, axis: Any, dtype: Any, degrees: Any, keepdims: bool, where: Any, centre: Any
) -> Any:
    if x.dtype.kind in "biu":
        dtype = _mean_dtype(x, dtype)
    if centre is None:
        centre = mean(x, axis, dtype, None, True, where=where)
    deviation = x - centre
    square = np.square(np.abs(deviation)) if deviation.dtype.kind == "c" else deviation * deviation
    total = sum(square, axis, dtype, None, keepdims, where=where)
    count = number_of(x, axis, where, keepdims)
    if isinstance(count, Tracer):
        return _over(total, np.maximum(as_tracer(count, total.dtype) - degrees, 0))
    return _over(total, count - degrees if count > degrees else 0)


def freedom(name: str, ddof: Any, correction: Any) -> Any:
    """Return the degrees of freedom, which have two names."""
    if correction is None:
        return ddof
    if ddof != 0:
        raise ShapeError(message(f"{name}: ddof= and correction= mean the same, give one"))
    return correction


@implements(np.var)
@method("var")
def var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    degrees = freedom("np.var", ddof, correction)
    result = _variance(as_tracer(a), axis, dtype, degrees, keepdims, where, mean)
    return store(result, out, "np.var")


@implements(np.std)
@method("std")
def std(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    degrees = freedom("np.std", ddof, correction)
    result = _variance(as_tracer(a), axis, dtype, degrees, keepdims, where, mean)
    return store(ops.root(result), out, "np.std")


@implements(np.average)
def average(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    x = as_tracer(a)
    if weights is None:
        result = mean(x, axis, None, None, keepdims)
        count = as_tracer(number_of(x, axis, True, keepdims), result.dtype)
        return (result, broadcast_to(count, result.shape)) if returned else result
    w = weights_like("np.average", x, as_tracer(weights), axis)
    integers = x.dtype.kind in "bui"
    dtype = result_dtype(x, w, np.float64(0)) if integers else result_dtype(x, w)
    x, w = as_tracer(x, dtype), as_tracer(w, dtype)
    total = sum(w, axis, None, None, keepdims)
    result = sum(x * w, axis, None, None, keepdims) / total
    return (result, broadcast_to(total, result.shape)) if returned else result


def weights_like(name: str, x: Tracer, weights: Tracer, axis: Axis) -> Tracer:
    """Give weights along `axis` the shape of the array."""
    if weights.shape == x.shape:
        return weights
    given = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    axes = [normal_axis(i, x.ndim) for i in given]
    if axis is None or weights.shape != tuple(x.shape[i] for i in axes):
        raise ShapeError(
            message(
                f"{name}: weights of shape {weights.shape} for an array of shape {x.shape} "
                f"over axis {axis}",
                "weights have the array's shape, or that of the averaged axes",
            )
        )
    turned = transpose(weights, [axes.index(i) for i in sorted(axes)])
    aligned = reshape(turned, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
    result: Tracer = broadcast_to(aligned, x.shape)
    return result


# --- scans ----------------------------------------------------------------------------------------


def _scan(name: str, scan: Callable[[Tracer, int], Any]) -> Callable[..., Any]:
    def scanned(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        x = as_tracer(a)
        x = as_tracer(x, _sum_dtype(x, dtype))
        flat, place = one_axis(x, axis)
        return store(scan(flat, place), out, f"np.{name}")

    return scanned


def _cumsum(x: Tracer, axis: int) -> Any:
    return ops.cumsum(x, axis=axis, reverse=False)


cumsum = method("cumsum")(implements(np.cumsum)(_scan("cumsum", _cumsum)))
cumprod = method("cumprod")(implements(np.cumprod)(_scan("cumprod", ops.cumulative_product)))


def _from_start(name: str, scanned: Callable[..., Any], start: int) -> Callable[..., Any]:
    def cumulative(
        x: Any,
        /,
        *,
        axis: int | None = None,
        dtype: Any = None,
        out: Any = None,
        include_initial: bool = False,
    ) -> Any:
        a = as_tracer(x)
        if axis is None and a.ndim > 1:
            raise ShapeError(
                message(
                    f"np.{name} of an array of shape {a.shape} without axis=",
                    "with several axes it must be said along which one",
                )
            )
        line, place = one_axis(a, axis)
        result = scanned(line, place, dtype)
        if include_initial:
            edge = np.full(ops.unit(result.shape, (place,)), start, result.dtype)
            result = np.concatenate([edge, result], axis=place)
        return store(result, out, f"np.{name}")

    return cumulative


implements(np.cumulative_sum)(_from_start("cumulative_sum", cumsum, 0))
implements(np.cumulative_prod)(_from_start("cumulative_prod", cumprod, 1))


# --- logarithms of sums of exponentials -----------------------------------------------------------


def logsumexp(
    a: Any,
    axis: Axis = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """`np.logaddexp.reduce`, shifted by the maximum, which leaves value and derivative unchanged.

    Where all elements are -inf, so is the result, and the derivative is 0 by convention.
    """
    x = as_tracer(a)
    x = as_tracer(x, _mean_dtype(x, dtype))
    if x.dtype.kind == "c":
        raise DtypeError(message("np.logaddexp of complex numbers", "NumPy has no loop for them"))
    chosen = selected(x, where, -math.inf, "np.logaddexp.reduce")
    largest = max(chosen, axis, None, True, initial=-math.inf)
    shift = stop_gradient(np.where(np.isfinite(largest), largest, np.zeros((), x.dtype)))
    total = sum(np.exp(chosen - shift), axis, None, None, True)
    empty = total == 0
    result = np.log(total + empty) + np.where(empty, as_tracer(-math.inf, x.dtype), shift)
    if not keepdims:
        result = reshape(result, ops.kept(x.shape, folded_axes(axis, x.ndim)))
    if initial is not None:
        result = np.logaddexp(result, as_tracer(initial, x.dtype))
    return store(result, out, "np.logaddexp.reduce")
