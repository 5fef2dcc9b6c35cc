"""`np.block` and `np.insert`: arrays put beside and into each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.ops import indexing
from adgraph.tracing.numpy_api.assembly import join
from adgraph.tracing.numpy_api.creation import contains_tracer, nested_array
from adgraph.tracing.numpy_api.shape import broadcast_to, moveaxis, normal_axis, ravel, reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer

# --- block ----------------------------------------------------------------------------------------


@implements(np.block)
def block(arrays: Any) -> Any:
    """The innermost lists are joined along the last axis, those around along the one before."""
    depth = _depth(arrays)
    rank = max(depth, _rank(arrays))
    return _joined(arrays, depth, rank)


def _depth(x: Any) -> int:
    if not isinstance(x, list):
        return 0
    depths = set(map(_depth, x))
    if len(depths) != 1:
        raise ShapeError(
            message(
                f"np.block of lists of the depths {sorted(depths)}",
                "all arrays must stand in equally many lists, and no list may be empty",
            )
        )
    return 1 + depths.pop()


def _rank(x: Any) -> int:
    return max(map(_rank, x)) if isinstance(x, list) else type_of(x).ndim


def _joined(x: Any, depth: int, rank: int) -> Any:
    if not isinstance(x, list):
        array = as_tracer(x)
        return reshape(array, (1,) * (rank - array.ndim) + array.shape)
    return join([_joined(item, depth - 1, rank) for item in x], -depth)


# --- insert ---------------------------------------------------------------------------------------


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    x = as_tracer(arr)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    at = _positions(obj, x.shape[place])
    new = as_tracer(nested_array(values), x.dtype)
    if at.size == 1:
        new = reshape(new, (1,) * (x.ndim - new.ndim) + new.shape)
        new = moveaxis(new, 0, place) if at.ndim == 0 else new
        at = np.full(new.shape[place], at.item())
    extent, count = x.shape[place], at.size
    order = np.insert(np.arange(extent), at, extent + np.arange(count))
    between = broadcast_to(new, (*x.shape[:place], count, *x.shape[place + 1 :]))
    return indexing.take(join([x, between], place), order, axis=place)


def _positions(obj: Any, extent: int) -> Any:
    """Return the positions before which values are inserted, which decide a shape."""
    if contains_tracer(obj):
        raise TracingError(
            message(
                "np.insert was called with traced positions",
                "where each element stands in the result must be known while tracing",
                "mark them as static, or select with np.where",
            )
        )
    if isinstance(obj, slice):
        return np.arange(extent)[obj]
    at = np.asarray(obj)
    return np.flatnonzero(at) if at.dtype == bool else at
