"""BLAS and LAPACK kernels against NumPy: layouts, batches, empty extents, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from adgraph.lower import blas, lapack
from adgraph.ops.solves import INV_BLOCK

Array = NDArray[Any]
DTYPES = ["f8", "f4"]
ORDERS = [0, 1, 2, 3, 5, 8, 40]


def tolerance(dtype: str) -> float:
    return 1e-11 if dtype == "f8" else 2e-3


def matrices(batch: int, m: int, n: int, dtype: str) -> Array:
    return np.random.default_rng(m * 100 + n).standard_normal((batch, m, n)).astype(dtype)


def well_conditioned(batch: int, n: int, dtype: str) -> Array:
    matrix: Array = matrices(batch, n, n, dtype) + 3 * np.sqrt(n + 1) * np.eye(n)
    return matrix.astype(dtype)


def laid_out(values: Array, *, transposed: bool) -> tuple[Array, tuple[int, int]]:
    """Return a copy in the wanted layout, and the strides of its rows and columns."""
    if transposed:
        return np.ascontiguousarray(values.swapaxes(1, 2)), (1, values.shape[1])
    return np.ascontiguousarray(values), (values.shape[2], 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("accumulate", [False, True])
def test_matmul_agrees_with_numpy_in_every_layout(
    call: Any, dtype: str, layout: tuple[bool, bool], accumulate: bool
) -> None:
    kernel = (blas.matmul_add if accumulate else blas.matmul)(dtype)
    extents = [0, 1, 2, 7, 33]
    for m, n, k in [(m, n, k) for m in extents for n in extents for k in extents]:
        a, b = matrices(2, m, k, dtype), matrices(2, k, n, dtype)
        stored_a, strides_a = laid_out(a, transposed=layout[0])
        stored_b, strides_b = laid_out(b, transposed=layout[1])
        c = np.full((2, m, n), 7.0, dtype)
        sizes = (2, m, n, k, *strides_a, *strides_b, n, m * k, k * n, m * n)
        assert call(kernel, [stored_a, stored_b, c], *sizes) == 0
        expected = a @ b + (7 if accumulate else 0)
        np.testing.assert_allclose(c, expected, rtol=0, atol=tolerance(dtype), err_msg=str(sizes))


def test_matmul_repeats_an_operand_with_batch_stride_zero(call: Any) -> None:
    a, b = matrices(1, 4, 3, "f8"), matrices(5, 3, 2, "f8")
    c = np.zeros((5, 4, 2))
    call(blas.matmul("f8"), [a, b, c], 5, 4, 2, 3, 3, 1, 2, 1, 2, 0, 6, 8)
    np.testing.assert_allclose(c, a @ b, atol=1e-13)


def test_matmul_reads_and_writes_parts_of_larger_matrices(call: Any) -> None:
    a, b = matrices(1, 6, 9, "f8")[0], matrices(1, 9, 8, "f8")[0]
    c = np.full((6, 10), -1.0)
    call(blas.matmul("f8"), [a, b, c], 1, 5, 6, 4, 9, 1, 8, 1, 10, 0, 0, 0)
    np.testing.assert_allclose(c[:5, :6], a[:5, :4] @ b[:4, :6], atol=1e-13)
    assert (c[5:] == -1).all()
    assert (c[:, 6:] == -1).all()


def test_matrix_vector_products_follow_strides(call: Any) -> None:
    a, b = matrices(1, 6, 5, "f8")[0], matrices(1, 5, 3, "f8")[0]
    c = np.full((6, 2), -1.0)
    call(blas.matmul("f8"), [a, b, c], 1, 6, 1, 5, 5, 1, 3, 1, 2, 0, 0, 0)
    np.testing.assert_allclose(c[:, 0], a @ b[:, 0], atol=1e-13)
    assert (c[:, 1] == -1).all()


def test_a_singular_matrix_stops_inv_with_status_1(call: Any) -> None:
    a = np.ones((1, 3, 3))
    operands = [a, np.ones((3, 3)), np.ones(3 * INV_BLOCK), np.zeros(3, "i4")]
    assert call(lapack.inv("f8"), operands, 1, 3) == lapack.SINGULAR


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 5, 8, 33])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_matrix_times_its_transpose_is_symmetric(
    call: Any, dtype: str, n: int, transposed: bool
) -> None:
    a, c = matrices(2, n, 7, dtype), np.full((2, n, n), np.nan, dtype)
    stored, strides = laid_out(a, transposed=transposed)
    sizes = (2, n, n, 7, *strides, *strides[::-1], n, 7 * n, 7 * n, n * n)
    assert call(blas.symmetric_product(dtype), [stored, stored, c], *sizes) == 0
    np.testing.assert_array_equal(c, c.swapaxes(1, 2))
    np.testing.assert_allclose(c, a @ a.swapaxes(1, 2), rtol=0, atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
def test_inv_agrees_with_numpy(call: Any, dtype: str, n: int) -> None:
    a = np.ascontiguousarray(well_conditioned(2, n, dtype)[:, ::-1])
    x, work, pivots = np.zeros_like(a), np.zeros(INV_BLOCK * max(n, 1), dtype), np.zeros(n, "i4")
    assert call(lapack.inv(dtype), [a, x, work, pivots], 2, n) == 0
    np.testing.assert_allclose(x, np.linalg.inv(a), atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
def test_lu_is_that_of_the_transpose(call: Any, dtype: str, n: int) -> None:
    a = matrices(2, n, n, dtype)
    factors, pivots = np.zeros_like(a), np.zeros((2, n), "i4")
    assert call(lapack.lu(dtype), [a, factors, pivots], 2, n) == 0
    for i in range(2 if n else 0):
        expected, expected_pivots = scipy.linalg.lu_factor(a[i].T)
        np.testing.assert_allclose(factors[i].T, expected, atol=tolerance(dtype))
        np.testing.assert_array_equal(pivots[i], expected_pivots)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
def test_determinants_agree_with_numpy(call: Any, dtype: str, n: int) -> None:
    a = matrices(4, n, n, dtype)
    a[1] = 0
    scratch = [np.zeros((n, n), dtype), np.zeros(n, "i4")]
    values, signs, logarithms = (np.full(4, 9.0, dtype) for _ in range(3))
    assert call(lapack.det(dtype), [a, values, *scratch], 4, n) == 0
    assert call(lapack.slogdet(dtype), [a, signs, logarithms, *scratch], 4, n) == 0
    expected = np.linalg.slogdet(a)
    np.testing.assert_allclose(values, np.linalg.det(a), rtol=tolerance(dtype))
    np.testing.assert_array_equal(signs, expected.sign)
    np.testing.assert_allclose(logarithms, expected.logabsdet, rtol=tolerance(dtype), atol=1e-5)


def test_a_determinant_does_not_overflow_on_the_way(call: Any) -> None:
    a = np.diag([1e200, -1e200, 1e-250, 1e-140])[np.newaxis].copy()
    value = np.zeros(1)
    call(lapack.det("f8"), [a, value, np.zeros((4, 4)), np.zeros(4, "i4")], 1, 4)
    np.testing.assert_allclose(value, [-1e10], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
def test_cholesky_reads_the_lower_triangle_only(call: Any, dtype: str, n: int) -> None:
    a = well_conditioned(2, n, dtype)
    a = (a @ a.swapaxes(1, 2)).astype(dtype)
    expected = np.linalg.cholesky(a)
    damaged = a + 100 * np.triu(np.ones((n, n)), 1).astype(dtype)
    factor = np.zeros_like(a)
    assert call(lapack.cholesky(dtype), [damaged, factor], 2, n) == 0
    np.testing.assert_allclose(factor, expected, rtol=tolerance(dtype), atol=tolerance(dtype))


def test_an_indefinite_matrix_stops_cholesky_with_status_2(call: Any) -> None:
    a = -np.eye(3)
    assert call(lapack.cholesky("f8"), [a, np.zeros((3, 3))], 1, 3) == lapack.NOT_POSITIVE_DEFINITE


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize("nrhs", [0, 1, 3])
@pytest.mark.parametrize("lower", [0, 1])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("right", [0, 1])
def test_triangular_solve_agrees_with_numpy(
    call: Any, dtype: str, n: int, nrhs: int, lower: int, transposed: int, right: int
) -> None:
    a = well_conditioned(2, n, dtype)
    b = matrices(2, nrhs, n, dtype) if right else matrices(2, n, nrhs, dtype)
    triangle = np.tril(a) if lower else np.triu(a)
    x = np.zeros_like(b)
    kernel = lapack.triangular_solve(dtype)
    assert call(kernel, [a, b, x], 2, n, nrhs, lower, transposed, right) == 0
    triangle = triangle.swapaxes(1, 2) if transposed else triangle
    found = x @ triangle if right else triangle @ x
    np.testing.assert_allclose(found, b, rtol=tolerance(dtype), atol=10 * tolerance(dtype))


def test_a_zero_on_the_diagonal_stops_triangular_solve_with_status_1(call: Any) -> None:
    a = np.diag([1.0, 0.0, 2.0])
    operands = [a, np.ones((3, 1)), np.ones((3, 1))]
    assert call(lapack.triangular_solve("f8"), operands, 1, 3, 1, 1, 0, 0) == lapack.SINGULAR


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_solves_from_a_factorization_agree_with_numpy(
    call: Any, dtype: str, transposed: bool
) -> None:
    for n in ORDERS:
        a, packed = well_conditioned(2, n, dtype), np.empty((2, n, n), dtype)
        pivots = np.empty((2, n), np.int32)
        assert call(lapack.lu(dtype), [a, packed, pivots], 2, n) == 0
        for nrhs in (0, 1, 3):
            b, x = matrices(2, n, nrhs, dtype), np.empty((2, n, nrhs), dtype)
            arguments = [a, packed, pivots, b, x]
            assert call(lapack.lu_solve(dtype), arguments, 2, n, nrhs, int(transposed)) == 0
            matrix = a.swapaxes(1, 2) if transposed else a
            np.testing.assert_allclose(matrix @ x, b, rtol=0, atol=tolerance(dtype))


def test_a_zero_pivot_stops_a_solve_from_a_factorization(call: Any) -> None:
    a, b = np.ones((1, 2, 2)), np.ones((1, 2, 1))
    packed, pivots, x = np.empty_like(a), np.empty((1, 2), np.int32), np.empty_like(b)
    call(lapack.lu("f8"), [a, packed, pivots], 1, 2)
    assert call(lapack.lu_solve("f8"), [a, packed, pivots, b, x], 1, 2, 1, 0) == lapack.SINGULAR
