"""A sequence of computations by number, for the algorithms that reorder, lengthen and cut it.

A task is one computation of a node, an instance is one buffer that it writes. A node that stands in
the sequence twice is two tasks with instances of their own; a read is of the latest one. `Flow.of`
numbers a sequence; an order is then a list of task numbers, with repeats where a task runs again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adgraph.analysis.cost import node_cost
from adgraph.analysis.liveness import buffer_bytes, computes, roots, scratch_types
from adgraph.errors import GraphError
from adgraph.ir.graph import Graph, Node, Value

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Facts:
    """What all flows of a graph have in common: by node, and the bytes of every value computed.

    `root` is the value whose buffer one reads, `operands` those whose buffers a node reads, and
    `outputs` those that the caller gets.
    """

    root: dict[Value, Value]
    operands: dict[Node, tuple[Value, ...]]
    scratch: dict[Node, int]
    bytes: dict[Value, int]
    outputs: frozenset[Value]

    @staticmethod
    def of(graph: Graph) -> Facts:
        """Collect the facts of a graph."""
        root = roots(graph)
        nodes = [node for node in graph.nodes if computes(node)]
        bytes = {v: buffer_bytes(v.type) for node in nodes for v in node.outputs}
        operands = {node: dict.fromkeys(root[v] for v in node.inputs) for node in nodes}
        return Facts(
            root,
            {node: tuple(v for v in values if v in bytes) for node, values in operands.items()},
            {node: sum(map(buffer_bytes, scratch_types(node))) for node in nodes},
            bytes,
            frozenset(root[v] for v in graph.outputs if root[v] in bytes),
        )

    @cached_property
    def output_bytes(self) -> int:
        """The bytes of the outputs."""
        return sum(v.type.nbytes for v in self.outputs)

    @cached_property
    def seconds(self) -> dict[Node, float]:
        """The estimated seconds of every node."""
        return {node: node_cost(node).seconds for node in self.operands}


@dataclass(frozen=True)
class Flow:
    """Tasks and the instances they read and write; those of a task have consecutive numbers.

    `sizes` are arena bytes: an output of the graph has a buffer of its own and counts as zero here
    and in `output_bytes` from the start. `results` are the instances the caller gets.
    """

    tasks: tuple[Node, ...]
    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    producers: tuple[int, ...]
    sizes: tuple[int, ...]
    scratch: tuple[int, ...]
    results: frozenset[int]
    output_bytes: int
    facts: Facts

    @staticmethod
    def of(graph: Graph, sequence: Sequence[Node], facts: Facts | None = None) -> Flow:
        """Number the tasks and instances of a sequence of the graph's nodes."""
        facts = facts or Facts.of(graph)
        latest: dict[Value, int] = {}
        producers: list[int] = []
        sizes: list[int] = []
        reads = []
        writes = []
        for i, node in enumerate(sequence):
            reads.append(tuple(_latest(v, latest, node) for v in facts.operands[node]))
            first = len(producers)
            writes.append(tuple(range(first, first + len(node.outputs))))
            latest.update(zip(node.outputs, writes[-1], strict=True))
            producers.extend(i for _ in node.outputs)
            sizes.extend(0 if v in facts.outputs else facts.bytes[v] for v in node.outputs)
        return Flow(
            tuple(sequence),
            tuple(reads),
            tuple(writes),
            tuple(producers),
            tuple(sizes),
            tuple(facts.scratch[node] for node in sequence),
            frozenset(latest[v] for v in facts.outputs),
            facts.output_bytes,
            facts,
        )

    @cached_property
    def seconds(self) -> tuple[float, ...]:
        """The estimated seconds of every task."""
        return tuple(self.facts.seconds[node] for node in self.tasks)

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tasks that run for their own sake: they give a result, or what nothing reads."""
        read = {v for operands in self.reads for v in operands}
        results = {self.producers[v] for v in self.results}
        return frozenset(t for t, w in enumerate(self.writes) if t in results or read.isdisjoint(w))

    @cached_property
    def forward(self) -> int:
        """How many tasks are the forward part.

        They come before the fullest moment and before any of the last derivative.
        """
        lives = Lives.of(self, range(len(self.tasks)))
        across = bytes_across(len(self.tasks), lives.starts, lives.ends, self.arrays.sizes)
        fullest = int(np.argmax(across)) if len(across) else 0
        orders = [task.origin.order for task in self.tasks]
        return min(fullest + 1, orders.index(max(orders)) if any(orders) else len(orders))

    @cached_property
    def readers(self) -> list[list[int]]:
        """For every instance the tasks that read it."""
        readers: list[list[int]] = [[] for _ in self.producers]
        for task, operands in enumerate(self.reads):
            for instance in operands:
                readers[instance].append(task)
        return readers

    @cached_property
    def arrays(self) -> Arrays:
        """The same in arrays."""
        return Arrays.of(self)

    @cached_property
    def costs(self) -> Floats:
        """The same in an array."""
        return np.array(self.seconds)

    def cost(self, order: Sequence[int]) -> float:
        """Return the estimated seconds of an order, whatever the order of the sum."""
        return math.fsum(self.seconds[task] for task in order)

    def needs(self, task: int) -> int:
        """Return the bytes that must be there at once while a task runs, outputs included."""
        instances = (*self.reads[task], *self.writes[task])
        return sum(self.sizes[v] for v in instances) + self.scratch[task] + self.output_bytes


def _latest(value: Value, latest: dict[Value, int], node: Node) -> int:
    if value not in latest:
        raise GraphError(f"a sequence computes {node.op.name} before its operand {value}")
    return latest[value]


@dataclass(frozen=True)
class Arrays:
    """A flow in arrays: `reads` task by task.

    The reads of a task begin at `read_from[task]`; the instances it writes at `write_from[task]`.
    """

    reads: Ints
    read_from: Ints
    write_from: Ints
    producers: Ints
    sizes: Ints
    scratch: Ints

    @staticmethod
    def of(flow: Flow) -> Arrays:
        """Collect the arrays of a flow."""
        return Arrays(
            np.array([v for operands in flow.reads for v in operands], np.int64),
            _starts(list(map(len, flow.reads))),
            _starts(list(map(len, flow.writes))),
            np.array(flow.producers, np.int64),
            np.array(flow.sizes, np.int64),
            np.array(flow.scratch, np.int64),
        )


def _starts(counts: Sequence[int] | Ints) -> Ints:
    """Return where runs of these lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64), dtype=np.int64)])


def _runs(starts: Ints, lengths: Ints) -> Ints:
    """Return the numbers of runs one after the other."""
    shift = np.repeat(starts - _starts(lengths)[:-1], lengths)
    return shift + np.arange(len(shift))


@dataclass(frozen=True)
class Lives:
    """The buffers of an order: `instances` are written at `starts` and last read at `ends`.

    The buffers that the position p writes begin at `first[p]`. A read at a position of `readers` is
    of what was written at the same place of `sources`.
    """

    instances: Ints
    starts: Ints
    ends: Ints
    first: Ints
    readers: Ints
    sources: Ints

    @staticmethod
    def of(flow: Flow, order: Sequence[int]) -> Lives:
        """Follow an order: a read is of the latest run of the task."""
        arrays = flow.arrays
        tasks = np.asarray(order, np.int64)
        written = np.diff(arrays.write_from)[tasks]
        first = _starts(written)
        instances = _runs(arrays.write_from[tasks], written)
        starts = np.repeat(np.arange(len(tasks)), written)
        counts = np.diff(arrays.read_from)[tasks]
        readers = np.repeat(np.arange(len(tasks)), counts)
        reads = arrays.reads[_runs(arrays.read_from[tasks], counts)]
        producers = arrays.producers[reads]
        latest = _Latest(tasks)
        sources = latest.before(producers, readers)
        ends = starts.copy()
        ends[first[sources] + reads - arrays.write_from[producers]] = readers  # the last one stays
        results = np.fromiter(flow.results, np.int64, len(flow.results))
        makers = arrays.producers[results]
        runs = latest.before(makers, np.full(len(makers), len(tasks)))
        ends[first[runs] + results - arrays.write_from[makers]] = len(tasks) - 1
        return Lives(instances, starts, ends, first, readers, sources)


class _Latest:
    """The latest run of a task before a position."""

    def __init__(self, tasks: Ints) -> None:
        self._count = len(tasks) + 1
        self._positions = np.argsort(tasks, kind="stable")
        self._keys = tasks[self._positions] * self._count + self._positions

    def before(self, tasks: Ints, positions: Ints) -> Ints:
        """Return the position of the run of each task that comes last before each position."""
        found = np.searchsorted(self._keys, tasks * self._count + positions) - 1
        result: Ints = self._positions[found]
        return result


def profile(flow: Flow, order: Sequence[int]) -> Ints:
    """Return the bytes that are live while each task of an order runs, outputs included."""
    return live_bytes(flow, order, Lives.of(flow, order))


def live_bytes(flow: Flow, order: Sequence[int], lives: Lives) -> Ints:
    """Return the same, if the lives of the buffers are known."""
    change = np.zeros(len(order) + 1, np.int64)
    sizes = flow.arrays.sizes[lives.instances]
    np.add.at(change, lives.starts, sizes)
    np.subtract.at(change, lives.ends + 1, sizes)
    held = flow.output_bytes + np.cumsum(change[:-1])
    result: Ints = held + flow.arrays.scratch[np.asarray(order, np.int64)]
    return result


def peak(flow: Flow, order: Sequence[int]) -> int:
    """Return the most bytes that are live at once, outputs included."""
    return int(profile(flow, order).max(initial=flow.output_bytes))


def held(flow: Flow, order: Sequence[int]) -> int:
    """Return the most bytes that live from one task to the next, outputs included.

    What is written in place of an operand does not count twice: no arena is smaller.
    """
    lives = Lives.of(flow, order)
    sizes = flow.arrays.sizes[lives.instances]
    across = bytes_across(len(order), lives.starts, lives.ends, sizes)
    return flow.output_bytes + int(across.max(initial=0))


def bytes_across(count: int, starts: Ints, ends: Ints, sizes: Ints) -> Ints:
    """Return the bytes that live from each of so many runs to the next."""
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, starts, sizes)
    np.subtract.at(change, ends, sizes)
    return np.cumsum(change)[:count]
