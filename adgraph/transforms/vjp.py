"""Reverse mode: the adjoint program, as one joint graph with the primal.

`vjp(graph, active)` has as inputs those of the graph and a cotangent for each output, and as
outputs those of the graph and a gradient for each active input. One reverse walk over the nodes;
a cotangent is summed to its value's shape there, once. Griewank & Walther, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.analysis.activity import varied
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ops.kinds import add_tangents
from adgraph.tracing.tracer import Tracer, as_tracer, building, read, tracer
from adgraph.transforms.jvp import derived, no_rule, zero_tangent
from adgraph.transforms.products import fit, weigh


def vjp(graph: Graph, active: Sequence[int], *, unit_seed: bool = False) -> Graph:
    """Return the graph (inputs, cotangents of the inexact outputs) -> (outputs, gradients).

    With `unit_seed` there are no cotangents: that of every output is one. A seed from outside may
    hold zeros, so partials that may be infinite are then guarded.
    """
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in graph.inputs}
        for node in graph.nodes:
            copy_node(builder, node, env)
        walk = _Walk(builder, env, varied(graph, [graph.inputs[i] for i in active]))
        for value in graph.outputs:
            if value.type.inexact:
                walk.seed(value, unit_seed)
        for node in reversed(graph.nodes):
            walk.pull(node)
        gradients = [walk.gradient(graph.inputs[i]) for i in active]
        results = [env[v] for v in graph.outputs] + [read(as_tracer(g)) for g in gradients]
        return builder.build(results, f"{graph.name}_vjp")


class _Walk:
    """The cotangents met so far in the reverse walk.

    `masked` holds the values whose cotangent may have zeros put there by a mask, `seeded` those
    whose cotangent comes from a caller's seed.
    """

    def __init__(self, builder: Builder, env: dict[Value, Value], varied: set[Value]) -> None:
        self._builder = builder
        self._env = env
        self._varied = varied
        self._cts: dict[Value, Any] = {}
        self._masked: set[Value] = set()
        self._seeded: set[Value] = set()

    def seed(self, value: Value, unit: bool) -> None:
        """Start from an output."""
        if unit:
            ct: Any = np.ones(value.type.shape, value.type.dtype)
            self._add(value, as_tracer(ct))
            return
        name = f"ct_{value.name}" if value.name else None
        self._seeded.add(value)
        self._add(value, tracer(self._builder.input(value.type, name)))

    def _add(self, value: Value, ct: Any) -> None:
        if value in self._varied:
            self._cts[value] = add_tangents(self._cts.get(value), ct)

    def pull(self, node: Node) -> None:
        """Emit the cotangents of one node's operands."""
        cts = tuple(self._cts.pop(v, None) for v in node.outputs)
        if all(ct is None for ct in cts) or not self._varied.intersection(node.inputs):
            return
        masked = bool(self._masked.intersection(node.outputs))
        seeded = bool(self._seeded.intersection(node.outputs))
        with self._builder.at(derived(node.origin)):
            pulled = self._pull(node, cts, masked or (seeded and node.op.singular))
            for value, ct in zip(node.inputs, pulled, strict=True):
                if ct is not None and value in self._varied:
                    shaped = fit(ct, value.type.shape)
                    self._add(value, as_tracer(shaped, value.type.dtype))
                    self._mark(value, masked or node.op.masks, seeded)

    def _mark(self, value: Value, masked: bool, seeded: bool) -> None:
        if masked:
            self._masked.add(value)
        if seeded:
            self._seeded.add(value)

    def _pull(self, node: Node, cts: tuple[Any, ...], masked: bool) -> tuple[Any, ...]:
        op = node.op
        args = tuple(tracer(self._env[v]) for v in node.inputs)
        ys = tuple(tracer(self._env[v]) for v in node.outputs)
        y: Any = ys if len(ys) > 1 else ys[0]
        if op.partials is not None:
            partials = op.partials(y, *args, **node.attrs)
            wanted = [
                p if v in self._varied else None for p, v in zip(partials, node.inputs, strict=True)
            ]
            return tuple(weigh(cts[0], p, masked=masked) for p in wanted)
        if op.vjp is None:
            raise no_rule(node, "reverse")
        return op.vjp(cts if len(cts) > 1 else cts[0], y, *args, **node.attrs)

    def gradient(self, value: Value) -> Tracer | Any:
        """Return the gradient by an input: zeros if nothing depends on it."""
        ct = self._cts.get(value)
        return zero_tangent(value) if ct is None else ct
