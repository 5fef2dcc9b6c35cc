"""The curve of bytes against seconds that budgets give a program: begin with `pareto`."""

from __future__ import annotations

from dataclasses import dataclass

from adgraph.errors import BudgetError
from adgraph.ir.graph import Graph
from adgraph.schedule.budget import Planned, estimated_seconds, schedule_and_plan
from adgraph.schedule.buffers import MayShare, Plan, never
from adgraph.schedule.schedule import Schedule


@dataclass(frozen=True)
class Point:
    """A plan of the curve: the bytes that a call allocates and the seconds it is estimated at."""

    peak_bytes: int
    seconds: float
    schedule: Schedule
    plan: Plan

    @property
    def planned(self) -> Planned:
        """The schedule and its plan, as `schedule_and_plan` gives them."""
        return self.schedule, self.plan


def pareto(graph: Graph, *, count: int = 16, may_share: MayShare = never) -> tuple[Point, ...]:
    """Return plans from the one that keeps all to the one of the least bytes found.

    From point to point the bytes fall and the seconds rise.
    """
    points = [_point(schedule_and_plan(graph, may_share=may_share))]
    most = points[0].peak_bytes
    for step in range(1, count + 1):
        try:
            budget = int(most * 0.05 ** (step / count))
            point = _point(schedule_and_plan(graph, budget=budget, may_share=may_share))
        except BudgetError:
            break
        if point.peak_bytes < points[-1].peak_bytes:
            points = [p for p in points if p.seconds < point.seconds] + [point]
    return tuple(points)


def _point(planned: Planned) -> Point:
    schedule, plan = planned
    return Point(plan.peak_bytes, estimated_seconds(planned), schedule, plan)
