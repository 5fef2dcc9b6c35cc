"""Groups become one kernel where that saves memory traffic; rows are kept in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adgraph as ad
from adgraph.ir.graph import Graph, Node
from adgraph.ir.verify import verify
from adgraph.passes import fuse as fusion
from adgraph.passes.fuse import fuse

RNG = np.random.default_rng(5)
VECTORS = tuple(RNG.uniform(0.2, 0.8, 500) for _ in range(4))
MATRIX = RNG.normal(size=(30, 70))
WEIGHTS = RNG.normal(size=(30, 70))


def kernels(function: Any, *args: Any) -> list[Node]:
    """Return the kernels of elementwise ops and reductions."""
    graph = fuse(function.graph(*args))
    verify(graph)
    return [n for n in graph.nodes if "body" in n.attrs]


def distance(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return a sum whose operands meet late."""
    t = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin((c - d) / 2) ** 2
    return np.sum(np.arctan2(np.sqrt(t), np.sqrt(1 - t)))


def softmax(x: Any) -> Any:
    """Return a weighted sum of the softmax of every row."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return np.sum(WEIGHTS * (e / np.sum(e, axis=1, keepdims=True)))


def variance(x: Any) -> Any:
    """Return the sum of a function of the variances of the rows."""
    return np.sum(np.sqrt(np.var(x, axis=1)))


def test_operands_that_meet_late_share_one_kernel() -> None:
    gradient = ad.value_and_grad(distance, argnums=(0, 1, 2, 3))
    assert len(kernels(gradient, *VECTORS)) == 1


def test_a_group_is_not_joined_across_a_node_between_them() -> None:
    def f(x: Any) -> Any:
        scaled = np.exp(x) * 2.0
        return np.sum(np.sort(scaled) * scaled)

    function = ad.trace(f)
    x = VECTORS[0]
    assert len(kernels(function, x)) == 2
    np.testing.assert_allclose(function(x), f(x), rtol=1e-14)


def test_what_does_not_depend_on_a_node_between_is_joined_around_it() -> None:
    def f(x: Any) -> Any:
        scaled = np.exp(x) * 2.0
        ordered = np.sort(x)
        return np.sum(scaled * x) + np.sum(ordered)

    function = ad.trace(f)
    x = VECTORS[0]
    product = [k for k in kernels(function, x) if "exp" in _operations(k)]
    assert ["multiply" in _operations(k) and "sum" in _operations(k) for k in product] == [True]
    np.testing.assert_allclose(function(x), f(x), rtol=1e-14)


def test_no_kernel_is_larger_than_the_most() -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(150):
            y = np.sin(y) + x
        return np.sum(y)

    found = kernels(ad.trace(f), VECTORS[0])
    assert max(len(_operations(k)) for k in found) <= fusion.MOST_JOINED
    np.testing.assert_allclose(ad.trace(f)(VECTORS[0]), f(VECTORS[0]), rtol=1e-13)


def test_one_row_of_exponentials_is_kept_and_nothing_larger() -> None:
    (kernel,) = kernels(ad.value_and_grad(softmax), MATRIX)
    assert [t.shape for t in kernel.attrs["scratch"]] == [(70,)]
    assert [v.type.shape for v in kernel.outputs].count(MATRIX.shape) == 1


def test_differences_from_a_mean_are_computed_again() -> None:
    first = kernels(ad.value_and_grad(variance), MATRIX)[0]
    assert "scratch" not in first.attrs
    text = ad.value_and_grad(variance).source(MATRIX)
    assert text.count("for i1 in range") == 3


@pytest.mark.parametrize("function", [softmax, variance])
@pytest.mark.parametrize("shape", [(30, 70), (1, 70), (30, 1), (3, 5), (2, 5000)])
def test_passes_over_rows_give_the_gradient(function: Any, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(size=shape)

    def loss(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        centred = x - np.mean(x, axis=1, keepdims=True)
        return np.sum(np.cos(x) * e / np.sum(e, axis=1, keepdims=True)) + np.sum(
            np.sqrt(1 + np.mean(centred * centred, axis=1))
        )

    direction = np.random.default_rng(2).normal(size=shape)
    step = 1e-6
    expected = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    gradient = ad.grad(loss)(x)
    np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-5, atol=1e-8)


def test_a_comparison_sees_the_value_of_the_earlier_pass() -> None:
    """The largest of products must be found again among them, in every row."""

    def f(x: Any) -> Any:
        return np.sum(np.max(x * WEIGHTS + 0.1 * x, axis=1))

    gradient = ad.grad(f)(MATRIX)
    assert (np.count_nonzero(gradient, axis=1) == 1).all()


def _operations(node: Node) -> list[str]:
    body: Graph = node.attrs["body"]
    return [n.op.name for n in body.nodes]
