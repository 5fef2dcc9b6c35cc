"""Trips of loops whose arrays take turns run together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.passes.turns import turns
from tests.passes.loops import assert_same, captured, program, region

BACKWARDS = """
graph @f(%x: f64[300], %y: f64[300]) -> (f64[300], f64[300]) {
  %a: f64[300], %b: f64[300] = loop[symbol=i, start=1, trips=TRIPS, step=2, constants=0](%x, %y) {
    body = graph @body(%x: f64[300], %y: f64[300]) -> (f64[300], f64[300]) {
      %0: f64[300] = getitem[index=(299:-1:-1,)](%x)
      %1: f64[300] = sin(%0)
      %2: i64[] = index[dim=i]()
      %3: f64[] = convert[dtype=f64](%2)
      %4: f64[300] = multiply(%3, %1)
      %5: f64[300] = add(%y, %4)
      return %4, %5
    }
  }
  return %a, %b
}
"""


@pytest.mark.parametrize("trips", [4, 5])
def test_what_is_computed_from_moved_elements_makes_turns_of_two(trips: int) -> None:
    before = program(BACKWARDS.replace("TRIPS", str(trips)))
    hits: Counter[str] = Counter()
    after = turns(before, hits)
    loops = [n for n in after.nodes if "body" in n.attrs]
    assert hits == {"trips together": 1}
    assert [n.attrs["trips"] for n in loops] == [2] + [1] * (trips % 2)
    assert [n.attrs["step"] for n in loops] == [4] + [2] * (trips % 2)
    assert_same(before, after)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("getitem[index=(299:-1:-1,)](%x)", "cos(%x)"),
        ("f64[300]", "f64[30]"),
        ("trips=4", "trips=3"),
    ],
)
def test_loops_that_need_no_copy_and_small_ones_stay(old: str, new: str) -> None:
    text = (
        BACKWARDS.replace("TRIPS", "4")
        .replace(old, new)
        .replace("index=(299:-1:-1,)](%x)" if new == "f64[30]" else "\0", "index=(29:-1:-1,)](%x)")
    )
    before = program(text)
    assert turns(before) is before


def rotating(a: Any, b: Any, c: Any) -> Any:
    for _ in range(60):
        new = 0.5 * np.sin(a) + 0.1 * b * c
        a, b, c = b, c, new
    return np.sum(a * b + c)


def waves(before: Any, now: Any, _: Any) -> Any:
    for _ in range(61):
        after = np.zeros_like(now)
        after[1:-1] = 1.2 * now[1:-1] - 0.5 * before[1:-1] + 0.02 * np.sin(now[2:] - now[:-2])
        before, now = now, after
    return np.sum(now * now)


@pytest.mark.parametrize("function", [rotating, waves])
def test_arrays_that_are_handed_on_take_turns(function: Any) -> None:
    rng = np.random.default_rng(0)
    arguments = rng.standard_normal((3, 400))
    before = captured(function, *arguments)
    after = turns(before)
    loop = region(before)
    first = next(n for n in after.nodes if "body" in n.attrs)
    assert first.attrs["trips"] < loop.attrs["trips"]
    assert_same(before, after, exact=False)
    found, gradients = adgraph.value_and_grad(function, argnums=(0, 1, 2))(*arguments)
    np.testing.assert_allclose(found, function(*arguments), rtol=1e-12)
    d = rng.standard_normal(arguments.shape)
    step = 1e-6
    expected = (function(*(arguments + step * d)) - function(*(arguments - step * d))) / (2 * step)
    np.testing.assert_allclose(np.vdot(gradients, d), expected, rtol=1e-5)
