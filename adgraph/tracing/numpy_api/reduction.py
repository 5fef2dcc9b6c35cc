"""Folds over axes and what is made of them: sum, mean, var, max and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops import reduction as ops
from adgraph.tracing.numpy_api.shape import normal_axes, reshape
from adgraph.tracing.numpy_api.table import implements, method, ufunc_method
from adgraph.tracing.tracer import Tracer, as_tracer


def fold(op: Op, x: Tracer, axis: Any, keepdims: bool) -> Any:
    """Apply a folding op over `axis=`, and keep the axes with extent one if asked."""
    axes = normal_axes(axis, x.ndim)
    result = op(x, axis=axes) if axes else x
    return reshape(result, ops.unit(x.shape, axes)) if keepdims else result


def _sum_dtype(x: Tracer, dtype: Any) -> Any:
    """NumPy sums bools and small integers in the machine's integer."""
    if dtype is not None:
        return np.dtype(dtype)
    small = x.dtype.kind in "bi" and x.dtype.itemsize < 8
    if small:
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if x.dtype.kind == "u" else x.dtype


@implements(np.sum)
@method("sum")
@ufunc_method(np.add, "reduce")
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = 0,
    where: Any = True,
) -> Any:
    x = as_tracer(a)
    x = as_tracer(x, _sum_dtype(x, dtype))
    if where is not True:
        x = np.where(where, x, np.zeros((), x.dtype))  # type: ignore[assignment]
    result = fold(ops.reduce_sum, x, axis, keepdims)
    return result if initial is None or initial == 0 else result + initial


@implements(np.mean)
@method("mean")
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    x = as_tracer(a)
    wide = dtype or (x.dtype if x.dtype.kind in "fc" else np.float64)
    axes = normal_axes(axis, x.ndim)
    count = 1
    for i in axes:
        count *= x.shape[i]
    return sum(x, axes, wide, None, keepdims) / (count or np.nan)
