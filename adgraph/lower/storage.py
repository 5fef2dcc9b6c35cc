"""Where arrays and scalars of a kernel are, and what all programs inside one kernel share.

An array is `Memory`: a pointer, an offset, strides; a number is a `Scalar`: the text of a variable.
`Kernel` has the names, the integers, the scratch pointers and the callees of one kernel, and the
loops that copy an array from one place to another. Begin with `Stored`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adgraph.ir.dims import Dim, Symbol
from adgraph.ir.graph import Graph
from adgraph.ir.types import ArrayType, Dtype, Index, Shape, Slice
from adgraph.lower import vmath
from adgraph.lower.callee import Callee
from adgraph.lower.given import Names
from adgraph.lower.movement import box_statements
from adgraph.lower.nest import Access, Sizes, Statement
from adgraph.ops.shape import boxed

_RESERVED = frozenset(
    {
        *vmath.FUNCTIONS,
        "range",
        "where",
        "min",
        "max",
        "inf",
        "nan",
        "status",
        "value",
        "invoke",
        "behind",
    }
)
_GENERATED = re.compile(r"[a-z]\d+[a-z]?")


@dataclass(frozen=True)
class Memory:
    """An array: a pointer, the offset of its first element, strides.

    `grid` are the strides of the buffer: offsets are printed as multiples of them.
    """

    pointer: str
    offset: Dim
    strides: tuple[int, ...]
    grid: tuple[int, ...]


@dataclass(frozen=True)
class Scalar:
    """One element, or an array all of whose elements are equal: the text of a variable."""

    text: str


Stored = Memory | Scalar


@dataclass
class Slot:
    """A scratch pointer: arrays of one dtype that are never there at the same time."""

    pointer: str
    dtype: Dtype
    size: int
    free: bool = False


class Kernel:
    """What all programs inside one kernel share: names, integers, scratch, callees."""

    def __init__(self, body: Graph) -> None:
        self.body = body
        self.symbols: dict[Symbol, str] = {}
        self.names = Names(Sizes(shared=True, symbols=self.symbols))
        self.slots: list[Slot] = []
        self.callees: dict[Callee, str] = {}
        self._bound: list[str] = []

    def access(self, memory: Memory) -> Access:
        """Return the first element of an array."""
        return Access(memory.pointer, (), self.names.sizes.address(memory.offset, memory.grid))

    def slot(self, type: ArrayType) -> Slot:
        """Take a scratch pointer for an array, one that is free if there is one."""
        size = max(type.bounded().size, 1)
        free = [s for s in self.slots if s.free and s.dtype == type.dtype]
        fitting = [s for s in free if s.size >= size]
        if fitting:
            found = min(fitting, key=lambda slot: slot.size)
        elif free:
            found = max(free, key=lambda slot: slot.size)
            found.size = size
        else:
            found = Slot(f"s{len(self.slots)}", type.dtype, size)
            self.slots.append(found)
        found.free = False
        return found

    def lanes(self, dtype: Dtype, size: int) -> str:
        """Return a scratch pointer for the lanes of a loop, which no array shares."""
        self.slots.append(slot := Slot(f"s{len(self.slots)}", dtype, size))
        return slot.pointer

    def dtype(self, pointer: str) -> Dtype:
        """Return the dtype of the elements of a pointer."""
        number = int(pointer[1:])
        match pointer[0]:
            case "a":
                return self.body.inputs[number].type.dtype
            case "b":
                return self.body.outputs[number].type.dtype
            case _:
                return self.slots[number].dtype

    def copied(
        self, type: ArrayType, to: Memory, source: Stored, *, add: str = ""
    ) -> tuple[Statement, ...]:
        """Write the loops that copy an array, or fill one."""
        filled: Any = source.text if isinstance(source, Scalar) else None
        if isinstance(source, Memory):
            filled = (self.access(source), source.strides)
        value = self.names.scalar()
        target = self.access(to), to.strides
        return box_statements(type.shape, target, filled, self.names.sizes, add=add, value=value)

    @contextmanager
    def binding(self, symbol: Symbol) -> Iterator[str]:
        """Give a loop index its name: its own, unless a loop around has it."""
        name = symbol.name if symbol.name.isidentifier() else "k"
        while (
            name in self._bound
            or name in _RESERVED
            or keyword.iskeyword(name)
            or _GENERATED.fullmatch(name)
        ):
            name += "_"
        self._bound.append(name)
        self.symbols[symbol] = name
        yield name
        self._bound.pop()


# --- boxes of arrays ------------------------------------------------------------------------------


def around(type: ArrayType, but: Index | None) -> Iterator[Index | None]:
    """Cut what lies outside a box into boxes; without a box, all is one."""
    if but is None:
        yield None
        return
    before: list[Slice] = []
    for axis, at in enumerate(but):
        start, size = (at.start, at.size) if isinstance(at, Slice) else (at, 1)
        rest = [Slice(0, n, 1) for n in type.shape[axis + 1 :]]
        end = start + size
        for side in (Slice(0, start, 1), Slice(end, type.shape[axis] - end, 1)):
            if side.size != 0:
                yield (*before, side, *rest)
        before.append(Slice(start, size, 1))


def part_of(stored: Stored, index: Index | None) -> Stored:
    """Return a box of an array that may have any strides."""
    if index is None or isinstance(stored, Scalar):
        return stored
    offset, strides = boxed((), stored.strides, {"index": index})
    return Memory(stored.pointer, stored.offset + offset, strides, stored.grid)


def box_shape(type: ArrayType, index: Index | None) -> Shape:
    """Return the shape of a box of an array."""
    if index is None:
        return type.shape
    return tuple(at.size for at in index if isinstance(at, Slice))


def aligned(stored: Stored, shape: Shape, rank: int) -> Stored:
    """Give an array the axes of a box that it is broadcast to."""
    if isinstance(stored, Scalar):
        return stored
    lead = (0,) * (rank - len(shape))
    strides = tuple(0 if n == 1 else s for n, s in zip(shape, stored.strides, strict=True))
    return Memory(stored.pointer, stored.offset, lead + strides, stored.grid)
