"""Functions of `scipy.linalg`, which NumPy cannot dispatch on: they are met in rewritten calls.

Their `overwrite_*` only permits what a graph never does, and `check_finite` asks for numbers, which
there are none of while tracing; both are accepted and have no effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops.matrix_functions import expm as expm_op
from adgraph.ops.matrix_functions import lu_factors
from adgraph.ops.scipy_special import linalg
from adgraph.ops.solves import check_square, triangular_solve
from adgraph.ops.solves import lu as lu_op
from adgraph.ops.solves import lu_solve as lu_solve_op
from adgraph.tracing.numpy_api import decompositions, least_squares, norms
from adgraph.tracing.numpy_api import linalg as matrices
from adgraph.tracing.numpy_api.creation import nested_array
from adgraph.tracing.numpy_api.linalg import conjugate, reshape_last, solved, stacked, system
from adgraph.tracing.numpy_api.shape import matrix_transpose
from adgraph.tracing.numpy_api.special import records
from adgraph.tracing.numpy_api.table import refuse
from adgraph.tracing.tracer import Tracer, as_tracer

TRANSPOSITIONS = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}


def _matrix(a: Any) -> Tracer:
    return matrices.matrix(nested_array(a))


# --- functions of a matrix ------------------------------------------------------------------------


@records(linalg.expm)
def expm(A: Any) -> Any:  # noqa: N803  SciPy's name
    x = _matrix(A)
    check_square("scipy.linalg.expm", x.type)
    return expm_op(x)


@records(linalg.inv)
def inv(
    a: Any,
    overwrite_a: bool = False,
    check_finite: bool = True,
    *,
    assume_a: str | None = None,
    lower: bool = False,
) -> Any:
    if assume_a not in (None, "gen", "general"):
        refuse("scipy.linalg.inv", assume_a=assume_a)
    return matrices.inv(_matrix(a))


@records(linalg.det)
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    x = _matrix(a)
    return matrices.det(as_tracer(x, np.result_type(x.dtype, np.float64)))


@records(linalg.norm)
def norm(
    a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True
) -> Any:
    return norms.norm(_matrix(a), ord, axis, keepdims)


# --- solves ---------------------------------------------------------------------------------------


@records(linalg.solve)
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    if assume_a not in (None, "gen", "general"):
        refuse("scipy.linalg.solve", assume_a=assume_a)
    square, columns, vector = system("scipy.linalg.solve", nested_array(a), nested_array(b))
    x = solved(square, columns, transposed=transposed)
    return reshape_last(x) if vector else x


@records(linalg.lu_factor)
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    x = _matrix(a)
    check_square("scipy.linalg.lu_factor", x.type)
    factors, pivots = lu_op(matrix_transpose(x))
    return lu_factors(x, matrix_transpose(factors), pivots), pivots


@records(linalg.lu_solve)
def lu_solve(
    lu_and_piv: Any,
    b: Any,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    factors, pivots = lu_and_piv
    if trans == 0:
        half = solve_triangular(factors, _interchanged(pivots, b), 0, True, True)
        return solve_triangular(factors, half)
    half = solve_triangular(factors, b, trans)
    return _interchanged(pivots, solve_triangular(factors, half, trans, True, True), backward=True)


def _interchanged(pivots: Any, b: Any, *, backward: bool = False) -> Any:
    """Exchange rows: a solve whose factors L and U are identities."""
    rows = as_tracer(nested_array(pivots), np.int32)
    eye = np.eye(rows.shape[-1], dtype=matrices.float_dtype(nested_array(b)))
    square, columns, vector = system("scipy.linalg.lu_solve", eye, nested_array(b))
    operands = stacked((square, 2), (square, 2), (rows, 1), (columns, 2))
    x = lu_solve_op(*operands, transposed=not backward)
    return reshape_last(x) if vector else x


@records(linalg.solve_triangular)
def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    name = "scipy.linalg.solve_triangular"
    if trans not in TRANSPOSITIONS:
        raise ValueError(message(f"{name}: trans={trans!r} is none of 0, 1, 2, 'N', 'T', 'C'"))
    square, columns, vector = system(name, nested_array(a), nested_array(b))
    if unit_diagonal:
        eye = np.eye(square.shape[-1], dtype=square.dtype)
        square = square * (1 - eye) + eye
    form = TRANSPOSITIONS[trans]
    operands = stacked((conjugate(square) if form == "C" else square, 2), (columns, 2))
    x = triangular_solve(*operands, lower=bool(lower), transposed=form != "N")
    return reshape_last(x) if vector else x


@records(linalg.cholesky)
def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    return decompositions.cholesky(_matrix(a), upper=not lower)


@records(linalg.cho_factor)
def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """The triangle that SciPy leaves undefined is zero."""
    return cholesky(a, lower), lower


@records(linalg.cho_solve)
def cho_solve(
    c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    factor, lower = c_and_lower
    first, second = ("N", "C") if lower else ("C", "N")
    half = solve_triangular(factor, b, first, lower)
    return solve_triangular(factor, half, second, lower)


# --- decompositions -------------------------------------------------------------------------------


@records(linalg.qr)
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    refuse("scipy.linalg.qr", pivoting=pivoting)
    modes = {"full": "complete", "r": "complete", "economic": "reduced"}
    if mode not in modes:
        refuse("scipy.linalg.qr", mode=mode)
    q, r = decompositions.qr(_matrix(a), modes[mode])
    return (r,) if mode == "r" else (q, r)


@records(linalg.svd)
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    found = decompositions.svd(_matrix(a), full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@records(linalg.svdvals)
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return svd(a, compute_uv=False)


@records(linalg.eigh)
def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    refuse(
        "scipy.linalg.eigh", b=b, subset_by_index=subset_by_index, subset_by_value=subset_by_value
    )
    values, vectors = decompositions.eigh(_matrix(a), "L" if lower else "U")
    return values if eigvals_only else (values, vectors)


@records(linalg.eigvalsh)
def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **options: Any) -> Any:
    return eigh(a, b, lower=lower, eigvals_only=True, **options)


@records(linalg.pinv)
def pinv(
    a: Any,
    *,
    atol: Any = None,
    rtol: Any = None,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    refuse("scipy.linalg.pinv", atol=atol, return_rank=return_rank)
    return least_squares.pinv(_matrix(a), rtol=rtol)


@records(linalg.block_diag)
def block_diag(*arrs: Any) -> Any:
    blocks = [_at_least_2d(x) for x in arrs]
    for block in blocks:
        if block.ndim != 2:
            raise ShapeError(message(f"scipy.linalg.block_diag of an array of shape {block.shape}"))
    width = sum(block.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        n = block.shape[1]
        rows.append(np.pad(block, ((0, 0), (before, width - before - n))))
        before += n
    return np.concatenate(rows, axis=0)


def _at_least_2d(x: Any) -> Tracer:
    array: Any = np.atleast_2d(as_tracer(nested_array(x)))
    return as_tracer(array)
