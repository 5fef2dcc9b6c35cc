"""Plans of a large graph: for fixed parts of the arena that keeps all, the rungs of a ladder.

A budget gets the cheapest plan of all rungs below it, so a larger one gets none that is dearer.
Rungs are planned when they are looked at, from the budget downwards, until even a bound on what the
next one costs is more than what was found.
"""

from __future__ import annotations

from collections.abc import Iterator

from adgraph.schedule.point import Point, Program
from adgraph.schedule.remat import Order, Remat

Found = tuple[Remat, Order]

FRACTIONS = (
    *(0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.27, 0.25),
    *(0.22, 0.2, 0.18, 0.16, 0.14, 0.12, 0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02),
)
MANY = 1000  # tasks from which on every other rung must do
ROUNDS = 4  # of planning an arena and correcting the bytes that the schedule aims at
CAREFUL = 0.998  # of the corrected bytes: the next arena may be a little wider again
ROUNDING = 1e-9  # of seconds that are sums in another order


class Ladder:
    """The plans of a graph, for fewer and fewer bytes."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._fractions = FRACTIONS[1::2] if program.tasks > MANY else FRACTIONS
        self._rungs: dict[int, Point | None] = {}

    def at(self, budget: int) -> Point | None:
        """Return the cheapest plan of the rungs that a budget covers."""
        best: Point | None = None
        for rung in range(self._first(budget), len(self._fractions)):
            if best and self._least_seconds(rung) > best.seconds * (1 + ROUNDING):
                return best
            point = self._rung(rung)
            if point and (best is None or point.seconds < best.seconds):
                best = point
        return best

    def sample(self, count: int) -> Iterator[Point]:
        """Iterate over plans of every so manieth rung, and of the lowest with one."""
        stride = -(-len(self._fractions) // count)
        rung = stride - 1
        while (point := self._rung(rung)) is not None:
            yield point
            rung += stride
        for last in reversed(range(rung - stride + 1, rung)):
            if (point := self._rung(last)) is not None:
                yield point
                return

    def least(self, budget: int) -> Point:
        """Return the plan of the lowest rung that has one above a budget that has none."""
        rungs = map(self._rung, reversed(range(self._first(budget))))
        return next((point for point in rungs if point), self._program.base)

    def _bytes(self, rung: int) -> int:
        """Return what a rung may take; below the last one there is nothing."""
        base = self._program.base.plan
        fraction = self._fractions[rung] if rung < len(self._fractions) else 0.0
        return base.output_bytes + int(base.arena_bytes * fraction)

    def _first(self, budget: int) -> int:
        rungs = range(len(self._fractions))
        return next((k for k in rungs if self._bytes(k) <= budget), len(rungs))

    def _least_seconds(self, rung: int) -> float:
        bytes = self._bytes(rung)
        return min(remat.least_seconds(bytes) for remat in self._program.remats)

    def _rung(self, rung: int) -> Point | None:
        if rung >= len(self._fractions):
            return None
        if rung not in self._rungs:
            self._rungs[rung] = self._planned(rung)
        return self._rungs[rung]

    def _planned(self, rung: int) -> Point | None:
        """Aim at a sum of live bytes; correct the aim until the arena fits; then search there."""
        base = self._program.base
        outputs = base.plan.output_bytes
        room = self._bytes(rung) - outputs
        aim = room * (base.schedule.peak_bytes - outputs) // max(base.plan.arena_bytes, 1)
        for _ in range(ROUNDS):
            found = self._cheapest(outputs + aim)
            if found is None:
                return None
            point = self._point(found, rung)
            if point.plan.arena_bytes <= room:
                return self._searched(outputs + aim, found, point, rung)
            aim = int(CAREFUL * aim * room / point.plan.arena_bytes)
        return None

    def _point(self, found: Found, rung: int) -> Point:
        remat, order = found
        return self._program.point(remat.flow, order, self._bytes(rung))

    def _cheapest(self, aim: int) -> Found | None:
        """Return the cheapest order whose sum of live bytes is at most `aim`."""
        tried = ((remat, remat.cheapest(aim)) for remat in self._program.remats)
        found = [(remat, order) for remat, order in tried if order is not None]
        return min(found, key=lambda one: one[0].flow.cost(one[1]), default=None)

    def _searched(self, aim: int, found: Found, point: Point, rung: int) -> Point:
        """Return a cheaper plan that a search found, if it fits as well as the point does."""
        remat, order = found
        better = remat.searched(aim, order)
        if better is order:
            return point
        searched = self._point((remat, better), rung)
        return searched if searched.peak_bytes <= self._bytes(rung) else point
