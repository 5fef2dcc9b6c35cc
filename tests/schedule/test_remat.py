from __future__ import annotations

import re
import time
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adgraph.errors import BudgetError, Location
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Origin
from adgraph.ir.types import ArrayType
from adgraph.ops import elementwise, linalg, reduction
from adgraph.schedule.checkpoint import checkpoint
from adgraph.schedule.order import order
from adgraph.schedule.remat import fit, lower_bound, task_seconds
from adgraph.schedule.schedule import Schedule, run
from tests.schedule.programs import BLOCK, F8, arguments, chain, graphs, vector


def ordered(graph: Graph) -> Schedule:
    return Schedule.of(graph, order(graph))


def named_budget(error: BudgetError) -> int:
    found = re.search(r"the smallest budget found to work is (\d+) bytes", str(error))
    assert found is not None
    return int(found[1])


def revolve(links: int, snapshots: int) -> int:
    """Advances of the optimal schedule (Griewank & Walther, Algorithm 799)."""
    repeats = 0
    while comb(snapshots + repeats, snapshots) < links:
        repeats += 1
    return repeats * links - comb(snapshots + repeats, repeats - 1) if repeats else 0


@given(graphs(), st.floats(0, 1))
def test_any_budget_gives_the_same_bits_and_is_kept_or_names_one_that_works(
    graph: Graph, fraction: float
) -> None:
    base = Schedule.of(graph, checkpoint(graph, order(graph)))
    budget = int(fraction * base.peak_bytes)
    try:
        schedule = fit(base, budget)
    except BudgetError as error:
        budget = named_budget(error)
        schedule = fit(base, budget)
    assert schedule.peak_bytes <= budget
    args = arguments(graph)
    got, want = run(schedule, *args), evaluate(graph, *args)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))


def test_a_schedule_that_fits_is_unchanged() -> None:
    base = ordered(chain(24))
    assert fit(base, base.peak_bytes) is base


@pytest.mark.parametrize("blocks", [25, 20, 15, 10, 8, 6, 5])
def test_a_chain_of_24_links_keeps_small_budgets(blocks: int) -> None:
    graph = chain(24)
    schedule = fit(ordered(graph), blocks * BLOCK)
    args = arguments(graph)
    assert schedule.peak_bytes <= blocks * BLOCK
    assert np.array_equal(run(schedule, *args)[0], evaluate(graph, *args)[0])


@pytest.mark.parametrize("snapshots", [5, 10])
@pytest.mark.parametrize("links", [20, 50])
def test_a_chain_costs_at_most_half_more_than_the_optimum(links: int, snapshots: int) -> None:
    # Beside the snapshots: the output, the running cotangent before and after a link.
    schedule = fit(ordered(chain(links)), (snapshots + 3) * BLOCK)
    assert len(schedule.sequence) <= 1.5 * (links + revolve(links, snapshots))


def transformer_like(layers: int, n: int = 16) -> Graph:
    """Matrix products with elementwise parts between, and their adjoint."""
    builder = Builder()
    x = builder.input(ArrayType(F8, (n, n)), "x")
    weights = [builder.input(ArrayType(F8, (n, n)), f"w{k}") for k in range(layers)]
    saved = []
    for w in weights:
        (h,) = builder.emit(linalg.matmul, [x, w], {})
        (a,) = builder.emit(elementwise.reciprocal, [h], {})
        (b,) = builder.emit(elementwise.square, [a], {})
        (y,) = builder.emit(elementwise.add, [x, b], {})
        saved.append((x, h, a))
        x = y
    ct, gradients = x, []
    for w, (x, h, a) in zip(reversed(weights), reversed(saved), strict=True):
        (da,) = builder.emit(elementwise.multiply, [ct, a], {}, Origin(order=1))
        (dh,) = builder.emit(elementwise.multiply, [da, h], {}, Origin(order=1))
        (dx,) = builder.emit(linalg.matmul, [dh, w], {}, Origin(order=1))
        (dw,) = builder.emit(linalg.matmul, [x, dh], {}, Origin(order=1))
        (total,) = builder.emit(reduction.reduce_sum, [dw], {"axis": (0, 1)}, Origin(order=1))
        gradients.append(total)
        (ct,) = builder.emit(elementwise.add, [ct, dx], {}, Origin(order=1))
    return builder.build([*gradients, ct])


@pytest.mark.parametrize("graph", [chain(30), chain(80), transformer_like(12)])
def test_a_larger_budget_never_computes_more(graph: Graph) -> None:
    base = ordered(graph)
    fractions = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    schedules = [fit(base, int(f * base.peak_bytes)) for f in fractions]
    seconds = [sum(task_seconds(schedule.flow)) for schedule in schedules]
    assert seconds == sorted(seconds, reverse=True)
    assert schedules[-1] is base


def test_the_products_of_matrices_are_not_computed_again_while_cheaper_values_will_do() -> None:
    base = ordered(transformer_like(12))
    schedule = fit(base, int(0.6 * base.peak_bytes))
    products = sum(node.op is linalg.matmul for node in schedule.recomputed)
    assert products <= 0.25 * len(schedule.recomputed)


def test_the_error_names_the_op_and_the_line_that_need_most() -> None:
    builder = Builder()
    x = builder.input(vector(), "x")
    (y,) = builder.emit(elementwise.reciprocal, [x], {})
    (z,) = builder.emit(elementwise.square, [y], {}, Origin(Location("model.py", 7)))
    (total,) = builder.emit(reduction.reduce_sum, [z], {"axis": (0,)})
    with pytest.raises(BudgetError) as caught:
        fit(ordered(builder.build([total])), 100)
    assert named_budget(caught.value) == 2 * BLOCK + 8
    assert "square, which gives f64[8], needs most: 128 bytes of operands" in str(caught.value)
    assert "at model.py:7" in str(caught.value)


def test_no_budget_below_the_lower_bound_is_met() -> None:
    base = ordered(chain(10))
    with pytest.raises(BudgetError):
        fit(base, lower_bound(base.flow) - 1)


def test_two_thousand_nodes_are_fitted_in_a_second() -> None:
    base = ordered(transformer_like(220, n=4))
    start = time.process_time()
    schedule = fit(base, base.peak_bytes // 2)
    assert time.process_time() - start < 2.0
    assert schedule.peak_bytes <= base.peak_bytes // 2
