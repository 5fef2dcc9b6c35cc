"""Programs with loops and branches, built by functions of tracers, and unrolled ones as oracles.

`fori`, `cond_of` and `whiled` capture what their bodies use of the program around. `unroll(graph)`
replaces every `loop` by its body, once for each trip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.analysis.programs import constants
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Value
from adgraph.ir.substitute import resolve, substitute_all
from adgraph.ir.types import ArrayType, Slice
from adgraph.ops.control import cond, counted, index, loop, loop_symbol, while_
from adgraph.ops.shape import add_at, getitem, update
from adgraph.tracing.frames import building, current
from adgraph.tracing.tracer import as_tracer, read, tracer

F8 = np.dtype(float)


def array(*shape: Dim) -> ArrayType:
    """Return the type of a float64 array."""
    return ArrayType(F8, shape)


def program(types: Sequence[ArrayType], function: Callable[..., Any]) -> Graph:
    """Trace a function of tracers of the given types."""
    with building() as builder:
        results = function(*(tracer(builder.input(t)) for t in types))
        results = results if isinstance(results, tuple) else (results,)
        return builder.build([read(as_tracer(r)) for r in results])


def _region(types: Sequence[ArrayType], function: Callable[..., Any]) -> tuple[Graph, list[Value]]:
    """Trace a body; what it captures comes first among its inputs."""
    with building(nested=True) as builder:
        inputs = [builder.input(t) for t in types]
        results = function(*map(tracer, inputs))
        results = results if isinstance(results, tuple) else (results,)
        graph = builder.build([read(as_tracer(r)) for r in results], "body")
        captured = list(builder.captures)
        first = tuple(builder.captures.values())
        return replace(graph, inputs=(*first, *inputs)), captured


def _tuple(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def fori(
    start: Dim, stop: Dim, step: int, state: Sequence[Any], function: Callable[..., Any]
) -> tuple[Any, ...]:
    """Emit a loop: function(index, *state) -> state."""
    trips = (stop - start) // step if abs(step) == 1 else len(range(start, stop, step))
    symbol = loop_symbol("i", start, trips, step)
    carried = [as_tracer(s) for s in state]
    body, captured = _region(
        [s.type for s in carried], lambda *xs: function(symbol_dim(symbol), *xs)
    )
    fixed = [tracer(v) for v in captured]
    return _tuple(
        loop(
            *fixed,
            *carried,
            body=body,
            symbol=symbol,
            start=start,
            trips=trips,
            step=step,
            constants=len(fixed),
        )
    )


def counted_by(trips: Any, state: Sequence[Any], function: Callable[..., Any]) -> tuple[Any, ...]:
    """Emit a loop with a number of trips that is computed."""
    symbol = Symbol("n", 0, None)
    carried = [as_tracer(s) for s in state]
    body, captured = _region(
        [s.type for s in carried], lambda *xs: function(symbol_dim(symbol), *xs)
    )
    fixed = [tracer(v) for v in captured]
    attrs = {"body": body, "symbol": symbol, "constants": len(fixed)}
    return _tuple(counted(trips, *fixed, *carried, **attrs, reverse=False, capacity=None))


def whiled(
    state: Sequence[Any], test: Callable[..., Any], function: Callable[..., Any]
) -> tuple[Any, ...]:
    """Emit a while loop: function(*state) -> state as long as test(*state)."""
    symbol = Symbol("w", 0, None)
    carried = [as_tracer(s) for s in state]
    types = [s.type for s in carried]
    body, by_body = _region(types, function)
    asked, by_test = _region(types, test)
    captured = list(dict.fromkeys((*by_body, *by_test)))
    body, asked = (
        _with_inputs(g, found, captured) for g, found in ((body, by_body), (asked, by_test))
    )
    fixed = [tracer(v) for v in captured]
    attrs = {"body": body, "test": asked, "symbol": symbol, "constants": len(fixed)}
    return _tuple(while_(*fixed, *carried, **attrs, capacity=None))


def _with_inputs(graph: Graph, found: Sequence[Value], wanted: Sequence[Value]) -> Graph:
    """Give a region's constants another order, with some that it does not read."""
    has = dict(zip(found, graph.inputs, strict=False))
    fixed = tuple(has.get(v) or Value(v.type) for v in wanted)
    return replace(graph, inputs=(*fixed, *graph.inputs[len(found) :]))


def cond_of(
    predicate: Any,
    state: Sequence[Any],
    then: Callable[..., Any],
    orelse: Callable[..., Any],
) -> tuple[Any, ...]:
    """Emit a branch: then(*state) or orelse(*state)."""
    given = [as_tracer(s) for s in state]
    types = [s.type for s in given]
    first, by_first = _region(types, then)
    second, by_second = _region(types, orelse)
    captured = list(dict.fromkeys((*by_first, *by_second)))
    first, second = (
        _with_inputs(g, found, captured) for g, found in ((first, by_first), (second, by_second))
    )
    return _tuple(cond(predicate, *map(tracer, captured), *given, then=first, orelse=second))


def number(dim: Dim) -> Any:
    """Return the value of an index as a tracer."""
    return index(dim=dim) if isinstance(dim, int) else _index(dim)


def _index(dim: Dim) -> Any:
    return tracer(current().emit(index, (), {"dim": dim})[0])


def get(x: Any, *at: Any) -> Any:
    """Read x[at]: dims, or (start, size) and (start, size, step) for slices."""
    return getitem(x, index=tuple(map(_item, at)))


def put_at(x: Any, v: Any, *at: Any) -> Any:
    """Return x with x[at] = v."""
    return update(x, as_tracer(v), index=tuple(map(_item, at)))


def add_to(x: Any, v: Any, *at: Any) -> Any:
    """Return x with x[at] += v."""
    return add_at(x, as_tracer(v), index=tuple(map(_item, at)))


def _item(at: Any) -> Any:
    if not isinstance(at, tuple):
        return at
    start, size, *step = at
    return Slice(start, size, step[0] if step else 1)


# --- unrolling ------------------------------------------------------------------------------------


def unroll(graph: Graph) -> Graph:
    """Return a graph without `loop` nodes; bounds of the outermost loops must be plain numbers."""
    builder = Builder()
    env = {v: builder.input(v.type, v.name) for v in graph.inputs}
    _unroll_into(builder, graph, env)
    return builder.build([env[v] for v in graph.outputs], f"{graph.name}_unrolled")


def _unroll_into(builder: Builder, graph: Graph, env: dict[Value, Value]) -> None:
    for node in graph.nodes:
        if node.op is not loop:
            copy_node(builder, node, env)
            continue
        attrs = node.attrs
        fixed = [env[v] for v in node.inputs[: constants(node)]]
        carried = [env[v] for v in node.inputs[constants(node) :]]
        for trip in range(attrs["trips"]):
            body = _at(attrs["body"], {attrs["symbol"]: attrs["start"] + trip * attrs["step"]})
            inside = dict(zip(body.inputs, (*fixed, *carried), strict=True))
            _unroll_into(builder, body, inside)
            carried = [inside[v] for v in body.outputs]
        env.update(zip(node.outputs, carried, strict=True))


def _at(body: Graph, values: dict[Symbol, int]) -> Graph:
    """Return a body for one trip; empty boxes must be in the form of plain numbers."""
    body = substitute_all(body, values)
    return replace(body, nodes=tuple(map(_resolved, body.nodes)))


def _resolved(node: Any) -> Any:
    return replace(node, attrs=resolve(node.attrs, {})) if not node.symbolic else node
