"""The curve of bytes against seconds that a graph has: begin with `pareto` and `Planner`.

Plans do not depend on the budget that is asked for, which gets the cheapest that fits: a larger one
never costs more. A small graph has a front of orders (`curve.py`), a large one plans for fixed
budgets (`ladder.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from adgraph.errors import BudgetError
from adgraph.ir.graph import Graph
from adgraph.schedule.buffers import MayShare, never
from adgraph.schedule.curve import Curve
from adgraph.schedule.ladder import Ladder
from adgraph.schedule.point import Point, Program
from adgraph.schedule.refusal import infeasible

SMALL = 120  # tasks up to which there is a front


def pareto(graph: Graph, *, count: int = 16, may_share: MayShare = never) -> tuple[Point, ...]:
    """Return plans from the one that keeps all to the one of the least bytes found.

    From point to point the bytes fall and the seconds rise. Of a large graph there are about
    `count`.
    """
    planner = Planner(graph, may_share)
    points = [planner.base]
    for point in sorted(planner.sample(count), key=lambda point: (point.seconds, point.peak_bytes)):
        if point.peak_bytes < points[-1].peak_bytes:
            points = [other for other in points if other.seconds < point.seconds]
            points.append(point)
    return tuple(points)


class Planner:
    """Finds plans of a graph for any budget."""

    def __init__(self, graph: Graph, may_share: MayShare = never) -> None:
        self._program = Program(graph, may_share)

    @property
    def base(self) -> Point:
        """The plan that keeps all but what the user wants to be recomputed."""
        return self._program.base

    @cached_property
    def _plans(self) -> Curve | Ladder:
        kind = Curve if self._program.tasks <= SMALL else Ladder
        return kind(self._program)

    def sample(self, count: int) -> Iterator[Point]:
        """Iterate over plans for fewer bytes than the base: about as many if the graph is large."""
        return self._plans.sample(count)

    def at(self, budget: int) -> Point:
        """Return the cheapest plan that fits of those there are, or raise `BudgetError`."""
        if budget >= self.base.peak_bytes:
            return self.base
        point = self._plans.at(budget)
        if point is None:
            raise self._refusal(budget)
        return point

    def _refusal(self, budget: int) -> BudgetError:
        """Say what the plan of the least bytes needs."""
        least = min(self._plans.least(), self.base, key=lambda point: point.budget)
        return infeasible(*least.planned, budget, least.budget)
