from __future__ import annotations

import time

import numpy as np
from hypothesis import given

from adgraph.analysis.liveness import computes
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ops import elementwise, reduction
from adgraph.schedule.checkpoint import checkpoint
from adgraph.schedule.order import orders
from adgraph.schedule.schedule import Schedule, run
from tests.schedule.programs import BLOCK, arguments, blocks, chain, graphs, vector


@given(graphs())
def test_an_order_keeps_the_results_and_never_raises_the_peak(graph: Graph) -> None:
    sequence = tuple(node for node in graph.nodes if computes(node))
    given_order = Schedule.of(graph, checkpoint(graph, sequence))
    ordered = Schedule.of(graph, orders(graph)[0])
    args = arguments(graph)
    got, want = run(ordered, *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))
    assert ordered.peak_bytes <= given_order.peak_bytes


@given(graphs())
def test_the_order_is_deterministic(graph: Graph) -> None:
    assert orders(graph)[0] == orders(graph)[0]


def test_reductions_that_are_given_late_run_when_their_operand_is_there() -> None:
    builder = Builder()
    x = builder.input(vector(800), "x")
    values = [x]
    for _ in range(10):
        values += builder.emit(elementwise.reciprocal, [values[-1]], {})
    totals = [builder.emit(reduction.reduce_sum, [v], {"axis": (0,)})[0] for v in values[1:]]
    graph = builder.build(totals)
    ordered = Schedule.of(graph, orders(graph)[0])
    assert ordered.peak_bytes == 2 * 100 * BLOCK + 10 * 8


def test_independent_branches_run_one_after_the_other() -> None:
    builder = Builder()
    x = builder.input(vector(800), "x")
    firsts = [builder.emit(elementwise.multiply, [x, x], {})[0]]
    for _ in range(9):
        firsts += builder.emit(elementwise.add, [firsts[0], firsts[-1]], {})
    graph = builder.build(
        [builder.emit(reduction.reduce_sum, [v], {"axis": (0,)})[0] for v in firsts]
    )
    assert Schedule.of(graph, orders(graph)[0]).peak_bytes <= 3 * 100 * BLOCK + 10 * 8


def test_what_gains_nothing_by_its_recomputation_is_not_computed_again() -> None:
    graph = blocks(1, 1, scoped=True)
    assert len(orders(graph)[0]) == len(graph.nodes)
    graph = blocks(4, 5, scoped=True)
    assert len(orders(graph)[0]) > len(graph.nodes)


def test_ten_thousand_nodes_are_ordered_in_a_second() -> None:
    graph = chain(5000)
    start = time.process_time()
    orders(graph)[0]
    assert time.process_time() - start < 1.5
