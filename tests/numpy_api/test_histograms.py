"""Histograms of equal bins: what is counted on and near edges is what NumPy counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import trace

VALUES = st.floats(-3, 3) | st.sampled_from([-np.inf, np.inf, np.nan, 0.1, 0.3, 0.7, 1.0])


def _near(edges: Any) -> Any:
    return np.concatenate([edges, np.nextafter(edges, 9), np.nextafter(edges, -9)])


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1"])
@pytest.mark.parametrize("bins", [1, 2, 3, 10, 49, 1000])
def test_values_on_edges_fall_into_numpys_bins(bins: int, dtype: str) -> None:
    for ends in ((0.0, 1.0), (-0.1, 0.7), (1e-3, 7.0)):
        x = _near(np.linspace(*ends, bins + 1).astype("f4" if dtype == "f4" else "f8"))
        x = x.astype(dtype)
        found = trace(lambda x, ends=ends: np.histogram(x, bins, ends))(x)
        for ours, numpys in zip(found, np.histogram(x, bins, ends), strict=True):
            np.testing.assert_array_equal(ours, numpys)


@given(st.lists(VALUES, min_size=1, max_size=30), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_infinities_and_nan_are_outside(values: list[float], bins: int) -> None:
    x = np.resize(np.array(values), 30)
    found = trace(lambda x: np.histogram(x, bins, (-1, 1))[0])(x)
    np.testing.assert_array_equal(found, np.histogram(x, bins, (-1, 1))[0])


@pytest.mark.parametrize("bins", [4, (3, 5)])
def test_tables_have_equal_bins_along_both_axes(bins: Any) -> None:
    points = np.random.default_rng(5).normal(size=(2, 200))
    found = trace(lambda p: np.histogram2d(p[0], p[1], bins))(points)
    for ours, numpys in zip(found, np.histogram2d(*points, bins), strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-15)
