"""Functions of NumPy that call a function of the user's on parts of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.tracing.numpy_api.assembly import stack
from adgraph.tracing.numpy_api.creation import constructs, nested_array
from adgraph.tracing.numpy_api.shape import expand_dims, moveaxis, normal_axis, reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer

Function = Callable[..., Any]


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Function, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """The function is traced once for every line."""
    x = as_tracer(arr)
    place = normal_axis(axis, x.ndim)
    lines = moveaxis(x, place, -1)
    before = lines.shape[:-1]
    if not np.prod(before, dtype=int):
        raise ShapeError(message(f"np.apply_along_axis: {x.type} has no line along axis {axis}"))
    results = [
        as_tracer(nested_array(func1d(lines[at] if at else lines, *args, **kwargs)))
        for at in np.ndindex(before)
    ]
    made = results[0].shape
    whole = reshape(stack(results), (*before, *made))
    source = [len(before) + i for i in range(len(made))]
    return moveaxis(whole, source, [place + i for i in range(len(made))]) if made else whole


@implements(np.apply_over_axes)
def apply_over_axes(func: Function, a: Any, axes: Any) -> Any:
    x: Any = as_tracer(nested_array(a))
    for axis in np.atleast_1d(axes):
        place = normal_axis(axis, x.ndim)
        result = func(x, place)
        if result.ndim != x.ndim:
            result = expand_dims(result, place)
        if result.ndim != x.ndim:
            raise ShapeError(
                message(
                    f"np.apply_over_axes: the function made {result.type} of {x.type}",
                    "it must keep the axis or remove it",
                )
            )
        x = result
    return x


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Each function gets the elements that its condition selects; the last condition wins."""
    a = as_tracer(nested_array(x))
    conditions = _conditions(condlist, a.shape)
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        taken = np.any(np.stack(conditions), axis=0)
        conditions = [*conditions, ~taken]
    if len(functions) != len(conditions):
        raise ShapeError(
            message(
                f"np.piecewise: {len(functions)} functions for {len(conditions)} conditions",
                "it needs one for each, and may have one more for what none selects",
            )
        )
    y: Any = np.zeros_like(a)
    for condition, function in zip(conditions, functions, strict=True):
        value = function(_chosen(a, condition), *args, **kw) if callable(function) else function
        y = _with(y, condition, value)
    return y


def _conditions(condlist: Any, shape: tuple[Any, ...]) -> list[Any]:
    """Return conditions of the array's shape: a list of them, or a single one."""
    single = not isinstance(condlist, (list, tuple)) or not np.ndim(condlist[0])
    several = np.ndim(nested_array(condlist)) > len(shape) if single else True
    listed = list(condlist) if several else [nested_array(condlist)]
    return [as_tracer(nested_array(c), bool) for c in listed]


def _chosen(x: Any, condition: Any) -> Any:
    return x[condition] if x.ndim else x


def _with(y: Any, condition: Any, value: Any) -> Any:
    if y.ndim:
        y[condition] = value
        return y
    return np.where(condition, as_tracer(value, y.dtype), y)


@constructs(np.fromfunction)
def fromfunction(
    function: Function, shape: Any, *, dtype: Any = float, like: Any = None, **kwargs: Any
) -> Any:
    return function(*map(as_tracer, np.indices(shape, dtype=dtype)), **kwargs)
