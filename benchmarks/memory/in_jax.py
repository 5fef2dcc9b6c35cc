"""JAX: scans instead of loops, and `jax.checkpoint` around groups of steps, layers and levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.memory import programs
from benchmarks.memory.programs import CHECKPOINT, CONVOLVED, Array, Program, ways_of_peers
from benchmarks.suite.program import on

jax.config.update("jax_enable_x64", True)

Run = Callable[[], Any]
Mark = Callable[[Callable[..., Array]], Callable[..., Array]]
GROUP = 6  # layers
NAMES = {"np": jnp}


def ways(program: Program) -> tuple[str, ...]:
    """Name the ways to take the gradient."""
    return ways_of_peers(program)


def march(mark: Mark, x: Array, drift: Array) -> Array:
    """A scan over groups of steps, each a scan."""

    def step(x: Array, _: None) -> Any:
        return x + 0.01 * (jnp.sin(x) - drift * x), None

    return jnp.sum(_repeated(mark, step, x, programs.STEPS, 25) ** 2)


def heat(mark: Mark, u: Array, conductivity: Array) -> Array:
    """A scan over groups of steps, each a scan."""

    def step(u: Array, _: None) -> Any:
        around = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
        return u + 0.1 * conductivity / (1 + u * u) * (around - 4 * u), None

    return jnp.sum(_repeated(mark, step, u, programs.HEAT_STEPS, 20) ** 2)


def _repeated(mark: Mark, step: Callable[..., Any], x: Array, count: int, group: int) -> Array:
    def steps(x: Array, _: None) -> Any:
        return lax.scan(step, x, None, length=group)

    return lax.scan(mark(steps), x, None, length=count // group)[0]


def multilayer(mark: Mark, x: Array, *weights: Array) -> Array:
    """Groups of layers."""

    def layers(x: Array, *weights: Array) -> Array:
        for w in weights:
            x = jnp.tanh(x @ w)
        return x

    for k in range(0, len(weights), GROUP):
        x = mark(layers)(x, *weights[k : k + GROUP])
    return jnp.sum(x**2)


def u_net(mark: Mark, x: Array, *weights: Array) -> Array:
    """Every convolution by itself, as it is written for NumPy."""
    return _u_net(mark(on(programs.convolution, NAMES)), x, *weights)


def convolved_u_net(mark: Mark, x: Array, *weights: Array) -> Array:
    """Every convolution by itself, with XLA's own."""
    return _u_net(mark(_convolution), x, *weights)


def _u_net(convolution: Callable[..., Array], x: Array, *weights: Array) -> Array:
    halved, doubled = on(programs.halved, NAMES), on(programs.doubled, NAMES)
    levels = programs.LEVELS
    kept = []
    for k in range(levels):
        x = convolution(convolution(x, weights[2 * k]), weights[2 * k + 1])
        kept.append(x)
        x = halved(x)
    for k in range(levels):
        x = jnp.concatenate([doubled(x), kept[levels - 1 - k]])
        x = convolution(x, weights[2 * levels + k])
    return jnp.sum(x**2)


def _convolution(x: Array, w: Array) -> Array:
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1)), mode="wrap")
    forms = ("NCHW", "OIHW", "NCHW")
    kernel = jnp.transpose(w, (2, 3, 0, 1))
    y = lax.conv_general_dilated(around[None], kernel, (1, 1), "VALID", dimension_numbers=forms)
    return jnp.tanh(y)[0]


FORMS: dict[str, Callable[..., Array]] = {f.__name__: f for f in (march, heat, multilayer, u_net)}


def prepare(program: Program, way: str, arguments: tuple[np.ndarray[Any, Any], ...]) -> Run:
    """Compile the gradient; return a call of it."""
    form = convolved_u_net if CONVOLVED in way else FORMS[program.function.__name__]
    mark: Mark = jax.checkpoint if CHECKPOINT in way else lambda f: f

    def loss(*given: Array) -> Array:
        return form(mark, *given)

    own = [jnp.asarray(a) for a in arguments]
    gradient = jax.jit(jax.value_and_grad(loss, tuple(range(len(own))))).lower(*own).compile()
    return lambda: jax.block_until_ready(gradient(*own))
