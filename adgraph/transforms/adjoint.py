"""The adjoint of one program: a forward sweep over its nodes, then a reverse walk.

The sweep emits the program, regions together with what their adjoints need. The walk emits the
cotangents, from those the values were given at the start; a cotangent is summed to its value's
shape there, once. What a subscript has read is added in place to the cotangent of the array, where
there is one already. It serves `vjp` and, inside a loop or a branch, its adjoint. Griewank &
Walther, section 3.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from adgraph.analysis.activity import useful, varied
from adgraph.analysis.programs import nested
from adgraph.analysis.regions import WRITES
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ops.kinds import add_tangents
from adgraph.ops.shape import getitem, update
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.transforms.jvp import derived, no_rule
from adgraph.transforms.products import fit, weigh
from adgraph.transforms.regions import RULES, Pull, Surroundings


class Adjoint:
    """The cotangents of a program's values, as far as the reverse walk has come.

    `env` maps the program's inputs to values of the builder. `masked` holds the values whose
    cotangent may have zeros put there by a mask, `seeded` those whose cotangent comes from a
    caller's seed. Inside a loop nearly every cotangent is one element of an array, zero if nothing
    has read it: that is no mask there, and only partials that may be infinite are guarded.
    """

    def __init__(
        self,
        builder: Builder,
        graph: Graph,
        env: dict[Value, Value],
        *,
        active: Iterable[Value],
        wanted: Sequence[Value],
        around: Surroundings,
    ) -> None:
        self._builder = builder
        self._graph = graph
        self._env = env
        self._around = around
        self._varied = varied(graph, active)
        self._useful = useful(graph, wanted)
        self._producers = graph.producers()
        self._uses = Counter([*(v for node in graph.nodes for v in node.inputs), *graph.outputs])
        self._cts: dict[Value, Any] = {}
        self._pulls: dict[Node, Pull] = {}
        self._seeded = set(wanted) if around.seeded else set()
        self._masked = set(wanted) if around.masked else set()

    # --- forward --------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Emit the program."""
        masked, seeded = self._zeroed()
        for node in self._graph.nodes:
            if node.op in RULES and any(map(self._active, node.outputs)):
                within = self._within(node, masked, seeded)
                self._linearize(node, within)
            else:
                copy_node(self._builder, node, self._env)

    def _active(self, value: Value) -> bool:
        return value in self._varied and value in self._useful

    def _zeroed(self) -> tuple[set[Value], set[Value]]:
        """The values that will be masked and seeded, before the walk has found them."""
        masked, seeded = set(self._masked), set(self._seeded)
        for node in reversed(self._graph.nodes):
            masks, zeros = self._gives_zeros(node)
            if masks or not masked.isdisjoint(node.outputs):
                masked.update(node.inputs)
            if zeros or not seeded.isdisjoint(node.outputs):
                seeded.update(node.inputs)
        return masked, seeded

    def _gives_zeros(self, node: Node) -> tuple[bool, bool]:
        """Tell whether the operands of a node are masked, and seeded, because of it."""
        if self._around.levels:
            return masks(node, by_condition=True), masks(node)
        return masks(node), False

    def _within(self, node: Node, masked: set[Value], seeded: set[Value]) -> Surroundings:
        """Return what the adjoint of a region must know."""
        return replace(
            self._around,
            masked=masks(node, by_condition=True) or not masked.isdisjoint(node.outputs),
            seeded=masks(node) or not seeded.isdisjoint(node.outputs),
        )

    def _linearize(self, node: Node, within: Surroundings) -> None:
        with self._builder.at(node.origin):
            args = tuple(tracer(self._env[v]) for v in node.inputs)
            flags = tuple(v in self._varied for v in node.inputs)
            wanted = tuple(map(self._active, node.outputs))
            results, pull = RULES[node.op].linearize(node, args, flags, wanted, within)
            self._env.update(zip(node.outputs, map(read, results), strict=True))
        self._pulls[node] = pull

    # --- reverse --------------------------------------------------------------------------------

    def start(self, value: Value, ct: Any) -> None:
        """Add a cotangent of a value."""
        if value in self._varied:
            self._cts[value] = add_tangents(self._cts.get(value), ct)

    def cotangent(self, value: Value) -> Any:
        """Return the cotangent of a value so far, or None."""
        return self._cts.get(value)

    def walk(self) -> None:
        """Emit the cotangents, the last node first."""
        for node in reversed(self._graph.nodes):
            cts = tuple(self._cts.pop(v, None) for v in node.outputs)
            if any(ct is not None for ct in cts) and self._varied.intersection(node.inputs):
                with self._builder.at(derived(node.origin)):
                    self._pull(node, cts)

    def _pull(self, node: Node, cts: tuple[Any, ...]) -> None:
        if node in self._pulls:
            self._pull_region(node, cts)
        elif (path := self._accumulated(node)) is not None:
            self._accumulate(node, cts, path)
        elif (inner := self._written_part(node)) is not None:
            self._pull_written_part(node, inner, cts)
        else:
            self._pull_op(node, cts)

    def _pull_region(self, node: Node, cts: tuple[Any, ...]) -> None:
        """Continue from the running cotangents of the operands."""
        totals = tuple(self._cts.pop(v, None) for v in node.inputs)
        pulled = self._pulls[node](cts, totals)
        for value, total, ct in zip(node.inputs, totals, pulled, strict=True):
            if ct is not None or total is not None:
                self.start(value, total if ct is None else ct)
                self._mark(node, value)

    def _accumulated(self, node: Node) -> list[Node] | None:
        """Return the subscripts between what a node reads from and an array with a cotangent.

        None if there is no such array: the node's cotangent is then one of its own.
        """
        if node.op.accumulate is None:
            return None
        path: list[Node] = []
        value = node.inputs[0]
        while value not in self._cts:
            before = self._producers.get(value)
            if before is None or before.op is not getitem:
                return None
            path.insert(0, before)
            value = before.inputs[0]
        return path

    def _accumulate(self, node: Node, cts: tuple[Any, ...], path: list[Node]) -> None:
        """Add the cotangent of what was read from an array to that of the array, in place.

        Through `path` the node reads a part of the array.
        """
        assert node.op.accumulate is not None
        value = path[0].inputs[0] if path else node.inputs[0]
        parts = [self._cts[value]]
        for step in path:
            parts.append(getitem(parts[-1], **step.attrs))
        args, y = self._operands(node)
        total = node.op.accumulate(parts.pop(), cts[0], y, *args, **node.attrs)
        for step, part in zip(reversed(path), reversed(parts), strict=True):
            total = update(part, total, **step.attrs)
        self._cts[value] = total
        self._mark(node, value)

    def _written_part(self, node: Node) -> Node | None:
        """Return the op that writes into a part of an array which the node puts back.

        `A[k, j] = v` with a position j of run time writes into A[k], and A[k] into A.
        """
        if node.op is not update:
            return None
        array, part = node.inputs
        inner = self._producers.get(part)
        if inner is None or inner.op not in WRITES or self._uses[part] != 1:
            return None
        shown = self._producers.get(inner.inputs[0])
        if shown is None or shown.op is not getitem or shown.inputs[0] is not array:
            return None
        return inner if shown.attrs == node.attrs else None

    def _pull_written_part(self, node: Node, inner: Node, cts: tuple[Any, ...]) -> None:
        """Emit the cotangents of both writes at once: the part is never read as a whole."""
        assert inner.op.vjp is not None
        part = getitem(cts[0], **node.attrs)
        args, y = self._operands(inner)
        rest, *others = inner.op.vjp(part, y, *args, **inner.attrs)
        for value, ct in zip(inner.inputs[1:], others, strict=True):
            if ct is not None:
                self.start(value, as_tracer(ct))
                self._mark(node, value)
        array = node.inputs[0]
        self.start(array, cts[0] if rest is part else update(cts[0], rest, **node.attrs))
        self._mark(node, array)

    def _pull_op(self, node: Node, cts: tuple[Any, ...]) -> None:
        masked = not self._masked.isdisjoint(node.outputs)
        seeded = not self._seeded.isdisjoint(node.outputs)
        pulled = self._cotangents(node, cts, masked or (seeded and node.op.singular))
        for value, ct in zip(node.inputs, pulled, strict=True):
            if ct is not None and value in self._varied:
                shaped = fit(ct, value.type.shape)
                self.start(value, as_tracer(shaped, value.type.dtype))
                self._mark(node, value)

    def _mark(self, node: Node, value: Value) -> None:
        """Note what is known of the cotangent that a node gives one of its operands."""
        masks, zeros = self._gives_zeros(node)
        if masks or not self._masked.isdisjoint(node.outputs):
            self._masked.add(value)
        if zeros or not self._seeded.isdisjoint(node.outputs):
            self._seeded.add(value)

    def _operands(self, node: Node) -> tuple[tuple[Any, ...], Any]:
        args = tuple(tracer(self._env[v]) for v in node.inputs)
        ys = tuple(tracer(self._env[v]) for v in node.outputs)
        return args, ys if len(ys) > 1 else ys[0]

    def _cotangents(self, node: Node, cts: tuple[Any, ...], masked: bool) -> tuple[Any, ...]:
        op = node.op
        args, y = self._operands(node)
        if op.partials is not None:
            partials = op.partials(y, *args, **node.attrs)
            wanted = [
                p if v in self._varied else None for p, v in zip(partials, node.inputs, strict=True)
            ]
            return tuple(weigh(cts[0], p, masked=masked) for p in wanted)
        if op.vjp is None:
            raise no_rule(node, "reverse")
        return op.vjp(cts if len(cts) > 1 else cts[0], y, *args, **node.attrs)


def masks(node: Node, *, by_condition: bool = False) -> bool:
    """Tell whether a node, or one inside it, gives cotangents zeros that its results' have not.

    With `by_condition` a subscript, which gives them to what it does not select, is none of these.
    """
    inside = (inner for region in node.regions() for inner in nested(region))
    return any(
        inner.op.masks
        and inner.output.type.inexact
        and not (by_condition and inner.op.kind in (Kind.VIEW, Kind.MOVEMENT))
        for inner in (node, *inside)
    )
