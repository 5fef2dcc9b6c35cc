"""The order of nodes in which arrays are written in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.analysis.ordering import overwritten, reads_first
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.verify import verify
from tests.control.construction import add_to, array, fori, get, program, put_at


def ordered(graph: Graph) -> Graph:
    return verify(replace(graph, nodes=tuple(reads_first(graph.nodes))))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_a_read_comes_before_the_write_that_ends_it() -> None:
    """The sum reads x lazily, through a view and a product."""

    def function(x: Any) -> Any:
        part = get(x, (0, 4)) * 2.0
        cleared = put_at(x, np.zeros(4), (0, 4))
        return cleared, np.sum(part)

    graph = program([array(9)], function)
    assert names(ordered(graph))[-1] == "update"
    x = np.arange(9.0)
    for a, b in zip(evaluate(graph, x), evaluate(ordered(graph), x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_writes_into_two_arrays_that_read_each_other_find_an_order() -> None:
    """y takes what x was, then x is cleared: the clearing waits, though it stands first."""

    def function(x: Any, y: Any) -> Any:
        part = get(x, (1, 3))
        cleared = put_at(x, np.zeros(3), (1, 3))
        return cleared, add_to(y, part, (2, 3))

    graph = ordered(program([array(9), array(9)], function))
    assert names(graph)[-2:] == ["add_at", "update"]


def test_two_writes_that_wait_for_each_other_stay_as_they_are() -> None:
    def function(x: Any, y: Any) -> Any:
        a, b = get(x, (0, 3)), get(y, (0, 3))
        return put_at(x, b, (0, 3)), put_at(y, a, (0, 3))

    graph = program([array(9), array(9)], function)
    writes = [node for node in graph.nodes if overwritten(node)]
    assert [node for node in ordered(graph).nodes if overwritten(node)] == writes


def test_a_loop_overwrites_the_arrays_it_carries() -> None:
    graph = program(
        [array(9)],
        lambda x: fori(0, 9, 1, [x, np.asarray(0.0)], lambda i, x, s: (put_at(x, s, i), s)),
    )
    node = graph.nodes[-1]
    assert overwritten(node) == (graph.inputs[0],)
