"""Short rows that a loop changes in every trip, kept in registers until it is over.

Where a loop holds one short vector loop that changes the same elements in each of its trips - a sum
over rows, which is a row - these are read before it and written after it. Memory would have to hand
every row on from a store to the next load, and a masked store hands on nothing. Begin with
`kept_rows`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adgraph.lower.kernel_types import assignments
from adgraph.lower.vector_loops import VectorLoop


@dataclass
class KeptRows:
    """The vectors on the stack, which LLVM puts into registers, of each element that is kept."""

    inner: ast.For
    places: tuple[ast.Subscript, ...]
    slots: dict[str, list[str]] = field(default_factory=dict)

    @property
    def pointers(self) -> set[str]:
        """The names of the pointers to what is kept."""
        return {place.value.id for place in self.places if isinstance(place.value, ast.Name)}

    def slot(self, place: ast.Subscript, number: int) -> str | None:
        """Return where a vector of a row is kept, None if it is not."""
        slots = self.slots.get(key(place))
        return None if slots is None else slots[number]


def kept_rows(loop: ast.For, loops: Mapping[ast.For, VectorLoop]) -> KeptRows | None:
    """Return what a loop around a vector loop can keep, None if that is nothing."""
    inner = [s for s in loop.body if not isinstance(s, ast.Assign)]
    if len(inner) != 1 or not isinstance(inner[0], ast.For) or inner[0] not in loops:
        return None
    facts = loops[inner[0]]
    changing = {name for name, _ in assignments([loop])} - {facts.index}
    places = tuple(
        place
        for pointer in sorted(facts.stored)
        if (place := _only_place(loop, pointer)) is not None
        and facts.is_near(place)
        and not _names(place) & changing
    )
    return KeptRows(inner[0], places) if places else None


def key(place: ast.Subscript) -> str:
    """Return what tells an element of a kernel's text from others."""
    assert isinstance(place.value, ast.Name)
    return f"{place.value.id}[{ast.dump(place.slice)}]"


def _only_place(loop: ast.For, pointer: str) -> ast.Subscript | None:
    """Return the element of a pointer that a loop reads and writes, if it is always the same."""
    uses = list(_uses(loop, pointer))
    is_read = any(isinstance(place.ctx, ast.Load) for place in uses)
    return uses[0] if is_read and len(set(map(key, uses))) == 1 else None


def _uses(loop: ast.For, pointer: str) -> Iterator[ast.Subscript]:
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id == pointer:
                yield node


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
