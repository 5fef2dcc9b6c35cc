"""What one core of this machine can do, measured: bytes a second by size, operations a second.

`machine_limits()` measures once a process, in about a tenth of a second.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adgraph.lower.kernel import KernelSource, compile_kernels
from adgraph.runtime.arena import Array, address

WORKING_SETS = (16_000, 256_000, 4_000_000, 64_000_000)  # bytes: in each cache, and in none
SECONDS = 2e-3  # of one measurement, or one pass over the data if that is longer
TRIES = 5
CHAIN = 16  # multiplications and additions of one element

STREAM = KernelSource(
    "stream",
    ("float64", "float64"),
    2,
    """
def stream(total, x, n, passes):
    for k in range(passes):
        for i in range(n):
            total[i] = total[i] + x[i] * 0.5
""",
)
LINKS = "; ".join(["t = t * 0.75 + 0.25"] * CHAIN)
CHAINS = KernelSource(
    "chains",
    ("float64",),
    2,
    f"""
def chains(x, n, passes):
    for k in range(passes):
        for i in range(n):
            t = x[i]
            {LINKS}
            x[i] = t
""",
)
STREAM_BYTES = 24  # an element of each operand is read, one is written


@dataclass(frozen=True)
class Limits:
    """Bytes a second for working sets up to a number of bytes, and operations a second."""

    bandwidths: tuple[tuple[int, float], ...]
    flops: float

    def bandwidth(self, working_set: float) -> float:
        """Return the bytes a second for a working set."""
        for size, rate in self.bandwidths:
            if working_set <= size:
                return rate
        return self.bandwidths[-1][1]


@functools.cache
def machine_limits() -> Limits:
    """Measure one core: a sum of two arrays, and chains of fused multiplications and additions.

    >>> machine_limits().flops > 1e8
    True
    """
    stream, chains = compile_kernels([STREAM, CHAINS])
    bandwidths = tuple((size, _bandwidth(stream, size)) for size in WORKING_SETS)
    x = np.ones(WORKING_SETS[0] // 8)
    return Limits(bandwidths, 2 * CHAIN * len(x) / _seconds_of_a_pass(chains, (x,)))


def _bandwidth(stream: int, working_set: int) -> float:
    n = working_set // 16
    return STREAM_BYTES * n / _seconds_of_a_pass(stream, (np.ones(n), np.ones(n)))


def _seconds_of_a_pass(kernel: int, arrays: Sequence[Array]) -> float:
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    run: Callable[[int, int], int] = prototype(kernel)
    pointers = np.array([address(array) for array in arrays])
    sizes = np.array([len(arrays[0]), 1])

    def seconds(passes: int) -> float:
        sizes[1] = passes
        begin = time.perf_counter()
        run(address(pointers), address(sizes))
        return time.perf_counter() - begin

    seconds(1)
    passes = max(1, int(SECONDS / seconds(1)))
    return min(seconds(passes) for _ in range(TRIES)) / passes
