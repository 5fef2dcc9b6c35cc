"""Points between ends, blocks, insertions, callbacks, predicates: as NumPy, with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import ShapeError, TracingError
from adgraph.testing import check_derivatives
from tests.numpy_api.agreement import assert_agrees, results_of

Function = Callable[..., Any]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6))
V = np.array([0.35, 0.8, 1.3, 1.9, 0.6])
N = (100 * X).astype(np.int32)
NARROW = X.astype(np.float32)


def case(function: Function, x: Any) -> Any:
    return pytest.param(function, x)


SMOOTH = [
    case(lambda x: np.linspace(x[0], x[1], 7), X),
    case(lambda x: np.linspace(x[0, 0], 3.0, 7, endpoint=False, retstep=True), X),
    case(lambda x: np.linspace(x, 1.0, 3, axis=-1), X),
    case(lambda x: np.linspace(x[0], x[1], 1), X),
    case(lambda x: np.linspace(x[0], x[1], 0), X),
    case(lambda x: np.logspace(x[0, 0], x[1, 1], 5, base=2.0), X),
    case(lambda x: np.logspace(x[0], x[1], 5, endpoint=False, axis=1), X),
    case(lambda x: np.logspace(0.5, 2.0, 4, base=x), V),
    case(lambda x: np.geomspace(x[0], x[1], 5), V),
    case(lambda x: np.geomspace(-x[0], -x[1], 5, endpoint=False), V),
    case(lambda x: np.geomspace(x, 3.0, 4, axis=1), V),
    case(np.vander, V),
    case(lambda x: np.vander(x, 3, increasing=True), V),
    case(lambda x: np.kaiser(5, x[0]), V),
    case(lambda x: np.hanning(5) * x, V),
    case(lambda x: np.block([[x, x], [np.ones((1, 6)), np.zeros((1, 6))]]), X),
    case(lambda x: np.block([x, 2.0, x]), V),
    case(lambda x: np.block(x), V),
    case(lambda x: np.insert(x, 2, 5.0), V),
    case(lambda x: np.insert(x, [1, 3], x[:2]), V),
    case(lambda x: np.insert(x, 1, x[:, 0], axis=1), X),
    case(lambda x: np.insert(x, [1], x[:, :2], axis=1), X),
    case(lambda x: np.insert(x, slice(1, 3), x[0, 0], axis=0), X),
    case(lambda x: np.insert(x, np.arange(5) % 2 == 0, 7.0), V),
    case(lambda x: np.unwrap(3 * x), X),
    case(lambda x: np.unwrap(3 * x, axis=0, period=4.1, discont=3.0), X),
    case(lambda x: np.apply_along_axis(lambda r: r.sum(), 1, x), X),
    case(lambda x: np.apply_along_axis(lambda r: r * r[0], 0, x), X),
    case(lambda x: np.apply_along_axis(lambda r: np.outer(r, r), 0, x), X),
    case(lambda x: np.apply_over_axes(np.sum, x, [0, 1]), X),
    case(lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: t**2]), X),
    case(lambda x: np.piecewise(x, [x < 0.5, x > 1], [lambda t: -t, 7.0, lambda t: t * 2]), V),
    case(lambda x: np.fromfunction(lambda i, j: i * x[0] + j, (3, 4)), V),
    case(lambda x: np.cumulative_sum(x, axis=1, include_initial=True), X),
    case(lambda x: np.cumulative_prod(x, include_initial=True), V),
    case(lambda x: np.frexp(x)[0], X),
    case(lambda x: np.ldexp(x, np.arange(6)), X),
    case(lambda x: np.require(x, requirements=["C"]) * np.asfortranarray(x), X),
]


@pytest.mark.parametrize(("function", "x"), SMOOTH)
def test_values_and_derivatives(function: Function, x: Any) -> None:
    assert assert_agrees(function, x)
    check_derivatives(function, x)


OTHERS = [
    case(np.spacing, X),
    case(np.spacing, NARROW),
    case(np.frexp, np.array([0.0, -0.0, np.inf, 5e-324, -3.0])),
    case(lambda x: np.ldexp(x, [-1080, 3, 0]), np.array([1.5, 0.0, np.nan])),
    case(np.bitwise_count, N),
    case(np.bitwise_count, N.astype(np.uint8)),
    case(np.bitwise_count, np.array([2**63 - 1, -(2**63), -1])),
    case(np.vander, NARROW[0]),
    case(lambda x: np.linspace(x[0], x[1], 7, dtype=np.int64), 5 * X),
    case(lambda x: np.linspace(x[0], 2, 5), N),
    case(lambda x: np.insert(x, 1, 2.7), N[0]),
    case(lambda x: np.allclose(x, x + 1e-12), X),
    case(lambda x: np.isclose(x, [1, 2, 3, 4, 5, 6], atol=1.0), X),
    case(lambda x: np.isclose(x, x, equal_nan=True), np.array([np.nan, np.inf])),
    case(lambda x: (np.array_equal(x, x), np.array_equal(x, x[0])), X),
    case(lambda x: np.array_equal(x, x, equal_nan=True), np.array([np.nan, 1.0])),
    case(lambda x: (np.array_equiv(x, x[0]), np.array_equiv(x, x[:, :2])), X),
    case(lambda x: (np.iscomplex(x), np.isreal(x), np.iscomplex(x + 1j)), X),
    case(lambda x: (np.iscomplexobj(x), np.isrealobj(x)), X),
    case(lambda x: np.zeros(2, np.result_type(x, np.float32, 2.0)), X),
    case(lambda x: np.can_cast(x, np.float32), X),
    case(lambda x: (np.shares_memory(x, x[1:]), np.may_share_memory(x, x + 1)), X),
    case(lambda x: len(np.einsum_path("ij,kj", x, x)[0]), X),
    case(lambda x: np.nanargmax(x, axis=1), X),
    case(lambda x: np.insert(x, 9, 1.0), V),
    case(lambda x: np.block([[x], x]), V),
    case(lambda x: np.piecewise(x, [x > 0], [1.0, 2.0, 3.0]), V),
    case(lambda x: np.linspace(x[0], x[1], -1), V),
]


@pytest.mark.parametrize(("function", "x"), OTHERS)
def test_values_or_errors(function: Function, x: Any) -> None:
    assert_agrees(function, x)


LISTS = [
    case(lambda x: np.exp([x[0], x[1]]), V),
    case(lambda x: np.hypot([x[0], 1.0], [x[1], x[2]]), V),
    case(lambda x: np.median([x[0], x[1], 2.0]), V),
    case(lambda x: np.dot([x[0], x[1]], [x[1], 2.0]), V),
    case(lambda x: np.interp(0.3, [0.0, 1.0], [x[0], x[1]]), V),
    case(lambda x: np.diff([[x[0], x[1]], [1.0, 2.0]]), V),
    case(lambda x: np.where([True, False], x[:2], [x[0], x[1]]), V),
    case(lambda x: np.select([x > 1, x > 0.5], [x, [1.0, 2.0, 3.0, 4.0, 5.0]]), V),
]


@pytest.mark.parametrize(("function", "x"), LISTS)
def test_lists_of_traced_numbers_are_arrays(function: Function, x: Any) -> None:
    assert assert_agrees(function, x)


def test_a_position_among_nan_alone_is_an_error_when_the_program_runs() -> None:
    f = trace(lambda x: np.nanargmax(x, axis=1))
    gaps = np.array([[np.nan, 2.0], [1.0, np.nan]])
    np.testing.assert_array_equal(f(gaps), [1, 0])
    with pytest.raises(ValueError, match="nanargmax"):
        f(np.full((2, 2), np.nan))


def test_a_callback_may_branch_on_its_numbers() -> None:
    def clipped(row: Any) -> Any:
        total = 0.0
        for v in row:
            if v > 0:
                total = total + v
        return total

    def f(x: Any) -> Any:
        return np.apply_along_axis(clipped, 1, x)

    np.testing.assert_allclose(trace(f)(X), f(X))


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (lambda x: np.insert(x, np.argmax(x), 1.0), TracingError, "traced positions"),
        (lambda x: np.min_scalar_type(x[0]), TracingError, "x.dtype"),
        (lambda x: np.geomspace(x[0] * 1j, x[1], 4), TypeError, "np.linspace(0, 1, n)"),
        (lambda x: np.cumulative_sum(np.outer(x, x)), ShapeError, "without axis="),
        (lambda x: np.asarray_chkfinite(x), TracingError, "np.asarray"),
        (lambda x: np.frompyfunc(float, 1, 1)(x), TracingError, "frompyfunc"),
    ],
)
def test_what_cannot_be_is_explained(function: Function, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        results_of(function, V)
    assert words in str(caught.value)
    assert "test_construction.py" in str(caught.value)
