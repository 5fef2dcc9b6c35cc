"""Arguments in Fortran order are read where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.errors import TracingError

A = np.random.default_rng(0).normal(size=(6, 4))
B = np.random.default_rng(1).normal(size=(4, 5))
STACK = np.random.default_rng(2).normal(size=(3, 4, 5))


def product(a: Any, b: Any) -> Any:
    return a @ b


def kernels_of(f: Any, *args: Any) -> list[str]:
    return [node.op.name for node in f.kernels(*args).nodes]


@pytest.mark.parametrize("left", [A, np.asfortranarray(A)], ids="CF")
@pytest.mark.parametrize("right", [B, np.asfortranarray(B)], ids="CF")
def test_a_product_reads_either_order_without_a_copy(left: Any, right: Any) -> None:
    f = adgraph.trace(product)
    np.testing.assert_allclose(f(left, right), left @ right, rtol=1e-14)
    assert set(kernels_of(f, left, right)) <= {"transpose", "matmul"}


def test_each_order_has_its_program_and_keeps_it() -> None:
    f = adgraph.trace(product)
    for _ in range(3):
        for left in (A, np.asfortranarray(A), A[::-1, ::-1]):
            np.testing.assert_allclose(f(left, B), left @ B, rtol=1e-14)
    assert len(f.dispatch.entries) == 2


def test_a_gradient_has_the_axes_of_its_argument() -> None:
    x = np.asfortranarray(STACK)
    found = adgraph.grad(lambda x: np.sum(np.sin(x) * np.arange(5.0)))(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found, np.cos(x) * np.arange(5.0), rtol=1e-14)


def test_writes_reach_an_array_in_fortran_order() -> None:
    @adgraph.trace
    def shift(x: Any) -> Any:
        x[1:] += x[:-1]
        return np.sum(x, axis=0)

    x = np.asfortranarray(A)
    expected = A.copy()
    expected[1:] += A[:-1]
    np.testing.assert_allclose(shift(x), np.sum(expected, axis=0), rtol=1e-14)
    np.testing.assert_array_equal(x, expected)
    assert x.flags.f_contiguous


@pytest.mark.parametrize("dtype", [">f8", "<f8", np.float32, np.int64, np.complex128])
def test_an_array_in_fortran_order_may_have_any_dtype(dtype: Any) -> None:
    x = np.asfortranarray((8 * A).astype(dtype))
    found = adgraph.trace(lambda x: x * 2 + x[0])(x)
    np.testing.assert_array_equal(found, x * 2 + x[0])
    assert found.dtype == (x * 2).dtype.newbyteorder("=")


def test_an_array_in_fortran_order_may_be_out_of_alignment() -> None:
    memory = np.zeros(A.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(4, 6)
    memory[...] = A.T
    f = adgraph.trace(lambda x: x * 2)
    for _ in range(2):
        np.testing.assert_array_equal(f(memory.T), A * 2)


def test_a_write_through_a_reshape_needs_c_order() -> None:
    @adgraph.trace
    def through(x: Any) -> Any:
        x.reshape(-1)[0] = 1.0
        return x

    with pytest.raises(TracingError, match="x is not in C order"):
        through(np.asfortranarray(A))
    through(A.copy())
    with pytest.raises(TracingError, match="x is not in C order"):
        through(np.asfortranarray(A))
