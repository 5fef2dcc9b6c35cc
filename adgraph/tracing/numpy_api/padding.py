"""numpy.pad, axis after axis: what is put around along one axis is repeated along those after it.

What `edge`, `wrap` and even reflections put there are elements, whose positions NumPy tells; what
the other modes do is computed from the elements at the ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message
from adgraph.ir.types import Slice
from adgraph.ops import shape as ops
from adgraph.tracing.numpy_api.assembly import join, part, read_runs
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.ranges import linspace
from adgraph.tracing.numpy_api.shape import broadcast_to, strong
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer

Widths = tuple[int, int]

FOLDS: dict[str, Callable[..., Any]] = {
    "maximum": np.max,
    "minimum": np.min,
    "mean": np.mean,
    "median": np.median,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": 0},
    "empty": {},
    "edge": {},
    "wrap": {},
    "linear_ramp": {"end_values": 0},
    **{mode: {"reflect_type": "even"} for mode in ("reflect", "symmetric")},
    **{mode: {"stat_length": None} for mode in FOLDS},
}


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """Fill with zeros what `mode="empty"` leaves undefined."""
    x = as_tracer(asarray(array))
    widths = _widths(pad_width, x.ndim)
    option = _option(mode, kwargs)
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, 0 if option is None else option)
    for axis, width in enumerate(widths.tolist()):
        if any(width) and not x.shape[axis]:
            raise ShapeError(
                message(f"np.pad: cannot extend the empty axis {axis} with mode={mode!r}")
            )
    if not x.size:
        return _pad_constant(x, widths, 0)
    for axis, (before, behind) in enumerate(widths.tolist()):
        x = _padded(x, axis, (before, behind), mode, option)
    return strong(x)


def _widths(pad_width: Any, rank: int) -> Any:
    """Return two widths for every axis."""
    if isinstance(pad_width, dict):
        pad_width = [_width_of(pad_width, i, rank) for i in range(rank)] or [(0, 0)]
    widths = np.asarray(pad_width)
    if widths.dtype.kind not in "iu":
        raise TracingError(message("np.pad: pad_width must hold integers"))
    if (widths < 0).any():
        raise ShapeError(message(f"np.pad: widths {widths.tolist()} may not be negative"))
    return np.broadcast_to(widths, (rank, 2))


def _option(mode: Any, given: dict[str, Any]) -> Any:
    """Return the value of the keyword that a mode has."""
    if callable(mode):
        raise TracingError(
            message(
                "np.pad was called with a function as mode=",
                "the function would write into parts of an array that NumPy makes",
                "pad with zeros and write into the result: y = np.pad(x, n); y[:n] = ...",
            )
        )
    if mode not in OPTIONS:
        raise ShapeError(message(f"np.pad: mode={mode!r} is no mode", "", ", ".join(OPTIONS)))
    wrong = sorted(given.keys() - OPTIONS[mode].keys())
    if wrong:
        raise ShapeError(message(f"np.pad: mode={mode!r} takes no {', '.join(wrong)}"))
    return next(iter({**OPTIONS[mode], **given}.values()), None)


def _padded(x: Tracer, axis: int, width: Widths, mode: str, option: Any) -> Any:
    """Pad along one axis."""
    if mode in FOLDS:
        return _folded(x, axis, width, FOLDS[mode], _lengths(option, x, axis))
    if not any(width):
        return x
    if mode == "linear_ramp":
        return _ramped(x, axis, width, _pairs(option, x.ndim)[axis])
    if option == "odd" and x.shape[axis] > 1:
        return _reflected(x, axis, width, mode == "symmetric")
    if option not in (None, "even", "odd"):
        raise ShapeError(message(f"np.pad: reflect_type={option!r} is neither 'even' nor 'odd'"))
    known: Any = mode
    return read_runs(x, axis, np.pad(np.arange(x.shape[axis]), width, known).tolist())


def _pairs(values: Any, rank: int) -> Any:
    """Return two values for every axis."""
    return np.broadcast_to(asarray(values), (rank, 2))


def _joined(x: Tracer, axis: int, width: Widths, ends: tuple[Any, Any]) -> Any:
    """Repeat an end as often as its width says, and put both around the array."""
    first, last = (
        broadcast_to(as_tracer(end, x.dtype), (*x.shape[:axis], n, *x.shape[axis + 1 :]))
        for end, n in zip(ends, width, strict=True)
    )
    return join([first, x, last], axis)


def _width_of(widths: dict[int, Any], axis: int, rank: int) -> tuple[int, int]:
    found = widths.get(axis, widths.get(axis - rank, 0))
    before, behind = np.broadcast_to(found, 2).tolist()
    return before, behind


def _pad_constant(x: Tracer, widths: Any, values: Any) -> Any:
    box = tuple(Slice(int(w[0]), n, 1) for w, n in zip(widths, x.shape, strict=True))
    shape = tuple(int(n + w.sum()) for w, n in zip(widths, x.shape, strict=True))
    if not isinstance(values, (Tracer, list, tuple)) and np.ndim(values) == 0:
        if values == 0:
            return ops.place(x, index=box, shape=shape) if shape != x.shape else strong(x)
        whole = broadcast_to(as_tracer(values, x.dtype), shape)
        return ops.update(whole, x, index=box)
    fills = _pairs(values, x.ndim)
    for axis, width in enumerate(widths.tolist()):
        x = _joined(x, axis, width, (fills[axis, 0], fills[axis, 1]))
    return x


def _ramped(x: Tracer, axis: int, width: Widths, ends: Any) -> Any:
    """Go from end values to the elements at the ends in equal steps."""
    last = x.shape[axis] - 1
    ramps = [
        linspace(end, np.take(x, place, axis), n, endpoint=False, dtype=x.dtype, axis=axis)
        for end, place, n in zip((ends[0], ends[1]), (0, last), width, strict=True)
    ]
    return join([ramps[0], x, np.flip(ramps[1], axis)], axis)


def _lengths(stat_length: Any, x: Tracer, axis: int) -> Widths:
    """Return how many elements at both ends are folded."""
    extent = x.shape[axis]
    if stat_length is None:
        return extent, extent
    first, last = np.round(np.broadcast_to(stat_length, (x.ndim, 2))).astype(int)[axis].tolist()
    if min(first, last) < 0:
        raise ShapeError(message(f"np.pad: stat_length={stat_length} may not be negative"))
    return min(first, extent), min(last, extent)


def _folded(x: Tracer, axis: int, width: Widths, fold: Callable[..., Any], lengths: Widths) -> Any:
    """Repeat what a fold gives of the elements at each end."""
    extent = x.shape[axis]
    if 0 in lengths and fold in (np.max, np.min):
        raise ShapeError(message("np.pad: a stat_length of 0 gives no extremum to pad with"))
    if not any(width):
        return x
    chunks = (part(x, axis, 0, lengths[0]), part(x, axis, extent - lengths[1], extent))
    ends = (fold(chunk, axis=axis, keepdims=True) for chunk in chunks)
    first, last = (np.round(e) if x.dtype.kind in "iu" else e for e in ends)
    return _joined(x, axis, width, (first, last))


def _reflected(x: Tracer, axis: int, width: Widths, with_edge: bool) -> Any:
    """Reflect elements at those at the ends, as often as the widths need.

    A reflection is as long as the array, or a multiple of it.
    """
    period = x.shape[axis] if with_edge else x.shape[axis] - 1
    before, behind = width
    while before or behind:
        grown = x.shape[axis] if with_edge else x.shape[axis] - 1
        longest = grown // period * period
        left, right = min(longest, before), min(longest, behind)
        skipped = 0 if with_edge else 1
        end = x.shape[axis] - skipped
        parts = [
            _turned(x, axis, (skipped, skipped + left), 0),
            x,
            _turned(x, axis, (end - right, end), x.shape[axis] - 1),
        ]
        x = join(parts, axis)
        before, behind = before - left, behind - right
    return x


def _turned(x: Tracer, axis: int, box: Widths, edge: int) -> Any:
    """Return a part backwards, on the other side of an element in value too."""
    return 2 * part(x, axis, edge, edge + 1) - np.flip(part(x, axis, *box), axis)
