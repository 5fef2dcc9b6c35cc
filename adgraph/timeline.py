"""The memory timeline of a schedule as a chart.

`draw_timeline` takes the live bytes of every step (`timeline_points` lists a schedule's) and
returns a `Chart` of SVG text, which shows itself in Jupyter and saves itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from adgraph.errors import AdgraphError
from adgraph.ir.graph import Node
from adgraph.schedule.schedule import Schedule

Point = tuple[str, int, str]

COLOURS = {"forward": "#56b4e9", "backward": "#e69f00", "recompute": "#cc79a7"}
BUDGET = "#d55e00"
WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 54, 40
FONT = "Helvetica, Arial, sans-serif"


def show_bytes(count: float) -> str:
    """Word a number of bytes in decimal units.

    >>> show_bytes(800), show_bytes(25600), show_bytes(3_211_264)
    ('800 B', '25.6 kB', '3.21 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


@dataclass(frozen=True)
class Chart:
    """A picture as SVG text."""

    svg: str = field(repr=False)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the chart to a file whose name ends in `.svg`."""
        target = Path(path)
        if target.suffix != ".svg":
            raise AdgraphError(
                f"a chart cannot be saved as {target.name!r}\n"
                "  why: it is made as SVG\n  instead: give a name that ends in .svg"
            )
        target.write_text(self.svg, encoding="utf-8")
        return target


def draw_timeline(
    points: Sequence[Point], budget: int | None = None, title: str = "memory"
) -> Chart:
    """Draw the bytes live during every step of a schedule.

    A point is `(label, bytes, kind)`; the kind is `"forward"`, `"backward"` or `"recompute"`.

    >>> chart = draw_timeline([("exp", 800, "forward"), ("multiply", 1600, "backward")])
    >>> chart.svg.count("<rect class='step'")
    2
    """
    unknown = sorted({kind for _, _, kind in points} - set(COLOURS))
    if unknown:
        raise ValueError(f"steps of kinds {unknown}; a step is one of {sorted(COLOURS)}")
    highest = max([1, *(size for _, size, _ in points), *([budget] if budget else [])])
    scale = _Scale(max(len(points), 1), _ceiling(highest))
    parts = [
        *_frame(scale),
        *_bars(points, scale),
        *_budget_line(budget, scale),
        *_heading(points, title),
    ]
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
        f"viewBox='0 0 {WIDTH} {HEIGHT}' font-family='{FONT}' font-size='11'>"
    )
    background = f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>"
    return Chart("\n".join([head, background, *parts, "</svg>"]))


def timeline_points(schedule: Schedule) -> list[Point]:
    """Return the points of a schedule's chart: a node's name and line, live bytes, kind."""
    seen: set[Node] = set()
    points = []
    for moment in schedule.timeline():
        node = moment.node
        kind = "backward" if node.origin.order else "forward"
        at = f" at {node.origin.location}" if node.origin.location else ""
        points.append((_name(node) + at, moment.live_bytes, "recompute" if node in seen else kind))
        seen.add(node)
    return points


def _name(node: Node) -> str:
    return next((region.name for region in node.regions()), node.op.name)


@dataclass(frozen=True)
class _Scale:
    """Where steps and bytes lie in the picture."""

    steps: int
    top: float

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps

    def y(self, size: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * size / self.top


def _ceiling(highest: float) -> float:
    """Return the least round number of four ticks that is not below `highest`."""
    tick = highest / 4
    power = 10.0 ** math.floor(math.log10(tick))
    return 4 * power * next(r for r in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if r * power >= tick)


def _text(x: float, y: float, words: str, anchor: str = "start", extra: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {extra}>{escape(words)}</text>"


def _frame(scale: _Scale) -> Iterator[str]:
    for i in range(5):
        size = scale.top * i / 4
        y = scale.y(size)
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#{'888' if i == 0 else 'ddd'}'/>"
        yield _text(LEFT - 6, y + 4, show_bytes(size), "end", "fill='#444'")
    every = max(1, round(_ceiling(scale.steps) / 8))
    for step in range(0, scale.steps, every):
        x = scale.x(step + 0.5)
        yield _text(x, HEIGHT - BOTTOM + 16, str(step), "middle", "fill='#444'")
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield _text(middle, HEIGHT - 6, "step of the schedule", "middle", "fill='#444'")


def _bars(points: Sequence[Point], scale: _Scale) -> Iterator[str]:
    gap = 1.0 if scale.steps <= 120 else 0.0
    for i, (label, size, kind) in enumerate(points):
        x, y = scale.x(i), scale.y(size)
        width = max(scale.x(i + 1) - x - gap, 0.4)
        tip = escape(f"step {i}: {label}\n{kind}, {show_bytes(size)} live")
        yield (
            f"<rect class='step' x='{x:.2f}' y='{y:.2f}' width='{width:.2f}' "
            f"height='{scale.y(0) - y:.2f}' fill='{COLOURS[kind]}'><title>{tip}</title></rect>"
        )
    if points:
        at = max(range(len(points)), key=lambda i: points[i][1])
        x, y = scale.x(at + 0.5), scale.y(points[at][1])
        yield f"<path d='M{x - 4:.1f} {y - 8:.1f}h8l-4 7z' fill='#222'/>"


def _budget_line(budget: int | None, scale: _Scale) -> Iterator[str]:
    if budget is not None:
        y = scale.y(budget)
        line = f"stroke='{BUDGET}' stroke-width='1.5' stroke-dasharray='6 3'"
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' {line}/>"
        words = f"budget {show_bytes(budget)}"
        yield _text(WIDTH - RIGHT - 2, y - 4, words, "end", f"fill='{BUDGET}'")


def _heading(points: Sequence[Point], title: str) -> Iterator[str]:
    peak = max((size for _, size, _ in points), default=0)
    words = f"{title}: peak {show_bytes(peak)} in {len(points)} steps"
    yield _text(LEFT, 18, words, extra="font-size='14' font-weight='bold'")
    x = float(LEFT)
    for kind, colour in COLOURS.items():
        if any(k == kind for _, _, k in points):
            yield f"<rect x='{x:.0f}' y='27' width='11' height='11' fill='{colour}'/>"
            yield _text(x + 16, 37, kind, extra="fill='#222'")
            x += 32 + 7 * len(kind)
    if points:
        yield f"<path d='M{x:.0f} 29h8l-4 7z' fill='#222'/>"
        yield _text(x + 14, 37, "peak", extra="fill='#222'")
