"""Loops of unknown length that keep snapshots: where these go is computed while the program runs.

`OpenReversal` emits both sweeps of a taped loop (`taped`) whose trips an operand or a test counts.
A number of trips is known before the forward sweep, which then is the first sweep of Revolve
(`analysis.revolve`). The sweep of a `while` keeps snapshots at equal distances; where there is no
room for another one, every second is given up and the distance doubles. The backward sweep goes on
from those, or from the start alone if there are far more segments than snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from adgraph.analysis.cost import UNKNOWN_TRIPS
from adgraph.analysis.programs import constants, operands
from adgraph.ir.builder import Builder, inline
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import Op
from adgraph.ir.substitute import substitute_all
from adgraph.ir.types import ArrayType
from adgraph.ops.control import between, counted, index, while_
from adgraph.ops.elementwise import (
    add,
    equal,
    floor_divide,
    greater,
    less,
    logical_and,
    maximum,
    minimum,
    multiply,
    subtract,
    where,
)
from adgraph.passes.segments import (
    Reverse,
    Rows,
    blank,
    emit_loop,
    emit_while,
    number_of,
    row_at,
    with_row,
)
from adgraph.passes.taped import TapedLoop, reading, recording

NUMBER = ArrayType(np.dtype(np.int64), ())
MOST_TRIPS = 2**40
AGAIN = 3  # how often a trip runs again, on the average: for the estimated cost

Number = Value | int
Change = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Place:
    """Where a sweep is: the first `count` rows of snapshots are kept, `variables` are under way.

    `snapshots` holds the rows of each state, then those of the numbers of the segments before which
    they were; `position` is the number of the segment before which the variables are.
    """

    snapshots: tuple[Value, ...]
    count: Value
    position: Value
    variables: tuple[Value, ...]

    @property
    def carried(self) -> tuple[Value, ...]:
        """All of it, for a loop."""
        return (*self.snapshots, self.count, self.position, *self.variables)


@dataclass(frozen=True, eq=False)
class OpenReversal:
    """Emits the two sweeps of one taped loop with so many snapshots.

    `length` trips are a segment, and recorded at a time. What becomes of the program that reverses
    a segment is for `change` to say.
    """

    taped: TapedLoop
    most: int
    length: int
    change: Change

    @property
    def _rows(self) -> Rows:
        return Rows(self.most)

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        """The carried variables but for the tapes."""
        results = range(len(self.taped.forward.outputs))
        return tuple(k for k in results if k not in self.taped.tapes)

    def _fixed(self, env: Mapping[Value, Value]) -> list[Value]:
        node = self.taped.forward
        return [env[v] for v in operands(node)[: constants(node)]]

    def _place(self, carried: Sequence[Value]) -> Place:
        held = len(self.taped.state) + 1
        count, position = carried[held : held + 2]
        return Place(tuple(carried[:held]), count, position, tuple(carried[held + 2 :]))

    # --- forward --------------------------------------------------------------------------------

    def sweep(self, builder: Builder, env: dict[Value, Value]) -> Reverse:
        """Emit the loop without its tapes; return what emits the backward sweep."""
        node = self.taped.forward
        starts = [env[operands(node)[constants(node) + k]] for k in self._numbers]
        blanks = self._rows.blanks(builder, (*self.taped.state_types, NUMBER))
        zero, one = number_of(builder, 0), number_of(builder, 1)
        begin = (*self._states(starts), zero)
        rows = tuple(with_row(builder, x, s, 0) for x, s in zip(blanks, begin, strict=True))
        emit = self._tested if node.op is while_ else self._counted
        kept, ends = emit(builder, env, Place(rows, one, zero, tuple(starts)))
        env.update((node.outputs[k], v) for k, v in zip(self._numbers, ends, strict=True))
        return partial(self._reverse, kept)

    def _states(self, variables: Sequence[Value]) -> tuple[Value, ...]:
        by_number = dict(zip(self._numbers, variables, strict=True))
        return tuple(by_number[k] for k in self.taped.state)

    def _counted(
        self, builder: Builder, env: Mapping[Value, Value], start: Place
    ) -> tuple[Place, tuple[Value, ...]]:
        """Emit the way to the last segment, and on to the end."""
        trips, fixed = env[self.taped.count], self._fixed(env)
        last = computed(builder, subtract, self._segments(builder, trips), 1)
        last = computed(builder, maximum, last, 0)
        place = self._climb(builder, fixed, start, last, self._numbers)
        span = (computed(builder, multiply, last, self.length), trips)
        ends = self._advance(builder, fixed, span, place.variables, self._numbers)
        return replace(place, variables=self._states(place.variables)), ends

    def _segments(self, builder: Builder, trips: Value) -> Value:
        """Emit the number of segments; the last one may be shorter."""
        rounded = computed(builder, add, trips, self.length - 1)
        return computed(builder, floor_divide, rounded, self.length)

    # --- forward, until a test fails ------------------------------------------------------------

    def _tested(
        self, builder: Builder, env: Mapping[Value, Value], start: Place
    ) -> tuple[Place, tuple[Value, ...]]:
        """Emit the loop; in `Place`, the position is that of the next snapshot."""
        node, fixed = self.taped.forward, self._fixed(env)
        symbol = Symbol(node.attrs["symbol"].name, 0, None)
        here = {node.attrs["symbol"]: symbol_dim(symbol)}
        body = substitute_all(self.taped.advancing(self._numbers), here)
        test = substitute_all(self._test(), here)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            (trip,) = inside.emit(index, [], {"dim": symbol_dim(symbol)})
            place, stride = self._noted(inside, trip, self._place(inputs[:-1]), inputs[-1])
            moved = inline(inside, body, (*fixed, *place.variables))
            return (*replace(place, variables=moved).carried, stride)

        def ask(inside: Builder, inputs: list[Value]) -> Value:
            return inline(inside, test, (*fixed, *self._place(inputs[:-1]).variables))[0]

        one = number_of(builder, 1)
        carried = (*replace(start, position=one).carried, one)
        end = self._place(emit_while(builder, carried, symbol, ask, write)[:-1])
        results = [node.outputs[k] for k in self._numbers]
        segments = self._segments(builder, end.variables[results.index(self.taped.count)])
        few = computed(builder, less, segments, self.most**2 + 1)
        count = computed(builder, where, few, end.count, 1)
        under_way = tuple(blank(builder, t) for t in self.taped.state_types)
        return Place(end.snapshots, count, number_of(builder, -1), under_way), end.variables

    def _test(self) -> Graph:
        """The test without the tapes."""
        test: Graph = self.taped.forward.attrs["test"]
        first = constants(self.taped.forward)
        wanted = (*range(first), *(first + k for k in self._numbers))
        return replace(test, inputs=tuple(test.inputs[i] for i in wanted))

    def _noted(
        self, builder: Builder, trip: Value, place: Place, stride: Value
    ) -> tuple[Place, Value]:
        """Emit the snapshot before a trip, if it is due; return the distance of snapshots, too."""
        if self.most == 1:
            return place, stride
        due = computed(
            builder, equal, trip, computed(builder, multiply, place.position, self.length)
        )
        full = computed(builder, logical_and, due, computed(builder, equal, place.count, self.most))
        half = (self.most + 1) // 2
        snapshots = self._thinned(builder, place.snapshots, full, half)
        even = self.most % 2 == 0  # if not, the next snapshot is due at a multiple of the new one
        free = computed(builder, where, full, half if even else self.most, place.count)
        row = computed(builder, where, due, free, self.most)
        given = (*self._states(place.variables), place.position)
        snapshots = self._rows.store(builder, snapshots, given, row)
        left = computed(builder, where, full, half, place.count)
        stored = computed(builder, less, row, self.most)
        count = computed(builder, where, stored, computed(builder, add, row, 1), left)
        longer = computed(builder, where, full, computed(builder, multiply, stride, 2), stride)
        following = computed(builder, add, place.position, longer if even else stride)
        position = computed(builder, where, due, following, place.position)
        return Place(snapshots, count, position, place.variables), longer

    def _thinned(
        self, builder: Builder, snapshots: Sequence[Value], full: Value, half: int
    ) -> tuple[Value, ...]:
        """Emit the rows of which every second one is given up if there is no other left."""
        symbol = Symbol("row", 0, half - 1)
        at = symbol_dim(symbol)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            return [with_row(inside, x, row_at(inside, x, 2 * at), at) for x in inputs]

        span = (number_of(builder, 1), computed(builder, where, full, half, 0))
        attrs = {"symbol": symbol, "capacity": half, "typical": 1}
        return emit_loop(builder, between, span, snapshots, attrs, write)

    # --- from snapshot to snapshot --------------------------------------------------------------

    def _climb(
        self,
        builder: Builder,
        fixed: Sequence[Value],
        start: Place,
        segment: Value,
        numbers: Sequence[int],
    ) -> Place:
        """Emit the way to a segment, with the snapshots that are best kept."""

        def ask(inside: Builder, inputs: list[Value]) -> Value:
            return computed(inside, less, self._place(inputs).position, segment)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            place = self._place(inputs)
            target = self._target(inside, place, segment)
            span = [computed(inside, multiply, n, self.length) for n in (place.position, target)]
            moved = self._advance(inside, fixed, span, place.variables, numbers)
            by_number = dict(zip(numbers, moved, strict=True))
            stop = computed(inside, less, target, segment)
            row = computed(inside, where, stop, place.count, self.most)
            given = (*(by_number[k] for k in self.taped.state), target)
            snapshots = self._rows.store(inside, place.snapshots, given, row)
            more = computed(inside, add, place.count, 1)
            count = computed(inside, where, stop, more, place.count)
            return Place(snapshots, count, target, moved).carried

        symbol = Symbol("hop", 0, None)
        return self._place(emit_while(builder, start.carried, symbol, ask, write))

    def _target(self, builder: Builder, place: Place, segment: Value) -> Value:
        """Emit where the next snapshot is best taken: the segment itself if there is no room."""
        if self.most == 1:
            return segment
        free = computed(builder, subtract, self.most + 1, place.count)
        room = computed(builder, greater, free, 1)
        links = computed(builder, subtract, computed(builder, add, segment, 1), place.position)
        hop = split(builder, computed(builder, where, room, links, 1), free)
        target = computed(builder, add, place.position, hop)
        return computed(builder, where, room, target, segment)

    def _advance(
        self,
        builder: Builder,
        fixed: Sequence[Value],
        span: Sequence[Value],
        variables: Sequence[Value],
        numbers: Sequence[int],
    ) -> tuple[Value, ...]:
        """Emit the trips from one number to another."""
        symbol = Symbol(self.taped.forward.attrs["symbol"].name, 0, MOST_TRIPS - 1)
        here = {self.taped.forward.attrs["symbol"]: symbol_dim(symbol)}
        body = substitute_all(self.taped.advancing(numbers), here)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            return inline(inside, body, (*fixed, *inputs))

        typical = AGAIN * self.length / UNKNOWN_TRIPS  # in each of the hops of a `while`
        attrs = {"symbol": symbol, "capacity": MOST_TRIPS, "typical": typical}
        names = body.inputs[len(fixed) :]
        return emit_loop(builder, between, span, variables, attrs, write, names=names)

    # --- backward -------------------------------------------------------------------------------

    def _reverse(self, kept: Place, builder: Builder, env: dict[Value, Value]) -> None:
        """Emit the loop that reverses the segments, the last one first."""
        node, fixed = self.taped.backward, self._fixed(env)
        seeds = [env[v] for v in operands(node)[constants(node) :]]
        recorded = recording(self.taped, self.taped.state, self.length)
        read, row = reading(self.taped, self.length)
        blanks = [blank(builder, type) for type in recorded.reused_types]
        trips = env[self.taped.count]
        symbol = Symbol("segment", 0, None)
        held, used = len(kept.carried), len(kept.carried) + len(blanks)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            (segment,) = inside.emit(index, [], {"dim": symbol_dim(symbol)})
            place = self._restored(inside, self._place(inputs[:held]), segment)
            place = self._climb(inside, fixed, place, segment, self.taped.state)
            part = _Part(self.taped, symbol_dim(symbol), self.length, segment, trips)
            fresh = [blank(inside, type) for type in recorded.fresh]
            given = (*place.variables, *fresh, *inputs[held:used])
            results = part.emit(inside, recorded.body, recorded.row, fixed, given)
            ends, tapes = results[: len(place.variables)], results[len(place.variables) :]
            rows = dict(zip(recorded.tapes, tapes, strict=True))
            at = {i: rows[k] for k, i in self.taped.tapes.items()}
            outside = operands(node)[: constants(node)]
            known = [at[i] if i in at else env[v] for i, v in enumerate(outside)]
            pulled = part.emit(inside, read, row, known, inputs[used:], reverse=True)
            under_way = place.variables if self.length == 1 else ends  # whatever needs no copy
            left = replace(place, variables=under_way)
            return (*left.carried, *(rows[k] for k in recorded.reused), *pulled)

        attrs = {"symbol": symbol, "reverse": True, "capacity": None}
        lead = [self._segments(builder, trips)]
        carried = [*kept.carried, *blanks, *seeds]
        results = emit_loop(builder, counted, lead, carried, attrs, write, change=self.change)
        env.update(zip(node.outputs, results[used:], strict=True))

    def _restored(self, builder: Builder, place: Place, segment: Value) -> Place:
        """Emit the last snapshot before a segment, unless it is the segment's state under way."""
        (top,) = self._rows.restore(
            builder,
            place.snapshots[-1:],
            [place.position],
            computed(builder, subtract, place.count, 1),
        )
        past = computed(builder, greater, top, segment)
        fewer = computed(builder, subtract, place.count, 1)
        count = computed(builder, where, past, fewer, place.count)
        here = computed(builder, equal, place.position, segment)
        last = computed(builder, subtract, count, 1)
        row = computed(builder, where, here, self.most, last)
        given = (*place.variables, place.position)
        *variables, position = self._rows.restore(builder, place.snapshots, given, row)
        return Place(place.snapshots, count, position, tuple(variables))


@dataclass(frozen=True)
class _Part:
    """The trips of one segment."""

    taped: TapedLoop
    number: Dim
    length: int
    segment: Value
    trips: Value

    def emit(
        self,
        builder: Builder,
        body: Graph,
        row: Symbol,
        fixed: Sequence[Value],
        carried: Sequence[Value],
        *,
        reverse: bool = False,
    ) -> tuple[Value, ...]:
        """Emit the trips with a body; a single one is written out."""
        node = self.taped.backward if reverse else self.taped.forward
        if self.length == 1:
            here = substitute_all(body, {node.attrs["symbol"]: self.number})
            return inline(builder, here, (*fixed, *carried))
        symbol = Symbol(node.attrs["symbol"].name, 0, self.length - 1)
        at = symbol_dim(symbol)
        here = substitute_all(body, {node.attrs["symbol"]: self.number * self.length + at, row: at})

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            return inline(inside, here, (*fixed, *inputs))

        passed = computed(builder, multiply, self.segment, self.length)
        rest = computed(builder, subtract, self.trips, passed)
        lead = [computed(builder, minimum, rest, self.length)]
        attrs = {"symbol": symbol, "reverse": reverse, "capacity": self.length}
        names = body.inputs[len(fixed) :]
        return emit_loop(builder, counted, lead, carried, attrs, write, names=names)


# --- integers -------------------------------------------------------------------------------------


def computed(builder: Builder, op: Op, *operands: Number) -> Value:
    """Emit an op of integers."""
    given = [number_of(builder, x) if isinstance(x, int) else x for x in operands]
    return builder.emit(op, given, {})[0]


def split(builder: Builder, links: Value, snapshots: Value) -> Value:
    """Emit `analysis.revolve.split` of numbers that are computed; 1 for a single link."""

    def ask(inside: Builder, inputs: list[Value]) -> Value:
        return computed(inside, less, inputs[1], links)

    def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
        runs, reach, _ = inputs  # reach is the binomial coefficient of snapshots + runs over runs
        runs = computed(inside, add, runs, 1)
        product = computed(inside, multiply, reach, computed(inside, add, snapshots, runs))
        return runs, computed(inside, floor_divide, product, runs), reach

    zero, one = number_of(builder, 0), number_of(builder, 1)
    symbol = Symbol("runs", 0, None)
    runs, _, most = emit_while(builder, [zero, one, one], symbol, ask, write)
    above = computed(builder, subtract, computed(builder, add, snapshots, runs), 1)
    product = computed(builder, multiply, most, snapshots)
    below = computed(builder, floor_divide, product, computed(builder, maximum, above, 1))
    rest = computed(builder, subtract, links, below)
    return computed(builder, maximum, computed(builder, minimum, most, rest), 1)
