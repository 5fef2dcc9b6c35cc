"""Slices whose ends are known only when the program runs: how many elements they select is not.

Such a slice is read as a mask that is true between its ends, like the rows of a sparse matrix in
`data[indptr[i] : indptr[i + 1]]`. Every element of the axis is then looked at, unless the pass
`narrow` (`adgraph.passes.windows`) can make a loop over the window of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.ir.dims import Affine, Dim, UndecidedError
from adgraph.ir.substitute import symbols_of
from adgraph.tracing.affine import box
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
    dim_of,
    integer,
    known_value,
    question_of,
    read,
    tracer,
)


def masked_windows(x: Tracer, key: Any) -> Any:
    """Return a key with masks in place of slices whose ends are traced numbers."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(part, slice) for part in parts):
        return key
    behind = sum(p is not None and p is not Ellipsis for p in parts)
    windows = False
    places: list[Any] = []
    axis = 0
    for part in parts:
        window = axis < x.ndim and _is_window(part, x.shape[axis])
        places.append(_mask(part, x, axis) if window else part)
        windows |= window
        if part is Ellipsis:
            axis += x.ndim - behind
        elif part is not None:
            axis += part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1
    if not windows:
        return key
    return tuple(places) if isinstance(key, tuple) else places[0]


def _is_window(part: Any, extent: Dim) -> bool:
    if not isinstance(part, slice):
        return False
    return any(map(_unknown, (part.start, part.stop))) or _unbounded(part, extent)


def _unbounded(part: slice, extent: Dim) -> bool:
    """Tell whether a slice is cut as the trips of a loop tell, of which there may be any number."""
    start, stop = (None if end is None else dim_of(end) for end in (part.start, part.stop))
    if not isinstance(extent, int) or not (isinstance(start, Affine) or isinstance(stop, Affine)):
        return False
    try:
        box(slice(start, stop, part.step), extent)
    except UndecidedError as error:
        return any(symbol.upper is None for symbol in symbols_of(error.question))
    return False


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
    number: Any = tracer(read(as_tracer(integer(edge) if isinstance(edge, int) else edge)))
    return np.where(number < 0, number + extent, number)
