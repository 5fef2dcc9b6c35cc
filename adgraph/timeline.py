"""Where every array of a program lies in memory, and from when to when: as data and as a picture.

`memory_plan` gathers a lowered program's arrays in a `MemoryPlan`, which prints as a table of what
is there at the peak. `draw()` shows bytes against time: the arena with each array at its offset,
and above it the results, which are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from adgraph.analysis.liveness import scratch_types
from adgraph.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Fill,
    Frame,
    chart,
    legend,
    show_bytes,
    ticks,
    title,
    words,
)
from adgraph.errors import Location
from adgraph.grouping import kernel_body
from adgraph.ir.graph import Node, Value
from adgraph.schedule.buffers import Plan
from adgraph.schedule.schedule import Compute, Free, Schedule

FILLS = {
    "forward": Fill("forward", "#8ccbf2"),
    "backward": Fill("backward", "#f5c04a", "M0 6L6 0"),
    "recomputed": Fill("recomputed", "#e3a6c9", "M0 3H6M3 0V6"),
    "workspace": Fill("workspace", "#eeeeee", "M3 3h.5"),
    "result": Fill("result", "#ffffff", "M0 0L6 6"),
}
LISTED = 8  # arrays in the table
STRIP = 6  # the height of the marks of steps that run again
LETTER = 6.2  # the width of a letter, about


@dataclass(frozen=True)
class Buffer:
    """An array: `size` bytes at an offset from step `start` until `end`, which does not count.

    `kind` is one of `FILLS`. A result's offset counts from the end of the arena.
    """

    kind: str
    offset: int
    size: int
    start: int
    end: int
    words: str
    location: Location | None

    def __str__(self) -> str:
        line = self.location
        place = f", {line}: {line.source()}" if line is not None else ""
        return f"{show_bytes(self.size):>8}  {self.kind:<10}  {self.words}{place}"


@dataclass(frozen=True)
class MemoryPlan:
    """The arrays of a program: its peak is that of the arena and the results."""

    name: str
    steps: tuple[str, ...]  # the kind of every step
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    output_bytes: int
    budget: int | None = None

    @property
    def peak_bytes(self) -> int:
        """The bytes that a call allocates."""
        return self.arena_bytes + self.output_bytes

    @property
    def recomputed(self) -> int:
        """The steps that run again."""
        return self.steps.count("recomputed")

    def live(self) -> list[int]:
        """Return the bytes of the arena that hold something, at every step."""
        change = [0] * (len(self.steps) + 1)
        for buffer in self.buffers:
            if buffer.kind != "result":
                change[buffer.start] += buffer.size
                change[buffer.end] -= buffer.size
        total, found = 0, []
        for difference in change[:-1]:
            total += difference
            found.append(total)
        return found

    def __str__(self) -> str:
        live = self.live()
        again = f", {self.recomputed} of them again" if self.recomputed else ""
        steps = f"{len(self.steps)} step" + ("" if len(self.steps) == 1 else "s")
        head = (
            f"memory of {self.name}: peak {self.peak_bytes:,} bytes: arena {self.arena_bytes:,}, "
            f"results {self.output_bytes:,}; {steps}{again}"
        )
        if not live or not max(live):
            return head
        fullest = live.index(max(live))
        there = [b for b in self.buffers if b.start <= fullest < b.end]
        largest = sorted(there, key=lambda buffer: -buffer.size)
        lines = [head, f"  at step {fullest}, the fullest, {len(there)} arrays:"]
        lines += [f"    {buffer}" for buffer in largest[:LISTED]]
        if len(largest) > LISTED:
            rest = sum(buffer.size for buffer in largest[LISTED:])
            lines.append(f"    {show_bytes(rest):>8}  in {len(largest) - LISTED} more")
        return "\n".join(lines)

    def draw(self) -> Chart:
        """Return the arrays as rectangles of bytes by time; hover over one to read what it is."""
        return chart(_parts(self))

    def _repr_svg_(self) -> str:
        return self.draw().svg


# --- the plan as data -----------------------------------------------------------------------------


def memory_plan(schedule: Schedule, plan: Plan, name: str, budget: int | None = None) -> MemoryPlan:
    """Gather the arrays of a schedule and its plan."""
    found = _Buffers(schedule, plan)
    kinds = tuple(found.kinds)
    return MemoryPlan(
        name, kinds, tuple(found.buffers), plan.arena_bytes, plan.output_bytes, budget
    )


class _Buffers:
    """A walk over the steps: each array opens with its computation and closes where it is freed."""

    def __init__(self, schedule: Schedule, plan: Plan) -> None:
        self.kinds: list[str] = []
        self.buffers: list[Buffer] = []
        self._last = len(schedule.sequence)
        self._open: dict[Value, Buffer] = {}
        self._results: dict[Value, int] = {}
        seen: set[Node] = set()
        for time, step in enumerate(schedule.steps):
            match step:
                case Compute(node):
                    self.kinds.append(_kind(node, again=node in seen))
                    self._scratch(node, plan.scratch[time])
                    self._write(node, plan.offsets[time])
                    seen.add(node)
                case Free(value):
                    self._close(value, len(self.kinds))
        for value in list(self._open):
            self._close(value, self._last)

    def _scratch(self, node: Node, offsets: Sequence[int]) -> None:
        now = len(self.kinds) - 1
        text = f"workspace of {_name(_makers(node)[0])}"
        for offset, type in zip(offsets, scratch_types(node), strict=True):
            size, at = type.nbytes, node.origin.location
            self.buffers.append(Buffer("workspace", offset, size, now, now + 1, text, at))

    def _write(self, node: Node, offsets: Sequence[int | None]) -> None:
        now = len(self.kinds) - 1
        for value, offset, maker in zip(node.outputs, offsets, _makers(node), strict=True):
            text, at = f"{value.type} of {_name(maker)}", maker.origin.location
            size = value.type.nbytes
            if offset is None:
                place = self._results.setdefault(value, sum(v.type.nbytes for v in self._results))
                result = Buffer("result", place, size, now, self._last, text, at)
                self._open.setdefault(value, result)
                continue
            for other, there in list(self._open.items()):
                if there.kind != "result" and there.offset == offset:  # the array takes its place
                    self._close(other, now)
            self._open[value] = Buffer(self.kinds[-1], offset, size, now, self._last, text, at)

    def _close(self, value: Value, end: int) -> None:
        buffer = self._open.pop(value, None)
        if buffer is not None and buffer.size:
            self.buffers.append(replace(buffer, end=end))


def _kind(node: Node, *, again: bool) -> str:
    if again:
        return "recomputed"
    return "backward" if node.origin.order else "forward"


def _name(node: Node) -> str:
    kernel = kernel_body(node)
    return node.op.name if kernel is None else kernel.name


def _makers(node: Node) -> list[Node]:
    """Return for every result of a node the node inside it that computes it, or itself."""
    for region in node.regions():
        if len(region.outputs) == len(node.outputs):
            producers = region.producers()
            return [producers.get(v, node) for v in region.outputs]
    return [node] * len(node.outputs)


# --- the plan as a picture ------------------------------------------------------------------------


def _parts(plan: MemoryPlan) -> Iterator[str]:
    frame = Frame.around(max(len(plan.steps), 1), max(plan.peak_bytes, plan.budget or 0))
    met = {*plan.steps, *(buffer.kind for buffer in plan.buffers)}
    fills = [fill for name, fill in FILLS.items() if name in met]
    yield "<defs>" + "".join(fill.pattern() for fill in fills) + "</defs>"
    yield from frame.lines()
    yield "<g stroke='#444' stroke-width='.6'>"
    for buffer in plan.buffers:
        yield _rectangle(buffer, plan, frame)
    yield "</g>"
    for buffer in plan.buffers:
        yield from _label(buffer, plan, frame)
    yield from _again(plan, frame)
    yield from _limits(plan, frame)
    again = f", {plan.recomputed} again" if plan.recomputed else ""
    peak = f"peak {show_bytes(plan.peak_bytes)} in {len(plan.steps)} steps{again}"
    yield title(f"memory of {plan.name}: {peak}")
    yield from legend(fills)
    marks = [(step + 0.5, str(step)) for step in ticks(len(plan.steps))]
    yield from frame.below(marks, "step of the program")


def _place(buffer: Buffer, plan: MemoryPlan, frame: Frame) -> tuple[float, float, float, float]:
    """Return left, top, width and height of an array in the picture."""
    low = _lowest(buffer, plan)
    x, y = frame.x(buffer.start), frame.y(low + buffer.size)
    return x, y, frame.x(buffer.end) - x, frame.y(low) - y


def _lowest(buffer: Buffer, plan: MemoryPlan) -> int:
    """Return the first byte of an array: results are drawn above the arena."""
    return buffer.offset + (plan.arena_bytes if buffer.kind == "result" else 0)


def _rectangle(buffer: Buffer, plan: MemoryPlan, frame: Frame) -> str:
    x, y, width, height = _place(buffer, plan, frame)
    thin = "" if width > 3 and height > 3 else " stroke-width='.1'"
    return (
        f"<rect class='array' x='{x:.1f}' y='{y:.1f}' width='{max(width, 0.4):.1f}' "
        f"height='{max(height, 0.4):.1f}' fill='{FILLS[buffer.kind].reference}'{thin}>"
        f"<title>{escape(_tip(buffer, _lowest(buffer, plan)))}</title></rect>"
    )


def _label(buffer: Buffer, plan: MemoryPlan, frame: Frame) -> Iterator[str]:
    """Write the op's name into an array that has room for it."""
    x, y, width, height = _place(buffer, plan, frame)
    name = buffer.words.partition(" of ")[2]
    if height > 13 and width > LETTER * len(name) + 8:
        halo = "stroke='white' stroke-width='2.5' paint-order='stroke' pointer-events='none'"
        yield words(x + 4, y + height / 2 + 4, name, extra=f"fill='#111' {halo}")


def _tip(buffer: Buffer, low: int) -> str:
    line = buffer.location
    place = [f"{line}: {line.source()}"] if line is not None else []
    where = f"{show_bytes(buffer.size)} at byte {low:,}, steps {buffer.start} to {buffer.end - 1}"
    return "\n".join([f"{buffer.words} ({buffer.kind})", *place, where])


def _again(plan: MemoryPlan, frame: Frame) -> Iterator[str]:
    """Mark the steps that run again, under the axis."""
    for step, kind in enumerate(plan.steps):
        if kind == "recomputed":
            x, y = frame.x(step), HEIGHT - BOTTOM + 1
            width = max(frame.x(step + 1) - x, 0.4)
            yield (
                f"<rect class='again' x='{x:.2f}' y='{y}' width='{width:.2f}' height='{STRIP}' "
                f"fill='{FILLS['recomputed'].colour}' stroke='#444' stroke-width='.3'>"
                f"<title>step {step} runs again</title></rect>"
            )


def _limits(plan: MemoryPlan, frame: Frame) -> Iterator[str]:
    """Draw the end of the arena, the beginning of the backward program, and the budget."""
    y = frame.y(plan.arena_bytes)
    yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#222' stroke-width='1.2'/>"
    if "backward" in plan.steps and "forward" in plan.steps:
        x = frame.x(plan.steps.index("backward"))
        yield f"<path d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}' stroke='#222' stroke-dasharray='2 3'/>"
    if plan.budget is not None:
        yield from frame.budget(plan.budget)
