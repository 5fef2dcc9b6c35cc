"""Make one op of a product and the sum that reads it, which is rounded once.

A compiler would do so wherever both stand in one loop. Which do depends on what else is computed
and kept there, and so would the last bits of a value: a loop that keeps snapshots in place of a
tape runs the same trips in other kernels. Here it is decided before, by the program alone, and
kernels contract nothing. Begin with `contract`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Op
from adgraph.ops.elementwise import (
    add,
    multiply,
    multiply_add,
    multiply_subtract,
    square,
    subtract,
    subtract_product,
)
from adgraph.passes.rewrite import Hits, with_regions

# By the op of a sum and the position of the product in it: the op that computes both.
CONTRACTED: dict[tuple[Op, int], Op] = {
    (add, 1): multiply_add,
    (add, 0): multiply_add,
    (subtract, 1): subtract_product,
    (subtract, 0): multiply_subtract,
}


def contract(graph: Graph, hits: Hits | None = None) -> Graph:
    """Return the program with the products that only sums read inside these sums.

    Of two products in a sum the second is computed with it, rounded once.
    """
    hits = Counter() if hits is None else hits
    nodes = [with_regions(node, lambda region: contract(region, hits)) for node in graph.nodes]
    products = _products(graph)
    sums = {node: made for node in nodes if (made := _contracted(node, products)) is not None}
    hits["product in a sum"] += len(sums)
    left = {v for node in nodes for v in sums.get(node, node).inputs}
    kept = (n for n in nodes if products.keys().isdisjoint(n.outputs) or left & {*n.outputs})
    result = tuple(sums.get(node, node) for node in kept)
    return graph if result == graph.nodes else replace(graph, nodes=result)


def _products(graph: Graph) -> dict[Value, tuple[Value, Value]]:
    """The factors of the products that only sums of their own type read."""
    found: dict[Value, tuple[Value, Value]] = {}
    for node in graph.nodes:
        if node.op in (multiply, square) and _of_one_dtype(node):
            found[node.output] = (node.inputs[0], node.inputs[-1])
    others = set(graph.outputs)
    for node in graph.nodes:
        others.update(v for v in node.inputs if not _is_sum(node) or v.type != node.output.type)
    return {value: factors for value, factors in found.items() if value not in others}


def _is_sum(node: Node) -> bool:
    return node.op in (add, subtract)


def _of_one_dtype(node: Node) -> bool:
    dtype = node.output.type.dtype
    return dtype.kind == "f" and all(v.type.dtype == dtype for v in node.inputs)


def _contracted(node: Node, products: dict[Value, tuple[Value, Value]]) -> Node | None:
    """The sum with its last product inside, None if there is none."""
    if not _is_sum(node) or not _of_one_dtype(node):
        return None
    for at in (1, 0):
        if node.inputs[at] in products:
            inputs = (*products[node.inputs[at]], node.inputs[1 - at])
            return replace(node, op=CONTRACTED[node.op, at], inputs=inputs)
    return None
