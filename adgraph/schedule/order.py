"""Choose the order in which a graph's nodes are computed, for a low peak of live bytes.

Three orders are tried: the one given, depth-first from the outputs, and eager (a node that frees at
least what it needs runs as soon as it can: a weight's gradient, the last reader of a residual). The
one with the least peak comes first; the earlier one if two tie. Begin with `orders`.
"""

from __future__ import annotations

from collections.abc import Callable

from adgraph.analysis.liveness import computes
from adgraph.ir.graph import Graph, Node
from adgraph.schedule.checkpoint import checkpoint
from adgraph.schedule.flow import Facts, Flow, peak


def orders(graph: Graph, facts: Facts | None = None) -> tuple[tuple[Node, ...], ...]:
    """Return the orders that are tried, different ones, from the least peak.

    What the user wants to be recomputed stands in them again, if that lowers the peak.
    """
    flow = Flow.of(graph, tuple(node for node in graph.nodes if computes(node)), facts)
    number = {node: task for task, node in enumerate(flow.tasks)}
    peaks: dict[tuple[Node, ...], int] = {}
    for rule in RULES:
        sequence = tuple(flow.tasks[task] for task in rule(flow))
        ways = dict.fromkeys((sequence, checkpoint(graph, sequence)))
        found = {way: peak(flow, [number[node] for node in way]) for way in ways}
        least = min(found, key=found.__getitem__)
        peaks[least] = found[least]
    return tuple(sorted(peaks, key=peaks.__getitem__))


def _given(flow: Flow) -> list[int]:
    return list(range(len(flow.tasks)))


def _depth_first(flow: Flow) -> list[int]:
    """Each task as late as possible: when a reader waits for it."""
    found: dict[int, None] = {}
    ends = sorted(flow.producers[v] for v in flow.results)
    for end in [*ends, *range(len(flow.tasks))]:
        stack = [end]
        while stack:
            task = stack[-1]
            operands = dict.fromkeys(flow.producers[v] for v in flow.reads[task])
            waiting = [] if task in found else [p for p in operands if p not in found]
            stack.extend(reversed(waiting))
            if not waiting:
                found[stack.pop()] = None
    return list(found)


class _Eager:
    """The given order, interrupted by every ready task that frees at least what it needs."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.readers = flow.readers
        self.unread = [len(tasks) for tasks in self.readers]
        self.missing = [len(operands) for operands in flow.reads]
        self.done = [False] * len(flow.tasks)
        self.tasks: list[int] = []

    def run(self, first: int) -> None:
        """Run a task, then what has become free of charge by it."""
        stack = [first]
        while stack:
            task = stack.pop()
            if self.done[task] or self.missing[task]:
                continue
            self._finish(task)
            stack.extend(reversed(self._affected(task)))

    def _finish(self, task: int) -> None:
        self.done[task] = True
        self.tasks.append(task)
        for v in self.flow.reads[task]:
            self.unread[v] -= 1
        for v in self.flow.writes[task]:
            for reader in self.readers[v]:
                self.missing[reader] -= 1

    def _affected(self, task: int) -> list[int]:
        """Tasks that are ready, free of charge, and were perhaps not before this one ran."""
        found = []
        for v in self.flow.writes[task]:
            found.extend(self.readers[v])
        for v in self.flow.reads[task]:
            if self.unread[v] == 1:
                found.extend(self.readers[v])
        return [t for t in dict.fromkeys(found) if self._free_of_charge(t)]

    def _free_of_charge(self, task: int) -> bool:
        if self.done[task] or self.missing[task]:
            return False
        sizes = self.flow.sizes
        freed = sum(sizes[v] for v in self.flow.reads[task] if self.unread[v] == 1)
        return freed >= sum(sizes[v] for v in self.flow.writes[task])


def _eager(flow: Flow) -> list[int]:
    walk = _Eager(flow)
    for task in range(len(flow.tasks)):
        walk.run(task)
    return walk.tasks


RULES: tuple[Callable[[Flow], list[int]], ...] = (_given, _depth_first, _eager)
