"""Loops change places where no iteration needs what another one wrote, and where memory gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.lower import interchange
from adgraph.lower.interchange import Site, interchanged
from adgraph.lower.nest import ONCE, Access, Let, Load, Loop, Range, Start, Statement, Store
from tests.lower.schedules import (
    FLOAT,
    ROW,
    Names,
    arrays_of,
    element,
    names_of,
    random_body,
    run,
)

K = Symbol("k", 1, 9)
EXTENT = "9"


def site(body: list[Statement], names: Names, step: int = 1) -> Site:
    bounds = ("1", "10") if step > 0 else ("9", "0")
    loop = Range("k", *bounds, str(step), tuple(body))
    scratch = iter(["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"])
    return Site(loop, K, step, names, lambda dtype, size: next(scratch), lambda _: FLOAT)


def column(names: Names, pointer: str, row: Dim = 0, place: Dim = 0) -> Access:
    """The element of a row of the nest, and a column of the loop."""
    stride = names.sizes.number(ROW)
    return element(names, pointer, row * ROW + symbol_dim(K) + place, ("i0", stride))


def across(names: Names, pointer: str, row: Dim = 0) -> Access:
    """The element of a column of the nest, in a row that is the loop's."""
    return element(names, pointer, (symbol_dim(K) + row) * ROW, ("i0", "1"))


def ran(statements: list[Statement], names: Names, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    arrays = arrays_of(np.random.default_rng(seed), "a0", "b0", "b1", *(f"s{i}" for i in range(8)))
    found = run(statements, names, arrays)
    return {name: found[name] for name in ("a0", "b0", "b1")}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(100))
def test_a_random_loop_of_nests_keeps_its_value(
    seed: int, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interchange, "LANES", 4)
    monkeypatch.setattr(interchange, "COLUMNS", 2)
    monkeypatch.setattr(interchange, "PIECE", 3)
    monkeypatch.setattr(interchange, "LARGE", 0 if large else 10**9)
    random = np.random.default_rng(seed)
    names = names_of(K)

    def places() -> Access:
        pointer = str(random.choice(["a0", "a0", "b0", "b1"]))
        match random.integers(6):
            case 0:
                return across(names, pointer, int(random.integers(0, 2)))
            case 1:
                return element(names, pointer, symbol_dim(K), ("i0", "0"))
            case _:
                return column(names, pointer, place=int(random.choice([0, 0, 0, 1, -1])))

    def scalars() -> Access:
        pointer = str(random.choice(["a0", "b1"]))
        return element(names, pointer, int(random.integers(12, 14)) * ROW + symbol_dim(K))

    body: list[Statement] = []
    for _ in range(int(random.integers(1, 4))):
        if random.integers(3) == 0:
            body += random_body(random, names, scalars)
        if random.integers(4) == 0:
            total = names.scalar()
            fold = Let(total, FLOAT, "fold_add({0}, {1})", (total, "x"))
            nest = Loop("i0", EXTENT, (Load("x", column(names, "a0")), fold))
            body += [Start(total, FLOAT, 0.0), nest, Store(scalars(), total, ONCE)]
        else:
            body.append(Loop("i0", EXTENT, tuple(random_body(random, names, places))))
    given = site(body, names, step=int(random.choice([1, -1])))
    before, after = ran([given.loop], names, seed), ran([interchanged(given)], names, seed)
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-12, err_msg=name)


def copied(target: Access, *sources: Access, add: str = "") -> Loop:
    loads = [Load(f"x{i}", source) for i, source in enumerate(sources)]
    lets = [Let("y", FLOAT, "{0} * {1}", ("x0", f"x{len(sources) - 1}"))]
    return Loop("i0", EXTENT, (*loads, *lets, Store(target, "y", add)))


def innermost(statement: Statement) -> str:
    """The index of the innermost loop, by its first occurrence."""
    while isinstance(statement, (Loop, Range)):
        index = statement.index
        inner = [s for s in statement.body if isinstance(s, (Loop, Range))]
        if not inner:
            return index
        statement = inner[0]
    raise AssertionError("no loop")


def test_independent_trips_run_side_by_side() -> None:
    names = names_of(K)
    given = site([copied(column(names, "b0"), column(names, "a0"))], names)
    assert innermost(interchanged(given)) == "k"


def test_trips_that_only_add_to_one_element_run_side_by_side() -> None:
    names = names_of(K)
    one = element(names, "b0", 5, ("i0", "1"))
    given = site([copied(one, column(names, "a0"), add=ONCE)], names)
    assert innermost(interchanged(given)) == "k"


def test_a_recurrence_stays_inside_blocks_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interchange, "COLUMNS", 4)
    names = names_of(K)
    body = [copied(column(names, "b0"), column(names, "b0", place=-1), column(names, "a0"))]
    changed = interchanged(site(list(body), names))
    assert isinstance(changed, Range)
    assert changed.index != "k"
    assert innermost(changed) == "i0"


def test_neighbouring_columns_that_depend_on_each_other_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interchange, "COLUMNS", 4)
    names = names_of(K)
    body = [copied(column(names, "b0"), column(names, "b0", row=1, place=-1))]
    given = site(list(body), names)
    assert interchanged(given) is given.loop


def test_small_steps_stay() -> None:
    names = names_of(K)
    given = site([copied(across(names, "b0"), across(names, "a0"))], names)
    assert interchanged(given) is given.loop


def scan_columns(x: Any, a: Any) -> Any:
    y = np.zeros_like(x)
    y[:, 0] = x[:, 0]
    for k in range(1, x.shape[1]):
        y[:, k] = x[:, k] * np.tanh(y[:, k - 1]) + a[:, k]
    return y


def add_columns(c: Any, a: Any) -> Any:
    c = c.copy()
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            c[i, : i + 1] += a[i, k] * a[: i + 1, k]
    return c


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [scan_columns, add_columns])
def test_columns_are_walked_in_rows(function: Any, dtype: Any) -> None:
    random = np.random.default_rng(1)
    x, a, w = random.normal(size=(3, 90, 90)).astype(dtype) / 8
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(trace(function)(x, a), function(x, a), rtol=tolerance, atol=1e-5)
    assert trace(function)(x, a).dtype == dtype

    def loss(x: Any, a: Any) -> Any:
        return np.sum(w * function(x, a))

    found = grad(loss, argnums=(0, 1))(x, a)
    h = 1e-2 if dtype == np.float32 else 1e-6
    direction = random.normal(size=(2, 90, 90)) / 90
    ends = [
        loss(x.astype(float) + s * h * direction[0], a.astype(float) + s * h * direction[1])
        for s in (1, -1)
    ]
    slope = sum(np.sum(g * d) for g, d in zip(found, direction, strict=True))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-3)
