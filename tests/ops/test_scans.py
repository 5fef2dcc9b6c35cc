"""Scans and positions of extrema equal NumPy's for every length around their blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adgraph as ad

LENGTHS = (1, 2, 3, 4, 5, 8, 9, 511, 512, 513, 1030)
DTYPES = (np.float64, np.float32, np.int32, np.int64, np.uint8)


def rows(count: int, length: int, dtype: Any) -> np.ndarray[Any, Any]:
    return (np.random.default_rng(length).normal(size=(count, length)) * 3).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [np.cumsum, np.cumprod])
def test_a_scan_equals_numpy(function: Any, dtype: Any) -> None:
    for length in LENGTHS:
        x = (
            rows(5, length, dtype) / dtype(3)
            if np.dtype(dtype).kind == "f"
            else rows(5, length, dtype)
        )
        for axis in (0, 1):
            result = ad.trace(lambda x, axis=axis: function(x, axis=axis))(x)
            exact = function(x.astype(np.float64), axis=axis) if x.dtype.kind == "f" else None
            expected = function(x, axis=axis)
            assert result.dtype == expected.dtype
            if exact is None:
                np.testing.assert_array_equal(result, expected)
            else:
                tolerance = 64 * float(np.finfo(dtype).eps)
                scale = (
                    np.max(np.abs(exact))
                    if function is np.cumsum
                    else np.finfo(dtype).tiny / tolerance
                )
                np.testing.assert_allclose(
                    result, exact, rtol=length * tolerance, atol=tolerance * scale
                )


@pytest.mark.parametrize("function", [np.cumsum, np.cumprod])
def test_infinities_and_nan_pass_through_a_scan(function: Any) -> None:
    x = np.array([1.0, -2.0, np.inf, 3.0, 0.5, -np.inf, 2.0, np.nan, 1.0])
    with np.errstate(invalid="ignore"):
        expected = function(x)
    np.testing.assert_array_equal(ad.trace(lambda x: function(x))(x), expected)


def test_zeros_stop_products_whatever_follows() -> None:
    x = np.array([[2.0, 0.0, 1e200, 1e200, 1e200, 3.0]] * 5)
    np.testing.assert_array_equal(
        ad.trace(lambda x: np.cumprod(x, axis=1))(x), np.cumprod(x, axis=1)
    )


@pytest.mark.parametrize("dtype", [*DTYPES, np.bool_])
@pytest.mark.parametrize("function", [np.argmax, np.argmin])
def test_the_position_of_an_extremum_is_the_first(function: Any, dtype: Any) -> None:
    for length in LENGTHS:
        x = rows(4, length, dtype)
        for axis in (0, 1):
            result = ad.trace(lambda x, axis=axis: function(x, axis=axis))(x)
            np.testing.assert_array_equal(result, function(x, axis=axis))


@pytest.mark.parametrize("at", [0, 3, 511, 512, 900])
@pytest.mark.parametrize("function", [np.argmax, np.argmin])
def test_the_first_nan_is_the_extremum(function: Any, at: int) -> None:
    x = rows(2, 1030, np.float64)
    x[0, at] = np.nan
    x[0, 1000] = np.nan
    result = ad.trace(lambda x: function(x, axis=1))(x)
    np.testing.assert_array_equal(result, function(x, axis=1))
