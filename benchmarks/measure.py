"""Compare the contestants on one program, in interleaved rounds.

The machine's speed changes from second to second and other work disturbs it, so that the rounds are
interleaved, ratios are those of lower quartiles, and a time is CPU time unless the clock is `wall`:
all threads of the process together, and no waiting for a core. Results are compared before anything
is timed. Begin with `measure`.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers import HAND, OURS
from benchmarks.peers.contestant import Contestant, LeftOutError, Run, leaves
from benchmarks.suite.program import Arguments, Program

Clock = Callable[[], float]
Seconds = Mapping[str, list[float]]
Results = Mapping[str, list[np.ndarray[Any, Any]]]

ROUND_SECONDS = 0.02  # of each contestant in each round, or one call if that is longer
SLOW_SECONDS = 2.0  # a call that takes longer is measured once
LARGEST_DIFFERENCE = 1e-8
RAW = "casadi"  # is called on raw buffers: not a peer where the call counts
CLOCKS: dict[str, Clock] = {"cpu": time.process_time, "wall": time.perf_counter}


class WrongResultError(AssertionError):
    """Two contestants disagree: times of wrong results mean nothing."""


@dataclass(frozen=True)
class Line:
    """A line of the table: seconds of calls of the derivative and of the function itself.

    `difference` is the largest relative difference of our derivative from another, `left_out` says
    why a contestant is not in the line.
    """

    program: Program
    derivative: Seconds
    primal: Seconds
    difference: float
    left_out: Mapping[str, str]

    def peers(self) -> list[str]:
        """Return the names of the peers that are in the line."""
        kept = [name for name in self.derivative if name not in (OURS, HAND)]
        return [n for n in kept if self.program.group != "latency" or n != RAW] or kept

    def ratio(self, name: str) -> float:
        """Return how many times as long another takes."""
        return low(self.derivative[name]) / low(self.derivative[OURS])

    def best(self) -> float:
        """Return the ratio of the fastest peer, NaN if there is none."""
        return min((self.ratio(name) for name in self.peers()), default=math.nan)

    def best_median(self) -> float:
        """Return the same, median to median."""
        ours = statistics.median(self.derivative[OURS])
        theirs = (statistics.median(self.derivative[name]) for name in self.peers())
        return min(theirs, default=math.nan) / ours

    def best_call(self) -> float:
        """Return the ratio of the fastest peer's call of the function itself."""
        theirs = (low(times) for name, times in self.primal.items() if name != OURS)
        return min(theirs, default=math.nan) / low(self.primal[OURS])

    def hand(self) -> float:
        """Return how many times as long as the hand-written gradient we take."""
        return 1 / self.ratio(HAND) if HAND in self.derivative else math.nan

    def flags(self) -> list[str]:
        """Return where this line misses its targets."""
        found = []
        if self.program.group == "latency":
            if "jax" in self.derivative and self.ratio("jax") < 8:
                found.append("< 8 jax")
            if RAW in self.derivative and self.ratio(RAW) < 1 / 3:
                found.append("> 3 casadi")
        elif self.best() < 0.9:
            found.append("< 0.9 peer")
        if self.hand() > 1.5:
            found.append("> 1.5 hand")
        return found


def measure(
    program: Program, who: list[Contestant], rounds: int, clock: Clock = CLOCKS["cpu"]
) -> Line:
    """Measure the derivative and the function itself."""
    arguments = program.arguments()
    runs, results, left_out = started(program, who, arguments)
    difference = largest_difference(results)
    primal = {c.name: c.primal(program, arguments) for c in who if c.primal is not None}
    for run in primal.values():
        run()
    derivative = interleaved(runs, rounds, clock)
    return Line(program, derivative, interleaved(primal, rounds, clock), difference, left_out)


def started(
    program: Program, who: list[Contestant], arguments: Arguments
) -> tuple[dict[str, Run], Results, dict[str, str]]:
    """Return the derivative's runs, the results of a first call, and why others are left out."""
    runs: dict[str, Run] = {}
    results: dict[str, list[np.ndarray[Any, Any]]] = {}
    left_out: dict[str, str] = {}
    for one in who:
        try:
            run = one.derivative(program, arguments)
            results[one.name] = leaves(run())
            runs[one.name] = run
        except LeftOutError as reason:
            left_out[one.name] = str(reason)
        except Exception as error:
            if one.name == OURS:
                raise
            text = str(error).splitlines()[0][:80]
            left_out[one.name] = f"fails with {type(error).__name__} ({text})"
    return runs, results, left_out


def interleaved(runs: Mapping[str, Run], rounds: int, clock: Clock) -> Seconds:
    """Return the seconds a call of every run, by rounds; those of a slow one, once."""
    once = {name: _seconds(run, 1, clock) for name, run in runs.items()}
    counts = {
        name: max(1, int(ROUND_SECONDS / _seconds(run, 3, clock)))
        for name, run in runs.items()
        if once[name] < SLOW_SECONDS
    }
    seconds: dict[str, list[float]] = {
        name: [] if name in counts else [once[name]] for name in runs
    }
    for _ in range(rounds):
        for name, count in counts.items():
            seconds[name].append(_seconds(runs[name], count, clock))
    return seconds


def largest_difference(results: Results) -> float:
    """Return the largest difference of our results from another's, relative to the largest element.

    A difference that no rounding explains is an error.
    """
    ours, largest = results[OURS], 0.0
    for name, theirs in results.items():
        found = max(_difference(a, b) for a, b in zip(ours, theirs, strict=True))
        if not found < LARGEST_DIFFERENCE:
            raise WrongResultError(f"our result and that of {name} differ by {found:.1e}")
        largest = max(largest, found)
    return largest


def _difference(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    if a.shape != b.shape:
        return math.inf
    difference = float(np.max(np.abs(a - b))) / (float(np.max(np.abs(b))) or 1.0)
    return math.inf if math.isnan(difference) else difference


def _seconds(run: Run, count: int, clock: Clock) -> float:
    start = clock()
    for _ in range(count):
        run()
    return (clock() - start) / count


def low(seconds: list[float]) -> float:
    """Return the lower quartile: other work lengthens times, and a virtual clock may step."""
    return sorted(seconds)[len(seconds) // 4]
