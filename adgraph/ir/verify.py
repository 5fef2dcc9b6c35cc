"""The type-checker of graphs: scoping, single definition, declared types against each op's rule.

`verify` returns the graph unchanged, or raises a `GraphError` that shows the user's line and the
nodes around the fault.
"""

from __future__ import annotations

from typing import Any

from adgraph.errors import AdgraphError, GraphError
from adgraph.ir.dims import Symbol
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.show import Names, show_node
from adgraph.ir.substitute import symbols_of

WINDOW = 3


def verify(graph: Graph, symbols: frozenset[Symbol] = frozenset()) -> Graph:
    """Check a graph and the programs inside it. `symbols` are the indices of the loops around."""
    defined: set[Value] = set()
    for value in graph.inputs:
        _define(graph, value, defined, None)
    for node in graph.nodes:
        _check_node(graph, node, defined, symbols)
    for value in graph.outputs:
        if value not in defined:
            raise GraphError(f"@{graph.name} returns a value that it does not define: {value}")
    return graph


def _check_node(graph: Graph, node: Node, defined: set[Value], symbols: frozenset[Symbol]) -> None:
    for value in node.inputs:
        if value not in defined:
            raise _fault(graph, node, f"reads {value} before it is defined")
    bound = {a for a in node.attrs.values() if isinstance(a, Symbol)}
    for symbol in symbols_of(_plain(node)) - symbols:
        raise _fault(graph, node, f"uses {symbol}, the index of no loop around it")
    for region in node.regions():
        verify(region, symbols | bound)
    try:
        types = node.op.result_types(node.types, node.attrs)
    except AdgraphError as error:
        raise _fault(graph, node, f"does not accept its operands: {error}") from error
    declared = tuple(v.type for v in node.outputs)
    if types != declared:
        listed = [", ".join(map(str, t)) for t in (declared, types)]
        raise _fault(graph, node, f"declares {listed[0]}, its rule says {listed[1]}")
    for value in node.outputs:
        _define(graph, value, defined, node)


def _plain(node: Node) -> tuple[Any, ...]:
    """The attributes and types of a node, without the programs in it."""
    attrs = (a for a in node.attrs.values() if not isinstance(a, Graph))
    return (*attrs, *(v.type for v in node.outputs))


def _define(graph: Graph, value: Value, defined: set[Value], node: Node | None) -> None:
    if value in defined:
        if node is None:
            raise GraphError(f"@{graph.name} lists the input {value} twice")
        raise _fault(graph, node, f"defines {value} a second time")
    defined.add(value)


def _fault(graph: Graph, node: Node, what: str) -> GraphError:
    at = graph.nodes.index(node)
    names = Names(canonical=False)
    for value in graph.inputs:
        names.of(value)
    lines = [f"{node.op.name} in @{graph.name} {what}"]
    location = node.origin.location
    if location is not None:
        lines.append(f"  from {location.file}:{location.line}: {location.source()}")
    for i, near in enumerate(graph.nodes[: at + WINDOW + 1]):
        text = show_node(near, names)
        if i >= at - WINDOW:
            lines.append(f"  {'>' if near is node else ' '} {text}")
    return GraphError("\n".join(lines))
