"""Elements that trips share are kept in variables, and memory holds in the end what it did."""

from __future__ import annotations

import numpy as np
import pytest

from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.lower.nest import Access, Let, Load, Range, Store
from adgraph.lower.registers import Trips, in_registers
from tests.lower.schedules import (
    FLOAT,
    ROW,
    Names,
    arrays_of,
    element,
    line,
    names_of,
    random_body,
    run,
)


def loop_over(symbol: Symbol, trips: Trips, names: Names, body: list[object]) -> Range:
    stop = trips.start + trips.count * trips.step
    bounds = names.sizes.dim(trips.start), names.sizes.dim(stop), str(trips.step)
    return Range(symbol.name, *bounds, tuple(body))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(120))
def test_a_random_loop_leaves_what_it_left(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 12))
    step = int(random.choice([1, -1]))
    k = Symbol("k", 5, 30)
    trips = Trips(k, 10 if step > 0 else 22, count, step)
    names = names_of(k)

    def places() -> Access:
        pointer = str(random.choice(["a0", "b0", "b0"]))
        row, place = int(random.integers(3, 6)), int(random.integers(-2, 3))
        factor = int(random.choice([1, 1, 1, 1, 2])) if seed % 3 == 0 else 1
        return element(names, pointer, line(k, row, place) + (factor - 1) * symbol_dim(k))

    loop = loop_over(k, trips, names, list(random_body(random, names, places)))
    arrays = arrays_of(random, "a0", "b0")
    kept = in_registers(loop, trips, names, lambda _: FLOAT)
    before, after = run([loop], names, arrays), run(kept, names, arrays)
    for name in arrays:
        np.testing.assert_array_equal(after[name], before[name])


def recurrence(names: Names, k: Symbol, *, behind: int, rows: int = 0) -> list[object]:
    """`b[k] = b[k - behind] + a[k]`."""
    own: Dim = line(k, 2, 0)
    return [
        Load("x", element(names, "b0", line(k, 2 + rows, -behind))),
        Load("y", element(names, "a0", own)),
        Let("z", FLOAT, "{0} + {1}", ("x", "y")),
        Store(element(names, "b0", own), "z"),
    ]


def kept(behind: int, count: int = 20, rows: int = 0) -> bool:
    k = Symbol("k", 8, 8 + count - 1)
    trips, names = Trips(k, 8, count, 1), names_of(k)
    loop = loop_over(k, trips, names, recurrence(names, k, behind=behind, rows=rows))
    return in_registers(loop, trips, names, lambda _: FLOAT) != (loop,)


def test_what_a_trip_wrote_is_not_read_from_memory() -> None:
    k = Symbol("k", 8, 27)
    trips, names = Trips(k, 8, 20, 1), names_of(k)
    loop = loop_over(k, trips, names, recurrence(names, k, behind=1))
    *_, changed = in_registers(loop, trips, names, lambda _: FLOAT)
    assert isinstance(changed, Range)
    assert [s.access.pointer for s in changed.body if isinstance(s, Load)] == ["a0"]


def test_loops_that_vectorize_are_left_alone() -> None:
    assert kept(behind=1)
    assert not kept(behind=0)
    assert not kept(behind=-1), "read before it is written: no trip waits"


def test_rows_that_may_meet_are_left_in_memory() -> None:
    assert kept(behind=1, count=ROW - 12)
    assert not kept(behind=ROW - 1, count=ROW, rows=0), "the last trip reaches the row behind"


def test_more_elements_than_registers_are_left_in_memory() -> None:
    assert not kept(behind=7, count=6), "the trips are fewer than the places"
