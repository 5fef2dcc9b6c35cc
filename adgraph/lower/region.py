"""Write a `kernel` node as one function: the user's loops and branches with the nests inside.

Scalars are local variables, carried ones too; arrays are pointers with offsets and strides, where
`adgraph.lower.inplace` has put them and `adgraph.lower.places` finds them; temporaries are scratch
pointers, shared by liveness. The code of single units is that of `steps`, `scatter` and `calls`.
Begin with `write_kernel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from adgraph.ir.code import Control, Expression, Loops, Pieces, Routine, Strided
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import ArrayType
from adgraph.lower.blocks import in_blocks
from adgraph.lower.callee import Callee
from adgraph.lower.calls import write_call
from adgraph.lower.inplace import plan_program
from adgraph.lower.interchange import Site, interchanged
from adgraph.lower.layout import c_strides
from adgraph.lower.merge import merged
from adgraph.lower.nest import (
    Access,
    Branch,
    Load,
    Parameter,
    Range,
    Remark,
    Set,
    Statement,
    Stop,
    Store,
    While,
)
from adgraph.lower.places import Places
from adgraph.lower.recurrent import shortened
from adgraph.lower.registers import Trips, in_registers
from adgraph.lower.scatter import write_locate, write_scatter
from adgraph.lower.steady import without_steady_loads
from adgraph.lower.steps import write_copy, write_element, write_let, write_nest, write_pieces
from adgraph.lower.storage import Kernel, Memory, Scalar, Stored
from adgraph.lower.units import (
    Copy,
    Locate,
    ProgramPlan,
    Ties,
    Unit,
    branch_ties,
    is_nest,
    program_ties,
)
from adgraph.ops.control import mark


@dataclass(frozen=True)
class WrittenKernel:
    """A kernel: pointers in order, integers, the types of its scratch, statements.

    `callees` are the kernels it calls, with the names of the integers that are their addresses.
    `in_blocks` tells whether loops that hand arrays over run block by block.
    """

    name: str
    pointers: tuple[Parameter, ...]
    sizes: dict[str, int]
    scratch: tuple[ArrayType, ...]
    statements: tuple[Statement, ...]
    callees: dict[Callee, str]
    in_blocks: bool


def write_kernel(
    node: Node, operands: tuple[Stored, ...] | None = None, shared: frozenset[int] = frozenset()
) -> WrittenKernel:
    """Write a `kernel` node.

    `operands` tells where the operands are: pointers `a0`, `a1`, ... with any strides, or literals;
    by default all are contiguous. `shared` are the results that lie where their operand does.
    """
    body: Graph = node.attrs["body"]
    kernel, ties = Kernel(body), program_ties(body)
    entered = operands or tuple(_contiguous(f"a{i}", t) for i, t in enumerate(node.types))
    results = tuple(_contiguous(f"b{k}", v.type) for k, v in enumerate(body.outputs))
    statements: list[Statement] = []
    inputs = [
        _entered(kernel, value, stored, statements)
        for value, stored in zip(body.inputs, entered, strict=True)
    ]
    for k, i in ties.items():
        if k not in shared:
            statements += kernel.copied(body.inputs[i].type, results[k], inputs[i])
        inputs[i] = results[k]
    program = Program(kernel, plan_program(body, ties), tuple(inputs), results)
    units = program.units()
    joined = in_blocks(units, kernel)
    statements += program.scheduled(joined or units)
    for k, value in enumerate(body.outputs):
        if not value.type.shape:
            statements.append(Store(Access(f"b{k}", ()), program.output(k)))
    outside = [i for i in range(len(entered)) if i not in {ties[k] for k in shared}]
    pointers = [
        Parameter(at.pointer, body.inputs[i].type.dtype)
        for i in outside
        if isinstance(at := entered[i], Memory)
    ]
    pointers += [Parameter(f"b{k}", v.type.dtype) for k, v in enumerate(body.outputs)]
    pointers += [Parameter(slot.pointer, slot.dtype) for slot in kernel.slots]
    return WrittenKernel(
        kernel_name(body),
        tuple(pointers),
        kernel.names.sizes.values,
        tuple(ArrayType(slot.dtype, (slot.size,)) for slot in kernel.slots),
        tuple(statements),
        kernel.callees,
        joined is not None,
    )


def _contiguous(pointer: str, type: ArrayType) -> Memory:
    strides = c_strides(type.shape)
    return Memory(pointer, 0, strides, strides)


def _entered(kernel: Kernel, value: Value, stored: Stored, statements: list[Statement]) -> Stored:
    """Load a scalar operand at the start."""
    if value.type.shape or isinstance(stored, Scalar):
        return stored
    name = kernel.names.scalar()
    statements.append(Load(name, kernel.access(stored)))
    return Scalar(name)


class Program:
    """One program inside a kernel: the body of a loop, a branch, or the whole."""

    def __init__(
        self,
        kernel: Kernel,
        plan: ProgramPlan,
        inputs: tuple[Stored, ...],
        results: tuple[Memory, ...] = (),
    ) -> None:
        self.kernel = kernel
        self.plan = plan
        self.places = Places(kernel, plan, inputs, results)
        self.statements = self.places.statements
        self.loops: list[tuple[Range, Trips]] = []
        self.line = ""

    def write(self) -> tuple[Statement, ...]:
        """Write the units, and every loop in the order that suits memory."""
        return tuple(self.scheduled(self.units()))

    def units(self) -> tuple[Statement, ...]:
        """Write the units in order; give scratch back after its last use."""
        for i, unit in enumerate(self.plan.units):
            self._remark(unit)
            self._unit(unit)
            self.places.release_after(i)
        self.places.release()
        return merged(self.statements, self.kernel.names.sizes)

    def scheduled(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """Bring every loop among statements into the order that suits memory."""
        for statement in statements:
            trips = next((trips for loop, trips in self.loops if loop is statement), None)
            if isinstance(statement, Range) and trips is not None:
                yield from _in_best_order(self.kernel, statement, trips)
            else:
                yield statement

    def output(self, number: int) -> str:
        """Return the text of a scalar result."""
        return self.places.text(self.plan.outputs[number])

    def _remark(self, unit: Unit) -> None:
        if isinstance(unit.action, Node) and unit.action.origin.location is not None:
            line = unit.action.origin.location.source()
            if line and line != self.line:
                self.line = line
                self.statements.append(Remark(line))

    def _unit(self, unit: Unit) -> None:
        match unit.action:
            case Copy() as copy:
                write_copy(self.places, unit, copy)
            case Locate() as locate:
                write_locate(self.places, locate)
            case Node() as node:
                self._node(unit, node)

    def _node(self, unit: Unit, node: Node) -> None:
        match node.op.code:
            case Expression(text=text):
                write_let(self.places, unit, node, text)
            case Strided():
                write_element(self.places, unit, node)
            case Pieces():
                write_pieces(self.places, unit, node)
            case Control(form=form):
                getattr(self, f"_{form}")(unit, node)
            case Loops(point="write" | "add"):
                write_scatter(self.places, unit, node)
            case Loops() | Routine():
                write_call(self.places, unit, node)
            case _:
                write_nest(self.places, unit, node)

    # --- loops ------------------------------------------------------------------------------------

    def _loop(self, unit: Unit, node: Node) -> None:
        sizes = self.kernel.names.sizes
        start, trips, step = (node.attrs[name] for name in ("start", "trips", "step"))
        bounds = sizes.dim(start), sizes.extent(start + trips * step), sizes.number(step)
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 0)
            body = self._body(unit, node, node.attrs["body"], carried, 0)
        loop = Range(name, *bounds, body)
        self.loops.append((loop, Trips(node.attrs["symbol"], start, trips, step)))
        self.statements.append(loop)

    def _counted(self, unit: Unit, node: Node) -> None:
        trips = self.places.text(node.inputs[0])
        if node.attrs["capacity"] is not None:
            capacity = self.kernel.names.sizes.number(node.attrs["capacity"])
            self.statements.append(Stop(f"{trips} > {capacity}", self._mark(node)))
        bounds = (f"{trips} - 1", "-1", "-1") if node.attrs["reverse"] else ("0", trips, "1")
        with self.kernel.binding(node.attrs["symbol"]) as name:
            carried = self._carry(unit, node, 1)
            body = self._body(unit, node, node.attrs["body"], carried, 1)
        before, loop = without_steady_loads(Range(name, *bounds, body))
        self.statements += (*before, loop)

    def _between(self, unit: Unit, node: Node) -> None:
        """Run for the positions of an axis that two numbers enclose."""
        first, last = (self.places.text(v) for v in node.inputs[:2])
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
                body.insert(0, Stop(f"{name} >= {capacity}", self._mark(node)))
        body.append(Set(name, f"{name} + 1"))
        self.statements.append(While(tested, condition, tuple(body)))

    def _mark(self, node: Node) -> str:
        """Return the status by which the kernel tells that a loop has outgrown its tape."""
        return self.kernel.names.sizes.number(mark(node.origin.location))

    def _carry(self, unit: Unit, node: Node, skip: int) -> list[Stored]:
        """Start the variables of carried scalars; carried arrays are in place."""
        carried: list[Stored] = []
        operands = node.inputs[skip + node.attrs["constants"] :]
        for value, result in zip(operands, node.outputs, strict=True):
            if result.type.shape:
                carried.append(self.places.result(result))
                continue
            name = self.kernel.names.scalar()
            self.statements.append(Set(name, self.places.operand_text(unit, value)))
            carried.append(Scalar(name))
            self.places.define(result, name)
        return carried

    def _inner(
        self,
        unit: Unit,
        node: Node,
        graph: Graph,
        carried: list[Stored],
        skip: int,
        ties: Ties,
    ) -> Program:
        """The program of a region, its constants and what it carries in place."""
        constants = node.inputs[skip : skip + node.attrs["constants"]]
        inputs = (*(self.places.operand(unit, v) for v in constants), *carried)
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
            self.places.result(v) if v.type.shape else Scalar(self.kernel.names.scalar())
            for v in node.outputs
        ]
        operands = [
            results[k]
            if (k := _tied_result(ties, i + 1)) is not None
            else self.places.operand(unit, v)
            for i, v in enumerate(node.inputs[1:])
        ]
        programs = [
            self._arm(graph, tuple(operands), results, ties)
            for graph in (node.attrs["then"], node.attrs["orelse"])
        ]
        self.statements.append(Branch(self.places.text(node.inputs[0]), programs[0], programs[1]))
        for value, result in zip(node.outputs, results, strict=True):
            if isinstance(result, Scalar):
                self.places.define(value, result.text)

    def _arm(
        self,
        graph: Graph,
        operands: tuple[Stored, ...],
        results: list[Stored],
        ties: Ties,
    ) -> tuple[Statement, ...]:
        plan = plan_program(graph, {k: i - 1 for k, i in ties.items()})
        memories: Any = tuple(results)
        program = Program(self.kernel, plan, operands, memories)
        statements = program.write()
        ends = [
            Set(r.text, program.output(k)) for k, r in enumerate(results) if isinstance(r, Scalar)
        ]
        return (*statements, *ends)


def _in_best_order(kernel: Kernel, loop: Range, trips: Trips) -> Iterator[Statement]:
    """Write a loop in the order that suits memory, and keep what its trips share."""
    names = kernel.names
    site = Site(loop, trips.symbol, trips.step, names, kernel.lanes, kernel.dtype)
    changed = interchanged(site)
    if changed is not loop:
        yield changed
        return
    for statement in in_registers(loop, trips, names, kernel.dtype):
        if isinstance(statement, Range):
            before, steady = without_steady_loads(statement)
            yield from before
            yield shortened(steady, names)
        else:
            yield statement


def _tied_result(ties: Ties, operand: int) -> int | None:
    """The result that takes over the buffer of an operand."""
    return next((k for k, i in ties.items() if i == operand), None)


def kernel_name(body: Graph) -> str:
    """Name a kernel after the loop or branch it is."""
    for node in body.nodes:
        if isinstance(node.op.code, Control):
            symbol = node.attrs.get("symbol")
            return f"{node.op.name}_{symbol.name}" if symbol is not None else node.op.name
    nests = [node.attrs["body"].name for node in body.nodes if is_nest(node)]
    return f"{nests[0]}_{body.name}" if nests else body.name
