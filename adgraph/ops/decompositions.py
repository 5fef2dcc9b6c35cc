"""Decompositions of matrices, over stacks, real and complex.

Their derivatives follow Giles, Collected Matrix Derivative Results for Forward and Reverse Mode,
2008, and for complex matrices Wan & Zhang, arXiv:1909.02659, in JAX's convention: cotangents are
not conjugated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ir.types import ArrayType
from adgraph.ops.gufuncs import Loop, gufunc, same_batch
from adgraph.ops.linalg import check_square, swap

LINALG = "numpy.linalg._umath_linalg."


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose of the last two axes."""
    return np.conjugate(swap(x)) if x.dtype.kind == "c" else swap(x)


def _conjugate(x: Any) -> Any:
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _diagonals(x: Any) -> Any:
    """Return the diagonals of stacked matrices."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def _inverse_differences(w: Any) -> Any:
    """Return 1 / (w[j] - w[i]), and 0 where the two are equal: see docs/conventions.md."""
    difference = w[..., None, :] - w[..., :, None]
    equal = difference == 0
    return np.where(equal, 0.0, 1.0 / np.where(equal, 1.0, difference))


# --- eigh: NumPy reads the lower triangle, and so does the derivative -----------------------------


def _eigh_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    check_square("an eigendecomposition", a)
    real = np.zeros((), a.dtype).real.dtype
    return ArrayType(real, a.shape[:-1]), a


def _hermitian(x: Any) -> Any:
    """Return the Hermitian matrix whose lower triangle is given."""
    strict = np.tril(x, -1)
    full = np.tril(x) + adjoint(strict)
    return full if x.dtype.kind != "c" else 0.5 * (full + adjoint(full))


def _eigh_jvp(tangents: tuple[Any], y: tuple[Any, Any], a: Any) -> tuple[Any, Any]:
    w, v = y
    turned = adjoint(v) @ _hermitian(tangents[0]) @ v
    return np.real(_diagonals(turned)), v @ (_inverse_differences(w) * turned)


def _eigh_vjp(cts: tuple[Any, Any], y: tuple[Any, Any], a: Any) -> tuple[Any]:
    w, v = y
    ct_w, ct_v = cts
    inner: Any = 0.0
    if ct_w is not None:
        inner = ct_w[..., None, :] * np.eye(w.shape[-1], dtype=w.dtype)
    if ct_v is not None:
        inner = inner + _inverse_differences(w) * (swap(v) @ ct_v)
    whole = _conjugate(v) @ inner @ swap(v)
    total = whole + adjoint(whole)
    return (np.tril(total, -1) + 0.5 * total * np.eye(w.shape[-1], dtype=w.dtype),)


def _eigh(a: Any) -> tuple[Any, Any]:
    values, vectors = np.linalg.eigh(a)
    return values, vectors


eigh: Op = gufunc(
    "eigh",
    Loop(f"{LINALG}eigh_lo", "(m,m)->(m),(m,m)", "d->dd", fails=True),
    Loop(f"{LINALG}eigh_lo", "(m,m)->(m),(m,m)", "D->dD", fails=True),
    _eigh,
    _eigh_type,
    jvp=_eigh_jvp,
    vjp=_eigh_vjp,
    batch=same_batch(lambda: eigh),
    flops=lambda a: 9.0 * a.size * a.shape[-1],
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
    ds = np.real(_diagonals(turned))
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
        gradient = _of_first(whole_u, _conjugate(ct_u), k)
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
    return (_conjugate(total if outside is None else total + outside),)


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
        flops=lambda a: 20.0 * a.size * min(a.shape[-2:]),
    )
    return op


SVD = {full: _svd_op(full) for full in (False, True)}
