"""The curve of bytes against seconds that a graph has: begin with `pareto`.

Plans do not depend on the budget that is asked for, which gets the cheapest that fits: a larger
one never costs more. Of a small graph, all plans of a descent from the one that keeps all are made;
of a large one, those of fixed budgets, the rungs of a ladder, from the budget downwards as far as
the work is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from adgraph.errors import BudgetError
from adgraph.ir.graph import Graph
from adgraph.schedule.buffers import MayShare, Plan, never, plan
from adgraph.schedule.checkpoint import checkpoint
from adgraph.schedule.flow import Flow, held
from adgraph.schedule.order import orders, shuffled
from adgraph.schedule.remat import FADINGS, Order, Remat, infeasible
from adgraph.schedule.schedule import Schedule
from adgraph.schedule.segments import Chain

Planned = tuple[Schedule, Plan]
Found = tuple[Remat, Order]

RATIO = 0.97  # of the arenas of a rung and the one above, about
ROUNDS = 4  # of planning an arena and correcting the bytes that the schedule aims at
CAREFUL = 0.998  # of the corrected bytes: the next arena may be a little wider again
TASKS = 2500  # in all the flows of the rungs that a budget looks at
LOWEST = 120  # a rung of a fortieth of the arena that keeps all
MANY = 2000  # tasks from which on two exponents of eviction must do
SHUFFLED = 24  # random orders that are tried of a small graph at most
SMALL = 120  # tasks up to which the whole curve is made
GAP = 3  # rungs without a plan, one after the other, below which none is looked for


@dataclass(frozen=True)
class Point:
    """A plan: the bytes that a call allocates, exactly, and the seconds it is estimated to take.

    `budget` is the least one that is sure to get this plan or a cheaper one.
    """

    peak_bytes: int
    seconds: float
    budget: int
    schedule: Schedule
    plan: Plan

    @property
    def planned(self) -> Planned:
        """The schedule and its plan."""
        return self.schedule, self.plan


def pareto(graph: Graph, *, count: int = 16, may_share: MayShare = never) -> tuple[Point, ...]:
    """Return plans from the one that keeps all to the one of the least bytes found.

    From point to point the bytes fall and the seconds rise. There are about `count` of them.
    """
    ladder = Ladder(graph, may_share)
    points = [ladder.base]
    for point in ladder.sample(count):
        if point.peak_bytes < points[-1].peak_bytes:
            points = [p for p in points if p.seconds < point.seconds]
            points.append(point)
    return tuple(points)


class Ladder:
    """The plans of a graph. Rung 0 keeps all; the arenas of others are smaller and smaller."""

    def __init__(self, graph: Graph, may_share: MayShare = never) -> None:
        self._graph = graph
        self._may_share = may_share
        sequences = [checkpoint(graph, sequence) for sequence in orders(graph)]
        first = Schedule.of(graph, sequences[0])
        planned = plan(first, may_share)
        self._tasks = max(len(first.sequence), 1)
        if self._is_small:
            more = shuffled(graph, min(SHUFFLED, TASKS // 2 // self._tasks))
            sequences += [checkpoint(graph, sequence) for sequence in more]
            sequences = list(dict.fromkeys(sequences))
        fadings = FADINGS[: 2 if self._tasks > MANY else 3]
        self._tried = [Remat(first.flow, Chain.of(first.flow), fadings)]
        for sequence in sequences[1:] if self._is_small else sequences[1:2]:
            self._tried.append(Remat(Flow.of(graph, sequence), None, fadings[:1]))
        seconds = first.flow.cost(range(len(first.sequence)))
        self._rungs: dict[int, Point | None] = {}
        self._plans_of_catalogue: dict[int, Point] = {}
        self.base = Point(planned.peak_bytes, seconds, planned.peak_bytes, first, planned)

    def at(self, budget: int) -> Point:
        """Return the cheapest plan that fits of those that a budget looks at."""
        if budget >= self.base.peak_bytes:
            return self.base
        points = self._cheapest_first(budget) if self._is_small else self._window(budget)
        best = next((point for point in points if point.peak_bytes <= budget), None)
        if best is None:
            raise self._refusal(budget)
        return best

    def _window(self, budget: int) -> list[Point]:
        """Return the plans of the rungs that a budget looks at, the cheapest first."""
        first = self._first(budget)
        looked_at = range(first, first + max(1, TASKS // self._tasks))
        return sorted(self._plans(looked_at), key=lambda point: point.seconds)

    def sample(self, count: int) -> Iterator[Point]:
        """Iterate over plans from the top: of every so manieth rung, and of the lowest with one."""
        if self._is_small:
            points = map(self._entry, range(len(self._catalogue)))
            yield from sorted(points, key=lambda point: (-point.peak_bytes, -point.seconds))
            return
        stride = max(1, LOWEST // count)
        good = 0
        while (point := self._rung(good + stride)) is not None:
            good += stride
            yield point
        bad = good + stride
        while bad - good > 1:
            middle = (good + bad) // 2
            point = self._rung(middle)
            good, bad = (good, middle) if point is None else (middle, bad)
        if (point := self._rung(good)) is not None:
            yield point

    # --- small graphs: the whole curve ----------------------------------------------------------

    @property
    def _is_small(self) -> bool:
        return self._tasks <= SMALL

    @cached_property
    def _catalogue(self) -> list[tuple[float, int, Found]]:
        """The orders of descents, the cheapest first: seconds, the least bytes, the order."""
        found = {
            tuple(remat.flow.tasks[task] for task in order): (remat, order)
            for remat in self._tried
            for order in remat.descent()
        }
        entries = [
            (remat.flow.cost(order), held(remat.flow, order), (remat, order))
            for remat, order in found.values()
        ]
        return sorted(entries, key=lambda entry: entry[:2])

    def _entry(self, number: int) -> Point:
        """Return the plan of an order in the catalogue, made when it is first asked for."""
        if number not in self._plans_of_catalogue:
            point = self._point(*self._catalogue[number][2], 0)
            self._plans_of_catalogue[number] = replace(point, budget=point.peak_bytes)
        return self._plans_of_catalogue[number]

    def _cheapest_first(self, budget: int) -> Iterator[Point]:
        """Iterate over the plans of orders whose arena may fit into a budget."""
        for number, (_, least, _) in enumerate(self._catalogue):
            if least <= budget:
                yield self._entry(number)

    # --- rungs ----------------------------------------------------------------------------------

    def _bytes(self, rung: int) -> int:
        """Return what a rung may take: fractions have two digits, so simple ones are among them."""
        fraction = float(f"{RATIO**rung:.2g}")
        return self.base.plan.output_bytes + int(self.base.plan.arena_bytes * fraction)

    @property
    def _overlap(self) -> int:
        """How many rungs above a budget it looks at: what is planned there may fit."""
        return int(2 * self._tasks <= TASKS)

    def _first(self, budget: int) -> int:
        rungs = range(1, LOWEST)
        return next((k for k in rungs if self._bytes(k + self._overlap) <= budget), LOWEST)

    def _plans(self, rungs: Iterable[int]) -> Iterator[Point]:
        """Iterate over the plans of rungs, until some in turn have none."""
        missing = 0
        for rung in rungs:
            point = self._rung(rung)
            missing = missing + 1 if point is None else 0
            if missing == GAP:
                return
            if point is not None:
                yield point

    def _rung(self, rung: int) -> Point | None:
        if rung not in self._rungs:
            self._rungs[rung] = self._planned(rung) if rung else self.base
        return self._rungs[rung]

    def _planned(self, rung: int) -> Point | None:
        """Aim at a sum of live bytes; correct the aim until the arena fits; then search there."""
        outputs = self.base.plan.output_bytes
        room = self._bytes(rung) - outputs
        if not room:
            return None
        aim = room * (self.base.schedule.peak_bytes - outputs) // self.base.plan.arena_bytes
        for _ in range(ROUNDS):
            found = self._cheapest(outputs + aim)
            if found is None:
                return None
            point = self._point(*found, rung)
            if point.plan.arena_bytes <= room:
                return self._searched(outputs + aim, found, point, rung)
            aim = int(CAREFUL * aim * room / point.plan.arena_bytes)
        return None

    def _cheapest(self, aim: int) -> Found | None:
        """Return the cheapest order whose sum of live bytes is at most `aim`."""
        tried = ((remat, remat.cheapest(aim)) for remat in self._tried)
        found = [(remat, order) for remat, order in tried if order is not None]
        return min(found, key=lambda one: one[0].flow.cost(one[1]), default=None)

    def _searched(self, aim: int, found: Found, point: Point, rung: int) -> Point:
        """Return a cheaper plan that a search found, if it fits as well as the point does."""
        remat, order = found
        better = remat.searched(aim, order)
        if better is order:
            return point
        searched = self._point(remat, better, rung)
        return searched if searched.peak_bytes <= self._bytes(rung) else point

    def _point(self, remat: Remat, order: Order, rung: int) -> Point:
        schedule = Schedule.of(self._graph, [remat.flow.tasks[task] for task in order])
        planned = plan(schedule, self._may_share)
        budget = max(planned.peak_bytes, self._bytes(rung + self._overlap))
        return Point(planned.peak_bytes, remat.flow.cost(order), budget, schedule, planned)

    def _refusal(self, budget: int) -> BudgetError:
        """Say what the plan of the least bytes needs: of all, or of the next rung that has one."""
        points = self.sample(1) if self._is_small else self._upwards(self._first(budget))
        least = min([*points, self.base], key=lambda point: point.budget)
        flow = least.schedule.flow
        return infeasible(flow, range(len(flow.tasks)), budget, least.budget)

    def _upwards(self, rung: int) -> list[Point]:
        """Return the plans there are, once one above a rung has been found if need be."""
        step = 1
        while not any(self._rungs.values()):
            self._rung(max(rung - step, 0))
            step += max(1, step * self._tasks // TASKS)
        return [point for point in self._rungs.values() if point is not None]
