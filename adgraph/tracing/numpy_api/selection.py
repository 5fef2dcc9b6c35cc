"""What a key with arrays of integers selects.

`selection` brings the indexed axes together, merges the index arrays into one, and says where the
result's axes go; the ops `take`, `put` and `scatter_add` do the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, ShapeError, message
from adgraph.ir.dims import Affine
from adgraph.ir.op import type_of
from adgraph.ir.types import Shape
from adgraph.ops import indexing as ops
from adgraph.tracing.numpy_api.keys import basic, is_array
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    reshape,
    transpose,
)
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
)


@dataclass(frozen=True)
class Selection:
    """What a key with arrays selects.

    `view` is the array after its ints and slices; with its axes in `order` and the `merged` axes
    from `place` on made one, `indices` select along axis `place`. The result has `shape`, in which
    new axes are inserted already.
    """

    view: Tracer
    order: tuple[int, ...]
    place: int
    merged: Shape
    indices: Any
    shape: Shape

    @property
    def turned(self) -> Shape:
        """The shape of the view with its axes in order."""
        return tuple(self.view.shape[i] for i in self.order)

    @property
    def flat(self) -> Shape:
        """The shape of the view with the indexed axes made one."""
        behind = self.turned[self.place + len(self.merged) :]
        return (*self.turned[: self.place], math.prod(self.merged), *behind)

    @property
    def picked(self) -> Shape:
        """The shape of the result before new axes are inserted."""
        return (
            *self.flat[: self.place],
            *type_of(self.indices).shape,
            *self.flat[self.place + 1 :],
        )

    @property
    def unique(self) -> bool:
        """Whether no element is known to be selected twice."""
        known = not isinstance(self.indices, Tracer)
        return known and len(np.unique(self.indices)) == self.indices.size


def selection(x: Tracer, parts: list[Any]) -> Selection:
    """Analyse a key with arrays.

    NumPy's rule: the result has the axes of the index arrays in the place of the indexed axes if
    these stand together (ints count as indexed), else in front.
    """
    entries = [p for p in parts if p is not None]
    view = basic(x, [slice(None) if is_array(p) else p for p in entries])
    remaining = [p for p in entries if not isinstance(p, (int, Affine))]
    arrays = [p for p in remaining if is_array(p)]
    indexed = [i for i, p in enumerate(remaining) if is_array(p)]
    sliced = [i for i, p in enumerate(remaining) if not is_array(p)]
    advanced = [i for i, p in enumerate(parts) if is_array(p) or isinstance(p, (int, Affine))]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    place = sum(isinstance(p, slice) for p in parts[: advanced[0]]) if together else 0
    order = (*sliced[:place], *indexed, *sliced[place:])
    merged = tuple(view.shape[i] for i in indexed)
    indices = merged_index(arrays, merged)
    start = advanced[0] if together else 0
    lead = parts[:start]
    rest = [p for p in parts[start:] if p is None or isinstance(p, slice)]
    extents = iter([view.shape[i] for i in sliced])
    before = tuple(1 if p is None else next(extents) for p in lead)
    behind = tuple(1 if p is None else next(extents) for p in rest)
    shape = (*before, *type_of(indices).shape, *behind)
    return Selection(view, order, place, merged, indices, shape)


def merged_index(arrays: list[Any], extents: Shape) -> Any:
    """Return the positions in C order that index arrays of axes of the given extents select."""
    try:
        shape = np.broadcast_shapes(*(type_of(a).shape for a in arrays))
    except ValueError:
        shapes = ", ".join(str(type_of(a).shape) for a in arrays)
        raise AxisIndexError(
            message(f"index arrays of shapes {shapes} do not broadcast together")
        ) from None
    if 0 in shape:  # NumPy does not look at positions that no element is taken from
        return np.zeros(shape, np.int64)
    total: Any = None
    for array, extent in zip(arrays, extents, strict=True):
        checked = checked_index(array, extent)
        total = checked if total is None else total * extent + checked
    return total if type_of(total).shape == shape else np.broadcast_to(total, shape)


def checked_index(array: Any, extent: int) -> Any:
    if isinstance(array, Tracer):
        return ops.wrap_index(array, extent=extent)
    return ops.wrapped(array, extent)


def parts_of(chosen: Selection, value: Any, view: Tracer) -> Any:
    """Broadcast a value to the selected parts, new axes removed."""
    spread = _spread(as_tracer(value, view.dtype), chosen.shape)
    return reshape(spread, chosen.picked)


def restored(chosen: Selection, flat: Any) -> Any:
    """Undo the merging and the order of the axes."""
    order = chosen.order
    return transpose(reshape(flat, chosen.turned), tuple(order.index(i) for i in range(len(order))))


def trimmed(value: Any, shape: Shape) -> Any:
    """Remove leading axes of extent one, which an assignment may have too many of."""
    have = type_of(value).shape
    extra = len(have) - len(shape)
    if extra > 0 and have[:extra] == (1,) * extra:
        return np.reshape(value, have[extra:])
    return value


def _spread(value: Any, shape: Shape) -> Any:
    try:
        return broadcast_to(trimmed(value, shape), shape)
    except ShapeError:
        raise ShapeError(
            message(
                f"cannot assign an array of shape {type_of(value).shape} to a selection of shape "
                f"{shape}",
                "the value must broadcast to the selected part",
            )
        ) from None


def flattened(pieces: Any, chosen: Selection) -> Any:
    """Make the axes of the indices one."""
    count = math.prod(type_of(chosen.indices).shape)
    before, behind = chosen.flat[: chosen.place], chosen.flat[chosen.place + 1 :]
    return reshape(pieces, (*before, count, *behind))
