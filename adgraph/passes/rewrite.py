"""Rewriting by rules: the walk that the algebraic passes share.

`rewrite` walks the nodes of a graph, replacing where a rule of a `Table` applies, until none does;
`adgraph.passes.rules` says what a rule is. Begin with `Table` and `rewrite`.
"""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.dims import UndecidedError
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.prune import prune
from adgraph.ir.show import Names, show_node
from adgraph.passes.rules import Producer, Reader, Rule, Site, Surroundings, is_one_of, site_of
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import read, tracer

Hits = Counter[str]

ROUNDS = 8  # walks over a graph
TURNS = 16  # rules applied in a row to one node
WINDOW = 3


class _Group:
    """Rules that are used together, and the nodes that none of them changes.

    A rule sees a node and what its operands are computed from, all of which the node holds: what
    was found once stays true. Programs inside nodes have a memory of their own.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._of: dict[Op, tuple[Rule, ...]] = {}
        self._found: dict[tuple[Op, frozenset[Op], bool], tuple[Rule, ...]] = {}
        self._outside: weakref.WeakSet[Node] = weakref.WeakSet()
        self._inside: weakref.WeakSet[Node] = weakref.WeakSet()

    def of(self, op: Op) -> tuple[Rule, ...]:
        """Return the rules for an op."""
        if op not in self._of:
            self._of[op] = tuple(rule for rule in self.rules if is_one_of(op, rule.on))
        return self._of[op]

    def applicable(self, op: Op, makers: frozenset[Op], scalar: bool) -> tuple[Rule, ...]:
        """Return the rules for an op, scalar or not, whose operands these ops have made."""
        key = op, makers, scalar
        if key not in self._found:
            self._found[key] = tuple(
                rule
                for rule in self.of(op)
                if not (rule.arrays and scalar)
                and (not rule.behind or any(is_one_of(maker, rule.behind) for maker in makers))
            )
        return self._found[key]

    def settled(self, inside: bool) -> weakref.WeakSet[Node]:
        """Return the nodes that no rule changes, of programs or of those inside nodes."""
        return self._inside if inside else self._outside


_groups: dict[tuple[Rule, ...], _Group] = {}


class Table:
    """Groups of rules, in order; each rule is found by the op it looks at.

    What is found out about a group of rules holds in every table that has it.
    """

    def __init__(self, *groups: tuple[Rule, ...]) -> None:
        self.rules = tuple(rule for group in groups for rule in group)
        self.groups = tuple(_groups.setdefault(group, _Group(group)) for group in groups)
        self._concerned: dict[Op, tuple[_Group, ...]] = {}
        self._caring: dict[Op, bool] = {}
        self._final: tuple[weakref.ref[Graph], bool] | None = None

    def of(self, op: Op) -> tuple[_Group, ...]:
        """Return the groups with rules for an op."""
        if op not in self._concerned:
            self._concerned[op] = tuple(group for group in self.groups if group.of(op))
        return self._concerned[op]

    def makers(self, op: Op, values: Iterable[Value], producer: Producer) -> frozenset[Op]:
        """Return which ops made the operands of an op, if a rule for it cares."""
        if op not in self._caring:
            self._caring[op] = any(rule.behind for group in self.of(op) for rule in group.of(op))
        if not self._caring[op]:
            return frozenset()
        return frozenset([node.op for v in values if (node := producer(v)) is not None])

    def open(self, node: Node, inside: bool, producer: Producer) -> tuple[_Group, ...]:
        """Return the groups of which a rule may change a node, and note the others."""
        open: list[_Group] = []
        for group in self.of(node.op):
            settled = group.settled(inside)
            if node in settled:
                continue
            makers = self.makers(node.op, node.inputs, producer)
            if group.applicable(node.op, makers, not node.output.type.shape):
                open.append(group)
            else:
                settled.add(node)
        return tuple(open)

    def concerns(self, graph: Graph, inside: bool) -> bool:
        """Tell whether a graph has a node that a rule may change."""
        if self._final is not None and self._final[0]() is graph and self._final[1] is inside:
            return False
        producers: dict[Value, Node] = {}

        def producer(value: Value) -> Node | None:
            if not producers:
                producers.update(graph.producers())
            return producers.get(value)

        for node in graph.nodes:
            if self.of(node.op) and self.open(node, inside, producer):
                return True
            if node.op.kind is Kind.REGION and any(self.concerns(r, True) for r in node.regions()):
                return True
        return False

    def finish(self, graph: Graph, inside: bool) -> None:
        """Remember that no rule changes a graph, so that the next pass need not look."""
        self._final = weakref.ref(graph), inside


def rewrite(graph: Graph, table: Table, hits: Hits | None = None, *, inside: bool = False) -> Graph:
    """Apply rules until none applies, at most `ROUNDS` times over the graph; count the hits.

    `inside` says that the graph is a program inside a node. Nodes that no rule concerns stay
    themselves.
    """
    hits = Counter() if hits is None else hits
    graph = prune(graph)
    for _ in range(ROUNDS):
        if not table.concerns(graph, inside):
            break
        walk = _Walk(graph, table, hits, inside)
        if walk.finds_nothing():
            table.finish(graph, inside)
            break
        rebuilt = walk.run()
        if not walk.changed:
            table.finish(graph, inside)
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
        self._around: Surroundings
        self.changed = False

    def finds_nothing(self) -> bool:
        """Tell whether no rule applies to the graph as it is: then it need not be rebuilt."""
        with building() as builder:
            builder.adopt_all(self._graph)
            self._around = Surroundings(builder, self._inside, self._readers)
            return not any(self._applies(builder, node) for node in self._graph.nodes)

    def _applies(self, builder: Builder, node: Node) -> bool:
        """Tell whether a rule applies to a node, or may to one in a program inside it."""
        if node.op.kind is Kind.REGION:
            return any(self._table.concerns(region, True) for region in node.regions())
        if len(node.outputs) > 1 or not self._table.of(node.op):
            return False
        groups = self._table.open(node, self._inside, builder.producer)
        if not groups:
            return False
        makers = self._table.makers(node.op, node.inputs, builder.producer)
        site = site_of(node, self._readers.get(node.output, ()), self._around)
        untouched: list[_Group] = []
        try:
            if self._first(site, makers, groups, untouched) is not None:
                return True
        except Exception as error:
            note(error, self._graph, node)
            raise
        for group in untouched:
            group.settled(self._inside).add(node)
        return False

    def run(self) -> Graph:
        graph = self._graph
        with building() as builder:
            self._around = Surroundings(builder, self._inside, {})
            env: dict[Value, Value] = {}
            for value in graph.inputs:
                self._enter(env, value, builder.adopt(value))
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
        self._around.enter(new, self._readers.get(old, ()))

    def _node(self, builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        node = with_regions(node, self._region)
        groups = () if len(node.outputs) > 1 else self._table.of(node.op)
        if groups and operands == node.inputs:
            groups = self._table.open(node, self._inside, builder.producer)
        if not groups:
            return builder.keep(node, operands)
        untouched: list[_Group] = []
        replacement = self._replaced(node, operands, groups, untouched)
        if replacement is not None:
            return (replacement,)
        (result,) = builder.keep(node, operands)
        kept = builder.producer(result)
        assert kept is not None
        for group in untouched:
            group.settled(self._inside).add(kept)
        return (result,)

    def _replaced(
        self,
        node: Node,
        operands: tuple[Value, ...],
        groups: tuple[_Group, ...],
        untouched: list[_Group],
    ) -> Value | None:
        """Return what rules make of a node with other operands, None if they leave it.

        Rules are about real numbers: complex ones become pairs of these before they are compiled.
        """
        makers = self._table.makers(node.op, operands, self._around.producer)
        scalar = not node.output.type.shape
        real = all(v.type.dtype.kind != "c" for v in (node.output, *operands))
        if not real or not any(group.applicable(node.op, makers, scalar) for group in groups):
            untouched += groups
            return None
        readers = self._readers.get(node.output, ())
        args = tuple(map(tracer, operands))
        site = Site(node.op, args, node.attrs, node.output.type, readers, self._around)
        value = self._apply(site, makers, groups, untouched)
        return None if value is None else self._settle(value, readers)

    def _region(self, region: Graph) -> Graph:
        result = rewrite(region, self._table, self._hits, inside=True)
        self.changed = self.changed or result is not region
        return result

    def _settle(self, value: Value, readers: tuple[Reader, ...]) -> Value:
        """Apply rules to what has replaced a site, until none applies."""
        for _ in range(TURNS - 1):
            made = self._around.producer(value)
            if made is None or len(made.outputs) > 1 or value in self._around:
                return value
            makers = self._table.makers(made.op, made.inputs, self._around.producer)
            site = site_of(made, readers, self._around)
            untouched: list[_Group] = []
            new = self._apply(site, makers, self._table.of(site.op), untouched)
            if new is None or new is value:
                for group in untouched:
                    group.settled(self._inside).add(made)
                return value
            value = new
        return value

    def _apply(
        self,
        site: Site,
        makers: frozenset[Op],
        groups: tuple[_Group, ...],
        untouched: list[_Group],
    ) -> Value | None:
        """Apply the first rule that changes a site, and count it."""
        found = self._first(site, makers, groups, untouched)
        return None if found is None else self._counted(*found, site)

    def _first(
        self,
        site: Site,
        makers: frozenset[Op],
        groups: tuple[_Group, ...],
        untouched: list[_Group],
    ) -> tuple[Rule, Value] | None:
        """Return the first rule that changes a site, whose operands `makers` have made.

        Of groups without one, those are `untouched` whose rules have not asked about readers.
        """
        for group in groups:
            self._around.asked = False
            for rule in group.applicable(site.op, makers, not site.type.shape):
                result = _result(rule, site)
                if result is not None and not _repeats(result, site):
                    return rule, read(result)
            if not self._around.asked:
                untouched.append(group)
        return None

    def _counted(self, rule: Rule, value: Value, site: Site) -> Value:
        if value.type != site.type:
            raise GraphError(f"the rule {rule.name!r} turned {site.type} into {value.type}")
        self._hits[rule.name] += 1
        self.changed = True
        return value


def _result(rule: Rule, site: Site) -> Any:
    """Apply a rule; one that asks what loop indices leave open does not apply."""
    try:
        return rule.apply(site)
    except UndecidedError:
        return None


def _repeats(result: Any, site: Site) -> bool:
    """Tell whether a replacement is the application it would replace."""
    node = site.around.producer(read(result))
    return (
        node is not None
        and node.op is site.op
        and node.inputs == tuple(map(read, site.args))
        and node.attrs == site.attrs
    )


def readers(graph: Graph) -> dict[Value, tuple[Reader, ...]]:
    """Map every value to the ops that read it, with the positions of their operands."""
    found: defaultdict[Value, list[Reader]] = defaultdict(list)
    for node in graph.nodes:
        op = node.op
        for i, value in enumerate(node.inputs):
            found[value].append((op, i))
    for i, value in enumerate(graph.outputs):
        found[value].append((None, i))
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
