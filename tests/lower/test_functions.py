"""Native functions written in Python: their arithmetic, ways through them, and what they use."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from adgraph.lower.functions import (
    Body,
    Fields,
    Memory,
    Native,
    Value,
    compile_function,
    module_text,
    native,
    outside,
)

PLACES = ("count", "values")
ABSOLUTE = outside("i32 abs(i32)")
SEVEN = Memory("seven", "constant i64 7")


def called(function: Native, *arguments: Any) -> int:
    """Run a function of int64 and addresses, unoptimized and optimized, and compare."""
    results = []
    for passes in ("none", "few"):
        kinds = [ctypes.c_int64] * len(arguments)
        run = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(compile_function(function, passes))
        results.append(int(run(*arguments)))
    assert results[0] == results[1]
    return results[0]


@native("i64 test_arithmetic(i64, i64)")
def arithmetic(f: Body, a: Value, b: Value) -> None:
    """Use every operator."""
    shifted = (a + b - 3) * 2 << 3 >> 1
    f.leave(f.least(shifted // b % 100 & 63 | 128, a))


@native("i64 test_odd(i64)")
def odd(f: Body, end: Value) -> None:
    """Sum odd numbers below the first multiple of 11, at most up to an end."""
    total = f.slot("i64")
    total.store(0)
    with f.loop(end, 1) as i:
        f.stop_when((i % 11).equals(0))
        with f.unless((i & 1).differs(0)):
            f.skip()
        total.store(total.word() + i)
    f.leave(total.word())


@native("i64 test_primes(i64)")
def primes(f: Body, end: Value) -> None:
    """Count prime numbers: a divisor ends the trip of the outer loop."""
    count = f.slot("i64")
    count.store(0)
    with f.loop(end, 2) as i:
        with f.loop(i, 2) as k, f.when((i % k).equals(0)):
            f.skip(around=1)
        count.store(count.word() + 1)
    f.leave(count.word())


@native("i64 test_doubled(i64)")
def doubled(f: Body, a: Value) -> None:
    """Be called by another function."""
    f.leave(a + a)


@native("i64 test_uses(i64)")
def uses(f: Body, a: Value) -> None:
    """Use a function of ours, by name and by address, one of C, and a constant."""
    ours = f.call(doubled, a) + f.call_at(f.address(doubled), "i64", a)
    magnitude = f.call(ABSOLUTE, a.cast("trunc", "i32")).cast("sext", "i64")
    f.leave(ours + magnitude + f.address(SEVEN).word())


@native("i64 test_halved(i64)")
def halved(f: Body, a: Value) -> None:
    """Count how often one can halve, in a loop without end."""
    rest, turns = f.slot("i64"), f.slot("i64")
    rest.store(a)
    turns.store(0)
    with f.forever():
        rest.store(rest.word() // 2)
        f.leave_when(rest.word().equals(0), turns.word())
        turns.store(turns.word() + 1)


@native("i64 test_fields(ptr, i64)")
def fields(f: Body, table: Value, unused: Value) -> None:
    """Sum the values that a table points to, then put the sum in the place of their count."""
    given = Fields(table, PLACES)
    count, values = given.word("count"), given.pointer("values")
    given.put("count", 0)
    with f.loop(count) as i:
        given.at("count").change("add", values.word(i))
    f.leave_when(given.at("count").exchange(-1, 0, "acquire"), 0)
    f.leave(given.word("count"))


def test_operators_are_those_of_int64() -> None:
    expected = min(((20 + 7 - 3) * 2 << 3 >> 1) // 7 % 100 & 63 | 128, 200)
    assert called(arithmetic, 20, 7) == min(expected, 20)
    assert called(arithmetic, 1000, 7) == ((1004 * 2 << 3 >> 1) // 7 % 100 & 63 | 128)


@pytest.mark.parametrize(("end", "expected"), [(0, 0), (1, 0), (6, 9), (50, 25)])
def test_a_loop_skips_and_stops(end: int, expected: int) -> None:
    assert called(odd, end) == expected


def test_a_trip_of_an_outer_loop_ends_inside_an_inner_one() -> None:
    assert called(primes, 30) == 10


def test_a_module_holds_what_a_function_uses_once() -> None:
    assert called(uses, -5) == -10 - 10 + 5 + 7
    assert module_text(uses).count("define") == 2


def test_an_endless_loop_is_left_by_a_result() -> None:
    assert called(halved, 1) == 0
    assert called(halved, 1000) == 9


def test_fields_are_words_by_name() -> None:
    values = (ctypes.c_int64 * 3)(4, 5, 6)
    for passes in ("none", "few"):
        table = (ctypes.c_int64 * 2)(3, ctypes.addressof(values))
        run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
        assert run(compile_function(fields, passes))(ctypes.addressof(table), 0) == 15
        assert table[0] == 15


def test_an_instruction_behind_a_jump_is_refused() -> None:
    @native("i64 test_behind(i64)")
    def behind(f: Body, a: Value) -> None:
        f.leave(a)
        f.leave(a)

    with pytest.raises(AssertionError, match="nothing leads to ret i64"):
        module_text(behind)
