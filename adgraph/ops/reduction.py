"""Folds over axes. `axis` is a tuple of non-negative axes, which the result does not keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.ir.code import Fold
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape
from adgraph.ops.kinds import linear

Axes = tuple[int, ...]


def kept(shape: Shape, axis: Axes) -> Shape:
    """Return the shape without the folded axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axis)


def unit(shape: Shape, axis: Axes) -> Shape:
    """Return the shape with the folded axes of extent one."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def spread(y: Any, x: ArrayType, axis: Axes) -> Any:
    """Broadcast a fold's result, or its cotangent, over the folded axes."""
    return np.broadcast_to(np.reshape(y, unit(x.shape, axis)), x.shape)


def fold_type(x: ArrayType, *, axis: Axes) -> ArrayType:
    """The type rule of folds that keep the dtype."""
    return x.with_shape(kept(x.shape, axis))


def shifted(n: int, *, axis: Axes) -> Mapping[str, Any]:
    """The attributes of a fold of an operand with a batch axis in front."""
    return {"axis": tuple(a + 1 for a in axis)}


def fold_flops(x: ArrayType, *, axis: Axes) -> float:
    """One operation for every element."""
    return float(x.size)


reduce_sum = linear(
    "sum",
    Kind.REDUCTION,
    lambda x, *, axis: np.sum(x, axis=axis, dtype=x.dtype),
    fold_type,
    lambda ct, x, *, axis: spread(ct, x, axis),
    batch=shifted,
    code=Fold(lambda dtype: 0, "{0} + {1}"),
    flops=fold_flops,
)


def reduction(
    name: str,
    evaluate: Callable[..., Any],
    fold: Fold,
    *,
    infer: Callable[..., ArrayType] = fold_type,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    masks: bool = False,
) -> Op:
    """Register a fold of one operand."""

    def batch(args: tuple[Any, ...], batched: tuple[bool, ...], *, axis: Axes) -> Any:
        return op(args[0], **shifted(0, axis=axis))

    op = register(
        Op(
            name=name,
            kind=Kind.REDUCTION,
            evaluate=evaluate,
            infer=infer,
            jvp=jvp,
            vjp=vjp,
            batch=batch,
            flops=fold_flops,
            code=fold,
            masks=masks,
            differentiable=jvp is not None,
        )
    )
    return op


# --- max and min: elements that tie share the derivative evenly -------------------------------


def _extremum_jvp(tangents: tuple[Any], y: Any, x: Any, *, axis: Axes) -> Any:
    hit = x == spread(y, type_of(x), axis)
    zero = np.zeros((), x.dtype)
    count = np.sum(np.where(hit, np.ones((), x.dtype), zero), axis=axis)
    return np.sum(np.where(hit, tangents[0], zero), axis=axis) / count


def _extremum_vjp(ct: Any, y: Any, x: Any, *, axis: Axes) -> tuple[Any]:
    hit = x == spread(y, type_of(x), axis)
    zero = np.zeros((), x.dtype)
    count = np.sum(np.where(hit, np.ones((), x.dtype), zero), axis=axis)
    return (np.where(hit, spread(ct / count, type_of(x), axis), zero),)


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return -math.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)


def _highest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return math.inf
    return True if dtype.kind == "b" else int(np.iinfo(dtype).max)


reduce_max = reduction(
    "max",
    lambda x, *, axis: np.max(x, axis=axis),
    Fold(_lowest, "maximum({0}, {1})"),
    jvp=_extremum_jvp,
    vjp=_extremum_vjp,
    masks=True,
)
reduce_min = reduction(
    "min",
    lambda x, *, axis: np.min(x, axis=axis),
    Fold(_highest, "minimum({0}, {1})"),
    jvp=_extremum_jvp,
    vjp=_extremum_vjp,
    masks=True,
)
