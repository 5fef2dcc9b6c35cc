"""Least squares of any rank and shape, real and complex: values and derivatives to second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph import jvp, trace, vjp
from adgraph.testing import assert_close, check_derivatives

RNG = np.random.default_rng(4)
SHAPES = {"tall": (5, 3), "square": (3, 3), "wide": (2, 4)}


def _solve(a: Any, b: Any) -> Any:
    return np.linalg.lstsq(a, b)[0]


def _pinv(a: Any, b: Any) -> Any:
    return np.linalg.pinv(a) @ b


def _arguments(shape: tuple[int, int], complex_: bool) -> tuple[Any, Any]:
    a, b = RNG.normal(size=(2, *shape)), RNG.normal(size=(2, shape[0], 2))
    return (a[0] + 1j * a[1], b[0] + 1j * b[1]) if complex_ else (a[0], b[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_agree_with_differences(shape: str) -> None:
    check_derivatives(_solve, *_arguments(SHAPES[shape], False))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("complex_", [False, True])
def test_derivatives_to_second_order_are_those_of_the_pseudoinverse(
    shape: str, complex_: bool
) -> None:
    args, steps, more = (_arguments(SHAPES[shape], complex_) for _ in range(3))

    def second(solve: Any) -> Any:
        def backward(*args: Any) -> Any:
            y, pullback = vjp(solve, *args)
            return pullback(y * y)

        def forward(*args: Any) -> Any:
            return jvp(solve, args, steps)[1]

        return jvp(backward, args, more)[1], jvp(forward, args, more)[1]

    ours, others = trace(lambda: second(_solve))(), trace(lambda: second(_pinv))()
    for found, expected in zip((*ours[0], ours[1]), (*others[0], others[1]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_deficient_rank_is_kept() -> None:
    left, right, b = RNG.normal(size=(6, 2)), RNG.normal(size=(2, 4)), RNG.normal(size=6)

    def solution(left: Any, right: Any) -> Any:
        return np.linalg.lstsq(left @ right, b)[0]

    assert_close(trace(solution)(left, right), solution(left, right), "rounded")
    check_derivatives(solution, left, right)


def test_tangents_of_nearly_dependent_columns_are_accurate() -> None:
    a = np.vander(np.linspace(0, 1, 12), 7)
    b, db = RNG.normal(size=(2, 12))
    found = jvp(lambda b: np.linalg.lstsq(a, b)[0], (b,), (db,))[1]
    assert_close(found, np.linalg.lstsq(a, db)[0], "differenced")
