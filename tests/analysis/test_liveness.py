from __future__ import annotations

from typing import Any

import numpy as np

import adgraph
from adgraph.analysis.liveness import buffer_bytes, residuals, roots
from adgraph.errors import Location
from adgraph.ir.builder import Builder
from adgraph.ir.graph import Origin
from adgraph.ir.parse import parse
from adgraph.ir.types import ArrayType, Slice
from adgraph.ops import elementwise, reduction, shape

MATRIX = ArrayType(np.dtype(float), (4, 4))
TOP = (Slice(0, 2, 1), Slice(0, 4, 1))


def test_a_chain_of_views_has_the_buffer_of_its_first_operand() -> None:
    builder = Builder()
    x = builder.input(MATRIX, "x")
    (turned,) = builder.emit(shape.transpose, [x], {"axes": (1, 0)})
    (top,) = builder.emit(shape.getitem, [turned], {"index": TOP})
    (y,) = builder.emit(elementwise.square, [top], {})
    (flat,) = builder.emit(shape.reshape, [y], {"shape": (8,)})
    assert roots(builder.build([flat])) == {x: x, turned: x, top: x, y: y, flat: y}


def test_residuals_are_computed_by_the_primal_program_and_read_by_its_derivative() -> None:
    builder = Builder()
    line = Location("model.py", 3)
    x = builder.input(MATRIX, "x")
    (y,) = builder.emit(elementwise.square, [x], {}, Origin(line))
    (z,) = builder.emit(elementwise.square, [y], {})
    (total,) = builder.emit(reduction.reduce_sum, [z], {"axis": (0, 1)})
    (turned,) = builder.emit(shape.transpose, [y], {"axes": (1, 0)}, Origin(order=1))
    (ct,) = builder.emit(elementwise.multiply, [turned, x], {}, Origin(order=1))
    (residual,) = residuals(builder.build([total, ct]))
    assert residual.value is y
    assert residual.nbytes == 128
    assert residual.location == line
    assert str(residual).startswith("f64[4,4] of square, 128 bytes, model.py:3")


def test_buffers_take_whole_cache_lines() -> None:
    sizes = [buffer_bytes(ArrayType(np.dtype("f4"), (n,))) for n in (0, 1, 16, 17)]
    assert sizes == [0, 64, 64, 128]


CONTROL = """
graph @f(%p: bool[], %n: i64[], %x: f64[4]) -> (f64[4], f64[4]) {
  %a: f64[4] = while[symbol=t, constants=0, capacity=None](%x) {
    test = graph @test(%x: f64[4]) -> (bool[]) {
      %0: f64[] = getitem[index=(0,)](%x)
      %1: f64[] = const[value=3.0]()
      %2: bool[] = less(%0, %1)
      return %2
    }
    body = graph @body(%x: f64[4]) -> (f64[4]) {
      %0: f64[4] = add(%x, %x)  # order=0
      return %0
    }
  }
  %b: f64[4] = cond(%p, %a) {  # order=1
    then = graph @then(%a: f64[4]) -> (f64[4]) {
      %0: f64[4] = sin(%a)  # order=1
      return %0
    }
    orelse = graph @orelse(%a: f64[4]) -> (f64[4]) {
      return %a
    }
  }
  %c: f64[4] = counted[symbol=s, constants=0, reverse=True, capacity=None](%n, %b) {  # order=1
    body = graph @body(%x: f64[4]) -> (f64[4]) {
      %0: f64[4] = add(%x, %x)  # order=1
      return %0
    }
  }
  return %a, %c
}
"""


def test_what_a_backward_branch_reads_of_a_primal_loop_is_kept() -> None:
    graph = parse(CONTROL)
    (residual,) = residuals(graph)
    assert residual.value is graph.outputs[0]
    assert residual.node.op.name == "add"


def test_a_residual_says_why_it_is_kept() -> None:
    def f(x: Any, w: Any) -> Any:
        return np.sum(np.maximum(np.tanh(x @ w) @ w, 0.0) @ w)

    x, w = np.ones((64, 32)), np.ones((32, 32))
    kept = adgraph.value_and_grad(f, argnums=(0, 1)).explain(x, w).residuals
    assert "(matmul takes longer than to read its result)" in kept[0]
    assert "of maximum" in kept[-1]
    assert "(matmul reads it from memory)" in kept[-1]


def test_what_a_kernel_of_both_programs_reads_is_not_kept_for_it() -> None:
    def f(x: Any, w: Any) -> Any:
        return np.sum((x @ w) ** 2)

    x, w = np.ones((64, 32)), np.ones((32, 32))
    assert adgraph.value_and_grad(f).explain(x, w).residual_bytes == 0
