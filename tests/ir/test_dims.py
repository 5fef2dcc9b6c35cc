"""Affine expressions against the numbers they stand for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adgraph.ir.dims import (
    Affine,
    Dim,
    Symbol,
    UndecidedError,
    loop_bounds,
    lower_bound,
    nonnegative,
    show_dim,
    substitute,
    symbol_dim,
    upper_bound,
    value_of,
)

SMALL = st.integers(-4, 4)


def nest(ranges: list[tuple[int, int, int]]) -> list[Symbol]:
    """Make symbols: each starts at an affine function of the one before, and makes some trips."""
    symbols: list[Symbol] = []
    for factor, offset, length in ranges:
        start: Dim = offset
        if symbols:
            start = factor * symbol_dim(symbols[-1]) + offset
        symbols.append(Symbol("ijk"[len(symbols)], start, start + length))
    return symbols


def values(symbols: list[Symbol]) -> Iterator[dict[Symbol, int]]:
    """Enumerate all values of a nest's symbols."""

    def inside(known: dict[Symbol, int], rest: list[Symbol]) -> Iterator[dict[Symbol, int]]:
        if not rest:
            yield known
            return
        first, *others = rest
        assert first.lower is not None
        assert first.upper is not None
        for n in range(value_of(first.lower, known), value_of(first.upper, known) + 1):
            yield from inside({**known, first: n}, others)

    return inside({}, symbols)


RANGES = st.lists(st.tuples(st.integers(-2, 2), SMALL, st.integers(0, 3)), min_size=1, max_size=3)


@st.composite
def cases(draw: st.DrawFn, count: int) -> tuple[list[Symbol], list[Dim]]:
    symbols = nest(draw(RANGES))
    dims: list[Dim] = []
    for _ in range(count):
        dim: Dim = draw(SMALL)
        for symbol in symbols:
            dim = dim + draw(st.integers(-2, 2)) * symbol_dim(symbol)
        dims.append(dim)
    return symbols, dims


@given(cases(2), SMALL)
def test_arithmetic_is_that_of_the_numbers(case: tuple[list[Symbol], list[Dim]], n: int) -> None:
    symbols, (a, b) = case
    for env in values(symbols):
        x, y = value_of(a, env), value_of(b, env)
        assert value_of(a + b, env) == x + y
        assert value_of(a - b, env) == x - y
        assert value_of(-a, env) == -x
        assert value_of(a * n, env) == value_of(n * a, env) == x * n
        assert value_of(n - a, env) == n - x
        assert value_of(n + a, env) == n + x
        assert value_of((a * 3) // 3, env) == x


@given(cases(1))
def test_bounds_hold_and_the_number_of_symbols_left_decides_the_type(
    case: tuple[list[Symbol], list[Dim]],
) -> None:
    symbols, (a,) = case
    found = [value_of(a, env) for env in values(symbols)]
    low, high = lower_bound(a), upper_bound(a)
    assert low is not None
    assert high is not None
    assert low <= min(found)
    assert high >= max(found)
    if len(symbols) == 1:
        assert (low, high) == (min(found), max(found))
    assert isinstance(a - a, int)
    assert isinstance(a, int) or any(s in dict(a.terms) for s in symbols)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
@given(cases(2))
def test_a_comparison_that_is_decided_is_right_for_all_values(
    compare: Callable[[Any, Any], bool], case: tuple[list[Symbol], list[Dim]]
) -> None:
    symbols, (a, b) = case
    try:
        decided = compare(a, b)
    except UndecidedError:
        return
    truths = {compare(value_of(a, env), value_of(b, env)) for env in values(symbols)}
    assert truths == {decided}


@given(cases(1))
def test_the_truth_of_a_dim_is_decided_only_if_it_never_changes(
    case: tuple[list[Symbol], list[Dim]],
) -> None:
    symbols, (a,) = case
    try:
        truth = bool(a)
    except UndecidedError:
        return
    assert {value_of(a, env) != 0 for env in values(symbols)} == {truth}


@given(cases(2))
def test_equal_dims_are_the_same_expression(case: tuple[list[Symbol], list[Dim]]) -> None:
    symbols, (a, b) = case
    twin = b - b + a
    assert twin == a
    assert hash(twin) == hash(a)
    if a != b and len(symbols) == 1 and len(list(values(symbols))) > 1:
        assert any(value_of(a, env) != value_of(b, env) for env in values(symbols))


@given(cases(3))
def test_substitution_commutes_with_the_value(case: tuple[list[Symbol], list[Dim]]) -> None:
    symbols, (a, b, c) = case
    replacement = dict(zip(symbols, (b, c), strict=False))
    for env in values(symbols):
        inner: Mapping[Symbol, int] = {
            s: value_of(replacement.get(s, symbol_dim(s)), env) for s in symbols
        }
        assert value_of(substitute(a, replacement), env) == value_of(a, inner)


@given(SMALL, st.integers(1, 5), st.sampled_from([1, 2, 3, -1, -2]))
def test_the_bounds_of_a_loop_are_its_first_and_last_index(
    start: int, trips: int, step: int
) -> None:
    found = [start + t * step for t in range(trips)]
    assert loop_bounds(start, trips, step) == (min(found), max(found))


def test_a_triangle_is_decided_by_its_bounds() -> None:
    i = Symbol("i", 0, 9)
    j = Symbol("j", 0, symbol_dim(i) - 1)
    assert symbol_dim(j) < symbol_dim(i)
    assert not symbol_dim(j) >= symbol_dim(i)
    assert symbol_dim(i) <= 9
    assert bool(symbol_dim(i) + 1)
    with pytest.raises(UndecidedError, match="iteration"):
        bool(symbol_dim(j) > 3)
    with pytest.raises(UndecidedError, match="j"):
        bool(symbol_dim(j))


def test_without_bounds_nothing_is_known() -> None:
    t = symbol_dim(Symbol("t", 0, None))
    assert lower_bound(2 * t + 1) == 1
    assert upper_bound(t) is None
    assert nonnegative(t)
    assert not nonnegative(9 - t)
    with pytest.raises(UndecidedError):
        bool(t < 100)


@pytest.mark.parametrize("convert", [int, float, operator.index, range])
def test_an_expression_is_no_number(convert: Callable[[Any], Any]) -> None:
    with pytest.raises(UndecidedError, match="another value in every iteration"):
        convert(symbol_dim(Symbol("i", 0, 9)))


def test_what_is_not_affine_is_refused() -> None:
    i, j = (symbol_dim(Symbol(name, 0, 9)) for name in "ij")
    with pytest.raises(UndecidedError, match="not affine"):
        _ = i * j
    with pytest.raises(UndecidedError, match="multiple of 2"):
        _ = (2 * i + 1) // 2
    assert (2 * i + 4) // 2 == i + 2


def test_expressions_print_as_they_are_written() -> None:
    i, j = (symbol_dim(Symbol(name, 0, 9)) for name in "ij")
    shown = [repr(d) for d in (2 * i - j + 1, -i, j + i, i - 3, 0 * i + 5)]
    assert shown == ["2*i-j+1", "-i", "i+j", "i-3", "5"]
    assert show_dim(i + 1, lambda s: "k") == "k+1"
    assert isinstance(i - i, int)
    assert not isinstance(i, int)
    assert isinstance(i, Affine)
