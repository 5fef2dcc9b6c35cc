"""`reduce`, `accumulate` and `reduceat` of ufuncs; `at` is in `scatter`, `outer` in `table`.

Where NumPy has a function of the same meaning (`np.sum` for `np.add.reduce`) that is entered.
Other associative ufuncs are reduced in halves and accumulated in steps of 1, 2, 4, ... elements
(Hillis & Steele, CACM 1986): a program of log(n) nodes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import AxisIndexError, DtypeError, ShapeError, message
from adgraph.ops import reduction as ops
from adgraph.ops.kinds import resolve_dtypes
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.assembly import join, part, stack
from adgraph.tracing.numpy_api.reduction import Axis
from adgraph.tracing.numpy_api.shape import normal_axis, reshape, strong, transpose
from adgraph.tracing.numpy_api.table import UFUNC_METHODS, has_derivative, store, ufunc_method
from adgraph.tracing.tracer import Tracer, as_tracer

Function = Callable[..., Any]


# --- under the name of another function -----------------------------------------------------------


def _reduces(ufunc: np.ufunc, function: Function) -> None:
    """Enter a reduction under `ufunc.reduce`, whose axis is 0 unless given."""

    @ufunc_method(ufunc, "reduce", has_derivative(ufunc))
    def reduce(
        array: Any,
        axis: Axis = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = as_tracer(array) if dtype is None else as_tracer(as_tracer(array), dtype)
        if function in (reduction.any, reduction.all):
            found = function(x, axis, None, keepdims, where=where)
            found = found if initial is None else ufunc(found, initial)
            return store(found, out, f"np.{ufunc.__name__}.reduce")
        return function(x, axis, out=out, keepdims=keepdims, initial=initial, where=where)


_REDUCTIONS: tuple[tuple[np.ufunc, Function], ...] = (
    (np.add, reduction.sum),
    (np.multiply, reduction.prod),
    (np.maximum, reduction.max),
    (np.minimum, reduction.min),
    (np.logical_or, reduction.any),
    (np.logical_and, reduction.all),
    (np.logaddexp, reduction.logsumexp),
)
for _ufunc, _function in _REDUCTIONS:
    _reduces(_ufunc, _function)


def _accumulates(ufunc: np.ufunc, function: Function) -> None:
    @ufunc_method(ufunc, "accumulate")
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        _line(f"np.{ufunc.__name__}.accumulate", as_tracer(array), axis)
        return function(array, axis, dtype, out)


_accumulates(np.add, reduction.cumsum)
_accumulates(np.multiply, reduction.cumprod)

# --- of associative ufuncs ------------------------------------------------------------------------


def _line(name: str, x: Tracer, axis: Any) -> int:
    """Return the axis along which elements are accumulated, or the pieces lie."""
    if not x.ndim and axis in (0, -1):
        raise DtypeError(message(f"{name} of a number {x.type}", "it needs an axis"))
    return normal_axis(axis, x.ndim)


def _converted(ufunc: np.ufunc, array: Any, dtype: Any) -> Tracer:
    """Give an array the dtype of the results of the ufunc."""
    x = as_tracer(array)
    loop = np.dtype(dtype) if dtype is not None else x.dtype
    return as_tracer(x, resolve_dtypes(ufunc, ufunc.__name__, (loop, loop))[-1])


def _in_halves(ufunc: np.ufunc) -> None:
    name = f"np.{ufunc.__name__}.reduce"

    @ufunc_method(ufunc, "reduce", has_derivative(ufunc))
    def reduce(
        array: Any,
        axis: Axis = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = _converted(ufunc, array, dtype)
        identity = None if ufunc.identity is None else np.asarray(ufunc.identity).astype(x.dtype)
        start = identity if initial is None else initial
        if where is not True:
            neutral = initial if identity is None else identity
            x = reduction.selected(x, where, _given(name, neutral), name)
        axes = reduction.folded_axes(axis, x.ndim)
        if not all(x.shape[i] for i in axes):
            shape = ops.unit(x.shape, axes) if keepdims else ops.kept(x.shape, axes)
            result: Any = np.full(shape, _given(name, start), x.dtype)
            return store(result, out, name)
        if ufunc.identity is not None and math.prod(x.shape[i] for i in axes) == 1:
            x = ufunc(identity, x)  # what it makes of a single element: |x| for hypot
        result = _halved(ufunc, x, axes) if axes else strong(x)
        result = reshape(result, ops.unit(x.shape, axes)) if keepdims else result
        if initial is not None:
            result = ufunc(result, as_tracer(initial, x.dtype))
        return store(result, out, name)


def _given(name: str, start: Any) -> Any:
    """Return the value that an empty reduction has, if it has one."""
    if start is None:
        raise ShapeError(
            message(
                f"{name} of no elements",
                "the ufunc has no identity",
                "pass initial=, the value to start from",
            )
        )
    return start


def _halved(ufunc: np.ufunc, x: Tracer, axes: tuple[int, ...]) -> Any:
    """Combine the first half of the elements with the second until there is one."""
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    count = math.prod(x.shape[i] for i in axes)
    rows = reshape(transpose(x, (*axes, *rest)), (count, *ops.kept(x.shape, axes)))
    while rows.shape[0] > 1:
        n, half = rows.shape[0], rows.shape[0] // 2
        pairs = ufunc(part(rows, 0, 0, half), part(rows, 0, half, 2 * half))
        rows = join([pairs, part(rows, 0, 2 * half, n)], 0) if n % 2 else pairs
    return reshape(rows, rows.shape[1:])


def _in_steps(ufunc: np.ufunc) -> None:
    @ufunc_method(ufunc, "accumulate", has_derivative(ufunc))
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        x = _converted(ufunc, array, dtype)
        place = _line(f"np.{ufunc.__name__}.accumulate", x, axis)
        extent, step = x.shape[place], 1
        result = strong(x)
        while step < extent:
            earlier = part(result, place, 0, extent - step)
            later = part(result, place, step, extent)
            result = join([part(result, place, 0, step), ufunc(earlier, later)], place)
            step *= 2
        return store(result, out, f"np.{ufunc.__name__}.accumulate")


_ASSOCIATIVE: tuple[np.ufunc, ...] = (
    *(np.fmax, np.fmin, np.hypot, np.logaddexp2, np.logical_xor, np.gcd, np.lcm),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor),
)
for _ufunc in _ASSOCIATIVE:
    _in_halves(_ufunc)
for _ufunc in (
    *_ASSOCIATIVE,
    *(np.maximum, np.minimum, np.logical_or, np.logical_and, np.logaddexp),
):
    _in_steps(_ufunc)

# --- of differences and quotients -----------------------------------------------------------------


def _takes_away(ufunc: np.ufunc, combine: np.ufunc) -> None:
    """Enter a ufunc that takes from the first element what `combine` makes of the others."""
    name = f"np.{ufunc.__name__}"

    def ends(x: Tracer, axis: Axis) -> tuple[Any, Any, int]:
        axes = reduction.folded_axes(axis, x.ndim)
        if len(axes) != 1 or not x.shape[axes[0]]:
            raise ShapeError(
                message(
                    f"{name}.reduce of {x.type} over axes {axes}",
                    "its order matters and it has no identity",
                    "reduce one axis that is not empty",
                )
            )
        (place,) = axes
        extent = x.shape[place]
        return part(x, place, 0, 1), part(x, place, 1, extent), place

    def others(x: Tracer, place: int) -> Any:
        return UFUNC_METHODS[combine, "reduce"](x, place, x.dtype, keepdims=True)

    @ufunc_method(ufunc, "reduce")
    def reduce(
        array: Any,
        axis: Axis = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = _converted(ufunc, array, dtype)
        axes = reduction.folded_axes(axis, x.ndim)
        if initial is not None and len(axes) < 2:
            chosen = reduction.selected(x, where, combine.identity, name)
            total = others(chosen, axes[0]) if axes else chosen
            result = ufunc(as_tracer(initial, x.dtype), total)
        elif where is not True:
            result = _given(f"{name}.reduce", None)
        elif axes:
            first, rest, place = ends(x, axis)
            result = ufunc(first, others(rest, place))
        else:
            result = strong(x)
        shape = ops.unit(x.shape, axes) if keepdims else ops.kept(x.shape, axes)
        return store(reshape(result, shape), out, f"{name}.reduce")

    @ufunc_method(ufunc, "accumulate")
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        x = _converted(ufunc, array, dtype)
        if not x.shape[_line(f"{name}.accumulate", x, axis)]:
            return store(strong(x), out, f"{name}.accumulate")
        first, rest, place = ends(x, axis)
        taken = UFUNC_METHODS[combine, "accumulate"](rest, place, x.dtype)
        return store(join([first, ufunc(first, taken)], place), out, f"{name}.accumulate")


_takes_away(np.subtract, np.add)
_takes_away(np.divide, np.multiply)

# --- pieces ---------------------------------------------------------------------------------------


def _of_pieces(ufunc: np.ufunc, reduce: Function) -> None:
    """Enter `ufunc.reduceat`: a piece ends where the next begins; one that cannot is an element."""

    @ufunc_method(ufunc, "reduceat", has_derivative(ufunc))
    def reduceat(
        array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None
    ) -> Any:
        name = f"np.{ufunc.__name__}.reduceat"
        x = as_tracer(array)
        place = _line(name, x, axis)
        starts = [int(i) for i in np.asarray(indices)]
        extent = x.shape[place]
        for start in starts:
            if not 0 <= start < extent:
                raise AxisIndexError(message(f"{name}: index {start} is not in [0, {extent})"))
        pairs = itertools.pairwise([*starts, extent])
        pieces = [part(x, place, i, j if j > i else i + 1) for i, j in pairs]
        reduced = [_reduced(reduce, piece, place, dtype) for piece in pieces]
        return store(stack(reduced, place), out, name)


def _reduced(reduce: Function, piece: Tracer, axis: int, dtype: Any) -> Any:
    """Reduce a piece; a single element is itself, also where the ufunc would change it."""
    result = reduce(piece, axis, dtype)
    if piece.shape[axis] > 1:
        return result
    return as_tracer(reshape(piece, result.shape), result.dtype)


for (_ufunc, _how), _function in list(UFUNC_METHODS.items()):
    if _how == "reduce":
        _of_pieces(_ufunc, _function)
