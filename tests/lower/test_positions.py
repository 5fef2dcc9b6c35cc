"""Gathers and scatters as compiled: short and long arrays of positions, and those out of bounds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.errors import AxisIndexError
from adgraph.lower.callee import SHORT
from adgraph.lower.scatter import MANY

EXTENT = 7
COUNTS = (MANY - 1, 3 * MANY + 5)
OUTSIDE = (EXTENT, -EXTENT - 1, 2**63 - 1, -(2**63))


def read(x: Any, i: Any) -> Any:
    return (2 * x)[i]  # here


def added(x: Any, i: Any) -> Any:
    total = np.zeros_like(x)
    np.add.at(total, i, x[0] + 1)  # here
    return total * x


def assigned(x: Any, i: Any) -> Any:
    y = 3 * x
    y[i] = x[1]  # here
    return y * x


def added_twice(x: Any, i: Any) -> Any:
    total = x * x
    np.add.at(total, i % EXTENT, x[0])
    np.add.at(total, i, x[2])  # here
    return total


EVERY = (read, added, assigned, added_twice)
each_function = pytest.mark.parametrize("f", EVERY)
each_count = pytest.mark.parametrize("count", COUNTS)


@each_function
@each_count
@pytest.mark.parametrize(
    ("inner", "dtype"), [((), np.int64), ((3,), np.int16), ((SHORT + 1,), np.uint8)]
)
def test_positions_count_from_both_ends(
    f: Callable[..., Any], count: int, inner: tuple[int, ...], dtype: Any
) -> None:
    rng = np.random.default_rng(count)
    x = rng.normal(size=(EXTENT, *inner))
    i = rng.integers(0 if dtype is np.uint8 else -EXTENT, EXTENT, count).astype(dtype)
    np.testing.assert_allclose(trace(f)(x, i), f(x, i), rtol=1e-13)


@each_function
@each_count
def test_a_position_out_of_bounds_is_an_error_at_its_line(
    f: Callable[..., Any], count: int
) -> None:
    x, i = np.ones(EXTENT), np.zeros(count, np.int64)
    lines, first = inspect.getsourcelines(f)
    line = first + next(k for k, text in enumerate(lines) if "# here" in text)
    for program in (trace(f), grad(lambda x, i: np.sum(f(x, i)))):
        for outside in OUTSIDE:
            i[count // 2] = outside
            with pytest.raises(AxisIndexError, match="for an axis of extent 7") as caught:
                program(x, i)
            assert f"test_positions.py:{line}" in str(caught.value)


def test_what_a_failed_write_began_is_not_seen() -> None:
    f, x = trace(added), np.ones(EXTENT)
    good, bad = np.zeros(MANY, np.int64), np.full(MANY, EXTENT)
    expected = f(x, good)
    with pytest.raises(AxisIndexError):
        f(x, bad)
    np.testing.assert_array_equal(f(x, good), expected)


def test_positions_are_checked_where_they_are_used_and_not_kept() -> None:
    f = grad(lambda x, i: np.sum(np.sin(read(x, i))))
    i = np.arange(5)
    assert "wrap_index" not in str(f.graph(np.ones(EXTENT), i))


def test_positions_in_an_array_without_elements_are_checked() -> None:
    with pytest.raises(AxisIndexError):
        trace(read)(np.ones((EXTENT, 0)), np.array([EXTENT]))
