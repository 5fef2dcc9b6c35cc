"""Recompute what the user has marked to be recomputed, whatever the budget.

Nodes whose origin has a scope are a checkpointed region; those of the least order in it are its
forward part. A value inside the forward part is given up after the last forward read; a derivative
that reads it has the region computed again, as far as it is needed, from what is still there.
What other regions or other derivatives read of a region is its result, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from adgraph.analysis.liveness import computes, roots
from adgraph.ir.graph import Graph, Node, Value


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
        if v in dropped and not _late(node, dropped[v])
    }
    again: set[Node] = set()
    result: list[Node] = []
    for i, node in enumerate(sequence):
        for v in operands[node]:
            if v in dropped and _late(node, dropped[v]) and forward_end.get(v, -1) < i:
                result.extend(_recomputation(dropped[v], operands, dropped, again))
        result.append(node)
    return tuple(result)


def _late(reader: Node, producer: Node) -> bool:
    return reader.origin.order > producer.origin.order


def _dropped(graph: Graph) -> dict[Value, Node]:
    """Map the values that no derivative may find in memory to the nodes that compute them."""
    root = roots(graph)
    forward = _forward_orders(graph)
    dropped = {
        v: node
        for node in graph.nodes
        if computes(node) and forward.get(node.origin.scope) == node.origin.order
        for v in node.outputs
    }
    for v in graph.outputs:
        dropped.pop(root[v], None)
    for node in filter(computes, graph.nodes):
        for v in {root[v] for v in node.inputs} & dropped.keys():
            if _keeps(node, dropped[v]):
                del dropped[v]
    return dropped


def _forward_orders(graph: Graph) -> dict[str | None, int]:
    """Map every scope to the least order in it."""
    orders: dict[str | None, int] = {}
    for node in graph.nodes:
        if node.origin.scope is not None and computes(node):
            known = orders.get(node.origin.scope, node.origin.order)
            orders[node.origin.scope] = min(known, node.origin.order)
    return orders


def _keeps(reader: Node, producer: Node) -> bool:
    """Tell whether a read makes the producer's value a result of its region."""
    if reader.origin.scope == producer.origin.scope:
        return False
    return reader.origin.scope is not None or _late(reader, producer)


def _recomputation(
    node: Node,
    operands: dict[Node, tuple[Value, ...]],
    dropped: dict[Value, Node],
    again: set[Node],
) -> list[Node]:
    """Return the nodes to compute again for one of them, operands first, and note them."""
    found = []
    stack = [node]
    while stack:
        wanted = [dropped[v] for v in operands[stack[-1]] if v in dropped]
        waiting = [] if stack[-1] in again else [n for n in wanted if n not in again]
        stack.extend(reversed(waiting))
        if not waiting:
            last = stack.pop()
            if last not in again:
                again.add(last)
                found.append(last)
    return found
