from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Origin
from adgraph.ir.types import ArrayType
from adgraph.ops import elementwise, linalg, reduction
from adgraph.schedule.flow import Flow, peak
from adgraph.schedule.order import orders
from adgraph.schedule.remat import Remat
from adgraph.schedule.schedule import Schedule, run
from adgraph.schedule.segments import Chain
from benchmarks import joint
from tests.schedule.programs import BLOCK, F8, arguments, chain, fit, graphs


def ordered(graph: Graph) -> Schedule:
    return Schedule.of(graph, orders(graph)[0])


def revolve(links: int, snapshots: int) -> int:
    """Advances of the optimal schedule (Griewank & Walther, Algorithm 799)."""
    repeats = 0
    while comb(snapshots + repeats, snapshots) < links:
        repeats += 1
    return repeats * links - comb(snapshots + repeats, repeats - 1) if repeats else 0


@given(graphs(), st.floats(0, 1))
def test_whatever_fits_gives_the_same_bits(graph: Graph, fraction: float) -> None:
    base = Schedule.of(graph, orders(graph)[0])
    remat = Remat(base.flow, Chain.of(base.flow))
    budget = remat.lower_bound + int(fraction * (base.peak_bytes - remat.lower_bound))
    found = remat.cheapest(budget)
    if found is not None:
        schedule = Schedule.of(graph, [base.flow.tasks[task] for task in found])
        assert schedule.peak_bytes <= budget
        args = arguments(graph)
        got, want = run(schedule, *args), evaluate(graph, *args)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("blocks", [25, 20, 15, 10, 8, 6, 5])
def test_a_chain_of_24_links_keeps_small_budgets(blocks: int) -> None:
    graph = chain(24)
    schedule = fit(ordered(graph), blocks * BLOCK)
    args = arguments(graph)
    assert schedule.peak_bytes <= blocks * BLOCK
    assert np.array_equal(run(schedule, *args)[0], evaluate(graph, *args)[0])


CHAIN = {3: 590, 5: 416, 8: 345, 10: 322, 15: 283, 20: 278, 30: 268, 50: 248}


@pytest.mark.parametrize(("snapshots", "cost"), CHAIN.items())
def test_a_chain_of_100_links_costs_what_revolve_proves(snapshots: int, cost: int) -> None:
    graph = joint.chain(100)
    flow = Flow.of(graph, graph.nodes)
    remat = Remat(flow, Chain.of(flow))
    link = max(flow.seconds)
    # Beside the snapshots: the running cotangent before and after a link, which is the output last.
    found = remat.cheapest(flow.output_bytes + (snapshots + 2) * max(flow.sizes))
    assert found is not None
    assert round(flow.cost(found) / link) == cost == 100 + revolve(100, snapshots)


def transformer_like(layers: int, n: int = 16) -> Graph:
    """Matrix products with elementwise parts between, and their adjoint."""
    builder = Builder()
    x = builder.input(ArrayType(F8, (n, n)), "x")
    weights = [builder.input(ArrayType(F8, (n, n)), f"w{k}") for k in range(layers)]
    saved = []
    for w in weights:
        (h,) = builder.emit(linalg.matmul, [x, w], {})
        (a,) = builder.emit(elementwise.reciprocal, [h], {})
        (b,) = builder.emit(elementwise.square, [a], {})
        (y,) = builder.emit(elementwise.add, [x, b], {})
        saved.append((x, h, a))
        x = y
    ct, gradients = x, []
    for w, (x, h, a) in zip(reversed(weights), reversed(saved), strict=True):
        (da,) = builder.emit(elementwise.multiply, [ct, a], {}, Origin(order=1))
        (dh,) = builder.emit(elementwise.multiply, [da, h], {}, Origin(order=1))
        (dx,) = builder.emit(linalg.matmul, [dh, w], {}, Origin(order=1))
        (dw,) = builder.emit(linalg.matmul, [x, dh], {}, Origin(order=1))
        (total,) = builder.emit(reduction.reduce_sum, [dw], {"axis": (0, 1)}, Origin(order=1))
        gradients.append(total)
        (ct,) = builder.emit(elementwise.add, [ct, dx], {}, Origin(order=1))
    return builder.build([*gradients, ct])


def test_the_products_of_matrices_are_not_computed_again_while_cheaper_values_will_do() -> None:
    base = ordered(transformer_like(12))
    schedule = fit(base, int(0.6 * base.peak_bytes))
    products = sum(node.op is linalg.matmul for node in schedule.recomputed)
    assert products <= 0.25 * len(schedule.recomputed)


def test_a_search_never_makes_an_order_dearer_and_repeats_itself() -> None:
    base = ordered(transformer_like(6))
    remat = Remat(base.flow)
    budget = int(0.6 * base.peak_bytes)
    found = remat.cheapest(budget)
    assert found is not None
    better = remat.searched(budget, found)
    assert base.flow.cost(better) <= base.flow.cost(found)
    assert better == remat.searched(budget, found)


def test_no_budget_below_the_lower_bound_is_met() -> None:
    remat = Remat(ordered(chain(10)).flow)
    assert remat.cheapest(remat.lower_bound - 1) is None


def test_a_descent_needs_fewer_and_fewer_bytes() -> None:
    flow = ordered(chain(12)).flow
    peaks = [peak(flow, found) for found in Remat(flow).descent()]
    assert peaks == sorted(set(peaks), reverse=True)
    assert peaks[-1] < peak(flow, range(len(flow.tasks))) / 2
