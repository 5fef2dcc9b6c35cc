"""`np.interp`: linear interpolation between points, which may be traced."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.tracing.numpy_api.assembly import join
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.sorting import argsort, searchsorted
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer


@implements(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """At a point of `xp` the derivative by x is that of the piece on its right."""
    given = as_tracer(asarray(fp))
    values: Any = as_tracer(given, np.complex128 if given.dtype.kind == "c" else np.float64)
    points: Any = as_tracer(_real(xp), np.float64)
    at: Any = as_tracer(_real(x), np.float64)
    if points.ndim != 1 or points.shape != values.shape:
        raise ShapeError(
            message(
                f"np.interp: points of shape {points.shape} with values of shape {values.shape}",
                "both have one axis and one length",
            )
        )
    if not points.size:
        raise ShapeError(message("np.interp: array of sample points is empty"))
    if period is not None:
        at, points, values = _periodic(at, points, values, period)
        left = right = None
    result = _between(at, points, values)
    last = points.size - 1
    below = values[0] if left is None else as_tracer(left, values.dtype)
    above = values[last] if right is None else as_tracer(right, values.dtype)
    result = np.where(at > points[last], above, result)
    return np.where(at < points[0], below, result)


def _real(a: Any) -> Any:
    x = as_tracer(asarray(a))
    if x.dtype.kind == "c":
        raise DtypeError(message("np.interp: positions may not be complex"))
    return x


def _periodic(at: Any, points: Any, values: Any, period: Any) -> tuple[Any, Any, Any]:
    """Bring positions into one period, and add a point at each of its ends."""
    if not isinstance(period, Tracer) and period == 0:
        raise ShapeError(message("np.interp: period must be a non-zero value"))
    length = np.abs(period)
    points = np.mod(points, length)
    order = argsort(points)
    points, values = points[order], values[order]
    whole = join([points[-1:] - length, points, points[:1] + length], 0)
    wide = join([values[-1:], values, values[:1]], 0)
    return np.mod(at, length), whole, wide


def _between(at: Any, points: Any, values: Any) -> Any:
    """Interpolate; at the last point and beyond it its value stands."""
    n = points.size
    if n == 1:
        return np.where(np.isnan(at), math.nan, values[0])
    found = searchsorted(points, at, "right") - 1
    before = np.minimum(np.maximum(found, 0), n - 2)
    start, base = points[before], values[before]
    slope = (values[before + 1] - base) / (points[before + 1] - start)
    line = slope * (at - start) + base
    return np.where(at == points[n - 1], values[n - 1], line)
