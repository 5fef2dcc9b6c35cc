"""Matrix products, solves and factorizations by size, against NumPy and JAX.

`python -m benchmarks.blas [names] [--rounds n] [--sizes n ...]` prints a table: least times over
interleaved rounds, and peers' times through ours (above 1 adgraph is faster). A gradient is that of
the weighed sum of a result by all matrices. NumPy has no gradients. The kernels that OpenBLAS uses
are named above the table: OPENBLAS_CORETYPE, if it is set, decides them.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adgraph import trace, value_and_grad
from adgraph.doctor import report

Array = Any  # of whichever package runs the function
Run = Callable[[], Any]
SIZES = (4, 16, 64, 256, 1024)
ROUND_SECONDS = 0.01
LARGEST_DIFFERENCE = 1e-8


@dataclass(frozen=True)
class Case:
    """A function of matrices, the shapes of its arguments for a size, and whether to derive it."""

    name: str
    function: Callable[..., Array]
    shapes: Callable[[int], tuple[tuple[int, ...], ...]]
    gradient: bool = False
    largest: int = 1024
    regular: bool = False  # the first argument is a matrix that can be inverted


def product(a: Array, b: Array) -> Array:
    """Return a product."""
    return a @ b


def turned(a: Array, b: Array) -> Array:
    """Return a product with a transposed matrix."""
    return a @ b.T


def chain(a: Array, b: Array, c: Array, v: Array) -> Array:
    """Return a product that is cheap from the right."""
    return a @ b @ c @ v


def gram(a: Array) -> Array:
    """Return the products of the columns."""
    return a.T @ a


def layer(x: Array, w: Array, b: Array) -> Array:
    """Return the output of a layer."""
    return np.maximum(x @ w + b, 0.0)


def solve(a: Array, b: Array) -> Array:
    """Return the solution of a system."""
    return np.linalg.solve(a, b)


def cholesky(a: Array) -> Array:
    """Return the factor of a positive definite matrix."""
    return np.linalg.cholesky(a @ a.T)


def one(n: int) -> tuple[tuple[int, ...], ...]:
    """Return the shape of one square matrix."""
    return ((n, n),)


def two(n: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of two square matrices."""
    return ((n, n), (n, n))


CASES = (
    Case("A @ B", product, two),
    Case("A @ B, gradient", product, two, gradient=True),
    Case("A @ B.T, gradient", turned, two, gradient=True),
    Case("A @ v", product, lambda n: ((n, n), (n,))),
    Case("A @ v, gradient", product, lambda n: ((n, n), (n,)), gradient=True),
    Case("A @ B @ C @ v, gradient", chain, lambda n: (*(((n, n),) * 3), (n,)), gradient=True),
    Case("A.T @ A", gram, one),
    Case("A.T @ A, gradient", gram, one, gradient=True),
    Case("layer of 32 rows, gradient", layer, lambda n: ((32, n), (n, n), (n,)), gradient=True),
    Case("1000 of n x n", product, lambda n: ((1000, n, n), (1000, n, n)), largest=16),
    Case(
        "1000 of n x n, gradient",
        product,
        lambda n: ((1000, n, n), (1000, n, n)),
        gradient=True,
        largest=16,
    ),
    Case("solve, gradient", solve, lambda n: ((n, n), (n,)), gradient=True, regular=True),
    Case("Cholesky, gradient", cholesky, one, gradient=True, regular=True),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; default: all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    _print_conditions()
    print("| program | n | adgraph µs | numpy/ours | jax/ours |\n| --- | --: | --: | --: | --: |")
    for case in CASES:
        if options.names and not any(name in case.name for name in options.names):
            continue
        for n in options.sizes:
            if n <= case.largest:
                print(_row(case, n, options.rounds), flush=True)


def _print_conditions() -> None:
    kernels = next(line for line in report().splitlines() if "blas kernels" in line)
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "not set")
    print(f"{platform.platform()}, numpy {np.__version__}, jax {jax.__version__}")
    print(f"{' '.join(kernels.split())}; OPENBLAS_NUM_THREADS={threads}\n")


def _row(case: Case, n: int, rounds: int) -> str:
    runs = _runs(case, _arguments(case, n))
    _compare(runs)
    seconds = _least(runs, rounds)
    ours = seconds["adgraph"]
    ratios = [f"{seconds[k] / ours:.2f}" if k in seconds else "" for k in ("numpy", "jax")]
    return f"| {case.name} | {n} | {ours * 1e6:.1f} | {' | '.join(ratios)} |"


def _arguments(case: Case, n: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(n)
    drawn = [np.asarray(random.normal(size=shape)) for shape in case.shapes(n)]
    if case.regular:
        drawn[0] += 3 * np.sqrt(n) * np.eye(n)
    return [*drawn, np.asarray(random.normal(size=np.shape(case.function(*drawn))))]


def _runs(case: Case, arguments: list[np.ndarray[Any, Any]]) -> dict[str, Run]:
    *given, weights = arguments
    elsewhere = [jnp.asarray(x) for x in given]
    in_jax = _on(case.function, jnp)
    if not case.gradient:
        ours, theirs = trace(case.function), jax.jit(in_jax)
        return {
            "adgraph": lambda: ours(*given),
            "numpy": lambda: case.function(*given),
            "jax": lambda: _waited(theirs(*elsewhere)),
        }
    argnums = tuple(range(len(given)))
    derived = value_and_grad(trace(_weighed(case.function, weights)), argnums=argnums)
    compiled = jax.jit(jax.value_and_grad(_weighed(in_jax, jnp.asarray(weights)), argnums=argnums))
    return {
        "adgraph": lambda: derived(*given),
        "jax": lambda: _waited(compiled(*elsewhere)),
    }


def _waited(result: Any) -> Any:
    return jax.block_until_ready(result)  # type: ignore[no-untyped-call]


def _on(function: Callable[..., Array], module: Any) -> Callable[..., Array]:
    """Return the same code with another module for `np`."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, {**function.__globals__, "np": module})


def _weighed(function: Callable[..., Array], weights: Array) -> Callable[..., Array]:
    def weighed(*given: Array) -> Array:
        return (weights * function(*given)).sum()

    return weighed


def _compare(runs: dict[str, Run]) -> None:
    """Times of wrong results mean nothing."""
    results = {name: jax.tree.leaves(run()) for name, run in runs.items()}
    for name, theirs in results.items():
        for a, b in zip(results["adgraph"], theirs, strict=True):
            scale = float(np.max(np.abs(b))) or 1.0
            difference = float(np.max(np.abs(a - np.asarray(b)))) / scale
            if not difference < LARGEST_DIFFERENCE:
                raise AssertionError(f"our result and that of {name} differ by {difference:.1e}")


def _least(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    counts = {name: max(1, int(ROUND_SECONDS / _seconds(run, 2))) for name, run in runs.items()}
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            least[name] = min(least[name], _seconds(run, counts[name]))
    return least


def _seconds(run: Run, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
