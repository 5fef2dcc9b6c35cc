"""One sum over what boxes have in common, and additions of the thin ends that stick out of it.

Values added to boxes that overlap but for their ends are added up in one pass over the
intersection; the ends follow, box by box. Nothing is padded, and what is cheap to compute from
views is computed where it is added: the gradient of `sum((x[1:] - x[:-1]) ** 2)` then reads `x`
and writes the result, each once.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from typing import Any

from adgraph.ir.dims import Dim, upper_bound
from adgraph.ir.graph import Value
from adgraph.ir.op import Kind
from adgraph.ir.types import Index, Slice
from adgraph.ops.shape import getitem
from adgraph.passes.assembly import Write
from adgraph.passes.padding import Term, combination
from adgraph.passes.rules import Site
from adgraph.passes.shifts import stored
from adgraph.tracing.tracer import read
from adgraph.tracing.views import compose_index

MOST_ENDS = 8  # each is a loop of its own to compile
NARROW = 2  # all ends together have this many times fewer elements than the intersection

Sides = tuple[Slice, ...]  # of a box, without the axes on which it has one position


def peeled(site: Site, terms: Sequence[Term]) -> list[Write] | None:
    """Return the additions in place of those of terms, None if the ends are too many or too wide.

    The boxes of the terms have starts and extents that differ by numbers.
    """
    boxes = [tuple(term.slices) for term in terms]
    common = tuple(map(_intersection, zip(*boxes, strict=True)))
    ends: dict[Sides, list[Term]] = {}
    for term in terms:
        for end in _ends(tuple(term.slices), common):
            ends.setdefault(end, []).append(term)
    wide = NARROW * sum(map(_most, ends)) > _most(common)
    if len(ends) > MOST_ENDS or wide:
        return None
    kept = stored(site, [(term.source, _inside(term.slices, common)) for term in terms])
    parts = {common: terms, **ends}
    return [_sum(site, part, box, kept) for box, part in parts.items()]


def _sum(site: Site, terms: Sequence[Term], box: Sides, kept: Container[Value]) -> Write:
    """Return the sum of what terms add to a box."""
    sides = iter(box)
    target = tuple(next(sides) if isinstance(e, Slice) else e for e in terms[0].write.index)
    parts = [
        (_part(site, term.source, _inside(term.slices, box), kept), term.number) for term in terms
    ]
    return Write(combination(parts), target)


# --- boxes ----------------------------------------------------------------------------------------


def _stop(side: Slice) -> Dim:
    return side.start + side.size


def _intersection(sides: Sequence[Slice]) -> Slice:
    """Intersect intervals that differ by numbers."""
    first = sides[0]
    low = max(s.start - first.start for s in sides)
    high = min(_stop(s) - _stop(first) for s in sides)
    return Slice(first.start + low, first.size + high - low, 1)


def _ends(box: Sides, inner: Sides) -> Iterator[Sides]:
    """Cut what a box has outside of an inner one into boxes."""
    for axis, (own, middle) in enumerate(zip(box, inner, strict=True)):
        before, rest = inner[:axis], box[axis + 1 :]
        low, high = middle.start - own.start, _stop(own) - _stop(middle)
        if low:
            yield (*before, Slice(own.start, low, 1), *rest)
        if high:
            yield (*before, Slice(_stop(middle), high, 1), *rest)


def _inside(outer: Sequence[Slice], box: Sides) -> Sides:
    """Return the part of a value over `outer` that lies in a box."""
    return tuple(Slice(b.start - a.start, b.size, 1) for a, b in zip(outer, box, strict=True))


def _most(box: Sides) -> int:
    """Return how many elements a box has at most; a box may turn out to be empty."""
    return math.prod(max(upper_bound(side.size) or 0, 0) for side in box)


# --- parts of values ------------------------------------------------------------------------------


def _part(site: Site, value: Any, index: Index, kept: Container[Value]) -> Any:
    """Return a part of a value: a view of what is kept, computed anew from there on."""
    made = None if read(value) in kept else site.made(value, Kind.ELEMENTWISE)
    if made is not None:
        return made.op(*(_part(site, x, index, kept) for x in made.args), **made.attrs)
    extents = zip(value.shape, index[len(index) - value.ndim :], strict=True)
    box: Index = tuple(Slice(0, 1, 1) if n == 1 else i for n, i in extents)
    view = site.made(value, getitem)
    if view is None:
        return getitem(value, index=box)
    return getitem(view.args[0], index=compose_index(view.attrs["index"], box))
