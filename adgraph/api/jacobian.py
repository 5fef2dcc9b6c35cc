"""Jacobians by either mode, all passes vectorized, and the second derivatives made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.analysis.cost import graph_cost
from adgraph.api.function import Argnums, Function, as_function, by_argument
from adgraph.api.gradient import grad
from adgraph.api.linear import jvp
from adgraph.api.subject import (
    Active,
    Subject,
    active_leaves,
    derivative,
    emit,
    trace_subject,
)
from adgraph.errors import DerivativeError, message
from adgraph.ir.builder import inline
from adgraph.ir.graph import Graph
from adgraph.ir.types import ArrayType
from adgraph.passes.pipeline import FINAL, run_pipeline
from adgraph.tracing.frames import building, current
from adgraph.tracing.trace import Trace
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.tracing.tree import count, unflatten
from adgraph.transforms.batch import batch
from adgraph.transforms.jvp import jvp as jvp_graph
from adgraph.transforms.vjp import vjp as vjp_graph


@by_argument
def jacobian(f: Callable[..., Any], argnums: Argnums = 0, mode: str = "auto") -> Function:
    """Make a function that returns the Jacobian: shape of the result + shape of the argument.

    `mode` is "fwd" (one forward pass for each element of the argument), "rev" (one reverse pass for
    each element of the result), or "auto": whichever program costs less by
    `adgraph.analysis.cost`; `explain` says which and why. Passes are vectorized. For pytrees the
    result nests the arguments' structure in the result's.

    >>> jacobian(lambda x: np.array([x[0] * x[1], x[1] ** 2]))(np.array([2.0, 3.0]))
    array([[3., 2.],
           [0., 6.]])
    """
    if mode not in ("auto", "fwd", "rev"):
        raise DerivativeError(message(f"jacobian: mode={mode!r} is none of 'auto', 'fwd', 'rev'"))
    subject_function = as_function(f)

    def function(*args: Any, **kwargs: Any) -> Any:
        subject = trace_subject(subject_function, args, kwargs)
        active = active_leaves(subject, argnums)
        blocks = _blocks(subject, active, mode)
        rows = [active.assemble(row) for row in blocks]
        return nest_rows(subject.trace, rows)

    return derivative(subject_function, "jacobian", function)


@by_argument
def jacfwd(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the Jacobian by forward mode: see `jacobian`."""
    return jacobian(f, argnums, "fwd")


@by_argument
def jacrev(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the Jacobian by reverse mode: see `jacobian`."""
    return jacobian(f, argnums, "rev")


def nest_rows(trace: Trace, rows: list[Any]) -> Any:
    """Put one tree of Jacobians for every result where the result stands."""
    places = trace.places
    leaves: list[Any] = [None] * count(trace.result)
    for place, row in zip(places, rows, strict=True):
        leaves[place] = row
    return unflatten(trace.result, leaves)


def _blocks(subject: Subject, active: Active, mode: str) -> list[list[Any]]:
    """Return the Jacobian of every result by every active leaf."""
    graph = subject.graph
    bad = next((v for v in graph.outputs if not v.type.inexact), None)
    if bad is not None:
        raise DerivativeError(
            message(f"{subject.name} returns {bad.type}, which has no derivative")
        )
    n = sum(graph.inputs[i].type.size for i in active.inputs)
    m = sum(v.type.size for v in graph.outputs)
    if mode == "auto":
        mode = _cheaper_mode(subject, active, n, m)
    program = _seeded(_passes(graph, active.inputs, mode), len(graph.inputs))
    values = [tracer(v) for v in emit(program, subject.values)]
    rows = [v.type for v in graph.outputs]
    columns = [graph.inputs[i].type for i in active.inputs]
    return _cut(values, rows, columns, mode)


def _cheaper_mode(subject: Subject, active: Active, n: int, m: int) -> str:
    """Compare both modes by their cost, without the unit matrices: one of them may be huge."""
    costs = {}
    for mode in ("fwd", "rev"):
        program, _ = run_pipeline(_passes(subject.graph, active.inputs, mode), FINAL)
        costs[mode] = graph_cost(program)
    best = min(costs, key=lambda mode: costs[mode].seconds)
    fwd, rev = costs["fwd"], costs["rev"]
    current().notes.append(
        f"jacobian of {subject.name}: {'forward' if best == 'fwd' else 'reverse'} mode, "
        f"{n if best == 'fwd' else m} passes; {n} forward passes were estimated at "
        f"{fwd.seconds * 1e6:.3g} us ({fwd.flops:.3g} flops), {m} reverse passes at "
        f"{rev.seconds * 1e6:.3g} us ({rev.flops:.3g} flops)"
    )
    return best


def _passes(graph: Graph, inputs: tuple[int, ...], mode: str) -> Graph:
    """Return the graph of all passes of one mode: their results have the pass as first axis.

    The seeds are its last inputs.
    """
    if mode == "fwd":
        derived = jvp_graph(graph, inputs)
        seeded = [graph.inputs[i].type for i in inputs]
        keep = len(graph.outputs)
    else:
        derived = vjp_graph(graph, inputs)
        seeded = [v.type for v in graph.outputs]
        keep = len(graph.outputs)
    pruned = Graph(derived.inputs, derived.nodes, derived.outputs[keep:], derived.name)
    total = sum(t.size for t in seeded)
    flags = [False] * len(graph.inputs) + [True] * len(seeded)
    return batch(pruned, total, flags)


def _seeded(graph: Graph, primals: int) -> Graph:
    """Bind the seeds of all passes to the rows of the unit matrix."""
    with building() as builder:
        values = [builder.input(v.type, v.name) for v in graph.inputs[:primals]]
        first = 0
        for seed in graph.inputs[primals:]:
            passes, *shape = seed.type.shape
            size = math.prod(shape)
            rows = np.eye(passes, size, -first, dtype=seed.type.dtype)
            values.append(read(as_tracer(rows.reshape(seed.type.shape))))
            first += size
        return builder.build(inline(builder, graph, values), graph.name)


def _cut(
    values: list[Any], rows: list[ArrayType], columns: list[ArrayType], mode: str
) -> list[list[Any]]:
    """Cut stacked passes into one Jacobian per result and argument."""
    split_types = columns if mode == "fwd" else rows
    bounds = np.cumsum([0, *(t.size for t in split_types)]).tolist()
    blocks: list[list[Any]] = []
    for r, row in enumerate(rows):
        blocks.append([])
        for c, column in enumerate(columns):
            shape = (*row.shape, *column.shape)
            if mode == "fwd":
                stack = values[r][bounds[c] : bounds[c + 1]]
                turned = np.transpose(stack, (*range(1, 1 + row.ndim), 0))
                blocks[-1].append(np.reshape(turned, shape))
            else:
                blocks[-1].append(np.reshape(values[c][bounds[r] : bounds[r + 1]], shape))
    return blocks


@by_argument
def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the matrix of second derivatives of a scalar function.

    Forward mode over reverse mode: one forward pass of the gradient for each element.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    subject_function = as_function(f)
    second = jacobian(grad(subject_function, argnums), argnums, "fwd")
    return derivative(subject_function, "hessian", lambda *args, **kwargs: second(*args, **kwargs))


@by_argument
def hvp(f: Callable[..., Any], argnums: int = 0) -> Function:
    """Make a function (x, v) -> H v, the product of Hessian and vector, without the Hessian.

    Further arguments of `f` follow `v`.

    >>> hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    subject_function = as_function(f)
    parameters = subject_function.dispatch.parameters
    at = argnums + len(parameters) if argnums < 0 else argnums
    gradient = grad(subject_function, at)

    def function(x: Any, v: Any, *rest: Any, **kwargs: Any) -> Any:
        def of_x(y: Any) -> Any:
            return gradient(*rest[:at], y, *rest[at:], **kwargs)

        return jvp(of_x, (x,), (v,))[1]

    others = (name for i, name in enumerate(parameters) if i != at)
    numbers = subject_function.options.static_argnums
    static = tuple(n + 2 if n < at else n + 1 for n in numbers)
    return derivative(subject_function, "hvp", function, ("x", "v", *others), static)
