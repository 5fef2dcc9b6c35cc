"""A graph that is to be planned, and one plan of it: bytes, seconds, schedule, offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from adgraph.ir.graph import Graph, Node
from adgraph.schedule.buffers import MayShare, Plan, never, plan
from adgraph.schedule.flow import Facts, Flow
from adgraph.schedule.order import orders
from adgraph.schedule.remat import FADINGS, Order, Remat
from adgraph.schedule.schedule import Schedule
from adgraph.schedule.segments import Chain

MANY = 1000  # tasks from which on one exponent of eviction and two orders must do


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
    def planned(self) -> tuple[Schedule, Plan]:
        """The schedule and its plan."""
        return self.schedule, self.plan


@dataclass(frozen=True, eq=False)
class Program:
    """A graph, and which results may be written over an operand."""

    graph: Graph
    may_share: MayShare = never

    @cached_property
    def facts(self) -> Facts:
        """What all flows of the graph have in common."""
        return Facts.of(self.graph)

    @cached_property
    def orders(self) -> tuple[tuple[Node, ...], ...]:
        """The orders of first runs that are tried, from the least peak."""
        return orders(self.graph, self.facts)

    @cached_property
    def flow(self) -> Flow:
        """The first of these orders."""
        return Flow.of(self.graph, self.orders[0], self.facts)

    @property
    def tasks(self) -> int:
        """How many tasks run if nothing is computed again for a budget."""
        return len(self.orders[0])

    @cached_property
    def base(self) -> Point:
        """The plan that keeps all but what the user wants to be recomputed."""
        return self.point(self.flow, list(range(self.tasks)))

    @cached_property
    def remats(self) -> tuple[Remat, ...]:
        """The ways to lengthen each order, the first of them by segments too."""
        is_large = self.tasks > MANY
        first = Remat(self.flow, Chain.of(self.flow), FADINGS[:1] if is_large else FADINGS)
        others = self.orders[1 : 2 if is_large else None]
        flows = (Flow.of(self.graph, order, self.facts) for order in others)
        return first, *(Remat(flow, None, FADINGS[:1]) for flow in flows)

    def point(
        self, flow: Flow, order: Order, budget: int = 0, packings: Sequence[str] = ()
    ) -> Point:
        """Plan an order of a flow, with these packings or all that there are.

        The budget that gets the plan is the one given, or what it needs.
        """
        schedule = Schedule.along(self.graph, flow, order)
        planned = plan(schedule, self.may_share, packings)
        least = max(planned.peak_bytes, budget)
        return Point(planned.peak_bytes, flow.cost(order), least, schedule, planned)
