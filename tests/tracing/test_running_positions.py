"""Parts at positions known only when the program runs are views, as in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.testing import check_derivatives
from adgraph.tracing.loops import UNROLLING, Unrolling
from tests.tracing.captured import assert_equals_numpy

A = np.random.default_rng(0).normal(size=(12, 12))
X = np.random.default_rng(1).normal(size=12)


def row(a: Any, x: Any) -> Any:
    r = a[np.argmax(x)]
    a[np.argmax(x), 0] = 0.25
    first = r[0]
    r *= 0.5
    r[1:][1:] = first
    return np.sum(np.sin(r))


def column(a: Any, x: Any) -> Any:
    v = a[:, np.argmax(x)]
    v[1:] += v[:-1]
    return np.sum(v * x)


def element_of_a_row(a: Any, x: Any) -> Any:
    p = np.argmax(x)
    a[p][1] = x[0]
    a[p][2:] *= x[1]
    a[p, None, 3:5][0] = x[2]
    return a[p].copy()


def row_before_an_index(a: Any, x: Any) -> Any:
    for i in range(12):
        a[i - 1][-1] = x[i]
        a[i - 1][:2] *= 0.5
    return a


def pivots(a: Any, x: Any) -> Any:
    for k in range(12):
        p = np.argmax(a[:, k])
        r = a[p]
        r[k] = 0.3 * x[k]
        if x[k] > 0:
            r *= 0.9
    return np.sum(np.sin(a))


def row_behind_a_loop(a: Any, x: Any) -> Any:
    for i in range(12):
        r = a[np.argmax(a[i])]
        r *= 0.7
    return r[0] * r


def taken_parts_are_copies(a: Any, x: Any) -> Any:
    r, s = np.take(a, np.argmax(x), axis=0), np.take(a, 1, axis=0)
    r[0] = 3.0
    s[0] = 4.0
    return r, s


def window(a: Any, x: Any) -> Any:
    p = np.argmax(x)
    w = a[1, :p]
    w *= 0.5
    a[1, 0] = 0.3
    u = x[p:]
    u += a[2, p:]
    a[2, p:] *= 0.25
    np.multiply(a[3, p:], 0.5, out=a[3, p:])
    return np.sum(w) + np.sum(np.sin(x))


def window_behind_an_integer(a: Any, x: Any) -> Any:
    blocks = a.reshape(3, 4, 12)
    p = np.argmax(x)
    blocks[1, :, p:] = 0.5 * x[:4, None]
    blocks[1, :, p:] *= x[0]
    w = blocks[2, 1:, :p]
    w -= 0.7
    return np.sum(blocks[0, :, :p] * x[:4, None])


def rows_of_a_while(a: Any, x: Any) -> Any:
    n, s = 0, x[0]
    while s * s > 0.001 and n < 8:
        a[n, n + 1 :] = 0.5 * s
        a[n:, n] -= 0.1 * a[n:, n]
        q = a[n, :n]
        q *= 0.7
        s = 0.5 * s + 0.01 * (x[:n] @ a[0, :n])
        n += 1
    return s


EQUAL = [
    row,
    column,
    element_of_a_row,
    row_before_an_index,
    pivots,
    row_behind_a_loop,
    taken_parts_are_copies,
    window,
    window_behind_an_integer,
    rows_of_a_while,
]
Function = Callable[..., Any]


@pytest.mark.parametrize("function", EQUAL, ids=lambda f: f.__name__)
def test_a_part_at_a_running_position_is_a_view(function: Function) -> None:
    assert_equals_numpy(function, A, X)


@pytest.mark.parametrize("function", [row, column, pivots, window, rows_of_a_while])
def test_its_derivatives_are_those_of_numpy(function: Function) -> None:
    check_derivatives(lambda a, x: function(a.copy(), x.copy()), A, X)


def test_a_part_that_the_last_trip_of_a_loop_chose_is_read_only() -> None:
    def write(a: Any) -> Any:
        for i in range(12):
            r = a[np.argmax(a[i])]
        r[0] = 1.0
        return a

    def read_after_a_write(a: Any) -> Any:
        for i in range(12):
            r = a[np.argmax(a[i])]
        a[0] = 1.0
        return r * 1.0

    for function in (write, read_after_a_write):
        with pytest.raises(TracingError, match="that the last trip of a loop computed"):
            trace(function)(A.copy())


def test_an_extent_that_no_loop_knows_is_refused_with_the_line() -> None:
    def f(x: Any) -> Any:
        n, s = 0, x[0]
        while s > 0.1:
            s = 0.5 * s + np.sum(x[:n:2])
            n += 1
        return s

    def g(x: Any) -> Any:
        n, s = 0, x[0]
        while s > 0.1:
            s = 0.5 * s + np.sum(np.ones(n)[:3])
            n += 1
        return s

    for function in (f, g):
        with pytest.raises(TracingError, match=r"test_running_positions\.py") as error:
            trace(function)(X)
        assert "instead: " in str(error.value)


def blocks_of_a_reshape(a: Any, x: Any) -> Any:
    blocks = a.reshape(3, 4, 12)
    for i in range(3):
        for line in blocks[i]:
            line[i:] *= 0.5
    strips = a[:10].reshape(10, 2, 6)
    for i in range(9):
        strips[i, 1] = x[:6]
        strips[i][0][:2] += x[i]
    return blocks


@pytest.mark.parametrize("trips", [1, 8])
def test_parts_of_a_reshape_at_a_loop_index_are_views(trips: int) -> None:
    token = UNROLLING.set(Unrolling(trips=trips, nodes=0))
    try:
        assert_equals_numpy(blocks_of_a_reshape, A, X)
    finally:
        UNROLLING.reset(token)
