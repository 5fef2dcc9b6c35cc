"""Loops that write in place, against JAX: `python -m benchmarks.loops [names] [--rounds n]`.

adgraph gets NumPy as a scientist writes it; JAX gets what its expert writes: `scan` and `fori_loop`
over whole rows wherever the algorithm lets a row be computed at once. To add a benchmark, write
both and a row of `LOOPS`.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import adgraph
from adgraph.control.tapes import taped_bytes
from adgraph.lower.native import cpu_name
from benchmarks.contestants import Contestant, contestants
from benchmarks.programs import WARM_UP, Arguments, Array, Generator, Program
from benchmarks.timing import OURS, Row, measure

Kernel = Callable[..., Array]


@dataclass(frozen=True)
class Loop:
    """A kernel in NumPy and in JAX, both with the number of sweeps as keyword if they have one.

    `cases` are pairs of a size and a number of sweeps (None where the size is the trip count).
    """

    name: str
    ours: Kernel
    theirs: Kernel
    arguments: Callable[[Generator, int], Arguments]
    cases: tuple[tuple[int, int | None], ...]


# --- relaxation and diffusion ---------------------------------------------------------------------


def gauss_seidel(u: Array, sweeps: int) -> Array:
    """Average nine points in place, element by element."""
    u = u.copy()
    n, m = u.shape
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] = (
                    u[i - 1, j - 1]
                    + u[i - 1, j]
                    + u[i - 1, j + 1]
                    + u[i, j - 1]
                    + u[i, j]
                    + u[i, j + 1]
                    + u[i + 1, j - 1]
                    + u[i + 1, j]
                    + u[i + 1, j + 1]
                ) / 9.0
    return u


def gauss_seidel_jax(u: Array, sweeps: int) -> Array:
    """A scan over rows; in a row, all but the left neighbour at once and a scan for the rest."""

    def row(above: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        here, below = pair
        known = above[:-2] + above[1:-1] + above[2:] + here[1:-1] + here[2:]
        known = (known + below[:-2] + below[1:-1] + below[2:]) / 9.0

        def element(left: Array, right: Array) -> tuple[Array, Array]:
            new = right + left / 9.0
            return new, new

        _, inside = lax.scan(element, here[0], known)
        new = jnp.concatenate([here[:1], inside, here[-1:]])
        return new, new

    def sweep(u: Array, _: None) -> tuple[Array, None]:
        _, rows = lax.scan(row, u[0], (u[1:-1], u[2:]))
        return jnp.concatenate([u[:1], rows, u[-1:]]), None

    return lax.scan(sweep, u, None, length=sweeps)[0]


def jacobi(u: Array, f: Array, sweeps: int) -> Array:
    """Average four neighbours, one array read and one written in turn."""
    u = u.copy()
    v = u.copy()
    for _ in range(sweeps):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        v[1:-1, 1:-1] = 0.25 * (around - f[1:-1, 1:-1])
        u, v = v, u
    return u


def jacobi_jax(u: Array, f: Array, sweeps: int) -> Array:
    """The same in a fori_loop."""

    def body(_: int, u: Array) -> Array:
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        return u.at[1:-1, 1:-1].set(0.25 * (around - f[1:-1, 1:-1]))

    return lax.fori_loop(0, sweeps, body, u)


def heat(u: Array, sweeps: int) -> Array:
    """Diffuse in three dimensions."""
    u = u.copy()
    for _ in range(sweeps):
        u[1:-1, 1:-1, 1:-1] += 0.125 * (
            (u[2:, 1:-1, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1])
            + (u[1:-1, 2:, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1])
            + (u[1:-1, 1:-1, 2:] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, 1:-1, :-2])
        )
    return u


def heat_jax(u: Array, sweeps: int) -> Array:
    """The same in a fori_loop."""

    def body(_: int, u: Array) -> Array:
        change = 0.125 * (
            (u[2:, 1:-1, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1])
            + (u[1:-1, 2:, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1])
            + (u[1:-1, 1:-1, 2:] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, 1:-1, :-2])
        )
        return u.at[1:-1, 1:-1, 1:-1].add(change)

    return lax.fori_loop(0, sweeps, body, u)


# --- dense matrices -------------------------------------------------------------------------------


def syrk(c: Array, a: Array) -> Array:
    """Add a product with the transpose to a triangle, row by row."""
    c = c.copy()
    for i in range(a.shape[0]):
        c[i, : i + 1] *= 0.8
        for k in range(a.shape[1]):
            c[i, : i + 1] += 1.5 * a[i, k] * a[: i + 1, k]
    return c


def syrk_jax(c: Array, a: Array) -> Array:
    """A scan over rows, each a product under a mask."""
    columns = jnp.arange(c.shape[1])

    def row(_: None, given: tuple[Array, Array, Array]) -> tuple[None, Array]:
        i, old, factor = given
        return None, jnp.where(columns <= i, 0.8 * old + 1.5 * (a @ factor), old)

    return lax.scan(row, None, (jnp.arange(c.shape[0]), c, a))[1]


def cholesky(a: Array) -> Array:
    """Factorize in place, element by element, each a product of two pieces of rows."""
    a = a.copy()
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[j, :j]) / a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])
    return np.tril(a)


def cholesky_jax(a: Array) -> Array:
    """A fori_loop over columns, each a product with the columns before."""
    rows = jnp.arange(a.shape[0])

    def column(j: int, lower: Array) -> Array:
        rest = a[:, j] - lower @ lower[j]
        new = jnp.where(rows >= j, rest / jnp.sqrt(rest[j]), 0.0)
        return lower.at[:, j].set(new)

    return lax.fori_loop(0, a.shape[0], column, jnp.zeros_like(a))


def triangular_solve(lower: Array, b: Array) -> Array:
    """Substitute forward, a product of pieces of a row and of the solution at a time."""
    x = np.empty_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]
    return x


def triangular_solve_jax(lower: Array, b: Array) -> Array:
    """A fori_loop over rows: what is not solved yet is zero."""

    def row(i: int, x: Array) -> Array:
        return x.at[i].set((b[i] - lower[i] @ x) / lower[i, i])

    return lax.fori_loop(0, len(b), row, jnp.zeros_like(b))


# --- recurrences along one axis -------------------------------------------------------------------


def thomas(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Solve a tridiagonal system in two sweeps."""
    b, x = b.copy(), d.copy()
    n = len(x)
    for i in range(1, n):
        w = a[i] / b[i - 1]
        b[i] -= w * c[i - 1]
        x[i] -= w * x[i - 1]
    x[n - 1] /= b[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = (x[i] - c[i] * x[i + 1]) / b[i]
    return x


def thomas_jax(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Two scans."""

    def down(carry: Any, row: Any) -> Any:
        pivot, right, above = carry
        a, b, c, d = row
        w = a / pivot
        new = b - w * above, d - w * right, c
        return new, new[:2]

    def up(below: Array, row: Any) -> Any:
        pivot, right, c = row
        new = (right - c * below) / pivot
        return new, new

    start = b[0], d[0], c[0]
    _, (pivots, rights) = lax.scan(down, start, (a[1:], b[1:], c[1:], d[1:]))
    pivots, rights = jnp.append(b[0], pivots), jnp.append(d[0], rights)
    last = rights[-1] / pivots[-1]
    _, x = lax.scan(up, last, (pivots[:-1], rights[:-1], c[:-1]), reverse=True)
    return jnp.append(x, last)


def vertical_advection(w: Array, u: Array) -> Array:
    """Advect implicitly along the last axis: a tridiagonal system for every column of air."""
    nz = u.shape[2]
    upper, right, out = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    pivot = 2.0 + w[:, :, 1]
    upper[:, :, 0] = w[:, :, 1] / pivot
    right[:, :, 0] = 2.0 * u[:, :, 0] / pivot
    for k in range(1, nz):
        pivot = 1.0 / (2.0 - w[:, :, k] + w[:, :, k + 1] + w[:, :, k] * upper[:, :, k - 1])
        change = w[:, :, k] * (u[:, :, k] - u[:, :, k - 1])
        upper[:, :, k] = w[:, :, k + 1] * pivot
        right[:, :, k] = (2.0 * u[:, :, k] - change + w[:, :, k] * right[:, :, k - 1]) * pivot
    out[:, :, nz - 1] = right[:, :, nz - 1]
    for k in range(nz - 2, -1, -1):
        out[:, :, k] = right[:, :, k] - upper[:, :, k] * out[:, :, k + 1]
    return out


def vertical_advection_jax(w: Array, u: Array) -> Array:
    """Two scans, with the vertical axis in front."""
    w, u = jnp.moveaxis(w, 2, 0), jnp.moveaxis(u, 2, 0)

    def down(carry: Any, level: Any) -> Any:
        upper, right = carry
        below, above, here, under = level
        pivot = 1.0 / (2.0 - below + above + below * upper)
        change = below * (here - under)
        new = above * pivot, (2.0 * here - change + below * right) * pivot
        return new, new

    def up(over: Array, level: Any) -> Any:
        upper, right = level
        new = right - upper * over
        return new, new

    pivot = 2.0 + w[1]
    start = w[1] / pivot, 2.0 * u[0] / pivot
    _, (uppers, rights) = lax.scan(down, start, (w[1:-1], w[2:], u[1:], u[:-1]))
    uppers = jnp.concatenate([start[0][None], uppers])
    rights = jnp.concatenate([start[1][None], rights])
    _, out = lax.scan(up, rights[-1], (uppers[:-1], rights[:-1]), reverse=True)
    return jnp.moveaxis(jnp.concatenate([out, rights[-1:]]), 0, 2)


# --- the table ------------------------------------------------------------------------------------


def square(random: Generator, n: int) -> Arguments:
    """Draw a matrix."""
    return (random.normal(size=(n, n)),)


def two_squares(random: Generator, n: int) -> Arguments:
    """Draw two matrices."""
    return random.normal(size=(n, n)), random.normal(size=(n, n))


def definite(random: Generator, n: int) -> Arguments:
    """Draw a positive definite matrix."""
    a = random.normal(size=(n, n))
    return (a @ a.T + n * np.eye(n),)


def system(random: Generator, n: int) -> Arguments:
    """Draw a well-conditioned triangle and a right-hand side."""
    return np.tril(random.normal(size=(n, n))) + 2 * n * np.eye(n), random.normal(size=n)


def tridiagonal(random: Generator, n: int) -> Arguments:
    """Draw a dominant diagonal, its neighbours and a right-hand side."""
    return (
        random.normal(size=n),
        random.uniform(4, 5, n),
        random.normal(size=n),
        random.normal(size=n),
    )


def air(random: Generator, n: int) -> Arguments:
    """Draw columns of 40 levels."""
    return 0.2 * random.normal(size=(n, n, 41)), random.normal(size=(n, n, 40))


LOOPS = (
    Loop(
        "gauss-seidel 2d", gauss_seidel, gauss_seidel_jax, square, ((60, 10), (120, 10), (60, 40))
    ),
    Loop("jacobi 2d", jacobi, jacobi_jax, two_squares, ((60, 20), (240, 20), (60, 80))),
    Loop(
        "heat 3d",
        heat,
        heat_jax,
        lambda random, n: (random.normal(size=(n, n, n)),),
        ((16, 10), (40, 10), (16, 40)),
    ),
    Loop("syrk", syrk, syrk_jax, two_squares, ((60, None), (120, None))),
    Loop("cholesky", cholesky, cholesky_jax, definite, ((60, None), (120, None))),
    Loop(
        "triangular solve",
        triangular_solve,
        triangular_solve_jax,
        system,
        ((100, None), (400, None)),
    ),
    Loop("Thomas", thomas, thomas_jax, tridiagonal, ((1000, None), (10000, None))),
    Loop(
        "vertical advection",
        vertical_advection,
        vertical_advection_jax,
        air,
        ((16, None), (48, None)),
    ),
)


def with_sweeps(kernel: Kernel, sweeps: int | None) -> Kernel:
    """Return a kernel with its number of sweeps."""
    return kernel if sweeps is None else lambda *arguments: kernel(*arguments, sweeps)


def weighed(kernel: Kernel, sweeps: int | None) -> Kernel:
    """Return the scalar function (*arguments, weights) whose gradient is measured."""
    swept = with_sweeps(kernel, sweeps)

    def loss(*given: Array) -> Array:
        return (given[-1] * swept(*given[:-1])).sum()

    return loss


def program_of(loop: Loop, size: int, sweeps: int | None) -> Program:
    """Return the case of a loop as a program of the other benchmarks."""

    def arguments(random: Generator) -> Arguments:
        drawn = loop.arguments(random, size)
        shape = jax.eval_shape(with_sweeps(loop.theirs, sweeps), *drawn).shape
        return (*drawn, random.normal(size=shape))

    trips = "" if sweeps is None else f", {sweeps} sweeps"
    count = len(loop.arguments(np.random.default_rng(0), size))
    return Program(
        f"{loop.name}, {size}{trips}", weighed(loop.ours, sweeps), arguments, tuple(range(count))
    )


def jax_contestant(loss: Kernel) -> Contestant:
    """Return JAX, running its own form of the program it is given."""

    def waiting(function: Kernel, arguments: Arguments) -> Callable[[], Any]:
        run, own = jax.jit(function), [jnp.asarray(a) for a in arguments]
        return lambda: jax.block_until_ready(run(*own))

    def derivative(program: Program, arguments: Arguments) -> Callable[[], Any]:
        return waiting(jax.value_and_grad(loss, program.argnums), arguments)

    return Contestant("jax", lambda _, arguments: waiting(loss, arguments), derivative)


def facts(program: Program) -> tuple[int, int, int]:
    """Return the bytes that our gradient tapes, its peak, and its number of nodes."""
    gradient = adgraph.value_and_grad(program.function, argnums=program.argnums)
    arguments = program.arguments(np.random.default_rng(0))
    explanation = gradient.explain(*arguments)
    return taped_bytes(gradient.graph(*arguments)), explanation.peak_bytes, explanation.nodes


def main() -> None:
    """Measure the chosen loops, with an empty kernel cache."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of loops; default: all")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    chosen = [x for x in LOOPS if not options.names or any(n in x.name for n in options.names)]
    if not chosen:
        parser.error(f"no such loop; there are: {', '.join(x.name for x in LOOPS)}")
    jax.config.update("jax_enable_x64", True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADGRAPH_CACHE_DIR"] = folder
        _run(chosen, options.rounds)


HEADER = (
    "loop",
    "call µs",
    "gradient µs",
    "gradient/call",
    "jax's",
    "jax call/ours",
    "jax gradient/ours",
    "taped bytes",
    "peak bytes",
    "nodes",
    "first s",
    "jax first s",
    "difference",
)


def _run(loops: list[Loop], rounds: int) -> None:
    print(f"{platform.platform()}, {cpu_name()}, {rounds} rounds")
    print(f"one thread each; XLA may use {os.environ['PJRT_NPROC']}; jax {jax.__version__}")
    print()
    print(_line(HEADER))
    print(_line(["---"] + ["--:"] * (len(HEADER) - 1)))
    measure(WARM_UP, contestants(), rounds=1)  # loads what a first compilation imports
    (ours,) = [c for c in contestants() if c.name == OURS]
    for loop in loops:
        for size, sweeps in loop.cases:
            program = program_of(loop, size, sweeps)
            who = [jax_contestant(weighed(loop.theirs, sweeps)), ours]
            call, gradient = measure(program, who, rounds)
            print(_line(list(_cells(program, call, gradient))), flush=True)


def _cells(program: Program, call: Row, gradient: Row) -> Iterator[str]:
    taped, peak, nodes = facts(program)
    yield program.name
    yield f"{call.median() * 1e6:.1f}"
    yield f"{gradient.median() * 1e6:.1f}"
    yield f"{min(gradient.seconds[OURS]) / min(call.seconds[OURS]):.2f}"
    yield f"{min(gradient.seconds['jax']) / min(call.seconds['jax']):.2f}"
    yield f"{call.ratio('jax'):.2f}"
    yield f"{gradient.ratio('jax'):.2f}"
    yield f"{taped:,}"
    yield f"{peak:,}"
    yield f"{nodes}"
    yield f"{gradient.first[OURS]:.2f}"
    yield f"{gradient.first['jax']:.2f}"
    yield f"{gradient.difference:.0e}"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
