"""Loops of unknown length that keep snapshots: the same gradients, and Revolve's trips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from adgraph.analysis.revolve import advances
from adgraph.analysis.revolve import split as best_split
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.types import ArrayType
from adgraph.ir.verify import verify
from adgraph.passes.open_loops import split
from adgraph.passes.pipeline import LAST, run_pipeline
from adgraph.passes.snapshots import Plan, reversing, with_snapshots
from adgraph.passes.taped import taped_loops
from tests.control.construction import add_to, array, counted_by, fori, get, program, put_at, whiled
from tests.passes.test_snapshots import evaluations, gradient

NUMBER = ArrayType(np.dtype(np.int64), ())
X = np.random.default_rng(3).uniform(0.2, 1.1, 4)
TRIPS = (0, 1, 2, 3, 5, 8, 13, 40)
PLANS = [Plan(1), Plan(2), Plan(3), Plan(4), Plan(60), Plan(1, 3), Plan(2, 2), Plan(3, 5)]


def _decay(x: Any, n: Any) -> Any:
    return counted_by(n, [x], lambda i, x: np.sin(x) * x)[0]


def _in_place(x: Any, n: Any) -> Any:
    def step(i: Any, x: Any) -> Any:
        x = put_at(x, np.sin(get(x, (0, 3))) * get(x, (1, 3)), (1, 3))
        return add_to(x, np.exp(-get(x, (1, 3))), (0, 3))

    return counted_by(n, [x], step)[0]


def _decay_until(x: Any, n: Any) -> Any:
    def step(x: Any, k: Any) -> tuple[Any, Any]:
        return np.sin(x) * x, k + 1

    return whiled([x, np.asarray(0)], lambda x, k: k < n, step)[0]


def _two_states_until(x: Any, n: Any) -> Any:
    def step(x: Any, s: Any, k: Any) -> tuple[Any, Any, Any]:
        s = np.tanh(s + np.sum(x))
        return np.sin(x) * s, s, k + 1

    start = [x, np.asarray(0.1), np.asarray(0)]
    x, s, _ = whiled(start, lambda x, s, k: k < n, step)
    return np.sum(x) * s


def _nested(x: Any, n: Any) -> Any:
    def step(x: Any, k: Any) -> tuple[Any, Any]:
        y = fori(0, 6, 1, [x], lambda j, y: np.sin(y) * x)[0]
        return np.cos(y) * x, k + 1

    return whiled([x, np.asarray(0)], lambda x, k: k < n, step)[0]


PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "decay": _decay,
    "in place": _in_place,
    "decay until": _decay_until,
    "two states until": _two_states_until,
    "nested": _nested,
}


def settled(name: str) -> Graph:
    """Return the program of value and gradient by the first argument."""
    return gradient(program([array(4), NUMBER], PROGRAMS[name]), [0])


def check(graph: Graph, plan: Plan, counts: Sequence[int] = TRIPS) -> Graph:
    """Compare a program with the one that keeps snapshots, before and after the last passes."""
    changed = verify(with_snapshots(graph, {0: plan}))
    last = verify(run_pipeline(changed, LAST)[0])
    seeds = [np.ones(v.type.shape) for v in graph.inputs[2:]]
    for trips in counts:
        args = (X, np.array(trips), *seeds)
        expected = evaluate(graph, *args)
        for made in (changed, last):
            for a, b in zip(expected, evaluate(made, *args), strict=True):
                np.testing.assert_array_equal(a, b)
    return changed


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradient_is_bitwise_the_same(name: str, plan: Plan) -> None:
    graph = settled(name)
    (taped,) = taped_loops(graph)
    assert taped.is_open
    check(graph, plan)


@pytest.mark.parametrize("inner", [Plan(1), Plan(2), Plan(1, 2)], ids=str)
def test_loops_of_known_length_inside_keep_snapshots_too(inner: Plan) -> None:
    graph = settled("nested")
    (taped,) = taped_loops(graph)
    assert len(taped_loops(reversing(taped))) == 1
    check(graph, Plan(3, 1, ((0, inner),)))


def test_a_loop_of_unknown_length_inside_keeps_snapshots_too() -> None:
    def outer(x: Any, n: Any) -> Any:
        return fori(0, 5, 1, [x], lambda i, x: np.cos(_decay_until(x, n)) * x)[0]

    graph = gradient(program([array(4), NUMBER], outer), [0])
    (taped,) = taped_loops(graph)
    (inner,) = taped_loops(reversing(taped))
    assert not taped.is_open
    assert inner.is_open
    check(graph, Plan(2, 1, ((0, Plan(3)),)), TRIPS[:-1])  # an inner tape has room for 32


def test_no_tape_is_left_and_no_limit_of_trips() -> None:
    graph = settled("decay until")
    changed = with_snapshots(graph, {0: Plan(3)})
    assert "256" in str(graph)
    assert "256" not in str(changed)


# --- how often trips run --------------------------------------------------------------------------


def thinned(links: int, snapshots: int) -> list[int]:
    """The snapshots that a forward sweep ends with which does not know its length."""
    kept, stride = [0], 1
    for link in range(1, links):
        if link % stride == 0 and len(kept) == snapshots > 1:
            kept, stride = kept[::2], 2 * stride
        if link % stride == 0 and snapshots > 1:
            kept.append(link)
    return kept if links <= snapshots**2 else [0]


def advances_from(kept: list[int], links: int, snapshots: int) -> int:
    """How many links run forward to reverse a chain by Revolve that begins with some snapshots."""
    total = 0
    for link in reversed(range(links)):
        kept = [k for k in kept if k <= link]
        while len(kept) < snapshots and kept[-1] < link:
            hop = best_split(link + 1 - kept[-1], snapshots + 1 - len(kept))
            if kept[-1] + hop == link:
                break
            total += hop
            kept.append(kept[-1] + hop)
        total += link - kept[-1]
    return total


def floors(graph: Graph, trips: int, monkeypatch: pytest.MonkeyPatch) -> int:
    return evaluations(graph, "floor", monkeypatch, (X, np.array(trips), np.ones(4)))


@pytest.mark.parametrize("trips", [1, 2, 3, 7, 16, 100])
@pytest.mark.parametrize("snapshots", [1, 2, 3, 5, 10])
def test_a_counted_loop_runs_as_often_as_one_of_known_length(
    trips: int, snapshots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def floored(x: Any, n: Any) -> Any:
        def step(i: Any, x: Any, s: Any) -> tuple[Any, Any]:
            return np.sin(x) * s, np.floor(1.5 * s) + 0.3

        return counted_by(n, [x, np.asarray(2.5)], step)[0]

    graph = gradient(program([array(4), NUMBER], floored), [0])
    made = with_snapshots(graph, {0: Plan(snapshots)})
    last = 1  # the trip behind the last state
    assert floors(made, trips, monkeypatch) == advances(trips, snapshots) + last


@pytest.mark.parametrize("trips", [1, 2, 3, 7, 16, 101, 150])
@pytest.mark.parametrize("snapshots", [1, 2, 3, 5, 10])
def test_a_while_runs_once_and_then_again_from_what_it_has_kept(
    trips: int, snapshots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def floored(x: Any, n: Any) -> Any:
        def step(x: Any, s: Any, k: Any) -> tuple[Any, Any, Any]:
            return np.sin(x) * s, np.floor(1.5 * s) + 0.3, k + 1

        start = [x, np.asarray(2.5), np.asarray(0)]
        return whiled(start, lambda x, s, k: k < n, step)[0]

    graph = gradient(program([array(4), NUMBER], floored), [0])
    made = with_snapshots(graph, {0: Plan(snapshots)})
    again = advances_from(thinned(trips, snapshots), trips, snapshots)
    assert floors(made, trips, monkeypatch) == trips + again
    if trips <= snapshots:
        assert again == 0
    if trips > snapshots**2:
        assert again == advances(trips, snapshots)


def test_the_split_of_a_chain_is_computed_as_it_is_known() -> None:
    builder = Builder()
    links, snapshots = builder.input(NUMBER), builder.input(NUMBER)
    graph = verify(builder.build([split(builder, links, snapshots)]))
    for length in (2, 3, 4, 5, 9, 10, 37, 100, 1000, 12345):
        for count in (2, 3, 5, 10, 64):
            (found,) = evaluate(graph, np.array(length), np.array(count))
            assert found == best_split(length, count)
