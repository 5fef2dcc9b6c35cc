"""Points between ends that are traced, powers, and window functions.

The points are affine functions of their ends, so that they have derivatives by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.tracing.numpy_api.creation import constructs, nested_array
from adgraph.tracing.numpy_api.reduction import cumprod
from adgraph.tracing.numpy_api.shape import broadcast_to, expand_dims, moveaxis, reshape
from adgraph.tracing.numpy_api.table import implements, refuse
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

# --- linspace and its relatives -------------------------------------------------------------------


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    refuse("np.linspace", device=None if device == "cpu" else device)
    first, last = nested_array(start), nested_array(stop)
    between = result_dtype(first, last, float(num))
    points, step = _points(first, last, _count("np.linspace", num), endpoint, between)
    if dtype is not None and np.dtype(dtype).kind in "iu":
        points = np.floor(points)
    result = moveaxis(as_tracer(points, dtype or between), 0, axis)
    return (result, step) if retstep else result


def _count(name: str, num: Any) -> int:
    count = int(num)
    if count < 0:
        raise ShapeError(message(f"{name}: the number of points {count} is negative"))
    return count


def _points(first: Any, last: Any, count: int, endpoint: bool, dtype: Any) -> tuple[Any, Any]:
    """Return the points along a new first axis, and their distance."""
    lower, upper = np.broadcast_arrays(as_tracer(first, dtype), as_tracer(last, dtype))
    gaps = count - 1 if endpoint else count
    step = (upper - lower) / gaps if gaps > 0 else as_tracer(np.full(lower.shape, np.nan, dtype))
    numbers = as_tracer(np.reshape(np.arange(count), (-1, *(1,) * lower.ndim)), dtype)
    points = numbers * step + lower if gaps > 0 else numbers * (upper - lower) + lower
    if endpoint and count > 1:
        points = np.concatenate([points[:-1], expand_dims(upper, 0)])
    return points, step


@implements(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    scale = nested_array(base)
    powers = linspace(*_ends(start, stop, scale), num, endpoint)
    result = np.power(as_tracer(scale) if np.ndim(scale) else base, powers)
    wide = result if dtype is None else as_tracer(result, dtype)
    return moveaxis(wide, 0, axis)


def _ends(start: Any, stop: Any, base: Any) -> tuple[Any, Any]:
    """Give the ends the axes of the base, which has one of its own for every power."""
    if not np.ndim(base):
        return start, stop
    first, last, _ = np.broadcast_arrays(nested_array(start), nested_array(stop), base)
    return first, last


@implements(np.geomspace)
def geomspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    first, last = nested_array(start), nested_array(stop)
    between = result_dtype(first, last, float(num))
    if between.kind == "c":
        raise DtypeError(
            message(
                "np.geomspace between complex ends",
                "the points lie on a spiral, for which there is no program",
                "write start * np.exp(t * np.log(stop / start)) with t = np.linspace(0, 1, n)",
            )
        )
    lower, upper = np.broadcast_arrays(as_tracer(first, between), as_tracer(last, between))
    sign = np.sign(lower)
    count = _count("np.geomspace", num)
    ends = np.log10(lower / sign), np.log10(upper / sign)
    points = np.power(as_tracer(10.0, between), _points(*ends, count, endpoint, between)[0]) * sign
    if count > 0:
        points = np.concatenate([expand_dims(lower, 0), points[1:]])
    if endpoint and count > 1:
        points = np.concatenate([points[:-1], expand_dims(upper, 0)])
    return moveaxis(as_tracer(points, dtype or between), 0, axis)


# --- powers ---------------------------------------------------------------------------------------


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803  NumPy's
    a = as_tracer(x)
    if a.ndim != 1:
        raise ShapeError(message(f"np.vander of an array of shape {a.shape}: it needs one axis"))
    n = a.shape[0]
    a = as_tracer(a, np.promote_types(a.dtype, np.int64))
    count = n if N is None else int(N)
    factors = broadcast_to(reshape(a, (n, 1)), (n, max(count - 1, 0)))
    ones = np.ones((n, min(count, 1)), a.dtype)
    powers = np.concatenate([ones, cumprod(factors, 1, a.dtype)], axis=1)
    return powers if increasing else powers[:, ::-1]


# --- windows --------------------------------------------------------------------------------------


def _window(function: Callable[..., Any]) -> None:
    """Enter a window, whose length must be known; its result can be written."""

    @constructs(function, differentiable=False)
    def window(M: Any) -> Any:  # noqa: N803  NumPy's name
        return as_tracer(function(M))


for _function in (np.bartlett, np.blackman, np.hamming, np.hanning):
    _window(_function)


@constructs(np.kaiser)
def kaiser(M: Any, beta: Any) -> Any:  # noqa: N803  NumPy's name
    if not isinstance(beta, Tracer):
        return as_tracer(np.kaiser(M, beta))
    places = np.linspace(-1.0, 1.0, M) if M > 1 else np.zeros(max(int(M), 0))
    shape = beta.astype(np.float64)
    return np.i0(shape * np.sqrt(1.0 - places * places)) / np.i0(shape)
