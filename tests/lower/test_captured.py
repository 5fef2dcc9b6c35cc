"""Captured programs whose arrays meet in one buffer, or are none: compiled values are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.tracing.loops import UNROLLING, Unrolling

pytestmark = pytest.mark.usefixtures("backend")

X = np.linspace(-1, 1, 6)


@pytest.fixture(autouse=True)
def _every_loop_is_captured() -> Iterator[None]:
    token = UNROLLING.set(Unrolling(trips=1, nodes=0))
    yield
    UNROLLING.reset(token)


def written_then_changed_in_a_branch(x: Any, y: Any, s: float) -> Any:
    table = np.zeros((6, 6))
    for i in range(6):
        c = 0.5 * x
        y[...] = c
        if s < 0.4:
            y *= 0.7
        table[i] = c
    return np.sum(np.sin(table)) + np.sum(x * y)


def an_element_of_a_list_of_equal_numbers(x: Any, y: Any, s: float) -> Any:
    for i in range(5, 0, -2):
        v = []
        for k in range(6):
            v.append(-0.7 + 0 * k)  # noqa: PERF401  the loop is what is tested
        s = v[i]
    return s


def minus_itself_and_its_reverse(x: Any, y: Any, s: float) -> Any:
    x[:] -= x[::-1] + x
    return np.sum(np.sin(x) * y) * s


def a_row_and_its_reverse(x: Any, y: Any, s: float) -> Any:
    table = np.zeros((3, 6))
    table[1] = 0.5 * x[::-1] + s * x
    return np.sum(np.sin(table[1]) * y)


@pytest.mark.parametrize("s", [0.3, 0.6])
@pytest.mark.parametrize(
    "function", [written_then_changed_in_a_branch, an_element_of_a_list_of_equal_numbers]
)
def test_the_compiled_value_is_numpys(function: Callable[..., Any], s: float) -> None:
    have = trace(function)(X, X[::-1].copy(), s)
    np.testing.assert_allclose(have, function(X, X[::-1].copy(), s), rtol=1e-14)


@pytest.mark.parametrize("function", [minus_itself_and_its_reverse, a_row_and_its_reverse])
def test_the_compiled_gradient_is_that_of_differences(function: Callable[..., Any]) -> None:
    y = np.cos(3 * X)
    found = grad(function, argnums=0)(X, y, 0.3)
    basis = 1e-5 * np.eye(X.size)
    wanted = [function(X + e, y, 0.3) - function(X - e, y, 0.3) for e in basis]
    np.testing.assert_allclose(found, np.array(wanted) / 2e-5, rtol=1e-7, atol=1e-9)


def kalman(z: Any, q: float, r: float) -> Any:
    step, seen = np.array([[1, 1], [0, 1]]), np.array([[1, 0]])
    x, p, total = np.zeros(2), np.eye(2), 0.0
    for k in range(len(z)):
        x, p = step @ x, step @ p @ step.T + q * np.eye(2)
        y, s = z[k] - seen @ x, seen @ p @ seen.T + r
        gain = p @ seen.T / s
        x, p = x + gain @ y, (np.eye(2) - gain @ seen) @ p
        total += -0.5 * (np.log(s[0, 0]) + y[0] ** 2 / s[0, 0])
    return total


def test_a_fold_where_all_loops_are_over_rows_has_a_start() -> None:
    z, step = np.linspace(0, 1, 20), 1e-6
    slope = (kalman(z, 0.1 + step, 0.5) - kalman(z, 0.1 - step, 0.5)) / (2 * step)
    np.testing.assert_allclose(grad(kalman, argnums=1)(z, 0.1, 0.5), slope, rtol=1e-7)
