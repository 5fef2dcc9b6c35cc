"""The bytes a program needs against its time: what a memory budget buys, and what it costs.

A `MemoryCurve` holds the points from the plan that keeps everything to that of the least bytes
found; it prints as a table and draws itself. `adgraph.api.memory` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from adgraph.chart import Chart, Frame, chart, show_bytes, title, words

LINE = "#0072b2"
MEASURED = "#d55e00"
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


@dataclass(frozen=True)
class CurvePoint:
    """One way to run a program: its peak, what it takes, how many kernels run again.

    Given as a budget, `peak_bytes` makes a program of that peak or less. `seconds` are estimated,
    `measured` is the least of several runs.
    """

    peak_bytes: int
    seconds: float
    recomputed: int
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
        return "\n".join([f"memory of {self.name}", f"{head} {'time':>6} {'again':>6}", *rows])

    def _row(self, point: CurvePoint) -> str:
        row = f"{point.peak_bytes:>16,} {point.peak_bytes / self.peak_bytes:>6.0%}"
        row += f" {show_seconds(point.seconds):>10}"
        if point.measured is not None:
            row += f" {show_seconds(point.measured):>10}"
        return f"{row} {self.ratio(point):>5.2f}x {point.recomputed:>6}"

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
    ratios = [curve.ratio(point) for point in curve.points]
    longest = max(1.25, 1.05 * max(ratios))
    frame = Frame.around(longest - 0.95, curve.peak_bytes)  # times from 0.95 of the first on
    yield from frame.lines()
    measured = curve.points[0].measured is not None
    yield title(
        f"memory of {curve.name}: {show_bytes(curve.peak_bytes)} to "
        f"{show_bytes(curve.least_bytes)} at {ratios[-1]:.2f} times the time"
    )
    places = [
        (frame.x(ratio - 0.95), frame.y(point.peak_bytes))
        for ratio, point in zip(ratios, curve.points, strict=True)
    ]
    colour = MEASURED if measured else LINE
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.6'/>"
    for (x, y), point in zip(places, curve.points, strict=True):
        tip = escape(_tip(curve, point))
        yield (
            f"<circle class='point' cx='{x:.1f}' cy='{y:.1f}' r='4' fill='white' "
            f"stroke='{colour}' stroke-width='2'><title>{tip}</title></circle>"
        )
    yield words(frame.x(0.05) + 8, frame.y(curve.peak_bytes) - 6, "everything is kept")
    times = _times(longest)
    marks = [(time - 0.95, f"{time:g}x") for time in times]
    kind = "measured" if measured else "estimated"
    yield from frame.below(marks, f"{kind} time, in times of that without a budget")


def _times(longest: float) -> list[float]:
    """Return round ratios from one to the longest."""
    step = next(s for s in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if longest < 1 + 8 * s)
    return [round(1 + i * step, 2) for i in range(int((longest - 1) / step) + 1)]


def _tip(curve: MemoryCurve, point: CurvePoint) -> str:
    return (
        f"{show_bytes(point.peak_bytes)} ({point.peak_bytes:,} bytes), "
        f"{point.peak_bytes / curve.peak_bytes:.0%} of the peak\n"
        f"{curve.ratio(point):.2f} times the time, {point.recomputed} kernels run again"
    )
