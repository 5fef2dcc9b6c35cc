"""Passes that only remove nodes: constant folding, common subexpressions, dead code.

Each maps a graph to a graph that computes the same values, bit for bit as the interpreter does, and
has no node more. Programs inside nodes are cleaned in the same way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.ir.builder import attributes_key
from adgraph.ir.evaluate import evaluate_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import prune
from adgraph.ir.substitute import symbols_of
from adgraph.ir.types import Constant, type_of_array
from adgraph.ops.constant import constant
from adgraph.passes.rewrite import Hits, count_nodes, note, with_regions

Array = np.ndarray[Any, Any]

FOLDED_ELEMENTS = 1024


def dce(graph: Graph, hits: Hits | None = None) -> Graph:
    """Remove what no output needs: see `adgraph.ir.prune`."""
    hits = Counter() if hits is None else hits
    result = prune(graph)
    removed = count_nodes(graph) - count_nodes(result)
    if removed:
        hits["dead"] += removed
    return result


def cse(graph: Graph, hits: Hits | None = None) -> Graph:
    """Merge the nodes that apply one op to the same operands.

    The first two operands of a commutative op may stand in either order; `maximum` of two zeros of
    different sign may then be the other one.
    """
    hits = Counter() if hits is None else hits
    env: dict[Value, Value] = {}
    seen: dict[Any, Node] = {}
    kept = []
    for old in graph.nodes:
        operands = tuple(env.get(v, v) for v in old.inputs)
        node = old if operands == old.inputs else replace(old, inputs=operands)
        node = with_regions(node, lambda region: cse(region, hits))
        first = seen.setdefault(_key(node), node)
        if first is node:
            kept.append(node)
        else:
            env.update(zip(node.outputs, first.outputs, strict=True))
            hits["merged"] += 1
    if tuple(kept) == graph.nodes:
        return graph
    outputs = tuple(env.get(v, v) for v in graph.outputs)
    return replace(graph, nodes=tuple(kept), outputs=outputs)


def _key(node: Node) -> Any:
    operands: Any = node.inputs
    if node.op.commutative:
        operands = (frozenset(node.inputs[:2]), *node.inputs[2:])
    return node.op, operands, attributes_key(node.attrs)


def fold(graph: Graph, hits: Hits | None = None) -> Graph:
    """Compute the nodes all of whose operands are constants, where the program does not grow.

    An index of no loop is a constant, too: that of a loop of one trip that was written out.

    A result of more than 1024 elements is folded only if it is no larger than the operands; a view
    is folded only if it has no element more than its operand.
    """
    hits = Counter() if hits is None else hits
    known: dict[Value, Array] = {}
    nodes: list[Node] = []
    for old in graph.nodes:
        node = with_regions(old, lambda region: fold(region, hits))
        if node.op.kind is Kind.CONSTANT:
            known[node.output] = node.attrs["value"].array
        elif _foldable(node, known):
            results = _noted_results(graph, node, known)
            known.update(zip(node.outputs, results, strict=True))
            nodes.extend(_constant(node, v, r) for v, r in zip(node.outputs, results, strict=True))
            hits["folded"] += 1
            continue
        nodes.append(node)
    return graph if tuple(nodes) == graph.nodes else replace(graph, nodes=tuple(nodes))


def _foldable(node: Node, known: dict[Value, Array]) -> bool:
    if node.op.kind is Kind.REGION or not all(v in known for v in node.inputs):
        return False
    if not node.inputs and node.op.kind is not Kind.INDEX:
        return False
    if symbols_of(node):
        return False
    elements: int = sum(v.type.size for v in node.outputs)
    if node.op.kind is Kind.VIEW:
        return elements <= FOLDED_ELEMENTS and elements <= known[node.inputs[0]].size
    size = sum(v.type.nbytes for v in node.outputs)
    return elements <= FOLDED_ELEMENTS or size <= sum(v.type.nbytes for v in node.inputs)


def _noted_results(graph: Graph, node: Node, known: dict[Value, Array]) -> tuple[Array, ...]:
    try:
        return _results(node, known)
    except Exception as error:
        note(error, graph, node)
        raise


def _results(node: Node, known: dict[Value, Array]) -> tuple[Array, ...]:
    with np.errstate(all="ignore"):
        results = evaluate_node(node, known)
    typed = (np.asarray(r, v.type.dtype) for r, v in zip(results, node.outputs, strict=True))
    return tuple(typed)


def _constant(node: Node, value: Value, array: Array) -> Node:
    assert type_of_array(array) == value.type
    return Node(constant, (), (value,), {"value": Constant.of(array)}, node.origin)
