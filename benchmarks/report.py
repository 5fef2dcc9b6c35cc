"""Lines of the table as text: the times of gradients, first calls and memory, geometric means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.fresh import First
from benchmarks.measure import Line, low
from benchmarks.peers import HAND, OURS


@dataclass(frozen=True)
class Fresh:
    """First gradients of a program in new processes: with an empty cache, a full one, and JAX's."""

    cold: First
    warm: First
    jax: First | None


MANY = 12  # programs that are not listed by name
TIMES = ("program", "µs")
SUMMARY = ("best", "median", "ours/hand", "call", "difference", "missed")
FIRST = (
    "program",
    "first s",
    "jax",
    "with import s",
    "jax",
    "warm s",
    "warm with import s",
    "peak MB",
    "jax",
    "missed",
)


def times_header(peers: list[str]) -> str:
    """Return the head of the table of times."""
    return _head([*TIMES, *peers, *SUMMARY])


def times_line(line: Line, peers: list[str]) -> str:
    """Return the times of a program: ratios to ours, and ours to the hand-written."""
    cells = [line.program.name, f"{low(line.derivative[OURS]) * 1e6:,.1f}"]
    cells += [_number(line.ratio(p)) if p in line.derivative else "" for p in peers]
    cells += [_number(line.best()), _number(line.best_median()), _number(line.hand())]
    cells += [_number(line.best_call()), f"{line.difference:.0e}", ", ".join(line.flags())]
    return _row(cells)


def first_header() -> str:
    """Return the head of the table of first gradients."""
    return _head(FIRST)


def first_line(name: str, fresh: Fresh) -> str:
    """Return seconds to the first gradient, and peak memory."""
    cold, warm, jax = fresh.cold, fresh.warm, fresh.jax
    cells = [name, _seconds(cold), _seconds(jax), _total(cold), _total(jax)]
    cells += [_seconds(warm), _total(warm), _megabytes(cold), _megabytes(jax)]
    return _row([*cells, ", ".join(_missed(fresh))])


def means(lines: Iterable[Line]) -> Iterator[str]:
    """Return the geometric means by group, and of all but latency."""
    lines = list(lines)
    groups = dict.fromkeys(line.program.group for line in lines)
    yield _head(["group", "programs", "best", "ours/hand", "missed"])
    for group in groups:
        yield _mean(group, [line for line in lines if line.program.group == group])
    rest = [line for line in lines if line.program.group != "latency"]
    if len(groups) > 1:
        yield _mean("all but latency", rest)


def _mean(name: str, lines: list[Line]) -> str:
    best = geometric_mean(line.best() for line in lines)
    hand = geometric_mean(line.hand() for line in lines)
    missed = sum(bool(line.flags()) for line in lines)
    return _row([name, str(len(lines)), _number(best), _number(hand), str(missed)])


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean of those that are numbers."""
    known = [ratio for ratio in ratios if not math.isnan(ratio)]
    return statistics.geometric_mean(known) if known else math.nan


def left_out(lines: Iterable[Line]) -> Iterator[str]:
    """Return who did not run what, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        for name, reason in line.left_out.items():
            if name not in ("numpy", HAND):
                reasons.setdefault((name, reason), []).append(line.program.name)
    for (name, reason), programs in sorted(reasons.items()):
        listed = "; ".join(programs) if len(programs) <= MANY else f"{len(programs)} programs"
        yield f"- {name} {reason}: {listed}."


def losses(lines: Iterable[Line], fresh: dict[str, Fresh]) -> Iterator[str]:
    """Return the lines that miss a target."""
    for line in lines:
        flags = line.flags()
        if line.program.name in fresh:
            flags += _missed(fresh[line.program.name])
        if flags:
            ratios = f"best {_number(line.best())}, ours/hand {_number(line.hand()) or '-'}"
            yield f"- {line.program.name}: {', '.join(flags)} ({ratios})"


def _missed(fresh: Fresh) -> list[str]:
    found = []
    if fresh.jax is not None and fresh.cold.gradient_seconds > fresh.jax.gradient_seconds:
        found.append("first later than jax")
    if fresh.warm.gradient_seconds > 0.3:
        found.append("warm > 0.3 s")
    return found


def _seconds(first: First | None) -> str:
    return "" if first is None else f"{first.gradient_seconds:.2f}"


def _total(first: First | None) -> str:
    return "" if first is None else f"{first.import_seconds + first.gradient_seconds:.2f}"


def _megabytes(first: First | None) -> str:
    return "" if first is None else f"{first.peak_bytes / 1e6:.0f}"


def _number(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _head(cells: Iterable[str]) -> str:
    cells = list(cells)
    return f"{_row(cells)}\n{_row(['---'] + ['--:'] * (len(cells) - 1))}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
