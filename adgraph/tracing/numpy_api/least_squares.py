"""numpy.linalg: pseudoinverses and least squares, by singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import MatrixError, message
from adgraph.ops import decompositions, eigenvalues
from adgraph.ops import least_squares as ops
from adgraph.ops.constant import stop_gradient
from adgraph.ops.matrix_functions import pinv as ops_pinv
from adgraph.tracing.numpy_api.decompositions import check_matrices, svd
from adgraph.tracing.numpy_api.linalg import conjugate, float_dtype, matrix
from adgraph.tracing.numpy_api.shape import matrix_transpose, reshape
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import as_tracer

_UNSET: Any = object()


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _UNSET) -> Any:
    x = matrix(a)
    check_matrices("np.linalg.pinv", x)
    if rcond is not None and rtol is not _UNSET:
        raise ValueError(message("np.linalg.pinv takes rcond= or rtol=, not both"))
    if rcond is None:
        rcond = 1e-15 if rtol is _UNSET else rtol
    if rcond is None:
        rcond = max(x.shape[-2:]) * np.finfo(x.dtype).eps
    if hermitian:
        x = eigenvalues.hermitian(x)
    return _pseudoinverse(x, rcond, hermitian)


def _pseudoinverse(x: Any, rcond: Any, hermitian: bool) -> Any:
    left, size, right = svd(stop_gradient(x), full_matrices=False, hermitian=hermitian)
    inverse, _ = _inverted(size, rcond)
    product = np.matmul(
        conjugate(matrix_transpose(right)),
        inverse[..., None] * conjugate(matrix_transpose(left)),
    )
    return ops_pinv(x, product)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution of least norm; residuals are computed where m > n, whatever the rank."""
    dtype = float_dtype(a, b)
    x, right_side = as_tracer(a, dtype), as_tracer(b, dtype)
    columns = reshape(right_side, (-1, 1)) if right_side.ndim == 1 else right_side
    if x.ndim != 2 or columns.ndim != 2 or columns.shape[0] != x.shape[0]:
        raise MatrixError(
            message(
                f"np.linalg.lstsq: arrays of shapes {x.shape} and {right_side.shape} do not fit",
                "it takes one matrix, and a vector or matrix with as many rows",
            )
        )
    share = np.finfo(dtype).eps * max(x.shape) if rcond is None else rcond
    fixed, values = stop_gradient(x), stop_gradient(columns)
    left, size, right, turned = _factors(fixed, values)
    inverse, large = _inverted(size, share)
    v = conjugate(matrix_transpose(right))
    product = inverse[:, None] * np.matmul(conjugate(matrix_transpose(left)), turned)
    found = ops.least_squares(x, np.matmul(v, product), columns, v, inverse)
    misfit = np.sum(np.square(np.abs(np.matmul(x, found) - columns)), axis=0)
    residuals = misfit if x.shape[0] > x.shape[1] else as_tracer(np.zeros(0, misfit.dtype))
    rank = as_tracer(np.count_nonzero(large), np.int32)
    solution = reshape(found, (x.shape[1],)) if right_side.ndim == 1 else found
    return solution, residuals, rank, svd(x, compute_uv=False)


def _factors(x: Any, columns: Any) -> tuple[Any, Any, Any, Any]:
    """Return the SVD of a matrix with the same right singular vectors, and what is solved for.

    Of more rows than columns it is R; R of both matrices side by side has Q^H times the second one.
    """
    n = x.shape[1]
    if x.shape[0] <= n:
        return *svd(x, full_matrices=False), columns
    _, upper = decompositions.qr(np.concatenate([x, columns], axis=1), complete=False)
    return *svd(upper[:n, :n]), upper[:n, n:]


def _inverted(size: Any, share: Any) -> tuple[Any, Any]:
    """Return the inverses of singular values, 0 for those that are too small, and which are not."""
    large = size > np.expand_dims(share, -1) * size[..., :1]
    return np.where(large, 1 / np.where(large, size, 1), 0).astype(size.dtype), large
