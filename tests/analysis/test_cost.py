from __future__ import annotations

import numpy as np

from adgraph.analysis.cost import KERNEL_SECONDS, NOTHING, graph_cost, node_cost
from adgraph.ir.builder import Builder
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind, Op
from adgraph.ir.parse import parse
from adgraph.ir.types import ArrayType
from adgraph.ops import elementwise, linalg, reduction, shape


def matrix(n: int) -> ArrayType:
    return ArrayType(np.dtype(float), (n, n))


def single(op: Op, *types: ArrayType, **attrs: object) -> Node:
    builder = Builder()
    builder.emit(op, [builder.input(t) for t in types], attrs)
    return builder.nodes[-1]


def body(links: int, n: int) -> Graph:
    builder = Builder()
    value = builder.input(matrix(n), "x")
    for _ in range(links):
        (value,) = builder.emit(elementwise.multiply, [value, value], {})
    return builder.build([value])


def region(graph: Graph, flops: float | None = None) -> Node:
    op = Op(
        name="region",
        kind=Kind.REGION,
        evaluate=lambda x, *, body: x,
        infer=lambda x, *, body: x,
        flops=None if flops is None else lambda x, *, body: flops,
    )
    return single(op, graph.inputs[0].type, body=graph)


def test_a_matrix_product_counts_two_operations_for_every_term() -> None:
    cost = node_cost(single(linalg.matmul, matrix(100), matrix(100)))
    assert cost.flops == 2e6
    assert cost.bytes_read == 160_000
    assert cost.bytes_written == 80_000


def test_views_cost_nothing() -> None:
    assert node_cost(single(shape.transpose, matrix(100), axes=(1, 0))) == NOTHING


def test_a_small_kernel_costs_its_overhead() -> None:
    seconds = node_cost(single(elementwise.add, matrix(1), matrix(1))).seconds
    assert KERNEL_SECONDS < seconds < 1.2 * KERNEL_SECONDS


def test_an_op_without_a_count_costs_one_operation_for_every_result() -> None:
    op = Op(name="odd", kind=Kind.MOVEMENT, evaluate=lambda x: x, infer=lambda x: x)
    assert node_cost(single(op, matrix(10))).flops == 100


def test_the_expression_weight_makes_an_op_dearer() -> None:
    add, divide = (
        node_cost(single(op, matrix(30), matrix(30)))
        for op in (elementwise.add, elementwise.divide)
    )
    assert divide.flops == 4 * add.flops
    assert divide.seconds > add.seconds


def test_large_products_run_at_a_higher_rate_than_small_ones() -> None:
    small, large = (node_cost(single(linalg.matmul, *[matrix(n)] * 2)) for n in (8, 512))
    assert large.flops / large.seconds > 4 * small.flops / small.seconds


def test_large_arrays_move_at_a_lower_rate_than_small_ones() -> None:
    small, large = (node_cost(single(elementwise.add, *[matrix(n)] * 2)) for n in (64, 2048))
    assert large.flops / large.seconds < small.flops / (small.seconds - KERNEL_SECONDS)


def test_a_fused_node_moves_its_operands_once_and_computes_all_links() -> None:
    graph = body(10, 500)
    fused, single_nodes = node_cost(region(graph)), graph_cost(graph)
    assert fused.flops == single_nodes.flops
    assert fused.bytes_written == 500 * 500 * 8
    assert fused.seconds < single_nodes.seconds


def test_a_region_that_counts_itself_is_believed() -> None:
    graph = body(10, 500)
    once, often = node_cost(region(graph)), node_cost(region(graph, 1000 * 10 * 250_000.0))
    assert often.flops == 1000 * once.flops
    assert often.seconds > 100 * once.seconds


def test_the_cost_of_a_graph_is_the_sum_of_its_nodes() -> None:
    graph = body(3, 10)
    node = node_cost(graph.nodes[0])
    assert graph_cost(graph).flops == 3 * node.flops
    assert graph_cost(graph).seconds == node.seconds + node.seconds + node.seconds


def test_reductions_count_every_operand() -> None:
    assert node_cost(single(reduction.reduce_sum, matrix(10), axis=(0,))).flops == 100


# --- loops and branches --------------------------------------------------------------------------

TRIANGLE = """
graph @f(%x: f64[101]) -> (f64[101]) {
  %y: f64[101] = loop[symbol=i, start=0, trips=101, step=1, constants=0](%x) {
    body = graph @body(%x: f64[101]) -> (f64[101]) {
      %0: f64[i] = getitem[index=(0:i,)](%x)
      %1: f64[i] = multiply(%0, %0)
      %2: f64[] = sum[axis=(0,)](%1)
      %3: f64[101] = update[index=(i,)](%x, %2)
      return %3
    }
  }
  return %y
}
"""


def test_a_loop_costs_its_trips_at_mean_extents() -> None:
    cost = graph_cost(parse(TRIANGLE))
    products = 101 * 50
    assert cost.flops == 2 * products + 101
    assert cost.bytes_written == 8 * (products + 101 + 101)
    assert cost.seconds < 101 * 3 * KERNEL_SECONDS  # no calls inside


def test_an_inner_loop_counts_for_every_trip_of_the_outer_one() -> None:
    twice = TRIANGLE.replace("trips=101", "trips=202")
    assert graph_cost(parse(twice)).seconds > 1.9 * graph_cost(parse(TRIANGLE)).seconds
    nested = """
graph @f(%x: f64[8]) -> (f64[8]) {
  %y: f64[8] = loop[symbol=i, start=0, trips=10, step=1, constants=0](%x) {
    body = graph @outer(%x: f64[8]) -> (f64[8]) {
      %z: f64[8] = loop[symbol=j, start=0, trips=i, step=1, constants=0](%x) {
        body = graph @inner(%x: f64[8]) -> (f64[8]) {
          %0: f64[8] = multiply(%x, %x)
          return %0
        }
      }
      return %z
    }
  }
  return %y
}
"""
    assert graph_cost(parse(nested)).flops == 8 * 45


BRANCH = """
graph @f(%p: bool[], %x: f64[1000]) -> (f64[1000]) {
  %y: f64[1000] = cond(%p, %x) {
    then = graph @then(%x: f64[1000]) -> (f64[1000]) {
      %0: f64[1000] = exp(%x)
      return %0
    }
    orelse = graph @orelse(%x: f64[1000]) -> (f64[1000]) {
      return %x
    }
  }
  return %y
}
"""


def test_a_branch_costs_its_dearer_program() -> None:
    branch = parse(BRANCH)
    taken = branch.nodes[0].attrs["then"]
    assert graph_cost(branch).flops == graph_cost(taken).flops


def test_a_loop_of_unknown_length_costs_more_than_one_trip() -> None:
    text = """
graph @f(%n: i64[], %x: f64[1000]) -> (f64[1000]) {
  %y: f64[1000] = counted[symbol=t, constants=0, reverse=False, capacity=CAP](%n, %x) {
    body = graph @body(%x: f64[1000]) -> (f64[1000]) {
      %0: f64[1000] = multiply(%x, %x)
      return %0
    }
  }
  return %y
}
"""
    costs = [graph_cost(parse(text.replace("CAP", cap))) for cap in ("None", "4")]
    assert [c.flops for c in costs] == [32_000, 4000]
