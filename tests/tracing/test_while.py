"""Loops on conditions: traced conditions, counted integers, and what Python decides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import TracingError
from tests.tracing.captured import X, assert_equals_numpy, operations, recorded


def newton(a: float) -> Any:
    z = a
    while abs(z * z - a) > 1e-12:
        z = 0.5 * (z + a / z)
    return z


def relaxation(x: Any) -> Any:
    error, trips = 1.0, 0
    while error > 1e-2 and trips < 100:
        old = x.copy()
        x[1:-1] = 0.5 * (x[2:] + x[:-2])
        error = np.abs(x - old).max()
        trips += 1
    return x, trips


def forever(x: Any) -> Any:
    s, k = 0.0, 0
    while True:
        s += x[k]
        k += 1
        if s > 20:
            break
    return s, k


def search(x: Any) -> Any:
    low, high = 0, 19
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle] > 7.5:
            high = middle
        else:
            low = middle
    return low, x[low]


def never(x: Any) -> Any:
    while x[0] > 100:
        x = x * 0.5
    return x


def inside_a_loop(x: Any) -> Any:
    for i in range(1, 20):
        k = i
        while k > 0 and x[k] < x[k - 1] * 2:
            x[k] = x[k] * 2 + 1
            k -= 1
    return x


def returning(x: Any) -> Any:
    k = 0
    while k < 20:
        if x[k] > 6.5:
            return x[k] * k
        k += 1
    return 0.0


def skipping(x: Any) -> Any:
    s, k = 0.0, 0
    while k < 19 and s < 60:
        k += 1
        if x[k] > 5 and x[k] < 8:
            continue
        s += x[k]
    return s, k


TRACED = [relaxation, forever, never, inside_a_loop, skipping]


@pytest.mark.parametrize("function", TRACED)
def test_a_while_on_traced_values_has_numpys_value(function: Callable[..., Any]) -> None:
    graph = assert_equals_numpy(function, X)
    assert "while" in operations(graph)


@pytest.mark.parametrize("function", [search, returning])
def test_a_while_with_a_branch_has_numpys_value(function: Callable[..., Any]) -> None:
    assert_equals_numpy(function, X)


def test_a_while_on_a_number_has_numpys_value() -> None:
    graph = assert_equals_numpy(newton, 2.0)
    assert operations(graph).count("while") == 1


def counts(x: Any) -> Any:
    s, k = 0.0, 0
    while k < 19:
        s += x[k] * x[k + 1]
        k += 2
    return s, k


def halves(x: Any) -> Any:
    n = 16
    while n > 1:
        n = n // 2
        x[:n] += x[n : 2 * n]
    return x[0]


def test_a_while_on_a_counter_is_a_loop_of_known_length() -> None:
    graph = assert_equals_numpy(counts, X)
    assert "loop" in operations(graph)
    assert "while" not in operations(graph)


def test_a_while_that_python_decides_unrolls_where_it_must() -> None:
    graph = assert_equals_numpy(halves, X)
    assert "while" not in operations(graph)


def test_the_graph_of_a_counted_while_does_not_grow() -> None:
    def f(x: Any, n: int) -> Any:
        k = 0
        while k < len(x):
            x[k] *= 2.0
            k += 1
        return x

    sizes = [len(operations(recorded(f, np.ones(n), n).graph)) for n in (20, 2000)]
    assert sizes[0] == sizes[1]


def test_a_while_whose_arrays_change_shape_is_refused() -> None:
    def f(x: Any) -> Any:
        while x[0] < 10:
            x = np.concatenate((x, x))
        return x

    with pytest.raises(Exception, match=r"f64\[40\]"):
        recorded(f, X)


def test_a_while_that_appends_is_refused() -> None:
    def f(x: Any) -> Any:
        parts = []
        while x[0] < 10:
            x = x * 2
            parts.append(x)
        return parts

    with pytest.raises(TracingError, match="changes a list"):
        recorded(f, X)


def test_functions_of_math_decide_as_well() -> None:
    def f(a: float) -> Any:
        k = 0
        while math.sin(a) < 0.9 and k < 50:
            a = a + 0.1
            k += 1
        return a, k

    assert_equals_numpy(f, 0.2)
