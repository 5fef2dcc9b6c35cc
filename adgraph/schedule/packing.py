"""Pack buffers into one arena: rectangles of bytes by time that must not overlap.

Greedy in up to four orders, each buffer into the tightest gap that is free during its life; the
least arena wins. Pisarchyk & Lee, Efficient Memory Management for Deep Neural Net Inference, 2020;
the order by classes of lengths after Buchsbaum et al., OPT versus LOAD in dynamic storage
allocation, 2003.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

MANY = 2000  # rectangles from which on the first two orders must do
NO_GAP = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Rectangle:
    """`size` bytes that are taken at the times from `start` up to but not including `end`."""

    start: int
    end: int
    size: int


@dataclass(frozen=True)
class Packing:
    """The offset of every rectangle, the bytes of the whole, and the order that gave them."""

    offsets: tuple[int, ...]
    bytes: int
    order: str


def pack(rectangles: Sequence[Rectangle], orders: Sequence[str] = ()) -> Packing:
    """Place rectangles so that those which share a time share no byte.

    Some orders are tried if not all are.

    >>> pack([Rectangle(0, 2, 64), Rectangle(1, 3, 128), Rectangle(2, 4, 64)])
    Packing(offsets=(128, 0, 128), bytes=192, order='size')
    """
    bound = _most_at_once(rectangles)
    best = None
    for order in orders or tuple(ORDERS)[: None if len(rectangles) < MANY else 2]:
        keys = list(map(ORDERS[order], rectangles))
        offsets = _place(rectangles, sorted(range(len(keys)), key=keys.__getitem__))
        ends = (offset + r.size for offset, r in zip(offsets, rectangles, strict=True))
        found = Packing(offsets, max(ends, default=0), order)
        if best is None or found.bytes < best.bytes:
            best = found
        if best.bytes == bound:
            break
    assert best is not None  # there are orders
    return best


def _by_size(r: Rectangle) -> Any:
    return -r.size


def _by_size_and_length(r: Rectangle) -> Any:
    return -r.size, r.start - r.end


def _by_area(r: Rectangle) -> Any:
    return r.size * (r.start - r.end)


def _by_length(r: Rectangle) -> Any:
    """Twice as long ones first; among about equally long ones, the earlier."""
    return -(r.end - r.start).bit_length(), r.start


ORDERS: dict[str, Callable[[Rectangle], Any]] = {
    "size": _by_size,
    "length": _by_length,
    "area": _by_area,
    "size and length": _by_size_and_length,
}


def _most_at_once(rectangles: Sequence[Rectangle]) -> int:
    """Return the bytes taken at the fullest time: no packing is smaller."""
    changes = [0] * (max((r.end for r in rectangles), default=0) + 1)
    for r in rectangles:
        changes[r.start] += r.size
        changes[r.end] -= r.size
    return max(itertools.accumulate(changes))


def _place(rectangles: Sequence[Rectangle], numbers: Sequence[int]) -> tuple[int, ...]:
    offsets = [0] * len(rectangles)
    placed = np.zeros((4, len(rectangles)), np.int64)  # start, end, offset, end of bytes
    for k, i in enumerate(numbers):
        r = rectangles[i]
        start, end, low, high = placed[:, :k]  # by offset
        beside = np.flatnonzero((start < r.end) & (end > r.start))
        offsets[i] = offset = _tightest_gap(low[beside], high[beside], r.size)
        at = int(low.searchsorted(offset))
        placed[:, at + 1 : k + 1] = placed[:, at:k]
        placed[:, at] = r.start, r.end, offset, offset + r.size
    return tuple(offsets)


def _tightest_gap(low: Ints, high: Ints, size: int) -> int:
    """Return the start of the smallest gap of at least `size` bytes, or the end of all.

    The bytes that are taken come by their offset.
    """
    if not len(low):
        return 0
    ends = np.maximum.accumulate(high)
    gaps = low.copy()
    gaps[1:] -= ends[:-1]
    gaps[gaps < size] = NO_GAP
    best = int(gaps.argmin())
    if gaps[best] == NO_GAP:
        return int(ends[-1])
    return int(ends[best - 1]) if best else 0
