"""How the variables of a loop enter its body, found out from what they hold behind it.

Arrays enter a body as themselves, numbers by value. Goes in: the variables before and behind one
trace of the body. Comes out: an `Entry` for each, a revised one where the assumption was wrong; or
`Peel`, where the first trip must be made outside until names have arrays of their own; or
`Exchange`, where names swap arrays. Begin with `entries` and `revised`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adgraph.errors import AdgraphError, DtypeError, ShapeError, TracingError, message
from adgraph.ir.dims import Affine, Dim, Symbol, symbol_dim
from adgraph.ir.graph import Value
from adgraph.ir.op import type_of
from adgraph.ir.substitute import substitute_all, symbols_of
from adgraph.tracing.exits import PREFIX
from adgraph.tracing.forms import (
    Form,
    described,
    form_of,
    handle_of,
    is_value,
    joined,
    made_at,
    same,
)
from adgraph.tracing.frames import Cell, Frame, uncapturable
from adgraph.tracing.items import Items
from adgraph.tracing.source import UNDEFINED, Variables
from adgraph.tracing.tracer import ArrayTracer, IndexTracer, ScalarTracer, Tracer, dim_of, integer
from adgraph.tracing.tree import LEAF, Structure, flatten, unflatten
from adgraph.tracing.views import View

# --- how variables enter a body -------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed:
    """A leaf enters as it is."""


@dataclass(frozen=True)
class Dead:
    """A leaf is not read before it is assigned: it is not bound where the body begins."""


@dataclass(frozen=True)
class Stepping:
    """An integer grows by a constant in every trip."""

    by: int


@dataclass(frozen=True)
class Following:
    """A name is given another part of one array in every trip: at first that of the trip before."""

    cell: Cell
    path: tuple[View, ...]


@dataclass(frozen=True)
class Carried:
    """A leaf is carried by value."""

    form: Form


Mode = Fixed | Dead | Stepping | Following | Carried
FIXED = Fixed()
DEAD = Dead()


@dataclass(frozen=True, eq=False)
class Entry:
    """How one variable enters a body: its structure, and value and mode of each leaf."""

    name: str
    value: Any
    structure: Structure
    leaves: tuple[Any, ...]
    modes: tuple[Mode, ...]

    @property
    def assumed(self) -> tuple[Structure, tuple[Mode, ...]]:
        """What a trace of the body may show to be wrong."""
        return self.structure, self.modes


Key = tuple[str, int]  # a variable, and a leaf of its value


class Peel(Exception):  # noqa: N818  a turn of the search, no error
    """The first trip must be made outside the loop; `error` is raised if that does not help."""

    def __init__(self, error: AdgraphError) -> None:
        super().__init__()
        self.error = error


class Exchange(Exception):  # noqa: N818
    """Names exchange their arrays: behind the body `leaves[i]` has that of `leaves[places[i]]`.

    A leaf is given by the name of its variable and its place there. After `order` trips each has
    its own array again.
    """

    def __init__(self, leaves: Sequence[Key], arrays: Sequence[Any], places: list[int]) -> None:
        super().__init__()
        self.leaves = tuple(leaves)
        self.arrays = tuple(arrays)
        self.places = places

    @property
    def order(self) -> int:
        """The number of trips after which nothing is exchanged."""
        order, now = 1, self.after(1)
        while now != list(range(len(now))):
            order, now = order + 1, self.after(order + 1)
        return order

    def after(self, trips: int) -> list[int]:
        """Return whose array each leaf has after a number of trips."""
        now = list(range(len(self.places)))
        for _ in range(trips):
            now = [self.places[i] for i in now]
        return now

    @property
    def error(self) -> AdgraphError:
        """What to say where the exchange cannot be followed."""
        return TracingError(
            message(
                f"{' and '.join(name for name, _ in self.leaves)} exchange their arrays in a loop "
                "whose number of trips changes, and the arrays have other names there",
                "which name has which array behind it depends on the number of trips",
                "copy in place of exchanging: a[...] = b",
            )
        )


def entries(variables: Variables, items: Items, exchanged: Collection[Key] = ()) -> list[Entry]:
    """Assume that arrays stay, that numbers are carried, and that integers and the rest stay.

    Arrays that are `exchanged` are carried by value.
    """
    pairs = zip(variables.names, variables.get(), strict=True)
    return [_entry(name, value, variables, items, exchanged) for name, value in pairs]


def _entry(
    name: str, value: Any, variables: Variables, items: Items, exchanged: Collection[Key]
) -> Entry:
    kept = name in variables.entering
    if not items.least and value is not UNDEFINED:
        kept = kept or name in variables.leaving
    if not kept:
        return Entry(name, value, LEAF, (value,), (DEAD,))
    leaves, structure = flatten(value)
    keys = ((name, k) for k in range(len(leaves)))
    modes = tuple(map(_first_mode, leaves, (key in exchanged for key in keys)))
    return Entry(name, value, structure, tuple(leaves), modes)


def _first_mode(leaf: Any, exchanged: bool) -> Mode:
    if exchanged:
        return Carried(form_of(leaf))
    scalar = isinstance(leaf, (ScalarTracer, np.generic)) or type(leaf) in (float, complex)
    if not scalar or isinstance(leaf, IndexTracer) or not is_value(leaf):
        return FIXED
    return Carried(form_of(leaf))


# --- one trace of a body --------------------------------------------------------------------------


@dataclass(frozen=True)
class Trip:
    """A body being traced: what it runs over, its index, and the frame it is recorded in."""

    items: Items
    symbol: Symbol
    frame: Frame
    born: int  # cells made later have no names but those the loop has given them
    inputs: dict[Key, Value] = field(default_factory=dict)  # by variable and leaf

    @property
    def position(self) -> Any:
        """The position in this trip: it steps as the items do."""
        index = IndexTracer(_affine(self.symbol))
        return self.items.position(index) if self.items.counted else index

    @property
    def number(self) -> Dim | None:
        """The number of this trip, None if it is no affine expression of the index."""
        if self.items.counted:
            return symbol_dim(self.symbol)
        away = symbol_dim(self.symbol) - self.items.first
        return away * self.items.step if abs(self.items.step) == 1 else None

    def before(self) -> dict[Symbol, Dim]:
        """The substitution that leads to the trip before this one."""
        step = 1 if self.items.counted else self.items.step
        return {self.symbol: symbol_dim(self.symbol) - step}

    def entry(self) -> dict[Symbol, Dim]:
        """The substitution that leads to what would be the trip before the first."""
        return {self.symbol: self.items.first - self.items.step}

    def last(self) -> dict[Symbol, Dim]:
        """The substitution that leads to the last trip."""
        return {self.symbol: self.items.first + (self.items.count - 1) * self.items.step}


def _affine(symbol: Symbol) -> Affine:
    dim = symbol_dim(symbol)
    assert isinstance(dim, Affine)
    return dim


def enter(entry: Entry, trip: Trip) -> list[Any]:
    """Return what the leaves of a variable are where the body begins."""
    rows = enumerate(zip(entry.leaves, entry.modes, strict=True))
    return [_state((entry.name, k), leaf, mode, trip) for k, (leaf, mode) in rows]


def _state(key: Key, leaf: Any, mode: Mode, trip: Trip) -> Any:
    match mode:
        case Fixed():
            return leaf
        case Dead():
            return UNDEFINED
        case Stepping(by):
            assert trip.number is not None
            return integer(_dim(leaf) + trip.number * by)
        case Following(cell, path):
            return moved(cell, path, trip.before())
        case Carried(form):
            trip.inputs[key] = trip.frame.builder.input(form.type, shown(key[0]))
            return handle_of(trip.inputs[key], form)


def shown(name: str) -> str | None:
    """Return the name of a variable for people, None if it is one of our flags."""
    return None if name.startswith(PREFIX) else name


def begins(entry: Entry, state: Sequence[Any]) -> Any:
    """Return the value of a variable where the body begins; an object stays the same object."""
    if all(mode == FIXED for mode in entry.modes):
        return entry.value
    return unflatten(entry.structure, list(state))


def _dim(x: Any) -> Dim:
    dim = dim_of(x)
    assert dim is not None
    return dim


def moved(cell: Cell, path: tuple[View, ...], values: dict[Symbol, Dim]) -> Tracer:
    """Return a handle with other values of symbols in its path."""
    steps = tuple(
        replace(step, attrs={key: substitute_all(attr, values) for key, attr in step.attrs.items()})
        for step in path
    )
    return ArrayTracer(cell, steps)


# --- what a body has done to its variables --------------------------------------------------------


def check_exchange(
    found: Sequence[Entry], states: Sequence[Sequence[Any]], finals: Sequence[Any]
) -> None:
    """Find out whether arrays have only changed their names."""
    keys: list[Key] = []
    before: list[Any] = []
    behind: list[Any] = []
    for entry, state, final in zip(found, states, finals, strict=True):
        leaves, structure = flatten(final)
        if structure != entry.structure:
            continue
        for k, (leaf, mode, end) in enumerate(zip(state, entry.modes, leaves, strict=True)):
            if mode == FIXED and isinstance(leaf, ArrayTracer) and not same(leaf, end):
                keys.append((entry.name, k))
                before.append(leaf)
                behind.append(end)
    places = [next((i for i, b in enumerate(before) if same(b, end)), -1) for end in behind]
    if places and sorted(places) == list(range(len(places))):
        raise Exchange(keys, before, places)


def revised(entry: Entry, state: Sequence[Any], final: Any, trip: Trip) -> Entry:
    """Return how a variable must enter, after what a body has made of it."""
    if entry.modes == (DEAD,):
        return entry
    leaves, structure = flatten(final)
    if structure != entry.structure:
        return _restructured(entry, final, leaves, structure, trip)
    rows = zip(entry.leaves, state, leaves, entry.modes, strict=True)
    modes = tuple(_mode(entry.name, *row, trip) for row in rows)
    return replace(entry, modes=modes)


def _restructured(
    entry: Entry, final: Any, leaves: list[Any], structure: Structure, trip: Trip
) -> Entry:
    """What was not bound may become anything; anything else must keep its structure."""
    if entry.value is UNDEFINED and all(map(is_value, leaves)):
        unbound = (UNDEFINED,) * len(leaves)
        modes = tuple(_newly_bound(entry.name, leaf, trip) for leaf in leaves)
        return Entry(entry.name, UNDEFINED, structure, unbound, modes)
    raise Peel(_changed(entry.name, entry.value, final))


def _changed(name: str, before: Any, after: Any) -> AdgraphError:
    """The error about a variable that is something else in every trip."""
    kind: type[AdgraphError] = TracingError
    if is_value(before) and is_value(after):
        kind = ShapeError if type_of(before).shape != type_of(after).shape else DtypeError
    return kind(
        message(
            f"in a loop {name!r} changes from {described(before)} to {described(after)}",
            "the body is traced once for all trips, so a variable keeps its type",
            f"give {name!r} its final type before the loop (0.0 instead of 0, np.zeros(n), ...), "
            "or use another name in the body",
            made_at(after),
        )
    )


def _mode(name: str, leaf: Any, state: Any, final: Any, mode: Mode, trip: Trip) -> Mode:
    match mode:
        case Fixed():
            return FIXED if same(state, final) else _moving(name, leaf, final, trip)
        case Stepping(by):
            if dim_of(final) is not None and _dim(final) - _dim(state) == by:
                return mode
            return _joined(name, form_of(leaf), final, trip)
        case Following():
            if same(final, moved(mode.cell, mode.path, {})):
                return mode
            raise uncapturable(_either(name))
        case Carried(form):
            return _joined(name, form, final, trip)
        case Dead():
            return mode


def _moving(name: str, leaf: Any, final: Any, trip: Trip) -> Mode:
    """How a leaf enters that was assumed to stay and has not."""
    if leaf is UNDEFINED:
        return _newly_bound(name, final, trip)
    if not is_value(leaf) or (type(leaf) is bool and type(final) is bool):
        raise Peel(_changed(name, leaf, final))
    if not is_value(final):
        raise uncapturable(_changed(name, leaf, final))
    if dim_of(leaf) is not None and dim_of(final) is not None:
        by = _dim(final) - _dim(leaf)
        if isinstance(by, int) and trip.number is not None:
            return Stepping(by)
    if isinstance(leaf, ArrayTracer) and isinstance(final, ArrayTracer):
        return _rebound(name, leaf, final, trip)
    return _joined(name, form_of(leaf), final, trip)


def _newly_bound(name: str, final: Any, trip: Trip) -> Mode:
    """How a leaf enters that was not bound before and may be kept from one trip to the next."""
    if not is_value(final) or trip.symbol in symbols_of(form_of(final).type):
        raise uncapturable(_changed(name, UNDEFINED, final))
    return Carried(form_of(final))


def _rebound(name: str, leaf: ArrayTracer, final: ArrayTracer, trip: Trip) -> Mode:
    """How an array enters whose name is given another array."""
    frame = trip.frame
    if not frame.outer(final.cell):
        if frame.wrote(leaf.cell) and leaf.cell.serial < trip.born:
            raise Peel(_either(name))
        return _joined(name, form_of(leaf), final, trip)
    if final.cell is leaf.cell and not trip.items.counted:
        if same(leaf, moved(final.cell, final.path, trip.entry())):
            return Following(final.cell, final.path)
    written = frame.wrote(final.cell) or frame.wrote(leaf.cell)
    if written or (trip.items.least and leaf.cell.serial < trip.born):
        raise Peel(_either(name))
    return Carried(replace(form_of(leaf), frozen=_ONE_OF_TWO.format(name)))


_ONE_OF_TWO = "{!r} is one of several arrays, which one depends on the trip of a loop"


def _either(name: str) -> AdgraphError:
    return TracingError(
        message(
            f"in a loop {name!r} is given another array, and one of the two is written in place",
            "which array is written would depend on the trip",
            f"copy where the name is given: {name} = other.copy(), or write {name}[...] = other",
        )
    )


def _joined(name: str, form: Form, final: Any, trip: Trip) -> Mode:
    """How a leaf enters that is carried in a form and has another value behind the body."""
    if not is_value(final):
        raise uncapturable(_changed(name, handle_of(Value(form.type), form), final))
    found = form_of(final)
    common = joined(form, found)
    if common is None or (form.weak is None and common.type.dtype != form.type.dtype):
        raise Peel(_changed(name, handle_of(Value(form.type), form), final))
    if trip.symbol in symbols_of(common.type):
        raise uncapturable(_changed(name, handle_of(Value(form.type), form), final))
    if isinstance(final, ArrayTracer) and trip.frame.outer(final.cell):
        if trip.frame.wrote(final.cell):
            raise uncapturable(_either(name))
        return Carried(replace(common, frozen=common.frozen or _ONE_OF_TWO.format(name)))
    return Carried(common)


def check_shared(
    found: Sequence[Entry], states: Sequence[Sequence[Any]], finals: Sequence[Any], trip: Trip
) -> None:
    """Two names of one new array are two arrays in the next trip: none may then be written."""
    seen: dict[Cell, str] = {}
    for entry, state, final in zip(found, states, finals, strict=True):
        if entry.modes == (DEAD,):
            continue
        for k, (begins, leaf) in enumerate(zip(state, flatten(final)[0], strict=True)):
            given = trip.inputs.get((entry.name, k))
            if given is None or not isinstance(leaf, ArrayTracer):
                continue
            other = seen.setdefault(leaf.cell, entry.name)
            if other != entry.name and begins.cell.value is not given:
                raise uncapturable(_either(entry.name))
