"""What the variables of a loop hold behind it: `behind` tells it of each.

A variable that the node carries is one of its results; others follow from the number of trips, or
have no meaning outside, and are then unbound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.ir.dims import Affine, Dim, Symbol, substitute
from adgraph.ir.graph import Value
from adgraph.ir.substitute import symbols_of
from adgraph.tracing import entries as how
from adgraph.tracing.entries import (
    Carried,
    Entry,
    Following,
    Key,
    Stepping,
    Trip,
)
from adgraph.tracing.forms import handle_of
from adgraph.tracing.frames import (
    lose,
)
from adgraph.tracing.items import Items
from adgraph.tracing.loop_bodies import Captured
from adgraph.tracing.source import UNDEFINED, Variables
from adgraph.tracing.tracer import (
    ArrayTracer,
    IndexTracer,
    Tracer,
    as_tracer,
    integer,
)
from adgraph.tracing.tree import flatten, unflatten


def behind(
    entry: Entry, captured: Captured, results: Mapping[Key, Value], variables: Variables
) -> Any:
    """Return what a variable holds behind the loop."""
    if entry.modes == (how.DEAD,):
        if entry.name not in variables.leaving:
            return UNDEFINED
        return _last(entry.name, captured, results)
    if all(mode == how.FIXED for mode in entry.modes):
        return entry.value
    if entry.name not in variables.leaving and captured.trip.items.count is None:
        return UNDEFINED
    leaves = [_leaf_behind(entry, k, captured, results) for k in range(len(entry.modes))]
    return unflatten(entry.structure, leaves)


def _leaf_behind(entry: Entry, k: int, captured: Captured, results: Mapping[Key, Value]) -> Any:
    leaf, items = entry.leaves[k], captured.trip.items
    match entry.modes[k]:
        case Stepping(by):
            return leaf + trips_of(items) * by
        case Following(cell, path):
            return how.moved(cell, path, captured.trip.last())
        case Carried(form):
            shared = entry.name not in captured.unshared
            if not items.least and isinstance(leaf, ArrayTracer) and shared and not form.frozen:
                form = replace(form, frozen=_PERHAPS_NEVER.format(entry.name))
            handle = handle_of(results[entry.name, k], form)
            if form.frozen and isinstance(leaf, ArrayTracer):
                arrays = (leaf, flatten(captured.finals[entry.name])[0][k])
                handle.cell.copies(x.cell for x in arrays if isinstance(x, ArrayTracer))
            return handle
        case _:
            return leaf


_PERHAPS_NEVER = "{!r} is given another array in a loop that perhaps makes no trip"


def trips_of(items: Items) -> Any:
    """Return the number of trips as a user's program sees it."""
    if not isinstance(items.count, (int, Affine)):
        return items.count
    return (
        integer(items.count)
        if items.least or items.count == 0
        else np.maximum(as_tracer(integer(items.count)), 0)
    )


def _last(name: str, captured: Captured, results: Mapping[Key, Value]) -> Any:
    """Return what the last trip gives a variable, unbound if that has no meaning outside."""
    leaves, structure = flatten(captured.finals[name])
    behind = [_last_leaf((name, k), x, captured, results) for k, x in enumerate(leaves)]
    if any(x is UNDEFINED for x in behind):
        if UNDEFINED not in leaves:
            lose(name, _LOST)
        return UNDEFINED
    return unflatten(structure, behind)


_LOST = "its shape changes from trip to trip, or it is no array; such a variable ends with the trip"


def _last_leaf(key: Key, leaf: Any, captured: Captured, results: Mapping[Key, Value]) -> Any:
    trip = captured.trip
    if key in results:
        handle = handle_of(results[key], captured.ends[key][0])
        if handle.cell.frozen:
            handle.cell.copies([leaf.cell])
        return handle
    if isinstance(leaf, IndexTracer):
        return _last_index(leaf.dim, trip)
    if isinstance(leaf, Tracer) and not all(map(trip.frame.parent_owns, leaf.positions)):
        return UNDEFINED
    if not isinstance(leaf, Tracer) or trip.symbol not in symbols_of(_attrs(leaf)):
        inner = isinstance(leaf, Tracer) and not trip.frame.parent_owns(leaf.cell)
        return UNDEFINED if inner else leaf
    if trip.items.counted or not trip.frame.parent_owns(leaf.cell):
        return UNDEFINED
    return how.moved(leaf.cell, leaf.path, trip.last())


def _attrs(handle: Tracer) -> tuple[Any, ...]:
    return tuple(attr for step in handle.path for attr in step.attrs.values())


def _last_index(dim: Dim, trip: Trip) -> Any:
    """Return the value of an index in the last trip."""
    if not trip.items.counted:
        return integer(substitute(dim, trip.last()))
    return integer(substitute(dim, {trip.symbol: 0})) + _slope(dim, trip.symbol) * (
        integer(trip.items.count) - 1
    )


def _slope(dim: Dim, symbol: Symbol) -> int:
    difference = substitute(dim, {symbol: 1}) - substitute(dim, {symbol: 0})
    assert isinstance(difference, int)
    return difference
