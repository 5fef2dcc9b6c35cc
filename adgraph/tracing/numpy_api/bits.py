"""numpy.packbits and numpy.unpackbits: eight bits in a byte, made of shifts."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.tracing.numpy_api.assembly import join, part
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import moveaxis, normal_axis, ravel, reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer

BITS = 8


def _shifts(name: str, bitorder: str) -> Any:
    if bitorder not in ("big", "little"):
        raise ShapeError(message(f"{name}: bitorder={bitorder!r} is neither 'big' nor 'little'"))
    upwards = np.arange(BITS, dtype=np.uint8)
    return upwards[::-1].copy() if bitorder == "big" else upwards


def _rows(x: Tracer, axis: Any) -> tuple[Tracer, int]:
    """Return an array whose last axis is the one to work along, and where that belongs."""
    if axis is None:
        return ravel(x), 0
    place = normal_axis(axis, x.ndim)
    return moveaxis(x, place, -1), place


def _extended(rows: Tracer, extent: int) -> Any:
    """Cut the last axis, or fill it with zeros."""
    missing = extent - rows.shape[-1]
    if missing <= 0:
        return part(rows, rows.ndim - 1, 0, extent)
    zeros = as_tracer(np.zeros((*rows.shape[:-1], missing), rows.dtype))
    return join([rows, zeros], rows.ndim - 1)


@implements(np.packbits, differentiable=False)
def packbits(a: Any, /, axis: Any = None, bitorder: str = "big") -> Any:
    x = as_tracer(asarray(a))
    shifts = _shifts("np.packbits", bitorder)
    if x.dtype.kind not in "biu":
        raise DtypeError(message(f"np.packbits packs integers or bools, found {x.type}"))
    rows, place = _rows(as_tracer(x, bool), axis)
    count = -(-rows.shape[-1] // BITS)
    groups = reshape(_extended(rows, count * BITS), (*rows.shape[:-1], count, BITS))
    packed = np.sum(np.left_shift(as_tracer(groups, np.uint8), shifts), axis=-1, dtype=np.uint8)
    return moveaxis(packed, -1, place)


@implements(np.unpackbits, differentiable=False)
def unpackbits(a: Any, /, axis: Any = None, count: Any = None, bitorder: str = "big") -> Any:
    x = as_tracer(asarray(a))
    shifts = _shifts("np.unpackbits", bitorder)
    if x.dtype != np.uint8:
        raise DtypeError(message(f"np.unpackbits takes numbers of type uint8, found {x.type}"))
    rows, place = _rows(x, axis)
    bits = np.bitwise_and(np.right_shift(rows[..., None], shifts), np.uint8(1))  # type: ignore[index]
    line = reshape(bits, (*rows.shape[:-1], rows.shape[-1] * BITS))
    if count is not None:
        extent = int(count) if count >= 0 else line.shape[-1] + int(count)
        if extent < 0:
            raise ShapeError(message(f"np.unpackbits: -count={-count} is more than there are bits"))
        line = _extended(line, extent)
    return moveaxis(line, -1, place)
