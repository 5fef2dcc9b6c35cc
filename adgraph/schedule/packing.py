"""Pack buffers into one arena: rectangles of bytes by time that must not overlap.

Greedy in up to four orders, each buffer into the tightest gap that is free during its life; the
least arena wins. Pisarchyk & Lee, Efficient Memory Management for Deep Neural Net Inference, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    """The offset of every rectangle, and the bytes of the whole."""

    offsets: tuple[int, ...]
    bytes: int


def pack(rectangles: Sequence[Rectangle]) -> Packing:
    """Place rectangles so that those which share a time share no byte.

    >>> pack([Rectangle(0, 2, 64), Rectangle(1, 3, 128), Rectangle(2, 4, 64)])
    Packing(offsets=(128, 0, 128), bytes=192)
    """
    best = None
    bound = _most_at_once(rectangles)
    for key in ORDERS if len(rectangles) < MANY else ORDERS[:2]:
        keys = list(map(key, rectangles))
        found = _place(rectangles, sorted(range(len(keys)), key=keys.__getitem__))
        if best is None or found.bytes < best.bytes:
            best = found
        if best.bytes == bound:
            break
    return best or Packing((), 0)


def _by_size(r: Rectangle) -> Any:
    return -r.size


def _by_size_and_length(r: Rectangle) -> Any:
    return -r.size, r.start - r.end


def _by_area(r: Rectangle) -> Any:
    return r.size * (r.start - r.end)


def _by_time(r: Rectangle) -> Any:
    return r.start


ORDERS: tuple[Callable[[Rectangle], Any], ...] = (
    _by_size,
    _by_area,
    _by_time,
    _by_size_and_length,
)


def _most_at_once(rectangles: Sequence[Rectangle]) -> int:
    """Return the bytes taken at the fullest time: no packing is smaller."""
    changes = sorted(change for r in rectangles for change in _changes(r))
    return int(max(np.cumsum([size for _, size in changes]), default=0))


def _changes(r: Rectangle) -> Iterator[tuple[int, int]]:
    yield r.start, r.size
    yield r.end, -r.size


def _place(rectangles: Sequence[Rectangle], numbers: Sequence[int]) -> Packing:
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
    return Packing(tuple(offsets), int(placed[3].max(initial=0)))


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
