"""Branches on traced conditions: both sides are recorded, and exits become flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import AdgraphError, ShapeError, TracingError
from tests.tracing.captured import X, assert_equals_numpy, operations, recorded


def elif_chain(x: Any, t: float) -> Any:
    if t > 5:
        y = x
    elif t > 2:
        y = x * t
    else:
        y = -x
    return y


def early_return(x: Any, t: float) -> Any:
    if t > 5:
        return x + 1
    x[0] = 3.0
    if t > 2:
        return x * x[0]
    return x


def writes(x: Any, t: float) -> Any:
    row = x[2:5]
    if t > 2:
        row *= t
        x[0] = row.sum()
    else:
        x[1] = -1.0
    return x, row


def expressions(x: Any, t: float) -> Any:
    a = x[0] if t > 2 else x[1]
    b = t > 1 and t < 4
    c = t < 1 or x[0] > 100
    d = not t > 3
    e = 1 < t < 3
    return a, b, c, d, e, max(t, x[1]), min(t, x[1], 2.5), abs(t - 3), sum([t, x[0]])


def protected(x: Any, t: float) -> Any:
    k = int(t) * 10
    if k < 20 and x[k] > 3:
        return x[k]
    return 0.0


def scalars_of_python(x: Any, t: float) -> Any:
    k = 1 if t > 2 else 2.5
    x = x.astype(np.float32)
    return x * k


def nothing_to_do(x: Any, t: float) -> Any:
    if t > 2:
        pass
    return x


BRANCHES = [
    elif_chain,
    early_return,
    writes,
    expressions,
    protected,
    scalars_of_python,
    nothing_to_do,
]


@pytest.mark.parametrize("t", [0.5, 2.5, 7.0])
@pytest.mark.parametrize("function", BRANCHES)
def test_a_branch_has_numpys_value(function: Callable[..., Any], t: float) -> None:
    assert_equals_numpy(function, X, t)


# --- exits of loops -------------------------------------------------------------------------------


def breaks(x: Any, t: float) -> Any:
    s, n = 0.0, 0
    for i in range(20):
        if x[i] == 2:
            continue
        if s > 12 * t:
            break
        s += x[i]
        n += 1
    return s, n


def returns(x: Any, t: float) -> Any:
    for i in range(20):
        if x[i] > 4.5 * t:
            return x[i] * 2
    return x[0]


def returns_two(x: Any, t: float) -> Any:
    for i in range(20):
        for j in range(i):
            if x[i] * x[j] > 40 * t:
                return x[i], j
    return 0.0, 100


def loop_with_else(x: Any, t: float) -> Any:
    for i in range(20):
        if x[i] > 10 * t:
            k = i * 1.0
            break
    else:
        k = -1.0
    return k


def bound_in_the_body_only(x: Any, t: float) -> Any:
    for i in range(20):
        r = x[i] * 2
        if r > 5 * t:
            break
    return r, i


def largest(x: Any, t: float) -> Any:
    best, place = x[0], 0
    for i in range(1, 20):
        if np.sin(x[i] * t) > best:
            best, place = np.sin(x[i] * t), i
    return best, place


def best_so_far(x: Any, t: float) -> Any:
    best = None
    for i in range(20):
        if best is None or x[i] * t > best:
            best = x[i] * t
    return best


def first_trip(x: Any, t: float) -> Any:
    first = True
    for i in range(20):
        if first:
            s = x[i]
            first = False
        else:
            s = s * t + x[i]
    return s


def in_place(x: Any, t: float) -> Any:
    for i in range(1, 20):
        if x[i] > 3 * t:
            x[i] = x[i - 1]
        else:
            x[i - 1] += t
    return x


def rows_in_place(x: Any, t: float) -> Any:
    a = np.outer(x, x)
    for i in range(1, 20):
        if a[i, 0] > 3 * t:
            a[i, :] = a[i - 1, :] * 0.5
    return a


def sums_with_steps(x: Any, t: float) -> Any:
    s = 0.0
    for i in range(20):
        if i % 3 == 0:
            s += x[i]
        elif i % 3 == 1 and x[i] > t:
            s -= x[i]
    return s


LOOPS = [
    breaks,
    returns,
    returns_two,
    loop_with_else,
    bound_in_the_body_only,
    largest,
    best_so_far,
    first_trip,
    in_place,
    rows_in_place,
    sums_with_steps,
]


@pytest.mark.parametrize("t", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("function", LOOPS)
def test_a_loop_with_branches_has_numpys_value(function: Callable[..., Any], t: float) -> None:
    graph = assert_equals_numpy(function, X, t)
    assert "loop" in operations(graph)


def test_short_branches_on_elements_need_no_cond() -> None:
    for function in (largest, in_place, breaks):
        assert "cond" not in operations(recorded(function, X, 1.0).graph)
    assert "cond" in operations(recorded(rows_in_place, X, 1.0).graph)


def test_what_may_fail_is_computed_in_its_branch_only() -> None:
    assert "cond" in operations(recorded(protected, X, 1.0).graph)

    def root(x: Any, t: float) -> Any:
        return np.sqrt(t) if t > 0 else 0.0

    assert "cond" in operations(recorded(root, X, 1.0).graph)


# --- refused --------------------------------------------------------------------------------------


def two_shapes(x: Any, t: float) -> Any:
    return x if t > 2 else x[:3]


def a_list_or_an_array(x: Any, t: float) -> Any:
    if t > 2:
        y = x
    else:
        y = [x, x]
    return y


def returns_nothing_sometimes(x: Any, t: float) -> Any:
    if t > 2:
        return x
    return None


def bound_once(x: Any, t: float) -> Any:
    if t > 2:
        y = x
    return y


def an_appending_branch(x: Any, t: float) -> Any:
    parts = [x]
    if t > 2:
        parts.append(x)
    return np.stack(parts)


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (two_shapes, ShapeError, ("f64[20]", "f64[3]")),
        (a_list_or_an_array, TracingError, ("'y'", "f64[20]", "a list")),
        (returns_nothing_sometimes, TracingError, ("the returned value", "a NoneType")),
        (bound_once, TracingError, ("'y'", "one branch")),
        (an_appending_branch, TracingError, ("changes a list",)),
    ],
)
def test_what_a_branch_cannot_do_is_refused(
    function: Callable[..., Any], kind: type[AdgraphError], words: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as error:
        recorded(function, X, 1.0)
    for word in words:
        assert word in str(error.value)
    assert "test_branches.py" in str(error.value)
