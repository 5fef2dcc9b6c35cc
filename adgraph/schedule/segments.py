"""Rematerialization by segments: what suits chains, where a walk with a cache finds no good order.

The tasks before the fullest moment are the forward part. It is cut into segments where little is
alive; what comes later belongs to the segment of the task it differentiates. A dynamic program
over segments and bytes then decides what is kept: Revolve for unequal segments, after Beaumont et
al., Optimal checkpointing for heterogeneous chains, 2019. Begin with `Chain.of`; the orders that
`Chain.order` gives are valid, their true peak is the caller's to find.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adgraph.schedule.flow import Floats, Flow, Ints, bytes_across

SHORTEST = 3  # tasks of a forward part that is cut
SEGMENTS = 64
SINGLE = 128  # up to as many forward tasks, each is a segment
WORK = 25_000_000  # additions of the dynamic program, which bound its levels of memory
LEVELS = (32, 256)
SPREAD = 0.2  # how much a segment is one of many tasks, rather than of much work


@dataclass(frozen=True)
class Chain:
    """Segments of a flow: the tasks of the forward part and of its adjoint, and what they hold.

    `passed` are the bytes of a segment that later ones read, `kept` those and what its adjoint
    reads, `own` only the latter, without the last value: that is there as the segment ends.
    `seconds` are of its forward tasks, `last` of those its adjoint needs, `back` of its adjoint.
    """

    forward: tuple[tuple[int, ...], ...]
    backward: tuple[tuple[int, ...], ...]
    passed: Ints
    kept: Ints
    own: Ints
    seconds: Floats
    last: Floats
    back: Floats

    @staticmethod
    def of(flow: Flow) -> Chain | None:
        """Cut a flow into segments; None if it has no forward part to speak of."""
        if len(flow.tasks) < SHORTEST:
            return None
        count = flow.forward
        if count < SHORTEST or count == len(flow.tasks):
            return None
        segment = _cut(flow, count)
        segment += _adjoint_segments(flow, segment)
        return _measure(flow, segment, count)

    @cached_property
    def quantum(self) -> int:
        """The bytes of a level of memory."""
        total, length = int(self.kept.sum()), len(self.forward)
        levels = int(np.clip(6 * WORK / length**3, *LEVELS))
        sizes = [*self.passed.tolist(), *self.kept.tolist(), *self.own.tolist()]
        return max(math.gcd(*sizes), -(-total // levels), 1)

    @cached_property
    def table(self) -> Table:
        """What is best for every part of the chain and every level of memory."""
        return _solve(self, *(-(-x // self.quantum) for x in (self.passed, self.kept, self.own)))

    @cached_property
    def levels(self) -> list[int]:
        """The levels of memory that give different costs, from the least."""
        costs = self.table.costs[0, -1]
        fresh = np.isfinite(costs) & (costs < np.concatenate([[np.inf], costs[:-1]]))
        levels: list[int] = np.flatnonzero(fresh).tolist()
        return levels

    def order(self, level: int) -> list[int]:
        """Return the tasks in the order that the dynamic program chose for a level of memory."""
        found: list[int] = []
        choices = self.table.choices
        passed, kept = (-(-x // self.quantum) for x in (self.passed, self.kept))
        stack: list[tuple[int, int, int]] = [(0, len(self.forward) - 1, level)]
        while stack:
            first, last, room = stack.pop()
            if last < first:
                found.extend(self.backward[first])
                continue
            split = int(choices[first, last, room]) if first < last else 0
            if split:
                stack.append((first, split - 1, room))
                stack.append((split, last, room - int(passed[split - 1])))
                found.extend(itertools.chain.from_iterable(self.forward[first:split]))
            else:
                found.extend(self.forward[first])
                stack.append((first, first - 1, 0))
                if first < last:
                    stack.append((first + 1, last, room - int(kept[first])))
        return found


# --- the dynamic program --------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """By first and last segment and by level: the least seconds, and where the part is split.

    Split 0 keeps all of the first segment; s runs up to s and keeps only what is passed on there.
    """

    costs: Floats
    choices: np.ndarray[Any, np.dtype[np.int16]]


def _solve(chain: Chain, passed: Ints, kept: Ints, own: Ints) -> Table:
    length, levels = len(chain.forward), int(kept.sum()) + 1
    costs = np.full((length, length, levels), np.inf)
    choices = np.zeros((length, length, levels), np.int16)
    # Parts that end at j and begin at s, with room for what is passed on to s: rows [j, s].
    beside = np.full((length, length, levels), np.inf)
    until = np.concatenate([[0.0], np.cumsum(chain.seconds)])
    for width in range(length):
        for i in range(length - width):
            j = i + width
            best = costs[i, j]
            if not width:
                best[own[i] :] = chain.last[i] + chain.back[i]
            else:
                parts = beside[j, i + 1 : j + 1] + costs[i, i:j]
                parts += (until[i + 1 : j + 1] - until[i])[:, None]
                split = parts.argmin(axis=0)
                best[:] = np.take_along_axis(parts, split[None], axis=0)[0]
                keep = np.full(levels, np.inf)
                keep[kept[i] :] = costs[i + 1, j, : levels - kept[i]]
                keep += chain.seconds[i] + chain.back[i]
                choices[i, j] = np.where(keep <= best, 0, split + i + 1)
                np.minimum(best, keep, out=best)
            if i:
                beside[j, i, passed[i - 1] :] = best[: levels - passed[i - 1]]
    return Table(costs, choices)


# --- segments -------------------------------------------------------------------------------------


def _cut(flow: Flow, count: int) -> list[int]:
    """Return the segment of every forward task: cuts are where little is read later on."""
    if count <= SINGLE:
        return list(range(count))
    ends = _last_forward_reads(flow, count)
    across = bytes_across(len(flow.tasks), flow.arrays.producers, ends, flow.arrays.sizes)[:count]
    seconds = flow.costs[:count]
    weight = np.minimum(seconds, np.quantile(seconds, 0.98)) + SPREAD * seconds.mean()
    part = (SEGMENTS * (np.cumsum(weight) / weight.sum()) - 1e-9).astype(np.int64)
    last = np.zeros(count, bool)
    last[-1] = True
    for k in range(SEGMENTS):
        inside = np.flatnonzero(part == k)
        if len(inside):
            last[inside[::-1][np.argmin(across[inside[::-1]])]] = True
    segment: list[int] = (np.cumsum(last) - last).tolist()
    return segment


def _last_forward_reads(flow: Flow, count: int) -> Ints:
    """Return for every instance its last reader before the turn, itself if none."""
    ends = flow.arrays.producers.copy()
    for task in range(count):
        ends[list(flow.reads[task])] = task
    return ends


def _adjoint_segments(flow: Flow, segment: Sequence[int]) -> list[int]:
    """Return the segments of the tasks after the turn.

    A task belongs where what it differentiates does: a forward reader, or the producer, of what it
    reads. It cannot come before the tasks it waits for, whose segments are later ones. What the
    forward part ends with is read in a segment of its own: there the turn is.
    """
    count, turn = len(segment), segment[-1] + 1
    touched: list[set[int]] = [set() for _ in flow.producers]
    for task in range(count):
        for v in (*flow.reads[task], *flow.writes[task]):
            touched[v].add(segment[task])
    for v in range(flow.arrays.write_from[count]):
        if touched[v] == {turn - 1}:
            touched[v] = {turn}
    found: list[int] = []
    for task in range(count, len(flow.tasks)):
        producers = [flow.producers[v] for v in flow.reads[task]]
        bound = min((found[p - count] for p in producers if p >= count), default=turn)
        near = (k for v in flow.reads[task] for k in touched[v] if k <= bound)
        found.append(max(near, default=bound))
    return found


def _measure(flow: Flow, segment: Sequence[int], count: int) -> Chain:
    length = segment[count - 1] + 2
    passed, kept, own = np.zeros((3, length), np.int64)
    seconds, last, back = np.zeros((3, length))
    tasks: tuple[list[list[int]], ...] = ([[] for _ in range(length)], [[] for _ in range(length)])
    readers = flow.readers
    wanted = [False] * count
    reached = [False] * length
    for task in reversed(range(len(flow.tasks))):
        k = segment[task]
        tasks[task >= count][k].append(task)
        if task >= count:
            back[k] += flow.seconds[task]
            continue
        seconds[k] += flow.seconds[task]
        for v in flow.writes[task]:
            is_passed = any(segment[r] > k for r in readers[v])
            is_own = any(r >= count and segment[r] == k for r in readers[v])
            passed[k] += is_passed * flow.sizes[v]
            own[k] += (is_own and reached[k]) * flow.sizes[v]
            reached[k] |= is_own
            kept[k] += (is_passed or is_own) * flow.sizes[v]
            inside = (r for r in readers[v] if segment[r] == k)
            wanted[task] |= is_own or any(wanted[r] for r in inside if r < count)
        last[k] += wanted[task] * flow.seconds[task]
    forward, backward = (tuple(tuple(part[::-1]) for part in half) for half in tasks)
    return Chain(forward, backward, passed, kept, own, seconds, last, back)
