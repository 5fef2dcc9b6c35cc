"""Does it pay to keep the rows of a tape from being a power of two apart? Two loops with tapes.

`python -m benchmarks.tape_padding` runs a stencil and an elementwise loop, forward with a tape and
backward along it, with rows of 512 by 512 float64 exactly 2 MiB apart and 64 and 128 bytes more.
The answer it gave is in docs/decisions/0012-tapes-are-not-padded.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

N, TRIPS, ROUNDS = 512, 24, 40
PADS = (0, 8, 16)  # elements

Array = np.ndarray[Any, Any]


@njit(error_model="numpy")  # type: ignore[untyped-decorator]  # Numba has no types
def stencil(tape: Array, adjoint: Array, n: int, trips: int, row: int) -> None:
    """Run five points of every neighbourhood through the trips, and the adjoint back."""
    for t in range(1, trips):
        a, b = (t - 1) * row, t * row
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                k = a + i * n + j
                total = tape[k - n] + tape[k + n] + tape[k - 1] + tape[k + 1]
                tape[b + i * n + j] = tape[k] + 0.1 * total * total
    for t in range(trips - 1, 0, -1):
        a = (t - 1) * row
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                k = a + i * n + j
                total = tape[k - n] + tape[k + n] + tape[k - 1] + tape[k + 1]
                adjoint[i * n + j] += 0.2 * total * adjoint[i * n + j]


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def elementwise(tape: Array, adjoint: Array, n: int, trips: int, row: int) -> None:
    """Square every element in every trip, and the adjoint back."""
    for t in range(1, trips):
        for i in range(n * n):
            x = tape[(t - 1) * row + i]
            tape[t * row + i] = x * x
    for t in range(trips - 1, 0, -1):
        for i in range(n * n):
            adjoint[i] *= 2.0 * tape[(t - 1) * row + i]


def seconds(loop: Callable[..., None]) -> dict[int, list[float]]:
    """Time a loop with every padding by turns."""
    tape = np.zeros(TRIPS * (N * N + max(PADS)))
    adjoint = np.ones(N * N)
    times: dict[int, list[float]] = {pad: [] for pad in PADS}
    for _ in range(ROUNDS):
        for pad in PADS:
            begin = time.perf_counter()
            loop(tape, adjoint, N, TRIPS, N * N + pad)
            times[pad].append(time.perf_counter() - begin)
    return {pad: sorted(found[1:]) for pad, found in times.items()}


def main() -> None:
    """Print the least and the median time of every loop and padding."""
    for loop in (stencil, elementwise):
        for pad, found in seconds(loop).items():
            least, middle = (1e3 * found[k] for k in (0, len(found) // 2))
            print(f"{loop.__name__:<12} {8 * pad:>4} bytes {least:8.2f} {middle:8.2f} ms")


if __name__ == "__main__":
    main()
