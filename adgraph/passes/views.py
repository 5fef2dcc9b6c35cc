"""Rules about shapes, slices and sums: the table `VIEWS`.

Broadcasts move outwards, so that elements are computed before they are repeated; slices and sums
move through views to the array that holds the elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.dims import Dim
from adgraph.ir.op import Kind
from adgraph.ir.types import Index, Shape, Slice
from adgraph.ops.constant import constant
from adgraph.ops.reduction import reduce_sum
from adgraph.ops.shape import broadcast, getitem, place, reshape, transpose
from adgraph.passes.boxes import box_shape, whole
from adgraph.passes.rules import Rule, Site, empty, literal
from adgraph.tracing.tracer import FOLDED_ELEMENTS
from adgraph.tracing.views import compose_index

# --- literals ------------------------------------------------------------------------------------


def _uniform_constant(site: Site) -> Any:
    """A large constant of one number is the number, broadcast."""
    number = site.attrs["value"].fill
    return site.filled(number) if number is not None and site.type.size > FOLDED_ELEMENTS else None


def _view_of_literal(site: Site) -> Any:
    if site.op is broadcast or (not site.type.ragged and site.type.size <= FOLDED_ELEMENTS):
        return None
    number = literal(site.args[0])
    return None if number is None else site.filled(number)


# --- reshape, transpose, broadcast ---------------------------------------------------------------


def _same_shape(site: Site) -> Any:
    return site.args[0] if site.args[0].shape == site.type.shape else None


def _reshape_twice(site: Site) -> Any:
    inner = site.made(site.args[0], reshape)
    return None if inner is None else np.reshape(inner.args[0], site.type.shape)


def _long(shape: Shape) -> list[int]:
    """Return the axes that are not of extent one."""
    return [axis for axis, n in enumerate(shape) if n != 1]


def _moved_axes(source: Shape, target: Shape) -> dict[int, int] | None:
    """Map the long axes of a target to those of its source, if only unit axes come and go."""
    before, after = _long(source), _long(target)
    if [source[a] for a in before] != [target[a] for a in after]:
        return None
    return dict(zip(after, before, strict=True))


def _reshape_of_broadcast(site: Site) -> Any:
    inner = site.made(site.args[0], broadcast)
    if inner is None:
        return None
    moved = _moved_axes(inner.type.shape, site.type.shape)
    if moved is None:
        return None
    source = inner.args[0]
    extents = range(len(site.type.shape))
    shape = tuple(source.shape[moved[a]] if a in moved else 1 for a in extents)
    return site.fitted(np.reshape(source, shape))


def _identity_transpose(site: Site) -> Any:
    axes = site.attrs["axes"]
    return site.args[0] if axes == tuple(range(len(axes))) else None


def _transpose_twice(site: Site) -> Any:
    inner = site.made(site.args[0], transpose)
    if inner is None:
        return None
    first = inner.attrs["axes"]
    return transpose(inner.args[0], axes=tuple(first[a] for a in site.attrs["axes"]))


def _transpose_of_units(site: Site) -> Any:
    source = site.args[0].shape
    moved = [a for a in site.attrs["axes"] if source[a] != 1]
    return np.reshape(site.args[0], site.type.shape) if moved == sorted(moved) else None


def _transpose_of_broadcast(site: Site) -> Any:
    inner = site.made(site.args[0], broadcast)
    return None if inner is None else site.fitted(np.transpose(inner.args[0], site.attrs["axes"]))


def _broadcast_twice(site: Site) -> Any:
    inner = site.made(site.args[0], broadcast)
    return None if inner is None else site.fitted(inner.args[0])


# --- slices --------------------------------------------------------------------------------------


def _whole_slice(site: Site) -> Any:
    (x,) = site.args
    return np.reshape(x, site.type.shape) if whole(site.attrs["index"], x.shape) else None


def _reshape_of_slice(site: Site) -> Any:
    """A number taken from an axis is a slice of one element, if its axis is wanted, or not."""
    inner = site.made(site.args[0], getitem)
    if inner is None:
        return None
    index = inner.attrs["index"]
    kept = tuple(i if isinstance(i, Slice) else Slice(i, 1, 1) for i in index)
    dropped = tuple(i.start if isinstance(i, Slice) and i.size == 1 else i for i in index)
    for candidate in (kept, dropped):
        if box_shape(candidate) == site.type.shape:
            return getitem(inner.args[0], index=candidate)
    return None


def _slice_twice(site: Site) -> Any:
    inner = site.made(site.args[0], getitem)
    if inner is None:
        return None
    index = compose_index(inner.attrs["index"], site.attrs["index"])
    return getitem(inner.args[0], index=index)


def _slice_of_broadcast(site: Site) -> Any:
    inner = site.made(site.args[0], broadcast)
    if inner is None or empty(site.type):
        return None
    source = inner.args[0]
    extents = zip(site.attrs["index"], source.shape, strict=True)
    index = tuple(_first_of_unit(i) if n == 1 else i for i, n in extents)
    return site.fitted(getitem(source, index=index))


def _slice_of_elementwise(site: Site) -> Any:
    """Elements that nothing else reads are computed where they are wanted only.

    In the body of a loop this holds for the same elements in every trip: an array that no trip
    changes is computed once, in front of the loop.
    """
    inner = site.made(site.args[0], Kind.ELEMENTWISE)
    if inner is None or len(inner.readers) != 1 or empty(site.type):
        return None
    index = site.attrs["index"]
    if site.inside and not _is_fixed(index):
        return None
    parts = [_part(x, index, inner.type.shape) for x in inner.args]
    return inner.op(*parts, **inner.attrs)


def _is_fixed(index: Index) -> bool:
    bounds = [b for i in index for b in ((i.start, i.size) if isinstance(i, Slice) else (i,))]
    return all(isinstance(b, int) for b in bounds)


def _part(x: Any, index: Index, shape: Shape) -> Any:
    """Return what an operand, which may be broadcast, has to do with a slice of the result."""
    own = index[len(shape) - x.ndim :]
    entries = zip(own, x.shape, shape[len(shape) - x.ndim :], strict=True)
    taken = tuple(_first_of_unit(i) if n == 1 != m else i for i, n, m in entries)
    return getitem(x, index=taken) if taken else x


def _first_of_unit(entry: Dim | Slice) -> int | Slice:
    return Slice(0, 1, 1) if isinstance(entry, Slice) else 0


# --- sums ----------------------------------------------------------------------------------------


def _sum_over_nothing(site: Site) -> Any:
    """Sums over no axes, and over axes of extent one."""
    (x,) = site.args
    if all(x.shape[a] == 1 for a in site.attrs["axis"]):
        return np.reshape(x, site.type.shape)
    return None


def _sum_twice(site: Site) -> Any:
    inner = site.made(site.args[0], reduce_sum)
    if inner is None or len(inner.readers) > 1:
        return None
    kept = [a for a in range(inner.args[0].ndim) if a not in inner.attrs["axis"]]
    outer = tuple(kept[a] for a in site.attrs["axis"])
    return reduce_sum(inner.args[0], axis=tuple(sorted((*inner.attrs["axis"], *outer))))


def _sum_of_negative(site: Site) -> Any:
    inner = site.made(site.args[0], np.negative)
    return None if inner is None else -reduce_sum(inner.args[0], axis=site.attrs["axis"])


def _sum_of_broadcast(site: Site) -> Any:
    """The sum of n equal terms is n times the term: one rounding instead of n."""
    inner = site.made(site.args[0], broadcast)
    if inner is None or site.type.dtype.kind not in "fc":
        return None
    source, shape, axis = inner.args[0], inner.type.shape, site.attrs["axis"]
    repeated = [a for a in axis if source.shape[a] != shape[a]]
    count = float(np.prod([shape[a] for a in repeated]))
    if not repeated or count == 0:
        return None
    once = tuple(1 if a in repeated else n for a, n in enumerate(shape))
    return reduce_sum(np.broadcast_to(source, once), axis=axis) * site.number(count)


def _sum_of_reshape(site: Site) -> Any:
    """Unit axes need not be inserted or removed before a sum."""
    inner = site.made(site.args[0], reshape)
    if inner is None:
        return None
    moved = _moved_axes(inner.args[0].shape, inner.type.shape)
    if moved is None:
        return None
    axis = tuple(sorted(moved[a] for a in site.attrs["axis"] if a in moved))
    return np.reshape(reduce_sum(inner.args[0], axis=axis), site.type.shape)


def _sum_of_transpose(site: Site) -> Any:
    inner = site.made(site.args[0], transpose)
    if inner is None:
        return None
    axes, folded = inner.attrs["axes"], site.attrs["axis"]
    left = [axes[a] for a in range(len(axes)) if a not in folded]
    total = reduce_sum(inner.args[0], axis=tuple(sorted(axes[a] for a in folded)))
    return np.transpose(total, tuple(sorted(left).index(a) for a in left)) if left else total


def _sum_of_place(site: Site) -> Any:
    """The zeros around a box add nothing."""
    inner = site.made(site.args[0], place)
    if inner is None:
        return None
    index, folded = inner.attrs["index"], site.attrs["axis"]
    sliced = [a for a, entry in enumerate(index) if isinstance(entry, Slice)]
    axis = tuple(i for i, a in enumerate(sliced) if a in folded)
    rest = tuple(entry for a, entry in enumerate(index) if a not in folded)
    return place(reduce_sum(inner.args[0], axis=axis), index=rest, shape=site.type.shape)


ORDER = "rounding: the order of additions"

VIEWS = (
    Rule("uniform constant", (constant,), _uniform_constant),
    Rule("view of literal", (Kind.VIEW,), _view_of_literal),
    Rule("reshape to same", (reshape, broadcast), _same_shape),
    Rule("reshape twice", (reshape,), _reshape_twice),
    Rule("reshape of broadcast", (reshape,), _reshape_of_broadcast),
    Rule("transpose to same", (transpose,), _identity_transpose),
    Rule("transpose twice", (transpose,), _transpose_twice),
    Rule("transpose of unit axes", (transpose,), _transpose_of_units),
    Rule("transpose of broadcast", (transpose,), _transpose_of_broadcast),
    Rule("broadcast twice", (broadcast,), _broadcast_twice),
    Rule("reshape of slice", (reshape,), _reshape_of_slice),
    Rule("slice of everything", (getitem,), _whole_slice),
    Rule("slice twice", (getitem,), _slice_twice),
    Rule("slice of broadcast", (getitem,), _slice_of_broadcast),
    Rule(
        "slice of elementwise",
        (getitem,),
        _slice_of_elementwise,
        behind=(Kind.ELEMENTWISE,),
    ),
    Rule("sum over nothing", (reduce_sum,), _sum_over_nothing),
    Rule("sum twice", (reduce_sum,), _sum_twice, accepted=ORDER),
    Rule("sum of negative", (reduce_sum,), _sum_of_negative, accepted="zero signs"),
    Rule("sum of broadcast", (reduce_sum,), _sum_of_broadcast, accepted=ORDER),
    Rule("sum of reshape", (reduce_sum,), _sum_of_reshape),
    Rule("sum of transpose", (reduce_sum,), _sum_of_transpose, accepted=ORDER),
    Rule("sum of place", (reduce_sum,), _sum_of_place, accepted="rounding, zero signs"),
)
