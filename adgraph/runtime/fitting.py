"""Fit a derivative program with loops into a memory budget: snapshots in place of tapes.

For every loop that records, `loop_curve` gives the ways to reverse it that cost least for their
bytes (a model: exact counts of trips and rows, estimated seconds of a trip). `choices` composes the
curves of all loops of a program. `fitted` takes the cheapest choice whose plan, made in full, meets
the budget; what is left over is for the schedule, which may run other nodes again. Choices do not
depend on the budget, so more bytes never cost more. Where only running tells how many trips a loop
makes, ways are compared for `OPEN_TRIPS`, or for all that the tapes have room for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from adgraph.analysis.cost import expected_trips, graph_cost, moving_seconds, node_cost
from adgraph.analysis.liveness import computes, scratch_types
from adgraph.analysis.revolve import advances
from adgraph.errors import BudgetError
from adgraph.ir.graph import Graph, Node
from adgraph.lower.program import arrange
from adgraph.passes.pipeline import LAST, Pass, Report, run_pipeline
from adgraph.passes.rewrite import Hits
from adgraph.passes.snapshots import Plan, reversed_alone, reversing, with_snapshots
from adgraph.passes.taped import FEWEST_TRIPS, TapedLoop, taped_loops
from adgraph.schedule.budget import Budget, estimated_seconds, in_bytes

SIZES = 64  # lengths of a segment, and numbers of snapshots, that are tried
OPEN_TRIPS = 4096  # for which ways to reverse a loop of unknown length are compared
MOST_SEGMENTS = 2**16  # each has an entry in the tables of the reversal
POINTS = 256  # of a composed curve
INNER = 16  # choices for the loops in a loop that are tried with each number of its snapshots
COPY_RATE = 2e10  # bytes a second of a state that is written or read back


Item = TypeVar("Item")
Way = tuple[int, float, Plan | None]


@dataclass(frozen=True)
class Choice:
    """A plan for each loop that has one, by its number, and what the model says of them."""

    plans: Mapping[int, Plan]
    nbytes: int
    seconds: float

    def apply(self, graph: Graph) -> tuple[Graph, Report]:
        """Return a settled program with these plans, ready to be lowered."""
        if not self.plans:
            return run_pipeline(graph, LAST)
        step = Pass("snapshots", self._with_snapshots, "keep snapshots in place of tapes")
        return run_pipeline(graph, (step, *LAST))

    def _with_snapshots(self, graph: Graph, hits: Hits) -> Graph:
        for plan in self.plans.values():
            hits[f"{plan.snapshots} snapshots of a loop, {plan.segment} trips recorded"] += 1
        return with_snapshots(graph, self.plans)


# --- the curve of one loop ------------------------------------------------------------------------


def loop_curve(taped: TapedLoop, several_bytes: int = 0) -> list[Way]:
    """Return bytes, seconds and plan of the ways to reverse a loop.

    The first one keeps the tapes, the others are those that no other one beats in both, the fastest
    first. Segments of several trips take so many bytes beside their rows.
    """
    nbytes = taped.trips * taped.row_bytes
    moved = round(expected_trips(taped.forward)) * taped.row_bytes
    seconds = _seconds(taped.forward) + 2 * moving_seconds(moved)
    ways = [way for way in _ways(taped, several_bytes) if way[0] < nbytes]
    return [(nbytes, seconds, None), *_unbeaten(ways, lambda way: way[:2])]


def _ways(taped: TapedLoop, several_bytes: int) -> Iterator[Way]:
    inner = _inner(taped)
    trip = _Trip.of(taped)
    trips = max(taped.trips, OPEN_TRIPS) if taped.is_open else taped.trips
    for segment in _sizes(trips):
        segments = trips // segment
        if segments > MOST_SEGMENTS or (trips % segment == 1 and not taped.is_open):
            continue  # a single trip left over would stand outside of loops, in other kernels
        for snapshots in _sizes(max(segments - 1, 1)):
            nbytes = _nbytes(taped, snapshots, segment) + several_bytes * (segment > 1)
            again = (advances(segments, snapshots) - (segments - 1)) * segment / trips
            seconds = trip.seconds(taped, segment, again)
            yield nbytes, seconds, Plan(snapshots, segment)
            for choice in inner if segment == 1 else ():
                yield (
                    nbytes + choice.nbytes,
                    seconds + trip.count * choice.seconds,
                    Plan(snapshots, 1, tuple(choice.plans.items())),
                )


def _nbytes(taped: TapedLoop, snapshots: int, segment: int) -> int:
    """Return the bytes of snapshots, one state under way among them, and of recorded rows."""
    if taped.is_open:
        return (snapshots + 1) * taped.state_bytes + segment * taped.row_bytes
    rows = min(snapshots + 1, taped.trips // segment)
    return rows * taped.state_bytes + (segment + taped.trips % segment) * taped.row_bytes


def _several_bytes(taped: TapedLoop) -> int:
    """Return the bytes that segments of two trips take more than those of one, beside their rows.

    One trip hands on in passing what two keep for each other: both are planned.
    """
    if not 2 * FEWEST_TRIPS <= taped.trips <= MOST_SEGMENTS:
        return 0
    snapshots = math.isqrt(taped.trips)
    one, two = (
        _Made(reversed_alone(taped, Plan(snapshots, segment)), 1, Choice({}, 0, 0.0)).peak_bytes
        - _nbytes(taped, snapshots, segment)
        for segment in (1, 2)
    )
    return two - one


@dataclass(frozen=True)
class _Trip:
    """Estimated seconds of one of `count` trips: recorded, in the forward sweep, and run again."""

    count: float
    recording: float
    sweeping: float
    advancing: float

    @classmethod
    def of(cls, taped: TapedLoop) -> _Trip:
        """Estimate a trip of a loop."""
        count = expected_trips(taped.forward)
        numbers = [k for k in range(len(taped.forward.outputs)) if k not in taped.tapes]
        recording = _seconds(taped.forward) / count
        sweeping, advancing = (_advancing(taped, kept) for kept in (numbers, taped.state))
        return cls(count, recording, sweeping / count, advancing / count)

    def seconds(self, taped: TapedLoop, segment: int, again: float) -> float:
        """Estimate all trips with segments of some length, each running `again` so often."""
        copying = 2 * taped.state_bytes / COPY_RATE
        moving = 2 * moving_seconds(segment * taped.row_bytes)
        once = self.sweeping + self.recording + again * self.advancing
        return self.count * (once + (copying + moving) / segment)


def _inner(taped: TapedLoop) -> list[Choice]:
    """Return plans for the loops inside one, with what they change in a trip of it."""
    all_taped, *others = choices(reversing(taped), is_body=True)
    chosen = _thinned(others, INNER)
    return [
        Choice(c.plans, c.nbytes - all_taped.nbytes, c.seconds - all_taped.seconds) for c in chosen
    ]


def _sizes(most: int) -> list[int]:
    """Return numbers up to the greatest, about equally far apart as ratios."""
    return sorted({round(most ** (i / SIZES)) for i in range(SIZES + 1)})


def _seconds(node: Node) -> float:
    return node_cost(node).seconds


def _advancing(taped: TapedLoop, numbers: Sequence[int]) -> float:
    """Estimate the loop with some of what it carries, if it records nothing."""
    node = replace(taped.forward, attrs={**taped.forward.attrs, "body": taped.advancing(numbers)})
    return _seconds(node)


def _unbeaten(found: Sequence[Item], measures: Callable[[Item], tuple[int, float]]) -> list[Item]:
    """Keep what nothing else beats in both bytes and seconds, the fastest first."""
    kept: list[Item] = []
    for item in sorted(found, key=lambda item: measures(item)[::-1]):
        if not kept or measures(item)[0] < measures(kept[-1])[0]:
            kept.append(item)
    return kept


# --- all loops of a program -----------------------------------------------------------------------


def choices(
    graph: Graph, but: Collection[int] = (), *, is_body: bool = False
) -> tuple[Choice, ...]:
    """Return plans for the loops of a settled program: the first one keeps all tapes.

    The others go from the fastest to that of least bytes. Seconds are those of the whole program.
    Some loops, by their numbers, keep their tapes in all of them. The body of a loop is no program
    that could be planned.
    """
    loops = taped_loops(graph)
    recorded = sum(_seconds(taped.forward) for taped in loops)
    composed = [Choice({}, 0, graph_cost(graph).seconds - recorded)]
    for number, taped in enumerate(loops):
        curve = loop_curve(taped, 0 if is_body or number in but else _several_bytes(taped))
        composed = _composed(composed, number, curve[:1] if number in but else curve)
    return tuple(composed)


def _composed(before: Sequence[Choice], number: int, curve: Sequence[Way]) -> list[Choice]:
    """Combine the choices for some loops with the curve of one more."""
    both = [
        Choice(
            choice.plans if plan is None else {**choice.plans, number: plan},
            choice.nbytes + nbytes,
            choice.seconds + seconds,
        )
        for choice in before
        for nbytes, seconds, plan in curve
    ]
    others = [choice for choice in both if choice.plans]
    return [both[0], *_thinned(_unbeaten(others, lambda c: (c.nbytes, c.seconds)), POINTS)]


def _thinned(found: list[Choice], count: int) -> list[Choice]:
    """Keep so many, spread over all of them, the last one among them."""
    if len(found) <= count:
        return found
    last = len(found) - 1
    return [found[round(i * last / (count - 1))] for i in range(count)]


# --- the choice for a budget ----------------------------------------------------------------------


def fitted(graph: Graph, budget: Budget, threads: int = 1) -> tuple[Graph, Report, int]:
    """Return a settled program ready to be lowered within a budget, and the budget in bytes.

    Where even the choice of least bytes needs more, a schedule may still meet it.
    """
    kept = _Made(graph, threads, Choice({}, 0, 0.0))
    allowed = in_bytes(budget, kept.peak_bytes)
    if kept.peak_bytes <= allowed:
        return *kept.made, allowed
    fitting, least = _by_snapshots(kept, allowed)
    seconds = _rescheduled(kept, allowed)
    if seconds is not None and (fitting is None or seconds <= fitting.choice.seconds):
        return *kept.made, allowed
    return *(fitting or least).made, allowed


def _by_snapshots(kept: _Made, budget: int) -> tuple[_Made | None, _Made]:
    """Return the cheapest choice that fits, if there is one, and the one of least bytes.

    Loops whose tape kernels hand over in blocks may do without snapshots, or not.
    """
    handed = _handed_over(kept)
    fitting: list[_Made] = []
    for but in (handed, ()) if handed else ((),):
        found = choices(kept.graph, but)[1:]
        made = [_Made(kept.graph, kept.threads, choice) for choice in found]
        first = _first_fitting(made, budget)
        fitting += [first] if first else []
    cheapest = min(fitting, key=lambda made: made.choice.seconds, default=None)
    return cheapest, (made or [kept])[-1]


def _handed_over(kept: _Made) -> tuple[int, ...]:
    """Return the loops, by number, whose largest tape is larger than any array there is."""
    nodes = [node for node in kept.arranged[0].nodes if computes(node)]
    types = [t for n in nodes for t in (*(v.type for v in n.outputs), *scratch_types(n))]
    largest = max((type.nbytes for type in types), default=0)
    return tuple(
        number
        for number, taped in enumerate(taped_loops(kept.graph))
        if max(taped.forward.outputs[k].type.nbytes for k in taped.tapes) > largest
    )


@dataclass(frozen=True, eq=False)
class _Made:
    """A choice, made and arranged when it is asked for."""

    graph: Graph
    threads: int
    choice: Choice

    @cached_property
    def made(self) -> tuple[Graph, Report]:
        """The program with this choice."""
        return self.choice.apply(self.graph)

    @cached_property
    def arranged(self) -> tuple[Graph, int]:
        """The kernels that it will have, and the peak of their plan."""
        graph, _, plan = arrange(self.made[0], None, self.threads)
        return graph, plan.peak_bytes

    @property
    def peak_bytes(self) -> int:
        """The peak of its plan."""
        return self.arranged[1]


def _first_fitting(made: Sequence[_Made], budget: int) -> _Made | None:
    """Return the first choice that fits, by bisection: the bytes fall from one to the next."""
    low, high = 0, len(made) - 1
    if not made or made[high].peak_bytes > budget:
        return None
    while low < high:
        middle = (low + high) // 2
        if made[middle].peak_bytes <= budget:
            high = middle
        else:
            low = middle + 1
    return made[high]


def _rescheduled(made: _Made, budget: int) -> float | None:
    """Return the seconds of a program by a schedule that meets a budget, if there is one."""
    try:
        _, schedule, plan = arrange(made.made[0], budget, made.threads)
    except BudgetError:
        return None
    return estimated_seconds((schedule, plan))
