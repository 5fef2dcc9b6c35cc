"""The derivative at a point as a linear function: jvp, vjp and linearize.

`linearize` and `vjp` run the primal program once and keep its residuals; what is left is a program
of its own (`Linear`) that runs for every tangent or cotangent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.api.function import Function, as_function, at_point
from adgraph.api.subject import (
    Subject,
    check_seed,
    emit,
    inexact_leaves,
    remembered,
    trace_subject,
)
from adgraph.errors import DerivativeError, message
from adgraph.ir.builder import inline
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import type_of
from adgraph.ir.types import ArrayType
from adgraph.passes.pipeline import FINAL, run_pipeline
from adgraph.runtime.dispatch import argument_names
from adgraph.tracing.frames import building
from adgraph.tracing.trace import Static, is_array
from adgraph.tracing.tracer import Tracer, as_tracer, read, tracer
from adgraph.tracing.tree import (
    Branch,
    Structure,
    count,
    flatten,
    matched,
    register_leaf,
    unflatten,
)
from adgraph.transforms.jvp import jvp as jvp_graph
from adgraph.transforms.jvp import zero_tangent
from adgraph.transforms.split import is_closed, split
from adgraph.transforms.vjp import vjp as vjp_graph


@at_point
def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(*primals) and its derivative in the direction of the tangents.

    >>> import numpy as np
    >>> jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise DerivativeError(
            message("jvp takes tuples of primals and tangents", "", "jvp(f, (x,), (dx,))")
        )
    subject = as_function(f)
    _refuse_integers(subject, primals, tangents)
    marked = (subject.dispatch.mark_static(tuple(x), {})[0] for x in (primals, tangents))
    result: tuple[Any, Any] = _jvp_function(subject)(*marked)
    return result


def _refuse_integers(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    """Refuse a tangent of an integer: only zeros can be one."""
    points, structure = flatten(tuple(primals))
    directions = matched(tuple(tangents), structure) or []
    names = argument_names(f.dispatch.parameters, flatten((tuple(primals), {}))[1])
    for x, dx, name in zip(points, directions, names, strict=False):
        if not is_array(x) or type_of(x).inexact:
            continue
        if isinstance(dx, Tracer) or np.any(np.asarray(dx)):
            raise _by_integer(f"{name}, which has type {type_of(x)}")


def _by_integer(what: str) -> DerivativeError:
    return DerivativeError(
        message(
            f"cannot differentiate by {what}",
            "a derivative is taken by real numbers",
            "pass a float (2.0, or x.astype(float)); the tangent of an integer is 0",
        )
    )


def _differentiable_leaves(subject: Subject) -> tuple[int, ...]:
    """The leaves that have derivatives, of which there must be one."""
    leaves = inexact_leaves(subject)
    if not leaves:
        types = ", ".join(str(v.type) for v in subject.graph.inputs[: len(subject.inputs)])
        raise _by_integer(f"the arguments of {subject.name}, of types {types}")
    return leaves


def _jvp_function(f: Function) -> Function:
    """The function (primals, tangents) -> (value, tangent), one per subject."""

    def function(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        subject = trace_subject(f, primals, {})
        pushed = _paired(subject, f.dispatch.mark_static(tangents, {})[0])
        graph = jvp_graph(subject.graph, [i for i, _ in pushed])
        values = emit(graph, [*subject.values, *(v for _, v in pushed)])
        kept = subject.outputs
        return subject.result(values[:kept]), subject.strong(values[kept:])

    return remembered(f, "jvp", function, ("primals", "tangents"))


def _paired(subject: Subject, tangents: Any) -> list[tuple[int, Value]]:
    """Match tangents with the inputs they belong to; integers have none."""
    given = matched(tangents, flatten(subject.args)[1])
    if given is None:
        found, wanted = flatten(tangents)[0], flatten(subject.args)[0]
        raise DerivativeError(
            message(
                f"the tangents do not have the structure of the primals of {subject.name}",
                f"found {len(found)} tangents for {len(wanted)} arrays",
                "pass one tangent for every primal, in the same nesting",
            )
        )
    pairs = []
    for leaf in inexact_leaves(subject):
        at = subject.inputs[leaf]
        type = subject.graph.inputs[at].type
        check_seed(given[leaf], type, subject.name, "tangent")
        pairs.append((at, read(as_tracer(given[leaf], type.dtype))))
    return pairs


# --- residuals: the primal once, its derivative many times ---------------------------------------


@dataclass(frozen=True)
class Linear:
    """The second half of a split derivative, and what its seeds must look like.

    `seeds` are the positions, among the leaves of `structure`, of the seeds that the graph takes;
    `types` are theirs. `result` is where the graph's outputs go, among `count` leaves.
    """

    graph: Graph
    structure: Structure
    seeds: tuple[int, ...]
    types: tuple[ArrayType, ...]
    result: Structure
    places: tuple[int, ...]
    name: str
    what: str


register_leaf(Linear)


def _apply_linear(linear: Any, residuals: tuple[Any, ...], seeds: tuple[Any, ...]) -> Any:
    """Run the second half of a split derivative."""
    plan: Linear = linear.value if isinstance(linear, Static) else linear
    values = [read(as_tracer(x)) for x in residuals]
    values += [read(as_tracer(s, t.dtype)) for s, t in zip(seeds, plan.types, strict=True)]
    outputs = [tracer(v) for v in emit(plan.graph, values)]
    leaves: list[Any] = [None] * count(plan.result)
    for place, output in zip(plan.places, outputs, strict=True):
        leaves[place] = output
    return unflatten(plan.result, leaves)


apply_linear = Function(_apply_linear)


def _seeds_of(plan: Linear, seeds: Any) -> tuple[Any, ...]:
    """Match cotangents or tangents with the seeds of a split derivative."""
    leaves = matched(seeds, plan.structure)
    if leaves is None:
        raise DerivativeError(
            message(
                f"the {plan.what} of {plan.name} does not have the structure of its "
                f"{'result' if plan.what == 'cotangent' else 'arguments'}",
                f"found {len(flatten(seeds)[0])} arrays for {count(plan.structure)}",
                "pass the same nesting of tuples, lists and dicts",
            )
        )
    chosen = tuple(leaves[i] for i in plan.seeds)
    for seed, type in zip(chosen, plan.types, strict=True):
        check_seed(seed, type, plan.name, plan.what)
    return chosen


def _unwrapped(plan: Any) -> Linear:
    linear: Linear = plan.value if isinstance(plan, Static) else plan
    return linear


@at_point
def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return f(*primals) and the linear function from tangents to the result's tangent.

    The primal program runs once; each call of the linear function runs only what is left.

    >>> import numpy as np
    >>> y, push = linearize(np.sin, 0.0)
    >>> push(3.0)
    np.float64(3.0)
    """
    subject_function = as_function(f)

    def forward(*args: Any) -> Any:
        subject = trace_subject(subject_function, args, {})
        seeds = _differentiable_leaves(subject)
        inputs = [subject.inputs[leaf] for leaf in seeds]
        first, second = _halves(subject.graph, inputs)
        values = emit(first, subject.values)
        linear = Linear(
            second,
            flatten(subject.args)[1],
            seeds,
            tuple(subject.graph.inputs[i].type for i in inputs),
            subject.trace.result,
            subject.places,
            subject.name,
            "tangent",
        )
        residuals = tuple(map(tracer, values[subject.outputs :]))
        return subject.result(values[: subject.outputs]), residuals, Static.of(linear)

    y, residuals, plan = remembered(subject_function, "linearize", forward)(*primals)

    def push(*tangents: Any) -> Any:
        _refuse_integers(subject_function, primals, tangents)
        linear = _unwrapped(plan)
        marked, _ = subject_function.dispatch.mark_static(tangents, {})
        return apply_linear(Static.of(linear), residuals, _seeds_of(linear, marked))

    return y, push


def _halves(graph: Graph, inputs: Sequence[int]) -> tuple[Graph, Graph]:
    """Return the program with its residuals, and the one from these and tangents to tangents.

    Forward, a loop carries values and tangents together, and cannot be cut. In reverse it is two
    loops: the tangents are then the transpose of the pullback, which is linear.
    """
    joint, _ = run_pipeline(jvp_graph(graph, inputs), FINAL)
    first, second = split(joint, len(graph.inputs), len(graph.outputs))
    if is_closed(first):
        return first, second
    joint, _ = run_pipeline(vjp_graph(graph, inputs), FINAL)
    first, pullback = split(joint, len(graph.inputs), len(graph.outputs))
    return first, _transposed(pullback, len(first.outputs) - len(graph.outputs), graph.outputs)


def _transposed(pullback: Graph, residuals: int, outputs: Sequence[Value]) -> Graph:
    """Return the program (residuals, tangents) -> (tangents of the outputs)."""
    cotangents = range(residuals, len(pullback.inputs))
    back = vjp_graph(pullback, cotangents)
    with building() as builder:
        known = [builder.input(v.type, v.name) for v in pullback.inputs[:residuals]]
        anywhere = [read(zero_tangent(pullback.inputs[i])) for i in cotangents]
        tangents = [builder.input(v.type, v.name) for v in back.inputs[len(pullback.inputs) :]]
        pulled = inline(builder, back, [*known, *anywhere, *tangents])
        found = iter(pulled[len(pullback.outputs) :])
        results = [next(found) if v.type.inexact else read(zero_tangent(v)) for v in outputs]
        transposed = builder.build(results, f"{pullback.name}_transposed")
    return run_pipeline(transposed, FINAL)[0]


@at_point
def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return f(*primals) and its pullback, from a cotangent to a tuple of gradients.

    The gradients of integer and static arguments are None. With `has_aux`, `f` returns
    (value, aux), and the result is (value, pullback, aux).

    >>> import numpy as np
    >>> y, pullback = vjp(np.multiply, 2.0, 3.0)
    >>> pullback(1.0)
    (np.float64(3.0), np.float64(2.0))
    """
    subject_function = as_function(f)

    def forward(*args: Any) -> Any:
        subject = trace_subject(subject_function, args, {})
        graph = subject.graph
        structure = _first_of_pair(subject) if has_aux else subject.trace.result
        kept = sum(place < count(structure) for place in subject.places)
        by = _differentiable_leaves(subject)
        differentiated = Graph(graph.inputs, graph.nodes, graph.outputs[:kept], graph.name)
        inputs = [subject.inputs[leaf] for leaf in by]
        joint, _ = run_pipeline(vjp_graph(differentiated, inputs), FINAL)
        first, second = split(joint, len(subject.values), kept)
        values = emit(first, subject.values)
        seeds = [i for i, v in enumerate(graph.outputs[:kept]) if v.type.inexact]
        linear = Linear(
            second,
            structure,
            tuple(subject.places[i] for i in seeds),
            tuple(graph.outputs[i].type for i in seeds),
            flatten(subject.args)[1],
            by,
            subject.name,
            "cotangent",
        )
        y = subject.result(emit(graph, subject.values))
        return y, tuple(map(tracer, values[kept:])), Static.of(linear)

    name = "vjp_aux" if has_aux else "vjp"
    y, residuals, plan = remembered(subject_function, name, forward)(*primals)

    def pullback(cotangent: Any) -> Any:
        linear = _unwrapped(plan)
        return apply_linear(Static.of(linear), residuals, _seeds_of(linear, cotangent))

    return (y[0], pullback, y[1]) if has_aux else (y, pullback)


def _first_of_pair(subject: Subject) -> Structure:
    result = subject.trace.result
    if not isinstance(result, Branch) or len(result.children) != 2:
        raise DerivativeError(
            message(f"{subject.name} must return (value, aux) when has_aux is given")
        )
    return result.children[0]
