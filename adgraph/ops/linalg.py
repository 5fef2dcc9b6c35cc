"""Matrix products. Leading axes are a batch, as in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.code import Routine
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops import complex_parts
from adgraph.ops.kinds import add_tangents, bilinear

Types = tuple[ArrayType, ...]


def swap(x: Any) -> Any:
    """Transpose the last two axes."""
    rank = type_of(x).ndim
    return np.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


# --- matmul: both operands have at least two axes; numpy_api inserts them -------------------------


def _matmul_type(a: ArrayType, b: ArrayType) -> ArrayType:
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            message(
                f"matmul: shapes {a.shape} and {b.shape} do not fit",
                f"the last axis of the first ({a.shape[-1]}) must equal the last but one axis of "
                f"the second ({b.shape[-2]})",
                "transpose one of them, for example a @ b.T",
            )
        )
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.with_shape((*batch, a.shape[-2], b.shape[-1]))


def _matmul_flops(a: ArrayType, b: ArrayType) -> float:
    return float(2 * _matmul_type(a, b).size * a.shape[-1])


def _matmul_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    a, b = types
    return a.shape[-2], b.shape[-1], a.shape[-1]


def _matmul_batch(args: tuple[Any, Any], batched: tuple[bool, bool]) -> Any:
    ranks = [type_of(x).ndim - flag for x, flag in zip(args, batched, strict=True)]
    a, b = (
        _align_stack(x, max(ranks)) if flag else x for x, flag in zip(args, batched, strict=True)
    )
    return matmul(a, b)


def _align_stack(x: Any, rank: int) -> Any:
    first, *rest = type_of(x).shape
    return np.reshape(x, (first, *(1,) * (rank - len(rest)), *rest))


matmul = bilinear(
    "matmul",
    Kind.LIBRARY,
    np.matmul,
    _matmul_type,
    lambda ct, a, b: ct @ swap(b),
    lambda ct, a, b: swap(a) @ ct,
    batch=_matmul_batch,
    code=Routine("matmul", _matmul_sizes, strided=True),
    flops=_matmul_flops,
    product=True,
)


# --- matmul_add: total + a @ b, which `adgraph.passes.products` makes of sums of products ---------


def _matmul_add_type(total: ArrayType, a: ArrayType, b: ArrayType) -> ArrayType:
    result = _matmul_type(a, b)
    if total != result:
        raise ShapeError(f"matmul_add: {total} is not of the type of the product, {result}")
    return result


def _matmul_add_jvp(tangents: tuple[Any, ...], y: Any, total: Any, a: Any, b: Any) -> Any:
    change, da, db = tangents
    for product in (None if da is None else da @ b, None if db is None else a @ db):
        change = add_tangents(change, product)
    return change


def _matmul_add_batch(args: tuple[Any, Any, Any], batched: tuple[bool, bool, bool]) -> Any:
    total, a, b = args
    return total + _matmul_batch((a, b), (batched[1], batched[2]))


matmul_add = register(
    Op(
        name="matmul_add",
        kind=Kind.LIBRARY,
        evaluate=lambda total, a, b: total + np.matmul(a, b),
        infer=_matmul_add_type,
        jvp=_matmul_add_jvp,
        vjp=lambda ct, y, total, a, b: (ct, ct @ swap(b), swap(a) @ ct),
        batch=_matmul_add_batch,
        parts=lambda total, a, b: complex_parts.add(total, complex_parts.product(matmul, a, b)),
        flops=lambda total, a, b: _matmul_flops(a, b) + total.size,
        code=Routine(
            "matmul_add",
            lambda types, attrs: _matmul_sizes(types[1:], attrs),
            strided=True,
            adds=True,
        ),
        product=True,
    )
)
