"""Recurrences and triangular loops, against hand-written gradients and JAX.

`python -m benchmarks.recurrences [names] [--rounds n]`. adgraph gets NumPy as a scientist writes
it, JAX what its expert writes; `by hand` is Numba (`benchmarks.by_hand`), where there is such code.
To add a benchmark, write both programs and a row of `RECURRENCES`.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from adgraph.lower.native import cpu_name
from benchmarks import loops
from benchmarks.by_hand import Written, written
from benchmarks.contestants import Contestant, contestants
from benchmarks.loops import Loop, definite, jax_contestant, square, system, two_squares, weighed
from benchmarks.programs import WARM_UP, Arguments, Array, Generator, Program
from benchmarks.timing import OURS, Row, compare, measure

# --- dense matrices -------------------------------------------------------------------------------


def lu(a: Array) -> Array:
    """Factorize in place, element by element, each a product of a row's and a column's piece."""
    a = a.copy()
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    return a


def lu_jax(a: Array) -> Array:
    """A fori_loop over pivots, each an outer product under a mask."""
    rows = jnp.arange(a.shape[0])

    def pivot(k: int, a: Array) -> Array:
        below = rows > k
        factors = jnp.where(below, a[:, k] / a[k, k], 0.0)
        a = a - jnp.outer(factors, jnp.where(below, a[k], 0.0))
        return a.at[:, k].set(jnp.where(below, factors, a[:, k]))

    return lax.fori_loop(0, a.shape[0], pivot, a)


# --- columns of air -------------------------------------------------------------------------------


def vertical_advection(old: Array, u: Array, w: Array, before: Array, forcing: Array) -> Array:
    """Advect implicitly along the last axis: a tridiagonal system for every column of air."""
    dt = 0.15
    levels = u.shape[2]
    upper, right, out = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    above = 0.125 * (w[1:, :, 1] + w[:-1, :, 1])
    change = -above * (u[:, :, 1] - u[:, :, 0])
    pivot = 1.0 / (dt - above)
    upper[:, :, 0] = above * pivot
    right[:, :, 0] = (dt * before[:, :, 0] + forcing[:, :, 0] + old[:, :, 0] + change) * pivot
    for k in range(1, levels - 1):
        below = -0.125 * (w[1:, :, k] + w[:-1, :, k])
        above = 0.125 * (w[1:, :, k + 1] + w[:-1, :, k + 1])
        change = -below * (u[:, :, k - 1] - u[:, :, k]) - above * (u[:, :, k + 1] - u[:, :, k])
        pivot = 1.0 / (dt - below - above - upper[:, :, k - 1] * below)
        known = dt * before[:, :, k] + forcing[:, :, k] + old[:, :, k] + change
        upper[:, :, k] = above * pivot
        right[:, :, k] = (known - right[:, :, k - 1] * below) * pivot
    k = levels - 1
    below = -0.125 * (w[1:, :, k] + w[:-1, :, k])
    change = -below * (u[:, :, k - 1] - u[:, :, k])
    pivot = 1.0 / (dt - below - upper[:, :, k - 1] * below)
    known = dt * before[:, :, k] + forcing[:, :, k] + old[:, :, k] + change
    new = (known - right[:, :, k - 1] * below) * pivot
    out[:, :, k] = dt * (new - before[:, :, k])
    for k in range(levels - 2, -1, -1):
        new = right[:, :, k] - upper[:, :, k] * new
        out[:, :, k] = dt * (new - before[:, :, k])
    return out


def vertical_advection_jax(old: Array, u: Array, w: Array, before: Array, forcing: Array) -> Array:
    """Two scans, with the vertical axis in front and all that needs no scan outside."""
    dt = 0.15
    old, u, w, before, forcing = (jnp.moveaxis(a, 2, 0) for a in (old, u, w, before, forcing))
    between = 0.125 * (w[1:, 1:] + w[1:, :-1])
    none = jnp.zeros_like(between[:1])
    below = jnp.concatenate([none, -between])
    above = jnp.concatenate([between, none])
    step = jnp.concatenate([none, u[1:] - u[:-1], none])
    known = dt * before + forcing + old + below * step[:-1] - above * step[1:]

    def down(carry: Any, level: Any) -> Any:
        upper, right = carry
        below, above, known = level
        pivot = 1.0 / (dt - below - above - upper * below)
        new = above * pivot, (known - right * below) * pivot
        return new, new

    def up(over: Array, level: Any) -> Any:
        upper, right = level
        new = right - upper * over
        return new, new

    _, (uppers, rights) = lax.scan(down, (none[0], none[0]), (below, above, known))
    _, new = lax.scan(up, none[0], (uppers, rights), reverse=True)
    return jnp.moveaxis(dt * (new - before), 0, 2)


def columns_of_air(random: Generator, n: int) -> Arguments:
    """Draw columns of 40 levels."""
    shape = (n, n, 40)
    old, u, before, forcing = (random.normal(size=shape) for _ in range(4))
    return old, u, 0.1 * random.uniform(size=(n + 1, n, 40)), before, forcing


# --- sparse ---------------------------------------------------------------------------------------


def sparse_product(pointers: Array, columns: Array, data: Array, x: Array) -> Array:
    """Multiply a matrix in compressed rows and a vector, row by row."""
    y = np.empty(len(pointers) - 1)
    for i in range(len(y)):
        row = slice(pointers[i], pointers[i + 1])
        y[i] = data[row] @ x[columns[row]]
    return y


def sparse_product_jax(pointers: Array, columns: Array, data: Array, x: Array) -> Array:
    """One gather, and sums of segments."""
    count = pointers.shape[0] - 1
    rows = jnp.repeat(jnp.arange(count), jnp.diff(pointers), total_repeat_length=data.shape[0])
    return jax.ops.segment_sum(data * x[columns], rows, num_segments=count, indices_are_sorted=True)


def sparse(random: Generator, n: int) -> Arguments:
    """Draw a matrix with about 16 elements in a row, and a vector."""
    counts = random.integers(8, 25, n)
    pointers = np.concatenate([[0], np.cumsum(counts)])
    total = int(pointers[-1])
    columns = random.integers(0, n, total)
    return pointers, columns, random.normal(size=total), random.normal(size=n)


# --- steps in time --------------------------------------------------------------------------------


def lstm(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """Run a long short-term memory over a sequence."""
    size = wh.shape[1]
    state, cell = np.zeros(size), np.zeros(size)
    states = np.zeros((len(x), size))
    for t in range(len(x)):
        gates = wx @ x[t] + wh @ state + b
        open_ = 1.0 / (1.0 + np.exp(-gates[: 3 * size]))
        cell = open_[size : 2 * size] * cell + open_[:size] * np.tanh(gates[3 * size :])
        state = open_[2 * size :] * np.tanh(cell)
        states[t] = state
    return states


def lstm_jax(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """A scan, with the products of the inputs before it."""
    size = wh.shape[1]

    def step(carry: Any, given: Array) -> Any:
        state, cell = carry
        gates = given + wh @ state
        open_ = jax.nn.sigmoid(gates[: 3 * size])
        cell = open_[size : 2 * size] * cell + open_[:size] * jnp.tanh(gates[3 * size :])
        state = open_[2 * size :] * jnp.tanh(cell)
        return (state, cell), state

    return lax.scan(step, (jnp.zeros(size), jnp.zeros(size)), x @ wx.T + b)[1]


def network(random: Generator, n: int) -> Arguments:
    """Draw 1024 steps of a sequence of n numbers and the weights of 2 n states."""
    return (
        random.normal(size=(1024, n)),
        0.1 * random.normal(size=(8 * n, n)),
        0.1 * random.normal(size=(8 * n, 2 * n)),
        0.1 * random.normal(size=8 * n),
    )


def march(x: Array, a: Array, steps: int) -> Array:
    """Follow many equations of their own through time."""
    for _ in range(steps):
        x = x + 0.01 * (a - x * x)
    return x


def march_jax(x: Array, a: Array, steps: int) -> Array:
    """A scan over all elements at once."""

    def step(x: Array, _: None) -> Any:
        return x + 0.01 * (a - x * x), None

    return lax.scan(step, x, None, length=steps)[0]


def positive(random: Generator, n: int) -> Arguments:
    """Draw two positive vectors."""
    return random.uniform(0.5, 1.5, n), random.uniform(0.5, 1.5, n)


# --- the table ------------------------------------------------------------------------------------

RECURRENCES = (
    Loop(
        "gauss-seidel", loops.gauss_seidel, loops.gauss_seidel_jax, square, ((120, 10), (400, 20))
    ),
    Loop(
        "triangular solve",
        loops.triangular_solve,
        loops.triangular_solve_jax,
        system,
        ((400, None), (2000, None)),
    ),
    Loop(
        "vertical advection",
        vertical_advection,
        vertical_advection_jax,
        columns_of_air,
        ((16, None), (60, None)),
    ),
    Loop("cholesky", loops.cholesky, loops.cholesky_jax, definite, ((120, None), (400, None))),
    Loop("LU", lu, lu_jax, definite, ((60, None), (200, None))),
    Loop("sparse product", sparse_product, sparse_product_jax, sparse, ((4096, None),)),
    Loop("LSTM", lstm, lstm_jax, network, ((8, None), (32, None))),
    Loop("march", march, march_jax, positive, ((1000, 100), (100_000, 1000))),
    Loop("syrk", loops.syrk, loops.syrk_jax, two_squares, ((60, None), (200, None))),
)


def program_of(loop: Loop, size: int, sweeps: int | None) -> Program:
    """Return a case as a program whose gradient is by the arguments that are no integers."""
    program = loops.program_of(loop, size, sweeps)
    drawn = loop.arguments(np.random.default_rng(0), size)
    active = tuple(i for i, a in enumerate(drawn) if a.dtype.kind == "f")
    return Program(program.name, program.function, program.arguments, active)


def by_hand(gradient: Written, sweeps: int | None) -> Contestant:
    """Return the hand-written gradient; its value is not timed alone."""
    run = gradient if sweeps is None else partial(_with_sweeps, gradient, sweeps)

    def derivative(program: Program, arguments: Arguments) -> Callable[[], Any]:
        return lambda: run(*arguments)

    return Contestant("by hand", derivative, derivative, compiles=False)


def _with_sweeps(gradient: Written, sweeps: int, *given: Array) -> Any:
    return gradient(*given, sweeps)


HEADER = (
    "loop",
    "gradient µs",
    "ours/by hand",
    "jax/ours",
    "first s",
    "jax first s",
    "difference",
)


def main() -> None:
    """Measure the chosen recurrences, with an empty kernel cache."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recurrences", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; default: all")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    chosen = [
        x for x in RECURRENCES if not options.names or any(n in x.name for n in options.names)
    ]
    if not chosen:
        parser.error(f"no such loop; there are: {', '.join(x.name for x in RECURRENCES)}")
    jax.config.update("jax_enable_x64", True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADGRAPH_CACHE_DIR"] = folder
        _run(chosen, options.rounds)


def _run(chosen: list[Loop], rounds: int) -> None:
    print(f"{platform.platform()}, {cpu_name()}, {rounds} rounds")
    print()
    print(f"| {' | '.join(HEADER)} |")
    print(f"|{'|'.join(['---'] + ['--:'] * (len(HEADER) - 1))}|")
    measure(WARM_UP, contestants(), rounds=1)  # loads what a first compilation imports
    (ours,) = [c for c in contestants() if c.name == OURS]
    gradients = written()
    for loop in chosen:
        for size, sweeps in loop.cases:
            program = program_of(loop, size, sweeps)
            who = [jax_contestant(weighed(loop.theirs, sweeps)), ours]
            if loop.name in gradients:
                who.insert(0, by_hand(gradients[loop.name], sweeps))
            print(f"| {' | '.join(_cells(program, who, rounds))} |", flush=True)


def _cells(program: Program, who: list[Contestant], rounds: int) -> Iterator[str]:
    row = _gradient(program, who, rounds)
    hand = row.ratio("by hand") if "by hand" in row.seconds else float("nan")
    yield program.name
    yield f"{row.median() * 1e6:.1f}"
    yield f"{1 / hand:.2f}"
    yield f"{row.ratio('jax'):.2f}"
    yield f"{row.first[OURS]:.2f}"
    yield f"{row.first['jax']:.2f}"
    yield f"{row.difference:.0e}"


def _gradient(program: Program, who: list[Contestant], rounds: int) -> Row:
    arguments = program.arguments(np.random.default_rng(0))
    runs = {c.name: c.derivative(program, arguments) for c in who if c.derivative}
    return compare(program.name, "gradient", runs, who, rounds)


if __name__ == "__main__":
    main()
