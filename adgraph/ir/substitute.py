"""Loop indices in attributes, types and programs: find them, replace them, give them numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adgraph.ir.dims import Affine, Dim, Symbol, substitute, value_of
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import ArrayType, Slice


def symbols_of(x: Any) -> set[Symbol]:
    """Return the symbols in a dim, a type, an attribute, a node or a graph.

    Those bound by loops inside a graph count as well.
    """
    return set(_symbols(x))


def _symbols(x: Any) -> Iterator[Symbol]:
    match x:
        case Affine():
            yield from (symbol for symbol, _ in x.terms)
        case Slice():
            yield from _symbols((x.start, x.size))
        case ArrayType():
            yield from _symbols(x.shape)
        case tuple():
            for item in x:
                yield from _symbols(item)
        case Node():
            yield from _symbols((*x.attrs.values(), *(v.type for v in x.outputs)))
        case Graph():
            yield from _symbols((*(v.type for v in x.inputs), *x.nodes))


def substitute_all(x: Any, values: Mapping[Symbol, Dim]) -> Any:
    """Replace symbols in a dim, a type, an attribute or a graph (whose values are then new)."""
    match x:
        case Affine():
            return substitute(x, values)
        case Slice():
            return Slice(substitute(x.start, values), substitute(x.size, values), x.step)
        case ArrayType():
            return x.with_shape(tuple(substitute(n, values) for n in x.shape)) if x.ragged else x
        case Symbol():
            return _renamed(x, values)
        case tuple():
            return tuple(substitute_all(item, values) for item in x)
        case Graph():
            return _substituted(x, values)
        case _:
            return x


def _renamed(symbol: Symbol, values: Mapping[Symbol, Dim]) -> Symbol:
    """The symbol that a loop binds in place of another one, where a symbol is renamed."""
    match values.get(symbol):
        case Affine(constant=0, terms=((other, 1),)):
            return other
        case _:
            return symbol


def _substituted(graph: Graph, values: Mapping[Symbol, Dim]) -> Graph:
    env = {v: Value(substitute_all(v.type, values), v.name) for v in graph.inputs}
    nodes = []
    for node in graph.nodes:
        attrs = {key: substitute_all(attr, values) for key, attr in node.attrs.items()}
        outputs = tuple(Value(substitute_all(v.type, values), v.name) for v in node.outputs)
        nodes.append(Node(node.op, tuple(env[v] for v in node.inputs), outputs, attrs, node.origin))
        env.update(zip(node.outputs, outputs, strict=True))
    inputs = tuple(env[v] for v in graph.inputs)
    return Graph(inputs, tuple(nodes), tuple(env[v] for v in graph.outputs), graph.name)


def resolve(attrs: Mapping[str, Any], symbols: Mapping[Symbol, int]) -> dict[str, Any]:
    """Return attributes with numbers in place of affine expressions.

    An extent below zero is that of a loop that does not run, and becomes zero.
    """
    return {key: _resolved(key, attr, symbols) for key, attr in attrs.items()}


def _resolved(key: str, attr: Any, symbols: Mapping[Symbol, int]) -> Any:
    match attr:
        case Affine():
            return value_of(attr, symbols)
        case Slice():
            size = max(value_of(attr.size, symbols), 0)
            return Slice(value_of(attr.start, symbols) if size else 0, size, attr.step)
        case tuple() if key == "shape":
            return tuple(max(value_of(n, symbols), 0) for n in attr)
        case tuple():
            return tuple(_resolved(key, item, symbols) for item in attr)
        case _:
            return attr
