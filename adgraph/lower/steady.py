"""Elements that all trips of a loop read are read once, before it.

LLVM does this by itself, except behind a check that may end a trip: there it does not know that
the element exists. It does: a place that does not change within the loop was shown to be in its
array when the program was traced, or was checked outside. Begin with `without_steady_loads`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from adgraph.lower.nest import Access, Let, Load, Range, Remark, Set, Start, Statement, Stop, Store
from adgraph.lower.recurrent import set_by

_NAME = re.compile(r"[A-Za-z_]\w*")


def without_steady_loads(loop: Range) -> tuple[tuple[Load, ...], Range]:
    """Return what every trip of a loop reads alike after a check, and the loop without that."""
    if not all(isinstance(s, (Load, Let, Set, Start, Store, Stop, Remark)) for s in loop.body):
        return (), loop
    checks = [i for i, s in enumerate(loop.body) if isinstance(s, Stop)]
    steady = tuple(_steady(loop, loop.body[checks[0] :])) if checks else ()
    rest = tuple(s for s in loop.body if s not in steady)
    return steady, replace(loop, body=rest)


def _steady(loop: Range, checked: Sequence[Statement]) -> Iterator[Load]:
    """The loads behind a check, of places and arrays that the loop does not change."""
    given = {loop.index}.union(*map(set_by, loop.body))
    stored = {s.access.pointer for s in loop.body if isinstance(s, Store)}
    for statement in checked:
        if isinstance(statement, Load) and statement.access.pointer not in stored:
            if given.isdisjoint(_names(statement.access)):
                yield statement


def _names(access: Access) -> Iterator[str]:
    """The variables that tell where an element is."""
    for text in (access.offset.text, *(part for term in access.terms for part in term)):
        yield from _NAME.findall(text)
