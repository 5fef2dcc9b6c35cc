"""Programs of scalars: few kernels without loops, and compile work in proportion to the program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace, value_and_grad
from adgraph.passes.fuse import MOST_SCALARS
from adgraph.testing import assert_close, central_difference

Array = Any


def turned(angles: Array, times: int) -> Array:
    """Return the squares of a point that was turned and moved, added up: 8 operations a turn."""
    x, y = angles[0], angles[-1]
    for k in tuple(range(times)):  # a loop over a tuple is written out
        c, s = np.cos(angles[k % 3]), np.sin(angles[k % 3] + 0.01 * k)
        x, y = c * x - s * y + 0.1, c * y + s * x
    return x * x + y * y


def kernels(function: Callable[..., Any], *args: Any) -> int:
    """Count the kernels of a program."""
    text: str = function.source(*args)  # type: ignore[attr-defined]
    return text.count("def ")


def check_gradient(function: Callable[[Array], Array], x: Array) -> None:
    """Compare a compiled gradient with differences in one direction."""
    along = np.linspace(1.0, -0.5, x.size)
    (expected,) = central_difference(function, [x], [along])
    assert_close(np.sum(grad(function)(x) * along), expected, "differenced")


ANGLES = np.array([0.3, 0.5, 0.7])


def test_a_gradient_of_scalars_is_one_kernel() -> None:
    program = value_and_grad(lambda a: turned(a, 4))
    assert kernels(program, ANGLES) == 1
    assert "for " not in program.source(ANGLES)


def test_a_long_program_of_scalars_is_cut_into_chunks() -> None:
    program = value_and_grad(lambda a: turned(a, 120))
    nodes = len(program.graph(ANGLES).nodes)
    assert nodes > 2 * MOST_SCALARS
    assert kernels(program, ANGLES) <= nodes / MOST_SCALARS + 2
    assert np.isclose(program(ANGLES)[0], turned(ANGLES, 120), rtol=1e-10)
    check_gradient(lambda a: turned(a, 120), ANGLES)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_scalars_are_put_into_an_array_by_the_kernel_that_computes_them(dtype: Any) -> None:
    def pair(x: Array) -> Array:
        return np.stack([x[0] * x[1], x[1] - x[2], x[0]])

    x = np.array([2, 3, 5], dtype)
    assert kernels(trace(pair), x) == 1
    np.testing.assert_array_equal(trace(pair)(x), pair(x))


def test_an_array_of_scalars_may_be_read_again() -> None:
    def polar(x: Array, w: Array) -> Array:
        point = np.stack([np.cos(x[0]), np.sin(x[0]), x[1] * x[2]])
        return point, np.sum(point * w), point[::-1] + x, np.stack([point[1], point[0]])

    w = np.array([1.0, -2.0, 0.5])
    for mine, expected in zip(trace(polar)(ANGLES, w), polar(ANGLES, w), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-14)
    check_gradient(lambda x: polar(x, w)[1], ANGLES)


def test_sums_are_put_into_an_array() -> None:
    def moments(x: Array) -> Array:
        return np.stack([np.sum(x), np.sum(x * x), np.max(x), 1.0 + x[0]])

    x = np.linspace(-1.0, 2.0, 50)
    np.testing.assert_allclose(trace(moments)(x), moments(x), rtol=1e-14)


def test_scalars_between_arrays_keep_their_order() -> None:
    def loss(x: Array) -> Array:
        norm = np.sqrt(np.sum(x * x))
        unit = x / norm
        spread = np.sum((unit - np.mean(unit)) ** 2)
        scale = np.exp(-spread) * norm
        return np.log(scale) + np.sum(np.tanh(unit * scale)) * spread

    x = np.linspace(0.1, 2.0, 70)
    assert np.isclose(trace(loss)(x), loss(x), rtol=1e-13)
    check_gradient(loss, x)


def lines_to_compile(times: int) -> int:
    """Count the lines of this package that run until the first gradient is there."""
    count = 0

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if "adgraph" in frame.f_code.co_filename else None

    program = grad(lambda a: turned(a, times))
    before = sys.gettrace()
    sys.settrace(call)
    try:
        program(ANGLES)
    finally:
        sys.settrace(before)
    return count


def test_the_work_to_compile_grows_with_the_program_and_not_faster() -> None:
    lines_to_compile(5)  # what is done once
    small, large = lines_to_compile(12), lines_to_compile(48)
    assert large < 4.4 * small


def test_scalars_that_wait_for_a_fold_are_put_side_by_side_after_it() -> None:
    def shares(x: Array, y: Array) -> Array:
        large = np.where(x > 0.5 * np.max(x, axis=-1, keepdims=True), y, 0.0)
        return np.stack([large * x, -large * y], axis=-1)

    x, y = np.full((1, 1), 2.0), np.full((1, 1), 3.0)
    assert (trace(shares)(x, y) == shares(x, y)).all()
