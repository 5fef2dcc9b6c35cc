"""Write a `kernel` node as one function: the user's loops and branches with the nests inside.

Scalars are local variables, carried ones too; arrays are pointers with offsets and strides, where
`adgraph.lower.inplace` has put them; temporaries are scratch pointers, shared by liveness. What
cannot be written inline (BLAS, scans) is called by its address. Begin with `write_kernel`.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adgraph.ir.code import Control, Expression, Loops, Piece, Pieces, Routine, Strided
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Dtype, Index, Shape, Slice
from adgraph.lower import vmath
from adgraph.lower.callee import Callee, callee_of, strided_callee_of
from adgraph.lower.fused import Names, Operand, Target, fused_statements
from adgraph.lower.inplace import plan_program
from adgraph.lower.interchange import Site, interchanged
from adgraph.lower.layout import Layout, box_layout, c_strides, placed_view
from adgraph.lower.materialize import matrix_strided
from adgraph.lower.merge import merged
from adgraph.lower.movement import box_statements
from adgraph.lower.nest import (
    Access,
    Branch,
    Invoke,
    Let,
    Load,
    Parameter,
    Range,
    Remark,
    Set,
    Sizes,
    Statement,
    Stop,
    Store,
    While,
)
from adgraph.lower.numba_source import literal
from adgraph.lower.recurrent import shortened
from adgraph.lower.registers import Trips, in_registers
from adgraph.lower.steady import without_steady_loads
from adgraph.lower.tiles import Tile
from adgraph.lower.units import (
    Buffer,
    Copy,
    Into,
    Locate,
    ProgramPlan,
    Unit,
    align_axes,
    branch_ties,
    is_nest,
    program_ties,
    tied_operand,
)
from adgraph.ops.shape import boxed

OUT_OF_BOUNDS = "3"
OUT_OF_CAPACITY = "4"
MANY = 64  # positions which are checked before the first one is used
RESERVED = frozenset(
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
class _Slot:
    """A scratch pointer: arrays of one dtype that are never there at the same time."""

    pointer: str
    dtype: Dtype
    size: int
    free: bool = False


@dataclass(frozen=True)
class WrittenKernel:
    """A kernel: pointers in order, integers, the types of its scratch, statements.

    `callees` are the kernels it calls, with the names of the integers that are their addresses.
    """

    name: str
    pointers: tuple[Parameter, ...]
    sizes: dict[str, int]
    scratch: tuple[ArrayType, ...]
    statements: tuple[Statement, ...]
    callees: dict[Callee, str]


def write_kernel(
    node: Node, operands: tuple[Stored, ...] | None = None, shared: frozenset[int] = frozenset()
) -> WrittenKernel:
    """Write a `kernel` node.

    `operands` tells where the operands are: pointers `a0`, `a1`, ... with any strides, or literals;
    by default all are contiguous. `shared` are the results that lie where their operand does.
    """
    return _Kernel(node, operands, shared).write()


class _Kernel:
    """What all programs inside one kernel share: names, integers, scratch."""

    def __init__(
        self, node: Node, operands: tuple[Stored, ...] | None, shared: frozenset[int]
    ) -> None:
        self.body: Graph = node.attrs["body"]
        self.operands = operands or tuple(
            Memory(f"a{i}", 0, c_strides(t.shape), c_strides(t.shape))
            for i, t in enumerate(node.types)
        )
        self.shared = shared
        self.symbols: dict[Symbol, str] = {}
        self.names = Names(Sizes(shared=True, symbols=self.symbols))
        self.slots: list[_Slot] = []
        self.bound: list[str] = []
        self.callees: dict[Callee, str] = {}

    def write(self) -> WrittenKernel:
        ties = program_ties(self.body)
        statements: list[Statement] = []
        results = tuple(
            Memory(f"b{k}", 0, strides, strides)
            for k, v in enumerate(self.body.outputs)
            for strides in [c_strides(v.type.shape)]
        )
        inputs = [
            self._entered(value, stored, statements)
            for value, stored in zip(self.body.inputs, self.operands, strict=True)
        ]
        for k, i in ties.items():
            if k not in self.shared:
                statements += self.copied(self.body.inputs[i].type, results[k], inputs[i])
            inputs[i] = results[k]
        program = Program(self, plan_program(self.body, ties), tuple(inputs), results)
        statements += program.write()
        for k, value in enumerate(self.body.outputs):
            if not value.type.shape:
                statements.append(Store(Access(f"b{k}", ()), program.output(k)))
        scratch = tuple(ArrayType(slot.dtype, (slot.size,)) for slot in self.slots)
        return WrittenKernel(
            kernel_name(self.body),
            tuple(self._parameters(ties)),
            self.names.sizes.values,
            scratch,
            tuple(statements),
            self.callees,
        )

    def _entered(self, value: Value, stored: Stored, statements: list[Statement]) -> Stored:
        """Load a scalar operand at the start."""
        if value.type.shape or isinstance(stored, Scalar):
            return stored
        name = self.names.scalar()
        statements.append(Load(name, self.access(stored)))
        return Scalar(name)

    def _parameters(self, ties: Mapping[int, int]) -> Iterator[Parameter]:
        inside = {ties[k] for k in self.shared}
        for i, (value, stored) in enumerate(zip(self.body.inputs, self.operands, strict=True)):
            if isinstance(stored, Memory) and i not in inside:
                yield Parameter(stored.pointer, value.type.dtype)
        for k, value in enumerate(self.body.outputs):
            yield Parameter(f"b{k}", value.type.dtype)
        for slot in self.slots:
            yield Parameter(slot.pointer, slot.dtype)

    # --- what programs ask for --------------------------------------------------------------------

    def access(self, memory: Memory) -> Access:
        """Return the first element of an array."""
        return Access(memory.pointer, (), self.names.sizes.address(memory.offset, memory.grid))

    def slot(self, type: ArrayType) -> _Slot:
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
            found = _Slot(f"s{len(self.slots)}", type.dtype, size)
            self.slots.append(found)
        found.free = False
        return found

    def lanes(self, dtype: Dtype, size: int) -> str:
        """Return a scratch pointer for the lanes of a loop, which no array shares."""
        self.slots.append(slot := _Slot(f"s{len(self.slots)}", dtype, size))
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
        self, type: ArrayType, to: Memory, source: Stored, *, add: bool = False
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
            name in self.bound
            or name in RESERVED
            or keyword.iskeyword(name)
            or _GENERATED.fullmatch(name)
        ):
            name += "_"
        self.bound.append(name)
        self.symbols[symbol] = name
        yield name
        self.bound.pop()


class Program:
    """One program inside a kernel: the body of a loop, a branch, or the whole."""

    def __init__(
        self,
        kernel: _Kernel,
        plan: ProgramPlan,
        inputs: tuple[Stored, ...],
        results: tuple[Memory, ...] = (),
    ) -> None:
        self.kernel = kernel
        self.plan = plan
        self.inputs = inputs
        self.results = results
        self.env: dict[Value, Stored] = {}
        self.places: dict[Buffer, Memory] = {}
        self.slots: dict[Buffer, _Slot] = {}
        self.settled: list[_Slot] = []
        self.statements: list[Statement] = []
        self.line = ""
        for value, stored in zip(plan.graph.inputs, inputs, strict=True):
            if not value.type.shape:
                self.env[value] = stored

    def write(self) -> tuple[Statement, ...]:
        """Write the units in order; give scratch back after its last use."""
        last = self._last_uses()
        for i, unit in enumerate(self.plan.units):
            self._remark(unit)
            self._unit(unit)
            for buffer in [b for b in self.slots if last[b] == i]:
                self.slots.pop(buffer).free = True
        for slot in self.settled:
            slot.free = True
        return merged(self.statements, self.kernel.names.sizes)

    def output(self, number: int) -> str:
        """Return the text of a scalar result."""
        return self._text(self.plan.outputs[number])

    def _last_uses(self) -> dict[Buffer, int]:
        last: dict[Buffer, int] = {}
        for i, unit in enumerate(self.plan.units):
            read = [unit.renamed.get(v, v) for v in unit.inputs]
            stored = [into.result for into in unit.into.values()]
            for value in (*read, *unit.outputs, *stored):
                while value in self.plan.views and self.plan.views[value].inputs:
                    (value,) = self.plan.views[value].inputs
                if value in self.plan.boxes:
                    value = self.plan.boxes[value].result
                if value in self.plan.buffers:
                    last[self.plan.buffers[value]] = i
        return last

    def _remark(self, unit: Unit) -> None:
        if isinstance(unit.action, Node) and unit.action.origin.location is not None:
            line = unit.action.origin.location.source()
            if line and line != self.line:
                self.line = line
                self.statements.append(Remark(line))

    # --- where values are -------------------------------------------------------------------------

    def _stored(self, value: Value) -> Stored:
        if value not in self.env:
            if value in self.plan.views:
                self.env[value] = self._viewed(self.plan.views[value])
            elif value in self.plan.boxes:
                self.env[value] = self._boxed(value, self.plan.boxes[value])
            else:
                self.env[value] = self._memory(self.plan.buffers[value])
        return self.env[value]

    def _viewed(self, node: Node) -> Stored:
        if node.op.kind is Kind.CONSTANT:
            fill = node.attrs["value"].fill
            assert fill is not None, "array constants are operands of a kernel"
            return Scalar(literal(fill, node.output.type.dtype))
        if node.op.kind is Kind.INDEX:
            text = self.kernel.names.sizes.dim(node.attrs["dim"])
            return Scalar(f"({text})" if " " in text or text[0] == "-" else text)
        source = self._stored(node.inputs[0])
        if isinstance(source, Scalar):
            return source
        type = node.inputs[0].type
        placed = placed_view(node, type.shape, source.strides)
        if placed is None:
            source = self._settled(type, source)
            placed = placed_view(node, type.shape, source.strides)
            assert placed is not None
        return Memory(source.pointer, source.offset + placed[0], placed[1], source.grid)

    def _settled(self, type: ArrayType, source: Stored) -> Memory:
        """Copy an array to scratch in C order, for as long as the program runs."""
        strides = c_strides(type.bounded().shape)
        self.settled.append(slot := self.kernel.slot(type))
        memory = Memory(slot.pointer, 0, strides, strides)
        self.statements += self.kernel.copied(type, memory, source)
        return memory

    def _memory(self, buffer: Buffer) -> Memory:
        if buffer not in self.places:
            if buffer.input is not None:
                stored = self.inputs[buffer.input]
                if isinstance(stored, Scalar):
                    return stored  # type: ignore[return-value]
                self.places[buffer] = stored
            elif buffer.output is not None:
                self.places[buffer] = self.results[buffer.output]
            else:
                self.slots[buffer] = slot = self.kernel.slot(buffer.type)
                strides = c_strides(buffer.type.bounded().shape)
                self.places[buffer] = Memory(slot.pointer, 0, strides, strides)
        return self.places[buffer]

    def _operand(self, unit: Unit, value: Value) -> Stored:
        return self._stored(unit.renamed.get(value, value))

    def _text(self, value: Value) -> str:
        stored = self._stored(value)
        assert isinstance(stored, Scalar)
        return stored.text

    def _result(self, value: Value) -> Memory:
        return self._memory(self.plan.buffers[value])

    # --- the code of units ------------------------------------------------------------------------

    def _unit(self, unit: Unit) -> None:
        match unit.action:
            case Copy(source=source, result=result, but=but):
                stored = self._operand(unit, source)
                for index in around(source.type, but):
                    part = _part_of(stored, index)
                    box = source.type.with_shape(box_shape(source.type, index))
                    self.statements += self.kernel.copied(box, self._box(result, index), part)
            case Locate():
                self._locate(unit.action)
            case Node():
                self._node(unit, unit.action)

    def _locate(self, locate: Locate) -> None:
        """Wrap an index that counts from the end, and check its bounds."""
        name = self.kernel.names.scalar()
        self.kernel.symbols[locate.symbol] = name
        extent = self.kernel.names.sizes.dim(locate.extent)
        self.statements += self._position(name, self._stored(locate.index), [], extent)

    def _node(self, unit: Unit, node: Node) -> None:
        match node.op.code:
            case Expression(text=text):
                self._let(unit, node, text)
            case Strided():
                self._element(node, self._operand(unit, node.inputs[0]))
            case Pieces():
                self._pieces(unit, node)
            case Control(form=form):
                getattr(self, f"_{form}")(unit, node)
            case Loops(point="write" | "add"):
                self._scatter(unit, node)
            case Loops() | Routine():
                self._call(unit, node)
            case _:
                self._nest(unit, node)

    def _element(self, node: Node, source: Stored) -> None:
        """Read the one element that a view shows."""
        if isinstance(source, Scalar):
            self.env[node.output] = source
            return
        placed = placed_view(node, node.inputs[0].type.shape, source.strides)
        assert placed is not None
        at = Memory(source.pointer, source.offset + placed[0], (), source.grid)
        self.env[node.output] = Scalar(self.kernel.names.scalar())
        self.statements.append(Load(self._text(node.output), self.kernel.access(at)))

    def _let(self, unit: Unit, node: Node, text: str) -> None:
        name = self.kernel.names.scalar()
        operands = tuple(self._text(unit.renamed.get(v, v)) for v in node.inputs)
        self.statements.append(Let(name, node.output.type.dtype, text, operands))
        self.env[node.output] = Scalar(name)

    def _nest(self, unit: Unit, node: Node) -> None:
        body: Graph = node.attrs["body"]
        given = {
            inside: self._given(self._operand(unit, value), value.type.ndim)
            for value, inside in zip(node.inputs, body.inputs, strict=True)
        }
        results = {}
        for value, inside in zip(node.outputs, body.outputs, strict=True):
            if not value.type.shape:
                name = self.kernel.names.scalar()
                self.env[value] = Scalar(name)
                results[inside] = Target("", (), name)
            elif value in unit.into:
                results[inside] = self._target(value, unit.into[value])
            else:
                memory = self._result(value)
                results[inside] = Target(memory.pointer, memory.strides)
        self.statements += fused_statements(body, given, results, self.kernel.names)

    def _given(self, stored: Stored, ndim: int) -> Operand:
        if isinstance(stored, Scalar):
            return Operand("", (0,) * ndim, stored.text)
        return Operand(stored.pointer, stored.strides, None, self.kernel.access(stored).offset)

    def _target(self, value: Value, into: Into) -> Target:
        memory = self._boxed(value, into)
        offset = self.kernel.access(memory).offset
        return Target(memory.pointer, memory.strides, None, offset, into.add)

    def _boxed(self, value: Value, into: Into) -> Memory:
        """The box in which a nest puts a value, in the value's axes."""
        memory = self._box(into.result, into.index)
        shape = box_shape(into.result.type, into.index)
        strides = align_axes(shape, memory.strides, value.type.shape)
        assert strides is not None
        return Memory(memory.pointer, memory.offset, strides, memory.grid)

    def _box(self, result: Value, index: Index | None) -> Memory:
        """A box of the array that a value is a version of."""
        memory = self._result(result)
        offset, strides, _ = box_layout(result.type.bounded().shape, index)
        return Memory(memory.pointer, memory.offset + offset, strides, memory.grid)

    def _pieces(self, unit: Unit, node: Node) -> None:
        """Write boxes one after the other; what the first operand holds is there already."""
        assert isinstance(node.op.code, Pieces)
        pieces = node.op.code.boxes(node.types, dict(node.attrs))
        tied = tied_operand(node, 0) is not None
        result = node.output
        if not result.type.shape:
            self._scalar_pieces(unit, node, pieces)
            return
        for piece in pieces[tied or unit.filled :]:
            shape = box_shape(result.type, piece.index)
            source: Stored = Scalar(literal(piece.literal, result.type.dtype))
            if piece.operand is not None:
                value = node.inputs[piece.operand]
                source = aligned(self._operand(unit, value), value.type.shape, len(shape))
            to = self._box(result, piece.index)
            box = result.type.with_shape(shape)
            self.statements += self.kernel.copied(box, to, source, add=piece.add)

    def _scalar_pieces(self, unit: Unit, node: Node, pieces: tuple[Piece, ...]) -> None:
        """A result of one element is what the last piece gives, or the sum of the last two."""
        name = self.kernel.names.scalar()
        *_, last = pieces
        assert last.operand is not None
        text = self._text(unit.renamed.get(v := node.inputs[last.operand], v))
        if last.add:
            first = self._text(node.inputs[0])
            self.statements.append(Let(name, node.output.type.dtype, "{0} + {1}", (first, text)))
        else:
            self.statements.append(Set(name, text))
        self.env[node.output] = Scalar(name)

    def _scatter(self, unit: Unit, node: Node) -> None:
        """Write parts, or add them, at positions that an array of integers gives."""
        assert isinstance(node.op.code, Loops)
        names, axis = self.kernel.names, node.attrs["axis"]
        value, indices = (self._operand(unit, v) for v in node.inputs[1:])
        rank = node.inputs[2].type.ndim
        loops = [Symbol("p", 0, n - 1) for n in node.inputs[2].type.shape]
        for symbol in loops:
            self.kernel.symbols[symbol] = names.scalar()
        at, symbol = names.scalar(), Symbol("k")
        self.kernel.symbols[symbol] = at
        part, box = value, self._result(node.output)
        shape = node.output.type.shape
        if isinstance(part, Memory):
            walked = part.strides[axis : axis + rank]
            strides = part.strides[:axis] + part.strides[axis + rank :]
            part = Memory(part.pointer, part.offset + _walk(loops, walked), strides, part.grid)
        offset = box.offset + box.strides[axis] * symbol_dim(symbol)
        box = Memory(box.pointer, offset, box.strides[:axis] + box.strides[axis + 1 :], box.grid)
        rest = node.output.type.with_shape(shape[:axis] + shape[axis + 1 :])
        extent = names.sizes.dim(shape[axis])
        read, wrap, check = self._position(at, indices, loops, extent)
        copied = self.kernel.copied(rest, box, part, add=node.op.code.point == "add")
        if _has_many(node.inputs[2].type):
            self._check_all(at, read, loops, extent)
            self._walk_through(loops, (read, wrap, *copied))
        else:
            self._walk_through(loops, (read, wrap, check, *copied))

    def _check_all(self, at: str, read: Statement, loops: list[Symbol], extent: str) -> None:
        """Check the least and the greatest of many positions, which are found in vectors."""
        least, greatest = self.kernel.names.scalar(), self.kernel.names.scalar()
        self.statements += (Set(least, "int64(0)"), Set(greatest, "int64(-1)"))
        fold = (Set(least, f"min({least}, {at})"), Set(greatest, f"max({greatest}, {at})"))
        self._walk_through(loops, (read, *fold))
        outside = f"{least} + {extent} < 0 or {greatest} >= {extent}"
        self.statements.append(Stop(outside, OUT_OF_BOUNDS))

    def _walk_through(self, loops: list[Symbol], body: tuple[Statement, ...]) -> None:
        """Write loops, from the outermost."""
        for loop in reversed(loops):
            assert loop.upper is not None
            extent = self.kernel.names.sizes.dim(loop.upper + 1)
            body = (Range(self.kernel.symbols[loop], "0", extent, "1", body),)
        self.statements += body

    def _position(
        self, name: str, indices: Stored, loops: list[Symbol], extent: str
    ) -> tuple[Statement, Statement, Statement]:
        """Read a position, wrap it if it counts from the end, and check its bounds."""
        if isinstance(indices, Scalar):
            read: Statement = Set(name, f"int64({indices.text})")
        else:
            at = indices.offset + _walk(loops, indices.strides)
            access = self.kernel.access(Memory(indices.pointer, at, (), indices.grid))
            read = Set(name, f"int64({indices.pointer}[{access.offset.text or 0}])")
        return (
            read,
            Set(name, f"where({name} < 0, {name} + {extent}, {name})"),
            Stop(f"{name} < 0 or {name} >= {extent}", OUT_OF_BOUNDS),
        )

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, unit: Unit, node: Node) -> None:
        """Call a kernel by its address: operands and results are C-contiguous."""
        sizes = self.kernel.names.sizes
        callee, integers = callee_of(node)
        strided = isinstance(node.op.code, Routine) and node.op.code.strided
        borrowed: list[_Slot] = []
        operands = [self._dense(unit, v, node, borrowed, strided) for v in node.inputs]
        if strided:
            callee, integers = strided_callee_of(node, [m.strides for m in operands])
        results = [self._dense_result(v, borrowed) for v in node.outputs]
        scratch = []
        if isinstance(node.op.code, Routine):
            types = tuple(t.bounded() for t in node.types)
            for type in node.op.code.scratch(types, dict(node.attrs)):
                borrowed.append(slot := self.kernel.slot(type))
                scratch.append(Memory(slot.pointer, 0, (), ()))
        address = self.kernel.callees.setdefault(callee, f"f{len(self.kernel.callees)}")
        start = results if isinstance(callee, Tile) else []  # to which nothing is added
        pointers = tuple(map(self.kernel.access, (*operands, *results, *start, *scratch)))
        self.statements.append(Invoke(address, pointers, tuple(map(sizes.dim, integers))))
        for value, memory in zip(node.outputs, results, strict=True):
            self._leave(value, memory)
        for slot in borrowed:
            slot.free = True

    def _dense(
        self, unit: Unit, value: Value, node: Node, borrowed: list[_Slot], strided: bool
    ) -> Memory:
        """An operand as a call needs it: in C order, or a stack of matrices as BLAS reads them."""
        stored = self._operand(unit, value)
        type = value.type
        if strided and type.ndim > 2:
            stack = node.output.type.shape[:-2]
            stored = aligned(stored, type.shape, len(stack) + 2)
            stretched = type.shape[:-2] != stack
            type = type.with_shape((*stack, *type.shape[-2:])) if stretched else type
        if isinstance(stored, Memory):
            fits = Layout(value, 0, stored.strides).contiguous(type)
            if fits or (strided and matrix_strided(stored.strides, type.shape)):
                return stored
        borrowed.append(slot := self.kernel.slot(type))
        strides = c_strides(type.shape)
        memory = Memory(slot.pointer, 0, strides, ())
        self.statements += self.kernel.copied(type, memory, stored)
        return memory

    def _dense_result(self, value: Value, borrowed: list[_Slot]) -> Memory:
        strides = c_strides(value.type.shape)
        if value.type.shape and self._result(value).strides == strides:
            return self._result(value)
        borrowed.append(slot := self.kernel.slot(value.type))
        return Memory(slot.pointer, 0, strides, ())

    def _leave(self, value: Value, memory: Memory) -> None:
        """Bring a result to its place: a variable, or a buffer with room for more."""
        if not value.type.shape:
            self.env[value] = Scalar(self.kernel.names.scalar())
            self.statements.append(Load(self._text(value), self.kernel.access(memory)))
        elif memory != self._result(value):
            self.statements += self.kernel.copied(value.type, self._result(value), memory)

    # --- loops and branches -----------------------------------------------------------------------

    def _loop(self, unit: Unit, node: Node) -> None:
        sizes = self.kernel.names.sizes
        start, trips, step = (node.attrs[name] for name in ("start", "trips", "step"))
        bounds = sizes.dim(start), sizes.extent(start + trips * step), sizes.number(step)
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 0)
            body = self._body(unit, node, node.attrs["body"], carried, 0)
        made = Trips(node.attrs["symbol"], start, trips, step)
        self.statements += self._scheduled(Range(name, *bounds, body), made)

    def _scheduled(self, loop: Range, trips: Trips) -> Iterator[Statement]:
        """Write a loop in the order that suits memory, and keep what its trips share."""
        names, scratch = self.kernel.names, self.kernel.lanes
        site = Site(loop, trips.symbol, trips.step, names, scratch, self.kernel.dtype)
        changed = interchanged(site)
        if changed is not loop:
            yield changed
            return
        for statement in in_registers(loop, trips, names, self.kernel.dtype):
            if isinstance(statement, Range):
                before, steady = without_steady_loads(statement)
                yield from before
                yield shortened(steady, names)
            else:
                yield statement

    def _counted(self, unit: Unit, node: Node) -> None:
        trips = self._text(node.inputs[0])
        if node.attrs["capacity"] is not None:
            capacity = self.kernel.names.sizes.number(node.attrs["capacity"])
            self.statements.append(Stop(f"{trips} > {capacity}", OUT_OF_CAPACITY))
        bounds = (f"{trips} - 1", "-1", "-1") if node.attrs["reverse"] else ("0", trips, "1")
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 1)
            body = self._body(unit, node, node.attrs["body"], carried, 1)
        before, loop = without_steady_loads(Range(name, *bounds, body))
        self.statements += (*before, loop)

    def _between(self, unit: Unit, node: Node) -> None:
        """Run for the positions of an axis that two numbers enclose."""
        first, last = (self._text(v) for v in node.inputs[:2])
        start, stop = self.kernel.names.scalar(), self.kernel.names.scalar()
        capacity = self.kernel.names.sizes.number(node.attrs["capacity"])
        self.statements.append(Set(start, f"where({first} < 0, 0, {first})"))
        self.statements.append(Set(stop, f"where({last} > {capacity}, {capacity}, {last})"))
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 2)
            body = self._body(unit, node, node.attrs["body"], carried, 2)
        before, loop = without_steady_loads(Range(name, start, stop, "1", body))
        self.statements += [*before, shortened(loop, self.kernel.names)]

    def _while(self, unit: Unit, node: Node) -> None:
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 0)
            self.statements.append(Set(name, "0"))
            test = self._inner(unit, node, node.attrs["test"], carried, 0, {})
            tested = (*test.write(), Set(condition := self.kernel.names.scalar(), test.output(0)))
            body = list(self._body(unit, node, node.attrs["body"], carried, 0))
            if node.attrs["capacity"] is not None:
                capacity = self.kernel.names.sizes.number(node.attrs["capacity"])
                body.insert(0, Stop(f"{name} >= {capacity}", OUT_OF_CAPACITY))
        body.append(Set(name, f"{name} + 1"))
        self.statements.append(While(tested, condition, tuple(body)))

    def _carry(self, unit: Unit, node: Node, skip: int) -> list[Stored]:
        """Start the variables of carried scalars; carried arrays are in place."""
        carried: list[Stored] = []
        operands = node.inputs[skip + node.attrs["constants"] :]
        for value, result in zip(operands, node.outputs, strict=True):
            if result.type.shape:
                carried.append(self._result(result))
                continue
            name = self.kernel.names.scalar()
            self.statements.append(Set(name, self._text(unit.renamed.get(value, value))))
            carried.append(Scalar(name))
            self.env[result] = Scalar(name)
        return carried

    def _inner(
        self,
        unit: Unit,
        node: Node,
        graph: Graph,
        carried: list[Stored],
        skip: int,
        ties: Mapping[int, int],
    ) -> Program:
        """The program of a region, its constants and what it carries in place."""
        constants = node.inputs[skip : skip + node.attrs["constants"]]
        inputs = (*(self._operand(unit, v) for v in constants), *carried)
        return Program(self.kernel, plan_program(graph, ties), inputs)

    def _body(
        self, unit: Unit, node: Node, graph: Graph, carried: list[Stored], skip: int
    ) -> tuple[Statement, ...]:
        """Write one trip: the body, then the carried scalars get their new values."""
        count = node.attrs["constants"]
        ties = {k: count + k for k, v in enumerate(graph.outputs) if v.type.shape}
        program = self._inner(unit, node, graph, carried, skip, ties)
        statements = list(program.write())
        scalars = [
            (c.text, program.output(k)) for k, c in enumerate(carried) if isinstance(c, Scalar)
        ]
        return (*statements, *self._assigned(scalars))

    def _assigned(self, pairs: list[tuple[str, str]]) -> Iterator[Statement]:
        """Assign variables at once: one that another still needs is saved before."""
        changed = [(name, text) for name, text in pairs if name != text]
        overwritten: dict[str, str] = {}
        for i, (name, _) in enumerate(changed):
            if any(text == name for _, text in changed[i + 1 :]):
                overwritten[name] = self.kernel.names.scalar()
                yield Set(overwritten[name], name)
        done: set[str] = set()
        for name, text in changed:
            yield Set(name, overwritten[text] if text in done else text)
            done.add(name)

    def _branch(self, unit: Unit, node: Node) -> None:
        ties = branch_ties(node)
        results: list[Stored] = [
            self._result(v) if v.type.shape else Scalar(self.kernel.names.scalar())
            for v in node.outputs
        ]
        operands = [
            results[k] if (k := tied_result(ties, i + 1)) is not None else self._operand(unit, v)
            for i, v in enumerate(node.inputs[1:])
        ]
        programs = [
            self._arm(graph, tuple(operands), results, ties)
            for graph in (node.attrs["then"], node.attrs["orelse"])
        ]
        self.statements.append(Branch(self._text(node.inputs[0]), programs[0], programs[1]))
        self.env.update(
            (v, r) for v, r in zip(node.outputs, results, strict=True) if not v.type.shape
        )

    def _arm(
        self,
        graph: Graph,
        operands: tuple[Stored, ...],
        results: list[Stored],
        ties: Mapping[int, int],
    ) -> tuple[Statement, ...]:
        plan = plan_program(graph, {k: i - 1 for k, i in ties.items()})
        memories: Any = tuple(results)
        program = Program(self.kernel, plan, operands, memories)
        statements = program.write()
        ends = [
            Set(r.text, program.output(k)) for k, r in enumerate(results) if isinstance(r, Scalar)
        ]
        return (*statements, *ends)


def _has_many(indices: ArrayType) -> bool:
    counts = [n for n in indices.shape if isinstance(n, int)]
    return len(counts) == indices.ndim and math.prod(counts) >= MANY


def _walk(symbols: list[Symbol], strides: tuple[int, ...]) -> Dim:
    """The offset of an element at loop indices."""
    offset: Dim = 0
    for symbol, stride in zip(symbols, strides, strict=True):
        offset = offset + stride * symbol_dim(symbol)
    return offset


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


def _part_of(stored: Stored, index: Index | None) -> Stored:
    """A box of an array that may have any strides."""
    if index is None or isinstance(stored, Scalar):
        return stored
    offset, strides = boxed((), stored.strides, {"index": index})
    return Memory(stored.pointer, stored.offset + offset, strides, stored.grid)


def tied_result(ties: Mapping[int, int], operand: int) -> int | None:
    """Return the result that takes over the buffer of an operand."""
    return next((k for k, i in ties.items() if i == operand), None)


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


def kernel_name(body: Graph) -> str:
    """Name a kernel after the loop or branch it is."""
    for node in body.nodes:
        if isinstance(node.op.code, Control):
            symbol = node.attrs.get("symbol")
            return f"{node.op.name}_{symbol.name}" if symbol is not None else node.op.name
    nests = [node.attrs["body"].name for node in body.nodes if is_nest(node)]
    return f"{nests[0]}_{body.name}" if nests else body.name
