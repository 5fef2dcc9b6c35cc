"""Plans of a small graph: all orders on a front of bytes against seconds, whatever the budget."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from adgraph.schedule.flow import held
from adgraph.schedule.point import Point, Program
from adgraph.schedule.remat import Order
from adgraph.schedule.search import front


class Entry(NamedTuple):
    """An order, what it costs, and bytes below which no arena for it exists."""

    seconds: float
    least_bytes: int
    order: Order


class Curve:
    """A front of orders. A budget gets the cheapest whose plan fits, so a larger one no dearer."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._flow = program.flow
        self._points: dict[int, Point] = {}

    def at(self, budget: int) -> Point | None:
        """Return the cheapest plan that fits."""
        for number, entry in enumerate(self._entries):
            if entry.least_bytes <= budget and self._point(number).peak_bytes <= budget:
                return self._point(number)
        return None

    def sample(self, count: int) -> Iterator[Point]:
        """Iterate over all plans, the cheapest first."""
        yield from map(self._point, range(len(self._entries)))

    def least(self) -> Point:
        """Return the plan of the least bytes."""
        return min(self.sample(0), key=lambda point: point.peak_bytes)

    @cached_property
    def _entries(self) -> list[Entry]:
        """The orders of the front, the cheapest first."""
        found = front(self._flow, [list(range(self._program.tasks)), *self._descents()])
        flow = self._flow
        entries = (Entry(flow.cost(order), held(flow, order), order) for order in found)
        return sorted(entries, key=lambda entry: entry[:2])

    def _descents(self) -> Iterator[Order]:
        """Iterate over orders in the numbers of the first flow."""
        number = {node: task for task, node in enumerate(self._flow.tasks)}
        for remat in self._program.remats:
            same = remat.flow is self._flow
            if same or len(number) == len(remat.flow.tasks) == self._program.tasks:
                for order in remat.descent():
                    yield order if same else [number[remat.flow.tasks[task]] for task in order]

    def _point(self, number: int) -> Point:
        """Return the plan of an order, made when it is first asked for."""
        if number not in self._points:
            self._points[number] = self._program.point(self._flow, self._entries[number].order)
        return self._points[number]
