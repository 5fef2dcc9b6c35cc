"""Which values a derivative passes through.

A value is varied if it depends differentiably on an active input, and useful if an output that is
differentiated depends differentiably on it. What a loop carries is varied or useful if it is so in
any trip: the sets are found by iteration. Griewank & Walther, Evaluating Derivatives, section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from adgraph.analysis.programs import branches, constants, is_loop, is_region, operands
from adgraph.ir.graph import Graph, Node, Value


def varied(graph: Graph, active: Iterable[Value]) -> set[Value]:
    """Return the values that depend differentiably on the active inputs."""
    found = {v for v in active if v.type.inexact}
    for node in graph.nodes:
        if is_region(node):
            found.update(_varied_results(node, found))
        elif node.op.differentiable and found.intersection(node.inputs):
            found.update(v for v in node.outputs if v.type.inexact)
    return found


def _varied_results(node: Node, found: set[Value]) -> set[Value]:
    if is_loop(node):
        flags = varied_carries(node, [v in found for v in operands(node)])
        return {v for v, flag in zip(node.outputs, flags[constants(node) :], strict=True) if flag}
    results: set[Value] = set()
    for branch in branches(node):
        inside = varied(branch, flagged(branch.inputs, [v in found for v in operands(node)]))
        results.update(flagged(node.outputs, [v in inside for v in branch.outputs]))
    return {v for v in results if v.type.inexact}


def varied_carries(node: Node, flags: list[bool]) -> list[bool]:
    """Return which inputs of a loop's body are varied, given which operands are."""
    body: Graph = node.attrs["body"]
    first = constants(node)
    while True:
        inside = varied(body, flagged(body.inputs, flags))
        carried = [a or v in inside for a, v in zip(flags[first:], body.outputs, strict=True)]
        more = [*flags[:first], *carried]
        if more == flags:
            return [f and v.type.inexact for f, v in zip(flags, body.inputs, strict=True)]
        flags = more


def flagged(values: Iterable[Value], flags: Iterable[bool]) -> list[Value]:
    """Return the values with a flag."""
    return [v for v, flag in zip(values, flags, strict=True) if flag]


def useful(graph: Graph, wanted: Iterable[Value]) -> set[Value]:
    """Return the values that the wanted outputs depend on differentiably."""
    found = {v for v in wanted if v.type.inexact}
    for node in reversed(graph.nodes):
        if found.isdisjoint(node.outputs):
            continue
        if is_region(node):
            found.update(_useful_operands(node, found))
        elif node.op.differentiable:
            found.update(v for v in node.inputs if v.type.inexact)
    return found


def _useful_operands(node: Node, found: set[Value]) -> set[Value]:
    flags = [v in found for v in node.outputs]
    if is_loop(node):
        body: Graph = node.attrs["body"]
        carried = useful_carries(node, flags)
        inside = useful(body, flagged(body.outputs, carried))
        fixed = [v in inside for v in body.inputs[: constants(node)]]
        return {v for v in flagged(operands(node), fixed + carried) if v.type.inexact}
    results: set[Value] = set()
    for branch in branches(node):
        inside = useful(branch, flagged(branch.outputs, flags))
        results.update(flagged(operands(node), [v in inside for v in branch.inputs]))
    return {v for v in results if v.type.inexact}


def useful_carries(node: Node, flags: list[bool]) -> list[bool]:
    """Return which outputs of a loop's body are useful, given which results are."""
    body: Graph = node.attrs["body"]
    carries = body.inputs[constants(node) :]
    while True:
        inside = useful(body, flagged(body.outputs, flags))
        more = [a or v in inside for a, v in zip(flags, carries, strict=True)]
        if more == flags:
            return [f and v.type.inexact for f, v in zip(flags, carries, strict=True)]
        flags = more
