"""Sums in recurrences end with what the trip before computed."""

from __future__ import annotations

import numpy as np
import pytest

from adgraph.ir.dims import Symbol
from adgraph.lower.nest import Access, Let, Load, Range, Set, Statement, Store
from adgraph.lower.recurrent import shortened
from tests.lower.schedules import FLOAT, arrays_of, element, line, names_of, random_body, run

A, B = Access("a0", (("k", "1"),)), Access("b0", (("k", "1"),))


def chain(*addends: str) -> list[Statement]:
    """Add variables from left to right, into `sum`."""
    total = addends[0]
    body: list[Statement] = []
    for i, name in enumerate(addends[1:], 1):
        result = "sum" if i == len(addends) - 1 else f"part{i}"
        body.append(Let(result, FLOAT, "{0} + {1}", (total, name)))
        total = result
    return body


def carrying(*body: Statement) -> Range:
    return Range("k", "0", "n", "1", (Load("a", A), Load("b", B), *body))


def order(loop: Range) -> list[tuple[str, ...]]:
    return [s.operands for s in loop.body if isinstance(s, Let)]


def test_what_waits_is_added_last() -> None:
    loop = shortened(carrying(*chain("c", "a", "b"), Set("c", "sum")), names_of())
    assert order(loop) == [("a", "b"), ("t0", "c")]


def test_a_quotient_that_waits_is_a_product() -> None:
    divided = Let("q", FLOAT, "{0} / {1}", ("c", "9.0"))
    (let,) = (
        s
        for s in shortened(carrying(divided, Set("c", "q")), names_of()).body
        if isinstance(s, Let)
    )
    assert (let.text, let.operands) == ("{0} * {1}", ("c", repr(1 / 9)))


def test_nothing_waits_without_a_recurrence() -> None:
    loop = carrying(*chain("a", "b", "a"), Let("q", FLOAT, "{0} / {1}", ("sum", "9.0")))
    assert shortened(loop, names_of()) is loop
    moved = carrying(*chain("c", "a", "b"), Set("c", "a"))  # the trip before only loaded it
    assert shortened(moved, names_of()) is moved


def test_an_addend_that_changes_on_the_way_stays_in_its_place() -> None:
    body = [
        Let("part", FLOAT, "{0} + {1}", ("c", "a")),
        Let("a", FLOAT, "{0} * {1}", ("a", "2.0")),
        Let("sum", FLOAT, "{0} + {1}", ("part", "b")),
        Set("c", "sum"),
    ]
    loop = carrying(*body)
    assert order(shortened(loop, names_of())) == order(loop)


@pytest.mark.parametrize("seed", range(80))
def test_a_random_recurrence_keeps_its_value(seed: int) -> None:
    random = np.random.default_rng(seed)
    k = Symbol("k", 5, 14)
    names = names_of(k)

    def places() -> Access:
        pointer = str(random.choice(["a0", "b0"]))
        return element(names, pointer, line(k, 3, int(random.integers(-1, 2))))

    body = random_body(random, names, places)
    results = [s.name for s in body if isinstance(s, Let)]
    carried = [Let("w", FLOAT, "{0} + {1}", ("c", r)) for r in results[-1:]]
    carried += [Let("v", FLOAT, "{0} + {1}", ("w", "1.5"))] if results else []
    ends = [Set("c", "v")] if results else []
    loop = Range("k", "5", "15", "1", (*body, *carried, *ends, Store(places(), "c")))
    start = Set("c", "0.5")
    arrays = arrays_of(random, "a0", "b0")
    before = run([start, loop], names, arrays)
    after = run([start, shortened(loop, names)], names, arrays)
    for name in arrays:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-12)
