"""Elements by rank: the kernel finds where a stable sort would put them, nan being last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.ops.selection import argselect

ROWS: dict[str, Callable[[Any, Any], Any]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "narrow": lambda rng, shape: rng.normal(size=shape).astype(np.float32),
    "ties": lambda rng, shape: rng.integers(0, 3, shape).astype(float),
    "equal": lambda rng, shape: np.zeros(shape),
    "gaps": lambda rng, shape: np.where(rng.random(shape) < 0.4, np.nan, rng.normal(size=shape)),
    "nan": lambda rng, shape: np.full(shape, np.nan),
    "infinite": lambda rng, shape: rng.choice([np.inf, -np.inf, 0.0, 1.0], shape),
    "sorted": lambda rng, shape: np.sort(rng.normal(size=shape)),
    "periodic": lambda rng, shape: np.broadcast_to(np.arange(shape[-1]) % 64, shape).astype(float),
    "integers": lambda rng, shape: rng.integers(0, 40, shape),
    "bytes": lambda rng, shape: rng.integers(0, 255, shape).astype(np.uint8),
}
select = trace(lambda x, ranks: argselect(x, ranks))


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("n", [1, 2, 64, 65, 66, 200, 3000])
def test_kernel_finds_the_places_of_ranks(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    rows = ROWS[kind](rng, (3, n))
    edges = np.broadcast_to([0, n // 2, min(n // 2 + 1, n - 1), n - 1], (3, 4))
    ranks = np.concatenate([rng.integers(0, n, (3, 4)), edges], axis=1)
    want = np.take_along_axis(np.argsort(rows, kind="stable"), ranks, -1)
    np.testing.assert_array_equal(select(rows, ranks), want)


def test_numba_compiles_the_kernel_too() -> None:
    x = np.random.default_rng(1).normal(size=(2, 500))
    assert np.array_equal(trace(np.median, backend="numba")(x), np.median(x))


def test_gradients_go_to_the_elements_selected() -> None:
    x = np.random.default_rng(2).permutation(101) / 7.0
    found = grad(lambda x: np.quantile(x, 0.25) + 2 * np.quantile(x, 0.75))(x)
    np.testing.assert_array_equal(found, 1.0 * (x == 25 / 7.0) + 2.0 * (x == 75 / 7.0))


def test_many_quantiles_sort_and_equal_few() -> None:
    x = np.random.default_rng(3).normal(size=300)
    levels = np.linspace(0, 1, 60)
    many = trace(lambda x: np.quantile(x, levels))(x)
    few = trace(lambda x: np.quantile(x, levels[::30]))(x)
    np.testing.assert_array_equal(many, np.quantile(x, levels))
    np.testing.assert_array_equal(many[::30], few)
