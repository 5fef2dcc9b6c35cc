"""Ops that change the shape of an array and not its elements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.code import Piece, Pieces, Placed, Strided
from adgraph.ir.dims import Dim
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape, Slice, native_index
from adgraph.ops.kinds import linear

# --- reshape --------------------------------------------------------------------------------------


def _count(shape: Shape) -> tuple[int, list[Dim]]:
    """The product of the plain extents, and the affine ones."""
    plain = math.prod(n for n in shape if isinstance(n, int))
    return plain, [n for n in shape if not isinstance(n, int)]


def _reshape_type(x: ArrayType, *, shape: Shape) -> ArrayType:
    if _count(shape) != _count(x.shape):
        raise ShapeError(
            message(
                f"cannot reshape an array of shape {x.shape} ({x.size} elements) into {shape}",
                f"the new shape has {math.prod(shape)} elements",
            )
        )
    return x.with_shape(shape)


def _reshaped(shape: Shape, strides: tuple[int, ...], attrs: Mapping[str, Any]) -> Placed | None:
    """Split and merge axes from the last one on; only axes that follow each other can merge."""
    if 0 in shape:
        return 0, (0,) * len(attrs["shape"])
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    new = list(attrs["shape"])
    while new:
        if new[-1] == 1:
            result.append(0)
            new.pop()
            continue
        group = _matching(old, new)
        if group is None:
            return None
        taken, given = group
        step: Dim = taken[0][1]
        for n in reversed(given):
            if not isinstance(step, int):
                return None
            result.append(0 if n == 1 else step)
            step = step * n
        del old[len(old) - len(taken) :]
        del new[len(new) - len(given) :]
    return 0, tuple(reversed(result))


def _matching(
    old: list[tuple[Dim, int]], new: list[Dim]
) -> tuple[list[tuple[Dim, int]], list[Dim]] | None:
    """The fewest last axes of both shapes with as many elements, if the old ones can merge.

    The old ones come from the last to the first, the new ones as they stand.
    """
    taken, given = [old[-1]], [new[-1]]
    while _count(have := tuple(n for n, _ in taken)) != _count(want := tuple(given)):
        plain, other = _count(have)[0], _count(want)[0]
        more_old = plain < other or (plain == other and len(_count(have)[1]) < len(_count(want)[1]))
        if more_old and len(taken) < len(old):
            extent, stride = old[-len(taken) - 1]
            if stride != taken[-1][0] * taken[-1][1]:
                return None
            taken.append((extent, stride))
        elif len(given) < len(new):
            given.insert(0, new[-len(given) - 1])
        else:
            return None
    return taken, given


reshape = linear(
    "reshape",
    Kind.VIEW,
    lambda x, *, shape: np.reshape(x, shape),
    _reshape_type,
    lambda ct, x, *, shape: np.reshape(ct, x.shape),
    batch=lambda n, *, shape: {"shape": (n, *shape)},
    code=Strided(_reshaped),
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
    code=Strided(lambda shape, strides, attrs: (0, tuple(strides[a] for a in attrs["axes"]))),
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
    code=Strided(
        lambda shape, strides, attrs: (
            0,
            tuple(
                s if n == m else 0 for n, m, s in zip(shape, attrs["shape"], strides, strict=True)
            ),
        )
    ),
)

# --- basic slices: one int or Slice per axis ------------------------------------------------------


def _slice_type(x: ArrayType, *, index: tuple[Any, ...]) -> ArrayType:
    return x.with_shape(tuple(i.size for i in index if isinstance(i, Slice)))


def boxed(shape: Shape, strides: tuple[int, ...], attrs: Mapping[str, Any]) -> Placed:
    """Return offset and strides of the box `attrs["index"]` of an array."""
    offset: Dim = 0
    steps = []
    for at, stride in zip(attrs["index"], strides, strict=True):
        offset = offset + stride * (at.start if isinstance(at, Slice) else at)
        if isinstance(at, Slice):
            steps.append(stride * at.step)
    return offset, tuple(steps)


getitem = linear(
    "getitem",
    Kind.VIEW,
    lambda x, *, index: x[(*native_index(index), ...)],  # `...`: a single element is a view, too
    _slice_type,
    lambda ct, x, *, index: place(ct, index=index, shape=x.shape),
    batch=lambda n, *, index: {"index": (Slice(0, n, 1), *index)},
    accumulate=lambda total, ct, *, index: add_at(total, ct, index=index),
    code=Strided(boxed),
    masks=True,
)

# --- place: the transpose of a slice, an array of zeros with x in the selected box ----------------


def _place(x: Any, *, index: tuple[Any, ...], shape: Shape) -> Any:
    out = np.zeros(shape, np.asarray(x).dtype)
    out[native_index(index)] = x
    return out


def _place_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return Piece(None, None, 0.0), Piece(attrs["index"], 0)


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
        raise ShapeError(f"the box {index} of {x} does not have the type {v} of what goes into it")
    return x


def _update_jvp(
    tangents: tuple[Any, Any], y: Any, x: Any, v: Any, *, index: tuple[Any, ...]
) -> Any:
    dx, dv = tangents
    if dx is None:
        return place(dv, index=index, shape=type_of(x).shape)
    return update(dx, np.zeros_like(v) if dv is None else dv, index=index)


def _update_vjp(ct: Any, y: Any, x: Any, v: Any, *, index: tuple[Any, ...]) -> tuple[Any, Any]:
    part = getitem(ct, index=index)  # first: the box is then cleared in place
    return update(ct, np.zeros_like(v), index=index), part


def _update_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, index: tuple[Any, ...]
) -> Any:
    x, v, n = _both_batched(args, batched)
    return update(x, v, index=(Slice(0, n, 1), *index))


def _both_batched(args: tuple[Any, Any], batched: tuple[bool, bool]) -> tuple[Any, Any, Any]:
    """Give both operands the batch axis that one of them has; return them and its extent."""
    n = type_of(args[0] if batched[0] else args[1]).shape[0]
    x, v = (
        a if flag else np.broadcast_to(a, (n, *type_of(a).shape))
        for a, flag in zip(args, batched, strict=True)
    )
    return x, v, n


def _update_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return Piece(None, 0), Piece(attrs["index"], 1)


update = register(
    Op(
        name="update",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_update,
        infer=_update_type,
        jvp=_update_jvp,
        vjp=_update_vjp,
        batch=_update_batch,
        code=Pieces(_update_boxes),
        masks=True,
    )
)

# --- add_at: x with v added to the selected box ---------------------------------------------------


def _add_at(x: Any, v: Any, *, index: tuple[Any, ...]) -> Any:
    out = np.array(x)
    out[native_index(index)] += v
    return out


def _add_at_jvp(
    tangents: tuple[Any, Any], y: Any, x: Any, v: Any, *, index: tuple[Any, ...]
) -> Any:
    dx, dv = tangents
    if dx is None:
        return place(dv, index=index, shape=type_of(x).shape)
    return dx if dv is None else add_at(dx, dv, index=index)


def _add_at_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, index: tuple[Any, ...]
) -> Any:
    x, v, n = _both_batched(args, batched)
    return add_at(x, v, index=(Slice(0, n, 1), *index))


def _add_at_boxes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    return Piece(None, 0), Piece(attrs["index"], 1, add=1.0)


add_at: Op = register(
    Op(
        name="add_at",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_add_at,
        infer=_update_type,
        jvp=_add_at_jvp,
        vjp=lambda ct, y, x, v, *, index: (ct, getitem(ct, index=index)),
        batch=_add_at_batch,
        code=Pieces(_add_at_boxes),
        flops=lambda x, v, *, index: float(v.size),
    )
)

# --- add_multiple_at: x with a number times v added to the selected box ---------------------------
# The product and the sum are rounded once where the CPU can: see `adgraph.passes.contract`.

Box = tuple[Any, ...]


def _add_multiple_at(x: Any, v: Any, *, index: Box, factor: float) -> Any:
    return _add_at(x, factor * v, index=index)


def _add_multiple_at_jvp(
    tangents: tuple[Any, Any], y: Any, x: Any, v: Any, *, index: Box, factor: float
) -> Any:
    dx, dv = tangents
    if dx is None:
        return place(factor * dv, index=index, shape=type_of(x).shape)
    return dx if dv is None else add_multiple_at(dx, dv, index=index, factor=factor)


def _add_multiple_at_vjp(
    ct: Any, y: Any, x: Any, v: Any, *, index: Box, factor: float
) -> tuple[Any, Any]:
    return ct, factor * getitem(ct, index=index)


def _add_multiple_at_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, index: Box, factor: float
) -> Any:
    x, v, n = _both_batched(args, batched)
    return add_multiple_at(x, v, index=(Slice(0, n, 1), *index), factor=factor)


def _add_multiple_at_boxes(
    types: tuple[ArrayType, ...], attrs: Mapping[str, Any]
) -> tuple[Piece, ...]:
    return Piece(None, 0), Piece(attrs["index"], 1, add=attrs["factor"])


add_multiple_at: Op = register(
    Op(
        name="add_multiple_at",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=_add_multiple_at,
        infer=lambda x, v, *, index, factor: _update_type(x, v, index=index),
        jvp=_add_multiple_at_jvp,
        vjp=_add_multiple_at_vjp,
        batch=_add_multiple_at_batch,
        code=Pieces(_add_multiple_at_boxes),
        flops=lambda x, v, *, index, factor: 2.0 * v.size,
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
    return tuple(Piece(box, i) for i, box in enumerate(_parts(types, attrs["axis"])))


concatenate = register(
    Op(
        name="concatenate",
        kind=Kind.MOVEMENT,
        parts="each",
        evaluate=lambda *xs, axis: np.concatenate(xs, axis=axis),
        infer=_concatenate_type,
        jvp=_concatenate_jvp,
        vjp=_concatenate_vjp,
        batch=_concatenate_batch,
        code=Pieces(_concatenate_boxes),
    )
)
