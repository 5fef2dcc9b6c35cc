"""Settle what checkpoints compute again, and remove the names: for programs that are compiled.

What the policy of a region saves leaves the region: its node gets the scope around, and so do the
nodes that only such nodes read. Programs inside loops and branches have no regions any more: what
is computed again in a trip was decided when the derivative was taken.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from adgraph.analysis.checkpoints import settled
from adgraph.ir.graph import Graph, Node, Scope, Value
from adgraph.ops.constant import named
from adgraph.passes.rewrite import Hits, with_regions


def save(graph: Graph, hits: Hits | None = None) -> Graph:
    """Take what policies save out of its region; whoever reads a name reads what is named."""
    if _is_plain(graph):
        return graph
    hits = Counter() if hits is None else hits
    scopes = settled(graph.nodes)
    plain = _without_names(graph, hits)
    kept = dict(zip((n for n in graph.nodes if n.op is not named), plain.nodes, strict=True))
    settled_scopes = {new: scopes[old] for old, new in kept.items()}
    moved = _with_operands(plain, settled_scopes)
    hits["save"] += sum(scope is not node.origin.scope for node, scope in moved.items())
    nodes = tuple(_in_scope(node, scope, hits) for node, scope in moved.items())
    return replace(plain, nodes=nodes) if nodes != graph.nodes else graph


def _is_plain(graph: Graph) -> bool:
    """Tell whether a graph has neither checkpoints nor names."""
    return all(
        node.origin.scope is None and node.op is not named and all(map(_is_plain, node.regions()))
        for node in graph.nodes
    )


def _without_names(graph: Graph, hits: Hits) -> Graph:
    """Let the readers of names read the values that are named."""
    env: dict[Value, Value] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(env.get(v, v) for v in node.inputs)
        if node.op is named:
            env[node.output] = inputs[0]
            hits["name"] += 1
        else:
            nodes.append(node if inputs == node.inputs else replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(nodes), outputs=tuple(env.get(v, v) for v in graph.outputs))


def _with_operands(graph: Graph, scopes: dict[Node, Scope | None]) -> dict[Node, Scope | None]:
    """Move with the nodes that have left a region those which they alone read.

    These are never computed again, and may be part of the kernel that computes what is saved.
    """
    readers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers.setdefault(value, []).append(node)
    returned = set(graph.outputs)
    found = dict(scopes)
    for node in reversed(graph.nodes):
        reading = [reader for v in node.outputs for reader in readers.get(v, ())]
        targets = {found[reader] for reader in reading}
        left = all(found[reader] is not reader.origin.scope for reader in reading)
        alike = {(r.origin.scope, r.origin.order) for r in reading}
        own = {(node.origin.scope, node.origin.order)}
        if left and alike == own and len(targets) == 1 and returned.isdisjoint(node.outputs):
            found[node] = targets.pop()
    return found


def _in_scope(node: Node, scope: Scope | None, hits: Hits) -> Node:
    node = with_regions(node, lambda region: _without_scopes(region, hits))
    if node.origin.scope is scope:
        return node
    return replace(node, origin=replace(node.origin, scope=scope))


def _without_scopes(graph: Graph, hits: Hits) -> Graph:
    plain = _without_names(graph, hits)
    nodes = tuple(_in_scope(node, None, hits) for node in plain.nodes)
    return replace(plain, nodes=nodes) if nodes != graph.nodes else graph
