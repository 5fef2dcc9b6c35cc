"""numpy.linalg: decompositions of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import MatrixError, message
from adgraph.ops import decompositions as ops
from adgraph.ops import eigenvalues
from adgraph.ops.constant import stop_gradient
from adgraph.tracing.numpy_api.linalg import conjugate, matrix
from adgraph.tracing.numpy_api.shape import matrix_transpose
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer

SVDResult = type(np.linalg.svd(np.eye(1)))
EighResult = type(np.linalg.eigh(np.eye(1)))
EigResult = type(np.linalg.eig(np.eye(1)))
QRResult = type(np.linalg.qr(np.eye(1)))


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x = matrix(a)
    if not upper:
        return ops.cholesky(x)
    return matrix_transpose(ops.cholesky(matrix_transpose(x)))


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  NumPy's name
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(message(f"UPLO={UPLO!r} names no triangle", "", 'write "L" or "U"'))
    x = matrix(a)
    if x.ndim < 2:
        raise np.linalg.LinAlgError(message(f"a matrix was expected, not shape {x.shape}"))
    return EighResult(*eigenvalues.EIGH[UPLO.upper() == "U"](x))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803
    return eigh(a, UPLO)[0]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """Results are complex, also where NumPy finds that all eigenvalues of a real matrix are real.

    Values and vectors are computed in double precision, as NumPy does.
    """
    x = matrix(a)
    values, vectors = eigenvalues.eig(_double(x))
    dtype = np.result_type(x.dtype, np.complex64)
    return EigResult(values.astype(dtype), _normalized(vectors).astype(dtype))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    return eig(a)[0]


def _double(x: Tracer) -> Any:
    return as_tracer(x, np.result_type(x.dtype, np.float64))


def _normalized(vectors: Any) -> Any:
    """Say how LAPACK has normalized eigenvectors: by length, the largest component being real."""
    if 0 in vectors.shape:
        return vectors
    length = np.sqrt(np.sum(np.square(np.abs(vectors)), axis=-2, keepdims=True))
    at = np.argmax(np.abs(np.real(vectors)), axis=-2)
    largest = np.take_along_axis(vectors, np.expand_dims(at, -2), axis=-2)
    phase = largest / np.abs(largest)
    return vectors * (stop_gradient(phase) / phase / length)


@implements(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    x = matrix(a)
    check_matrices("np.linalg.svd", x)
    if hermitian:
        return _hermitian_svd(x, compute_uv)
    if not compute_uv:
        return ops.SVD[False](x)[1]
    return SVDResult(*ops.SVD[full_matrices and x.shape[-1] != x.shape[-2]](x))


def _hermitian_svd(x: Tracer, compute_uv: bool) -> Any:
    """The sign of an eigenvalue goes to the right vector."""
    values, vectors = eigenvalues.EIGH[False](x)
    size = np.abs(values)
    if not compute_uv:
        return np.sort(size, axis=-1)[..., ::-1]
    order = np.argsort(size, axis=-1)[..., ::-1]
    sign, size = (np.take_along_axis(v, order, axis=-1) for v in (np.sign(values), size))
    left = np.take_along_axis(vectors, order[..., None, :], axis=-1)
    return SVDResult(left, size, conjugate(matrix_transpose(left * sign[..., None, :])))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


def check_matrices(name: str, x: Tracer) -> None:
    """Refuse what is no stack of matrices."""
    if x.ndim < 2:
        raise MatrixError(
            message(f"{name} of an array of shape {x.shape}", "a matrix has at least two axes")
        )


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(message(f"np.linalg.qr: {mode!r} is no mode"))
    x: Any = matrix(a)
    check_matrices("np.linalg.qr", x)
    if mode == "raw":
        packed, factors = ops.qr_raw(x)
        return matrix_transpose(packed), conjugate(factors)
    rows, columns = x.shape[-2:]
    first = x if columns <= rows else x[..., :rows]
    q, r = ops.qr(first, complete=mode == "complete" and rows > columns)
    if columns > rows:
        rest = np.matmul(conjugate(matrix_transpose(q)), x[..., rows:])
        r = np.concatenate([r, rest], axis=-1)
    return r if mode == "r" else QRResult(q, r)
