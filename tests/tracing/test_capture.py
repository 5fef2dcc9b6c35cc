"""Loops over ranges and arrays become one node, whatever they do to arrays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import AdgraphError, DtypeError, ShapeError, TracingError
from adgraph.tracing import loops
from tests.tracing.captured import A, X, assert_equals_numpy, nodes, operations, recorded

TABLE = np.linspace(0.0, 1.0, 20)
PLACES = [3, 1, 0, 2] * 5


def neighbours(x: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        y[i] = x[i - 1] + x[i + 1]
    return y


def cholesky(a: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[j, :j]
            a[i, j] /= a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])


def durbin(r: Any) -> Any:
    y = np.empty_like(r)
    alpha, beta = -r[0], 1.0
    y[0] = -r[0]
    for k in range(1, len(r)):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


def backwards(x: Any) -> Any:
    for i in range(len(x) - 2, 0, -2):
        x[i] += x[i - 1] * x[i + 1]
    return x


def scalars(x: Any, a: float) -> Any:
    s, k = 0, 3
    for _ in range(10):
        s = s * a + x[k]
        k += 1
    return s, k


def rows(a: Any) -> Any:
    total = 0.0
    for k, row in enumerate(a):
        total = total + row[k] * k
    for row, column in zip(a, a.T, strict=True):
        total += row @ column
    for row in reversed(a):
        total = total * 0.5 + row.sum()
    return total


def row_is_a_view(a: Any) -> Any:
    for row in a:
        row[2:] *= 0.5
        row[0] = row.sum()
    return a


def helper(z: Any, k: int) -> Any:
    for _ in range(2):
        z = math.sin(z) + k
    return z


def helpers(x: Any) -> Any:
    y = np.empty(len(x))
    for i in range(len(x)):
        y[i] = helper(x[i], i)
    return y


def tables(x: Any) -> Any:
    s = 0.0
    for i in range(20):
        s = s + TABLE[i] * x[PLACES[i]]
    return s


def derived_indices(x: Any) -> Any:
    y = np.zeros(20)
    for i in range(20):
        y[(i + 1) % 20] = x[i // 2] - x[i - 1]
    return y


def triangle(x: Any) -> Any:
    a = np.zeros((20, 20))
    for i in range(20):
        a[i, :i] = x[:i] * x[i]
        a[i, i:] = np.flip(x[i:])
        a[i, : i + 1] /= np.sum(x[: i + 1])
    return a


def ragged_locals(x: Any) -> Any:
    s = 0.0
    for i in range(1, 20):
        w = np.zeros(i) + x[:i]
        w[0] = 2.0
        n = len(w)
        s += np.mean(w * np.arange(n)) / n + w.shape[0] + np.max(w[::-1])
    return s


def late_index(x: Any) -> Any:
    for i in range(1, 19, 2):
        x[i] = 0.0
    return x[i] + i


def last_of_a_body(x: Any) -> Any:
    for i in range(20):
        r = x[i] * 2
        row = x[i:]
    row[0] = 7.0
    return r, x


def two_loops_with_one_temporary(x: Any) -> Any:
    s = 0.0
    for i in range(10):
        t = x[i : i + 2] * 2
        s += t[0]
    for i in range(10):
        t = x[i] + 1
        s += t
    return s


def no_trips(x: Any) -> Any:
    for _ in range(0):
        y = x
    for i in range(12):
        for j in range(i):
            x[j] = x[j] + i
        y = x[i]
    return x, y


def pytrees(x: Any) -> Any:
    state = {"position": x[0], "speed": (x[1], 0)}
    for i in range(10):
        speed, count = state["speed"]
        state = {"position": state["position"] + 0.1 * speed, "speed": (speed - x[i], count + 1)}
    return state


def an_index_in_arithmetic(x: Any) -> Any:
    s = 0.0
    for i in range(1, 15):
        s += x[i] / i + float(i) * 0.5 + i**2 + max(i, 3) + np.sqrt(i) + abs(i - 4) + (i % 3)
    return s


def comparisons_of_indices(x: Any) -> Any:
    s = 0.0
    for i in range(1, 15):
        if i >= 1:
            s += x[i]
        if i == 20:
            s += 100.0
        if i == 7:
            s -= x[0]
        s += x[i] if i > 10 else 2.0
    return s


def a_list_made_in_the_body(x: Any) -> Any:
    s = 0.0
    for i in range(12):
        parts = []
        for k in range(3):
            parts.append(x[i + k])  # noqa: PERF401  the statement is what is tested
        s += np.stack(parts).max()
    return s


def previous_element(x: Any) -> Any:
    s = 0.0
    before = x[0]
    row = x[0:3]
    for i in range(1, 15):
        s += before * x[i] + row.sum()
        before = x[i]
        row = x[i : i + 3]
    return s, row


def shares_a_variable_with_a_helper(x: Any) -> Any:
    total = 0.0

    def add(value: Any) -> None:
        nonlocal total
        total = total + value

    for i in range(12):
        add(x[i])
    return total


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (neighbours, (X,)),
    (cholesky, (A @ A.T + 20 * np.eye(12),)),
    (durbin, (X / 40,)),
    (backwards, (X,)),
    (scalars, (X, 0.5)),
    (rows, (A,)),
    (row_is_a_view, (A,)),
    (helpers, (X,)),
    (tables, (X,)),
    (derived_indices, (X,)),
    (triangle, (X,)),
    (ragged_locals, (X,)),
    (late_index, (X,)),
    (last_of_a_body, (X,)),
    (two_loops_with_one_temporary, (X,)),
    (no_trips, (X,)),
    (pytrees, (X,)),
    (an_index_in_arithmetic, (X,)),
    (comparisons_of_indices, (X,)),
    (a_list_made_in_the_body, (X,)),
    (previous_element, (X,)),
    (shares_a_variable_with_a_helper, (X,)),
]


@pytest.mark.parametrize(("function", "args"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_captured_loop_has_numpys_value(function: Callable[..., Any], args: Any) -> None:
    graph = assert_equals_numpy(function, *args)
    assert "loop" in operations(graph)


@pytest.mark.parametrize(("function", "args"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_short_loops_may_be_captured_as_well(function: Callable[..., Any], args: Any) -> None:
    token = loops.UNROLLING.set(loops.Unrolling(0, 0))
    try:
        assert_equals_numpy(function, *args)
    finally:
        loops.UNROLLING.reset(token)


def test_graph_and_tracing_time_do_not_depend_on_the_number_of_trips() -> None:
    sizes, times = [], []
    for n in (20, 20_000):
        start = time.perf_counter()
        sizes.append(len(list(nodes(recorded(neighbours, np.ones(n)).graph))))
        times.append(time.perf_counter() - start)
    assert sizes[0] == sizes[1] < 12
    assert times[1] < 1.0


def test_nested_loops_are_traced_once_each() -> None:
    seen = []

    def nest(x: Any) -> Any:
        for i in range(10):
            for j in range(i):
                seen.append((i, j))
                x[i] += x[j]
        return x

    def without_a_list(x: Any) -> Any:
        for i in range(1000):
            for j in range(i):
                for k in range(j):
                    x[i] += x[j] * x[k]
        return x

    graph = recorded(without_a_list, np.ones(1000)).graph
    assert operations(graph).count("loop") == 3
    assert_equals_numpy(nest, X)


def test_short_loops_unroll_so_that_they_fuse() -> None:
    def short(x: Any) -> Any:
        for i in range(3):
            for j in range(4):
                x = x * (i + j)
        return x

    def short_around_long(x: Any) -> Any:
        for _ in range(4):
            for i in range(100):
                x[i] *= 2.0
        return x

    assert "loop" not in operations(recorded(short, X).graph)
    assert operations(recorded(short_around_long, np.ones(100)).graph).count("loop") == 2


def test_bounds_may_be_known_when_the_program_runs_only() -> None:
    def partial_sum(x: Any, n: int, m: int) -> Any:
        s, k = 0.0, 0
        for i in range(n, m, 2):
            s += x[i]
            k += 1
        return s, k

    for n, m in ((0, 20), (3, 11), (5, 5), (7, 2)):
        graph = assert_equals_numpy(partial_sum, X, n, m)
        assert "counted" in operations(graph)


def test_large_constants_stand_outside_the_loop() -> None:
    def weighted(x: Any) -> Any:
        s = 0.0
        for i in range(20):
            s += np.dot(TABLE, x) * TABLE[i] * 2.0
        return s

    graph = assert_equals_numpy(weighted, X)
    for node in graph.nodes:
        for region in node.regions():
            constants = [n for n in nodes(region) if n.op.name == "const"]
            assert all(not n.output.type.shape for n in constants)


def test_what_is_true_in_a_body_only_stays_there() -> None:
    def guarded(x: Any, n: int) -> Any:
        s = 0.0
        for _ in range(n):
            for i in range(3, 20):
                s += x[i - 3]
        return s

    graph = assert_equals_numpy(guarded, X, 2)
    assert all(node.op.name != "getitem" for node in graph.nodes)


# --- questions about the index that have several answers ------------------------------------------


def clipped_window(x: Any) -> Any:
    y = np.zeros(20)
    for i in range(20):
        y[i] = x[max(0, i - 2) : min(20, i + 3)].sum()
    return y


def wrapped_window(x: Any) -> Any:
    y = np.zeros(20)
    for i in range(20):
        y[i] = x[i - 2 :].sum() + x[: i + 5].sum()
    return y


def edges_of_another_shape(x: Any) -> Any:
    a = np.outer(x, x)
    for i in range(20):
        below = a[i - 1] if i > 0 else 0.0
        a[i] += 0.5 * below if i != 7 else 1.0
    return a


def windows_backwards(x: Any) -> Any:
    s = 0.0
    for i in range(19, -1, -1):
        s = s * 0.5 + x[max(i - 3, 0) : i + 1].sum()
    return s


def windows_in_a_nest(x: Any) -> Any:
    s = 0.0
    for i in range(20):
        for j in range(i):
            s = s * 0.5 + x[max(j - 2, 0) : j].sum()
    return s


@pytest.mark.parametrize(
    "function",
    [
        clipped_window,
        wrapped_window,
        edges_of_another_shape,
        windows_backwards,
        windows_in_a_nest,
    ],
)
def test_a_loop_splits_where_the_answer_changes(function: Callable[..., Any]) -> None:
    graph = assert_equals_numpy(function, X)
    assert operations(graph).count("loop") < 12
    assert len(operations(graph)) < 250


def test_a_slice_with_ends_known_when_running_is_a_mask() -> None:
    def product(starts: Any, columns: Any, data: Any, x: Any) -> Any:
        y = np.empty(len(starts) - 1)
        for i in range(len(starts) - 1):
            row = slice(starts[i], starts[i + 1])
            y[i] = data[row] @ x[columns[row]]
        return y

    starts = np.array([0, 2, 2, 5, 6, 7, 7, 9, 12, 12, 12, 14])
    columns = np.arange(14) * 3 % 20
    assert_equals_numpy(product, starts, columns, np.linspace(1.0, 2.0, 14), X)


# --- what makes a loop unroll ---------------------------------------------------------------------


def appends(x: Any) -> Any:
    parts = []
    for i in range(12):
        parts.append(x[i] * i)  # noqa: PERF401
    return np.array(parts)


def asks_for_an_integer(x: Any) -> Any:
    names = {0: 1.0, 5: 2.0}
    for i in range(12):
        x = x * names.get(i, 1.0)
    return x


def grows(x: Any) -> Any:
    y = np.zeros(0)
    for i in range(12):
        y = np.concatenate((y, x[i : i + 1]))
    return y


def counts_in_an_object(x: Any) -> Any:
    class Counter:
        count = 0.0

    counter = Counter()
    for i in range(12):
        counter.count += x[i]
    return counter.count


COUNT = 0.0


def counts_in_a_global(x: Any) -> Any:
    global COUNT
    COUNT = 0.0
    for i in range(12):
        COUNT += x[i]
    result, COUNT = COUNT, 0.0
    return result


def state_of_another_function() -> Callable[[Any], Any]:
    total = 0.0

    def add(value: Any) -> Any:
        nonlocal total
        total = total + value
        return total

    return add


def counts_in_a_closure(x: Any) -> Any:
    add = state_of_another_function()
    for i in range(12):
        result = add(x[i])
    return result


@pytest.mark.parametrize(
    "function",
    [
        appends,
        asks_for_an_integer,
        grows,
        counts_in_an_object,
        counts_in_a_global,
        counts_in_a_closure,
    ],
)
def test_a_loop_that_cannot_be_captured_unrolls(function: Callable[..., Any]) -> None:
    graph = assert_equals_numpy(function, X)
    assert "loop" not in operations(graph)


def test_an_outer_loop_unrolls_where_an_inner_one_has_no_constant_length() -> None:
    def f(x: Any) -> Any:
        parts = []
        for i in range(10):
            for j in range(i):
                parts.append(x[j])  # noqa: PERF401
        return np.array(parts)

    assert_equals_numpy(f, X)


def changes_dtype(x: Any, n: int) -> Any:
    y = x.astype(np.float32)
    for _ in range(n):
        y = y * np.float64(2.0)
    return y


def changes_shape(x: Any, n: int) -> Any:
    y = x
    for _ in range(n):
        y = np.concatenate((y, x))
    return y


def changes_kind(x: Any, n: int) -> Any:
    y = x
    for _ in range(n):
        y = [x]
    return y


def reads_a_ragged_local(x: Any) -> Any:
    for i in range(1, 12):
        r = x[:i] * 2
    return r


@pytest.mark.parametrize(
    ("function", "args", "kind", "words"),
    [
        (changes_shape, (X, 3), ShapeError, ("'y'", "f64[20]", "f64[40]")),
        (changes_kind, (X, 3), TracingError, ("'y'", "f64[20]", "a list")),
        (reads_a_ragged_local, (X,), TracingError, ("'r'", "return r")),
        (changes_dtype, (X, 3), DtypeError, ("f32[20]", "f64[20]")),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_errors_name_the_variable_and_both_types(
    function: Callable[..., Any], args: Any, kind: type[Exception], words: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as error:
        recorded(function, *args)
    for word in words:
        assert word in str(error.value)
    assert "test_capture.py" in str(error.value)


def test_a_bare_except_of_the_user_does_not_swallow_the_fallback() -> None:
    def f(x: Any) -> Any:
        parts = []
        for i in range(12):
            try:
                parts.append(x[i])
            except Exception:
                parts.append(0.0)
        return np.array(parts)

    assert_equals_numpy(f, X)


def test_a_real_error_of_a_body_is_raised_as_it_is() -> None:
    def f(x: Any) -> Any:
        for i in range(12):
            x[i] = undefined_name  # type: ignore[name-defined]  # noqa: F821
        return x

    with pytest.raises(NameError, match="undefined_name"):
        recorded(f, X)


def test_a_loop_too_long_to_be_written_out_is_refused_with_the_reason() -> None:
    def f(x: Any) -> Any:
        parts = []
        for i in range(10_000):
            parts.append(x * i + i)  # noqa: PERF401
        return parts

    with pytest.raises(AdgraphError, match="changes a list"):
        recorded(f, X)
