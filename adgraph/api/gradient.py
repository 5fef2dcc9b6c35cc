"""Gradients of scalar functions: reverse mode with a unit seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adgraph.api.function import Argnums, Function, as_function, by_argument
from adgraph.api.subject import Subject, active_leaves, derivative, emit, trace_subject
from adgraph.errors import DerivativeError, message
from adgraph.ir.graph import Graph
from adgraph.tracing.tracer import tracer
from adgraph.tracing.tree import Branch, Leaf, Structure
from adgraph.transforms.vjp import vjp as vjp_graph


@by_argument
def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """Make a function that returns the value and the gradient of a scalar function.

    The gradient has the structure of the arguments that `argnums` names. With `has_aux`, `f`
    returns (value, anything else), and so does the result: ((value, aux), gradient).

    >>> import numpy as np
    >>> value_and_grad(lambda x: np.sum(np.sin(x)))(np.zeros(2))
    (np.float64(0.0), array([1., 1.]))
    """
    subject_function = as_function(f)

    def function(*args: Any, **kwargs: Any) -> Any:
        subject = trace_subject(subject_function, args, kwargs)
        active = active_leaves(subject, argnums)
        graph = _scalar_first(subject, has_aux)
        joint = vjp_graph(graph, active.inputs, unit_seed=True)
        values = emit(joint, subject.values)
        gradient = active.assemble([tracer(v) for v in values[1:]])
        if not has_aux:
            return subject.result(values[:1]), gradient
        aux = emit(subject.graph, subject.values)
        return subject.result(aux), gradient

    return derivative(subject_function, "value_and_grad", function)


def _scalar_first(subject: Subject, has_aux: bool) -> Graph:
    """Return the graph with its scalar output alone, or explain that there is none."""
    graph = subject.graph
    if has_aux and not _is_pair(subject.trace.result):
        raise DerivativeError(
            message(f"{subject.name} must return (value, aux) when has_aux is given")
        )
    if not has_aux and subject.outputs != 1:
        raise DerivativeError(
            message(
                f"the gradient of {subject.name} needs one scalar result, it returns "
                f"{subject.outputs} arrays",
                "",
                "use jacobian or vjp, or has_aux=True for results that are not differentiated",
            )
        )
    first = graph.outputs[0]
    if first.type.shape or not first.type.inexact:
        raise DerivativeError(
            message(
                f"the gradient of {subject.name} needs a real scalar, its result is {first.type}",
                "a gradient is the derivative of one number",
                "sum it (np.sum), or use jacobian or vjp",
            )
        )
    return Graph(graph.inputs, graph.nodes, (first,), graph.name)


def _is_pair(structure: Structure) -> bool:
    return (
        isinstance(structure, Branch)
        and len(structure.children) == 2
        and isinstance(structure.children[0], Leaf)
    )


@by_argument
def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """Make a function that returns the gradient of a scalar function.

    >>> grad(lambda x: x**2 + 2 * x + 1)(2.0)
    np.float64(6.0)
    >>> grad(grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    def function(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return derivative(as_function(f), "grad", function)
