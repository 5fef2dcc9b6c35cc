"""Names of arrays in loops and branches: which array is written, and what other names see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import TracingError
from adgraph.tracing import loops
from tests.tracing.captured import A, X, assert_equals_numpy, operations, recorded


def rebound_after_writing(x: Any) -> Any:
    p = x.copy()
    q = p
    for _ in range(12):
        p[0] = p[0] + 1
        p = p * 2
    return p, q


def rebound_before_writing(x: Any) -> Any:
    p = x
    for _ in range(12):
        p = p * 2
        p[0] = 1.0
    p[1] = 5.0
    return p, x


def two_names_of_one(x: Any) -> Any:
    y = x
    for i in range(12):
        y[i] = x[i] + y[i]
    return x, y


def swapped(x: Any) -> Any:
    u, v = x.copy(), np.zeros_like(x)
    for _ in range(33):
        v[1:-1] = 0.5 * (u[2:] + u[:-2])
        u, v = v, u
    u[0] = 7.0
    return u, v


def swapped_arguments(x: Any, y: Any) -> None:
    for _ in range(13):
        y[1:-1] = 0.5 * (x[2:] + x[:-2])
        x, y = y, x


def rotated(x: Any) -> Any:
    a, b, c = x.copy(), x * 2, x * 3
    for _ in range(32):
        c[1:] = a[:-1] + b[1:]
        a, b, c = b, c, a
    return a, b, c


def shifted(x: Any) -> Any:
    a, b = x, x * 0.5
    for _ in range(12):
        a, b = b, a * 0.5 + b
    return a, b


def swapped_rows(a: Any) -> Any:
    p, q = a[0], a[1]
    for _ in range(13):
        q += 0.1 * p
        p, q = q, p
    p[0] = 3.0
    return a, p, q


def a_view_of_what_is_written(x: Any) -> Any:
    row = x[3:6]
    for i in range(12):
        x[i] = x[i] * 2
        row[0] += row[1]
    return x, row


def a_view_made_in_the_body(a: Any) -> Any:
    for i in range(12):
        row = a[i]
        part = row[2:5]
        part *= 2
        a.T[i] += part[0]
    return a


def follows(a: Any) -> Any:
    above = a[0]
    for i in range(1, 12):
        a[i] += above
        above = a[i]
        above[0] = 1.0
    above[1] = 9.0
    return a


def two_names_of_a_new_array(x: Any) -> Any:
    p = q = x
    s = 0.0
    for i in range(12):
        s += p[i] + q[i]
        p = q = p * 1.5
    return s, p, q


def copied(x: Any) -> Any:
    b = x.copy()
    for i in range(12):
        x[i] = b[i] + 1
        b = x.copy()
    return x, b


def an_argument_of_a_helper(x: Any) -> Any:
    def double(part: Any) -> Any:
        part *= 2
        return part

    for i in range(12):
        half = double(x[i : i + 3])
        half[0] += 1
    return x


def equal_arrays_are_two(x: Any) -> Any:
    a = np.zeros(20)
    b = np.zeros(20)
    for i in range(12):
        a[i] = x[i]
    return a, b


def read_behind_a_branch(x: Any) -> Any:
    a, b = x.copy(), x * 2
    y = a if x[0] > 3 else b
    return y + a


def a_new_array_in_both_branches(x: Any) -> Any:
    if x[0] > 3:
        y = x * 2
    else:
        y = x + 1
    y[0] = 5.0
    return x, y


def chosen_in_a_loop(x: Any) -> Any:
    a, b = x.copy(), x * 2
    s = 0.0
    y = a
    for i in range(12):
        s += y[i]
        y = a if x[i] > 3 else b
    return s


def accumulated_in_an_inner_loop(x: Any) -> Any:
    a = np.zeros((20, 20))
    for i in range(20):
        total = np.zeros(20)
        for j in range(i):
            total = total + x * j
        total[0] += 1.0
        a[i] = total
    return a


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (rebound_after_writing, (X,)),
    (rebound_before_writing, (X,)),
    (two_names_of_one, (X,)),
    (swapped, (X,)),
    (swapped_arguments, (X, X * 2)),
    (rotated, (X,)),
    (shifted, (X,)),
    (swapped_rows, (A,)),
    (a_view_of_what_is_written, (X,)),
    (a_view_made_in_the_body, (A,)),
    (follows, (A,)),
    (two_names_of_a_new_array, (X,)),
    (copied, (X,)),
    (an_argument_of_a_helper, (X,)),
    (equal_arrays_are_two, (X,)),
    (read_behind_a_branch, (X,)),
    (a_new_array_in_both_branches, (X,)),
    (chosen_in_a_loop, (X,)),
    (accumulated_in_an_inner_loop, (X,)),
]


@pytest.mark.parametrize("limits", [loops.Unrolling(0, 0), loops.Unrolling()])
@pytest.mark.parametrize(("function", "args"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_names_and_arrays_are_numpys(
    function: Callable[..., Any], args: Any, limits: loops.Unrolling
) -> None:
    token = loops.UNROLLING.set(limits)
    try:
        assert_equals_numpy(function, *args)
    finally:
        loops.UNROLLING.reset(token)


@pytest.mark.parametrize("function", [swapped, rotated, rebound_after_writing, follows, shifted])
def test_no_alias_makes_a_loop_unroll(function: Callable[..., Any]) -> None:
    args = (A,) if function is follows else (X,)
    graph = recorded(function, *args).graph
    assert operations(graph).count("loop") == 1


@pytest.mark.parametrize("steps", [0, 1, 4, 5])
def test_names_may_exchange_arrays_a_number_of_times_that_is_an_argument(steps: int) -> None:
    def f(x: Any, y: Any, steps: int) -> Any:
        for _ in range(steps):
            y[1:-1] = 0.5 * (x[2:] + x[:-2])
            x, y = y, x
        return x + 0, y + 0

    graph = assert_equals_numpy(f, X, X * 2, steps)
    assert "counted" in operations(graph)


# --- refused --------------------------------------------------------------------------------------


def writes_one_of_two(x: Any) -> Any:
    a, b = x.copy(), x * 2
    y = a if x[0] > 3 else b
    y[0] = 100.0
    return a, b


def reads_one_of_two_after_a_write(x: Any) -> Any:
    a, b = x.copy(), x * 2
    y = a if x[0] > 3 else b
    a[0] = 100.0
    return y + 0


def writes_one_of_two_in_a_loop(x: Any, n: int) -> Any:
    a, b = x.copy(), x * 2
    y = a
    for _ in range(n):
        y[0] += 1.0
        y = b
    return a, b


def writes_behind_a_loop_of_unknown_length(x: Any, n: int) -> Any:
    p = x
    for _ in range(n):
        p = p * 2
    p[0] = 1.0
    return p, x


def writes_what_a_list_has_too(x: Any, n: int) -> Any:
    p = x.copy()
    kept = [p]
    for _ in range(n):
        p = p * 2
    p[0] = 1.0
    return p, kept


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (writes_one_of_two, (X,)),
        (reads_one_of_two_after_a_write, (X,)),
        (writes_one_of_two_in_a_loop, (X, 3)),
        (writes_behind_a_loop_of_unknown_length, (X, 3)),
        (writes_what_a_list_has_too, (X, 3)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_an_array_that_is_one_of_two_must_not_be_written(
    function: Callable[..., Any], args: Any
) -> None:
    with pytest.raises(TracingError, match="copy") as error:
        recorded(function, *args)
    assert "test_alias.py" in str(error.value)
