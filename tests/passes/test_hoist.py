"""What leaves loops, and what must stay."""

from __future__ import annotations

from collections import Counter

import numpy as np

from adgraph.ir.evaluate import evaluate
from adgraph.passes.hoist import hoist
from tests.passes.loops import assert_same, names, program, region

INVARIANT = program("""
graph @f(%a: f64[4], %b: f64[4,4], %x: f64[4]) -> (f64[4]) {
  %y: f64[4] = loop[FIVE, constants=2](%a, %b, %x) {
    body = graph @body(%a: f64[4], %b: f64[4,4], %x: f64[4]) -> (f64[4]) {
      %0: f64[4] = sum[axis=(0,)](%b)
      %1: f64[4] = add(%a, %a)
      %2: f64[4] = exp(%1)
      %3: f64[4] = multiply(%x, %0)
      %4: f64[4] = multiply(%3, %2)
      %5: f64[i] = getitem[index=(0:i,)](%a)
      %6: f64[] = sum[axis=(0,)](%5)
      %7: f64[4] = add(%4, %6)
      %8: f64[4] = add(%7, %1)
      return %8
    }
  }
  return %y
}
""")


def test_what_is_worth_an_array_leaves_the_loop_with_what_it_needs() -> None:
    hits: Counter[str] = Counter()
    after = hoist(INVARIANT, hits)
    assert names(after.nodes) == ["sum", "add", "exp", "loop"]
    inside = names(region(after).attrs["body"].nodes)
    assert inside == ["add", "multiply", "multiply", "getitem", "sum", "add", "add"]
    assert hits["hoisted"] == 2
    assert_same(INVARIANT, after)
    assert hoist(after) is after


NESTED = program("""
graph @f(%a: f64[6], %x: f64[6]) -> (f64[6]) {
  %y: f64[6] = loop[FIVE, constants=1](%a, %x) {
    body = graph @outer(%a: f64[6], %x: f64[6]) -> (f64[6]) {
      %z: f64[6] = loop[symbol=j, start=0, trips=i, step=1, constants=1](%a, %x) {
        body = graph @inner(%a: f64[6], %x: f64[6]) -> (f64[6]) {
          %0: f64[i+1] = getitem[index=(0:i+1,)](%a)
          %1: f64[] = sum[axis=(0,)](%0)
          %2: f64[] = sum[axis=(0,)](%a)
          %3: f64[] = add(%1, %2)
          %4: f64[6] = update[index=(j,)](%x, %3)
          return %4
        }
      }
      return %z
    }
  }
  return %y
}
""")


def test_a_node_leaves_the_loops_whose_index_it_does_not_mention() -> None:
    after = hoist(NESTED)
    assert names(after.nodes) == ["sum", "loop"]
    outer = region(after).attrs["body"]
    assert names(outer.nodes) == ["getitem", "sum", "loop"]
    assert names(region(outer).attrs["body"].nodes) == ["add", "update"]
    assert_same(NESTED, after)


FAILING = program("""
graph @f(%a: f64[2,2], %x: f64[2], %i: i64[3], %y: f64[3]) -> (f64[2], f64[3]) {
  %b: f64[2], %c: f64[3] = loop[symbol=k, start=0, trips=0, step=1, constants=2](%a, %i, %x, %y) {
    body = graph @body(%a: f64[2,2], %i: i64[3], %x: f64[2], %y: f64[3]) -> (f64[2], f64[3]) {
      %0: f64[2,2] = cholesky(%a)
      %1: f64[2] = sum[axis=(0,)](%0)
      %2: f64[2] = add(%x, %1)
      %3: f64[2] = sum[axis=(0,)](%a)
      %4: f64[3] = take[axis=0](%3, %i)
      %5: f64[3] = add(%y, %4)
      return %2, %5
    }
  }
  return %b, %c
}
""")


def test_what_can_fail_stays() -> None:
    after = hoist(FAILING)
    assert names(after.nodes) == ["sum", "loop"]
    inside = names(region(after).attrs["body"].nodes)
    assert inside == ["cholesky", "sum", "add", "take", "add"]
    args = (-np.eye(2), np.ones(2), np.array([7, 8, 9]), np.ones(3))
    for result in evaluate(after, *args):
        assert np.all(result == 1)


TABLES = program("""
graph @f(%p: bool[], %x: f64[2]) -> (f64[2]) {
  %y: f64[2] = cond(%p, %x) {
    then = graph @then(%x: f64[2]) -> (f64[2]) {
      %0: f64[2] = const[value=[1.0, 2.0]]()
      %1: f64[2] = add(%x, %0)
      return %1
    }
    orelse = graph @orelse(%x: f64[2]) -> (f64[2]) {
      %0: f64[2] = const[value=[3.0, 4.0]]()
      %1: f64[] = const[value=2.0]()
      %2: f64[2] = multiply(%0, %1)
      return %2
    }
  }
  return %y
}
""")


def test_arrays_leave_branches_and_nothing_else_does() -> None:
    after = hoist(TABLES)
    assert names(after.nodes) == ["const", "const", "cond"]
    branches = [names(r.nodes) for r in region(after).regions()]
    assert branches == [["add"], ["const", "multiply"]]
    assert_same(TABLES, after)
