"""Keys of `x[key]`, normalised: an entry for every axis; and what those without arrays select.

Constant masks become arrays of integers; traced masks are the business of `tracing.masked`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, message
from adgraph.ir.dims import Affine, Dim, UndecidedError
from adgraph.ir.types import Index, Slice
from adgraph.ops import shape as shape_ops
from adgraph.tracing.affine import box, point
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import (
    reshape,
)
from adgraph.tracing.tracer import (
    IndexTracer,
    Tracer,
    as_tracer,
    dim_of,
    integer,
    known_value,
    question_of,
)


def expanded_key(x: Tracer, key: Any) -> list[Any]:
    """Return one entry per axis of `x`, and None for new axes, with no ellipsis left.

    An entry is an int, a slice, or an array of integers, which may be traced.
    """
    given = list(key) if isinstance(key, tuple) else [key]
    parts: list[Any] = []
    for entry in given:
        parts.extend(key_entries(entry))
    used = sum(p is not None and p is not Ellipsis for p in parts)
    if used > x.ndim:
        raise AxisIndexError(message(f"too many indices: {used} for an array of shape {x.shape}"))
    places = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(places) > 1:
        raise AxisIndexError(message("an index can only have a single ellipsis ('...')"))
    at = places[0] if places else len(parts)
    fill = [slice(None)] * (x.ndim - used)
    expanded = parts[:at] + fill + parts[at + bool(places) :]
    _check_masks(x, given, expanded)
    extents = iter(x.shape)
    return [p if p is None else _decided(p, next(extents), x) for p in expanded]


def without_bools(x: Tracer, key: Any) -> tuple[Tracer, Any]:
    """Make a constant True or False in a key an axis of extent one, and what it selects there."""
    given = key if isinstance(key, tuple) else (key,)
    if not any(map(_is_bool, given)):
        return x, key
    rest = max(x.ndim - sum(map(_axes_of, given)), 0)
    axes: list[Any] = []
    for entry in given:
        count = rest if entry is Ellipsis else _axes_of(entry)
        axes += [None] if _is_bool(entry) else [slice(None)] * count
    axes += [slice(None)] * (x.ndim - sum(a is not None for a in axes))
    parts = (np.arange(int(entry)) if _is_bool(entry) else entry for entry in given)
    return basic(x, axes), tuple(parts)


def _is_bool(entry: Any) -> bool:
    return isinstance(entry, (bool, np.bool_))


def _axes_of(entry: Any) -> int:
    """Return how many axes an entry of a key selects from."""
    if entry is None or entry is Ellipsis or _is_bool(entry):
        return 0
    if not isinstance(entry, (np.ndarray, Tracer, list)):
        return 1
    array = plain(entry)
    return int(array.ndim) if array.dtype.kind == "b" else 1


def _decided(part: Any, extent: Dim, x: Tracer) -> Any:
    """A position that bounds do not show to be inside its axis is left to the time of running."""
    if not isinstance(part, (int, Affine)):
        return part
    if isinstance(part, int) and isinstance(extent, int):
        if not -extent <= part < extent:
            raise AxisIndexError(
                message(f"index {part} is out of bounds for an axis of extent {extent} of {x.type}")
            )
        return part % extent
    position = point(part, extent)
    return as_tracer(integer(part)) if position is None else position


def key_entries(entry: Any) -> list[Any]:
    """Return the entries that one of a key stands for: a mask becomes several arrays."""
    if entry is None or entry is Ellipsis:
        return [entry]
    if isinstance(entry, slice):
        return [slice(*map(_bound, (entry.start, entry.stop, entry.step)))]
    if isinstance(entry, IndexTracer):
        return [entry.dim]
    array = plain(entry)
    if isinstance(array, Tracer):
        if array.dtype.kind not in "iu":
            raise _not_an_index(array)
        return [entry if isinstance(entry, Tracer) and not entry.shape else array]
    if array.dtype.kind == "b" and array.ndim:
        return list(np.nonzero(array))
    if array.size == 0 and isinstance(entry, list):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise _not_an_index(entry)
    return [array if array.ndim else int(array)]


def _bound(edge: Any) -> Dim | None:
    if edge is None:
        return None
    known = dim_of(edge)
    if known is not None:
        return known
    question = question_of(edge)
    if isinstance(question, Affine):
        raise UndecidedError(f"the sign of {question} decides a slice", question)
    return operator.index(edge)


def plain(entry: Any) -> Any:
    """Return an entry as a plain array if its value is known, else as a tracer."""
    array = asarray(entry)
    known = known_value(array)
    return array if known is None else known


def _not_an_index(entry: Any) -> AxisIndexError:
    described = str(entry.type) if isinstance(entry, Tracer) else repr(entry)
    return AxisIndexError(
        message(
            f"{described} was used as an index",
            "only integers, slices, '...', None, and arrays of integers or bools select elements",
            "convert positions with .astype(np.int64)",
        )
    )


def _check_masks(x: Tracer, given: list[Any], parts: list[Any]) -> None:
    """Masks must have the extents of the axes they select from."""
    axis = 0
    for entry in given:
        if entry is None:
            continue
        if entry is Ellipsis:
            axis += x.ndim - sum(
                len(key_entries(e)) for e in given if e is not None and e is not Ellipsis
            )
            continue
        mask = None if isinstance(entry, (slice, IndexTracer)) else plain(entry)
        if mask is None or mask.dtype.kind != "b":
            axis += 1
            continue
        if mask.shape != x.shape[axis : axis + mask.ndim]:
            raise AxisIndexError(
                message(
                    f"a mask of shape {mask.shape} indexes axes of extents "
                    f"{x.shape[axis : axis + mask.ndim]}",
                    "a mask has the shape of what it selects from",
                )
            )
        axis += mask.ndim


def has_arrays(parts: list[Any]) -> bool:
    """Tell whether an expanded key has arrays of integers."""
    return any(map(is_array, parts))


def is_array(part: Any) -> bool:
    """Tell whether an entry of an expanded key is an array of integers."""
    return isinstance(part, (np.ndarray, Tracer))


# --- views ----------------------------------------------------------------------------------------


def basic_index(x: Tracer, parts: list[Any]) -> Index:
    """Return the normalised index of ints and slices."""
    entries = [p for p in parts if p is not None]
    pairs = zip(entries, x.shape, strict=True)
    return tuple(box(p, n) if isinstance(p, slice) else p for p, n in pairs)


def basic(x: Tracer, parts: list[Any]) -> Any:
    """Record a basic index: ints, slices and new axes; a position beside these is a slice first."""
    index = basic_index(x, list(map(_as_slice, parts)) if None in parts else parts)
    picked = shape_ops.getitem(x, index=index) if _selects(index, x) else x
    if None not in parts:
        return picked
    rest = iter(picked.shape)
    extents = [(p, 1 if p is None else next(rest)) for p in parts]
    return reshape(picked, tuple(n for p, n in extents if p is None or isinstance(p, slice)))


def _as_slice(part: Any) -> Any:
    return slice(part, part + 1) if isinstance(part, (int, Affine)) else part


def _selects(index: Index, x: Tracer) -> bool:
    return index != tuple(Slice(0, n, 1) for n in x.shape)
