"""The programs under construction, and what each sees of the arrays around it.

A stack of frames, one for each program being recorded in this thread, says where nodes go. A frame
is a trace, or a region: the body of a loop or of a branch. A region's inputs are keyed by `Cell`,
the memory of one array, not by value; a journal of the cells it writes tells what it carries from
what it only reads. Begin with `Frame`, `read_cell` and `write_cell`.
"""

from __future__ import annotations

import enum
import itertools
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from adgraph.errors import AdgraphError, Location, TracingError, location_of, message, user_location
from adgraph.ir.builder import Builder
from adgraph.ir.graph import Origin, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import Constant
from adgraph.ops.constant import constant as constant_op

serials = itertools.count()


class Cell:
    """The current value of one array, and what is known of its memory.

    `c_ordered` tells whether NumPy would have made the array in C order, if the arguments are:
    only then is it known which of its reshapes are views. `frozen` says why the array must not be
    written: it is one of two arrays, which of them being known only when the program runs. Then
    `sources` are the two, each with the number of times it had been written. `serial` numbers the
    cells in the order they were made.
    """

    __slots__ = ("c_ordered", "frozen", "serial", "sources", "value", "writes")

    def __init__(self, value: Value, frozen: str = "") -> None:
        self.value = value
        self.c_ordered = True
        self.frozen = frozen
        self.serial = next(serials)
        self.writes = 0
        self.sources: tuple[tuple[Cell, int], ...] = ()

    def copies(self, cells: Iterable[Cell]) -> None:
        """Note that this holds the present value of one of several arrays, or of what they are."""
        arrays = {cell for given in cells for cell in (given, *(c for c, _ in given.sources))}
        self.sources = tuple((c, c.writes) for c in arrays if current().owns(c.value))

    @property
    def stale(self) -> bool:
        """Whether an array that this may be has been written since."""
        return any(cell.writes != writes for cell, writes in self.sources)


class Part(enum.Enum):
    """What a program under construction is."""

    TRACE = "a traced function"
    LOOP = "the body of a loop"
    WHILE = "the test or the body of a while"
    BRANCH = "a branch of an if"


class Frame:
    """A program under construction.

    Of a region, `inputs` holds what it has read of the cells around it, `journal` the values the
    cells it has written had before, `writes` how often these had been written, and `finals`, once
    it is closed, the value and the number of writes they have behind it. `literals` are cells whose
    number is known and stands in the region as a constant; `known` holds the constants it refers to
    that stand outside, and `made` the mutable objects made in it. `cells` are the
    ids of the variables it carries. `lost` tells why names are not
    bound, `attempts` where the `try`s around begin, and `trips` how many iterations of loops being
    unrolled the program is made of. `outside` holds the ids of plain arrays that the traced
    function was given by its closure or its defaults.
    """

    def __init__(self, part: Part, builder: Builder, parent: Frame | None) -> None:
        self.part = part
        self.builder = builder
        self.parent = parent
        self.inputs: dict[Cell, Value] = {}
        self.journal: dict[Cell, Value] = {}
        self.writes: dict[Cell, int] = {}
        self.finals: dict[Cell, tuple[Value, int]] = {}
        self.literals: set[Cell] = set()
        self.known: dict[Value, Constant] = {}
        self.made: dict[int, Any] = {}
        self.cells: frozenset[int] = frozenset()
        self.lost: dict[str, str] = parent.lost if parent else {}
        self.attempts: list[Location | None] = parent.attempts if parent else []
        self.outside: set[int] = set(parent.outside) if parent else set()
        self.trips = 1

    @property
    def region(self) -> bool:
        """Whether this is the body of a loop or of a branch."""
        return self.part is not Part.TRACE

    def around(self) -> Iterator[Frame]:
        """Iterate over the regions from this one outwards, up to the trace they belong to."""
        frame: Frame | None = self
        while frame is not None and frame.region:
            yield frame
            frame = frame.parent

    def wrote(self, cell: Cell) -> bool:
        """Tell whether the region wrote a cell that was there before."""
        return cell in self.journal

    def parent_owns(self, cell: Cell) -> bool:
        """Tell whether a cell has a value behind the region."""
        return self.parent is not None and self.parent.builder.owns(cell.value)

    def outer(self, cell: Cell) -> bool:
        """Tell whether a cell was there before the region."""
        return cell in self.journal or not self.builder.has(cell.value)


class _Stack(threading.local):
    def __init__(self) -> None:
        self.frames: list[Frame] = []


_stack = _Stack()
under_way: list[bool] = []  # an item per trace of any thread: if empty, nobody need ask `tracing`


def top() -> Frame:
    """Return the innermost program under construction of this thread."""
    if not _stack.frames:
        raise TracingError(
            message(
                "a traced value was used after its trace had ended",
                "it stands for an array only while the decorated function is being traced",
                "return it from the traced function instead of keeping it in a global, an "
                "attribute or a list",
            )
        )
    return _stack.frames[-1]


def current() -> Builder:
    """Return the builder of the innermost program under construction."""
    return top().builder


def tracing() -> bool:
    """Tell whether a trace is under way in this thread."""
    return bool(_stack.frames)


def remark(text: str) -> None:
    """Add a note to what `explain` says of the program that the outermost trace makes."""
    notes = _stack.frames[0].builder.notes
    if text not in notes:
        notes.append(text)


@contextmanager
def building(*, nested: bool = False) -> Iterator[Builder]:
    """Record into a new builder; a nested one may capture values of those around it."""
    parent = _stack.frames[-1] if nested and _stack.frames else None
    builder = Builder(parent.builder if parent else None)
    _stack.frames.append(Frame(Part.TRACE, builder, parent))
    under_way.append(True)
    try:
        yield builder
    finally:
        _stack.frames.pop()
        under_way.pop()


def new_region(part: Part, cells: Iterable[object] = ()) -> Frame:
    """Make a region that carries the variables in Python's `cells`."""
    parent = top()
    frame = Frame(part, Builder(parent.builder), parent)
    frame.cells = frozenset(map(id, cells))
    return frame


@contextmanager
def inside(frame: Frame) -> Iterator[Frame]:
    """Record into a region, for the first time or again; cells have their old values behind it."""
    for cell, (value, writes) in frame.finals.items():
        cell.value, cell.writes = value, writes
    _stack.frames.append(frame)
    try:
        yield frame
    finally:
        _stack.frames.pop()
        frame.finals = {cell: (cell.value, cell.writes) for cell in frame.journal}
        for cell, value in frame.journal.items():
            cell.value = value
            cell.writes = frame.writes[cell]


def origin() -> Origin:
    """Return the user's line and the checkpointed scope under way, or what the builder was told."""
    builder = current()
    return builder.origin or Origin(user_location(), 0, builder.scope)


def references(cell: Cell) -> int:
    """Return how many handles and other objects refer to a cell, frames left out.

    It is an upper bound, for Python may hold references of its own.
    """
    held = sum(
        cell in noted
        for frame in _stack.frames
        for noted in (frame.inputs, frame.journal, frame.writes, frame.finals)
    )
    return sys.getrefcount(cell) - held - 2  # those of this function and of getrefcount


# --- what cannot be captured ----------------------------------------------------------------------


class Uncapturable(BaseException):
    """The body of a loop does what a captured body cannot: the loop unrolls.

    Raised where it happens. It is no `Exception`, so that the user's code does not swallow it.
    """

    def __init__(self, error: AdgraphError) -> None:
        super().__init__(str(error))
        self.error = error


def uncapturable(error: AdgraphError) -> BaseException:
    """Return what to raise: a loop around may unroll, and without one this is the user's error."""
    in_loop = any(frame.part is Part.LOOP for frame in top().around())
    return Uncapturable(error) if in_loop else error


def captured() -> bool:
    """Tell whether what is recorded now runs several times, or perhaps not at all."""
    return tracing() and top().region


def changing(x: Any, what: str) -> None:
    """Refuse that the body of a loop or branch changes an object that was there before."""
    if not captured() or id(x) in top().made:
        return
    raise uncapturable(
        TracingError(
            message(
                f"{what}, in {top().part.value} that is captured",
                "the body is traced once and runs many times or not at all, so that what it does "
                "to objects other than arrays would be done once",
                "change arrays (made with np.zeros, for example), or make the object in the body",
            )
        )
    )


def lose(name: str, why: str) -> None:
    """Note why a name is unbound behind a loop."""
    top().lost[name] = why


def explained(error: NameError) -> Exception:
    """Return the error that tells why a name is not bound, if a loop has unbound it."""
    name = str(error).split("'")[1:2]
    why = top().lost.get(name[0]) if name else None
    if why is None:
        return error
    return TracingError(
        message(
            f"{name[0]!r} was read where it may not be bound",
            why,
            "bind it before, or store what is needed in an array made before",
            location_of(error),
        )
    )


# --- cells ----------------------------------------------------------------------------------------


def read_cell(cell: Cell) -> Value:
    """Return the value of a cell in the current program."""
    if cell.stale:
        raise uncapturable(
            TracingError(
                message(
                    f"an array {cell.value.type} was read that may be one of two arrays, one of "
                    "which was written since",
                    cell.frozen,
                    "copy it where it is chosen: y = y.copy()",
                )
            )
        )
    return _seen(cell, top())


def _seen(cell: Cell, frame: Frame) -> Value:
    if frame.builder.has(cell.value):
        return cell.value
    if cell in frame.inputs:
        return frame.inputs[cell]
    if frame.parent is None or not frame.parent.builder.owns(cell.value):
        raise _escaped(cell)
    if not frame.region:
        return frame.builder.capture(_seen(cell, frame.parent))
    known = None if cell.value.type.shape else _known_in(_seen(cell, frame.parent), frame.parent)
    if known is None:
        frame.inputs[cell] = frame.builder.input(cell.value.type, cell.value.name)
    else:
        frame.literals.add(cell)
        frame.inputs[cell] = _constant(known, frame)
    return frame.inputs[cell]


def _escaped(cell: Cell) -> AdgraphError:
    return TracingError(
        message(
            f"a traced array {cell.value.type} of another trace, or of the body of a loop or "
            "branch that has ended, was used",
            "a traced value stands for an array only in the program that made it",
            "pass it as an argument, and return or assign what is needed later",
        )
    )


def write_cell(cell: Cell, value: Value) -> None:
    """Give a cell a new value."""
    frame = top()
    if cell.frozen:
        raise uncapturable(
            TracingError(
                message(
                    f"an array {cell.value.type} was written that may be one of two arrays",
                    cell.frozen,
                    "copy it before writing, y = y.copy(), or write into each of the two arrays",
                )
            )
        )
    if frame.region and frame.outer(cell) and cell not in frame.journal:
        if cell in frame.literals:
            raise uncapturable(TracingError(message("a known number was written in place")))
        frame.journal[cell] = cell.value
        frame.writes[cell] = cell.writes
    cell.value = value
    cell.writes += 1


# --- constants ------------------------------------------------------------------------------------


def literal(value: Constant) -> Value:
    """Make a constant; an array stands in the trace around all loops."""
    frame = top()
    if not value.array.ndim or not frame.region:
        return _constant(value, frame)
    *_, outermost = frame.around()
    assert outermost.parent is not None
    inner = frame.builder.capture(_constant(value, outermost.parent))
    frame.known[inner] = value
    return inner


def _constant(value: Constant, frame: Frame) -> Value:
    return frame.builder.emit(constant_op, (), {"value": value}, origin())[0]


def known_constant(value: Value) -> Constant | None:
    """Return the constant that a value of the current program is, if it is one."""
    return _known_in(value, top())


def _known_in(value: Value, frame: Frame) -> Constant | None:
    producer = frame.builder.producer(value)
    if producer is None or producer.op.kind is not Kind.CONSTANT:
        return frame.known.get(value)
    found: Constant = producer.attrs["value"]
    return found


# --- closing regions ------------------------------------------------------------------------------


def constants_of(
    frames: Sequence[Frame], carried: Collection[Cell]
) -> tuple[list[Value], list[list[Value]]]:
    """Return what regions read and do not carry: the operands, and the inputs of every region."""
    cells = {c: None for f in frames for c in f.inputs if c not in carried and c not in f.literals}
    outer = dict.fromkeys(value for f in frames for value in f.builder.captures)
    operands = [*map(read_cell, cells), *map(current().capture, outer)]
    inputs = [
        [*(cell_input(f, c) for c in cells), *(f.builder.capture(v) for v in outer)] for f in frames
    ]
    return operands, inputs


def cell_input(frame: Frame, cell: Cell) -> Value:
    """Return the input of a region that stands for a cell."""
    if cell not in frame.inputs or cell in frame.literals:
        return frame.builder.input(cell.value.type, cell.value.name)
    return frame.inputs[cell]
