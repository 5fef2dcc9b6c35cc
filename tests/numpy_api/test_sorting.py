"""Sorting, searching, quantiles and histograms: values, dtypes, shapes and errors are NumPy's."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import grad, trace
from adgraph.errors import TracingError
from adgraph.testing import assert_close, check_derivatives
from adgraph.tracing.numpy_api import statistics
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(11)
V = RNG.standard_normal(7)
W = np.abs(RNG.standard_normal(7))
M = RNG.standard_normal((4, 3))
X = RNG.standard_normal((4, 3, 2))
K = RNG.integers(-3, 4, (4, 3))
LINE = np.sort(V)
GAPS = np.where(M > 0.6, np.nan, M)
Z = np.array([2 + 1j, 1 - 1j, complex(1, math.nan), 1 + 0j, complex(math.nan, 0), 2 - 3j])
ARRAYS = {
    "float": M,
    "narrow": M.astype("f4"),
    "int": K,
    "small": K.astype("i2"),
    "bool": K > 0,
    "gaps": GAPS,
    "line": V,
    "cube": X,
    "one": V[:1],
    "empty": V[:0],
    "number": np.float64(2),
}

arrays = st.sampled_from(sorted(ARRAYS)).map(ARRAYS.__getitem__)
axes = st.sampled_from([None, 0, 1, -1, -2])
several = st.sampled_from([None, 0, 1, -1, (0, 1), (-1, 0), (0, 1, 2), ()])


def _ties(x: Any) -> Any:
    return x if np.asarray(x).dtype.kind != "f" else np.round(x, 0).astype(np.asarray(x).dtype)


@given(arrays, axes, st.sampled_from([None, "quicksort", "stable", "heapsort", "other"]))
@settings(max_examples=60)
def test_sort_equals_numpy(x: Any, axis: Any, kind: Any) -> None:
    assert_agrees(lambda x: np.sort(x, axis, kind), x)
    if kind == "stable":
        assert_agrees(lambda x: np.argsort(x, axis, kind), _ties(x))


def test_sort_writes_in_place_and_takes_stable() -> None:
    def sorted_rows(x: Any) -> Any:
        y = x.copy()
        y.sort(axis=0)
        return y, np.sort(y, stable=True)

    assert_agrees(sorted_rows, M)
    assert_agrees(lambda x: np.sort(x, kind="stable", stable=True), M)


@pytest.mark.parametrize("n", [0, 1, 12, 13, 24, 25, 37, 200])
def test_kernels_sort_short_and_long_rows_stably(n: int) -> None:
    x = np.round(RNG.standard_normal((2, n)), 1)
    x[0, 2::5] = math.nan
    for axis, rows in ((1, x), (0, x.T.copy())):
        found = trace(lambda x, axis=axis: np.argsort(x, axis))(rows)
        np.testing.assert_array_equal(found, np.argsort(rows, axis, kind="stable"))


def test_kernels_sort_in_recorded_loops() -> None:
    def ranked(x: Any) -> Any:
        for i in range(40):
            x = np.tanh(x + 0.1 * np.argsort(np.cos(x + i)))
        return np.sort(x)

    line = RNG.standard_normal(30)
    assert_close(trace(ranked)(line), ranked(line))


def test_complex_numbers_are_sorted_by_real_then_imaginary_part() -> None:
    for function in (np.sort, np.argsort, np.sort_complex):
        assert_agrees(lambda z, f=function: f(z), Z)
    assert_agrees(np.sort_complex, K)
    assert_agrees(np.sort_complex, K.astype("i1"))


@given(st.sampled_from([0, 1, -1, 3, 9, (0, 2)]), axes)
@settings(max_examples=40)
def test_partition_puts_what_is_asked_for_in_its_place(kth: Any, axis: Any) -> None:
    assert_agrees(lambda x: np.take(np.partition(x, kth, axis), np.array(kth), axis or 0), M)
    assert_agrees(
        lambda x: np.take(np.sort(x, axis), np.argpartition(x, kth, axis) * 0, axis or 0), M[0]
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_lexsort_equals_numpy(axis: int) -> None:
    assert_agrees(lambda k: np.lexsort(k, axis=axis), RNG.integers(0, 2, (3, 4, 2)))
    assert_agrees(lambda a, b: np.lexsort((a, b), axis=axis), K, K.T[:, :3].repeat(2, 0)[:4])


@given(arrays, st.sampled_from(["left", "right", "middle"]), st.booleans())
@settings(max_examples=60)
def test_searchsorted_equals_numpy(values: Any, side: Any, own_order: bool) -> None:
    def found(line: Any, values: Any) -> Any:
        sorter = np.argsort(line) if own_order else None
        return np.searchsorted(line, values, side, sorter), line.searchsorted(values)

    for line in (LINE, np.array([-1, 0, 0, 2]), np.array([0.0, 1.0, math.nan]), V[:0]):
        assert_agrees(found, line, values)


@given(arrays, st.booleans(), st.booleans())
@settings(max_examples=30)
def test_digitize_equals_numpy(values: Any, right: bool, known: bool) -> None:
    for edges in (LINE, LINE[::-1], np.array([-1, 0, 0, 2]), np.array([0.0, 2.0, 1.0])):
        if known:
            assert_agrees(lambda x, e=edges: np.digitize(x, e, right), values)
        elif edges[1] != 2.0:
            assert_agrees(lambda x, e: np.digitize(x, e, right), values, edges)


@given(arrays, st.sampled_from([V, K, V[:0], M[0]]), st.booleans())
@settings(max_examples=30)
def test_isin_equals_numpy(values: Any, tests: Any, invert: bool) -> None:
    assert_agrees(lambda x, t: np.isin(x, t, invert=invert), values, tests)


# --- quantiles ------------------------------------------------------------------------------------

METHODS = [*statistics.METHODS, "other"]
QUANTILES: list[Any] = [0, 0.5, 1, 0.37, [0.2, 0.9], [0.0, 0.25, 1.0], np.float32(0.4), 1.5,
                        np.array([[0.1, 0.2], [0.3, 0.4]]), []]  # fmt: skip


@given(
    arrays,
    st.sampled_from(QUANTILES),
    several,
    st.sampled_from(METHODS),
    st.booleans(),
    st.sampled_from([np.quantile, np.nanquantile, np.percentile, np.nanpercentile]),
)
@settings(max_examples=250)
def test_quantiles_equal_numpy(
    x: Any, q: Any, axis: Any, method: Any, keepdims: bool, function: Any
) -> None:
    scale = 100 if "percentile" in function.__name__ else 1
    levels = np.multiply(q, scale) if isinstance(q, list) else q * scale
    if "nan" in function.__name__ and np.ndim(q) == 2:
        return  # NumPy confuses the axes of the result
    if not (axis == () or (np.size(x) == 0 and function in (np.quantile, np.percentile))):
        assert_agrees(lambda x: function(x, levels, axis, method=method, keepdims=keepdims), x)


@given(st.sampled_from([None, 0, 1, (0, 1)]), st.booleans(), st.sampled_from(QUANTILES[:7]))
@settings(max_examples=40)
def test_quantiles_with_weights_equal_numpy(axis: Any, keepdims: bool, q: Any) -> None:
    weights = {0: W[:4], 1: W[:3]}.get(axis, np.abs(M))

    def both(x: Any, w: Any) -> Any:
        options = {"weights": w, "method": "inverted_cdf", "keepdims": keepdims}
        return np.quantile(x, q, axis, **options)

    assert_agrees(both, M, weights)
    assert_agrees(both, M, np.abs(M) * (M > -1))


@given(arrays, several, st.booleans(), st.sampled_from([np.median, np.nanmedian]))
@settings(max_examples=80)
def test_medians_equal_numpy(x: Any, axis: Any, keepdims: bool, function: Any) -> None:
    if axis != () and np.size(x):
        assert_agrees(lambda x: function(x, axis, keepdims=keepdims), x)


def test_a_quantile_has_a_derivative_by_its_level() -> None:
    levels = np.array([0.21, 0.6])
    check_derivatives(lambda x, q: np.quantile(x * x, q), V, levels)
    check_derivatives(lambda x, q: np.percentile(x, q, method="weibull"), V, 61.0)


def test_derivatives_of_rows_with_nan_are_zero_or_leave_them_out() -> None:
    found = grad(lambda x: np.sum(np.nanmedian(x, axis=1)))(GAPS)
    assert np.isfinite(found).all()
    assert (found[np.isnan(GAPS)] == 0).all()


@pytest.mark.parametrize("function", [np.median, np.nanmedian])
def test_kernels_of_medians_equal_numpy(function: Any) -> None:
    compiled = trace(lambda x: function(x, axis=1))
    assert_close(compiled(GAPS), function(GAPS, axis=1))


# --- counting -------------------------------------------------------------------------------------

BINS: list[Any] = [1, 5, [-1, 0, 0.5, 2], [-1, 0, 3], [0.0, -1.0], 0]
HISTOGRAMS = [V, M, K, K.astype("i2"), M.astype("f4"), V[:1], V[:0]]


@given(
    st.sampled_from(HISTOGRAMS),
    st.sampled_from(BINS),
    st.sampled_from([None, (-1, 1), (0.0, 0.0), (2, 1)]),
    st.booleans(),
    st.sampled_from([None, "float", "int"]),
)
@settings(max_examples=150)
def test_histogram_equals_numpy(x: Any, bins: Any, range: Any, density: bool, kind: Any) -> None:
    weights = None if kind is None else np.abs(x).astype("f8" if kind == "float" else "i8") + 1
    assert_agrees(lambda x, w: np.histogram(x, bins, range, density, w), x, weights)


@given(
    st.sampled_from([3, [2, 4], [2, [-1, 0, 1, 4]]]),
    st.sampled_from([None, [(-1, 1), (0, 2)], [None, (0, 1)]]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=40)
def test_histograms_of_points_equal_numpy(
    bins: Any, range: Any, density: bool, weighted: bool
) -> None:
    def counted(x: Any, y: Any, w: Any) -> Any:
        weights = w if weighted else None
        return np.histogram2d(x, y, bins, range, density, weights)

    assert_agrees(counted, V, W, W + 1)
    assert_agrees(lambda x, w: np.histogramdd(x, 3, density=density, weights=w), M, W[:4])


def test_the_edges_between_the_extremes_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = np.round(rng.standard_normal(200), 1)
        assert_agrees(lambda x: np.histogram(x, 12), x)


@given(st.lists(st.integers(0, 6), max_size=6), st.integers(0, 9), st.booleans())
@settings(max_examples=40)
def test_bincount_equals_numpy(numbers: list[int], minlength: int, weighted: bool) -> None:
    known = np.array(numbers, int)
    weights = W[: known.size] if weighted else None
    assert_agrees(lambda w: np.bincount(known, w, minlength), weights)
    if minlength > max(numbers, default=0):
        assert_agrees(lambda n, w: np.bincount(n, w, minlength), known, weights)


def test_bincount_of_traced_numbers_needs_a_length() -> None:
    with pytest.raises(TracingError, match="minlength="):
        trace(np.bincount)(np.array([0, 2]))
    counted = trace(lambda n: np.bincount(n, minlength=3))
    np.testing.assert_array_equal(counted(np.array([0, 2])), [1, 0, 1])
    for beyond in (3, -1):
        with pytest.raises(IndexError):
            counted(np.array([0, beyond]))


def test_bins_that_depend_on_numbers_are_refused() -> None:
    with pytest.raises(TracingError, match="bins='auto'"):
        trace(lambda x: np.histogram(x, "auto"))(V)


def test_kernels_of_histograms_equal_numpy() -> None:
    def counted(x: Any, w: Any) -> Any:
        return np.histogram(x, 4, weights=w), np.histogram(x, [-1.0, 0.0, 2.0], density=True)[0]

    with warnings.catch_warnings():
        found, density = trace(counted)(V, W)
    (wanted, edges), wanted_density = counted(V, W)
    assert_close(found[0], wanted)
    assert_close(found[1], edges)
    assert_close(density, wanted_density)
