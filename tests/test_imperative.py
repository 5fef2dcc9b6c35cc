"""Unchanged imperative NumPy: values equal NumPy's, gradients agree with central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.testing import check_derivatives

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(6, 6))


def cholesky(a: Any) -> Any:
    a = a.copy()
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[j, :j]
            a[i, j] /= a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])
    return np.tril(a)


def jacobi(u: Any, f: Any) -> Any:
    for _ in range(4):
        v = u.copy()
        around = v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2]
        u[1:-1, 1:-1] = 0.25 * (around + f[1:-1, 1:-1])
    return u


def gauss_seidel(u: Any) -> Any:
    for _ in range(2):
        for i in range(1, u.shape[0] - 1):
            u[i] = 0.5 * (u[i - 1] + u[i + 1])
    return u


def overlapping(a: Any) -> Any:
    a[1:] = a[:-1]
    return a * a


def swapped(a: Any) -> Any:
    t = a[0].copy()
    a[0] = a[1]
    a[1] = t * a[2]
    return a


def views_of_views(a: Any) -> Any:
    row = a[1]
    row[2:] *= 3.0
    turned = a.T
    turned[0] += 1.0
    a.reshape(-1)[3] = 7.0
    return a * a


def thomas(a: Any, b: Any, c: Any, d: Any) -> Any:
    n = len(d)
    upper, right, x = np.zeros(n), np.zeros(n), np.empty(n)
    upper[0], right[0] = c[0] / b[0], d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * upper[i - 1]
        upper[i] = c[i] / m
        right[i] = (d[i] - a[i] * right[i - 1]) / m
    x[-1] = right[-1]
    for i in range(n - 2, -1, -1):
        x[i] = right[i] - upper[i] * x[i + 1]
    return x


def appended(x: Any) -> Any:
    out = []
    for i in range(4):
        out.append(x[i] * x[i + 1])  # noqa: PERF401 - the loop is what is tested
    return np.array(out)


def chained(a: Any) -> Any:
    for i in range(3):
        a[i:, i] = a[i, i:] = a[i, i] * 2
    return a


def filled_diagonal(a: Any) -> Any:
    b = a.copy()
    np.fill_diagonal(b, a[0] * a[1])
    return b


def copied_to(a: Any) -> Any:
    b = np.empty_like(a)
    np.copyto(b, a * a)
    return b


def scattered(x: Any, i: Any) -> Any:
    y = np.zeros(5)
    np.add.at(y, i, x * x)
    return y


def masked(x: Any) -> Any:
    y = x * x
    y[x > 0] = -1.0
    return y


PROGRAMS = [
    (cholesky, (MATRIX @ MATRIX.T + 6 * np.eye(6),)),
    (jacobi, (MATRIX, RNG.normal(size=(6, 6)))),
    (gauss_seidel, (MATRIX[:, :4],)),
    (overlapping, (MATRIX[0],)),
    (swapped, (MATRIX[1],)),
    (views_of_views, (MATRIX[:4, :4],)),
    (thomas, (MATRIX[0], MATRIX[1] + 6.0, MATRIX[2], MATRIX[3])),
    (appended, (MATRIX[0],)),
    (chained, (MATRIX[:3, :3],)),
    (filled_diagonal, (MATRIX[:3, :3],)),
    (copied_to, (MATRIX,)),
    (scattered, (MATRIX[0, :4], np.array([0, 2, 2, 1]))),
    (masked, (MATRIX[0],)),
]


def fresh(arguments: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(np.array(x) for x in arguments)


@pytest.mark.parametrize(
    ("program", "arguments"), PROGRAMS, ids=lambda x: getattr(x, "__name__", "")
)
def test_an_imperative_program_is_numpys_for_the_caller_too(
    program: Callable[..., Any], arguments: tuple[Array, ...]
) -> None:
    ours, numpys = fresh(arguments), fresh(arguments)
    np.testing.assert_allclose(trace(program)(*ours), program(*numpys), rtol=1e-12, atol=1e-12)
    for found, expected in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("program", "arguments"), PROGRAMS, ids=lambda x: getattr(x, "__name__", "")
)
def test_an_imperative_program_has_its_derivatives_and_they_write_nothing(
    program: Callable[..., Any], arguments: tuple[Array, ...]
) -> None:
    integers = [x for x in arguments if x.dtype.kind == "i"]
    reals = fresh(tuple(x for x in arguments if x.dtype.kind == "f"))

    def pure(*xs: Any) -> Any:
        return program(*(np.array(x) for x in xs), *integers)

    check_derivatives(pure, *reals)
    weights = RNG.normal(size=np.shape(program(*fresh(arguments))))
    direct = trace(lambda *xs: np.sum(weights * program(*xs, *integers)))
    copies = trace(lambda *xs: np.sum(weights * pure(*xs)))
    np.testing.assert_allclose(direct.grad(*reals), copies.grad(*reals), rtol=1e-12, atol=1e-12)
    originals = [x for x in arguments if x.dtype.kind == "f"]
    for kept, original in zip(reals, originals, strict=True):
        np.testing.assert_array_equal(kept, original)


def reversed_in_place(x: Any) -> Any:
    z = x.copy()
    z[::-1] = z
    return z


def added_to_its_reverse(x: Any) -> Any:
    z = x.copy()
    z[::-1] += z
    return z


def reversed_along_rows(x: Any) -> Any:
    z = x.copy()
    z[:, ::-1] = z
    return z


def reversed_again_and_again(x: Any) -> Any:
    z = x.copy()
    for _ in range(3):
        z[::-1] = z
    return z


def rows_stored_twice(x: Any) -> Any:
    z = x + 1.0
    a, b, c = x[0] * 0.5, x[1] * 0.5, x[2] - 1.0
    z[0] = a
    z[1] = b
    z[0] = a
    z[1] = b
    z[2] = c
    z[1] = a
    return z


def rows_stored_over_each_other(x: Any) -> Any:
    z = x.copy()
    a, b = x[:2] * 0.5, x[1] * 0.5
    z[:2] = a
    z[1] = b
    z[1:3] = a
    z[2] = b
    z[0:2] = a
    return z + a.max()


@pytest.mark.parametrize(
    "function",
    [
        reversed_in_place,
        added_to_its_reverse,
        reversed_along_rows,
        reversed_again_and_again,
        rows_stored_twice,
        rows_stored_over_each_other,
    ],
)
def test_arrays_written_over_what_they_are_written_from(function: Any) -> None:
    x = np.random.default_rng(3).normal(size=(4, 5))
    np.testing.assert_array_equal(trace(function)(x), function(x))
    value, pullback = trace(function).vjp(x)
    tangent = np.random.default_rng(4).normal(size=x.shape)
    pushed = trace(function).jvp((x,), (tangent,))[1]
    np.testing.assert_allclose(np.sum(pullback(value)[0] * tangent), np.sum(value * pushed))
