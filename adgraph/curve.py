"""The bytes a program needs against its time: what a memory budget buys, and what it costs.

A `MemoryCurve` holds the points from the plan that keeps everything to that of the least bytes
found; it prints as a table and draws itself. `adgraph.api.memory` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from adgraph.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    chart,
    show_bytes,
    title,
    words,
)

ESTIMATED, MEASURED = "#0072b2", "#d55e00"
INSET = 14  # of the first and the last point
TIMES = (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


@dataclass(frozen=True)
class CurvePoint:
    """One way to run a program: its peak, the time it takes, and what it does to keep to that.

    Given as a budget, `peak_bytes` makes a program of that peak or less. `seconds` are estimated,
    `measured` is the least of several runs.
    """

    peak_bytes: int
    seconds: float
    how: str
    measured: float | None = None


@dataclass(frozen=True)
class MemoryCurve:
    """Points from the most bytes to the least; the first one keeps everything."""

    name: str
    points: tuple[CurvePoint, ...]

    @property
    def peak_bytes(self) -> int:
        """The peak without a budget."""
        return self.points[0].peak_bytes

    @property
    def least_bytes(self) -> int:
        """The least budget found to work."""
        return self.points[-1].peak_bytes

    def share(self, point: CurvePoint) -> float:
        """Return what part of the peak a point needs; a program may need no bytes at all."""
        return point.peak_bytes / self.peak_bytes if self.peak_bytes else 1.0

    def ratio(self, point: CurvePoint) -> float:
        """Return how many times longer a point takes than the first, measured if both are."""
        first = self.points[0]
        if point.measured is not None and first.measured:
            return point.measured / first.measured
        return point.seconds / first.seconds if first.seconds else 1.0

    def __str__(self) -> str:
        measured = self.points[0].measured is not None
        head = f"{'peak bytes':>16} {'share':>6} {'estimated':>10}"
        head += f" {'measured':>10}" if measured else ""
        rows = map(self._row, self.points)
        return "\n".join([f"memory of {self.name}", f"{head} {'time':>7}  how", *rows])

    def _row(self, point: CurvePoint) -> str:
        row = f"{point.peak_bytes:>16,} {_percent(self.share(point)):>6}"
        row += f" {show_seconds(point.seconds):>10}"
        if point.measured is not None:
            row += f" {show_seconds(point.measured):>10}"
        return f"{row} {self.ratio(point):>6.2f}x  {point.how}"

    def draw(self) -> Chart:
        """Return bytes against time as a chart; hover over a point to read it."""
        return chart(_parts(self))

    def _repr_svg_(self) -> str:
        return self.draw().svg


def show_seconds(seconds: float) -> str:
    """Word a time.

    >>> show_seconds(1.5), show_seconds(0.0123), show_seconds(4e-6)
    ('1.5 s', '12.3 ms', '4 us')
    """
    unit, size = next((u for u in UNITS if seconds >= u[1]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def _parts(curve: MemoryCurve) -> Iterator[str]:
    measured = curve.points[0].measured is not None
    ratios = [curve.ratio(point) for point in curve.points]
    least, most = max(curve.least_bytes, 1), max(curve.peak_bytes, 1)
    axes = _Axes(max(1.25, *ratios), 0.8 * least, 1.25 * most)
    yield from axes.lines()
    yield title(
        f"memory of {curve.name}: {show_bytes(curve.peak_bytes)} to "
        f"{show_bytes(curve.least_bytes)} at {ratios[-1]:.2f} times the time"
    )
    places = [
        (axes.x(max(ratio, 1.0)), axes.y(max(point.peak_bytes, 1)))
        for ratio, point in zip(ratios, curve.points, strict=True)
    ]
    colour = MEASURED if measured else ESTIMATED
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.6'/>"
    for (x, y), point in zip(places, curve.points, strict=True):
        tip = escape(_tip(curve, point))
        yield (
            f"<circle class='point' cx='{x:.1f}' cy='{y:.1f}' r='4' fill='white' "
            f"stroke='{colour}' stroke-width='2'><title>{tip}</title></circle>"
        )
    kind = "measured" if measured else "estimated"
    caption = f"{kind} time, in times of that without a budget"
    yield words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, caption, "middle", "fill='#444'")


@dataclass(frozen=True)
class _Axes:
    """Logarithmic axes: times from one up to the longest, bytes between two limits."""

    longest: float
    low: float
    high: float

    def x(self, ratio: float) -> float:
        return LEFT + INSET + (WIDTH - LEFT - RIGHT - 2 * INSET) * _share(ratio, 1, self.longest)

    def y(self, nbytes: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(nbytes, self.low, self.high)

    def lines(self) -> Iterator[str]:
        """Draw a line at round numbers of bytes, and marks at round times."""
        for nbytes in _apart(_round_numbers(self.low, self.high), self.y, 22):
            y = self.y(nbytes)
            yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#ddd'/>"
            yield words(LEFT - 6, y + 4, show_bytes(nbytes), "end", "fill='#444'")
        bottom = HEIGHT - BOTTOM
        yield f"<path d='M{LEFT} {bottom}H{WIDTH - RIGHT}' stroke='#888'/>"
        for ratio in _apart([t for t in TIMES if t <= self.longest], self.x, 40):
            x = self.x(ratio)
            yield f"<path d='M{x:.1f} {bottom}v5' stroke='#888'/>"
            yield words(x, bottom + 18, f"{ratio:g}x", "middle", "fill='#444'")


def _share(number: float, low: float, high: float) -> float:
    return math.log(number / low) / math.log(high / low)


def _round_numbers(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**k for k in powers for m in (1, 2, 5) if low <= m * 10.0**k <= high]


def _apart(
    numbers: Sequence[float], place: Callable[[float], float], distance: float
) -> Iterator[float]:
    """Yield the numbers that are not too near to the one before."""
    before = math.inf
    for number in numbers:
        if abs(place(number) - before) >= distance:
            before = place(number)
            yield number


def _tip(curve: MemoryCurve, point: CurvePoint) -> str:
    share = _percent(curve.share(point))
    return (
        f"{show_bytes(point.peak_bytes)} ({point.peak_bytes:,} bytes), {share} of the peak\n"
        f"{curve.ratio(point):.2f} times the time: {point.how}"
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
