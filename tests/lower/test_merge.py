"""Neighbouring nests run as one where no iteration sees what another has not yet written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.lower.merge import merged
from adgraph.lower.nest import Access, Let, Load, Loop, Offset, Remark, Sizes, Statement, Store

pytestmark = pytest.mark.usefixtures("backend")

N = Sizes({"n0": 50, "n1": 7}, shared=True)
I = symbol_dim(Symbol("i", 0, 9))  # noqa: E741  as in the printed text


def at(pointer: str, offset: Dim = 0, stride: str = "1") -> Access:
    return Access(pointer, (("i0", stride),), Offset(str(offset), offset))


def nest(*body: Statement, extent: str = "n1") -> Loop:
    return Loop("i0", extent, body)


def copying(source: Access, target: Access, extent: str = "n1") -> Loop:
    return nest(Load("t", source), Store(target, "t"), extent=extent)


TOGETHER = {
    "other arrays": (copying(at("a0"), at("b0")), copying(at("a1"), at("b1"))),
    "the same element": (copying(at("a0"), at("b0")), copying(at("b0"), at("b1"))),
    "rows": (copying(at("a0"), at("b0", 50)), copying(at("b0", 0), at("b1"))),
    "neighbours in another column": (
        copying(at("a0"), at("b0", I, "n0")),
        copying(at("b0", I - 1, "n0"), at("b1")),
    ),
}
APART = {
    "a neighbour": (copying(at("a0"), at("b0", 1)), copying(at("b0", 0), at("b1"))),
    "a row that reaches into the next": (
        copying(at("a0"), at("b0", 6)),
        copying(at("b0", 0), at("b1")),
    ),
    "one element for all": (copying(at("a0"), Access("b0", ())), copying(at("b0"), at("b1"))),
    "a distance that changes": (copying(at("a0"), at("b0", I)), copying(at("b0"), at("b1"))),
    "another stride": (copying(at("a0"), at("b0", 0, "n0")), copying(at("b0"), at("b1"))),
    "a fold that the second needs": (
        nest(Load("t", at("a0")), Let("sum", np.dtype(float), "fold_add({0}, {1})", ("sum", "t"))),
        nest(Store(at("b0"), "sum")),
    ),
    "other extents": (copying(at("a0"), at("b0")), copying(at("a1"), at("b1"), "n0")),
}


@pytest.mark.parametrize("nests", TOGETHER.values(), ids=TOGETHER)
def test_nests_that_cannot_disturb_each_other_are_one(nests: tuple[Loop, Loop]) -> None:
    (loop,) = merged([nests[0], Remark("line"), nests[1]], N)
    assert isinstance(loop, Loop)
    assert loop.body == (*nests[0].body, Remark("line"), *nests[1].body)


@pytest.mark.parametrize("nests", APART.values(), ids=APART)
def test_nests_that_may_disturb_each_other_stay_apart(nests: tuple[Loop, Loop]) -> None:
    assert merged(nests, N) == nests


def alternating(x: Any) -> Any:
    a, b = x.copy(), np.zeros_like(x)
    for _ in range(12):
        b[1:-1] = a[1:-1] * 0.5
        a[1:-1] = b[:-2] + b[2:]
        a[0] = b[1]
        b[1:] = a[:-1]
    return a, b


def columns(x: Any) -> Any:
    a = np.outer(x, x)
    for k in range(1, len(x)):
        a[:, k] = a[:, k] + a[:, k - 1]
        a[:, k - 1] = a[:, k] * 0.25
    return a


@pytest.mark.parametrize("function", [alternating, columns])
@pytest.mark.parametrize("n", [3, 20, 41])
def test_programs_keep_their_values(function: Callable[..., Any], n: int) -> None:
    x = np.random.default_rng(n).standard_normal(n)
    for have, want in zip(trace(function)(x), function(x), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-14, atol=1e-14)


def test_the_columns_are_one_nest() -> None:
    x = np.ones(20)
    assert trace(columns).source(x).count("for i0 in") <= 3
