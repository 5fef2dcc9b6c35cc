"""The ends of rows are treated with the rows, where nothing of another row is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph import trace, value_and_grad
from adgraph.lower.merge import merged
from adgraph.lower.nest import ONCE, Access, Load, Loop, Offset, Sizes, Statement, Store
from adgraph.testing import assert_close

N = Sizes({"rows": 9, "inner": 7, "stride": 10}, shared=True)


def element(pointer: str, first: int, *, inner: bool = True, stride: str = "stride") -> Access:
    terms = (("i0", stride), ("i1", "1")) if inner else (("i0", stride),)
    return Access(pointer, terms, Offset(str(first), first))


def rows(source: Access, target: Access, extent: str = "rows", add: str = "") -> Loop:
    body: tuple[Statement, ...] = (Load("t", source), Store(target, "t", add))
    if ("i1", "1") in target.terms:
        body = (Loop("i1", "inner", body),)
    return Loop("i0", extent, body)


def end(source: Access, target: Access, extent: str = "rows", add: str = ONCE) -> Loop:
    return rows(source, target, extent, add)


INSIDE = rows(element("a0", 1), element("b0", 1))
LAST = end(element("a1", 0, inner=False), element("b0", 9, inner=False))
TOP = Loop("i0", "inner", (Store(Access("b0", (("i0", "1"),), Offset("200", 200)), "0.0"),))


def test_the_ends_of_rows_are_treated_with_them() -> None:
    (loop,) = merged([INSIDE, LAST], N)
    assert loop == Loop("i0", "rows", (*INSIDE.body, *LAST.body))


def test_rows_join_their_ends_that_come_before() -> None:
    (loop,) = merged([LAST, INSIDE], N)
    assert loop == Loop("i0", "rows", (*LAST.body, *INSIDE.body))


def test_the_ends_of_rows_pass_a_nest_over_other_elements() -> None:
    assert merged([INSIDE, TOP, LAST], N) == (Loop("i0", "rows", (*INSIDE.body, *LAST.body)), TOP)


APART = {
    "an end in the next row": (
        INSIDE,
        end(element("a1", 0, inner=False), element("b0", 11, inner=False)),
    ),
    "an end that reads the row before": (
        INSIDE,
        end(element("b0", -5, inner=False), element("b1", 0, inner=False)),
    ),
    "other rows": (
        INSIDE,
        end(element("a1", 0, inner=False), element("b0", 9, inner=False), "inner"),
    ),
    "an unknown stride": (
        INSIDE,
        end(element("a1", 0, inner=False), element("b0", 9, inner=False, stride="s")),
    ),
    "two nests over whole rows": (
        INSIDE,
        Loop("i0", "rows", (Loop("i1", "stride", (Store(element("b1", 0), "0.0"),)),)),
    ),
    "a nest between that touches the ends": (
        INSIDE,
        Loop("i0", "inner", (Store(Access("b0", (("i0", "1"),), Offset("15", 15)), "0.0"),)),
        LAST,
    ),
}


@pytest.mark.parametrize("nests", APART.values(), ids=APART)
def test_nests_that_touch_other_rows_stay_apart(nests: tuple[Loop, ...]) -> None:
    assert merged(nests, N) == nests


def variation(image: Any) -> Any:
    down = image[1:, :-1] - image[:-1, :-1]
    right = image[:-1, 1:] - image[:-1, :-1]
    return np.sum(np.sqrt(down**2 + right**2 + 1e-6))


@pytest.mark.parametrize("shape", [(3, 3), (2, 9), (9, 2), (17, 5), (40, 33)])
def test_gradients_of_stencils_keep_their_values(shape: tuple[int, int], backend: str) -> None:
    image = np.random.default_rng(shape).standard_normal(shape)
    along = np.random.default_rng(1).standard_normal(shape)
    value, slope = value_and_grad(variation)(image)
    assert_close(value, variation(image))
    step = 1e-6
    difference = (variation(image + step * along) - variation(image - step * along)) / (2 * step)
    assert abs(np.sum(slope * along) - difference) < 1e-5 * max(1.0, abs(difference))


def test_an_image_is_walked_once() -> None:
    text = trace(variation).grad.source(np.ones((40, 40))).split("def ")[-1]
    assert text.count("\n    for i0 in range(n2):") == 1
