"""Random sums of boxes keep their value, whatever overlaps and wherever NaN stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import adgraph
from adgraph.ir.evaluate import evaluate
from adgraph.ir.types import Slice
from adgraph.ops.shape import add_at, getitem
from adgraph.passes.pipeline import FINAL, run_pipeline
from tests.strategies import graph_of

ROWS, COLUMNS = 12, 9
NUMBERS = (1.0, -1.0, 0.5, -0.5, 2.0)


@st.composite
def sides(draw: Any, extent: int) -> tuple[Slice, Slice]:
    """Where a box is read and where it is added, on one axis."""
    step = draw(st.sampled_from((1, 1, 1, 1, 2)))
    most = (extent - 1) // step + 1
    size = draw(st.sampled_from((most, most - 1, most - 2, 1)))
    room = extent - 1 - (size - 1) * step
    read, write = (draw(st.integers(0, max(room, 0))) for _ in range(2))
    return Slice(read, size, step), Slice(write, size, step)


@st.composite
def terms(draw: Any) -> list[tuple[Any, ...]]:
    """Boxes of which array go where, times which number, through which function."""
    found = []
    for _ in range(draw(st.integers(2, 7))):
        rows, columns = draw(sides(ROWS)), draw(sides(COLUMNS))
        number = draw(st.sampled_from(NUMBERS))
        form = draw(st.sampled_from(("x", "x", "x", "y", "x*y", "sin x")))
        found.append((rows, columns, number, form))
    return found


def program(parts: list[tuple[Any, ...]], *, based: bool) -> Any:
    def function(x: Any, y: Any) -> Any:
        values = {"x": x, "y": y, "x*y": x * y, "sin x": np.sin(x)}
        total = y if based else np.zeros_like(y)
        for (row, to_row), (column, to_column), number, form in parts:
            value = number * getitem(values[form], index=(row, column))
            total = add_at(total, value, index=(to_row, to_column))
        return total

    return function


@settings(max_examples=60)
@given(parts=terms(), based=st.booleans(), seed=st.integers(0, 99), spoiled=st.booleans())
def test_sums_of_boxes_keep_their_value(
    parts: list[tuple[Any, ...]], based: bool, seed: int, spoiled: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, ROWS, COLUMNS))
    before = graph_of(program(parts, based=based), x, y)
    after, _ = run_pipeline(before, FINAL, verify=True)
    if spoiled:
        x[rng.integers(ROWS), rng.integers(COLUMNS)] = np.nan
        y[rng.integers(ROWS), rng.integers(COLUMNS)] = np.inf
    with np.errstate(invalid="ignore"):
        (expected,), (found,) = evaluate(before, x, y), evaluate(after, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def stencil(shifts: list[tuple[int, int]], steps: int) -> Any:
    def function(u: Any) -> Any:
        u = u.copy()
        v = u.copy()
        n, m = u.shape
        for _ in range(steps):
            parts = [u[2 + i : n - 2 + i, 2 + j : m - 2 + j] for i, j in shifts]
            v[2:-2, 2:-2] = np.sin(sum(parts[1:], 0.5 * parts[0]))
            u[2:-2, 1:-2] += 0.3 * v[2:-2, 2:-1]
        return np.sum(u * v)

    return function


SHIFT = st.tuples(st.integers(-2, 2), st.integers(-2, 2))


@settings(max_examples=8)
@given(shifts=st.lists(SHIFT, min_size=2, max_size=6, unique=True))
def test_compiled_gradients_of_random_stencils_are_right(shifts: list[tuple[int, int]]) -> None:
    function = stencil(shifts, 5)
    rng = np.random.default_rng(len(shifts))
    u, d = rng.standard_normal((2, 23, 21))
    slope = np.vdot(adgraph.grad(function)(u), d)
    step = 1e-6
    expected = (function(u + step * d) - function(u - step * d)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-4)
