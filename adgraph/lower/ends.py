"""Have a nest over rows treat the ends of these rows as well, each row in its turn.

The adjoint of a stencil writes the inner part of an array in one nest, and the ends of its rows in
others, which would walk the array again, a cache line for an element. They join the nest over the
rows if what they access of different rows is apart, and pass nests between that access other
elements. Begin with `joins_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from adgraph.ir.dims import Dim, nonnegative
from adgraph.lower.nest import Access, Let, Load, Loop, Remark, Sizes, Statement, Store

ENDS = 4  # the most elements of a row that are its ends


def joins_rows(result: list[Statement], nest: Loop, sizes: Sizes) -> bool:
    """Add a nest to an earlier one over the same rows if one of them treats only their ends.

    `result` are the statements before it; tell whether the nest is among them now.
    """
    if not _is_simple(nest):
        return False
    for at in reversed(range(len(result))):
        earlier = result[at]
        if isinstance(earlier, Remark):
            continue
        if not isinstance(earlier, Loop) or not _is_simple(earlier):
            return False
        if _share_rows(earlier, nest, sizes):
            result[at] = replace(earlier, body=(*earlier.body, *nest.body))
            return True
        if not _apart(_reaches(earlier, sizes), _reaches(nest, sizes), _disjoint):
            return False
    return False


def computes(statement: Statement) -> bool:
    """Tell whether a statement gives a new scalar: a fold goes on with an old one."""
    return isinstance(statement, Let) and statement.name not in statement.operands


def known_number(text: str, sizes: Sizes) -> int | None:
    """Return the value of a printed integer, if it is a literal or a parameter."""
    sign, name = (-1, text[1:]) if text.startswith("-") else (1, text)
    value = int(name) if name.isdigit() else sizes.values.get(name)
    return None if value is None else sign * value


def _is_simple(loop: Loop) -> bool:
    """Whether a nest only loads, computes and stores, at whatever depth, and folds nothing."""
    if loop.blocked or loop.before or loop.after:
        return False
    return all(
        _is_simple(s)
        if isinstance(s, Loop)
        else isinstance(s, (Load, Store, Remark)) or computes(s)
        for s in loop.body
    )


def _share_rows(one: Loop, other: Loop, sizes: Sizes) -> bool:
    """Whether nests have the same rows, one only their ends, and touch no other row's elements."""
    if (one.index, one.extent) != (other.index, other.extent):
        return False
    lengths = [_row_length(loop.body, sizes) for loop in (one, other)]
    if min(lengths) > ENDS or max(lengths) <= ENDS:
        return False
    return _apart(_reaches(one, sizes), _reaches(other, sizes), _rows_disjoint)


def _row_length(body: Iterable[Statement], sizes: Sizes) -> float:
    """Count the elements that the statements in a row treat."""
    inner = [s for s in body if isinstance(s, Loop)]
    lengths = [_extent(s, sizes) * _row_length(s.body, sizes) for s in inner]
    return sum(lengths) if inner else 1


def _extent(loop: Loop, sizes: Sizes) -> float:
    extent = known_number(loop.extent, sizes)
    return math.inf if extent is None else extent


# --- what nests access ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reach:
    """The elements from `low` to `high`, and `step` further in every next one of `rows`."""

    pointer: str
    stored: bool
    step: int
    rows: int
    low: Dim
    high: Dim

    def ends(self) -> tuple[Dim, Dim]:
        """Return the first and the last element in whichever row."""
        way = self.step * max(self.rows - 1, 0)
        return self.low + min(way, 0), self.high + max(way, 0)


def _reaches(nest: Loop, sizes: Sizes) -> list[_Reach] | None:
    """Return what a nest accesses; None if that is not known in numbers."""
    rows = known_number(nest.extent, sizes)
    found = []
    for access, stored, extents in _accesses(nest, {}):
        step = 0
        low: Dim = access.offset.dim
        high: Dim = access.offset.dim
        for index, text in access.terms:
            stride, extent = known_number(text, sizes), known_number(extents[index], sizes)
            if stride is None or extent is None:
                return None
            if index == nest.index:
                step = stride
                continue
            way = stride * max(extent - 1, 0)
            low, high = low + min(way, 0), high + max(way, 0)
        if rows is None:
            return None
        found.append(_Reach(access.pointer, stored, step, rows, low, high))
    return found


def _accesses(loop: Loop, around: dict[str, str]) -> Iterator[tuple[Access, bool, dict[str, str]]]:
    """The elements that a nest reads and writes, whether each is written, the loops around it."""
    extents = {**around, loop.index: loop.extent}
    for statement in loop.body:
        match statement:
            case Loop():
                yield from _accesses(statement, extents)
            case Load(access=access):
                yield access, False, extents
            case Store(access=access):
                yield access, True, extents


def _apart(
    one: list[_Reach] | None, other: list[_Reach] | None, test: Callable[[_Reach, _Reach], bool]
) -> bool:
    """Whether all that two nests access of one array, one of them to write, passes a test."""
    if one is None or other is None:
        return False
    pairs = ((a, b) for a in one for b in other if a.pointer == b.pointer)
    return all(test(a, b) for a, b in pairs if a.stored or b.stored)


def _disjoint(a: _Reach, b: _Reach) -> bool:
    """Whether two accesses have no element in common."""
    (low_a, high_a), (low_b, high_b) = a.ends(), b.ends()
    return nonnegative(low_b - high_a - 1) or nonnegative(low_a - high_b - 1)


def _rows_disjoint(a: _Reach, b: _Reach) -> bool:
    """Whether an element that one has in a row is none that the other has in another row."""
    if a.step != b.step or not a.step:
        return False
    room = abs(a.step) - 1
    return nonnegative(room - (b.high - a.low)) and nonnegative(room - (a.high - b.low))
