"""Which nodes checkpoints compute again, by the policies of the regions that they stand in.

A node of nested regions is given up by the outermost of them unless its policy saves the node, then
by the next one, and so on: `settled(nodes)` maps every node to the innermost region that gives it
up. What a policy saves belongs to the program around the region. A policy sees the op, the types of
its operands and the names of its results, which the marks of the op `name` give.
"""

from __future__ import annotations

from collections.abc import Iterable

from adgraph.ir.graph import Node, Scope, Value
from adgraph.ir.op import Kind
from adgraph.ops.constant import named


def settled(nodes: Iterable[Node]) -> dict[Node, Scope | None]:
    """Map nodes, those of one program in its order, to the regions that compute them again."""
    listed = tuple(nodes)
    names = _names(listed)
    return {node: _region(node, _own(node, names)) for node in listed}


def saved_by_name(nodes: Iterable[Node]) -> set[Node]:
    """Return the nodes that policies save for the names of their results alone."""
    listed = tuple(nodes)
    names = _names(listed)
    owned = {node: _own(node, names) for node in listed}
    return {n for n, own in owned.items() if own and _region(n, own) != _region(n, frozenset())}


def _region(node: Node, names: frozenset[str]) -> Scope | None:
    found: Scope | None = None
    if node.origin.scope is not None:
        for scope in node.origin.scope.around():
            if scope.policy(node.op, node.types, names):
                break
            found = scope
    return found


def _own(node: Node, names: dict[Value, set[str]]) -> frozenset[str]:
    return frozenset[str]().union(*(names.get(v, ()) for v in node.outputs))


def _names(nodes: Iterable[Node]) -> dict[Value, set[str]]:
    """Map values to their names: that of a view is one of the array which it shows."""
    shown: dict[Value, Value] = {}
    names: dict[Value, set[str]] = {}
    for node in nodes:
        if node.op is named or node.op.kind is Kind.VIEW:
            root = shown.get(node.inputs[0], node.inputs[0])
            shown[node.output] = root
            if node.op is named:
                names.setdefault(root, set()).add(node.attrs["tag"])
    return names


def within(scope: Scope | None, around: Scope | None) -> bool:
    """Tell whether a region stands inside another one; None is the whole program."""
    if scope is None or scope == around:
        return False
    return around is None or around in scope.around()
