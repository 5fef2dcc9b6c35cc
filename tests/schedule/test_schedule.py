from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from adgraph.analysis.liveness import computes
from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ops import elementwise
from adgraph.schedule.schedule import Compute, Free, Schedule, run
from tests.schedule.programs import BLOCK, arguments, chain, graphs, pair, vector


def given_order(graph: Graph) -> Schedule:
    return Schedule.of(graph, [node for node in graph.nodes if computes(node)])


@given(graphs())
def test_running_a_schedule_gives_the_bits_of_evaluate(graph: Graph) -> None:
    args = arguments(graph)
    got, want = run(given_order(graph), *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))


@given(graphs())
def test_every_buffer_but_an_output_is_freed_once_for_each_computation(graph: Graph) -> None:
    schedule = given_order(graph)
    computed = [v for node in schedule.sequence for v in node.outputs]
    freed = [step.value for step in schedule.steps if isinstance(step, Free)]
    assert sorted(map(id, freed + list(graph.outputs))) == sorted(map(id, computed))


def test_the_peak_counts_operands_results_and_outputs() -> None:
    graph = chain(3)
    # The three links, the running cotangent (the last link at first), and the output.
    assert given_order(graph).peak_bytes == 5 * BLOCK


def test_workspaces_count_while_their_node_runs() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    a, b = builder.emit(pair, [x], {})
    (y,) = builder.emit(elementwise.add, [a, b], {})
    schedule = given_order(builder.build([y]))
    assert [moment.live_bytes for moment in schedule.timeline()] == [4 * BLOCK, 3 * BLOCK]


def test_reading_a_freed_value_is_an_error() -> None:
    graph = chain(2)
    first, second, third, last = graph.nodes
    steps = (Compute(first), Free(first.output), Compute(second), Compute(third), Compute(last))
    with pytest.raises(GraphError, match="a result of reciprocal, is read but not live"):
        run(Schedule(graph, steps), *arguments(graph))


def test_computing_a_live_value_again_is_an_error() -> None:
    graph = chain(1)
    first, last = graph.nodes
    steps = (Compute(first), Compute(first), Compute(last))
    with pytest.raises(GraphError, match="while an earlier copy is live"):
        run(Schedule(graph, steps), *arguments(graph))


def test_a_sequence_must_compute_operands_first() -> None:
    graph = chain(2)
    with pytest.raises(GraphError, match="before its operand"):
        Schedule.of(graph, tuple(reversed(graph.nodes)))


def test_a_node_computed_again_frees_all_of_its_results_before() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    a, b = builder.emit(pair, [x], {})
    (c,) = builder.emit(elementwise.reciprocal, [a], {})
    (d,) = builder.emit(elementwise.add, [c, b], {})
    (e,) = builder.emit(elementwise.add, [d, a], {})
    graph = builder.build([e])
    two, *others = graph.nodes
    again = Schedule.of(graph, [two, others[0], two, *others[1:]])
    assert again.recomputed == [two]
    args = arguments(graph)
    assert np.array_equal(run(again, *args)[0], evaluate(graph, *args)[0])


def test_the_text_shows_steps_names_and_live_bytes() -> None:
    assert str(given_order(chain(1))) == (
        "schedule @main  # peak 128 bytes\n"
        "  compute %0: f64[8] = reciprocal(%x)  # live 128 bytes\n"
        "  compute %1: f64[8] = multiply(%0, %x)  # live 128 bytes\n"
        "  free %0"
    )
