"""An order of nodes in which arrays can be written in place.

A write ends the life of the version before it: what reads that version must come first, or it needs
a copy. Views and elementwise nodes read nothing where they stand, but where their results are
written or summed up. Begin with `reads_first`.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence

from adgraph.analysis.programs import constants, is_loop, operands
from adgraph.analysis.regions import CHEAP, WRITES
from adgraph.ir.graph import Node, Value


def reads_first(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes in an order in which a version is read before it is overwritten.

    Writes come as late as they can. Where two writes wait for each other, the first one goes first.
    """
    lazy = _lazy(nodes)
    reads = {node: _reads(node, lazy) for node in nodes}
    readers = Counter(v for node in nodes for v in reads[node])
    numbers = {node: i for i, node in enumerate(nodes)}
    made = {v: node for node in nodes for v in node.outputs}
    missing = {node: {made[v] for v in node.inputs if v in made} for node in nodes}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node, before in missing.items():
        for other in before:
            users[other].append(node)
    ready = [node for node in nodes if not missing[node]]
    ordered: list[Node] = []
    while ready:
        node = _next(ready, reads, readers)
        ready.remove(node)
        ordered.append(node)
        readers.subtract(reads[node])
        for user in users[node]:
            missing[user].discard(node)
            if not missing[user]:
                bisect.insort(ready, user, key=numbers.__getitem__)
    return ordered


def _next(ready: list[Node], reads: dict[Node, set[Value]], readers: Counter[Value]) -> Node:
    for node in ready:
        if all(readers[v] <= (v in reads[node]) for v in overwritten(node)):
            return node
    return ready[0]


def overwritten(node: Node) -> tuple[Value, ...]:
    """Return the versions that a node ends by writing into their arrays."""
    if node.op in WRITES:
        return node.inputs[:1]
    if is_loop(node):
        return tuple(v for v in operands(node)[constants(node) :] if v.type.shape)
    return ()


def _lazy(nodes: Sequence[Node]) -> dict[Value, set[Value]]:
    """Map the results of views and elementwise nodes to the arrays that reading them reads."""
    found: dict[Value, set[Value]] = {}
    for node in nodes:
        if node.op.kind in CHEAP:
            behind = {v for operand in node.inputs for v in found.get(operand, {operand})}
            found.update(dict.fromkeys(node.outputs, behind))
    return found


def _reads(node: Node, lazy: dict[Value, set[Value]]) -> set[Value]:
    """The arrays that are read where a node stands."""
    if node.op.kind in CHEAP:
        return set()
    ends = overwritten(node)
    return {v for x in node.inputs if x not in ends for v in lazy.get(x, {x})}
