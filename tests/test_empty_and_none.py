"""What has no elements, or is None, where JAX takes it."""

from __future__ import annotations

import numpy as np
import pytest

from adgraph import checkpoint, grad, scan, trace
from adgraph import map as scan_map

X = np.linspace(0.1, 0.9, 4)


@pytest.mark.parametrize("traced", [False, True])
def test_a_scan_over_nothing_stacks_empty_arrays(traced: bool) -> None:
    def run(x: np.ndarray, ys: np.ndarray) -> object:
        return scan(lambda c, y: (c, (np.sum(c) * y, c)), x, ys)

    last, (sums, carries) = (trace(run) if traced else run)(X, np.zeros((0, 2), np.float32))
    np.testing.assert_array_equal(last, X)
    assert sums.shape == (0, 2)
    assert sums.dtype == np.float64
    assert carries.shape == (0, 4)


def test_a_scan_over_nothing_has_a_derivative() -> None:
    def f(x: np.ndarray) -> np.ndarray:
        last, out = scan(lambda c, y: (c * y, np.sum(c)), x, np.zeros(0))
        return np.sum(last) + np.sum(out**2)

    np.testing.assert_array_equal(grad(f)(X), np.ones(4))


def test_a_scan_of_length_zero_and_a_map_of_nothing() -> None:
    _, out = scan(lambda c, _: (c, c), X, length=0)
    assert out.shape == (0, 4)
    assert scan_map(lambda row: row.sum(), np.ones((0, 2))).shape == (0,)


def test_the_memory_curve_of_a_program_that_needs_no_bytes() -> None:
    curve = trace(lambda x: np.sum(x)).grad.memory(np.zeros(0))
    assert "100" in str(curve)
    assert "<svg" in curve._repr_svg_()


def test_a_checkpoint_takes_none_for_its_policy() -> None:
    plain = checkpoint(np.sin, policy=None)
    np.testing.assert_allclose(grad(lambda x: np.sum(plain(x)))(X), np.cos(X), rtol=1e-15)
    decorated = checkpoint(policy=None)(np.sin)
    np.testing.assert_allclose(decorated(X), np.sin(X), rtol=1e-15)
