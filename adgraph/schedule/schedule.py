"""A schedule: when each node is computed, perhaps more than once, and when each buffer is given up.

Computing a node again writes all of its results again. `Schedule.of` makes a schedule from a
sequence of nodes; `run` is its reference execution, the oracle of everything that shortens memory.
Views and constants are no steps: they are read through their operand's buffer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from adgraph.analysis.liveness import computes
from adgraph.errors import GraphError
from adgraph.ir.evaluate import Array, evaluate_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.show import Names, show_node
from adgraph.schedule.flow import Facts, Flow, Lives, profile


@dataclass(frozen=True)
class Compute:
    """Run a node: write all of its results."""

    node: Node


@dataclass(frozen=True)
class Free:
    """Give up the buffer of a value."""

    value: Value


Step = Compute | Free


class Moment(NamedTuple):
    """The bytes that are live while a node runs; `step` is its position among the steps."""

    step: int
    live_bytes: int
    node: Node


@dataclass(frozen=True, eq=False)
class Schedule:
    """The steps that compute a graph. A value has at most one buffer at a time."""

    graph: Graph
    steps: tuple[Step, ...]
    known: Facts | None = None  # the graph's, if they were collected before

    @staticmethod
    def of(graph: Graph, sequence: Sequence[Node]) -> Schedule:
        """Compute nodes in this order; give each buffer up after the last read of it."""
        return Schedule._along(graph, Flow.of(graph, sequence), range(len(sequence)))

    @staticmethod
    def along(graph: Graph, flow: Flow, order: Sequence[int]) -> Schedule:
        """Compute tasks of a flow in this order; give each buffer up after the last read of it."""
        if len(set(flow.tasks)) < len(flow.tasks):  # what tasks of one node write is one value
            flow = Flow.of(graph, [flow.tasks[task] for task in order], flow.facts)
            order = range(len(order))
        return Schedule._along(graph, flow, order)

    @staticmethod
    def _along(graph: Graph, flow: Flow, order: Sequence[int]) -> Schedule:
        values = [v for node in flow.tasks for v in node.outputs]
        steps: list[list[Step]] = [[Compute(flow.tasks[task])] for task in order]
        lives = Lives.of(flow, order)
        instances = lives.instances.tolist()
        latest = {instance: buffer for buffer, instance in enumerate(instances)}
        outputs = {latest[instance] for instance in flow.results}
        for buffer, (instance, end) in enumerate(zip(instances, lives.ends.tolist(), strict=True)):
            if buffer not in outputs:
                steps[end].append(Free(values[instance]))
        return Schedule(graph, tuple(itertools.chain.from_iterable(steps)), flow.facts)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    @cached_property
    def sequence(self) -> tuple[Node, ...]:
        """The nodes in the order in which they are computed, with repeats."""
        return tuple(step.node for step in self.steps if isinstance(step, Compute))

    @cached_property
    def facts(self) -> Facts:
        """What all schedules of the graph have in common."""
        return self.known or Facts.of(self.graph)

    @cached_property
    def flow(self) -> Flow:
        """The sequence by number."""
        return Flow.of(self.graph, self.sequence, self.facts)

    @property
    def output_bytes(self) -> int:
        """The bytes of the outputs, which exist during the whole call."""
        return self.facts.output_bytes

    @cached_property
    def peak_bytes(self) -> int:
        """The most bytes that are live at once: outputs, buffers and workspaces."""
        return max((m.live_bytes for m in self.timeline()), default=self.output_bytes)

    @property
    def recomputed(self) -> list[Node]:
        """The nodes that are computed again, one entry for each time."""
        seen: set[Node] = set()
        again = []
        for node in self.sequence:
            if node in seen:
                again.append(node)
            seen.add(node)
        return again

    def timeline(self) -> list[Moment]:
        """Return the live bytes at every computation, for a chart."""
        positions = [i for i, step in enumerate(self.steps) if isinstance(step, Compute)]
        live = profile(self.flow, range(len(self.sequence))).tolist()
        return list(map(Moment, positions, live, self.sequence))


def _lines(schedule: Schedule) -> Iterator[str]:
    names = Names(canonical=False)
    for value in schedule.graph.inputs:
        names.of(value)
    for node in schedule.graph.nodes:
        for value in node.outputs:
            names.of(value)
    live = {moment.step: moment.live_bytes for moment in schedule.timeline()}
    yield f"schedule @{schedule.graph.name}  # peak {schedule.peak_bytes} bytes"
    for i, step in enumerate(schedule.steps):
        match step:
            case Compute(node):
                yield f"  compute {show_node(node, names)}  # live {live[i]} bytes"
            case Free(value):
                yield f"  free {names.of(value)}"


def run(schedule: Schedule, *args: Any) -> tuple[Array, ...]:
    """Execute a schedule with the reference interpreter; reading a freed buffer is an error."""
    graph = schedule.graph
    if len(args) != len(graph.inputs):
        raise GraphError(f"@{graph.name} has {len(graph.inputs)} inputs, got {len(args)} arrays")
    inputs = zip(graph.inputs, args, strict=True)
    buffers = {v: np.asarray(x, v.type.dtype) for v, x in inputs}
    producers = graph.producers()
    with np.errstate(all="ignore"):
        for step in schedule.steps:
            match step:
                case Compute(node):
                    _compute(node, buffers, producers)
                case Free(value):
                    _free(value, buffers)
        return tuple(_read(v, buffers, producers) for v in graph.outputs)


def _compute(node: Node, buffers: dict[Value, Array], producers: dict[Value, Node]) -> None:
    operands = {v: _read(v, buffers, producers) for v in node.inputs}
    for value, array in zip(node.outputs, evaluate_node(node, operands), strict=True):
        if value in buffers:
            raise GraphError(f"{node.op.name} writes {value} while an earlier copy is live")
        # A copy: the reference implementation of an op may return a view of its operand.
        buffers[value] = array.copy()


def _free(value: Value, buffers: dict[Value, Array]) -> None:
    if value not in buffers:
        raise GraphError(f"{value} is freed but not live")
    del buffers[value]


def _read(value: Value, buffers: dict[Value, Array], producers: dict[Value, Node]) -> Array:
    """Return the array of a value: its buffer, or a view of its operand's."""
    if value in buffers:
        return buffers[value]
    node = producers[value]
    if computes(node):
        raise GraphError(f"{value}, a result of {node.op.name}, is read but not live")
    operands = {v: _read(v, buffers, producers) for v in node.inputs}
    return evaluate_node(node, operands)[0]
