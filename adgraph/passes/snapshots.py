"""Recorded loops that keep snapshots instead of tapes, for less memory and more computation.

`with_snapshots` divides the trips of a loop that records (`taped`) into segments and keeps the
state at the start of some. The backward loop runs the trips again that lead from the nearest one to
the segment that is to be reversed (`analysis.revolve` says how), records this segment alone, and
reverses it. The same nodes compute the same values as with a tape. Loops whose trips are counted
while the program runs are those of `open_loops`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from adgraph.analysis.programs import constants
from adgraph.analysis.revolve import Hop, Sweeps, sweeps
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.prune import prune
from adgraph.ops.control import between, index, loop, loop_symbol
from adgraph.passes.hoist import hoist
from adgraph.passes.open_loops import OpenReversal
from adgraph.passes.segments import (
    Reverse,
    Rows,
    Trips,
    blank,
    emit_loop,
    number_at,
    number_of,
    numbers_of,
)
from adgraph.passes.taped import Recording, TapedLoop, reading, recording, taped_loops


@dataclass(frozen=True)
class Plan:
    """How many states of a loop are kept, and how many trips are recorded at a time.

    If that is one, loops inside it that record may have plans: `inner` gives them by their numbers
    in the program that reverses a trip (`reversing`).
    """

    snapshots: int
    segment: int = 1
    inner: tuple[tuple[int, Plan], ...] = ()


def with_snapshots(graph: Graph, plans: Mapping[int, Plan]) -> Graph:
    """Return a program some of whose taped loops, by their numbers, keep snapshots instead."""
    found = taped_loops(graph)
    forward = {found[number].forward: number for number in plans}
    backward: dict[Node, Reverse] = {}
    builder = Builder()
    env = {v: builder.adopt(v) for v in graph.inputs}
    for node in graph.nodes:
        if node in forward:
            number = forward[node]
            with builder.at(node.origin):
                reverse = _swept(found[number], plans[number], builder, env)
            backward[found[number].backward] = reverse
        elif node in backward:
            with builder.at(node.origin):
                backward[node](builder, env)
        else:
            copy_node(builder, node, env)
    made = prune(builder.build([env[v] for v in graph.outputs], graph.name))
    return hoist(made) if any(plan.inner for plan in plans.values()) else made  # inner tables


def _swept(taped: TapedLoop, plan: Plan, builder: Builder, env: dict[Value, Value]) -> Reverse:
    """Emit the forward sweep of a loop; return what emits the backward one."""
    if taped.is_open:
        change = partial(_with_inner, plan)
        return OpenReversal(taped, plan.snapshots, plan.segment, change).sweep(builder, env)
    return _Reversal(taped, plan).sweep(builder, env)


def _with_inner(plan: Plan, body: Graph) -> Graph:
    return with_snapshots(body, dict(plan.inner)) if plan.inner else body


def reversed_alone(taped: TapedLoop, plan: Plan) -> Graph:
    """Return the program of both sweeps of a loop, and nothing else."""
    builder = Builder()
    given = dict.fromkeys((*taped.forward.inputs, *taped.backward.inputs))
    env = {v: builder.adopt(v) for v in given if v not in taped.forward.outputs}
    _swept(taped, plan, builder, env)(builder, env)
    return builder.build([env[v] for v in taped.backward.outputs])


def reversing(taped: TapedLoop) -> Graph:
    """Return the program that reverses one trip of a loop, with all that leads to its state."""
    graph = reversed_alone(taped, Plan(1))
    body: Graph = graph.producers()[graph.outputs[0]].attrs["body"]
    return body


@dataclass(frozen=True)
class _Kept:
    """What a forward sweep leaves for the backward one.

    These are snapshots, the state before the last segment, and the rows of the trips left over.
    """

    snapshots: tuple[Value, ...]
    under_way: tuple[Value, ...]
    rows: Mapping[int, Value]


@dataclass(frozen=True, eq=False)
class _Reversal:
    """Emits the two sweeps of one taped loop."""

    taped: TapedLoop
    plan: Plan

    @property
    def _whole(self) -> int:
        return self.taped.trips // self.plan.segment

    @property
    def _rest(self) -> int:
        return self.taped.trips % self.plan.segment

    @cached_property
    def _sweeps(self) -> Sweeps:
        return sweeps(self._whole, self.plan.snapshots)

    def _position(self, trip: Dim) -> Dim:
        attrs = self.taped.forward.attrs
        position: Dim = attrs["start"] + trip * attrs["step"]
        return position

    # --- forward --------------------------------------------------------------------------------

    def sweep(self, builder: Builder, env: dict[Value, Value]) -> Reverse:
        """Emit the loop in hops, a snapshot before each, and record the trips left over.

        The last hop is the last segment alone: what it begins with stays under way.
        """
        taped, node = self.taped, self.taped.forward
        first = constants(node)
        numbers = [k for k in range(len(node.outputs)) if k not in taped.tapes]
        fixed = [env[v] for v in node.inputs[:first]]
        starts = [env[node.inputs[first + k]] for k in numbers]
        count, rows = len(taped.state), self._rows.count
        blanks = self._rows.blanks(builder, taped.state_types)
        ends = numbers_of(builder, (*self._sweeps.start, self._whole - 1, self._whole))
        advance = taped.advancing(numbers)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            hop = symbol_dim(symbol)
            by_number = dict(zip(numbers, inputs[2 * count :], strict=True))
            states = [by_number[k] for k in taped.state]
            (row,) = inside.emit(index, [], {"dim": hop})
            snapshots = self._rows.store(inside, inputs[:count], states, row)
            span = [number_at(inside, ends, hop), number_at(inside, ends, hop + 1)]
            length = self._whole / (rows + 1)
            moved = self._advance(inside, advance, span, fixed, inputs[2 * count :], length)
            return (*snapshots, *states, *moved)

        symbol = Symbol("hop", 0, rows)
        span = [number_of(builder, 0), number_of(builder, rows + 1)]
        attrs = {"symbol": symbol, "capacity": rows + 1, "typical": rows + 1}
        under_way = [blank(builder, t) for t in taped.state_types]
        carried = [*blanks, *under_way, *starts]
        results = emit_loop(builder, between, span, carried, attrs, write)
        kept, states = results[: 2 * count], results[2 * count :]
        recorded: dict[int, Value] = {}
        if self._rest:
            base = self._whole * self.plan.segment
            left = recording(taped, numbers, self._rest)
            tapes = [blank(builder, type) for type in left.reused_types]
            states, recorded = self._record(builder, left, base, fixed, states, tapes)
        env.update((node.outputs[k], v) for k, v in zip(numbers, states, strict=True))
        return partial(self._reverse, _Kept(kept[:count], kept[count:], recorded))

    @property
    def _rows(self) -> Rows:
        return Rows(len(self._sweeps.start))

    def _advance(
        self,
        builder: Builder,
        body: Graph,
        span: Sequence[Value],
        fixed: Sequence[Value],
        states: Sequence[Value],
        typical: float,
    ) -> tuple[Value, ...]:
        """Emit the segments from one number to another, as they are in the forward sweep."""
        length = self.plan.segment
        symbol = Symbol("segment", 0, self._whole - 1)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            base = symbol_dim(symbol) * length
            at = Trips(self._position, base, length)
            return at.emit(inside, body, self.taped.forward.attrs["symbol"], fixed, inputs)

        attrs = {"symbol": symbol, "capacity": self._whole, "typical": typical}
        return emit_loop(builder, between, span, states, attrs, write)

    # --- backward -------------------------------------------------------------------------------

    def _reverse(self, kept: _Kept, builder: Builder, env: dict[Value, Value]) -> None:
        """Emit the loop that reverses the segments, the last one first."""
        taped, node = self.taped, self.taped.backward
        fixed = [env[v] for v in taped.forward.inputs[: constants(taped.forward)]]
        seeds = tuple(env[v] for v in node.inputs[constants(node) :])
        if self._rest:
            base = self._whole * self.plan.segment
            left = reading(taped, self._rest)
            seeds = self._read(builder, left, base, self._rest, env, kept.rows, seeds)
        recorded = recording(taped, taped.state, self.plan.segment)
        read = reading(taped, self.plan.segment)
        blanks = [blank(builder, type) for type in recorded.reused_types]
        tables = _Tables.of(builder, self._sweeps)
        count, used = len(kept.snapshots), len(kept.snapshots) * 2 + len(blanks)

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            segment = symbol_dim(symbol)
            before = inputs[:count], inputs[count : 2 * count]
            snapshots, states = self._hop(inside, tables, segment, fixed, *before)
            base = segment * self.plan.segment
            tapes = inputs[2 * count : used]
            ends, rows = self._record(inside, recorded, base, fixed, states, tapes)
            pulled = self._read(inside, read, base, self.plan.segment, env, rows, inputs[used:])
            under_way = states if self.plan.segment == 1 else ends  # whatever needs no copy
            return (*snapshots, *under_way, *(rows[k] for k in recorded.reused), *pulled)

        last = self._whole - 1
        symbol = loop_symbol("segment", last, self._whole, -1)
        attrs = {"symbol": symbol, "start": last, "trips": self._whole, "step": -1}
        carried = [*kept.snapshots, *kept.under_way, *blanks, *seeds]
        change = partial(_with_inner, self.plan)
        results = emit_loop(builder, loop, [], carried, attrs, write, change=change)
        env.update(zip(node.outputs, results[used:], strict=True))

    def _record(
        self,
        builder: Builder,
        recorded: Recording,
        base: Dim,
        fixed: Sequence[Value],
        states: Sequence[Value],
        reused: Sequence[Value],
    ) -> tuple[tuple[Value, ...], dict[int, Value]]:
        """Emit trips that record; return the states after them, and the tapes by number."""
        trips = Trips(self._position, base, recorded.count, row=recorded.row)
        index = self.taped.forward.attrs["symbol"]
        carried = [*states, *(blank(builder, type) for type in recorded.fresh), *reused]
        results = trips.emit(builder, recorded.body, index, fixed, carried)
        count = len(states)
        return results[:count], dict(zip(recorded.tapes, results[count:], strict=True))

    def _read(
        self,
        builder: Builder,
        read: tuple[Graph, Symbol],
        base: Dim,
        count: int,
        env: Mapping[Value, Value],
        tapes: Mapping[int, Value],
        seeds: Sequence[Value],
    ) -> tuple[Value, ...]:
        """Emit trips of the backward loop; return the cotangents after them."""
        body, row = read
        node = self.taped.backward
        recorded = {at: tapes[k] for k, at in self.taped.tapes.items()}
        operands = node.inputs[: constants(node)]
        fixed = [recorded[i] if i in recorded else env[v] for i, v in enumerate(operands)]
        trips = Trips(self._position, base, count, -1, row)
        return trips.emit(builder, body, node.attrs["symbol"], fixed, seeds)

    def _hop(
        self,
        builder: Builder,
        tables: _Tables,
        segment: Dim,
        fixed: Sequence[Value],
        snapshots: Sequence[Value],
        states: Sequence[Value],
    ) -> tuple[Sequence[Value], Sequence[Value]]:
        """Emit the way to the state of a segment; return snapshots and state."""
        row = number_at(builder, tables.restored, segment)
        states = self._rows.restore(builder, snapshots, states, row)
        if not tables.hops:
            return snapshots, states
        count = len(states)
        advance = self.taped.advancing(self.taped.state)
        length = (self._sweeps.advances - (self._whole - 1)) / tables.hops

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            hop = symbol_dim(symbol)
            row = number_at(inside, tables.row, hop)
            stored = self._rows.store(inside, inputs[:count], inputs[count:], row)
            span = [number_at(inside, table, hop) for table in (tables.begin, tables.end)]
            moved = self._advance(inside, advance, span, fixed, inputs[count:], length)
            return (*stored, *moved)

        symbol = Symbol("hop", 0, tables.hops - 1)
        span = [number_at(builder, tables.first, segment + at) for at in (0, 1)]
        typical = tables.hops / self._whole
        attrs = {"symbol": symbol, "capacity": tables.hops, "typical": typical}
        results = emit_loop(builder, between, span, [*snapshots, *states], attrs, write)
        return results[:count], results[count:]


@dataclass(frozen=True)
class _Tables:
    """`Sweeps` as arrays: hop h of segment s is between first[s] and first[s + 1]."""

    hops: int
    restored: Value
    first: Value
    row: Value
    begin: Value
    end: Value

    @classmethod
    def of(cls, builder: Builder, sweeps: Sweeps) -> _Tables:
        """Emit the arrays."""
        hops: list[Hop] = []
        first = [0]
        for listed in sweeps.before:
            hops += listed
            first.append(len(hops))
        columns = zip(*((hop.row, hop.begin, hop.end) for hop in hops), strict=True)
        row, begin, end = columns if hops else ((), (), ())
        arrays = (numbers_of(builder, x) for x in (sweeps.restored, first, row, begin, end))
        return cls(len(hops), *arrays)
