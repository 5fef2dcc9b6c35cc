"""Loops: one trace of the body becomes a `loop` node, or the loop unrolls.

The body is traced until it is known how its variables enter (`entries`). What it writes and what
its variables carry are the operands and results of the node. Where that cannot be, because the body
changes Python objects or asks for numbers, the loop unrolls, or a loop around it. Begin with `run`.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.errors import AdgraphError, TracingError, message
from adgraph.ir.dims import Affine, Dim, Symbol, UndecidedError, nonnegative, substitute
from adgraph.ir.graph import Graph, Value
from adgraph.ops import control
from adgraph.tracing.entries import (
    Exchange,
    Peel,
    Trip,
)
from adgraph.tracing.frames import (
    Uncapturable,
    constants_of,
    current,
    origin,
    read_cell,
    references,
    serials,
    top,
    uncapturable,
    write_cell,
)
from adgraph.tracing.items import Items
from adgraph.tracing.loop_bodies import Body, Captured, capture, initial_value, loop_symbol, program
from adgraph.tracing.loop_results import behind, trips_of
from adgraph.tracing.source import Variables, contents
from adgraph.tracing.tracer import (
    ArrayTracer,
    as_tracer,
    integer,
    known_value,
    read,
    write,
)
from adgraph.tracing.tree import flatten


@dataclass(frozen=True)
class Unrolling:
    """Which loops are written out though they can be captured.

    Those of few trips, alone and with the loops around them, so that they fuse with what stands
    there; and those that make new large arrays in every trip, while the program stays short: a
    schedule can then choose trip by trip what to keep.
    """

    trips: int = 8
    nest: int = 32
    elements: int = 4096
    nodes: int = 128


_USUAL = Unrolling()
UNROLLING: ContextVar[Unrolling] = ContextVar("unrolling", default=_USUAL)

# A loop that cannot be captured unrolls, into at most so many nodes.
UNROLLED_NODES = 20_000

_PEELS = 4


# --- a loop ---------------------------------------------------------------------------------------


def run(items: Items, body: Body, variables: Variables) -> None:
    """Record a loop over items."""
    born = next(serials)
    error: Exception = TracingError(message("the names of a loop do not settle"))
    for _ in range(_PEELS):
        if isinstance(items.count, int) and items.count <= 0:
            return
        unshared = _unshared(variables)
        entry, symbol = variables.get(), loop_symbol(items)
        try:
            captured = capture(items, symbol, body, variables, born)
        except Peel as peel:
            variables.set(entry)
            error = peel.error
            if not items.least:
                break
            if is_set(body(items.at(integer(items.first)))):
                return
            items = items.rest()
        except Exchange as exchange:
            variables.set(entry)
            try:
                _exchanging(items, exchange, body, variables, born)
            except Peel as peel:
                raise uncapturable(peel.error) from None
            return
        except (Uncapturable, Exception) as reason:
            variables.set(entry)
            error = reason.error if isinstance(reason, Uncapturable) else reason
            parts = _split(items, symbol, error)
            if not parts:
                break
            for part in parts:
                run(part, body, variables)
            return
        else:
            variables.set(entry)
            if _written_out(items, captured):
                unroll(items, body)
            else:
                _commit(replace(captured, unshared=unshared), variables)
            return
    unroll(items, body, error)


def _unshared(variables: Variables) -> frozenset[str]:
    """Return the variables with arrays that nothing else refers to: no other name, no view."""
    found = set()
    for name, variable in zip(variables.names, variables.cells, strict=True):
        value = contents(variable)
        if not isinstance(value, ArrayTracer) or value.path:
            continue
        handles = sys.getrefcount(value) - 2  # without the name here and the argument
        if handles <= 1 and references(value.cell) <= 1:
            found.add(name)
    return frozenset(found)


def _split(items: Items, symbol: Symbol, error: Exception) -> tuple[Items, ...]:
    """Split a loop where the answer to a question about its index changes."""
    question = error.question if isinstance(error, UndecidedError) else None
    if items.counted or not isinstance(question, Affine):
        return ()
    for asked in (question, question - 1):
        trips = _trips_before(items, symbol, asked)
        if trips is not None and nonnegative(trips - 1) and _more(items.count, trips, error):
            second = items.first + trips * items.step
            rest = replace(items, first=second, count=items.count - trips)
            return replace(items, count=trips), rest
    return ()


def _more(count: Dim, trips: Dim, error: Exception) -> bool:
    """Tell whether a loop makes more than so many trips; a loop around may split to tell."""
    try:
        return count > trips
    except UndecidedError:
        raise uncapturable(UndecidedError(str(error), count - trips - 1)) from None


def _trips_before(items: Items, symbol: Symbol, question: Dim) -> Dim | None:
    """Return the number of trips before an expression becomes, or ceases to be, nonnegative."""
    terms = dict(question.terms) if isinstance(question, Affine) else {}
    change = terms.get(symbol, 0) * items.step
    begins = substitute(question, {symbol: items.first})
    if change == 0 or not (abs(change) == 1 or isinstance(begins, int)):
        return None
    return -(begins // change) if change > 0 else begins // -change + 1


def _written_out(items: Items, captured: Captured) -> bool:
    """Whether a loop that can be captured is written out."""
    if not isinstance(items.count, int) or items.counted or captured.loops:
        return False
    limits, around = UNROLLING.get(), top().trips * items.count
    if items.count <= limits.trips and around <= limits.nest:
        return True
    nodes, frame = captured.trip.frame.builder.nodes, captured.trip.frame
    if frame.journal or around * len(nodes) > limits.nodes:
        return False
    types = [v.type for node in nodes for v in node.outputs]
    return any(not t.ragged and t.size >= limits.elements for t in types)


def is_set(left: Any) -> bool:
    """Tell whether the flag of a `break` is known to be set."""
    known = known_value(left)
    return left is True or (known is not None and bool(known))


def unroll(items: Items, body: Body, error: Exception | None = None) -> None:
    """Write a loop out, because it is short or because of what kept it from being captured."""
    if not isinstance(items.count, int) or items.counted:
        assert error is not None
        raise uncapturable(error) if isinstance(error, AdgraphError) else error
    frame, before = top(), len(current().nodes)
    trips, frame.trips = frame.trips, frame.trips * max(items.count, 1)
    try:
        for trip in range(items.count):
            if is_set(body(items.item(trip))):
                break
            if error is not None and len(current().nodes) - before > UNROLLED_NODES:
                raise _too_long(items.count, error)
    finally:
        frame.trips = trips


def _too_long(trips: int, error: Exception) -> BaseException:
    if isinstance(error, AdgraphError):
        return uncapturable(error)
    return uncapturable(
        TracingError(
            message(
                f"a loop of {trips} trips cannot be captured: {type(error).__name__}: {error}",
                f"written out it would be a program of more than {UNROLLED_NODES} operations",
                "keep to array operations whose shapes and dtypes are the same in every trip",
            )
        )
    )


def _exchanging(
    items: Items, exchange: Exchange, body: Body, variables: Variables, born: int
) -> None:
    """Record a loop in which names exchange arrays: `order` trips are one trip of another loop."""
    order = exchange.order
    if not isinstance(items.count, int) or items.counted:
        captured = capture(items, loop_symbol(items), body, variables, born, exchange.leaves)
        check_only_names(exchange, captured)
        _commit(captured, variables)
        give_back(exchange, trips_of(items), variables)
        return

    def several(position: Any) -> Any:
        left: Any = False
        for trip in range(order):
            left = body(items.at(position + trip * items.step))
            if is_set(left):
                break
        return left

    rounds = items.count // order
    run(Items(items.first, rounds, items.step * order, lambda x: x), several, variables)
    for trip in range(rounds * order, items.count):
        body(items.item(trip))


def check_only_names(exchange: Exchange, captured: Captured) -> None:
    """The exchanged arrays are carried by value: nothing else may refer to them in the body."""
    frame = captured.trip.frame
    for array in exchange.arrays:
        if array.cell in frame.inputs or array.cell in frame.journal:
            raise uncapturable(exchange.error)


def give_back(exchange: Exchange, trips: Any, variables: Variables) -> None:
    """Write what the names have carried into the arrays that they have behind the loop."""
    values = dict(zip(variables.names, variables.get(), strict=True))
    ends = [flatten(values[name])[0][k] for name, k in exchange.leaves]
    turns = [np.equal(trips % exchange.order, n) for n in range(exchange.order)]
    finals = [_of_turn(exchange, turns, ends, n) for n in range(len(ends))]
    for array, final in zip(exchange.arrays, finals, strict=True):
        write(array, final)
    for end in ends:
        end.cell.copies(array.cell for array in exchange.arrays)


def _of_turn(exchange: Exchange, turns: list[Any], ends: list[Any], array: int) -> Any:
    """Return what an array holds, which depends on the number of trips modulo the order."""
    final = ends[exchange.after(0).index(array)]
    for turn in range(1, exchange.order):
        final = np.where(turns[turn], ends[exchange.after(turn).index(array)], final)
    return final


# --- the node -------------------------------------------------------------------------------------


def _commit(captured: Captured, variables: Variables) -> None:
    """Record the node of a traced body, and give names and arrays what they hold behind it."""
    trip = captured.trip
    cells = list(trip.frame.journal)
    keys = list(captured.ends)
    initial = [initial_value(key, captured) for key in keys] + [read_cell(c) for c in cells]
    constants, (inputs,) = constants_of([trip.frame], cells)
    body = program(captured, keys, cells, inputs)
    results = _emit(trip, body, constants, initial) if initial else ()
    named = dict(zip(keys, results[: len(keys)], strict=True))
    for cell, value in zip(cells, results[len(keys) :], strict=True):
        write_cell(cell, value)
    variables.set([behind(entry, captured, named, variables) for entry in captured.entries])


def _emit(
    trip: Trip, body: Graph, constants: list[Value], initial: list[Value]
) -> tuple[Value, ...]:
    items = trip.items
    operands = [*constants, *initial]
    types = tuple(v.type for v in initial)
    attrs: dict[str, Any] = {"body": body, "symbol": trip.symbol}
    if items.counted:
        count = read(as_tracer(integer(items.count), np.int64))
        attrs |= {"constants": len(constants), "reverse": False, "capacity": None}
        return current().emit(control.counted, [count, *operands], attrs, origin(), types=types)
    attrs |= {"start": items.first, "trips": items.count, "step": items.step}
    attrs["constants"] = len(constants)
    return current().emit(control.loop, operands, attrs, origin(), types=types)
