"""Pruning: what is removed, what must stay, and that values do not change."""

from __future__ import annotations

import numpy as np
import pytest

import adgraph.ops.control
import adgraph.ops.elementwise  # noqa: F401  parse knows the ops that are imported
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ir.prune import Needs, prune
from adgraph.ir.verify import verify

# A chain of carries: c reads b, b reads a, d reads itself alone; k is read by d only.
CHAIN = parse(
    """
graph @chain(%x: T, %k: T) -> (T, T, T, T) {
  %a: T, %b: T, %c: T, %d: T = loop[HEAD, constants=2](%x, %k, %x, %x, %x, %x) {
    body = graph @body(%p: T, %q: T, %a: T, %b: T, %c: T, %d: T) -> (T, T, T, T) {
      %0: T = add(%a, %p)
      %1: T = add(%b, %a)
      %2: T = add(%c, %b)
      %3: T = multiply(%d, %q)
      return %0, %1, %2, %3
    }
  }
  return %a, %b, %c, %d
}
""".replace("T", "f64[3]").replace("HEAD", "symbol=i, start=0, trips=5, step=1")
)


def returning(graph: Graph, *wanted: int) -> Graph:
    """Return the graph of some of the results of its only node."""
    (node,) = graph.nodes
    return Graph(graph.inputs, graph.nodes, tuple(node.outputs[i] for i in wanted), graph.name)


def arrays(graph: Graph) -> list[np.ndarray]:
    return [
        np.asarray(1.5 + np.arange(v.type.size), v.type.dtype).reshape(v.type.shape)
        for v in graph.inputs
    ]


@pytest.mark.parametrize(
    ("wanted", "carried", "constants"),
    [((0,), 1, 1), ((1,), 2, 1), ((2,), 3, 1), ((3,), 1, 1), ((0, 3), 2, 2), ((0, 1, 2, 3), 4, 2)],
)
def test_a_loop_keeps_the_carries_on_which_its_results_depend(
    wanted: tuple[int, ...], carried: int, constants: int
) -> None:
    graph = returning(CHAIN, *wanted)
    pruned = verify(prune(graph))
    (node,) = pruned.nodes
    assert len(node.outputs) == carried
    assert node.attrs["constants"] == constants
    assert len(node.inputs) == carried + constants
    for a, b in zip(evaluate(graph, *arrays(graph)), evaluate(pruned, *arrays(graph)), strict=True):
        assert np.array_equal(a, b)


def test_a_graph_that_needs_everything_is_returned_as_it_is() -> None:
    assert prune(CHAIN) is CHAIN


WHILE = """
graph @run(%x: f64[], %k: f64[]) -> (f64[]) {
  %a: f64[], %b: f64[], %c: f64[] = while[symbol=t, constants=1, capacity=None](%k, %x, %x, %x) {
    test = graph @test(%k: f64[], %a: f64[], %b: f64[], %c: f64[]) -> (bool[]) {
      %0: bool[] = less(%a, %k)
      return %0
    }
    body = graph @body(%k: f64[], %a: f64[], %b: f64[], %c: f64[]) -> (f64[], f64[], f64[]) {
      %0: f64[] = add(%a, %a)
      %1: f64[] = sin(%b)
      %2: f64[] = sin(%c)
      return %0, %1, %2
    }
  }
  return %b
}
"""


def test_a_while_keeps_what_its_test_reads() -> None:
    pruned = verify(prune(parse(WHILE)))
    (node,) = pruned.nodes
    assert len(node.outputs) == 2
    assert node.attrs["constants"] == 1
    assert evaluate(pruned, 1.0, 10.0) == evaluate(parse(WHILE), 1.0, 10.0)


COUNTED = """
graph @run(%n: i64[], %x: f64[], %y: f64[]) -> (f64[]) {
  %a: f64[], %b: f64[] = counted[HEAD](%n, %y, %x, %x) {
    body = graph @body(%y: f64[], %a: f64[], %b: f64[]) -> (f64[], f64[]) {
      %0: f64[] = add(%a, %a)
      %1: f64[] = add(%b, %y)
      return %0, %1
    }
  }
  return %a
}
""".replace("HEAD", "symbol=t, constants=1, reverse=False, capacity=None")


def test_a_counted_loop_keeps_the_number_of_its_trips() -> None:
    pruned = verify(prune(parse(COUNTED)))
    (node,) = pruned.nodes
    assert node.inputs == (pruned.inputs[0], pruned.inputs[1])
    assert node.attrs["constants"] == 0
    assert evaluate(pruned, 3, 1.0, 5.0)[0] == 8


BRANCHES = """
graph @branch(%p: bool[], %x: f64[], %y: f64[], %z: f64[]) -> (f64[]) {
  %a: f64[], %b: f64[] = cond(%p, %x, %y, %z) {
    then = graph @then(%x: f64[], %y: f64[], %z: f64[]) -> (f64[], f64[]) {
      %0: f64[] = sin(%x)
      return %0, %y
    }
    orelse = graph @orelse(%x: f64[], %y: f64[], %z: f64[]) -> (f64[], f64[]) {
      return %z, %x
    }
  }
  return %a
}
"""


def test_a_cond_loses_results_and_operands() -> None:
    graph = parse(BRANCHES)
    pruned = verify(prune(graph))
    (node,) = pruned.nodes
    assert len(node.outputs) == 1
    assert node.inputs == (graph.inputs[0], graph.inputs[1], graph.inputs[3])
    for p in (True, False):
        assert evaluate(pruned, p, 1.0, 2.0, 3.0) == evaluate(graph, p, 1.0, 2.0, 3.0)


NESTED = """
graph @nested(%x: f64[4]) -> (f64[4]) {
  %a: f64[4], %b: f64[4] = loop[symbol=i, start=0, trips=4, step=1, constants=0](%x, %x) {
    body = graph @outer(%a: f64[4], %b: f64[4]) -> (f64[4], f64[4]) {
      %c: f64[4], %d: f64[4] = loop[symbol=j, start=0, trips=i, step=1, constants=0](%a, %b) {
        body = graph @inner(%c: f64[4], %d: f64[4]) -> (f64[4], f64[4]) {
          %0: f64[4] = sin(%c)
          %1: f64[4] = cos(%d)
          return %0, %1
        }
      }
      return %c, %d
    }
  }
  return %a
}
"""


def test_carries_die_through_nested_loops() -> None:
    graph = parse(NESTED)
    pruned = verify(prune(graph))
    (outer,) = pruned.nodes
    (inner,) = outer.attrs["body"].nodes
    assert len(outer.outputs) == len(inner.outputs) == 1
    x = np.arange(4.0)
    assert np.array_equal(evaluate(pruned, x), evaluate(graph, x))


def test_needs_are_bits_of_inputs() -> None:
    assert Needs().outputs(CHAIN) == (0b001, 0b001, 0b001, 0b011)
    assert Needs().outputs(parse(NESTED)) == (1,)
