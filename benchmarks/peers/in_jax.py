"""JAX: the NumPy functions with its array module, and what its expert writes instead.

A function of `FORMS` replaces that of `benchmarks.suite` with the same name: loops are `scan` and
`fori_loop` over whole rows wherever the algorithm lets a row be computed at once.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import special

from benchmarks.peers.contestant import Contestant, Run, argnums, leaves, through_numpy
from benchmarks.suite import latency, learning
from benchmarks.suite.program import Arguments, Array, Function, Program, on
from benchmarks.suite.stencils import five_points, seven_points

jax.config.update("jax_enable_x64", True)

MODULES = {"np": jnp, "special": special}
TRANSFORMS: dict[str, Any] = {"value_and_grad": jax.value_and_grad, "jacobian": jax.jacfwd}
LONGEST_ARM = 10  # joints: written out, longer arms compile for seconds and run slower


# --- latency and fused ----------------------------------------------------------------------------


def arm(angles: Array, target: Array, links: tuple[tuple[float, float], ...]) -> Array:
    """Written out, as in NumPy, or a scan over the joints of a long arm."""
    if len(links) <= LONGEST_ARM:
        return on(latency.arm, {"np": jnp})(angles, target, links)

    def joint(carry: Any, given: Any) -> Any:
        a, b, c, hand = carry
        angle, length, cosine, sine = given
        a, b = jnp.cos(angle) * a + jnp.sin(angle) * b, jnp.cos(angle) * b - jnp.sin(angle) * a
        b, c = cosine * b + sine * c, cosine * c - sine * b
        return (a, b, c, hand + length * a), None

    lengths, twists = (jnp.asarray(column) for column in zip(*links, strict=True))
    axes = jnp.eye(3)
    start = axes[0], axes[1], axes[2], jnp.zeros(3)
    given = angles, lengths, jnp.cos(twists), jnp.sin(twists)
    hand = lax.scan(joint, start, given)[0][3]
    return jnp.sum((hand - target) ** 2)


# --- stencils -------------------------------------------------------------------------------------


def jacobi_2d(a: Array, b: Array, steps: int) -> Array:
    """A scan."""

    def step(pair: Any, _: None) -> Any:
        a, b = pair
        b = b.at[1:-1, 1:-1].set(five_points(a))
        return (a.at[1:-1, 1:-1].set(five_points(b)), b), None

    return lax.scan(step, (a, b), None, length=steps)[0][0]


def heat_3d(a: Array, b: Array, steps: int) -> Array:
    """A scan."""

    def step(pair: Any, _: None) -> Any:
        a, b = pair
        b = b.at[1:-1, 1:-1, 1:-1].set(seven_points(a))
        return (a.at[1:-1, 1:-1, 1:-1].set(seven_points(b)), b), None

    return lax.scan(step, (a, b), None, length=steps)[0][0]


def fdtd_2d(ex: Array, ey: Array, hz: Array, source: Array, steps: int) -> Array:
    """A scan."""

    def step(fields: Any, now: Array) -> Any:
        ex, ey, hz = fields
        ey = ey.at[0, :].set(now)
        ey = ey.at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
        ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
        curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
        return (ex, ey, hz.at[:-1, :-1].add(-0.7 * curl)), None

    return lax.scan(step, (ex, ey, hz), source[:steps])[0][2]


# --- recurrences ----------------------------------------------------------------------------------


def gauss_seidel(u: Array, sweeps: int) -> Array:
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


def triangular_solve(lower: Array, b: Array) -> Array:
    """A fori_loop over rows: what is not solved yet is zero."""

    def row(i: int, x: Array) -> Array:
        return x.at[i].set((b[i] - lower[i] @ x) / lower[i, i])

    return lax.fori_loop(0, len(b), row, jnp.zeros_like(b))


def vertical_advection(old: Array, u: Array, w: Array, before: Array, forcing: Array) -> Array:
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


def cholesky_loops(a: Array) -> Array:
    """A fori_loop over columns, each a product with the columns before."""
    rows = jnp.arange(a.shape[0])

    def column(j: int, lower: Array) -> Array:
        rest = a[:, j] - lower @ lower[j]
        new = jnp.where(rows >= j, rest / jnp.sqrt(rest[j]), 0.0)
        return lower.at[:, j].set(new)

    return lax.fori_loop(0, a.shape[0], column, jnp.zeros_like(a))


def lu_loops(a: Array) -> Array:
    """A fori_loop over pivots, each an outer product under a mask."""
    rows = jnp.arange(a.shape[0])

    def pivot(k: int, a: Array) -> Array:
        below = rows > k
        factors = jnp.where(below, a[:, k] / a[k, k], 0.0)
        a = a - jnp.outer(factors, jnp.where(below, a[k], 0.0))
        return a.at[:, k].set(jnp.where(below, factors, a[:, k]))

    return lax.fori_loop(0, a.shape[0], pivot, a)


def thomas(a: Array, b: Array, c: Array, d: Array) -> Array:
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


def lstm(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """A scan, with the products of the inputs before it."""
    size = wh.shape[1]

    def step(carry: Any, given: Array) -> Any:
        state, cell = carry
        gates = given + wh @ state
        opened = jax.nn.sigmoid(gates[: 3 * size])
        cell = opened[size : 2 * size] * cell + opened[:size] * jnp.tanh(gates[3 * size :])
        state = opened[2 * size :] * jnp.tanh(cell)
        return (state, cell), state

    return lax.scan(step, (jnp.zeros(size), jnp.zeros(size)), x @ wx.T + b)[1]


def march(x: Array, a: Array, steps: int) -> Array:
    """A scan over all elements at once."""

    def step(x: Array, _: None) -> Any:
        return x + 0.01 * (a - x * x), None

    return lax.scan(step, x, None, length=steps)[0]


# --- gathers and fits -----------------------------------------------------------------------------


def sparse_product(pointers: Array, columns: Array, data: Array, x: Array) -> Array:
    """One gather, and sums of segments."""
    count = pointers.shape[0] - 1
    rows = jnp.repeat(jnp.arange(count), jnp.diff(pointers), total_repeat_length=data.shape[0])
    return jax.ops.segment_sum(data * x[columns], rows, num_segments=count, indices_are_sorted=True)


def segment_sum(values: Array, segments: Array) -> Array:
    """A scatter."""
    return jax.ops.segment_sum(values, segments, num_segments=1000) ** 2


def ode_fit(rates: Array, start: Array, data: Array) -> Array:
    """A scan over time."""
    side = on(learning.predator_prey, MODULES)
    h = 0.01

    def step(state: Array, observed: Array) -> Any:
        k1 = side(state, rates)
        k2 = side(state + 0.5 * h * k1, rates)
        k3 = side(state + 0.5 * h * k2, rates)
        k4 = side(state + h * k3, rates)
        state = state + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return state, jnp.sum((state - observed) ** 2)

    return jnp.sum(lax.scan(step, start, data)[1])


FORMS: dict[str, Function] = {
    form.__name__: form
    for form in (
        arm,
        jacobi_2d,
        heat_3d,
        fdtd_2d,
        gauss_seidel,
        triangular_solve,
        vertical_advection,
        cholesky_loops,
        lu_loops,
        thomas,
        lstm,
        march,
        sparse_product,
        segment_sum,
        ode_fit,
    )
}


def _loss(program: Program) -> Function:
    return program.loss(FORMS.get(program.function.__name__) or on(program.function, MODULES))


def _waiting(function: Function, program: Program, arguments: Arguments) -> Run:
    run = jax.jit(function)
    if through_numpy(program):
        return lambda: leaves(run(*arguments))
    own = [jnp.asarray(a) for a in arguments]
    return lambda: jax.block_until_ready(run(*own))


def primal(program: Program, arguments: Arguments) -> Run:
    """Return a call of the function."""
    return _waiting(_loss(program), program, arguments)


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    transform = TRANSFORMS[program.derivative]
    return _waiting(transform(_loss(program), argnums(program)), program, arguments)


def contestant() -> Contestant:
    """Return JAX."""
    return Contestant("jax", derivative, primal)
