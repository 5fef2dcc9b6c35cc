"""The curve of bytes against seconds that a graph has: begin with `pareto` and `Planner`.

Plans do not depend on the budget that is asked for, which gets the cheapest that fits: a larger one
never costs more. A small graph has a front of orders (`curve.py`), a large one plans for fixed
budgets (`ladder.py`).
"""

from __future__ import annotations

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
    return Planner(graph, may_share).pareto(count)


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

    def pareto(self, count: int = 16) -> tuple[Point, ...]:
        """Return plans from the base to that of the least bytes: see `pareto`."""
        points = [self.base]
        found = sorted(self._plans.sample(count), key=lambda p: (p.seconds, p.peak_bytes))
        for point in found:
            if point.peak_bytes < points[-1].peak_bytes:
                points = [other for other in points if other.seconds < point.seconds]
                points.append(point)
        return tuple(points)

    def at(self, budget: int) -> Point:
        """Return the cheapest plan that fits of those there are, or raise `BudgetError`."""
        point = self.within(budget)
        if point is None:
            raise self.refusal(budget)
        return point

    def within(self, budget: int) -> Point | None:
        """Return the cheapest plan that fits of those there are, if one does."""
        return self.base if budget >= self.base.peak_bytes else self._plans.at(budget)

    @cached_property
    def least(self) -> Point:
        """The plan of the least bytes: no smaller budget has one."""
        return min(self._plans.least(), self.base, key=lambda point: point.peak_bytes)

    def refusal(self, budget: int) -> BudgetError:
        """Return the error for too small a budget: it says what the plan of least bytes needs."""
        return infeasible(*self.least.planned, budget, self.least.peak_bytes)
