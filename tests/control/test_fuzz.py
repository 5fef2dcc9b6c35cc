"""The adjoints of random loop nests: what is recorded must be enough, and every check is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph.analysis import regions
from adgraph.control.tapes import taped_bytes
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.verify import verify
from adgraph.testing import central_difference
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.control.random_nests import nest

SEEDS = range(60)
SENSITIVE = (101, 182, 0, 3, 4, 8, 14, 15, 16, 24)  # nests that the mutants below get wrong
NEARLY = 1e-13  # sums of the same terms may come in another order


def point(graph: Graph, seed: int) -> np.ndarray[Any, Any]:
    """An array at which the program's numbers stay moderate."""
    return np.random.default_rng(seed).uniform(0.3, 1.0, graph.inputs[0].type.shape)


def seeds_for(graph: Graph, args: list[Any], seed: int) -> list[Any]:
    """A random cotangent for every output."""
    rng = np.random.default_rng(1000 + seed)
    return [rng.standard_normal(y.shape) for y in evaluate(graph, *args)]


def gradient(graph: Graph, args: list[Any], **options: Any) -> np.ndarray[Any, Any]:
    """The gradient by the first input in a random direction of the outputs."""
    cts = seeds_for(graph, args, 0)
    return evaluate(vjp(graph, [0], **options), *args, *cts)[-1]


def gap(a: Any, b: Any) -> float:
    """The largest difference of two gradients, relative to their size; nan differs from all."""
    difference = np.max(np.abs(a - b)) / (1 + np.max(np.abs(b)))
    return float(np.nan_to_num(difference, nan=np.inf))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_minimal_tape_gives_the_gradient_of_the_full_one(seed: int) -> None:
    graph = verify(nest(seed))
    args = [point(graph, seed)]
    minimal, full = verify(vjp(graph, [0])), verify(vjp(graph, [0], store_all=True))
    assert taped_bytes(minimal) <= taped_bytes(full)
    assert gap(gradient(graph, args), gradient(graph, args, store_all=True)) <= NEARLY


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_the_gradient_agrees_with_differences(seed: int) -> None:
    graph = nest(seed)
    a = point(graph, seed)
    cts = seeds_for(graph, [a], 0)
    direction = np.random.default_rng(seed).standard_normal(a.shape)

    def value(x: Any) -> Any:
        return sum(np.sum(ct * y) for ct, y in zip(cts, evaluate(graph, x), strict=True))

    (expected,) = central_difference(value, [a], [direction * 0.01])
    scale = 1 + np.max(np.abs(gradient(graph, [a])))
    assert abs(np.sum(gradient(graph, [a]) * direction * 0.01) - expected) < 1e-6 * scale


@pytest.mark.parametrize("seed", range(0, 24, 2))
def test_second_derivatives_of_both_modes_are_transposes(seed: int) -> None:
    graph = vjp(nest(seed), [0])
    a = point(graph, seed)
    rng = np.random.default_rng(seed)
    args = [a, *(rng.standard_normal(v.type.shape) for v in graph.inputs[1:])]
    active = list(range(len(args)))
    moved = [rng.standard_normal(x.shape) for x in args]
    cts = seeds_for(graph, args, seed)
    results = len(graph.outputs)
    pushed = evaluate(verify(jvp(graph, active)), *args, *moved)[results:]
    pulled = evaluate(verify(vjp(graph, active)), *args, *cts)[results:]
    forward = [np.sum(ct * dy) for ct, dy in zip(cts, pushed, strict=True)]
    reverse = [np.sum(g * dx) for g, dx in zip(pulled, moved, strict=True)]
    scale = sum(np.sum(np.abs(g * dx)) for g, dx in zip(pulled, moved, strict=True))
    assert abs(sum(forward) - sum(reverse)) <= 1e-10 * (1 + scale)


# --- mutants: each check of the analysis, left out, must be missed --------------------------------


def _always(*args: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "check",
    ["spared_later", "spared_in_later_trips", "spared_earlier", "spared_in_earlier_trips"],
)
def test_gradients_are_wrong_without_a_check(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, check, _always)

    def wrong(seed: int) -> bool:
        graph = nest(seed)
        a = point(graph, seed)
        return gap(gradient(graph, [a]), gradient(graph, [a], store_all=True)) > 1e-9

    assert any(map(wrong, SENSITIVE))


@pytest.mark.parametrize("check", ["final_around", "initial_around"])
def test_more_is_recorded_without_looking_at_the_loops_around(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = [nest(seed) for seed in range(30)]
    before = [taped_bytes(vjp(graph, [0])) for graph in graphs]
    monkeypatch.setattr(regions, check, _always)
    after = [taped_bytes(vjp(graph, [0])) for graph in graphs]
    assert sum(after) > sum(before)
    for seed in range(0, 30, 5):  # the loops around check again what they supply
        a = point(graphs[seed], seed)
        full = gradient(graphs[seed], [a], store_all=True)
        assert gap(gradient(graphs[seed], [a]), full) <= NEARLY
