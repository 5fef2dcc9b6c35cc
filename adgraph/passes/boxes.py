"""Boxes: the part of an array that a normalised index selects.

Here is what the rules about slices and writes ask of indices: whether one is everything, lies
inside another, is disjoint from it, or is an interval of a line through the array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from adgraph.ir.types import Index, Shape, Slice

Interval = tuple[int, int]  # the first position, and the one after the last


def extents(index: Index) -> Shape:
    """Return the extents of a box, one per axis of the array."""
    return tuple(i.size if isinstance(i, Slice) else 1 for i in index)


def box_shape(index: Index) -> Shape:
    """Return the shape that an index selects."""
    return tuple(i.size for i in index if isinstance(i, Slice))


def whole(index: Index, shape: Shape) -> bool:
    """Tell whether a box is all of an array, in order.

    >>> whole((Slice(0, 3, 1), 0), (3, 1))
    True
    """
    return all(map(_whole_axis, index, shape))


def _whole_axis(entry: int | Slice, extent: int) -> bool:
    if isinstance(entry, int):
        return extent == 1
    return entry.size == extent and (extent < 2 or (entry.start, entry.step) == (0, 1))


def disjoint(a: Index, b: Index) -> bool:
    """Tell whether two boxes of one array have no element in common.

    >>> disjoint((Slice(0, 3, 2),), (Slice(1, 2, 2),))
    True
    """
    return any(map(_disjoint_axis, a, b))


def _disjoint_axis(a: int | Slice, b: int | Slice) -> bool:
    first, second = _range(a), _range(b)
    if not first or not second:
        return True
    if max(first) < min(second) or max(second) < min(first):
        return True
    if len(first) == 1 or len(second) == 1:
        return first[0] not in second if len(first) == 1 else second[0] not in first
    step = math.gcd(first.step, second.step)
    return (first.start - second.start) % step != 0


def _range(entry: int | Slice) -> range:
    if isinstance(entry, int):
        return range(entry, entry + 1)
    return range(entry.start, entry.start + entry.size * entry.step, entry.step)


def relative(outer: Index, inner: Index) -> Index | None:
    """Return the index that selects `inner` from what `outer` selects; None if it is not inside.

    >>> relative((Slice(2, 4, 1),), (3,))
    (1,)
    """
    found: list[int | Slice] = []
    for o, i in zip(outer, inner, strict=True):
        if isinstance(o, int):
            if o != i:
                return None
            continue
        part = _relative_axis(o, i)
        if part is None:
            return None
        found.append(part)
    return tuple(found)


def _relative_axis(outer: Slice, inner: int | Slice) -> int | Slice | None:
    span, wanted = _range(outer), _range(inner)
    if any(end not in span for end in (*wanted[:1], *wanted[-1:])):
        return None
    if isinstance(inner, int):
        return (inner - outer.start) // outer.step
    if inner.size < 2:
        return Slice((inner.start - outer.start) // outer.step if inner.size else 0, inner.size, 1)
    if inner.step % outer.step:
        return None
    return Slice((inner.start - outer.start) // outer.step, inner.size, inner.step // outer.step)


# --- lines ---------------------------------------------------------------------------------------

FLAT = -1  # the line through all elements in C order


def interval(index: Index, shape: Shape, line: int) -> Interval | None:
    """Return a box as an interval of a line: of one axis, whole in all others, or `FLAT`.

    >>> interval((1, Slice(0, 2, 1)), (3, 4), FLAT)
    (4, 6)
    """
    if line == FLAT:
        return _flat_interval(index, shape)
    others = (_whole_axis(index[a], shape[a]) for a in range(len(shape)) if a != line)
    return _axis_interval(index[line]) if all(others) else None


def _axis_interval(entry: int | Slice) -> Interval | None:
    span = _range(entry)
    return (span.start, span.start + len(span)) if span.step == 1 or len(span) < 2 else None


def _flat_interval(index: Index, shape: Shape) -> Interval | None:
    """A box is contiguous if it is single up to some axis and whole after it."""
    sizes = extents(index)
    partial = [a for a in range(len(shape)) if not _whole_axis(index[a], shape[a])]
    wide = next((a for a in range(len(shape)) if sizes[a] != 1), len(shape))
    if any(a > wide for a in partial):
        return None
    if wide < len(shape) and _axis_interval(index[wide]) is None:
        return None
    start = 0
    for entry, extent in zip(index, shape, strict=True):
        start = start * extent + (entry.start if isinstance(entry, Slice) else entry)
    return start, start + math.prod(sizes)


def length(shape: Shape, line: int) -> int:
    """Return the number of positions on a line."""
    return int(math.prod(shape)) if line == FLAT else shape[line]


def best_line(indices: Sequence[Index], shape: Shape) -> int:
    """Return the line on which the most boxes are intervals."""

    def fitting(line: int) -> int:
        return sum(interval(index, shape, line) is not None for index in indices)

    lines: list[int] = [*range(len(shape)), FLAT]
    counts = [fitting(line) for line in lines]
    return lines[counts.index(max(counts))]
