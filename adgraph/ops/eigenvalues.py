"""Eigenvalues and eigenvectors, over stacks, real and complex.

Derivatives as in `adgraph.ops.decompositions`. An op that gives eigenvalues alone takes the place
of the one that gives both where no vectors are used (`Op.fewer`).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops.complex_parts import Pair
from adgraph.ops.decompositions import diagonals
from adgraph.ops.gufuncs import Loop, gufunc, same_batch
from adgraph.ops.linalg import swap
from adgraph.ops.pairs import of_pairs
from adgraph.ops.solves import LINALG, Types, adjoint, check_square, conjugate, lu, lu_solve


def _inverse_differences(w: Any) -> Any:
    """Return 1 / (w[j] - w[i]), and 0 where the two are equal: see docs/conventions.md."""
    difference = w[..., None, :] - w[..., :, None]
    equal = difference == 0
    return np.where(equal, 0.0, 1.0 / np.where(equal, 1.0, difference))


# --- eigh: NumPy reads one triangle, and so does the derivative -----------------------------------


def _eigh_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    check_square("an eigendecomposition", a)
    real = np.zeros((), a.dtype).real.dtype
    return ArrayType(real, a.shape[:-1]), a


def hermitian(x: Any) -> Any:
    """Return the Hermitian matrix whose lower triangle is given."""
    strict = np.tril(x, -1)
    full = np.tril(x) + adjoint(strict)
    return full if x.dtype.kind != "c" else 0.5 * (full + adjoint(full))


def _read(x: Any, upper: bool) -> Any:
    """Return a matrix whose lower triangle is the one that is read."""
    return adjoint(x) if upper else x


def _eigh_jvp(
    tangents: tuple[Any], y: tuple[Any, Any], a: Any, *, upper: bool = False
) -> tuple[Any, Any]:
    w, v = y
    turned = adjoint(v) @ hermitian(_read(tangents[0], upper)) @ v
    return np.real(diagonals(turned)), v @ (_inverse_differences(w) * turned)


def _eigh_vjp(
    cts: tuple[Any, Any], y: tuple[Any, Any], a: Any, *, upper: bool = False
) -> tuple[Any]:
    w, v = y
    ct_w, ct_v = cts
    inner: Any = 0.0
    if ct_w is not None:
        inner = ct_w[..., None, :] * np.eye(w.shape[-1], dtype=w.dtype)
    if ct_v is not None:
        inner = inner + _inverse_differences(w) * (swap(v) @ ct_v)
    whole = conjugate(v) @ inner @ swap(v)
    total = whole + adjoint(whole)
    lower = np.tril(total, -1) + 0.5 * total * np.eye(w.shape[-1], dtype=w.dtype)
    return (_read(lower, upper),)


def _eigh_op(name: str, upper: bool) -> Op:
    loop = f"{LINALG}eigh_{'up' if upper else 'lo'}"

    def evaluate(a: Any) -> tuple[Any, Any]:
        values, vectors = np.linalg.eigh(a, "U" if upper else "L")
        return values, vectors

    def values_only(used: tuple[bool, ...], a: Any) -> Any:
        return None if used[1] else (eigvalsh(_read(a, upper)), None)

    return gufunc(
        name,
        Loop(loop, "(m,m)->(m),(m,m)", "d->dd", fails=True),
        Loop(loop, "(m,m)->(m),(m,m)", "D->dD", fails=True),
        evaluate,
        _eigh_type,
        jvp=functools.partial(_eigh_jvp, upper=upper),
        vjp=functools.partial(_eigh_vjp, upper=upper),
        batch=same_batch(lambda: EIGH[upper]),
        fewer=values_only,
        flops=lambda a: 9.0 * a.size * a.shape[-1],
    )


EIGH = {upper: _eigh_op("eigh_upper" if upper else "eigh", upper) for upper in (False, True)}

eigvalsh: Op = gufunc(
    "eigvalsh",
    Loop(f"{LINALG}eigvalsh_lo", "(m,m)->(m)", "d->d", fails=True),
    Loop(f"{LINALG}eigvalsh_lo", "(m,m)->(m)", "D->d", fails=True),
    np.linalg.eigvalsh,
    lambda a: _eigh_type(a)[0],
    batch=same_batch(lambda: eigvalsh),
    flops=lambda a: 4 / 3 * a.size * a.shape[-1],
)


# --- eig: complex results of real matrices too ----------------------------------------------------
# Eigenvectors are differentiated up to factors: who returns them normalizes them. The matrix of
# eigenvectors is regular where the derivative exists.


def _eig_type(a: ArrayType) -> Types:
    check_square("an eigendecomposition", a)
    whole = ArrayType(np.result_type(a.dtype, np.complex64), a.shape)
    return whole.with_shape(a.shape[:-1]), whole


def _eig(a: Any) -> tuple[Any, Any]:
    dtype = np.result_type(a.dtype, np.complex64)
    values, vectors = np.linalg.eig(a)
    return values.astype(dtype), vectors.astype(dtype)


def _eig_jvp(tangents: tuple[Any], y: tuple[Any, Any], a: Any) -> tuple[Any, Any]:
    w, v = y
    factors, pivots = lu(v)
    turned = lu_solve(v, factors, pivots, tangents[0] @ v, transposed=False)
    return diagonals(turned), v @ (_inverse_differences(w) * turned)


def _eig_vjp(cts: tuple[Any, Any], y: tuple[Any, Any], a: Any) -> tuple[Any]:
    w, v = y
    ct_w, ct_v = cts
    inner: Any = 0.0
    if ct_w is not None:
        inner = ct_w[..., None, :] * np.eye(w.shape[-1])
    if ct_v is not None:
        inner = inner + _inverse_differences(w) * (swap(v) @ ct_v)
    factors, pivots = lu(v)
    total = lu_solve(v, factors, pivots, inner @ swap(v), transposed=True)
    return (total if a.dtype.kind == "c" else np.real(total),)


def _eig_flops(a: ArrayType) -> float:
    return float(25 * a.size * a.shape[-1])


def _eigvals_type(a: ArrayType) -> ArrayType:
    return _eig_type(a)[0]


def _eigvals(a: Any) -> Any:
    return np.linalg.eigvals(a).astype(np.result_type(a.dtype, np.complex64))


def _eig_parts(name: str, loop: Loop, evaluate: Any, infer: Any) -> Any:
    return of_pairs(name, loop.types, loop.code(infer), evaluate, infer, _eig_flops)


def _of_both(name: str, signature: str, results: str, evaluate: Any, infer: Any) -> Any:
    """Register the ops on pairs for complex and for real matrices; return the parts."""
    of_complex, of_real = (
        _eig_parts(
            full,
            Loop(LINALG + name, signature, f"{letter}->{results}", fails=True),
            evaluate,
            infer,
        )
        for letter, full in (("D", name), ("d", f"real_{name}"))
    )
    return lambda a: (of_complex if isinstance(a, Pair) else of_real)(a)


def _values_only(used: tuple[bool, ...], a: Any) -> Any:
    """Return the eigenvalues alone, if no vectors are used."""
    return None if used[1] else (eigvals(a), None)


eig: Op = register(
    Op(
        name="eig",
        kind=Kind.LIBRARY,
        evaluate=_eig,
        infer=_eig_type,
        jvp=_eig_jvp,
        vjp=_eig_vjp,
        batch=same_batch(lambda: eig),
        fewer=_values_only,
        parts=_of_both("eig", "(m,m)->(m),(m,m)", "DD", _eig, _eig_type),
        flops=_eig_flops,
    )
)

eigvals: Op = register(
    Op(
        name="eigvals",
        kind=Kind.LIBRARY,
        evaluate=_eigvals,
        infer=_eigvals_type,
        batch=same_batch(lambda: eigvals),
        parts=_of_both("eigvals", "(m,m)->(m)", "D", _eigvals, _eigvals_type),
        flops=lambda a: 10.0 * a.size * a.shape[-1],
        differentiable=False,
    )
)
