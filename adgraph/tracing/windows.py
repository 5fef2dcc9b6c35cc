"""Slices whose ends are known only when the program runs: how many elements they select is not.

Such a slice is read as a mask that is true between its ends, like the rows of a sparse matrix in
`data[indptr[i] : indptr[i + 1]]`. Every element of the axis is then looked at, so that a loop over
the elements is faster where windows are short.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.tracing.tracer import Tracer, as_tracer, dim_of, integer, known_value, question_of


def masked_windows(x: Tracer, key: Any) -> Any:
    """Return a key with masks in place of slices whose ends are traced numbers."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(map(_is_window, parts)):
        return key
    behind = sum(p is not None and p is not Ellipsis for p in parts)
    places: list[Any] = []
    axis = 0
    for part in parts:
        places.append(_mask(part, x, axis) if _is_window(part) else part)
        if part is Ellipsis:
            axis += x.ndim - behind
        elif part is not None:
            axis += part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1
    return tuple(places) if isinstance(key, tuple) else places[0]


def _is_window(part: Any) -> bool:
    return isinstance(part, slice) and any(map(_unknown, (part.start, part.stop)))


def _unknown(edge: Any) -> bool:
    """Tell whether an end is known only when the program runs, and no split of a loop tells it."""
    if not isinstance(edge, Tracer) or edge.shape or dim_of(edge) is not None:
        return False
    return known_value(edge) is None and question_of(edge) is None


def _mask(part: slice, x: Tracer, axis: int) -> Tracer:
    if part.step not in (None, 1):
        raise TracingError(
            message(
                f"a slice with step {part.step} has an end that is known only when running",
                "which elements it selects cannot be told by a mask between its ends",
                "slice in two steps: x[a:b] and then a mask, or loop over the elements",
            )
        )
    extent = x.shape[axis]
    places = np.arange(extent)
    inside: Any = as_tracer(np.ones(extent, bool))
    if part.start is not None:
        inside = inside & (places >= _from_front(part.start, extent))
    if part.stop is not None:
        inside = inside & (places < _from_front(part.stop, extent))
    return as_tracer(inside)


def _from_front(edge: Any, extent: int) -> Any:
    if isinstance(edge, int):
        return edge + extent if edge < 0 else edge
    number: Any = as_tracer(integer(edge) if isinstance(edge, int) else edge)
    return np.where(number < 0, number + extent, number)
