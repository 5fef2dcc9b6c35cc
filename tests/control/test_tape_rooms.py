"""The tapes of loops of unknown length begin small, and grow where they ran out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import AdgraphError
from adgraph.runtime import compiled

X = np.random.default_rng(5).uniform(0.2, 1.0, 1000)


def pairs(x: Any, n: Any) -> Any:
    for i in range(n):
        for _ in range(i):
            x = np.sin(x)
    return np.sum(x)


def triples(x: Any, n: Any) -> Any:
    for i in range(n):
        for j in range(i):
            for _ in range(j):
                x = np.sin(x) + 0.1 * x
    return np.sum(x)


def inner_while(x: Any, n: Any) -> Any:
    s = x
    for i in range(n):
        k = 0
        while k < i % 5:
            s = np.sin(s) + x
            k += 1
    return np.sum(s)


def rectangle(x: Any, n: Any, m: Any) -> Any:
    for _ in range(n):
        for _ in range(m):
            x = x + 0.01 * np.sin(x * x)
    return np.sum(x)


def expected(f: Callable[..., Any], *args: Any) -> Any:
    """The gradient where all numbers of trips are known when the program is made."""
    return trace(lambda x: f(x, *args)).grad(X)


@pytest.mark.parametrize("f", [pairs, triples, inner_while])
def test_the_first_room_is_a_few_megabytes_at_most(f: Callable[..., Any]) -> None:
    assert trace(f).grad.explain(X, 2).peak_bytes < 3e6


@pytest.mark.parametrize(
    ("f", "args"), [(pairs, (2,)), (pairs, (40,)), (triples, (12,)), (inner_while, (30,))]
)
def test_gradients_are_those_of_known_numbers_of_trips(
    f: Callable[..., Any], args: tuple[int, ...]
) -> None:
    np.testing.assert_array_equal(trace(f).grad(X, *args), expected(f, *args))


def test_only_the_loop_that_ran_out_gets_more_room() -> None:
    f = trace(rectangle)
    for n, m, rows in ((2, 70, 2 * 128), (7, 70, 8 * 128), (7, 130, 8 * 256)):
        np.testing.assert_array_equal(f.grad(X, n, m), expected(rectangle, n, m))
        assert rows <= f.grad.explain(X, n, m).peak_bytes / X.nbytes < rows + 4


@pytest.mark.parametrize("n", [2, 14])
def test_a_budget_holds_for_three_loops_in_each_other(n: int) -> None:
    f = trace(triples, memory_budget="1MB")
    np.testing.assert_array_equal(f.grad(X, n), expected(triples, n))
    assert f.grad.explain(X, n).peak_bytes <= 1_000_000


def test_no_memory_is_an_error_at_the_loop_that_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(program: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(compiled, "new_arena", refuse)
    with pytest.raises(MemoryError, match=r"needs .* bytes .*\n  at .*:\d+: for ") as found:
        trace(pairs).grad(X, 7)
    assert isinstance(found.value, AdgraphError)
    assert "memory_budget" in str(found.value)
