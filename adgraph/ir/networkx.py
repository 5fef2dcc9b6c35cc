"""A graph as a `networkx.DiGraph`, for the algorithms of that library."""

from __future__ import annotations

import networkx

from adgraph.ir.graph import Graph


def to_networkx(graph: Graph) -> networkx.DiGraph:
    """Return a directed graph whose nodes are the inputs (negative) and nodes (from 0) by number.

    Nodes carry `op`, `type`, `location`; edges carry the `value` that flows and its `nbytes`.
    """
    result = networkx.DiGraph(name=graph.name)
    producer = {}
    for i, value in enumerate(graph.inputs):
        producer[value] = -1 - i
        result.add_node(-1 - i, op="input", type=str(value.type), location=None)
    for i, node in enumerate(graph.nodes):
        types = ", ".join(str(v.type) for v in node.outputs)
        result.add_node(i, op=node.op.name, type=types, location=node.origin.location)
        producer.update(dict.fromkeys(node.outputs, i))
        for value in node.inputs:
            result.add_edge(producer[value], i, value=value, nbytes=value.type.nbytes)
    return result
