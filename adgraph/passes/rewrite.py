"""Rewriting by rules: the walk that the algebraic passes share.

A `Rule` looks at one application of an op (a `Site`) and at what made its operands, and returns
tracers that compute the same, or None. `rewrite` walks the nodes of a graph, replacing where a rule
applies, until none does. Begin with `Rule` and `rewrite`.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.dims import UndecidedError
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.prune import prune
from adgraph.ir.show import Names, show_node
from adgraph.ir.types import ArrayType
from adgraph.tracing.frames import building, current
from adgraph.tracing.tracer import as_tracer, read, tracer

Hits = Counter[str]
Key = Op | Kind | np.ufunc
Reader = tuple[Op | None, int]  # an op and the position of its operand; None is an output

ROUNDS = 8  # walks over a graph
TURNS = 16  # rules applied in a row to one node
WINDOW = 3


@dataclass(frozen=True)
class Rule:
    """A rewrite of nodes of one of the ops (or ufuncs, or kinds) in `on`.

    `apply(site)` returns what replaces the site's result, or None. `accepted` says how the values
    may differ from the original's, if they are not bitwise the same.
    """

    name: str
    on: tuple[Key, ...]
    apply: Callable[[Site], Any]
    accepted: str = ""


@dataclass(frozen=True)
class Site:
    """One application of an op: its operands are tracers of the graph being rebuilt.

    `readers` are those of its result in the graph it comes from; none are known for a node that a
    rule has just made.
    """

    op: Op
    args: tuple[Any, ...]
    attrs: Mapping[str, Any]
    type: ArrayType
    readers: tuple[Reader, ...]
    book: Mapping[Value, tuple[Reader, ...]]
    inside: bool = False  # whether the program is one inside a node

    def made(self, x: Any, *keys: Key) -> Site | None:
        """Return the site that computes `x` if its op is one of `keys`."""
        value = _value(x)
        node = current().producer(value)
        if node is None or len(node.outputs) > 1 or not _is(node.op, keys):
            return None
        args = tuple(map(tracer, node.inputs))
        readers = self.book.get(value, ())
        return Site(node.op, args, node.attrs, value.type, readers, self.book, self.inside)

    def fitted(self, x: Any) -> Any:
        """Broadcast `x` to the site's shape; None if it does not have the site's dtype."""
        if x.dtype != self.type.dtype:
            return None
        return x if x.shape == self.type.shape else np.broadcast_to(x, self.type.shape)

    def filled(self, value: Any) -> Any:
        """Return the site's type filled with one number."""
        return np.broadcast_to(self.number(value), self.type.shape)

    def number(self, value: Any) -> Any:
        """Return a number as a constant of the site's dtype."""
        return as_tracer(np.asarray(value, self.type.dtype))


def _is(op: Op, keys: tuple[Key, ...]) -> bool:
    return op in keys or op.kind in keys or (op.numpy is not None and op.numpy in keys)


def _value(x: Any) -> Value:
    """Read a tracer; most have no path of views to follow."""
    return read(x) if x.path else x.cell.value


def same(a: Any, b: Any) -> bool:
    """Tell whether two tracers are one value."""
    return _value(a) is _value(b)


def literal(x: Any) -> Any:
    """Return the number that every element of `x` is known to be, or None."""
    node = current().producer(_value(x))
    while node is not None and node.op.kind is Kind.VIEW and not empty(node.output.type):
        node = current().producer(node.inputs[0])
    if node is None or node.op.kind is not Kind.CONSTANT:
        return None
    return node.attrs["value"].fill


def empty(type: ArrayType) -> bool:
    """Tell whether a type is known to have no elements; what it holds is then nobody's business."""
    return not type.ragged and type.size == 0


def equals(x: Any, number: float) -> bool:
    """Tell whether every element of `x` is known to equal a number."""
    known = literal(x)
    return known is not None and bool(known == number)


# --- the walk ------------------------------------------------------------------------------------


class Table:
    """Rules found by the op they look at, in the order of the table."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._found: dict[Op, tuple[Rule, ...]] = {}
        self._settled: weakref.ref[Graph] | None = None

    def of(self, op: Op) -> tuple[Rule, ...]:
        """Return the rules for an op."""
        if op not in self._found:
            self._found[op] = tuple(rule for rule in self.rules if _is(op, rule.on))
        return self._found[op]

    def concerns(self, graph: Graph) -> bool:
        """Tell whether a graph has a node that a rule looks at."""
        return any(self.of(n.op) or any(map(self.concerns, n.regions())) for n in graph.nodes)

    def settle(self, graph: Graph) -> None:
        """Remember that no rule applies to a graph, so that the next pass need not look."""
        self._settled = weakref.ref(graph)

    def settled(self, graph: Graph) -> bool:
        """Tell whether this is the graph last found to be settled."""
        return self._settled is not None and self._settled() is graph


def rewrite(graph: Graph, table: Table, hits: Hits | None = None, *, inside: bool = False) -> Graph:
    """Apply rules until none applies, at most `ROUNDS` times over the graph; count the hits.

    `inside` says that the graph is a program inside a node.
    """
    hits = Counter() if hits is None else hits
    graph = prune(graph)
    for _ in range(ROUNDS):
        if table.settled(graph) or not table.concerns(graph):
            break
        walk = _Walk(graph, table, hits, inside)
        rebuilt = walk.run()
        if not walk.changed:
            table.settle(graph)
            break
        graph = prune(rebuilt)
    return graph


class _Walk:
    """One walk over the nodes of a graph."""

    def __init__(self, graph: Graph, table: Table, hits: Hits, inside: bool) -> None:
        self._inside = inside
        self._graph = graph
        self._table = table
        self._hits = hits
        self._readers = readers(graph)
        self._book: dict[Value, tuple[Reader, ...]] = {}
        self.changed = False

    def run(self) -> Graph:
        graph = self._graph
        with building() as builder:
            env: dict[Value, Value] = {}
            for value in graph.inputs:
                self._enter(env, value, builder.input(value.type, value.name))
            for node in graph.nodes:
                builder.origin = node.origin
                operands = tuple([env[v] for v in node.inputs])
                try:
                    results = self._node(builder, node, operands)
                except Exception as error:
                    note(error, graph, node)
                    raise
                for old, new in zip(node.outputs, results, strict=True):
                    self._enter(env, old, new)
            return builder.build([env[v] for v in graph.outputs], graph.name)

    def _enter(self, env: dict[Value, Value], old: Value, new: Value) -> None:
        env[old] = new
        known, more = self._book.get(new), self._readers.get(old, ())
        self._book[new] = known + more if known else more

    def _node(self, builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        node = with_regions(node, self._region)
        rules = self._table.of(node.op)
        if rules and len(node.outputs) == 1:
            args = tuple(map(tracer, operands))
            readers = self._readers.get(node.output, ())
            type, book = node.output.type, self._book
            site = Site(node.op, args, node.attrs, type, readers, book, self._inside)
            replacement = self._settle(builder, site)
            if replacement is not None:
                return (replacement,)
        types = tuple(v.type for v in node.outputs)
        return builder.emit(node.op, operands, node.attrs, types=types)

    def _region(self, region: Graph) -> Graph:
        result = rewrite(region, self._table, self._hits, inside=True)
        self.changed = self.changed or result is not region
        return result

    def _settle(self, builder: Builder, site: Site) -> Value | None:
        """Apply rules to a site, and to what replaces it, until none applies."""
        value = None
        for _ in range(TURNS):
            new = self._apply(site)
            if new is None or new is value:
                return value
            value = new
            made = site.made(tracer(value), *Kind)
            if made is None or value in self._book:
                return value
            site = replace(made, readers=site.readers)
        return value

    def _apply(self, site: Site) -> Value | None:
        for rule in self._table.of(site.op):
            result = _result(rule, site)
            if result is not None and not _repeats(result, site):
                value = read(result)
                if value.type != site.type:
                    raise GraphError(f"the rule {rule.name!r} turned {site.type} into {value.type}")
                self._hits[rule.name] += 1
                self.changed = True
                return value
        return None


def _result(rule: Rule, site: Site) -> Any:
    """Apply a rule; one that asks what loop indices leave open does not apply."""
    try:
        return rule.apply(site)
    except UndecidedError:
        return None


def _repeats(result: Any, site: Site) -> bool:
    """Tell whether a replacement is the application it would replace."""
    node = current().producer(read(result))
    return (
        node is not None
        and node.op is site.op
        and node.inputs == tuple(map(read, site.args))
        and node.attrs == site.attrs
    )


def readers(graph: Graph) -> dict[Value, tuple[Reader, ...]]:
    """Map every value to the ops that read it, with the positions of their operands."""
    found: dict[Value, list[Reader]] = {}
    for node in graph.nodes:
        for i, value in enumerate(node.inputs):
            found.setdefault(value, []).append((node.op, i))
    for i, value in enumerate(graph.outputs):
        found.setdefault(value, []).append((None, i))
    return {value: tuple(listed) for value, listed in found.items()}


def with_regions(node: Node, change: Callable[[Graph], Graph]) -> Node:
    """Return the node with its programs changed."""
    if node.op.kind is not Kind.REGION:
        return node
    regions = {k: change(v) for k, v in node.attrs.items() if isinstance(v, Graph)}
    if all(node.attrs[k] is v for k, v in regions.items()):
        return node
    return replace(node, attrs={**node.attrs, **regions})


def count_nodes(graph: Graph) -> int:
    """Count the nodes of a graph and of the programs inside it."""
    regions = [r for n in graph.nodes if n.op.kind is Kind.REGION for r in n.regions()]
    return len(graph.nodes) + sum(map(count_nodes, regions))


def note(error: Exception, graph: Graph, node: Node) -> None:
    """Add a node and its neighbours to an exception."""
    error.add_note(f"in @{graph.name}, at the node marked by >:\n{window(graph, node)}")


def window(graph: Graph, node: Node) -> str:
    """Print a node and its neighbours."""
    at = graph.nodes.index(node)
    names = Names(canonical=False)
    for value in graph.inputs:
        names.of(value)
    lines = [(near, show_node(near, names)) for near in graph.nodes[: at + WINDOW + 1]]
    shown = lines[max(0, at - WINDOW) :]
    return "\n".join(f"  {'>' if near is node else ' '} {text}" for near, text in shown)
