"""One sum over what boxes have in common, and additions of the thin ends that stick out of it.

Values added to boxes that overlap but for their ends are added up in one pass over the
intersection; the ends follow, box by box. Nothing is padded, and what is cheap to compute from
views is computed where it is added: the gradient of `sum((x[1:] - x[:-1]) ** 2)` then reads `x`
and writes the result, each once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from adgraph.ir.code import Expression
from adgraph.ir.dims import Dim, upper_bound
from adgraph.ir.op import Kind
from adgraph.ir.types import Index, Slice
from adgraph.ops.shape import getitem
from adgraph.passes.assembly import Write
from adgraph.passes.padding import Term, combination
from adgraph.passes.rewrite import Site, literal, same

MOST_ENDS = 8  # each is a loop of its own to compile
NARROW = 2  # all ends together have this many times fewer elements than the intersection
MOST_WEIGHT = 4.0  # additions an element: what storing and reading it costs
MOST_OPERANDS = 3  # arrays that are read to compute an element again
MOST_WEIGHT_ONCE, MOST_OPERANDS_ONCE = 24.0, 8  # the same for what one term alone reads

Sides = tuple[Slice, ...]  # of a box, without the axes on which it has one position


def peeled(site: Site, terms: Sequence[Term]) -> list[Write] | None:
    """Return the additions in place of those of terms, None if the ends are too many or too wide.

    The boxes of the terms have starts and extents that differ by numbers.
    """
    boxes = [tuple(term.slices) for term in terms]
    common = tuple(map(_intersection, zip(*boxes, strict=True)))
    ends = [(term, end) for term in terms for end in _ends(tuple(term.slices), common)]
    wide = NARROW * sum(_most(end) for _, end in ends) > _most(common)
    if len(ends) > MOST_ENDS or wide:
        return None
    return [_sum(site, terms, common), *(_sum(site, [term], end) for term, end in ends)]


def _sum(site: Site, terms: Sequence[Term], box: Sides) -> Write:
    """Return the sum of what terms add to a box."""
    sides = iter(box)
    target = tuple(next(sides) if isinstance(e, Slice) else e for e in terms[0].write.index)
    parts = []
    for term in terms:
        once = sum(same(term.source, other.source) for other in terms) == 1
        index = _inside(term.slices, box)
        parts.append((_part(site, term.source, index, once=once), term.number))
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


def _part(site: Site, value: Any, index: Index, *, once: bool) -> Any:
    """Return a part of a value: computed anew if that is cheap, else a view."""
    weight, operands = _cost(site, value)
    most = (MOST_WEIGHT_ONCE, MOST_OPERANDS_ONCE) if once else (MOST_WEIGHT, MOST_OPERANDS)
    if weight > most[0] or operands > most[1]:
        return getitem(value, index=index)
    return _computed(site, value, index)


def _computed(site: Site, value: Any, index: Index) -> Any:
    made = site.made(value, Kind.ELEMENTWISE)
    if made is None:
        lead = len(index) - value.ndim
        extents = zip(value.shape, index[lead:], strict=True)
        return getitem(value, index=tuple(Slice(0, 1, 1) if n == 1 else i for n, i in extents))
    return made.op(*(_computed(site, x, index) for x in made.args), **made.attrs)


def _cost(site: Site, value: Any) -> tuple[float, int]:
    """Return the weight of an element's computation from arrays in memory, and their number."""
    made = site.made(value, Kind.ELEMENTWISE)
    if made is None:
        return 0.0, 0 if literal(value) is not None else 1
    code = made.op.code
    weight, operands = code.weight if isinstance(code, Expression) else math.inf, 0
    for x in made.args:
        if weight <= MOST_WEIGHT_ONCE and operands <= MOST_OPERANDS_ONCE:
            more = _cost(site, x)
            weight, operands = weight + more[0], operands + more[1]
    return weight, operands
