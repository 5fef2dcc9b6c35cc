"""Short rows: read and written in parts of vectors, kept in registers, left out where zero."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from adgraph import trace, value_and_grad
from adgraph.lower.kernel import KernelSource, compile_kernels, kernel_text
from adgraph.lower.nest import Access, Let, Load, Loop, Store
from adgraph.lower.silence import silencer
from tests.lower.conftest import call_kernel

Array = np.ndarray[Any, Any]
LENGTHS = (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 17, 23, 31, 33)
DTYPES = ("f8", "f4", "i4", "u1")


def source(text: str, dtype: str, arrays: int, n: int) -> KernelSource:
    """Return a kernel whose rows have a length that is a constant of its text."""
    return KernelSource("rows", (dtype,) * arrays, 1, inspect.cleandoc(text).replace("ROW", str(n)))


SUMS = """
def f(x, w, y, n):
    for k in range(3):
        for i in range(n):
            factor = w[i*3 + k]
            for j in range(ROW):
                t = factor * x[i*ROW + j]
                total = y[k*ROW + j]
                total = fold_add(total, t)
                y[k*ROW + j] = total
"""
RUNNING = """
def f(x, w, y, n):
    for i in range(1, n):
        for j in range(ROW):
            y[i*ROW + j] = y[i*ROW + j] + w[j] * x[i*ROW - ROW + j]
            x[i*ROW + j] += w[j]
"""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_a_sum_over_rows_is_that_of_numpy_and_writes_nothing_else(n: int, dtype: str) -> None:
    random = np.random.default_rng(n)
    x, w = (random.integers(0, 4, shape).astype(dtype) for shape in ((20, n), (20, 3)))
    y = random.integers(0, 4, 3 * n + 8).astype(dtype)
    expected = y.copy()
    expected[: 3 * n] += (w.T @ x).ravel()
    (address,) = compile_kernels([source(SUMS, dtype, 3, n)], "llvm")
    assert call_kernel(address, [x, w, y], 20) == 0
    np.testing.assert_array_equal(y, expected)


def test_a_loop_without_trips_leaves_its_row() -> None:
    x, w, y = np.empty(0), np.empty(0), np.arange(30.0)
    (address,) = compile_kernels([source(SUMS, "f8", 3, 10)], "llvm")
    assert call_kernel(address, [x, w, y], 0) == 0
    np.testing.assert_array_equal(y, np.arange(30.0))


@pytest.mark.parametrize("n", LENGTHS)
def test_rows_that_are_changed_are_read_by_the_next_trip(n: int) -> None:
    random = np.random.default_rng(n)
    x, y, w = random.normal(size=(9, n)), random.normal(size=(9, n)), random.normal(size=n)
    expected_x, expected_y = x.copy(), y.copy()
    for i in range(1, 9):
        expected_y[i] += w * expected_x[i - 1]
        expected_x[i] += w
    (address,) = compile_kernels([source(RUNNING, "f8", 3, n)], "llvm")
    assert call_kernel(address, [x, w, y], 9) == 0
    np.testing.assert_allclose(y, expected_y, atol=1e-14)
    np.testing.assert_allclose(x, expected_x, atol=1e-14)


def test_a_row_that_all_trips_change_is_read_and_written_once() -> None:
    text = kernel_text(source(SUMS, "f8", 3, 16), "kernel", "llvm").text
    enter, _, rest = text.partition("enter.")
    assert "leave." in rest
    assert "alloca <" in enter


# --- rows of zeros --------------------------------------------------------------------------------


def nearest(centres: Array, x: Array) -> Any:
    """Return the sum of the squared distances to the nearest centres."""
    distances = np.sum((x[:, None, :] - centres) ** 2, axis=2)
    return np.sum(np.min(distances, axis=1))


@pytest.mark.parametrize("n", [3, 7, 10, 40])
def test_the_gradient_of_a_choice_is_that_of_the_chosen(n: int) -> None:
    random = np.random.default_rng(n)
    centres, x = random.normal(size=(5, n)), random.normal(size=(60, n))
    _, found = value_and_grad(nearest)(centres, x)
    chosen = np.argmin(np.sum((x[:, None, :] - centres) ** 2, axis=2), axis=1)
    expected = np.zeros_like(centres)
    np.add.at(expected, chosen, 2 * (centres[chosen] - x))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_rows_are_left_out_where_the_cotangent_of_a_choice_is_zero() -> None:
    random = np.random.default_rng(0)
    text = value_and_grad(trace(nearest)).source(
        random.normal(size=(5, 9)), random.normal(size=(60, 9))
    )
    assert "!= 0:\n" in text


def row(*statements: Any) -> Loop:
    """Return a loop over the elements of a row."""
    return Loop("i", "n", statements)


ELEMENT = Access("b0", (("i", "1"),))
DTYPE = np.dtype(np.float64)
READ = Load("x", Access("a0", (("i", "1"),)))
PRODUCT = Let("p", DTYPE, "multiply_no_nan({0}, {1})", ("ct", "x"))
ADDED = (
    Load("t", ELEMENT),
    Let("t", DTYPE, "fold_add({0}, {1})", ("t", "p")),
    Store(ELEMENT, "t"),
)


def test_a_factor_from_outside_silences_a_row() -> None:
    assert silencer(row(READ, PRODUCT, *ADDED)) == "ct"


def test_a_row_that_writes_something_else_is_not_silenced() -> None:
    other = Store(Access("b1", (("i", "1"),)), "x")
    assert silencer(row(READ, PRODUCT, *ADDED, other)) is None


def test_a_product_that_keeps_nan_is_not_silenced() -> None:
    plain = Let("p", DTYPE, "{0} * {1}", ("ct", "x"))
    assert silencer(row(READ, plain, *ADDED)) is None


def test_a_factor_of_each_element_does_not_silence_a_row() -> None:
    inside = Load("ct", Access("a1", (("i", "1"),)))
    assert silencer(row(READ, inside, PRODUCT, *ADDED)) is None
