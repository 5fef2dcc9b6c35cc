"""Products of matrices and numpy.linalg."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops import linalg as ops
from adgraph.tracing.numpy_api.shape import reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer, result_dtype


@implements(np.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    dtype = result_dtype(x1, x2)
    a, b = as_tracer(x1, dtype), as_tracer(x2, dtype)
    if not a.shape or not b.shape:
        raise ShapeError(message("matmul: operands must have at least one axis", "", "use *"))
    left = reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    right = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    product = ops.matmul(left, right)
    shape = product.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = (*shape[:-2], *shape[-1:]) if b.ndim > 1 else shape[:-1]
    return reshape(product, shape)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = as_tracer(a), as_tracer(b)
    if not x.shape or not y.shape:
        return x * y
    if x.ndim <= 2 and y.ndim <= 2:
        return matmul(x, y)
    return np.tensordot(x, y, axes=(-1, max(y.ndim - 2, 0)))  # type: ignore[call-overload]
