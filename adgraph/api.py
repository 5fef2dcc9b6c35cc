"""The public functions: `trace`, and the derivatives of traced functions.

A `Function` is what `@trace` returns. Every derivative of it is a `Function` again: a Python
function that traces its subject, transforms the graph and emits the result, so derivatives nest
without limit and compile like any other program. Signatures are JAX's.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.analysis.cost import graph_cost
from adgraph.errors import DerivativeError, ShapeError, TracingError, message
from adgraph.ir.builder import inline
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.constant import stop_gradient as stop_gradient_op
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.dispatch import Dispatcher, Options, argument_names, resolve_static
from adgraph.runtime.explain import Explanation, explain_entry
from adgraph.schedule.budget import parse_bytes
from adgraph.timeline import Chart, draw_timeline, timeline_points
from adgraph.tracing.hooks import rewritten
from adgraph.tracing.trace import Abstract, Static, Trace, abstract, trace_function
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
    building,
    current,
    read,
    tracer,
    tracing,
)
from adgraph.tracing.tree import Branch, Leaf, Structure, flatten, matched, register_leaf, unflatten
from adgraph.tracing.tree import count as _leaf_count
from adgraph.transforms.batch import batch
from adgraph.transforms.jvp import jvp as jvp_graph
from adgraph.transforms.split import split
from adgraph.transforms.vjp import vjp as vjp_graph

Argnums = int | Sequence[int]
PLAIN = Options()


class Function:
    """A NumPy function that runs as compiled programs, one per signature of its arguments.

    >>> @trace
    ... def f(x):
    ...     return np.sum(x**2)
    >>> f(np.array([1.0, 2.0]))
    np.float64(5.0)
    >>> f.grad(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    def __init__(self, function: Callable[..., Any], options: Options = PLAIN) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._dispatch = Dispatcher(function, options)
        self.derived: dict[str, Function] = {}

    @property
    def options(self) -> Options:
        """What `@trace` was given."""
        return self._dispatch.options

    def __repr__(self) -> str:
        return f"<traced {getattr(self._function, '__name__', 'function')}>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a traced method."""
        return self if instance is None else Bound(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments; inside another trace, become part of it."""
        if tracing():
            return rewritten(self._function)(*args, **kwargs)
        return self._dispatch(args, kwargs)

    # --- seeing the program -------------------------------------------------------------------

    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """Return the program for these arguments (arrays, or `ArrayType`s) as a graph."""
        return self._dispatch.entry(args, kwargs).graph

    def kernels(self, *args: Any, **kwargs: Any) -> Graph:
        """Return the program after fusion: every `fused` node is one kernel."""
        return self._dispatch.entry(args, kwargs).compiled.program.graph

    def source(self, *args: Any, **kwargs: Any) -> str:
        """Return the source of the kernels for these arguments."""
        return self._dispatch.entry(args, kwargs).compiled.program.source()

    def timeline(self, *args: Any, **kwargs: Any) -> Chart:
        """Return a chart of the bytes alive in the course of the program."""
        entry = self._dispatch.entry(args, kwargs)
        budget = self.options.memory_budget
        return draw_timeline(
            timeline_points(entry.compiled.program.schedule),
            None if budget is None else parse_bytes(budget),
            f"memory of {entry.trace.graph.name}",
        )

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Return what the program for these arguments costs and how it was made."""
        return explain_entry(self._dispatch.entry(args, kwargs))

    # --- derivatives ---------------------------------------------------------------------------

    @functools.cached_property
    def grad(self) -> Function:
        """The gradient by the first argument: see `adgraph.grad`."""
        return grad(self)

    @functools.cached_property
    def value_and_grad(self) -> Function:
        """The value and the gradient: see `adgraph.value_and_grad`."""
        return value_and_grad(self)

    @functools.cached_property
    def jacobian(self) -> Function:
        """The Jacobian by the cheaper mode: see `adgraph.jacobian`."""
        return jacobian(self)

    @functools.cached_property
    def jacfwd(self) -> Function:
        """The Jacobian by forward mode: see `adgraph.jacfwd`."""
        return jacfwd(self)

    @functools.cached_property
    def jacrev(self) -> Function:
        """The Jacobian by reverse mode: see `adgraph.jacrev`."""
        return jacrev(self)

    @functools.cached_property
    def hessian(self) -> Function:
        """The matrix of second derivatives: see `adgraph.hessian`."""
        return hessian(self)

    @functools.cached_property
    def hvp(self) -> Function:
        """The product of Hessian and vector: see `adgraph.hvp`."""
        return hvp(self)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """Return the value and its directional derivative: see `adgraph.jvp`."""
        return jvp(self, primals, tangents)

    def vjp(self, *primals: Any, has_aux: bool = False) -> Any:
        """Return the value and its pullback: see `adgraph.vjp`."""
        return vjp(self, *primals, has_aux=has_aux)

    def linearize(self, *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value and its pushforward: see `adgraph.linearize`."""
        return linearize(self, *primals)


class Bound:
    """A traced method of an instance; its derivatives are by the arguments behind the instance.

    The instance is an argument of the program: of a pytree, such as a dataclass, the arrays are
    inputs; any other is static, and its attributes are read when the program is traced.

    >>> class Spring:
    ...     stiffness = 3.0
    ...     @trace
    ...     def energy(self, x):
    ...         return 0.5 * self.stiffness * x**2
    >>> Spring().energy.grad(2.0)
    np.float64(6.0)
    """

    def __init__(self, function: Function, instance: Any) -> None:
        self._function = function
        self._instance = instance

    def __repr__(self) -> str:
        return f"<{self._function!r} of {self._instance!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method."""
        return self._function(self._instance, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        function = self._function
        if name in ("graph", "kernels", "source", "explain"):
            return functools.partial(getattr(function, name), self._instance)
        if name in _BY_ARGUMENT:
            key = f"{name} of method"
            if key not in function.derived:
                function.derived[key] = _BY_ARGUMENT[name](function, 1)
            return Bound(function.derived[key], self._instance)
        if name in _OF_FUNCTION:
            return functools.partial(_OF_FUNCTION[name], self)
        raise AttributeError(f"a traced method has no attribute {name!r}")


def trace(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: Argnums = (),
    static_argnames: str | Sequence[str] = (),
    memory_budget: str | int | None = None,
) -> Any:
    """Compile a NumPy function; it is called as before.

    Use it bare or with options. Arguments are pytrees of arrays and numbers; strings, bools and
    what `static_argnums` or `static_argnames` mark are static: part of the program.
    Arrays that the function reads from globals, closures or attributes are constants of the
    program: pass what changes as an argument.
    `memory_budget`, in bytes or such as "64MB", bounds the peak of every program, of derivatives
    too: what does not fit is computed again when it is needed.

    >>> @trace(static_argnames="n")
    ... def power_sum(x, n):
    ...     return np.sum(x**n)
    >>> power_sum(np.array([1.0, 2.0]), 3)
    np.float64(9.0)
    """
    if function is None:
        return functools.partial(
            trace,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            memory_budget=memory_budget,
        )
    if not callable(function):
        raise TracingError(message(f"trace takes a function, found a {type(function).__name__}"))
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    static = resolve_static(function, _numbers(static_argnums), names)
    budget = None if memory_budget is None else parse_bytes(memory_budget)
    return Function(function, Options(*static, budget))


def _numbers(argnums: Argnums) -> tuple[int, ...]:
    numbers: Sequence[Any] = argnums if isinstance(argnums, Sequence) else (argnums,)
    for n in numbers:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
            raise TracingError(
                message(
                    f"{n!r} is no position of an argument",
                    "arguments are named by an int, or a tuple of ints",
                )
            )
    return tuple(map(int, numbers))


def _as_function(f: Callable[..., Any]) -> Function:
    return f if isinstance(f, Function) else Function(f)


# --- a function traced inside another trace ------------------------------------------------------


@dataclass(frozen=True)
class _Subject:
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


def _subject(f: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Subject:
    """Trace a function on tracers (and arrays) of the trace under way."""
    dispatch = f._dispatch
    marked = dispatch.mark_static(args, kwargs)
    leaves, structure = flatten(marked)
    names = argument_names(dispatch.parameters, structure)
    described = [abstract(x, n) for x, n in zip(leaves, names, strict=True)]
    positions = [i for i, d in enumerate(described) if isinstance(d, Abstract)]
    traced = trace_function(
        f._function, structure, described, [names[i] for i in positions], nested=True
    )
    values = tuple(read(as_tracer(leaves[i])) for i in positions)
    captured = tuple(map(current().capture, traced.captured))
    kept = len(traced.weak)
    pruned = Graph(
        traced.graph.inputs, traced.graph.nodes, traced.graph.outputs[:kept], traced.graph.name
    )
    graph, _ = run_pipeline(pruned, CANONICAL)
    return _Subject(
        getattr(f._function, "__name__", "the function"),
        traced,
        graph,
        marked[0],
        names,
        {leaf: i for i, leaf in enumerate(positions)},
        values + captured,
    )


@dataclass(frozen=True)
class _Active:
    """The leaves a derivative is taken by, and how its result is put together."""

    inputs: tuple[int, ...]
    structures: tuple[Structure, ...]
    single: bool

    def assemble(self, gradients: Sequence[Any]) -> Any:
        """Put one result per active leaf into the structure of the arguments."""
        rest = iter(gradients)
        trees = tuple(
            unflatten(s, list(itertools.islice(rest, _leaf_count(s)))) for s in self.structures
        )
        return trees[0] if self.single else trees


def _active(subject: _Subject, argnums: Argnums) -> _Active:
    """Find the leaves of the arguments that `argnums` names."""
    args = subject.args
    numbers = []
    for n in _numbers(argnums):
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
    return _Active(tuple(inputs), tuple(structures), isinstance(argnums, int))


def _active_input(subject: _Subject, leaf: int) -> int:
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


def _emit(graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    return list(inline(current(), graph, inputs))


def _derivative(
    f: Function,
    name: str,
    function: Callable[..., Any],
    parameters: tuple[str, ...] = (),
    static: tuple[int, ...] = (),
) -> Function:
    """Wrap a derivative as a traced function with the options of its subject.

    `parameters` and the numbers of the static ones are given if they are not those of the subject.
    """
    base = getattr(f._function, "__name__", "function")
    function.__name__ = f"{name}_{base}"
    function.__qualname__ = function.__name__
    function.__doc__ = f"The {name} of {base}."
    function.__module__ = getattr(f._function, "__module__", __name__)
    options = replace(f.options, static_argnums=static) if parameters else f.options
    derived = Function(function, options)
    derived._dispatch.parameters = parameters or f._dispatch.parameters
    return derived


# --- gradients -----------------------------------------------------------------------------------


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """Make a function that returns the value and the gradient of a scalar function.

    The gradient has the structure of the arguments that `argnums` names. With `has_aux`, `f`
    returns (value, anything else), and so does the result: ((value, aux), gradient).

    >>> value_and_grad(lambda x: np.sum(np.sin(x)))(np.zeros(2))
    (np.float64(0.0), array([1., 1.]))
    """
    subject_function = _as_function(f)

    def function(*args: Any, **kwargs: Any) -> Any:
        subject = _subject(subject_function, args, kwargs)
        active = _active(subject, argnums)
        graph = _scalar_first(subject, has_aux)
        joint = vjp_graph(graph, active.inputs, unit_seed=True)
        values = _emit(joint, subject.values)
        gradient = active.assemble([tracer(v) for v in values[1:]])
        if not has_aux:
            return subject.result(values[:1]), gradient
        aux = _emit(subject.graph, subject.values)
        return subject.result(aux), gradient

    return _derivative(subject_function, "value_and_grad", function)


def _scalar_first(subject: _Subject, has_aux: bool) -> Graph:
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

    return _derivative(_as_function(f), "grad", function)


# --- forward mode --------------------------------------------------------------------------------


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(*primals) and its derivative in the direction of the tangents.

    >>> jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise DerivativeError(
            message("jvp takes tuples of primals and tangents", "", "jvp(f, (x,), (dx,))")
        )
    subject = _as_function(f)
    marked = (subject._dispatch.mark_static(tuple(x), {})[0] for x in (primals, tangents))
    result: tuple[Any, Any] = _jvp_function(subject)(*marked)
    return result


def _jvp_function(f: Function) -> Function:
    """The function (primals, tangents) -> (value, tangent), one per subject."""

    def function(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        subject = _subject(f, primals, {})
        pushed = _paired(subject, f._dispatch.mark_static(tangents, {})[0])
        graph = jvp_graph(subject.graph, [i for i, _ in pushed])
        values = _emit(graph, [*subject.values, *(v for _, v in pushed)])
        count = subject.outputs
        return subject.result(values[:count]), subject.strong(values[count:])

    return _remembered(f, "jvp", function, ("primals", "tangents"))


def _paired(subject: _Subject, tangents: Any) -> list[tuple[int, Value]]:
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
    for leaf in _inexact_leaves(subject):
        at = subject.inputs[leaf]
        type = subject.graph.inputs[at].type
        _check_seed(given[leaf], type, subject.name, "tangent")
        pairs.append((at, read(as_tracer(given[leaf], type.dtype))))
    return pairs


def _check_seed(seed: Any, type: ArrayType, name: str, what: str) -> None:
    found = type_of(seed)
    if found.shape != type.shape or found.dtype.kind not in "biuf":
        raise ShapeError(
            message(
                f"a {what} of {name} is {found}, what it belongs to is {type}",
                f"a {what} has the shape of its primal",
            )
        )


# --- residuals: the primal once, its derivative many times ---------------------------------------


@dataclass(frozen=True)
class _Linear:
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


register_leaf(_Linear)


def _apply_linear(linear: Any, residuals: tuple[Any, ...], seeds: tuple[Any, ...]) -> Any:
    """Run the second half of a split derivative."""
    plan: _Linear = linear.value if isinstance(linear, Static) else linear
    values = [read(as_tracer(x)) for x in residuals]
    values += [read(as_tracer(s, t.dtype)) for s, t in zip(seeds, plan.types, strict=True)]
    outputs = [tracer(v) for v in _emit(plan.graph, values)]
    leaves: list[Any] = [None] * _leaf_count(plan.result)
    for place, output in zip(plan.places, outputs, strict=True):
        leaves[place] = output
    return unflatten(plan.result, leaves)


_apply = Function(_apply_linear)


def _seeds_of(plan: _Linear, seeds: Any) -> tuple[Any, ...]:
    """Match cotangents or tangents with the seeds of a split derivative."""
    leaves = matched(seeds, plan.structure)
    if leaves is None:
        raise DerivativeError(
            message(
                f"the {plan.what} of {plan.name} does not have the structure of its "
                f"{'result' if plan.what == 'cotangent' else 'arguments'}",
                f"found {len(flatten(seeds)[0])} arrays for {_leaf_count(plan.structure)}",
                "pass the same nesting of tuples, lists and dicts",
            )
        )
    chosen = tuple(leaves[i] for i in plan.seeds)
    for seed, type in zip(chosen, plan.types, strict=True):
        _check_seed(seed, type, plan.name, plan.what)
    return chosen


def _unwrapped(plan: Any) -> _Linear:
    linear: _Linear = plan.value if isinstance(plan, Static) else plan
    return linear


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return f(*primals) and the linear function from tangents to the result's tangent.

    The primal program runs once; each call of the linear function runs only what is left.

    >>> y, push = linearize(np.sin, 0.0)
    >>> push(3.0)
    np.float64(3.0)
    """
    subject_function = _as_function(f)

    def forward(*args: Any) -> Any:
        subject = _subject(subject_function, args, {})
        seeds = _inexact_leaves(subject)
        inputs = [subject.inputs[leaf] for leaf in seeds]
        joint, _ = run_pipeline(jvp_graph(subject.graph, inputs), FINAL)
        first, second = split(joint, len(subject.values), subject.outputs)
        values = _emit(first, subject.values)
        linear = _Linear(
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

    y, residuals, plan = _remembered(subject_function, "linearize", forward)(*primals)

    def push(*tangents: Any) -> Any:
        linear = _unwrapped(plan)
        marked, _ = subject_function._dispatch.mark_static(tangents, {})
        return _apply(Static.of(linear), residuals, _seeds_of(linear, marked))

    return y, push


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return f(*primals) and its pullback, from a cotangent to a tuple of gradients.

    The gradients of integer and static arguments are None. With `has_aux`, `f` returns
    (value, aux), and the result is (value, pullback, aux).

    >>> y, pullback = vjp(np.multiply, 2.0, 3.0)
    >>> pullback(1.0)
    (np.float64(3.0), np.float64(2.0))
    """
    subject_function = _as_function(f)

    def forward(*args: Any) -> Any:
        subject = _subject(subject_function, args, {})
        graph = subject.graph
        structure = _first_of_pair(subject) if has_aux else subject.trace.result
        kept = sum(place < _leaf_count(structure) for place in subject.places)
        by = _inexact_leaves(subject)
        differentiated = Graph(graph.inputs, graph.nodes, graph.outputs[:kept], graph.name)
        inputs = [subject.inputs[leaf] for leaf in by]
        joint, _ = run_pipeline(vjp_graph(differentiated, inputs), FINAL)
        first, second = split(joint, len(subject.values), kept)
        values = _emit(first, subject.values)
        seeds = [i for i, v in enumerate(graph.outputs[:kept]) if v.type.inexact]
        linear = _Linear(
            second,
            structure,
            tuple(subject.places[i] for i in seeds),
            tuple(graph.outputs[i].type for i in seeds),
            flatten(subject.args)[1],
            by,
            subject.name,
            "cotangent",
        )
        y = subject.result(_emit(graph, subject.values))
        return y, tuple(map(tracer, values[kept:])), Static.of(linear)

    name = "vjp_aux" if has_aux else "vjp"
    y, residuals, plan = _remembered(subject_function, name, forward)(*primals)

    def pullback(cotangent: Any) -> Any:
        linear = _unwrapped(plan)
        return _apply(Static.of(linear), residuals, _seeds_of(linear, cotangent))

    return (y[0], pullback, y[1]) if has_aux else (y, pullback)


def _inexact_leaves(subject: _Subject) -> tuple[int, ...]:
    """The leaves of the arguments that have derivatives."""
    inputs = subject.graph.inputs
    return tuple(leaf for leaf, i in subject.inputs.items() if inputs[i].type.inexact)


def _first_of_pair(subject: _Subject) -> Structure:
    result = subject.trace.result
    if not isinstance(result, Branch) or len(result.children) != 2:
        raise DerivativeError(
            message(f"{subject.name} must return (value, aux) when has_aux is given")
        )
    return result.children[0]


def _remembered(
    f: Function, name: str, function: Callable[..., Any], parameters: tuple[str, ...] = ()
) -> Function:
    """Return the derivative function kept with its subject, made on first use."""
    if name not in f.derived:
        f.derived[name] = _derivative(f, name, function, parameters)
    return f.derived[name]


# --- Jacobians and Hessians ----------------------------------------------------------------------


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
    subject_function = _as_function(f)

    def function(*args: Any, **kwargs: Any) -> Any:
        subject = _subject(subject_function, args, kwargs)
        active = _active(subject, argnums)
        blocks = _blocks(subject, active, mode)
        rows = [active.assemble(row) for row in blocks]
        return _nest(subject.trace, rows)

    return _derivative(subject_function, "jacobian", function)


def jacfwd(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the Jacobian by forward mode: see `jacobian`."""
    return jacobian(f, argnums, "fwd")


def jacrev(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the Jacobian by reverse mode: see `jacobian`."""
    return jacobian(f, argnums, "rev")


def _nest(trace: Trace, rows: list[Any]) -> Any:
    """Put one tree of Jacobians for every result where the result stands."""
    places = trace.places
    leaves: list[Any] = [None] * _leaf_count(trace.result)
    for place, row in zip(places, rows, strict=True):
        leaves[place] = row
    return unflatten(trace.result, leaves)


def _blocks(subject: _Subject, active: _Active, mode: str) -> list[list[Any]]:
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
    program = _passes(graph, active.inputs, mode)
    values = [tracer(v) for v in _emit(program, subject.values)]
    rows = [v.type for v in graph.outputs]
    columns = [graph.inputs[i].type for i in active.inputs]
    return _cut(values, rows, columns, mode)


def _cheaper_mode(subject: _Subject, active: _Active, n: int, m: int) -> str:
    """Compare the programs of both modes by their cost."""
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
    """Return the graph of all passes of one mode: their results have the pass as first axis."""
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
    return _seeded(batch(pruned, total, flags), len(graph.inputs), seeded)


def _seeded(graph: Graph, primals: int, types: list[ArrayType]) -> Graph:
    """Bind the seeds of a batched derivative to the rows of the unit matrix."""
    with building() as builder:
        values = [builder.input(v.type, v.name) for v in graph.inputs[:primals]]
        total = sum(t.size for t in types)
        first = 0
        for t in types:
            rows = np.eye(total, t.size, -first, dtype=t.dtype)
            values.append(read(as_tracer(rows.reshape(total, *t.shape))))
            first += t.size
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


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Function:
    """Make a function that returns the matrix of second derivatives of a scalar function.

    Forward mode over reverse mode: one forward pass of the gradient for each element.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    subject_function = _as_function(f)
    second = jacobian(grad(subject_function, argnums), argnums, "fwd")
    return _derivative(subject_function, "hessian", lambda *args, **kwargs: second(*args, **kwargs))


def hvp(f: Callable[..., Any], argnums: int = 0) -> Function:
    """Make a function (x, v) -> H v, the product of Hessian and vector, without the Hessian.

    Further arguments of `f` follow `v`.

    >>> hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    subject_function = _as_function(f)
    parameters = subject_function._dispatch.parameters
    at = argnums + len(parameters) if argnums < 0 else argnums
    gradient = grad(subject_function, at)

    def function(x: Any, v: Any, *rest: Any, **kwargs: Any) -> Any:
        def of_x(y: Any) -> Any:
            return gradient(*rest[:at], y, *rest[at:], **kwargs)

        return jvp(of_x, (x,), (v,))[1]

    others = (name for i, name in enumerate(parameters) if i != at)
    numbers = subject_function.options.static_argnums
    static = tuple(n + 2 if n < at else n + 1 for n in numbers)
    return _derivative(subject_function, "hvp", function, ("x", "v", *others), static)


# --- marks ---------------------------------------------------------------------------------------


def stop_gradient(x: Any) -> Any:
    """Return x (an array or a pytree) as a constant for derivatives.

    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, structure = flatten(x)
    stopped = [stop_gradient_op(leaf) if isinstance(leaf, Tracer) else leaf for leaf in leaves]
    return unflatten(structure, stopped)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function whose intermediate values the backward pass computes again.

    Nothing made inside is kept between the forward and the backward pass. Results are the same up
    to rounding: a region is fused into kernels of its own. Use it as a decorator or on a part:
    `checkpoint(layer)(w, x)`.

    >>> layer = checkpoint(lambda x: np.tanh(np.sin(x)))
    >>> grad(lambda x: layer(x))(0.0)
    np.float64(1.0)
    """
    inner = f._function if isinstance(f, Function) else f

    @functools.wraps(inner)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return f(*args, **kwargs)
        builder = current()
        before = builder.scope
        name = getattr(inner, "__name__", "f").strip("<>")
        scope = f"{name}.{next(builder.scopes)}"
        builder.scope = f"{before}/{scope}" if before else scope
        try:
            return rewritten(inner)(*args, **kwargs)
        finally:
            builder.scope = before

    return checkpointed


# --- methods -------------------------------------------------------------------------------------

_BY_ARGUMENT: dict[str, Callable[..., Function]] = {
    "grad": grad,
    "value_and_grad": value_and_grad,
    "jacobian": jacobian,
    "jacfwd": jacfwd,
    "jacrev": jacrev,
    "hessian": hessian,
}
_OF_FUNCTION: dict[str, Callable[..., Any]] = {"jvp": jvp, "vjp": vjp, "linearize": linearize}
