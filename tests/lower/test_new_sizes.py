"""A new size of the arguments traces a program again and compiles nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.lower import native
from adgraph.lower.lift import LARGEST, lifted
from adgraph.lower.nest import Access, Let, Load, Loop, Nest, Parameter, Store

Array = np.ndarray[Any, Any]


def normalized(x: Array) -> Any:
    return np.sum((x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-5))


def burgers(u: Array) -> Any:
    dx = 1 / (u.shape[0] - 1)
    for _ in range(20):
        u[1:-1] -= 0.1 * u[1:-1] * (u[2:] - u[:-2]) / (2 * dx)
    return np.mean(u**2)


def substitution(x: Array) -> Any:
    y = np.zeros_like(x)
    for i in range(1, x.shape[0]):
        y[i] = x[i] - y[i - 1] / x.shape[0]
    return np.mean(y)


def layers(x: Array) -> Any:
    for _ in range(5):
        x = np.tanh(x @ x.T) @ x - np.mean(x, axis=0)
    return np.sum(x**2)


def resampled(x: Array) -> Any:
    return np.sum(np.cumsum(x) * np.linspace(0, 1, x.shape[0]) * np.roll(x, 1))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """The kernels compiled so far; there are none on disk."""
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(tmp_path))
    symbols: list[str] = []
    emit = native.emit_object

    def noted(text: native.IRText) -> native.ObjectCode:
        symbols.append(text.symbol)
        return emit(text)

    monkeypatch.setattr(native, "emit_object", noted)
    return symbols


@pytest.mark.parametrize("function", [normalized, burgers, substitution, layers, resampled])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_new_size_compiles_nothing(
    function: Callable[..., Any], dtype: Any, compiled: list[str]
) -> None:
    shape = (7,) if function in (normalized, layers) else ()
    gradient = trace(function).value_and_grad
    random = np.random.default_rng(0)
    gradient(random.normal(size=(40, *shape)).astype(dtype))
    compiled.clear()
    for n in (41, 43):  # near the first: what is kept and what is repeated depends on costs
        gradient(random.normal(size=(n, *shape)).astype(dtype))
    assert compiled == []


def nest_of(*operands: str) -> Nest:
    body = (
        Load("t0", Access("a0", (("i0", "1"),))),
        Let("t1", np.dtype(np.float64), "{0} * {1} + {2}", ("t0", *operands)),
        Store(Access("b0", (("i0", "1"),)), "t1"),
    )
    pointers = tuple(Parameter(name, np.dtype(np.float64)) for name in ("a0", "b0"))
    return Nest("scaled", pointers, {"n0": 100}, (Loop("i0", "n0", body),))


def test_numbers_are_read_once_each() -> None:
    nest, numbers = lifted(nest_of("0.01", "0.01"))
    assert numbers == (0.01,)
    assert [s for s in nest.body if isinstance(s, Load)] == [nest.body[0]]
    assert nest.pointers[-1].name == "k0"


def test_small_quarters_are_constants_of_the_kernel() -> None:
    nest = nest_of("0.25", f"-{LARGEST}.0")
    assert lifted(nest) == (nest, ())


def test_integers_names_and_what_is_not_finite_are_no_such_numbers() -> None:
    nest = nest_of("inf", "int64(100)")
    assert lifted(nest) == (nest, ())


def test_a_nest_without_sizes_keeps_its_numbers() -> None:
    nest = nest_of("0.01", "3.7")
    alone = Nest(nest.name, nest.pointers, {}, nest.body)
    assert lifted(alone) == (alone, ())


# --- how much Python a new size runs --------------------------------------------------------------

MOST_CALLS = 1500  # of Python functions, for each node; 902 when this was written


def nested(x: Array) -> Any:
    y = x
    for _ in range(4):
        y = np.sin(1.1 * y + 0.3) * np.exp(-y * y) + np.tanh(y) / (1 + y * y)
        y = np.where(y > 0, y, 0.1 * y) + np.log1p(y * y) - np.sqrt(1 + y * y)
    return np.sum(y)


def calls_made(function: Callable[[], Any]) -> int:
    """Count the calls of Python functions, which are the same in every run."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def test_a_new_size_runs_no_more_python_than_it_did() -> None:
    gradient = trace(nested).value_and_grad
    for n in (60, 61):
        gradient(np.ones(n))
    nodes = len(gradient.graph(np.ones(61)).nodes)
    assert calls_made(lambda: gradient(np.ones(62))) < MOST_CALLS * nodes
