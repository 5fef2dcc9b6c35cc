"""Functions and methods that choose elements: `take`, `choose`, `compress`, `select`, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.indexing import getitem, setitem
from adgraph.tracing.numpy_api.keys import key_entries, plain
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    moveaxis,
    normal_axes,
    normal_axis,
    ravel,
    reshape,
    strong,
)
from adgraph.tracing.numpy_api.table import implements, method, refuse, store
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
    read,
    result_dtype,
    tracer,
    write,
)


@implements(np.take)
@method("take")
def take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    x = as_tracer(a)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    positions = clamped(plain(indices), x.shape[place], mode)
    taken = getitem(x, (slice(None),) * place + (positions,))
    return store(tracer(read(taken)) if taken.shape else taken, out, "np.take")


def clamped(indices: Any, extent: int, mode: str) -> Any:
    match mode:
        case "raise":
            return indices
        case "wrap":
            return indices % extent
        case "clip":
            return np.clip(indices, 0, extent - 1)
        case _:
            raise ShapeError(message(f"np.take: mode={mode!r} is none of raise, wrap, clip"))


def _along(x: Tracer, indices: Any, axis: int | None) -> tuple[Tracer, tuple[Any, ...]]:
    """Return the array and key of the `_along_axis` functions."""
    positions = plain(indices)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    if positions.ndim != x.ndim:
        raise ShapeError(
            message(f"indices of shape {positions.shape} along an axis of {x.type}: ranks differ")
        )
    key = [
        positions if i == place else np.arange(n).reshape((n,) + (1,) * (x.ndim - i - 1))
        for i, n in enumerate(x.shape)
    ]
    return x, tuple(key)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return getitem(*_along(as_tracer(arr), indices, axis))


@implements(np.put_along_axis)
def put_along_axis(arr: Tracer, indices: Any, values: Any, axis: int | None) -> None:
    x, key = _along(writable(arr, "np.put_along_axis"), indices, axis)
    setitem(x, key, values)


def writable(x: Any, name: str) -> Tracer:
    if isinstance(x, Tracer):
        return x
    store(as_tracer(0), x, name)
    raise AssertionError


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    mask = plain(condition)
    if isinstance(mask, Tracer):
        x, place = (ravel(a), 0) if axis is None else (a, normal_axis(axis, type_of(a).ndim))
        return store(getitem(x, (slice(None),) * place + (mask,)), out, "np.compress")
    return take(a, np.nonzero(mask)[0], axis, out)


@method("compress")
def compress_method(a: Tracer, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    return compress(condition, a, axis, out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    mask = plain(condition)
    flat = ravel(mask) if isinstance(mask, Tracer) else mask.ravel()
    return getitem(ravel(arr), flat.astype(bool))


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError(
            message(f"np.select: {len(condlist)} conditions for {len(choicelist)} choices")
        )
    dtype = result_dtype(*choicelist, default)
    result: Any = as_tracer(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        if type_of(condition).dtype.kind != "b":
            raise TracingError(message("np.select: conditions must be arrays of bools"))
        result = np.where(condition, as_tracer(choice, dtype), result)
    return result


@implements(np.choose)
@method("choose")
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    parts = [as_tracer(c) for c in choices]
    dtype = result_dtype(*parts)
    shape = np.broadcast_shapes(type_of(a).shape, *(p.shape for p in parts))
    positions = clamped(plain(a), len(parts), mode)
    rows = np.stack([broadcast_to(as_tracer(p, dtype), shape) for p in parts])
    spread = np.broadcast_to(positions, shape)[None]
    return store(take_along_axis(rows, spread, 0)[0], out, "np.choose")


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """The windows are copies, which NumPy's are not; writing into those is refused there, too."""
    refuse("np.lib.stride_tricks.sliding_window_view", subok=subok, writeable=writeable)
    result = as_tracer(asarray(x))
    extents = np.atleast_1d(window_shape).tolist()
    axes = normal_axes(axis, result.ndim)
    if len(extents) != len(axes):
        raise ShapeError(
            message(f"sliding_window_view: {len(extents)} extents of windows for {len(axes)} axes")
        )
    for place, extent in zip(axes, extents, strict=True):
        count = result.shape[place] - extent + 1
        if extent < 0 or count < 1:
            raise ShapeError(
                message(f"sliding_window_view: a window of {extent} for {result.shape[place]}")
            )
        positions = np.arange(count)[:, None] + np.arange(extent)
        result = moveaxis(take(result, positions, place), place + 1, -1)
    return result


@implements(np.ix_, differentiable=False)
def ix_(*args: Any) -> tuple[Any, ...]:
    lines = []
    for place, entry in enumerate(args):
        (positions,) = key_entries(entry)
        array = positions if isinstance(positions, Tracer) else np.asarray(positions)
        shape = tuple(-1 if i == place else 1 for i in range(len(args)))
        lines.append(np.reshape(array, shape))
    return tuple(lines)


@method("item")
def item(a: Tracer, *args: Any) -> Any:
    """`x.item()` is a Python number, which takes its partner's dtype."""
    if not args and a.size != 1:
        raise ShapeError(message(f"item() needs an array of one element, found {a.type}"))
    key = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    flat = len(key) == 1 and a.ndim != 1
    picked = ravel(a)[key[0]] if flat else getitem(a, tuple(key)) if args else reshape(a, ())
    kinds: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    wide = {"f": np.float64, "c": np.complex128, "i": np.int64, "u": np.uint64, "b": np.bool_}
    result = strong(as_tracer(picked, wide[a.dtype.kind]))
    result.weak = kinds[a.dtype.kind]
    return result


@method("fill")
def fill(a: Tracer, value: Any) -> None:
    write(a, value)
