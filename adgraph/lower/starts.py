"""Loops that carry several arrays from one start: each gets a start of its own.

Tapes begin as the same array of zeros. Where one value is the start of two carried arrays, it must
outlive the writes into either, which takes a third array and copies of it. `separate_starts` makes
two values of a literal, or of a view; then each array is filled where it will stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adgraph.analysis.programs import LEADING, constants, is_loop
from adgraph.ir.code import Control
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind


def separate_starts(graph: Graph) -> Graph:
    """Return the program in which no two arrays that a loop carries start as one view."""
    producers = graph.producers()
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _separated(node, producers) if isinstance(node.op.code, Control) else (node,)
    return replace(graph, nodes=tuple(nodes))


def _separated(node: Node, producers: Mapping[Value, Node]) -> tuple[Node, ...]:
    """Return a region, behind the copies of what it carries from one start."""
    inside = {k: separate_starts(v) for k, v in node.attrs.items() if isinstance(v, Graph)}
    node = replace(node, attrs={**node.attrs, **inside})
    if not is_loop(node):
        return (node,)
    first = LEADING[node.op] + constants(node)
    copies: list[Node] = []
    inputs = list(node.inputs[:first])
    for value in node.inputs[first:]:
        producer = producers.get(value)
        if value.type.shape and value in inputs and producer is not None and _is_free(producer):
            copy = replace(producer, outputs=(Value(value.type),))
            copies.append(copy)
            value = copy.output
        inputs.append(value)
    return *copies, replace(node, inputs=tuple(inputs))


def _is_free(node: Node) -> bool:
    """Tell whether a node writes nothing."""
    return node.op.kind in (Kind.CONSTANT, Kind.VIEW)
