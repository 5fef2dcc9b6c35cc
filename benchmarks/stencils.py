"""Gradients of stencils, against JAX and against hand-written adjoints.

`python -m benchmarks.stencils [names] [--rounds n]`: programs as scientists write them, with a time
loop or without; JAX as its expert writes it. Hand-written Numba kernels are one more column where
their folder exists (`ADGRAPH_HAND`, by default `../shared/hand`): it holds the modules `kernels`
and `vmath`. Times are the least of interleaved rounds. To add a benchmark, write both forms and a
row of `STENCILS`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numba import njit

from adgraph.lower.native import cpu_name
from benchmarks.contestants import Contestant, Run, contestants
from benchmarks.loops import Kernel, Loop, jax_contestant, program_of, weighed
from benchmarks.programs import WARM_UP, Arguments, Array, Generator, Program
from benchmarks.timing import OURS, Row, measure

HAND = Path(os.environ.get("ADGRAPH_HAND", Path(__file__).parents[2] / "shared" / "hand"))


@dataclass(frozen=True)
class Stencil(Loop):
    """A stencil, and its gradient by hand: of the hand's module and the arguments, a run."""

    by_hand: Callable[[Any, Arguments, int | None], Run] | None = None


# --- relaxation and diffusion with a time loop ----------------------------------------------------


def five_points(a: Array) -> Array:
    """Average the points inside with their four neighbours."""
    return 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])


def jacobi(a: Array, b: Array, steps: int) -> Array:
    """Average five points from one array to the other and back."""
    a, b = a.copy(), b.copy()
    for _ in range(steps):
        b[1:-1, 1:-1] = five_points(a)
        a[1:-1, 1:-1] = five_points(b)
    return a


def jacobi_jax(a: Array, b: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(pair: Any, _: None) -> Any:
        a, b = pair
        b = b.at[1:-1, 1:-1].set(five_points(a))
        return (a.at[1:-1, 1:-1].set(five_points(b)), b), None

    return lax.scan(step, (a, b), None, length=steps)[0][0]


def jacobi_by_hand(hand: Any, given: Arguments, steps: int | None) -> Run:
    """Two half steps, each gathers from an array with a border of zeros."""
    a, b, weights = given
    nothing = np.zeros_like(b)
    run = hand.j2g
    return lambda: _split(run(a, b, weights, nothing, steps))


def seven_points(a: Array) -> Array:
    """Average the points inside with their six neighbours."""
    inside = a[1:-1, 1:-1, 1:-1]
    return (
        0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * inside + a[:-2, 1:-1, 1:-1])
        + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * inside + a[1:-1, :-2, 1:-1])
        + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * inside + a[1:-1, 1:-1, :-2])
        + inside
    )


def heat(a: Array, b: Array, steps: int) -> Array:
    """Diffuse in three dimensions from one array to the other and back."""
    a, b = a.copy(), b.copy()
    for _ in range(steps):
        b[1:-1, 1:-1, 1:-1] = seven_points(a)
        a[1:-1, 1:-1, 1:-1] = seven_points(b)
    return a


def heat_jax(a: Array, b: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(pair: Any, _: None) -> Any:
        a, b = pair
        b = b.at[1:-1, 1:-1, 1:-1].set(seven_points(a))
        return (a.at[1:-1, 1:-1, 1:-1].set(seven_points(b)), b), None

    return lax.scan(step, (a, b), None, length=steps)[0][0]


def heat_by_hand(hand: Any, given: Arguments, steps: int | None) -> Run:
    """Two half steps, each gathers from an array with a border of zeros."""
    a, b, weights = given
    nothing = np.zeros_like(b)
    run = hand.h3g
    return lambda: _split(run(a, b, weights, nothing, steps, False))


def diffusion(u: Array, steps: int) -> Array:
    """Diffuse around a torus, a new array in every step."""
    for _ in range(steps):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        u = u + 0.1 * (around - 4.0 * u)
    return u


def diffusion_jax(u: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(u: Array, _: None) -> Any:
        around = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
        return u + 0.1 * (around - 4.0 * u), None

    return lax.scan(step, u, None, length=steps)[0]


# --- waves and flow -------------------------------------------------------------------------------


def fdtd(ex: Array, ey: Array, hz: Array, source: Array, steps: int) -> Array:
    """Step Maxwell's equations in two dimensions, with a source along one side."""
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for t in range(steps):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def fdtd_jax(ex: Array, ey: Array, hz: Array, source: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(fields: Any, now: Array) -> Any:
        ex, ey, hz = fields
        ey = ey.at[0, :].set(now)
        ey = ey.at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
        ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
        curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
        return (ex, ey, hz.at[:-1, :-1].add(-0.7 * curl)), None

    return lax.scan(step, (ex, ey, hz), source[:steps])[0][2]


def wave(before: Array, now: Array, speed: Array, steps: int) -> Array:
    """Step the wave equation in two dimensions, in a medium that varies."""
    for _ in range(steps):
        around = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]
        bent = around - 4.0 * now[1:-1, 1:-1]
        after = np.zeros_like(now)
        after[1:-1, 1:-1] = 2.0 * now[1:-1, 1:-1] - before[1:-1, 1:-1] + speed * bent
        before, now = now, after
    return now


def wave_jax(before: Array, now: Array, speed: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(pair: Any, _: None) -> Any:
        before, now = pair
        around = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]
        inside = 2.0 * now[1:-1, 1:-1] - before[1:-1, 1:-1]
        inside = inside + speed * (around - 4.0 * now[1:-1, 1:-1])
        return (now, jnp.pad(inside, 1)), None

    return lax.scan(step, (before, now), None, length=steps)[0][1]


def burgers(u: Array, steps: int) -> Array:
    """Step Burgers' equation, upwind with viscosity, in place."""
    u = u.copy()
    for _ in range(steps):
        inner = u[1:-1]
        u[1:-1] = inner - 0.02 * inner * (inner - u[:-2]) + 0.1 * (u[2:] - 2.0 * inner + u[:-2])
    return u


def burgers_jax(u: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(u: Array, _: None) -> Any:
        inner = u[1:-1]
        moved = inner - 0.02 * inner * (inner - u[:-2])
        return u.at[1:-1].set(moved + 0.1 * (u[2:] - 2.0 * inner + u[:-2])), None

    return lax.scan(step, u, None, length=steps)[0]


def advection(u: Array, steps: int) -> Array:
    """Step the advection equation around a circle, after Lax and Wendroff."""
    for _ in range(steps):
        left, right = np.roll(u, 1), np.roll(u, -1)
        u = u - 0.2 * (right - left) + 0.08 * (right - 2.0 * u + left)
    return u


def advection_jax(u: Array, steps: int) -> Array:
    """The same in a scan."""

    def step(u: Array, _: None) -> Any:
        left, right = jnp.roll(u, 1), jnp.roll(u, -1)
        return u - 0.2 * (right - left) + 0.08 * (right - 2.0 * u + left), None

    return lax.scan(step, u, None, length=steps)[0]


# --- without a time loop --------------------------------------------------------------------------


def horizontal_diffusion(field: Array, coefficient: Array, np: Any = np) -> Array:
    """Diffuse horizontally with a flux limiter."""
    laplacian = 4.0 * field[1:-1, 1:-1] - (
        field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]
    )
    across = laplacian[1:, 1:-1] - laplacian[:-1, 1:-1]
    uphill = across * (field[2:-1, 2:-2] - field[1:-2, 2:-2]) > 0
    across = np.where(uphill, 0.0, across)
    along = laplacian[1:-1, 1:] - laplacian[1:-1, :-1]
    uphill = along * (field[2:-2, 2:-1] - field[2:-2, 1:-2]) > 0
    along = np.where(uphill, 0.0, along)
    change = across[1:] - across[:-1] + along[:, 1:] - along[:, :-1]
    return field[2:-2, 2:-2] - coefficient * change


def horizontal_diffusion_jax(field: Array, coefficient: Array) -> Array:
    """The same with JAX's functions."""
    return horizontal_diffusion(field, coefficient, jnp)


def horizontal_diffusion_by_hand(hand: Any, given: Arguments, _: int | None) -> Run:
    """Masks and scratch once, then gathers and rows of additions."""
    field, coefficient, weights = given
    i, j, k = coefficient.shape
    scratch = [np.empty(s) for s in ((i + 2, j + 2, k), (i + 1, j, k), (i, j + 1, k))]
    run = hand.hdg

    def gradient() -> Any:
        d_field, d_coefficient = np.empty_like(field), np.empty_like(coefficient)
        return run(field, coefficient, weights, *scratch, d_field, d_coefficient, False)

    return lambda: _split(gradient())


def differences(x: Array) -> Array:
    """Square the differences of neighbours."""
    return (x[1:] - x[:-1]) ** 2


def roughness(x: Array) -> Array:
    """Square the gradient of an image."""
    return (x[1:, :-1] - x[:-1, :-1]) ** 2 + (x[:-1, 1:] - x[:-1, :-1]) ** 2


def curvature(x: Array) -> Array:
    """Square the Laplacian of an image."""
    return (x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2] - 4.0 * x[1:-1, 1:-1]) ** 2


def neighbours(x: Array) -> Array:
    """Square the differences of neighbours on a circle."""
    return (np.roll(x, 1) - x) ** 2


def neighbours_jax(x: Array) -> Array:
    """The same with JAX's roll."""
    return (jnp.roll(x, 1) - x) ** 2


def smooth(x: Array) -> Array:
    """Convolve with five numbers, by slices."""
    return np.tanh(0.1 * x[:-4] + 0.2 * x[1:-3] + 0.4 * x[2:-2] + 0.2 * x[3:-1] + 0.1 * x[4:])


def smooth_jax(x: Array) -> Array:
    """The same with JAX's tanh."""
    return jnp.tanh(0.1 * x[:-4] + 0.2 * x[1:-3] + 0.4 * x[2:-2] + 0.2 * x[3:-1] + 0.1 * x[4:])


# --- the table ------------------------------------------------------------------------------------


def arrays(count: int, rank: int) -> Callable[[Generator, int], Arguments]:
    """Draw some arrays of a rank."""
    return lambda random, n: tuple(random.normal(size=(n,) * rank) for _ in range(count))


def fields(random: Generator, n: int) -> Arguments:
    """Draw the fields of a grid and the source at every time."""
    return (
        random.normal(size=(n, n + 20)),
        random.normal(size=(n, n + 20)),
        random.normal(size=(n, n + 20)),
        random.normal(size=100),
    )


def medium(random: Generator, n: int) -> Arguments:
    """Draw two states and the square of the speed inside."""
    return (
        random.normal(size=(n, n)),
        random.normal(size=(n, n)),
        random.uniform(0.1, 0.2, (n - 2, n - 2)),
    )


def weather(random: Generator, n: int) -> Arguments:
    """Draw a field of 60 levels and a coefficient inside."""
    return random.normal(size=(n + 4, n + 4, 60)), random.normal(size=(n, n, 60))


STENCILS = (
    Stencil("jacobi 2d", jacobi, jacobi_jax, arrays(2, 2), ((60, 20), (200, 20)), jacobi_by_hand),
    Stencil("heat 3d", heat, heat_jax, arrays(2, 3), ((16, 10), (40, 10)), heat_by_hand),
    Stencil("diffusion 2d", diffusion, diffusion_jax, arrays(1, 2), ((60, 20), (200, 20))),
    Stencil("FDTD 2d", fdtd, fdtd_jax, fields, ((60, 20), (200, 20))),
    Stencil("wave 2d", wave, wave_jax, medium, ((60, 20), (200, 20))),
    Stencil("Burgers 1d", burgers, burgers_jax, arrays(1, 1), ((200, 50), (10000, 20))),
    Stencil("advection 1d", advection, advection_jax, arrays(1, 1), ((200, 50), (10000, 20))),
    Stencil(
        "horizontal diffusion",
        horizontal_diffusion,
        horizontal_diffusion_jax,
        weather,
        ((16, None), (64, None)),
        horizontal_diffusion_by_hand,
    ),
    Stencil("differences", differences, differences, arrays(1, 1), ((1000, None), (65536, None))),
    Stencil("neighbours", neighbours, neighbours_jax, arrays(1, 1), ((65536, None),)),
    Stencil("smooth", smooth, smooth_jax, arrays(1, 1), ((65536, None),)),
    Stencil("roughness", roughness, roughness, arrays(1, 2), ((256, None),)),
    Stencil("curvature", curvature, curvature, arrays(1, 2), ((256, None),)),
)


def _split(results: Any) -> tuple[Any, Any]:
    value, *gradients = results
    return value, tuple(gradients)


def hand_module() -> Any:
    """Return the module of hand-written gradients, None if its folder does not exist."""
    if not (HAND / "kernels.py").exists():
        return None
    sys.path.insert(0, str(HAND))
    module: Any = importlib.import_module("kernels")
    if not hasattr(module, "axpy"):  # the flux limiter's adjoint calls it
        module.axpy = njit(fastmath=True)(add_multiple)
    return module


def add_multiple(y: Array, x: Array, factor: float) -> None:
    """Add a multiple of a row to another."""
    for k in range(x.size):
        y[k] += factor * x[k]


def hand_contestant(stencil: Stencil, steps: int | None, hand: Any) -> Contestant | None:
    """Return the hand-written gradient of a stencil, if there is one."""
    make = stencil.by_hand
    if make is None or hand is None:
        return None

    def primal(_: Program, arguments: Arguments) -> Run:
        return weighed_run(stencil.ours, steps, arguments)

    def derivative(_: Program, arguments: Arguments) -> Run:
        return make(hand, arguments, steps)

    return Contestant("hand", primal, derivative)


def weighed_run(kernel: Kernel, steps: int | None, arguments: Arguments) -> Run:
    """Return the call of a kernel in NumPy."""
    loss = weighed(kernel, steps)
    return lambda: loss(*arguments)


HEADER = (
    "stencil",
    "call µs",
    "gradient µs",
    "gradient/call",
    "jax call/ours",
    "jax gradient/ours",
    "ours/hand",
    "first s",
    "jax first s",
    "difference",
)


def main() -> None:
    """Measure the chosen stencils, with an empty kernel cache."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stencils", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of stencils; default: all")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    chosen = [x for x in STENCILS if not options.names or any(n in x.name for n in options.names)]
    if not chosen:
        parser.error(f"no such stencil; there are: {', '.join(x.name for x in STENCILS)}")
    jax.config.update("jax_enable_x64", True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADGRAPH_CACHE_DIR"] = folder
        _run(chosen, options.rounds)


def _run(stencils: list[Stencil], rounds: int) -> None:
    print(f"{platform.platform()}, {cpu_name()}, {rounds} rounds")
    print(f"one thread each; XLA may use {os.environ['PJRT_NPROC']}; jax {jax.__version__}")
    print()
    print(_line(HEADER))
    print(_line(["---"] + ["--:"] * (len(HEADER) - 1)))
    measure(WARM_UP, contestants(), rounds=1)  # loads what a first compilation imports
    (ours,) = [c for c in contestants() if c.name == OURS]
    hand = hand_module()
    for stencil in stencils:
        for size, steps in stencil.cases:
            program = program_of(stencil, size, steps)
            by_hand = hand_contestant(stencil, steps, hand)
            who = [jax_contestant(weighed(stencil.theirs, steps)), ours]
            call, gradient = measure(program, who if by_hand is None else [by_hand, *who], rounds)
            print(_line(list(_cells(program, call, gradient))), flush=True)


def _cells(program: Program, call: Row, gradient: Row) -> Iterator[str]:
    primal = {name: min(times) for name, times in call.seconds.items()}
    derived = {name: min(times) for name, times in gradient.seconds.items()}
    yield program.name
    yield f"{primal[OURS] * 1e6:.1f}"
    yield f"{derived[OURS] * 1e6:.1f}"
    yield f"{derived[OURS] / primal[OURS]:.2f}"
    yield f"{primal['jax'] / primal[OURS]:.2f}"
    yield f"{derived['jax'] / derived[OURS]:.2f}"
    yield f"{derived[OURS] / derived['hand']:.2f}" if "hand" in derived else ""
    yield f"{gradient.first[OURS]:.2f}"
    yield f"{gradient.first['jax']:.2f}"
    yield f"{gradient.difference:.0e}"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
