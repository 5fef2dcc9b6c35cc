"""Which loop is innermost: nests inside a loop of the user, and that loop, change places.

Where a nest walks an array in large steps while the loop around it walks it element by element,
every access is to another cache line. If the trips of the loop are independent but for what they
add to, a block of them runs in the innermost place (`_lanes`). If they are not, but the iterations
of the nests are, the loop runs over a block of these at a time (`_tiles`): what the block reads
then stays in the cache from trip to trip. Begin with `interchanged`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adgraph.ir.dims import (
    Symbol,
)
from adgraph.ir.types import Dtype
from adgraph.lower.dependence import accesses, factor, independent, number_of, touches
from adgraph.lower.given import Names
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

LANES = 128  # trips that run side by side in the innermost loop
COLUMNS = 16  # iterations of a nest for which a loop runs at a time, if they are far apart
PIECE = 8192  # the same where they follow each other
LARGE = 2**19  # bytes that a trip touches: they do not stay in the second-level cache

Scratch = Callable[[Dtype, int], str]  # takes a dtype and a size, gives a pointer


@dataclass(frozen=True)
class Site:
    """A loop of the user that holds nests, its index, and what a rewriting may use."""

    loop: Range
    symbol: Symbol
    step: int
    names: Names
    scratch: Scratch
    dtypes: Callable[[str], Dtype]


def interchanged(site: Site) -> Statement:
    """Return a loop with another one innermost if that is faster, else as it is."""
    body = site.loop.body
    nests = [s for s in body if isinstance(s, Loop)]
    if not nests or site.step not in (1, -1) or not all(map(_simple, body)):
        return site.loop
    walk = _Walk.of(nests, site)
    if walk.crossed > 0 and _independent(site, site.symbol, Symbol("nest")) and _expandable(site):
        return _lanes(site)
    far = walk.crossed > 0
    tiles = COLUMNS if far else PIECE
    if (far or walk.touched > LARGE) and _tileable(site, nests, tiles):
        return _tiles(site, nests[0], tiles)
    return site.loop


def _simple(statement: Statement) -> bool:
    """Whether a statement is scalar, or a nest of one loop around scalar ones."""
    if isinstance(statement, Loop):
        plain = not (statement.before or statement.after or statement.blocked)
        return plain and all(isinstance(s, _SCALAR) for s in statement.body)
    return isinstance(statement, _SCALAR)


_SCALAR = (Load, Let, Set, Start, Store, Remark)


# --- steps through memory -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Walk:
    """How nests go through memory.

    `crossed` is by how many accesses take large steps in the nest and small ones in the loop, less
    those the other way round; `touched` the bytes of the cache lines of one trip.
    """

    crossed: int
    touched: int

    @staticmethod
    def of(nests: Sequence[Loop], site: Site) -> _Walk:
        crossed = touched = 0
        for nest in nests:
            extent = number_of(nest.extent, site.names.sizes) or LANES
            for access in {access for access, _ in accesses(nest.body)}:
                stride = dict(access.terms).get(nest.index, "0")
                step = abs(number_of(stride, site.names.sizes) or 0)
                along = abs(factor(access.offset.dim, site.symbol))
                crossed += (step > 1 and along == 1) - (step == 1 and along > 1)
                touched += extent * 8 * min(step, 8)
        return _Walk(crossed, touched)


# --- a block of trips in the innermost place ------------------------------------------------------


def _expandable(site: Site) -> bool:
    """Whether a trip reads no variable of the trip before."""
    known: set[str] = set()
    assigned = {name for s in _flat(site.loop.body) for name in set_by(s)}
    for statement in _flat(site.loop.body):
        if any(name in assigned and name not in known for name in read_by(statement)):
            return False
        known.update(set_by(statement))
    return True


def _flat(statements: Iterable[Statement]) -> Iterator[Statement]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _flat(statement.body)
        else:
            yield statement


def _lanes(site: Site) -> Statement:
    """Run every part of the body for a block of trips before the next part."""
    loop, names = site.loop, site.names
    low, high = loop.start, loop.stop
    if site.step < 0:
        low, high = _plus_one(loop.stop), _plus_one(loop.start)
    block, end = names.scalar(), names.scalar()
    parts = list(_parts(loop.body))
    shared = _shared(parts, site)
    body: list[Statement] = [Set(end, f"min({block} + {LANES}, {high})")]
    for part in parts:
        body += _Lane(site, block, end, shared).part(part)
    return Range(block, low, high, str(LANES), tuple(body))


def _plus_one(text: str) -> str:
    if text.lstrip("-").isdigit():
        return str(int(text) + 1)
    return f"{text} + 1"


def _parts(body: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Cut a body into nests and the scalar statements between them."""
    for nest, group in itertools.groupby(body, lambda s: isinstance(s, Loop)):
        if nest:
            yield from ([statement] for statement in group)
        else:
            yield list(group)


def _shared(parts: Sequence[list[Statement]], site: Site) -> dict[str, str]:
    """Give every variable that several parts use a pointer with an element for each lane."""
    setters: dict[str, Dtype] = {}
    users: dict[str, set[int]] = {}
    dtypes = _variables(parts, site)
    for i, part in enumerate(parts):
        for statement in _flat(part):
            for name in (*set_by(statement), *read_by(statement)):
                users.setdefault(name, set()).add(i)
            setters.update((name, dtypes[name]) for name in set_by(statement))
    return {
        name: site.scratch(dtype, LANES) for name, dtype in setters.items() if len(users[name]) > 1
    }


def _variables(parts: Iterable[list[Statement]], site: Site) -> dict[str, Dtype]:
    """The dtype of every variable that a part sets."""
    found: dict[str, Dtype] = {}
    for statement in (s for part in parts for s in _flat(part)):
        match statement:
            case Load(name, access):
                found[name] = site.dtypes(access.pointer)
            case Let(name, dtype) | Start(name, dtype):
                found[name] = dtype
            case Set(name, text):
                found[name] = found[text]
    return found


@dataclass
class _Lane:
    """One part of a body under rewriting for a block of trips."""

    site: Site
    block: str
    end: str
    shared: Mapping[str, str]

    def part(self, part: list[Statement]) -> Iterator[Statement]:
        (nest,) = part if len(part) == 1 else (None,)
        if isinstance(nest, Loop):
            inner = tuple(self._loop(nest.body))
            yield replace(nest, body=inner)
        elif any(not isinstance(s, Remark) for s in part):
            yield from self._loop(part)
        else:
            yield from part

    def _loop(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """The loop over the lanes around statements; sums over the lanes are folded."""
        statements = list(statements)
        assigned = {name for s in statements for name in set_by(s)}
        read = {name for s in statements for name in read_by(s)}
        before: list[Statement] = []
        after: list[Statement] = []
        body: list[Statement] = [
            Load(name, self._at(pointer)) for name, pointer in self.shared.items() if name in read
        ]
        for statement in statements:
            total = self._total(statement)
            if total is None:
                body.append(statement)
                continue
            before.append(total[0])
            body.append(total[1])
            after.append(total[2])
        body += [
            Store(self._at(pointer), name)
            for name, pointer in self.shared.items()
            if name in assigned
        ]
        index = self.site.loop.index
        yield from before
        yield Range(index, self.block, self.end, "1", tuple(body))
        yield from after

    def _at(self, pointer: str) -> Access:
        return Access(pointer, (), Offset(f"{self.site.loop.index} - {self.block}"))

    def _total(self, statement: Statement) -> tuple[Start, Let, Store] | None:
        """An addition to one element for all lanes: a fold, and its addition."""
        if not isinstance(statement, Store) or not statement.add:
            return None
        if factor(statement.access.offset.dim, self.site.symbol):
            return None
        name, dtype = self.site.names.scalar(), self.site.dtypes(statement.access.pointer)
        step = Let(name, dtype, "fold_add({0}, {1})", (name, statement.name))
        return Start(name, dtype, 0), step, replace(statement, name=name)


# --- a block of iterations of the nests at a time -------------------------------------------------


def _tileable(site: Site, nests: Sequence[Loop], size: int) -> bool:
    """Whether all nests have the same loop, of many independent iterations, and fold nothing."""
    first = nests[0]
    most = number_of(first.extent, site.names.sizes)
    if most is None or most < 2 * size or any(n.extent != first.extent for n in nests):
        return False
    if not all(isinstance(s, (Loop, Remark)) for s in site.loop.body):
        return False
    for nest in nests:
        known: set[str] = set()
        assigned = {name for s in nest.body for name in set_by(s)}
        for statement in nest.body:
            if any(name in assigned and name not in known for name in read_by(statement)):
                return False
            known.update(set_by(statement))
    index = Symbol(first.index, 0, most - 1)
    return _independent(site, index, index)


def _independent(site: Site, by: Symbol, index: Symbol) -> bool:
    touched = touches(site.loop.body, site.names.sizes, [site.symbol], index)
    return independent(touched, by)


def _tiles(site: Site, nest: Loop, size: int) -> Statement:
    """Run the loop for one block of the nests' iterations after the other."""
    names = site.names
    block, end = names.scalar(), names.scalar()
    body = tuple(
        Range(s.index, block, end, "1", s.body) if isinstance(s, Loop) else s
        for s in site.loop.body
    )
    last = Set(end, f"min({block} + {size}, {nest.extent})")
    return Range(block, "0", nest.extent, str(size), (last, replace(site.loop, body=body)))
