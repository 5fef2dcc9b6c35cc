"""Boxes: the part of an array that a normalised index selects.

Here is what the rules about slices and writes ask of indices: whether one is everything, lies
inside another, is disjoint from it, or is an interval of a line through the array. In the body of a
loop indices are affine; an answer then holds for all values of the loop indices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from adgraph.ir.dims import Affine, Dim, nonnegative
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


def _whole_axis(entry: Dim | Slice, extent: Dim) -> bool:
    if not isinstance(entry, Slice):
        return extent == 1
    in_order = (entry.start, entry.step) == (0, 1)
    return entry.size == extent and (in_order or nonnegative(1 - extent))


def disjoint(a: Index, b: Index) -> bool:
    """Tell whether two boxes of one array are known to have no element in common.

    >>> disjoint((Slice(0, 3, 2),), (Slice(1, 2, 2),))
    True
    """
    return any(map(_disjoint_axis, a, b))


def _disjoint_axis(a: Dim | Slice, b: Dim | Slice) -> bool:
    (low, high, step), (other_low, other_high, other_step) = _span(a), _span(b)
    if any(nonnegative(d) for d in (low - high - 1, other_low - other_high - 1)):
        return True
    if nonnegative(other_low - high - 1) or nonnegative(low - other_high - 1):
        return True
    return _never_multiple(low - other_low, math.gcd(step, other_step))


def _span(entry: Dim | Slice) -> tuple[Dim, Dim, int]:
    """Return the least and the greatest position, and their distance; 0 if there is only one."""
    if not isinstance(entry, Slice):
        return entry, entry, 0
    last = entry.start + (entry.size - 1) * entry.step
    step = 0 if entry.size == 1 else abs(entry.step)
    return (entry.start, last, step) if entry.step > 0 else (last, entry.start, step)


def _never_multiple(dim: Dim, step: int) -> bool:
    """Tell whether a dim is not a multiple of a step, whatever the loop indices are."""
    if step == 0:
        return False
    if isinstance(dim, Affine):
        return all(k % step == 0 for _, k in dim.terms) and dim.constant % step != 0
    return dim % step != 0


def relative(outer: Index, inner: Index) -> Index | None:
    """Return the index that selects `inner` from what `outer` selects; None if it is not inside.

    >>> relative((Slice(2, 4, 1),), (3,))
    (1,)
    """
    found: list[Dim | Slice] = []
    for o, i in zip(outer, inner, strict=True):
        if not isinstance(o, Slice):
            if o != i:
                return None
            continue
        part = _relative_axis(o, i)
        if part is None:
            return None
        found.append(part)
    return tuple(found)


def _relative_axis(outer: Slice, inner: Dim | Slice) -> Dim | Slice | None:
    if not isinstance(inner, Slice):
        at = _quotient(inner - outer.start, outer.step)
        return None if at is None or not _within(at, at, outer.size) else at
    if inner.size == 0:
        return Slice(0, 0, 1)
    start = _quotient(inner.start - outer.start, outer.step)
    step = 1 if inner.size == 1 else _quotient(inner.step, outer.step)
    if start is None or not isinstance(step, int):
        return None
    last = start + (inner.size - 1) * step
    ends = (start, last) if step > 0 else (last, start)
    return Slice(start, inner.size, step) if _within(*ends, outer.size) else None


def _within(low: Dim, high: Dim, size: Dim) -> bool:
    return nonnegative(low) and nonnegative(size - 1 - high)


def _quotient(dim: Dim, step: int) -> Dim | None:
    """Divide if that leaves no rest."""
    factors = (dim.constant, *(k for _, k in dim.terms)) if isinstance(dim, Affine) else (dim,)
    return None if any(k % step for k in factors) else dim // step


# --- lines ---------------------------------------------------------------------------------------

FLAT = -1  # the line through all elements in C order


def interval(index: Index, shape: Shape, line: int) -> Interval | None:
    """Return a box as an interval of a line: of one axis, whole in all others, or `FLAT`.

    >>> interval((1, Slice(0, 2, 1)), (3, 4), FLAT)
    (4, 6)
    """
    if line == FLAT:
        return None if ragged(index, shape) else _flat_interval(index, shape)
    others = (_whole_axis(index[a], shape[a]) for a in range(len(shape)) if a != line)
    return _axis_interval(index[line]) if all(others) else None


def ragged(index: Index, shape: Shape) -> bool:
    """Tell whether an index or a shape changes with a loop index."""
    parts = (d for i in index for d in ((i.start, i.size) if isinstance(i, Slice) else (i,)))
    return any(isinstance(d, Affine) for d in (*parts, *shape))


def _axis_interval(entry: Dim | Slice) -> Interval | None:
    box = entry if isinstance(entry, Slice) else Slice(entry, 1, 1)
    start, size, step = box.start, box.size, box.step
    if not isinstance(start, int) or not isinstance(size, int):
        return None
    return (start, start + size) if step == 1 or size < 2 else None


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
