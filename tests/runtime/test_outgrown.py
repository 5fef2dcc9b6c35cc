"""A loop that outgrows its tape: what it had is free before a program with more room runs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.runtime.calls import OTHERWISE


def waves(u: Any, n: Any) -> Any:
    for _ in range(n):
        u = u + 0.1 * np.sin(np.roll(u, 1) * u)
    return np.sum(u)


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_the_outgrown_arena_is_given_up(calls: int) -> None:
    gradient = trace(waves).grad
    u = np.linspace(0.1, 1.0, 20_000)
    for _ in range(calls):
        gradient(u, 3)
    first = gradient.explain(u, 3).peak_bytes
    tracemalloc.start()
    try:
        result = gradient(u, 100)
        _, held = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    peak = gradient.explain(u, 100).peak_bytes
    assert first < peak
    assert peak <= held <= peak + first // 4 + 2**23  # what compiling takes
    steps = trace(waves, static_argnames="n").grad(u, n=100)
    np.testing.assert_allclose(result, steps, rtol=1e-12)


def test_a_retired_program_refuses_calls() -> None:
    gradient = trace(waves).grad
    u = np.linspace(0.1, 1.0, 20_000)
    short = [gradient(u, 3) for _ in range(3)]
    (way,) = gradient.dispatch.direct
    long = gradient(u, 100)
    assert way((u, 3), {}) is OTHERWISE  # its arena is gone
    for _ in range(3):
        np.testing.assert_array_equal(gradient(u, 3), short[0])
        np.testing.assert_array_equal(gradient(u, 100), long)
