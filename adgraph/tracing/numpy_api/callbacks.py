"""Functions of NumPy that call a function of the user's on parts of an array.

`fill` calls it in a loop, which is recorded like the user's own: the function is traced once for
all parts, and a branch in it is one of the program.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.tracing.numpy_api.creation import (
    CONSTRUCTORS,
    constructs,
    contains_tracer,
    nested_array,
)
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    expand_dims,
    moveaxis,
    normal_axis,
    reshape,
)
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer

Function = Callable[..., Any]


# --- once for every part --------------------------------------------------------------------------


def fill(results: list[Any], function: Function, operands: list[Any], count: int) -> None:
    """Write what a function gives for the parts of operands into the parts of results."""
    for i in range(count):
        made = function(*[x[i] for x in operands])
        for k, result in enumerate(results):
            result[i] = made[k]


@dataclass
class Calls:
    """How functions of the user's are called, and how one is rewritten; `tracing.hooks` sets it."""

    call: Function = operator.call
    rewrite: Callable[[Function], Any] = lambda function: function


CALLS = Calls()


def _mapped(function: Function, operands: list[Any], count: int, dtypes: Any = None) -> list[Any]:
    """Return the results of a function for all parts of operands, stacked.

    The first part tells their shapes and dtypes, as in NumPy.
    """
    first = function(*[x[0] for x in operands])
    kinds = [as_tracer(y).dtype for y in first] if dtypes is None else dtypes
    types = [(as_tracer(y).shape, dtype) for y, dtype in zip(first, kinds, strict=True)]
    results = [CONSTRUCTORS[np.zeros]((count, *shape), dtype) for shape, dtype in types]
    CALLS.rewrite(fill)(results, function, operands, count)
    return results


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Function, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    x = as_tracer(arr)
    place = normal_axis(axis, x.ndim)
    lines = moveaxis(x, place, -1)
    before = lines.shape[:-1]
    if not np.prod(before, dtype=int):
        raise ShapeError(message(f"np.apply_along_axis: {x.type} has no line along axis {axis}"))
    count = math.prod(before)
    rows = reshape(lines, (count, lines.shape[-1]))
    (found,) = _mapped(lambda row: (nested_array(func1d(row, *args, **kwargs)),), [rows], count)
    made = found.shape[1:]
    whole = reshape(found, (*before, *made))
    source = [len(before) + i for i in range(len(made))]
    return moveaxis(whole, source, [place + i for i in range(len(made))]) if made else whole


# --- numpy.vectorize ------------------------------------------------------------------------------


def vectorized(vectorize: np.vectorize) -> Function:
    """Return what calls an instance of `np.vectorize`, whose function is traced once."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        if not contains_tracer([*args, *kwargs.values()]):
            return vectorize(*args, **kwargs)
        keys = [key for key in (*range(len(args)), *kwargs) if key not in vectorize.excluded]
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}

        def function(*parts: Any) -> tuple[Any, ...]:
            now = {**given, **dict(zip(keys, parts, strict=True))}
            made = CALLS.call(vectorize.pyfunc, *map(now.pop, range(len(args))), **now)
            return made if isinstance(made, tuple) else (made,)

        operands = [as_tracer(nested_array(given[key])) for key in keys]
        results = _broadcast(function, operands, vectorize.signature, vectorize.otypes)
        return results if len(results) > 1 else results[0]

    return apply


def _broadcast(
    function: Function, operands: list[Any], signature: str | None, otypes: str | None
) -> tuple[Any, ...]:
    """Call a function for all parts of operands, whose last axes are those of the signature."""
    ranks = [0] * len(operands) if signature is None else _core_ranks(signature)
    if len(ranks) != len(operands):
        raise DtypeError(
            message(f"np.vectorize: {len(operands)} arguments for the signature {signature}")
        )
    cores = [x.shape[x.ndim - rank :] for x, rank in zip(operands, ranks, strict=True)]
    shapes = [x.shape[: x.ndim - rank] for x, rank in zip(operands, ranks, strict=True)]
    shape = np.broadcast_shapes(*shapes)
    count = math.prod(shape)
    if not count and (otypes is None or signature is not None):
        raise ShapeError(message("np.vectorize of no elements", "", "give otypes= to say what of"))
    if not count:
        return tuple(as_tracer(np.zeros(shape, dtype)) for dtype in otypes or "")
    rows = [
        reshape(broadcast_to(x, (*shape, *core)), (count, *core))
        for x, core in zip(operands, cores, strict=True)
    ]
    found = _mapped(function, rows, count, otypes)
    return tuple(reshape(y, (*shape, *y.shape[1:])) for y in found)


def _core_ranks(signature: str) -> list[int]:
    """Return how many axes each argument has, such as 1 and 2 for `(n),(n,m)->()`."""
    groups = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
    return [len([name for name in group.split(",") if name.strip()]) for group in groups]


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
