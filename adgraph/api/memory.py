"""The curve of bytes against time of a program: begin with `memory_curve`.

Each point is planned in full, so its bytes are exact; seconds are estimated from flops and bytes,
or measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adgraph.api.function import Function
from adgraph.curve import CurvePoint, MemoryCurve
from adgraph.lower.program import may_share
from adgraph.schedule.pareto import pareto

ROUNDS = 7  # of measuring every point once; the least time counts


def memory_curve(
    f: Function, args: tuple[Any, ...], kwargs: dict[str, Any], *, measure: bool
) -> MemoryCurve:
    """Return the curve of a function's program for these arguments, whatever budget it has."""
    free = _with_budget(f, None)
    entry = free.dispatch.entry(args, kwargs)
    graph = entry.compiled.program.graph
    points = [
        CurvePoint(point.peak_bytes, point.seconds, len(point.schedule.recomputed))
        for point in pareto(graph, may_share=may_share(graph))
    ]
    if measure:
        programs = [_with_budget(f, point.peak_bytes) for point in points]
        seconds = _measured(programs, args, kwargs)
        points = [replace(p, measured=s) for p, s in zip(points, seconds, strict=True)]
    return MemoryCurve(entry.trace.graph.name, tuple(points))


def _with_budget(f: Function, budget: int | None) -> Function:
    if f.options.memory_budget == budget:
        return f
    return Function(f.function, replace(f.options, memory_budget=budget))


def _measured(
    programs: Sequence[Function], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[float]:
    """Return the least seconds of every program, of rounds in which each one runs once."""
    for program in programs:
        program(*args, **kwargs)
    least = [float("inf")] * len(programs)
    for _ in range(ROUNDS):
        for i, program in enumerate(programs):
            begin = time.perf_counter()
            program(*args, **kwargs)
            least[i] = min(least[i], time.perf_counter() - begin)
    return least
