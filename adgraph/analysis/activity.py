"""Which values a derivative passes through.

A value is varied if it depends differentiably on an active input, and useful if an output depends
differentiably on it. Griewank & Walther, Evaluating Derivatives, section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from adgraph.ir.graph import Graph, Value


def varied(graph: Graph, active: Iterable[Value]) -> set[Value]:
    """Return the values that depend differentiably on the active inputs."""
    found = {v for v in active if v.type.inexact}
    for node in graph.nodes:
        if node.op.differentiable and found.intersection(node.inputs):
            found.update(v for v in node.outputs if v.type.inexact)
    return found


def useful(graph: Graph, outputs: Iterable[Value]) -> set[Value]:
    """Return the values on which the given outputs depend differentiably."""
    found = {v for v in outputs if v.type.inexact}
    for node in reversed(graph.nodes):
        if node.op.differentiable and found.intersection(node.outputs):
            found.update(v for v in node.inputs if v.type.inexact)
    return found
