"""Loop indices in programs: found, replaced, given numbers."""

from __future__ import annotations

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.substitute import resolve, substitute_all, symbols_of
from adgraph.ir.types import ArrayType, Slice
from adgraph.ir.verify import verify
from adgraph.ops.control import index, loop, loop_symbol
from adgraph.ops.elementwise import add
from adgraph.ops.shape import getitem, update

F8 = np.dtype(float)
OUTER = Symbol("i", 1, 5)
I = symbol_dim(OUTER)  # noqa: E741


def prefix_sums(symbol: Symbol) -> Graph:
    """For j below i: x[j + 1] += x[j], over the first i elements of the operand."""
    i = symbol_dim(symbol)
    inner = loop_symbol("j", 0, i - 1, 1)
    j = symbol_dim(inner)
    body = Builder()
    x = body.input(ArrayType(F8, (i,)))
    (here,) = body.emit(getitem, [x], {"index": (j,)})
    (there,) = body.emit(getitem, [x], {"index": (j + 1,)})
    (total,) = body.emit(add, [there, here], {})
    (after,) = body.emit(update, [x, total], {"index": (j + 1,)})
    program = body.build([after], "body")
    outer = Builder()
    whole = outer.input(ArrayType(F8, (6,)), "x")
    (front,) = outer.emit(getitem, [whole], {"index": (Slice(0, i, 1),)})
    attrs = {"body": program, "symbol": inner, "start": 0, "trips": i - 1, "step": 1}
    (sums,) = outer.emit(loop, [front], {**attrs, "constants": 0})
    (count,) = outer.emit(index, [], {"dim": 2 * i + 1})
    return outer.build([sums, count])


def test_symbols_are_found_in_types_attributes_and_programs_inside() -> None:
    graph = prefix_sums(OUTER)
    inner = graph.nodes[1].attrs["symbol"]
    assert symbols_of(graph) == {OUTER, inner}
    assert symbols_of(graph.nodes[0]) == {OUTER}
    assert symbols_of((3, Slice(0, I, 1), ArrayType(F8, (2, 2)))) == {OUTER}
    assert symbols_of(("a", 1.5, None)) == set()


def test_a_program_with_a_number_for_its_index_is_that_iteration() -> None:
    graph = prefix_sums(OUTER)
    x = np.arange(1.0, 7.0)
    for n in range(1, 6):
        fixed = verify(substitute_all(graph, {OUTER: n}))
        assert symbols_of(fixed) == {fixed.nodes[1].attrs["symbol"]}
        for found in (evaluate(fixed, x), evaluate(graph, x, symbols={OUTER: n})):
            assert np.array_equal(found[0], np.cumsum(x[:n]))
            assert found[1] == 2 * n + 1


def test_a_renamed_index_is_bound_by_its_loop() -> None:
    graph = prefix_sums(OUTER)
    inner, fresh = graph.nodes[1].attrs["symbol"], Symbol("k", 0, 9)
    renamed = substitute_all(graph, {inner: symbol_dim(fresh)})
    assert symbols_of(renamed) == {OUTER, fresh}
    assert renamed.nodes[1].attrs["symbol"] is fresh
    assert renamed == graph


def test_bodies_of_the_same_text_in_different_loops_differ() -> None:
    other = Symbol("i", 1, 5)
    graph, twin, same = prefix_sums(OUTER), prefix_sums(other), prefix_sums(OUTER)
    assert str(graph) == str(twin)
    assert graph.fingerprint == twin.fingerprint
    assert graph != twin
    assert graph == same
    assert hash(graph) == hash(same)


def test_resolved_attributes_hold_numbers_and_no_negative_extents() -> None:
    attrs = {"index": (I, Slice(I + 1, 3 - I, 2), 4), "shape": (I - 4, 2), "dim": -I, "axis": 0}
    assert resolve(attrs, {OUTER: 1}) == {
        "index": (1, Slice(2, 2, 2), 4),
        "shape": (0, 2),
        "dim": -1,
        "axis": 0,
    }
    assert resolve(attrs, {OUTER: 5})["index"] == (5, Slice(0, 0, 2), 4)
