"""Operands are read where they are, results are computed where they stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.control.tapes import TAPE
from adgraph.ir.graph import Graph, Value

X = np.random.default_rng(0).normal(size=(40, 40))
Y = np.random.default_rng(1).normal(size=(40, 40))


def copies(function: Callable[..., Any], *args: Any) -> int:
    """Count the kernels that do nothing but copy, after a look at the values."""
    f = adgraph.trace(function)
    np.testing.assert_allclose(f(*args), function(*args), rtol=1e-14, atol=1e-14)
    nodes = f.kernels(*args).nodes
    return sum(g.name == "copy" for node in nodes for g in node.regions())


# --- transposed operands --------------------------------------------------------------------------


def test_a_transposed_operand_of_plain_arithmetic_is_read_in_place() -> None:
    assert copies(lambda x, y: x.T * y, X, Y) == 0


def test_a_transposed_operand_of_a_function_is_copied_for_vectors() -> None:
    assert copies(lambda x, y: np.sin(x.T) * y, X, Y) == 1


def test_a_transposed_operand_that_is_read_often_is_copied_once() -> None:
    assert copies(lambda x, y: x.T[1:] * y[1:] + x.T[:-1], X, Y) == 1


def test_a_transposed_operand_of_a_product_is_never_copied() -> None:
    assert copies(lambda x, y: x.T @ y, X, Y) == 0


# --- results --------------------------------------------------------------------------------------


def test_a_transposed_result_is_written_where_it_is_returned() -> None:
    assert copies(lambda x: (x * 2.0 + 1.0).T, X) == 0


def test_a_transposed_result_that_is_read_elsewhere_is_written_twice() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        return np.concatenate([y.T, y])

    assert adgraph.trace(f)(X).tolist() == f(X).tolist()


def test_a_slice_of_a_result_is_all_that_is_computed() -> None:
    f = adgraph.trace(lambda x: np.sin(x)[10:20])
    np.testing.assert_allclose(f(X), np.sin(X)[10:20], rtol=1e-15)
    (node,) = [n for n in f.kernels(X).nodes if list(n.regions())]
    assert node.output.type.shape == (10, 40)


def test_a_result_that_is_read_whole_is_computed_once() -> None:
    f = adgraph.trace(lambda x: (np.sin(x)[10:20], np.sum(np.sin(x))))
    assert str(f.graph(X)).count(" sin(") == 1


def test_the_gradient_of_a_slice_of_differences_is_one_kernel() -> None:
    def f(x: Any) -> Any:
        return np.sum((x[1:] - x[:-1])[:, 1:] ** 2)

    g = adgraph.grad(f)
    assert len([n for n in g.kernels(X).nodes if list(n.regions())]) == 1
    d = np.zeros_like(X[1:])
    d[:, 1:] = 2 * (X[1:] - X[:-1])[:, 1:]
    expected = np.zeros_like(X)
    expected[1:] += d
    expected[:-1] -= d
    np.testing.assert_allclose(g(X), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("trips", [3, 30])
def test_a_function_of_an_array_that_no_trip_changes_is_computed_in_front_of_the_loop(
    trips: int,
) -> None:
    def f(x: Any) -> Any:
        total = 0.0
        for _ in range(trips):
            for i in range(len(x)):
                total = total + np.sin(x)[i]
        return total

    traced = adgraph.trace(f)
    np.testing.assert_allclose(traced(X[0]), f(X[0]), rtol=1e-13)
    assert any(n.op.name == "sin" for n in traced.graph(X[0]).nodes)


# --- tapes ----------------------------------------------------------------------------------------


def tapes(graph: Graph) -> Iterator[Value]:
    for node in graph.nodes:
        for region in node.regions():
            yield from (v for v in region.inputs if v.name == TAPE)
            yield from tapes(region)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tape_has_the_dtype_of_the_program(dtype: Any) -> None:
    def f(x: Any) -> Any:
        for _ in range(20):
            x = np.sin(x) * 1.5 + np.roll(x, 1)
        return np.sum(x * x)

    x = X[0].astype(dtype)
    g = adgraph.grad(f)
    assert g(x).dtype == dtype
    found = list(tapes(g.graph(x)))
    assert found
    assert {v.type.dtype for v in found} == {np.dtype(dtype)}
