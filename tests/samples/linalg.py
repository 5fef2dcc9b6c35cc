"""Samples of matrix products, contractions and numpy.linalg."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ops.linalg import matmul_add
from adgraph.ops.solves import triangular_solve
from tests.samples.reduction import normal, row
from tests.samples.sample import Make, Sample


def regular(*shapes: tuple[int, ...]) -> Make:
    """Make well-conditioned square matrices of the first shape, and arrays of the others."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        first, *rest = normal(*shapes)(rng, dtype)
        n = first.shape[-1]
        return (first + (2 + n) * np.eye(n, dtype=dtype)).astype(dtype), *rest

    return make


def positive(*shape: int) -> Make:
    """Make symmetric positive definite matrices."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        (a,) = normal(shape)(rng, np.float64)
        return ((a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])).astype(dtype),)

    return make


ALIKE = {"mixed": "the op takes operands of one dtype; NumPy's functions convert before"}
NOT_SQUARE = ((normal((3, 2)), np.linalg.LinAlgError),)
MISFIT = ((normal((2, 3), (2, 3)), ValueError),)


def _einsum(name: str, subscripts: str, *shapes: tuple[int, ...], ops: str = "matmul") -> Sample:
    function = lambda *xs: np.einsum(subscripts, *xs)  # noqa: E731
    return row(f"einsum {name}", ops, function, normal(*shapes), exact=False)


def _solved(name: str, a: tuple[int, ...], b: tuple[int, ...], **options: Any) -> Sample:
    return row(name, "lu lu_solve", np.linalg.solve, regular(a, b), exact=False, **options)


def _symmetric(function: Any) -> Any:
    """Both triangles vary together, so that differences see what NumPy reads."""
    return lambda a: function(a + np.swapaxes(a, -1, -2))


PRODUCTS = [
    row("matmul", "matmul", np.matmul, normal((3, 2), (2, 4)), exact=False, errors=MISFIT),
    row("matmul of stacks", "matmul", lambda a, b: a @ b, normal((5, 1, 3, 2), (4, 2, 3)),
        exact=False),
    row("matrix times vector", "matmul", lambda a, b: a @ b, normal((4, 3, 2), (2,)), exact=False),
    row("vector times matrix", "matmul", lambda a, b: a @ b, normal((3,), (2, 3, 2)), exact=False),
    row("inner product", "sum", np.dot, normal((5,), (5,)), exact=False),
    row("dot of many axes", "matmul", np.dot, normal((2, 3, 4), (5, 4, 2)), exact=False),
    row("vdot", "sum", np.vdot, normal((2, 3), (3, 2)), exact=False, analytic=False),
    row("outer", "multiply", np.outer, normal((2, 2), (3,))),
    row("inner", "matmul", np.inner, normal((2, 3), (4, 3)),
        exact=False, errors=((normal((2, 3), (3, 2)), ValueError),)),
    row("tensordot", "matmul", lambda a, b: np.tensordot(a, b, ([0, 2], [1, 0])),
        normal((2, 3, 4), (4, 2, 5)), exact=False),
    row("kron", "multiply", np.kron, normal((2, 3), (3, 2))),
    row("cross", "multiply", np.cross, normal((4, 3), (4, 3)), exact=False),
    row("cross of planar vectors", "multiply", lambda a, b: np.cross(a, b, axisa=0),
        normal((3, 4), (4, 3)), exact=False),
    row("sum of products", "matmul_add", matmul_add, normal((3, 4), (3, 2), (2, 4)), exact=False,
        skip=ALIKE),
    row("sum of stacked products", "matmul_add", matmul_add,
        normal((5, 3, 4), (5, 3, 2), (2, 4)), exact=False, skip=ALIKE),
    _einsum("matrix product", "ij,jk", (2, 3), (3, 4)),
    _einsum("chain", "ij,jk,kl,l->i", (2, 3), (3, 4), (4, 2), (2,)),
    _einsum("ellipsis", "...ij,...j->...i", (4, 2, 3), (4, 3)),
    _einsum("diagonal", "ii->i", (3, 3), ops="getitem"),
    _einsum("trace of a product", "ij,ji", (3, 2), (2, 3), ops="multiply"),
    _einsum("sums", "ijk->k", (2, 3, 4), ops="sum"),
    _einsum("outer", "i,j->ji", (2,), (3,), ops="multiply"),
    _einsum("stacks", "bij,bjk->bki", (5, 2, 3), (5, 3, 4)),
]  # fmt: skip

SOLVES = [
    _solved("solve for a vector", (3, 3), (3,),
            errors=((normal((3, 3), (2,)), ValueError), (normal((3, 2), (3,)), ValueError))),
    _solved("solve for a matrix", (3, 3), (3, 2)),
    _solved("solve for stacks", (2, 3, 3), (4, 1, 3, 2)),
    _solved("solve one matrix for stacks", (3, 3), (4, 3, 2)),
    row("inv", "inv", np.linalg.inv, regular((2, 3, 3)), exact=False, errors=NOT_SQUARE),
    row("det", "det", np.linalg.det, regular((2, 3, 3)), exact=False, errors=NOT_SQUARE),
    row("slogdet", "slogdet", np.linalg.slogdet, regular((2, 3, 3)), exact=False, analytic=False,
        errors=NOT_SQUARE),
    row("cholesky", "cholesky triangular_solve", _symmetric(np.linalg.cholesky), positive(3, 3),
        exact=False, analytic=False),
    row("cholesky of one triangle", "cholesky", np.linalg.cholesky, positive(2, 3, 3),
        exact=False, analytic=False, errors=NOT_SQUARE),
    row("upper cholesky", "cholesky", lambda a: np.linalg.cholesky(a, upper=True),
        positive(3, 3), exact=False, analytic=False),
    row("triangular solve", "triangular_solve",
        lambda a, b: triangular_solve(a, b, lower=False, transposed=True),
        regular((2, 3, 3), (2, 3, 4)), exact=False, skip=ALIKE),
    row("triangular solve from the right", "triangular_solve",
        lambda a, b: triangular_solve(a, b, lower=True, transposed=False, right=True),
        regular((3, 3), (2, 3)), exact=False, skip=ALIKE),
    row("transposed triangular solve from the right", "triangular_solve",
        lambda a, b: triangular_solve(a, b, lower=True, transposed=True, right=True),
        regular((2, 3, 3), (2, 1, 3)), exact=False, skip=ALIKE),
    row("norm", "root", np.linalg.norm, normal((5,)), exact=False, analytic=False),
    row("norms of rows", "root", lambda a: np.linalg.norm(a, axis=1, keepdims=True),
        normal((3, 4)), exact=False, analytic=False),
    row("norm of one", "absolute", lambda a: np.linalg.norm(a, 1), normal((3, 4)), exact=False,
        analytic=False),
    row("norm of inf", "max", lambda a: np.linalg.norm(a, np.inf, axis=0), normal((3, 4)),
        analytic=False),
    row("matrix_power", "matmul", lambda a: np.linalg.matrix_power(a, 5), regular((3, 3)),
        exact=False, errors=NOT_SQUARE),
    row("matrix_power of an inverse", "inv", lambda a: np.linalg.matrix_power(a, -2),
        regular((3, 3)), exact=False),
    row("multi_dot", "matmul", lambda *xs: np.linalg.multi_dot(xs), normal((2,), (2, 5), (5, 3)),
        exact=False),
]  # fmt: skip

SAMPLES: list[Sample] = [*PRODUCTS, *SOLVES]
