"""What cannot be captured is refused at the user's line, with names and types, and a way out.

In every function here the line that must be named ends in the comment `here`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import AdgraphError, TracingError

X = np.array([0.5, -1.0, 2.0, 1.5])
COUNTS = np.array([1, 2, 3, 4])
LONG = np.linspace(-1.0, 1.0, 40)
TABLE = np.zeros(40)


class Counter:
    """Something that remembers."""

    def __init__(self) -> None:
        self.count = 0


COUNTER = Counter()


def marked_line(function: Callable[..., Any]) -> int:
    """Return the number of the line that ends in the comment `here`."""
    lines, first = inspect.getsourcelines(function)
    (marked,) = [first + k for k, line in enumerate(lines) if line.rstrip().endswith("# here")]
    return marked


def refused(function: Callable[..., Any], *args: Any) -> str:
    """Return the message that refuses a call, which must name the marked line."""
    with pytest.raises(AdgraphError) as error:
        trace(function)(*(x.copy() if isinstance(x, np.ndarray) else x for x in args))
    text = str(error.value)
    assert f"test_errors.py:{marked_line(function)}" in text
    assert "why:" in text
    assert "instead:" in text
    return text


def names(text: str, variable: str) -> bool:
    """Tell whether the first line of a message, which does not quote the source, has the name."""
    return re.search(rf"\b{variable}\b", text.splitlines()[0]) is not None


# --- what Python does where no graph can follow --------------------------------------------------


def while_it_is_positive(x: Any) -> Iterator[Any]:
    for i in range(len(x)):
        if x[i] < 0:  # here
            return
        yield x[i]


def consumes_a_generator(x: Any) -> Any:
    total = 0.0
    for value in while_it_is_positive(x):
        total += value
    return total


def test_a_generator_that_depends_on_values_is_refused() -> None:
    with pytest.raises(TracingError) as error:
        trace(consumes_a_generator)(X)
    assert f"test_errors.py:{marked_line(while_it_is_positive)}" in str(error.value)
    assert "generator" in str(error.value)


def tries_a_loop(x: Any) -> Any:
    try:  # here
        while x[0] > 0:
            x = x - 1.0
    except FloatingPointError:
        x = x * 0.0
    return x


def test_try_around_a_traced_loop_is_refused() -> None:
    assert "try" in refused(tries_a_loop, X)


def tries_in_a_loop(x: Any, n: Any) -> Any:
    for _ in range(n):
        try:  # here
            x = 1.0 / x
        except ZeroDivisionError:
            x = x * 0.0
    return x


def test_try_in_a_captured_loop_is_refused() -> None:
    assert "try" in refused(tries_in_a_loop, X, 3)


def writes_a_global(x: Any) -> Any:
    TABLE[0] = x[0]  # here
    return TABLE * 2


def writes_a_global_in_a_loop(x: Any) -> Any:
    for i in range(len(x)):
        TABLE[i] += x[i]  # here
    return TABLE * 2


@pytest.mark.parametrize("function", [writes_a_global, writes_a_global_in_a_loop])
def test_a_write_into_a_captured_global_is_refused(function: Callable[..., Any]) -> None:
    text = refused(function, LONG)
    assert "plain NumPy array" in text
    np.testing.assert_array_equal(TABLE, 0.0)


def counts_in_an_object(x: Any, n: Any) -> Any:
    for _ in range(n):
        x = x * 2.0
        COUNTER.count += 1  # here
    return x


def test_hidden_state_in_a_loop_with_a_traced_count_is_refused() -> None:
    assert "count" in refused(counts_in_an_object, X, 3)


def appends_while(x: Any) -> Any:
    parts = []
    while x[0] > 0:
        x = x - 1.0
        parts.append(x)  # here
    return np.stack(parts)


def test_a_list_that_grows_an_unknown_number_of_times_is_refused() -> None:
    assert "append" in refused(appends_while, X)


# --- names that do not keep their type -----------------------------------------------------------


def doubles_its_length(x: Any, n: Any) -> Any:
    y = x
    for _ in range(n):
        y = np.concatenate([y, y])  # here
    return y


def changes_its_rank(x: Any) -> Any:
    y = x
    while np.sum(y) < 100.0:
        y = np.outer(y, y)  # here
    return y


def becomes_real(counts: Any, n: Any) -> Any:
    y = counts * 1
    for _ in range(n):
        y = y * 0.5  # here
    return y


@pytest.mark.parametrize(
    ("function", "args", "types"),
    [
        (doubles_its_length, (X, 3), ("f64[4]", "f64[8]")),
        (changes_its_rank, (X,), ("f64[4]", "f64[4,4]")),
        (becomes_real, (COUNTS, 2), ("i64[4]", "f64[4]")),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_name_that_changes_its_type_in_a_loop_is_named_with_both_types(
    function: Callable[..., Any], args: tuple[Any, ...], types: tuple[str, str]
) -> None:
    text = refused(function, *args)
    assert names(text, "y")
    for type in types:
        assert type in text


def of_two_shapes(x: Any) -> Any:
    if x[0] > 0:  # here
        y = x
    else:
        y = x[:1]
    return y * 2


def of_two_dtypes(x: Any, counts: Any) -> Any:
    if x[0] > 0:  # here
        y = x
    else:
        y = counts
    return y * 2


@pytest.mark.parametrize(
    ("function", "args", "types"),
    [
        (of_two_shapes, (X,), ("f64[4]", "f64[1]")),
        (of_two_dtypes, (X, COUNTS), ("f64[4]", "i64[4]")),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_name_with_another_type_in_each_branch_is_named_with_both_types(
    function: Callable[..., Any], args: tuple[Any, ...], types: tuple[str, str]
) -> None:
    text = refused(function, *args)
    assert names(text, "y")
    for type in types:
        assert type in text


def bound_in_one_branch(x: Any) -> Any:
    if x[0] > 0:
        y = x * 2
    return y + 1  # here


def test_a_name_bound_in_one_branch_only_cannot_be_read() -> None:
    assert names(refused(bound_in_one_branch, X), "y")


# --- arrays that are one or another, or of no known extent ----------------------------------------


def one_or_the_other(x: Any) -> Any:
    a, b = x.copy(), x * 2
    if x[0] > 0:
        y = a
    else:
        y = b
    y[0] = 100.0  # here
    return a, b


def test_writing_a_name_that_is_one_array_or_another_is_refused() -> None:
    assert "branch" in refused(one_or_the_other, X)


def one_or_the_other_read(x: Any) -> Any:
    a, b = x.copy(), x * 2
    if x[0] > 0:
        y = a
    else:
        y = b
    return y + a


def test_reading_a_name_that_is_one_array_or_another_is_fine() -> None:
    for x in (X, -X):
        np.testing.assert_array_equal(trace(one_or_the_other_read)(x), one_or_the_other_read(x))


def ragged_after_the_loop(x: Any) -> Any:
    for i in range(1, len(x)):
        part = x[:i] * 2.0
        x[i] = part[0] + x[i]
    return part + 1.0  # here


def test_a_ragged_local_cannot_be_read_after_its_loop() -> None:
    assert names(refused(ragged_after_the_loop, LONG), "part")


def selected(x: Any) -> Any:
    return x[x > 0]  # here


def selected_and_shifted(x: Any) -> Any:
    return x[x > 0] - x[x < 0]  # here


def positions(x: Any) -> Any:
    return np.nonzero(x > 0)  # here


def sized_by_a_value(x: Any, n: Any) -> Any:
    return np.zeros(n) + x[0]  # here


def reshaped_by_a_value(x: Any, n: Any) -> Any:
    return x.reshape(n, -1)  # here


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (selected, (X,), ("bool[4]", "np.where")),
        (selected_and_shifted, (X,), ("bool[4]", "different masks")),
        (positions, (X,), ("nonzero",)),
        (sized_by_a_value, (X, 3), ("static",)),
        (reshaped_by_a_value, (X, 2), ("static",)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_shape_that_depends_on_values_is_refused(
    function: Callable[..., Any], args: tuple[Any, ...], words: tuple[str, ...]
) -> None:
    text = refused(function, *args)
    for word in words:
        assert word in text


def steps_by_a_value(x: Any, step: Any) -> Any:
    total = 0.0
    for i in range(0, len(x), step):  # here
        total += x[i]
    return total


def test_a_range_with_a_traced_step_is_refused() -> None:
    assert "step" in refused(steps_by_a_value, LONG, 2)


def beyond_the_end(x: Any) -> Any:
    for i in range(len(x)):  # here
        x[i] = x[i + 1]
    return x


def test_an_index_that_leaves_its_array_in_a_captured_loop_is_an_index_error_at_the_loop() -> None:
    with pytest.raises(IndexError) as error:
        trace(beyond_the_end)(LONG)
    assert f"test_errors.py:{marked_line(beyond_the_end)}" in str(error.value)
    assert "40" in str(error.value)


def unequal_rows(x: Any) -> Any:
    total = np.zeros(3)
    for i in range(len(x) - 4):
        total += x[i : i + 4]  # here
    return total


def test_shapes_that_do_not_fit_in_a_captured_loop_are_named() -> None:
    text = str(refused(unequal_rows, LONG))
    assert "3" in text
    assert "4" in text
