"""Operands and results of regions."""

from __future__ import annotations

from collections import Counter

from adgraph.ir.prune import prune
from adgraph.passes.interface import interface
from tests.passes.loops import assert_same, names, program, region

UNCHANGED = program("""
graph @f(%x: f64[4], %y: f64[4]) -> (f64[4], f64[4]) {
  %a: f64[4], %b: f64[4] = loop[FIVE, constants=0](%x, %y) {
    body = graph @body(%a: f64[4], %b: f64[4]) -> (f64[4], f64[4]) {
      %0: f64[4] = multiply(%b, %a)
      return %a, %0
    }
  }
  return %a, %b
}
""")


def test_a_variable_that_no_trip_changes_becomes_a_constant() -> None:
    hits: Counter[str] = Counter()
    after = interface(UNCHANGED, hits)
    node = region(after)
    assert node.attrs["constants"] == 1
    assert after.outputs == (after.inputs[0], node.outputs[0])
    assert hits["carry unchanged"] == 1
    assert_same(UNCHANGED, after)


EQUAL = program(
    """
graph @f(%x: f64[4], %k: f64[]) -> (f64[4], f64[4], f64[4]) {
  %a: f64[4], %b: f64[4], %c: f64[4] = loop[FIVE, constants=2](%k, %k, %x, %x, %x) {
    body = graph @body(%k: f64[], %l: f64[], %a: f64[4], %b: f64[4], %c: f64[4]) -> (T, T, T) {
      %0: f64[4] = multiply(%a, %k)
      %1: f64[4] = multiply(%b, %l)
      %2: f64[4] = add(%c, %l)
      return %0, %1, %2
    }
  }
  return %a, %b, %c
}
""".replace("T, T, T", "f64[4], f64[4], f64[4]").replace("multiply(%c", "add(%c")
)


def test_a_constant_given_twice_is_given_once() -> None:
    node = region(interface(EQUAL))
    assert node.attrs["constants"] == 1


def test_variables_that_start_and_change_equally_become_one() -> None:
    text = str(EQUAL).replace("%2: f64[4] = add", "%2: f64[4] = multiply")
    same = program(text)
    after = interface(same)
    assert len(region(after).outputs) == 1
    assert len(set(after.outputs)) == 1
    assert_same(same, after)
    assert len(region(interface(EQUAL)).outputs) == 3
    assert_same(EQUAL, interface(EQUAL))


WHILE = program("""
graph @f(%x: f64[], %k: f64[], %m: f64[]) -> (f64[], f64[]) {
  %2: f64[] = const[value=2.0]()
  %a: f64[], %b: f64[] = while[symbol=t, constants=2, capacity=None](%k, %2, %m, %x) {
    test = graph @test(%k: f64[], %c: f64[], %a: f64[], %b: f64[]) -> (bool[]) {
      %0: f64[] = multiply(%a, %k)
      %1: bool[] = less(%b, %0)
      return %1
    }
    body = graph @body(%k: f64[], %c: f64[], %a: f64[], %b: f64[]) -> (f64[], f64[]) {
      %0: f64[] = multiply(%b, %c)
      return %a, %0
    }
  }
  return %a, %b
}
""")


def test_a_while_keeps_its_test_in_step() -> None:
    after = interface(WHILE)
    node = region(after)
    assert node.attrs["constants"] == 2  # k and a; the literal is in the body
    assert names(node.attrs["body"].nodes) == ["const", "multiply"]
    assert names(after.nodes) == ["while"]
    assert_same(WHILE, after)


ONCE = program("""
graph @f(%x: f64[6]) -> (f64[6]) {
  %a: f64[6] = loop[symbol=i, start=2, trips=3, step=1, constants=0](%x) {
    body = graph @outer(%a: f64[6]) -> (f64[6]) {
      %b: f64[6] = loop[symbol=j, start=i+1, trips=1, step=1, constants=0](%a) {
        body = graph @inner(%a: f64[6]) -> (f64[6]) {
          %0: f64[j-1] = getitem[index=(0:j-1,)](%a)
          %1: f64[] = sum[axis=(0,)](%0)
          %2: f64[6] = update[index=(j,)](%a, %1)
          return %2
        }
      }
      return %b
    }
  }
  return %a
}
""")


def test_a_loop_of_one_trip_is_written_out() -> None:
    after = interface(ONCE)
    body = region(after).attrs["body"]
    assert names(body.nodes) == ["getitem", "sum", "update"]
    assert "f64[i]" in str(body)
    assert_same(ONCE, after)


def test_a_loop_of_no_trip_gives_what_it_takes() -> None:
    never = program(str(UNCHANGED).replace("trips=5", "trips=0"))
    assert interface(never).outputs == never.inputs


COND = program("""
graph @f(%p: bool[], %x: f64[4], %y: f64[4], %i: i64[]) -> (f64[4], f64[4], f64[4]) {
  %a: f64[4], %b: f64[4], %c: f64[4] = cond(%p, %x, %y) {
    then = graph @then(%x: f64[4], %y: f64[4]) -> (f64[4], f64[4], f64[4]) {
      %0: f64[4] = add(%x, %y)
      return %0, %y, %0
    }
    orelse = graph @orelse(%x: f64[4], %y: f64[4]) -> (f64[4], f64[4], f64[4]) {
      return %x, %y, %x
    }
  }
  return %a, %b, %c
}
""")


def test_results_that_are_operands_or_equal_leave_a_branch() -> None:
    after = interface(COND)
    assert len(region(after).outputs) == 1
    assert after.outputs[1] is after.inputs[2]
    assert after.outputs[0] is after.outputs[2]
    assert_same(COND, after)


def test_a_branch_that_is_known_is_written_out() -> None:
    text = str(COND).replace("cond(%p", "cond(%q")
    head = "(f64[4], f64[4], f64[4]) {\n"
    known = program(text.replace(head, f"{head}  %q: bool[] = const[value=False]()\n", 1))
    after = interface(known)
    assert after.nodes == ()
    assert_same(known, after)


def test_a_second_time_changes_nothing() -> None:
    for graph in (UNCHANGED, EQUAL, WHILE, ONCE, COND):
        once = interface(graph)
        assert interface(once) is once
        assert prune(once) is once
