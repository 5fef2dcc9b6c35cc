"""Reductions that leave out nan. Elements that are no floats have none: NumPy's plain functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ops import reduction as ops
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.reduction import Axis
from adgraph.tracing.numpy_api.table import implements, store
from adgraph.tracing.tracer import Tracer, as_tracer


def _has_nan(x: Tracer) -> bool:
    return x.dtype.kind in "fc"


def _replaced(x: Tracer, otherwise: Any) -> Tracer:
    """Put a neutral number in the place of nan."""
    if not _has_nan(x):
        return x
    return as_tracer(np.where(np.isnan(x), as_tracer(otherwise, x.dtype), x))


# --- sums -----------------------------------------------------------------------------------------


@implements(np.nansum)
def nansum(a: Any, axis: Axis = None, *args: Any, **kwargs: Any) -> Any:
    return reduction.sum(_replaced(as_tracer(a), 0), axis, *args, **kwargs)


@implements(np.nanprod)
def nanprod(a: Any, axis: Axis = None, *args: Any, **kwargs: Any) -> Any:
    return reduction.prod(_replaced(as_tracer(a), 1), axis, *args, **kwargs)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    return reduction.cumsum(_replaced(as_tracer(a), 0), axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    return reduction.cumprod(_replaced(as_tracer(a), 1), axis, dtype, out)


# --- extrema --------------------------------------------------------------------------------------


def _extremum(name: str, plain: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """Where all elements are nan the result is nan, without a derivative."""

    def extremum(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = as_tracer(a)
        found = plain(_replaced(x, neutral), axis, None, keepdims, initial, where)
        if _has_nan(x) and initial is None:
            only_nan = reduction.all(np.isnan(x), axis, None, keepdims)
            found = np.where(only_nan, as_tracer(math.nan, x.dtype), found)
        return store(found, out, f"np.{name}")

    return extremum


nanmax = implements(np.nanmax)(_extremum("nanmax", reduction.max, -math.inf))
nanmin = implements(np.nanmin)(_extremum("nanmin", reduction.min, math.inf))


def _position(name: str, plain: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """Where all elements are nan there is no position: an error when the program runs."""

    def position(
        a: Any, axis: int | None = None, out: Any = None, *, keepdims: bool = False
    ) -> Any:
        x = as_tracer(a)
        found = plain(_replaced(x, neutral), axis, None, keepdims=keepdims)
        if _has_nan(x):
            some = reduction.any(~np.isnan(x), axis, None, keepdims)
            found = ops.nonempty(found, some, name=f"np.{name} without nan")
        return store(found, out, f"np.{name}")

    return position


_enter = implements(np.nanargmax, differentiable=False)
nanargmax = _enter(_position("nanargmax", reduction.argmax, -math.inf))
_enter = implements(np.nanargmin, differentiable=False)
nanargmin = _enter(_position("nanargmin", reduction.argmin, math.inf))


# --- means and deviations -------------------------------------------------------------------------


def _numbers(x: Tracer, where: Any) -> Any:
    """Return what `where=` selects and is a number."""
    if not _has_nan(x):
        return where
    real = ~np.isnan(x)
    return real if where is True else real & as_tracer(where, bool)


@implements(np.nanmean)
def nanmean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = True,
) -> Any:
    x = as_tracer(a)
    return reduction.mean(x, axis, dtype, out, keepdims, where=_numbers(x, where))


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Where there are no more numbers than degrees of freedom the result is nan."""
    x = as_tracer(a)
    chosen = _numbers(x, where)
    freedom = reduction.freedom("np.nanvar", ddof, correction)
    centre = mean if mean is None else as_tracer(mean)
    result = reduction.var(
        _replaced(x, 0), axis, dtype, None, freedom, keepdims, where=chosen, mean=centre
    )
    if _has_nan(x):
        enough = reduction.number_of(x, axis, chosen, keepdims) > freedom
        result = np.where(enough, result, as_tracer(math.nan, result.dtype))
    return store(result, out, "np.nanvar")


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    found = nanvar(
        a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction
    )
    return store(ops.root(found), out, "np.nanstd")
