"""A bound from below on the seconds of every order of a flow that fits into so many bytes.

Begin with `Bound.of`. When the last forward task has run for the first time, only what fits is
kept; what a derivative reads of the forward part and is not there runs again, with what it reads.
For a price of a byte this is a minimum cut, and no cut is below a flow: each task sends what it
costs and what reaches it, each of its results at most the price of keeping it, to the derivatives
if one reads the result, else in equal parts to its readers. After Picard & Queyranne, Selected
applications of minimum cuts in networks, 1982.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adgraph.schedule.flow import Floats, Flow

PRICES = 48  # spread over PRICE_RANGE, and as many among what the tasks cost a byte
PRICE_RANGE = (1e-3, 1e3)  # times what the forward part costs a byte


@dataclass(frozen=True)
class Bound:
    """The seconds of every task once; by price of a byte, seconds of what runs again or is kept."""

    once: float
    prices: Floats
    flows: Floats

    @staticmethod
    def of(flow: Flow) -> Bound:
        """Find the flows of a graph of tasks."""
        prices = _prices(flow)
        return Bound(flow.cost(range(len(flow.tasks))), prices, _flows(flow, prices))

    def seconds(self, room: int) -> float:
        """Return what an order takes at least, if so many bytes are kept beside the outputs."""
        return self.once + max(0.0, float(np.max(self.flows - self.prices * room, initial=0.0)))


def _prices(flow: Flow) -> Floats:
    """Return prices of a byte: the best one for a room depends on what must be given up for it."""
    arrays = flow.arrays
    forward = np.flatnonzero((arrays.producers < flow.forward) & (arrays.sizes > 0))
    sizes, seconds = arrays.sizes[forward], flow.costs[arrays.producers[forward]]
    if not seconds.any():
        return np.zeros(0)
    spread = np.geomspace(*PRICE_RANGE, PRICES) * seconds.sum() / sizes.sum()
    own = np.quantile(seconds / sizes, np.linspace(0, 1, PRICES), method="nearest")
    return np.concatenate([spread, own])


def _flows(flow: Flow, prices: Floats) -> Floats:
    """Send the flow of every price through the forward part."""
    total = np.zeros(len(prices))
    again = _ancestors(flow, flow.forward - 1) if len(prices) else set()
    needed = {v for operands in flow.reads[flow.forward :] for v in operands}
    received = np.zeros((flow.forward, len(prices)))
    readers = flow.readers
    for task in range(flow.forward if len(prices) else 0):
        rest = received[task] + (flow.seconds[task] if task in again else 0.0)
        for v in flow.writes[task]:
            sent = np.minimum(rest, prices * flow.sizes[v])
            rest = rest - sent
            if v in needed:
                total += sent
            else:
                received[readers[v]] += sent / max(len(readers[v]), 1)
    return total


def _ancestors(flow: Flow, task: int) -> set[int]:
    """Return a task and those it needs: what surely ran before a later one does."""
    found = {task}
    for earlier in reversed(range(task + 1)):
        if earlier in found:
            found.update(flow.producers[v] for v in flow.reads[earlier])
    return found
