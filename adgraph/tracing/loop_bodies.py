"""The body of a loop, traced: how its variables enter, and the program that a trip is.

`capture` traces a body again and again until it is known how its variables enter (`entries`);
`program` is what a `Captured` body records. `loops` and `whiles` make nodes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adgraph.errors import TracingError, message
from adgraph.ir.dims import Symbol
from adgraph.ir.graph import Graph, Value
from adgraph.ir.substitute import symbols_of
from adgraph.ops import control
from adgraph.tracing import entries as how
from adgraph.tracing.entries import (
    Carried,
    Entry,
    Key,
    Trip,
)
from adgraph.tracing.forms import Form, converted, form_of
from adgraph.tracing.frames import (
    Cell,
    Part,
    cell_input,
    inside,
    new_region,
    top,
    uncapturable,
)
from adgraph.tracing.items import Items
from adgraph.tracing.source import UNDEFINED, Variables
from adgraph.tracing.tracer import (
    IndexTracer,
    Tracer,
)
from adgraph.tracing.tree import flatten

Body = Callable[[Any], Any]
_ATTEMPTS = 12


@dataclass(frozen=True)
class Captured:
    """A traced body: how its variables enter, what they hold behind it, and what they carry."""

    trip: Trip
    entries: list[Entry]
    finals: Mapping[str, Any]
    ends: Mapping[Key, tuple[Form, Value]]
    unshared: frozenset[str] = frozenset()  # variables whose arrays had no other name before

    @property
    def loops(self) -> bool:
        """Whether there are loops in the body."""
        return any("symbol" in node.attrs for node in self.trip.frame.builder.nodes)


def loop_symbol(items: Items) -> Symbol:
    """Make the index of a loop over items."""
    depth = sum(frame.part is Part.LOOP for frame in top().around())
    name = "ijklmnpq"[depth % 8]
    if items.counted:
        return Symbol(name, 0, None)
    return control.loop_symbol(name, items.first, items.count, items.step)


def capture(
    items: Items,
    symbol: Symbol,
    body: Body,
    variables: Variables,
    born: int,
    exchanged: Collection[Key] = (),
) -> Captured:
    """Trace a body until it is known how its variables enter."""
    found = how.entries(variables, items, exchanged)
    for _ in range(_ATTEMPTS):
        trip = Trip(items, symbol, new_region(Part.LOOP, variables.cells), born)
        with inside(trip.frame):
            states = [how.enter(entry, trip) for entry in found]
            variables.set(map(how.begins, found, states))
            body(items.at(trip.position))
            finals = variables.get()
            how.check_exchange(found, states, finals)
            revised = [how.revised(*row, trip) for row in zip(found, states, finals, strict=True)]
            if [e.assumed for e in revised] == [e.assumed for e in found]:
                how.check_shared(found, states, finals, trip)
                named = dict(zip(variables.names, finals, strict=True))
                return Captured(trip, found, named, _ends(found, named, variables, trip))
        found = revised
    raise uncapturable(TracingError(message("the types of the variables of a loop do not settle")))


def _ends(
    found: list[Entry], finals: Mapping[str, Any], variables: Variables, trip: Trip
) -> dict[Key, tuple[Form, Value]]:
    """Return what the leaves of variables that are carried, or results, hold behind the body."""
    ends: dict[Key, tuple[Form, Value]] = {}
    for entry in found:
        leaves, _ = flatten(finals[entry.name])
        for k, leaf in enumerate(leaves):
            form = _result_form(entry, k, leaf, variables, trip)
            if form is not None:
                ends[entry.name, k] = form, converted(leaf, form)
    return ends


def _result_form(entry: Entry, k: int, leaf: Any, variables: Variables, trip: Trip) -> Form | None:
    if entry.modes != (how.DEAD,):
        mode = entry.modes[k]
        return mode.form if isinstance(mode, Carried) else None
    made = isinstance(leaf, Tracer) and not isinstance(leaf, IndexTracer)
    if entry.name not in variables.leaving or not made or trip.symbol in symbols_of(leaf.type):
        return None
    if not trip.frame.outer(leaf.cell):
        return form_of(leaf)
    if all(map(trip.frame.parent_owns, leaf.positions)):
        return None
    return replace(form_of(leaf), frozen=_OF_LAST_TRIP.format(entry.name))


_OF_LAST_TRIP = "{!r} is a part of an array, at a position that the last trip of a loop computed"


def program(
    captured: Captured, keys: list[Key], cells: list[Cell], constants: list[Value]
) -> Graph:
    """Return the program of a body, from its constants and what it carries to what it carries."""
    frame = captured.trip.frame
    given = [begins(key, captured) for key in keys] + [cell_input(frame, c) for c in cells]
    ends = [captured.ends[key][1] for key in keys] + [frame.finals[c][0] for c in cells]
    return Graph((*constants, *given), tuple(frame.builder.nodes), tuple(ends), "body")


def initial_value(key: Key, captured: Captured) -> Value:
    """Return what a variable holds before the loop."""
    name, k = key
    entry = next(e for e in captured.entries if e.name == name)
    leaf = UNDEFINED if entry.modes == (how.DEAD,) else entry.leaves[k]
    return converted(leaf, captured.ends[key][0])


def begins(key: Key, captured: Captured) -> Value:
    """Return the input of a body that stands for a variable."""
    given = captured.trip.inputs.get(key)
    if given is not None:
        return given
    return captured.trip.frame.builder.input(captured.ends[key][0].type, how.shown(key[0]))
