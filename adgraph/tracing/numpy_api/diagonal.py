"""Functions of the diagonals and triangles of matrices: diag, trace, tril and their relatives.

A diagonal is a strided slice of the flattened matrix, so it is a view like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.types import Slice
from adgraph.ops import shape as ops
from adgraph.tracing.numpy_api.assembly import resize
from adgraph.tracing.numpy_api.choosing import writable
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.flat import write_flat
from adgraph.tracing.numpy_api.reduction import sum as sum_
from adgraph.tracing.numpy_api.shape import normal_axis, ravel, reshape, strong, transpose
from adgraph.tracing.numpy_api.table import implements, method, store
from adgraph.tracing.tracer import as_tracer


def _span(rows: int, columns: int, offset: int) -> Slice:
    """Return where a diagonal lies in the flattened matrix."""
    start = offset if offset >= 0 else -offset * columns
    size = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    return Slice.of(slice(start, start + size * (columns + 1), columns + 1), rows * columns)


@implements(np.diagonal)
@method("diagonal")
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x = as_tracer(a)
    if x.ndim < 2:
        raise ShapeError(message(f"a diagonal needs an array of two axes, found shape {x.shape}"))
    i, j = normal_axis(axis1, x.ndim), normal_axis(axis2, x.ndim)
    if i == j:
        raise ShapeError(message(f"a diagonal needs two different axes, found axis {i} twice"))
    rest = [k for k in range(x.ndim) if k not in (i, j)]
    last = transpose(x, (*rest, i, j))
    *batch, rows, columns = last.shape
    flat = reshape(last, (*batch, rows * columns))
    index = (*(Slice(0, n, 1) for n in batch), _span(rows, columns, int(offset)))
    result = ops.getitem(flat, index=index)
    result.writable = False
    return result


@implements(np.linalg.diagonal)
def diagonal_of_stack(x: Any, /, *, offset: int = 0) -> Any:
    return diagonal(x, offset, -2, -1)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    x = as_tracer(v)
    if x.ndim == 2:
        return strong(diagonal(x, k))
    if x.ndim != 1:
        raise ShapeError(message(f"np.diag takes one or two axes, found shape {x.shape}"))
    n = x.size + abs(k)
    flat = ops.place(x, index=(_span(n, n, int(k)),), shape=(n * n,))
    return reshape(flat, (n, n))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    return diag(ravel(v), k)


@implements(np.trace)
@method("trace")
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    result = sum_(diagonal(a, offset, axis1, axis2), -1, dtype)
    return store(result, out, "np.trace")


@implements(np.linalg.trace)
def trace_of_stack(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return trace(x, offset, -2, -1, dtype)


def _masked(m: Any, k: int, lower: bool) -> Any:
    x = as_tracer(m)
    if not x.ndim:
        raise ShapeError(message("np.tril and np.triu need an array with at least one axis"))
    rows, columns = x.shape[-2:] if x.ndim > 1 else (x.size, x.size)
    inside = np.tri(rows, columns, k if lower else k - 1, dtype=bool)
    mask = inside if lower else ~inside
    return np.where(mask, x, np.zeros((), x.dtype))


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    return _masked(m, k, True)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    return _masked(m, k, False)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write along the main diagonal; values are repeated as needed."""
    x = writable(a, "np.fill_diagonal")
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise ShapeError(
            message(
                f"np.fill_diagonal of an array of shape {x.shape}",
                "it needs a matrix, or an array with axes of one extent",
                "assign to the elements: a[i, i] = ...",
            )
        )
    positions = _diagonal_positions(x.shape, wrap)
    values = as_tracer(asarray(val))
    if values.size > 1:
        values = resize(ravel(values), (positions.size,))
    write_flat(x, positions, reshape(values, (-1,)))


def _diagonal_positions(shape: tuple[int, ...], wrap: bool) -> Any:
    """Return where NumPy writes in the flattened array."""
    where = np.zeros(shape, bool)
    np.fill_diagonal(where, True, wrap)
    return np.flatnonzero(where)
