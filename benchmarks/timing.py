"""Compare runs in interleaved rounds.

The machine's speed changes from second to second, so only times of the same round are compared: a
ratio is the median over the rounds of the rounds' ratios. Where other work takes a core, a package
whose work runs in another thread suffers most: therefore the least times are compared, too.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.contestants import Contestant, Run, leaves
from benchmarks.programs import Program

ROUND_SECONDS = 0.02  # of each contestant in each round, or one call if that is longer
OURS = "adgraph"


@dataclass(frozen=True)
class Row:
    """A line of the table: times of one program, primal or derivative, by contestant.

    `first` has the seconds of the first call (tracing and compiling) of those that compile;
    `difference` is the largest relative difference of our results from a peer's.
    """

    program: str
    what: str
    seconds: dict[str, list[float]]
    first: dict[str, float]
    difference: float

    def median(self) -> float:
        """Return our own median time."""
        return statistics.median(self.seconds[OURS])

    def ratio(self, name: str) -> float:
        """Return how many times as long a peer takes as we do."""
        pairs = zip(self.seconds[name], self.seconds[OURS], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def best(self) -> float:
        """Return the ratio of the fastest peer, NaN if there is none."""
        return min((self.ratio(name) for name in self.seconds if name != OURS), default=math.nan)

    def best_least(self) -> float:
        """Return the ratio of the fastest peer's least time to our least time."""
        theirs = (min(times) for name, times in self.seconds.items() if name != OURS)
        return min(theirs, default=math.nan) / min(self.seconds[OURS])


def measure(program: Program, who: list[Contestant], rounds: int) -> list[Row]:
    """Measure the primal and the derivative of a program."""
    arguments = program.arguments(np.random.default_rng(0))
    primal = {c.name: c.primal(program, arguments) for c in who}
    derived = {c.name: c.derivative(program, arguments) for c in who if c.derivative}
    what = "gradient" if program.derivative == "value_and_grad" else program.derivative
    return [
        compare(program.name, "call", primal, who, rounds),
        compare(program.name, what, derived, who, rounds),
    ]


def compare(
    program: str, what: str, runs: dict[str, Run], who: list[Contestant], rounds: int
) -> Row:
    """Measure the runs of one program in interleaved rounds."""
    first = {name: _seconds(run, 1) for name, run in runs.items()}
    compiled = {c.name: first[c.name] for c in who if c.compiles and c.name in first}
    difference = _difference({name: leaves(run()) for name, run in runs.items()})
    counts = {name: _count(run) for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(_seconds(run, counts[name]))
    return Row(program, what, seconds, compiled, difference)


def _seconds(run: Run, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def _count(run: Run) -> int:
    """Return how many calls fill a round."""
    return max(1, int(ROUND_SECONDS / _seconds(run, 3)))


def _difference(results: dict[str, list[np.ndarray[Any, Any]]]) -> float:
    """Return the largest difference of our results from a peer's, relative to the largest element.

    A difference that no rounding explains is an error: times of wrong results mean nothing.
    """
    ours = results[OURS]
    largest = 0.0
    for name, theirs in results.items():
        for a, b in zip(ours, theirs, strict=True):
            scale = float(np.max(np.abs(b))) or 1.0
            largest = max(largest, float(np.max(np.abs(a - b))) / scale)
        if not largest < 1e-8:
            raise AssertionError(f"our result and that of {name} differ by {largest:.1e}")
    return largest
