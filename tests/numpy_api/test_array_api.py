"""The Array API standard (2024.12): all its names are there, and generic code traces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import coverage, grad, trace
from adgraph.coverage import WORKS

CONSTANTS = "e inf nan newaxis pi"
DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
)
FUNCTIONS = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh count_nonzero
cumulative_prod cumulative_sum diff divide empty empty_like equal exp expand_dims expm1 eye finfo
flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag isdtype
isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not
logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis
multiply negative nextafter nonzero not_equal ones ones_like permute_dims positive pow prod real
reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort
sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu
trunc unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
zeros_like
"""
LINALG = """
cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift"
RNG = np.random.default_rng(2)
X = RNG.standard_normal((4, 3))
VALUES_DECIDE = {"unique_all", "unique_counts", "unique_inverse", "unique_values", "from_dlpack"}
NOT_OF_ARRAYS = {"finfo", "iinfo", "isdtype", "fftfreq", "rfftfreq"}


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (adgraph.numpy, f"{CONSTANTS} {DTYPES} {FUNCTIONS} __array_namespace_info__"),
        (adgraph.numpy.linalg, LINALG),
        (adgraph.numpy.fft, FFT),
    ],
)
def test_every_name_of_the_standard_is_there(space: Any, names: str) -> None:
    assert [name for name in names.split() if not hasattr(space, name)] == []


@pytest.mark.parametrize(
    ("space", "names"), [("np", FUNCTIONS), ("np.linalg", LINALG), ("np.fft", FFT)]
)
def test_every_function_of_the_standard_works_inside_a_trace(space: str, names: str) -> None:
    status = {form.name: form.status for form in coverage.forms_of(space)}
    wanted = set(names.split()) - VALUES_DECIDE - NOT_OF_ARRAYS
    assert sorted(name for name in wanted if status.get(name) not in WORKS) == []


def test_traced_arrays_name_the_namespace() -> None:
    found = []

    @trace
    def f(x: Any) -> Any:
        found.append(x.__array_namespace__(api_version="2024.12"))
        found.append(x.device)
        return x

    f(X)
    assert found == [adgraph.numpy, "cpu"]


def softmax(x: Any, axis: int = -1) -> Any:
    """Code that knows the standard only."""
    xp = x.__array_namespace__()
    shifted = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return shifted / xp.sum(shifted, axis=axis, keepdims=True)


def attention(q: Any, k: Any, v: Any) -> Any:
    xp = q.__array_namespace__()
    scores = xp.matmul(q, xp.matrix_transpose(k)) / xp.sqrt(xp.asarray(q.shape[-1], dtype=q.dtype))
    mask = xp.tril(xp.ones(scores.shape, dtype=xp.bool))
    return xp.matmul(softmax(xp.where(mask, scores, xp.asarray(-xp.inf))), v)


def test_generic_code_traces_and_has_derivatives() -> None:
    def loss(q: Any, k: Any, v: Any) -> Any:
        return np.sum(attention(q, k, v) ** 2)

    rest = X[::-1] + 0.5, X * 2
    np.testing.assert_allclose(trace(attention)(X, *rest), attention(X, *rest))
    d, h = RNG.standard_normal(X.shape), 1e-6
    expected = (loss(X + h * d, *rest) - loss(X - h * d, *rest)) / (2 * h)
    assert np.sum(grad(loss)(X, *rest) * d) == pytest.approx(expected, rel=1e-7)


def test_array_api_compat_finds_the_namespace() -> None:
    compat = pytest.importorskip("scipy._lib.array_api_compat")

    def norm(x: Any) -> Any:
        xp = compat.array_namespace(x)
        return xp.sqrt(xp.sum(xp.square(xp.concat([x, xp.zeros((1, x.shape[1]))]))))

    np.testing.assert_allclose(grad(norm)(X), X / np.linalg.norm(X))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_takes_the_order_of_the_standard(axis: int, descending: bool) -> None:
    xp, ties = adgraph.numpy, np.round(X)
    sign = -1 if descending else 1

    def both(x: Any) -> Any:
        options = {"axis": axis, "descending": descending}
        return xp.sort(x, **options), xp.argsort(x, **options)

    for found in (both(ties), trace(both)(ties)):
        np.testing.assert_array_equal(found[0], sign * np.sort(sign * ties, axis))
        expected = np.argsort(sign * ties, axis, stable=True)
        np.testing.assert_array_equal(found[1], expected)


def test_outside_a_trace_the_functions_are_those_of_numpy() -> None:
    xp = adgraph.numpy
    made = xp.zeros(3)
    assert type(made) is np.ndarray
    assert xp.sum is np.sum
    assert xp.linalg.svd is np.linalg.svd
    assert isinstance(xp.asarray([1.0]), np.ndarray)
    assert "concat" in dir(xp)
    assert xp.float64 is np.float64
