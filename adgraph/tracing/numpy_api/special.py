"""The functions of `scipy.special` that are written in Python: softmax and its relatives.

NumPy cannot dispatch on them, so they are met in rewritten calls, like the constructors. Each one
records a program of NumPy functions; a call without traced arguments is SciPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, TracingError, message
from adgraph.ops.constant import stop_gradient
from adgraph.ops.scipy_special import special
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.creation import constructs, contains_tracer, nested_array
from adgraph.tracing.numpy_api.reduction import Axis
from adgraph.tracing.numpy_api.shape import strong
from adgraph.tracing.numpy_api.table import refuse
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype


def records(original: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function for calls of a SciPy function with traced arguments."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        @constructs(original)
        def apply(*args: Any, **kwargs: Any) -> Any:
            traced = contains_tracer((*args, *kwargs.values()))
            return function(*args, **kwargs) if traced else original(*args, **kwargs)

        return function

    return enter


@records(special.logsumexp)
def logsumexp(
    a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    refuse("scipy.special.logsumexp", return_sign=return_sign)
    x = _real(a, "logsumexp")
    return reduction.logsumexp(x if b is None else _weighted(x, b), axis, keepdims=keepdims)


@records(special.softmax)
def softmax(x: Any, axis: Axis = None) -> Any:
    x = _real(x, "softmax")
    powers = np.exp(x - stop_gradient(np.max(x, axis, keepdims=True)))
    return powers / np.sum(powers, axis, keepdims=True)


@records(special.log_softmax)
def log_softmax(x: Any, axis: Axis = None) -> Any:
    x = _real(x, "log_softmax")
    largest = np.max(x, axis, keepdims=True)
    shifted = x - stop_gradient(np.where(np.isfinite(largest), largest, np.zeros((), x.dtype)))
    return shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True))


def _real(x: Any, name: str) -> Tracer:
    """Return an argument as a traced array, which has an order only if it is real."""
    array = strong(as_tracer(nested_array(x)))
    if array.dtype.kind == "c":
        raise DtypeError(
            message(
                f"scipy.special.{name} was called with a complex array {array.type}",
                "the shift by the largest element is programmed for real arrays",
                "write it with np.exp, np.sum and np.log",
            )
        )
    return array


def _weighted(x: Tracer, b: Any) -> Any:
    """Move weights into the exponent; an element of weight 0 adds nothing, even if infinite."""
    if contains_tracer([b]) or np.iscomplexobj(b) or np.any(np.asarray(b) < 0):
        raise TracingError(
            message(
                "scipy.special.logsumexp was called with traced, complex or negative weights b=",
                "known weights that are not negative can be moved into the exponent",
                "for positive weights write logsumexp(a + np.log(b)); "
                "for others np.log(np.sum(b * np.exp(a)))",
            )
        )
    weights = np.asarray(b)
    common = result_dtype(x, weights if np.ndim(b) else b)
    dtype = common if common.kind == "f" else np.dtype(float)
    used = weights != 0
    logarithm = np.log(np.where(used, weights, 1).astype(dtype))
    return np.where(used, as_tracer(x, dtype) + logarithm, as_tracer(-np.inf, dtype))
