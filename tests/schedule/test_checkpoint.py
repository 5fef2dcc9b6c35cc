from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given

from adgraph.analysis.liveness import computes
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Origin, Scope
from adgraph.ops import elementwise
from adgraph.schedule.checkpoint import checkpoint
from adgraph.schedule.flow import Lives
from adgraph.schedule.order import orders
from adgraph.schedule.schedule import Schedule, run
from tests.schedule.programs import BLOCK, arguments, blocks, fit, graphs, pair, vector

SCOPE = Scope("s")


def lengthened(graph: Graph) -> Schedule:
    nodes = [node for node in graph.nodes if computes(node)]
    return Schedule.of(graph, checkpoint(graph, nodes))


def alive_between(schedule: Schedule) -> int:
    """Bytes alive between the primal program and what is computed for its derivative."""
    sequence = schedule.sequence
    turn = next(
        i for i, node in enumerate(sequence) if node.origin.order > 0 or node in sequence[:i]
    )
    lives = Lives.of(schedule.flow, range(len(sequence)))
    alive = lives.instances[(lives.starts < turn) & (turn <= lives.ends)]
    return int(schedule.flow.arrays.sizes[alive].sum())


@given(graphs())
def test_random_regions_keep_the_bits_and_run_a_node_again_once_a_region(graph: Graph) -> None:
    schedule = lengthened(graph)
    for node, times in Counter(schedule.recomputed).items():
        assert node.origin.scope is not None
        assert times <= len(node.origin.scope.around())
    args = arguments(graph)
    got, want = run(schedule, *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))


def test_only_the_inputs_of_regions_stay_alive_after_the_forward_part() -> None:
    plain, scoped = (lengthened(blocks(4, 5, scoped)) for scoped in (False, True))
    assert alive_between(plain) == 20 * BLOCK
    # The results of three blocks, which the next ones start from.
    assert alive_between(scoped) == 3 * BLOCK
    assert scoped.peak_bytes < plain.peak_bytes


def test_every_region_is_computed_again_once_without_its_results() -> None:
    scoped = lengthened(blocks(4, 5, scoped=True))
    again = scoped.recomputed
    # The last block's result is read by its own derivative only, so it is no snapshot.
    assert len(again) == len(set(again)) == 4 * 4 + 1
    assert {node.origin.order for node in again} == {0}


@pytest.mark.parametrize("budget", [None, 9, 8, 7])
def test_the_results_have_the_same_bits(budget: int | None) -> None:
    graph = blocks(4, 5, scoped=True)
    schedule = lengthened(graph)
    if budget is not None:
        schedule = fit(schedule, budget * BLOCK + 8)
        assert schedule.peak_bytes <= budget * BLOCK + 8
    args = arguments(graph)
    got, want = run(schedule, *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


def test_a_large_budget_does_not_undo_a_checkpoint() -> None:
    schedule = lengthened(blocks(4, 5, scoped=True))
    assert fit(schedule, 10**9) is schedule
    assert len(fit(schedule, schedule.peak_bytes - BLOCK).recomputed) >= len(schedule.recomputed)


def test_without_scopes_the_sequence_is_unchanged() -> None:
    graph = blocks(2, 2, scoped=False)
    assert orders(graph)[0] == orders(graph)[0]


def test_a_value_that_other_derivatives_read_stays() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    (y,) = builder.emit(elementwise.reciprocal, [x], {}, Origin(scope=SCOPE))
    (z,) = builder.emit(elementwise.square, [y], {})
    (ct,) = builder.emit(elementwise.multiply, [z, y], {}, Origin(order=1))
    assert not lengthened(builder.build([ct])).recomputed


def test_a_result_used_outside_is_computed_again_for_its_own_derivative() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    (y,) = builder.emit(elementwise.reciprocal, [x], {}, Origin(scope=SCOPE))
    (z,) = builder.emit(elementwise.square, [y], {})
    (ct,) = builder.emit(elementwise.multiply, [z, y], {}, Origin(order=1, scope=SCOPE))
    graph = builder.build([ct])
    assert lengthened(graph).recomputed == [graph.nodes[0]]


def test_outputs_of_the_program_are_not_computed_again() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    (y,) = builder.emit(elementwise.reciprocal, [x], {}, Origin(scope=SCOPE))
    (ct,) = builder.emit(elementwise.multiply, [y, y], {}, Origin(order=1, scope=SCOPE))
    assert not lengthened(builder.build([y, ct])).recomputed


def test_a_node_with_two_results_is_computed_again_as_a_whole() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    a, b = builder.emit(pair, [x], {}, Origin(scope=SCOPE))
    (c,) = builder.emit(elementwise.add, [a, b], {}, Origin(scope=SCOPE))
    (z,) = builder.emit(elementwise.square, [c], {})
    (ct,) = builder.emit(elementwise.multiply, [z, b], {}, Origin(order=1, scope=SCOPE))
    graph = builder.build([ct])
    schedule = lengthened(graph)
    assert schedule.recomputed == [graph.nodes[0]]
    args = arguments(graph)
    assert np.array_equal(run(schedule, *args)[0], evaluate(graph, *args)[0])


def test_inner_regions_run_again_with_the_outer_one_and_once_more_by_themselves() -> None:
    outer = Scope("outer")
    builder = Builder()
    x = builder.input(vector(), "x")
    values = [x]
    scopes = [Scope(f"inner{k}", outer=outer) for k in range(3) for _ in range(4)]
    for scope in scopes:
        values += builder.emit(elementwise.reciprocal, [values[-1]], {}, Origin(scope=scope))
    (z,) = builder.emit(elementwise.square, [values[-1]], {})
    ct = z
    for value, scope in zip(reversed(values[:-1]), reversed(scopes), strict=True):
        (ct,) = builder.emit(elementwise.multiply, [ct, value], {}, Origin(order=1, scope=scope))
    graph = builder.build([ct])
    schedule = lengthened(graph)
    # Of the outer region only x is kept; of it, when it runs again, the results of inner ones.
    assert alive_between(schedule) == BLOCK
    assert set(Counter(schedule.recomputed).values()) == {1, 2}
    args = arguments(graph)
    assert np.array_equal(run(schedule, *args)[0], evaluate(graph, *args)[0])
