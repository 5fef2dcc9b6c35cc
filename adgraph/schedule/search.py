"""Local search in small flows: orders that no other one found beats in both bytes and seconds.

`front(flow, orders)` begins with known orders and changes one of the front at a time: runs move,
what is alive at the fullest moment is given up and computed again, recomputations are left out.
What is not dominated joins the front. Pareto local search after Paquete, Chiarandini & Stuetzle,
2004. The number of trials is fixed and so is the seed: the same flow gives the same front.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from adgraph.schedule.flow import Flow
from adgraph.schedule.retention import without_unread

Order = list[int]

TRIALS = 100  # for each task
WORK = 200_000  # tasks in all the orders that are tried, at most
TOGETHER = 7  # neighbours that are moved together, less one
REACH = 0.5  # of an order: how far a run is moved at most


def front(flow: Flow, orders: Iterable[Order]) -> list[Order]:
    """Return orders from the most bytes and the least seconds to the fewest bytes."""
    search = _Search(flow)
    for order in orders:
        search.offer(order)
    count = len(flow.tasks)
    for _ in range(min(TRIALS * count, WORK // max(count, 1))):
        search.offer(search.neighbour())
    return search.found[::-1]


class _Search:
    """The front so far, by rising bytes and falling seconds; `peaks` and `costs` are parallel."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.random = random.Random(0)
        self.written = [sum(flow.sizes[v] for v in writes) for writes in flow.writes]
        self.needed = [{flow.producers[v] for v in reads} for reads in flow.reads]
        self.found: list[Order] = []
        self.peaks: list[int] = []
        self.costs: list[float] = []

    def offer(self, order: Order) -> None:
        """Let an order join unless it is not valid or another one is better: it replaces equals."""
        live = self.live(order)
        if live is None:
            return
        peak, cost = max(live, default=0), self.flow.cost(order)
        below = bisect_right(self.peaks, peak)
        if below and self.costs[below - 1] < cost:
            return
        first = bisect_left(self.peaks, peak)
        if first and self.costs[first - 1] == cost:
            return
        after = first
        while after < len(self.costs) and self.costs[after] >= cost:
            after += 1
        self.found[first:after] = [order]
        self.peaks[first:after] = [peak]
        self.costs[first:after] = [cost]

    def live(self, order: Order) -> list[int] | None:
        """Return the bytes that are live at each run, outputs left out; None if it is not valid."""
        flow = self.flow
        change = [0] * (len(order) + 1)
        ends = [-1] * len(flow.producers)
        for position, task in enumerate(order):
            for v in flow.reads[task]:
                if ends[v] < 0:
                    return None
                ends[v] = position
            for v in flow.writes[task]:
                change[ends[v] + 1] -= flow.sizes[v] if ends[v] >= 0 else 0
                ends[v] = position
            change[position] += self.written[task]
        for v in flow.results:
            ends[v] = len(order) - 1
        for v, end in enumerate(ends):
            change[end + 1] -= flow.sizes[v] if end >= 0 else 0
        held = itertools.accumulate(change)
        return [bytes + flow.scratch[task] for bytes, task in zip(held, order, strict=False)]

    # --- neighbours -----------------------------------------------------------------------------

    def neighbour(self) -> Order:
        """Return an order of the front after one to three changes."""
        order = self.found[self._below(len(self.found))]
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            change = self.random.choice((self._move, self._give_up, self._leave_out))
            order = change(order)
        return order

    def _below(self, count: int) -> int:
        return int(self.random.random() * count)

    def _move(self, order: Order) -> Order:
        """Move a run, as far as the reads allow, or some neighbours."""
        distance = 1 + int(self.random.random() ** 2 * REACH * len(order))
        if self.random.random() < 0.5:
            distance = -distance
        first = self._below(len(order))
        if self.random.random() < 0.5:
            target = self._allowed(order, first, first + distance)
            return _moved(order, first, first + 1, target)
        after = min(first + 2 + self._below(TOGETHER - 1), len(order))
        target = min(max(first + distance, 0), len(order) - (after - first))
        return _moved(order, first, after, target)

    def _allowed(self, order: Order, first: int, target: int) -> int:
        """Return the position next to the target that a run can take."""
        task, position = order[first], first
        while target < position and position and order[position - 1] not in self.needed[task]:
            position -= 1
        while target > position and position < len(order) - 1:
            later = order[position + 1]
            if later == task or task in self.needed[later]:
                break
            position += 1
        return position

    def _give_up(self, order: Order) -> Order:
        """Compute again what lives across the fullest moment, or any, just before its next read."""
        live = self.live(order)
        if live is None:
            return order
        fullest = self.random.random() < 0.7
        position = live.index(max(live)) if fullest else self._below(len(order))
        across = self._across(order, position)
        if not across:
            return order
        task, reader = across[self._below(len(across))]
        return [*order[:reader], *self._again(task, set(order[reader:])), *order[reader:]]

    def _across(self, order: Order, position: int) -> list[tuple[int, int]]:
        """Return the tasks whose results are kept beyond a position for later, and the readers."""
        before = set(order[:position])
        seen = self.needed[order[position]] | {order[position]}
        found = []
        for reader in range(position + 1, len(order)):
            for task in sorted(self.needed[order[reader]] - seen):
                seen = seen | {task}
                if task in before and self.written[task]:
                    found.append((task, reader))
            seen = seen | {order[reader]}
        return found

    def _again(self, task: int, later: set[int]) -> Order:
        """Return runs that give a task's results: its operands are kept or computed, by chance."""
        read = {operand for reader in later for operand in self.needed[reader]}
        runs: dict[int, None] = {}

        def visit(task: int) -> None:
            for operand in sorted(self.needed[task]):
                if operand not in runs and operand not in read and self.random.random() < 0.5:
                    visit(operand)
            runs[task] = None

        visit(task)
        return list(runs)

    def _leave_out(self, order: Order) -> Order:
        """Leave out a recomputation, or the run before it, and what was run for it only."""
        latest: dict[int, int] = {}
        pairs = []
        for position, task in enumerate(order):
            if task in latest:
                pairs.append((latest[task], position))
            latest[task] = position
        if not pairs:
            return order
        position = self.random.choice(self.random.choice(pairs))
        shorter = [*order[:position], *order[position + 1 :]]
        return shorter if self.live(shorter) is None else without_unread(self.flow, shorter)


def _moved(order: Order, first: int, after: int, target: int) -> Order:
    rest = [*order[:first], *order[after:]]
    return [*rest[:target], *order[first:after], *rest[target:]]
