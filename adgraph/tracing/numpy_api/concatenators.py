"""`np.r_[...]` and `np.c_[...]`: subscripts that concatenate, met by rewritten code."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.tracing.numpy_api.assembly import join
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import reshape, transpose
from adgraph.tracing.tracer import as_tracer, result_dtype

CONCATENATORS = (type(np.r_), type(np.c_))


def concatenated(container: Any, key: Any) -> Any:
    """Record `np.r_[key]` or `np.c_[key]`; a string in front has the axis and the rank."""
    given = list(key) if isinstance(key, tuple) else [key]
    axis, rank, place = container.axis, container.ndmin, container.trans1d
    if isinstance(given[0], str):
        axis, rank, place = _directive(given.pop(0), rank, place)
    parts = [_part(p) for p in given]
    dtype = result_dtype(*parts)
    return join([_widened(as_tracer(asarray(p), dtype), rank, place) for p in parts], axis)


def _part(entry: Any) -> Any:
    """Return what an entry stands for; a Python number takes the dtype of the others."""
    if isinstance(entry, slice):
        return np.r_[entry]
    return asarray(entry) if isinstance(entry, (list, tuple)) else entry


def _directive(text: str, rank: int, place: int) -> tuple[int, int, int]:
    """Read "axis", "axis,rank" or "axis,rank,place"."""
    if text in ("r", "c"):
        raise TracingError(
            message(
                f"np.r_[{text!r}, ...] with traced arrays",
                "it makes an np.matrix, a subclass whose * is a matrix product",
                "use np.concatenate or np.stack",
            )
        )
    numbers = [int(n) for n in text.split(",")]
    axis, rank, place = (*numbers, *(rank, place)[len(numbers) - 1 :])
    return axis, rank, place


def _widened(x: Any, rank: int, place: int) -> Any:
    """Give an array at least `rank` axes; its own begin at `place`, or with -1 are the last."""
    missing = rank - x.ndim
    if missing <= 0:
        return x
    wide = reshape(x, (1,) * missing + x.shape)
    if place == -1 or not x.ndim:
        return wide
    start = place + missing + 1 if place < 0 else place
    axes = list(range(rank))
    return transpose(wide, axes[:start] + axes[missing:] + axes[start:missing])
