"""The curve of bytes against time of a program: begin with `memory_curve`.

Where a loop records what its derivative needs, a point is a way to record less: snapshots of what
the loop carries, from which trips run again. Otherwise a point is a schedule that runs kernels
again. Each is planned in full, so its bytes are exact; seconds are estimated, or measured. The last
point is the least budget: a smaller one is refused, and the error names it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from adgraph.api.function import Function
from adgraph.curve import CurvePoint, MemoryCurve
from adgraph.looks import count
from adgraph.passes.pipeline import SETTLED, run_pipeline
from adgraph.runtime.fitting import Choice, Made, all_kept, least, reversals

CHOICES = 24  # of the ways to reverse loops, planned in full
ROUNDS = 7  # of measuring every point once; the least time counts
KEPT = "everything kept"


def memory_curve(
    f: Function, args: tuple[Any, ...], kwargs: dict[str, Any], *, measure: bool
) -> MemoryCurve:
    """Return the curve of a function's program for these arguments, whatever budget it has."""
    graph = _with_budget(f, None).dispatch.entry(args, kwargs).trace.graph
    settled, _ = run_pipeline(graph, SETTLED)
    taped = all_kept(settled, f.options.threads)
    found = reversals(taped)
    points = [*_scheduled(taped), *(point for made in found for point in _with_loops(made))]
    kept = _undominated(points, least(taped, found).planner.least.peak_bytes)
    if measure:
        programs = [_with_budget(f, point.peak_bytes) for point in kept]
        seconds = _measured(programs, args, kwargs)
        kept = [replace(p, measured=s) for p, s in zip(kept, seconds, strict=True)]
    return MemoryCurve(graph.name, tuple(kept))


def _scheduled(made: Made) -> Iterator[CurvePoint]:
    """Yield the points of schedules in which kernels run again; loops stay as they are."""
    first, *others = made.planner.pareto()
    how = _words(made.choice)
    yield CurvePoint(first.peak_bytes, made.choice.seconds, how or KEPT)
    for point in others:
        again = f"{count(len(point.schedule.recomputed), 'kernel')} again"
        seconds = made.choice.seconds + point.seconds - first.seconds
        yield CurvePoint(point.peak_bytes, seconds, ", ".join(filter(None, (how, again))))


def _with_loops(found: Sequence[Made]) -> Iterator[CurvePoint]:
    """Yield the points of some of the ways to reverse the loops, and schedules of the last one."""
    last = len(found) - 1
    for number in sorted({round(i * last / (CHOICES - 1)) for i in range(CHOICES)} - {last}):
        made = found[number]
        yield CurvePoint(made.peak_bytes, made.choice.seconds, _words(made.choice))
    yield from _scheduled(found[last])


def _words(choice: Choice) -> str:
    plans = [choice.plans[number] for number in sorted(choice.plans)]
    return ", ".join(
        f"{count(p.snapshots, 'snapshot')} and {count(p.segment, 'trip')} recorded" for p in plans
    )


def _undominated(points: Sequence[CurvePoint], least_bytes: int) -> list[CurvePoint]:
    """Return the points that no other one beats in bytes and seconds, the fastest first.

    What is below the least budget by luck is not looked for by any.
    """
    first, *others = points
    kept = [first]
    for point in sorted(others, key=lambda point: (point.seconds, point.peak_bytes)):
        if least_bytes <= point.peak_bytes < kept[-1].peak_bytes:
            kept.append(point)
    return kept


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
