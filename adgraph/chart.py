"""Charts as SVG text: axes, lines, words, hatches; they show themselves in Jupyter and save.

A `Frame` maps numbers to places in the picture and draws the axes; `Chart` holds the finished text.
Fills differ by a hatch as well as by colour, and lie on a white card: charts read in black and
white and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from adgraph.errors import AdgraphError, message

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 72, 20, 60, 44
FONT = "Helvetica, Arial, sans-serif"
TICKS = 8  # along the horizontal axis, about
ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
BUDGET = "#d55e00"


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
        if target.suffix.lower() != ".svg":
            raise AdgraphError(
                message(
                    f"a chart cannot be saved as {target.name!r}",
                    "it is SVG text, which browsers and Jupyter show at any size",
                    f"save({str(target.with_suffix('.svg'))!r}); to have pixels: "
                    f"`rsvg-convert {target.stem}.svg -o {target.stem}.png`",
                )
            )
        target.write_text(self.svg, encoding="utf-8")
        return target


def chart(parts: Iterable[str]) -> Chart:
    """Put parts of a picture on a white card."""
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
        f"viewBox='0 0 {WIDTH} {HEIGHT}' font-family='{FONT}' font-size='11'>"
    )
    card = f"<rect width='{WIDTH}' height='{HEIGHT}' rx='4' fill='white'/>"
    return Chart("\n".join([head, card, *parts, "</svg>"]))


# --- axes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """Where numbers lie in the picture: from zero to `right` and to `top`."""

    right: float
    top: float

    @staticmethod
    def around(right: float, highest: float) -> Frame:
        """Return a frame with round numbers at four lines up to the highest one."""
        return Frame(right, 4 * round_up(max(highest, 1) / 4))

    def x(self, number: float) -> float:
        """Return the horizontal place of a number."""
        return LEFT + (WIDTH - LEFT - RIGHT) * number / self.right

    def y(self, number: float) -> float:
        """Return the vertical place of a number."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number / self.top

    def lines(self) -> Iterator[str]:
        """Draw four horizontal lines, with their bytes."""
        for i in range(5):
            y = self.y(self.top * i / 4)
            colour = "#888" if i == 0 else "#ddd"
            yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='{colour}'/>"
            yield words(LEFT - 6, y + 4, show_bytes(self.top * i / 4), "end", "fill='#444'")

    def below(self, marks: Iterable[tuple[float, str]], caption: str) -> Iterator[str]:
        """Write numbers under the horizontal axis, and what they are."""
        for number, text in marks:
            yield words(self.x(number), HEIGHT - BOTTOM + 18, text, "middle", "fill='#444'")
        middle = (LEFT + WIDTH - RIGHT) / 2
        yield words(middle, HEIGHT - 6, caption, "middle", "fill='#444'")

    def budget(self, nbytes: int) -> Iterator[str]:
        """Draw a dashed line at a memory budget."""
        y = self.y(nbytes)
        line = f"stroke='{BUDGET}' stroke-width='1.5' stroke-dasharray='6 3'"
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' {line}/>"
        text = f"budget {show_bytes(nbytes)}"
        yield words(WIDTH - RIGHT - 2, y - 4, text, "end", f"fill='{BUDGET}' font-weight='bold'")


def round_up(number: float) -> float:
    """Return the least round number that is not below one.

    >>> round_up(0.7), round_up(13), round_up(1000)
    (0.8, 15.0, 1000.0)
    """
    power = float(10.0 ** math.floor(math.log10(number)))
    return next(r * power for r in ROUND if r * power >= number)


def ticks(count: int) -> list[int]:
    """Return about `TICKS` of the numbers from zero up to a count, round numbers apart."""
    return list(range(0, count, max(1, round(round_up(max(count, 1)) / TICKS))))


# --- words and fills ------------------------------------------------------------------------------


def words(x: float, y: float, text: str, anchor: str = "start", extra: str = "") -> str:
    """Write text."""
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {extra}>{escape(text)}</text>"


def title(text: str) -> str:
    """Write the line above a chart."""
    return words(LEFT, 20, text, extra="font-size='14' font-weight='bold' fill='#222'")


@dataclass(frozen=True)
class Fill:
    """A colour with the hatch that tells it from others where there are no colours."""

    name: str
    colour: str
    hatch: str = ""  # a path in a square of 6 by 6

    def pattern(self) -> str:
        """Define the fill for a picture."""
        lines = f"<path d='{self.hatch}' stroke='#222' stroke-opacity='.45' fill='none'/>"
        return (
            f"<pattern id='adgraph-{self.name}' width='6' height='6' "
            f"patternUnits='userSpaceOnUse'><rect width='6' height='6' fill='{self.colour}'/>"
            f"{lines if self.hatch else ''}</pattern>"
        )

    @property
    def reference(self) -> str:
        """The value of a `fill` attribute."""
        return f"url(#adgraph-{self.name})"


def legend(fills: Iterable[Fill]) -> Iterator[str]:
    """Draw what the fills mean, under the title."""
    x = float(LEFT)
    for fill in fills:
        look = f"fill='{fill.reference}' stroke='#444' stroke-width='.6'"
        yield f"<rect x='{x:.0f}' y='31' width='14' height='12' {look}/>"
        yield words(x + 19, 41, fill.name, extra="fill='#222'")
        x += 38 + 6.2 * len(fill.name)
