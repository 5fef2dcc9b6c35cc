"""A sequence of computations by number, for the algorithms that reorder, lengthen and cut it.

A task is one computation of a node, an instance is one buffer that it writes. A node that stands in
the sequence twice is two tasks with instances of their own; a read is of the latest one. `Flow.of`
numbers a sequence; an order is then a list of task numbers, with repeats where a task runs again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from adgraph.analysis.liveness import buffer_bytes, computes, roots, scratch_types
from adgraph.errors import GraphError
from adgraph.ir.graph import Graph, Node, Value


@dataclass(frozen=True)
class Flow:
    """Tasks and the instances they read and write.

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

    @staticmethod
    def of(graph: Graph, sequence: Sequence[Node]) -> Flow:
        """Number the tasks and instances of a sequence of the graph's nodes."""
        root = roots(graph)
        outputs = {root[v] for v in graph.outputs}
        computed = {v for node in graph.nodes if computes(node) for v in node.outputs}
        latest: dict[Value, int] = {}
        producers: list[int] = []
        sizes: list[int] = []
        reads = []
        writes = []
        for i, node in enumerate(sequence):
            operands = dict.fromkeys(root[v] for v in node.inputs)
            reads.append(tuple(_latest(v, latest, node) for v in operands if v in computed))
            first = len(producers)
            writes.append(tuple(range(first, first + len(node.outputs))))
            latest.update(zip(node.outputs, writes[-1], strict=True))
            producers.extend(i for _ in node.outputs)
            sizes.extend(0 if v in outputs else buffer_bytes(v.type) for v in node.outputs)
        return Flow(
            tuple(sequence),
            tuple(reads),
            tuple(writes),
            tuple(producers),
            tuple(sizes),
            tuple(sum(map(buffer_bytes, scratch_types(node))) for node in sequence),
            frozenset(latest[v] for v in outputs if v in computed),
            sum(v.type.nbytes for v in outputs if v in computed),
        )

    def readers(self) -> list[list[int]]:
        """List for every instance the tasks that read it."""
        readers: list[list[int]] = [[] for _ in self.producers]
        for task, operands in enumerate(self.reads):
            for instance in operands:
                readers[instance].append(task)
        return readers

    def needs(self, task: int) -> int:
        """Return the bytes that must be there at once while a task runs, outputs included."""
        instances = (*self.reads[task], *self.writes[task])
        return sum(self.sizes[v] for v in instances) + self.scratch[task] + self.output_bytes


def _latest(value: Value, latest: dict[Value, int], node: Node) -> int:
    if value not in latest:
        raise GraphError(f"a sequence computes {node.op.name} before its operand {value}")
    return latest[value]


@dataclass(frozen=True, slots=True)
class Span:
    """The life of a buffer: it is written at `start` and last read at `end`."""

    instance: int
    start: int
    end: int


def spans(flow: Flow, order: Sequence[int]) -> list[Span]:
    """Return the lives of all buffers in an order: a read is of the latest run of the task."""
    starts: list[int] = []
    ends: list[int] = []
    instances: list[int] = []
    latest: dict[int, int] = {}
    for position, task in enumerate(order):
        for v in flow.reads[task]:
            ends[latest[v]] = position
        for v in flow.writes[task]:
            latest[v] = len(instances)
            instances.append(v)
            starts.append(position)
            ends.append(position)
    for v in flow.results:
        ends[latest[v]] = len(order) - 1
    return [Span(*span) for span in zip(instances, starts, ends, strict=True)]


def profile(flow: Flow, order: Sequence[int]) -> list[int]:
    """Return the bytes that are live while each task of an order runs, outputs included."""
    change = [0] * (len(order) + 1)
    for span in spans(flow, order):
        change[span.start] += flow.sizes[span.instance]
        change[span.end + 1] -= flow.sizes[span.instance]
    held = itertools.accumulate(change[:-1], initial=flow.output_bytes)
    next(held)
    return [bytes + flow.scratch[task] for bytes, task in zip(held, order, strict=True)]


def peak(flow: Flow, order: Sequence[int]) -> int:
    """Return the most bytes that are live at once, outputs included."""
    return max(profile(flow, order), default=flow.output_bytes)
