"""Derivatives of numpy.linalg and scipy.linalg, of two orders, in both modes, against differences.

Programs are evaluated by the interpreter; complex functions are tried as functions of the parts of
their arguments. What depends on phases is given to them squared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from adgraph import grad, hessian, jvp, trace
from adgraph.errors import DerivativeError
from adgraph.testing import assert_close, check_derivatives
from adgraph.tracing.tree import flatten

Function = Callable[..., Any]
DIAGONAL = 4 * np.eye(6).reshape(2, 3, 6)
RNG = np.random.default_rng(5)


def definite(a: Any) -> Any:
    return a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1])


def projections(x: Any) -> Any:
    """Return what of the columns of a matrix does not depend on their phases."""
    return np.abs(x) ** 2


def complete_qr(a: Any) -> Any:
    """The columns beyond those of the matrix are any that span the rest of the space."""
    n = a.shape[-1]
    q, r = np.linalg.qr(a, "complete")
    return projections(q[..., :n]), np.sum(projections(q[..., n:]), axis=-1), r


def hermitian_svd(a: Any) -> Any:
    left, values, right = np.linalg.svd(definite(a), hermitian=True)
    return projections(left), values, projections(right)


def cho_solve(a: Any) -> Any:
    return scipy.linalg.cho_solve(scipy.linalg.cho_factor(definite(a), lower=True), a)


SQUARE: dict[str, Function] = {
    "solve": lambda a: np.linalg.solve(a, np.sin(a)),
    "solve for a vector": lambda a: np.linalg.solve(a, np.sin(a[0, :, 0])),
    "inv": np.linalg.inv,
    "det": lambda a: np.linalg.det(a / 4),
    "slogdet": np.linalg.slogdet,
    "cholesky": lambda a: np.linalg.cholesky(definite(a)),
    "upper cholesky": lambda a: np.linalg.cholesky(definite(a), upper=True),
    "eig": lambda a: [x + 0j for x in np.linalg.eig(a)],
    "eigvals": lambda a: np.linalg.eigvals(a) + 0j,
    "eigvalsh": lambda a: np.linalg.eigvalsh(definite(a), "U"),
    "hermitian svd": hermitian_svd,
    "hermitian pinv": lambda a: np.linalg.pinv(definite(a), hermitian=True),
    "negative matrix_power": lambda a: np.linalg.matrix_power(a, -2),
    "cond by 1": lambda a: np.linalg.cond(a, 1),
    "expm": lambda a: scipy.linalg.expm(0.4 * a),
    "lower triangle": lambda a: scipy.linalg.solve_triangular(a, np.sin(a), lower=True),
    "adjoint triangle": lambda a: scipy.linalg.solve_triangular(a, np.sin(a), "C"),
    "cho_solve": cho_solve,
    "lu_factor": lambda a: scipy.linalg.lu_factor(a)[0],
    "lu_solve": lambda a: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), np.sin(a), 2),
}
ANY: dict[str, Function] = {
    "qr": np.linalg.qr,
    "complete qr": complete_qr,
    "r of qr": lambda a: np.linalg.qr(a, "r"),
    "pinv": np.linalg.pinv,
    "norm by 2": lambda a: np.linalg.norm(a, 2, (-2, -1)),
    "norm by -2": lambda a: np.linalg.norm(a, -2, (-1, -2), keepdims=True),
    "nuclear norm": lambda a: np.linalg.norm(a, "nuc", (-2, -1)),
    "cond": np.linalg.cond,
}
TENSORS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "lstsq": (lambda a: np.linalg.lstsq(a[:, :2] + 3 * np.eye(4, 2), np.sin(a[:, 2:]))[:2], (4, 4)),
    "lstsq of few rows": (lambda a: np.linalg.lstsq(a[:, :4], np.sin(a[:, 4]))[0], (2, 5)),
    "tensorsolve": (lambda a: np.linalg.tensorsolve(a + DIAGONAL, np.cos(a[..., 0])), (2, 3, 6)),
    "tensorinv": (
        lambda a: np.linalg.tensorinv(a + np.reshape(DIAGONAL, (6, 2, 3)), ind=1),
        (6, 2, 3),
    ),
}
KINDS = ("real", "complex")


def of_parts(function: Function, *, second: bool) -> Function:
    """Return real numbers as a function of real arrays: of one, or of a real and an imaginary part.

    With `second` it is a gradient.
    """

    def real(*parts: Any) -> Any:
        results = flatten(function(parts[0] + 1j * parts[1] if len(parts) > 1 else parts[0]))[0]
        return [
            part
            for x in results
            for part in ((np.real(x), np.imag(x)) if x.dtype.kind == "c" else (x,))
        ]

    def loss(*parts: Any) -> Any:
        sums = [np.sum(np.sin(x) * np.arange(1, 1 + x.size).reshape(x.shape)) for x in real(*parts)]
        return sum(sums[1:], sums[0])

    return grad(loss, argnums=(0, 1)) if second else real


def check(function: Function, shape: tuple[int, ...], kind: str, regular: float = 0.0) -> None:
    """Check the first and the second derivatives."""
    x = RNG.normal(size=shape)
    if regular:
        x = x + regular * np.eye(*shape[-2:]) * np.arange(1, 1 + shape[-1])
    for second in (False, True):
        changed = of_parts(function, second=second)
        if kind == "complex":
            check_derivatives(changed, x, RNG.normal(size=shape))
        else:
            check_derivatives(lambda x: changed(x, 0.0)[:1] if second else changed(x), x)  # noqa: B023


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_square_matrices(name: str, kind: str) -> None:
    check(SQUARE[name], (2, 3, 3), kind, regular=2.0)


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 4, 2), (3, 3), (2, 4)])
def test_functions_of_any_matrices(name: str, kind: str, shape: tuple[int, ...]) -> None:
    check(ANY[name], shape, kind, regular=2.0)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_tensors(name: str, kind: str) -> None:
    check(*TENSORS[name], kind)


# --- compiled -------------------------------------------------------------------------------------

COMPILED = ("solve", "inv", "slogdet", "cholesky", "eig", "expm", "qr", "pinv")


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8"])
def test_compiled_gradients(name: str, dtype: str) -> None:
    function = (SQUARE | ANY)[name]

    def loss(a: Any) -> Any:
        return sum(np.sum(np.abs(np.sin(x)) ** 2) for x in flatten(function(a))[0])

    a = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
    a = (a + 1j * RNG.normal(size=a.shape) if dtype[0] == "c" else a).astype(dtype)
    d = RNG.normal(size=a.shape).astype(dtype)
    gradient = grad(loss)(a)
    assert (gradient.dtype, gradient.shape) == (a.dtype, a.shape)
    wide = a.astype("c16" if dtype[0] == "c" else "f8")
    expected = (loss(wide + 1e-6 * d) - loss(wide - 1e-6 * d)) / 2e-6
    rel = 1e-5 if dtype[1:] in ("8", "16") and dtype != "c8" else 2e-2
    assert np.real(np.sum(gradient * d)) == pytest.approx(expected, rel=rel, abs=rel)
    forward = jvp(loss, (a,), (d,))[1]
    assert forward == pytest.approx(expected, rel=rel, abs=rel)


def test_second_derivatives_compiled() -> None:
    a, d = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))

    def loss(a: Any) -> Any:
        return np.sum(np.linalg.pinv(a) ** 2) + np.linalg.norm(np.linalg.qr(a, "r"), 1)

    expected = (grad(loss)(a + 1e-6 * d) - grad(loss)(a - 1e-6 * d)) / 2e-6
    assert_close(np.tensordot(hessian(loss)(a), d, 2) / 100, expected / 100, "differenced")


# --- conventions ----------------------------------------------------------------------------------


def test_eigenvectors_move_as_lapack_normalizes_them() -> None:
    a, d = (RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4)) for _ in range(2))
    vectors = lambda a: np.linalg.eig(a)[1]  # noqa: E731
    expected = (vectors(a + 1e-6 * d) - vectors(a - 1e-6 * d)) / 2e-6
    assert_close(jvp(vectors, (a,), (d,))[1], expected, "differenced")


def test_results_of_eig_are_complex() -> None:
    values, vectors = trace(np.linalg.eig)(np.diag([1.0, 2.0]))
    assert values.dtype == vectors.dtype == np.complex128
    assert (values == [1, 2]).all()


def test_vectors_of_equal_eigenvalues_do_not_turn_among_themselves() -> None:
    d = RNG.normal(size=(3, 3))
    d += d.T
    dw, dv = jvp(lambda a: tuple(np.linalg.eigh(a)), (np.diag([1.0, 1.0, 3.0]),), (d,))[1]
    assert_close(dw, np.diag(d), "rounded")
    assert (dv[:2, :2] == 0).all()
    assert_close(np.abs(dv[2, :2]), np.abs(d[2, :2]) / 2, "rounded")


def test_the_pseudoinverse_of_equal_singular_values_has_its_derivative() -> None:
    d = RNG.normal(size=(3, 3))
    assert_close(jvp(np.linalg.pinv, (np.eye(3),), (d,))[1], -d, "rounded")


def test_the_derivative_of_a_pseudoinverse_of_lower_rank_keeps_the_rank() -> None:
    a = np.outer([1.0, 2.0, 2.0], [3.0, 4.0])
    along = np.outer([1.0, 0.5, -1.0], [3.0, 4.0])
    expected = (np.linalg.pinv(a + 1e-6 * along) - np.linalg.pinv(a - 1e-6 * along)) / 2e-6
    assert_close(jvp(np.linalg.pinv, (a,), (along,))[1], expected, "differenced")


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.linalg.pinv(a, hermitian=True),
        lambda a: np.linalg.svd(a, compute_uv=False, hermitian=True),
        np.linalg.eigvalsh,
        lambda a: np.linalg.eigvalsh(a, "U"),
        np.linalg.cholesky,
    ],
)
def test_the_imaginary_part_of_the_diagonal_is_not_read(function: Function) -> None:
    a = definite(RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)))
    assert np.all(jvp(function, (a,), (1j * np.eye(3),))[1] == 0)


def test_reflectors_have_no_derivative() -> None:
    with pytest.raises(DerivativeError, match=r"(?s)qr_raw has no .*test_linalg_derivatives"):
        grad(lambda a: np.sum(np.linalg.qr(a, "raw")[0]))(np.eye(2))


def test_derivatives_of_singular_matrices_raise_at_the_line_of_the_user() -> None:
    with pytest.raises(np.linalg.LinAlgError, match=r"(?s)singular.*test_linalg_derivatives"):
        grad(lambda a: np.linalg.det(a) ** 2)(np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError, match=r"(?s)singular.*test_linalg_derivatives"):
        grad(lambda a: np.sum(np.linalg.qr(a)[1]))(np.zeros((2, 2)))
