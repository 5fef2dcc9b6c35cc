"""The reference interpreter: run a graph node by node in NumPy.

It is the meaning of a graph, and the oracle of every other way to run it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import GraphError
from adgraph.ir.graph import Graph, Node, Value

Array = np.ndarray[Any, Any]


def evaluate(graph: Graph, *args: Any) -> tuple[Array, ...]:
    """Compute the outputs of a graph from one array per input."""
    if len(args) != len(graph.inputs):
        raise GraphError(f"@{graph.name} has {len(graph.inputs)} inputs, got {len(args)} arrays")
    env = {v: np.asarray(x, v.type.dtype) for v, x in zip(graph.inputs, args, strict=True)}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            env.update(zip(node.outputs, evaluate_node(node, env), strict=True))
    return tuple(env[v] for v in graph.outputs)


def evaluate_node(node: Node, env: dict[Value, Array]) -> tuple[Array, ...]:
    """Compute the results of one node from the arrays of its operands."""
    result = node.op.evaluate(*(env[v] for v in node.inputs), **node.attrs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(r) for r in results)
