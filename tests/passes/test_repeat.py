"""Kernels repeat cheap nodes where that saves memory traffic, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import adgraph
from adgraph import trace
from adgraph.analysis import cost
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node
from adgraph.ir.verify import verify
from adgraph.lower.program import lower
from adgraph.passes import repeat
from adgraph.passes.fuse import fuse
from adgraph.runtime.compiled import Compiled
from tests.strategies import Program, programs

ROWS, COLUMNS = 8, 6


@pytest.fixture(autouse=True, scope="module")
def small_is_large() -> Iterator[None]:
    """Treat every operand as too large for the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeat, "SMALLEST", 300)
        patch.setattr(cost, "MEMORY_RATES", ((0.0, 3e10),))
        yield


def fused(function: Any, *args: Any) -> list[Node]:
    graph = fuse(adgraph.trace(function).graph(*args))
    verify(graph)
    return [n for n in graph.nodes if "body" in n.attrs]


def operations(node: Node) -> list[str]:
    body: Graph | None = node.attrs.get("body")
    return [] if body is None else [n.op.name for n in body.nodes]


def vectors() -> tuple[np.ndarray[Any, Any], ...]:
    rng = np.random.default_rng(3)
    shapes = ((ROWS, 1), (COLUMNS,), (COLUMNS, COLUMNS))
    return tuple(rng.normal(size=shape) for shape in shapes)


def test_a_difference_of_small_operands_is_repeated_behind_a_product() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        d = a - b
        return np.sum((d @ m) * d)

    first, second = fused(f, *vectors())
    assert operations(first) == ["subtract"]
    assert operations(second) == ["subtract", "multiply", "sum"]


def test_a_value_that_every_reader_repeats_is_not_written() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        d = a - b
        half = 0.5 * d
        return np.sum((d @ m) * half)

    first, second = fused(f, *vectors())
    assert operations(first) == ["subtract"]
    assert len(first.outputs) == 1
    assert operations(second) == ["subtract", "multiply", "multiply", "sum"]


def test_what_only_the_gradient_needs_is_computed_where_it_is_read() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        return np.sum(np.tanh(np.tanh((a - b) @ m) @ m))

    graph = fuse(adgraph.grad(f).graph(*vectors()))
    slopes = [n for n in graph.nodes if "body" in n.attrs and "tanh_slope" in operations(n)]
    assert all(len(n.outputs) == 1 for n in slopes)
    assert len(slopes) == 2


def test_masks_are_read_rather_than_what_they_come_from() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        return np.sum(np.maximum(np.maximum((a - b) @ m, 0.0) @ m, 0.0))

    graph = fuse(adgraph.grad(f).graph(*vectors()))
    first = next(n for n in graph.nodes if "maximum" in operations(n))
    assert {v.type.dtype.kind for v in first.outputs} == {"f", "b"}


def test_a_chain_of_cheap_nodes_leaves_only_its_first_value() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        y = (a - b) @ m
        for _ in range(6):
            y = y * (1.0 - 0.1 * y)
        return np.sum(np.sin(y @ m))

    graph = fuse(adgraph.grad(f).graph(*vectors()))
    forward = next(n for n in graph.nodes if operations(n).count("multiply") > 6)
    assert len(forward.outputs) == 1


def test_a_value_that_two_kernels_read_is_computed_in_both() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        x = a * b @ m
        half = 0.5 * x * x
        return np.sum((np.sin(x) @ m) * half) + np.sum((np.cos(x) @ m) @ m * half)

    kernels = fused(f, *vectors())
    assert [len([v for v in n.outputs if v.type.shape]) for n in kernels] == [1, 2, 0]
    assert operations(kernels[1]) == ["sin", "cos"]


def test_an_expensive_value_is_read() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        d = np.exp(a - b)
        return np.sum((d @ m) * d)

    first, second = fused(f, *vectors())
    assert operations(first) == ["subtract", "exp"]
    assert operations(second) == ["multiply", "sum"]


def test_a_compared_value_is_read() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        d = a - b
        return np.sum(np.where(d > 0.0, d @ m, 0.0))

    _, second = fused(f, *vectors())
    assert "subtract" not in operations(second)


@settings(max_examples=60, deadline=None, suppress_health_check=tuple(HealthCheck))
@given(programs())
def test_fusion_with_repeated_nodes_keeps_the_value_of_random_programs(program: Program) -> None:
    after = fuse(program.graph)
    verify(after)
    for a, b in zip(program.run(), program.run(after), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_compiled_gradient_with_repeated_nodes_equals_the_interpreter() -> None:
    def f(a: Any, b: Any, m: Any) -> Any:
        d = a - b
        scaled = d * np.exp(b) + d @ m
        return np.sum(np.log(1.0 + np.sum(scaled**2, axis=1)))

    args = vectors()
    graph = adgraph.value_and_grad(f, argnums=(0, 1, 2)).graph(*args)
    found = Compiled(lower(graph))(list(args))
    for result, expected in zip(found, evaluate(graph, *args), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


def test_a_long_program_of_cheap_nodes_on_large_arrays_is_fused() -> None:
    def leapfrog(x):  # type: ignore[no-untyped-def]
        y = x * 1.0
        for _ in range(300):
            x = x + 0.1 * y
            y = y - 0.1 * x
        return np.sum(x * y)

    x = np.linspace(0.0, 1.0, 40_000)
    assert trace(leapfrog).grad.graph(x).nodes
