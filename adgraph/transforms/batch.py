"""Vectorize a graph over a new axis in front of some of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.errors import DerivativeError, message
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import read, tracer
from adgraph.transforms.regions import RULES


def batch(graph: Graph, size: int, batched: Sequence[bool]) -> Graph:
    """Return the graph whose flagged inputs, and all outputs, have an axis of `size` in front.

    What depends on no flagged input is computed once and broadcast at the end.
    """
    return batch_some(graph, size, batched, (True,) * len(graph.outputs))[0]


def batch_some(
    graph: Graph, size: int, batched: Sequence[bool], wanted: Sequence[bool]
) -> tuple[Graph, tuple[bool, ...]]:
    """Batch a graph, giving the axis to the outputs in `wanted` and to those that need it.

    Return the graph, and which outputs have the axis.
    """
    with building() as builder:
        env: dict[Value, Value] = {}
        flagged: set[Value] = set()
        for value, flag in zip(graph.inputs, batched, strict=True):
            type = value.type.with_shape((size, *value.type.shape)) if flag else value.type
            env[value] = builder.input(type, value.name)
            if flag:
                flagged.add(value)
        for node in graph.nodes:
            if flagged.isdisjoint(node.inputs):
                copy_node(builder, node, env)
            elif node.op in RULES:
                _batch_region(builder, node, env, flagged, size)
            else:
                _batch_node(builder, node, env, flagged)
                flagged.update(node.outputs)
        outputs = []
        for value, want in zip(graph.outputs, wanted, strict=True):
            result: Any = tracer(env[value])
            if want and value not in flagged:
                result = np.broadcast_to(result, (size, *value.type.shape))
            outputs.append(read(result))
        flags = tuple(w or v in flagged for v, w in zip(graph.outputs, wanted, strict=True))
        return builder.build(outputs, f"{graph.name}_batch"), flags


def _batch_region(
    builder: Builder, node: Node, env: dict[Value, Value], flagged: set[Value], size: int
) -> None:
    flags = tuple(v in flagged for v in node.inputs)
    with builder.at(node.origin):
        args = tuple(tracer(env[v]) for v in node.inputs)
        results, batched = RULES[node.op].batch(node, args, flags, size)
        env.update(zip(node.outputs, map(read, results), strict=True))
        flagged.update(v for v, flag in zip(node.outputs, batched, strict=True) if flag)


def _batch_node(builder: Builder, node: Node, env: dict[Value, Value], flagged: set[Value]) -> None:
    if node.op.batch is None:
        raise DerivativeError(
            message(
                f"{node.op.name} cannot be vectorized",
                "its op defines no batching rule",
                at=node.origin.location,
            )
        )
    flags = tuple(v in flagged for v in node.inputs)
    with builder.at(node.origin):
        args = tuple(tracer(env[v]) for v in node.inputs)
        result = node.op.batch(args, flags, **node.attrs)
        results = result if isinstance(result, tuple) else (result,)
        env.update((v, read(r)) for v, r in zip(node.outputs, results, strict=True))
