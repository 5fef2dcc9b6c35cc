"""Counts of expensive functions and of trips, of nodes and of the programs inside them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from adgraph import trace
from adgraph.analysis.cost import evaluations, expected_trips


def counted(function: Any, x: Any) -> Counter[str]:
    nodes = trace(function).graph(x).nodes
    return sum(map(evaluations, nodes), Counter())


def test_what_weighs_ten_additions_is_counted_by_name() -> None:
    found = counted(lambda x: np.exp(x) + np.sin(x) * np.sin(x[:2]).sum() + x, np.ones(7))
    assert found == {"exp": 7, "sin": 9}


def looped(x: Any) -> Any:
    for _ in range(50):
        x = np.tanh(x)
    return x


def test_a_loop_counts_every_trip() -> None:
    assert counted(looped, np.ones(3)) == {"tanh": 150}
    (loop,) = (n for n in trace(looped).graph(np.ones(3)).nodes if list(n.regions()))
    assert expected_trips(loop) == 50


def test_what_is_no_loop_runs_once() -> None:
    (node,) = trace(np.exp).graph(np.ones(3)).nodes
    assert expected_trips(node) == 1
