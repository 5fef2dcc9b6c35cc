"""Simplify what regions take and give: constants, carried variables, operands, results.

A variable that no trip changes becomes a constant, equal ones become one, literals move into the
programs that use them, loops of one trip and branches that are known are written out. What is
unused then goes with dead code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import carries, own_operands, prune
from adgraph.ir.substitute import substitute_all
from adgraph.passes.cleanup import cse
from adgraph.passes.rewrite import Hits, with_regions

Env = dict[Value, Value]


def interface(graph: Graph, hits: Hits | None = None) -> Graph:
    """Simplify the operands and results of all regions, inner ones first."""
    if all(node.op.kind is not Kind.REGION for node in graph.nodes):
        return graph
    hits = Counter() if hits is None else hits
    walk = _Walk(hits)
    for node in graph.nodes:
        walk.add(node)
    outputs = tuple(walk.env.get(v, v) for v in graph.outputs)
    if tuple(walk.nodes) == graph.nodes and outputs == graph.outputs:
        return graph
    return prune(replace(graph, nodes=tuple(walk.nodes), outputs=outputs))


class _Walk:
    """The nodes of a graph being rewritten, and what stands for its old values."""

    def __init__(self, hits: Hits) -> None:
        self.hits = hits
        self.env: Env = {}
        self.nodes: list[Node] = []
        self._literals: dict[Value, tuple[Node, ...]] = {}

    def add(self, node: Node) -> None:
        """Append a node, or what takes its place."""
        node = _reading(node, self.env)
        if node.op.kind is not Kind.REGION:
            self._append(node)
            return
        node = with_regions(node, lambda region: interface(region, self.hits))
        program = self._written_out(node)
        if program is not None:
            self._splice(*program, node.outputs)
            return
        node = self._with_literals(node)
        node = self._without_duplicates(node)
        self.nodes.append(self._loop(node) if carries(node) else self._branches(node))

    def _append(self, node: Node) -> None:
        self.nodes.append(node)
        if node.op.kind is Kind.CONSTANT and not node.output.type.ndim:
            self._literals[node.output] = (node,)
        elif node.op.kind is Kind.VIEW and node.inputs[0] in self._literals:
            self._literals[node.output] = (*self._literals[node.inputs[0]], node)

    # --- programs that run exactly once, or never -------------------------------------------------

    def _written_out(self, node: Node) -> tuple[Graph, tuple[Value, ...]] | None:
        """Return the program a region is known to run once, and its operands."""
        trips = node.attrs.get("trips")
        if trips == 1:
            self.hits["loop of one trip"] += 1
            values = {node.attrs["symbol"]: node.attrs["start"]}
            return substitute_all(node.attrs["body"], values), node.inputs
        if isinstance(trips, int) and trips < 1:
            self.hits["loop of no trip"] += 1
            body = node.attrs["body"]
            return replace(
                body, nodes=(), outputs=body.inputs[node.attrs["constants"] :]
            ), node.inputs
        known = self._literals.get(node.inputs[0]) if "orelse" in node.attrs else None
        if known is None:
            return None
        self.hits["branch known"] += 1
        taken = "then" if known[0].attrs["value"].array else "orelse"
        return node.attrs[taken], node.inputs[1:]

    def _splice(self, program: Graph, operands: Sequence[Value], results: Sequence[Value]) -> None:
        local: Env = dict(zip(program.inputs, operands, strict=True))
        for inner in program.nodes:
            fresh = tuple(Value(v.type, v.name) for v in inner.outputs)
            local.update(zip(inner.outputs, fresh, strict=True))
            self._append(replace(_reading(inner, local), outputs=fresh))
        self.env.update(zip(results, (local[v] for v in program.outputs), strict=True))

    # --- operands ---------------------------------------------------------------------------------

    def _with_literals(self, node: Node) -> Node:
        """Write constants that are one number into the programs."""
        own = own_operands(node)
        last = own + node.attrs["constants"] if carries(node) else len(node.inputs)
        known = {
            i - own: self._literals[node.inputs[i]]
            for i in range(own, last)
            if node.inputs[i] in self._literals
        }

        def sunk(region: Graph) -> Graph:
            used = {v for n in region.nodes for v in n.inputs}.union(region.outputs)
            wanted = {i: chain for i, chain in known.items() if region.inputs[i] in used}
            if not wanted:
                return region
            self.hits["literal into program"] += len(wanted)
            first: list[Node] = []
            env: Env = {}
            for i, chain in wanted.items():
                copies: Env = {}
                for made in chain:
                    copies[made.output] = Value(made.output.type, made.output.name)
                    first.append(replace(_reading(made, copies), outputs=(copies[made.output],)))
                env[region.inputs[i]] = first[-1].output
            nodes = (*first, *(_reading(n, env) for n in region.nodes))
            return replace(
                region, nodes=nodes, outputs=tuple(env.get(v, v) for v in region.outputs)
            )

        return with_regions(node, sunk) if known else node

    def _without_duplicates(self, node: Node) -> Node:
        """Let programs read an operand that is given twice at one place."""
        own = own_operands(node)
        last = own + node.attrs["constants"] if carries(node) else len(node.inputs)
        first: dict[Value, int] = {}
        same = {
            i - own: first[v] - own
            for i, v in enumerate(node.inputs[:last])
            if i >= own and first.setdefault(v, i) != i and first[v] >= own
        }

        def merged(region: Graph) -> Graph:
            env = {region.inputs[i]: region.inputs[j] for i, j in same.items()}
            return _substituted(region, env)

        return with_regions(node, merged) if same else node

    # --- loops ------------------------------------------------------------------------------------

    def _loop(self, node: Node) -> Node:
        node = self._with_fixed(node)
        return self._with_merged(node)

    def _with_fixed(self, node: Node) -> Node:
        """Make the variables that no trip changes constants."""
        body, first = node.attrs["body"], node.attrs["constants"]
        carried = range(len(body.outputs))
        fixed = [k for k in carried if body.outputs[k] is body.inputs[first + k]]
        if not fixed:
            return node
        self.hits["carry unchanged"] += len(fixed)
        own = own_operands(node)
        self.env.update((node.outputs[k], node.inputs[own + first + k]) for k in fixed)
        kept = [k for k in carried if k not in fixed]
        order = [*range(first), *(first + k for k in fixed), *(first + k for k in kept)]
        changed = with_regions(node, lambda region: _reordered(region, order))
        attrs = {**changed.attrs, "constants": first + len(fixed)}
        attrs["body"] = replace(attrs["body"], outputs=tuple(body.outputs[k] for k in kept))
        inputs = (*node.inputs[:own], *(node.inputs[own + i] for i in order))
        return replace(
            node, inputs=inputs, outputs=tuple(node.outputs[k] for k in kept), attrs=attrs
        )

    def _with_merged(self, node: Node) -> Node:
        """Let variables that start equal and change equally be read from one of them."""
        own, first = own_operands(node), node.attrs["constants"]
        groups: dict[Value, list[int]] = {}
        for k, value in enumerate(node.inputs[own + first :]):
            groups.setdefault(value, []).append(k)
        for group in groups.values():
            if len(group) > 1 and _change_equally(node.attrs["body"], first, group):
                self.hits["carries merged"] += len(group) - 1
                self.env.update((node.outputs[k], node.outputs[group[0]]) for k in group[1:])
                node = with_regions(node, partial(_reading_first, first=first, group=group))
        return node

    # --- branches ---------------------------------------------------------------------------------

    def _branches(self, node: Node) -> Node:
        """Read outside what both branches return unchanged, and once what they return twice."""
        own = own_operands(node)
        regions = tuple(node.regions())
        at = [{v: i for i, v in enumerate(region.inputs)} for region in regions]
        known: dict[tuple[Value, ...], Value] = {}
        for k, values in enumerate(zip(*(region.outputs for region in regions), strict=True)):
            places = {inputs.get(v) for inputs, v in zip(at, values, strict=True)}
            place = places.pop() if len(places) == 1 else None
            found = node.inputs[own + place] if place is not None else known.get(values)
            if found is not None:
                self.hits["result known"] += 1
                self.env[node.outputs[k]] = found
            known.setdefault(values, node.outputs[k])
        return node


def _reading(node: Node, env: Mapping[Value, Value]) -> Node:
    """Return the node with other operands."""
    inputs = tuple(env.get(v, v) for v in node.inputs)
    return node if inputs == node.inputs else replace(node, inputs=inputs)


def _substituted(graph: Graph, env: Mapping[Value, Value]) -> Graph:
    nodes = tuple(_reading(node, env) for node in graph.nodes)
    outputs = tuple(env.get(v, v) for v in graph.outputs)
    if nodes == graph.nodes and outputs == graph.outputs:
        return graph
    return replace(graph, nodes=nodes, outputs=outputs)


def _reordered(graph: Graph, order: Iterable[int]) -> Graph:
    return replace(graph, inputs=tuple(graph.inputs[i] for i in order))


def _reading_first(region: Graph, first: int, group: Sequence[int]) -> Graph:
    """Return the program that reads the first of a group of carried variables for all of them."""
    values = [region.inputs[first + k] for k in group]
    return _substituted(region, dict.fromkeys(values[1:], values[0]))


def _change_equally(body: Graph, first: int, group: Sequence[int]) -> bool:
    merged = cse(_reading_first(body, first, group))
    return len({merged.outputs[k] for k in group}) == 1
