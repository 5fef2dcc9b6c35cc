"""numpy.linalg and scipy.linalg: values, shapes, dtypes and errors are NumPy's and SciPy's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import grad, trace
from adgraph.errors import TracingError
from adgraph.passes.pipeline import SETTLED, run_pipeline
from adgraph.testing import assert_close
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from tests.numpy_api.agreement import assert_agrees

Function = Callable[..., Any]
RNG = np.random.default_rng(3)


def matrices(*shape: int, dtype: str = "f8", regular: float = 0.0) -> Any:
    """Make matrices, with something added to their diagonals."""
    x = RNG.normal(size=shape) + regular * np.eye(*shape[-2:])
    return (x + 1j * RNG.normal(size=shape) if dtype[0] == "c" else x).astype(dtype)


def hermitian(a: Any) -> Any:
    return a + np.conj(np.swapaxes(a, -1, -2))


def definite(a: Any) -> Any:
    return a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1], dtype=a.dtype)


def magnitudes(results: Any) -> Any:
    """Return what does not depend on the phases of vectors."""
    return [np.abs(x) for x in results]


def as_complex(results: Any) -> Any:
    """NumPy gives real results where all eigenvalues of a real matrix are real."""
    dtypes = {"f": np.complex64, "d": np.complex128}
    return [x.astype(dtypes.get(x.dtype.char, x.dtype)) for x in results]


# --- every function over shapes and dtypes --------------------------------------------------------

SQUARE: dict[str, Function] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": np.linalg.slogdet,
    "cholesky": lambda a: np.linalg.cholesky(definite(a)),
    "upper cholesky": lambda a: np.linalg.cholesky(definite(a), upper=True),
    "solve": lambda a: np.linalg.solve(a, a[..., :1]),
    "solve for a vector": lambda a: np.linalg.solve(a, np.ones(a.shape[-1])),
    "eig": lambda a: as_complex(np.linalg.eig(a)),
    "eigvals": lambda a: as_complex([np.linalg.eigvals(a)]),
    "eigh": lambda a: magnitudes(np.linalg.eigh(hermitian(a), "U")),
    "eigvalsh": lambda a: np.linalg.eigvalsh(hermitian(a)),
    "hermitian svd": lambda a: magnitudes(np.linalg.svd(hermitian(a), hermitian=True)),
    "hermitian svd, values": lambda a: np.linalg.svd(
        hermitian(a), compute_uv=False, hermitian=True
    ),
    "hermitian pinv": lambda a: np.linalg.pinv(hermitian(a), hermitian=True),
    "hermitian matrix_rank": lambda a: np.linalg.matrix_rank(hermitian(a), hermitian=True),
    "matrix_power": lambda a: np.linalg.matrix_power(a, 5),
    "negative matrix_power": lambda a: np.linalg.matrix_power(a, -2),
    "cond by 1": lambda a: np.linalg.cond(a, 1) if a.size else a,
}
ANY: dict[str, Function] = {
    "svd": lambda a: magnitudes(np.linalg.svd(a)),
    "thin svd": lambda a: magnitudes(np.linalg.svd(a, full_matrices=False)),
    "svdvals": np.linalg.svdvals,
    "qr": np.linalg.qr,
    "complete qr": lambda a: magnitudes(np.linalg.qr(a, "complete")),
    "r of qr": lambda a: np.linalg.qr(a, "r"),
    "raw qr": lambda a: np.linalg.qr(a, "raw"),
    "pinv": np.linalg.pinv,
    "pinv with rcond": lambda a: np.linalg.pinv(a, 0.3),
    "pinv with rtol": lambda a: np.linalg.pinv(a, rtol=None),
    "matrix_rank": np.linalg.matrix_rank,
    "matrix_rank with tol": lambda a: np.linalg.matrix_rank(a, 1.5),
    "matrix_rank with rtol": lambda a: np.linalg.matrix_rank(a, rtol=0.4),
    "cond": np.linalg.cond,
    "cond by -2": lambda a: np.linalg.cond(a, -2),
    "norm": np.linalg.norm,
    "matrix_norm": lambda a: np.linalg.matrix_norm(a, ord="nuc"),
    "vector_norm": lambda a: np.linalg.vector_norm(a, axis=(0, 1)),
    "matrix_transpose": np.linalg.matrix_transpose,
}
DTYPES = ("f8", "c16", "f4", "c8")
SQUARES = ((3, 3), (2, 3, 3), (1, 1), (0, 3, 3), (2, 0, 0))
OBLONG = (*SQUARES, (4, 2), (2, 2, 4), (3, 0), (0, 2), (2, 1))


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_square_matrices(name: str, dtype: str) -> None:
    for shape in SQUARES:
        assert_agrees(SQUARE[name], matrices(*shape, dtype=dtype, regular=4))


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_any_matrices(name: str, dtype: str) -> None:
    for shape in OBLONG:
        assert_agrees(ANY[name], matrices(*shape, dtype=dtype))


@pytest.mark.parametrize("name", ["inv", "eigvals", "svd", "pinv", "matrix_rank", "cond", "qr"])
def test_integers_become_float64(name: str) -> None:
    whole = np.array([[1, 2, 0], [3, 4, 1], [1, 0, 7]])
    assert_agrees((SQUARE | ANY)[name], whole)


@pytest.mark.parametrize("triangle", ["L", "U"])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_the_phases_of_eigenvectors_are_numpys(triangle: str, dtype: str) -> None:
    def function(a: Any) -> Any:
        return np.linalg.eigh(a, triangle)

    a = matrices(5, 4, 4, dtype=dtype)
    assert_agrees(function, a)
    assert_close(trace(function)(a)[1], function(a)[1], "rounded")


COMPILED = [
    *("inv", "det", "slogdet", "cholesky", "solve", "eig", "eigh", "negative matrix_power"),
    *("thin svd", "qr", "complete qr", "raw qr", "pinv", "matrix_rank", "cond"),
]


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_of_every_dtype(name: str, dtype: str) -> None:
    function = (SQUARE | ANY)[name]
    a = matrices(2, 3, 3, dtype=dtype, regular=4)
    found, wanted = flatten(trace(function)(a))[0], flatten(function(a))[0]
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, np.asarray(other), "rounded")


@given(
    ord=st.sampled_from([None, "fro", "f", "nuc", 0, 1, -1, 2, -2, 3, 0.5, np.inf, -np.inf, "no"]),
    axis=st.sampled_from([None, 0, -1, 2, (0,), (0, 1), (2, 0), (-1, 1), (1, 1), (0, 1, 2)]),
    keepdims=st.booleans(),
    shape=st.sampled_from([(4,), (2, 3), (2, 3, 4), (2, 0, 3)]),
    dtype=st.sampled_from(["f8", "f4", "c16", "i8"]),
)
@settings(max_examples=150)
def test_norms(ord: Any, axis: Any, keepdims: bool, shape: Any, dtype: str) -> None:
    a = (10 * RNG.normal(size=shape)).astype(dtype)
    assert_agrees(lambda a: np.linalg.norm(a, ord, axis, keepdims), a)


# --- least squares and tensors --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (2, 4), (0, 3), (3, 0)])
@pytest.mark.parametrize("rcond", [None, 0.5])
def test_lstsq(dtype: str, shape: tuple[int, int], rcond: Any) -> None:
    a = matrices(*shape, dtype=dtype)
    few = np.linalg.matrix_rank(a, rtol=0.5) < shape[1] if rcond else False
    for right in ((shape[0],), (shape[0], 3)):
        b = matrices(*right, 1, dtype=dtype)[..., 0]
        results = slice(0, 1) if few else slice(None)
        assert_agrees(lambda a, b: np.linalg.lstsq(a, b, rcond)[results], a, b)  # noqa: B023


def test_lstsq_of_deficient_rank_gives_the_solution_of_least_norm() -> None:
    a = np.outer([1.0, 2.0, 3.0], [1.0, -1.0])
    solution, residuals, rank, _ = trace(np.linalg.lstsq)(a, np.ones(3))
    assert_close(solution, np.linalg.lstsq(a, np.ones(3))[0], "rounded")
    assert rank == 1
    assert_close(residuals, [np.sum((a @ solution - 1) ** 2)], "rounded")  # NumPy gives none


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors(dtype: str) -> None:
    a = matrices(2, 3, 6, dtype=dtype)
    assert_agrees(np.linalg.tensorsolve, a, matrices(2, 3, dtype=dtype))
    assert_agrees(np.linalg.tensorsolve, np.moveaxis(a, 2, 0), matrices(2, 3, dtype=dtype))
    turned = np.moveaxis(a, 2, 0)
    assert_agrees(lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,)), turned, a[..., 0])
    assert_agrees(np.linalg.tensorinv, a)
    assert_agrees(lambda a: np.linalg.tensorinv(a, ind=1), matrices(6, 3, 2, dtype=dtype))


# --- scipy.linalg ---------------------------------------------------------------------------------

OF_SCIPY: dict[str, Function] = {
    "expm": lambda a: scipy.linalg.expm(a - 3 * np.eye(a.shape[-1], dtype=a.dtype)),
    "expm of large": lambda a: scipy.linalg.expm(a * 6 - 20 * np.eye(a.shape[-1], dtype=a.dtype)),
    "inv": scipy.linalg.inv,
    "det": lambda a: scipy.linalg.det(a).astype(a.dtype),
    "norm": lambda a: scipy.linalg.norm(a, 1, axis=(-2, -1)),
    "solve": lambda a: scipy.linalg.solve(a, a[..., :1]),
    "solve, positive": lambda a: scipy.linalg.solve(definite(a), a[..., :1], assume_a="pos"),
    "upper triangle": lambda a: scipy.linalg.solve_triangular(a, a[..., :1]),
    "lower triangle": lambda a: scipy.linalg.solve_triangular(a, a[..., :1], 1, lower=True),
    "adjoint triangle": lambda a: scipy.linalg.solve_triangular(a, a, "C", unit_diagonal=True),
    "cholesky": lambda a: scipy.linalg.cholesky(definite(a)),
    "lower cholesky": lambda a: scipy.linalg.cholesky(definite(a), lower=True),
    "cho_solve": lambda a: scipy.linalg.cho_solve(scipy.linalg.cho_factor(definite(a)), a),
    "lu_factor": scipy.linalg.lu_factor,
    "lu_solve": lambda a: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), a),
    "adjoint lu_solve": lambda a: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), a, 2),
    "economic qr": lambda a: scipy.linalg.qr(a[..., :2], mode="economic"),
    "r of qr": lambda a: scipy.linalg.qr(a[..., :2], mode="r"),
    "svd": lambda a: magnitudes(scipy.linalg.svd(a, full_matrices=False)),
    "svdvals": scipy.linalg.svdvals,
    "eigh": lambda a: magnitudes(scipy.linalg.eigh(hermitian(a), lower=False)),
    "eigvalsh": lambda a: scipy.linalg.eigvalsh(hermitian(a)),
    "pinv": lambda a: scipy.linalg.pinv(a[..., :2]),
}


@pytest.mark.parametrize("name", OF_SCIPY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_scipy(name: str, dtype: str) -> None:
    for shape in ((3, 3), (2, 3, 3)):
        assert_agrees(OF_SCIPY[name], matrices(*shape, dtype=dtype, regular=4))


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_of_exponentials(dtype: str) -> None:
    a = np.stack([matrices(4, 4, dtype=dtype) * size for size in (0.0, 0.01, 1.0, 10.0)])
    found = trace(scipy.linalg.expm)(a)
    for one, other in zip(found, scipy.linalg.expm(a), strict=True):
        scale = np.abs(other).max()
        assert_close(one / scale, other / scale, "differenced" if dtype[1:] == "4" else "rounded")


def test_block_diag() -> None:
    assert_agrees(scipy.linalg.block_diag, matrices(2, 3), matrices(3, 1), np.ones(2))
    assert_agrees(scipy.linalg.block_diag, matrices(2, 3, dtype="c16"), matrices(1, 1))


# --- factorizations are shared --------------------------------------------------------------------


def ops_of(function: Function, *args: Any) -> Counter[str]:
    """Count the ops of the program that is compiled."""
    leaves, structure = flatten((args, {}))
    graph = trace_function(function, structure, [abstract(x) for x in leaves]).graph
    return Counter(node.op.name for node in run_pipeline(graph, SETTLED)[0].nodes)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_a_solve_and_its_derivatives_share_one_factorization(dtype: str) -> None:
    def loss(a: Any, b: Any) -> Any:
        return np.sum(np.abs(np.linalg.solve(a, b)) ** 2)

    def twice(a: Any, b: Any) -> Any:
        return np.sum(np.abs(grad(loss)(a, b)) ** 2)

    a, b = matrices(3, 3, dtype=dtype, regular=4), matrices(3, 2, dtype=dtype)
    lu = "lu_of_pairs" if dtype == "c16" else "lu"
    assert ops_of(grad(loss), a, b)[lu] == 1
    assert ops_of(grad(twice, argnums=(0, 1)), a, b)[lu] == 1


def test_a_solve_from_an_lu_factorization_factorizes_once() -> None:
    def loss(a: Any, b: Any) -> Any:
        factors = scipy.linalg.lu_factor(a)
        return np.sum(scipy.linalg.lu_solve(factors, b)) + np.sum(np.abs(np.diag(factors[0])))

    found = ops_of(grad(loss, argnums=(0, 1)), matrices(3, 3), matrices(3, 2))
    assert found["lu"] == 1


def test_least_squares_and_their_gradient_share_one_decomposition() -> None:
    def loss(a: Any, b: Any) -> Any:
        solution, residuals, _, _ = np.linalg.lstsq(a, b)
        return np.sum(solution**2) + np.sum(residuals)

    found = ops_of(grad(loss, argnums=(0, 1)), matrices(4, 2), matrices(4, 2))
    assert found["svd"] == 1


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (np.linalg.inv, "singular"),
        (lambda a: np.linalg.solve(a, a), "singular"),
        (lambda a: np.linalg.cholesky(a - np.eye(3, dtype=a.dtype)), "not positive definite"),
        (lambda a: scipy.linalg.solve_triangular(a, a), "singular"),
    ],
)
def test_singular_matrices_raise_numpys_error(dtype: str, function: Function, words: str) -> None:
    a = np.zeros((2, 3, 3), dtype)
    with pytest.raises(np.linalg.LinAlgError):
        function(a)
    with pytest.raises(np.linalg.LinAlgError, match=words) as raised:
        trace(function)(a)
    assert "test_linalg.py" in str(raised.value) or function is np.linalg.inv


@pytest.mark.parametrize(
    "function",
    [
        np.linalg.inv,
        np.linalg.eig,
        np.linalg.svd,
        np.linalg.qr,
        np.linalg.pinv,
        lambda a: np.linalg.qr(a, "none"),
        lambda a: np.linalg.pinv(a, rcond=1.0, rtol=1.0),
        lambda a: np.linalg.matrix_rank(a, tol=1.0, rtol=1.0),
        lambda a: np.linalg.tensorinv(a, 0),
        lambda a: np.linalg.tensorsolve(a, a),
        lambda a: np.linalg.lstsq(a, np.ones(5)),
        lambda a: np.linalg.eigh(a, "X"),
        lambda a: np.linalg.cond(a, "no"),
    ],
)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 3)])
def test_what_numpy_refuses_is_refused(function: Function, shape: tuple[int, ...]) -> None:
    assert_agrees(function, np.ones(shape))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda a: scipy.linalg.qr(a, pivoting=True), "pivoting=True"),
        (lambda a: scipy.linalg.solve(a, a, assume_a="banded"), "assume_a='banded'"),
        (lambda a: scipy.linalg.eigh(a, subset_by_index=(0, 1)), "subset_by_index"),
        (lambda a: scipy.linalg.pinv(a, return_rank=True), "return_rank=True"),
    ],
)
def test_what_has_no_program_is_refused_by_name(function: Function, words: str) -> None:
    with pytest.raises(TracingError, match=words):
        trace(function)(np.eye(3))
