"""Solves, inverses and determinants by LU factorization, over stacks, real and complex.

Nothing is conjugated in derivatives: these functions are holomorphic. Complex matrices reach LAPACK
as arrays of pairs (`adgraph.ops.pairs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.errors import MatrixError, ShapeError, message
from adgraph.ir.code import Routine
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Dtype
from adgraph.ops.complex_numbers import real_dtype
from adgraph.ops.gufuncs import Loop, stretched
from adgraph.ops.kinds import add_tangents
from adgraph.ops.linalg import swap
from adgraph.ops.pairs import of_pairs

Types = tuple[ArrayType, ...]
LINALG = "numpy.linalg._umath_linalg."


def conjugate(x: Any) -> Any:
    """Return the conjugate of complex numbers, and real ones as they are."""
    return np.conjugate(x) if x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose of the last two axes."""
    return conjugate(swap(x))


# --- square matrices ------------------------------------------------------------------------------


def check_square(name: str, a: ArrayType) -> None:
    """Refuse what is no stack of square matrices."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise MatrixError(
            message(
                f"{name} of an array of shape {a.shape}",
                "the last two axes must be those of a square matrix",
            )
        )


def _square_type(name: str) -> Callable[[ArrayType], ArrayType]:
    def infer(a: ArrayType) -> ArrayType:
        check_square(name, a)
        return a

    return infer


def stack_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """Return batch and n."""
    *batch, n, _ = types[0].shape
    return math.prod(batch), n


def _factor_scratch(types: Types, attrs: Mapping[str, Any]) -> Types:
    """Room for one factored matrix and its pivots."""
    a = types[0]
    n = a.shape[-1]
    return a.with_shape((n, n)), ArrayType(np.dtype(np.int32), (n,))


def cubic(factor: float) -> Callable[..., float]:
    """Return the count of operations that is a multiple of n cubed a matrix."""
    return lambda a, *rest, **attrs: factor * a.size * a.shape[-1]


def _transposed(x: Any, flag: bool) -> Any:
    return swap(x) if flag else x


def _lapack(name: str, dtype: Dtype) -> Any:
    """Return the routine of LAPACK for a dtype."""
    from scipy.linalg import get_lapack_funcs  # late: few programs need it, and it is slow

    found: Any = get_lapack_funcs((name,), dtype=dtype)
    return found[0]


# --- lu: a^T = P L U, and (L U)^T packed in one matrix; row i was exchanged with row pivots[i] ----
# The transpose is what LAPACK sees of a row-major matrix: nothing is moved. The results carry no
# derivative: `lu_solve` has one by the matrix itself.


def _lu(a: Any) -> tuple[Any, Any]:
    factors = np.empty(a.shape, a.dtype)
    pivots = np.empty(a.shape[:-1], np.int32)
    getrf = _lapack("getrf", a.dtype)
    for at in np.ndindex(*a.shape[:-2]) if a.size else ():
        packed, pivots[at], _ = getrf(a[at].T)
        factors[at] = packed.T
    return factors, pivots


def _lu_type(a: ArrayType) -> Types:
    check_square("an LU factorization", a)
    return a, ArrayType(np.dtype(np.int32), a.shape[:-1])


LU = Routine("lu", stack_sizes)

lu: Op = register(
    Op(
        name="lu",
        kind=Kind.LIBRARY,
        evaluate=_lu,
        infer=_lu_type,
        batch=lambda args, batched: lu(args[0]),
        parts=of_pairs("lu", "D->Di", LU, _lu, _lu_type, cubic(2 / 3)),
        flops=cubic(2 / 3),
        code=LU,
        differentiable=False,
    )
)


# --- lu_solve: a^-1 b, or a^-T b, from the factors of a -------------------------------------------
# `a` itself is not read: it is the operand by which the result is differentiated, so that forward
# and backward program share one factorization. Stacks have equal leading axes.


def _lu_solve(a: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool) -> Any:
    if (np.diagonal(factors, axis1=-2, axis2=-1) == 0).any():
        raise np.linalg.LinAlgError("Singular matrix")
    x = np.empty(b.shape, b.dtype)
    getrs = _lapack("getrs", b.dtype)
    for at in np.ndindex(*b.shape[:-2]) if b.size else ():
        x[at], _ = getrs(factors[at].T, pivots[at], b[at], trans=int(not transposed))
    return x


def _lu_solve_type(
    a: ArrayType, factors: ArrayType, pivots: ArrayType, b: ArrayType, *, transposed: bool
) -> ArrayType:
    _check_right_side("lu_solve", a, b)
    return b


def _check_right_side(name: str, a: ArrayType, b: ArrayType) -> None:
    if a.dtype != b.dtype or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(
            message(
                f"{name}: a matrix {a} and a right-hand side {b} do not fit",
                "the right-hand side needs as many rows as the matrix has",
            )
        )


def _lu_solve_jvp(
    tangents: tuple[Any, ...],
    y: Any,
    a: Any,
    factors: Any,
    pivots: Any,
    b: Any,
    *,
    transposed: bool,
) -> Any:
    da, _, _, db = tangents
    change = None if da is None else -(_transposed(da, transposed) @ y)
    right = add_tangents(change, db)
    return lu_solve(a, factors, pivots, right, transposed=transposed)


def _lu_solve_vjp(
    ct: Any, y: Any, a: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool
) -> tuple[Any, ...]:
    ct_b = lu_solve(a, factors, pivots, ct, transposed=not transposed)
    ct_a = -(y @ swap(ct_b)) if transposed else -(ct_b @ swap(y))
    return ct_a, None, None, ct_b


def _lu_solve_batch(args: tuple[Any, ...], batched: tuple[bool, ...], *, transposed: bool) -> Any:
    if any(batched[:3]) or type_of(args[0]).ndim != 2:
        return lu_solve(*stretched(args, batched), transposed=transposed)
    # One matrix, many right-hand sides: they become the columns of one.
    a, factors, pivots, b = args
    batches, n, columns = type_of(b).shape
    wide = np.reshape(np.moveaxis(b, 0, 1), (n, batches * columns))
    x = lu_solve(a, factors, pivots, wide, transposed=transposed)
    return np.moveaxis(np.reshape(x, (n, batches, columns)), 1, 0)


def _solve_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """Return batch, n, nrhs and whether the matrix is transposed."""
    *batch, n, columns = types[3].shape
    return math.prod(batch), n, columns, int(attrs["transposed"])


def _lu_solve_flops(
    a: ArrayType, factors: ArrayType, pivots: ArrayType, b: ArrayType, *, transposed: bool
) -> float:
    return float(2 * b.size * a.shape[-1])


LU_SOLVE = Routine("lu_solve", _solve_sizes)

lu_solve: Op = register(
    Op(
        name="lu_solve",
        kind=Kind.LIBRARY,
        evaluate=_lu_solve,
        infer=_lu_solve_type,
        jvp=_lu_solve_jvp,
        vjp=_lu_solve_vjp,
        batch=_lu_solve_batch,
        parts=of_pairs("lu_solve", "DDiD->D", LU_SOLVE, _lu_solve, _lu_solve_type, _lu_solve_flops),
        flops=_lu_solve_flops,
        code=LU_SOLVE,
    )
)


# --- triangular_solve: op(a) x = b, or x op(a) = b from the right; one triangle of a is read ------


def _triangle(x: Any, lower: bool) -> Any:
    return np.tril(x) if lower else np.triu(x)


def _triangular_solve(a: Any, b: Any, *, lower: bool, transposed: bool, right: bool = False) -> Any:
    if (np.diagonal(a, axis1=-2, axis2=-1) == 0).any():
        raise np.linalg.LinAlgError("Singular matrix")
    columns = swap(b) if right else b
    x = np.empty(columns.shape, b.dtype)
    trtrs = _lapack("trtrs", b.dtype)
    for at in np.ndindex(*b.shape[:-2]) if b.size else ():
        x[at], _ = trtrs(a[at], columns[at], lower=int(lower), trans=int(transposed != right))
    return swap(x) if right else x


def _triangular_solve_type(
    a: ArrayType, b: ArrayType, *, lower: bool, transposed: bool, right: bool = False
) -> ArrayType:
    check_square("triangular_solve", a)
    turned = b.with_shape((*b.shape[:-2], b.shape[-1], b.shape[-2])) if right else b
    _check_right_side("triangular_solve", a, turned)
    return b


def _product_with(y: Any, a: Any, *, transposed: bool, right: bool) -> Any:
    """Return op(a) y, or y op(a)."""
    return y @ _transposed(a, transposed) if right else _transposed(a, transposed) @ y


def _triangular_solve_jvp(
    tangents: tuple[Any, Any],
    y: Any,
    a: Any,
    b: Any,
    *,
    lower: bool,
    transposed: bool,
    right: bool = False,
) -> Any:
    da, db = tangents
    change = None
    if da is not None:
        change = -_product_with(y, _triangle(da, lower), transposed=transposed, right=right)
    total = add_tangents(change, db)
    return triangular_solve(a, total, lower=lower, transposed=transposed, right=right)


def _triangular_solve_vjp(
    ct: Any, y: Any, a: Any, b: Any, *, lower: bool, transposed: bool, right: bool = False
) -> tuple[Any, Any]:
    ct_b = triangular_solve(a, ct, lower=lower, transposed=not transposed, right=right)
    if right:
        ct_a = -(swap(ct_b) @ y) if transposed else -(swap(y) @ ct_b)
    else:
        ct_a = -(y @ swap(ct_b)) if transposed else -(ct_b @ swap(y))
    return _triangle(ct_a, lower), ct_b


def _triangular_solve_batch(
    args: tuple[Any, Any],
    batched: tuple[bool, bool],
    *,
    lower: bool,
    transposed: bool,
    right: bool = False,
) -> Any:
    a, b = stretched(args, batched)
    return triangular_solve(a, b, lower=lower, transposed=transposed, right=right)


def _triangular_solve_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """Return batch, n, the other extent of b and the flags of the form."""
    *batch, n, _ = types[0].shape
    right = bool(attrs.get("right", False))
    other = types[1].shape[-2 if right else -1]
    return math.prod(batch), n, other, int(attrs["lower"]), int(attrs["transposed"]), int(right)


def _triangular_solve_flops(a: ArrayType, b: ArrayType, **attrs: Any) -> float:
    return float(b.size * a.shape[-1])


TRIANGULAR_SOLVE = Routine("triangular_solve", _triangular_solve_sizes)

triangular_solve: Op = register(
    Op(
        name="triangular_solve",
        kind=Kind.LIBRARY,
        evaluate=_triangular_solve,
        infer=_triangular_solve_type,
        jvp=_triangular_solve_jvp,
        vjp=_triangular_solve_vjp,
        batch=_triangular_solve_batch,
        parts=of_pairs(
            "triangular_solve",
            "DD->D",
            TRIANGULAR_SOLVE,
            _triangular_solve,
            _triangular_solve_type,
            _triangular_solve_flops,
        ),
        flops=_triangular_solve_flops,
        code=TRIANGULAR_SOLVE,
    )
)


# --- inv ------------------------------------------------------------------------------------------

INV_BLOCK = 32  # scratch of `adgraph.lower.blas.inv`, in rows


def _inv_jvp(tangents: tuple[Any], y: Any, a: Any) -> Any:
    return -(y @ tangents[0] @ y)


def _inv_vjp(ct: Any, y: Any, a: Any) -> tuple[Any]:
    transposed = swap(y)
    return (-(transposed @ ct @ transposed),)


def _inv_scratch(types: Types, attrs: Mapping[str, Any]) -> Types:
    n = types[0].shape[-1]
    return types[0].with_shape((INV_BLOCK * max(n, 1),)), ArrayType(np.dtype(np.int32), (n,))


INV = Routine("inv", stack_sizes, _inv_scratch)

inv: Op = register(
    Op(
        name="inv",
        kind=Kind.LIBRARY,
        evaluate=np.linalg.inv,
        infer=_square_type("an inverse"),
        jvp=_inv_jvp,
        vjp=_inv_vjp,
        batch=lambda args, batched: inv(args[0]),
        parts=of_pairs("inv", "D->D", INV, np.linalg.inv, _square_type("an inverse"), cubic(2)),
        flops=cubic(2),
        code=INV,
    )
)


# --- det and slogdet: Jacobi's formula, so the matrix must be regular where it is differentiated --


def _trace_of_product(a: Any, b: Any) -> Any:
    """Return the trace of a @ b."""
    return np.sum(swap(a) * b, axis=(-2, -1))


def _over_matrix(x: Any) -> Any:
    return np.reshape(x, (*type_of(x).shape, 1, 1))


def _det_type(a: ArrayType) -> ArrayType:
    check_square("a determinant", a)
    return a.with_shape(a.shape[:-2])


def _slogdet_type(a: ArrayType) -> Types:
    sign = _det_type(a)
    return sign, sign.with_dtype(real_dtype(sign.dtype))


COMPLEX_DET = Loop(f"{LINALG}det", "(m,m)->()", "D->D")

det: Op = register(
    Op(
        name="det",
        kind=Kind.LIBRARY,
        evaluate=np.linalg.det,
        infer=_det_type,
        jvp=lambda tangents, y, a: y * _trace_of_product(inv(a), tangents[0]),
        vjp=lambda ct, y, a: (_over_matrix(ct * y) * swap(inv(a)),),
        batch=lambda args, batched: det(args[0]),
        parts=of_pairs(
            "det", "D->D", COMPLEX_DET.code(_det_type), np.linalg.det, _det_type, cubic(2 / 3)
        ),
        flops=cubic(2 / 3),
        code=Routine("det", stack_sizes, _factor_scratch),
    )
)


def _slogdet(a: Any) -> tuple[Any, Any]:
    sign, logarithm = np.linalg.slogdet(a)
    return sign, logarithm


def _slogdet_jvp(tangents: tuple[Any], y: tuple[Any, Any], a: Any) -> tuple[Any, Any]:
    """The logarithm changes by the real part of a trace, the phase by its imaginary one."""
    change = _trace_of_product(inv(a), tangents[0])
    if change.dtype.kind != "c":
        return None, change
    return y[0] * (1j * np.imag(change)), np.real(change)


def _slogdet_vjp(cts: tuple[Any, Any], y: tuple[Any, Any], a: Any) -> tuple[Any]:
    ct_sign, total = cts
    if type_of(a).dtype.kind == "c" and ct_sign is not None:
        total = add_tangents(total, 1j * np.imag(y[0] * ct_sign))
    return (None if total is None else _over_matrix(total) * swap(inv(a)),)


COMPLEX_SLOGDET = Loop(f"{LINALG}slogdet", "(m,m)->(),()", "D->Dd")

slogdet: Op = register(
    Op(
        name="slogdet",
        kind=Kind.LIBRARY,
        evaluate=_slogdet,
        infer=_slogdet_type,
        jvp=_slogdet_jvp,
        vjp=_slogdet_vjp,
        batch=lambda args, batched: slogdet(args[0]),
        parts=of_pairs(
            "slogdet",
            "D->Dd",
            COMPLEX_SLOGDET.code(_slogdet_type),
            _slogdet,
            _slogdet_type,
            cubic(2 / 3),
        ),
        flops=cubic(2 / 3),
        code=Routine("slogdet", stack_sizes, _factor_scratch),
    )
)
