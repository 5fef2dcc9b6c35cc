"""Fit a derivative program with loops into a memory budget: snapshots in place of tapes.

For every loop that records, `loop_curve` gives the ways to reverse it that cost least for their
bytes (a model: exact counts of trips and rows, estimated seconds of a trip). `choices` composes the
curves of all loops of a program. `fitted` takes the cheapest choice whose plan, made in full, meets
the budget; below them all, and where loops keep their tapes, the schedule may run nodes again.
Choices do not depend on the budget, so more bytes never cost more. Where only running tells how
many trips a loop makes, ways are compared for `OPEN_TRIPS`, or for all that tapes have room for.
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
from adgraph.ir.graph import Graph, Node
from adgraph.lower.program import in_kernels
from adgraph.lower.sharing import may_share
from adgraph.passes.pipeline import LAST, Pass, Report, run_pipeline
from adgraph.passes.rewrite import Hits
from adgraph.passes.snapshots import Plan, reversed_alone, reversing, with_snapshots
from adgraph.passes.taped import FEWEST_TRIPS, TapedLoop, taped_loops
from adgraph.schedule.budget import Budget, in_bytes
from adgraph.schedule.pareto import Planner

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
    kept = _kept(taped)
    ways = [way for way in _ways(taped, several_bytes) if way[0] < kept[0]]
    return [kept, *_unbeaten(ways, lambda way: way[:2])]


def _kept(taped: TapedLoop) -> Way:
    """Return the way that keeps the tapes."""
    moved = round(expected_trips(taped.forward)) * taped.row_bytes
    seconds = _seconds(taped.forward) + 2 * moving_seconds(moved)
    return taped.trips * taped.row_bytes, seconds, None


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
        Made(reversed_alone(taped, Plan(snapshots, segment)), 1, Choice({}, 0, 0.0)).peak_bytes
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
        curve = [_kept(taped)]
        if number not in but:
            curve = loop_curve(taped, 0 if is_body else _several_bytes(taped))
        composed = _composed(composed, number, curve)
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

    Of a share that cannot be met the least there is counts: a share is of every program's own peak,
    and a function without residuals has nothing to give up.
    """
    kept = all_kept(graph, threads)
    allowed = in_bytes(budget, kept.peak_bytes)
    if kept.peak_bytes <= allowed:
        return *kept.made, allowed
    found = reversals(kept)
    fitting = _cheapest(kept, found, allowed)
    if fitting is None:
        fitting = least(kept, found)
        if not isinstance(budget, float):
            raise fitting.planner.refusal(allowed)
        allowed = fitting.planner.least.peak_bytes
    return *fitting.made, allowed


@dataclass(frozen=True, eq=False)
class Made:
    """A choice, made and planned when it is asked for."""

    graph: Graph
    threads: int
    choice: Choice

    @cached_property
    def made(self) -> tuple[Graph, Report]:
        """The program with this choice."""
        return self.choice.apply(self.graph)

    @cached_property
    def kernels(self) -> Graph:
        """The kernels that it will have."""
        return in_kernels(self.made[0], self.threads)

    @cached_property
    def planner(self) -> Planner:
        """The schedules that they can have."""
        return Planner(self.kernels, may_share(self.kernels))

    @property
    def peak_bytes(self) -> int:
        """The peak if no kernel runs again."""
        return self.planner.base.peak_bytes

    def within(self, budget: int) -> float:
        """Return the seconds of a schedule that meets a budget; infinity if there is none."""
        point = self.planner.within(budget)
        return point.seconds if point else math.inf


def all_kept(graph: Graph, threads: int) -> Made:
    """Return a settled program in which all loops keep their tapes."""
    return Made(graph, threads, choices(graph, range(len(taped_loops(graph))))[0])


def reversals(kept: Made) -> list[list[Made]]:
    """Return the choices of a program with loops, from the fastest to that of the least bytes.

    Loops whose tape kernels hand over in blocks may do without snapshots, or not: two lists.
    """
    handed = _handed_over(kept)
    found = [choices(kept.graph, but)[1:] for but in ((handed, ()) if handed else ((),))]
    return [[Made(kept.graph, kept.threads, choice) for choice in made] for made in found if made]


def least(kept: Made, found: Sequence[Sequence[Made]]) -> Made:
    """Return the program that gets by with the least bytes: less is refused by `fitted`."""
    ends = (kept, *(made[-1] for made in found))
    return min(ends, key=lambda made: made.planner.least.peak_bytes)


def _cheapest(kept: Made, found: Sequence[Sequence[Made]], budget: int) -> Made | None:
    """Return the cheapest program that fits: by its tapes and a schedule, or by snapshots.

    Where none does, those of the least bytes have schedules too.
    """
    fitting = [made for made in (_first_fitting(each, budget) for each in found) if made]
    options = [(kept.within(budget), kept), *((made.choice.seconds, made) for made in fitting)]
    if not fitting and options[0][0] == math.inf:
        options = [(made[-1].within(budget), made[-1]) for made in found]
    seconds, cheapest = min(options, key=lambda option: option[0], default=(math.inf, kept))
    return cheapest if seconds < math.inf else None


def _handed_over(kept: Made) -> tuple[int, ...]:
    """Return the loops, by number, whose largest tape is larger than any array there is."""
    nodes = [node for node in kept.kernels.nodes if computes(node)]
    types = [t for n in nodes for t in (*(v.type for v in n.outputs), *scratch_types(n))]
    largest = max((type.nbytes for type in types), default=0)
    return tuple(
        number
        for number, taped in enumerate(taped_loops(kept.graph))
        if max(taped.forward.outputs[k].type.nbytes for k in taped.tapes) > largest
    )


def _first_fitting(made: Sequence[Made], budget: int) -> Made | None:
    """Return the first choice that fits, by bisection: the bytes fall from one to the next."""
    low, high = 0, len(made) - 1
    if made[high].peak_bytes > budget:
        return None
    while low < high:
        middle = (low + high) // 2
        if made[middle].peak_bytes <= budget:
            high = middle
        else:
            low = middle + 1
    return made[high]
