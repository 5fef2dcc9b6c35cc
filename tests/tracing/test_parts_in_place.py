"""`z.real` and `z.imag` are views of z, and `ravel` is one where NumPy's is: values and slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import ShapeError
from adgraph.testing import check_derivatives

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 6))
Z = X + 1j * RNG.normal(size=(4, 6))


def assigned(x: Any) -> Any:
    z = np.empty(x.shape, complex)
    z.real = x
    z.imag[...] = x**2
    return z


def updated(x: Any) -> Any:
    z = x + 2j * x
    z.real += 1
    z.imag[1:] *= 2
    z.T.imag[2, :] -= 1
    z.real[z.imag > 0] = 0.5
    z[1].real[2:] = z[2].imag[2:]
    return z


def seen_by_views(x: Any) -> Any:
    z = x + 1j
    first, line, copied = z.real, z.imag.reshape(-1), z.real.ravel()
    z *= 1 + 1j
    line[3] = 1.0
    first += line[0]
    return z * copied[0] + first


def in_a_loop(x: Any) -> Any:
    z = x * (1 - 1j)
    re, im = z.real, z.imag
    for _ in range(50):
        re[:, 1:] -= 0.1 * im[:, :-1]
        im[:, :-1] += 0.1 * re[:, 1:]
    return z


def in_a_branch(x: Any) -> Any:
    z = x * (2 + 1j)
    re = z.real
    if np.sum(x) > 0:
        re *= 2
    else:
        z.imag = 3
    return z


def raveled(x: Any) -> Any:
    x = x * 1
    flat, columns, row = x.ravel(), x[:, ::2].ravel(), x[1].ravel()
    line, turned, order = x[0, ::2].ravel(), x.T.ravel(), x.ravel(order="F")
    flat[0] = columns[1] = row[1] = line[1] = turned[2] = order[3] = 7.0
    x *= 2
    return x * (1 + 0j) + np.sum(columns) + np.sum(line) + np.sum(turned) + np.sum(order)


PROGRAMS = (assigned, updated, seen_by_views, in_a_loop, in_a_branch, raveled)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_writes_are_numpys(program: Callable[[Any], Any]) -> None:
    for x in (X, -X):
        np.testing.assert_allclose(trace(program)(x), program(x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_writes_have_their_derivatives(program: Callable[[Any], Any]) -> None:
    def size(x: Any) -> Any:
        return np.sum(np.abs(program(x)) ** 2)

    check_derivatives(size, X)


def test_parts_of_an_argument_are_the_callers() -> None:
    def halve(z: Any) -> None:
        z.real *= 0.5
        z.imag[0] = 2.5

    expected, found = Z.copy(), Z.copy()
    halve(expected)
    trace(halve)(found)
    np.testing.assert_array_equal(found, expected)


def test_parts_of_what_is_read_only_are_refused() -> None:
    def write(z: Any) -> Any:
        wide = np.broadcast_to(z, (3, 4, 6))
        wide.real[0] = 2.0
        return wide

    with pytest.raises(ShapeError, match="assignment destination is read-only"):
        trace(write)(Z)
