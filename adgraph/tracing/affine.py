"""What Python's integer arithmetic, comparisons, indices and slices mean for loop indices.

Goes in: dims. Comes out: a dim, a truth value or a normalised slice, or None where the bounds of
the indices do not decide, so that the question is left to the time of running.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, message
from adgraph.ir.dims import Affine, Dim, UndecidedError, nonnegative
from adgraph.ir.types import Slice

# --- arithmetic -----------------------------------------------------------------------------------


def _product(a: Dim, b: Dim) -> Dim | None:
    return None if isinstance(a, Affine) and isinstance(b, Affine) else a * b


def _quotient(a: Dim, b: Dim) -> Dim | None:
    if not isinstance(b, int) or b == 0:
        return None
    try:
        return a // b
    except UndecidedError:
        return None


def _equal(a: Dim, b: Dim) -> bool | None:
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    apart = nonnegative(difference - 1) or nonnegative(-difference - 1)
    return False if apart else None


def _unequal(a: Dim, b: Dim) -> bool | None:
    equal = _equal(a, b)
    return None if equal is None else not equal


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Dim, Dim], bool | None]:
    def decided(a: Dim, b: Dim) -> bool | None:
        try:
            return compare(a - b, 0)
        except UndecidedError:
            return None

    return decided


def _extreme(choose: Callable[[Any, Any], bool]) -> Callable[[Dim, Dim], Dim | None]:
    def extreme(a: Dim, b: Dim) -> Dim | None:
        chosen = _ordered(choose)(a, b)
        return None if chosen is None else a if chosen else b

    return extreme


_RULES: dict[np.ufunc, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: _product,
    np.floor_divide: _quotient,
    np.negative: operator.neg,
    np.positive: operator.pos,
    np.maximum: _extreme(operator.ge),
    np.minimum: _extreme(operator.le),
    np.equal: _equal,
    np.not_equal: _unequal,
    np.less: _ordered(operator.lt),
    np.less_equal: _ordered(operator.le),
    np.greater: _ordered(operator.gt),
    np.greater_equal: _ordered(operator.ge),
}


def combine(ufunc: np.ufunc, operands: tuple[Dim, ...]) -> Dim | bool | None:
    """Return what an operator gives for dims, None if that is not affine or not decided.

    >>> from adgraph.ir.dims import Symbol, symbol_dim
    >>> i = symbol_dim(Symbol("i", 1, 9))
    >>> combine(np.subtract, (i, 1)), combine(np.greater, (i, 0)), combine(np.multiply, (i, i))
    (i-1, True, None)
    """
    rule = _RULES.get(ufunc)
    result: Dim | bool | None = None if rule is None else rule(*operands)
    return result


# --- positions and slices -------------------------------------------------------------------------


def point(position: Dim, extent: Dim) -> Dim | None:
    """Return an index counted from the front, None if bounds do not tell that it is inside."""
    if nonnegative(position):
        inside = nonnegative(extent - 1 - position)
    else:
        inside = nonnegative(-position - 1) and nonnegative(position + extent)
        position = position + extent
    if inside:
        return position
    if isinstance(position, int) and isinstance(extent, int):
        raise AxisIndexError(message(f"an index is out of bounds for an axis of extent {extent}"))
    return None


def box(entry: slice, extent: Dim) -> Slice:
    """Return a slice of an axis, normalised; UndecidedError if bounds do not tell how it is cut.

    >>> from adgraph.ir.dims import Symbol, symbol_dim
    >>> i = symbol_dim(Symbol("i", 0, 9))
    >>> box(slice(i + 1, None), 10), box(slice(None, i), 10)
    (Slice(start=i+1, size=-i+9, step=1), Slice(start=0, size=i, step=1))
    """
    step = 1 if entry.step is None else operator.index(entry.step)
    if all(isinstance(n, int) or n is None for n in (entry.start, entry.stop, extent)):
        return Slice.of(entry, operator.index(extent))
    if step > 0:
        start = _edge(entry.start, 0, extent, 0, extent)
        stop = _edge(entry.stop, extent, extent, 0, extent)
    else:
        start = _edge(entry.start, extent - 1, extent, -1, extent - 1)
        stop = _edge(entry.stop, -1, extent, -1, extent - 1)
    return Slice(start, _size((stop - start) * (1 if step > 0 else -1), abs(step)), step)


def _edge(edge: Dim | None, default: Dim, extent: Dim, least: Dim, most: Dim) -> Dim:
    """One end of a slice: it counts from the end if negative, and is clipped to the axis."""
    if edge is None:
        return default
    if not edge >= 0:
        edge = edge + extent
    if not edge >= least:
        return least
    return edge if edge <= most else most


def _size(distance: Dim, step: int) -> Dim:
    return steps(distance, step) if distance >= 0 else 0


def steps(distance: Dim, step: int) -> Dim:
    """Return how many steps lead to or beyond a distance; UndecidedError if that is not affine."""
    constant, rest = (distance, 0) if isinstance(distance, int) else _split(distance)
    return rest // step - (-constant // step)


def _split(distance: Affine) -> tuple[int, Dim]:
    return distance.constant, distance - distance.constant
