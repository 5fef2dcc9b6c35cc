"""Reading and writing parts of arrays: x[key], x[key] = value, and the functions made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, message
from adgraph.ir.types import Slice
from adgraph.ops import shape as ops
from adgraph.tracing.numpy_api.shape import reshape
from adgraph.tracing.tracer import DISPATCH, Tracer, as_tracer, write
from adgraph.tracing.views import View, composed


def getitem(x: Any, key: Any) -> Any:
    """Record `x[key]`."""
    parts = expanded_key(as_tracer(x), key)
    return basic(as_tracer(x), parts)


def setitem(x: Tracer, key: Any, value: Any) -> None:
    """Record `x[key] = value`."""
    target = getitem(x, key) if x.shape else x
    write(_written(x, key, target), value)


def _written(x: Tracer, key: Any, target: Tracer) -> Tracer:
    """The handle to write through: an element is read at once, so its path is made anew."""
    if target.shape or not x.shape:
        return target
    index = basic_index(x, expanded_key(x, key))
    return Tracer(x.cell, composed(x.path, View(ops.getitem, {"index": index})))


def expanded_key(x: Tracer, key: Any) -> list[Any]:
    """Return one entry per axis of `x`, and None for new axes, with no ellipsis left."""
    parts = list(key) if isinstance(key, tuple) else [key]
    used = sum(p is not None and p is not Ellipsis for p in parts)
    if used > x.ndim:
        raise AxisIndexError(
            message(f"too many indices: {used} for an array of shape {x.shape}")
        )
    places = [i for i, p in enumerate(parts) if p is Ellipsis]
    at = places[0] if places else len(parts)
    fill = [slice(None)] * (x.ndim - used)
    return parts[:at] + fill + parts[at + bool(places) :]


def basic_index(x: Tracer, parts: list[Any]) -> tuple[int | Slice, ...]:
    """Return the normalised index of ints and slices."""
    entries = [p for p in parts if p is not None]
    return tuple(_normal(p, n, x) for p, n in zip(entries, x.shape, strict=True))


def _normal(entry: Any, extent: int, x: Tracer) -> int | Slice:
    if isinstance(entry, slice):
        return Slice.of(entry, extent)
    number = entry.__index__()
    if not -extent <= number < extent:
        raise AxisIndexError(
            message(f"index {number} is out of bounds for an axis of extent {extent} of {x.type}")
        )
    return int(number % extent)


def basic(x: Tracer, parts: list[Any]) -> Any:
    """Record a basic index: ints, slices and new axes."""
    index = basic_index(x, parts)
    picked = ops.getitem(x, index=index) if _selects(index, x) else x
    if None not in parts:
        return picked
    rest = iter(picked.shape)
    shape = tuple(
        1 if p is None else next(rest) for p in parts if p is None or isinstance(p, slice)
    )
    return reshape(picked, shape)


def _selects(index: tuple[int | Slice, ...], x: Tracer) -> bool:
    return index != tuple(Slice(0, n, 1) for n in x.shape)


DISPATCH.getitem = getitem
DISPATCH.setitem = setitem
