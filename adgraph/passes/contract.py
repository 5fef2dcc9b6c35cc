"""Make one op of a product and the sum that reads it, which is rounded once.

The sum may be one in a box of an array, if the product is one by a number.

A compiler would do so wherever both stand in one loop. Which do depends on what else is computed
and kept there, and so would the last bits of a value: a loop that keeps snapshots in place of a
tape runs the same trips in other kernels. Here it is decided before, by the program alone, and
kernels contract nothing. Begin with `contract`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import replace

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Op
from adgraph.ops.constant import constant
from adgraph.ops.elementwise import (
    add,
    multiply,
    multiply_add,
    multiply_subtract,
    square,
    subtract,
    subtract_product,
)
from adgraph.ops.shape import add_at, add_multiple_at
from adgraph.passes.rewrite import Hits, with_regions

Factors = tuple[Value, Value]
Numbers = dict[Value, float]

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
    numbers = _numbers(graph)
    products = _products(graph, numbers)
    sums = {n: made for n in nodes if (made := _contracted(n, products, numbers)) is not None}
    hits["product in a sum"] += len(sums)
    kept = _needed([sums.get(node, node) for node in nodes], products.keys(), graph.outputs)
    result = tuple(_needed(kept, numbers.keys(), graph.outputs))
    return graph if result == graph.nodes else replace(graph, nodes=result)


def _needed(
    nodes: list[Node], values: AbstractSet[Value], outputs: tuple[Value, ...]
) -> list[Node]:
    """The nodes without those of these values that nothing reads."""
    read = {*outputs, *(v for node in nodes for v in node.inputs)}
    return [n for n in nodes if values.isdisjoint(n.outputs) or read & {*n.outputs}]


def _numbers(graph: Graph) -> Numbers:
    """The numbers that are constants of a program, but for 0: a piece adds nothing so."""
    constants = [n for n in graph.nodes if n.op is constant and _of_one_dtype(n)]
    found = {n.output: float(n.attrs["value"].fill) for n in constants if not n.output.type.shape}
    return {value: number for value, number in found.items() if number and math.isfinite(number)}


def _products(graph: Graph, numbers: Numbers) -> dict[Value, Factors]:
    """The factors of the products that only sums of their own type read."""
    found: dict[Value, Factors] = {}
    for node in graph.nodes:
        if node.op in (multiply, square) and _of_one_dtype(node):
            found[node.output] = (node.inputs[0], node.inputs[-1])
    others = set(graph.outputs)
    for node in graph.nodes:
        if node.op is add_at:
            x, v = node.inputs
            others.update((x,) if _multiple(v, found, numbers) else (x, v))
        else:
            others.update(v for v in node.inputs if not _is_sum(node) or v.type != node.output.type)
    return {value: factors for value, factors in found.items() if value not in others}


def _multiple(
    value: Value, products: dict[Value, Factors], numbers: Numbers
) -> tuple[Value, float] | None:
    """The array and the number whose product a value is, None if it is no such product."""
    a, b = products.get(value, (None, None))
    for v, number in ((a, b), (b, a)):
        if v is not None and number in numbers and v.type == value.type:
            return v, numbers[number]
    return None


def _is_sum(node: Node) -> bool:
    return node.op in (add, subtract)


def _of_one_dtype(node: Node) -> bool:
    dtype = node.output.type.dtype
    return dtype.kind == "f" and all(v.type.dtype == dtype for v in node.inputs)


def _contracted(node: Node, products: dict[Value, Factors], numbers: Numbers) -> Node | None:
    """The sum with its last product inside, None if there is none."""
    if node.op is add_at and (multiple := _multiple(node.inputs[1], products, numbers)):
        v, factor = multiple
        attrs = {**node.attrs, "factor": factor}
        return replace(node, op=add_multiple_at, inputs=(node.inputs[0], v), attrs=attrs)
    if not _is_sum(node) or not _of_one_dtype(node):
        return None
    for at in (1, 0):
        if node.inputs[at] in products:
            inputs = (*products[node.inputs[at]], node.inputs[1 - at])
            return replace(node, op=CONTRACTED[node.op, at], inputs=inputs)
    return None
