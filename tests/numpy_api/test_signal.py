"""Convolutions, differences, interpolation, polynomials and covariances equal NumPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.testing import assert_close, check_derivatives
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(17)
V = RNG.standard_normal(6)
W = np.abs(RNG.standard_normal(6)) + 0.1
M = RNG.standard_normal((5, 4))
K = RNG.integers(-5, 6, (5, 4))
Z = V + 1j * W
LINE = np.sort(V)
AT = np.linspace(-2.0, 2.5, 10)
ROWS = np.array([0.0, 1.0, 1.5, 3.0, 4.5])
COLUMNS = np.array([0.0, 1.0, 2.0, 3.0])


# --- convolve and correlate -----------------------------------------------------------------------

LINES = [V, W[:3], V[:1], V[:4], V.astype("f4"), Z, np.arange(5), np.arange(4) > 1, V[:0], M, 2.0]


@given(
    st.sampled_from([np.convolve, np.correlate]),
    st.sampled_from(LINES),
    st.sampled_from(LINES),
    st.sampled_from(["full", "same", "valid", "other"]),
)
@settings(max_examples=150)
def test_convolutions_equal_numpy(function: Any, a: Any, v: Any, mode: str) -> None:
    assert_agrees(lambda a, v: function(a, v, mode), a, v, accuracy="rounded")


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (40, 33), (4500, 7), (7, 2100), (1, 1)])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_kernels_of_convolutions_equal_numpy(sizes: tuple[int, int], mode: Any) -> None:
    a, v = (RNG.standard_normal(n) for n in sizes)
    both = trace(lambda a, v: (np.convolve(a, v, mode), np.correlate(a, v, mode)))
    for found, wanted in zip(
        both(a, v), (np.convolve(a, v, mode), np.correlate(a, v, mode)), strict=True
    ):
        assert_close(found, wanted)
    if max(sizes) < 50:
        check_derivatives(lambda a, v: np.convolve(a * a, np.sin(v), mode), a, v)


# --- differences ----------------------------------------------------------------------------------


@given(
    st.sampled_from([M, K, M.astype("f4"), M > 0, M[:2, :1]]),
    st.sampled_from(
        [(), (2.0,), (0.5, COLUMNS), (ROWS, 2), (ROWS, COLUMNS), (ROWS[:2],), (1, 2, 3)]
    ),
    st.sampled_from([None, 0, 1, (0, 1), -1, (1, 1), 2]),
    st.sampled_from([1, 2, 3]),
)
@settings(max_examples=150)
def test_gradient_equals_numpy(f: Any, spacings: Any, axis: Any, edge_order: Any) -> None:
    assert_agrees(lambda f, h: np.gradient(f, *h, axis=axis, edge_order=edge_order), f, spacings)


def test_gradient_of_known_coordinates_at_equal_distances_equals_numpy() -> None:
    assert_agrees(lambda f: np.gradient(f, COLUMNS, axis=1, edge_order=2), M)
    assert_agrees(lambda f: np.gradient(f, ROWS, axis=0), M)


@given(
    st.sampled_from([M, K, M.astype("f4"), V]),
    st.sampled_from([None, ROWS, COLUMNS, M * 2]),
    st.sampled_from([0, 1, -1]),
)
@settings(max_examples=40)
def test_trapezoid_equals_numpy(y: Any, x: Any, axis: int) -> None:
    assert_agrees(lambda y, x: np.trapezoid(y, x, 0.5, axis), y, x)


@pytest.mark.parametrize("ends", [(None, None), ([1.0, 2.0], 3.0), (None, [[4], [5]]), (1.5, 2j)])
@pytest.mark.parametrize("x", [M, K, V[:1], V[:0], M > 0], ids=str)
def test_ediff1d_equals_numpy(x: Any, ends: Any) -> None:
    assert_agrees(lambda x: np.ediff1d(x, *ends), x)


# --- interpolation --------------------------------------------------------------------------------


@given(
    st.sampled_from([AT, LINE, 0.3, AT.astype("f4"), np.array([math.nan, 1.0]), K]),
    st.sampled_from([(LINE, W), (LINE, Z), (LINE[:1], W[:1]), (LINE, W[:3]), (LINE[:0], W[:0])]),
    st.sampled_from([{}, {"left": -1.0, "right": 7}, {"period": 1.5}, {"period": 0}]),
)
@settings(max_examples=80)
def test_interp_equals_numpy(x: Any, points: Any, options: Any) -> None:
    assert_agrees(lambda x, points: np.interp(x, *points, **options), x, points)


def test_interpolation_has_derivatives_by_all_operands() -> None:
    check_derivatives(np.interp, AT, LINE, W)
    check_derivatives(lambda x, p, f, b: np.interp(x, p, f, left=b), AT, LINE, W, 0.5)
    check_derivatives(lambda x, p, f: np.interp(x, p, f, period=1.7), AT, V, W)


# --- polynomials ----------------------------------------------------------------------------------

POLYNOMIALS = [V[:4], W[:3], np.array([2.0]), np.array([1, -2, 3]), V[:4].astype("f4"), Z[:3], 2.5]


@given(
    st.sampled_from([np.polyadd, np.polysub, np.polymul, np.polyval]),
    st.sampled_from(POLYNOMIALS),
    st.sampled_from(POLYNOMIALS),
)
@settings(max_examples=80)
def test_arithmetic_of_polynomials_equals_numpy(function: Any, p: Any, q: Any) -> None:
    if function is not np.polyval or np.ndim(p):
        assert_agrees(function, p, q)


@pytest.mark.parametrize("sizes", [(6, 3), (3, 3), (2, 4), (5, 1)])
def test_polydiv_equals_numpy(sizes: tuple[int, int]) -> None:
    assert_agrees(np.polydiv, V[: sizes[0]], W[: sizes[1]])
    assert_agrees(np.polydiv, np.arange(1, 1 + sizes[0]) ** 2, np.arange(1, 1 + sizes[1]))


@pytest.mark.parametrize("order", [0, 1, 2, 9, -1])
@pytest.mark.parametrize("p", [V[:4], np.array([3, 2, 1]), V[:1]], ids=str)
def test_derivatives_and_integrals_of_polynomials_equal_numpy(p: Any, order: int) -> None:
    assert_agrees(lambda p: np.polyder(p, order), p)
    assert_agrees(lambda p: np.polyint(p, order), p)
    for constants in (2.0, [1.0, 2.0], [1, 2, 3]):
        assert_agrees(lambda p, k=constants: np.polyint(p, order, k), p)


def test_poly_multiplies_the_factors_of_zeros() -> None:
    assert_agrees(np.poly, V[:4])
    check_derivatives(np.poly, V[:4])
    with pytest.raises(TracingError, match="conjugate pairs"):
        trace(np.poly)(Z)


# --- covariances ----------------------------------------------------------------------------------


@given(
    st.sampled_from([M, K, M.astype("f4"), M[:1], M[0]]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 0, 1, 2, 1.5]),
    st.sampled_from([None, np.array([1, 2, 1, 3]), np.array([1, 2, 1, 3, 2])]),
    st.sampled_from([None, W[:4], W[:5]]),
)
@settings(max_examples=150)
def test_cov_equals_numpy(
    m: Any, rowvar: bool, bias: bool, ddof: Any, fweights: Any, aweights: Any
) -> None:
    def covariance(m: Any, f: Any, a: Any) -> Any:
        return np.cov(m, None, rowvar, bias, ddof, f, a)

    count = np.shape(m)[-1] if rowvar or np.ndim(m) < 2 else np.shape(m)[0]
    if {np.size(w) for w in (fweights, aweights) if w is not None} <= {count}:
        assert_agrees(covariance, m, fweights, aweights)


def test_two_variables_and_complex_ones_have_covariances() -> None:
    assert_agrees(np.cov, V, W)
    assert_agrees(lambda x: np.cov(x, x[::-1], rowvar=False), M)
    assert_agrees(np.cov, Z)
    assert_agrees(lambda x: np.cov(x, dtype=np.float32), M)


@pytest.mark.parametrize("x", [M, K, V, Z], ids=lambda x: str(x.dtype))
@pytest.mark.parametrize("rowvar", [True, False])
def test_corrcoef_equals_numpy(x: Any, rowvar: bool) -> None:
    assert_agrees(lambda x: np.corrcoef(x, rowvar=rowvar), x)
    assert_agrees(lambda x: np.corrcoef(x, np.square(x), rowvar), x)


def test_correlations_have_derivatives() -> None:
    check_derivatives(lambda x, y: np.corrcoef(x, y)[0, 1] * np.cov(x, y, aweights=W), V, W)


# --- sums of products -----------------------------------------------------------------------------

ORDERS: list[Any] = [True, False, "optimal", "greedy", ("greedy", 1000),
                     ["einsum_path", (0, 1), (0, 1)], ["einsum_path", (0, 1, 2)]]  # fmt: skip


@pytest.mark.parametrize("optimize", ORDERS, ids=str)
def test_einsum_takes_an_order(optimize: Any) -> None:
    assert_agrees(lambda a, b: np.einsum("ij,kj,kl->il", a, b, a, optimize=optimize), M, M + 1)


def test_the_order_of_a_contraction_is_that_of_numpy() -> None:
    assert_agrees(lambda a: np.einsum_path("ij,kj,kl->il", a, a, a)[0][1:], M)
    assert_agrees(lambda a: np.einsum("ab,bc,cd,de,ef->af", a, a, a, a, a), M[:4])


# --- series ---------------------------------------------------------------------------------------

BASES = [
    (polynomial.polyval, polynomial.polyvander),
    (chebyshev.chebval, chebyshev.chebvander),
    (legendre.legval, legendre.legvander),
    (hermite.hermval, hermite.hermvander),
    (hermite_e.hermeval, hermite_e.hermevander),
    (laguerre.lagval, laguerre.lagvander),
]


@pytest.mark.parametrize(("value", "table"), BASES, ids=lambda f: str(f.__name__))
def test_series_of_polynomials_equal_numpy(value: Any, table: Any) -> None:
    for coefficients in (V[:5], V[:2], V[:1], np.arange(4), M):
        assert_agrees(lambda x, c: value(x, c), W, coefficients)
    assert_agrees(lambda x, c: value(x, c, tensor=False), M[0], M)
    assert_agrees(lambda x: (table(x, 4), table(x, 0)), W)
    assert_agrees(lambda x: table(x, -1), W)
    check_derivatives(lambda x, c: value(x, c) * table(x, 3)[:, 2], W, V[:5])


# --- with the routines of linear algebra ----------------------------------------------------------


@pytest.mark.parametrize("cov", [False, True, "unscaled"])
def test_polyfit_equals_numpy(cov: Any) -> None:
    assert_agrees(lambda x, y: np.polyfit(x, y, 2, cov=cov), V, W, accuracy="differenced")
    assert_agrees(lambda x, y: np.polyfit(x, y, 1, w=y[:, 0], cov=cov), ROWS, M)
    check_derivatives(lambda x, y: np.polyfit(x, y, 2)[:2], V, W)


def test_roots_are_eigenvalues() -> None:
    assert_agrees(lambda p: np.sort_complex(np.roots(p)), np.array([1.0, 0.0, 1.0, 2.0]))
    assert_agrees(np.poly, M[:4])
