"""Room that kernels need if several threads share their work.

`with_room` gives large fused nodes a place for what their phases leave for others, and a workspace
for all threads; `is_large` tells which nodes these are.
"""

from __future__ import annotations

import numpy as np

from adgraph.analysis.cost import node_cost
from adgraph.analysis.liveness import scratch_types
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType
from adgraph.lower.split import ROOM, most_workspace_bytes

SPLIT_SECONDS = 50e-6  # from here on a kernel gains from several threads


def with_room(graph: Graph, threads: int) -> Graph:
    """Give nodes that may be split room: for what phases leave for others, and threads for all."""
    room = ArrayType(np.dtype(np.float64), (ROOM,))
    nodes = []
    for node in graph.nodes:
        if _is_fused(node) and is_large(node):
            attrs = {**node.attrs, "scratch": (*scratch_types(node), room, _work(node, threads))}
            node = Node(node.op, node.inputs, node.outputs, attrs, node.origin)
        nodes.append(node)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)


def _work(node: Node, threads: int) -> ArrayType:
    """Return the type of the workspace that threads share while they run a fused node."""
    body: Graph = node.attrs["body"]
    elements = max(v.type.size for n in body.nodes for v in (*n.inputs, *n.outputs))
    folds = 2 * sum(n.op.kind is Kind.REDUCTION for n in body.nodes)
    own = [type.nbytes for type in scratch_types(node)]
    size = most_workspace_bytes(elements, folds, own, threads)
    return ArrayType(np.dtype(np.float64), (size // 8,))


def _is_fused(node: Node) -> bool:
    return node.op.kind is Kind.REGION and node.op.code is None and "in_place" not in node.attrs


def is_large(node: Node) -> bool:
    """Tell whether several threads make up for the time it takes to wake them."""
    return node_cost(node).seconds > SPLIT_SECONDS
