"""Functions that change shapes: reshape, transpose, broadcast, concatenate and their relatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, ShapeError, message
from adgraph.ir.op import type_of
from adgraph.ops import shape as ops
from adgraph.tracing.numpy_api.table import implements, method
from adgraph.tracing.tracer import Tracer, as_tracer, read, result_dtype, tracer


def normal_axis(axis: Any, rank: int) -> int:
    """Return an axis as a number from 0 to rank - 1."""
    number = int(axis)
    if not -rank <= number < rank:
        raise AxisIndexError(
            message(f"axis {number} is out of bounds for an array of {rank} axes")
        )
    return number % rank


def normal_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Return `axis=` (None, a number or a tuple) as a sorted tuple without repetition."""
    if axis is None:
        return tuple(range(rank))
    listed = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(normal_axis(a, rank) for a in listed)
    if len(set(axes)) != len(axes):
        raise ShapeError(message(f"axis {tuple(listed)} names an axis twice"))
    return tuple(sorted(axes))


def shape_tuple(shape: Any) -> tuple[int, ...]:
    """Return a shape given as an integer or a sequence as a tuple."""
    if isinstance(shape, (tuple, list, np.ndarray)):
        return tuple(int(n.__index__()) for n in shape)
    return (int(shape.__index__()),)


@implements(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    return type_of(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    return type_of(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    return math.prod(type_of(a).shape[i] for i in normal_axes(axis, type_of(a).ndim))


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    x = as_tracer(a)
    target = _fill_in(shape_tuple(shape), x)
    if order == "F":
        return transpose(reshape(transpose(x), target[::-1]))
    if order not in ("C", "A"):
        raise ShapeError(message(f"reshape: order={order!r} is none of 'C', 'F', 'A'"))
    return x if target == x.shape else ops.reshape(x, shape=target)


def _fill_in(target: tuple[int, ...], x: Tracer) -> tuple[int, ...]:
    if -1 not in target:
        return target
    rest = -math.prod(target)
    if target.count(-1) > 1 or rest == 0 or x.size % rest:
        raise ShapeError(
            message(f"cannot reshape an array of shape {x.shape} into {target}")
        )
    return tuple(x.size // rest if n == -1 else n for n in target)


@method("reshape")
def reshape_method(a: Tracer, *shape: Any, order: str = "C") -> Any:
    return reshape(a, shape[0] if len(shape) == 1 else shape, order)


@implements(np.ravel)
@method("ravel", "flatten")
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, (-1,) if type_of(a).size else (0,), order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    x = as_tracer(a)
    order = range(x.ndim)[::-1] if axes is None else [normal_axis(i, x.ndim) for i in axes]
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(message(f"transpose: {tuple(axes)} is no order of {x.ndim} axes"))
    return x if tuple(order) == tuple(range(x.ndim)) else ops.transpose(x, axes=tuple(order))


@method("transpose")
def transpose_method(a: Tracer, *axes: Any) -> Any:
    if not axes or axes == (None,):
        return transpose(a)
    return transpose(a, axes[0] if isinstance(axes[0], (tuple, list)) else axes)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
@method("swapaxes")
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    rank = type_of(a).ndim
    axes = list(range(rank))
    i, j = normal_axis(axis1, rank), normal_axis(axis2, rank)
    axes[i], axes[j] = j, i
    return transpose(a, axes)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    rank = type_of(a).ndim
    start = [normal_axis(i, rank) for i in _listed(source)]
    end = [normal_axis(i, rank) for i in _listed(destination)]
    order = [i for i in range(rank) if i not in start]
    for to, of in sorted(zip(end, start, strict=True)):
        order.insert(to, of)
    return transpose(a, order)


def _listed(axis: Any) -> tuple[Any, ...]:
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    x = as_tracer(array)
    target = shape_tuple(shape)
    if x.shape == target:
        return x
    lead = len(target) - x.ndim
    aligned = (1,) * lead + x.shape
    if lead < 0 or any(n not in (1, m) for n, m in zip(aligned, target, strict=True)):
        raise ShapeError(
            message(f"an array of shape {x.shape} does not broadcast to {target}")
        )
    aligned_x = reshape(x, aligned)
    return aligned_x if aligned == target else ops.broadcast(aligned_x, shape=target)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = as_tracer(a)
    listed = _listed(axis)
    axes = normal_axes(listed, x.ndim + len(listed))
    rest = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(rest) for i in range(x.ndim + len(axes))))


@implements(np.squeeze)
@method("squeeze")
def squeeze(a: Any, axis: Any = None) -> Any:
    x = as_tracer(a)
    if axis is None:
        return reshape(x, tuple(n for n in x.shape if n != 1))
    axes = normal_axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in axes):
        raise ShapeError(message(f"squeeze: axis {axis} of shape {x.shape} is not of extent 1"))
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@implements(np.concatenate, np.concat)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    parts = list(arrays)
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    return join(parts, axis, dtype)


def join(parts: list[Any], axis: int, dtype: Any = None) -> Any:
    """Concatenate arrays after converting them to their common dtype."""
    if not parts:
        raise ShapeError(message("need at least one array to concatenate"))
    common = np.dtype(dtype) if dtype is not None else result_dtype(*parts)
    tracers = [as_tracer(p, common) for p in parts]
    if not tracers[0].shape:
        raise ShapeError(
            message("arrays without axes cannot be concatenated", "", "use np.stack")
        )
    if len(tracers) == 1:
        return copy(tracers[0])
    return ops.concatenate(*tracers, axis=normal_axis(axis, tracers[0].ndim))


@implements(np.stack)
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    parts = list(arrays)
    shapes = [type_of(p).shape for p in parts]
    if len(set(shapes)) > 1:
        listed = ", ".join(map(str, shapes))
        raise ShapeError(message(f"np.stack: all arrays must have one shape, found {listed}"))
    place = normal_axis(axis, len(shapes[0]) + 1) if parts else 0
    return join([expand_dims(p, place) for p in parts], place, dtype)


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    x = as_tracer(a)
    return tracer(read(x), x.weak)


@method("copy")
def copy_method(a: Tracer, order: str = "C") -> Any:
    return copy(a)
