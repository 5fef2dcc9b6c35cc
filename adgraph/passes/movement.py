"""Rules about arrays assembled from parts: the table `MOVEMENT`.

`update` writes a box, `place` puts a box into zeros, `concatenate` joins parts. Many writes into
one array, and many gradients of slices of one array, become one concatenation: n parts then cost
n copies of a part, and not n copies of the array.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.types import Index, Shape, Slice
from adgraph.ops.shape import concatenate, getitem, place, update
from adgraph.passes.boxes import (
    FLAT,
    Interval,
    best_line,
    disjoint,
    interval,
    length,
    relative,
    whole,
)
from adgraph.passes.rewrite import Rule, Site, literal, same
from adgraph.tracing.tracer import as_tracer
from adgraph.tracing.views import compose_index

# --- slices of assembled arrays ------------------------------------------------------------------


def _slice_of_update(site: Site) -> Any:
    inner = site.made(site.args[0], update)
    if inner is None:
        return None
    wanted, written = site.attrs["index"], inner.attrs["index"]
    if disjoint(wanted, written):
        return getitem(inner.args[0], index=wanted)
    part = relative(written, wanted)
    return None if part is None else getitem(inner.args[1], index=part)


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
    """A write that the next one covers."""
    inner = site.made(site.args[0], update)
    if inner is None or relative(site.attrs["index"], inner.attrs["index"]) is None:
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


# --- many writes ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Write:
    """A value and the box that holds it."""

    value: Any
    index: Index


@dataclass(frozen=True)
class _Line:
    """A line through an array of a shape: along an axis, or through all elements."""

    shape: Shape
    axis: int

    def box(self, size: int) -> Shape:
        """Return the shape of an interval of `size` positions."""
        if self.axis == FLAT:
            return (size,)
        return (*self.shape[: self.axis], size, *self.shape[self.axis + 1 :])

    def part(self, value: Any, at: Interval, wanted: Interval) -> Any:
        """Return the `wanted` interval of the value that lies `at` an interval."""
        laid = np.reshape(value, self.box(at[1] - at[0]))
        if at == wanted:
            return laid
        index = [Slice(0, n, 1) for n in laid.shape]
        along = max(self.axis, 0)
        index[along] = Slice(wanted[0] - at[0], wanted[1] - wanted[0], 1)
        return getitem(laid, index=tuple(index))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Concatenate parts that fill the line."""
        whole_line = parts[0] if len(parts) == 1 else concatenate(*parts, axis=max(self.axis, 0))
        return np.reshape(whole_line, self.shape)


def _paint(spans: Sequence[Interval], size: int) -> list[tuple[int, Interval]]:
    """Return the visible runs of spans painted one over the other, with -1 for bare ground.

    >>> _paint([(0, 4), (2, 3)], 5)
    [(0, (0, 2)), (1, (2, 3)), (0, (3, 4)), (-1, (4, 5))]
    """
    cuts = sorted({0, size, *(end for span in spans for end in span)})
    cell = {cut: i for i, cut in enumerate(cuts)}
    owner = np.full(len(cuts) - 1, -1)
    for i, (start, stop) in enumerate(spans):
        owner[cell[start] : cell[stop]] = i
    runs: list[tuple[int, Interval]] = []
    for i, who in enumerate(owner.tolist()):
        start, stop = cuts[i], cuts[i + 1]
        if runs and runs[-1][0] == who:
            start = runs.pop()[1][0]
        runs.append((who, (start, stop)))
    return runs


def _is_inner_write(site: Site) -> bool:
    """Tell whether another write is the only reader of this one."""
    return site.readers == ((update, 0),)


def _updates(site: Site) -> Any:
    """Writes that together cover an array, or follow on a fresh one, are a concatenation."""
    if _is_inner_write(site):
        return None
    writes, base = _chain(site)
    fill = literal(base)
    if len(writes) < 2:
        return None
    line = _Line(site.type.shape, best_line([w.index for w in writes], site.type.shape))
    if any(interval(w.index, line.shape, line.axis) is None for w in writes):
        return None
    return _concatenated(site, line, writes, fill)


def _chain(site: Site) -> tuple[list[_Write], Any]:
    """Return the writes that lead to a site, the first one first, and what they write into."""
    writes = [_Write(site.args[1], site.attrs["index"])]
    base = site.args[0]
    while (inner := site.made(base, update)) is not None and _is_inner_write(inner):
        writes.append(_Write(inner.args[1], inner.attrs["index"]))
        base = inner.args[0]
    if (placed := site.made(base, place)) is not None:
        writes.append(_Write(placed.args[0], placed.attrs["index"]))
        base = site.number(0)
    return writes[::-1], base


def _concatenated(site: Site, line: _Line, writes: Sequence[_Write], fill: Any) -> Any:
    """Join the visible parts of writes into ground of one number, if there is any to be seen."""
    spans = [_span(w, line) for w in writes]
    runs = _paint(spans, length(line.shape, line.axis))
    if fill is None and any(who < 0 for who, _ in runs):
        return None
    parts = []
    for who, (start, stop) in runs:
        if who < 0:
            ground = as_tracer(np.asarray(fill, site.type.dtype))
            parts.append(np.broadcast_to(ground, line.box(stop - start)))
        else:
            parts.append(line.part(writes[who].value, spans[who], (start, stop)))
    return line.joined(parts) if parts else None


def _span(write: _Write, line: _Line) -> Interval:
    span = interval(write.index, line.shape, line.axis)
    assert span is not None
    return span


# --- sums of placed parts ------------------------------------------------------------------------


def _sum_of_places(site: Site) -> Any:
    """Added boxes in zeros are joined: equal boxes are added, disjoint ones concatenated."""
    if len(site.readers) == 1 and site.readers[0][0] is site.op:
        return None
    placed, others = _terms(site)
    merged = _merged(placed)
    groups, rest = _groups(merged, site.type.shape)
    if len(groups) + len(rest) >= len(placed):
        return None
    terms = [*others, *(place(w.value, index=w.index, shape=site.type.shape) for w in rest)]
    terms.extend(_concatenated(site, line, writes, 0) for line, writes in groups)
    return functools.reduce(operator.add, terms)


def _terms(site: Site) -> tuple[list[_Write], list[Any]]:
    """Return the placed terms of nested sums, and the other terms, in order."""
    placed: list[_Write] = []
    others: list[Any] = []
    pending = list(site.args[::-1])
    while pending:
        x = pending.pop()
        inner = site.made(x, site.op, place) if x.shape == site.type.shape else None
        if inner is None or (inner.op is site.op and len(inner.readers) > 1):
            others.append(x)
        elif inner.op is site.op:
            pending.extend(inner.args[::-1])
        else:
            placed.append(_Write(inner.args[0], inner.attrs["index"]))
    return placed, others


def _merged(writes: Sequence[_Write]) -> list[_Write]:
    """Add the values that share a box."""
    found: dict[Index, Any] = {}
    for w in writes:
        found[w.index] = found[w.index] + w.value if w.index in found else w.value
    return [_Write(value, index) for index, value in found.items()]


def _groups(
    writes: Sequence[_Write], shape: Shape
) -> tuple[list[tuple[_Line, list[_Write]]], list[_Write]]:
    """Part writes into groups of disjoint intervals of a line, as few as can be, and others."""
    if not writes:
        return [], []
    axis = best_line([w.index for w in writes], shape)
    line = _Line(shape, axis)
    fitting = [w for w in writes if interval(w.index, shape, axis) is not None]
    groups: list[list[_Write]] = []
    for w in sorted(fitting, key=lambda w: _span(w, line)):
        start = _span(w, line)[0]
        free = (g for g in groups if _span(g[-1], line)[1] <= start)
        group = next(free, None)
        if group is None:
            groups.append([w])
        else:
            group.append(w)
    alone = [g[0] for g in groups if len(g) == 1]
    others = [w for w in writes if w not in fitting]
    return [(line, g) for g in groups if len(g) > 1], alone + others


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
    if low.start + low.size != high.start:
        return None
    index = (*before[:along], Slice(low.start, low.size + high.size, 1), *before[along + 1 :])
    return getitem(first.args[0], index=index)


MOVEMENT = (
    Rule("slice of update", (getitem,), _slice_of_update),
    Rule("slice of place", (getitem,), _slice_of_place),
    Rule("slice of concatenate", (getitem,), _slice_of_concatenate),
    Rule("update everything", (update,), _update_everything),
    Rule("update again", (update,), _update_again),
    Rule("update by itself", (update,), _update_by_itself),
    Rule("update of zeros", (update,), _update_of_zeros),
    Rule("place everything", (place,), _place_everything),
    Rule("place twice", (place,), _place_twice),
    Rule("place of zeros", (place,), _place_of_zeros, accepted="zero signs"),
    Rule("concatenate empty", (concatenate,), _concatenate_empty),
    Rule("concatenate one", (concatenate,), _concatenate_one),
    Rule("concatenate literals", (concatenate,), _concatenate_literals),
    Rule("concatenate concatenated", (concatenate,), _concatenate_concatenated),
    Rule("concatenate slices", (concatenate,), _concatenate_slices),
)

# These look at chains of nodes, and so come when the rules for single nodes have nothing to do.
ASSEMBLY = (
    Rule("updates", (update,), _updates),
    Rule("sum of places", (np.add,), _sum_of_places, accepted="rounding, zero signs"),
)
