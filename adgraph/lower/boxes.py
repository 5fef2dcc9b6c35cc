"""Boxes of buffers: which elements a view touches, axis by axis, and when two views cannot meet.

`box_of` recovers the box from the offset and strides of a layout, if it is one. `disjoint` and
`ahead` compare boxes of one buffer in one iteration: symbols mean the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from adgraph.analysis import regions
from adgraph.ir.dims import Affine, Dim, lower_bound, make, nonnegative
from adgraph.ir.types import Shape
from adgraph.lower.layout import c_strides


@dataclass(frozen=True, slots=True)
class Side:
    """The positions of a box on one axis: `size` of them from `start` in steps of `step`.

    `axis` is the axis of the view that walks them, None for a single position.
    """

    start: Dim
    size: Dim
    step: int
    axis: int | None

    @property
    def low(self) -> Dim:
        """The least position."""
        return self.start if self.step > 0 else self.start + (self.size - 1) * self.step

    @property
    def high(self) -> Dim:
        """The greatest position."""
        return self.start + (self.size - 1) * self.step if self.step > 0 else self.start


Box = tuple[Side, ...]


def box_of(offset: Dim, strides: tuple[int, ...], shape: Shape, buffer: Shape) -> Box | None:
    """Return the box of a C-contiguous buffer that a view touches, or None if it is not one."""
    steps = c_strides(buffer)
    starts = _starts(offset, steps)
    walked: dict[int, tuple[int, int]] = {}
    for axis, (stride, n) in enumerate(zip(strides, shape, strict=True)):
        if n == 1:
            continue
        of = next((a for a, s in enumerate(steps) if _walks(stride, s, buffer[a])), None)
        if of is None or of in walked:
            return None
        walked[of] = axis, stride // steps[of]
    sides = []
    for of, start in enumerate(starts):
        at, step = walked.get(of, (None, 1))
        side = Side(start, 1 if at is None else shape[at], step, at)
        if not (nonnegative(side.low) and nonnegative(buffer[of] - 1 - side.high)):
            return None
        sides.append(side)
    return tuple(sides)


def _walks(stride: int, step: int, extent: Dim) -> bool:
    return bool(stride and step) and extent != 1 and stride % step == 0


def _starts(offset: Dim, steps: tuple[int, ...]) -> list[Dim]:
    """Write an offset as a position on every axis, as small as may be from the last axis on."""
    starts: list[Dim] = []
    for step in steps:
        quotient: Dim = 0
        if step:
            terms = offset.terms if isinstance(offset, Affine) else ()
            quotients = {symbol: (k + step // 2) // step for symbol, k in terms}
            rest = make(0, {symbol: k - quotients[symbol] * step for symbol, k in terms})
            constant = offset.constant if isinstance(offset, Affine) else offset
            least = lower_bound(rest)
            quotient = make((constant + (least or 0)) // step, quotients)
        starts.append(quotient)
        offset = offset - quotient * step
    return starts


def disjoint(a: Box | None, b: Box | None) -> bool:
    """Tell whether two boxes have no element in common, whatever the loop indices are."""
    if a is None or b is None:
        return False
    return regions.disjoint(tuple(map(_interval, a)), tuple(map(_interval, b)))


def _interval(side: Side) -> regions.Interval:
    return regions.Interval(side.low, side.high + 1, 0 if side.axis is None else abs(side.step))


def ahead(read: Box | None, write: Box | None) -> bool:
    """Tell whether a loop over ascending axes reads every element before it writes there.

    Both boxes are walked by the same axes in the same steps, the read at a constant distance ahead.
    """
    if read is None or write is None:
        return False
    distance: dict[int, int] = {}
    for r, w in zip(read, write, strict=True):
        delta = r.start - w.start
        if (r.axis, r.step) != (w.axis, w.step) or not isinstance(delta, int):
            return False
        if r.axis is None:
            if delta:
                return False
        else:
            distance[r.axis] = delta // r.step
    return next((d for _, d in sorted(distance.items()) if d), 0) >= 0
