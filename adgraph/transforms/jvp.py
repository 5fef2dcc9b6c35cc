"""Forward mode: a graph that carries a tangent beside every value.

`jvp(graph, active)` has as inputs those of the graph and a tangent for each active one, and as
outputs those of the graph and their tangents. Griewank & Walther, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.errors import DerivativeError, message
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.graph import Graph, Node, Origin, Value
from adgraph.ops.kinds import add_tangents
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import Tracer, as_tracer, read, tracer
from adgraph.transforms.products import weigh
from adgraph.transforms.regions import RULES


def jvp(graph: Graph, active: Sequence[int]) -> Graph:
    """Return the graph (inputs, tangents of the active inputs) -> (outputs, their tangents).

    An output that is an integer or a bool has a tangent of float64 zeros.
    """
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in graph.inputs}
        tangents: dict[Value, Any] = {}
        for i in active:
            value = graph.inputs[i]
            tangents[value] = tracer(builder.input(value.type, _tangent_name(value)))
        for node in graph.nodes:
            moved = any(v in tangents for v in node.inputs)
            if moved and node.op in RULES:
                _push_region(builder, node, env, tangents)
                continue
            copy_node(builder, node, env)
            if moved:
                _push(builder, node, env, tangents)
        ends = [tangents.get(v) for v in graph.outputs]
        dys = [
            zero_tangent(v) if t is None else t for v, t in zip(graph.outputs, ends, strict=True)
        ]
        results = [env[v] for v in graph.outputs] + [read(as_tracer(t)) for t in dys]
        return builder.build(results, f"{graph.name}_jvp")


def _tangent_name(value: Value) -> str | None:
    return f"d{value.name}" if value.name else None


def zero_tangent(value: Value) -> Any:
    """Return the zeros that are the tangent of a value nothing varies."""
    dtype = value.type.dtype if value.type.inexact else np.dtype(float)
    return np.broadcast_to(as_tracer(np.zeros((), dtype)), value.type.shape)


def derived(origin: Origin) -> Origin:
    """Return the origin of a node that differentiates one of this origin."""
    return replace(origin, order=origin.order + 1)


def _push(
    builder: Builder, node: Node, env: dict[Value, Value], tangents: dict[Value, Any]
) -> None:
    """Emit the tangents of one node's results."""
    if not node.op.differentiable:
        return
    seeds = tuple(tangents.get(v) for v in node.inputs)
    args = tuple(tracer(env[v]) for v in node.inputs)
    ys = tuple(tracer(env[v]) for v in node.outputs)
    with builder.at(derived(node.origin)):
        results = push_node(node, seeds, ys, args)
        for value, dy in zip(node.outputs, results, strict=True):
            if dy is not None and value.type.inexact:
                stretched = np.broadcast_to(dy, value.type.shape)
                tangents[value] = as_tracer(stretched, value.type.dtype)


def _push_region(
    builder: Builder, node: Node, env: dict[Value, Value], tangents: dict[Value, Any]
) -> None:
    """Emit a region that computes its results and their tangents."""
    seeds = tuple(tangents.get(v) for v in node.inputs)
    with builder.at(node.origin):
        args = tuple(tracer(env[v]) for v in node.inputs)
        results, dys = RULES[node.op].jvp(node, seeds, args)
        env.update(zip(node.outputs, map(read, results), strict=True))
        tangents.update((v, dy) for v, dy in zip(node.outputs, dys, strict=True) if dy is not None)


def push_node(
    node: Node, seeds: tuple[Any, ...], ys: tuple[Tracer, ...], args: tuple[Tracer, ...]
) -> tuple[Any, ...]:
    """Apply an op's forward rule."""
    op = node.op
    y: Any = ys if len(ys) > 1 else ys[0]
    if op.partials is not None:
        total: Any = None
        for seed, partial in zip(seeds, op.partials(y, *args, **node.attrs), strict=True):
            total = add_tangents(total, weigh(seed, partial, masked=op.singular))
        return (total,)
    if op.jvp is None:
        raise no_rule(node, "forward")
    result = op.jvp(seeds, y, *args, **node.attrs)
    return result if isinstance(result, tuple) else (result,)


def no_rule(node: Node, mode: str) -> DerivativeError:
    """Word the error for an op without a rule."""
    return DerivativeError(
        message(
            f"{node.op.name} has no {mode}-mode derivative",
            "its op defines none",
            "keep it out of the differentiated part with adgraph.stop_gradient",
            node.origin.location,
        )
    )
