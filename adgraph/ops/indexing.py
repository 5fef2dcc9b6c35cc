"""Gathers and scatters along one axis by an array of integers.

`take` is `x[..., indices, ...]`, `scatter_add` its transpose, `put` the array with those parts
replaced, `index_add` with something added to them. Several index arrays are merged into one by
`tracing.numpy_api.indexing`, after `wrap_index` has checked each. Negative indices count from the
end, as in NumPy; an index out of bounds is an IndexError when the program runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, DtypeError, ShapeError, message
from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape

Types = tuple[ArrayType, ...]


def _at(axis: int, indices: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, indices)


def _check_integer(indices: ArrayType) -> None:
    if indices.dtype.kind not in "iu":
        raise DtypeError(
            message(
                f"an array of dtype {indices.dtype} was used as an index",
                "positions are integers",
                "convert it with indices.astype(np.int64)",
            )
        )


def _picked(x: Shape, indices: Shape, axis: int) -> Shape:
    """Return the shape with one axis replaced by those of the indices."""
    return (*x[:axis], *indices, *x[axis + 1 :])


# --- wrap_index: positions from the front, checked ------------------------------------------------
# Kernels check all indices before they use one: the least and the greatest are found in vectors.

_CHECK = """
    low = int64(0)
    high = int64(-1)
    for p in range(count):
        at = int64(indices[p])
        low = min(low, at)
        high = max(high, at)
    if low < -extent or high >= extent:
        return 3"""


def wrapped(indices: Any, extent: int) -> Any:
    """Return plain indices counted from the front, or raise an IndexError."""
    array = np.asarray(indices).astype(np.int64)
    outside = (array < -extent) | (array >= extent)
    if outside.any():
        raise AxisIndexError(
            message(f"index {array[outside][0]} is out of bounds for an axis of extent {extent}")
        )
    return np.where(array < 0, array + extent, array)


_WRAP_INDEX = """
def kernel(indices, y, count, extent):
    low = int64(0)
    high = int64(-1)
    for p in range(count):
        at = int64(indices[p])
        low = min(low, at)
        high = max(high, at)
        y[p] = where(at < 0, at + extent, at)
    if low < -extent or high >= extent:
        return 3
    return 0
"""


def _wrap_index_type(indices: ArrayType, *, extent: int) -> ArrayType:
    _check_integer(indices)
    return indices.with_dtype(np.int64)


wrap_index: Op = register(
    Op(
        name="wrap_index",
        kind=Kind.MOVEMENT,
        evaluate=lambda indices, *, extent: wrapped(indices, extent),
        infer=_wrap_index_type,
        batch=lambda args, batched, *, extent: wrap_index(args[0], extent=extent),
        code=Loops(_WRAP_INDEX, lambda types, attrs: (types[0].size, attrs["extent"])),
        differentiable=False,
    )
)


# --- batches of indices become one index of a longer axis -----------------------------------------


def _rows(indices: Any, extent: int) -> Any:
    """Number the elements of `extent` consecutive ones per batch."""
    shape = type_of(indices).shape
    first = np.arange(shape[0]).reshape(shape[0], *(1,) * (len(shape) - 1)) * extent
    return wrap_index(indices, extent=extent) + first


def _stacked(x: Any, axis: int) -> Any:
    """Merge a batch axis in front with an axis behind it, both brought to the front."""
    first = np.moveaxis(x, axis + 1, 1)
    shape = type_of(first).shape
    return np.reshape(first, (shape[0] * shape[1], *shape[2:]))


def _unstacked(x: Any, axis: int, batches: int) -> Any:
    """Invert `_stacked`."""
    rows, *rest = type_of(x).shape
    return np.moveaxis(np.reshape(x, (batches, rows // max(batches, 1), *rest)), 1, axis + 1)


def _index_axes(indices: Any, axis: int) -> tuple[list[int], list[int]]:
    """The axes of batched indices: behind the batch axis, and in their place in the result."""
    rank = type_of(indices).ndim - 1
    return list(range(1, 1 + rank)), list(range(1 + axis, 1 + axis + rank))


def _batched(x: Any, flag: bool, batches: int) -> Any:
    return x if flag else np.broadcast_to(x, (batches, *type_of(x).shape))


# --- take -----------------------------------------------------------------------------------------

_TAKE = f"""
def kernel(x, indices, y, outer, extent, inner, count):{_CHECK}
    for i in range(outer):
        for p in range(count):
            at = int64(indices[p])
            at = where(at < 0, at + extent, at)
            for j in range(inner):
                y[(i * count + p) * inner + j] = x[(i * extent + at) * inner + j]
    return 0
"""


def _sizes(x: ArrayType, indices: ArrayType, axis: int) -> tuple[int, ...]:
    """Return outer, extent, inner and count."""
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    return outer, x.shape[axis], inner, indices.size


def _take_type(x: ArrayType, indices: ArrayType, *, axis: int) -> ArrayType:
    _check_integer(indices)
    return x.with_shape(_picked(x.shape, indices.shape, axis))


def _take_jvp(tangents: tuple[Any, Any], y: Any, x: Any, indices: Any, *, axis: int) -> Any:
    return take(tangents[0], indices, axis=axis)


def _take_vjp(ct: Any, y: Any, x: Any, indices: Any, *, axis: int) -> tuple[Any, None]:
    return scatter_add(ct, indices, axis=axis, extent=type_of(x).shape[axis]), None


def _take_batch(args: tuple[Any, Any], batched: tuple[bool, bool], *, axis: int) -> Any:
    x, indices = args
    if not batched[1]:
        return take(x, indices, axis=axis + 1)
    if not batched[0]:
        return np.moveaxis(take(x, indices, axis=axis), axis, 0)
    rows = _rows(indices, type_of(x).shape[axis + 1])
    return np.moveaxis(take(_stacked(x, axis), rows, axis=0), *_index_axes(indices, axis))


take = register(
    Op(
        name="take",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=lambda x, indices, *, axis: np.take(x, indices, axis=axis),
        infer=_take_type,
        jvp=_take_jvp,
        vjp=_take_vjp,
        batch=_take_batch,
        accumulate=lambda total, ct, y, x, indices, *, axis: index_add(
            total, ct, indices, axis=axis
        ),
        code=Loops(_TAKE, lambda types, attrs: _sizes(types[0], types[1], attrs["axis"]), "read"),
        masks=True,
    )
)


# --- scatter_add: zeros with every part added at its index ----------------------------------------

_SCATTER_ADD = f"""
def kernel(x, indices, y, outer, extent, inner, count):{_CHECK}
    for k in range(outer * extent * inner):
        y[k] = dtype(0)
    for i in range(outer):
        for p in range(count):
            at = int64(indices[p])
            at = where(at < 0, at + extent, at)
            for j in range(inner):
                y[(i * extent + at) * inner + j] += x[(i * count + p) * inner + j]
    return 0
"""


def _scatter_shape(x: ArrayType, indices: ArrayType, axis: int, extent: int) -> Shape:
    behind = axis + indices.ndim
    if x.shape[axis:behind] != indices.shape:
        raise ShapeError(f"scatter_add: {x} does not have the index's shape at axis {axis}")
    return (*x.shape[:axis], extent, *x.shape[behind:])


def _scatter_add(x: Any, indices: Any, *, axis: int, extent: int) -> Any:
    shape = _scatter_shape(type_of(x), type_of(indices), axis, extent)
    out = np.zeros(shape, x.dtype)
    np.add.at(out, _at(axis, indices), x)
    return out


def _scatter_add_type(x: ArrayType, indices: ArrayType, *, axis: int, extent: int) -> ArrayType:
    _check_integer(indices)
    return x.with_shape(_scatter_shape(x, indices, axis, extent))


def _scatter_add_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    x, indices = types
    return _sizes(_scatter_add_type(x, indices, **attrs), indices, attrs["axis"])


def _scatter_add_jvp(
    tangents: tuple[Any, Any], y: Any, x: Any, indices: Any, *, axis: int, extent: int
) -> Any:
    return scatter_add(tangents[0], indices, axis=axis, extent=extent)


def _scatter_add_vjp(
    ct: Any, y: Any, x: Any, indices: Any, *, axis: int, extent: int
) -> tuple[Any, None]:
    return take(ct, indices, axis=axis), None


def _scatter_add_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, axis: int, extent: int
) -> Any:
    x, indices = args
    if not batched[1]:
        return scatter_add(x, indices, axis=axis + 1, extent=extent)
    batches = type_of(indices).shape[0]
    front, place = _index_axes(indices, axis)
    parts = np.moveaxis(_batched(x, batched[0], batches), place, front)
    total = scatter_add(parts, _rows(indices, extent), axis=0, extent=batches * extent)
    return _unstacked(total, axis, batches)


scatter_add = register(
    Op(
        name="scatter_add",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_scatter_add,
        infer=_scatter_add_type,
        jvp=_scatter_add_jvp,
        vjp=_scatter_add_vjp,
        batch=_scatter_add_batch,
        flops=lambda x, indices, *, axis, extent: float(x.size),
        code=Loops(_SCATTER_ADD, _scatter_add_sizes),
    )
)


# --- put: x with v at the indices -----------------------------------------------------------------
# Where an index repeats, the last part stays. `unique` promises that none does.

_WRITE = """
def kernel(x, v, indices, y, outer, extent, inner, count):
    for at in range(outer * extent * inner):
        y[at] = x[at]
    for i in range(outer):
        for p in range(count):
            at = int64(indices[p])
            if at < 0:
                at = at + extent
            if at < 0 or at >= extent:
                return 3
            for j in range(inner):
                y[(i * extent + at) * inner + j] {store} v[(i * count + p) * inner + j]
    return 0
"""


def _put(x: Any, v: Any, indices: Any, *, axis: int, unique: bool) -> Any:
    out = np.array(x)
    out[_at(axis, indices)] = v
    return out


def _write_type(
    x: ArrayType, v: ArrayType, indices: ArrayType, *, axis: int, **attrs: Any
) -> ArrayType:
    if _take_type(x, indices, axis=axis) != v:
        raise ShapeError(f"the parts {v} do not fit the index {indices} at axis {axis} of {x}")
    return x


def _write_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    return _sizes(types[0], types[2], attrs["axis"])


def _put_jvp(tangents: tuple[Any, ...], y: Any, x: Any, v: Any, indices: Any, **attrs: Any) -> Any:
    dx, dv, _ = tangents
    dx = np.zeros_like(x) if dx is None else dx
    return put(dx, np.zeros_like(v) if dv is None else dv, indices, **attrs)


def _put_vjp(
    ct: Any, y: Any, x: Any, v: Any, indices: Any, *, axis: int, unique: bool
) -> tuple[Any, Any, None]:
    parts = take(ct, indices, axis=axis)  # first: they are then cleared in place
    rest = put(ct, np.zeros_like(v), indices, axis=axis, unique=unique)
    if not unique and type_of(indices).ndim:  # a single index does not repeat
        behind = (1,) * (type_of(x).ndim - axis - 1)
        stayed = _stayed(indices, type_of(x).shape[axis])
        shaped = np.reshape(stayed, type_of(indices).shape + behind)
        parts = np.where(shaped, parts, np.zeros((), ct.dtype))
    return rest, parts, None


def _stayed(indices: Any, extent: int) -> Any:
    """Tell for every index whether no later one overwrites it."""
    order = np.arange(type_of(indices).size).reshape(type_of(indices).shape)
    last = put(np.zeros(extent, np.int64), order, indices, axis=0, unique=False)
    return take(last, indices, axis=0) == order


def _write_batch(
    op: Callable[..., Any],
    args: tuple[Any, ...],
    batched: tuple[bool, ...],
    axis: int,
    **attrs: Any,
) -> Any:
    """Apply `put` or `index_add` to a batch: batches of indices are indices of a longer axis."""
    batches = next(type_of(a).shape[0] for a, b in zip(args, batched, strict=True) if b)
    x, v = (_batched(a, b, batches) for a, b in zip(args[:2], batched[:2], strict=True))
    indices = args[2]
    if not batched[2]:
        return op(x, v, indices, axis=axis + 1, **attrs)
    front, place = _index_axes(indices, axis)
    parts = np.moveaxis(v, place, front)
    rows = _rows(indices, type_of(x).shape[axis + 1])
    return _unstacked(op(_stacked(x, axis), parts, rows, axis=0, **attrs), axis, batches)


put: Op = register(
    Op(
        name="put",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_put,
        infer=_write_type,
        jvp=_put_jvp,
        vjp=_put_vjp,
        batch=lambda args, flags, **attrs: _write_batch(put, args, flags, **attrs),
        code=Loops(_WRITE.format(store="="), _write_sizes, "write"),
        masks=True,
    )
)


# --- index_add: x with v added at the indices, as often as each occurs ----------------------------


def _index_add(x: Any, v: Any, indices: Any, *, axis: int) -> Any:
    out = np.array(x)
    np.add.at(out, _at(axis, indices), v)
    return out


def _index_add_jvp(
    tangents: tuple[Any, ...], y: Any, x: Any, v: Any, indices: Any, *, axis: int
) -> Any:
    dx, dv, _ = tangents
    if dv is None:
        return dx
    if dx is None:
        return scatter_add(dv, indices, axis=axis, extent=type_of(x).shape[axis])
    return index_add(dx, dv, indices, axis=axis)


def _index_add_vjp(
    ct: Any, y: Any, x: Any, v: Any, indices: Any, *, axis: int
) -> tuple[Any, Any, None]:
    return ct, take(ct, indices, axis=axis), None


index_add: Op = register(
    Op(
        name="index_add",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_index_add,
        infer=_write_type,
        jvp=_index_add_jvp,
        vjp=_index_add_vjp,
        batch=lambda args, flags, **attrs: _write_batch(index_add, args, flags, **attrs),
        flops=lambda x, v, indices, *, axis: float(v.size),
        code=Loops(_WRITE.format(store="+="), _write_sizes, "add"),
    )
)
