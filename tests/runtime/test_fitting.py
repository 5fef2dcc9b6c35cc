"""Gradients of loops within a memory budget: bytes, values, and what is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, jvp, trace
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


def products(f: Any, ys: Any) -> Any:
    x = np.ones(3)
    for t in range(100):
        x = f @ x * 0.3 + ys[t]
    return np.sum(x)


def products_turned(f: Any) -> Any:
    x = np.ones(3)
    for _ in range(100):
        x = np.sin(f.T @ x) + 1
    return np.sum(x)


def sums_of_rows(f: Any) -> Any:
    x = np.ones(3)
    for _ in range(100):
        x = np.sin(np.sum(f * x, axis=1))
    return np.sum(x)


def kalman(f: Any, ys: Any) -> Any:
    x, p, loss = np.ones(3), np.eye(3), 0.0
    h = np.eye(3)[:2]
    for t in range(60):
        x, p = f @ x, f @ p @ f.T + 0.01 * np.eye(3)
        gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + 0.1 * np.eye(2))
        error = ys[t, :2] - h @ x
        x, p = x + gain @ error, p - gain @ h @ p
        loss = loss + error @ error
    return loss


def sums_apart(f: Any) -> Any:
    x = np.cos(np.arange(len(f)))
    for _ in range(60):
        x = np.tanh(f @ x + 0.1 * np.sum(x[::2]) - x[::-1] * np.sum(f[:, 0] * np.cbrt(x)))
        x = x + 0.2 * np.sum(np.diag(f) * x)
    return np.sum(x)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "stencil": (stencil, (RNG.random((18, 18)), RNG.random((16, 16)))),
    "recurrent": (recurrent, (RNG.random((50, 8)), RNG.random((8, 8)))),
    "in turn": (in_turn, (RNG.random(200),)),
    "nested": (nested, (RNG.random(100),)),
    "products": (products, (0.4 * RNG.random((3, 3)), RNG.random((100, 3)))),
    "products turned": (products_turned, (0.4 * RNG.random((3, 3)),)),
    "sums of rows": (sums_of_rows, (0.4 * RNG.random((3, 3)),)),
    "kalman": (kalman, (0.4 * RNG.random((3, 3)), RNG.random((60, 3)))),
    "sums apart": (sums_apart, (RNG.random((37, 37)) / 20,)),
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
        assert bounded(*copies(args)).tobytes() == expected.tobytes()


STEPS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda f, x: np.sin(f @ x),
    lambda f, x: np.tanh(f.T @ x) + 0.1,
    lambda f, x: np.cos(np.sum(f * x, axis=1)),
    lambda f, x: np.sum(f * x[:, None], axis=0) * 0.3 + 1,
    lambda f, x: x / np.sqrt(1 + x @ x),
    lambda f, x: (np.outer(x, x) + f) @ x * 0.3,
    lambda f, x: x + 0.1 * np.sum(x[::-1] * f[0]) - 0.1 * np.sum(np.diag(f) * np.sin(x)),
)


@pytest.mark.parametrize("seed", range(8))
def test_nests_of_random_products_have_the_same_bits_within_a_budget(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [STEPS[k] for k in rng.integers(0, len(STEPS), 3)]
    inner = int(rng.integers(0, 2)) * 9

    def nest(f: Any, x: Any) -> Any:
        loss = 0.0
        for _ in range(60):
            for step in steps:
                x = step(f, x)
            for _ in range(inner):
                x = np.sin(f @ x) + 0.1 * x
            loss = loss + x @ x
        return loss

    n = int(rng.choice([2, 3, 4, 5, 9, 20]))
    dtype = [np.float64, np.float32][seed % 2]
    args = ((rng.random((n, n)) / n).astype(dtype), rng.random(n).astype(dtype))
    plain = trace(nest).grad
    bounded = trace(nest, memory_budget="45%").grad
    assert "snapshots of a loop" in str(bounded.explain(*args))
    assert bounded(*args).tobytes() == plain(*args).tobytes()


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
    np.testing.assert_array_equal(works(*copies(args)), trace(function).grad(*copies(args)))


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


def decaying(x: Any, least: Any) -> Any:
    while np.sum(x) > least:
        x = np.sin(x) * (0.9 + 0.1 * x)
    return np.sum(x)


def adaptive(y: Any, tolerance: Any) -> Any:
    """Heun's method; steps that are too long are made again."""
    t, h = 0.0, 0.01
    while t < 1.0:
        slope = -y * np.roll(y, 1)
        ahead = y + h * slope
        other = -ahead * np.roll(ahead, 1)
        if np.max(np.abs(other - slope)) * h < tolerance:
            y = y + 0.5 * h * (slope + other)
            t = t + h
            h = 1.2 * h
        else:
            h = 0.5 * h
    return np.sum(y * y)


def newton(x: Any, n: Any) -> Any:
    y = np.ones_like(x)
    for _ in range(n):
        y = y - 0.1 * (y * y - x) / (2 * y)
    return np.sum(y * np.roll(y, 3))


OPEN: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "decaying": (decaying, (90.0, 1.0, 1e-3, 1e-30)),
    "adaptive": (adaptive, (1.0, 1e-3, 1e-7)),
    "newton": (newton, (0, 1, 7, 300, 3000)),
}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("name", OPEN)
def test_loops_of_unknown_length_keep_a_budget_however_long_they_run(
    name: str, share: float
) -> None:
    function, others = OPEN[name]
    x = RNG.random(200)
    plain = trace(function).grad
    least = least_budget(function, (x, np.asarray(others[0])))
    peak = plain.explain(x, np.asarray(others[0])).peak_bytes
    budget = int(least + share * (peak - least))
    bounded = trace(function, memory_budget=budget).grad
    for other in map(np.asarray, others):
        np.testing.assert_array_equal(bounded(x, other), plain(x, other))
    assert bounded.explain(x, np.asarray(others[-1])).peak_bytes <= budget
    assert plain.explain(x, np.asarray(others[-1])).peak_bytes > 2 * budget


def test_products_with_a_hessian_keep_a_budget_in_loops_of_unknown_length() -> None:
    def product(x: Any, v: Any, n: Any) -> Any:
        return jvp(lambda y: grad(newton)(y, n), (x,), (v,))[1]

    x, v, n = RNG.random(200), RNG.random(200), np.asarray(300)
    plain, bounded = trace(product), trace(product, memory_budget=100_000)
    np.testing.assert_array_equal(bounded(x, v, n), plain(x, v, n))
    assert bounded.explain(x, v, n).peak_bytes <= 100_000
    assert plain.explain(x, v, n).peak_bytes > 1_000_000


def test_a_budget_that_the_tape_of_a_loop_outgrows_is_kept() -> None:
    """At first the tape fits, then it has to be longer: snapshots take its place."""
    x = RNG.random(200)
    budget = trace(newton).grad.explain(x, np.asarray(3)).peak_bytes + 1000
    bounded = trace(newton, memory_budget=budget).grad
    for trips in (3, 2000, 200, 20_000):
        expected = trace(newton).grad(x, np.asarray(trips))
        np.testing.assert_array_equal(bounded(x, np.asarray(trips)), expected)
        assert bounded.explain(x, np.asarray(trips)).peak_bytes <= budget


def damped(x: Any) -> Any:
    """Columns are independent: kernels hand the tape over in blocks."""
    for _ in range(150):
        x = np.sin(x) * x
    return x


def rolled_and_damped(x: Any) -> Any:
    for _ in range(100):
        x = np.sin(x) * np.roll(x, 1)
    return np.sum(damped(np.exp(x)))


WIDE = RNG.random(5000)


def test_a_tape_that_kernels_hand_over_in_blocks_needs_no_budget() -> None:
    def alone(x: Any) -> Any:
        return np.sum(damped(x))

    plain = trace(alone).grad
    tape = plain.explain(WIDE).taped_bytes
    assert tape == 150 * WIDE.nbytes
    bounded = trace(alone, memory_budget=tape // 4).grad
    assert bounded.explain(WIDE).peak_bytes == plain.explain(WIDE).peak_bytes <= tape // 4
    assert bounded.source(WIDE) == plain.source(WIDE)


def test_of_two_loops_that_keeps_snapshots_whose_tape_there_is() -> None:
    plain = trace(rolled_and_damped).grad
    bounded = trace(rolled_and_damped, memory_budget=0.13).grad
    facts = bounded.explain(WIDE)
    assert facts.peak_bytes <= 0.13 * plain.explain(WIDE).peak_bytes
    assert str(facts).count("snapshots of a loop") == 1
    np.testing.assert_array_equal(bounded(WIDE), plain(WIDE))


def test_budgets_below_the_blocks_are_met_by_snapshots() -> None:
    def alone(x: Any) -> Any:
        return np.sum(damped(x))

    bounded = trace(alone, memory_budget=0.6).grad
    facts = bounded.explain(WIDE)
    assert facts.peak_bytes <= 0.6 * trace(alone).grad.explain(WIDE).peak_bytes
    assert "snapshots of a loop" in str(facts)
    np.testing.assert_array_equal(bounded(WIDE), trace(alone).grad(WIDE))


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
