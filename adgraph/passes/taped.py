"""Loops that record on tapes, and the loops that read these backwards: `taped_loops` finds them.

A `TapedLoop` tells what a reversal needs to know: which results are tapes, and which carried
variables are state: those that recorded rows depend on. `recording` and `reading` give the bodies
of both loops for tapes of fewer rows, or of one row. How many trips there are may be known only
when the program runs: `TapedLoop.count` then tells which value it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adgraph.analysis.programs import constants, operands, trips_of
from adgraph.control.tapes import Move, trip, with_read, with_written, zeros
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.prune import Needs, prune
from adgraph.ir.types import ArrayType, Slice
from adgraph.ops.control import counted, index, loop, while_
from adgraph.ops.shape import update

FEWEST_TRIPS = 2


@dataclass(frozen=True, eq=False)
class TapedLoop:
    """A loop that records, and the loop that reads what it has recorded, backwards.

    `tapes` maps results of the one to constants of the other, `state` are the carried variables
    that recorded rows depend on: all by number.
    """

    forward: Node
    backward: Node
    tapes: Mapping[int, int]
    state: tuple[int, ...]

    @property
    def trips(self) -> int:
        """The number of trips; where it is not known, for how many the tapes have room."""
        trips = trips_of(self.forward)
        assert isinstance(trips, int)
        return trips

    @property
    def is_open(self) -> bool:
        """Whether only running the program tells how many trips there are."""
        return self.forward.op is not loop

    @property
    def count(self) -> Value:
        """The number of trips of an open loop: an operand of the loop, or a result of it."""
        return self.backward.inputs[0]

    @property
    def body(self) -> Graph:
        """The body of the loop that records."""
        body: Graph = self.forward.attrs["body"]
        return body

    @property
    def state_types(self) -> tuple[ArrayType, ...]:
        """The types of one snapshot."""
        return tuple(self.forward.outputs[k].type for k in self.state)

    @property
    def state_bytes(self) -> int:
        """The bytes of one snapshot."""
        return sum(type.nbytes for type in self.state_types)

    @property
    def whole_rows(self) -> frozenset[int]:
        """The tapes of which every trip writes a whole row at once."""
        producers = self.body.producers()
        return frozenset(k for k in self.tapes if _writes_row(producers.get(self.body.outputs[k])))

    @property
    def row_bytes(self) -> int:
        """The bytes that one trip records."""
        return sum(self.forward.outputs[k].type.nbytes for k in self.tapes) // self.trips

    def advancing(self, kept: Sequence[int]) -> Graph:
        """Return a body that computes some of what is carried, and records nothing."""
        first = constants(self.forward)
        inputs = (*self.body.inputs[:first], *(self.body.inputs[first + k] for k in kept))
        outputs = tuple(self.body.outputs[k] for k in kept)
        return prune(Graph(inputs, self.body.nodes, outputs, self.body.name))


def _writes_row(node: Node | None) -> bool:
    if node is None or node.op is not update:
        return False
    shape = node.output.type.shape[1:]
    rest: tuple[Dim | Slice, ...] = node.attrs["index"][1:]
    return rest == tuple(Slice(0, n, 1) for n in shape)


# --- which loops record ---------------------------------------------------------------------------


def taped_loops(graph: Graph) -> tuple[TapedLoop, ...]:
    """Find the loops of a program that record for a loop which runs backwards.

    No loop is in two of them.
    """
    readers = _readers(graph)
    blanks = zeros(graph.nodes)
    found: list[TapedLoop] = []
    taken: set[Node] = set()
    for node in graph.nodes:
        taped = _taped_loop(node, readers, blanks) if _may_record(node) else None
        if taped is not None and taken.isdisjoint((taped.forward, taped.backward)):
            taken |= {taped.forward, taped.backward}
            found.append(taped)
    return tuple(found)


def _readers(graph: Graph) -> dict[Value, list[Node | None]]:
    """The nodes that read each value, once for each operand; None stands for the caller."""
    readers: dict[Value, list[Node | None]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers.setdefault(value, []).append(node)
    for value in graph.outputs:
        readers.setdefault(value, []).append(None)
    return readers


def _may_record(node: Node) -> bool:
    if node.op is loop:
        trips = node.attrs["trips"]
        return abs(node.attrs["step"]) == 1 and isinstance(trips, int) and trips >= FEWEST_TRIPS
    forward = node.op is while_ or (node.op is counted and not node.attrs["reverse"])
    return forward and node.attrs["capacity"] is not None


def _taped_loop(
    node: Node, readers: Mapping[Value, list[Node | None]], blanks: set[Value]
) -> TapedLoop | None:
    """Return a loop with the one that reads most of what it records."""
    groups: dict[Node, dict[int, int]] = {}
    for k, result in enumerate(node.outputs):
        (reader, *others) = readers.get(result, [None])
        if reader is None or others or not _mirrors(reader, node, blanks):
            continue
        given = operands(reader)
        at = given.index(result) if result in given else constants(reader)
        begun = operands(node)[constants(node) + k] in blanks
        if begun and at < constants(reader) and _is_tape(node, k, reader, at):
            groups.setdefault(reader, {})[k] = at
    if not groups:
        return None
    sizes = {
        reader: sum(node.outputs[k].type.nbytes for k in tapes) for reader, tapes in groups.items()
    }
    reader = max(groups, key=sizes.__getitem__)
    return TapedLoop(node, reader, groups[reader], _state(node, groups[reader]))


def _mirrors(back: Node, node: Node, blanks: set[Value]) -> bool:
    """Tell whether a loop makes the trips of another one, the last one first."""
    if node.op is not loop:
        reverse = back.op is counted and back.attrs["reverse"]
        return reverse and back.inputs[0] in _counts(node, blanks)
    if back.op is not loop:
        return False
    start, trips, step = (node.attrs[key] for key in ("start", "trips", "step"))
    mirrored = (start + (trips - 1) * step, trips, -step)
    return mirrored == tuple(back.attrs[key] for key in ("start", "trips", "step"))


def _counts(node: Node, blanks: set[Value]) -> tuple[Value, ...]:
    """Return the values that are the number of trips of an open loop."""
    if node.op is counted:
        return node.inputs[:1]
    body: Graph = node.attrs["body"]
    producers = body.producers()
    behind = {"dim": symbol_dim(node.attrs["symbol"]) + 1}
    carried = zip(operands(node)[constants(node) :], body.outputs, node.outputs, strict=True)
    found: list[Value] = []
    for start, end, result in carried:
        maker = producers.get(end)
        if start in blanks and maker is not None and maker.op is index and maker.attrs == behind:
            found.append(result)
    return tuple(found)


def _is_tape(node: Node, number: int, back: Node, at: int) -> bool:
    """Tell whether each trip of a loop writes its row of an array, and the mirrored one reads it.

    Nothing else happens to the array.
    """
    type = node.outputs[number].type
    if not type.shape or type.shape[0] != trips_of(node):
        return False
    return _written(node, node.attrs["body"], number, 1, None) is not None and (
        _read(node, back, back.attrs["body"], at, 1, None) is not None
    )


def _state(node: Node, tapes: Mapping[int, int]) -> tuple[int, ...]:
    """Return the carried variables that the rows written in this trip or a later one depend on."""
    body: Graph = node.attrs["body"]
    first = constants(node)
    needs = Needs().outputs(body)
    found: set[int] = set()
    waiting = list(tapes)
    while waiting:
        mask = needs[waiting.pop()]
        new = {k for k in range(len(body.outputs)) if mask >> first + k & 1}
        new -= found | tapes.keys()
        found |= new
        waiting += new
    return tuple(sorted(found))


# --- the same bodies with other tapes -------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """A body that records `count` trips.

    It takes the constants, carried variables, tapes of zeros of the types `fresh`, and the tapes
    `reused`, by number, whatever they hold: each trip writes a whole row. It gives the variables
    and `tapes`. `row` stands in it for the number of the trip among those.
    """

    body: Graph
    row: Symbol
    count: int
    fresh: tuple[ArrayType, ...]
    reused: tuple[int, ...]
    tapes: tuple[int, ...]

    @property
    def reused_types(self) -> tuple[ArrayType, ...]:
        """The types of the reused tapes."""
        first = len(self.body.inputs) - len(self.reused)
        return tuple(v.type for v in self.body.inputs[first:])


def recording(taped: TapedLoop, numbers: Sequence[int], count: int) -> Recording:
    """Return the body of a loop that carries some of its variables, and records `count` trips."""
    node, body = taped.forward, taped.body
    first = constants(node)
    row = Symbol("row", 0, count - 1)
    for k in taped.tapes:
        moved = _written(node, body, k, count, symbol_dim(row))
        assert moved is not None
        body = moved
    needs = Needs().outputs(body)
    continued = [k for k in taped.tapes if needs[k] >> first + k & 1]
    reused = tuple(k for k in continued if k in taped.whole_rows)
    fresh = tuple(k for k in continued if k not in reused)
    made = tuple(k for k in taped.tapes if k not in continued)
    tapes = (*fresh, *reused, *made)
    inputs = [body.inputs[i] for i in (*range(first), *(first + k for k in (*numbers, *tapes)))]
    outputs = tuple(body.outputs[k] for k in (*numbers, *tapes))
    graph = Graph(tuple(inputs[: len(inputs) - len(made)]), body.nodes, outputs, body.name)
    types = tuple(body.inputs[first + k].type for k in fresh)
    return Recording(prune(graph), row, count, types, reused, tapes)


def reading(taped: TapedLoop, count: int) -> tuple[Graph, Symbol]:
    """Return the body of the backward loop for tapes of `count` rows, and what stands for a row."""
    body: Graph = taped.backward.attrs["body"]
    row = Symbol("row", 0, count - 1)
    for at in taped.tapes.values():
        moved = _read(taped.forward, taped.backward, body, at, count, symbol_dim(row))
        assert moved is not None
        body = moved
    return body, row


def _written(node: Node, body: Graph, number: int, count: int, to: Dim | None) -> Graph | None:
    type = _shortened(node.outputs[number].type, count)
    move = _mover(trip(node), None if count == 1 else to)
    return with_written(body, constants(node) + number, number, type, move)


def _read(node: Node, back: Node, body: Graph, at: int, count: int, to: Dim | None) -> Graph | None:
    type = _shortened(operands(back)[at].type, count)
    trip_back = symbol_dim(back.attrs["symbol"])
    if node.op is loop:
        trip_back = (trip_back - node.attrs["start"]) * node.attrs["step"]
    return with_read(body, at, type, _mover(trip_back, None if count == 1 else to))


def _mover(row: Dim, to: Dim | None) -> Move:
    """Move what is in one row of a tape to another one, or to a tape that has only this row."""

    def move(index: tuple[Dim | Slice, ...]) -> tuple[Dim | Slice, ...] | None:
        if not index or index[0] != row:
            return None
        return index[1:] if to is None else (to, *index[1:])

    return move


def _shortened(type: ArrayType, count: int) -> ArrayType:
    """The type of a tape of so many rows; a single row has no axis for them."""
    return type.with_shape(type.shape[1:] if count == 1 else (count, *type.shape[1:]))
