"""From a program's graph to kernels and the flat memory the driver runs.

`lower(graph, budget)` fuses, inserts the copies that layouts need, schedules, plans the arena, and
makes one `Call` per kernel. `Program` is what the runtime keeps. Begin with `lower`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.analysis.liveness import computes, scratch_types
from adgraph.control.kernel import assembly
from adgraph.errors import DtypeError, Location, message
from adgraph.ir.code import InnerLoop, Loops, Pieces, Routine
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType
from adgraph.lower import blas, lapack
from adgraph.lower.backend import Backend
from adgraph.lower.callee import Callee, callee_of, strided_callee_of
from adgraph.lower.driver import Step, build_program, scratch_words
from adgraph.lower.enclose import enclose, literal_texts, stored_operands
from adgraph.lower.fused import fused_nest
from adgraph.lower.given import Operand, Target
from adgraph.lower.handover import join_loops
from adgraph.lower.inner_loops import inner_loop
from adgraph.lower.joined import joined
from adgraph.lower.kernel import KernelSource, compile_kernels
from adgraph.lower.layout import Layout, box_layout, c_strides, layouts, walk_alike
from adgraph.lower.lift import NUMBERS, lifted
from adgraph.lower.materialize import materialize
from adgraph.lower.movement import RESULT, SOURCE, box_nest
from adgraph.lower.nest import Nest
from adgraph.lower.numba_source import literal, multiple, numba_source
from adgraph.lower.pool import SplitCall, pool, split_address
from adgraph.lower.products import prepare_bodies, sum_strided_products
from adgraph.lower.real_interface import with_real_interface
from adgraph.lower.returned import with_copied_outputs
from adgraph.lower.room import is_large, with_room
from adgraph.lower.sharing import may_share
from adgraph.lower.split import (
    ROOM,
    Split,
    pointer_of,
    split_integers,
    split_nest,
    workspace_bytes,
)
from adgraph.lower.tiles import Tile, product
from adgraph.lower.written import WrittenKernels
from adgraph.passes.fuse import fuse
from adgraph.passes.parts import parts
from adgraph.schedule.budget import Budget, schedule_and_plan
from adgraph.schedule.buffers import Plan
from adgraph.schedule.schedule import Compute, Free, Schedule

ARENA = 0
WORK = "work"  # the pointer to what threads share while they run a kernel
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


def lower(
    graph: Graph, budget: Budget | None = None, backend: Backend = "auto", threads: int = 1
) -> Program:
    """Lower a program; `budget` bounds its peak, `backend` compiles its kernels.

    Kernels with much work run on up to `threads` threads.
    """
    kernels = WrittenKernels()
    settled, schedule, plan = arrange(graph, budget, threads, kernels)
    writer = _Writer(settled, schedule, plan, threads, kernels)
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


def arrange(
    graph: Graph,
    budget: Budget | None = None,
    threads: int = 1,
    kernels: WrittenKernels | None = None,
) -> tuple[Graph, Schedule, Plan]:
    """Make the kernels of a program, order them and place their arrays: all but the code.

    What is written of `kernels` on the way is there for the code.
    """
    settled = in_kernels(graph, threads, kernels)
    return settled, *schedule_and_plan(settled, budget=budget, may_share=may_share(settled))


def in_kernels(graph: Graph, threads: int = 1, kernels: WrittenKernels | None = None) -> Graph:
    """Make the kernels of a program: its nodes are what will run."""
    kernels = kernels or WrittenKernels()
    graph = with_real_interface(parts(graph))
    _refuse_unsupported(graph)
    graph = sum_strided_products(prepare_bodies(graph))
    fused = materialize(fuse(with_copied_outputs(graph)))
    settled = join_loops(enclose(fused, kernels), kernels)
    if threads > 1:
        settled = with_room(settled, threads)
    return joined(settled)


def _refuse_unsupported(graph: Graph) -> None:
    for node in graph.nodes:
        for value in node.outputs:
            dtype = value.type.dtype
            if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.char not in "fd"):
                raise DtypeError(
                    message(
                        f"{node.op.name} gives an array of dtype {dtype} and shape "
                        f"{value.type.shape}, for which there are no kernels",
                        "kernels exist for float32, float64, integers and bool",
                        "convert to one of them",
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
    if isinstance(kernel, Tile):
        return product(kernel)
    if isinstance(kernel, SplitCall):
        return split_address()
    routine, dtype = kernel
    if isinstance(routine, InnerLoop):
        return inner_loop(routine, dtype)
    address: int = getattr(blas if hasattr(blas, routine) else lapack, routine)(dtype)
    return address


class _Writer:
    """Walks the schedule and writes the calls; knows where every live value is."""

    def __init__(
        self, graph: Graph, schedule: Schedule, plan: Plan, threads: int, kernels: WrittenKernels
    ) -> None:
        self._graph = graph
        self._threads = threads
        self._kernels = kernels
        self._schedule = schedule
        self._plan = plan
        self._layouts = layouts(graph)
        self._literals: dict[Value, Any] = {}
        self._texts = literal_texts(graph)
        self._where: dict[Value, Address] = {}
        self._arrays = [*self._place_constants()]
        if threads > 1:
            self._arrays.append(pool())
        self._pool = (len(self._arrays), 0)
        self._numbers: list[float] = []  # an array of constants behind the others
        first_input = 2 + len(self._arrays)
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

    @property
    def constants(self) -> tuple[np.ndarray[Any, Any], ...]:
        """The arrays that the calls written so far read."""
        return (*self._arrays, np.array(self._numbers, np.float64))

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
                yield self._loops_call(node, operands, scratch)
            case Routine():
                yield from self._routine_calls(node, operands, scratch)
            case _ if node.op is assembly:
                yield from self._assembly_calls(node, scratch)
            case _ if "in_place" in node.attrs:
                yield self._kernel_call(node, operands, scratch)
            case _:
                yield from self._fused_calls(node, operands, scratch)

    def _assembly_calls(self, node: Node, scratch: tuple[int, ...]) -> Iterator[Call]:
        """Compute the pieces of an array where they stand, one after the other."""
        for part in filter(computes, node.attrs["body"].nodes):
            operands = {v: self._address(v) for v in part.inputs}
            calls = self._node_calls(part, operands, scratch[: len(scratch_types(part))])
            yield from (replace(call, node=node) for call in calls)

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
        written = self._kernels.of(node, stored, frozenset(shared))
        assert written.scratch == node.attrs["scratch"]
        at = {f"a{i}": operands[v] for i, v in enumerate(node.inputs)}
        at.update((f"b{k}", self._where[v]) for k, v in enumerate(node.outputs))
        at.update((f"s{i}", (ARENA, offset)) for i, offset in enumerate(scratch))
        nest = Nest(written.name, written.pointers, written.sizes, written.statements)
        nest = self._lifted(nest, at)
        pointers = tuple(at[p.name] for p in nest.pointers)
        source = numba_source(nest, tuple(written.callees.values()))
        return Call(node, source, pointers, tuple(nest.sizes.values()), tuple(written.callees))

    def _fused_calls(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Iterator[Call]:
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
            name = names.setdefault(self._address(value), f"b{i}")
            results[inside] = Target(name, self._layouts[value].strides)
        kept, room, work = scratch, scratch[:0], scratch[:0]
        if self._threads > 1 and is_large(node):
            kept, room, work = scratch[:-2], scratch[-2:-1], scratch[-1:]
        rows = {(ARENA, offset): f"r{i}" for i, offset in enumerate(kept)}
        names.update(rows)
        nest = fused_nest(body, given, results, tuple(rows.values()))
        at = {name: address for address, name in names.items()}
        at |= {f"c{i}": (ARENA, offset + 8 * i) for offset in room for i in range(ROOM)}
        at.update((WORK, (ARENA, offset)) for offset in work)
        kinds = scratch_types(node)[: len(rows)]
        own = {name: kind.nbytes for name, kind in zip(rows.values(), kinds, strict=True)}
        yield from self._nest_calls(node, nest, at, own)

    def _nest_calls(
        self, node: Node, nest: Nest, at: dict[str, Address], own: dict[str, int]
    ) -> Iterator[Call]:
        """Call the kernel of a nest, in pieces if it has much work.

        Of the pointers in `own` every thread has its own, of so many bytes.
        """
        nest = self._lifted(nest, at)
        splits = split_nest(nest, own) if self._threads > 1 and is_large(node) else ()
        most = scratch_types(node)[-1].nbytes if WORK in at else 0
        needed = max((workspace_bytes(split, own, self._threads) for split in splits), default=0)
        if needed > most or all(split.count == 1 for split in splits):
            pointers = tuple(at[p.name] for p in nest.pointers)
            yield Call(node, numba_source(nest), pointers, tuple(nest.sizes.values()))
        else:
            yield from (self._split_call(node, split, at, own) for split in splits)

    def _lifted(self, nest: Nest, at: dict[str, Address]) -> Nest:
        """Have a nest read its numbers from an array; put where that is into `at`."""
        nest, numbers = lifted(nest)
        at[NUMBERS] = (len(self._arrays) + 1, 8 * len(self._numbers))
        self._numbers += numbers
        return nest

    def _split_call(
        self, node: Node, split: Split, at: dict[str, Address], own: dict[str, int]
    ) -> Call:
        kernels = [nest for nest in (split.pieces, split.last) if nest is not None]
        names = [p.name for kernel in kernels for p in kernel.pointers]
        return Call(
            node,
            SplitCall(split.pieces.name, split.unit, split.count, self._threads),
            (
                self._pool,
                at.get(WORK, self._pool),
                *(at[name] for name in map(pointer_of, names) if name in at),
            ),
            split_integers(split, own, self._threads),
            tuple(map(numba_source, kernels)),
        )

    def _literal(self, layout: Layout, type: ArrayType) -> str | None:
        if layout.root not in self._literals:
            return None
        return literal(self._literals[layout.root], type.dtype)

    def _piece_calls(self, node: Node, operands: dict[Value, Address]) -> Iterator[Call]:
        assert isinstance(node.op.code, Pieces)
        result, within = node.output.type, self._layouts[node.output].strides
        target = self._address(node.output)
        for piece in node.op.code.boxes(node.types, dict(node.attrs)):
            strides: tuple[int, ...] | None = None
            offset, steps, shape = box_layout(result.shape, piece.index, within)
            assert isinstance(offset, int)
            at = {RESULT: (target[0], target[1] + offset * result.dtype.itemsize)}
            if piece.operand is not None:
                value = node.inputs[piece.operand]
                at[SOURCE] = operands[value]
                strides = self._aligned(value, shape)
                if at[SOURCE] == at[RESULT] and walk_alike(shape, strides, steps):
                    continue  # computed in place: the operand is there already
            if 0 in shape:
                continue
            add = multiple(piece.add, result.dtype)
            nest = box_nest(result, shape, steps, strides, piece.literal, add=add)
            yield from self._nest_calls(node, nest, at, {})

    def _aligned(self, value: Value, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The strides of an operand in the axes of a box it is broadcast to."""
        own = self._layouts[value].strides
        lead = len(shape) - len(own)
        return (0,) * lead + tuple(
            0 if n == 1 else s for n, s in zip(value.type.shape, own, strict=True)
        )

    def _loops_call(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Call:
        kernel, sizes = callee_of(node)
        given = (operands[v] for v in node.inputs)
        work = ((ARENA, offset) for offset in scratch)
        pointers = (*given, *(self._where[v] for v in node.outputs), *work)
        return Call(node, kernel, pointers, tuple(map(int, sizes)))

    def _routine_calls(
        self, node: Node, operands: dict[Value, Address], scratch: tuple[int, ...]
    ) -> Iterator[Call]:
        kernel, sizes = callee_of(node)
        assert isinstance(node.op.code, Routine)
        result = [self._address(v) for v in node.outputs]
        work = [(ARENA, offset) for offset in scratch]
        if not node.op.code.strided:
            pointers = (*(operands[v] for v in node.inputs), *result, *work)
            yield Call(node, kernel, pointers, tuple(map(int, sizes)))
            return
        *start, a, b = node.inputs
        strides = [self._layouts[v].strides for v in (a, b)]
        one_place = operands[a] == operands[b]
        within = self._layouts[node.output].strides
        kernel, sizes = strided_callee_of(node, strides, result=within, one_place=one_place)
        total = [operands[v] for v in start] or result
        whole = all(self._layouts[v].contiguous(v.type) for v in start)
        if total != result and not (whole and isinstance(kernel, Tile)):
            yield self._copy_call(node, start[0], total[0])
            total = result
        pointers = (operands[a], operands[b], *result)
        if isinstance(kernel, Tile):
            pointers += (total[0],)
        yield Call(node, kernel, pointers, tuple(map(int, sizes)))

    def _copy_call(self, node: Node, value: Value, source: Address) -> Call:
        """Copy an operand to the place of the result, whose type it has."""
        result = node.output.type
        nest = box_nest(result, result.shape, c_strides(result.shape), self._layouts[value].strides)
        at = {RESULT: self._where[node.output], SOURCE: source}
        pointers = tuple(at[p.name] for p in nest.pointers)
        return Call(node, numba_source(nest), pointers, tuple(nest.sizes.values()))


def _source_texts(calls: tuple[Call, ...]) -> Iterator[str]:
    seen: set[Any] = set()
    for call in calls:
        for kernel in call.callees if isinstance(call.kernel, SplitCall) else (call.kernel,):
            key = kernel.structure if isinstance(kernel, KernelSource) else kernel
            if key not in seen:
                yield _source_text(kernel, call.node.origin.location)
            seen.add(key)


def _source_text(kernel: Callee, origin: Location | None) -> str:
    if isinstance(kernel, KernelSource):
        return (f"# {origin}\n" if origin else "") + kernel.text.rstrip()
    if isinstance(kernel, SplitCall):
        return f"# {kernel.pieces} pieces"
    if isinstance(kernel, Tile):
        return f"# {kernel.name}: a matrix product, see adgraph.lower.tiles"
    routine, dtype = kernel
    if isinstance(routine, InnerLoop):
        return f"# {routine.ufunc} ({dtype}): its inner loop"
    module = blas if hasattr(blas, routine) else lapack
    return f"# {routine} ({dtype}): BLAS/LAPACK, see {module.__name__}.{routine}"
