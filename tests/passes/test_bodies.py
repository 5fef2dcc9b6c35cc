"""Rules in the bodies of loops: they hold for all values of the indices, or do not apply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph
from adgraph.ir.substitute import resolve
from adgraph.ir.types import Index, Slice, native_index
from adgraph.passes.boxes import disjoint, relative, whole
from adgraph.passes.cleanup import cse, fold
from adgraph.passes.pipeline import CANONICAL, run_pipeline
from adgraph.passes.simplify import simplify
from tests.passes.loops import assert_same, names, program, region

# --- boxes against enumeration -------------------------------------------------------------------

I = Symbol("i", 1, 5)  # noqa: E741
J = Symbol("j", 0, symbol_dim(I) - 1)
POINTS = [(i, j) for i in range(1, 6) for j in range(i)]


@st.composite
def dims(draw: st.DrawFn) -> Dim:
    a, b = draw(st.sampled_from([0, 0, 1, -1])), draw(st.sampled_from([0, 0, 1]))
    return a * symbol_dim(I) + b * symbol_dim(J) + draw(st.integers(0, 6))


@st.composite
def entries(draw: st.DrawFn) -> Any:
    start = draw(dims())
    if draw(st.booleans()):
        return start
    return Slice(
        start, draw(dims()) - draw(st.integers(0, 6)), draw(st.sampled_from([1, 1, 2, -1]))
    )


def positions(index: Index, i: int, j: int) -> list[int]:
    """List the positions that a box of one axis has for some values of the indices."""
    (entry,) = resolve({"index": index}, {I: i, J: j})["index"]
    if not isinstance(entry, Slice):
        return [entry]
    return [entry.start + k * entry.step for k in range(entry.size)]


@given(entries(), entries())
def test_boxes_that_are_disjoint_are_so_for_all_indices(a: Any, b: Any) -> None:
    if disjoint((a,), (b,)):
        for i, j in POINTS:
            assert not set(positions((a,), i, j)) & set(positions((b,), i, j))


@given(entries(), entries())
def test_a_relative_index_selects_the_inner_box_for_all_indices(a: Any, b: Any) -> None:
    part = relative((a,), (b,))
    if part is None:
        return
    for i, j in POINTS:
        outer, inner = positions((a,), i, j), positions((b,), i, j)
        chosen = np.array(outer)[native_index(resolve({"index": part}, {I: i, J: j})["index"])]
        assert np.ravel(chosen).tolist() == inner


@given(entries(), dims())
def test_a_whole_box_is_everything_for_all_indices(a: Any, extent: Dim) -> None:
    if not whole((a,), (extent,)):
        return
    for i, j in POINTS:
        (n,) = resolve({"shape": (extent,)}, {I: i, J: j})["shape"]
        assert n < 1 or positions((a,), i, j) == list(range(n))


def test_triangles_are_seen() -> None:
    i, j = symbol_dim(I), symbol_dim(J)
    assert disjoint((i, Slice(0, j, 1)), (j, Slice(0, j, 1)))
    assert disjoint((i, j), (i, Slice(0, j, 1)))
    assert not disjoint((i, j), (i, Slice(0, j + 1, 1)))
    assert disjoint((2 * i + 1,), (2 * j,))
    assert relative((Slice(0, i, 1),), (j,)) == (j,)
    assert relative((Slice(1, i, 1),), (Slice(1, j, 1),)) == (Slice(0, j, 1),)
    assert relative((Slice(0, j, 1),), (i,)) is None


# --- programs ------------------------------------------------------------------------------------

HEAD = """
graph @f(%x: f64[8], %y: f64[8]) -> (f64[8]) {
  %a: f64[8] = loop[symbol=i, start=1, trips=6, step=1, constants=1](%y, %x) {
    body = graph @body(%y: f64[8], %x: f64[8]) -> (f64[8]) {
"""
TAIL = """
      return %z
    }
  }
  return %a
}
"""


def body_of(text: str) -> Graph:
    return program(HEAD + text + TAIL)


CASES = {
    "a write that does not touch what is read": (
        """
        %0: f64[] = const[value=2.0]()
        %1: f64[8] = update[index=(i+1,)](%x, %0)
        %2: f64[i] = getitem[index=(0:i,)](%1)
        %3: f64[] = sum[axis=(0,)](%2)
        %z: f64[8] = update[index=(0,)](%1, %3)
        """,
        ["const", "update", "getitem", "sum", "update"],
        "getitem[index=(0:i,)](%x)",
    ),
    "a read of what was written": (
        """
        %0: f64[] = getitem[index=(i,)](%y)
        %1: f64[8] = update[index=(i,)](%x, %0)
        %2: f64[] = getitem[index=(i,)](%1)
        %3: f64[] = multiply(%2, %2)
        %z: f64[8] = update[index=(i-1,)](%1, %3)
        """,
        ["getitem", "update", "square", "update"],
        "square(%0)",
    ),
    "a write that the next one covers": (
        """
        %0: f64[] = getitem[index=(i,)](%y)
        %1: f64[8] = update[index=(i-1,)](%x, %0)
        %2: f64[i] = getitem[index=(0:i,)](%y)
        %z: f64[8] = update[index=(0:i,)](%1, %2)
        """,
        ["getitem", "update"],
        "update[index=(0:i,)](%x, %0)",
    ),
    "a write of what is there": (
        """
        %0: f64[i] = getitem[index=(0:i,)](%x)
        %1: f64[8] = update[index=(0:i,)](%x, %0)
        %2: f64[] = getitem[index=(i,)](%y)
        %z: f64[8] = update[index=(i,)](%1, %2)
        """,
        ["getitem", "update"],
        "update[index=(i,)](%x, %0)",
    ),
    "a row in place": (
        """
        %0: f64[i] = getitem[index=(0:i,)](%x)
        %1: f64[i] = getitem[index=(1:i+1,)](%y)
        %2: f64[i] = subtract(%0, %1)
        %z: f64[8] = update[index=(0:i,)](%x, %2)
        """,
        ["getitem", "negative", "add_at"],
        "add_at[index=(0:i,)](%x, %1)",
    ),
    "an accumulator that was cleared": (
        """
        %0: f64[] = const[value=0.0]()
        %1: f64[] = getitem[index=(i,)](%x)
        %2: f64[8] = update[index=(i,)](%x, %0)
        %3: f64[i] = getitem[index=(0:i,)](%y)
        %4: f64[8] = add_at[index=(0:i,)](%2, %3)
        %5: f64[] = sin(%1)
        %z: f64[8] = add_at[index=(i,)](%4, %5)
        """,
        ["getitem", "getitem", "sin", "update", "add_at"],
        "update[index=(i,)](%x, %2)",
    ),
    "a broadcast that is written": (
        """
        %0: f64[] = getitem[index=(i,)](%y)
        %1: f64[1] = reshape[shape=(1,)](%0)
        %2: f64[i+1] = broadcast[shape=(i+1,)](%1)
        %3: f64[i+1] = getitem[index=(0:i+1,)](%x)
        %4: f64[i+1] = multiply(%2, %3)
        %z: f64[8] = update[index=(0:i+1,)](%x, %4)
        """,
        ["getitem", "getitem", "multiply", "update"],
        "multiply(%0, %1)",
    ),
    "zeros of an extent that changes": (
        """
        %0: f64[] = const[value=0.0]()
        %1: f64[1] = reshape[shape=(1,)](%0)
        %2: f64[i] = broadcast[shape=(i,)](%1)
        %3: f64[i] = getitem[index=(1:i+1,)](%y)
        %4: f64[i] = add(%2, %3)
        %z: f64[8] = update[index=(0:i,)](%x, %4)
        """,
        ["getitem", "update"],
        "update[index=(0:i,)](%x, %0)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_holds_in_a_body(name: str) -> None:
    text, ops, line = CASES[name]
    graph = body_of(text)
    after = simplify(graph)
    assert names(region(after).attrs["body"].nodes) == ops
    assert line in str(after)
    assert_same(graph, after, exact="in place" not in name)


OPEN = {
    "a read that may meet the write": """
        %0: f64[] = getitem[index=(0,)](%y)
        %1: f64[8] = update[index=(i,)](%x, %0)
        %2: f64[] = getitem[index=(3,)](%1)
        %z: f64[8] = update[index=(0,)](%1, %2)
        """,
    "a slice that may be everything": """
        %0: f64[i] = getitem[index=(0:i,)](%y)
        %1: f64[i] = exp(%0)
        %z: f64[8] = update[index=(1:i+1,)](%x, %1)
        """,
    "an extent that may be one": """
        %0: f64[i] = getitem[index=(0:i,)](%y)
        %1: f64[] = sum[axis=(0,)](%0)
        %z: f64[8] = update[index=(i,)](%x, %1)
        """,
}


@pytest.mark.parametrize("name", OPEN)
def test_what_bounds_leave_open_stays(name: str) -> None:
    graph = body_of(OPEN[name])
    assert str(simplify(graph)) == str(graph)


ROW = """
        %0: f64[i] = getitem[index=(0:i,)](%y)
        %1: f64[i] = sin(%0)
        %2: f64[8] = update[index=(0:i,)](%x, %1)
        %3: f64[i] = getitem[index=(0:i,)](%2)
        %4: f64[] = sum[axis=(0,)](%3)
        %z: f64[8] = update[index=(i,)](%x, %4)
"""
ROW_KEPT = """
graph @f(%x: f64[8], %y: f64[8], %w: f64[8]) -> (f64[8], f64[8]) {
  %a: f64[8], %b: f64[8] = loop[symbol=i, start=1, trips=6, step=1, constants=1](%y, %x, %w) {
    body = graph @body(%y: f64[8], %x: f64[8], %w: f64[8]) -> (f64[8], f64[8]) {
      ROW
      return %2, %z
    }
  }
  return %a, %b
}
""".replace("ROW", ROW.strip())


def test_a_row_that_leaves_the_body_is_read_where_it_was_written() -> None:
    """Of what is written anyway there is no second copy; a buffer that is not needed goes."""
    for graph, reads in ((body_of(ROW), 1), (program(ROW_KEPT), 2)):
        after = simplify(graph)
        assert names(region(after).attrs["body"].nodes).count("getitem") == reads
        assert_same(graph, after)


def test_positions_of_constants_that_change_are_not_folded() -> None:
    text = """
        %0: f64[8] = const[value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]()
        %1: f64[] = getitem[index=(i,)](%0)
        %2: i64[] = index[dim=2*i]()
        %3: f64[] = convert[dtype=f64](%2)
        %4: f64[] = add(%1, %3)
        %z: f64[8] = update[index=(i,)](%x, %4)
        """
    graph = body_of(text)
    assert fold(graph) is graph
    after, _ = run_pipeline(graph, CANONICAL, verify=True)
    assert names(after.nodes) == ["const", "loop"]
    assert_same(graph, after)


def test_indices_of_different_loops_are_not_merged() -> None:
    graph = program("""
graph @f(%p: bool[], %x: f64[4,4]) -> (f64[4,4]) {
  %a: f64[4,4] = loop[symbol=i, start=0, trips=4, step=1, constants=1](%p, %x) {
    body = graph @outer(%p: bool[], %x: f64[4,4]) -> (f64[4,4]) {
      %b: f64[4,4] = loop[symbol=j, start=0, trips=4, step=1, constants=1](%p, %x) {
        body = graph @inner(%p: bool[], %x: f64[4,4]) -> (f64[4,4]) {
          %0: f64[] = cond(%p, %x) {
            then = graph @row(%x: f64[4,4]) -> (f64[]) {
              %0: f64[] = getitem[index=(i, 0)](%x)
              return %0
            }
            orelse = graph @first(%x: f64[4,4]) -> (f64[]) {
              %0: f64[] = getitem[index=(0, 1)](%x)
              return %0
            }
          }
          %1: f64[] = cond(%p, %x) {
            then = graph @row(%x: f64[4,4]) -> (f64[]) {
              %0: f64[] = getitem[index=(j, 0)](%x)
              return %0
            }
            orelse = graph @first(%x: f64[4,4]) -> (f64[]) {
              %0: f64[] = getitem[index=(0, 1)](%x)
              return %0
            }
          }
          %2: f64[] = add(%0, %1)
          %3: f64[4,4] = update[index=(i, j)](%x, %2)
          return %3
        }
      }
      return %b
    }
  }
  return %a
}
""")
    after = simplify(cse(graph))
    inner = region(region(after).attrs["body"]).attrs["body"]
    assert names(inner.nodes).count("cond") == 2
    assert_same(graph, after)


def test_results_of_a_region_keep_their_places() -> None:
    graph = program("""
graph @f(%x: f64[8], %y: f64[8]) -> (f64[8], f64[8]) {
  %a: f64[8], %b: f64[8] = loop[FIVE, constants=0](%x, %y) {
    body = graph @body(%x: f64[8], %y: f64[8]) -> (f64[8], f64[8]) {
      %0: f64[] = const[value=1.0]()
      %1: f64[8] = multiply(%x, %0)
      %2: f64[8] = add(%1, %y)
      %3: f64[8] = divide(%y, %0)
      return %2, %3
    }
  }
  return %b, %a
}
""")
    after, _ = run_pipeline(graph, CANONICAL, verify=True)
    assert names(region(after).attrs["body"].nodes) == ["add"]
    assert_same(graph, after)
