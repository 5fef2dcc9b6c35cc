"""Outputs that are views of computed arrays: the copies that make arrays of their own of them.

They are made before nodes are grouped, so that the nest which computes an array writes it where it
is returned, with its axes in their new order. Functions are evaluated in vectors only along the
rows of what a nest writes: what they give is copied behind it (`adgraph.lower.materialize`).
"""

from __future__ import annotations

from adgraph.analysis.cost import evaluations
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ops.constant import copy
from adgraph.ops.shape import transpose


def with_copied_outputs(graph: Graph) -> Graph:
    """Return the program with copies of the outputs that are transposed results."""
    producers = graph.producers()
    nodes: list[Node] = []
    outputs = []
    for value in graph.outputs:
        view = producers.get(value)
        if view is None or view.op is not transpose or not _is_light(view.inputs[0], producers):
            outputs.append(value)
            continue
        outputs.append(Value(value.type, value.name))
        nodes.append(Node(copy, (value,), (outputs[-1],), {}, view.origin))
    if not nodes:
        return graph
    return Graph(graph.inputs, (*graph.nodes, *nodes), tuple(outputs), graph.name)


def _is_light(value: Value, producers: dict[Value, Node]) -> bool:
    """Whether a nest computes a value, without functions that take long."""
    node = producers.get(value)
    if node is None or node.op.kind is not Kind.ELEMENTWISE:
        return False
    pending, seen = [node], {node}
    while pending:
        node = pending.pop()
        if evaluations(node):
            return False
        for made in map(producers.get, node.inputs):
            if made and made not in seen and made.op.kind is Kind.ELEMENTWISE:
                seen.add(made)
                pending.append(made)
    return True
