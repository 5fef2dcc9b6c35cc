"""What a second thread brings: `python -m benchmarks.threads`.

Large elementwise programs and reductions with `threads=1` and `threads=2`, in turns; the least time
of each counts. It needs two free cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph import trace

SECONDS = 4.0  # a program
Array = np.ndarray[Any, Any]


def damped(x: Array) -> Array:
    """Return an elementwise function."""
    return np.exp(np.sin(x) * x)


def total(x: Array) -> Any:
    """Return a sum."""
    return np.sum(np.sin(x) * x)


def softmax(x: Array) -> Array:
    """Return the softmax of rows."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    result: Array = e / np.sum(e, axis=1, keepdims=True)
    return result


def loss(x: Array) -> Any:
    """Return a sum of transcendental functions."""
    return np.sum(np.log1p(np.exp(-x)) * np.tanh(x))


def programs() -> dict[str, tuple[Callable[[int], Callable[..., Any]], Array]]:
    """Return for each name a maker, by the number of threads, and an argument."""
    x = np.random.default_rng(0).standard_normal(1_000_000)
    return {
        "elementwise": (lambda n: trace(damped, threads=n), x),
        "sum": (lambda n: trace(total, threads=n), x),
        "softmax 1000x1000": (lambda n: trace(softmax, threads=n), x.reshape(1000, 1000)),
        "value and gradient": (lambda n: trace(loss, threads=n).value_and_grad, x),
    }


def least_seconds(functions: list[Callable[..., Any]], x: Array) -> list[float]:
    """Return the least time of each function, called in turns."""
    least = [float("inf")] * len(functions)
    for f in functions:
        f(x)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for i, f in enumerate(functions):
            begin = time.perf_counter()
            f(x)
            least[i] = min(least[i], time.perf_counter() - begin)
    return least


def main() -> None:
    """Print a table."""
    print("| program | one thread µs | two threads µs | ratio |\n| --- | --: | --: | --: |")
    for name, (maker, x) in programs().items():
        one, two = least_seconds([maker(1), maker(2)], x)
        print(f"| {name} | {one * 1e6:,.0f} | {two * 1e6:,.0f} | {one / two:.2f} |")


if __name__ == "__main__":
    main()
