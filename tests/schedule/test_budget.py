from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph.errors import BudgetError, ShapeError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.schedule.budget import parse_bytes, schedule_and_plan
from adgraph.schedule.buffers import check
from adgraph.schedule.schedule import run
from tests.schedule.programs import arguments, blocks, chain, graphs


def elementwise_in_place(node: Node, operand: Value, result: Value) -> bool:
    return node.op.kind is Kind.ELEMENTWISE and operand in node.inputs


@settings(max_examples=20)
@given(graphs(), st.floats(0, 1), st.booleans())
def test_the_planned_peak_keeps_any_budget_or_the_error_names_one_that_works(
    graph: Graph, fraction: float, in_place: bool
) -> None:
    may_share = elementwise_in_place if in_place else lambda node, operand, result: False
    _, unlimited = schedule_and_plan(graph, may_share=may_share)
    budget = int(fraction * unlimited.peak_bytes)
    try:
        schedule, plan = schedule_and_plan(graph, budget=budget, may_share=may_share)
    except BudgetError as error:
        found = re.search(r"the smallest budget found to work is (\d+) bytes", str(error))
        assert found is not None
        budget = int(found[1])
        schedule, plan = schedule_and_plan(graph, budget=budget, may_share=may_share)
    check(plan, schedule)
    assert plan.peak_bytes <= budget
    args = arguments(graph)
    got, want = run(schedule, *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))


def test_without_a_budget_nothing_is_computed_again() -> None:
    schedule, _ = schedule_and_plan(chain(24))
    assert not schedule.recomputed


def test_checkpointed_regions_are_computed_again_without_a_budget() -> None:
    scoped, plan = schedule_and_plan(blocks(4, 5, scoped=True))
    _, plain = schedule_and_plan(blocks(4, 5, scoped=False))
    assert scoped.recomputed
    assert plan.peak_bytes < plain.peak_bytes


@pytest.mark.parametrize("fraction", [0.8, 0.5, 0.3])
def test_arrays_of_odd_sizes_and_pads_keep_the_budget(fraction: float) -> None:
    graph = chain(40, n=2048)
    _, unlimited = schedule_and_plan(graph)
    budget = int(fraction * unlimited.peak_bytes)
    schedule, plan = schedule_and_plan(graph, budget=budget)
    check(plan, schedule)
    assert 0.8 * budget <= plan.peak_bytes <= budget


@pytest.mark.parametrize(
    ("text", "bytes"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("64MB", 64_000_000),
        ("64 mb", 64_000_000),
        ("1.5GiB", 1_610_612_736),
        ("100 KiB", 102_400),
        ("0.5kB", 500),
        ("12 B", 12),
    ],
)
def test_bytes_are_parsed(text: int | str, bytes: int) -> None:
    assert parse_bytes(text) == bytes


@pytest.mark.parametrize("text", [-1, "-1", "64 megabytes", "half", "", "MB", 0.5, True, None])
def test_what_is_no_number_of_bytes_is_refused(text: object) -> None:
    with pytest.raises(ShapeError, match="is not understood") as caught:
        parse_bytes(text)  # type: ignore[arg-type]  # that is the test
    assert '"64MB"' in str(caught.value)
