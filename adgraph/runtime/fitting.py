"""Fit a derivative program with loops into a memory budget: snapshots in place of tapes.

For every loop that records, `loop_curve` gives the ways to reverse it that cost least for their
bytes (a model: exact counts of trips and rows, estimated seconds of a trip). `choices` composes the
curves of all loops of a program. `fitted` takes the cheapest choice whose plan, made in full, meets
the budget; what is left over is for the schedule, which may run other nodes again. Choices do not
depend on the budget, so more bytes never cost more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from adgraph.analysis.cost import graph_cost, moving_seconds, node_cost
from adgraph.analysis.programs import nested
from adgraph.analysis.revolve import advances
from adgraph.control.tapes import taped_bytes
from adgraph.errors import BudgetError, message
from adgraph.ir.graph import Graph, Node
from adgraph.lower.program import arrange
from adgraph.ops.control import counted, while_
from adgraph.passes.pipeline import LAST, Pass, Report, run_pipeline
from adgraph.passes.rewrite import Hits
from adgraph.passes.snapshots import Plan, reversing, with_snapshots
from adgraph.passes.taped import TapedLoop, taped_loops
from adgraph.schedule.budget import Budget, estimated_seconds, in_bytes

SIZES = 64  # lengths of a segment, and numbers of snapshots, that are tried
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


def loop_curve(taped: TapedLoop) -> list[Way]:
    """Return bytes, seconds and plan of the ways to reverse a loop.

    The first one keeps the tapes, the others are those that no other one beats in both, the fastest
    first.
    """
    nbytes = taped.trips * taped.row_bytes
    seconds = _seconds(taped.forward) + 2 * moving_seconds(nbytes)
    ways = [way for way in _ways(taped) if way[0] < nbytes]
    return [(nbytes, seconds, None), *_unbeaten(ways, lambda way: way[:2])]


def _ways(taped: TapedLoop) -> Iterator[Way]:
    inner = _inner(taped)
    numbers = [k for k in range(len(taped.forward.outputs)) if k not in taped.tapes]
    recording = _seconds(taped.forward) / taped.trips
    sweeping = _advancing(taped, numbers)
    advancing = _advancing(taped, taped.state)
    copying = 2 * taped.state_bytes / COPY_RATE
    for segment in _sizes(taped.trips):
        segments = taped.trips // segment
        if segments > MOST_SEGMENTS:
            continue
        for snapshots in _sizes(max(segments - 1, 1)):
            rows = min(snapshots + 1, segments)
            nbytes = rows * taped.state_bytes + (segment + taped.trips % segment) * taped.row_bytes
            again = (advances(segments, snapshots) - (segments - 1)) * segment
            seconds = taped.trips * (sweeping + recording) + again * advancing + segments * copying
            seconds += 2 * segments * moving_seconds(segment * taped.row_bytes)
            yield nbytes, seconds, Plan(snapshots, segment)
            for choice in inner if segment == 1 else ():
                yield (
                    nbytes + choice.nbytes,
                    seconds + taped.trips * choice.seconds,
                    Plan(snapshots, 1, tuple(choice.plans.items())),
                )


def _inner(taped: TapedLoop) -> list[Choice]:
    """Return plans for the loops inside one, with what they change in a trip of it."""
    all_taped, *others = choices(reversing(taped))
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
    """Estimate a trip that records nothing."""
    node = replace(taped.forward, attrs={**taped.forward.attrs, "body": taped.advancing(numbers)})
    return _seconds(node) / taped.trips


def _unbeaten(found: Sequence[Item], measures: Callable[[Item], tuple[int, float]]) -> list[Item]:
    """Keep what nothing else beats in both bytes and seconds, the fastest first."""
    kept: list[Item] = []
    for item in sorted(found, key=lambda item: measures(item)[::-1]):
        if not kept or measures(item)[0] < measures(kept[-1])[0]:
            kept.append(item)
    return kept


# --- all loops of a program -----------------------------------------------------------------------


def choices(graph: Graph) -> tuple[Choice, ...]:
    """Return plans for the loops of a settled program: the first one keeps all tapes.

    The others go from the fastest to that of least bytes. Seconds are those of the whole program.
    """
    loops = taped_loops(graph)
    recorded = sum(_seconds(taped.forward) for taped in loops)
    composed = [Choice({}, 0, graph_cost(graph).seconds - recorded)]
    for number, taped in enumerate(loops):
        composed = _composed(composed, number, loop_curve(taped))
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
    found = choices(graph)
    first = _Made(graph, threads, found[0])
    allowed = in_bytes(budget, first.peak_bytes)
    if first.peak_bytes <= allowed:
        return *first.made, allowed
    others = [_Made(graph, threads, choice) for choice in found[1:]]
    fitting = _first_fitting(others, allowed)
    seconds = _rescheduled(first, allowed)
    if seconds is not None and (fitting is None or seconds <= fitting.choice.seconds):
        return *first.made, allowed
    least = fitting or (others or [first])[-1]
    if fitting is None:
        _check_open_loops(least, allowed)
    return *least.made, allowed


def _check_open_loops(made: _Made, budget: int) -> None:
    """Refuse a budget that only snapshots in a loop of unknown length could meet."""
    for node in nested(made.graph):
        if node.op in (counted, while_) and taped_bytes(Graph((), (node,), ())):
            try:
                arrange(made.made[0], budget, made.threads)
            except BudgetError as error:
                raise _open_loop(node, budget, error) from None


def _open_loop(node: Node, budget: int, error: BudgetError) -> BudgetError:
    recorded = taped_bytes(Graph((), (node,), ()))
    trips = node.attrs["capacity"]
    return BudgetError(
        message(
            f"the derivative of a loop records {recorded} bytes for {trips} trips, and the budget "
            f"is {budget} bytes",
            "how many trips there will be is known only when the loop runs: it cannot keep "
            f"snapshots instead ({str(error).splitlines()[0]})",
            "write a for loop over a range of a known length, or give a larger budget",
            node.origin.location,
        )
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
    def peak_bytes(self) -> int:
        """The peak of its plan."""
        _, _, plan = arrange(self.made[0], None, self.threads)
        return plan.peak_bytes


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
