"""Which values a derivative passes through.

A value is varied if it depends differentiably on an active input. Griewank & Walther, Evaluating
Derivatives, section 6.2.
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
