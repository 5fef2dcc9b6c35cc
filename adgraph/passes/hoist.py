"""Move out of loops what every trip computes alike.

A node moves if it reads constants of the loop only, mentions no loop index, cannot fail, and is
worth an array of its own: sums, products, data movement, expensive functions. A loop may make no
trip; what was moved is then computed for nothing, and does no harm. Arrays that are literals leave
all programs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from adgraph.ir.code import Expression, Loops, Pieces, Routine
from adgraph.ir.dims import Symbol
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import carries, own_operands, prune
from adgraph.ir.substitute import symbols_of
from adgraph.passes.rewrite import Hits, with_regions

LIGHT = 4.0  # additions an element: computing it again costs no more than reading it


def hoist(graph: Graph, hits: Hits | None = None) -> Graph:
    """Move invariant nodes in front of the loops that hold them, from the inside outwards."""
    if all(node.op.kind is not Kind.REGION for node in graph.nodes):
        return graph
    hits = Counter() if hits is None else hits
    nodes: list[Node] = []
    for old in graph.nodes:
        node = with_regions(old, lambda region: hoist(region, hits))
        moved = _moved(node) if node.op.kind is Kind.REGION else None
        if moved is not None:
            hits["hoisted"] += sum(1 for n in moved.before if _worth(n))
            nodes.extend(moved.before)
        nodes.append(node if moved is None else moved.region)
    return graph if tuple(nodes) == graph.nodes else prune(replace(graph, nodes=tuple(nodes)))


@dataclass(frozen=True)
class _Moved:
    """The nodes that stand before a region now, and the region that reads their results."""

    before: tuple[Node, ...]
    region: Node


def _moved(node: Node) -> _Moved | None:
    own, loop = own_operands(node), carries(node)
    fixed = node.attrs["constants"] if loop else 0
    before: list[Node] = []
    found: list[tuple[str, Value, Value]] = []  # the program, its value, the value outside
    for key, region in node.attrs.items():
        if not isinstance(region, Graph):
            continue
        chosen = _invariant(region, fixed, node.attrs["symbol"]) if loop else []
        chosen = chosen or [n for n in region.nodes if _is_array(n)]
        env = dict(zip(region.inputs[:fixed], node.inputs[own : own + fixed], strict=True))
        for inner in chosen:
            outputs = tuple(Value(v.type, v.name) for v in inner.outputs)
            inputs = tuple(env[v] for v in inner.inputs)
            before.append(replace(inner, inputs=inputs, outputs=outputs))
            env.update(zip(inner.outputs, outputs, strict=True))
            if _worth(inner):
                pairs = zip(inner.outputs, outputs, strict=True)
                found.extend((key, v, outside) for v, outside in pairs)
    if not found:
        return None
    return _Moved(tuple(before), _with_operands(node, own + fixed, found))


def _invariant(body: Graph, fixed: int, symbol: Symbol) -> list[Node]:
    """Return the nodes of a loop's program that are worth moving, and those they depend on."""
    known = set(body.inputs[:fixed])
    movable = []
    for node in body.nodes:
        if known.issuperset(node.inputs) and not _fails(node) and symbol not in symbols_of(node):
            movable.append(node)
            known.update(node.outputs)
    needed: set[Value] = set()
    chosen = []
    for node in reversed(movable):
        if _worth(node) or not needed.isdisjoint(node.outputs):
            chosen.append(node)
            needed.update(node.inputs)
    return chosen[::-1]


def _is_array(node: Node) -> bool:
    return node.op.kind is Kind.CONSTANT and node.output.type.ndim > 0


def _fails(node: Node) -> bool:
    """Tell whether a node may end a program with an error, as a solver or an index can."""
    if node.op.kind is Kind.REGION:
        return True
    match node.op.code:
        case Routine(strided=product):
            return not product
        case Loops(text=text):
            return re.search(r"return [1-9]", text) is not None
        case _:
            return False


def _worth(node: Node) -> bool:
    match node.op.kind, node.op.code:
        case Kind.ELEMENTWISE, Expression(weight=weight):
            return weight > LIGHT
        case Kind.MOVEMENT, Pieces():
            return True
        case _:
            return node.op.kind in (Kind.REDUCTION, Kind.LIBRARY, Kind.MOVEMENT) or _is_array(node)


def _with_operands(node: Node, at: int, found: Iterable[tuple[str, Value, Value]]) -> Node:
    """Return the region with values outside as operands in place of values it computed."""
    moved = tuple(found)
    operands = tuple(outside for _, _, outside in moved)
    attrs = dict(node.attrs)
    for key, region in node.attrs.items():
        if isinstance(region, Graph):
            inputs = tuple(Value(v.type, v.name) for v in operands)
            env = {v: i for (k, v, _), i in zip(moved, inputs, strict=True) if k == key}
            attrs[key] = _reading(region, at - own_operands(node), inputs, env)
    if carries(node):
        attrs["constants"] += len(operands)
    return replace(node, inputs=(*node.inputs[:at], *operands, *node.inputs[at:]), attrs=attrs)


def _reading(graph: Graph, at: int, inputs: tuple[Value, ...], env: Mapping[Value, Value]) -> Graph:
    nodes = tuple(replace(n, inputs=tuple(env.get(v, v) for v in n.inputs)) for n in graph.nodes)
    outputs = tuple(env.get(v, v) for v in graph.outputs)
    all_inputs = (*graph.inputs[:at], *inputs, *graph.inputs[at:])
    return replace(graph, inputs=all_inputs, nodes=nodes, outputs=outputs)
