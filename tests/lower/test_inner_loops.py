"""Inner loops of ufuncs as kernels: the same numbers as through Python, and their failures."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from adgraph.ir.code import InnerLoop
from adgraph.lower.inner_loops import FAILED, inner_loop
from adgraph.lower.ufunc_table import loop_and_data

EIGH = InnerLoop("numpy.linalg._umath_linalg.eigh_lo", "d->dd", 2, fails=True)


def _run(dtype: str, arrays: list[Any], sizes: list[int]) -> int:
    kernel = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    numbers = (ctypes.c_int64 * len(sizes))(*sizes)
    return int(kernel(inner_loop(EIGH, dtype))(pointers, numbers))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_stack_through_a_generalized_ufunc(dtype: str) -> None:
    a = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(dtype)
    a = a + np.swapaxes(a, 1, 2)
    values, vectors = np.empty((3, 4), dtype), np.empty((3, 4, 4), dtype)
    n, item = 4, a.itemsize
    outer = [n * n * item, n * item, n * n * item]
    core = [n * item, item, item, n * item, item]
    assert _run(dtype, [a, values, vectors], [3, n, *outer, *core]) == 0
    expected = np.linalg.eigh(a)
    # NumPy computes float32 in float64.
    np.testing.assert_allclose(values, expected.eigenvalues, rtol=1e-15 if dtype == "f8" else 1e-5)
    np.testing.assert_allclose(
        vectors, expected.eigenvectors, atol=1e-15 if dtype == "f8" else 1e-5
    )


def test_failure_is_the_status_of_the_loop() -> None:
    a = np.full((3, 3), np.nan)
    values, vectors = np.empty(3), np.empty((3, 3))
    assert _run("f8", [a, values, vectors], [1, 3, 72, 24, 72, 24, 8, 8, 24, 8]) == FAILED


def test_unknown_types_are_an_error() -> None:
    with pytest.raises(LookupError, match="no inner loop for d->q"):
        loop_and_data("numpy", "sin", "d->q")
