"""Gradients of stencils: shifted slices added to one array are gathered in one pass over it.

n values that are added to overlapping boxes of an array, one after the other, sweep over it n
times. Here they become one sum: over what the boxes have in common, with the ends apart
(`adgraph.passes.peeling`), or of shifted views of one padded value (`adgraph.passes.padding`) where
the ends would be many. The terms are added in the order of the program.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.dims import upper_bound
from adgraph.ir.graph import Graph
from adgraph.ir.types import Index, Slice
from adgraph.ops.elementwise import add
from adgraph.ops.shape import add_at, concatenate, getitem, place
from adgraph.passes.assembly import Write, feeds_a_sum, may_have_boxes, terms_of
from adgraph.passes.boxes import whole
from adgraph.passes.padding import Term, combination, margins_of, padded
from adgraph.passes.peeling import peeled
from adgraph.passes.rewrite import Hits, Table, rewrite
from adgraph.passes.rules import Rule, Site, literal, same

# In a loop an addition costs no kernel call, and few or small ones stay as they are.
FEWEST, FEWEST_IN_LOOP = 2, 3  # terms that are padded
ELEMENTS, ELEMENTS_IN_LOOP = 2, 256  # of terms that are padded
ELEMENTS_PEELED = 256  # of terms in a loop
FEWEST_ROLLS = 2  # of an array
NARROW = 2  # how often a shift fits into the extent at least


def gather(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace additions to shifted slices of an array by additions of their sums."""
    return rewrite(graph, TABLE, Counter() if hits is None else hits)


def _gather(site: Site) -> Any:
    if not may_have_boxes(site) or feeds_a_sum(site):
        return None
    others, writes = terms_of(site)
    terms = [_term(site, write) for write in writes if _dense(write)]
    if len(terms) < 2:
        return None
    rolls = _rolls(site, terms)
    if rolls:
        rolled = {term.write for roll in rolls for term in roll.terms}
        total = combination([(roll.value, roll.number) for roll in rolls])
        return _total(site, [*others, total], [w for w in writes if w not in rolled])
    sums: list[Write] = []
    used: set[Write] = set()
    for group in _parted(terms, _near):
        for part, made in _joined(site, group):
            sums += made
            used.update(term.write for term in part)
    if not sums:
        return None
    return _total(site, others, [*sums, *(w for w in writes if w not in used)])


def _dense(write: Write) -> bool:
    return all(not isinstance(entry, Slice) or entry.step == 1 for entry in write.index)


def _term(site: Site, write: Write) -> Term:
    return Term(*_multiple(site, write.value), write)


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


def _joined(site: Site, terms: list[Term]) -> Iterator[tuple[list[Term], list[Write]]]:
    """Iterate over terms that are joined, all or those that have more in common, and their sums."""
    if site.inside and _are_columns(terms[0]):
        return
    for alike in (None, _equal_sizes, _same_source):
        parts = [terms] if alike is None else _parted(terms, alike)
        found = [(part, made) for part in parts if (made := _sums(site, part, alike))]
        if found:
            yield from found
            return


def _are_columns(term: Term) -> bool:
    """Tell whether the elements of a box are far apart.

    A loop then runs for a block of them at a time, if it treats all alike: no ends are apart.
    """
    return not isinstance(term.write.index[-1], Slice)


def _sums(site: Site, terms: list[Term], alike: Any) -> list[Write] | None:
    if alike is _same_source:
        return [padded(terms)] if _worth_padding(site, terms) else None
    return peeled(site, terms) if _worth_peeling(site, terms) else None


# --- both parts of a roll -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Roll:
    """Two terms that add all of a multiple of an array, its end in front of its beginning."""

    terms: tuple[Term, Term]
    source: Any
    number: Any
    axis: int

    @property
    def value(self) -> Any:
        """The array, rolled."""
        n, cut = self.source.shape[self.axis], int(self.terms[0].slices[self.axis].size)
        parts = _box(self.source, self.axis, n - cut, cut), _box(self.source, self.axis, 0, n - cut)
        return concatenate(*(getitem(self.source, index=i) for i in parts), axis=self.axis)


def _rolls(site: Site, terms: Sequence[Term]) -> list[_Roll]:
    """Return pairs of terms that come from gradients of `np.roll`, several of each array."""
    if site.type.ragged or site.type.size < ELEMENTS_PEELED:
        return []
    found = list(_pairs(site, terms))
    return [r for r in found if sum(same(r.source, x.source) for x in found) >= FEWEST_ROLLS]


def _pairs(site: Site, terms: Sequence[Term]) -> Iterator[_Roll]:
    parts: dict[tuple[Any, ...], Term] = {}
    arrays: dict[int, Any] = {}
    for term in terms:
        read = site.made(term.source, getitem)
        if read is not None and read.args[0].shape == site.type.shape:
            array = id(read.args[0].cell.value)
            arrays[array] = read.args[0]
            parts[array, term.number, read.attrs["index"], term.write.index] = term
    for (array, number, read_at, index), term in parts.items():
        for axis, n in enumerate(site.type.shape):
            cut = index[axis].size if isinstance(index[axis], Slice) else n
            if not 0 < cut < n:
                continue
            beginning, back = (_box(arrays[array], axis, at, n - cut) for at in (0, cut))
            other = parts.get((array, number, beginning, back))
            end, front = (_box(arrays[array], axis, at, cut) for at in (n - cut, 0))
            if other is not None and (read_at, index) == (end, front):
                source, factor = _multiple(site, arrays[array])
                yield _Roll((term, other), source, factor * number, axis)


def _box(x: Any, axis: int, start: int, size: int) -> Index:
    """Return the index of positions of one axis."""
    sides = [Slice(0, n, 1) for n in x.shape]
    sides[axis] = Slice(start, size, 1)
    return tuple(sides)


def _parted(terms: Sequence[Term], alike: Callable[[Term, Term], bool]) -> list[list[Term]]:
    """Part terms into lists of those that are like the first of the list."""
    parts: list[list[Term]] = []
    for term in terms:
        part = next((p for p in parts if alike(p[0], term)), None)
        if part is None:
            parts.append([term])
        else:
            part.append(term)
    return parts


def _near(a: Term, b: Term) -> bool:
    """Tell whether two boxes differ by numbers only, and are about as large as each other."""
    return all(map(_near_axis, a.write.index, b.write.index))


def _near_axis(a: Any, b: Any) -> bool:
    if not isinstance(a, Slice) or not isinstance(b, Slice):
        return bool(a == b)
    if not isinstance(a.start - b.start, int) or not isinstance(a.size - b.size, int):
        return False
    smaller, larger = sorted((upper_bound(a.size) or 0, upper_bound(b.size) or 0))
    return NARROW * smaller >= larger


def _equal_sizes(a: Term, b: Term) -> bool:
    return [s.size for s in a.slices] == [s.size for s in b.slices]


def _same_source(a: Term, b: Term) -> bool:
    return same(a.source, b.source) and _equal_sizes(a, b)


def _elements(terms: Sequence[Term]) -> int:
    return math.prod(upper_bound(s.size) or 0 for s in terms[0].slices)


def _worth_peeling(site: Site, terms: Sequence[Term]) -> bool:
    fewest = ELEMENTS_PEELED if site.inside else ELEMENTS
    return len(terms) > 1 and _elements(terms) >= fewest


def _worth_padding(site: Site, terms: Sequence[Term]) -> bool:
    fewest = FEWEST_IN_LOOP if site.inside else FEWEST
    elements = ELEMENTS_IN_LOOP if site.inside else ELEMENTS
    if len(terms) < fewest or _elements(terms) < elements:
        return False
    sizes = [upper_bound(s.size) or 0 for s in terms[0].slices]
    return all(NARROW * d <= n for d, n in zip(margins_of(terms), sizes, strict=True))


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


TABLE = Table((Rule("stencil", (add, add_at), _gather, "rounding, zero signs", arrays=True),))
