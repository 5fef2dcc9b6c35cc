"""Captured programs whose arrays meet in one buffer, or are no arrays: compiled values are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.tracing.loops import UNROLLING, Unrolling

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
        for _ in range(6):
            v.append(-0.7)
        s = v[i]
    return s


@pytest.mark.parametrize("s", [0.3, 0.6])
@pytest.mark.parametrize(
    "function", [written_then_changed_in_a_branch, an_element_of_a_list_of_equal_numbers]
)
def test_the_compiled_value_is_numpys(function: Callable[..., Any], s: float) -> None:
    have = trace(function)(X, X[::-1].copy(), s)
    np.testing.assert_allclose(have, function(X, X[::-1].copy(), s), rtol=1e-14)
