"""Checkpoints and memory budgets, as a user sees them: the same bits in fewer bytes."""

from __future__ import annotations

import contextlib
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

from adgraph import checkpoint, grad, hessian, jvp, trace, vjp
from adgraph.errors import BudgetError, ShapeError

DEPTH = 12
X = np.random.default_rng(0).standard_normal(20_000)
SMALL = np.linspace(-1, 1, 4)


def layer(x: Any) -> Any:
    y = np.sin(x) * np.cos(x)
    return np.tanh(y + np.roll(y, 1))


def deep(x: Any) -> Any:
    for _ in range(DEPTH):
        x = layer(x)
    return np.sum(x**2)


def checkpointed(x: Any) -> Any:
    for _ in range(DEPTH):
        x = checkpoint(layer)(x)
    return np.sum(x**2)


PYTHON_OBJECTS = 16_384  # bytes that a first call makes beside arrays: tables


def measured_peak(f: Any, *args: Any) -> int:
    """The bytes a first call allocates: arena and results."""
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_checkpoint_gives_the_same_numbers_in_fewer_bytes() -> None:
    plain, marked = trace(deep).grad, trace(checkpointed).grad
    facts, fewer = plain.explain(X), marked.explain(X)
    assert fewer.peak_bytes < facts.peak_bytes
    assert fewer.recomputed > 0
    assert facts.recomputed == 0
    np.testing.assert_allclose(marked(X), plain(X), rtol=1e-12, atol=1e-10)  # links the kernels
    again = trace(checkpointed).grad
    assert again.explain(X).peak_bytes == fewer.peak_bytes
    assert measured_peak(again, X) <= fewer.peak_bytes + PYTHON_OBJECTS
    np.testing.assert_array_equal(marked(X), again(X))


def test_checkpoint_is_a_decorator_and_works_untraced() -> None:
    @checkpoint
    def f(x: Any, k: float = 2.0) -> Any:
        """Scale."""
        return np.exp(x) * k

    assert (f.__name__, f.__doc__) == ("f", "Scale.")
    np.testing.assert_array_equal(f(SMALL), np.exp(SMALL) * 2)
    np.testing.assert_allclose(trace(f)(SMALL, k=3.0), np.exp(SMALL) * 3, rtol=1e-15)
    np.testing.assert_allclose(grad(lambda x: np.sum(f(x)))(SMALL), 2 * np.exp(SMALL), rtol=1e-15)


def test_every_transform_passes_through_a_checkpoint() -> None:
    np.testing.assert_allclose(hessian(checkpointed)(SMALL), hessian(deep)(SMALL), rtol=1e-12)
    np.testing.assert_allclose(
        jvp(checkpointed, (SMALL,), (SMALL,))[1], jvp(deep, (SMALL,), (SMALL,))[1], rtol=1e-11
    )
    np.testing.assert_allclose(
        vjp(checkpointed, SMALL)[1](1.0)[0], vjp(deep, SMALL)[1](1.0)[0], rtol=1e-11
    )
    twice = checkpoint(checkpoint(layer))
    np.testing.assert_allclose(
        grad(lambda x: np.sum(twice(x)))(SMALL), grad(lambda x: np.sum(layer(x)))(SMALL)
    )
    traced = checkpoint(trace(layer))
    np.testing.assert_allclose(traced(SMALL), layer(SMALL), rtol=1e-14)


def test_an_exception_inside_a_checkpoint_leaves_no_scope_behind() -> None:
    @checkpoint
    def failing(x: Any) -> Any:
        raise LookupError("mine")

    @trace
    def f(x: Any) -> Any:
        with contextlib.suppress(LookupError):
            failing(x)
        return np.sin(x)

    graph = f.graph(SMALL)
    assert {node.origin.scope for node in graph.nodes} == {None}


@pytest.mark.parametrize("fraction", [0.9, 0.7, 0.5])
def test_a_budget_is_kept_with_the_same_bits(fraction: float) -> None:
    plain = trace(deep).grad
    free = plain.explain(X).peak_bytes
    budget = int(free * fraction)
    tight = trace(deep, memory_budget=budget).grad
    facts = tight.explain(X)
    assert facts.peak_bytes <= budget
    assert facts.recomputed > 0
    assert measured_peak(tight, X) <= budget + 4096
    np.testing.assert_array_equal(tight(X), plain(X))


def test_a_generous_budget_changes_nothing() -> None:
    facts = trace(deep, memory_budget="1GB").grad.explain(X)
    assert facts.recomputed == 0
    assert facts.peak_bytes == trace(deep).grad.explain(X).peak_bytes


def test_a_budget_in_words_is_the_budget_in_bytes() -> None:
    free = trace(deep).grad.explain(X).peak_bytes
    kib = free * 3 // 4 // 1024
    by_text = trace(deep, memory_budget=f"{kib}KiB").grad.explain(X)
    by_number = trace(deep, memory_budget=kib * 1024).grad.explain(X)
    assert by_text.peak_bytes == by_number.peak_bytes <= kib * 1024


def test_an_impossible_budget_names_the_smallest_feasible_one_which_then_works() -> None:
    with pytest.raises(BudgetError) as error:
        trace(deep, memory_budget=1000).grad(X)
    named = re.search(r"give a budget of at least (\d+) bytes", str(error.value))
    assert named is not None
    feasible = int(named[1])
    works = trace(deep, memory_budget=feasible).grad
    assert works.explain(X).peak_bytes <= feasible
    np.testing.assert_array_equal(works(X), trace(deep).grad(X))
    with pytest.raises(BudgetError, match=named[0]):
        trace(deep, memory_budget=feasible // 2).grad(X)


@pytest.mark.parametrize(("share", "words"), [(0.7, "70%"), (0.5, "50 %"), (1.0, "100%")])
def test_a_budget_may_be_a_share_of_the_peak_without_one(share: float, words: str) -> None:
    free = trace(deep).grad.explain(X).peak_bytes
    for given in (share, words):
        gradient = trace(deep, memory_budget=given).grad
        facts = gradient.explain(X)
        assert 0.8 * share * free <= facts.peak_bytes <= share * free
        np.testing.assert_array_equal(gradient(X), trace(deep).grad(X))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, "0%", "120%", float("nan")])
def test_a_share_is_above_nothing_and_at_most_all(share: Any) -> None:
    with pytest.raises(ShapeError, match=r"no share of the peak(?s:.*)write for example 0\.5"):
        trace(deep, memory_budget=share)


@pytest.mark.parametrize("budget", ["half", True, "64 megabytes", [1]])
def test_what_is_no_budget_is_refused(budget: Any) -> None:
    with pytest.raises(ShapeError, match=r"a memory budget of .* is not understood"):
        trace(deep, memory_budget=budget)
