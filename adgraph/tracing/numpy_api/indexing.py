"""Reading and writing parts of arrays: x[key] and x[key] = value.

A key of ints, slices and new axes is a view; numbers known only when running make one, too. What
arrays of integers select is copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.ir.dims import Affine
from adgraph.ir.op import type_of
from adgraph.ops import indexing as ops
from adgraph.ops import shape as shape_ops
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.masked import is_masked_key, masked_view, write_view
from adgraph.tracing.numpy_api import positions
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.keys import (
    basic,
    basic_index,
    expanded_key,
    has_arrays,
    is_array,
    without_bools,
)
from adgraph.tracing.numpy_api.selection import (
    Selection,
    checked_index,
    flattened,
    parts_of,
    restored,
    selection,
    trimmed,
)
from adgraph.tracing.numpy_api.shape import (
    reshape,
    strong,
    transpose,
)
from adgraph.tracing.tracer import (
    ScalarTracer,
    Tracer,
    as_tracer,
    check_writable,
    part_at,
    write,
)
from adgraph.tracing.views import View, composed
from adgraph.tracing.windows import masked_windows


def getitem(x: Any, key: Any) -> Any:
    """Record `x[key]`."""
    array, key = without_bools(as_tracer(x), key)
    given, key = key, masked_windows(array, key)
    if is_masked_key(key):
        viewed = key is not given and not is_masked_key(given)
        return masked_view(array, key) if viewed else positions.read_at(array, key)
    parts = expanded_key(array, key)
    if has_arrays(parts):
        chosen = selection(array, parts)
        return _view(chosen, parts) if _only_numbers(parts) and chosen.shape else _gather(chosen)
    picked = basic(array, parts)
    if picked.shape:
        return picked
    boxed = key is Ellipsis or (isinstance(key, tuple) and any(k is Ellipsis for k in key))
    return written(array, parts, picked) if boxed else strong(picked)


def setitem(x: Tracer, key: Any, value: Any) -> None:
    """Record `x[key] = value`."""
    value = asarray(value) if isinstance(value, (list, tuple)) else value
    _check_target(x)
    x, key = without_bools(x, key)
    given, key = key, masked_windows(x, key)
    if is_masked_key(key):
        if key is given or is_masked_key(given):
            positions.write_at(x, key, value)
        else:
            write_view(masked_view(x, key), value)
        return
    parts = expanded_key(x, key)
    if has_arrays(parts):
        _scatter(selection(x, parts), value)
        return
    target = basic(x, parts) if x.shape else x
    write(written(x, parts, target), trimmed(value, target.shape))


def _check_target(x: Tracer) -> None:
    check_writable(x)
    if not x.shape and not x.writable:
        raise TracingError(
            message(
                f"an element of a scalar {x.type} was assigned",
                "a number cannot be changed, only an array",
                "make it an array: x = np.array(x)",
            )
        )


def written(x: Tracer, parts: list[Any], target: Tracer) -> Tracer:
    """The handle to write through: an element is read at once, so its path is made anew."""
    if target.shape or not x.shape:
        return target
    index = basic_index(x, parts)
    element = ScalarTracer(x.cell, composed(x.path, View(shape_ops.getitem, {"index": index})))
    element.writable = x.writable
    return element


def _only_numbers(parts: list[Any]) -> bool:
    """Tell whether the arrays of a key are numbers: NumPy then gives a view."""
    arrays = [p for p in parts if is_array(p)]
    return all(isinstance(p, Tracer) and not p.shape and not p.writable for p in arrays)


def _view(chosen: Selection, parts: list[Any]) -> Any:
    """Return the view at positions that are known only when running."""
    view = chosen.view
    kept = [p for p in parts if p is not None and not isinstance(p, (int, Affine))]
    for axis in reversed(range(len(kept))):
        if is_array(kept[axis]):
            view = part_at(view, checked_index(kept[axis], view.shape[axis]), axis)
    return reshape(view, chosen.shape)


def _gather(chosen: Selection) -> Any:
    flat = reshape(transpose(chosen.view, chosen.order), chosen.flat)
    return reshape(ops.take(flat, chosen.indices, axis=chosen.place), chosen.shape)


def _scatter(chosen: Selection, value: Any) -> None:
    """Write parts at the selected positions; what is written to one last stays, as in NumPy."""
    view = chosen.view
    flat = reshape(transpose(view, chosen.order), chosen.flat)
    parts, indices, unique = parts_of(chosen, value, view), chosen.indices, chosen.unique
    if type_of(parts).size == 0:
        return
    if not (unique or isinstance(indices, Tracer)):
        last = _last_writes(indices)
        parts = ops.take(flattened(parts, chosen), last, axis=chosen.place)
        indices, unique = np.ravel(indices)[last], True
    changed = ops.put(flat, parts, indices, axis=chosen.place, unique=unique)
    write(view, restored(chosen, changed))


def _last_writes(indices: Any) -> Any:
    """Return where in an index every position occurs for the last time."""
    line = np.ravel(indices)
    _, first = np.unique(line[::-1], return_index=True)
    return np.sort(line.size - 1 - first)


DISPATCH.getitem = getitem
DISPATCH.setitem = setitem
