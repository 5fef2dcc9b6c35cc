"""The order of complex numbers, by their parts: NumPy's, the real part first, then the imaginary.

A number with a nan is neither less nor greater, and is the extremum of what it is among. Begin with
`COMPARISONS`, the parts of elementwise ops by their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ops.complex_parts import Pair, Parts, as_pair, filled, isnan, on_filled


@on_filled
def equal(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Tell whether both parts are equal."""
    return (a == c) & (b == d)


@on_filled
def not_equal(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Tell whether a part differs."""
    return (a != c) | (b != d)


def ordering(strict: np.ufunc, last: np.ufunc) -> Parts:
    """Make the parts of a comparison from that of real parts, and that of imaginary ones."""

    def compared(a: Any, b: Any, c: Any, d: Any) -> Any:
        first = strict(a, c) & np.logical_not(np.isnan(b) | np.isnan(d))
        return first | ((a == c) & last(b, d))

    return on_filled(compared)


less = ordering(np.less, np.less)
less_equal = ordering(np.less, np.less_equal)
greater = ordering(np.greater, np.greater)
greater_equal = ordering(np.greater, np.greater_equal)


def _chosen(first: Callable[[Any, Any], Any]) -> Parts:
    """Make the parts of the choice of one of two numbers."""

    def parts(z: Any, w: Any) -> Pair:
        wins = first(z, w)
        both = zip(filled(as_pair(z)), filled(as_pair(w)), strict=True)
        return Pair(*(np.where(wins, one, other) for one, other in both))

    return parts


COMPARISONS: dict[str, Parts] = {
    "equal": equal,
    "not_equal": not_equal,
    "less": less,
    "less_equal": less_equal,
    "greater": greater,
    "greater_equal": greater_equal,
    "maximum": _chosen(lambda z, w: greater_equal(z, w) | isnan(z)),
    "minimum": _chosen(lambda z, w: less_equal(z, w) | isnan(z)),
    "fmax": _chosen(lambda z, w: greater_equal(z, w) | isnan(w)),
    "fmin": _chosen(lambda z, w: less_equal(z, w) | isnan(w)),
}

# --- along axes -----------------------------------------------------------------------------------


def extremum(fold: Callable[..., Any], last: float) -> Parts:
    """Make the parts of `np.max` or `np.min`; `last` is the number that loses to all others."""

    def parts(z: Pair, *, axis: tuple[int, ...]) -> Pair:
        a, b = filled(z)
        tied = a == fold(a, axis=axis, keepdims=True)
        return Pair(fold(a, axis=axis), fold(np.where(tied | np.isnan(b), b, last), axis=axis))

    return parts


def position(fold: Callable[..., Any], last: float) -> Parts:
    """Make the parts of `np.argmax` or `np.argmin`: the first extremum, or the first nan."""

    def parts(z: Pair, *, axis: int) -> Any:
        a, b = filled(z)
        tied = a == fold(a, axis=axis, keepdims=True)
        best = fold(np.where(tied, b, last), axis=axis, keepdims=True)
        nans = isnan(z)
        found = np.where(np.any(nans, axis=axis, keepdims=True), nans, tied & (b == best))
        return np.argmax(found.astype(a.dtype), axis=axis)

    return parts
