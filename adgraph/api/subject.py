"""The subject of a derivative: a function traced inside the trace of its derivative.

`trace_subject` records it and takes its arguments apart, `active_leaves` finds what the derivative
is taken by, `derivative` wraps the derivative as a traced function. Begin with `Subject`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adgraph.api.function import Argnums, Function, positions
from adgraph.errors import DerivativeError, ShapeError, message
from adgraph.ir.builder import inline
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import type_of
from adgraph.ir.types import ArrayType
from adgraph.passes.pipeline import CANONICAL, run_pipeline
from adgraph.runtime.dispatch import argument_names
from adgraph.tracing.frames import current
from adgraph.tracing.trace import Abstract, Trace, abstract, trace_function
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.tracing.tree import Structure, count, flatten, unflatten


@dataclass(frozen=True)
class Subject:
    """A function traced on the arguments of a derivative, and those arguments as values.

    `args` are the positional arguments, the static ones marked; `inputs` tells for every leaf of
    them, and of the keyword arguments behind, which input of the graph it is.
    """

    name: str
    trace: Trace
    graph: Graph
    args: tuple[Any, ...]
    names: tuple[str, ...]
    inputs: dict[int, int]
    values: tuple[Value, ...]

    @property
    def outputs(self) -> int:
        """The number of results; written arguments come behind them."""
        return len(self.trace.weak)

    @property
    def places(self) -> tuple[int, ...]:
        """The positions of the results among the leaves of their structure."""
        return self.trace.places

    def result(self, values: Sequence[Value]) -> Any:
        """Put values in the structure of the results."""
        arrays = [tracer(v, w) for v, w in zip(values, self.trace.weak, strict=True)]
        return unflatten(self.trace.result, self.trace.with_static(arrays))

    def strong(self, values: Sequence[Value]) -> Any:
        """Put derivatives there: they are arrays and NumPy scalars, never Python numbers."""
        return unflatten(self.trace.result, self.trace.with_static(list(map(tracer, values))))


def trace_subject(f: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Subject:
    """Trace a function on tracers (and arrays) of the trace under way."""
    dispatch = f.dispatch
    marked = dispatch.mark_static(args, kwargs)
    leaves, structure = flatten(marked)
    names = argument_names(dispatch.parameters, structure)
    described = [abstract(x, n) for x, n in zip(leaves, names, strict=True)]
    array_leaves = [i for i, d in enumerate(described) if isinstance(d, Abstract)]
    traced = trace_function(
        f.function, structure, described, [names[i] for i in array_leaves], nested=True
    )
    values = tuple(read(as_tracer(leaves[i])) for i in array_leaves)
    current().separate.extend((values[i], values[j]) for i, j in traced.separate)
    captured = tuple(map(current().capture, traced.captured))
    kept = len(traced.weak)
    pruned = Graph(
        traced.graph.inputs, traced.graph.nodes, traced.graph.outputs[:kept], traced.graph.name
    )
    graph, _ = run_pipeline(pruned, CANONICAL)
    return Subject(
        getattr(f.function, "__name__", "the function"),
        traced,
        graph,
        marked[0],
        names,
        {leaf: i for i, leaf in enumerate(array_leaves)},
        values + captured,
    )


@dataclass(frozen=True)
class Active:
    """The leaves a derivative is taken by, and how its result is put together."""

    inputs: tuple[int, ...]
    structures: tuple[Structure, ...]
    single: bool

    def assemble(self, gradients: Sequence[Any]) -> Any:
        """Put one result per active leaf into the structure of the arguments."""
        rest = iter(gradients)
        trees = tuple(unflatten(s, list(itertools.islice(rest, count(s)))) for s in self.structures)
        return trees[0] if self.single else trees


def active_leaves(subject: Subject, argnums: Argnums) -> Active:
    """Find the leaves of the arguments that `argnums` names."""
    args = subject.args
    numbers = []
    for n in positions(argnums):
        if not -len(args) <= n < len(args):
            raise DerivativeError(
                message(
                    f"argnums names argument {n} of {subject.name}, which was called with "
                    f"{len(args)} positional arguments",
                    "derivatives are taken by positional arguments",
                )
            )
        numbers.append(n % len(args))
    first_leaf, inputs, structures = 0, [], []
    spans = {}
    for i, argument in enumerate(args):
        leaves, structure = flatten(argument)
        spans[i] = (first_leaf, len(leaves), structure)
        first_leaf += len(leaves)
    for n in numbers:
        start, length, structure = spans[n]
        structures.append(structure)
        inputs += [_active_input(subject, leaf) for leaf in range(start, start + length)]
    return Active(tuple(inputs), tuple(structures), isinstance(argnums, int))


def _active_input(subject: Subject, leaf: int) -> int:
    at = subject.inputs.get(leaf)
    if at is None or not subject.graph.inputs[at].type.inexact:
        found = "is static" if at is None else f"has type {subject.graph.inputs[at].type}"
        raise DerivativeError(
            message(
                f"cannot differentiate {subject.name} by {subject.names[leaf]}, which {found}",
                "a derivative is taken by real numbers",
                "pass a float (2.0, or x.astype(float)), or choose other arguments with argnums",
            )
        )
    return at


def emit(graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    """Emit a graph into the trace under way."""
    return list(inline(current(), graph, inputs))


def derivative(
    f: Function,
    name: str,
    function: Callable[..., Any],
    parameters: tuple[str, ...] = (),
    static: tuple[int, ...] = (),
) -> Function:
    """Wrap a derivative as a traced function with the options of its subject.

    `parameters` and the numbers of the static ones are given if they are not those of the subject.
    """
    base = getattr(f.function, "__name__", "function")
    function.__name__ = f"{name}_{base}"
    function.__qualname__ = function.__name__
    function.__doc__ = f"The {name} of {base}."
    function.__module__ = getattr(f.function, "__module__", __name__)
    options = replace(f.options, static_argnums=static) if parameters else f.options
    derived = Function(function, options)
    derived.dispatch.parameters = parameters or f.dispatch.parameters
    return derived


def inexact_leaves(subject: Subject) -> tuple[int, ...]:
    """The leaves of the arguments that have derivatives."""
    inputs = subject.graph.inputs
    return tuple(leaf for leaf, i in subject.inputs.items() if inputs[i].type.inexact)


def remembered(
    f: Function, name: str, function: Callable[..., Any], parameters: tuple[str, ...] = ()
) -> Function:
    """Return the derivative function kept with its subject, made on first use."""
    if name not in f.derived:
        f.derived[name] = derivative(f, name, function, parameters)
    return f.derived[name]


def check_seed(seed: Any, type: ArrayType, name: str, what: str) -> None:
    """Refuse a tangent or cotangent that has not the shape of its primal, or parts it has not."""
    found = type_of(seed)
    kinds = "biufc" if type.dtype.kind == "c" else "biuf"
    if found.shape != type.shape or found.dtype.kind not in kinds:
        raise ShapeError(
            message(
                f"a {what} of {name} is {found}, what it belongs to is {type}",
                f"a {what} has the shape of its primal",
            )
        )
