"""Special functions: derivatives against mpmath at hard points, special values, kernels, errors.

The laws of `tests/samples/special_functions.py` check the partials against differences; here the
values are exact, at zeros, poles, limits and where textbook formulas cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

import adgraph
from adgraph.errors import DerivativeError
from adgraph.ir.evaluate import evaluate
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from tests.numpy_api.agreement import assert_agrees

mp = mpmath.mp
Points = tuple[float, ...]


def slopes(function: Callable[..., Any], point: float) -> tuple[float, float]:
    """Return the first and the second derivative."""
    leaves, structure = flatten(((np.array([point]),), {}))
    graph = trace_function(function, structure, [abstract(x) for x in leaves]).graph
    once = jvp(graph, [0])
    one = np.ones(1)
    first = evaluate(once, np.array([point]), one)[-1]
    second = evaluate(jvp(once, [0]), np.array([point]), one, one)[-1]
    return float(first[0]), float(second[0])


def _carlson(x: Any) -> Any:
    return mpmath.elliprd(x, 2, 1)


CASES: tuple[tuple[str, Callable[..., Any], Callable[..., Any], Points], ...] = (
    ("rgamma", special.rgamma, mpmath.rgamma, (-3.0, -1.0, 0.0, 0.3, 2.5, 20.0)),
    ("loggamma", special.loggamma, mpmath.loggamma, (1e-3, 0.5, 3.0, 1e3)),
    ("dawsn", special.dawsn, lambda x: mpmath.sqrt(mp.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x),
     (1e-9, 0.5, 3.0, 12.0, -40.0)),
    ("erfi", special.erfi, mpmath.erfi, (1e-9, 0.5, -3.0)),
    ("gammainc", lambda x: special.gammainc(300.0, x), lambda x: mpmath.gammainc(300, 0, x, True),
     (200.0, 290.0, 301.0)),
    ("betainc", lambda x: special.betainc(2.0, 3.5, x), lambda x:
     mpmath.betainc(2, 3.5, 0, x, True),
     (1e-3, 0.3, 0.99)),
    ("exp1", special.exp1, mpmath.e1, (1e-3, 1.0, 30.0)),
    ("expi", special.expi, mpmath.ei, (-3.0, 1e-3, 1.0, 30.0)),
    ("expn", lambda x: special.expn(3, x), lambda x: mpmath.expint(3, x), (0.1, 1.0, 20.0)),
    ("expn of order 0", lambda x: special.expn(0, x), lambda x: mpmath.expint(0, x), (0.1, 1.0)),
    ("si", lambda x: special.sici(x)[0], mpmath.si, (0.0, 1e-5, 0.5, 30.0)),
    ("shi", lambda x: special.shichi(x)[0], mpmath.shi, (0.0, 1e-5, 0.5, 3.0, -0.9)),
    ("spence", special.spence, lambda x: mpmath.polylog(2, 1 - x), (0.1, 0.9, 1.0 + 1e-9, 1.9)),
    ("exprel", special.exprel, lambda x: mpmath.expm1(x) / x, (-30.0, -1e-6, 1e-9, 0.5, 20.0)),
    ("wrightomega", special.wrightomega, lambda x: mpmath.lambertw(
     mpmath.exp(x)).real, (-5.0, 1.0)),
    ("ellipk", special.ellipk, mpmath.ellipk, (-20.0, 0.0, 1e-9, 0.4, 0.6, 0.99)),
    ("ellipe", special.ellipe, mpmath.ellipe, (-20.0, 0.0, 1e-9, 0.4, 0.6, 0.99)),
    ("ellipkm1", special.ellipkm1, lambda p: mpmath.ellipk(1 - p), (1e-9, 0.3, 0.9)),
    ("F by m", lambda m: special.ellipkinc(1.1, m), lambda m: mpmath.ellipf(1.1, m), (1e-9, 0.5)),
    ("F beyond pi", lambda m: special.ellipkinc(5.1, m), lambda m:
     mpmath.ellipf(5.1, m), (0.1, 0.8)),
    ("E by m", lambda m: special.ellipeinc(1.1, m), lambda m: mpmath.ellipe(1.1, m), (1e-9, 0.5)),
    ("R_D", lambda x: special.elliprd(x, 2.0, 1.0), _carlson, (0.3, 0.999, 1.0, 1.03, 1.2, 5.0)),
    ("agm", lambda x: special.agm(x, 2.0), lambda x: mpmath.agm(x, 2), (0.1, 2.0, 30.0)),
    ("sn", lambda u: special.ellipj(u, 0.6)[0], lambda u:
     mpmath.ellipfun("sn", u, 0.6), (0.3, 4.0)),
    ("sn by m", lambda m: special.ellipj(1.3, m)[0], lambda m:
     mpmath.ellipfun("sn", 1.3, m), (0.3,)),
    ("jv", lambda x: special.jv(1.5, x), lambda x: mpmath.besselj(1.5, x), (0.1, 2.0, 30.0)),
    ("yv", lambda x: special.yv(1.5, x), lambda x: mpmath.bessely(1.5, x), (0.5, 2.0, 30.0)),
    ("kv", lambda x: special.kv(1.5, x), lambda x: mpmath.besselk(1.5, x), (0.5, 2.0, 30.0)),
    ("k1", special.k1, lambda x: mpmath.besselk(1, x), (0.5, 2.0, 30.0)),
    ("y1", special.y1, lambda x: mpmath.bessely(1, x), (0.5, 2.0, 30.0)),
    ("Ai", lambda x: special.airy(x)[0], mpmath.airyai, (-5.0, 0.0, 1.0, 5.0)),
    ("Bi", lambda x: special.airy(x)[2], mpmath.airybi, (-5.0, 0.0, 1.0, 5.0)),
    ("ber", special.ber, lambda x: mpmath.ber(0, x), (0.3, 3.0)),
    ("kei", special.kei, lambda x: mpmath.kei(0, x), (0.3, 3.0)),
    ("struve", lambda x: special.struve(0.5, x), lambda x: mpmath.struveh(0.5, x), (0.3, 3.0)),
    ("hyp1f1", lambda x: special.hyp1f1(0.5, 1.5, x), lambda x: mpmath.hyp1f1(0.5, 1.5, x),
     (-20.0, 0.0, 3.0)),
    ("hyp2f1", lambda x: special.hyp2f1(0.5, 1.5, 2.2, x),
     lambda x: mpmath.hyp2f1(0.5, 1.5, 2.2, x), (-3.0, 0.0, 0.7)),
    ("legendre", lambda x: special.eval_legendre(5, x), lambda x: mpmath.legendre(5, x),
     (-0.9, 0.0, 1.0)),
    ("hermite", lambda x: special.eval_hermite(4, x), lambda x: mpmath.hermite(4, x), (-2.0, 0.1)),
    ("jacobi", lambda x: special.eval_jacobi(3, 0.5, 1.5, x),
     lambda x: mpmath.jacobi(3, 0.5, 1.5, x), (-0.9, 0.3)),
    ("zeta by q", lambda q: special.zeta(2.5, q), lambda q: mpmath.zeta(2.5, q), (0.3, 2.0)),
    ("lambertw", lambda x: np.real(special.lambertw(x)), lambda x: mpmath.lambertw(x).real,
     (0.0, 1.0, 50.0)),
    ("owens_t", lambda h: special.owens_t(h, 0.7),
     lambda h: mpmath.quad(
         lambda t: mpmath.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, 0.7]
     ) / (2 * mp.pi), (0.0, 1.0)),
    ("boxcox by lambda", lambda m: special.boxcox(3.0, m),
     lambda m: (mpmath.power(3, m) - 1) / m, (-2.0, 1e-7, 0.5)),
)  # fmt: skip
HARD = [(name, f, exact, x) for name, f, exact, points in CASES for x in points]


@pytest.mark.parametrize(("name", "function", "exact", "point"), HARD,
                         ids=[f"{row[0]}-{row[3]}" for row in HARD])  # fmt: skip
def test_derivatives_equal_those_of_mpmath(
    name: str, function: Callable[..., Any], exact: Callable[..., Any], point: float
) -> None:
    with mpmath.workdps(90):
        scale = abs(mpmath.mpf(point)) or mpmath.mpf(1) / 1000
        shifted = lambda t: exact(point + scale * t)  # noqa: E731
        for order, actual in enumerate(slopes(function, point), 1):
            h = mpmath.mpf(10) ** -12
            values = [mpmath.re(shifted(k * h + h / 7)) for k in (-1, 0, 1)]
            if order == 1:
                wanted = (values[2] - values[0]) / (2 * h) / scale
            else:
                wanted = (values[2] - 2 * values[1] + values[0]) / h**2 / scale**2
            assert actual == pytest.approx(float(wanted), rel=2e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("function", "by"),
    [(special.jv, "v"), (special.gammainc, "a"), (special.stdtr, "df"), (special.hyperu, "a")],
)
def test_there_is_no_derivative_by_the_order(function: Any, by: str) -> None:
    operands = (1.5,) * (function.nin - 1)
    with pytest.raises(DerivativeError, match=f"by its argument `{by}`"):
        adgraph.grad(lambda v: function(v, *operands))(1.5)


@pytest.mark.parametrize("differentiate", [adgraph.grad, adgraph.hessian])
def test_the_line_of_a_function_without_derivative_is_named(differentiate: Any) -> None:
    def loss(x: Any) -> Any:
        doubled = 2 * x
        values = special.zeta(doubled)
        return np.sum(values)

    with pytest.raises(DerivativeError, match=r"scipy\.special\.zeta by its argument `x`") as error:
        differentiate(loss)(np.array([2.0, 3.0]))
    assert "values = special.zeta(doubled)" in str(error.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_equal_scipy_in_every_bit(dtype: Any) -> None:
    def several(x: Any) -> Any:
        return (
            *(
                getattr(special, name)(x)
                for name in ("rgamma", "ellipk", "exprel", "k1e", "spence")
            ),
            *special.airy(x),
            special.betainc(2.0, 3.5, x),
            special.eval_legendre(5, x),
        )

    x = np.array([0.0, -0.0, 0.3, 0.9, 1.0, -1.5, -3.0, np.inf, -np.inf, np.nan], dtype)
    with np.errstate(all="ignore"):
        wanted = several(x)
    for actual, expected in zip(adgraph.trace(several)(x), wanted, strict=True):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)


def test_functions_of_complex_numbers_have_their_complex_derivative() -> None:
    def f(z: Any) -> Any:
        return special.wofz(z) + special.hankel1(1.5, z) + special.jv(2, z) + special.airy(z)[0]

    def real_part(x: Any, y: Any) -> Any:
        return np.sum(np.real(f(x + 1j * y)))

    x, y = np.array([0.4, 1.5]), np.array([0.7, 0.2])
    by_x, by_y = adgraph.grad(real_part, argnums=(0, 1))(x, y)
    h = 1e-6
    np.testing.assert_allclose(by_x, np.real(f(x + h + 1j * y) - f(x - h + 1j * y)) / (2 * h), 1e-7)
    np.testing.assert_allclose(
        by_y, np.real(f(x + 1j * (y + h)) - f(x + 1j * (y - h))) / (2 * h), 1e-7
    )


def test_python_functions_of_scipy_equal_scipy() -> None:
    def several(x: Any) -> Any:
        return (
            special.comb(x, 2),
            special.perm(x, 2),
            special.multigammaln(x, 2),
            special.zeta(x),
            special.zeta(x, 2.0),
            special.spherical_jn(2, x),
            special.spherical_jn(2, x, derivative=True),
            special.lambertw(x),
        )

    x = np.array([2.5, 4.0])
    for actual, wanted in zip(adgraph.trace(several)(x), several(x), strict=True):
        np.testing.assert_allclose(actual, wanted, 1e-14)
    slope = adgraph.grad(lambda x: np.sum(special.comb(x, 2)))(x)
    np.testing.assert_allclose(slope, x - 0.5, 1e-13)


def test_kelvin_of_complex_numbers_is_refused() -> None:
    assert not assert_agrees(special.kelvin, np.array([1 + 2j]))


def test_kelvin_and_the_modified_fresnel_integrals_are_complex() -> None:
    x = np.array([0.3, 2.0])
    for function in (special.kelvin, special.modfresnelp, special.modfresnelm):
        for actual, wanted in zip(adgraph.trace(function)(x), function(x), strict=True):
            np.testing.assert_array_equal(actual, wanted)
    assert math.isfinite(float(adgraph.grad(lambda v: np.abs(special.kelvin(v)[0]))(1.5)))
