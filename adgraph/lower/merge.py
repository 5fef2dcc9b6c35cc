"""Run neighbouring nests as one where each element is treated as before.

Two nests over the same extents become one if every pair of accesses to one pointer, at least one
of them a store, is either to the same element in the same iteration, or to elements that no two
iterations have in common. Nests over the ends of rows join those over the rows themselves
(`adgraph.lower.ends`). Begin with `merged`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from adgraph.ir.dims import Dim, nonnegative
from adgraph.lower.ends import computes, joins_rows, known_number
from adgraph.lower.nest import Access, Load, Loop, Remark, Sizes, Statement, Store

MOST_ARRAYS = 16  # more streams than this are too many for the registers of one loop,
MOST_WITH_ONE_MORE = 20  # unless a nest shares all of its arrays but one with the other


def merged(statements: Iterable[Statement], sizes: Sizes) -> tuple[Statement, ...]:
    """Merge the neighbouring nests in a sequence of statements."""
    result: list[Statement] = []
    remarks: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Remark):
            remarks.append(statement)
            continue
        joined = None
        if result and isinstance(statement, Loop) and isinstance(last := result[-1], Loop):
            joined = _joined(last, statement, tuple(remarks), sizes)
        if joined is not None:
            result[-1] = joined
        elif not (isinstance(statement, Loop) and joins_rows(result, statement, sizes)):
            result += [*remarks, statement]
        remarks = []
    return (*result, *remarks)


def _joined(first: Loop, second: Loop, between: tuple[Statement, ...], sizes: Sizes) -> Loop | None:
    """Return two nests as one, or None."""
    if not (_plain(first) and _plain(second)) or _loops(first) != _loops(second):
        return None
    one, other = list(_accesses(first)), list(_accesses(second))
    if not _fit_together({a.pointer for a, _ in one}, {a.pointer for a, _ in other}):
        return None
    loops = dict(_loops(first))
    for a, a_stored in one:
        for b, b_stored in other:
            if a.pointer == b.pointer and (a_stored or b_stored):
                if not (_same_iteration(a, b, loops) or _apart(a, b, loops, sizes)):
                    return None
    return _concatenated(first, second, between)


def _fit_together(one: set[str], other: set[str]) -> bool:
    """Whether a loop over the arrays of both is better than two: what they share is read once."""
    most = MOST_WITH_ONE_MORE if min(len(one - other), len(other - one)) <= 1 else MOST_ARRAYS
    return len(one | other) <= most


def _plain(loop: Loop) -> bool:
    """Whether a nest only loads, computes and stores in its innermost loop, and folds nothing."""
    if loop.blocked or loop.before or loop.after:
        return False
    inner = [s for s in loop.body if isinstance(s, Loop)]
    if inner:
        return len(loop.body) == 1 and _plain(inner[0])
    return all(isinstance(s, (Load, Store, Remark)) or computes(s) for s in loop.body)


def _loops(loop: Loop) -> tuple[tuple[str, str], ...]:
    """The indices and extents of a nest, from the outermost."""
    inner = loop.body[0] if loop.body else None
    return ((loop.index, loop.extent), *(_loops(inner) if isinstance(inner, Loop) else ()))


def _accesses(loop: Loop) -> Iterator[tuple[Access, bool]]:
    """The elements that a nest reads and writes, and whether each is written."""
    for statement in loop.body:
        match statement:
            case Loop():
                yield from _accesses(statement)
            case Load(access=access):
                yield access, False
            case Store(access=access):
                yield access, True


def _same_iteration(a: Access, b: Access, loops: dict[str, str]) -> bool:
    """Whether two accesses are to one element, and another one in every iteration."""
    same = a.terms == b.terms and a.offset.dim == b.offset.dim
    return same and {index for index, _ in a.terms} == set(loops)


def _apart(a: Access, b: Access, loops: dict[str, str], sizes: Sizes) -> bool:
    """Whether no element is accessed by both, in whatever iterations."""
    if a.terms != b.terms:
        return False
    strides = {index: known_number(stride, sizes) for index, stride in a.terms}
    if None in strides.values():
        return False
    distance: Dim = a.offset.dim - b.offset.dim
    steps = [s for s in strides.values() if s is not None]
    if isinstance(distance, int) and distance % (math.gcd(*steps) or 1):
        return True
    span = 0
    for index, step in strides.items():
        extent = known_number(loops[index], sizes)
        if extent is None or step is None:
            return False
        span += abs(step) * max(extent - 1, 0)
    return nonnegative(distance - span - 1) or nonnegative(-distance - span - 1)


def _concatenated(first: Loop, second: Loop, between: tuple[Statement, ...]) -> Loop:
    inner, other = first.body[0], second.body[0]
    if isinstance(inner, Loop) and isinstance(other, Loop):
        return replace(first, body=(_concatenated(inner, other, between),))
    return replace(first, body=(*first.body, *between, *second.body))
