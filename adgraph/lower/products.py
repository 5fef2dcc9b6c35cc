"""Matrix products in loop bodies, and literal arrays there: what must change before nests are made.

In a body a product of vectors, or of small or ragged matrices, is a sum of products: it fuses with
what is around it, and needs no call. So is, outside of bodies, a product with a vector of a matrix
that BLAS cannot read where it is: a copy would take as long. The order of the loops follows the
memory order of the operands. Literal arrays become operands of the loop. Begin with
`prepare_bodies` and `sum_strided_products`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.code import Control, Routine
from adgraph.ir.dims import Affine, upper_bound
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import own_operands
from adgraph.ir.types import Constant
from adgraph.lower.layout import Layout, root_layout, view_layout
from adgraph.lower.materialize import product_reads
from adgraph.ops.constant import constant
from adgraph.ops.elementwise import multiply
from adgraph.ops.reduction import reduce_sum
from adgraph.ops.shape import reshape, transpose

SMALL = 8  # the least extent from which on a product in a body is left to BLAS


def prepare_bodies(graph: Graph) -> Graph:
    """Return the program with the bodies of its loops and branches ready for nests."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op.kind is Kind.INDEX:
            node = _known_index(node)
        nodes.extend(_prepared(node) if isinstance(node.op.code, Control) else (node,))
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)


def _known_index(node: Node) -> Node:
    """Return an index without loop indices as the literal that it is."""
    if isinstance(node.attrs["dim"], Affine):
        return node
    value = Constant.of(np.int64(node.attrs["dim"]))
    return Node(constant, (), node.outputs, {"value": value}, node.origin)


def _prepared(node: Node) -> tuple[Node, ...]:
    """Return a region with its bodies prepared, behind the literal arrays that it now takes."""
    bodies = {
        key: prepare_bodies(_summed_products(attr, _is_small_product))
        for key, attr in node.attrs.items()
        if isinstance(attr, Graph)
    }
    literals = dict.fromkeys(c for body in bodies.values() for c in _literals(body))
    found = {c: Value(type_of_constant(c)) for c in literals}
    emitted = tuple(
        Node(constant, (), (value,), {"value": c}, node.origin) for c, value in found.items()
    )
    first = own_operands(node)
    inputs = (*node.inputs[:first], *found.values(), *node.inputs[first:])
    attrs: dict[str, Any] = {
        **node.attrs,
        **{key: _without_literals(body, tuple(found)) for key, body in bodies.items()},
    }
    if "constants" in attrs:
        attrs["constants"] += len(found)
    return (*emitted, Node(node.op, inputs, node.outputs, attrs, node.origin))


# --- literal arrays -------------------------------------------------------------------------------


def type_of_constant(value: Constant) -> Any:
    """Return the type of a literal array."""
    return constant.infer(value=value)


def _is_literal_array(node: Node) -> bool:
    return node.op.kind is Kind.CONSTANT and node.attrs["value"].fill is None


def _literals(body: Graph) -> list[Constant]:
    return [node.attrs["value"] for node in body.nodes if _is_literal_array(node)]


def _without_literals(body: Graph, literals: Sequence[Constant]) -> Graph:
    """Return a body that takes literal arrays as its first inputs."""
    inputs = {c: Value(type_of_constant(c)) for c in literals}
    env: dict[Value, Value] = {}
    nodes = []
    for node in body.nodes:
        if _is_literal_array(node):
            env[node.output] = inputs[node.attrs["value"]]
        else:
            nodes.append(node.renamed(env))
    outputs = tuple(env.get(v, v) for v in body.outputs)
    return Graph((*inputs.values(), *body.inputs), tuple(nodes), outputs, body.name)


# --- products -------------------------------------------------------------------------------------


Layouts = Mapping[Value, Layout]


def sum_strided_products(graph: Graph) -> Graph:
    """Write products with a vector as sums where BLAS cannot read the other factor."""
    return _summed_products(graph, _is_strided_product)


def _summed_products(body: Graph, chosen: Callable[[Node, Layouts], bool]) -> Graph:
    """Write the chosen matrix products of a body as sums."""
    if not any(_is_product(node) for node in body.nodes):
        return body
    layouts = _likely_layouts(body)
    summed = {node for node in body.nodes if _is_product(node) and chosen(node, layouts)}
    if not summed:
        return body
    builder = Builder()
    builder.inputs.extend(body.inputs)
    builder._owned.update(body.inputs)
    env = {v: v for v in body.inputs}
    for node in body.nodes:
        operands = [env[v] for v in node.inputs]
        with builder.at(node.origin):
            if node in summed:
                strides = tuple(layouts[v].strides for v in node.inputs)
                env[node.output] = _sum_of_products(builder, node, operands, strides)
            else:
                results = builder.emit(
                    node.op, operands, node.attrs, types=tuple(v.type for v in node.outputs)
                )
                env.update(zip(node.outputs, results, strict=True))
    return builder.build([env[v] for v in body.outputs], body.name)


def _likely_layouts(body: Graph) -> Layouts:
    """Return where values are if what is no view yet will be a copy."""
    found = {v: root_layout(v) for v in body.inputs}
    for node in body.nodes:
        found.update((v, root_layout(v)) for v in node.outputs)
        if node.op.kind is Kind.VIEW:
            view = view_layout(node, node.inputs[0].type, found[node.inputs[0]])
            found[node.output] = view or root_layout(node.output)
    return found


def _is_product(node: Node) -> bool:
    """Whether a node is a product of two matrices."""
    code = node.op.code
    plain = isinstance(code, Routine) and code.strided and not code.adds
    return plain and all(t.ndim == 2 for t in node.types)


def _is_strided_product(node: Node, layouts: Layouts) -> bool:
    """Whether a product with a vector has a factor that would have to be copied."""
    m, n = node.output.type.shape
    return 1 in (m, n) and not all(
        product_reads(node, i, layouts[v].strides, v.type.shape) for i, v in enumerate(node.inputs)
    )


def _is_small_product(node: Node, layouts: Layouts) -> bool:
    """Whether BLAS would not make a product faster."""
    a, b = node.types
    extents = (*a.shape, b.shape[-1])
    most = [upper_bound(n) for n in extents]
    return a.ragged or b.ragged or min(n if n is not None else SMALL for n in most) <= SMALL


def _sum_of_products(
    builder: Builder, node: Node, operands: list[Value], strides: tuple[tuple[int, ...], ...]
) -> Value:
    """Emit the product with loops in the order in which memory is walked best.

    Axes are named m, k, n. The sum runs last (rows times columns) where that reads both operands
    along their rows, else first or in the middle: rows are added up.
    """
    (m, k), (_, n) = (t.shape for t in node.types)
    extent = {"m": m, "k": k, "n": n}
    by_rows = abs(strides[0][1]) <= abs(strides[0][0]) or k == 1
    if n == 1:
        order = "mk" if by_rows else "km"
    elif m == 1:
        order = "kn" if abs(strides[1][1]) <= abs(strides[1][0]) else "nk"
    elif not by_rows:
        order = "kmn"
    else:
        order = "mkn" if strides[1][1] == 1 else "mnk"
    left = _in_order(builder, operands[0], "mk", order, extent)
    right = _in_order(builder, operands[1], "kn", order, extent)
    (product,) = builder.emit(multiply, (left, right), {})
    (total,) = builder.emit(reduce_sum, (product,), {"axis": (order.index("k"),)})
    (result,) = builder.emit(reshape, (total,), {"shape": (m, n)})
    return result


def _in_order(
    builder: Builder, value: Value, axes: str, order: str, extent: dict[str, Any]
) -> Value:
    """Return a matrix with the axes of an order; those it lacks have extent one."""
    own = [a for a in order if a in axes]
    dropped = [a for a in axes if a not in order]  # of extent one
    if (*own, *dropped) != tuple(axes):
        (value,) = builder.emit(
            transpose, (value,), {"axes": tuple(axes.index(a) for a in (*own, *dropped))}
        )
    shape = tuple(extent[a] if a in axes else 1 for a in order)
    (result,) = builder.emit(reshape, (value,), {"shape": shape})
    return result
