"""Gradients of loops within a memory budget: bytes, values, and what is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import BudgetError
from adgraph.passes.pipeline import SETTLED, run_pipeline
from adgraph.runtime.fitting import choices

RNG = np.random.default_rng(11)


def stencil(u: Any, k: Any) -> Any:
    for _ in range(60):
        u[1:-1, 1:-1] += 0.1 * k * np.sin(u[:-2, 1:-1] + u[2:, 1:-1] - 2 * u[1:-1, 1:-1])
    return np.sum(u * u)


def recurrent(xs: Any, w: Any) -> Any:
    h, c = np.zeros(8), np.zeros(8)
    for t in range(50):
        z = xs[t] + h @ w
        gate = 1 / (1 + np.exp(-z))
        c = gate * c + np.tanh(z)
        h = gate * np.tanh(c)
    return np.sum(h * h)


def in_turn(x: Any) -> Any:
    for _ in range(40):
        x = np.sin(x) * np.roll(x, 1) + x
    y = np.exp(-x)
    for _ in range(30):
        y = np.cos(y) * y
    return np.sum(y * x)


def nested(x: Any) -> Any:
    for _ in range(20):
        y = x
        for _ in range(30):
            y = np.sin(y) * np.roll(y, 1)
        x = x + 0.1 * y
    return np.sum(x * x)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "stencil": (stencil, (RNG.random((18, 18)), RNG.random((16, 16)))),
    "recurrent": (recurrent, (RNG.random((50, 8)), RNG.random((8, 8)))),
    "in turn": (in_turn, (RNG.random(200),)),
    "nested": (nested, (RNG.random(100),)),
}


def copies(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.array(x) for x in args)


def least_budget(function: Callable[..., Any], args: tuple[Any, ...]) -> int:
    """The budget that the error for too small a one names."""
    with pytest.raises(BudgetError, match=r"test_fitting\.py") as caught:
        trace(function, memory_budget=100).grad(*copies(args))
    (least,) = re.findall(r"smallest budget found to work is (\d+) bytes", str(caught.value))
    return int(least)


@pytest.mark.parametrize("name", PROGRAMS)
def test_budgets_are_kept_and_gradients_stay(name: str) -> None:
    function, args = PROGRAMS[name]
    plain = trace(function).grad
    expected, peak = plain(*copies(args)), plain.explain(*args).peak_bytes
    least = least_budget(function, args)
    for share in (0.8, 0.5, 0.2, 0.05):
        budget = int(least + share * (peak - least))
        bounded = trace(function, memory_budget=budget).grad
        assert bounded.explain(*args).peak_bytes <= budget
        # Sums of products are contracted differently where the steps stand in other kernels.
        np.testing.assert_allclose(bounded(*copies(args)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_budget_that_is_met_changes_nothing(name: str) -> None:
    function, args = PROGRAMS[name]
    plain = trace(function).grad
    wide = trace(function, memory_budget=plain.explain(*args).peak_bytes).grad
    np.testing.assert_array_equal(wide(*copies(args)), plain(*copies(args)))
    assert wide.source(*args) == plain.source(*args)


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_infeasible_budget_names_one_that_works(name: str) -> None:
    function, args = PROGRAMS[name]
    least = least_budget(function, args)
    works = trace(function, memory_budget=least).grad
    assert works.explain(*args).peak_bytes <= least
    expected = trace(function).grad(*copies(args))
    np.testing.assert_allclose(works(*copies(args)), expected, rtol=1e-12, atol=1e-14)


def test_a_share_is_one_of_the_peak_with_tapes() -> None:
    function, args = PROGRAMS["recurrent"]
    peak = trace(function).grad.explain(*args).peak_bytes
    half = trace(function, memory_budget=0.5).grad.explain(*args)
    assert half.peak_bytes <= 0.5 * peak


@pytest.mark.parametrize("name", PROGRAMS)
def test_choices_take_fewer_bytes_for_more_seconds(name: str) -> None:
    function, args = PROGRAMS[name]
    graph = trace(function).grad.dispatch.entry(args, {}).trace.graph
    found = choices(run_pipeline(graph, SETTLED)[0])
    assert not found[0].plans
    assert len(found) > 4
    for before, after in itertools.pairwise(found[1:]):
        assert before.seconds < after.seconds
        assert before.nbytes > after.nbytes


def test_more_bytes_never_cost_more() -> None:
    function, args = PROGRAMS["stencil"]
    peak = trace(function).grad.explain(*args).peak_bytes
    graph = trace(function).grad.dispatch.entry(args, {}).trace.graph
    settled = run_pipeline(graph, SETTLED)[0]
    seconds = []
    for share in (0.9, 0.7, 0.5, 0.4, 0.3, 0.25):
        bounded = trace(function, memory_budget=int(share * peak)).grad
        made = str(bounded.dispatch.entry(args, {}).graph)
        of = [c.seconds for c in choices(settled) if str(c.apply(settled)[0]) == made]
        seconds.append(min(of))
    assert seconds == sorted(seconds)


def test_a_while_that_records_too_much_is_refused_at_its_line() -> None:
    def decaying(x: Any) -> Any:
        while np.sum(x) > 1e-3:
            x = np.sin(x) * x
        return np.sum(x)

    with pytest.raises(BudgetError, match=r"known only when the loop runs") as caught:
        trace(decaying, memory_budget=20_000).grad(RNG.random(100))
    assert "while np.sum(x) > 1e-3" in str(caught.value)


def test_the_cost_of_a_program_counts_its_trips() -> None:
    function, args = PROGRAMS["recurrent"]
    peak = trace(function).grad.explain(*args).peak_bytes
    plain = trace(function).grad.explain(*args).cost.flops
    bounded = trace(function, memory_budget=int(0.7 * peak)).grad.explain(*args).cost.flops
    assert plain < bounded < 3 * plain


def test_the_report_tells_what_a_loop_keeps() -> None:
    function, args = PROGRAMS["recurrent"]
    facts = trace(function, memory_budget=0.6).grad.explain(*args)
    assert re.search(r"snapshots .* \d+ snapshots of a loop, \d+ trips recorded: 1", str(facts))
