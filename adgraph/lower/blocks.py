"""Loops of the user that follow each other, run for one block of columns after the other.

A column is an iteration of the nests in the loops. If columns are independent through the whole of
several loops, the second loop can begin with a block of columns as soon as the first one is through
with these. What one hands over to the other, such as a tape, then stays in the cache, and is only
as large as a block. Begin with `in_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from adgraph.ir.dims import Affine, Dim, Symbol, make
from adgraph.ir.substitute import symbols_of
from adgraph.lower.dependence import Touch, accesses, independent, number_of, touches
from adgraph.lower.nest import (
    Access,
    Let,
    Load,
    Loop,
    Offset,
    Range,
    Remark,
    Set,
    Start,
    Statement,
    Store,
)
from adgraph.lower.recurrent import read_by, set_by
from adgraph.lower.storage import Kernel, Slot

CACHE = 2**20  # bytes of what a block of columns hands over
NARROWEST, WIDEST = 64, 2048  # columns of a block
COLUMNS = 16  # the same where they are far apart
FEWEST = 2  # blocks that are worth it

_SCALAR = (Load, Let, Remark)
_SEEN = (*_SCALAR, Loop, Range, Store, Set, Start)  # all whose accesses are known


def in_blocks(statements: Sequence[Statement], kernel: Kernel) -> tuple[Statement, ...] | None:
    """Return the statements of a kernel with loops joined that hand arrays over, if there are any.

    Scratch that only these loops use becomes as small as a block.
    """
    for run in _runs(statements):
        before, inside = statements[: run.start], statements[run.start : run.stop]
        after = statements[run.stop :]
        joined = _joined(inside, (*before, *after), kernel)
        if joined is not None:
            return (*before, joined, *after)
    return None


def _runs(statements: Sequence[Statement]) -> Iterator[range]:
    """Neighbouring statements with several loops, all of whose nests have the same extent."""
    start, extent = 0, ""
    for i, statement in enumerate((*statements, None)):
        found = None if statement is None else _extent(statement)
        if found is not None and (not found or not extent or found == extent):
            extent = found or extent
            continue
        if sum(isinstance(s, Range) for s in statements[start:i]) > 1:
            yield range(start, i)
        start, extent = (i, found) if found else (i + 1, "")


def _extent(statement: Statement) -> str | None:
    """The extent of the nests in a statement, None if it cannot run for a part of them."""
    match statement:
        case Remark():
            return ""
        case Loop(extent=extent):
            return extent if _is_plain(statement) else None
        case Range(body=body):
            flat = [t for s in body for t in (s.body if isinstance(s, Loop) else (s,))]
            found = {s.extent for s in body if isinstance(s, Loop)}
            plain = all(map(_is_plain, body)) and not _carries(flat)
            return found.pop() if plain and len(found) == 1 else None
        case _:
            return None


def _is_plain(statement: Statement) -> bool:
    """Whether a statement is scalar, or a nest of one loop around scalar ones without folds."""
    if not isinstance(statement, Loop):
        return isinstance(statement, _SCALAR)
    if statement.before or statement.after or statement.blocked or _carries(statement.body):
        return False
    return all(isinstance(s, (*_SCALAR, Store)) for s in statement.body)


def _carries(body: Iterable[Statement]) -> bool:
    """Whether a variable goes from one run of statements to the next."""
    body = list(body)
    assigned = {name for s in body for name in set_by(s)}
    known: set[str] = set()
    for statement in body:
        if any(name in assigned and name not in known for name in read_by(statement)):
            return True
        known.update(set_by(statement))
    return False


# --- the joined loops -----------------------------------------------------------------------------


def _joined(
    inside: Sequence[Statement], outside: Sequence[Statement], kernel: Kernel
) -> Range | None:
    """The loop over blocks that takes the place of some statements, if it is one and pays."""
    (extent,) = {e for s in inside if (e := _extent(s))}
    count = number_of(extent, kernel.names.sizes)
    if count is None or not all(map(_is_seen, outside)):
        return None
    column = Symbol("column", 0, count - 1)
    if not independent(_touches(inside, kernel, column), column):
        return None
    used = {access.pointer for access, _ in accesses(outside)}
    local = [s for s in kernel.slots if s.pointer not in used and _is_local(s, inside, count)]
    columns = _width(local, inside, count)
    if not local or count < FEWEST * columns:
        return None
    for slot in local:
        slot.size = slot.size // count * columns
    start, end = kernel.names.scalar(), kernel.names.scalar()
    block = _Block(kernel, start, end, columns, count, frozenset(s.pointer for s in local))
    last = Set(end, f"min({start} + {columns}, {extent})")
    return Range(start, "0", extent, str(columns), (last, *map(block.statement, inside)))


def _width(local: Sequence[Slot], inside: Sequence[Statement], count: int) -> int:
    """The number of columns for which what is handed over stays in the cache."""
    strides = {stride for access, _ in accesses(inside) for _, stride in access.terms}
    if strides != {"1"}:
        return COLUMNS
    handed = sum(slot.size // count * slot.dtype.itemsize for slot in local)
    fitting: int = 2 ** (max(CACHE // max(handed, 1), 1).bit_length() - 1)
    return max(NARROWEST, min(WIDEST, fitting))


def _is_seen(statement: Statement) -> bool:
    """Whether all that a statement accesses is known."""
    inner = statement.body if isinstance(statement, (Loop, Range)) else ()
    brackets = isinstance(statement, Set) and "[" in statement.text
    return isinstance(statement, _SEEN) and not brackets and all(map(_is_seen, inner))


def _touches(inside: Sequence[Statement], kernel: Kernel, column: Symbol) -> Iterator[Touch | None]:
    """What loops and nests touch; every index that occurs may vary."""
    sizes = kernel.names.sizes
    for statement in inside:
        body = statement.body if isinstance(statement, Range) else (statement,)
        varying = symbols_of(tuple(access.offset.dim for access, _ in accesses(body)))
        yield from touches(body, sizes, varying, column)


def _is_local(slot: Slot, inside: Sequence[Statement], count: int) -> bool:
    """Whether all that is accessed of scratch lies in whole rows of columns."""
    rows = [a for a, _ in accesses(inside) if a.pointer == slot.pointer]
    return bool(rows) and all(
        [stride for _, stride in a.terms] == ["1"] and _row(a.offset.dim, count) is not None
        for a in rows
    )


def _row(dim: Dim, count: int) -> Dim | None:
    """The row in which an offset lies, if it is the beginning of one."""
    factors = [k for _, k in dim.terms] if isinstance(dim, Affine) else []
    constant = dim.constant if isinstance(dim, Affine) else dim
    if any(k % count for k in (constant, *factors)):
        return None
    terms = {s: k // count for s, k in dim.terms} if isinstance(dim, Affine) else {}
    return make(constant // count, terms)


@dataclass(frozen=True)
class _Block:
    """A block of columns: its bounds, and the scratch that has room for it only."""

    kernel: Kernel
    start: str
    end: str
    columns: int
    count: int
    local: frozenset[str]

    def statement(self, statement: Statement) -> Statement:
        """Return a statement for the columns of the block."""
        match statement:
            case Range(body=body):
                return replace(statement, body=tuple(map(self.statement, body)))
            case Loop(body=body):
                index = statement.index
                inner = tuple(self._scalar(s, index) for s in body)
                return Range(index, self.start, self.end, "1", inner)
            case _:
                return statement

    def _scalar(self, statement: Statement, index: str) -> Statement:
        if isinstance(statement, (Load, Store)) and statement.access.pointer in self.local:
            return replace(statement, access=self._access(statement.access, index))
        return statement

    def _access(self, access: Access, index: str) -> Access:
        row = _row(access.offset.dim, self.count)
        assert row is not None
        sizes = self.kernel.names.sizes
        first = sizes.address(row * self.columns, (self.columns,)).text
        text = f"{first} - {self.start}" if first else f"-{self.start}"
        return Access(access.pointer, ((index, "1"),), Offset(text))
