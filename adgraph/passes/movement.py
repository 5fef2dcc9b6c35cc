"""Rules about arrays assembled from parts: the table `MOVEMENT`.

`update` writes a box, `add_at` adds to it, `place` puts a box into zeros, `concatenate` joins
parts. These rules look at one of them and what it reads; `assembly` has those about chains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.dims import nonnegative
from adgraph.ir.types import Index, Slice
from adgraph.ops.shape import add_at, concatenate, getitem, place, update
from adgraph.passes.boxes import disjoint, extents, relative, whole
from adgraph.passes.rules import Rule, Site, equals, literal, same
from adgraph.tracing.views import compose_index

# --- slices of assembled arrays ------------------------------------------------------------------


def _slice_of_update(site: Site) -> Any:
    """A slice of an array that was written to.

    What leaves a program inside a node is written anyway: all but single elements are read there.
    """
    inner = site.made(site.args[0], update)
    if inner is None:
        return None
    wanted, written = site.attrs["index"], inner.attrs["index"]
    if disjoint(wanted, written):
        return getitem(inner.args[0], index=wanted)
    if site.inside and any(op is None for op, _ in inner.readers) and not _single(wanted):
        return None
    part = relative(written, wanted)
    return None if part is None else getitem(inner.args[1], index=part)


def _single(index: Index) -> bool:
    """Tell whether an index selects one element."""
    return all(n == 1 for n in extents(index))


def _slice_of_sum(site: Site) -> Any:
    """A slice of an array that was added to.

    A single element is added up on its own. A larger part is read where it has been added: that is
    a view, and no array of its own. It is read behind additions to other boxes, too: one that
    nothing else reads is joined with the next.
    """
    inner = site.made(site.args[0], add_at)
    if inner is None:
        return None
    wanted, written = site.attrs["index"], inner.attrs["index"]
    if disjoint(wanted, written):
        return getitem(inner.args[0], index=wanted) if _untouched(inner, wanted) else None
    part = relative(written, wanted) if _single(wanted) else None
    if part is None:
        return None
    return getitem(inner.args[0], index=wanted) + getitem(inner.args[1], index=part)


def _untouched(sum: Site, wanted: Index) -> bool:
    """Tell whether a chain of additions begins before one to a box is met."""
    inner: Site | None = sum
    while inner is not None and disjoint(wanted, inner.attrs["index"]):
        inner = inner.made(inner.args[0], add_at)
    return inner is None or _single(wanted)


def _slice_of_place(site: Site) -> Any:
    inner = site.made(site.args[0], place)
    if inner is None:
        return None
    wanted, written = site.attrs["index"], inner.attrs["index"]
    if disjoint(wanted, written):
        return site.filled(0)
    part = relative(written, wanted)
    return None if part is None else getitem(inner.args[0], index=part)


def _slice_of_concatenate(site: Site) -> Any:
    inner = site.made(site.args[0], concatenate)
    if inner is None:
        return None
    axis, start = inner.attrs["axis"], 0
    for x in inner.args:
        box = [Slice(0, n, 1) for n in x.shape]
        box[axis] = Slice(start, x.shape[axis], 1)
        part = relative(tuple(box), site.attrs["index"])
        if part is not None:
            return getitem(x, index=part)
        start += x.shape[axis]
    return None


# --- single writes -------------------------------------------------------------------------------


def _update_everything(site: Site) -> Any:
    x, v = site.args
    return np.reshape(v, x.shape) if whole(site.attrs["index"], x.shape) else None


def _update_again(site: Site) -> Any:
    """A write, or an addition, that the next write covers before anything reads it."""
    inner = site.made(site.args[0], update, add_at)
    if (
        inner is None
        or len(inner.readers) > 1
        or relative(site.attrs["index"], inner.attrs["index"]) is None
    ):
        return None
    return update(inner.args[0], site.args[1], index=site.attrs["index"])


def _update_by_itself(site: Site) -> Any:
    x, v = site.args
    inner = site.made(v, getitem)
    if inner is None or inner.attrs != site.attrs or not same(inner.args[0], x):
        return None
    return x


def _update_of_zeros(site: Site) -> Any:
    x, v = site.args
    number = literal(x)
    if number is None or number != 0 or np.signbit(number.real):
        return None
    return place(v, index=site.attrs["index"], shape=x.shape)


# --- single additions ----------------------------------------------------------------------------


def _add_of_zeros(site: Site) -> Any:
    return site.args[0] if equals(site.args[1], 0) else None


def _add_to_zeros(site: Site) -> Any:
    x, v = site.args
    return place(v, index=site.attrs["index"], shape=x.shape) if equals(x, 0) else None


def _add_everything(site: Site) -> Any:
    x, v = site.args
    return x + np.reshape(v, x.shape) if whole(site.attrs["index"], x.shape) else None


def _add_to_written(site: Site) -> Any:
    """A box that was written, placed or added to before: its parts are added first.

    Additions in between, and writes to other boxes, come after it as well.
    """
    x, v = site.args
    index = site.attrs["index"]
    between: list[Site] = []
    inner = site.made(x, update, add_at, place)
    while inner is not None and inner.attrs["index"] != index:
        passes = inner.op is add_at or disjoint(inner.attrs["index"], index)
        if inner.op is place or len(inner.readers) > 1 or not passes or len(between) == FAR:
            return None
        between.append(inner)
        inner = site.made(inner.args[0], update, add_at, place)
    if inner is None or (len(inner.readers) > 1 and not equals(inner.args[-1], 0)):
        return None
    result = inner.op(*inner.args[:-1], inner.args[-1] + v, **inner.attrs)
    for later in reversed(between):
        result = later.op(result, later.args[1], **later.attrs)
    return result


FAR = 16  # writes that an addition looks across


# --- placed boxes ---------------------------------------------------------------------------------


def _place_everything(site: Site) -> Any:
    shape = site.type.shape
    return np.reshape(site.args[0], shape) if whole(site.attrs["index"], shape) else None


def _place_twice(site: Site) -> Any:
    inner = site.made(site.args[0], place)
    if inner is None:
        return None
    index = compose_index(site.attrs["index"], inner.attrs["index"])
    return place(inner.args[0], index=index, shape=site.type.shape)


def _place_of_zeros(site: Site) -> Any:
    number = literal(site.args[0])
    return site.filled(0) if number is not None and number == 0 else None


# --- concatenations ------------------------------------------------------------------------------


def _concatenate_empty(site: Site) -> Any:
    axis = site.attrs["axis"]
    full = [x for x in site.args if x.shape[axis]]
    if len(full) == len(site.args) or not full:
        return None
    return full[0] if len(full) == 1 else concatenate(*full, axis=axis)


def _concatenate_one(site: Site) -> Any:
    return site.args[0] if len(site.args) == 1 else None


def _concatenate_literals(site: Site) -> Any:
    numbers = [literal(x) for x in site.args]
    if any(n is None or n.tobytes() != numbers[0].tobytes() for n in numbers):
        return None
    return site.filled(numbers[0])


def _concatenate_concatenated(site: Site) -> Any:
    parts: list[Any] = []
    for x in site.args:
        inner = site.made(x, concatenate)
        nested = inner is not None and inner.attrs == site.attrs and len(inner.readers) < 2
        parts.extend(inner.args if inner is not None and nested else (x,))
    return concatenate(*parts, **site.attrs) if len(parts) > len(site.args) else None


def _concatenate_slices(site: Site) -> Any:
    """Slices of one array that follow each other are one slice."""
    axis = site.attrs["axis"]
    parts = [site.args[0]]
    for x in site.args[1:]:
        union = _union(site, parts[-1], x, axis)
        if union is None:
            parts.append(x)
        else:
            parts[-1] = union
    if len(parts) == len(site.args):
        return None
    return parts[0] if len(parts) == 1 else concatenate(*parts, axis=axis)


def _union(site: Site, a: Any, b: Any, axis: int) -> Any:
    first, second = site.made(a, getitem), site.made(b, getitem)
    if first is None or second is None or not same(first.args[0], second.args[0]):
        return None
    before, after = first.attrs["index"], second.attrs["index"]
    along = [i for i, entry in enumerate(before) if isinstance(entry, Slice)][axis]
    if before[:along] != after[:along] or before[along + 1 :] != after[along + 1 :]:
        return None
    low, high = before[along], after[along]
    if not isinstance(high, Slice) or low.step != 1 or high.step != 1:
        return None
    if low.start + low.size != high.start or not all(nonnegative(s.size) for s in (low, high)):
        return None
    index = (*before[:along], Slice(low.start, low.size + high.size, 1), *before[along + 1 :])
    return getitem(first.args[0], index=index)


MOVEMENT = (
    Rule("slice of update", (getitem,), _slice_of_update),
    Rule("slice of sum", (getitem,), _slice_of_sum),
    Rule("slice of place", (getitem,), _slice_of_place),
    Rule("slice of concatenate", (getitem,), _slice_of_concatenate),
    Rule("update everything", (update,), _update_everything),
    Rule("update again", (update,), _update_again),
    Rule("update by itself", (update,), _update_by_itself),
    Rule("update of zeros", (update,), _update_of_zeros),
    Rule("add zeros to box", (add_at,), _add_of_zeros, accepted="zero signs"),
    Rule("add box to zeros", (add_at,), _add_to_zeros, accepted="zero signs"),
    Rule("add to everything", (add_at,), _add_everything),
    Rule("add to written box", (add_at,), _add_to_written, accepted="rounding, zero signs"),
    Rule("place everything", (place,), _place_everything),
    Rule("place twice", (place,), _place_twice),
    Rule("place of zeros", (place,), _place_of_zeros, accepted="zero signs"),
    Rule("concatenate empty", (concatenate,), _concatenate_empty),
    Rule("concatenate one", (concatenate,), _concatenate_one),
    Rule("concatenate literals", (concatenate,), _concatenate_literals),
    Rule("concatenate concatenated", (concatenate,), _concatenate_concatenated),
    Rule("concatenate slices", (concatenate,), _concatenate_slices),
)
