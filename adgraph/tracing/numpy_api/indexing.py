"""Reading and writing parts of arrays: x[key], x[key] = value, and the functions made of them.

A key of ints, slices and new axes is a view. With arrays of integers in it, `selection` brings the
indexed axes together, merges the index arrays into one, and says where the result's axes go; the
ops `take`, `put` and `scatter_add` do the rest. Constant masks become arrays of integers; traced
masks are the business of `tracing.masked`.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, ShapeError, TracingError, message
from adgraph.ir.dims import Affine, Dim, UndecidedError
from adgraph.ir.op import type_of
from adgraph.ir.types import Index, Shape, Slice
from adgraph.ops import indexing as ops
from adgraph.ops import shape as shape_ops
from adgraph.tracing.affine import box, point
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.masked import is_masked_key, masked_view, write_view
from adgraph.tracing.numpy_api import positions
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    normal_axis,
    ravel,
    reshape,
    strong,
    transpose,
)
from adgraph.tracing.numpy_api.table import implements, method, store
from adgraph.tracing.tracer import (
    IndexTracer,
    ScalarTracer,
    Tracer,
    as_tracer,
    check_writable,
    dim_of,
    integer,
    known_value,
    part_at,
    question_of,
    read,
    result_dtype,
    tracer,
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
    write(written(x, parts, target), _trimmed(value, target.shape))


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


# --- keys -----------------------------------------------------------------------------------------


def expanded_key(x: Tracer, key: Any) -> list[Any]:
    """Return one entry per axis of `x`, and None for new axes, with no ellipsis left.

    An entry is an int, a slice, or an array of integers, which may be traced.
    """
    given = list(key) if isinstance(key, tuple) else [key]
    parts: list[Any] = []
    for entry in given:
        parts.extend(_entries(entry))
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


def _entries(entry: Any) -> list[Any]:
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
                len(_entries(e)) for e in given if e is not None and e is not Ellipsis
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
    """Record a basic index: ints, slices and new axes."""
    index = basic_index(x, parts)
    picked = shape_ops.getitem(x, index=index) if _selects(index, x) else x
    if None not in parts:
        return picked
    rest = iter(picked.shape)
    shape = tuple(
        1 if p is None else next(rest) for p in parts if p is None or isinstance(p, slice)
    )
    return reshape(picked, shape)


def _selects(index: Index, x: Tracer) -> bool:
    return index != tuple(Slice(0, n, 1) for n in x.shape)


# --- arrays of integers ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """What a key with arrays selects.

    `view` is the array after its ints and slices; with its axes in `order` and the `merged` axes
    from `place` on made one, `indices` select along axis `place`. The result has `shape`, in which
    new axes are inserted already.
    """

    view: Tracer
    order: tuple[int, ...]
    place: int
    merged: Shape
    indices: Any
    shape: Shape

    @property
    def turned(self) -> Shape:
        """The shape of the view with its axes in order."""
        return tuple(self.view.shape[i] for i in self.order)

    @property
    def flat(self) -> Shape:
        """The shape of the view with the indexed axes made one."""
        behind = self.turned[self.place + len(self.merged) :]
        return (*self.turned[: self.place], math.prod(self.merged), *behind)

    @property
    def picked(self) -> Shape:
        """The shape of the result before new axes are inserted."""
        return (
            *self.flat[: self.place],
            *type_of(self.indices).shape,
            *self.flat[self.place + 1 :],
        )

    @property
    def unique(self) -> bool:
        """Whether no element is known to be selected twice."""
        known = not isinstance(self.indices, Tracer)
        return known and len(np.unique(self.indices)) == self.indices.size


def selection(x: Tracer, parts: list[Any]) -> Selection:
    """Analyse a key with arrays.

    NumPy's rule: the result has the axes of the index arrays in the place of the indexed axes if
    these stand together (ints count as indexed), else in front.
    """
    entries = [p for p in parts if p is not None]
    view = basic(x, [slice(None) if is_array(p) else p for p in entries])
    remaining = [p for p in entries if not isinstance(p, (int, Affine))]
    arrays = [p for p in remaining if is_array(p)]
    indexed = [i for i, p in enumerate(remaining) if is_array(p)]
    sliced = [i for i, p in enumerate(remaining) if not is_array(p)]
    advanced = [i for i, p in enumerate(parts) if is_array(p) or isinstance(p, (int, Affine))]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    place = sum(isinstance(p, slice) for p in parts[: advanced[0]]) if together else 0
    order = (*sliced[:place], *indexed, *sliced[place:])
    merged = tuple(view.shape[i] for i in indexed)
    indices = merged_index(arrays, merged)
    start = advanced[0] if together else 0
    lead = parts[:start]
    rest = [p for p in parts[start:] if p is None or isinstance(p, slice)]
    extents = iter([view.shape[i] for i in sliced])
    before = tuple(1 if p is None else next(extents) for p in lead)
    behind = tuple(1 if p is None else next(extents) for p in rest)
    shape = (*before, *type_of(indices).shape, *behind)
    return Selection(view, order, place, merged, indices, shape)


def merged_index(arrays: list[Any], extents: Shape) -> Any:
    """Return the positions in C order that index arrays of axes of the given extents select."""
    try:
        shape = np.broadcast_shapes(*(type_of(a).shape for a in arrays))
    except ValueError:
        shapes = ", ".join(str(type_of(a).shape) for a in arrays)
        raise AxisIndexError(
            message(f"index arrays of shapes {shapes} do not broadcast together")
        ) from None
    if 0 in shape:  # NumPy does not look at positions that no element is taken from
        return np.zeros(shape, np.int64)
    total: Any = None
    for array, extent in zip(arrays, extents, strict=True):
        checked = _checked(array, extent)
        total = checked if total is None else total * extent + checked
    return total if type_of(total).shape == shape else np.broadcast_to(total, shape)


def _checked(array: Any, extent: int) -> Any:
    if isinstance(array, Tracer):
        return ops.wrap_index(array, extent=extent)
    return ops.wrapped(array, extent)


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
            view = part_at(view, _checked(kept[axis], view.shape[axis]), axis)
    return reshape(view, chosen.shape)


def _gather(chosen: Selection) -> Any:
    flat = reshape(transpose(chosen.view, chosen.order), chosen.flat)
    return reshape(ops.take(flat, chosen.indices, axis=chosen.place), chosen.shape)


def _scatter(chosen: Selection, value: Any) -> None:
    """Write parts at the selected positions."""
    view = chosen.view
    flat = reshape(transpose(view, chosen.order), chosen.flat)
    parts = parts_of(chosen, value, view)
    if type_of(parts).size == 0:
        return
    known = not isinstance(chosen.indices, Tracer)
    if known and not chosen.unique and type_of(value).size != 1:
        raise TracingError(
            message(
                "an array of integers selects an element twice in an assignment",
                "which of the values stays is not defined",
                "use each position once, or np.add.at(x, indices, values) to add all of them",
            )
        )
    changed = ops.put(flat, parts, chosen.indices, axis=chosen.place, unique=chosen.unique)
    write(view, restored(chosen, changed))


def parts_of(chosen: Selection, value: Any, view: Tracer) -> Any:
    """Broadcast a value to the selected parts, new axes removed."""
    spread = _spread(as_tracer(value, view.dtype), chosen.shape)
    return reshape(spread, chosen.picked)


def restored(chosen: Selection, flat: Any) -> Any:
    """Undo the merging and the order of the axes."""
    order = chosen.order
    return transpose(reshape(flat, chosen.turned), tuple(order.index(i) for i in range(len(order))))


def _trimmed(value: Any, shape: Shape) -> Any:
    """Remove leading axes of extent one, which an assignment may have too many of."""
    have = type_of(value).shape
    extra = len(have) - len(shape)
    if extra > 0 and have[:extra] == (1,) * extra:
        return np.reshape(value, have[extra:])
    return value


def _spread(value: Any, shape: Shape) -> Any:
    trimmed = _trimmed(value, shape)
    try:
        return broadcast_to(trimmed, shape)
    except ShapeError:
        raise ShapeError(
            message(
                f"cannot assign an array of shape {type_of(value).shape} to a selection of shape "
                f"{shape}",
                "the value must broadcast to the selected part",
            )
        ) from None


# --- functions ------------------------------------------------------------------------------------


@implements(np.take)
@method("take")
def take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    x = as_tracer(a)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    positions = clamped(plain(indices), x.shape[place], mode)
    taken = getitem(x, (slice(None),) * place + (positions,))
    return store(tracer(read(taken)) if taken.shape else taken, out, "np.take")


def clamped(indices: Any, extent: int, mode: str) -> Any:
    match mode:
        case "raise":
            return indices
        case "wrap":
            return indices % extent
        case "clip":
            return np.clip(indices, 0, extent - 1)
        case _:
            raise ShapeError(message(f"np.take: mode={mode!r} is none of raise, wrap, clip"))


def _along(x: Tracer, indices: Any, axis: int | None) -> tuple[Tracer, tuple[Any, ...]]:
    """Return the array and key of the `_along_axis` functions."""
    positions = plain(indices)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    if positions.ndim != x.ndim:
        raise ShapeError(
            message(f"indices of shape {positions.shape} along an axis of {x.type}: ranks differ")
        )
    key = [
        positions if i == place else np.arange(n).reshape((n,) + (1,) * (x.ndim - i - 1))
        for i, n in enumerate(x.shape)
    ]
    return x, tuple(key)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return getitem(*_along(as_tracer(arr), indices, axis))


@implements(np.put_along_axis)
def put_along_axis(arr: Tracer, indices: Any, values: Any, axis: int | None) -> None:
    x, key = _along(writable(arr, "np.put_along_axis"), indices, axis)
    setitem(x, key, values)


def writable(x: Any, name: str) -> Tracer:
    if isinstance(x, Tracer):
        return x
    store(as_tracer(0), x, name)
    raise AssertionError


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    mask = plain(condition)
    if isinstance(mask, Tracer):
        x, place = (ravel(a), 0) if axis is None else (a, normal_axis(axis, type_of(a).ndim))
        return store(getitem(x, (slice(None),) * place + (mask,)), out, "np.compress")
    return take(a, np.nonzero(mask)[0], axis, out)


@method("compress")
def compress_method(a: Tracer, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    return compress(condition, a, axis, out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    mask = plain(condition)
    flat = ravel(mask) if isinstance(mask, Tracer) else mask.ravel()
    return getitem(ravel(arr), flat.astype(bool))


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError(
            message(f"np.select: {len(condlist)} conditions for {len(choicelist)} choices")
        )
    dtype = result_dtype(*choicelist, default)
    result: Any = as_tracer(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        if type_of(condition).dtype.kind != "b":
            raise TracingError(message("np.select: conditions must be arrays of bools"))
        result = np.where(condition, as_tracer(choice, dtype), result)
    return result


@implements(np.choose)
@method("choose")
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    parts = [as_tracer(c) for c in choices]
    dtype = result_dtype(*parts)
    shape = np.broadcast_shapes(type_of(a).shape, *(p.shape for p in parts))
    positions = clamped(plain(a), len(parts), mode)
    rows = np.stack([broadcast_to(as_tracer(p, dtype), shape) for p in parts])
    spread = np.broadcast_to(positions, shape)[None]
    return store(take_along_axis(rows, spread, 0)[0], out, "np.choose")


@implements(np.ix_, differentiable=False)
def ix_(*args: Any) -> tuple[Any, ...]:
    lines = []
    for place, entry in enumerate(args):
        (positions,) = _entries(entry)
        array = positions if isinstance(positions, Tracer) else np.asarray(positions)
        shape = tuple(-1 if i == place else 1 for i in range(len(args)))
        lines.append(np.reshape(array, shape))
    return tuple(lines)


@method("item")
def item(a: Tracer, *args: Any) -> Any:
    """`x.item()` is a Python number, which takes its partner's dtype."""
    if not args and a.size != 1:
        raise ShapeError(message(f"item() needs an array of one element, found {a.type}"))
    key = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    flat = len(key) == 1 and a.ndim != 1
    picked = ravel(a)[key[0]] if flat else getitem(a, tuple(key)) if args else reshape(a, ())
    kinds: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    wide = {"f": np.float64, "c": np.complex128, "i": np.int64, "u": np.uint64, "b": np.bool_}
    result = strong(as_tracer(picked, wide[a.dtype.kind]))
    result.weak = kinds[a.dtype.kind]
    return result


@method("fill")
def fill(a: Tracer, value: Any) -> None:
    write(a, value)


DISPATCH.getitem = getitem
DISPATCH.setitem = setitem
