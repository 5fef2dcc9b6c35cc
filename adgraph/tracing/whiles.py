"""Loops on a condition: a `while` node, a `loop` if the trips can be counted, or unrolled.

The body is traced as that of a loop of unknown length, then the test on what the body carries. If
the test asks only integers that grow by a constant in every trip, counting gives the number of
trips. Where Python can decide the test and the body cannot be captured, the loop unrolls. Begin
with `run_while`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.errors import AdgraphError, TracingError, message
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Value
from adgraph.ir.substitute import symbols_of
from adgraph.ops import control
from adgraph.tracing import entries as how
from adgraph.tracing import loops
from adgraph.tracing.branches import as_bool, decided, predicate
from adgraph.tracing.entries import Exchange, Key, Peel, Trip
from adgraph.tracing.frames import (
    Frame,
    Part,
    Uncapturable,
    cell_input,
    constants_of,
    current,
    inside,
    new_region,
    origin,
    read_cell,
    serials,
    uncapturable,
    write_cell,
)
from adgraph.tracing.items import Items
from adgraph.tracing.loop_bodies import Captured, capture, initial_value, loop_symbol, program
from adgraph.tracing.loop_results import behind
from adgraph.tracing.purity import check_attempts
from adgraph.tracing.source import Variables
from adgraph.tracing.tracer import as_tracer, read, tracer

Thunk = Callable[[], Any]

# The trips of a loop on integers are counted up to this many.
COUNTED_TRIPS = 10_000


@dataclass(frozen=True)
class Test:
    """A traced test: the frame it is recorded in, its variables there, and its value."""

    frame: Frame
    trip: Trip
    value: Value


def run_while(test: Thunk, body: Thunk, variables: Variables) -> None:
    """Record `while test(): body()`."""
    born = next(serials)
    before = len(current().nodes)
    while True:
        asked = test()
        known = predicate(asked) is None
        if known and not decided(asked):
            return
        if not known:
            check_attempts("a while on a traced condition")
        entry = variables.get()
        try:
            trips = _endless()
            symbol = loop_symbol(trips)
            captured = capture(trips, symbol, lambda _: body(), variables, born)
            traced = _traced_test(test, captured, variables)
        except (Peel, Exchange, Uncapturable, Exception) as reason:
            error = _error(reason)
            variables.set(entry)
            if not known:
                raise uncapturable(error) if isinstance(error, AdgraphError) else error from None
        else:
            variables.set(entry)
            count = _counted(traced, symbol)
            if count is not None:
                counted = Items(0, count, 1, lambda trip: trip)
                loops.run(counted, lambda _: body(), variables)
                return
            _commit(captured, traced, variables)
            return
        body()
        if len(current().nodes) - before > loops.UNROLLED_NODES:
            raise uncapturable(error) if isinstance(error, AdgraphError) else error


def _endless() -> Items:
    return Items(0, None, 1, lambda trip: trip)


def _error(reason: BaseException) -> Exception:
    match reason:
        case Peel() | Uncapturable():
            return reason.error
        case Exchange():
            return TracingError(
                message(
                    "names exchange their arrays in a while loop",
                    "which name has which array behind it depends on the number of trips",
                    "copy in place of exchanging: a[...] = b",
                )
            )
        case _:
            assert isinstance(reason, Exception)
            return reason


def _traced_test(test: Thunk, captured: Captured, variables: Variables) -> Test:
    """Trace the test on what the body carries."""
    trip = replace(captured.trip, frame=new_region(Part.WHILE, variables.cells), inputs={})
    with inside(trip.frame):
        states = [how.enter(entry, trip) for entry in captured.entries]
        variables.set(map(how.begins, captured.entries, states))
        asked = test()
        if predicate(asked) is None and decided(asked):
            raise TracingError(message("the condition of a while loop stays true"))
        value = read(as_bool(asked))
    if trip.frame.journal:
        raise TracingError(message("the test of a while loop writes an array"))
    return Test(trip.frame, trip, value)


# --- counting -------------------------------------------------------------------------------------


def _counted(test: Test, symbol: Symbol) -> int | None:
    """Return how often the test is true, if it asks nothing but the number of trips."""
    graph = _needed(test)
    if graph is None or symbols_of(graph) - {symbol}:
        return None
    for trip in range(COUNTED_TRIPS):
        if not evaluate(graph, symbols={symbol: trip})[0]:
            return trip
    return None


def _needed(test: Test) -> Graph | None:
    """Return the nodes that the test needs, None if it needs an input."""
    needed = {test.value}
    nodes = []
    for node in reversed(test.frame.builder.nodes):
        if needed.intersection(node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    computed = {v for node in nodes for v in node.outputs}
    if not needed <= computed:
        return None
    return Graph((), tuple(reversed(nodes)), (test.value,), "test")


# --- the node -------------------------------------------------------------------------------------


def _commit(captured: Captured, test: Test, variables: Variables) -> None:
    """Record the node, and give names and arrays what they hold behind it."""
    body = captured.trip.frame
    cells = list(body.journal)
    keys = list(captured.ends)
    initial = [initial_value(key, captured) for key in keys] + [read_cell(c) for c in cells]
    constants, (inputs, asked) = constants_of([body, test.frame], cells)
    given = [_given(key, captured, test) for key in keys]
    given += [cell_input(test.frame, c) for c in cells]
    graph = program(captured, keys, cells, inputs)
    nodes = tuple(test.frame.builder.nodes)
    asking = Graph((*asked, *given), nodes, (test.value,), "test")
    counter = _counter(captured, variables)
    if counter:
        graph, asking, initial = _with_counter(graph, asking, initial, captured.trip)
    attrs = {"test": asking, "body": graph, "symbol": captured.trip.symbol}
    attrs |= {"constants": len(constants), "capacity": None}
    results = current().emit(control.while_, [*constants, *initial], attrs, origin())
    for cell, value in zip(cells, results[len(keys) :], strict=False):
        write_cell(cell, value)
    if counter:
        items = replace(captured.trip.items, count=tracer(results[-1], int))
        captured = replace(captured, trip=replace(captured.trip, items=items))
    named = dict(zip(keys, results, strict=False))
    variables.set([behind(entry, captured, named, variables) for entry in captured.entries])


def _given(key: Key, captured: Captured, test: Test) -> Value:
    given = test.trip.inputs.get(key)
    if given is not None:
        return given
    return test.frame.builder.input(captured.ends[key][0].type, how.shown(key[0]))


def _counter(captured: Captured, variables: Variables) -> bool:
    """Tell whether an integer that grows in every trip is read behind the loop."""
    kept = (e for e in captured.entries if e.name in variables.leaving)
    return any(isinstance(mode, how.Stepping) for e in kept for mode in e.modes)


def _with_counter(
    body: Graph, test: Graph, initial: list[Value], trip: Trip
) -> tuple[Graph, Graph, list[Value]]:
    """Carry the number of trips as well."""
    zero = read(as_tracer(0, np.int64))
    inputs = [Value(zero.type, "trips") for _ in range(2)]
    with inside(trip.frame):
        (number,) = current().emit(
            control.index, (), {"dim": symbol_dim(trip.symbol) + 1}, origin()
        )
    nodes = tuple(trip.frame.builder.nodes)
    outputs = (*body.outputs, number)
    body = Graph((*body.inputs, inputs[0]), nodes, outputs, body.name)
    test = Graph((*test.inputs, inputs[1]), test.nodes, test.outputs, test.name)
    return body, test, [*initial, zero]
