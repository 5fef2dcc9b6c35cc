"""Ops that change the shape of an array and not its elements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.code import Piece, Pieces
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape, Slice, native_index
from adgraph.ops.kinds import linear

# --- reshape --------------------------------------------------------------------------------------


def _reshape_type(x: ArrayType, *, shape: Shape) -> ArrayType:
    if math.prod(shape) != x.size:
        raise ShapeError(
            message(
                f"cannot reshape an array of shape {x.shape} ({x.size} elements) into {shape}",
                f"the new shape has {math.prod(shape)} elements",
            )
        )
    return x.with_shape(shape)


reshape = linear(
    "reshape",
    Kind.VIEW,
    lambda x, *, shape: np.reshape(x, shape),
    _reshape_type,
    lambda ct, x, *, shape: np.reshape(ct, x.shape),
    batch=lambda n, *, shape: {"shape": (n, *shape)},
)

# --- transpose ------------------------------------------------------------------------------------


def _inverse(axes: Shape) -> Shape:
    return tuple(axes.index(i) for i in range(len(axes)))


transpose = linear(
    "transpose",
    Kind.VIEW,
    lambda x, *, axes: np.transpose(x, axes),
    lambda x, *, axes: x.with_shape(tuple(x.shape[a] for a in axes)),
    lambda ct, x, *, axes: np.transpose(ct, _inverse(axes)),
    batch=lambda n, *, axes: {"axes": (0, *(a + 1 for a in axes))},
)

# --- broadcast: of equal rank; numpy_api inserts the axes before ----------------------------------


def _stretched(x: ArrayType, shape: Shape) -> tuple[int, ...]:
    return tuple(i for i, n in enumerate(x.shape) if n == 1 and shape[i] != 1)


broadcast = linear(
    "broadcast",
    Kind.VIEW,
    lambda x, *, shape: np.broadcast_to(x, shape),
    lambda x, *, shape: x.with_shape(shape),
    lambda ct, x, *, shape: np.sum(ct, axis=_stretched(x, shape), keepdims=True),
    batch=lambda n, *, shape: {"shape": (n, *shape)},
)

# --- basic slices: one int or Slice per axis ------------------------------------------------------


def _slice_type(x: ArrayType, *, index: tuple[Any, ...]) -> ArrayType:
    return x.with_shape(tuple(i.size for i in index if isinstance(i, Slice)))


getitem = linear(
    "getitem",
    Kind.VIEW,
    lambda x, *, index: x[(*native_index(index), ...)],  # `...`: a single element is a view, too
    _slice_type,
    lambda ct, x, *, index: place(ct, index=index, shape=x.shape),
    batch=lambda n, *, index: {"index": (Slice(0, n, 1), *index)},
    masks=True,
)

# --- place: the transpose of a slice, an array of zeros with x in the selected box ----------------


def _place(x: Any, *, index: tuple[Any, ...], shape: Shape) -> Any:
    out = np.zeros(shape, np.asarray(x).dtype)
    out[native_index(index)] = x
    return out


def _place_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return Piece((), None, 0.0), Piece(native_index(attrs["index"]), 0)


place: Op = linear(
    "place",
    Kind.MOVEMENT,
    _place,
    lambda x, *, index, shape: x.with_shape(shape),
    lambda ct, x, *, index, shape: getitem(ct, index=index),
    batch=lambda n, *, index, shape: {
        "index": (Slice(0, n, 1), *index),
        "shape": (n, *shape),
    },
    code=Pieces(_place_boxes),
)

# --- update: x with v in the selected box ---------------------------------------------------------


def _update(x: Any, v: Any, *, index: tuple[Any, ...]) -> Any:
    out = np.array(x)
    out[native_index(index)] = v
    return out


def _update_type(x: ArrayType, v: ArrayType, *, index: tuple[Any, ...]) -> ArrayType:
    if _slice_type(x, index=index) != v:
        raise ShapeError(f"update: the box {index} of {x} does not have the type {v}")
    return x


def _update_jvp(
    tangents: tuple[Any, Any], y: Any, x: Any, v: Any, *, index: tuple[Any, ...]
) -> Any:
    dx, dv = tangents
    if dx is None:
        return place(dv, index=index, shape=type_of(x).shape)
    return update(dx, np.zeros_like(v) if dv is None else dv, index=index)


def _update_vjp(ct: Any, y: Any, x: Any, v: Any, *, index: tuple[Any, ...]) -> tuple[Any, Any]:
    return update(ct, np.zeros_like(v), index=index), getitem(ct, index=index)


def _update_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, index: tuple[Any, ...]
) -> Any:
    n = type_of(args[0] if batched[0] else args[1]).shape[0]
    x, v = (
        a if flag else np.broadcast_to(a, (n, *type_of(a).shape))
        for a, flag in zip(args, batched, strict=True)
    )
    return update(x, v, index=(Slice(0, n, 1), *index))


def _update_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return Piece((), 0), Piece(native_index(attrs["index"]), 1)


update = register(
    Op(
        name="update",
        kind=Kind.MOVEMENT,
        evaluate=_update,
        infer=_update_type,
        jvp=_update_jvp,
        vjp=_update_vjp,
        batch=_update_batch,
        code=Pieces(_update_boxes),
        masks=True,
    )
)

# --- concatenate ----------------------------------------------------------------------------------


def _concatenate_type(*types: ArrayType, axis: int) -> ArrayType:
    rest = {t.shape[:axis] + t.shape[axis + 1 :] for t in types}
    if len(rest) != 1:
        shapes = ", ".join(str(t.shape) for t in types)
        raise ShapeError(
            message(
                f"cannot concatenate arrays of shapes {shapes} along axis {axis}",
                "all other axes must have equal extents",
            )
        )
    first = types[0].shape
    total = sum(t.shape[axis] for t in types)
    return types[0].with_shape((*first[:axis], total, *first[axis + 1 :]))


def _parts(types: tuple[ArrayType, ...], axis: int) -> list[tuple[Slice, ...]]:
    """The box of each operand in the concatenation."""
    boxes, start = [], 0
    for t in types:
        box = [Slice(0, n, 1) for n in t.shape]
        box[axis] = Slice(start, t.shape[axis], 1)
        boxes.append(tuple(box))
        start += t.shape[axis]
    return boxes


def _concatenate_jvp(tangents: tuple[Any, ...], y: Any, *xs: Any, axis: int) -> Any:
    filled = [np.zeros_like(x) if t is None else t for t, x in zip(tangents, xs, strict=True)]
    return concatenate(*filled, axis=axis)


def _concatenate_vjp(ct: Any, y: Any, *xs: Any, axis: int) -> tuple[Any, ...]:
    return tuple(getitem(ct, index=box) for box in _parts(tuple(map(type_of, xs)), axis))


def _concatenate_batch(args: tuple[Any, ...], batched: tuple[bool, ...], *, axis: int) -> Any:
    n = next(type_of(a).shape[0] for a, b in zip(args, batched, strict=True) if b)
    stretched = (
        a if b else np.broadcast_to(a, (n, *type_of(a).shape))
        for a, b in zip(args, batched, strict=True)
    )
    return concatenate(*stretched, axis=axis + 1)


def _concatenate_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return tuple(Piece(native_index(box), i) for i, box in enumerate(_parts(types, attrs["axis"])))


concatenate = register(
    Op(
        name="concatenate",
        kind=Kind.MOVEMENT,
        evaluate=lambda *xs, axis: np.concatenate(xs, axis=axis),
        infer=_concatenate_type,
        jvp=_concatenate_jvp,
        vjp=_concatenate_vjp,
        batch=_concatenate_batch,
        code=Pieces(_concatenate_boxes),
    )
)
