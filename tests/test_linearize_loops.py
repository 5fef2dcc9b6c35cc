"""linearize of functions with loops and branches that a trace records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import jvp, linearize, trace
from adgraph.api.linear import _halves
from adgraph.tracing.tree import flatten

RNG = np.random.default_rng(4)
X, V = RNG.standard_normal(9) ** 2, RNG.standard_normal(9)
W, DW = 0.4 * RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


def wave(x: Any) -> Any:
    for _ in range(300):
        x = x + 0.001 * np.sin(np.roll(x, 1))
    return np.sum(x**2)


def growth(x: Any) -> Any:
    s, k = x * 1.0, 0
    while np.sum(s) < 5000.0:
        s = s + 0.1 * np.sin(s) ** 2 + 0.1
        k = k + 1
    return s, k


def branch(x: Any) -> Any:
    y = np.sin(x) * x if np.sum(x) > 0 else 2 * x
    return np.exp(y)


def nest(x: Any) -> Any:
    s = x
    for i in range(20):
        for _ in range(i):
            s = np.sin(s) + 0.1 * x
        if np.sum(s) > 0:
            s = s * s
    return s[0] + s


def written(x: Any) -> Any:
    a = np.zeros(60)
    a[:2] = x[:2]
    for i in range(2, 60):
        a[i] = np.sin(a[i - 1]) * a[i - 2] + x[i % 9]
    return a


def states(w: Any) -> Any:
    h = np.ones(3, w.dtype)
    for _ in range(30):
        h = 0.5 * (w @ h) * np.exp(-h)
    return h, np.sum(h * h)


CASES = {
    "loop": (wave, X, V),
    "while": (growth, X, V),
    "branch": (branch, X, V),
    "nest": (nest, X, V),
    "written": (written, X, V),
    "several results": (states, W, DW),
    "complex": (states, W + 0.3j * DW, (0.2 + 1j) * DW),
}


@pytest.mark.parametrize("case", CASES)
def test_linearize_of_a_region_is_jvp(case: str) -> None:
    f, x, dx = CASES[case]
    value, push = linearize(f, x)
    expected = flatten(jvp(f, (x,), (dx,)))[0]
    for found, wanted in zip(flatten((value, push(dx)))[0], expected, strict=True):
        assert np.shape(found) == np.shape(wanted)
        assert np.result_type(found) == np.result_type(wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("budget", [None, "30%"])
def test_linearize_of_a_loop_within_a_budget(budget: str | None) -> None:
    value, push = trace(wave, memory_budget=budget).linearize(X)
    np.testing.assert_allclose((value, push(V)), jvp(wave, (X,), (V,)), rtol=1e-12)


@pytest.mark.parametrize("f", [wave, nest])
def test_the_linear_half_of_a_loop_runs_no_primal(f: Callable[..., Any]) -> None:
    _, second = _halves(trace(f).graph(X), [0])
    assert "loop" in str(second) or "counted" in str(second)
    assert "= sin(" not in str(second)


def test_a_linear_function_is_differentiated() -> None:
    def along(x: Any) -> Any:
        return linearize(wave, x)[1](x)

    expected = trace(lambda x: jvp(wave, (x,), (x,))[1]).grad(X)
    np.testing.assert_allclose(trace(along).grad(X), expected, rtol=1e-12)
