"""The reference interpreter: run a graph node by node in NumPy.

It is the meaning of a graph, and the oracle of every other way to run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import GraphError
from adgraph.ir.dims import Symbol
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.substitute import resolve

Array = np.ndarray[Any, Any]
Symbols = Mapping[Symbol, int]
OUTSIDE: Symbols = {}


def evaluate(graph: Graph, *args: Any, symbols: Symbols = OUTSIDE) -> tuple[Array, ...]:
    """Compute the outputs of a graph from one array per input.

    `symbols` gives the indices of the loops around a graph that is a body.
    """
    if len(args) != len(graph.inputs):
        raise GraphError(f"@{graph.name} has {len(graph.inputs)} inputs, got {len(args)} arrays")
    env = {v: np.asarray(x, v.type.dtype) for v, x in zip(graph.inputs, args, strict=True)}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            env.update(zip(node.outputs, evaluate_node(node, env, symbols), strict=True))
    return tuple(env[v] for v in graph.outputs)


def evaluate_node(
    node: Node, env: Mapping[Value, Array], symbols: Symbols = OUTSIDE
) -> tuple[Array, ...]:
    """Compute the results of one node from the arrays of its operands."""
    attrs: Mapping[str, Any] = resolve(node.attrs, symbols) if node.symbolic else node.attrs
    if node.op.kind is Kind.REGION:
        attrs = {**attrs, "symbols": symbols}
    result = node.op.evaluate(*(env[v] for v in node.inputs), **attrs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(r) for r in results)
