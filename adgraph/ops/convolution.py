"""Discrete convolution along the last axis: a part of the full one, by its start and extent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError
from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.kinds import bilinear

Types = tuple[ArrayType, ...]

# Either multiples of shifted rows are added, or every element is a dot product: what is longer.
_CONVOLVE = """
def kernel(a, v, y, rows, n, m, count, start):
    for r in range(rows):
        if min(n, m) > count:
            for t in range(count):
                k = start + t
                total = dtype(0)
                for i in range(max(0, k - m + 1), min(n, k + 1)):
                    total = fold_add(total, a[r * n + i] * v[r * m + k - i])
                y[r * count + t] = total
        else:
            for begin in range(0, count, 2048):
                end = min(begin + 2048, count)
                for t in range(begin, end):
                    y[r * count + t] = dtype(0)
                for j in range(m):
                    w = v[r * m + j]
                    shift = start - j
                    for t in range(max(begin, 0 - shift), min(end, n - shift)):
                        y[r * count + t] += w * a[r * n + t + shift]
"""


def _convolve(a: Any, v: Any, *, start: int, count: int) -> Any:
    lead = np.shape(a)[:-1]
    result = np.zeros((*lead, count), a.dtype)
    for i in np.ndindex(lead):
        whole = np.convolve(a[i], v[i])
        first, last = max(start, 0), min(start + count, whole.size)
        result[i][first - start : max(last - start, 0)] = whole[first:last]
    return result


def _convolve_type(a: ArrayType, v: ArrayType, *, start: int, count: int) -> ArrayType:
    if a.shape[:-1] != v.shape[:-1] or a.dtype != v.dtype or not (a.shape[-1] and v.shape[-1]):
        raise ShapeError(f"convolve: operands {a} and {v} do not fit")
    return a.with_shape((*a.shape[:-1], count))


def _convolve_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, start: int, count: int
) -> Any:
    batches = type_of(args[0] if batched[0] else args[1]).shape[0]
    both = (
        x if flag else np.broadcast_to(x, (batches, *type_of(x).shape))
        for x, flag in zip(args, batched, strict=True)
    )
    return convolve(*both, start=start, count=count)


def _turned(ct: Any, other: Any, own: int, start: int) -> Any:
    """Convolve a cotangent with the other operand turned round, which is the transpose."""
    reach = type_of(other).shape[-1] - 1
    return convolve(ct, np.flip(other, -1), start=reach - start, count=own)


def _convolve_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    a, v = types
    rows = math.prod(a.shape[:-1])
    return rows, a.shape[-1], v.shape[-1], attrs["count"], attrs["start"]


def _convolve_flops(a: ArrayType, v: ArrayType, *, start: int, count: int) -> float:
    return 2.0 * float(math.prod(a.shape[:-1]) * count * min(a.shape[-1], v.shape[-1]))


convolve = bilinear(
    "convolve",
    Kind.MOVEMENT,
    _convolve,
    _convolve_type,
    lambda ct, a, v, *, start, count: _turned(ct, v, type_of(a).shape[-1], start),
    lambda ct, a, v, *, start, count: _turned(ct, a, type_of(v).shape[-1], start),
    batch=_convolve_batch,
    code=Loops(_CONVOLVE, _convolve_sizes),
    flops=_convolve_flops,
)
