"""Functions of `scipy.special` written in Python: a traced call equals SciPy's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from scipy.special import log_softmax, logsumexp, softmax

from adgraph import grad, jvp, trace
from adgraph.errors import DtypeError, TracingError
from adgraph.testing import assert_close, check_derivatives

Function = Callable[..., Any]

X = 3 * np.random.default_rng(0).standard_normal((4, 3, 2))
LARGE = np.array([[1000.0, 1001.0], [-2000.0, -2000.5]])
MASKED = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, -np.inf], [0.5, np.inf, 1.0]])
WEIGHTS = np.array([[2.0, 0.0, 0.5], [1.0, 3.0, 1.0], [1.0, 0.0, 1.0]])
FUNCTIONS = pytest.mark.parametrize("function", [logsumexp, softmax, log_softmax])


def assert_equals_scipy(function: Function, *args: Any) -> None:
    with np.errstate(all="ignore"):
        wanted = function(*args)
    assert_close(trace(function)(*args), wanted)


@FUNCTIONS
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,)], ids=str)
def test_values_equal_scipy_over_any_axes(function: Function, axis: Any) -> None:
    assert_equals_scipy(lambda x: function(x, axis=axis), X)


@FUNCTIONS
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "i8"])
def test_dtypes_are_those_of_scipy(function: Function, dtype: str) -> None:
    assert_equals_scipy(lambda x: function(x, axis=1), np.abs(X).astype(dtype))


@FUNCTIONS
def test_a_number_is_an_array_without_axes(function: Function) -> None:
    assert_equals_scipy(lambda x: function(x), 2.5)


@FUNCTIONS
def test_the_largest_element_is_taken_out_of_the_exponent(function: Function) -> None:
    assert_equals_scipy(lambda x: function(x, axis=1), LARGE)


@FUNCTIONS
def test_rows_with_infinities_are_those_of_scipy(function: Function) -> None:
    assert_equals_scipy(lambda x: function(x, 1), MASKED)


def test_logsumexp_keeps_axes() -> None:
    assert_equals_scipy(lambda x: logsumexp(x, axis=(0, 1), keepdims=True), X)


@pytest.mark.parametrize("b", [0.5, 2, WEIGHTS, WEIGHTS[:, :1], WEIGHTS.astype("f4")], ids=str)
def test_logsumexp_takes_known_weights(b: Any) -> None:
    assert_equals_scipy(lambda x: logsumexp(x, axis=1, b=b), MASKED)
    assert_equals_scipy(lambda x: logsumexp(x, axis=1, b=b), np.ones((3, 3), "f4"))
    assert_equals_scipy(lambda x: logsumexp(x, axis=1, b=b), np.ones((3, 3), "i8"))


@FUNCTIONS
def test_traced_elements_of_a_list_are_found(function: Function) -> None:
    assert_equals_scipy(lambda x, y: function([x, 2 * y]), 0.5, 1.5)


@FUNCTIONS
def test_calls_without_traced_arguments_are_those_of_scipy(function: Function) -> None:
    plain: list[Any] = []

    def scaled(x: Any) -> Any:
        plain.append(function(MASKED[0]))
        return x * plain[-1]

    trace(scaled)(2.0)
    assert isinstance(plain[0], (np.ndarray, np.float64))
    assert_close(plain[0], function(MASKED[0]), "exact")


@FUNCTIONS
@pytest.mark.parametrize("axis", [None, 1, (0, 2)], ids=str)
def test_derivatives_agree_with_differences(function: Function, axis: Any) -> None:
    check_derivatives(lambda x: function(x, axis=axis), X)


def test_derivatives_of_weighted_logsumexp_agree_with_differences() -> None:
    check_derivatives(lambda x: logsumexp(x, axis=0, b=WEIGHTS), X[0].repeat(3, 1)[:, :3])


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_gradients_at_masked_elements_are_zero(function: Function) -> None:
    row = np.array([1.0, -np.inf, 2.0])
    gradient = grad(lambda x: function(x)[0])(row)
    p = scipy.special.softmax(row)
    wanted = np.eye(3)[0] - p
    assert_close(gradient, wanted * p[0] if function is softmax else wanted)


def test_both_modes_say_that_logsumexp_of_infinity_has_no_derivative() -> None:
    x = np.array([np.inf, 1.0])
    assert_close(grad(logsumexp)(x), np.array([np.nan, 0.0]))
    assert np.isnan(jvp(logsumexp, (x,), (np.ones(2),))[1])


def test_gradient_of_logsumexp_is_the_softmax_and_zero_where_nothing_is_left() -> None:
    assert_close(grad(lambda x: np.sum(logsumexp(x)))(LARGE), softmax(LARGE))
    assert_close(grad(lambda x: logsumexp(x))(MASKED[1]), np.zeros(3))


@pytest.mark.parametrize("b", [-1.0, np.array([1.0, -1.0]), 1j], ids=str)
def test_weights_without_a_real_logarithm_are_refused(b: Any) -> None:
    with pytest.raises(
        TracingError, match=r"negative weights b=[\s\S]*logsumexp\(a \+ np.log\(b\)\)"
    ):
        trace(lambda x: logsumexp(x, b=b))(np.ones(2))


def test_traced_weights_are_refused() -> None:
    with pytest.raises(TracingError, match="traced, complex or negative weights b="):
        trace(lambda x, b: logsumexp(x, b=b))(np.ones(2), np.ones(2))


def test_the_sign_of_the_sum_is_refused() -> None:
    with pytest.raises(TracingError, match="logsumexp was called with return_sign=True"):
        trace(lambda x: logsumexp(x, return_sign=True))(np.ones(2))


@FUNCTIONS
def test_complex_arrays_are_refused(function: Function) -> None:
    with pytest.raises(DtypeError, match="complex array"):
        trace(lambda x: function(x * 1j))(np.ones(2))
