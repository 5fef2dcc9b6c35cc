"""Rematerialization: a longer schedule that fits into a memory budget.

`fit(schedule, budget)` walks the schedule with a cache of that many bytes. Where the next task does
not fit, it evicts the buffer with the least score cost^a / (size^b * distance^c), where the next
read is known in advance (Belady), and computes it again when it is read: the offline form of
Kirisame et al., Dynamic Tensor Rematerialization, ICLR 2021. Then recomputations are deleted again
wherever keeping the buffer fits after all. The best of three exponents wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adgraph.analysis.cost import node_cost
from adgraph.errors import BudgetError, message
from adgraph.schedule.flow import Flow, peak, profile, spans
from adgraph.schedule.schedule import Schedule

Order = list[int]

EXPONENTS = ((1.0, 1.0, 1.0), (1.0, 1.0, 0.5), (1.0, 1.0, 0.0))
PRECISION = 0.02  # of the smallest budget that an error names


def fit(schedule: Schedule, budget: int) -> Schedule:
    """Lengthen a schedule until its peak is at most `budget` bytes.

    A schedule that fits comes back unchanged. If none is found, `BudgetError` names the smallest
    budget for which one is.
    """
    if schedule.peak_bytes <= budget:
        return schedule
    flow = schedule.flow
    fitting = cheapest(flow, budget)
    if fitting is None:
        least, order = tightest(flow, budget)
        raise infeasible(flow, order, budget, least)
    return Schedule.of(schedule.graph, [flow.tasks[task] for task in fitting])


def lower_bound(flow: Flow) -> int:
    """Return the bytes below which no schedule exists: the operands and results of one node."""
    return max(map(flow.needs, range(len(flow.tasks))), default=flow.output_bytes)


def cheapest(flow: Flow, budget: int) -> Order | None:
    """Return the order with the least estimated seconds of those that fit, if one does."""
    if budget < lower_bound(flow):
        return None
    seconds = task_seconds(flow)
    evicted = (_evict(flow, seconds, budget, exponents) for exponents in EXPONENTS)
    fitting = [_keep_again(flow, seconds, order, budget) for order in evicted if order is not None]
    return min(fitting, key=lambda order: sum(seconds[t] for t in order), default=None)


def tightest(flow: Flow, above: int) -> tuple[int, Order]:
    """Bisect for the smallest budget over `above` that is met; return it and the order found."""
    order = list(range(len(flow.tasks)))
    least = peak(flow, order)
    seconds = task_seconds(flow)
    for exponents in reversed(EXPONENTS[1:]):  # they reach smaller budgets than the first
        low = max(above, lower_bound(flow) - 1)
        while least - low > max(1, PRECISION * least):
            middle = (low + least) // 2
            found = _evict(flow, seconds, middle, exponents)
            if found is None:
                low = middle
            else:
                least, order = middle, found
    return least, order


def infeasible(flow: Flow, order: Sequence[int], budget: int, least: int) -> BudgetError:
    """Word the error for a budget that no schedule meets: `order` is one for `least` bytes."""
    live = profile(flow, order)
    task = order[live.index(max(live))]
    node = flow.tasks[task]
    types = " and ".join(str(v.type) for v in node.outputs)
    own = flow.needs(task) - flow.output_bytes
    later = max(live) - flow.needs(task)
    return BudgetError(
        message(
            f"no schedule was found that computes this program in {budget} bytes; "
            f"the smallest budget found to work is {least} bytes",
            f"{node.op.name}, which gives {types}, needs most: "
            f"{own} bytes of operands, results and workspaces, "
            f"{flow.output_bytes} of outputs of the program, {later} of values that are read later",
            f"give a budget of at least {least} bytes, or split the line into smaller pieces",
            node.origin.location,
        )
    )


def task_seconds(flow: Flow) -> list[float]:
    """Return the estimated seconds of every task."""
    return [node_cost(node).seconds for node in flow.tasks]


def _longest(flow: Flow) -> int:
    """Return the runs after which a walk is given up: tight chains need many, time is limited."""
    return 5 * len(flow.tasks) + 5000


# --- eviction -------------------------------------------------------------------------------


def _evict(
    flow: Flow, seconds: list[float], budget: int, exponents: tuple[float, float, float]
) -> Order | None:
    """Walk the tasks with a cache of `budget` bytes; None if a task cannot be made to fit."""
    cache = _Cache(flow, seconds, budget, exponents)
    for task in range(len(flow.tasks)):
        cache.now = task
        if not cache.compute(task):
            return None
        cache.pass_over(task)
    return cache.order


class _Cache:
    """The buffers that exist while the walk stands at the task `now`.

    By instance: whether it is `live`; how many running tasks have it `pinned`; the position at
    which it is `due`, that is read (infinity: never again). By task: `lost` counts its results that
    were evicted though they are due, and `replay` estimates the seconds to compute it again with
    all operands that are not live. Operands of a lost task are `wanted` and due when it is.
    """

    def __init__(
        self, flow: Flow, seconds: list[float], budget: int, exponents: tuple[float, float, float]
    ) -> None:
        count = len(flow.producers)
        self.flow = flow
        self.exponents = exponents
        self.room = budget - flow.output_bytes
        self.used = 0
        self.now = 0
        self.order: Order = []
        self.readers = flow.readers()
        self.passed = [0] * count
        self.sizes = np.array(flow.sizes, float)
        self.producers = np.array(flow.producers, np.int64)
        self.live = np.zeros(count, bool)
        self.pinned = np.zeros(count, np.int64)
        self.due = np.array([tasks[0] if tasks else math.inf for tasks in self.readers], float)
        self.wanted = [0] * count
        self.wanted_due = [math.inf] * count
        self.evicted = [False] * count
        self.lost = [0] * len(flow.tasks)
        self.replay = np.array(seconds)
        self.absent: dict[int, float] = {}  # instance -> what it adds to its readers' replay

    def compute(self, task: int) -> bool:
        """Run a task, and before it those whose results it misses. False if it does not fit."""
        stack = [task]
        self.pinned[list(self.flow.reads[task])] += 1
        while stack:
            operands = self.flow.reads[stack[-1]]
            missing = next((v for v in operands if not self.live[v]), None)
            if missing is not None:
                stack.append(self.flow.producers[missing])
                self.pinned[list(self.flow.reads[stack[-1]])] += 1
            elif not self._run(stack.pop()):
                return False
        return True

    def pass_over(self, task: int) -> None:
        """Go on to the next task: what was due at this one is due at its next reader."""
        for v in self.flow.reads[task]:
            self.passed[v] += 1
            self._look_ahead(v)
            self._drop_if_dead(v)

    def _look_ahead(self, v: int) -> None:
        readers, passed = self.readers[v], self.passed[v]
        own = readers[passed] if passed < len(readers) else math.inf
        self.due[v] = min(own, self.wanted_due[v])

    def _run(self, task: int) -> bool:
        reads, writes = self.flow.reads[task], self.flow.writes[task]
        new = [v for v in writes if not self.live[v]]
        bytes = sum(self.flow.sizes[v] for v in new)
        self.pinned[list(writes)] += 1  # a live result is written again: no room is gained by it
        if not self._make_room(bytes + self.flow.scratch[task]):
            return False
        self.order.append(task)
        self.used += bytes
        for v in new:
            self._enter(v)
        if self.lost[task]:
            self.lost[task] = 0
            self._unwant(reads)
        self.pinned[[*reads, *writes]] -= 1
        for v in (*reads, *writes):
            self._drop_if_dead(v)
        return len(self.order) <= _longest(self.flow)

    def _enter(self, v: int) -> None:
        self.live[v] = True
        self.evicted[v] = False
        if v in self.absent:
            self.replay[self.readers[v]] -= self.absent.pop(v)

    def _leave(self, v: int) -> None:
        self.live[v] = False
        self.used -= self.flow.sizes[v]
        self.absent[v] = float(self.replay[self.flow.producers[v]])
        self.replay[self.readers[v]] += self.absent[v]

    def _drop_if_dead(self, v: int) -> None:
        dead = self.live[v] and not self.pinned[v] and math.isinf(self.due[v])
        if dead and v not in self.flow.results:
            self._leave(v)

    def _make_room(self, bytes: int) -> bool:
        while self.used + bytes > self.room:
            victim = self._victim()
            if victim is None:
                return False
            self._leave(victim)
            self._lose(victim, float(self.due[victim]))
        return True

    def _victim(self) -> int | None:
        """Choose the live buffer that is cheap to compute again, large, and not due for long."""
        candidates = np.flatnonzero(self.live & (self.pinned == 0) & (self.sizes > 0))
        if not len(candidates):
            return None
        a, b, c = self.exponents
        cost = self.replay[self.producers[candidates]]
        distance = np.maximum(self.due[candidates] - self.now, 0.5)
        score = cost**a / (self.sizes[candidates] ** b * distance**c)
        return int(candidates[np.argmin(score)])

    def _lose(self, v: int, due: float) -> None:
        """Note that a buffer which is due is gone; so its task's operands are due again."""
        stack = [v]
        while stack:
            lost = stack.pop()
            task = self.flow.producers[lost]
            self.evicted[lost] = True
            self.lost[task] += 1
            if self.lost[task] == 1:
                for operand in self.flow.reads[task]:
                    self._want(operand, due)
                    if not self.live[operand] and not self.evicted[operand]:
                        stack.append(operand)

    def _want(self, v: int, due: float) -> None:
        self.wanted[v] += 1
        self.wanted_due[v] = min(self.wanted_due[v], due)
        self.due[v] = min(self.due[v], due)

    def _unwant(self, operands: Sequence[int]) -> None:
        for v in operands:
            self.wanted[v] -= 1
            if not self.wanted[v]:
                self.wanted_due[v] = math.inf
                self._look_ahead(v)


# --- the way back ---------------------------------------------------------------------------


def _keep_again(flow: Flow, seconds: list[float], order: Order, budget: int) -> Order:
    """Delete recomputations, dear ones first, wherever keeping the buffers fits the budget."""
    order = _without_unread(flow, order)
    while True:
        deleted = _deletable(flow, seconds, order, budget)
        if not deleted:
            return order
        kept = [task for position, task in enumerate(order) if position not in deleted]
        order = _without_unread(flow, kept)


def _deletable(flow: Flow, seconds: list[float], order: Order, budget: int) -> set[int]:
    """Return positions of recomputations that can all be left out at once."""
    live = np.array(profile(flow, order))
    ends = {(span.start, span.instance): span.end for span in spans(flow, order)}
    previous = _previous_runs(order)
    deleted: set[int] = set()
    for position in sorted(previous, key=lambda position: -seconds[order[position]]):
        before = previous[position]
        while before in deleted:
            before = previous[before]
        writes = [v for v in flow.writes[order[position]] if ends[position, v] > position]
        extra = np.zeros(position - before, np.int64)
        for v in writes:
            extra[ends[before, v] + 1 - before :] += flow.sizes[v]
        held = extra > 0
        if np.all((live[before:position] + extra)[held] <= budget):
            deleted.add(position)
            live[before:position] += extra
            ends.update(((before, v), ends[position, v]) for v in writes)
    return deleted


def _previous_runs(order: Order) -> dict[int, int]:
    """Map the position of every recomputation to that of the run before it."""
    latest: dict[int, int] = {}
    previous = {}
    for position, task in enumerate(order):
        if task in latest:
            previous[position] = latest[task]
        latest[task] = position
    return previous


def _without_unread(flow: Flow, order: Order) -> Order:
    """Leave out the runs of which nothing is read."""
    sources: list[set[int]] = []
    latest: dict[int, int] = {}
    for position, task in enumerate(order):
        sources.append({latest[flow.producers[v]] for v in flow.reads[task]})
        latest[task] = position
    needed = {latest[flow.producers[v]] for v in flow.results}
    for position in range(len(order) - 1, -1, -1):
        if position in needed:
            needed |= sources[position]
    return [task for position, task in enumerate(order) if position in needed]
