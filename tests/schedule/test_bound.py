from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph.ir.graph import Graph
from adgraph.schedule.bound import Bound
from adgraph.schedule.flow import Flow, peak
from adgraph.schedule.order import orders
from adgraph.schedule.remat import Remat
from adgraph.schedule.segments import Chain
from benchmarks import joint
from tests.schedule.programs import graphs


def check(flow: Flow, fraction: float) -> None:
    """No order that is found costs less than the bound for the bytes it needs, or for fewer."""
    remat = Remat(flow, Chain.of(flow))
    bound = Bound.of(flow)
    most = peak(flow, range(len(flow.tasks)))
    budget = remat.lower_bound + int(fraction * (most - remat.lower_bound))
    for order in remat.fitting(budget):
        least = bound.seconds(peak(flow, order) - flow.output_bytes)
        assert flow.cost(order) >= least * (1 - 1e-9)
        assert least >= bound.seconds(budget - flow.output_bytes)


@settings(max_examples=50)
@given(graphs(), st.floats(0, 1))
def test_no_order_of_a_random_program_costs_less(graph: Graph, fraction: float) -> None:
    for order in orders(graph):
        check(Flow.of(graph, order), fraction)


@settings(max_examples=15)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 1000), st.floats(0, 1))
def test_no_order_of_a_random_gradient_costs_less(
    count: int, width: int, seed: int, fraction: float
) -> None:
    graph = joint.layered(count, width, seed)
    for order in orders(graph):
        check(Flow.of(graph, order), fraction)


@pytest.mark.parametrize(
    ("graph", "fraction", "cost"),
    [(joint.transformer(20), 0.3, 1.10), (joint.chain(100), 0.3, 1.34), (joint.unet(6), 0.5, 1.02)],
    ids=["transformer", "chain", "u-net"],
)
def test_the_bound_is_near_what_is_found(graph: Graph, fraction: float, cost: float) -> None:
    flow = Flow.of(graph, orders(graph)[0])
    room = peak(flow, range(len(flow.tasks))) - flow.output_bytes
    bound = Bound.of(flow)
    assert bound.seconds(room) == pytest.approx(bound.once)
    assert bound.seconds(int(fraction * room)) >= cost * bound.once
