"""Slices between run-time positions, inside loops, are loops over their elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.analysis.programs import nested
from adgraph.ir.evaluate import evaluate
from adgraph.ir.op import Kind
from adgraph.ir.verify import verify
from adgraph.ops.control import between

N = 90
ENDS = np.sort(np.random.default_rng(4).integers(0, N + 1, 40))


def product(ends: Any, x: Any, v: Any) -> Any:
    y = np.zeros(len(ends) - 1)
    for i in range(len(y)):
        row = slice(ends[i], ends[i + 1])
        y[i] = v[row] @ x[COLUMNS[row]]
    return y


def softened(ends: Any, x: Any, v: Any) -> Any:
    total = 0.0
    for i in range(len(ends) - 1):
        part = np.sin(x[ends[i] : ends[i + 1]]) * v[i]
        total += np.sum(np.exp(part)) * np.sum(part**2)
    return total


def chained(ends: Any, x: Any, v: Any) -> Any:
    total = 0.0
    for i in range(len(ends) - 1):
        part = x[ends[i] : ends[i + 1]]
        size = np.sum(part * part) + 1.0
        total += np.sum(part / size) * v[i]
    return total


def written(ends: Any, x: Any, v: Any) -> Any:
    y = x.copy()
    for i in range(len(ends) - 1):
        y[ends[i] : ends[i + 1]] = y[ends[i] : ends[i + 1]] * v[i] + v[i + 1]
    return y


def tail(ends: Any, x: Any, v: Any) -> Any:
    total = 0.0
    for i in range(len(ends)):
        total += np.sum(x[ends[i] :] * v[i]) + np.sum(x[: ends[i]])
    return total


def from_behind(ends: Any, x: Any, v: Any) -> Any:
    total = 0.0
    for i in range(len(ends) - 1):
        total += np.sum(x[ends[i] - N : ends[i + 1] + 5]) * v[i]
    return total


COLUMNS = np.random.default_rng(3).integers(-N, N, N)
PROGRAMS: tuple[Callable[..., Any], ...] = (
    product,
    softened,
    chained,
    written,
    tail,
    from_behind,
)


def arguments() -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    return ENDS, random.normal(size=N), random.normal(size=N)


@pytest.mark.parametrize("function", PROGRAMS)
def test_the_value_is_numpys(function: Callable[..., Any]) -> None:
    given = arguments()
    np.testing.assert_allclose(trace(function)(*given), function(*given), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("function", PROGRAMS)
def test_the_gradient_is_that_of_differences(function: Callable[..., Any]) -> None:
    ends, x, v = arguments()
    weights = np.random.default_rng(1).normal(size=np.shape(function(ends, x, v)))

    def loss(x: Any, v: Any) -> Any:
        return np.sum(weights * function(ends, x, v))

    dx, dv = grad(loss, argnums=(0, 1))(x, v)
    along, h = np.random.default_rng(2).normal(size=(2, N)), 1e-6
    difference = loss(x + h * along[0], v + h * along[1]) - loss(x - h * along[0], v - h * along[1])
    slope = np.sum(dx * along[0]) + np.sum(dv * along[1])
    np.testing.assert_allclose(slope, difference / (2 * h), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("function", PROGRAMS)
def test_elements_outside_are_not_looked_at(function: Callable[..., Any]) -> None:
    given = arguments()
    graph = verify(trace(function).graph(*given))
    assert [n for n in nested(graph) if n.op is between]
    inside = [n for n in nested(graph) if n not in graph.nodes]
    assert not [n for n in inside if n.op.kind is Kind.ELEMENTWISE and n.output.type.ndim]
    (found,) = evaluate(graph, *given)
    np.testing.assert_allclose(found, function(*given), rtol=1e-13, atol=1e-13)


def test_a_mask_that_is_needed_in_full_stays() -> None:
    def masks(ends: Any, x: Any, v: Any) -> Any:
        total = 0.0
        for i in range(len(ends) - 1):
            inside = (np.arange(N) >= ends[i]) & (np.arange(N) < ends[i + 1])
            total += np.sum(np.cos(inside * v + x[i]))
        return total

    given = arguments()
    assert not [n for n in nested(trace(masks).graph(*given)) if n.op is between]
    np.testing.assert_allclose(trace(masks)(*given), masks(*given), rtol=1e-13)


def test_a_column_out_of_bounds_is_noticed_in_the_window() -> None:
    def picked(ends: Any, columns: Any, x: Any) -> Any:
        total = 0.0
        for i in range(len(ends) - 1):
            total += np.sum(x[columns[ends[i] : ends[i + 1]]])
        return total

    columns = COLUMNS.copy()
    columns[12] = N
    with pytest.raises(IndexError):
        trace(picked)(ENDS, columns, np.ones(N))


def test_an_array_that_work_goes_on_with_is_computed_outside() -> None:
    def f(x: Any, y: Any, s: Any) -> Any:
        x, n = x.copy(), 0
        while n < 5 and s < 3.0:
            x[:n] += 0.2 * y[:n]
            n += 1
            s += 0.1 * np.sum(np.where(x > 0.2, x, 0.0))
        return s

    gradient = grad(f, 1)(np.linspace(0.1, 1, 6), np.linspace(0.3, 0.7, 6), 0.1)
    np.testing.assert_allclose(gradient, [0.18, 0.12, 0.06, 0.02, 0, 0], atol=1e-14)
