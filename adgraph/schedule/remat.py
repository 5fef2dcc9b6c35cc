"""Rematerialization: longer orders of a flow that fit into so many bytes.

`Remat(flow, chain).cheapest(budget)` is the better of two ways: eviction from a cache, which suits
wide graphs, and segments, which suit chains. `searched` improves it, in small flows, by a local
search over weights of eviction. Of whatever is found, recomputations are deleted again wherever
keeping the buffer fits after all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from adgraph.schedule.bound import Bound
from adgraph.schedule.eviction import evict
from adgraph.schedule.flow import Flow, peak
from adgraph.schedule.retention import keep_again, without_unread
from adgraph.schedule.segments import Chain

Order = list[int]

FADINGS = (0.5, 0.0, 1.0)  # of the distance in the score of a buffer
SEARCHED = 2000  # tasks that the walks of a search pass in all
WALKS = 8  # of a search at most
DESCENT = 0.985  # of the bytes of a step and the one before, at most
GAP = 3  # steps without an order, one after the other, that end it
CHANGED = 0.1  # share of the weights that a step of the search changes
CHANGE = 0.8  # standard deviation of the logarithm of a weight


@dataclass(frozen=True)
class Remat:
    """Finds orders of one flow, by segments if their chain is given."""

    flow: Flow
    chain: Chain | None = None
    fadings: tuple[float, ...] = FADINGS[:1]

    @cached_property
    def lower_bound(self) -> int:
        """The bytes below which no order exists: the operands and results of one task."""
        tasks = range(len(self.flow.tasks))
        return max(map(self.flow.needs, tasks), default=self.flow.output_bytes)

    @cached_property
    def bound(self) -> Bound:
        """What an order takes at least."""
        return Bound.of(self.flow)

    def cheapest(self, budget: int) -> Order | None:
        """Return the order with the least estimated seconds of those found to fit, if one is."""
        return min(self.fitting(budget), key=self.flow.cost, default=None)

    def fitting(self, budget: int) -> list[Order]:
        """Return the orders that are found to fit, one of each way."""
        if budget < self.lower_bound:
            return []
        return [*self._by_eviction(budget), *self._by_segments(budget)]

    # --- eviction -------------------------------------------------------------------------------

    def _by_eviction(self, budget: int) -> Iterator[Order]:
        for fading in self.fadings:
            order = evict(self.flow, budget, fading)
            if order is not None:
                yield keep_again(self.flow, order, budget)

    def searched(self, budget: int, best: Order) -> Order:
        """Return a cheaper order, or the one given: change weights of eviction at random.

        A change stays if the order becomes no dearer. The work is bounded, so results are the same
        in every run.
        """
        rng = np.random.default_rng(0)
        count = len(self.flow.producers)
        logs = np.zeros(count)
        least = np.inf
        for _ in range(min(SEARCHED // len(self.flow.tasks), WALKS)):
            changed = rng.random(count) < max(CHANGED, 4 / count)
            tried = logs + CHANGE * changed * rng.standard_normal(count)
            order = evict(self.flow, budget, self.fadings[0], np.exp(tried))
            if order is None:
                continue
            order = keep_again(self.flow, order, budget)
            if self.flow.cost(order) <= least:
                logs, least = tried, self.flow.cost(order)
            best = min(best, order, key=self.flow.cost)
        return best

    def descent(self) -> Iterator[Order]:
        """Iterate over orders for fewer and fewer bytes: each time fewer than those just found."""
        aim = peak(self.flow, range(len(self.flow.tasks))) - 1
        missing = 0
        while missing < GAP:
            found = self.fitting(aim)
            yield from found
            missing = 0 if found else missing + 1
            most = max((peak(self.flow, order) for order in found), default=aim)
            aim = min(most - 1, int(aim * DESCENT))

    # --- segments -------------------------------------------------------------------------------

    @cached_property
    def _orders(self) -> dict[int, tuple[int, Order]]:
        """The orders of levels of the chain that were looked at, with their peaks."""
        return {}

    def _of_level(self, chain: Chain, level: int) -> tuple[int, Order]:
        if level not in self._orders:
            order = without_unread(self.flow, chain.order(level))
            self._orders[level] = peak(self.flow, order), order
        return self._orders[level]

    def _by_segments(self, budget: int) -> Iterator[Order]:
        """Bisect for the level of memory whose true peak fits: it grows with the level, nearly."""
        if (chain := self.chain) is None:
            return
        fitting, above = 0, len(chain.levels)
        if not above or self._of_level(chain, chain.levels[0])[0] > budget:
            return
        while above - fitting > 1:
            middle = (fitting + above) // 2
            if self._of_level(chain, chain.levels[middle])[0] <= budget:
                fitting = middle
            else:
                above = middle
        yield keep_again(self.flow, self._of_level(chain, chain.levels[fitting])[1], budget)
