"""Decompositions of matrices, over stacks, real and complex: Cholesky, QR, SVD.

Their derivatives follow Giles, Collected Matrix Derivative Results for Forward and Reverse Mode,
2008, and for complex matrices Wan & Zhang, arXiv:1909.02659, in JAX's convention: cotangents are
not conjugated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.ir.code import Routine
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops.gufuncs import Loop, gufunc, same_batch
from adgraph.ops.linalg import swap
from adgraph.ops.pairs import of_pairs
from adgraph.ops.solves import (
    LINALG,
    Types,
    adjoint,
    check_square,
    conjugate,
    cubic,
    stack_sizes,
    triangular_solve,
)


def diagonals(x: Any) -> Any:
    """Return the diagonals of stacked matrices."""
    return np.diagonal(x, axis1=-2, axis2=-1)


# --- cholesky: the lower factor; only the lower triangle of a is read -----------------------------
# Derivatives: Murray, Differentiation of the Cholesky decomposition (2016), equations 8 and 10. The
# matrix differentiated is the Hermitian one of the lower triangle, so the cotangent is lower too.


def _half_lower(x: Any) -> Any:
    """Murray's phi: the lower triangle with its diagonal halved."""
    n = x.shape[-1]
    return x * (np.tri(n, dtype=x.real.dtype) - np.eye(n, dtype=x.real.dtype) / 2)


def _cholesky_jvp(tangents: tuple[Any], y: Any, a: Any) -> Any:
    half = _half_lower(tangents[0])
    da = half + adjoint(half)
    left = triangular_solve(y, da, lower=True, transposed=False)
    both = triangular_solve(conjugate(y), left, lower=True, transposed=True, right=True)
    return y @ _half_lower(both)


def _cholesky_vjp(ct: Any, y: Any, a: Any) -> tuple[Any]:
    inner = _half_lower(adjoint(y) @ np.tril(conjugate(ct)))
    left = triangular_solve(conjugate(y), inner, lower=True, transposed=True)
    both = triangular_solve(y, left, lower=True, transposed=False, right=True)
    return (conjugate(_half_lower(both + adjoint(both))),)


def _cholesky_type(a: ArrayType) -> ArrayType:
    check_square("a Cholesky factorization", a)
    return a


CHOLESKY = Routine("cholesky", stack_sizes)

cholesky: Op = register(
    Op(
        name="cholesky",
        kind=Kind.LIBRARY,
        evaluate=np.linalg.cholesky,
        infer=_cholesky_type,
        jvp=_cholesky_jvp,
        vjp=_cholesky_vjp,
        batch=same_batch(lambda: cholesky),
        parts=of_pairs(
            "cholesky", "D->D", CHOLESKY, np.linalg.cholesky, _cholesky_type, cubic(1 / 3)
        ),
        flops=cubic(1 / 3),
        code=CHOLESKY,
    )
)


# --- qr: of matrices with at least as many rows as columns, where it is differentiated ------------
# The diagonal of R is real. Of `complete`, the columns beyond those of the matrix turn as little as
# orthogonality allows. Derivatives: Walter & Lehmann, Algorithmic Differentiation of Linear Algebra
# Functions (2010); Roberts & Roberts, arXiv:2009.10071.

QR_BLOCK = 32  # scratch of `adgraph.lower.lapack.qr`, in rows


def _qr_type(a: ArrayType, *, complete: bool) -> Types:
    *stack, m, n = a.shape
    columns = m if complete else min(m, n)
    return a.with_shape((*stack, m, columns)), a.with_shape((*stack, columns, n))


def _qr(a: Any, *, complete: bool) -> tuple[Any, Any]:
    q, r = np.linalg.qr(a, "complete" if complete else "reduced")
    return q, r


def _qr_jvp(tangents: tuple[Any], y: tuple[Any, Any], a: Any, *, complete: bool) -> tuple[Any, Any]:
    q, r = y
    n = r.shape[-1]
    first, square = q[..., :, :n], r[..., :n, :]
    scaled = triangular_solve(square, tangents[0], lower=False, transposed=False, right=True)
    turned = adjoint(first) @ scaled
    strict = np.tril(turned, -1)
    skew = strict - adjoint(strict)
    if a.dtype.kind == "c":
        skew = skew + _phases(turned)
    dr = (turned - skew) @ square
    below = np.zeros((*r.shape[:-2], r.shape[-2] - n, n), r.dtype)
    dq = _completed(q, first @ (skew - turned) + scaled, n)
    return dq, np.concatenate([dr, below], axis=-2) if complete else dr


def _qr_vjp(cts: tuple[Any, Any], y: tuple[Any, Any], a: Any, *, complete: bool) -> tuple[Any]:
    q, r = y
    ct_q, ct_r = cts
    n = r.shape[-1]
    first, square = q[..., :, :n], r[..., :n, :]
    inner: Any = 0.0 if ct_r is None else conjugate(ct_r)[..., :n, :] @ adjoint(square)
    gradient: Any = None
    if ct_q is not None:
        gradient = _of_first(q, conjugate(ct_q), n)
        inner = inner - adjoint(first) @ gradient
    upper = np.triu(inner)
    diagonal = 0.5 * (upper + adjoint(upper)) * np.eye(n, dtype=upper.real.dtype)
    total = first @ (upper + adjoint(upper) - diagonal)
    if gradient is not None:
        total = total + gradient
    scaled = triangular_solve(conjugate(square), total, lower=False, transposed=True, right=True)
    return (conjugate(scaled),)


def _qr_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """Return batch, m, n and how many columns Q has."""
    *stack, m, n = types[0].shape
    return math.prod(stack), m, n, m if attrs["complete"] else min(m, n)


def _qr_scratch(types: Types, attrs: Mapping[str, Any]) -> Types:
    *_, m, n = types[0].shape
    shapes = ((m, n), (min(m, n),), (QR_BLOCK * max(m, n, 1),))
    return tuple(types[0].with_shape(shape) for shape in shapes)


def _qr_flops(a: ArrayType, *, complete: bool) -> float:
    return float(4 * a.size * a.shape[-2 if complete else -1])


def _only_r(used: tuple[bool, bool], a: Any, *, complete: bool) -> Any:
    """R alone, without Q."""
    if used[0]:
        return None
    *_, m, n = a.shape
    packed, _ = qr_raw(a)
    return None, np.triu(packed if complete else packed[..., : min(m, n), :])


QR = Routine("qr", _qr_sizes, _qr_scratch)

qr: Op = register(
    Op(
        name="qr",
        kind=Kind.LIBRARY,
        evaluate=_qr,
        infer=_qr_type,
        jvp=_qr_jvp,
        vjp=_qr_vjp,
        batch=same_batch(lambda: qr),
        fewer=_only_r,
        parts=of_pairs("qr", "D->DD", QR, _qr, _qr_type, _qr_flops),
        flops=_qr_flops,
        code=QR,
    )
)


# --- qr_raw: what LAPACK leaves of a^T = R^T Q^T, and factors of reflectors; without derivatives --


def _qr_raw_type(a: ArrayType) -> Types:
    return a, a.with_shape((*a.shape[:-2], min(a.shape[-2:])))


def _qr_raw(a: Any) -> tuple[Any, Any]:
    packed, factors = np.linalg.qr(a, "raw")
    return swap(packed), conjugate(factors)


def _qr_raw_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    *stack, m, n = types[0].shape
    return math.prod(stack), m, n


def _qr_raw_flops(a: ArrayType) -> float:
    return _qr_flops(a, complete=False) / 2


QR_RAW = Routine("qr_raw", _qr_raw_sizes, lambda types, attrs: _qr_scratch(types, attrs)[2:])

qr_raw: Op = register(
    Op(
        name="qr_raw",
        kind=Kind.LIBRARY,
        evaluate=_qr_raw,
        infer=_qr_raw_type,
        batch=same_batch(lambda: qr_raw),
        parts=of_pairs("qr_raw", "D->DD", QR_RAW, _qr_raw, _qr_raw_type, _qr_raw_flops),
        flops=_qr_raw_flops,
        code=QR_RAW,
    )
)


# --- svd: singular vectors of equal singular values do not turn among themselves ------------------
# A change of phase of a pair of complex vectors is given to the left one. Of `full_matrices`, the
# vectors beyond the singular values turn as little as orthogonality allows.


def _svd_types(a: ArrayType, *, full: bool) -> tuple[ArrayType, ArrayType, ArrayType]:
    *stack, m, n = a.shape
    k = min(m, n)
    real = np.zeros((), a.dtype).real.dtype
    rows, columns = (m, n) if full else (k, k)
    left, right = a.with_shape((*stack, m, rows)), a.with_shape((*stack, columns, n))
    return left, ArrayType(real, (*stack, k)), right


def _svd(a: Any, *, full: bool) -> tuple[Any, Any, Any]:
    left, values, right = np.linalg.svd(a, full_matrices=full)
    return left, values, right


def _inverse(s: Any) -> Any:
    """Return 1 / s, and 0 for 0."""
    zero = s == 0
    return np.where(zero, 0.0, 1.0 / np.where(zero, 1.0, s))


def _off_diagonal(s: Any) -> Any:
    """Return 1 / (s[j]**2 - s[i]**2), and 0 where the two are equal."""
    return _inverse((s[..., None, :] - s[..., :, None]) * (s[..., None, :] + s[..., :, None]))


def _phases(x: Any) -> Any:
    """Return the imaginary part of a diagonal as a diagonal matrix, times i."""
    return 0.5 * (x - adjoint(x)) * np.eye(x.shape[-1], dtype=x.real.dtype)


def _svd_jvp(tangents: tuple[Any], y: tuple[Any, Any, Any], a: Any) -> tuple[Any, Any, Any]:
    da = tangents[0]
    whole_u, s, whole_vh = y
    k = s.shape[-1]
    u, v = whole_u[..., :, :k], adjoint(whole_vh[..., :k, :])
    row, column = s[..., None, :], s[..., :, None]
    turned = adjoint(u) @ da @ v
    others, inverse = _off_diagonal(s), _inverse(s)[..., None, :]
    du = u @ (others * (turned * row + column * adjoint(turned)))
    dv = v @ (others * (column * turned + adjoint(turned) * row))
    if a.dtype.kind == "c":
        du = du + u @ (_phases(turned) * inverse)
    du = du + _beyond(u, da @ v) * inverse
    dv = dv + _beyond(v, adjoint(da) @ u) * inverse
    ds = np.real(diagonals(turned))
    return _completed(whole_u, du, k), ds, adjoint(_completed(adjoint(whole_vh), dv, k))


def _beyond(u: Any, x: Any) -> Any:
    """Return the part of x that is orthogonal to the columns of u."""
    return x - u @ (adjoint(u) @ x)


def _completed(u: Any, du: Any, k: int) -> Any:
    """Add the tangents of the columns beyond the first k."""
    if u.shape[-1] == k:
        return du
    first, rest = u[..., :, :k], u[..., :, k:]
    return np.concatenate([du, -(first @ (adjoint(du) @ rest))], axis=-1)


def _svd_vjp(cts: tuple[Any, Any, Any], y: tuple[Any, Any, Any], a: Any) -> tuple[Any]:
    whole_u, s, whole_vh = y
    ct_u, ct_s, ct_vh = cts
    k = s.shape[-1]
    u, v = whole_u[..., :, :k], adjoint(whole_vh[..., :k, :])
    eye = np.eye(k, dtype=s.dtype)
    inner: Any = 0.0 if ct_s is None else ct_s[..., None, :] * eye
    others, inverse = _off_diagonal(s), _inverse(s)
    outside: Any = None
    if ct_u is not None:
        gradient = _of_first(whole_u, conjugate(ct_u), k)
        turned = adjoint(u) @ gradient
        inner = inner + others * (turned - adjoint(turned)) * s[..., None, :]
        if a.dtype.kind == "c":
            inner = inner + _phases(turned) * inverse[..., None, :]
        outside = (_beyond(u, gradient) * inverse[..., None, :]) @ adjoint(v)
    if ct_vh is not None:
        gradient = _of_first(adjoint(whole_vh), swap(ct_vh), k)
        turned = adjoint(v) @ gradient
        inner = inner + s[..., :, None] * (others * (turned - adjoint(turned)))
        more = u @ adjoint(_beyond(v, gradient) * inverse[..., None, :])
        outside = more if outside is None else outside + more
    total = u @ inner @ adjoint(v)
    return (conjugate(total if outside is None else total + outside),)


def _of_first(u: Any, gradient: Any, k: int) -> Any:
    """Return the gradient of the first k columns, of which the others are a function."""
    if u.shape[-1] == k:
        return gradient
    first, rest = u[..., :, :k], u[..., :, k:]
    return gradient[..., :, :k] - rest @ (adjoint(gradient[..., :, k:]) @ first)


def _svd_op(full: bool) -> Op:
    signature = "(m,n)->(m,m),(p),(n,n)" if full else "(m,n)->(m,p),(p),(p,n)"
    name = "svd_full" if full else "svd"
    loops = [
        Loop(f"{LINALG}svd_{'f' if full else 's'}", signature, types, fails=True)
        for types in ("d->ddd", "D->DdD")
    ]
    op: Op = gufunc(
        name,
        loops[0],
        loops[1],
        lambda a: _svd(a, full=full),
        lambda a: _svd_types(a, full=full),
        jvp=_svd_jvp,
        vjp=_svd_vjp,
        batch=same_batch(lambda: op),
        fewer=lambda used, a: None if used[0] or used[2] else (None, svdvals(a), None),
        flops=lambda a: 20.0 * a.size * min(a.shape[-2:]),
    )
    return op


svdvals: Op = gufunc(
    "svdvals",
    Loop(f"{LINALG}svd", "(m,n)->(p)", "d->d", fails=True),
    Loop(f"{LINALG}svd", "(m,n)->(p)", "D->d", fails=True),
    np.linalg.svdvals,
    lambda a: _svd_types(a, full=False)[1],
    batch=same_batch(lambda: svdvals),
    flops=lambda a: 4.0 * a.size * min(a.shape[-2:]),
)


SVD = {full: _svd_op(full) for full in (False, True)}
