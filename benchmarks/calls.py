"""What calls, compilation and the import cost: `python -m benchmarks.calls`.

Least times of calls with one, three and five small arrays, in Python beside NumPy and JAX, and
inside `@njit`; the time to compile a kernel; the time of the import in new processes.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph import trace
from adgraph.lower import native

Array = np.ndarray[Any, Any]
ROUNDS, CALLS = 15, 10_000
IMPORTS = ("numpy", "adgraph", "numba", "jax")


def total(*arrays: Array) -> Any:
    """Return the sum of some arrays."""
    result = arrays[0]
    for x in arrays[1:]:
        result = result + x
    return result


def least(function: Callable[[], Any], calls: int = CALLS) -> float:
    """Return the least seconds of a call."""
    function()
    found = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(calls):
            function()
        found = min(found, time.perf_counter() - begin)
    return found / calls


def installed(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def call_costs() -> None:
    """Print what a validated call costs; the loop around it, about 30 ns, is included."""
    jax = installed("jax")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    print("\n| arrays | adgraph µs | numpy µs | jax µs |\n| --- | --: | --: | --: |")
    for count in (1, 3, 5):
        arrays = [np.ones(4) * i for i in range(count)]
        functions = [trace(total), total, *([jax.jit(total)] if jax is not None else [])]
        times = [f"{least(functools.partial(f, *arrays)) * 1e6:.2f}" for f in functions]
        print(f"| {count} | {' | '.join(times)} |")


def numba_costs() -> None:
    """Print what a call inside `@njit` costs: of a scalar function, and of one of an array."""
    numba = installed("numba")
    if numba is None:
        return
    print("\n| inside @njit | ns |\n| --- | --: |")
    scalar = trace(lambda x: x * x + 1.0)
    array = trace(lambda x: np.sum(x * x))
    for name, function, argument in (("a number", scalar, 2.0), ("4 numbers", array, np.ones(4))):
        print(f"| {name} | {_loop_seconds(numba, function.numba, argument) * 1e9:.0f} |")


def _loop_seconds(numba: Any, function: Callable[[Any], Any], argument: Any) -> float:
    function(argument)

    @numba.njit  # type: ignore[untyped-decorator]
    def loop(x: Any) -> float:
        result = 0.0
        for _ in range(CALLS):
            result += function(x)
        return result

    return least(lambda: loop(argument), 1) / CALLS


def compile_costs() -> None:
    """Print what it takes to compile the kernels of some gradients, with nothing on disk."""
    spent: list[float] = []
    emit = native.emit_object

    def timed(code: native.IRText) -> native.ObjectCode:
        begin = time.perf_counter()
        result = emit(code)
        spent.append(time.perf_counter() - begin)
        return result

    programs = {
        "elementwise": (lambda x: np.sum(np.sin(x) * np.exp(-x)), np.ones(100)),
        "softmax": (lambda x: np.sum((np.exp(x).T / np.sum(np.exp(x), 1)) ** 2), np.ones((30, 40))),
        "product": (lambda x: np.sum(np.tanh(x @ x)), np.ones((40, 40))),
        "loop": (_recurrence, np.ones(50)),
    }
    print("\n| gradient | kernels | ms per kernel | first call ms |\n| --- | --: | --: | --: |")
    native.emit_object = timed
    for name, (function, x) in programs.items():
        spent.clear()
        begin = time.perf_counter()
        trace(function).grad(x)
        first = time.perf_counter() - begin
        mean = sum(spent) / max(len(spent), 1)
        print(f"| {name} | {len(spent)} | {mean * 1e3:.1f} | {first * 1e3:.0f} |")
    native.emit_object = emit


def _recurrence(x: Array) -> Any:
    y = np.zeros_like(x)
    for i in range(1, x.shape[0]):
        y[i] = np.tanh(x[i] + 0.5 * y[i - 1])
    return np.sum(y)


def import_costs() -> None:
    """Print how long imports take, each in a process of its own; the least of five."""
    print("\n| import | s |\n| --- | --: |")
    for name in filter(importlib.util.find_spec, IMPORTS):
        code = (
            f"import time; b = time.perf_counter(); import {name}; print(time.perf_counter() - b)"
        )
        command = [sys.executable, "-c", code]
        times = (subprocess.run(command, capture_output=True, check=True) for _ in range(5))
        print(f"| {name} | {min(float(run.stdout) for run in times):.2f} |")


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADGRAPH_CACHE_DIR"] = folder
        compile_costs()
        call_costs()
        numba_costs()
    import_costs()


if __name__ == "__main__":
    main()
