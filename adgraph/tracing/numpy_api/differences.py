"""Differences and what undoes them: ediff1d, gradient, trapezoid."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ir.op import type_of
from adgraph.tracing.numpy_api.assembly import diff, join, part
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.reduction import sum as sum_
from adgraph.tracing.numpy_api.shape import check_cast, normal_axis, ravel, reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer, known_value


def _numbers(name: str, x: Tracer) -> Tracer:
    if x.dtype.kind == "b":
        raise DtypeError(message(f"{name} of bools", "NumPy has no difference of them"))
    return x


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = _numbers("np.ediff1d", ravel(asarray(ary)))
    ends = [None if end is None else ravel(asarray(end)) for end in (to_begin, to_end)]
    for end in ends:
        if end is not None:
            check_cast("np.ediff1d", end.dtype, x.dtype, "same_kind")
    pieces = (ends[0], diff(x), ends[1])
    return join([as_tracer(p, x.dtype) for p in pieces if p is not None], 0)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    values = as_tracer(asarray(y))
    place = normal_axis(axis, values.ndim)
    extent = values.shape[place]
    width = dx
    if x is not None:
        at = as_tracer(asarray(x))
        width = diff(at, axis=0 if at.ndim == 1 else axis)
        if at.ndim == 1:
            width = _along(width, values.ndim, place)
    later, earlier = part(values, place, 1, extent), part(values, place, 0, max(extent - 1, 0))
    return sum_(width * (later + earlier) / 2.0, place)


def _along(line: Any, rank: int, axis: int) -> Any:
    """Align an array of one axis with an axis of another array."""
    return reshape(line, (-1,) + (1,) * (rank - axis - 1))


# --- gradient: second-order differences -----------------------------------------------------------
# At unequal distances with the weights of Fornberg, Mathematics of Computation, 1988.


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    x = as_tracer(asarray(f))
    listed = tuple(range(x.ndim)) if axis is None else axis
    axes = [normal_axis(i, x.ndim) for i in (listed if isinstance(listed, tuple) else (listed,))]
    if len(set(axes)) != len(axes):
        raise ShapeError(message(f"np.gradient: axis={axis} names an axis twice"))
    spacings = [asarray(h) for h in varargs or (1.0,)]
    if len(spacings) == 1 and not np.ndim(spacings[0]):
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise DtypeError(message(f"np.gradient: {len(varargs)} spacings for {len(axes)} axes"))
    widths = [_widths(x, h, i) for h, i in zip(spacings, axes, strict=True)]
    if edge_order not in (1, 2):
        raise ShapeError(message(f"np.gradient: edge_order={edge_order} is neither 1 nor 2"))
    for i in axes:
        _check_extent(x, i, edge_order)
    x = _numbers("np.gradient", x)
    x = x if x.dtype.kind in "fc" else as_tracer(x, np.float64)
    found = [_slope(x, w, i, edge_order) for w, i in zip(widths, axes, strict=True)]
    return found[0] if len(axes) == 1 else tuple(found)


def _check_extent(x: Tracer, axis: int, order: int) -> None:
    if x.shape[axis] < order + 1:
        raise ShapeError(
            message(
                f"np.gradient: axis {axis} of {x.type} is too short",
                f"edge_order={order} needs at least {order + 1} elements",
            )
        )


def _slope(x: Tracer, widths: Any, axis: int, order: int) -> Any:
    """Return the derivative along one axis."""
    n = x.shape[axis]
    uneven = bool(type_of(widths).ndim)
    behind = part(widths, axis, 0, n - 2) if uneven else widths
    ahead = part(widths, axis, 1, n - 1) if uneven else widths
    before, here, after = (part(x, axis, k, n - 2 + k) for k in range(3))
    inner = _inner(before, here, after, behind, ahead, uneven)
    edges = [_edge(x, widths, axis, order, at_end) for at_end in (False, True)]
    return as_tracer(join([edges[0], inner, edges[1]], axis), x.dtype)


def _widths(x: Tracer, spacing: Any, axis: int) -> Any:
    """Return the distance of neighbours: one number, or one for every pair, aligned with x."""
    given = as_tracer(spacing)
    if not given.ndim:
        return given
    if given.ndim > 1:
        raise ShapeError(message("np.gradient: distances must be scalars or have one axis"))
    if given.size != x.shape[axis]:
        raise ShapeError(
            message(f"np.gradient: {given.size} coordinates for {x.shape[axis]} elements")
        )
    wide = given if given.dtype.kind in "fc" else as_tracer(given, np.float64)
    known = known_value(diff(wide))
    if known is not None and (known == known[0]).all():
        return as_tracer(known[0])
    return _aligned(diff(wide), x.ndim, axis)


def _aligned(line: Any, rank: int, axis: int) -> Any:
    """Give an array of one axis the rank of another one, all other extents one."""
    return reshape(line, tuple(-1 if i == axis else 1 for i in range(rank)))


def _inner(before: Any, here: Any, after: Any, behind: Any, ahead: Any, uneven: bool) -> Any:
    if not uneven:
        return (after - before) / (2.0 * behind)
    total = behind + ahead
    return (
        -ahead / (behind * total) * before
        + (ahead - behind) / (behind * ahead) * here
        + behind / (ahead * total) * after
    )


def _edge(x: Tracer, widths: Any, axis: int, order: int, at_end: bool) -> Any:
    """Return the derivative at the first or at the last element."""
    n = x.shape[axis]

    def element(k: int) -> Any:
        place = n - 1 - k if at_end else k
        return part(x, axis, place, place + 1)

    def width(k: int) -> Any:
        place = n - 2 - k if at_end else k
        return part(widths, axis, place, place + 1) if type_of(widths).ndim else widths

    sign = -1.0 if at_end else 1.0
    first, second = element(0), element(1)
    if order == 1:
        return (first - second if at_end else second - first) / width(0)
    near, far = width(0), width(1)
    weights = (
        -(2.0 * near + far) / (near * (near + far)),
        (near + far) / (near * far),
        -near / (far * (near + far)),
    )
    return sign * (weights[0] * first + weights[1] * second + weights[2] * element(2))
