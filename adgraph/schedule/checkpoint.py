"""Recompute what the user has marked to be recomputed, whatever the budget.

Nodes whose origin has a scope are a checkpointed region; those of the least order in it are its
forward part. A value inside the forward part is given up after the last forward read; a derivative
that reads it has the region computed again, as far as it is needed, from what is still there.
What other regions or other derivatives read of a region is its result, and stays.

Regions nest. A value belongs to the innermost region that all of its reads stay in, the results of
inner regions for example to the outer one. When a region is computed again, the values that belong
to it stay until its derivative has read them; those of regions inside it are given up once more,
and computed a third time when the derivative of the inner region reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adgraph.analysis.liveness import computes, roots
from adgraph.ir.graph import Graph, Node, Scope, Value

Run = tuple[Node, Scope]  # a node that runs again because a region does


def checkpoint(graph: Graph, sequence: Sequence[Node]) -> tuple[Node, ...]:
    """Lengthen a sequence of nodes by the recomputations of the checkpointed regions."""
    dropped = _dropped(graph)
    if not dropped:
        return tuple(sequence)
    root = roots(graph)
    operands = {node: tuple(dict.fromkeys(root[v] for v in node.inputs)) for node in sequence}
    forward_end = {
        v: i
        for i, node in enumerate(sequence)
        for v in operands[node]
        if v in dropped and not _late(node, dropped[v][0])
    }
    again: set[Run] = set()
    result: list[Node] = []
    for i, node in enumerate(sequence):
        for v in operands[node]:
            if v in dropped and _late(node, dropped[v][0]) and forward_end.get(v, -1) < i:
                result.extend(_recomputation(dropped[v], operands, dropped, again))
        result.append(node)
    return tuple(result)


def _late(reader: Node, producer: Node) -> bool:
    return reader.origin.order > producer.origin.order


def _dropped(graph: Graph) -> dict[Value, Run]:
    """Map the values that no derivative may find in memory to their nodes and regions."""
    forward = _forward_orders(graph)
    if not forward:
        return {}
    root = roots(graph)
    dropped = {
        v: (node, node.origin.scope)
        for node in graph.nodes
        if computes(node) and node.origin.scope is not None
        if forward[node.origin.scope] == node.origin.order
        for v in node.outputs
    }
    for v in graph.outputs:
        dropped.pop(root[v], None)
    for node in filter(computes, graph.nodes):
        for v in {root[v] for v in node.inputs} & dropped.keys():
            producer, scope = dropped.pop(v)
            outer = _region(scope, node, producer)
            if outer is not None:
                dropped[v] = producer, outer
    return dropped


def _forward_orders(graph: Graph) -> dict[Scope, int]:
    """Map every scope to the least order in it."""
    orders: dict[Scope, int] = {}
    for node in graph.nodes:
        scope = node.origin.scope
        if scope is not None and computes(node):
            orders[scope] = min(orders.get(scope, node.origin.order), node.origin.order)
    return orders


def _region(scope: Scope, reader: Node, producer: Node) -> Scope | None:
    """Return the region, `scope` or one around it, in which a value stays although it is read."""
    reading = reader.origin.scope
    common = _common(scope, reading)
    is_result = reading != common or _late(reader, producer)
    return common if is_result else scope


def _common(first: Scope, second: Scope | None) -> Scope | None:
    """Return the innermost region around both."""
    shared = None
    if second is not None:
        for one, other in zip(first.around(), second.around(), strict=False):
            if one != other:
                break
            shared = one
    return shared


def _recomputation(
    run: Run,
    operands: dict[Node, tuple[Value, ...]],
    dropped: dict[Value, Run],
    again: set[Run],
) -> list[Node]:
    """Return the nodes to compute again for one of them, operands first, and note them."""
    found = []
    stack = [run]
    while stack:
        node, scope = stack[-1]
        needed = () if stack[-1] in again else _needed(node, scope, operands, dropped)
        waiting = [other for other in needed if other not in again]
        stack.extend(reversed(waiting))
        if not waiting:
            last = stack.pop()
            if last not in again:
                again.add(last)
                found.append(last[0])
    return found


def _needed(
    node: Node,
    scope: Scope,
    operands: dict[Node, tuple[Value, ...]],
    dropped: dict[Value, Run],
) -> Iterator[Run]:
    """Iterate over the runs that give the operands of a node when a region runs again.

    Values of regions inside it are made for it; those of regions around it may be there already.
    """
    for v in operands[node]:
        if v in dropped:
            producer, own = dropped[v]
            yield producer, min(own, scope, key=lambda region: len(region.around()))
