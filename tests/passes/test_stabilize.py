"""Stabilized formulas are right where the formulas are not, and so are their gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy.special import expit

from adgraph.ir.evaluate import evaluate
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.passes.stabilize import stabilize
from adgraph.transforms.vjp import vjp
from tests.strategies import graph_of

mp.mp.dps = 700  # log(cosh(1000)) and its like lose all but the last of these digits

Number = Callable[[Any], Any]
POINTS = (1e-20, -1e-20, 1e-8, 0.5, -0.5, 3.0, 40.0, -40.0, 1000.0, -1000.0)
SMALL = (1e-20, -1e-20, 1e-8, 0.25, -0.25)


def _two(x: Any) -> Any:
    return mp.log(mp.exp(x) + 2 * mp.exp(-x))


FORMULAS: tuple[tuple[str, Number, Number, tuple[float, ...]], ...] = (
    ("log(1 + x)", lambda x: np.log(1.0 + x), lambda x: mp.log(1 + x), SMALL),
    ("log(1 - x)", lambda x: np.log(1.0 - x), lambda x: mp.log(1 - x), SMALL),
    ("exp(x) - 1", lambda x: np.exp(x) - 1.0, lambda x: mp.exp(x) - 1, SMALL),
    ("1 - exp(x)", lambda x: 1.0 - np.exp(x), lambda x: 1 - mp.exp(x), SMALL),
    ("softplus", lambda x: np.log(1.0 + np.exp(x)), lambda x: mp.log(1 + mp.exp(x)), POINTS),
    ("log1p softplus", lambda x: np.log1p(np.exp(x)), lambda x: mp.log(1 + mp.exp(x)), POINTS),
    ("logaddexp", lambda x: np.log(np.exp(x) + 2.0 * np.exp(-x)), _two, POINTS),
    ("log(exp(x))", lambda x: np.log(np.exp(x)), lambda x: x, POINTS),
    ("logistic", lambda x: 1.0 / (1.0 + np.exp(-x)), lambda x: 1 / (1 + mp.exp(-x)), POINTS),
    ("quotient", lambda x: np.exp(x) / (1.0 + np.exp(x)), lambda x: 1 / (1 + mp.exp(-x)), POINTS),
    ("1 - logistic", lambda x: 1.0 - expit(x), lambda x: 1 / (1 + mp.exp(x)), POINTS),
    ("log(logistic)", lambda x: np.log(expit(x)), lambda x: -mp.log(1 + mp.exp(-x)), POINTS),
    (
        "log(1 - logistic)",
        lambda x: np.log(1.0 - expit(x)),
        lambda x: -mp.log(1 + mp.exp(x)),
        POINTS,
    ),
    ("log1p(-logistic)", lambda x: np.log1p(-expit(x)), lambda x: -mp.log(1 + mp.exp(x)), POINTS),
)


def value_and_gradient(function: Callable[..., Any], x: Any) -> tuple[Any, Any]:
    """Run the whole path: canonical passes, the gradient of the sum, final passes."""
    graph, _ = run_pipeline(graph_of(lambda x: np.sum(function(x)), x), CANONICAL, verify=True)
    joint, _ = run_pipeline(vjp(graph, [0], unit_seed=True), FINAL, verify=True)
    value, gradient = evaluate(joint, np.asarray(x))
    return value, gradient


@pytest.mark.parametrize(
    ("name", "function", "exact", "points"), FORMULAS, ids=[f[0] for f in FORMULAS]
)
def test_a_formula_and_its_gradient_are_accurate(
    name: str, function: Number, exact: Number, points: tuple[float, ...]
) -> None:
    for x in points:
        value, gradient = value_and_gradient(function, np.array([x]))
        want, slope = float(exact(mp.mpf(x))), float(mp.diff(exact, mp.mpf(x), h=mp.mpf(10) ** -60))
        np.testing.assert_allclose(value, want, rtol=2e-15, atol=5e-324)
        np.testing.assert_allclose(gradient[0], slope, rtol=1e-14, atol=1e-300)


def test_the_logarithm_of_cosh_does_not_overflow() -> None:
    value, gradient = value_and_gradient(lambda x: np.log(np.cosh(x)), np.array([1000.0]))
    assert value == 1000.0 - np.log(2)
    assert gradient[0] == 1.0


ROWS = np.array([[1000.0, 1001.0, 999.0], [-1000.0, -1000.5, -1002.0], [0.1, -0.2, 50.0]])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, (0, 1), None])
def test_the_logarithm_of_a_sum_of_exponentials_is_accurate(axis: Any, keepdims: bool) -> None:
    def function(x: Any) -> Any:
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))

    value, gradient = value_and_gradient(function, ROWS)
    want = np.logaddexp.reduce(ROWS, axis=axis, keepdims=True)
    np.testing.assert_allclose(value, np.sum(want), rtol=1e-14)
    np.testing.assert_allclose(gradient, np.exp(ROWS - want), rtol=1e-12, atol=1e-300)


def test_a_logarithm_of_a_mean_of_exponentials_is_accurate() -> None:
    value, _ = value_and_gradient(lambda x: np.log(np.mean(np.exp(x), axis=1)), ROWS)
    want = np.logaddexp.reduce(ROWS, axis=1) - np.log(3)
    np.testing.assert_allclose(value, np.sum(want), rtol=1e-14)


def test_minus_infinity_adds_nothing_to_a_sum_of_exponentials() -> None:
    x = np.array([-np.inf, 1000.0])
    value, gradient = value_and_gradient(lambda x: np.log(np.sum(np.exp(x))), x)
    assert value == 1000.0
    np.testing.assert_array_equal(gradient, [0.0, 1.0])


def test_sums_of_exponentials_of_infinities_have_their_limits() -> None:
    graph, _ = run_pipeline(graph_of(lambda x: np.log(np.sum(np.exp(x), axis=1)), ROWS), CANONICAL)
    rows = np.array([[-np.inf] * 3, [np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    np.testing.assert_array_equal(evaluate(graph, rows)[0], [-np.inf, np.inf, np.nan])


def _softmax(x: Any) -> Any:
    exponentials = np.exp(x)
    return exponentials / np.sum(exponentials, axis=1, keepdims=True)


def _exact_softmax(x: Any) -> Any:
    return np.exp(x - np.logaddexp.reduce(x, axis=1, keepdims=True))


def test_softmax_and_its_logarithm_do_not_overflow() -> None:
    weights = np.array([[1.0, 2.0, 3.0]])
    value, gradient = value_and_gradient(lambda x: weights * _softmax(x), ROWS)
    p = _exact_softmax(ROWS)
    np.testing.assert_allclose(value, np.sum(weights * p), rtol=1e-12)
    slope = p * (weights - np.sum(weights * p, axis=1, keepdims=True))
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-16)

    value, gradient = value_and_gradient(lambda x: np.log(_softmax(x)), ROWS)
    np.testing.assert_allclose(value, np.sum(np.log(p)), rtol=1e-12)
    np.testing.assert_allclose(gradient, 1 - 3 * p, rtol=1e-12, atol=1e-15)


def test_exponents_that_were_shifted_by_hand_are_not_shifted_again() -> None:
    def function(x: Any) -> Any:
        z = x - np.max(x, axis=1, keepdims=True)
        return np.log(np.sum(np.exp(z), axis=1))

    graph, report = run_pipeline(graph_of(function, ROWS), CANONICAL)
    assert "log of sum of exp" not in report.hits
    assert sum(node.op.name == "max" for node in graph.nodes) == 1


def test_float32_stays_float32() -> None:
    x = ROWS.astype("f4")
    for function in (_softmax, lambda x: np.log(1 + np.exp(x)), lambda x: np.log(np.cosh(x))):
        graph, _ = run_pipeline(graph_of(function, x), CANONICAL, verify=True)
        assert graph.outputs[0].type.dtype == np.float32


def test_complex_formulas_are_left_alone() -> None:
    def function(x: Any) -> Any:
        return np.log(np.sum(np.exp(x))), np.log(np.exp(x)), np.log(1.0 + x), np.exp(x) - 1.0

    hits: Counter[str] = Counter()
    stabilize(graph_of(function, ROWS.astype(complex)), hits)
    assert not hits
