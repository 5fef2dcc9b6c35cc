"""The least cut against networkx's, on drawn networks and where several are least."""

from __future__ import annotations

from typing import Any

import networkx
from hypothesis import given
from hypothesis import strategies as st

from adgraph.analysis.cut import minimum_cut

NODES = 8
EDGES = st.dictionaries(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda e: e[0] != e[1]),
    st.integers(1, 9),
    max_size=24,
)


def as_networkx(capacities: dict[tuple[int, int], int]) -> Any:
    graph: Any = networkx.DiGraph()
    graph.add_nodes_from(range(NODES))
    for (start, end), capacity in capacities.items():
        graph.add_edge(start, end, capacity=capacity)
    return graph


@given(EDGES)
def test_the_cut_is_that_of_networkx(capacities: dict[tuple[int, int], int]) -> None:
    _, (near, _) = networkx.minimum_cut(as_networkx(capacities), 0, NODES - 1)
    met = {0, NODES - 1}.union(*capacities)
    assert minimum_cut(capacities, 0, NODES - 1) == near & met


def test_of_equal_cuts_the_one_nearest_to_the_sink_is_taken() -> None:
    chain = {("s", "a"): 2, ("a", "b"): 2, ("b", "t"): 2}
    assert minimum_cut(chain, "s", "t") == {"s", "a", "b"}


def test_a_sink_that_nothing_reaches_is_cut_off_already() -> None:
    assert minimum_cut({("s", "a"): 1, ("b", "t"): 1}, "s", "t") == {"s", "a"}


def test_capacities_far_larger_than_a_float_holds_exactly_are_exact() -> None:
    wide = 10**18
    network = {("s", "a"): wide + 1, ("a", "t"): wide, ("s", "b"): 1, ("b", "t"): wide}
    assert minimum_cut(network, "s", "t") == {"s", "a"}
