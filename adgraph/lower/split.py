"""Cut a loop nest into pieces of its outermost loops, for several threads.

`split_nest` tells how, or that it cannot be done. Each outermost loop is a phase: `pieces` is a
kernel that runs any part of the loop, `last` one that folds what the pieces leave and does what
comes behind the loop. Bounds of pieces depend on the extents alone, never on the number of threads,
and pieces are folded in their order: results are the same bits on any number of threads.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adgraph.ir.types import Dtype
from adgraph.lower.nest import (
    Access,
    Let,
    Load,
    Loop,
    Nest,
    Parameter,
    Start,
    Statement,
    Store,
)
from adgraph.lower.numba_source import BLOCK
from adgraph.lower.pool import split_words
from adgraph.lower.pool_code import LINE

PIECE = 8192  # elements: a piece is not shorter, but for folds
FOLDED_ROWS = 4096  # elements of the rows that one partial result is made of
ROWS = 16  # a piece has a multiple of these rows
PIECES = 32  # where nothing is folded
TURNS = 8  # how often a thread comes for more, where there are many pieces
ROOM = 64  # scalars that phases may leave for later ones
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Split:
    """A phase of a nest, in pieces.

    `unit` trips of the outermost loop, whose extent is the size `extent`, make a piece, and
    `advances` tells for every pointer of `pieces` by how many bytes it moves per trip. Behind those
    pointers come the partial results, the first pointers of `last`. Pointers `c0`, `c1`... lead to
    scalars that an earlier phase has left; `a0_1` is the pointer `a0`, moved in another way.
    """

    pieces: Nest
    last: Nest | None
    extent: str
    unit: int
    advances: tuple[int, ...]
    partials: tuple[Parameter, ...]

    @property
    def count(self) -> int:
        """The number of pieces."""
        return -(-self.pieces.sizes[self.extent] // self.unit)


def split_nest(nest: Nest, own: Collection[str] = ()) -> tuple[Split, ...]:
    """Cut a nest, if each trip of its outermost loops writes elements of its own or folds.

    Pointers in `own` that do not move are room for one trip: every thread has its own.
    """
    if not all(isinstance(s, (Load, Let, Start, Store, Loop)) for s in _all(nest.body)):
        return ()
    nest = _by_movement(nest)
    phases = _phases(nest)
    if any(phase.loop.extent not in nest.sizes for phase in phases):
        return ()
    shared = _Shared(nest, phases)
    if len(shared.room) > ROOM or not shared.replicable():
        return ()
    splits: list[Split] = []
    rows: set[str] = set()
    for number, phase in enumerate(phases):
        moved = _advances(nest, phase, own)
        if moved is None or not _independent(phase):
            return ()
        still = {name for name in own if moved.get(name) == 0}
        if still & rows:
            return ()  # a row of one phase is not there in another
        rows |= still
        splits.append(_split(nest, shared, number, moved))
    return tuple(splits)


def split_integers(split: Split, own: Mapping[str, int], threads: int) -> tuple[int, ...]:
    """Return the integers of the call that runs the pieces, for `adgraph.lower.pool`.

    `own` are the bytes of the pointers that may be room for one trip.
    """
    pieces, last = split.pieces, split.last
    pointers = pieces.pointers[: len(split.advances)]
    offsets, own_bytes = _own_offsets(split, own)
    counts = {
        "workers": threads - 1,
        "total": pieces.sizes[split.extent],
        "unit": split.unit,
        "group": max(split.count // (TURNS * threads), 1) if split.partials else 1,
        "pointers": len(pointers),
        "partials": len(split.partials),
        "sizes": len(pieces.sizes),
        "extent": list(pieces.sizes).index(split.extent),
        "own_bytes": own_bytes,
        "last_pointers": len(last.pointers) - len(split.partials) if last else 0,
        "last_sizes": len(last.sizes) if last else 0,
        "lasts": int(last is not None),
    }
    return split_words(
        counts,
        split.advances,
        tuple(offsets),
        tuple(p.dtype.itemsize for p in split.partials),
        tuple(pieces.sizes.values()),
        tuple(last.sizes.values()) if last else (),
    )


def _own_offsets(split: Split, own: Mapping[str, int]) -> tuple[list[int], int]:
    """Return where each pointer is in the room of a thread, -1 if it is not; and the room's bytes.

    A pointer in `own` that moves is not for one trip only.
    """
    offsets, total = [], 0
    for pointer, moved in zip(split.pieces.pointers, split.advances, strict=False):
        private = pointer.name in own and moved == 0
        offsets.append(total if private else -1)
        total += _lines(own[pointer.name]) if private else 0
    return offsets, total


def _lines(size: int) -> int:
    """Return the bytes of the lines of the cache that so many bytes take."""
    return -(-size // LINE) * LINE


def workspace_bytes(split: Split, own: Mapping[str, int], threads: int) -> int:
    """Return the bytes that the pieces need for partial results, and in rooms of the threads."""
    return _lines(8 * split.count * len(split.partials)) + threads * _own_offsets(split, own)[1]


def most_workspace_bytes(elements: int, folds: int, own: Sequence[int], threads: int) -> int:
    """Return a bound of `workspace_bytes` for any nest of so many elements and folds."""
    pieces = elements // min(BLOCK, FOLDED_ROWS // 2) + 1
    return _lines(8 * pieces * folds) + threads * sum(map(_lines, own))


def pointer_of(name: str) -> str:
    """Return the name in the nest of a pointer of its pieces.

    >>> pointer_of("a0_1"), pointer_of("b0")
    ('a0', 'b0')
    """
    return name.partition("_")[0]


# --- pointers ------------------------------------------------------------------------------------


def _by_movement(nest: Nest) -> Nest:
    """Give a pointer that is only read a name for each way it moves with the outermost loops."""
    written = {access.pointer for access, is_written in _accesses(nest.body) if is_written}
    names: dict[tuple[str, int], str] = {}

    def name(access: Access, index: str) -> str:
        steps = [_value(stride, nest.sizes) for i, stride in access.terms if i == index]
        key = access.pointer, sum(steps)
        if access.pointer in written:
            return access.pointer
        if key not in names:
            others = sum(pointer == access.pointer for pointer, _ in names)
            names[key] = f"{access.pointer}_{others}" if others else access.pointer
        return names[key]

    def renamed(statement: Statement, index: str) -> Statement:
        match statement:
            case Load(access=access):
                return replace(statement, access=replace(access, pointer=name(access, index)))
            case Loop():
                inner = index or statement.index
                parts = (statement.body, statement.before, statement.after)
                body, before, after = (tuple(renamed(s, inner) for s in part) for part in parts)
                return replace(statement, body=body, before=before, after=after)
            case _:
                return statement

    body = tuple(renamed(statement, "") for statement in nest.body)
    own = {p.name: p for p in nest.pointers}
    more = (Parameter(n, own[pointer].dtype) for (pointer, _), n in names.items() if n not in own)
    return Nest(nest.name, (*nest.pointers, *more), nest.sizes, body)


# --- phases --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Phase:
    """An outermost loop: the accumulators that start before it, and what comes behind it."""

    folds: tuple[Start, ...]
    loop: Loop
    tail: tuple[Statement, ...]


def _phases(nest: Nest) -> list[_Phase]:
    """Take a nest apart. What stands before the first loop, but for folds, is not in a phase."""
    phases: list[_Phase] = []
    body = list(nest.body)
    ends = [*(i for i, s in enumerate(body) if isinstance(s, Loop)), len(body)]
    for at, end in itertools.pairwise(ends):
        loop = body[at]
        assert isinstance(loop, Loop)
        before = body[ends[len(phases) - 1] + 1 if phases else 0 : at]
        behind = tuple(body[at + 1 : end])
        following = body[end] if end < len(body) else None
        tail = tuple(s for s in behind if not (following and _is_fold(s, following)))
        folds = tuple(s for s in before if isinstance(s, Start) and _is_fold(s, loop))
        phases.append(_Phase(folds, loop, tail))
    return phases


def _is_fold(statement: Statement, loop: Statement) -> bool:
    """Whether a statement starts what a loop folds into."""
    return isinstance(statement, Start) and statement.name in _defined((loop,))


class _Shared:
    """What the phases of a nest have in common.

    `opening` stands before all loops, and is repeated in every phase. `room` numbers the scalars
    that one phase computes and a later one reads.
    """

    def __init__(self, nest: Nest, phases: Sequence[_Phase]) -> None:
        self.phases = phases
        self._parameters = {p.name: p.dtype for p in nest.pointers}
        before = nest.body[: nest.body.index(phases[0].loop)] if phases else ()
        self.opening = tuple(s for s in before if s not in phases[0].folds) if phases else ()
        self.home: dict[str, int] = {}
        self.dtypes: dict[str, Dtype] = {}
        for number, phase in enumerate(phases):
            for statement in (*phase.folds, *phase.tail):
                if isinstance(statement, (Start, Let, Load)):
                    self.home[statement.name] = number
                    self.dtypes[statement.name] = self._dtype(statement)
        needed = [name for k in range(len(phases)) for name in self._from_before(k)]
        self.room = {name: i for i, name in enumerate(dict.fromkeys(needed))}

    def _dtype(self, statement: Start | Let | Load) -> Dtype:
        if isinstance(statement, Load):
            return self._parameters[statement.access.pointer]
        return statement.dtype

    def _from_before(self, number: int) -> list[str]:
        phase = self.phases[number]
        read = _read((phase.loop, *phase.tail))
        return [name for name in read if self.home.get(name, number) < number]

    def replicable(self) -> bool:
        """Whether what stands before all loops gives the same in every phase."""
        read = {s.access.pointer for s in self.opening if isinstance(s, Load)}
        later = [s for p in self.phases for s in (p.loop, *p.tail)]
        return not any(written and access.pointer in read for access, written in _accesses(later))

    def around(self, body: Sequence[Statement]) -> tuple[Statement, ...]:
        """Put before some statements what they read of the opening and of earlier phases."""
        defined = _defined(body)
        needed = [name for name in _read(body) if name not in defined]
        found = [self._taken(name) for name in needed if name in self.room]
        kept: list[Statement] = []
        for statement in reversed(self.opening):
            if isinstance(statement, (Start, Let, Load)) and statement.name in needed:
                kept.insert(0, statement)
                needed += _read((statement,))
        return (*kept, *found, *body)

    def _taken(self, name: str) -> Load:
        return Load(name, Access(f"c{self.room[name]}", ()))

    def left(self, number: int) -> list[Store]:
        """The statements by which a phase leaves scalars for later ones."""
        return [
            Store(Access(f"c{i}", ()), name)
            for name, i in self.room.items()
            if self.home[name] == number
        ]

    def parameters(self, nest: Nest, body: Sequence[Statement]) -> tuple[Parameter, ...]:
        """Return the pointers that some statements use."""
        used = {access.pointer for access, _ in _accesses(body)}
        room = (Parameter(f"c{i}", self.dtypes[name]) for name, i in self.room.items())
        return tuple(p for p in (*nest.pointers, *room) if p.name in used)


def _split(nest: Nest, shared: _Shared, number: int, moved: Mapping[str, int]) -> Split:
    phase = shared.phases[number]
    partials = tuple(Parameter(f"p{i}", fold.dtype) for i, fold in enumerate(phase.folds))
    kept = (Store(Access(p.name, ()), f.name) for p, f in zip(partials, phase.folds, strict=True))
    body = shared.around((*phase.folds, phase.loop))
    pointers = shared.parameters(nest, body)
    pieces = Nest(nest.name, (*pointers, *partials), nest.sizes, (*body, *kept))
    unit = _unit(nest, phase)
    count = -(-nest.sizes[phase.loop.extent] // unit)
    last = _last(nest, shared, number, partials, count)
    advances = tuple(moved.get(p.name, 0) for p in pointers)
    return Split(pieces, last, phase.loop.extent, unit, advances, partials)


def _last(
    nest: Nest, shared: _Shared, number: int, partials: Sequence[Parameter], count: int
) -> Nest | None:
    """Fold the partial results one after the other; then do what comes behind the loop.

    The inner loop makes one trip: it keeps the compiler from folding in another order.
    """
    phase = shared.phases[number]
    stores = [s for s in shared.opening if isinstance(s, Store)] if number == 0 else []
    tail = [*stores, *phase.tail, *shared.left(number)]
    if not partials and not tail:
        return None
    inside: list[Statement] = []
    starts: list[Statement] = []
    after: list[Statement] = []
    for i, (fold, partial) in enumerate(zip(phase.folds, partials, strict=True)):
        step = _step(phase.loop, fold)
        assert step is not None
        starts.append(Start(f"q{i}", fold.dtype, fold.value))
        inside.append(Load(f"v{i}", Access(partial.name, (("j0", "1"), ("j1", "1")))))
        inside.append(Let(f"q{i}", fold.dtype, step.text, (f"q{i}", f"v{i}")))
        after.append(Let(fold.name, fold.dtype, step.text, (fold.name, f"q{i}")))
    folding = [Loop("j0", "m0", (*starts, Loop("j1", "m1", tuple(inside)), *after))]
    body = shared.around((*phase.folds, *(folding if partials else ()), *tail))
    own = [p for p in shared.parameters(nest, body) if p not in partials]
    sizes = {"m0": count, "m1": 1, **nest.sizes}
    return Nest(f"{nest.name}_last", (*partials, *own), sizes, body)


# --- what statements read and write --------------------------------------------------------------


def _all(statements: Iterable[Statement]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        if isinstance(statement, Loop):
            yield from _all((*statement.before, *statement.body, *statement.after))


def _accesses(statements: Iterable[Statement]) -> Iterator[tuple[Access, bool]]:
    """Iterate over the elements that are read or written, the latter marked."""
    for statement in _all(statements):
        if isinstance(statement, (Load, Store)):
            yield statement.access, isinstance(statement, Store)


def _read(statements: Iterable[Statement]) -> list[str]:
    """Return the scalars that are read."""
    found: dict[str, None] = {}
    for statement in _all(statements):
        if isinstance(statement, Let):
            found.update(dict.fromkeys(statement.operands))
        elif isinstance(statement, Store):
            found[statement.name] = None
    return list(found)


def _defined(statements: Iterable[Statement]) -> set[str]:
    return {s.name for s in _all(statements) if isinstance(s, (Start, Let, Load))}


def _advances(nest: Nest, phase: _Phase, own: Collection[str]) -> dict[str, int] | None:
    """Return by how many bytes each pointer moves in a trip; None if trips meet in an element."""
    itemsize = {p.name: p.dtype.itemsize for p in nest.pointers}
    found: dict[str, int] = {}
    written_to = {access.pointer for access, written in _accesses((phase.loop,)) if written}
    for access, written in _accesses((phase.loop,)):
        steps = [stride for index, stride in access.terms if index == phase.loop.index]
        if len(steps) > 1 or _mentions(access, phase.loop.extent):
            return None
        step = _value(steps[0], nest.sizes) if steps else 0
        if written and step == 0 and access.pointer not in own:
            return None
        moved = step * itemsize[access.pointer]
        if found.setdefault(access.pointer, moved) != moved:
            return None
    for access, written in _accesses(s for s in nest.body if not isinstance(s, Loop)):
        if found.get(access.pointer) or access.pointer in written_to:
            return None
        if written and access.pointer in found:
            return None
    return found


def _mentions(access: Access, size: str) -> bool:
    texts = (access.offset.text, *(stride for _, stride in access.terms))
    return any(size in _NAME.findall(text) for text in texts)


def _value(stride: str, sizes: Mapping[str, int]) -> int:
    """Return the number that a stride stands for, a product of sizes."""
    value = 1
    for factor in stride.removeprefix("-").split("*"):
        value *= sizes[factor] if factor in sizes else int(factor)
    return -value if stride.startswith("-") else value


def _independent(phase: _Phase) -> bool:
    """Whether trips share nothing but folds, each of which takes one value at one place."""
    names = {fold.name for fold in phase.folds}
    inner = _defined((phase.loop,)) - names
    if inner & set(_read(phase.tail)):
        return False
    return all(_step(phase.loop, fold) is not None for fold in phase.folds)


def _step(loop: Loop, fold: Start) -> Let | None:
    """Return the only statement that folds a value into an accumulator."""
    inside = list(_all(loop.body)) + list(_all((*loop.before, *loop.after)))
    uses = [s for s in inside if not isinstance(s, Loop) and fold.name in _read((s,))]
    sets = [s for s in inside if isinstance(s, (Let, Load, Start)) and s.name == fold.name]
    if len(uses) != 1 or uses != sets:
        return None
    (step,) = uses
    assert isinstance(step, Let)
    return step if step.operands[0] == fold.name and len(step.operands) == 2 else None


# --- pieces --------------------------------------------------------------------------------------


def _unit(nest: Nest, phase: _Phase) -> int:
    """Return the trips of a piece.

    Where the outermost loop is the only one, its vectors must not begin anew within a block: the
    elements behind the last full vector are computed by other instructions.
    """
    trips = nest.sizes[phase.loop.extent]
    row = _work(nest, phase.loop.body)
    if row == 1:
        elements = BLOCK if phase.folds else max(PIECE, trips // PIECES)
        return -(-elements // BLOCK) * BLOCK
    rows = FOLDED_ROWS // row if phase.folds else max(PIECE // row, trips // PIECES)
    return max(-(-rows // ROWS) * ROWS, 1 if phase.folds else ROWS)


def _work(nest: Nest, body: Sequence[Statement]) -> int:
    """Return about how many elements one trip of a loop computes."""
    loops = [s for s in body if isinstance(s, Loop)]
    return sum(_trips(nest, s) * _work(nest, s.body) for s in loops) or 1


def _trips(nest: Nest, loop: Loop) -> int:
    return nest.sizes[loop.extent] if loop.extent in nest.sizes else int(loop.extent)
