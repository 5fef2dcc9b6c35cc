"""Functions that change the shape of one array: reshape, transpose, broadcast and their relatives.

What puts several arrays or parts together is in `assembly`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, NoAxisError, ShapeError, TracingError, message
from adgraph.ir.dims import Affine, Dim
from adgraph.ir.op import type_of
from adgraph.ir.types import Shape
from adgraph.ops import shape as ops
from adgraph.ops.kinds import broadcast_shape
from adgraph.tracing.numpy_api.table import implements, method, refuse, store
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
    dim_of,
    in_c_order,
    integer,
    read,
    tracer,
)
from adgraph.tracing.views import in_one_block


def normal_axis(axis: Any, rank: int) -> int:
    """Return an axis as a number from 0 to rank - 1."""
    number = int(axis)
    if not -rank <= number < rank:
        raise NoAxisError(message(f"axis {number} is out of bounds for an array of {rank} axes"))
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


def shape_tuple(shape: Any) -> Shape:
    """Return a shape given as an integer or a sequence as a tuple of dims."""
    given = shape if isinstance(shape, (tuple, list, np.ndarray)) else (shape,)
    return tuple(map(_extent, given))


def _extent(n: Any) -> Dim:
    known = n if isinstance(n, Affine) else dim_of(n)
    return operator.index(n) if known is None else known


@implements(np.shape, differentiable=False)
def shape(a: Any) -> tuple[Any, ...]:
    return tuple(map(integer, type_of(a).shape))


@implements(np.ndim, differentiable=False)
def ndim(a: Any) -> int:
    return type_of(a).ndim


@implements(np.size, differentiable=False)
def size(a: Any, axis: Any = None) -> Any:
    return integer(math.prod(type_of(a).shape[i] for i in normal_axes(axis, type_of(a).ndim)))


def strong(x: Tracer) -> Tracer:
    """Return a new array with the same elements; a Python number becomes a NumPy scalar."""
    return tracer(read(x))


def check_order(name: str, order: Any, supported: str = "CFAK") -> None:
    """Refuse a memory order. adgraph lays out new arrays itself, which no value can show."""
    if order is None or (isinstance(order, str) and order in supported):
        return
    if order not in ("C", "F", "A", "K"):
        raise ShapeError(message(f"{name}: order={order!r} is none of 'C', 'F', 'A', 'K'"))
    raise TracingError(
        message(
            f"{name} was called with order={order!r}",
            "the order would depend on how the array lies in memory, which a graph does not say",
            "use order='C' or order='F'",
        )
    )


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    check_order("np.reshape", order, "CF")
    x = as_tracer(a)
    target = _fill_in(shape_tuple(shape), x)
    if order == "F":
        return transpose(reshape(transpose(x), target[::-1], copy=copy))
    result = x if target == x.shape else ops.reshape(x, shape=target)
    if copy is False and result.cell is not x.cell:
        raise ShapeError(message(f"a view of shape {target} of {x.type} needs a copy"))
    return strong(result) if copy else result


def _fill_in(target: Shape, x: Tracer) -> Shape:
    if -1 not in target:
        return target
    if target == (-1,) and x.ndim == 1:
        return x.shape
    rest = -math.prod(target)
    if target.count(-1) > 1 or rest == 0 or x.size % rest:
        raise ShapeError(message(f"cannot reshape an array of shape {x.shape} into {target}"))
    return tuple(x.size // rest if n == -1 else n for n in target)


@method("reshape")
def reshape_method(a: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    return reshape(a, shape[0] if len(shape) == 1 else shape, order, copy=copy)


@implements(np.ravel)
@method("ravel")
def ravel(a: Any, order: str = "C") -> Any:
    """NumPy copies what does not lie in one block, also where a reshape would be a view."""
    check_order("np.ravel", order, "CF")
    x = as_tracer(a)
    turned = transpose(x) if order == "F" else x
    flat = reshape(turned, (x.size,))
    viewed = flat.shape and turned.shape and flat.cell is turned.cell
    if viewed and not in_one_block(turned.cell.value.type, turned.path):
        return tracer(read(flat))
    return flat


@method("flatten")
def flatten(a: Tracer, order: str = "C") -> Any:
    return strong(ravel(a, order))


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    x = as_tracer(a)
    order = range(x.ndim)[::-1] if axes is None else [normal_axis(i, x.ndim) for i in _listed(axes)]
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
    if len(set(start)) != len(start) or len(set(end)) != len(end) or len(start) != len(end):
        raise ShapeError(
            message(f"np.moveaxis: source {source} and destination {destination} do not pair up")
        )
    order = [i for i in range(rank) if i not in start]
    for to, of in sorted(zip(end, start, strict=True)):
        order.insert(to, of)
    return transpose(a, order)


def _listed(axis: Any) -> tuple[Any, ...]:
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    refuse("np.broadcast_to", subok=subok)
    x = as_tracer(array)
    target = shape_tuple(shape)
    if x.shape == target:
        return x
    lead = len(target) - x.ndim
    aligned = (1,) * lead + x.shape
    if lead < 0 or any(n not in (1, m) for n, m in zip(aligned, target, strict=True)):
        raise ShapeError(message(f"an array of shape {x.shape} does not broadcast to {target}"))
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


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    rank = type_of(a).ndim
    source = normal_axis(axis, rank)
    target = rank if start == rank else normal_axis(start, rank)
    return moveaxis(a, source, target - (source < target))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    refuse("np.broadcast_arrays", subok=subok)
    shape = broadcast_shape("np.broadcast_arrays", tuple(map(type_of, args)))
    return tuple(broadcast_to(a, shape) for a in args)


def _at_least(rank: int, widen: Callable[[Shape], Shape]) -> Callable[..., Any]:
    def one(x: Any) -> Any:
        array = as_tracer(x)
        return array if array.ndim >= rank else reshape(array, widen(array.shape))

    def at_least(*arys: Any) -> Any:
        return one(arys[0]) if len(arys) == 1 else tuple(map(one, arys))

    return at_least


atleast_1d = implements(np.atleast_1d)(_at_least(1, lambda shape: (1,)))
atleast_2d = implements(np.atleast_2d)(_at_least(2, lambda shape: (1,) * (2 - len(shape)) + shape))
atleast_3d = implements(np.atleast_3d)(
    _at_least(3, lambda shape: ((1,) * (2 - len(shape)) + shape + (1,))[-3:])
)


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    check_order("np.copy", order)
    refuse("np.copy", subok=subok)
    x = as_tracer(a)
    result = tracer(read(x), x.weak)
    result.writable = True
    result.cell.c_ordered = order == "C" or in_c_order(a)
    return result


@method("copy")
def copy_method(a: Tracer, order: str = "C") -> Any:
    check_order("copy", order)
    return strong(a)


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    check_cast("np.copyto", dtype_of(src), dtype_of(dst), casting)
    store(as_tracer(src, dtype_of(dst)), dst, "np.copyto", where, stretches=True)


def dtype_of(x: Any) -> np.dtype[Any]:
    """Return the dtype of an array, traced or not."""
    return type_of(x).dtype


def check_cast(name: str, source: Any, target: Any, casting: str) -> None:
    """Refuse a conversion that NumPy's `casting=` refuses."""
    if not np.can_cast(source, target, casting):  # type: ignore[arg-type]  # NumPy checks it
        raise DtypeError(
            message(
                f"{name} cannot convert {source} to {target} with casting={casting!r}",
                "the conversion may lose information",
                "convert with x.astype(...), or pass casting='unsafe'",
            )
        )
