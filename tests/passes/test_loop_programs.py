"""Every pass keeps the meaning of loop nests, of their gradients and of tangents of those."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ir.prune import prune
from adgraph.ir.verify import verify
from adgraph.passes.cleanup import cse, dce, fold
from adgraph.passes.gather import gather
from adgraph.passes.hoist import hoist
from adgraph.passes.interface import interface
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.passes.simplify import release, simplify
from adgraph.passes.stabilize import stabilize
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.control import kernels
from tests.control.random_nests import nest

SEEDS = range(12)
KERNELS = (
    kernels.cholesky(6),
    kernels.lu(5),
    kernels.triangular_solve(6),
    kernels.seidel(6, 2),
    kernels.jacobi(6, 3),
    kernels.heat(5, 2),
    kernels.syrk(4, 3),
    kernels.thomas(7),
)


def canonical(graph: Graph) -> Graph:
    return run_pipeline(graph, CANONICAL, verify=True)[0]


def final(graph: Graph) -> Graph:
    return run_pipeline(graph, FINAL, verify=True)[0]


@functools.cache
def programs(seed: int) -> tuple[Graph, ...]:
    """A nest, its gradient, and the tangents of its gradient."""
    gradient = vjp(nest(seed), [0])
    return nest(seed), gradient, jvp(gradient, range(len(gradient.inputs)))


def arguments(graph: Graph) -> list[Any]:
    """Arguments at which numbers stay moderate, and matrices are well-conditioned."""
    rng = np.random.default_rng(7)
    found = []
    for value in graph.inputs:
        x = rng.uniform(0.3, 1.0, value.type.shape)
        if x.ndim == 2 and x.shape[0] == x.shape[1]:
            x = x + 2 * len(x) * np.eye(len(x))
        found.append(x)
    return found


def assert_kept(before: Graph, after: Graph, *, exact: bool) -> None:
    """Compare values; the result must be well-formed and print as what it is."""
    verify(after)
    assert parse(str(after), after.constants()) == after
    assert [v.type for v in after.inputs] == [v.type for v in before.inputs]
    args = arguments(before)
    for a, b in zip(evaluate(before, *args), evaluate(after, *args), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            scale = max(1.0, float(np.max(np.abs(a), initial=0.0)))
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-10 * scale)


@pytest.mark.parametrize("change", [prune, dce, cse, fold, release, interface, hoist])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cleanup_pass_keeps_every_bit(change: Any, seed: int) -> None:
    for graph in programs(seed):
        assert_kept(graph, change(graph), exact=True)


@pytest.mark.parametrize("change", [simplify, stabilize, gather, canonical, final])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rewriting_pass_keeps_values_to_rounding(change: Any, seed: int) -> None:
    for graph in programs(seed):
        assert_kept(graph, change(graph), exact=False)


@pytest.mark.parametrize("graph", KERNELS, ids=lambda graph: graph.name)
def test_kernels_and_their_gradients_keep_their_values(graph: Graph) -> None:
    gradient = vjp(canonical(graph), list(range(len(graph.inputs))))
    assert_kept(graph, final(canonical(graph)), exact=False)
    assert_kept(gradient, final(gradient), exact=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_run_finds_little_to_do(seed: int) -> None:
    """What the passes give is what they would give again: they do not undo each other."""
    once = final(canonical(programs(seed)[1]))
    twice = final(once)
    assert str(final(twice)) == str(twice)
    assert len(str(twice)) <= len(str(once))


def test_the_gradient_of_cholesky_is_what_one_would_write() -> None:
    """The accumulator is written once and added to three times in the inner loop."""
    gradient = final(vjp(canonical(kernels.cholesky(6)), [0]))
    inner = [node for graph in _bodies(gradient) for node in graph.nodes]
    names = [node.op.name for node in inner if node.origin.order == 1]
    assert names.count("update") <= 2
    assert names.count("add_at") <= 6


def _bodies(graph: Graph) -> list[Graph]:
    regions = [r for node in graph.nodes for r in node.regions()]
    return [*regions, *(b for r in regions for b in _bodies(r))]
