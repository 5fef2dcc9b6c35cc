"""Positions that a traced mask selects: `np.nonzero`, `np.where(mask)`, and `x[positions]`.

They are masked reads of the numbers 0, 1, 2, ..., and selecting by them is selecting by the mask.
Other masked positions, such as `table[i[mask]]`, are gathered at all places and masked again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.masked import (
    Masked,
    check_same,
    described,
    escape,
    filled,
    line,
    masked_read,
    masked_write,
)
from adgraph.tracing.numpy_api.table import implements, method
from adgraph.tracing.tracer import Tracer, as_tracer, known_value


@implements(np.nonzero, differentiable=False)
@method("nonzero", differentiable=False)
def nonzero(a: Any) -> tuple[Any, ...]:
    x = as_tracer(a)
    if not x.shape:
        raise ShapeError(message("np.nonzero of a number", "", "use np.atleast_1d(x)"))
    known = known_value(x)
    if known is not None:
        return np.nonzero(known)
    mask = line(as_tracer(x, bool))
    places = np.unravel_index(np.arange(mask.shape[0]), x.shape)
    return tuple(Masked(as_tracer(p), mask, 0) for p in places)


@implements(np.flatnonzero, differentiable=False)
def flatnonzero(a: Any) -> Any:
    return nonzero(np.ravel(a))[0]


@implements(np.argwhere, differentiable=False)
def argwhere(a: Any) -> Any:
    places = nonzero(a)
    if not isinstance(places[0], Masked):
        return np.transpose(places)
    table = np.stack([known_value(p.values) for p in places], axis=1)
    return Masked(as_tracer(table), places[0].mask, 0)


def read_at(x: Tracer, key: Any) -> Masked:
    """Record `x[key]` for a key with a traced mask or with masked positions."""
    masks = _as_masks(x, key)
    if masks is not None:
        return masked_read(x, masks)
    return _gathered(x, key)


def write_at(x: Tracer, key: Any, value: Any) -> None:
    """Record `x[key] = value` for such a key."""
    masks = _as_masks(x, key)
    if masks is None:
        raise escape(f"an array was written at the positions {described(*_parts(key))}")
    masked_write(x, masks, value)


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _as_masks(x: Tracer, key: Any) -> tuple[Any, ...] | None:
    """Return a key with masks in the place of the positions they select; None for other ones."""
    parts = _parts(key)
    places = [i for i, p in enumerate(parts) if isinstance(p, Masked)]
    if not places:
        return parts
    first, last = places[0], places[-1]
    given = parts[first : last + 1]
    if len(given) != len(places) or Ellipsis in map(_kind, parts[:first]):
        return None
    axis = sum(p is not None for p in parts[:first])
    mask = _selecting(given, x.shape[axis : axis + len(given)])
    return None if mask is None else (*parts[:first], mask, *parts[last + 1 :])


def _kind(part: Any) -> Any:
    return part if part is Ellipsis else None


def _selecting(given: tuple[Masked, ...], extents: tuple[Any, ...]) -> Tracer | None:
    """Return the mask, if positions along axes of these extents are those where it is true."""
    numbers = [known_value(p.values) for p in given]
    if any(n is None or p.ndim != 1 for n, p in zip(numbers, given, strict=True)):
        return None
    if len(extents) != len(given) or np.prod(extents) != given[0].mask.shape[0]:
        return None
    for p in given[1:]:
        check_same(given[0], p)
    places = np.unravel_index(np.arange(np.prod(extents)), extents)
    if not all(map(np.array_equal, numbers, places)):
        return None
    mask: Any = np.reshape(given[0].mask, extents)
    return as_tracer(mask)


def _gathered(x: Tracer, key: Any) -> Masked:
    """Read at masked positions; where nothing is selected, the first element is read."""
    parts = _parts(key)
    chosen = [p for p in parts if isinstance(p, Masked)]
    if any(p.dtype.kind not in "iu" or p.ndim != 1 for p in chosen) or parts[0] is not chosen[0]:
        raise escape(f"an array was indexed by {described(*chosen)}")
    for p in chosen[1:]:
        check_same(chosen[0], p)
    everywhere = tuple(filled(p, 0) if isinstance(p, Masked) else p for p in parts)
    return Masked(DISPATCH.getitem(x, everywhere), chosen[0].mask, 0)
