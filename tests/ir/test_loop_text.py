"""Loops and branches as text: what is printed reads back; an index belongs to its loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adgraph
from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.dims import Dim, Symbol, lower_bound, symbol_dim, upper_bound
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ir.show import show
from adgraph.ir.types import ArrayType, Slice
from adgraph.ir.verify import verify
from adgraph.ops.control import index, loop, loop_symbol
from adgraph.ops.shape import getitem, update
from tests.control.random_nests import nest

assert adgraph.trace  # parse knows the ops that are imported
F8 = np.dtype(float)
NAMES = st.sampled_from(["i", "j", "n", "row", "i_1"])


def affine(draw: st.DrawFn, symbols: list[Symbol]) -> Dim:
    dim: Dim = draw(st.integers(-9, 99))
    for symbol in symbols:
        dim = dim + draw(st.integers(-3, 3)) * symbol_dim(symbol)
    return dim


def entry(draw: st.DrawFn, symbols: list[Symbol]) -> Any:
    start = affine(draw, symbols)
    if draw(st.booleans()):
        return start
    return Slice(start, affine(draw, symbols), draw(st.sampled_from([1, 2, -1, -3])))


@st.composite
def loops(draw: st.DrawFn) -> Graph:
    """Nested loops whose bodies have random indices and extents; few of them could run."""

    def build(outer: Builder, depth: int, symbols: list[Symbol]) -> Any:
        start, trips = affine(draw, symbols), affine(draw, symbols)
        step = draw(st.sampled_from([1, -1, 2]))
        symbol = loop_symbol(draw(NAMES), start, trips, step)
        inside = [*symbols, symbol]
        body = Builder()
        x = body.input(ArrayType(F8, (50, 60)), "x")
        for _ in range(draw(st.integers(0, 3))):
            box = {"index": (entry(draw, inside), entry(draw, inside))}
            (part,) = body.emit(getitem, [x], box)
            (x,) = body.emit(update, [x, part], box)
            body.emit(index, [], {"dim": affine(draw, inside)})
        if depth:
            (x,) = build(body, depth - 1, inside)(x)
        program = body.build([x], "body")
        attrs = {"symbol": symbol, "start": start, "trips": trips, "step": step, "constants": 0}
        return lambda value: outer.emit(loop, [value], {"body": program, **attrs})

    top = Builder()
    x = top.input(ArrayType(F8, (50, 60)), "x")
    for _ in range(draw(st.integers(1, 2))):
        (x,) = build(top, draw(st.integers(0, 2)), [])(x)
    return top.build([x], "random")


@given(loops())
def test_random_loops_read_back(graph: Graph) -> None:
    text = show(graph)
    again = parse(text)
    assert show(again) == text
    assert again == graph
    assert again.fingerprint == graph.fingerprint
    assert verify(again) is again
    assert show(parse(show(graph, canonical=True)), canonical=True) == show(graph, canonical=True)


@given(loops())
def test_what_is_read_back_has_the_same_bounds(graph: Graph) -> None:
    found, expected = (list(_bounds(g)) for g in (parse(show(graph)), graph))
    assert found == expected


def _bounds(graph: Graph) -> Any:
    for node in graph.nodes:
        symbol = node.attrs.get("symbol")
        if symbol is not None:
            yield lower_bound(symbol_dim(symbol)), upper_bound(symbol_dim(symbol))
        for region in node.regions():
            yield from _bounds(region)


@pytest.mark.parametrize("seed", range(20))
def test_nests_read_back_and_compute_the_same(seed: int) -> None:
    graph = nest(seed)
    again = verify(parse(show(graph, data=True)))
    x = np.random.default_rng(seed).uniform(0.3, 1.0, graph.inputs[0].type.shape)
    for a, b in zip(evaluate(graph, x), evaluate(again, x), strict=True):
        assert np.array_equal(a, b)


PAIR = """
graph @pair(%x: f64[4]) -> (f64[4]) {
  %0: f64[4] = loop[symbol=i, start=0, trips=4, step=1, constants=0](%x) {
    body = graph @body(%x: f64[4]) -> (f64[4]) {
      %0: f64[] = getitem[index=(i,)](%x)
      %1: f64[4] = update[index=(3-i,)](%x, %0)
      return %1
    }
  }
  return %0
}
"""


def test_an_index_outside_its_loop_is_an_error() -> None:
    graph = parse(PAIR)
    body = graph.nodes[0].attrs["body"]
    with pytest.raises(GraphError, match="i, the index of no loop around it"):
        verify(body)
    assert verify(body, frozenset({graph.nodes[0].attrs["symbol"]})) is body


def test_an_index_of_another_loop_is_an_error() -> None:
    graph = parse(PAIR)
    (node,) = graph.nodes
    attrs = {**node.attrs, "symbol": Symbol("k", 0, 3)}
    other = Graph(
        graph.inputs, (type(node)(node.op, node.inputs, node.outputs, attrs),), graph.outputs
    )
    with pytest.raises(GraphError, match="the index of no loop around it"):
        verify(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("constants=0](%x)", "constants=1](%x)"), "do not fit"),
        (("return %1", "return %0"), "do not fit"),
        (("trips=4", "trips=k"), "not an extent"),
        (("%0: f64[4] = loop", "%0: f64[5] = loop"), "declares"),
        (("index=(3-i,)", "index=(i*i,)"), "not affine"),
    ],
)
def test_a_loop_that_does_not_fit_together_is_an_error(
    change: tuple[str, str], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        verify(parse(PAIR.replace(*change)))


def test_a_symbol_is_named_once_in_a_text() -> None:
    """Two loops that follow each other over one symbol share its name; others get numbers."""
    graph = parse(PAIR)
    (node,) = graph.nodes
    twice = Builder()
    x = twice.input(graph.inputs[0].type, "x")
    (y,) = twice.emit(node.op, [x], node.attrs)
    (z,) = twice.emit(node.op, [y], node.attrs)
    fresh = parse(PAIR).nodes[0]
    (w,) = twice.emit(fresh.op, [z], fresh.attrs)
    text = show(twice.build([w]))
    assert text.count("symbol=i,") == 2
    assert text.count("symbol=i_1,") == 1
    again = parse(text)
    assert again.nodes[0].attrs["symbol"] is again.nodes[1].attrs["symbol"]
    assert show(again) == text
