"""Rules about chains of writes into one array, and of additions to it: the table `ASSEMBLY`.

Many writes into a fresh array, and many gradients of slices of one array, become one concatenation:
n parts then cost n copies of a part, and not n copies of the array. Additions to boxes of an array
that is there already stay additions, one after the other: they can run in place.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.types import Index, Shape, Slice
from adgraph.ops.elementwise import add, subtract
from adgraph.ops.shape import add_at, concatenate, getitem, place, update
from adgraph.passes.boxes import FLAT, Interval, best_line, interval, length
from adgraph.passes.rules import Rule, Site, literal, same
from adgraph.tracing.tracer import as_tracer

FEW = 8  # kernels that each add to one box of an array; more are joined into one array first

# --- many writes ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Write:
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
    """Writes that together cover an array, or follow on a fresh one, are a concatenation.

    An array that a loop carries is written in place: there only fresh ones count.
    """
    if _is_inner_write(site):
        return None
    writes, base = _chain(site)
    fill = literal(base)
    if len(writes) < 2 or (fill is None and site.inside):
        return None
    line = _Line(site.type.shape, best_line([w.index for w in writes], site.type.shape))
    if any(interval(w.index, line.shape, line.axis) is None for w in writes):
        return None
    return _concatenated(site, line, writes, fill)


def _chain(site: Site) -> tuple[list[Write], Any]:
    """Return the writes that lead to a site, the first one first, and what they write into."""
    writes = [Write(site.args[1], site.attrs["index"])]
    base = site.args[0]
    while (inner := site.made(base, update)) is not None and _is_inner_write(inner):
        writes.append(Write(inner.args[1], inner.attrs["index"]))
        base = inner.args[0]
    if (placed := site.made(base, place)) is not None:
        writes.append(Write(placed.args[0], placed.attrs["index"]))
        base = site.number(0)
    return writes[::-1], base


def _concatenated(site: Site, line: _Line, writes: Sequence[Write], fill: Any) -> Any:
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


def _span(write: Write, line: _Line) -> Interval:
    span = interval(write.index, line.shape, line.axis)
    assert span is not None
    return span


# --- sums of boxes -------------------------------------------------------------------------------


def _sum_of_boxes(site: Site) -> Any:
    """Boxes added to zeros are joined: equal boxes are added, disjoint ones concatenated.

    What is added to another array goes into it box by box, unless boxes are many.
    """
    if not may_have_boxes(site) or feeds_a_sum(site):
        return None
    others, writes = terms_of(site)
    if not writes:
        return None
    merged = _merged(writes)
    one_by_one = bool(others) and (site.inside or len(merged) <= FEW)
    groups, rest = ([], merged) if one_by_one else _groups(merged, site.type.shape)
    terms = [*others, *(_concatenated(site, line, group, 0) for line, group in groups)]
    if not terms:
        first, *rest = rest
        terms = [place(first.value, index=first.index, shape=site.type.shape)]
    total = site.fitted(functools.reduce(operator.add, terms))
    for w in rest:
        total = add_at(total, w.value, index=w.index)
    return total


def may_have_boxes(site: Site) -> bool:
    """Tell whether a term of a sum is a box or a sum, whatever reads it."""
    if site.op is add_at:
        return True
    return any(
        x.shape == site.type.shape and site.made(x, add, add_at, place) is not None
        for x in site.args
    )


def feeds_a_sum(site: Site) -> bool:
    """Tell whether the only reader of a sum is another one, whose terms are then also its."""
    return len(site.readers) == 1 and site.readers[0] in ((add, 0), (add, 1), (add_at, 0))


def terms_of(site: Site) -> tuple[list[Any], list[Write]]:
    """Return the terms of nested sums that are arrays, and those that are boxes, in order."""
    others: list[Any] = []
    writes: list[Write] = []
    pending = _operands(site)
    while pending:
        x = pending.pop()
        if isinstance(x, Write):
            writes.append(x)
            continue
        inner = site.made(x, add, add_at, place) if x.shape == site.type.shape else None
        if inner is None or (inner.op is not place and len(inner.readers) > 1):
            others.append(x)
        else:
            pending.extend(_operands(inner))
    return others, writes


def _operands(site: Site) -> list[Any]:
    """Return the terms of one sum, the first one last."""
    if site.op is add:
        return list(site.args[::-1])
    write = Write(site.args[-1], site.attrs["index"])
    return [write, *site.args[:-1]]


def _merged(writes: Sequence[Write]) -> list[Write]:
    """Add the values that share a box."""
    found: dict[Index, Any] = {}
    for w in writes:
        found[w.index] = found[w.index] + w.value if w.index in found else w.value
    return [Write(value, index) for index, value in found.items()]


def _groups(
    writes: Sequence[Write], shape: Shape
) -> tuple[list[tuple[_Line, list[Write]]], list[Write]]:
    """Part writes into groups of disjoint intervals of a line, as few as can be, and others."""
    axis = best_line([w.index for w in writes], shape)
    line = _Line(shape, axis)
    fitting = [w for w in writes if interval(w.index, shape, axis) is not None]
    groups: list[list[Write]] = []
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


def _update_by_sum(site: Site) -> Any:
    """x[box] = x[box] + v adds v to the box."""
    x, total = site.args
    inner = site.made(total, add, subtract)
    if inner is None or len(inner.readers) > 1 or inner.type.dtype != site.type.dtype:
        return None
    for part, v in (inner.args, inner.args[::-1]):
        read = inner.made(part, getitem)
        if read is not None and same(read.args[0], x) and read.attrs == site.attrs:
            change = v if inner.op is add else -v
            return add_at(x, inner.fitted(change), index=site.attrs["index"])
        if inner.op is subtract:
            break
    return None


# These look at chains of nodes, and so come when the rules for single nodes have nothing to do.
ASSEMBLY = (
    Rule("updates", (update,), _updates),
    Rule("update by sum", (update,), _update_by_sum),
    Rule("sum of boxes", (add, add_at), _sum_of_boxes, "rounding, zero signs", arrays=True),
)
