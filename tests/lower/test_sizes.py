"""A new size is traced and not compiled: kernels take extents at run time.

There are two classes of sizes: arrays beyond the first cache are read less often at the cost of
arithmetic (`passes.repeat`), and what hands them over runs in blocks (`lower.blocks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad
from adgraph.lower import native


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def softmax(x: Any) -> Any:
    rows = np.reshape(x, (-1, 20))
    e = np.exp(rows - np.max(rows, axis=1, keepdims=True))
    return np.sum((e / np.sum(e, axis=1, keepdims=True)) ** 2)


def long_chain(x: Any) -> Any:
    y, z = x, x + 1.0
    for k in range(40):
        y, z = np.sin(y) * z + 0.1 * k, y - np.tanh(z)
    return np.sum(y * z)


def smoothed(x: Any) -> Any:
    y = x.copy()
    for _ in range(3):
        y[1:-1] = 0.5 * y[1:-1] + 0.25 * (y[2:] + y[:-2])
    return np.sum(y**2)


def accumulated(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        total = total * 0.5 + np.sin(x[k])
    return total


PROGRAMS = (rosenbrock, softmax, long_chain, smoothed, accumulated)
CLASSES = ((1000, 1020, 1040, 2000), (10_000, 10_020, 12_000, 16_000))


@pytest.mark.parametrize("sizes", CLASSES, ids=("small", "large"))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_a_new_size_compiles_nothing(
    program: Callable[[Any], Any], sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    gradient = grad(program)
    gradient(np.linspace(0.1, 1.0, sizes[0]))

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a new size was compiled")

    monkeypatch.setattr(native, "emit_object", refuse)
    for size in sizes[1:]:
        assert gradient(np.linspace(0.1, 1.0, size)).shape == (size,)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_a_new_size_has_the_same_kernels(program: Callable[[Any], Any]) -> None:
    gradient = grad(program)
    sources = [gradient.source(np.linspace(0.1, 1.0, size)) for size in (1000, 1020, 2000)]
    assert sources[0] == sources[1] == sources[2]
