"""What cannot be part of a program, outside loops: the error names line, reason and way out."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.errors import AdgraphError, TracingError

X = np.array([1.0, 2.0, 3.0])
BUFFER = np.zeros(3)
HERE = "test_refusals.py:"


@pytest.fixture(autouse=True)
def _reset() -> None:
    BUFFER[...] = 0.0


def assert_refused(function: Callable[..., Any], *words: str) -> None:
    with pytest.raises(AdgraphError) as error:
        trace(function)(X.copy())
    text = str(error.value)
    for word in (HERE, "why: ", "instead: ", *words):
        assert word in text, text


# --- arrays that were there before ----------------------------------------------------------------


def stored(x: Any) -> Any:
    BUFFER[0] = 1.0
    return x * BUFFER


def stored_through_a_view(x: Any) -> Any:
    part = BUFFER[1:]
    part[0] = 2.0
    return x * BUFFER


def augmented(x: Any) -> Any:
    BUFFER[:] += 1.0
    return x * BUFFER


def augmented_name(x: Any) -> Any:
    buffer = BUFFER
    buffer += 1.0
    return x * buffer


def filled(x: Any) -> Any:
    BUFFER.fill(1.0)
    return x * BUFFER


def copied_to(x: Any) -> Any:
    np.copyto(BUFFER, 1.0)
    return x * BUFFER


def out(x: Any) -> Any:
    np.add(BUFFER, 1.0, out=BUFFER)
    return x * BUFFER


def positional_out(x: Any) -> Any:
    np.exp(BUFFER, BUFFER)
    return x * BUFFER


def added_at(x: Any) -> Any:
    np.add.at(BUFFER, [0, 0], 1.0)
    return x * BUFFER


def in_a_callee(x: Any) -> Any:
    stored(1.0)
    return x


@pytest.mark.parametrize(
    "function",
    [
        stored,
        stored_through_a_view,
        augmented,
        augmented_name,
        filled,
        copied_to,
        out,
        positional_out,
        added_at,
        in_a_callee,
    ],
)
def test_a_global_array_is_not_written_while_tracing(function: Callable[..., Any]) -> None:
    assert_refused(function, "was there before the call", "pass it as an argument")
    np.testing.assert_array_equal(BUFFER, 0.0)
    with pytest.raises(TracingError, match="was there before the call"):
        grad(lambda x: np.sum(function(x)))(X)
    np.testing.assert_array_equal(BUFFER, 0.0)


def test_an_array_of_a_closure_a_default_or_an_instance_is_not_written() -> None:
    held = np.zeros(3)

    def closed_over(x: Any) -> Any:
        held[0] = 1.0
        return x * held

    def defaulted(x: Any, into: Any = held) -> Any:
        into += 1.0
        return x * into

    class Model:
        def __init__(self) -> None:
            self.held = held

        def method(self, x: Any) -> Any:
            self.held[1] = 1.0
            return x * self.held

    assert_refused(closed_over, "was there before the call")
    assert_refused(defaulted, "was there before the call")
    assert_refused(Model().method, "was there before the call")
    assert_refused(functools.partial(defaulted, into=held), "was there before")
    np.testing.assert_array_equal(held, 0.0)


def test_a_traced_value_is_not_stored_in_a_plain_array() -> None:
    assert_refused(_store, "plain NumPy")
    assert_refused(lambda x: np.multiply(x, x, out=BUFFER), "plain NumPy array")


def _store(x: Any) -> Any:
    BUFFER[0] = x[0]
    return x


def test_plain_arrays_made_in_the_function_are_written() -> None:
    def f(x: Any) -> Any:
        positions = np.arange(3)
        positions[0] = 2
        table = np.cos(positions)
        table[1] = 0.5
        table += 1.0
        return x[positions] * table

    np.testing.assert_allclose(trace(f)(X), f(X), rtol=1e-15)


# --- handlers -------------------------------------------------------------------------------------


def a_handler_of_type_errors(x: Any) -> Any:
    try:
        y = {x[0]: 1.0}[x[0]]
    except (TypeError, KeyError):
        y = 0.0
    return x * y


def a_bare_handler(x: Any) -> Any:
    try:
        return x * np.asarray(memoryview(x))
    except:  # noqa: E722  the worst case is what is tested
        return x


def a_handler_with_cleanup(x: Any) -> Any:
    done = []
    try:
        assert x[0] > 0
    except Exception:
        return x
    else:
        done.append(1)
    finally:
        done.append(2)
    return x * 2


@pytest.mark.parametrize("function", [a_handler_of_type_errors, a_handler_with_cleanup])
def test_a_handler_does_not_swallow_what_cannot_be_traced(function: Callable[..., Any]) -> None:
    assert_refused(function)


def test_a_handler_gets_the_errors_that_numpy_raises_too() -> None:
    def f(x: Any) -> Any:
        try:
            return x[7]
        except IndexError:
            pass
        try:
            return x + np.ones(5)
        except ValueError as error:
            x = x * len(error.args)
        try:
            raise KeyError("mine")
        except KeyError:
            return x * 2

    np.testing.assert_array_equal(trace(f)(X), f(X))


# --- numbers for Python ---------------------------------------------------------------------------


def generated(x: Any) -> Iterator[Any]:
    for v in x:
        if v > 1:
            yield v


def printed(x: Any) -> Any:
    print("%.3f" % x[0], file=io.StringIO())  # noqa: UP031
    return x


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "tolist": (lambda x: x.tolist(), "list(x)"),
    "tobytes": (lambda x: x.tobytes(), "outside"),
    "float of an array": (lambda x: float(x), "x[0]"),
    "a generator that decides": (lambda x: np.array(list(generated(x))), "generator"),
    "a comprehension that decides": (lambda x: np.array([v for v in x if v > 1]), "np.where"),
    "a key": (lambda x: dict.fromkeys(x, 1), "table[i]"),
    "a set": (lambda x: set(x), "table[i]"),
    "a size": (lambda x: np.zeros(np.argmax(x)), "static"),
    "an assertion on all": (lambda x: _asserted(x), "np.where"),
    "formatted the old way": (printed, "static"),
    "nditer": (lambda x: [v for v in np.nditer(x)], "np.ndindex"),  # noqa: C416
}


def _asserted(x: Any) -> Any:
    assert (x > 0).all()
    return x


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_a_number_now_is_refused(name: str) -> None:
    function, way_out = REFUSED[name]
    assert_refused(function, way_out)


ACCEPTED: dict[str, Callable[..., Any]] = {
    "list": lambda x: list(x),
    "list of floats": lambda x: [float(v) for v in x],
    "sum of a generator": lambda x: sum(v * v for v in x),
    "generator": lambda x: np.array([2 * v for v in x]),
    "fromiter": lambda x: np.fromiter((v * v for v in x), float),
    "fromiter of numbers": lambda x: x * np.fromiter(range(3), float),
    "format": lambda x: len(f"{x} {x[0]}") and x,
    "seeded numbers": lambda x: x * np.random.default_rng(3).normal(size=3),
    "enumerated": lambda x: sum(i * v for i, v in enumerate(x)),
    "unpacked": lambda x: (lambda a, b, c: a * b + c)(*x),
    "starred": lambda x: max(*x) - min(*x),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_looks_alike_and_can_be_traced_is(name: str) -> None:
    f = ACCEPTED[name]
    np.testing.assert_allclose(trace(f)(X), f(X), rtol=1e-15)
