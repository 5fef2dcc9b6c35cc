"""Eviction: walk a sequence of tasks with a cache of so many bytes.

Where the next task does not fit, the buffer with the least score cost / (size * distance^c) goes,
where the next read is known in advance (Belady); it is computed again when it is read. The offline
form of Kirisame et al., Dynamic Tensor Rematerialization, ICLR 2021. Begin with `evict`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from adgraph.schedule.flow import Floats, Flow

Order = list[int]


def evict(flow: Flow, budget: int, fading: float, weights: Floats | None = None) -> Order | None:
    """Walk the tasks with a cache of `budget` bytes; None if a task cannot be made to fit.

    `fading` is the exponent of the distance. A weight for each instance makes it dear to lose.
    """
    cache = _Cache(flow, budget, fading, weights)
    for task in range(len(flow.tasks)):
        cache.now = task
        if not cache.compute(task):
            return None
        cache.pass_over(task)
    return cache.order


def _longest(flow: Flow) -> int:
    """Return the runs after which a walk is given up: tight chains need many, time is limited."""
    return 4 * len(flow.tasks) + 500


class _Cache:
    """The buffers that exist while the walk stands at the task `now`.

    By instance: whether it is `live`; how many running tasks have it `pinned`; whether it is
    `movable`, that is live, not pinned and worth a byte; the position at which it is `due`, that is
    read (infinity: never again). By task: `lost` counts its results that were evicted though they
    are due, and `replay` estimates the seconds to compute it again with all operands that are not
    live. Operands of a lost task are `wanted` and due when it is.
    """

    def __init__(self, flow: Flow, budget: int, fading: float, weights: Floats | None) -> None:
        count = len(flow.producers)
        sizes = np.maximum(flow.arrays.sizes, 1)
        self.flow = flow
        self.fading = fading
        self.value = (1.0 if weights is None else weights) / sizes
        self.room = budget - flow.output_bytes
        self.used = 0
        self.now = 0
        self.order: Order = []
        self.readers = flow.readers
        self.passed = [0] * count
        self.live = [False] * count
        self.pinned = [0] * count
        self.movable = np.zeros(count, bool)
        self.due = np.array([tasks[0] if tasks else math.inf for tasks in self.readers], float)
        self.wanted = [0] * count
        self.wanted_due = [math.inf] * count
        self.evicted = [False] * count
        self.lost = [0] * len(flow.tasks)
        self.replay = flow.costs.copy()
        self.absent: dict[int, float] = {}  # instance -> what it adds to its readers' replay

    def compute(self, task: int) -> bool:
        """Run a task, and before it those whose results it misses. False if it does not fit."""
        stack = [task]
        self._pin(self.flow.reads[task])
        while stack:
            missing = next((v for v in self.flow.reads[stack[-1]] if not self.live[v]), None)
            if missing is not None:
                stack.append(self.flow.producers[missing])
                self._pin(self.flow.reads[stack[-1]])
            elif not self._run(stack.pop()):
                return False
        return True

    def pass_over(self, task: int) -> None:
        """Go on to the next task: what was due at this one is due at its next reader."""
        for v in self.flow.reads[task]:
            self.passed[v] += 1
            self._look_ahead(v)
            self._drop_if_dead(v)

    def _pin(self, instances: Iterable[int]) -> None:
        for v in instances:
            self.pinned[v] += 1
            self.movable[v] = False

    def _unpin(self, instances: Iterable[int]) -> None:
        for v in instances:
            self.pinned[v] -= 1
            self.movable[v] = not self.pinned[v] and self.live[v] and self.flow.sizes[v] > 0

    def _look_ahead(self, v: int) -> None:
        readers, passed = self.readers[v], self.passed[v]
        own = readers[passed] if passed < len(readers) else math.inf
        self.due[v] = min(own, self.wanted_due[v])

    def _run(self, task: int) -> bool:
        reads, writes = self.flow.reads[task], self.flow.writes[task]
        new = [v for v in writes if not self.live[v]]
        bytes = sum(self.flow.sizes[v] for v in new)
        self._pin(writes)  # a live result is written again: no room is gained by it
        if not self._make_room(bytes + self.flow.scratch[task]):
            return False
        self.order.append(task)
        self.used += bytes
        for v in new:
            self._enter(v)
        if self.lost[task]:
            self.lost[task] = 0
            self._unwant(reads)
        for operands in (reads, writes):
            self._unpin(operands)
            for v in operands:
                self._drop_if_dead(v)
        return len(self.order) <= _longest(self.flow)

    def _enter(self, v: int) -> None:
        self.live[v] = True
        self.evicted[v] = False
        if v in self.absent:
            seconds = self.absent.pop(v)
            for reader in self.readers[v]:
                self.replay[reader] -= seconds

    def _leave(self, v: int) -> None:
        self.live[v] = False
        self.movable[v] = False
        self.used -= self.flow.sizes[v]
        self.absent[v] = seconds = float(self.replay[self.flow.producers[v]])
        for reader in self.readers[v]:
            self.replay[reader] += seconds

    def _drop_if_dead(self, v: int) -> None:
        dead = self.live[v] and not self.pinned[v] and self.due[v] == math.inf
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
        candidates = np.flatnonzero(self.movable)
        if not len(candidates):
            return None
        score = self.replay[self.flow.arrays.producers[candidates]] * self.value[candidates]
        if self.fading:
            score /= np.maximum(self.due[candidates] - self.now, 0.5) ** self.fading
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
