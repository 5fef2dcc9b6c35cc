"""An element written twice by one assignment keeps the last value, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import grad, trace
from adgraph.testing import check_derivatives
from tests.numpy_api.agreement import assert_agrees

M = np.random.default_rng(6).normal(size=(3, 4))
positions = st.lists(st.integers(-3, 2), min_size=1, max_size=9)


@given(positions, st.sampled_from(["rows", "columns", "pairs"]))
@settings(max_examples=60, deadline=None)
def test_the_last_value_stays(listed: list[int], place: str) -> None:
    at = np.array(listed)
    key = {"rows": at, "columns": (slice(None), at), "pairs": (at, at[::-1])}[place]

    def stored(x: Any, v: Any) -> Any:
        y = x * 1.0
        y[key] = v
        return y

    values = np.random.default_rng(len(listed)).normal(size=M[key].shape)
    assert_agrees(stored, M, values)
    assert_agrees(stored, M, values[..., :1])


def _scattered(v: Any) -> Any:
    y = np.zeros(3)
    y[[0, 1, 1, -2]] = v * v
    return y


def test_what_is_overwritten_has_no_derivative() -> None:
    v = np.array([1.0, 2.0, 3.0, 4.0])
    assert grad(lambda v: np.sum(_scattered(v)))(v).tolist() == [2.0, 0.0, 0.0, 8.0]
    check_derivatives(_scattered, v)


def test_loops_store_the_last_value_too() -> None:
    def windows(x: Any) -> Any:
        y = np.zeros(len(x))
        for i in range(len(x) - 2):
            y[[0, 1, 1]] = x[i : i + 3]
        return y

    x = np.arange(40.0)
    np.testing.assert_array_equal(trace(windows)(x), windows(x))
    check_derivatives(windows, x)


def test_put_writes_in_order() -> None:
    def put(x: Any, v: Any) -> Any:
        y = x * 1.0
        np.put(y, [1, 5, 1], v)
        return y

    assert_agrees(put, M, M[0, :3])
