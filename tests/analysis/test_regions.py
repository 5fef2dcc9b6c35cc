"""Boxes, versions and finality of arrays in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph.analysis.regions import (
    Interval,
    Levels,
    disjoint,
    final,
    full_box,
    history,
    index_box,
    initial,
    lasting,
    level,
    reads,
    written,
)
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import Slice
from adgraph.ops.control import loop
from adgraph.ops.indexing import put
from adgraph.tracing.tracer import as_tracer
from tests.control.construction import add_to, array, cond_of, fori, get, program, put_at

I = symbol_dim(Symbol("i", 0, 9))  # noqa: E741  the index of the issue's programs
J = symbol_dim(Symbol("j", 0, I - 1))


# --- boxes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ((Slice(0, 3, 1),), (Slice(3, 3, 1),), True),
        ((Slice(0, 4, 1),), (Slice(3, 3, 1),), False),
        ((I,), (J,), True),  # j < i
        ((I,), (J + 1,), False),
        ((I,), (Slice(0, I, 1),), True),
        ((I,), (Slice(0, I + 1, 1),), False),
        ((I, 3), (I, 4), True),  # one axis is enough
        ((I, J), (I, I), True),
        ((I, 0), (I, J), False),
        ((Slice(8, 5, -2),), (Slice(9, 5, -2),), True),  # even and odd positions
        ((Slice(8, 5, -2),), (Slice(0, 9, 1),), False),
        ((Slice(0, 5, 2),), (1 + 2 * I,), True),
        ((Slice(0, 5, 2),), (I,), False),
    ],
)
def test_boxes_are_disjoint_if_they_are_for_all_indices(
    first: Any, second: Any, apart: bool
) -> None:
    a, b = index_box(first), index_box(second)
    assert disjoint(a, b) == disjoint(b, a) == apart


def test_a_negative_step_covers_the_positions_from_below() -> None:
    assert index_box((Slice(8, 5, -2),)) == (Interval(0, 9, 2),)


def test_a_symbol_without_bounds_is_nowhere_apart() -> None:
    unknown = symbol_dim(Symbol("n"))
    assert not disjoint(index_box((unknown,)), index_box((5,)))
    assert disjoint(index_box((unknown,)), index_box((unknown + 1,)))


# --- reads and versions ---------------------------------------------------------------------------


def test_reads_are_seen_through_transposes_and_loops() -> None:
    def function(a: Any) -> Any:
        first = get(np.transpose(a), 2, (1, 3))

        def body(i: Any, s: Any) -> Any:
            return s + get(a, i, 0)

        (second,) = fori(3, 6, 1, [np.asarray(0.0)], body)
        return np.sum(first) + second

    graph = program([array(7, 7)], function)
    boxes = reads(graph, graph.inputs[0])
    assert index_box((Slice(1, 3, 1), 2)) in boxes
    assert all(disjoint(box, index_box((6, 0))) for box in boxes)
    assert not all(disjoint(box, index_box((5, 0))) for box in boxes)


def test_an_output_reads_the_whole_value() -> None:
    graph = program([array(7)], lambda a: a)
    assert reads(graph, graph.inputs[0]) == (full_box(array(7)),)


def boxes_of(graph: Graph) -> list[Any]:
    """The boxes written on the way from the input to the output."""
    versions = history(graph, graph.outputs[0])
    assert versions is not None
    return [box for version in versions for box in version.writes]


def test_history_follows_writes_back_to_the_input() -> None:
    graph = program([array(7)], lambda a: add_to(put_at(a, 1.0, 3), 2.0, 4))
    versions = history(graph, graph.outputs[0])
    assert versions is not None
    assert versions[0].value is graph.inputs[0]
    assert boxes_of(graph) == [index_box((3,)), index_box((4,))]


def test_history_follows_writes_through_a_transpose() -> None:
    def function(a: Any) -> Any:
        return np.transpose(put_at(np.transpose(a), np.zeros(5), 2, (0, 5)))

    graph = program([array(5, 7)], function)
    assert boxes_of(graph) == [index_box((Slice(0, 5, 1), 2))]
    square = program([array(5, 5)], lambda a: np.transpose(put_at(a, 1.0, 0, 1)))
    assert history(square, square.outputs[0]) is None  # another array, of the same type


def test_a_write_through_a_reshape_is_one_of_the_whole_array() -> None:
    def function(a: Any) -> Any:
        return np.reshape(put_at(np.reshape(a, 35), 1.0, 3), (5, 7))

    graph = program([array(5, 7)], function)
    assert boxes_of(graph) == [full_box(array(5, 7))]


def test_a_position_known_only_while_running_may_be_anywhere() -> None:
    def function(a: Any) -> Any:
        at = as_tracer(np.asarray(3))
        return put(a, as_tracer(1.0), np.argmax(a) + at, axis=0, unique=True)

    assert boxes_of(program([array(9)], function)) == [full_box(array(9))]


def test_an_array_replaced_as_a_whole_has_no_history() -> None:
    graph = program([array(7)], lambda a: np.sin(a))
    assert history(graph, graph.outputs[0]) is None


def test_branches_write_what_either_of_them_writes() -> None:
    def function(a: Any) -> Any:
        return cond_of(
            np.sum(a) > 0, [a], lambda a: put_at(a, 1.0, 2), lambda a: put_at(a, 1.0, 5)
        )[0]

    assert boxes_of(program([array(7)], function)) == [index_box((2,)), index_box((5,))]


def test_a_loop_writes_what_all_of_its_trips_write() -> None:
    graph = program([array(9)], lambda a: fori(2, 6, 1, [a], lambda i, a: put_at(a, 1.0, i))[0])
    (box,) = written(graph.nodes[-1], 0)
    assert not disjoint(box, index_box((5,)))
    assert disjoint(box, index_box((6,)))
    assert disjoint(box, index_box((1,)))


def test_two_loops_over_one_symbol_have_indices_of_their_own() -> None:
    """A read at i in one loop, a write at i + 1 in a later one over the same symbol: they meet."""
    graph = program([array(9)], lambda a: fori(0, 8, 1, [a], lambda i, a: put_at(a, 1.0, i + 1))[0])
    node = graph.nodes[-1]
    symbol = node.attrs["symbol"]
    (box,) = written(node, 0)
    assert not disjoint(box, index_box((symbol_dim(symbol),)))


# --- finality -------------------------------------------------------------------------------------


def innermost(graph: Graph) -> Levels:
    """The levels around the body of the innermost loop."""
    levels: list[Any] = []
    nodes: tuple[Node, ...] = graph.nodes
    while inner := [node for node in nodes if node.op is loop]:
        levels.append(level(inner[-1], inner[-1].attrs["body"]))
        nodes = inner[-1].attrs["body"].nodes
    return tuple(levels)


def carried(levels: Levels) -> Value:
    """The first version of the array that the innermost loop carries."""
    body = levels[-1].body
    return body.inputs[levels[-1].node.attrs["constants"]]


def index_of(levels: Levels, number: int) -> Any:
    return symbol_dim(levels[number].node.attrs["symbol"])


def nest(function: Any, start: Any = 1, stop: Any = 7, step: int = 1) -> Levels:
    """A loop over rows that runs `function(i, j, a)` in a loop over columns."""

    def row(i: Any, a: Any) -> Any:
        return fori(1, 7, 1, [a], lambda j, a: function(i, j, a))[0]

    return innermost(program([array(9, 9)], lambda a: fori(start, stop, step, [a], row)[0]))


def test_a_row_above_is_final_and_a_row_below_is_not() -> None:
    levels = nest(lambda i, j, a: put_at(a, np.sin(get(a, i - 1, j)), i, j))
    i, j = index_of(levels, 0), index_of(levels, 1)
    assert final(levels, carried(levels), index_box((i - 1, j)))
    assert not final(levels, carried(levels), index_box((i + 1, j)))
    assert not final(levels, carried(levels), index_box((i, j + 1)))
    assert final(levels, carried(levels), index_box((i, j - 1)))


def test_what_is_overwritten_in_the_same_trip_is_not_final() -> None:
    levels = nest(lambda i, j, a: put_at(a, np.sin(get(a, i, j)), i, j))
    here = index_box((index_of(levels, 0), index_of(levels, 1)))
    assert not final(levels, carried(levels), here)
    after = levels[-1].body.outputs[0]
    assert final(levels, after, here)


def test_a_loop_that_runs_down_has_its_later_trips_below() -> None:
    levels = nest(lambda i, j, a: put_at(a, np.sin(get(a, i + 1, j)), i, j), 6, 0, -1)
    i, j = index_of(levels, 0), index_of(levels, 1)
    assert final(levels, carried(levels), index_box((i + 1, j)))
    assert not final(levels, carried(levels), index_box((i - 1, j)))


def test_every_level_around_is_asked() -> None:
    """The column is not written again in this row, but in every row."""
    levels = nest(lambda i, j, a: put_at(a, np.sin(get(a, 0, j)), 0, j))
    here = index_box((0, index_of(levels, 1)))
    after = levels[-1].body.outputs[0]
    assert final(levels[1:], after, here)
    assert not final(levels, after, here)


def test_initial_is_the_mirror_image() -> None:
    levels = nest(lambda i, j, a: put_at(a, np.sin(get(a, i + 1, j)), i, j))
    i, j = index_of(levels, 0), index_of(levels, 1)
    before, after = carried(levels), levels[-1].body.outputs[0]
    assert initial(levels, before, index_box((i + 1, j)))
    assert initial(levels, before, index_box((i, j)))
    assert not initial(levels, after, index_box((i, j)))  # written in this trip
    assert not initial(levels, before, index_box((i, j - 1)))  # in an earlier one
    assert not initial(levels, before, index_box((i - 1, j)))  # in an earlier row


def test_cheap_functions_of_lasting_values_last() -> None:
    def row(i: Any, a: Any) -> Any:
        scaled = np.sin(get(a, i - 1, (0, 9)))

        def column(j: Any, a: Any) -> Any:
            return put_at(a, get(scaled, j), i, j)

        return fori(1, 7, 1, [a], column)[0]

    levels = innermost(program([array(9, 9)], lambda a: fori(1, 7, 1, [a], row)[0]))
    scaled = next(v for v in levels[-1].operands if v.type.shape == (9,))
    box = index_box((index_of(levels, 1),))
    assert not final(levels, scaled, box)
    assert lasting(levels, scaled, box)
