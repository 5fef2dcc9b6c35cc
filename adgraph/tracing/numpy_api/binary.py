"""Functions of how numbers are written in binary: exponents, spacing, counts of bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ir.op import type_of
from adgraph.ops import exponents
from adgraph.ops.kinds import broadcast_shape, resolve_dtypes
from adgraph.tracing.numpy_api.shape import broadcast_to
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer, promotion


@implements(np.frexp)
def frexp(x: Any) -> tuple[Any, Any]:
    dtype = resolve_dtypes(np.frexp, "frexp", (promotion(x),))[0]
    mantissa, exponent = exponents.frexp(as_tracer(x, dtype))
    return mantissa, exponent


@implements(np.ldexp)
def ldexp(x: Any, exponent: Any) -> Any:
    dtype = resolve_dtypes(np.ldexp, "ldexp", (promotion(x), promotion(exponent)))[0]
    operands = as_tracer(x, dtype), as_tracer(exponent, np.int64)
    shape = broadcast_shape("ldexp", tuple(map(type_of, operands)))
    return exponents.ldexp(*(broadcast_to(t, shape) for t in operands))


@implements(np.spacing, differentiable=False)
def spacing(x: Any) -> Any:
    a = as_tracer(x, resolve_dtypes(np.spacing, "spacing", (promotion(x),))[0])
    size = np.abs(a)
    return np.copysign(np.nextafter(size, np.asarray(math.inf, a.dtype)) - size, a)


# Sums of neighbouring bits, pairs, nibbles; the product adds the bytes (Warren, Hacker's Delight).
_BITS, _PAIRS, _NIBBLES, _BYTES = (
    np.uint64(pattern)
    for pattern in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)
)


@implements(np.bitwise_count, differentiable=False)
def bitwise_count(x: Any) -> Any:
    """Count the bits of the absolute value, as NumPy does."""
    a = as_tracer(x)
    resolve_dtypes(np.bitwise_count, "bitwise_count", (a.dtype,))
    bits: Any = as_tracer(np.abs(a) if a.dtype.kind == "i" else a, np.uint64)
    bits = bits & np.uint64(2 ** (8 * a.itemsize) - 1)
    bits = bits - ((bits >> np.uint64(1)) & _BITS)
    bits = (bits & _PAIRS) + ((bits >> np.uint64(2)) & _PAIRS)
    bits = (bits + (bits >> np.uint64(4))) & _NIBBLES
    return as_tracer((bits * _BYTES) >> np.uint64(56), np.uint8)
