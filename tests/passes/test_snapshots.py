"""Loops that keep snapshots: they compute what they compute with tapes, to the last bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph.analysis.programs import nested
from adgraph.analysis.revolve import advances
from adgraph.control.tapes import taped_bytes
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.verify import verify
from adgraph.passes.pipeline import LAST, SETTLED, run_pipeline
from adgraph.passes.snapshots import Plan, reversing, with_snapshots
from adgraph.passes.taped import taped_loops
from adgraph.transforms.vjp import vjp
from tests.control import kernels
from tests.control.construction import add_to, array, fori, get, program, put_at
from tests.control.random_nests import nest

TRIPS = 13
PLANS = [Plan(1), Plan(3), Plan(TRIPS + 5), Plan(2, 4), Plan(1, TRIPS), Plan(2, 5), Plan(1, 6)]


def _decay(x: Any) -> Any:
    return fori(0, TRIPS, 1, [x], lambda i, x: np.sin(x) * x)[0]


def _backwards(x: Any) -> Any:
    return fori(TRIPS - 1, -1, -1, [x], lambda i, x: np.sin(x) * get(x, 0))[0]


def _two_states(x: Any) -> Any:
    def step(i: Any, x: Any, s: Any) -> tuple[Any, Any]:
        s = np.tanh(s + np.sum(x))
        return np.sin(x) * s, s

    x, s = fori(2, 2 + TRIPS, 1, [x, np.asarray(0.1)], step)
    return np.sum(x) * s


def _written_rows(x: Any) -> Any:
    """What is only written is no state, what is read of it as it ends is not recorded."""

    def step(i: Any, x: Any, out: Any) -> tuple[Any, Any]:
        x = np.cos(x) * np.exp(-x)
        return x, put_at(out, x, i, (0, 4))

    return fori(0, TRIPS, 1, [x, np.zeros((TRIPS, 4))], step)[1]


def _in_place(x: Any) -> Any:
    def step(i: Any, x: Any) -> Any:
        x = put_at(x, np.sin(get(x, (0, 3))) * get(x, (1, 3)), (1, 3))
        return add_to(x, np.exp(-get(x, (1, 3))), (0, 3))

    return fori(0, TRIPS, 1, [x], step)[0]


def _sweeps(x: Any) -> Any:
    """Gauss-Seidel: the inner loop records into the tape of the outer one."""

    def step(i: Any, x: Any) -> Any:
        def inner(j: Any, x: Any) -> Any:
            return put_at(x, np.sin(get(x, j - 1) + get(x, j) * get(x, j + 1)), j)

        return fori(1, 3, 1, [x], inner)[0]

    return fori(0, TRIPS, 1, [x], step)[0]


def _two_loops(x: Any) -> Any:
    x = fori(0, TRIPS, 1, [x], lambda i, x: np.sin(x) * x)[0]
    return fori(0, TRIPS, 1, [np.exp(-x)], lambda i, x: np.cos(x) * x)[0]


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "decay": _decay,
    "backwards": _backwards,
    "two states": _two_states,
    "written rows": _written_rows,
    "in place": _in_place,
    "sweeps": _sweeps,
    "two loops": _two_loops,
}


def gradient(graph: Graph, active: Sequence[int] | None = None) -> Graph:
    """Return the settled program of value and gradient, by all inputs or some."""
    by = range(len(graph.inputs)) if active is None else active
    return run_pipeline(vjp(graph, by), SETTLED)[0]


def points(graph: Graph) -> list[Any]:
    rng = np.random.default_rng(5)
    return [rng.uniform(0.2, 1.1, v.type.shape) for v in graph.inputs]


def check(graph: Graph, plans: dict[int, Plan]) -> Graph:
    """Compare a program with the one that keeps snapshots, before and after the last passes."""
    changed = verify(with_snapshots(graph, plans))
    args = points(graph)
    expected = evaluate(graph, *args)
    for made in (changed, verify(run_pipeline(changed, LAST)[0])):
        for a, b in zip(expected, evaluate(made, *args), strict=True):
            np.testing.assert_array_equal(a, b)
    return changed


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradient_is_bitwise_the_same(name: str, plan: Plan) -> None:
    graph = gradient(program([array(4)], PROGRAMS[name]))
    found = taped_loops(graph)
    assert found
    check(graph, dict.fromkeys(range(len(found)), plan))


@pytest.mark.parametrize("plan", [Plan(1), Plan(2, 2), Plan(3, 3)], ids=str)
def test_the_gradient_of_a_stencil_is_bitwise_the_same(plan: Plan) -> None:
    graph = gradient(kernels.seidel(5, 7))
    check(graph, dict.fromkeys(range(len(taped_loops(graph))), plan))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_random_nests_keep_their_gradients(
    seed: int, snapshots: int, segment: int, all_recorded: bool
) -> None:
    graph = run_pipeline(vjp(nest(seed), [0], store_all=all_recorded), SETTLED)[0]
    plans = {
        number: Plan(snapshots, min(segment, taped.trips))
        for number, taped in enumerate(taped_loops(graph))
    }
    with np.errstate(all="ignore"):
        check(graph, plans)


@pytest.mark.parametrize("outer", [1, 3, TRIPS])
@pytest.mark.parametrize("inner", [Plan(1), Plan(2), Plan(1, 2), Plan(2, 4)], ids=str)
def test_loops_inside_keep_snapshots_too(outer: int, inner: Plan) -> None:
    def step(i: Any, x: Any) -> Any:
        y = fori(0, 9, 1, [x], lambda j, y: np.sin(y) * x)[0]
        return np.cos(y) * x

    graph = gradient(program([array(4)], lambda x: fori(0, TRIPS, 1, [x], step)[0]))
    (taped,) = taped_loops(graph)
    assert len(taped_loops(reversing(taped))) == 1
    made = check(graph, {0: Plan(outer, 1, ((0, inner),))})
    assert all(
        len(v.type.shape) < 2 or 9 not in v.type.shape for n in nested(made) for v in n.outputs
    )


def test_state_is_what_recorded_rows_depend_on() -> None:
    graph = gradient(program([array(4)], _written_rows))
    (taped,) = taped_loops(graph)
    assert taped.state_types == (array(4),)
    assert taped.state_bytes == 32


def test_rows_count_for_the_most_that_there_are_at_one_time() -> None:
    graph = gradient(program([array(4)], _decay))
    (taped,) = taped_loops(graph)
    row = taped.row_bytes
    assert taped_bytes(graph) == TRIPS * row
    for segment, rows in ((5, 5), (8, 8), (1, 0)):  # 13 trips: of 8 and 5, or of 5, 5 and 3
        assert taped_bytes(with_snapshots(graph, {0: Plan(2, segment)})) == rows * row


def test_no_tape_is_left() -> None:
    graph = check(gradient(program([array(4)], _decay)), {0: Plan(3)})
    assert all(
        len(v.type.shape) < 2 or v.type.shape[0] <= 3 for n in graph.nodes for v in n.outputs
    )


def test_the_array_of_a_user_that_has_a_reader_is_no_tape() -> None:
    def written(x: Any) -> Any:
        def step(i: Any, x: Any, out: Any) -> tuple[Any, Any]:
            return np.sin(x), put_at(out, x, i, (0, 4))

        x, out = fori(0, TRIPS, 1, [x, np.zeros((TRIPS, 4))], step)
        return np.sum(out * out) + np.sum(x)

    graph = gradient(program([array(4)], written))
    for taped in taped_loops(graph):
        assert all(taped.forward.outputs[k] not in graph.outputs for k in taped.tapes)
    check(graph, dict.fromkeys(range(len(taped_loops(graph))), Plan(2)))


def _floored(x: Any) -> Any:
    """Only running forward computes `floor`."""

    def step(i: Any, x: Any, s: Any) -> tuple[Any, Any]:
        return np.sin(x) * s, np.floor(1.5 * s) + 0.3

    return fori(0, TRIPS, 1, [x, np.asarray(2.5)], step)[0]


@pytest.mark.parametrize(
    ("snapshots", "segment"), [(1, 1), (2, 1), (3, 1), (5, 1), (2, 3), (3, 2), (13, 1), (1, 13)]
)
def test_trips_run_again_exactly_as_often_as_they_must(
    snapshots: int, segment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = with_snapshots(gradient(program([array(4)], _floored)), {0: Plan(snapshots, segment)})
    whole, rest = divmod(TRIPS, segment)
    swept = whole * segment + (rest if rest > 1 else 0)  # no one needs the last state of a trip
    again = (advances(whole, snapshots) - (whole - 1)) * segment
    recorded = whole * segment if segment > 1 else 0
    assert evaluations(graph, "floor", monkeypatch, points(graph)) == swept + again + recorded


def evaluations(
    graph: Graph, name: str, monkeypatch: pytest.MonkeyPatch, args: Sequence[Any]
) -> int:
    """Count how often an op is evaluated."""
    counts: Counter[str] = Counter()
    (op,) = {node.op for node in nested(graph) if node.op.name == name}
    original = op.evaluate

    def counting(*args: Any, **attrs: Any) -> Any:
        counts[name] += 1
        return original(*args, **attrs)

    monkeypatch.setitem(vars(op), "evaluate", counting)
    evaluate(graph, *args)
    return counts[name]
