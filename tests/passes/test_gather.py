"""Sums of shifted slices become one pass where that pays, and nowhere else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.passes.boxes import extents
from adgraph.passes.gather import gather
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.transforms.vjp import vjp
from tests.passes.loops import assert_same, names, program, region
from tests.strategies import graph_of

GRID = np.random.default_rng(0).standard_normal((9, 8))


def gradient(function: Any, *args: Any) -> tuple[Graph, Graph]:
    """The joint program, and what the passes make of it."""
    canonical, _ = run_pipeline(graph_of(function, *args), CANONICAL)
    joint = vjp(canonical, [0], unit_seed=True)
    return joint, run_pipeline(joint, FINAL, verify=True)[0]


def five_points(x: Any) -> Any:
    inner = x[1:-1, 1:-1]
    laplacian = x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2] - 4 * inner
    return np.sum(np.sin(laplacian))


def differences(x: Any) -> Any:
    return np.sum((x[1:] - x[:-1]) ** 2)


def wide(x: Any) -> Any:
    return np.sum(np.exp(x[3:, 2:] - 0.5 * x[:-3, :-2]) + x[3:, 2:])


def over_a_base(x: Any) -> Any:
    return np.sum(np.sin(x[1:-1] - x[:-2])) + np.sum(np.cos(x))


def test_the_gradient_of_many_points_reads_one_padded_value() -> None:
    joint, final = gradient(five_points, GRID)
    ops = Counter(names(final.nodes))
    assert ops["place"] == 1
    assert ops["add_at"] == 0
    assert_same(joint, final, exact=False)


@pytest.mark.parametrize(("function", "middle"), [(differences, 28), (over_a_base, 27)])
def test_the_gradient_of_differences_is_one_sum_and_its_ends(function: Any, middle: int) -> None:
    joint, final = gradient(function, np.random.default_rng(0).standard_normal((30, 8)))
    boxes = [extents(n.attrs["index"]) for n in final.nodes if n.op.name in ("place", "add_at")]
    assert Counter(size[0] for size in boxes) == {1: 2, middle: 1}
    assert_same(joint, final, exact=False)


def test_cheap_values_are_computed_where_they_are_added() -> None:
    _, final = gradient(differences, np.arange(30.0))
    (middle,) = (n for n in final.nodes if n.op.name == "place")
    assert middle.inputs[0].type.shape == (28,)
    longer = [n for n in final.nodes if n.op.name == "subtract" and n.output.type.shape == (29,)]
    (square,) = (n for n in final.nodes if n.op.name == "square")
    assert square.inputs == (longer[0].output,)
    readers = [n for n in final.nodes if longer[0].output in n.inputs]
    assert readers == [square]


def test_equal_multiples_are_added_before_they_are_scaled() -> None:
    _, final = gradient(five_points, GRID)
    (padded,) = (n for n in final.nodes if n.op.name == "place")
    views = [n.output for n in final.nodes if padded.output in n.inputs]
    scaled = [n for n in final.nodes if n.op.name == "multiply" and set(views) & set(n.inputs)]
    assert len(views) == 5
    assert len(scaled) == 1


def test_gradients_of_rolls_are_rolls_the_other_way() -> None:
    def around(x: Any) -> Any:
        return np.sum(np.sin(x) * (np.roll(x, 1, 0) + np.roll(x, -1, 0) - np.roll(x, 2, 1)))

    joint, final = gradient(around, np.random.default_rng(0).standard_normal((20, 17)))
    ops = Counter(names(final.nodes))
    assert ops["concatenate"] == 6
    assert ops["add_at"] == ops["place"] == 0
    assert_same(joint, final, exact=False)


def test_values_that_differ_are_not_gathered() -> None:
    def function(x: Any) -> Any:
        return np.sum(np.sin(x[1:])) + np.sum(np.cos(x[:-1]))

    joint, final = gradient(function, GRID[0])
    assert "place" in names(final.nodes)
    assert "add_at" in names(final.nodes)
    assert_same(joint, final, exact=False)


def test_far_shifts_are_not_gathered() -> None:
    def function(x: Any) -> Any:
        return np.sum(np.sin(x[6:] - x[:3]))

    joint, final = gradient(function, GRID[:, 0])
    hits: Counter[str] = Counter()
    gather(final, hits)
    assert not hits
    assert_same(joint, final, exact=False)


SWEEP = """
graph @f(%x: f64[N,N], %y: f64[N,N]) -> (f64[N,N]) {
  %a: f64[N,N] = loop[FIVE, constants=1](%x, %y) {
    body = graph @body(%x: f64[N,N], %y: f64[N,N]) -> (f64[N,N]) {
      %0: f64[M,M] = getitem[index=(1:K, 1:K)](%x)
      %1: f64[N,N] = add_at[index=(0:M, 1:K)](%y, %0)
      %2: f64[M,M] = negative(%0)
      %3: f64[N,N] = add_at[index=(2:N, 1:K)](%1, %2)
      %4: f64[N,N] = add_at[index=(1:K, 0:M)](%3, %0)
      return %4
    }
  }
  return %a
}
"""


def sweep(n: int) -> Graph:
    sizes = {"N": n, "M": n - 2, "K": n - 1}
    text = SWEEP.replace("FIVE", "symbol=i, start=0, trips=2, step=1")
    for letter, number in sizes.items():
        text = text.replace(letter, str(number))
    return program(text)


def test_in_a_loop_only_large_slices_are_gathered() -> None:
    hits: Counter[str] = Counter()
    small = sweep(10)
    assert gather(small, hits) is small
    assert not hits
    large = sweep(80)
    body = region(gather(large, hits)).attrs["body"]
    assert hits["stencil"] == 1
    boxes = [extents(n.attrs["index"]) for n in body.nodes if n.op.name == "add_at"]
    assert boxes[0] == (76, 77)
    assert all(min(sizes) <= 2 for sizes in boxes[1:])
    assert_same(large, gather(large), exact=False)


ROWS = """
graph @f(%x: f64[9,5000], %y: f64[9,5000]) -> (f64[9,5000]) {
  %a: f64[9,5000] = loop[symbol=i, start=1, trips=7, step=1, constants=1](%x, %y) {
    body = graph @body(%x: f64[9,5000], %y: f64[9,5000]) -> (f64[9,5000]) {
      %0: f64[4998] = getitem[index=(i, 1:4999)](%x)
      %1: f64[9,5000] = add_at[index=(i, 0:4998)](%y, %0)
      %2: f64[9,5000] = add_at[index=(i, 1:4999)](%1, %0)
      %3: f64[9,5000] = add_at[index=(i, 2:5000)](%2, %0)
      %4: f64[9,5000] = add_at[index=(i+1, 1:4999)](%3, %0)
      return %4
    }
  }
  return %a
}
"""


def test_slices_of_one_row_are_gathered_and_other_rows_stay() -> None:
    graph = program(ROWS)
    after = gather(graph)
    body = region(after).attrs["body"]
    boxes = [extents(n.attrs["index"])[1] for n in body.nodes if n.op.name == "add_at"]
    assert Counter(boxes) == {4996: 1, 4998: 1, 1: 2, 2: 2}
    assert_same(graph, after, exact=False)


def test_infinite_factors_do_not_reach_the_margin() -> None:
    def function(x: Any) -> Any:
        r = np.inf * (x[1:] - x[:-1])
        return np.sum(r)

    with np.errstate(all="ignore"):
        joint, final = gradient(function, np.arange(6.0))
        for a, b in zip(
            evaluate(joint, np.arange(6.0)), evaluate(final, np.arange(6.0)), strict=True
        ):
            np.testing.assert_array_equal(a, b)
