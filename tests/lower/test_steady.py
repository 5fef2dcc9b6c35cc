"""What every trip reads alike behind a check is read before the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.lower.nest import Access, Load, Offset, Range, Stop, Store
from adgraph.lower.steady import without_steady_loads

CHECK = Stop("t0 < 0", "3")
MOVING = Load("t0", Access("a0", (), Offset("i")))
STEADY = Load("t1", Access("a1", (), Offset("j + 1")))


def loop(*body: Any) -> Range:
    return Range("i", "0", "n0", "1", body)


def test_a_steady_load_behind_a_check_moves() -> None:
    store = Store(Access("b0", (), Offset("i")), "t1")
    found = without_steady_loads(loop(MOVING, CHECK, STEADY, store))
    assert found == ((STEADY,), loop(MOVING, CHECK, store))


@pytest.mark.parametrize(
    "body",
    [
        (MOVING, STEADY),  # LLVM moves it
        (STEADY, MOVING, CHECK),
        (MOVING, CHECK, STEADY, Store(Access("a1", (), Offset("i")), "t1")),
        (MOVING, CHECK, Load("t1", Access("a1", (), Offset("t0")))),
        (MOVING, CHECK, Load("t1", Access("a1", (("j", "1"), ("i", "n0"))))),
        (MOVING, CHECK, STEADY, loop(MOVING)),
    ],
    ids=["unchecked", "before the check", "stored", "placed inside", "walks", "not scalar"],
)
def test_other_loads_stay(body: tuple[Any, ...]) -> None:
    assert without_steady_loads(loop(*body)) == ((), loop(*body))


def weighed(w: Any, x: Any, starts: Any, columns: Any) -> Any:
    y = np.zeros(len(starts) - 1)
    for i in range(len(y)):
        for p in range(starts[i], starts[i + 1]):
            y[i] += w[i] * x[columns[p]]
    return y


def test_rows_without_trips_and_positions_out_of_bounds() -> None:
    rng = np.random.default_rng(0)
    starts, columns = np.array([0, 3, 3, 3, 8, 8]), rng.integers(-6, 6, 8)
    w, x = rng.normal(size=5), rng.normal(size=6)
    f = trace(weighed)
    np.testing.assert_allclose(f(w, x, starts, columns), weighed(w, x, starts, columns))
    ct = rng.normal(size=5)
    g = grad(lambda w, x: np.sum(ct * weighed(w, x, starts, columns)), argnums=(0, 1))
    dense = np.zeros((5, 6))
    np.add.at(dense, (np.repeat(np.arange(5), np.diff(starts)), columns), 1.0)
    for found, expected in zip(g(w, x), (ct * (dense @ x), (ct * w) @ dense), strict=True):
        np.testing.assert_allclose(found, expected)
    columns[5] = 6
    with pytest.raises(IndexError):
        f(w, x, starts, columns)
