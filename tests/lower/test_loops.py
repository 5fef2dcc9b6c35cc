"""Loops, branches and updates in place: compiled programs equal the interpreter, and stay fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import AxisIndexError, CapacityError
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import OPS
from adgraph.ir.types import Slice
from adgraph.ir.verify import verify
from adgraph.lower import inplace
from adgraph.lower.enclose import enclose
from adgraph.lower.kernel import KernelSource
from adgraph.lower.materialize import materialize
from adgraph.lower.products import prepare_bodies
from adgraph.lower.program import lower
from adgraph.lower.written import WrittenKernels
from adgraph.passes.fuse import fuse
from adgraph.runtime.compiled import Compiled
from adgraph.schedule.buffers import check
from tests.lower.loop_programs import FLOAT, INTEGER, Program, random_program
from tests.lower.poison import run_poisoned

pytestmark = pytest.mark.usefixtures("backend")

Array = np.ndarray[Any, Any]
SEEDS = range(48)


def assert_equal(found: Any, expected: Any, message: str = "") -> None:
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-10, atol=1e-10, err_msg=message)


def run(graph: Graph, *args: Any) -> list[Array]:
    """Compile and run a program; check the plan of its arena."""
    program = lower(verify(graph))
    check(program.plan, program.schedule)
    return Compiled(program)([np.ascontiguousarray(a) for a in args])


def check_program(graph: Graph, *args: Any) -> str:
    """Compare a compiled program with the interpreter; return its text."""
    assert_equal(run(graph, *args), evaluate(graph, *args))
    return lower(graph).source()


# --- random programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_of_loops_equals_the_interpreter(seed: int) -> None:
    graph, args = random_program(seed)
    assert_equal(run(graph, *args), evaluate(graph, *args))


def enclosed(graph: Graph) -> Graph:
    return enclose(materialize(fuse(prepare_bodies(graph))), WrittenKernels())


@pytest.mark.parametrize("seed", range(200))
def test_a_plan_reads_nothing_that_was_overwritten_in_place(seed: int) -> None:
    graph, args = random_program(seed)
    assert_equal(run_poisoned(enclosed(graph), *args), evaluate(graph, *args))


def assert_all_equal(seeds: range) -> None:
    for seed in seeds:
        graph, args = random_program(seed)
        assert_equal(run(graph, *args), evaluate(graph, *args))


def _always(*args: Any) -> bool:
    return True


def _no_conflicts(*args: Any) -> list[Any]:
    return []


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "all boxes are disjoint": lambda m: m.setattr(inplace, "disjoint", _always),
    "all reads are ahead": lambda m: m.setattr(inplace, "ahead", _always),
    "a nest reads first": lambda m: m.setattr(inplace._Planner, "_nest_reads_first", _always),
    "a copy is safe": lambda m: m.setattr(inplace._Planner, "_copies_safely", _always),
    "nobody reads later": lambda m: m.setattr(inplace._Planner, "_conflicts", _no_conflicts),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_rule_left_out_is_noticed(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[mutant](monkeypatch)
    with pytest.raises(AssertionError):
        assert_all_equal(SEEDS)


# --- single programs ------------------------------------------------------------------------------


def seidel(n: int, trips: int) -> Graph:
    """Gauss-Seidel sweeps over a square."""
    p = Program()
    x = p.array(n, n, name="A")

    def point(b: Program, i: Any, j: Any, x: Value) -> Value:
        terms = [b.getitem(x, index=(i + di, j + dj)) for di in (-1, 0, 1) for dj in (-1, 0, 1)]
        total = terms[0]
        for term in terms[1:]:
            total = b.add(total, term)
        result: Value = b.update(x, b.divide(total, b.literal(9.0)), index=(i, j))
        return result

    def row(b: Program, i: Any, c: Any, x: list[Value]) -> Any:
        return b.loop("j", 1, n - 2, 1, x, lambda b, j, c, x: [point(b, i, j, x[0])])

    return p.build(
        p.loop("t", 0, trips, 1, [x], lambda b, t, c, x: b.loop("i", 1, n - 2, 1, x, row))
    )


def cholesky(n: int) -> Graph:
    """A factorization in place, by dot products of ragged rows."""
    p = Program()
    a = p.array(n, n, name="A")

    def dot(b: Program, x: Value, i: Any, j: Any, k: Any) -> Value:
        left = b.getitem(x, index=(i, Slice(0, k, 1)))
        right = b.getitem(x, index=(j, Slice(0, k, 1)))
        result: Value = b.sum(b.multiply(left, right), axis=(0,))
        return result

    def row(b: Program, i: Any, c: Any, x: list[Value]) -> Any:
        def column(b: Program, j: Any, c: Any, x: list[Value]) -> Any:
            rest = b.subtract(b.getitem(x[0], index=(i, j)), dot(b, x[0], i, j, j))
            value = b.divide(rest, b.getitem(x[0], index=(j, j)))
            return [b.update(x[0], value, index=(i, j))]

        (y,) = b.loop("j", 0, i, 1, x, column)
        rest = b.subtract(b.getitem(y, index=(i, i)), dot(b, y, i, i, i))
        return [b.update(y, b.sqrt(rest), index=(i, i))]

    return p.build(p.loop("i", 0, n, 1, [a], row))


def test_gauss_seidel_works_in_place_on_the_result() -> None:
    x = np.random.default_rng(0).random((20, 20))
    text = check_program(seidel(20, 3), x)
    assert "s0" not in text, "no scratch"
    assert text.count("for ") == 4, "one pass to copy the argument, three loops of the user"


def test_cholesky_needs_no_copies_and_no_temporaries() -> None:
    m = np.random.default_rng(0).random((20, 20))
    text = check_program(cholesky(20), m @ m.T + 20 * np.eye(20))
    assert "s0" not in text


def test_other_extents_and_trip_counts_share_one_kernel() -> None:
    def kernels(graph: Graph) -> list[str]:
        sources = [call.kernel for call in lower(graph).calls]
        return [s.structure for s in sources if isinstance(s, KernelSource)]

    assert kernels(seidel(40, 30)) == kernels(seidel(61, 300))
    assert kernels(cholesky(40)) == kernels(cholesky(57))


def test_names_of_loop_indices_are_the_users() -> None:
    text = lower(seidel(40, 30)).source()
    for name in "tij":
        assert f"for {name} in range(" in text


def test_an_operand_that_dies_is_worked_on_in_place() -> None:
    p = Program()
    a = p.multiply(p.array(30, 30), p.literal(2.0))
    (y,) = p.loop("i", 1, 28, 1, [a], lambda b, i, c, x: [_halve_row(b, x[0], i)])
    graph = p.build([p.sum(y, axis=(0, 1))])
    program = lower(graph)
    assert program.plan.arena_bytes < 2 * 30 * 30 * 8
    x = np.random.default_rng(0).random((30, 30))
    check_program(graph, x)


def _halve_row(b: Program, x: Value, i: Any) -> Value:
    row = b.getitem(x, index=(i, Slice(0, 30, 1)))
    result: Value = b.update(x, b.multiply(row, b.literal(0.5)), index=(i, Slice(0, 30, 1)))
    return result


def test_updates_outside_loops_are_one_kernel_in_place() -> None:
    p = Program()
    v = p.array(30)
    x = p.literal(np.zeros((30, 30)))
    x = p.update(x, p.multiply(v, p.literal(3.0)), index=(2, Slice(0, 30, 1)))
    x = p.update(x, p.getitem(v, index=(3,)), index=(0, 0))
    x = p.add_at(x, p.sqrt(v), index=(Slice(0, 30, 1), 1))
    graph = p.build([x])
    check_program(graph, np.random.default_rng(0).random(30))
    assert len(lower(graph).calls) == 1


@pytest.mark.parametrize("shift", [-1, 1])
def test_an_overlapping_assignment_reads_before_it_writes(shift: int) -> None:
    p = Program()
    x = p.multiply(p.array(40), p.literal(2.0))
    low, high = Slice(0, 39, 1), Slice(1, 39, 1)
    to, of = (high, low) if shift > 0 else (low, high)
    y = p.update(x, p.getitem(x, index=(of,)), index=(to,))
    text = check_program(p.build([y]), np.arange(40.0))
    assert ("s0" in text) == (shift > 0), "reading ahead of an ascending nest needs no copy"


def test_a_position_out_of_bounds_is_the_users_error() -> None:
    p = Program()
    x, k = p.array(20), p.array(20, dtype=INTEGER)

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        at = b.getitem(c[0], index=(i,))
        return [b.put(x[0], b.take(x[0], at, axis=0), b.index(dim=i), axis=0, unique=True)]

    graph = p.build(p.loop("i", 0, 20, 1, [x], body, [k]))
    rng = np.random.default_rng(0)
    check_program(graph, rng.random(20), rng.integers(-20, 20, 20))
    with pytest.raises(AxisIndexError, match="out of bounds"):
        run(graph, rng.random(20), np.full(20, 20))


def counted_down(capacity: int | None) -> Graph:
    """Halve x until it is below 1; record it."""
    p = Program()
    x, tape = p.array(), p.array(8)
    symbol = Symbol("k", 0, 7)
    test, _, (y, _) = p.inner([], [x, tape])
    attrs: dict[str, Any] = {"test": test.build([test.greater(y, test.literal(1.0))])}
    body, _, (y, t) = p.inner([], [x, tape])
    recorded = body.update(t, y, index=(symbol_dim(symbol),))
    attrs["body"] = body.build([body.multiply(y, body.literal(0.5)), recorded])
    attrs |= {"symbol": symbol, "constants": 0, "capacity": capacity}
    return p.build(p.emit(OPS["while"], (x, tape), attrs))


def test_a_while_loop_stops_at_the_capacity_of_its_tape() -> None:
    check_program(counted_down(8), np.float64(100.0), np.zeros(8))
    with pytest.raises(CapacityError):
        run(counted_down(4), np.float64(100.0), np.zeros(8))


def test_routines_and_scans_are_called_from_the_loop() -> None:
    n = 20
    p = Program()
    a, x = p.array(n, n), p.array(n, n)

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        lu, pivots = b.lu(c[0])
        y = b.lu_solve(
            c[0], lu, pivots, b.matmul(b.transpose(c[0], axes=(1, 0)), x[0]), transposed=False
        )
        row = b.cumsum(b.getitem(y, index=(i, Slice(0, i, 1))), axis=0, reverse=False)
        return [b.update(y, row, index=(i, Slice(0, i, 1)))]

    graph = p.build(p.loop("i", 1, 6, 1, [x], body, [a]))
    rng = np.random.default_rng(0)
    matrix = rng.random((n, n)) + n * np.eye(n)
    text = check_program(graph, matrix, rng.random((n, n)))
    assert text.count("invoke(") == 4


@pytest.mark.parametrize("transposed", [False, True])
def test_products_with_vectors_are_sums_in_memory_order(transposed: bool) -> None:
    n = 20
    p = Program()
    a, v = p.array(n, n), p.array(n)

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        matrix = b.transpose(c[0], axes=(1, 0)) if transposed else c[0]
        product = b.matmul(matrix, b.reshape(x[0], shape=(n, 1)))
        return [b.multiply(b.reshape(product, shape=(n,)), b.literal(0.1))]

    rng = np.random.default_rng(0)
    text = check_program(
        p.build(p.loop("i", 0, 3, 1, [v], body, [a])), rng.random((n, n)), rng.random(n)
    )
    assert "i0*n0 + i1]" in text, "the inner loop walks along rows"
    assert "invoke" not in text


def test_literal_arrays_in_bodies_become_operands() -> None:
    p = Program()
    x = p.array(5)
    weights = np.array([3.0, 1.0, 4.0, 1.0, 5.0])

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        inner = b.loop("j", 0, 2, 1, x, lambda b, j, c, x: [b.multiply(x[0], b.literal(weights))])
        return [b.add(inner[0], b.literal(weights))]

    check_program(p.build(p.loop("i", 0, 3, 1, [x], body)), np.arange(5.0))


def test_a_loop_of_no_trips_returns_its_operands() -> None:
    p = Program()
    x, s = p.array(20), p.array()
    outputs = p.loop(
        "i",
        0,
        -3,
        1,
        [x, s],
        lambda b, i, c, x: [b.multiply(x[0], b.literal(2.0)), b.add(x[1], x[1])],
    )
    check_program(p.build(outputs), np.arange(20.0), np.float64(3.0))


def test_two_versions_of_one_array_are_returned() -> None:
    p = Program()
    x = p.array(6)
    outputs = p.loop("i", 0, 3, 1, [x, x], _two_versions)
    check_program(p.build(outputs), np.arange(6.0))


def _two_versions(b: Program, i: Any, c: Any, x: list[Value]) -> list[Value]:
    first = b.update(x[0], b.getitem(x[1], index=(5 - i,)), index=(i,))
    return [first, b.update(first, b.getitem(first, index=(i,)), index=(i + 1,))]


def test_integers_and_bools_are_carried() -> None:
    p = Program()
    k, flag = p.array(dtype=INTEGER), p.array(dtype=np.dtype(bool))
    x = p.array(6, dtype=np.dtype(np.float32))

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        count = b.add(x[0], b.index(dim=2 * i + 1))
        return [
            count,
            b.logical_not(x[1]),
            b.update(x[2], b.convert(count, dtype=x[2].type.dtype), index=(i,)),
        ]

    outputs = p.loop("i", 5, 6, -1, [k, flag, x], body)
    check_program(p.build(outputs), np.int64(3), np.bool_(True), np.zeros(6, np.float32))


def test_the_scratch_of_a_kernel_is_in_the_plan() -> None:
    p = Program()
    x = p.array(100)

    def body(b: Program, i: Any, c: list[Value], x: list[Value]) -> Any:
        return [b.getitem(x[0], index=(Slice(99, 100, -1),))]

    program = lower(p.build(p.loop("i", 0, 3, 1, [x], body)))
    assert program.plan.arena_bytes >= 800
    assert FLOAT.itemsize * 100 in [t.nbytes for t in program.graph.nodes[-1].attrs["scratch"]]
