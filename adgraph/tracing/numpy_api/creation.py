"""Constructors: what NumPy cannot dispatch on, met in rewritten calls.

Inside a trace an array made by a constructor must be able to take traced elements later, so the
constructors of writable arrays give tracers of constants. `CONSTRUCTORS` maps the NumPy functions
to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.op import type_of
from adgraph.tracing.numpy_api.shape import copy, shape_tuple, stack
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

CONSTRUCTORS: dict[Callable[..., Any], Callable[..., Any]] = {}


def constructs(*callables: Callable[..., Any]) -> Callable[[Any], Any]:
    """Enter the decorated function for NumPy constructors."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        CONSTRUCTORS.update(dict.fromkeys(callables, function))
        return function

    return enter


def nested_array(x: Any, dtype: Any = None) -> Any:
    """Return nested sequences with traced elements as one traced array."""
    if isinstance(x, Tracer):
        return x
    if isinstance(x, (list, tuple)) and contains_tracer(x):
        parts = [nested_array(item) for item in x]
        if len({type_of(p).shape for p in parts}) > 1:
            shapes = ", ".join(str(type_of(p).shape) for p in parts)
            raise ShapeError(
                message(
                    f"np.array of elements with shapes {shapes} is ragged",
                    "an array needs elements of one shape",
                    "pad them, or keep a list of arrays",
                )
            )
        common = result_dtype(*parts)
        return stack([as_tracer(p, common) for p in parts])
    return np.asarray(x, dtype)


def contains_tracer(x: Any) -> bool:
    """Tell whether a nested sequence has a traced element."""
    if isinstance(x, (list, tuple)):
        return any(map(contains_tracer, x))
    return isinstance(x, Tracer)


@constructs(np.array)
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
) -> Any:
    x = as_tracer(nested_array(object, dtype), dtype)
    fresh = _fresh(x) if copy else x
    return fresh[(None,) * (ndmin - x.ndim)] if ndmin > x.ndim else fresh


def _fresh(x: Tracer) -> Tracer:
    result: Tracer = copy(x)
    result.weak = None
    return result


@constructs(np.asarray, np.ascontiguousarray, np.asanyarray, np.asarray_chkfinite)
@implements(np.asarray)
def asarray(a: Any, dtype: Any = None, order: Any = None, **_: Any) -> Any:
    x = nested_array(a, dtype)
    if not isinstance(x, Tracer):
        return x
    return as_tracer(x, dtype) if x.weak is None else _fresh(as_tracer(x, dtype))


@constructs(np.zeros, np.empty, np.ndarray)
def zeros(shape: Any, dtype: Any = float, order: str = "C", **_: Any) -> Any:
    return full(shape, 0, dtype)


@constructs(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    return full(shape, 1, dtype or float)


@constructs(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    value = as_tracer(nested_array(fill_value, dtype), dtype)
    spread = np.broadcast_to(value, shape_tuple(shape))  # type: ignore[call-overload]
    return _fresh(spread)


@constructs(np.eye)
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float, **_: Any) -> Any:
    return as_tracer(np.eye(N, M, k, dtype))


@constructs(np.identity)
def identity(n: int, dtype: Any = float, **_: Any) -> Any:
    return as_tracer(np.identity(n, dtype))


@implements(np.zeros_like, np.empty_like)
@constructs(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Any:
    return full_like(a, 0, dtype, shape=shape)


@implements(np.ones_like)
@constructs(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Any:
    return full_like(a, 1, dtype, shape=shape)


@implements(np.full_like)
@constructs(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Any:
    like = type_of(nested_array(a))
    extents = like.shape if shape is None else shape_tuple(shape)
    return full(extents, fill_value, dtype or like.dtype)
