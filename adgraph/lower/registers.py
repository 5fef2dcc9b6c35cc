"""Elements that neighbouring trips of a loop share, kept in variables.

An innermost loop that writes an element, and in a later trip reads or writes it again, waits for
memory in every trip. Here the elements it has under way become variables that move on by one place
from trip to trip: each is read once, when the first access reaches it, and written once, after the
last. Begin with `in_registers`. This is the scalar replacement of Callahan, Carr and Kennedy,
"Improving register allocation for subscripted variables", PLDI 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from adgraph.ir.dims import (
    Affine,
    Dim,
    Symbol,
    lower_bound,
    substitute,
    upper_bound,
)
from adgraph.ir.types import Dtype
from adgraph.lower.given import Names
from adgraph.lower.nest import (
    Access,
    Branch,
    Let,
    Load,
    Range,
    Remark,
    Set,
    Start,
    Statement,
    Stop,
    Store,
    sum_of,
)

MOST_PLACES = 6  # elements of one row that are under way
MOST_VARIABLES = 24  # of all rows together: more do not fit into registers


@dataclass(frozen=True)
class Trips:
    """The range of a loop: its index, the first value, the number of trips, the step."""

    symbol: Symbol
    start: Dim
    count: Dim
    step: int

    def at(self, dim: Dim, trip: Dim) -> Dim:
        """Return what a dim is in a trip, counted from zero."""
        return substitute(dim, {self.symbol: self.start + trip * self.step})


@dataclass(frozen=True)
class _Row:
    """Accesses to one pointer that pass over the same elements, some trips apart.

    An access at place p of trip t is to the element of place p - 1 in trip t + 1. `least` and
    `most` are the places accessed, `written` the least and the greatest that are written.
    """

    pointer: str
    rest: Dim  # the offset of place zero
    stride: int  # elements from a place to the next
    least: int
    most: int
    written: tuple[int, int]
    opening: bool  # whether the element of the greatest place is read before it is written

    @property
    def places(self) -> range:
        return range(self.least, self.most + 1)


def in_registers(
    loop: Range, trips: Trips, names: Names, dtypes: Callable[[str], Dtype]
) -> tuple[Statement, ...]:
    """Return a loop, with what belongs before and after it, that keeps shared elements.

    `dtypes` tells the dtype of a pointer. A loop that has no such elements, or more than fit, or
    whose accesses may meet in a way that is not understood, is returned as it is.
    """
    if not all(isinstance(s, (Load, Let, Set, Start, Store, Stop, Remark)) for s in loop.body):
        return (loop,)
    rows = _rows(loop, trips)
    if not rows or sum(len(row.places) for row in rows) > MOST_VARIABLES:
        return (loop,)
    return _Rotation(loop, trips, names, dtypes, rows).statements()


# --- which elements -------------------------------------------------------------------------------


def _rows(loop: Range, trips: Trips) -> list[_Row]:
    """The rows of a loop that are worth keeping."""
    accesses: dict[str, list[tuple[Access, str]]] = {}
    for statement in loop.body:
        match statement:
            case Load(access=access):
                accesses.setdefault(access.pointer, []).append((access, "read"))
            case Store(access=access, add=add):
                kind = "change" if add else "write"
                accesses.setdefault(access.pointer, []).append((access, kind))
    found: list[_Row] = []
    for pointer, group in accesses.items():
        if any(kind != "read" for _, kind in group):
            rows = _rows_of(pointer, group, trips)
            if rows is not None and any(map(_waits, rows)) and _apart(rows, trips):
                found += [row for row in rows if row.written[0] <= row.written[1]]
    return found


def _waits(row: _Row) -> bool:
    """Whether an element is accessed again in a later trip than one that writes it."""
    return row.least < row.written[1]


def _rows_of(pointer: str, group: list[tuple[Access, str]], trips: Trips) -> list[_Row] | None:
    """Sort the accesses to a pointer into rows, or None where they are not alike."""
    kinds: dict[Dim, list[str]] = {}
    for access, kind in group:
        if access.terms:
            return None
        kinds.setdefault(access.offset.dim, []).append(kind)
    first = next(iter(kinds))
    distances = {dim: dim - first for dim in kinds}
    if not all(isinstance(d, int) for d in distances.values()):
        return None
    stride = _factor(first, trips.symbol) * trips.step
    if not stride:
        return None
    columns: dict[int, list[tuple[int, Dim]]] = {}
    for dim, distance in distances.items():
        assert isinstance(distance, int)
        columns.setdefault(distance % stride, []).append((distance // stride, dim))
    return [
        _row(pointer, cluster, kinds, stride)
        for column in columns.values()
        for cluster in _clusters(sorted(column, key=lambda pair: pair[0]))
    ]


def _factor(dim: Dim, symbol: Symbol) -> int:
    return dict(dim.terms).get(symbol, 0) if isinstance(dim, Affine) else 0


def _clusters(column: list[tuple[int, Dim]]) -> Iterator[list[tuple[int, Dim]]]:
    """Cut a sorted list of places where there is a gap."""
    cluster = column[:1]
    for place, dim in column[1:]:
        if place - cluster[0][0] >= MOST_PLACES:
            yield cluster
            cluster = []
        cluster.append((place, dim))
    yield cluster


def _row(
    pointer: str, cluster: list[tuple[int, Dim]], kinds: Mapping[Dim, list[str]], stride: int
) -> _Row:
    base, rest = cluster[0]
    places = [(place - base, dim) for place, dim in cluster]
    written = [place for place, dim in places if any(kind != "read" for kind in kinds[dim])]
    ends = (min(written), max(written)) if written else (1, 0)
    last, dim = places[-1]
    return _Row(pointer, rest, stride, 0, last, ends, kinds[dim][0] != "write")


def _apart(rows: list[_Row], trips: Trips) -> bool:
    """Whether no two rows of a pointer share an element in any trips, nor two columns."""
    most = upper_bound(trips.count)
    if most is None:
        return False
    for i, a in enumerate(rows):
        for b in rows[:i]:
            distance = a.rest - b.rest
            assert isinstance(distance, int)
            places, other = divmod(distance, a.stride)
            if other:
                continue
            low, high = (b, a) if places > 0 else (a, b)
            gap = abs(places) - low.most + high.least
            if gap <= most - 1:
                return False
    return True


# --- the loop with variables ----------------------------------------------------------------------


class _Rotation:
    """The rewriting of one loop: a variable for every place of every row."""

    def __init__(
        self,
        loop: Range,
        trips: Trips,
        names: Names,
        dtypes: Callable[[str], Dtype],
        rows: list[_Row],
    ) -> None:
        self.loop = loop
        self.trips = trips
        self.names = names
        self.dtypes = dtypes
        self.rows = rows
        self.variables = {(row, place): names.scalar() for row in rows for place in row.places}
        self.at = {
            (row.pointer, row.rest + place * row.stride): (row, place)
            for row, place in self.variables
        }

    def statements(self) -> tuple[Statement, ...]:
        before = [self._load(row, p, 0) for row in self.rows for p in row.places[:-1]]
        body = [*self._entering(), *self._changed(), *self._leaving(), *self._moved()]
        loop = Range(self.loop.index, self.loop.start, self.loop.stop, self.loop.step, tuple(body))
        last = self.trips.count - 1
        after = [
            Store(self._access(row, place, last), self.variables[row, place - 1])
            for row in self.rows
            for place in range(max(row.written[0], row.least) + 1, row.written[1] + 1)
        ]
        statements = (*before, loop, *after)
        least = lower_bound(self.trips.count)
        if least is not None and least > 0:
            return statements
        runs = f"{self.names.sizes.dim(self.trips.count)} > 0"
        return (Branch(runs, statements, ()),)

    def _access(self, row: _Row, place: int, trip: Dim | None) -> Access:
        """The element of a place, in a trip or, without one, in that under way."""
        dim = row.rest + place * row.stride
        if trip is not None:
            dim = self.trips.at(dim, trip)
        return Access(row.pointer, (), self.names.sizes.address(dim, ()))

    def _load(self, row: _Row, place: int, trip: Dim | None) -> Statement:
        return Load(self.variables[row, place], self._access(row, place, trip))

    def _entering(self) -> Iterator[Statement]:
        for row in self.rows:
            if row.opening:
                yield self._load(row, row.most, None)

    def _changed(self) -> Iterator[Statement]:
        """The body, with variables in place of the elements."""
        for statement in self.loop.body:
            match statement:
                case Load(name, access) if (found := self._variable(access)) is not None:
                    yield Set(name, found)
                case Store(access, name, add) if (found := self._variable(access)) is not None:
                    if add:
                        yield sum_of(found, self.dtypes(access.pointer), found, name, add)
                    else:
                        yield Set(found, name)
                case _:
                    yield statement

    def _variable(self, access: Access) -> str | None:
        found = self.at.get((access.pointer, access.offset.dim))
        return None if found is None else self.variables[found]

    def _leaving(self) -> Iterator[Statement]:
        """Write the elements that no later trip writes."""
        for row in self.rows:
            place = row.written[0]
            yield Store(self._access(row, place, None), self.variables[row, place])

    def _moved(self) -> Iterator[Statement]:
        for row in self.rows:
            for place in row.places[:-1]:
                yield Set(self.variables[row, place], self.variables[row, place + 1])
