"""Arrays that are rolled several times are copied once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.ir.graph import Graph
from adgraph.passes.pipeline import CANONICAL, run_pipeline
from adgraph.passes.wraps import wraps
from tests.passes.loops import assert_same, captured, names, region
from tests.strategies import graph_of

GRID = np.random.default_rng(0).standard_normal((20, 18))
LINE = GRID.ravel()


def canonical(function: Any, *args: Any) -> Graph:
    return run_pipeline(graph_of(function, *args), CANONICAL)[0]


def torus(u: Any) -> Any:
    around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
    return np.sin(u) * around


def upwind(u: Any) -> Any:
    return np.roll(u, 1) * np.roll(u, 3) + np.roll(u, -2)


@pytest.mark.parametrize(("function", "u"), [(torus, GRID), (upwind, LINE), (upwind, LINE[:256])])
def test_rolls_are_views_of_one_copy(function: Any, u: Any) -> None:
    before = canonical(function, u)
    hits: Counter[str] = Counter()
    after = wraps(before, hits)
    assert hits == {"rolls of one array": 1}
    assert "concatenate" not in names(after.nodes)
    assert names(after.nodes).count("place") == 1
    assert_same(before, after)


@pytest.mark.parametrize(
    ("function", "u"),
    [
        (lambda u: np.roll(u, 1) - u, LINE),
        (upwind, LINE[:100]),
        (lambda u: np.roll(u, 150) + np.roll(u, 130), LINE),
        (lambda u: np.concatenate([u[9:], u[:8]]) + np.concatenate([u[8:], u[:7]]), LINE),
        (lambda u: np.concatenate([u[::-1][:9], u[:-9]]) + np.roll(u, 1), LINE),
    ],
)
def test_single_small_and_far_rolls_stay(function: Any, u: Any) -> None:
    before = canonical(function, u)
    assert wraps(before) is before


def test_a_loop_carries_the_copy_of_what_it_computes_anew() -> None:
    def function(u: Any) -> Any:
        for _ in range(50):
            u = u + 0.01 * torus(u)
        return u

    before = captured(function, GRID)
    hits: Counter[str] = Counter()
    after = wraps(before, hits)
    assert hits == {"rolled array carried": 1}
    loop = region(after)
    assert loop.attrs["body"].inputs[-1].type.shape == (22, 20)
    assert "concatenate" not in names(loop.attrs["body"].nodes)
    assert_same(before, after)


def test_loops_around_a_torus_have_right_gradients() -> None:
    def steps(u: Any) -> Any:
        for _ in range(7):
            u = u + 0.1 * torus(u)
        return np.sum(u * u)

    d = np.random.default_rng(1).standard_normal(GRID.shape)
    value, gradient = adgraph.value_and_grad(steps)(GRID)
    np.testing.assert_allclose(value, steps(GRID), rtol=1e-12)
    step = 1e-6
    expected = (steps(GRID + step * d) - steps(GRID - step * d)) / (2 * step)
    np.testing.assert_allclose(np.vdot(gradient, d), expected, rtol=1e-5)
