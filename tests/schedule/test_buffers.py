from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType
from adgraph.ops import elementwise, linalg, shape
from adgraph.schedule.buffers import PAD, Plan, check, never, plan
from adgraph.schedule.order import orders
from adgraph.schedule.packing import Rectangle, pack
from adgraph.schedule.schedule import Compute, Schedule
from tests.schedule.programs import BLOCK, F8, chain, fit, graphs, pair, vector


def ordered(graph: Graph) -> Schedule:
    return Schedule.of(graph, orders(graph)[0])


def elementwise_in_place(node: Node, operand: Value, result: Value) -> bool:
    return node.op.kind is Kind.ELEMENTWISE and operand in node.inputs


@given(graphs(), st.booleans(), st.floats(0.5, 1))
def test_plans_of_random_programs_are_valid(graph: Graph, in_place: bool, fraction: float) -> None:
    schedule = ordered(graph)
    least = schedule.flow.needs
    bound = max(map(least, range(len(schedule.sequence))), default=0)
    schedule = fit(schedule, max(int(fraction * schedule.peak_bytes), 2 * bound))
    found = plan(schedule, elementwise_in_place if in_place else never)
    check(found, schedule)
    _check_bytes(found, schedule)


def _check_bytes(found: Plan, schedule: Schedule) -> None:
    """Mark every byte of the arena with its owner: nobody may write over what is read later."""
    arena = np.full(found.arena_bytes, -1)
    places: dict[Value, tuple[slice, int]] = {}
    views = {
        v: n.inputs[0] for n in schedule.graph.nodes if n.op.kind is Kind.VIEW for v in n.outputs
    }
    for time, step in enumerate(schedule.steps):
        if not isinstance(step, Compute):
            continue
        for v in step.node.inputs:
            while v in views:
                v = views[v]
            if v in places:
                place, stamp = places[v]
                assert (arena[place] == stamp).all()
        for j, (v, offset) in enumerate(zip(step.node.outputs, found.offsets[time], strict=True)):
            if offset is not None:
                places[v] = slice(offset, offset + v.type.nbytes), time * 10 + j
                arena[places[v][0]] = places[v][1]


def elementwise_chain(length: int, n: int) -> Graph:
    builder = Builder()
    value = builder.input(vector(n), "x")
    for _ in range(length):
        (value,) = builder.emit(elementwise.reciprocal, [value], {})
    return builder.build([value])


def test_an_elementwise_chain_runs_in_one_buffer_beside_its_output() -> None:
    schedule = ordered(elementwise_chain(10, 100))
    found = plan(schedule, elementwise_in_place)
    check(found, schedule)
    assert found.arena_bytes == 832
    assert found.peak_bytes == 832 + 800
    assert plan(schedule, never).arena_bytes == 2 * 832


def test_an_operand_that_is_read_later_is_not_overwritten() -> None:
    schedule = ordered(chain(4))
    found = plan(schedule, elementwise_in_place)
    check(found, schedule)
    # Four links stay alive; only cotangents can take their places.
    assert found.arena_bytes == 4 * BLOCK


def test_a_result_takes_no_operand_of_another_size_or_dtype_size() -> None:
    builder = Builder()
    x = builder.input(vector(64), "x")
    (a,) = builder.emit(elementwise.reciprocal, [x], {})
    (half,) = builder.emit(shape.reshape, [a], {"shape": (8, 8)})
    (b,) = builder.emit(linalg.matmul, [half, half], {})
    (c,) = builder.emit(elementwise.reciprocal, [b], {})
    schedule = ordered(builder.build([c]))
    found = plan(schedule, elementwise_in_place)
    check(found, schedule)
    assert found.arena_bytes == 2 * 512


def test_every_view_of_a_shared_operand_must_be_allowed() -> None:
    builder = Builder()
    x = builder.input(ArrayType(F8, (8, 8)), "x")
    (a,) = builder.emit(elementwise.reciprocal, [x], {})
    (turned,) = builder.emit(shape.transpose, [a], {"axes": (1, 0)})
    (b,) = builder.emit(elementwise.add, [a, turned], {})
    (c,) = builder.emit(elementwise.reciprocal, [b], {})
    schedule = ordered(builder.build([c]))
    asked: list[Value] = []

    def straight(node: Node, operand: Value, result: Value) -> bool:
        asked.append(operand)
        return operand is not turned

    assert plan(schedule, straight).arena_bytes == 2 * 512
    assert turned in asked


def test_workspaces_have_a_place_of_their_own() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    a, b = builder.emit(pair, [x], {})
    (y,) = builder.emit(elementwise.add, [a, b], {})
    schedule = ordered(builder.build([y]))
    found = plan(schedule, never)
    check(found, schedule)
    assert found.arena_bytes == 3 * BLOCK
    assert {*found.offsets[0], *found.scratch[0]} == {0, 64, 128}
    assert found.offsets[1] == (None,)
    assert found.scratch[1] == ()


def test_empty_arrays_have_offset_zero() -> None:
    builder = Builder()
    x = builder.input(vector(0), "x")
    (a,) = builder.emit(elementwise.reciprocal, [x], {})
    (b,) = builder.emit(elementwise.reciprocal, [a], {})
    schedule = ordered(builder.build([b]))
    found = plan(schedule, never)
    assert found.offsets[0] == (0,)
    assert found.peak_bytes == 0
    check(found, schedule)


def test_slots_of_whole_pages_are_padded() -> None:
    found = plan(ordered(elementwise_chain(4, 4096)), never)
    assert found.arena_bytes == 2 * (8 * 4096 + PAD)
    assert plan(ordered(elementwise_chain(4, 512)), never).arena_bytes == 2 * 4096


def test_the_check_finds_overlap_misalignment_and_dead_operands() -> None:
    schedule = ordered(chain(3))
    found = plan(schedule, never)
    squeezed = tuple(tuple(None if o is None else 0 for o in row) for row in found.offsets)
    with pytest.raises(GraphError, match="over"):
        check(replace(found, offsets=squeezed), schedule)
    shifted = tuple(tuple(None if o is None else o + 8 for o in row) for row in found.offsets)
    with pytest.raises(GraphError, match="in an arena of"):
        check(replace(found, offsets=shifted), schedule)
    cut = replace(schedule, steps=schedule.steps[1:])
    with pytest.raises(GraphError, match="not live"):
        check(replace(found, offsets=found.offsets[1:], scratch=found.scratch[1:]), cut)


rectangles = st.lists(
    st.builds(
        lambda start, length, size: Rectangle(start, start + length, 64 * size),
        st.integers(0, 20),
        st.integers(1, 10),
        st.integers(1, 9),
    ),
    max_size=20,
)


@given(rectangles)
def test_packed_rectangles_do_not_overlap(rectangles: list[Rectangle]) -> None:
    packing = pack(rectangles)
    height = max((r.end for r in rectangles), default=0)
    taken = np.zeros((height, packing.bytes // 64), int)
    for r, offset in zip(rectangles, packing.offsets, strict=True):
        taken[r.start : r.end, offset // 64 : (offset + r.size) // 64] += 1
    assert taken.max(initial=0) <= 1
    assert taken.sum() == sum((r.end - r.start) * r.size // 64 for r in rectangles)
