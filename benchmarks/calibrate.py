"""Measure the rates in `adgraph.analysis.cost`: run this file and copy what it prints.

NumPy stands for the compiled kernels: its exp, sums, additions and BLAS run at about their speed.
The call of a kernel is measured with Numba. Every figure is the best of several runs on one thread,
so that a busy machine matters little: set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float64, int64, types, void
from scipy.linalg.blas import dgemm

from adgraph.ir.code import Expression
from adgraph.ops import elementwise

Array = np.ndarray[Any, Any]

CACHED = 2000  # elements in the first-level cache
CALLS = 10_000


def best(run: Callable[[], Any], repeats: int = 15, seconds: float = 0.01) -> float:
    """Return the least seconds of one run, each measurement long enough for the clock."""
    run()
    count, elapsed = 1, 0.0
    while elapsed < seconds:
        count *= 2
        elapsed = timed(run, count)
    return min(timed(run, count) for _ in range(repeats)) / count


def timed(run: Callable[[], Any], count: int) -> float:
    """Return the seconds of `count` runs."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return time.perf_counter() - start


def double(x: Array, y: Array) -> None:
    """Run over an array: the smallest kernel."""
    for i in range(x.size):
        y[i] = x[i] + x[i]


def call_often(kernel: Callable[..., None], x: Array, y: Array, calls: int) -> None:
    """Call a compiled kernel over its address, as a program does."""
    for _ in range(calls):
        kernel(x, y)


def kernel_seconds() -> float:
    """Measure the call of a kernel of one element."""
    arrays = float64[::1], float64[::1]
    inner = numba.njit(void(*arrays))(double)
    outer = numba.njit(void(types.FunctionType(void(*arrays)), *arrays, int64))(call_often)
    x, y = np.ones(1), np.ones(1)
    return best(lambda: outer(inner, x, y, CALLS)) / CALLS


def element_rate() -> float:
    """Measure the additions a second of an elementwise loop, an exp counted with its weight."""
    x, y = np.linspace(-2, 2, CACHED), np.ones(CACHED)
    seconds = best(lambda: np.exp(x, out=y)) - best(lambda: np.exp(x[:1], out=y[:1]))
    code = elementwise.exp.code
    assert isinstance(code, Expression)
    return code.weight * CACHED / seconds


def fold_rate() -> float:
    """Measure the elements a second of a sum within the cache."""
    x, one = np.ones(CACHED), np.ones(1)
    return CACHED / (best(lambda: np.add.reduce(x)) - best(lambda: np.add.reduce(one)))


def memory_rate(elements: int) -> float:
    """Measure the bytes a second of an addition: two arrays read, one written."""
    x, y, out = np.ones(elements), np.ones(elements), np.ones(elements)
    first = x[:1], y[:1], out[:1]
    call = best(lambda: np.add(first[0], first[1], out=first[2]))
    return 24 * elements / (best(lambda: np.add(x, y, out=out)) - call)


def library_rate(n: int) -> float:
    """Measure the operations a second of a matrix product, without the call from Python."""
    return 2 * n**3 / (product_seconds(n) - product_seconds(1))


def product_seconds(n: int) -> float:
    """Measure one matrix product."""
    a, b, c = (np.ones((n, n), order="F") for _ in range(3))
    return best(lambda: dgemm(1.0, a, b, 0.0, c, overwrite_c=True))


def main() -> None:
    """Print the table."""
    print(f"KERNEL_SECONDS = {kernel_seconds():.1e}")
    print(f"ELEMENT_RATE = {element_rate():.1e}")
    print(f"FOLD_RATE = {fold_rate():.1e}")
    for n in (8, 16, 32, 64, 128, 256, 512, 1024):
        print(f"LIBRARY_RATES at {2 * n**3:.1e} operations: {library_rate(n):.1e}")
    for k in (8, 10, 12, 14, 16, 18, 20, 22, 24):
        print(f"MEMORY_RATES at {24 * 2**k:.1e} bytes: {memory_rate(2**k):.1e}")


if __name__ == "__main__":
    main()
