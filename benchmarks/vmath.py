"""Nanoseconds an element of every function of vector math, against NumPy, SciPy and JAX.

Run `python -m benchmarks.vmath`, or with names of functions. Arrays have 65,536 elements and lie in
the second-level cache; rounds are interleaved and least times compared, on one thread. A peer that
is not installed is left out. The last column is the best peer's time over ours.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from adgraph.lower.kernel import KernelSource, compile_kernels

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]

ELEMENTS = 65_536
ROUNDS = 25
CALLS = 4
SYMMETRIC = (-10.0, 10.0)
UNIT = (-0.99, 0.99)
POSITIVE = (0.01, 10.0)
DOMAINS: dict[str, tuple[float, float]] = {
    "exp": SYMMETRIC,
    "expm1": SYMMETRIC,
    "exp2": SYMMETRIC,
    "log": POSITIVE,
    "log1p": (-0.9, 10.0),
    "log2": POSITIVE,
    "log10": POSITIVE,
    "sin": SYMMETRIC,
    "cos": SYMMETRIC,
    "tan": SYMMETRIC,
    "sinh": SYMMETRIC,
    "cosh": SYMMETRIC,
    "tanh": SYMMETRIC,
    "arcsin": UNIT,
    "arccos": UNIT,
    "arctan": SYMMETRIC,
    "arcsinh": SYMMETRIC,
    "arccosh": (1.0, 10.0),
    "arctanh": UNIT,
    "sqrt": POSITIVE,
    "cbrt": SYMMETRIC,
    "expit": SYMMETRIC,
    "erf": (-4.0, 4.0),
    "erfc": (-4.0, 4.0),
    "gammaln": (0.1, 20.0),
    "digamma": (0.1, 20.0),
    "arctan2": SYMMETRIC,
    "hypot": SYMMETRIC,
    "power": (0.1, 5.0),
    "remainder": SYMMETRIC,
    "floor_divide": SYMMETRIC,
    "fmod": SYMMETRIC,
}
PAIRS = ("arctan2", "hypot", "power", "remainder", "floor_divide", "fmod")


def ours(name: str, operands: list[Array]) -> Run:
    """Return a call of a kernel that applies one function."""
    code = operands[0].dtype.str[1:]
    names = [f"x{i}" for i in range(len(operands))]
    elements = ", ".join(f"{x}[i]" for x in names)
    text = f"""def f({", ".join(names)}, y, n):
    for i in range(n):
        y[i] = {name}({elements})
"""
    (address,) = compile_kernels([KernelSource("f", (code,) * (len(operands) + 1), 1, text)])
    arrays = [*operands, np.empty_like(operands[0])]
    pointers = np.array([x.ctypes.data for x in arrays], np.int64)
    sizes = np.array([ELEMENTS], np.int64)
    kernel = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(address)
    at, size_at = pointers.ctypes.data, sizes.ctypes.data
    return lambda: (kernel(at, size_at), arrays, pointers, sizes)


def numpy_run(name: str, operands: list[Array]) -> Run:
    """Return a call of the ufunc of NumPy or SciPy, into an array that is there."""
    ufunc = getattr(np, name, None) or getattr(special, name)
    result = np.empty_like(operands[0])
    return lambda: ufunc(*operands, out=result)


def jax_run(name: str, operands: list[Array]) -> Run | None:
    """Return a call of JAX's function, or None without JAX."""
    try:
        jax = importlib.import_module("jax")
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    scope = {**vars(jax.scipy.special), **vars(jax.numpy)}
    compiled = jax.jit(scope[name])
    arrays = [jax.numpy.asarray(x) for x in operands]
    return lambda: compiled(*arrays).block_until_ready()


def least(runs: dict[str, Run]) -> dict[str, float]:
    """Return the least nanoseconds an element of each, over interleaved rounds."""
    times = {name: float("inf") for name in runs}
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                run()
            seconds = (time.perf_counter() - start) / CALLS
            times[name] = min(times[name], seconds / ELEMENTS * 1e9)
    return times


def measure(name: str, dtype: str) -> dict[str, float]:
    """Measure one function in one dtype."""
    random = np.random.default_rng(0)
    low, high = DOMAINS[name]
    count = 2 if name in PAIRS else 1
    operands = [random.uniform(low, high, ELEMENTS).astype(dtype) for _ in range(count)]
    runs = {"adgraph": ours(name, operands), "numpy": numpy_run(name, operands)}
    theirs = jax_run(name, operands)
    return least({**runs, "jax": theirs} if theirs else runs)


def main() -> None:
    """Print the table."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    names = sys.argv[1:] or list(DOMAINS)
    print(f"{'function':14}{'dtype':10}{'adgraph':>9}{'numpy':>9}{'jax':>9}{'best/ours':>11}")
    for dtype in ("float64", "float32"):
        for name in names:
            times = measure(name, dtype)
            best = min(t for peer, t in times.items() if peer != "adgraph")
            figures = "".join(
                f"{times[peer]:9.2f}" if peer in times else f"{'-':>9}"
                for peer in ("adgraph", "numpy", "jax")
            )
            print(f"{name:14}{dtype:10}{figures}{best / times['adgraph']:11.2f}", flush=True)


if __name__ == "__main__":
    main()
