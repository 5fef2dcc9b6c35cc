"""Look at the elements of a window only: what a mask between two numbers selects.

A slice whose ends are known only when the program runs is a mask (`adgraph.tracing.windows`): every
element of the axis is looked at. Inside a loop, where the windows of all trips together are often
one array (the rows of a sparse matrix), that costs trips times elements. Here the elementwise
operations and gathers under such a mask, up to the folds, additions and writes to which the
elements outside contribute nothing, become a loop over the window. Begin with `narrow`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import carries, own_operands, prune
from adgraph.ops.constant import constant
from adgraph.ops.elementwise import bitwise_and, greater_equal, less
from adgraph.passes.masking import OPEN, Known, Window, Work
from adgraph.passes.rewrite import Hits, with_regions
from adgraph.passes.window_loops import assembled


def narrow(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace work under masks that are windows, inside loops, by loops over the windows."""
    if all(node.op.kind is not Kind.REGION for node in graph.nodes):
        return graph
    return _narrowed(graph, {}, Counter() if hits is None else hits, inside=False)


def _narrowed(graph: Graph, known: Mapping[Value, Known], hits: Hits, *, inside: bool) -> Graph:
    """Narrow a program; `known` tells which of its inputs number positions, or are all true."""
    known = dict(known)
    nodes = []
    for node in graph.nodes:
        found = _knowledge(node, known)
        if found is not None:
            known[node.output] = found
        nodes.append(with_regions(node, _Inner(node, known, hits)))
    if tuple(nodes) != graph.nodes:
        graph = replace(graph, nodes=tuple(nodes))
    return _Narrowing(graph, known, hits).run() if inside else graph


@dataclass(frozen=True)
class _Inner:
    """Narrows the programs of a node; what is known of its operands is known of their inputs."""

    node: Node
    known: Mapping[Value, Known]
    hits: Hits

    def __call__(self, region: Graph) -> Graph:
        node, lead = self.node, own_operands(self.node)
        fixed: int = node.attrs["constants"] if carries(node) else len(region.inputs)
        pairs = zip(region.inputs[:fixed], node.inputs[lead : lead + fixed], strict=True)
        inner = {value: self.known[given] for value, given in pairs if given in self.known}
        return _narrowed(region, inner, self.hits, inside=True)


# --- what is known of arrays ----------------------------------------------------------------------


def _knowledge(node: Node, known: Mapping[Value, Known]) -> Known | None:
    """Tell whether a node numbers positions, or is a window."""
    if node.op is constant:
        array = node.attrs["value"].array
        if array.dtype.kind == "b" and array.all():
            return Known(window=OPEN)
        ramp = array.ndim == 1 and array.dtype == np.int64 and array.size > 1
        return Known(positions=True) if ramp and _counts(array) else None
    facts = [known.get(v, Known()) for v in node.inputs]
    if node.op.kind is Kind.VIEW and facts[0].window == OPEN:
        return facts[0]
    if node.op in (greater_equal, less) and facts[0].positions and not _extended(node.inputs[1]):
        edge = node.inputs[1]
        return Known(window=(edge, None) if node.op is greater_equal else (None, edge))
    if node.op is bitwise_and and all(fact.window is not None for fact in facts):
        return _meeting([fact.window or OPEN for fact in facts])
    return None


def _counts(array: np.ndarray[Any, Any]) -> bool:
    return bool(array[0] == 0 and (array == np.arange(array.size)).all())


def _extended(value: Value) -> bool:
    return value.type.ndim > 0


def _meeting(windows: list[Window]) -> Known | None:
    """The window where two windows overlap, if each end is that of one of them."""
    ends: list[Value | None] = []
    for side in (0, 1):
        given = {w[side] for w in windows} - {None}
        if len(given) > 1:
            return None
        ends.append(next(iter(given), None))
    return Known(window=(ends[0], ends[1]))


# --- one program ----------------------------------------------------------------------------------


class _Narrowing:
    """One program, the masks in it, and its users."""

    def __init__(self, graph: Graph, known: Mapping[Value, Known], hits: Hits) -> None:
        self.graph = graph
        self.known = known
        self.hits = hits

    def run(self) -> Graph:
        windows = {
            (window, v.type.shape)
            for n in self.graph.nodes
            for v in n.outputs
            if (window := self.known.get(v, Known()).window) and window != OPEN and v.type.ndim
        }
        order = {v: i for i, n in enumerate(self.graph.nodes) for v in n.outputs}
        for window, shape in sorted(windows, key=lambda w: _rank(w[0], order)):
            if len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 1:
                self.graph = self._without(window, shape[0])
        return self.graph

    def _without(self, window: Window, extent: int) -> Graph:
        """Return the program with what one window selects in a loop, if all of it fits."""
        work = Work.of(self.graph, self.known, window, extent)
        if work is None:
            return self.graph
        graph = prune(assembled(self.graph, work))
        rest = {n for n in graph.nodes if n in work.under}
        if rest:
            return self.graph  # some of the masked work is needed elsewhere
        self.hits["window"] += 1
        return graph


def _rank(window: Window, order: Mapping[Value, int]) -> int:
    """Narrow windows first: those with two ends, later ends first."""
    ends = [v for v in window if v is not None]
    return -len(ends) * len(order) - max((order.get(v, 0) for v in ends), default=0)
