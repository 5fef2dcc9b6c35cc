"""Reverse mode: the adjoint program, as one joint graph with the primal.

`vjp(graph, active)` has as inputs those of the graph and a cotangent for each output, and as
outputs those of the graph and a gradient for each active input. The walk is in `adjoint`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.analysis.programs import is_region
from adgraph.ir.builder import Builder
from adgraph.ir.graph import Graph, Value
from adgraph.ir.prune import prune
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.transforms.adjoint import Adjoint
from adgraph.transforms.jvp import zero_tangent
from adgraph.transforms.regions import Surroundings


def vjp(
    graph: Graph, active: Sequence[int], *, unit_seed: bool = False, store_all: bool = False
) -> Graph:
    """Return the graph (inputs, cotangents of the inexact outputs) -> (outputs, gradients).

    With `unit_seed` there are no cotangents: that of every output is one. A seed from outside may
    hold zeros, so partials that may be infinite are then guarded. `store_all` records all that the
    adjoints of loops need, instead of what cannot be had otherwise: for tests.
    """
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in graph.inputs}
        wanted = [v for v in graph.outputs if v.type.inexact]
        adjoint = Adjoint(
            builder,
            graph,
            env,
            active=[graph.inputs[i] for i in active],
            wanted=wanted,
            around=Surroundings(seeded=not unit_seed, store_all=store_all),
        )
        adjoint.sweep()
        for value in wanted:
            adjoint.start(value, _seed(builder, value, unit_seed))
        adjoint.walk()
        gradients = [_gradient(adjoint, graph.inputs[i]) for i in active]
        results = [env[v] for v in graph.outputs] + [read(as_tracer(g)) for g in gradients]
        joint = builder.build(results, f"{graph.name}_vjp")
    return prune(joint) if any(map(is_region, joint.nodes)) else joint


def _seed(builder: Builder, value: Value, unit: bool) -> Any:
    if unit:
        return as_tracer(np.ones(value.type.shape, value.type.dtype))
    name = f"ct_{value.name}" if value.name else None
    return tracer(builder.input(value.type, name))


def _gradient(adjoint: Adjoint, value: Value) -> Any:
    """Return the gradient by an input: zeros if nothing depends on it."""
    ct = adjoint.cotangent(value)
    return zero_tangent(value) if ct is None else ct
