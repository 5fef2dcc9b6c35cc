"""Three codes that users published because another package made them slow, written as NumPy.

Each is checked for its derivative, and that neither its programs nor the time to make them grow
with the number of iterations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import adgraph
from adgraph import trace
from adgraph.control.tapes import taped_bytes
from adgraph.testing import check_derivatives

RNG = np.random.default_rng(5)


def tridiagonal(lower: Any, diagonal: Any, upper: Any, right: Any) -> Any:
    """Many tridiagonal systems in two sweeps, vectorized over the leading axes.

    https://github.com/jax-ml/jax/issues/2491: updates of slices, which had to become scans.
    """
    n = diagonal.shape[-1]
    for i in range(1, n):
        w = lower[..., i] / diagonal[..., i - 1]
        diagonal[..., i] -= w * upper[..., i - 1]
        right[..., i] -= w * right[..., i - 1]
    x = np.empty_like(right)
    x[..., -1] = right[..., -1] / diagonal[..., -1]
    for i in range(n - 2, -1, -1):
        x[..., i] = (right[..., i] - upper[..., i] * x[..., i + 1]) / diagonal[..., i]
    return x


def repeated_rows(first: Any, steps: Any) -> Any:
    """Each row of a buffer is made of the row before.

    https://github.com/jax-ml/jax/issues/10197: unrolled, compiling took minutes at 300 rows; as a
    scan, the gradient copied the buffer in every iteration.
    """
    rows = np.empty((len(steps), *first.shape))
    rows[0] = first
    for i in range(1, len(steps)):
        rows[i] = rows[i - 1]
    return np.sum(rows[-1])


def rows_kept_or_made(first: Any, steps: Any) -> Any:
    """The second program of issue 10197: the write stands under a condition."""
    rows = np.zeros((len(steps), *first.shape))
    rows[0] = first
    for i in range(1, len(steps)):
        if steps[i] > 0:
            rows[i] = rows[i - 1] * steps[i]
        else:
            rows[i] = rows[i - 1]
    return np.sum(rows[-1])


def running_sum(x: Any) -> Any:
    """The sum of running sums, an element at a time.

    https://github.com/jax-ml/jax/issues/1832: the time to compile its gradient grew faster than n.
    """
    f = np.zeros(len(x))
    for i in range(1, len(x)):
        f[i] = x[i] + f[i - 1]
    return np.sum(f)


def systems(batch: int, n: int) -> list[Any]:
    return [RNG.normal(size=(batch, n)) + shift for shift in (0.0, 5.0, 0.0, 0.0)]


def dense(lower: Any, diagonal: Any, upper: Any) -> Any:
    n = diagonal.shape[-1]
    matrices = np.zeros((*diagonal.shape, n))
    k = np.arange(n)
    matrices[..., k, k] = diagonal
    matrices[..., k[1:], k[:-1]] = lower[..., 1:]
    matrices[..., k[:-1], k[1:]] = upper[..., :-1]
    return matrices


def least_seconds(run: Callable[[], Any], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def assert_made_once(function: adgraph.Function, arguments: Callable[[int], Any]) -> None:
    """Programs for more iterations have no more nodes and kernels, made in like time.

    A short one may have fewer: arrays of up to 1,024 zeros are constants.
    """
    facts, seconds = [], []
    for n in (50, 2000, 20_000):
        given = arguments(n)
        start = time.perf_counter()
        explanation = function.explain(*given)
        seconds.append(time.perf_counter() - start)
        facts.append((explanation.nodes, explanation.kernels))
    assert facts[0] <= facts[1] == facts[2]
    assert seconds[2] < 3 * seconds[1] + 0.5


def assert_linear(function: adgraph.Function, arguments: Callable[[int], Any]) -> None:
    """Four times the iterations take about four times as long, not sixteen times."""
    seconds = []
    for n in (4000, 16000):
        given = arguments(n)
        function(*given)
        seconds.append(least_seconds(lambda given=given: function(*given)))
    assert seconds[1] < 9 * seconds[0]


def test_the_tridiagonal_solver_of_jax_issue_2491_solves_and_differentiates() -> None:
    for n in (1, 2, 7):
        arguments = systems(3, n)
        expected = np.linalg.solve(dense(*arguments[:3]), arguments[3][..., None])[..., 0]
        found = trace(tridiagonal)(*(x.copy() for x in arguments))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        check_derivatives(tridiagonal, *arguments)


def test_the_tridiagonal_solver_of_jax_issue_2491_is_made_once_and_takes_linear_time() -> None:
    by = (0, 1, 2, 3)
    gradient = adgraph.grad(lambda *args: np.sum(tridiagonal(*args) ** 2), argnums=by)
    assert_made_once(trace(tridiagonal), lambda n: systems(2, n))
    assert_made_once(gradient, lambda n: systems(2, n))
    assert_linear(gradient, lambda n: systems(1, n))


def test_the_in_place_loop_of_jax_issue_10197_has_the_gradient_of_a_copy() -> None:
    gradient = adgraph.grad(repeated_rows)
    for n in (1, 2, 50):
        found = gradient(np.ones((10, 10)), np.ones(n))
        np.testing.assert_array_equal(found, np.ones((10, 10)))


def test_the_in_place_loop_of_jax_issue_10197_is_made_once_and_takes_linear_time() -> None:
    gradient = adgraph.grad(repeated_rows)
    assert_made_once(trace(repeated_rows), lambda n: (np.ones((10, 10)), np.ones(n)))
    assert_made_once(gradient, lambda n: (np.ones((10, 10)), np.ones(n)))
    assert_linear(gradient, lambda n: (np.ones((3, 3)), np.ones(n)))


def test_the_conditional_in_place_loop_of_jax_issue_10197_is_one_program_too() -> None:
    gradient = adgraph.grad(rows_kept_or_made, argnums=(0, 1))
    first, steps = RNG.normal(size=(2, 2)), np.array([1.0, 1.5, -1.0, 0.5])
    by_first, by_steps = gradient(first, steps)
    np.testing.assert_allclose(by_first, np.full((2, 2), 0.75), rtol=1e-15)
    total = np.sum(first)
    np.testing.assert_allclose(by_steps, [0.0, 0.5 * total, 0.0, 1.5 * total], rtol=1e-14)
    assert_made_once(gradient, lambda n: (first, np.ones(n)))
    assert_linear(gradient, lambda n: (first, np.ones(n)))


def test_the_recurrence_of_jax_issue_1832_has_its_gradient() -> None:
    gradient = adgraph.grad(running_sum)
    for n in (1, 2, 10, 1000, 10_000):
        expected = np.arange(n, 0, -1.0)
        expected[0] = 0.0
        np.testing.assert_array_equal(gradient(np.ones(n)), expected)


def test_the_recurrence_of_jax_issue_1832_is_made_once_and_takes_linear_time() -> None:
    gradient = adgraph.grad(running_sum)
    assert_made_once(trace(running_sum), lambda n: (np.ones(n),))
    assert_made_once(gradient, lambda n: (np.ones(n),))
    assert_linear(gradient, lambda n: (np.ones(n),))
    assert taped_bytes(gradient.graph(np.ones(5000))) == 0
