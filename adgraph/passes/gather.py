"""Gradients of stencils: shifted slices added to one array are gathered in one pass over it.

n slices of one value, or of multiples of it, that are added one after the other sweep over the
array n times. Here the value is put into zeros once, with a margin as wide as the shifts, and the
array receives one sum of shifted views of that. Five points on 512 by 512 elements then take 130 us
and not 230 us (64 by 64: 2.0 us and 2.5 us).
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.dims import upper_bound
from adgraph.ir.graph import Graph
from adgraph.ir.types import Index, Slice
from adgraph.ops.elementwise import add
from adgraph.ops.shape import add_at, getitem, place
from adgraph.passes.assembly import Write, feeds_a_sum, terms_of
from adgraph.passes.boxes import whole
from adgraph.passes.rewrite import Hits, Rule, Site, Table, literal, rewrite, same
from adgraph.tracing.tracer import as_tracer

# In a loop an addition costs no kernel call, and few or small ones stay as they are.
FEWEST, FEWEST_IN_LOOP = 2, 3
ELEMENTS, ELEMENTS_IN_LOOP = 2, 4096
NARROW = 2  # how often a shift fits into the extent at least


@dataclass(frozen=True)
class _Term:
    """A value, times a number, that is added to a box."""

    source: Any
    number: Any
    write: Write

    @property
    def starts(self) -> list[Any]:
        """The first position of the box on every axis along which it extends."""
        return [s.start for s in self.slices]

    @property
    def slices(self) -> list[Slice]:
        """The entries of the index that are slices."""
        return [entry for entry in self.write.index if isinstance(entry, Slice)]


def gather(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace additions of shifted slices of one value by one addition of their sum."""
    return rewrite(graph, TABLE, Counter() if hits is None else hits)


def _gather(site: Site) -> Any:
    if feeds_a_sum(site):
        return None
    others, writes = terms_of(site)
    groups = [group for group in _groups(site, writes) if _worth(site, group)]
    if not groups:
        return None
    used = {id(term.write) for group in groups for term in group}
    sums = [_sum(group) for group in groups]
    return _total(site, others, [*sums, *(w for w in writes if id(w) not in used)])


def _groups(site: Site, writes: Sequence[Write]) -> list[list[_Term]]:
    """Part the boxes into those that hold multiples of one value and are shifted by numbers."""
    groups: list[list[_Term]] = []
    for write in writes:
        if any(isinstance(entry, Slice) and entry.step != 1 for entry in write.index):
            continue
        term = _Term(*_multiple(site, write.value), write)
        group = next((g for g in groups if _shifted(g[0], term)), None)
        if group is None:
            groups.append([term])
        else:
            group.append(term)
    return groups


def _multiple(site: Site, value: Any) -> tuple[Any, Any]:
    """Return what a value is a finite multiple of, and the number."""
    if (inner := site.made(value, np.negative)) is not None:
        source, number = _multiple(site, inner.args[0])
        return source, -number
    if (inner := site.made(value, np.multiply)) is not None:
        for factor, rest in (inner.args, inner.args[::-1]):
            known = literal(factor)
            if known is not None and np.isfinite(known) and rest.shape == value.shape:
                source, number = _multiple(site, rest)
                return source, number * known
    return value, site.type.dtype.type(1)


def _shifted(a: _Term, b: _Term) -> bool:
    """Tell whether two boxes hold one value and differ in their slices' starts, by numbers."""
    pairs = list(zip(a.write.index, b.write.index, strict=True))
    return same(a.source, b.source) and all(map(_shifted_axis, pairs))


def _shifted_axis(pair: tuple[Any, Any]) -> bool:
    a, b = pair
    if not isinstance(a, Slice) or not isinstance(b, Slice):
        return bool(a == b)
    return a.size == b.size and isinstance(a.start - b.start, int)


def _worth(site: Site, group: Sequence[_Term]) -> bool:
    fewest = FEWEST_IN_LOOP if site.inside else FEWEST
    elements = ELEMENTS_IN_LOOP if site.inside else ELEMENTS
    sizes = [upper_bound(s.size) or 0 for s in group[0].slices]
    narrow = all(NARROW * d <= n for d, n in zip(_margins(group), sizes, strict=True))
    return len(group) >= fewest and math.prod(sizes) >= elements and narrow


def _shifts(group: Sequence[_Term]) -> Iterator[list[int]]:
    """Iterate over the axes; give how far each term is from the lowest one."""
    for starts in zip(*(term.starts for term in group), strict=True):
        from_first = [start - starts[0] for start in starts]
        yield [d - min(from_first) for d in from_first]


def _margins(group: Sequence[_Term]) -> list[int]:
    return [max(shifts) for shifts in _shifts(group)]


def _sum(group: Sequence[_Term]) -> Write:
    """Return the sum of shifted terms, and the box that holds them all."""
    margins, sizes = _margins(group), [s.size for s in group[0].slices]
    middle = tuple(Slice(d, n, 1) for d, n in zip(margins, sizes, strict=True))
    shape = tuple(n + 2 * d for d, n in zip(margins, sizes, strict=True))
    padded = place(group[0].source, index=middle, shape=shape)
    sums: dict[Any, Any] = {}
    for term, shifts in zip(group, zip(*_shifts(group), strict=True), strict=True):
        extents = zip(shifts, margins, sizes, strict=True)
        view = getitem(padded, index=tuple(Slice(m - d, n + m, 1) for d, m, n in extents))
        sums[term.number] = sums[term.number] + view if term.number in sums else view
    terms = [_scaled(total, number) for number, total in sums.items()]
    return Write(functools.reduce(operator.add, terms), _hull(group))


def _scaled(x: Any, number: Any) -> Any:
    return x if number == 1 else x * as_tracer(np.asarray(number))


def _hull(group: Sequence[_Term]) -> Index:
    """Return the smallest box around the boxes of all terms."""
    pairs = zip(group[0].starts, _shifts(group), strict=True)
    lows = iter([start - shifts[0] for start, shifts in pairs])
    margins = iter(_margins(group))
    return tuple(
        Slice(next(lows), entry.size + next(margins), 1) if isinstance(entry, Slice) else entry
        for entry in group[0].write.index
    )


def _total(site: Site, others: Sequence[Any], writes: Sequence[Write]) -> Any:
    """Add boxes to the sum of other terms, one after the other."""
    shape = site.type.shape
    everywhere = [np.reshape(w.value, shape) for w in writes if whole(w.index, shape)]
    boxes = [w for w in writes if not whole(w.index, shape)]
    terms = [*others, *everywhere]
    if not terms:
        first, *boxes = boxes
        terms = [place(first.value, index=first.index, shape=shape)]
    total = site.fitted(functools.reduce(operator.add, terms))
    for w in boxes:
        total = add_at(total, w.value, index=w.index)
    return total


TABLE = Table((Rule("stencil", (add, add_at), _gather, accepted="rounding, zero signs"),))
