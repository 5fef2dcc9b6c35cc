"""Build a graph node by node.

`Builder.emit` infers result types and returns an earlier node's results when the same op was
applied to the same operands: two equal expressions are one value from the start. A builder that
meets a value of an enclosing builder makes it an input of its own (`captures`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from adgraph.ir.graph import Graph, Node, Origin, Scope, Value
from adgraph.ir.op import Op, Types
from adgraph.ir.types import ArrayType

UNKNOWN = Origin()


class Builder:
    """A graph under construction."""

    def __init__(self, parent: Builder | None = None) -> None:
        self.parent = parent
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.captures: dict[Value, Value] = {}
        self.origin: Origin | None = None
        self.scope: Scope | None = parent.scope if parent else None
        self.scopes: Iterator[int] = parent.scopes if parent else itertools.count()
        self.unread: list[str] = parent.unread if parent else []  # functions without source
        self.order_matters = False  # whether a reshape was written: a view in C order only
        self.separate: list[tuple[Value, Value]] = []  # the first is written: no shared memory
        self.notes: list[str] = []  # what transforms decided, for `explain`
        self._producers: dict[Value, Node] = {}
        self._owned: set[Value] = set()
        self._emitted: dict[Any, tuple[Value, ...]] = {}

    def require_order(self) -> None:
        """Note, in this program and those around it, that arguments must be in C order."""
        self.order_matters = True
        if self.parent is not None:
            self.parent.require_order()

    def input(self, type: ArrayType, name: str | None = None) -> Value:
        """Add an input."""
        value = Value(type, name)
        self.inputs.append(value)
        self._owned.add(value)
        return value

    def adopt(self, value: Value) -> Value:
        """Make an input of another graph one of this."""
        self.inputs.append(value)
        self._owned.add(value)
        return value

    def adopt_all(self, graph: Graph) -> None:
        """Know the values of a graph and what computes them, without having its nodes."""
        self._producers = graph.producers()
        self._owned.update(graph.inputs, self._producers)

    def has(self, value: Value) -> bool:
        """Tell whether a value is one of this graph."""
        return value in self._owned

    def owns(self, value: Value) -> bool:
        """Tell whether this builder, or one around it, knows the value."""
        return value in self._owned or (self.parent is not None and self.parent.owns(value))

    def capture(self, value: Value) -> Value:
        """Return the value as seen in this graph, which may be a new input."""
        if value in self._owned:
            return value
        if value not in self.captures:
            self.captures[value] = Value(value.type, value.name)
            self._owned.add(self.captures[value])
        return self.captures[value]

    def emit(
        self,
        op: Op,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any],
        origin: Origin = UNKNOWN,
        *,
        types: Types | None = None,
    ) -> tuple[Value, ...]:
        """Append a node, or find the one that computes the same, and return its results.

        `types` are those of the results where the caller knows them; else they are inferred.
        """
        owned = self._owned
        operands = tuple([v if v in owned else self.capture(v) for v in inputs])
        key = (op, operands, attributes_key(attrs))
        known = self._emitted.get(key)
        if known is not None:
            return known
        if types is None:
            types = op.result_types(tuple([v.type for v in operands]), attrs)
        node = Node(op, operands, tuple(map(Value, types)), attrs, self.origin or origin)
        return self._append(node, key)

    def keep(self, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        """Append a node of another graph: itself where its operands are those it has.

        Where an earlier node computes the same, that takes its place.
        """
        key = (node.op, operands, attributes_key(node.attrs))
        known = self._emitted.get(key)
        if known is not None:
            return known
        if operands != node.inputs:
            outputs = tuple([Value(v.type) for v in node.outputs])
            node = Node(node.op, operands, outputs, node.attrs, self.origin or node.origin)
        return self._append(node, key)

    def _append(self, node: Node, key: Any) -> tuple[Value, ...]:
        self.nodes.append(node)
        self._emitted[key] = node.outputs
        for value in node.outputs:
            self._owned.add(value)
            self._producers[value] = node
        return node.outputs

    def producer(self, value: Value) -> Node | None:
        """Return the node of this graph that computes a value, if one does."""
        return self._producers.get(value)

    @contextmanager
    def at(self, origin: Origin) -> Iterator[None]:
        """Give the nodes emitted in the block this origin."""
        before, self.origin = self.origin, origin
        try:
            yield
        finally:
            self.origin = before

    def build(self, outputs: Sequence[Value], name: str = "main") -> Graph:
        """Close the graph. Captured values are its last inputs."""
        results = tuple(map(self.capture, outputs))
        inputs = (*self.inputs, *self.captures.values())
        return Graph(inputs, tuple(self.nodes), results, name)


def attributes_key(attrs: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return attributes in one order, to compare and to hash."""
    return tuple(sorted(attrs.items(), key=_name)) if attrs else ()


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def copy_node(builder: Builder, node: Node, env: dict[Value, Value]) -> None:
    """Emit a node of another graph, its operands and results translated by `env`."""
    before, builder.origin = builder.origin, node.origin
    try:
        operands = [env[v] for v in node.inputs]
        alike = all(new.type is v.type for new, v in zip(operands, node.inputs, strict=True))
        types = tuple([v.type for v in node.outputs]) if alike else None
        results = builder.emit(node.op, operands, node.attrs, types=types)
    finally:
        builder.origin = before
    env.update(zip(node.outputs, results, strict=True))


def inline(builder: Builder, graph: Graph, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Emit all of a graph into a builder, applied to `inputs`."""
    env = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        copy_node(builder, node, env)
    return tuple(env[v] for v in graph.outputs)
