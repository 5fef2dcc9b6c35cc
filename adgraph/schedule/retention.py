"""Shorter orders of the same peak: recomputations are deleted where buffers can be kept instead.

Eviction decides with what it knows when a buffer goes; afterwards there is room here and there.
Begin with `keep_again`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adgraph.schedule.flow import Flow, Lives, live_bytes

Order = list[int]


def keep_again(flow: Flow, order: Sequence[int], budget: int) -> Order:
    """Delete recomputations, dear ones first, wherever keeping the buffers fits the budget."""
    kept = without_unread(flow, order)
    while True:
        deleted = _deletable(flow, kept, budget)
        if not deleted:
            return kept
        rest = [task for position, task in enumerate(kept) if position not in deleted]
        kept = without_unread(flow, rest)


def without_unread(flow: Flow, order: Sequence[int]) -> Order:
    """Leave out runs of which nothing is read, but of tasks that are there for their own sake.

    The first run of the last forward task stays, too: bounds on costs count on it.
    """
    lives = Lives.of(flow, order)
    needed = [False] * len(order)
    latest = np.zeros(len(flow.tasks), np.int64)
    latest[order] = np.arange(len(order))  # the last one stays
    for task in flow.ends:
        needed[latest[task]] = True
    if flow.forward:
        needed[order.index(flow.forward - 1)] = True
    reads = zip(reversed(lives.readers.tolist()), reversed(lives.sources.tolist()), strict=True)
    for reader, source in reads:
        if needed[reader]:
            needed[source] = True
    return [task for task, is_needed in zip(order, needed, strict=True) if is_needed]


def _deletable(flow: Flow, order: Order, budget: int) -> set[int]:
    """Return positions of recomputations that can all be left out at once."""
    lives = Lives.of(flow, order)
    live = live_bytes(flow, order, lives)
    ends, first = lives.ends.tolist(), lives.first.tolist()
    previous = _previous_runs(order)
    deleted: set[int] = set()
    for position in sorted(previous, key=lambda position: -flow.seconds[order[position]]):
        before = previous[position]
        while before in deleted:
            before = previous[before]
        shift = first[before] - first[position]
        buffers = range(first[position], first[position + 1])
        read = [b for b in buffers if ends[b] > position]
        if len(read) == 1:
            (buffer,) = read
            size = flow.sizes[flow.writes[order[position]][buffer - first[position]]]
            window = live[ends[buffer + shift] + 1 : position]
            if len(window) and int(window.max()) + size > budget:
                continue
            window += size
        else:
            extra = np.zeros(position - before, np.int64)
            for b in read:
                size = flow.sizes[flow.writes[order[position]][b - first[position]]]
                extra[ends[b + shift] + 1 - before :] += size
            if np.any((live[before:position] + extra)[extra > 0] > budget):
                continue
            live[before:position] += extra
        deleted.add(position)
        for b in read:
            ends[b + shift] = ends[b]
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
