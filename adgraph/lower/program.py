"""From a program's graph to kernels and the flat memory the driver runs.

`lower(graph, budget)` fuses, inserts the copies that layouts need, schedules, plans the arena, and
makes one `Call` per kernel. `Program` is what the runtime keeps. Begin with `lower`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, Location, message
from adgraph.ir.code import Loops, Pieces, Routine
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType
from adgraph.lower import blas
from adgraph.lower.callee import Callee, callee_of, matrix_sizes
from adgraph.lower.driver import Step, build_program, scratch_words
from adgraph.lower.enclose import enclose, literal_texts, stored_operands
from adgraph.lower.fused import Operand, fused_nest, replay
from adgraph.lower.kernel import Backend, KernelSource, compile_kernels
from adgraph.lower.layout import Layout, box_layout, layouts
from adgraph.lower.materialize import materialize
from adgraph.lower.movement import RESULT, SOURCE, box_nest
from adgraph.lower.nest import Nest
from adgraph.lower.numba_source import literal, numba_source
from adgraph.lower.products import prepare_bodies
from adgraph.lower.region import write_kernel
from adgraph.passes.fuse import fuse
from adgraph.schedule.budget import schedule_and_plan
from adgraph.schedule.buffers import Plan
from adgraph.schedule.schedule import Compute, Free, Schedule

ARENA = 0
Address = tuple[int, int]  # source, byte offset


@dataclass(frozen=True)
class Call:
    """One kernel call of a program: a kernel source or a routine, its pointers and integers.

    `callees` are called by the kernel itself, which gets their addresses after its integers.
    """

    node: Node
    kernel: Callee
    pointers: tuple[Address, ...]
    sizes: tuple[int, ...]
    callees: tuple[Callee, ...] = ()


@dataclass(frozen=True)
class Program:
    """A lowered program.

    `results` are the types of what a call returns: an output of `graph` may be the buffer of one
    under another shape. The sources of its addresses are: the arena, then the constants, the
    inputs, the outputs.
    """

    graph: Graph
    results: tuple[ArrayType, ...]
    schedule: Schedule
    plan: Plan
    calls: tuple[Call, ...]
    constants: tuple[np.ndarray[Any, Any], ...]
    words: np.ndarray[Any, Any]
    scratch_words: int

    def origin_of(self, step: int) -> Location | None:
        """Return the user's line of a kernel call."""
        return self.calls[step].node.origin.location

    def source(self) -> str:
        """Return the text of the kernels, in the order of their first call."""
        return "\n\n".join(_source_texts(self.calls))


def lower(graph: Graph, budget: int | None = None, backend: Backend = "auto") -> Program:
    """Lower a program; `budget` bounds its peak bytes, `backend` compiles its kernels."""
    _refuse_unsupported(graph)
    settled = enclose(materialize(fuse(prepare_bodies(graph))))
    schedule, plan = schedule_and_plan(settled, budget=budget, may_share=_Sharing(settled).allows)
    writer = _Writer(settled, schedule, plan)
    calls = tuple(writer.calls())
    steps = _link(calls, backend)
    words = build_program(steps)
    return Program(
        settled,
        tuple(v.type for v in graph.outputs),
        schedule,
        plan,
        calls,
        writer.constants,
        words,
        scratch_words(steps),
    )


def _refuse_unsupported(graph: Graph) -> None:
    for value in graph.inputs:
        if value.type.dtype.kind == "c":
            raise DtypeError(
                message(
                    f"{value.name or 'an argument'} is an array of dtype {value.type.dtype}",
                    "kernels exist for float32, float64, integers and bool",
                    "pass real and imaginary parts as two arrays",
                )
            )
    for node in graph.nodes:
        for value in node.outputs:
            dtype = value.type.dtype
            if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.char not in "fd"):
                raise DtypeError(
                    message(
                        f"{node.op.name} gives an array of dtype {dtype} and shape "
                        f"{value.type.shape}, for which there are no kernels",
                        "kernels exist for float32, float64, integers and bool",
                        "convert to one of them; of complex numbers, compute with real and "
                        "imaginary parts",
                        node.origin.location,
                    )
                )


def _link(calls: tuple[Call, ...], backend: Backend) -> list[Step]:
    """Compile what is missing and put addresses into the calls."""
    called = [kernel for call in calls for kernel in (call.kernel, *call.callees)]
    sources = [kernel for kernel in called if isinstance(kernel, KernelSource)]
    compiled = iter(compile_kernels(sources, backend))
    addresses = iter([_address(kernel, compiled) for kernel in called])
    steps = []
    for call in calls:
        address = next(addresses)
        behind = tuple(next(addresses) for _ in call.callees)
        steps.append(Step(address, call.pointers, (*call.sizes, *behind)))
    return steps


def _address(kernel: Callee, compiled: Iterator[int]) -> int:
    if isinstance(kernel, KernelSource):
        return next(compiled)
    routine, dtype = kernel
    address: int = getattr(blas, routine)(dtype)
    return address


class _Sharing:
    """Which results may take the buffer of an operand that dies with the node."""

    def __init__(self, graph: Graph) -> None:
        self._layouts = layouts(graph)

    def allows(self, node: Node, operand: Value, output: Value) -> bool:
        layout = self._layouts[operand]
        same_root = [v for v in node.inputs if self._layouts[v].root is layout.root]
        whole = layout.contiguous(operand.type) and layout.offset == 0
        root_type = layout.root.type
        if len(same_root) > 1 or not whole or root_type.nbytes != output.type.nbytes:
            return False
        if isinstance(node.op.code, Pieces):
            return _first_piece_is(node, operand)
        if node.op.kind is not Kind.REGION or operand.type != output.type:
            return False
        if "in_place" in node.attrs:
            pair = node.inputs.index(operand), node.outputs.index(output)
            return pair in node.attrs["in_place"]
        return _elementwise_in_place(node, operand, output)


def _first_piece_is(node: Node, operand: Value) -> bool:
    assert isinstance(node.op.code, Pieces)
    first = node.op.code.boxes(node.types, dict(node.attrs))[0]
    return first.index is None and first.operand == node.inputs.index(operand)


def _elementwise_in_place(node: Node, operand: Value, output: Value) -> bool:
    """Whether no element of the operand is read after the result's element was written."""
    body: Graph = node.attrs["body"]
    space = replay(body)
    inside = body.inputs[node.inputs.index(operand)]
    result = body.outputs[node.outputs.index(output)]
    place = space.places[result]
    if not place.inner or space.operands.get(inside) != place.map:
        return False
    return all(
        space.places[n.output].stage <= place.stage for n in space.nodes if inside in n.inputs
    )


class _Writer:
    """Walks the schedule and writes the calls; knows where every live value is."""

    def __init__(self, graph: Graph, schedule: Schedule, plan: Plan) -> None:
        self._graph = graph
        self._schedule = schedule
        self._plan = plan
        self._layouts = layouts(graph)
        self._literals: dict[Value, Any] = {}
        self._texts = literal_texts(graph)
        self._where: dict[Value, Address] = {}
        self.constants = tuple(self._place_constants())
        first_input = 1 + len(self.constants)
        for i, value in enumerate(graph.inputs):
            self._where[value] = (first_input + i, 0)
        first_output = first_input + len(graph.inputs)
        self._outputs = {v: (first_output + i, 0) for i, v in enumerate(graph.outputs)}

    def _place_constants(self) -> Iterator[np.ndarray[Any, Any]]:
        count = 0
        for node in self._graph.nodes:
            if node.op.kind is not Kind.CONSTANT:
                continue
            constant = node.attrs["value"]
            if constant.fill is not None:
                self._literals[node.output] = constant.fill
            count += 1
            self._where[node.output] = (count, 0)
            yield np.ascontiguousarray(constant.array)

    def calls(self) -> Iterator[Call]:
        for i, step in enumerate(self._schedule.steps):
            match step:
                case Free():
                    continue
                case Compute(node=node):
                    before = {v: self._address(v) for v in node.inputs}
                    for value, offset in zip(node.outputs, self._plan.offsets[i], strict=True):
                        self._where[value] = (
                            self._outputs[value] if offset is None else (ARENA, offset)
                        )
                    yield from self._node_calls(node, before, self._plan.scratch[i])

    def _address(self, value: Value) -> Address:
        layout = self._layouts[value]
        source, offset = self._where[layout.root]
        assert isinstance(layout.offset, int)
        return source, offset + layout.offset * value.type.dtype.itemsize

    def _node_calls(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Iterator[Call]:
        if all(v.type.size == 0 for v in node.outputs):
            return
        match node.op.code:
            case Pieces():
                yield from self._piece_calls(node, operands)
            case Loops():
                yield self._loops_call(node, operands)
            case Routine():
                yield self._routine_call(node, operands, scratch)
            case _ if "in_place" in node.attrs:
                yield self._kernel_call(node, operands, scratch)
            case _:
                yield self._fused_call(node, operands)

    def _kernel_call(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Call:
        """Call the one kernel of a loop or branch."""
        shared = {
            k
            for i, k in node.attrs["in_place"]
            if operands[node.inputs[i]] == self._where[node.outputs[k]]
        }
        stored = stored_operands(node, self._layouts, self._texts)
        written = write_kernel(node, stored, frozenset(shared))
        assert written.scratch == node.attrs["scratch"]
        at = {f"a{i}": operands[v] for i, v in enumerate(node.inputs)}
        at.update((f"b{k}", self._where[v]) for k, v in enumerate(node.outputs))
        at.update((f"s{i}", (ARENA, offset)) for i, offset in enumerate(scratch))
        nest = Nest(written.name, written.pointers, written.sizes, written.statements)
        pointers = tuple(at[p.name] for p in written.pointers)
        source = numba_source(nest, tuple(written.callees.values()))
        return Call(node, source, pointers, tuple(nest.sizes.values()), tuple(written.callees))

    def _fused_call(self, node: Node, operands: dict[Value, Address]) -> Call:
        body: Graph = node.attrs["body"]
        names: dict[Address, str] = {}
        given: dict[Value, Operand] = {}
        for i, (value, inside) in enumerate(zip(node.inputs, body.inputs, strict=True)):
            layout = self._layouts[value]
            text = self._literal(layout, value.type)
            name = "" if text else names.setdefault(operands[value], f"a{i}")
            given[inside] = Operand(name, layout.strides, text)
        results = {}
        for i, (value, inside) in enumerate(zip(node.outputs, body.outputs, strict=True)):
            results[inside] = names.setdefault(self._where[value], f"b{i}")
        nest = fused_nest(body, given, results)
        pointer_of = {name: address for address, name in names.items()}
        pointers = tuple(pointer_of[p.name] for p in nest.pointers)
        return Call(node, numba_source(nest), pointers, tuple(nest.sizes.values()))

    def _literal(self, layout: Layout, type: ArrayType) -> str | None:
        if layout.root not in self._literals:
            return None
        return literal(self._literals[layout.root], type.dtype)

    def _piece_calls(self, node: Node, operands: dict[Value, Address]) -> Iterator[Call]:
        assert isinstance(node.op.code, Pieces)
        result = node.output.type
        target = self._where[node.output]
        for piece in node.op.code.boxes(node.types, dict(node.attrs)):
            strides: tuple[int, ...] | None = None
            if piece.operand is not None:
                value = node.inputs[piece.operand]
                if operands[value] == target and piece.index is None:
                    continue  # computed in place: the whole operand is there already
                strides = self._aligned(value, box_layout(result.shape, piece.index)[2])
            nest, offset = box_nest(result, piece.index, strides, piece.literal, add=piece.add)
            if any(n == 0 for n in box_layout(result.shape, piece.index)[2]):
                continue
            into = (target[0], target[1] + offset * result.dtype.itemsize)
            at = {RESULT: into}
            if piece.operand is not None:
                at[SOURCE] = operands[node.inputs[piece.operand]]
            pointers = tuple(at[p.name] for p in nest.pointers)
            yield Call(node, numba_source(nest), pointers, tuple(nest.sizes.values()))

    def _aligned(self, value: Value, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The strides of an operand in the axes of a box it is broadcast to."""
        own = self._layouts[value].strides
        lead = len(shape) - len(own)
        return (0,) * lead + tuple(
            0 if n == 1 else s for n, s in zip(value.type.shape, own, strict=True)
        )

    def _loops_call(self, node: Node, operands: dict[Value, Address]) -> Call:
        kernel, sizes = callee_of(node)
        pointers = tuple(operands[v] for v in node.inputs) + tuple(
            self._where[v] for v in node.outputs
        )
        return Call(node, kernel, pointers, tuple(map(int, sizes)))

    def _routine_call(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Call:
        kernel, sizes = callee_of(node)
        assert isinstance(node.op.code, Routine)
        if node.op.code.strided:
            strides = [self._layouts[v].strides for v in node.inputs]
            sizes = matrix_sizes(node, sizes, strides)
        pointers = (
            *(operands[v] for v in node.inputs),
            *(self._where[v] for v in node.outputs),
            *((ARENA, offset) for offset in scratch),
        )
        return Call(node, kernel, pointers, tuple(map(int, sizes)))


def _source_texts(calls: tuple[Call, ...]) -> Iterator[str]:
    seen: set[Any] = set()
    for call in calls:
        if isinstance(call.kernel, tuple):
            routine, dtype = call.kernel
            if call.kernel not in seen:
                yield f"# {routine} ({dtype}): BLAS/LAPACK, see adgraph.lower.blas.{routine}"
        elif call.kernel.structure not in seen:
            origin = call.node.origin.location
            yield (f"# {origin}\n" if origin else "") + call.kernel.text.rstrip()
        seen.add(call.kernel if isinstance(call.kernel, tuple) else call.kernel.structure)
