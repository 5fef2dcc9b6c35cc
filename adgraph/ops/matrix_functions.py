"""Functions of matrices with derivatives of their own: exponential, pseudoinverse, LU factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.code import Routine
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops.constant import stop_gradient
from adgraph.ops.gufuncs import same_batch
from adgraph.ops.linalg import swap
from adgraph.ops.pairs import of_pairs
from adgraph.ops.solves import (
    Types,
    adjoint,
    check_square,
    conjugate,
    cubic,
    lu_solve,
    stack_sizes,
    triangular_solve,
)

# --- expm -----------------------------------------------------------------------------------------
# The derivative in a direction is a block of the exponential of a block triangular matrix, and its
# transpose is the derivative at the transposed matrix: Higham, Functions of Matrices (2008), 3.2.


def _expm(a: Any) -> Any:
    from scipy.linalg import expm  # late: few programs need it, and it is slow

    result: Any = expm(a)
    return result.astype(a.dtype, copy=False)


def _derivative(a: Any, direction: Any) -> Any:
    """Return the derivative of expm, for a direction of norm 1: the result is linear in it."""
    n = a.shape[-1]
    if 0 in a.shape:
        return direction
    norm = np.max(np.sum(np.abs(direction), axis=-1, keepdims=True), axis=-2, keepdims=True)
    scale = stop_gradient(np.where(norm == 0, np.ones_like(norm), norm))
    above = np.concatenate([a, direction / scale], axis=-1)
    below = np.concatenate([np.zeros_like(a), a], axis=-1)
    return expm(np.concatenate([above, below], axis=-2))[..., :n, n:] * scale


def _expm_type(a: ArrayType) -> ArrayType:
    check_square("an exponential", a)
    return a


def _expm_scratch(types: Types, attrs: Any) -> Types:
    n = types[0].shape[-1]
    return types[0].with_shape((6, n, n)), ArrayType(np.dtype(np.int32), (n,))


EXPM = Routine("expm", stack_sizes, _expm_scratch)

expm: Op = register(
    Op(
        name="expm",
        kind=Kind.LIBRARY,
        evaluate=_expm,
        infer=_expm_type,
        jvp=lambda tangents, y, a: _derivative(a, tangents[0]),
        vjp=lambda ct, y, a: (_derivative(swap(a), ct),),
        batch=same_batch(lambda: expm),
        parts=of_pairs("expm", "D->D", EXPM, _expm, _expm_type, cubic(20)),
        flops=cubic(20),
        code=EXPM,
    )
)

# --- pinv: a matrix that is known to be the pseudoinverse of the first operand --------------------
# It is its value; derivatives are taken by the first operand, where its rank does not change, and
# need no decomposition. Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973), equation 4.12.


def _pinv_jvp(tangents: tuple[Any, None], y: Any, a: Any, p: Any) -> Any:
    da = tangents[0]
    if da is None:
        return None
    turned = adjoint(da)
    left = y @ adjoint(y) @ (turned - turned @ a @ y)
    right = (turned - y @ a @ turned) @ adjoint(y) @ y
    return left + right - y @ da @ y


def _pinv_vjp(ct: Any, y: Any, a: Any, p: Any) -> tuple[Any, None]:
    gradient, star = swap(ct), adjoint(y)
    left = (gradient - a @ y @ gradient) @ y @ star
    right = star @ y @ (gradient - gradient @ y @ a)
    return conjugate(left + right - star @ adjoint(gradient) @ star), None


pinv: Op = register(
    Op(
        name="pinv",
        kind=Kind.LIBRARY,
        evaluate=lambda a, p: np.array(p),
        infer=lambda a, p: p,
        jvp=_pinv_jvp,
        vjp=_pinv_vjp,
        batch=same_batch(lambda: pinv),
        parts=lambda a, p: p,
        flops=lambda a, p: 0.0,
    )
)

# --- lu_factors: what is known to be L and U of the first operand, P L U, packed in one matrix ----
# It is its value, like that of `pinv`. The interchanges of rows do not change.


def _lower_and_upper(packed: Any) -> tuple[Any, Any]:
    eye = np.eye(packed.shape[-1], dtype=packed.dtype)
    return np.tril(packed, -1) + eye, np.triu(packed)


def _lu_factors_jvp(tangents: tuple[Any, ...], y: Any, a: Any, packed: Any, pivots: Any) -> Any:
    if tangents[0] is None:
        return None
    lower, upper = _lower_and_upper(y)
    turned = lu_solve(swap(a), swap(packed), pivots, tangents[0], transposed=True)
    inner = triangular_solve(upper, upper @ turned, lower=False, transposed=False, right=True)
    return lower @ np.tril(inner, -1) + np.triu(inner) @ upper


def _lu_factors_vjp(ct: Any, y: Any, a: Any, packed: Any, pivots: Any) -> tuple[Any, None, None]:
    lower, upper = _lower_and_upper(y)
    inner = np.tril(swap(lower) @ np.tril(ct, -1), -1) + np.triu(np.triu(ct) @ swap(upper))
    turned = triangular_solve(upper, swap(upper) @ inner, lower=False, transposed=True, right=True)
    return lu_solve(swap(a), swap(packed), pivots, turned, transposed=False), None, None


lu_factors: Op = register(
    Op(
        name="lu_factors",
        kind=Kind.LIBRARY,
        evaluate=lambda a, packed, pivots: np.array(packed),
        infer=lambda a, packed, pivots: packed,
        jvp=_lu_factors_jvp,
        vjp=_lu_factors_vjp,
        batch=same_batch(lambda: lu_factors),
        parts=lambda a, packed, pivots: packed,
        flops=lambda a, packed, pivots: 0.0,
    )
)
