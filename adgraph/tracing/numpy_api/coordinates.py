"""Positions in the flattened array and coordinates, one from the other; positions of triangles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ops.indexing import wrap_index
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import shape_tuple
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer


def _integers(name: str, x: Any) -> Tracer:
    positions = as_tracer(asarray(x))
    if positions.dtype.kind not in "iu":
        raise DtypeError(
            message(
                f"{name}: positions are integers, found {positions.type}", "", "use astype(int)"
            )
        )
    return as_tracer(positions, np.int64)


def _inside(x: Tracer, extent: int) -> Any:
    """Check when running that positions are in [0, extent); a negative one is an error too."""
    return wrap_index(np.where(x < 0, extent, x), extent=extent)


def _check_order(name: str, order: str) -> None:
    if order not in ("C", "F"):
        raise ShapeError(message(f"{name}: order={order!r} is neither 'C' nor 'F'"))


@implements(np.unravel_index, differentiable=False)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """A position outside is an IndexError when running."""
    _check_order("np.unravel_index", order)
    extents = [int(n) for n in shape_tuple(shape)]
    rest = _inside(_integers("np.unravel_index", indices), math.prod(extents))
    found = []
    for extent in extents[::-1] if order == "C" else extents:
        found.append(rest % extent)
        rest = rest // extent
    return tuple(found[::-1] if order == "C" else found)


@implements(np.ravel_multi_index, differentiable=False)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """With `mode="raise"` a coordinate outside is an IndexError when running."""
    _check_order("np.ravel_multi_index", order)
    extents = [int(n) for n in shape_tuple(dims)]
    modes = (mode,) * len(extents) if isinstance(mode, str) else tuple(mode)
    coordinates = [_integers("np.ravel_multi_index", x) for x in multi_index]
    if not len(coordinates) == len(extents) == len(modes):
        raise ShapeError(
            message(
                f"np.ravel_multi_index: {len(coordinates)} coordinates and {len(modes)} modes for "
                f"{len(extents)} axes"
            )
        )
    pairs = list(zip(coordinates, extents, modes, strict=True))
    total: Any = 0
    for x, extent, how in pairs if order == "C" else pairs[::-1]:
        total = total * extent + _bounded(x, extent, how)
    return total


def _bounded(x: Tracer, extent: int, mode: str) -> Any:
    match mode:
        case "raise":
            return _inside(x, extent)
        case "wrap":
            return x % extent
        case "clip":
            return np.clip(x, 0, extent - 1)
        case _:
            raise ShapeError(
                message(f"np.ravel_multi_index: mode={mode!r} is none of raise, wrap, clip")
            )


# --- positions of a shape, which need no trace ----------------------------------------------------


def _of_shape(function: Callable[..., Any]) -> None:
    """Enter a function that looks at the shape of an array only."""

    @implements(function, differentiable=False)
    def positions(arr: Any, *args: Any, **options: Any) -> Any:
        return function(np.broadcast_to(0, as_tracer(arr).shape), *args, **options)


for _function in (np.tril_indices_from, np.triu_indices_from, np.diag_indices_from):
    _of_shape(_function)
