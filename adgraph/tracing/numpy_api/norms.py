"""numpy.linalg: norms, condition and rank of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import MatrixError, ShapeError, message
from adgraph.ops.reduction import root
from adgraph.ops.reduction import unit as unit_shape
from adgraph.ops.solves import check_square
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.decompositions import check_matrices, svd
from adgraph.tracing.numpy_api.linalg import inv, matrix
from adgraph.tracing.numpy_api.shape import (
    moveaxis,
    normal_axes,
    normal_axis,
    reshape,
    transpose,
)
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The derivative of a vector norm or Frobenius norm at zero is 0 by convention."""
    a = matrix(x)
    if axis is None:
        if ord is not None and a.ndim not in (1, 2):
            raise ShapeError(
                message(f"np.linalg.norm with ord={ord!r} of an array of shape {a.shape}")
            )
        axes = tuple(range(a.ndim))
    else:
        given = axis if isinstance(axis, tuple) else (axis,)
        if len(given) > 2:
            raise ShapeError(message(f"np.linalg.norm: axis={axis} names more than two axes"))
        if len(given) == 1 and isinstance(ord, str):
            raise _no_order(ord)
        axes = tuple(normal_axis(i, a.ndim) for i in given)
    if ord is None or (len(axes) == 1 and ord == 2) or (len(axes) == 2 and ord in ("fro", "f")):
        return root(reduction.sum(_squared_size(a), axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(a, ord, axes, keepdims)
    return _matrix_norm(a, ord, axes, keepdims)


def _squared_size(x: Tracer) -> Any:
    return np.square(np.abs(x)) if x.dtype.kind == "c" else x * x


def _vector_norm(x: Tracer, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(order, str):
        raise _no_order(order)
    size = np.abs(x)
    if order == math.inf:
        return _largest(size, axes, keepdims)
    if order == -math.inf:
        return reduction.min(size, axes, keepdims=keepdims)
    if order == 0:
        return as_tracer(reduction.count_nonzero(x, axes, keepdims=keepdims), size.dtype)
    if order == 1:
        return reduction.sum(size, axes, keepdims=keepdims)
    total = reduction.sum(np.power(size, order), axes, keepdims=keepdims)
    if order < 0:
        return np.power(total, 1.0 / order)
    none = total == 0
    return np.where(none, 0, np.power(np.where(none, 1, total), 1.0 / order))


def _no_order(order: str) -> ShapeError:
    return ShapeError(message(f"np.linalg.norm: ord={order!r} is no order of a vector norm"))


def _matrix_norm(x: Tracer, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    rows, columns = axes
    if rows == columns:
        raise ShapeError(message("np.linalg.norm: a matrix norm needs two different axes"))
    if order in (2, -2, "nuc"):
        result = _spectral_norm(svd(moveaxis(x, axes, (-2, -1)), compute_uv=False), order)
        return np.expand_dims(result, axes) if keepdims else result
    if order not in (1, -1, math.inf, -math.inf):
        raise ShapeError(message(f"np.linalg.norm: ord={order!r} is no order of a matrix norm"))
    first, second = (rows, columns) if abs(order) == 1 else (columns, rows)
    sums = reduction.sum(np.abs(x), first, keepdims=True)
    result = _largest(sums, second) if order > 0 else reduction.min(sums, second, keepdims=True)
    return result if keepdims else np.squeeze(result, axis=axes)


def _largest(size: Any, axes: Any, keepdims: bool = True) -> Any:
    """Return the largest of numbers that are not negative; of none it is 0."""
    initial = {} if size.size else {"initial": 0.0}
    return reduction.max(size, axes, keepdims=keepdims, **initial)


def _spectral_norm(values: Any, order: Any) -> Any:
    if order == "nuc":
        return np.sum(values, axis=-1)
    return _largest(values, -1, keepdims=False) if order == 2 else np.min(values, axis=-1)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    a = as_tracer(x)
    axes = normal_axes(axis, a.ndim)
    rest = [i for i in range(a.ndim) if i not in axes]
    turned = transpose(a, (*rest, *axes))
    flat = reshape(turned, (*(a.shape[i] for i in rest), math.prod(a.shape[i] for i in axes)))
    result = norm(flat, ord, -1)
    return reshape(result, unit_shape(a.shape, axes)) if keepdims else result


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Of a norm other than 2, by the inverse: an exactly singular matrix is an error there."""
    a = matrix(x)
    check_matrices("np.linalg.cond", a)
    if 0 in a.shape[-2:]:
        raise MatrixError(message("np.linalg.cond of an empty matrix is not defined"))
    if p is None or p in (2, -2):
        values = svd(a, compute_uv=False)
        first, last = values[..., 0], values[..., -1]
        ratio = last / first if p == -2 else first / last
    else:
        check_square("np.linalg.cond", a.type)
        ratio = norm(a, p, (-2, -1)) * norm(inv(a), p, (-2, -1))
    undefined = np.isnan(ratio) & ~np.any(np.isnan(a), axis=(-2, -1))
    return np.where(undefined, np.inf, ratio)


@implements(np.linalg.matrix_rank, differentiable=False)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:  # noqa: N803
    if tol is not None and rtol is not None:
        raise ValueError(message("np.linalg.matrix_rank takes tol= or rtol=, not both"))
    x = matrix(A)
    if x.ndim < 2:
        return as_tracer(np.any(x != 0), np.int64)
    values = svd(x, compute_uv=False, hermitian=hermitian)
    if tol is None:
        share = max(x.shape[-2:]) * np.finfo(x.dtype).eps if rtol is None else _column(rtol)
        limit = _largest(values, -1) * share
    else:
        limit = _column(tol)
    return np.count_nonzero(values > limit, axis=-1)


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)
