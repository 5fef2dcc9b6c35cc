"""Accuracy of first and second derivatives against mpmath, hard points included.

`CASES` holds for each function its twin in mpmath and the points. The derivatives by every operand
(the second ones by every pair) must be right to 1e-11 of their own value, and infinite or zero
where the exact value is beyond float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp

RELATIVE = 1e-11
SMALLEST = 1e-300  # below it the intermediate results of an exact formula may be denormal

Point = tuple[float, ...]


@dataclass(frozen=True)
class Case:
    """A function, the same in mpmath, and points (a number, or one number per operand).

    `digits` is what mpmath needs: many where the function is a constant but for an exponential.
    """

    function: Callable[..., Any]
    exact: Callable[..., Any]
    points: tuple[Any, ...]
    digits: int = 100

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", "function"))


def _softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def _expit(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _sinc(x: Any) -> Any:
    return mpmath.sinc(mpmath.pi * x)


def _ndtri(p: Any) -> Any:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def _betaln(a: Any, b: Any) -> Any:
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)


def _pseudo_huber(d: Any, r: Any) -> Any:
    return d * d * (mpmath.sqrt(1 + (r / d) ** 2) - 1)


def _erfcx(x: Any) -> Any:
    return mpmath.exp(x * x) * mpmath.erfc(x)


TAIL = 400
WIDE = (-700.0, -40.0, -20.0, -3.0, -1e-3, -1e-9, 1e-200, 1e-9, 0.4, 1.0, 20.0, 40.0, 700.0)
LARGE = (1e-150, 1e-30, 1e-9, 1e-3, 0.7, 3.0, 1e3, 1e9, 1e30)
SIGNED = (*LARGE, *(-x for x in LARGE))
UNIT = (1e-200, 1e-9, 1e-3, 0.3, 0.9, 1.0 - 1e-6, 1.0 - 1e-12)
BALL = (*UNIT, *(-x for x in UNIT))
ANGLES = (1e-200, 1e-9, 1e-3, 0.3, 1.5, 2.0, 3.0, -0.4, -30.0, 1e3)

CASES = (
    Case(np.exp, mpmath.exp, WIDE),
    Case(np.exp2, lambda x: mpmath.power(2, x), WIDE),
    Case(np.expm1, mpmath.expm1, WIDE, TAIL),
    Case(np.log, mpmath.log, LARGE),
    Case(np.log2, lambda x: mpmath.log(x) / mpmath.log(2), LARGE),
    Case(np.log10, mpmath.log10, LARGE),
    Case(np.log1p, mpmath.log1p, (*LARGE, -1e-9, -0.5, -1.0 + 1e-9, -1.0 + 1e-15)),
    Case(np.sqrt, mpmath.sqrt, LARGE),
    Case(np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), SIGNED),
    Case(np.square, lambda x: x * x, SIGNED),
    Case(np.reciprocal, lambda x: 1 / x, (1e-90, 1e-9, 0.7, 1e9, 1e90, -2.0)),
    Case(np.sin, mpmath.sin, ANGLES),
    Case(np.cos, mpmath.cos, ANGLES),
    Case(np.tan, mpmath.tan, ANGLES),
    Case(np.arcsin, mpmath.asin, BALL),
    Case(np.arccos, mpmath.acos, BALL),
    Case(np.arctan, mpmath.atan, SIGNED),
    Case(np.sinh, mpmath.sinh, WIDE),
    Case(np.cosh, mpmath.cosh, WIDE),
    Case(np.tanh, mpmath.tanh, (*WIDE, 5.0, 19.0, 1000.0, -1000.0), TAIL),
    Case(np.arcsinh, mpmath.asinh, (*SIGNED, 1e90)),
    Case(np.arccosh, mpmath.acosh, (1.0 + 1e-12, 1.0 + 1e-3, 1.5, 10.0, 1e9, 1e90)),
    Case(np.arctanh, mpmath.atanh, BALL),
    Case(np.sinc, _sinc, (1e-200, 1e-9, 1e-4, 0.01, 0.3, 0.499, 0.501, 0.8, 1.2, 3.3, -0.7, -1e-6)),
    Case(special.expit, _expit, (*WIDE, 50.0, -50.0), TAIL),
    Case(special.log_expit, lambda x: -_softplus(-x), WIDE, TAIL),
    Case(
        special.logit, lambda x: mpmath.log(x / (1 - x)), (1e-100, 1e-9, 0.2, 0.49, 0.7, 1 - 1e-9)
    ),
    Case(special.erf, mpmath.erf, (-20.0, -5.0, -0.5, 1e-200, 1e-9, 0.3, 3.0, 20.0), TAIL),
    Case(special.erfc, mpmath.erfc, (-20.0, -5.0, -0.5, 1e-200, 1e-9, 0.3, 3.0, 20.0), TAIL),
    Case(special.erfinv, mpmath.erfinv, (1e-9, 0.1, 0.5, 0.9, 0.999, -0.3, -0.99)),
    Case(special.erfcinv, lambda x: mpmath.erfinv(1 - x), (1e-20, 1e-5, 0.1, 0.5, 0.9, 1.5, 1.9)),
    Case(special.erfcx, _erfcx, (-3.0, -0.5, 1e-9, 0.5, 3.0, 9.0, 11.0, 30.0, 1e3)),
    Case(special.ndtr, mpmath.ncdf, (-30.0, -8.0, -1.0, 1e-9, 0.5, 3.0, 30.0), TAIL),
    Case(
        special.log_ndtr,
        lambda x: mpmath.log(mpmath.ncdf(x)),
        (-300.0, -40.0, -8.0, -1.0, 0.0, 3.0),
        TAIL,
    ),
    Case(special.ndtri, _ndtri, (1e-5, 0.01, 0.3, 0.6, 0.99)),
    Case(special.gamma, mpmath.gamma, (1e-3, 0.5, 1.2, 2.5, 10.0, 100.0, -0.5, -2.3)),
    Case(special.gammaln, lambda x: mpmath.log(abs(mpmath.gamma(x))), (1e-9, 0.5, 3.0, 1e3, 1e9)),
    Case(special.digamma, mpmath.digamma, (1e-5, 0.5, 1.0, 3.0, 1e3, 1e6, -0.5, -2.3)),
    Case(special.j0, lambda x: mpmath.besselj(0, x), (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0)),
    Case(special.j1, lambda x: mpmath.besselj(1, x), (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0)),
    Case(special.i0, lambda x: mpmath.besseli(0, x), (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0, 500.0)),
    Case(special.i1, lambda x: mpmath.besseli(1, x), (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0, 500.0)),
    Case(
        special.i0e,
        lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x)),
        (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0, 100.0),
    ),
    Case(
        special.i1e,
        lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)),
        (1e-9, 0.3, 1.0, 5.0, 20.0, -3.0, 100.0),
    ),
    Case(special.entr, lambda x: -x * mpmath.log(x), (1e-100, 1e-9, 0.2, 0.9, 5.0, 1e9)),
    Case(np.divide, lambda a, b: a / b, ((1.0, 3.0), (1e90, 1e-90), (-1e-9, 7.0))),
    Case(
        np.hypot,
        lambda a, b: mpmath.sqrt(a * a + b * b),
        ((3.0, 4.0), (1.0, 1e-6), (1e-6, 1.0), (1e140, 1e139), (1e-90, 2e-90), (-2.0, 1e-3)),
    ),
    Case(
        np.arctan2,
        mpmath.atan2,
        ((1.0, 2.0), (1e-9, 1.0), (1.0, 1e-9), (-1.0, -3.0), (1e100, 3e100), (1e-90, -2e-90)),
    ),
    Case(np.power, mpmath.power, ((2.0, 3.0), (1e-9, 2.5), (7.0, -1.5), (1e9, 0.3), (0.3, 40.0))),
    Case(
        np.logaddexp,
        lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
        ((0.0, 0.5), (300.0, 340.0), (-1e3, -1.02e3), (3.0, -30.0), (2.0, 2.0)),
    ),
    Case(
        np.logaddexp2,
        lambda a, b: mpmath.log(mpmath.power(2, a) + mpmath.power(2, b)) / mpmath.log(2),
        ((0.0, 0.5), (300.0, 340.0), (3.0, -30.0), (2.0, 2.0)),
    ),
    Case(special.xlogy, lambda a, b: a * mpmath.log(b), ((2.0, 3.0), (-1e9, 1e-9), (1e-9, 1e30))),
    Case(
        special.xlog1py, lambda a, b: a * mpmath.log1p(b), ((2.0, 3.0), (-1e9, 1e-9), (4.0, -0.9))
    ),
    Case(
        special.rel_entr,
        lambda a, b: a * mpmath.log(a / b),
        ((0.2, 0.7), (1e-9, 0.5), (0.5, 1e-9), (3.0, 3.0 + 1e-9)),
    ),
    Case(
        special.kl_div,
        lambda a, b: a * mpmath.log(a / b) - a + b,
        ((0.2, 0.7), (1e-9, 0.5), (0.5, 1e-9), (3.0, 3.0 + 1e-9), (1e20, 1.0), (1.0, 1e20)),
    ),
    Case(
        special.pseudo_huber,
        _pseudo_huber,
        ((1.0, 2.0), (1.0, 1e-6), (1e-3, 5.0), (10.0, -0.1)),
    ),
    Case(special.betaln, _betaln, ((0.5, 2.0), (3.0, 7.0), (1e-3, 1e-3), (20.0, 0.1))),
    Case(
        special.beta, lambda a, b: mpmath.exp(_betaln(a, b)), ((0.5, 2.0), (3.0, 7.0), (0.1, 0.2))
    ),
)
POINTS = [
    (case, point if isinstance(point, tuple) else (point,))
    for case in CASES
    for point in case.points
]
NAMES = [f"{case.name}-{','.join(map(str, point))}" for case, point in POINTS]


def derivatives(function: Callable[..., Any], arity: int) -> tuple[Graph, Graph]:
    """Return the graphs of the gradient, and of its tangent."""
    leaves, structure = flatten((tuple(np.zeros(1) for _ in range(arity)), {}))
    graph = trace_function(function, structure, [abstract(x) for x in leaves]).graph
    gradient = vjp(graph, range(arity))
    return gradient, jvp(gradient, range(arity))


def exactly(case: Case, point: Point, orders: tuple[int, ...]) -> Any:
    """Differentiate by differences, with steps and digits beyond every cancellation.

    The operands are scaled, so that one step suits all of them.
    """
    scales = [mpmath.mpf(x) or mpmath.mpf(1) for x in point]

    def scaled(*shifts: Any) -> Any:
        return case.exact(*(x + s * t for x, s, t in zip(point, scales, shifts, strict=True)))

    slope = mpmath.diff(scaled, (mpmath.mpf(0),) * len(point), orders, h=mpmath.mpf(10) ** -30)
    return slope / mpmath.fprod(s**n for s, n in zip(scales, orders, strict=True))


def digits(case: Case, point: Point) -> int:
    return case.digits + 3 * round(
        max(abs(math.log10(abs(x))) for x in point if x) if any(point) else 0
    )


def check(actual: float, case: Case, point: Point, orders: tuple[int, ...]) -> None:
    with mpmath.workdps(digits(case, point)):
        exact = exactly(case, point, orders)
        if abs(exact) > np.finfo(float).max:
            assert math.isinf(actual)
        elif abs(exact) < SMALLEST:
            assert abs(actual) <= 2 * SMALLEST
        else:
            error = float(abs(mpmath.mpf(float(actual)) / exact - 1))
            assert error < RELATIVE, f"d{orders} is {actual}, exactly {mpmath.nstr(exact, 17)}"


@pytest.mark.parametrize(("case", "point"), POINTS, ids=NAMES)
def test_derivatives_are_accurate(case: Case, point: Point) -> None:
    arity = len(point)
    gradient, tangent = derivatives(case.function, arity)
    args = [np.array([x]) for x in point]
    firsts = evaluate(gradient, *args, np.ones(1))[1:]
    for i, actual in enumerate(firsts):
        check(float(actual[0]), case, point, _orders(arity, i))
    for i, j in itertools.product(range(arity), repeat=2):
        directions = [np.full(1, float(k == j)) for k in range(arity)]
        seconds = evaluate(tangent, *args, np.ones(1), *directions)[-arity:]
        check(float(seconds[i][0]), case, point, _orders(arity, i, j))


def _orders(arity: int, *operands: int) -> tuple[int, ...]:
    return tuple(operands.count(k) for k in range(arity))
