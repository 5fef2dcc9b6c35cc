"""From a graph and a number of bytes to a schedule and its plan: begin with `schedule_and_plan`.

A budget bounds what a call allocates, the arena and the outputs, and is never exceeded in silence:
if no schedule meets it, the error names the smallest budget found to work.
"""

from __future__ import annotations

import re
from numbers import Integral

from adgraph.errors import ShapeError, message
from adgraph.ir.graph import Graph
from adgraph.schedule.buffers import MayShare, Plan, never
from adgraph.schedule.pareto import Planner
from adgraph.schedule.schedule import Schedule

Planned = tuple[Schedule, Plan]
Budget = int | float  # bytes if it is an int, else a share of the peak without a budget

UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_bytes(budget: int | str) -> int:
    """Return a number of bytes given as an integer or as text with a unit.

    >>> parse_bytes("64MB"), parse_bytes("1.5 GiB"), parse_bytes(4096)
    (64000000, 1610612736, 4096)
    """
    if isinstance(budget, Integral) and not isinstance(budget, bool) and budget >= 0:
        return int(budget)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*", str(budget).lower())
    if not isinstance(budget, str) or not found or (found[2] or "b") not in UNITS:
        raise ShapeError(
            message(
                f"a memory budget of {budget!r} is not understood",
                "it is a number of bytes: an int that is not negative, or text with a unit",
                'write for example 64_000_000, "64MB" (powers of 1000) or "1.5GiB" (of 1024)',
            )
        )
    return int(float(found[1]) * UNITS[found[2] or "b"])


def parse_budget(budget: float | str) -> Budget:
    """Return a budget given in bytes, or as a share of the peak without a budget.

    >>> parse_budget("64MB"), parse_budget(0.5), parse_budget("50%")
    (64000000, 0.5, 0.5)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(budget))
    share = float(found[1]) / 100 if found else budget
    if not isinstance(share, float):
        return parse_bytes(share)
    if not 0 < share <= 1:
        raise ShapeError(
            message(
                f"a memory budget of {budget!r} is no share of the peak without a budget",
                "a float is such a share, above 0 and at most 1; a number of bytes is an int",
                'write for example 0.5 or "50%" for half of it, 64_000_000 or "64MB" for bytes',
            )
        )
    return share


def in_bytes(budget: Budget, peak_bytes: int) -> int:
    """Return a budget in bytes, given the peak of the program without a budget."""
    return int(budget * peak_bytes) if isinstance(budget, float) else budget


def schedule_and_plan(
    graph: Graph, *, budget: Budget | None = None, may_share: MayShare = never
) -> Planned:
    """Order a graph, recompute what is checkpointed or does not fit, and plan the arena.

    With a budget the plan's `peak_bytes` is at most that.
    """
    planner = Planner(graph, may_share)
    if budget is None:
        return planner.base.planned
    return planner.at(in_bytes(budget, planner.base.peak_bytes)).planned
