"""`np.convolve` and `np.correlate`."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops.convolution import convolve as convolve_op
from adgraph.tracing.numpy_api.assembly import flip
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import atleast_1d
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

MODES = ("valid", "same", "full")


def _operands(name: str, a: Any, v: Any, mode: Any) -> tuple[Tracer, Tracer, str]:
    first, second = (atleast_1d(as_tracer(asarray(x))) for x in (a, v))
    if first.ndim > 1 or second.ndim > 1:
        raise ShapeError(message(f"{name} takes one axis, found {first.type} and {second.type}"))
    if not first.size or not second.size:
        raise ShapeError(message(f"{name}: an operand is empty"))
    mode = MODES[mode] if isinstance(mode, int) else mode
    if mode not in MODES:
        raise ShapeError(message(f"{name}: mode={mode!r} is none of {', '.join(MODES)}"))
    dtype = result_dtype(first, second)
    return as_tracer(first, dtype), as_tracer(second, dtype), mode


def _convolved(a: Tracer, v: Tracer, mode: str, middle: int) -> Any:
    """Return the part of the full convolution that a mode keeps; `middle` is where "same" begins.

    A product of bools is their conjunction, a sum their disjunction.
    """
    if a.dtype.kind == "b":
        whole = _convolved(as_tracer(a, np.int64), as_tracer(v, np.int64), mode, middle)
        return np.greater(whole, 0)
    long, short = max(a.size, v.size), min(a.size, v.size)
    parts = {
        "full": (0, long + short - 1),
        "same": (middle, long),
        "valid": (short - 1, long - short + 1),
    }
    start, count = parts[mode]
    first, second = (a, v) if a.size >= v.size else (v, a)
    return convolve_op(first, second, start=start, count=count)


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    x, y, mode = _operands("np.convolve", a, v, mode)
    return _convolved(x, y, mode, (min(x.size, y.size) - 1) // 2)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """`c[k]` is the sum of `a[n + k] * conj(v[n])`."""
    if not np.ndim(a) or not np.ndim(v):
        raise ShapeError(message("np.correlate takes one axis, found a number"))
    x, y, mode = _operands("np.correlate", a, v, mode)
    middle = (y.size - 1) // 2 if x.size >= y.size else x.size // 2
    return _convolved(x, np.conj(flip(y)), mode, middle)
