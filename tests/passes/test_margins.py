"""Arrays that a loop places boxes into are carried, and their zeros are written once."""

from __future__ import annotations

from collections import Counter

import numpy as np

import adgraph
from adgraph.ir.graph import Graph
from adgraph.passes.margins import margins
from tests.passes.loops import assert_same, names, program, region

TWICE = """
graph @f(%x: f64[9,9]) -> (f64[9,9]) {
  %a: f64[9,9] = loop[FIVE, constants=0](%x) {
    body = graph @body(%x: f64[9,9]) -> (f64[9,9]) {
      %0: f64[9,9] = cos(%x)
      %1: f64[11,11] = place[index=(1:10, 1:10), shape=(11, 11)](%0)
      %2: f64[9,9] = getitem[index=(0:9, 1:10)](%1)
      %3: f64[9,9] = add(%x, %2)
      %4: f64[11,11] = place[index=(1:10, 1:10), shape=(11, 11)](%3)
      %5: f64[9,9] = getitem[index=(2:11, 1:10)](%4)
      %6: f64[9,9] = subtract(%3, %5)
      return %6
    }
  }
  return %a
}
"""


def test_boxes_that_follow_each_other_share_one_array() -> None:
    hits: Counter[str] = Counter()
    before = program(TWICE)
    after = margins(before, hits)
    loop = region(after)
    assert hits == {"margin written once": 1}
    assert len(loop.outputs) == 2
    assert Counter(names(loop.attrs["body"].nodes))["place"] == 0
    assert Counter(names(loop.attrs["body"].nodes))["update"] == 2
    assert_same(before, after)


def test_boxes_that_are_read_together_have_arrays_of_their_own() -> None:
    text = TWICE.replace("add(%x, %2)", "sin(%x)").replace("(%3, %5)", "(%2, %5)")
    before = program(text)
    after = margins(before)
    assert len(region(after).outputs) == 3
    assert_same(before, after)


def test_an_array_that_leaves_the_trip_is_placed_anew() -> None:
    text = TWICE.replace("shape=(11, 11)](%3)", "shape=(11, 11)](%3)\n      %7: f64[9,9] = cos(%3)")
    carried = text.replace(
        "(%x: f64[9,9]) -> (f64[9,9])", "(%x: f64[9,9], %y: f64[11,11]) -> (f64[9,9], f64[11,11])"
    )
    carried = (
        carried.replace("return %6", "return %6, %4")
        .replace("%a: f64[9,9] =", "%a: f64[9,9], %b: f64[11,11] =")
        .replace("](%x) {", "](%x, %y) {")
    )
    before = program(carried.replace("return %a", "return %a, %b"))
    after = margins(before)
    body = region(after).attrs["body"]
    assert Counter(names(body.nodes))["place"] == 1
    assert_same(before, after)


def test_few_trips_and_moving_boxes_stay() -> None:
    def kept(graph: Graph) -> bool:
        return margins(graph) is graph

    assert kept(program(TWICE.replace("FIVE", "symbol=i, start=0, trips=2, step=1")))
    assert kept(
        program(
            TWICE.replace("index=(1:10, 1:10), shape", "index=(i:i+9, 1:10), shape")
            .replace("11, 11", "14, 11")
            .replace("11,11", "14,11")
        )
    )


def test_a_program_may_run_again_with_other_arguments() -> None:
    @adgraph.trace
    def sweeps(u):  # type: ignore[no-untyped-def]
        u = u.copy()
        v = u.copy()
        for _ in range(6):
            v[1:-1, 1:-1] = u[2:, 1:-1] * u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
            u[1:-1, 1:-1] = v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] * v[1:-1, :-2] + v[1:-1, 1:-1]
        return np.sum(u)

    rng = np.random.default_rng(0)
    for _ in range(3):
        u, d = 0.3 * rng.standard_normal((2, 24, 24))
        slope = np.vdot(sweeps.grad(u), d)
        step = 1e-6
        expected = (sweeps(u + step * d) - sweeps(u - step * d)) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-5)
