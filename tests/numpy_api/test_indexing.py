"""Indices of every kind that NumPy has: read, assigned, added to, and differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import trace
from adgraph.errors import AxisIndexError, ShapeError, TracingError
from adgraph.testing import check_derivatives
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(5)
M = RNG.standard_normal((4, 3))
N = RNG.integers(0, 12, 5)

EXTENTS = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def _numbers(shape: tuple[int, ...]) -> Any:
    return np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape) / 8


@st.composite
def _arrays_of_positions(draw: Any, extent: int) -> Any:
    """Positions of any rank, now and then one beyond the axis."""
    shape = draw(st.sampled_from([(), (1,), (2,), (3,), (2, 1), (2, 2), (0,)]))
    slack = draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1]))
    low, high = -extent - slack, extent - 1 + slack
    size = int(np.prod(shape))
    drawn = draw(st.lists(st.integers(low, max(low, high)), min_size=size, max_size=size))
    dtype = draw(st.sampled_from([np.int64, np.int64, np.int16]))
    return np.array(drawn, dtype).reshape(shape)


@st.composite
def _slices(draw: Any, extent: int) -> slice:
    edge = st.none() | st.integers(-extent - 2, extent + 2)
    return slice(draw(edge), draw(edge), draw(st.sampled_from([None, 1, 2, -1, -2, 3])))


@st.composite
def _entries(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Draw a key for an array: entries that use its axes one after the other."""
    key: list[Any] = []
    axis = 0
    while axis < len(shape):
        match draw(st.sampled_from("iisssaaaanbtme.")):
            case "i":
                key.append(draw(st.integers(-shape[axis], max(0, shape[axis] - 1))))
            case "s":
                key.append(draw(_slices(shape[axis])))
            case "a":
                positions = draw(_arrays_of_positions(shape[axis]))
                key.append(positions.tolist() if draw(st.booleans()) else positions)
            case "n":
                key.append(None)
                axis -= 1
            case "b":
                key.append(np.array(draw(st.lists(st.booleans(), min_size=shape[axis],
                                                  max_size=shape[axis])), bool))  # fmt: skip
            case "t":
                key.append(draw(st.booleans()))
                axis -= 1
            case "m" if axis + 2 <= len(shape):
                key.append(_numbers(shape[axis : axis + 2]) % 0.5 > 0.1)
                axis += 1
            case "e" if Ellipsis not in [k for k in key if k is Ellipsis]:
                key.append(Ellipsis)
                axis = len(shape) - draw(st.integers(0, len(shape) - axis)) - 1
            case _:
                break
        axis += 1
    return tuple(key)


@st.composite
def _indexings(draw: Any) -> tuple[Any, Any]:
    shape = draw(EXTENTS)
    key = draw(_entries(shape))
    return _numbers(shape), key[0] if len(key) == 1 and draw(st.booleans()) else key


@given(_indexings())
@settings(max_examples=300)
def test_reading_equals_numpy(indexing: tuple[Any, Any]) -> None:
    x, key = indexing
    assert_agrees(lambda x: x[key], x)


@given(_indexings(), st.sampled_from(["set", "fill", "add", "multiply"]))
@settings(max_examples=300)
def test_writing_equals_numpy(indexing: tuple[Any, Any], how: str) -> None:
    x, key = indexing

    def written(x: Any, v: Any) -> Any:
        y = x.copy()
        if how == "set":
            y[key] = np.sin(y[key]) + v
        elif how == "fill":
            y[key] = v
        elif how == "add":
            y[key] += v
        else:
            y[key] *= v
        return y

    if x.ndim:
        assert_agrees(written, x, 2.5)


@given(_indexings())
@settings(max_examples=60)
def test_additions_at_equal_numpy(indexing: tuple[Any, Any]) -> None:
    x, key = indexing

    def added(x: Any, v: Any) -> Any:
        y = x.copy()
        np.add.at(y, key, v)
        return y

    if x.ndim:
        assert_agrees(added, x, 2.5)


@given(_indexings())
@settings(max_examples=60)
def test_derivatives_through_an_index(indexing: tuple[Any, Any]) -> None:
    x, key = indexing

    def moved(x: Any) -> Any:
        y = x * x
        y[key] = np.sin(y[key]) * 3.0
        return y[key] * x.sum()

    try:
        x[key]
    except (IndexError, ValueError):
        return
    if x.size and x.ndim:
        check_derivatives(moved, x)


KEYS = [
    (slice(None, None, -1), [0, 2]),
    ([[0], [3]], slice(None), None),
    (np.array([True, False, True, True]), 1),
    (True, slice(1, None), np.array([2, 0])),
    (..., np.array([[0, 1], [2, 0]])),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_kernels_read_and_write_as_numpy_does(key: Any) -> None:
    def both(x: Any) -> Any:
        y = x * 2.0
        y[key] += 1.0
        return y, x[key]

    for found, wanted in zip(trace(both)(M), both(M), strict=True):
        np.testing.assert_array_equal(found, wanted)


# --- functions ------------------------------------------------------------------------------------


@given(
    st.integers(-2, 2) | st.none(),
    st.sampled_from(["raise", "wrap", "clip", "other"]),
    st.lists(st.integers(-9, 9), max_size=4),
)
@settings(max_examples=60)
def test_take_equals_numpy(axis: int | None, mode: str, positions: list[int]) -> None:
    if axis != 2 or mode != "other":  # which of two errors is found first is no matter
        assert_agrees(lambda x: np.take(x, np.array(positions, int), axis, mode=mode), M)


@given(st.sampled_from(["raise", "wrap", "clip"]), st.lists(st.integers(-12, 14), unique=True))
@settings(max_examples=60)
def test_put_equals_numpy(mode: str, positions: list[int]) -> None:
    def written(x: Any) -> Any:
        y = x.copy()
        np.put(y, positions, [1.5, 2.5, 3.5], mode)
        return y

    assert_agrees(written, M)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["raise", "wrap", "clip", ("wrap", "clip")])
def test_coordinates_and_positions_equal_numpy(mode: Any, order: Any) -> None:
    assert_agrees(lambda n: np.unravel_index(n, (4, 3), order), N)
    assert_agrees(lambda n: np.ravel_multi_index((n % 4, n % 3), (4, 3), mode, order), N)
    if mode != "raise":
        assert_agrees(lambda n: np.ravel_multi_index((n + 3, n), (4, 3), mode, order), N)


@pytest.mark.parametrize("position", [-1, 12])
def test_a_position_outside_is_an_error_when_running(position: int) -> None:
    with pytest.raises(IndexError):
        trace(lambda n: np.unravel_index(n, (4, 3))[0])(np.array([0, position]))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("shift", [1, -7, (1, -2)])
def test_roll_equals_numpy_with_known_and_with_traced_shifts(shift: Any, axis: Any) -> None:
    assert_agrees(lambda x: np.roll(x, shift, axis), M)
    if isinstance(shift, int):
        assert_agrees(lambda x, k: np.roll(x, k, axis), M, shift)
        check_derivatives(lambda x, k: np.roll(x * x, k, axis), M, shift)


def test_positions_of_triangles_need_the_shape_only() -> None:
    assert_agrees(lambda x: x[np.triu_indices_from(x, 1)], M)
    assert_agrees(lambda x: x[np.tril_indices_from(x, -1)], M)
    assert_agrees(lambda x: x[np.diag_indices_from(x)], M[:3])
    assert_agrees(lambda x: np.diag_indices_from(x)[0] * x.sum(), M)


def test_errors_name_what_was_found() -> None:
    with pytest.raises(AxisIndexError, match="shape"):
        trace(lambda x: x[np.array([True, False])])(M)
    with pytest.raises(ShapeError, match="2 shifts for 3 axes"):
        trace(lambda x: np.roll(x, (1, 2), (0, 1, 0)))(M)


CONCATENATIONS = [
    lambda x, m: np.r_[x, 0, x[:2]],
    lambda x, m: np.r_[0:3, x, 5],
    lambda x, m: np.r_[[x[0], 2.0], x],
    lambda x, m: np.r_["1", m, m],
    lambda x, m: np.r_["0,2", x, m],
    lambda x, m: np.r_["1,2,0", x, x],
    lambda x, m: np.r_["0,3,-1", x, x],
    lambda x, m: np.c_[x, x, np.ones(3)],
    lambda x, m: np.c_[m.T, x],
    lambda x, m: np.c_[x[0], x[1]],
]


@pytest.mark.parametrize("function", CONCATENATIONS)
def test_subscripts_that_concatenate_equal_numpy(function: Any) -> None:
    assert_agrees(function, M[0], M[:2])


def test_a_subscript_that_makes_a_matrix_is_refused() -> None:
    with pytest.raises(TracingError, match=r"np\.matrix"):
        trace(lambda x: np.r_["r", x, x])(M[0])
