"""Derivatives of loops and branches: against unrolled programs, differences, and each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from adgraph.analysis.programs import nested
from adgraph.control.tapes import TAPE, taped_bytes
from adgraph.errors import CapacityError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.types import ArrayType
from adgraph.ir.verify import verify
from adgraph.ops.control import mark
from adgraph.ops.indexing import put, take
from adgraph.testing import assert_close, central_difference
from adgraph.transforms.batch import batch
from adgraph.transforms.jvp import jvp
from adgraph.transforms.regions import with_capacities
from adgraph.transforms.vjp import vjp
from tests.control import kernels
from tests.control.construction import (
    array,
    cond_of,
    counted_by,
    fori,
    get,
    program,
    put_at,
    unroll,
    whiled,
)

INTEGER = ArrayType(np.dtype(np.int64), ())


# --- programs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A program and a point at which it is smooth."""

    graph: Graph
    args: tuple[Any, ...]

    @property
    def active(self) -> list[int]:
        """The inputs that have derivatives."""
        return [i for i, v in enumerate(self.graph.inputs) if v.type.inexact]


def spread(*shape: int) -> Any:
    """Numbers between 0.2 and 1.1, none twice."""
    return (
        np.random.default_rng(7)
        .permutation(np.linspace(0.2, 1.1, int(np.prod(shape))))
        .reshape(shape)
    )


def definite(n: int) -> Any:
    """A matrix that has a Cholesky and an LU factor."""
    a = spread(n, n)
    return a @ a.T + n * np.eye(n)


def _recurrence(i: Any, x: Any) -> Any:
    return put_at(x, np.sin(get(x, i)) * get(x, i - 1), i)


def _ragged(i: Any, x: Any) -> Any:
    return put_at(x, np.sum(np.sin(get(x, (0, i))) * get(x, (1, i))), i)


def _newton(a: Any) -> Any:
    """A square root by iteration."""
    return whiled(
        [a, np.asarray(0.0)],
        lambda x, last: np.abs(x - last) > 1e-10,
        lambda x, last: (0.5 * (x + a / x), x),
    )[0]


def _roots(x: Any) -> Any:
    """A while inside a for."""
    return fori(1, 5, 1, [x], lambda i, x: put_at(x, _newton(get(x, i)) * get(x, i - 1), i))[0]


def _grown(x: Any) -> Any:
    """A for inside a while."""

    def grow(x: Any) -> Any:
        return fori(
            1, 5, 1, [x], lambda i, x: put_at(x, get(x, i) * 1.2 + np.sin(get(x, i - 1)), i)
        )[0]

    return whiled([x], lambda x: np.sum(x) < 50.0, grow)[0]


def _branching(a: Any) -> Any:
    """A branch inside a loop that writes the array in both."""

    def first(i: Any) -> Any:
        return lambda a, s: (put_at(a, np.sin(get(a, i)) * s, i), s + get(a, i - 1))

    def second(i: Any) -> Any:
        return lambda a, s: (put_at(a, get(a, i) * get(a, i), i), s * get(a, i))

    def body(i: Any, a: Any, s: Any) -> Any:
        return cond_of(np.less(get(a, i) + s, 1.0), [a, s], first(i), second(i))

    return fori(1, 6, 1, [a, np.asarray(0.2)], body)


def _loops_in_branches(x: Any) -> Any:
    return cond_of(
        np.sum(x) > 1,
        [x],
        lambda x: fori(0, 4, 1, [x], lambda i, x: np.sin(x) * 1.1),
        lambda x: fori(0, 3, 1, [x], lambda i, x: x * x),
    )[0]


def _product_in_a_branch(x: Any) -> Any:
    return cond_of(np.sum(x) > 1, [x], lambda x: (x @ x) * np.sum(x @ x @ x), lambda x: x * x)[0]


def _stepped(start: int, stop: int, step: int) -> Graph:
    return program([array(9)], lambda x: fori(start, stop, step, [x], _recurrence)[0])


def _at_a_position_of_run_time(a: Any, order: Any) -> Any:
    """Write into a row at a position that is looked up."""

    def row(k: Any, a: Any) -> Any:
        def column(j: Any, a: Any) -> Any:
            at = get(order, j)
            part = get(a, k, (0, 4))
            value = np.sin(take(part, at, axis=0)) * get(a, k - 1, j)
            return put_at(a, put(part, value, at, axis=0, unique=False), k, (0, 4))

        return fori(0, 4, 1, [a], column)[0]

    return fori(1, 4, 1, [a], row)[0]


def _rows(a: Any) -> Any:
    """A row of zeros that an inner loop fills is used, and needed by the adjoint."""

    def row(i: Any, a: Any) -> Any:
        (r,) = fori(0, 4, 1, [np.zeros(4)], lambda j, r: put_at(r, np.sin(get(a, i, j)), j))
        return put_at(a, r * r * np.sum(r) + get(a, i - 1, (0, 4)), i, (0, 4))

    return fori(1, 4, 1, [a], row)[0]


FIXED = {
    "recurrence": Case(kernels.recurrence(5), (0.3, 1.7)),
    "cholesky": Case(kernels.cholesky(5), (definite(5),)),
    "lu": Case(kernels.lu(5), (definite(5),)),
    "triangular solve": Case(kernels.triangular_solve(5), (definite(5), spread(5))),
    "seidel": Case(kernels.seidel(5, 3), (spread(5, 5),)),
    "jacobi": Case(kernels.jacobi(6, 3), (spread(6, 6), spread(6, 6))),
    "heat": Case(kernels.heat(4, 3), (spread(4, 4, 4), spread(4, 4, 4))),
    "syrk": Case(kernels.syrk(4, 3), (spread(4, 3), spread(4, 4))),
    "thomas": Case(kernels.thomas(6), (spread(5), 3 + spread(6), spread(5), spread(6))),
    "step 2": Case(_stepped(1, 9, 2), (spread(9),)),
    "step -3": Case(_stepped(8, 0, -3), (spread(9),)),
    "rows": Case(program([array(4, 4)], _rows), (spread(4, 4),)),
    "no trips": Case(_stepped(3, 3, 1), (spread(9),)),
    "swap": Case(
        program(
            [array(3), array(3)],
            lambda x, y: fori(0, 5, 1, [x, y], lambda i, x, y: (np.sin(y), x * 1.1)),
        ),
        (spread(3), spread(3) + 0.1),
    ),
}
RAGGED = {
    "ragged": Case(program([array(7)], lambda x: fori(1, 6, 1, [x], _ragged)[0]), (spread(7),)),
}
OPEN = {
    "newton": Case(program([array()], _newton), (2.3,)),
    "counted": Case(
        program([array(3), INTEGER], lambda x, n: counted_by(n, [x], lambda i, x: np.sin(x) * 1.3)),
        (spread(3), np.int64(4)),
    ),
    "counted, no trips": Case(
        program([array(3), INTEGER], lambda x, n: counted_by(n, [x], lambda i, x: np.sin(x) * 1.3)),
        (spread(3), np.int64(0)),
    ),
    "while in for": Case(program([array(5)], _roots), (1 + spread(5),)),
    "for in while": Case(program([array(5)], _grown), (1 + spread(5),)),
    "cond": Case(
        program(
            [array(3)],
            lambda x: cond_of(np.sum(x) > 1, [x], lambda x: np.exp(np.sin(x)) * x, lambda x: x * x),
        ),
        (spread(3),),
    ),
    "product in a branch": Case(program([array(3, 3)], _product_in_a_branch), (spread(3, 3),)),
    "cond in for": Case(program([array(6)], _branching), (spread(6) * 1.4,)),
    "position of run time": Case(
        program([array(4, 4), ArrayType(np.dtype(np.int64), (4,))], _at_a_position_of_run_time),
        (spread(4, 4), np.array([2, 0, 2, 3])),
    ),
    "for in cond": Case(program([array(3)], _loops_in_branches), (spread(3),)),
}
CASES = FIXED | RAGGED | OPEN


# --- laws -----------------------------------------------------------------------------------------


def random_like(values: Sequence[Any], seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(np.shape(x)) for x in values]


def check_modes(case: Case) -> None:
    """Compare forward and reverse derivatives, and the forward one with differences."""
    graph, args, active = case.graph, list(case.args), case.active
    count = len(graph.outputs)
    inexact = [k for k, v in enumerate(graph.outputs) if v.type.inexact]
    values = evaluate(graph, *args)
    tangents = random_like([args[i] for i in active], 1)
    cts = random_like([values[k] for k in inexact], 2)
    pushed = evaluate(verify(jvp(graph, active)), *args, *tangents)
    pulled = evaluate(verify(vjp(graph, active)), *args, *cts)
    for value, again in zip((*values, *values), (*pushed[:count], *pulled[:count]), strict=True):
        np.testing.assert_array_equal(value, again)
    dys = [pushed[count + k] for k in inexact]
    forward = sum(np.sum(ct * dy) for ct, dy in zip(cts, dys, strict=True))
    terms = [g * dx for g, dx in zip(pulled[count:], tangents, strict=True)]
    scale = 1 + sum(np.sum(np.abs(t)) for t in terms)
    assert abs(forward - sum(np.sum(t) for t in terms)) <= 1e-12 * scale

    def function(*moved: Any) -> Any:
        point = list(args)
        for i, x in zip(active, moved, strict=True):
            point[i] = x
        return tuple(evaluate(graph, *point)[k] for k in inexact)

    expected = central_difference(function, [args[i] for i in active], tangents)
    for dy, difference in zip(dys, expected, strict=True):
        assert np.max(np.abs(dy - difference)) <= 1e-5 * (1 + np.max(np.abs(dy)))


@pytest.mark.parametrize("name", CASES)
def test_both_modes_agree_with_differences(name: str) -> None:
    check_modes(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_the_adjoint_is_differentiated_in_both_modes(name: str) -> None:
    case = CASES[name]
    joint = vjp(case.graph, case.active)
    seeds = random_like([np.zeros(v.type.shape) for v in joint.inputs[len(case.args) :]], 3)
    check_modes(Case(joint, (*case.args, *seeds)))


@pytest.mark.parametrize("name", CASES)
def test_the_minimal_tape_gives_the_gradient_of_the_full_one(name: str) -> None:
    case = CASES[name]
    minimal = vjp(case.graph, case.active)
    full = verify(vjp(case.graph, case.active, store_all=True))
    seeds = random_like([np.zeros(v.type.shape) for v in full.inputs[len(case.args) :]], 3)
    pairs = zip(
        evaluate(minimal, *case.args, *seeds), evaluate(full, *case.args, *seeds), strict=True
    )
    for a, b in pairs:
        assert_close(a, b, "exact")
    assert taped_bytes(minimal) <= taped_bytes(full)


@pytest.mark.parametrize("name", FIXED)
def test_gradients_are_those_of_the_unrolled_program(name: str) -> None:
    case = FIXED[name]
    unrolled = verify(unroll(case.graph))
    assert not any(node.regions() and list(node.regions()) for node in unrolled.nodes)
    joints = [vjp(graph, case.active) for graph in (case.graph, unrolled)]
    seeds = random_like([np.zeros(v.type.shape) for v in joints[0].inputs[len(case.args) :]], 3)
    first, second = (evaluate(joint, *case.args, *seeds) for joint in joints)
    for a, b in zip(first, second, strict=True):
        assert_close(a, b, "rounded")


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_computed_as_its_elements_are(name: str) -> None:
    """By the inputs, where trips and branches differ, and by the cotangents of the adjoint."""
    case = CASES[name]
    joint = vjp(case.graph, case.active)
    seeds = random_like([np.zeros((3, *v.type.shape)) for v in joint.inputs[len(case.args) :]], 3)
    rng = np.random.default_rng(5)
    moved = [
        np.asarray(x) + 0.3 * rng.uniform(size=(3, *np.shape(x))) if i in case.active else x
        for i, x in enumerate(case.args)
    ]
    check_batch(joint, [*case.args, *seeds], [False] * len(case.args) + [True] * len(seeds))
    check_batch(case.graph, moved, [i in case.active for i in range(len(moved))])


def check_batch(graph: Graph, args: Sequence[Any], batched: Sequence[bool]) -> None:
    results = evaluate(verify(batch(graph, 3, batched)), *args)
    for row in range(3):
        single = [x[row] if flag else x for x, flag in zip(args, batched, strict=True)]
        for together, alone in zip(results, evaluate(graph, *single), strict=True):
            np.testing.assert_allclose(together[row], alone, rtol=1e-12, atol=1e-12)


def test_a_batch_of_trip_counts_runs_each_as_often_as_it_should() -> None:
    graph = OPEN["counted"].graph
    args = [spread(3), np.array([4, 0, 2])]
    check_batch(graph, args, [False, True])
    joint = vjp(graph, [0])
    check_batch(joint, [*args, np.ones(3)], [False, True, False])


# --- what is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["cholesky", "lu", "triangular solve", "seidel", "jacobi", "heat", "syrk", "thomas"]
)
def test_nothing_is_recorded(name: str) -> None:
    case = FIXED[name]
    assert taped_bytes(vjp(case.graph, case.active)) == 0


def test_one_number_is_recorded_where_one_is_needed() -> None:
    trips = 5
    assert taped_bytes(vjp(FIXED["recurrence"].graph, [0, 1])) == 8 * trips


def test_an_element_is_recorded_and_not_the_array_it_was_read_from() -> None:
    """x[i] is overwritten in the same trip."""
    graph = program(
        [array(50)], lambda x: fori(1, 50, 1, [x], lambda i, x: put_at(x, get(x, i) ** 2, i))[0]
    )
    assert taped_bytes(vjp(graph, [0])) <= 8 * 50


def test_many_shifted_slices_of_one_version_are_recorded_as_the_version() -> None:
    n, trips = 40, 3

    def step(t: Any, a: Any) -> Any:
        m = n - 2
        value = get(a, (0, m)) * get(a, (1, m)) * get(a, (2, m)) * get(a, (1, m))
        return put_at(a, value, (1, m))

    graph = program([array(n)], lambda a: fori(0, trips, 1, [a], step)[0])
    assert taped_bytes(vjp(graph, [0])) == 8 * n * trips


def test_an_adjoint_loop_carries_one_buffer_for_every_array() -> None:
    """Cotangents are updated in place: no array of zeros is made, none is added, in the body."""
    joint = vjp(kernels.lu(6), [0])
    adjoint = joint.nodes[-1]
    whole = array(6, 6)
    (body,) = adjoint.regions()
    makers = {n.op.name for n in nested(body) if any(v.type == whole for v in n.outputs)}
    assert makers == {"update", "add_at", "loop"}
    assert [v.type for v in adjoint.inputs] == [whole, whole]


def test_a_loop_inside_a_loop_writes_rows_into_the_tape_of_the_outer_one() -> None:
    """The tape is no array of one trip that is copied into another."""

    def row(i: Any, a: Any) -> Any:
        return fori(1, 6, 1, [a], lambda j, a: put_at(a, np.sin(get(a, j)) + get(a, j - 1), j))[0]

    joint = vjp(program([array(6)], lambda a: fori(0, 4, 1, [a], row)[0]), [0])
    (body,) = joint.nodes[-2].regions()
    assert [node.op.name for node in body.nodes] == ["loop"]
    tape = next(v for v in body.inputs if v.name == TAPE)
    assert tape.type.shape[:2] == (4, 5)
    assert taped_bytes(joint) == tape.type.nbytes


def test_what_is_read_at_a_position_of_run_time_is_added_to_the_array_in_place() -> None:
    case = OPEN["position of run time"]
    adjoint = vjp(case.graph, [0]).nodes[-1]
    (body,) = adjoint.regions()
    assert not [n for n in nested(body) if n.op.name in ("place", "scatter_add", "add")]


# --- capacity -------------------------------------------------------------------------------------


def test_a_loop_that_outgrows_its_tape_is_an_error_and_runs_with_a_longer_one() -> None:
    graph = OPEN["newton"].graph
    (line,) = (mark(n.origin.location) for n in graph.nodes if "capacity" in n.attrs)
    with with_capacities({line: 2}), pytest.raises(CapacityError):
        evaluate(vjp(graph, [0]), 2.3, 1.0)
    with with_capacities({line: 64}):
        joint = vjp(graph, [0])
    assert taped_bytes(joint) == 64 * 8
    _, gradient = evaluate(joint, 2.3, 1.0)
    assert_close(gradient, np.asarray(0.5 / np.sqrt(2.3)), "rounded")


# --- masked and infinite --------------------------------------------------------------------------


def test_an_infinite_partial_of_what_nothing_reads_does_no_harm() -> None:
    """Every element's root is taken, one is returned, another one's slope is infinite."""

    def function(x: Any) -> Any:
        def body(i: Any, y: Any) -> Any:
            return put_at(y, np.sqrt(get(x, i)), i)

        (y,) = fori(0, 4, 1, [np.zeros(4)], body)
        return get(y, 2)

    graph = program([array(4)], function)
    joint = vjp(graph, [0], unit_seed=True)
    np.testing.assert_array_equal(evaluate(joint, [0.0, 1.0, 4.0, 0.0])[1], [0, 0, 0.25, 0])


def test_a_masked_branch_of_an_expression_does_no_harm_in_a_loop() -> None:
    def body(i: Any, s: Any, x: Any) -> Any:
        element = get(x, i)
        chosen = np.where(element > 0, np.exp(2.0 * np.log(element)), 0.0)
        return s + chosen, x

    graph = program([array(3)], lambda x: fori(0, 3, 1, [np.asarray(0.0), x], body)[0])
    with np.errstate(all="ignore"):
        gradient = evaluate(vjp(graph, [0], unit_seed=True), [2.0, 0.0, -1.0])[1]
    np.testing.assert_allclose(gradient, [4.0, 0.0, 0.0])


def test_nothing_varied_gives_zeros() -> None:
    graph = program([array(3)], lambda x: fori(0, 3, 1, [np.zeros(3)], lambda i, s: s + 1.0)[0])
    np.testing.assert_array_equal(evaluate(vjp(graph, [0]), np.ones(3), np.ones(3))[1], np.zeros(3))
