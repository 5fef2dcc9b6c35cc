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
