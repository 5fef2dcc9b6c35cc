"""A debug mode: programs run kernel by kernel on guarded memory, and what each one does is seen.

With `ADGRAPH_DEBUG_MEMORY=1` in the environment every program compiled runs like that. It is run in
two memories at once, which hold the same values and differ wherever nothing is: in the room around
arguments, results and arena, in buffers not yet written, in those given up. A kernel that changes a
byte beside its results, or whose results differ between the two, raises `GraphError` with its line.
Begin with `run_guarded`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adgraph.analysis.liveness import scratch_types
from adgraph.errors import GraphError, message
from adgraph.ir.graph import Node, Value
from adgraph.lower.driver import driver, single_steps
from adgraph.lower.pool import SplitCall, pool
from adgraph.lower.program import ARENA, Call, Program
from adgraph.runtime.arena import Array, address
from adgraph.schedule.schedule import Compute, Free

VARIABLE = "ADGRAPH_DEBUG_MEMORY"
GUARD = 4096  # bytes around every array, a page: arrays begin where they would in a page of theirs
# In all bytes of what nobody has written: NaN and -1 in one memory, zeros in the other.
POISONS = (0xFF, 0x00)

Range = slice  # of bytes of a memory


def wants_guards() -> bool:
    """Tell whether the environment asks for the debug mode."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def run_guarded(program: Program, arrays: Sequence[Array]) -> tuple[list[Array], int]:
    """Run a program on arrays of its input types; return its results, and the driver's code."""
    return _Run(program, arrays).results()


@dataclass(frozen=True)
class _Layout:
    """Where the sources of a program are in a memory: a range of bytes each."""

    sources: tuple[Range, ...]
    total: int

    @staticmethod
    def of(sizes: Sequence[int]) -> _Layout:
        ranges = []
        at = GUARD
        for size in sizes:
            ranges.append(slice(at, at + size))
            at += -(-size // GUARD) * GUARD + GUARD
        return _Layout(tuple(ranges), at)


class _Memory:
    """One memory, and the driver's tables for it."""

    def __init__(self, program: Program, layout: _Layout, poison: int) -> None:
        self.poison = poison
        self._held = np.full(layout.total + GUARD, poison, np.uint8)
        start = -address(self._held) % GUARD
        self.bytes = self._held[start : start + layout.total]
        first = address(self.bytes)
        self._sources = np.array([first + place.start for place in layout.sources], np.int64)
        if any(isinstance(call.kernel, SplitCall) for call in program.calls):
            shared = [constant is pool() for constant in program.constants].index(True)
            self._sources[1 + shared] = address(pool())
        self._scratch = np.zeros(program.scratch_words, np.int64)

    def write(self, place: Range, array: Array) -> None:
        self.bytes[place] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def run(self, words: Array) -> int:
        """Run a program of some steps; return the driver's code."""
        return driver()(address(words), address(self._sources), address(self._scratch))


class _Run:
    """One call of a program, in two memories."""

    def __init__(self, program: Program, arrays: Sequence[Array]) -> None:
        self._program = program
        graph, constants = program.graph, program.constants
        outputs = [v.type.nbytes for v in graph.outputs]
        given = [*constants, *arrays]
        sizes = [program.plan.arena_bytes, *(x.nbytes for x in given), *outputs]
        layout = _Layout.of(sizes)
        self._memories = tuple(_Memory(program, layout, poison) for poison in POISONS)
        self._arena = layout.sources[ARENA].start
        self._given = layout.sources[1 : 1 + len(given)]
        self._results = layout.sources[1 + len(given) :]
        self._outside = dict(zip(graph.outputs, self._results, strict=True))
        self._live: dict[Value, Range] = {}
        self._total = layout.total
        for place, array in zip(self._given, given, strict=True):
            for memory in self._memories:
                memory.write(place, array)

    def results(self) -> tuple[list[Array], int]:
        program = self._program
        calls = _calls_of_steps(program)
        words = list(single_steps(program.words))
        begin = 0
        for time, step in enumerate(program.schedule.steps):
            match step:
                case Free(value):
                    self._live.pop(value, None)
                case Compute(node):
                    end = begin + calls[time]
                    code = self._compute(node, time, words[begin:end], program.calls[begin:end])
                    if code:
                        return [], code + (begin << 8)
                    begin = end
        return list(self._arrays()), 0

    def _arrays(self) -> Iterator[Array]:
        first, second = (memory.bytes for memory in self._memories)
        for place, type in zip(self._results, self._program.results, strict=True):
            if not np.array_equal(first[place], second[place]):
                raise GraphError(
                    message("a result has elements that depend on memory nobody has written")
                )
            yield first[place].copy().view(type.dtype).reshape(type.shape)

    def _compute(self, node: Node, time: int, words: list[Array], calls: Sequence[Call]) -> int:
        """Run the kernels of a node; look at what they changed."""
        written = list(self._places(node, time))
        self._poison()
        before = [memory.bytes.copy() for memory in self._memories]
        code = 0
        for number, (one, call) in enumerate(zip(words, calls, strict=True)):
            codes = [memory.run(one) for memory in self._memories]
            if codes[0] != codes[1]:
                raise _error(call.node, "stopped because of memory that nobody has written")
            if codes[0]:
                return codes[0] + (number << 8)
        for memory, former in zip(self._memories, before, strict=True):
            self._check_outside(node, memory, former, written)
        self._live.update(zip(node.outputs, written, strict=False))
        for place in written[: len(node.outputs)]:
            self._check_inside(node, place)
        return code

    def _places(self, node: Node, time: int) -> Iterator[Range]:
        """The bytes that a computation may write: its results, then its workspaces."""
        plan = self._program.plan
        for value, offset in zip(node.outputs, plan.offsets[time], strict=True):
            size = value.type.nbytes
            yield self._outside[value] if offset is None else self._buffer(offset, size)
        for type, offset in zip(scratch_types(node), plan.scratch[time], strict=True):
            yield self._buffer(offset, type.nbytes)

    def _buffer(self, offset: int, size: int) -> Range:
        return slice(self._arena + offset, self._arena + offset + size)

    def _poison(self) -> None:
        """Overwrite what nobody owns."""
        nobody = np.ones(self._total, bool)
        for place in (*self._given, *self._live.values()):
            nobody[place] = False
        for memory in self._memories:
            memory.bytes[nobody] = memory.poison

    def _check_outside(
        self, node: Node, memory: _Memory, before: Array, written: Sequence[Range]
    ) -> None:
        changed = memory.bytes != before
        for place in written:
            changed[place] = False
        if changed.any():
            at = int(np.argmax(changed))
            raise _error(
                node,
                f"wrote {np.count_nonzero(changed)} bytes beside its results, the first one "
                f"{self._whose(at)}",
            )

    def _check_inside(self, node: Node, place: Range) -> None:
        """Refuse differences, except in what was left as it was, or moved as it was."""
        first, second = (memory.bytes[place] for memory in self._memories)
        unwritten = (first == POISONS[0]) & (second == POISONS[1])
        wrong = (first != second) & ~unwritten
        if wrong.any():
            raise _error(
                node,
                f"computed {np.count_nonzero(wrong)} bytes of its results from memory that nobody "
                f"has written, the first one {int(np.argmax(wrong))} bytes into a result",
            )

    def _whose(self, at: int) -> str:
        """Say where a byte of the memory is."""
        for value, place in self._live.items():
            if place.start <= at < place.stop:
                return f"{at - place.start} bytes into another buffer, {value.type}"
        for place in self._given:
            if place.start <= at < place.stop:
                return f"{at - place.start} bytes into an argument or constant"
        arena = at - self._arena
        if 0 <= arena < self._program.plan.arena_bytes:
            return f"at {arena} in the arena, where nothing is"
        return "outside the arena, the arguments and the results"


def _calls_of_steps(program: Program) -> dict[int, int]:
    """Return how many kernels the computation at every step calls.

    A node that is computed twice in a row calls the same kernels twice.
    """
    times = [i for i, step in enumerate(program.schedule.steps) if isinstance(step, Compute)]
    found = {}
    at = 0
    nodes = zip(times, program.schedule.sequence, strict=True)
    for node, group in itertools.groupby(nodes, key=lambda pair: pair[1]):
        repeats = [time for time, _ in group]
        end = at
        while end < len(program.calls) and program.calls[end].node is node:
            end += 1
        count, rest = divmod(end - at, len(repeats))
        assert rest == 0
        found.update(dict.fromkeys(repeats, count))
        at = end
    assert at == len(program.calls)
    return found


def _error(node: Node, found: str) -> GraphError:
    results = ", ".join(str(v.type) for v in node.outputs)
    found = f"kernel {node.op.name} -> {results} {found}"
    return GraphError(message(found, at=node.origin.location))
