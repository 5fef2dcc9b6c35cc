"""Where every buffer of a schedule lies: offsets in one arena, known before the program runs.

`plan(schedule, may_share)` gives each computation offsets for its results and workspaces, a result
in the place of an operand that dies there if the lowering allows it. Outputs of the graph have
memory of their own. `check` verifies a plan without knowing how it was made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adgraph.analysis.liveness import (
    ALIGNMENT,
    computes,
    roots,
    scratch_types,
)
from adgraph.errors import GraphError
from adgraph.ir.graph import Node, Value
from adgraph.schedule.packing import Rectangle, pack
from adgraph.schedule.schedule import Compute, Free, Schedule

MayShare = Callable[[Node, Value, Value], bool]

# Buffers whose distance is a multiple of a page evict each other from the cache (a sweep over
# slots of 2 MiB took 1665 ms instead of 157-246 with a pad). From 16 KiB on the pad is below 1 %.
PAGE = 4096
PAD = 128
PADDED_FROM = 4 * PAGE


@dataclass(frozen=True)
class Plan:
    """The arena of a schedule. `offsets` and `scratch` are parallel to its steps.

    A computation has one offset for each result (None for an output of the graph) and one for each
    workspace; a `Free` has none. `output_bytes` are the outputs', outside the arena. `packing` is
    the order of buffers that gave the least arena.
    """

    arena_bytes: int
    offsets: tuple[tuple[int | None, ...], ...]
    scratch: tuple[tuple[int, ...], ...]
    output_bytes: int
    packing: str

    @property
    def peak_bytes(self) -> int:
        """The bytes that a call allocates: the arena and the outputs."""
        return self.arena_bytes + self.output_bytes


def slot_bytes(size: int) -> int:
    """Return the arena bytes of an array: whole cache lines, and a pad behind whole pages."""
    size = -(-size // ALIGNMENT) * ALIGNMENT
    return size + PAD if size >= PADDED_FROM and size % PAGE == 0 else size


def never(node: Node, operand: Value, result: Value) -> bool:
    """Allow no result to take its operand's place: the `may_share` of a plan without it."""
    return False


def plan(schedule: Schedule, may_share: MayShare = never, packings: Sequence[str] = ()) -> Plan:
    """Give every buffer and workspace of a schedule its place in one arena.

    `may_share(node, operand, result)` tells whether the node may write the result over an operand
    of the same number of bytes that nothing reads later. Some orders of packing are tried, or all.
    """
    slots = _Slots(schedule, may_share)
    rectangles = [Rectangle(slots.starts[i], slots.ends[i], slots.sizes[i]) for i in slots.packed]
    packing = pack(rectangles, packings)
    offset = dict(zip(slots.packed, packing.offsets, strict=True))
    return Plan(
        packing.bytes,
        tuple(tuple(_place(i, offset) for i in row) for row in slots.results),
        tuple(tuple(offset.get(i, 0) for i in row) for row in slots.scratch),
        schedule.output_bytes,
        packing.order,
    )


def _place(slot: int | None, offset: dict[int, int]) -> int | None:
    return None if slot is None else offset.get(slot, 0)


def dying_after(schedule: Schedule, time: int) -> set[Value]:
    """Return the values that are freed directly after a step."""
    dying = set()
    for position in range(time + 1, len(schedule.steps)):
        step = schedule.steps[position]
        if not isinstance(step, Free):
            break
        dying.add(step.value)
    return dying


class _Slots:
    """The slots that buffers pass on in place: each is live from `starts` until `ends`.

    `results` and `scratch` give the slot of every result and workspace of every step.
    """

    def __init__(self, schedule: Schedule, may_share: MayShare) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.sizes: list[int] = []
        self.results: list[tuple[int | None, ...]] = []
        self.scratch: list[tuple[int, ...]] = []
        self._facts = schedule.facts
        self._may_share = may_share
        self._current: dict[Value, int] = {}
        for time, step in enumerate(schedule.steps):
            match step:
                case Compute(node):
                    dying = dying_after(schedule, time)
                    self.results.append(self._write(node, time, dying))
                    types = scratch_types(node)
                    sizes = (slot_bytes(t.nbytes) for t in types)
                    self.scratch.append(tuple(self._open(time, time + 1, n) for n in sizes))
                case Free(value):
                    self._close(value, time)
                    self.results.append(())
                    self.scratch.append(())
        for slot, end in enumerate(self.ends):
            if end < 0:
                self.ends[slot] = len(schedule.steps)

    @property
    def packed(self) -> list[int]:
        """The slots that hold bytes."""
        return [i for i, size in enumerate(self.sizes) if size]

    def _open(self, start: int, end: int, size: int) -> int:
        self.starts.append(start)
        self.ends.append(end)
        self.sizes.append(size)
        return len(self.sizes) - 1

    def _close(self, value: Value, time: int) -> None:
        slot = self._current.pop(value, None)
        if slot is not None:
            self.ends[slot] = time

    def _write(self, node: Node, time: int, dying: set[Value]) -> tuple[int | None, ...]:
        slots: list[int | None] = []
        free = {v for v in dying if v in self._current} - set(node.outputs)
        for value in node.outputs:
            if value in self._facts.outputs:
                slots.append(None)
                continue
            operand = self._shared(node, value, free)
            if operand is None:
                slot = self._open(time, -1, slot_bytes(self._facts.bytes[value]))
            else:
                free.remove(operand)
                slot = self._current.pop(operand)
            self._current[value] = slot
            slots.append(slot)
        return tuple(slots)

    def _shared(self, node: Node, result: Value, free: set[Value]) -> Value | None:
        """Choose the operand whose place the result takes."""
        for operand in self._facts.operands[node]:
            if operand in free and operand.type.nbytes == result.type.nbytes:
                views = (v for v in node.inputs if self._facts.root[v] is operand)
                if all(self._may_share(node, view, result) for view in views):
                    return operand
        return None


# --- the check ------------------------------------------------------------------------------


def check(plan: Plan, schedule: Schedule) -> None:
    """Raise `GraphError` unless every operand is live when read and no two buffers overlap.

    Only an operand that dies at a step may lie exactly where a result of that step does.
    """
    root = roots(schedule.graph)
    outside = {root[v] for v in schedule.graph.outputs} | set(schedule.graph.inputs)
    live: dict[Value, _Block] = {}
    computed: set[Value] = set()
    for time, step in enumerate(schedule.steps):
        match step:
            case Free(value):
                live.pop(value, None)
                computed.remove(value)
            case Compute(node):
                _check_operands({root[v] for v in node.inputs}, computed, schedule)
                dying = dying_after(schedule, time) & {root[v] for v in node.inputs}
                new = _blocks(node, plan.offsets[time], outside)
                work = _scratch_blocks(node, plan.scratch[time])
                _check_apart(node, [*new.values(), *work], plan.arena_bytes)
                for block in work:
                    _check_beside(node, block, live)
                for block in new.values():
                    _check_beside(node, block, live, dying)
                live.update(new)
                computed.update(node.outputs)


@dataclass(frozen=True)
class _Block:
    """Bytes of the arena."""

    offset: int
    size: int

    def overlaps(self, other: _Block) -> bool:
        low, high = sorted((self, other), key=lambda block: block.offset)
        return low.size > 0 and high.size > 0 and high.offset < low.offset + low.size


def _blocks(
    node: Node, offsets: tuple[int | None, ...], outside: set[Value]
) -> dict[Value, _Block]:
    blocks = {}
    for value, offset in zip(node.outputs, offsets, strict=True):
        if (offset is None) != (value in outside):
            raise GraphError(f"an output of the graph has no offset, any other has one: {value}")
        if offset is not None:
            blocks[value] = _Block(offset, value.type.nbytes)
    return blocks


def _scratch_blocks(node: Node, offsets: tuple[int, ...]) -> list[_Block]:
    types = scratch_types(node)
    return [_Block(offset, t.nbytes) for offset, t in zip(offsets, types, strict=True)]


def _check_operands(operands: set[Value], computed: set[Value], schedule: Schedule) -> None:
    producers = schedule.graph.producers()
    for value in operands:
        if value in producers and computes(producers[value]) and value not in computed:
            raise GraphError(f"{value} is read while it is not live")


def _check_apart(node: Node, blocks: list[_Block], arena_bytes: int) -> None:
    for block in blocks:
        if block.offset % ALIGNMENT or block.offset + block.size > arena_bytes:
            raise GraphError(f"{node.op.name} writes {block} in an arena of {arena_bytes} bytes")
    for first, second in itertools.combinations(blocks, 2):
        if first.overlaps(second):
            raise GraphError(f"two results of {node.op.name} overlap: {first} and {second}")


def _check_beside(
    node: Node, block: _Block, live: dict[Value, _Block], dying: Iterable[Value] = ()
) -> None:
    for value, other in live.items():
        in_place = value in dying and block == other
        if block.overlaps(other) and not in_place and value not in node.outputs:
            raise GraphError(f"{node.op.name} writes {block} over {value} at {other}")
