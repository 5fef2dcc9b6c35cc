"""Plans of a large graph: for fixed parts of the arena that keeps all, the rungs of a ladder.

A budget gets the cheapest plan of all rungs below it, so a larger one gets none that is dearer.
Rungs are looked at from the budget downwards. What is known before a rung is planned tells that it
is not cheaper than one above: a bound on all orders, then the order that is found first. Below the
lowest rung that has a plan, bytes are halved a few times for the plan of the least bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from adgraph.schedule.point import MANY, Point, Program
from adgraph.schedule.remat import Order, Remat

Found = tuple[Remat, Order]

FRACTIONS = (
    *(0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.27, 0.25),
    *(0.22, 0.2, 0.18, 0.16, 0.14, 0.12, 0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02),
)
ROUNDS = 4  # of planning an arena and correcting the bytes that the schedule aims at
CAREFUL = 0.995  # of the corrected bytes, a round: the next arena may be a little wider again
LUCK = 0.99  # of what the first order of a rung costs, its plan costs at least
ROUNDING = 1e-9  # of seconds that are sums in another order
HALVINGS = 3  # of the bytes between the lowest rung that has a plan and the next one


class Ladder:
    """The plans of a graph, for fewer and fewer bytes. A rung is the bytes that an arena may take.

    Every other one must do in very large graphs.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._base = program.base.plan
        is_large = program.tasks > MANY
        fractions = FRACTIONS[1::2] if is_large else FRACTIONS
        self._rungs = [int(self._base.arena_bytes * fraction) for fraction in fractions]
        # What suits the graph as it is, and what suits the many lengths of lives in longer orders.
        few = dict.fromkeys((self._base.packing, "length"))
        self._packings = tuple(few) if is_large else ()
        self._found: dict[int, Found | None] = {}
        self._points: dict[int, Point | None] = {}

    def at(self, budget: int) -> Point | None:
        """Return the cheapest plan of the rungs that a budget covers, or one below them all."""
        best: Point | None = None
        for rung in self._rungs:
            if rung > budget - self._base.output_bytes:
                continue
            if best and self._bound(rung) > best.seconds * (1 + ROUNDING):
                return best
            if best and self._least_seconds(rung) > best.seconds:
                continue
            point = self._point(rung)
            if point and (best is None or point.seconds < best.seconds):
                best = point
        if best:
            return best
        fitting = (point for point in self._lowest if point.peak_bytes <= budget)
        return min(fitting, key=lambda point: point.seconds, default=None)

    def sample(self, count: int) -> Iterator[Point]:
        """Iterate over plans of every so manieth rung, and of the least bytes."""
        stride = -(-len(self._rungs) // count)
        for rung in self._rungs[stride - 1 :: stride]:
            point = self._point(rung)
            if point is None:
                break
            yield point
        yield from self._lowest

    def least(self) -> Point:
        """Return the plan of the least bytes."""
        return self._lowest[-1]

    @cached_property
    def _lowest(self) -> list[Point]:
        """The plan of the lowest rung that has one, and those of fewer bytes: none is cheaper.

        A budget that has no rung gets one of these.
        """
        lowest, below = self._program.base, 0
        for rung in reversed(self._rungs):
            if point := self._point(rung):
                lowest = point
                break
            below = rung
        points = [replace(lowest, budget=lowest.peak_bytes)]
        for _ in range(HALVINGS):
            middle = (below + points[-1].plan.arena_bytes) // 2
            found = self._planned(middle)
            if found and found.seconds >= lowest.seconds:
                points.append(replace(found, budget=found.peak_bytes))
            else:
                below = middle
        return points

    # --- what a rung costs at least -------------------------------------------------------------

    def _bound(self, rung: int) -> float:
        """Return what all orders of a rung, and of those below it, cost at least."""
        return min(remat.bound.seconds(rung) for remat in self._program.remats)

    def _least_seconds(self, rung: int) -> float:
        """Return what the plan of a rung costs at least; infinity if it has none."""
        if (found := self._first_found(rung)) is None:
            return math.inf
        remat, order = found
        return LUCK * remat.flow.cost(order)

    # --- plans ----------------------------------------------------------------------------------

    def _point(self, rung: int) -> Point | None:
        if rung not in self._points:
            self._points[rung] = self._planned(rung)
        return self._points[rung]

    def _planned(self, rung: int) -> Point | None:
        """Correct the sum of live bytes that is aimed at until the arena fits."""
        found, aim = self._first_found(rung), self._aim(rung)
        for number in range(ROUNDS):
            if found is None:
                return None
            remat, order = found
            budget = rung + self._base.output_bytes
            point = self._program.point(remat.flow, order, budget, self._packings)
            arena = point.plan.arena_bytes
            # What is much cheaper for fewer bytes by luck was not looked for by larger budgets.
            if arena <= rung and point.seconds >= self._least_seconds(rung):
                return point
            aim = int(CAREFUL ** (number + 1) * aim * rung / max(arena, rung))
            found = self._cheapest([remat], aim)
        return None

    def _first_found(self, rung: int) -> Found | None:
        if rung not in self._found:
            self._found[rung] = self._cheapest(self._program.remats, self._aim(rung))
        return self._found[rung]

    def _aim(self, rung: int) -> int:
        """Return the live bytes beside the outputs for which a rung's arena is perhaps enough."""
        live = self._program.base.schedule.peak_bytes - self._base.output_bytes
        return rung * live // max(self._base.arena_bytes, 1)

    def _cheapest(self, remats: Sequence[Remat], aim: int) -> Found | None:
        """Return the cheapest order found whose live bytes beside the outputs fit an aim."""
        budget = self._base.output_bytes + aim
        tried = ((remat, remat.cheapest(budget)) for remat in remats)
        found = [(remat, order) for remat, order in tried if order is not None]
        if not found:
            return None
        remat, order = min(found, key=lambda one: one[0].flow.cost(one[1]))
        return remat, remat.searched(budget, order)
