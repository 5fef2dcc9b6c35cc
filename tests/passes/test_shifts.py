"""Values a stencil's gradient reads at several shifts: stored where they cost more than that."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from adgraph.ir.graph import Graph
from tests.passes.loops import assert_same, names
from tests.passes.test_gather import gradient

LINE = np.random.default_rng(0).uniform(0.5, 2.0, 40)
GRID = np.random.default_rng(1).uniform(0.5, 2.0, (20, 21))


def variation(x: Any) -> Any:
    down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    return np.sum(np.sqrt(down**2 + right**2 + 1e-6))


def slopes(x: Any) -> Any:
    return np.sum(np.exp(x[1:] - x[:-1]))


def cubes(x: Any) -> Any:
    return np.sum((x[1:] - x[:-1]) ** 3)


def full_size(final: Graph, *ops: str) -> Counter[str]:
    """How often the ops compute more than the ends of a box."""
    large = [n for n in final.nodes if n.output.type.size > 21]
    return Counter(name for name in names(large) if name in ops)


@pytest.mark.parametrize(
    ("function", "x", "dear"),
    [(variation, GRID, ("sqrt", "divide")), (slopes, LINE, ("exp",))],
)
def test_dear_values_are_computed_once(function: Any, x: Any, dear: tuple[str, ...]) -> None:
    joint, final = gradient(function, x)
    assert full_size(final, *dear) == Counter(dear)
    assert_same(joint, final, exact=False)


def test_the_cheap_ones_are_computed_at_every_shift() -> None:
    _, final = gradient(lambda x: np.sum((x[1:] - x[:-1]) ** 2), LINE)
    assert full_size(final, "subtract") == {"subtract": 4}  # the square's own, two and their sum


def test_ends_that_are_one_box_are_added_together() -> None:
    _, final = gradient(variation, GRID)
    boxes = [n.attrs["index"] for n in final.nodes if n.op.name in ("place", "add_at")]
    assert len(boxes) == len(set(boxes)) == 6


def test_slices_of_slices_are_one_slice() -> None:
    _, final = gradient(cubes, LINE)
    makers = final.producers()
    sliced = [n for n in final.nodes if n.op.name == "getitem"]
    nested = [n for n in sliced if n.inputs[0] in makers and makers[n.inputs[0]] in sliced]
    assert nested == []
