"""The programs whose gradients need memory: plain NumPy, and their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of whichever package runs the function
Generator = np.random.Generator

PLAIN, CHECKPOINT, CONVOLVED = "plain", "checkpoint", "convolutions"  # ways of a gradient

LAYERS, WIDTH, ROWS = 32, 512, 1024
STEPS, STATES = 1000, 100_000
HEAT_STEPS, SIDE = 2000, 128
IMAGE, CHANNELS, LEVELS = 256, 8, 3


@dataclass(frozen=True)
class Program:
    """A scalar function, differentiated by all of its arguments, and how to draw them.

    `budgets` are fractions of what the gradient takes without a budget. The loop of 1,000 steps
    has none: its kernels hand rows over in blocks, and there is nothing to give up.
    """

    name: str
    function: Callable[..., Array]
    draw: Callable[[Generator], tuple[np.ndarray[Any, Any], ...]]
    budgets: tuple[float, ...]

    def arguments(self) -> tuple[np.ndarray[Any, Any], ...]:
        """Draw the arguments, the same every time."""
        return self.draw(np.random.default_rng(0))


def ways_of_peers(program: Program) -> tuple[str, ...]:
    """Name the ways to take a gradient with a package that has checkpoints.

    Packages that have convolutions do those of the U-Net by them as well.
    """
    ways = (PLAIN, CHECKPOINT)
    if program.function is not u_net:
        return ways
    return (*ways, *(f"{CONVOLVED}, {way}" for way in ways))


def march(x: Array, drift: Array) -> Array:
    """Many steps of a long state."""
    for _ in range(STEPS):
        x = x + 0.01 * (np.sin(x) - drift * x)
    return np.sum(x**2)


def multilayer(x: Array, *weights: Array) -> Array:
    """A deep perceptron."""
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x**2)


def heat(u: Array, conductivity: Array) -> Array:
    """The heat equation on a torus, whose conductivity depends on the temperature."""
    for _ in range(HEAT_STEPS):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        u = u + 0.1 * conductivity / (1 + u * u) * (around - 4 * u)
    return np.sum(u**2)


def convolution(x: Array, w: Array) -> Array:
    """Convolve channels of an image on a torus; `w` is (3, 3, channels out, channels in)."""
    y = 0.0
    for i in range(3):
        for j in range(3):
            moved = np.roll(x, (1 - i, 1 - j), (1, 2))
            y = y + w[i, j] @ moved.reshape(x.shape[0], -1)
    return np.tanh(y).reshape(w.shape[2], x.shape[1], x.shape[2])


def halved(x: Array) -> Array:
    """Average squares of four pixels."""
    rows = x[:, ::2] + x[:, 1::2]
    return 0.25 * (rows[:, :, ::2] + rows[:, :, 1::2])


def doubled(x: Array) -> Array:
    """Repeat every pixel in a square of four."""
    return np.repeat(np.repeat(x, 2, 1), 2, 2)


def u_net(x: Array, *weights: Array) -> Array:
    """Halve an image level by level, and double it again beside what each level has kept."""
    kept = []
    for k in range(LEVELS):
        x = convolution(convolution(x, weights[2 * k]), weights[2 * k + 1])
        kept.append(x)
        x = halved(x)
    for k in range(LEVELS):
        x = np.concatenate([doubled(x), kept[LEVELS - 1 - k]])
        x = convolution(x, weights[2 * LEVELS + k])
    return np.sum(x**2)


def draw_layers(random: Generator) -> tuple[np.ndarray[Any, Any], ...]:
    """Return rows and square weights."""
    x = random.normal(size=(ROWS, WIDTH))
    return (x, *(random.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5 for _ in range(LAYERS)))


def draw_image(random: Generator) -> tuple[np.ndarray[Any, Any], ...]:
    """Return an image and the weights of all convolutions."""
    wide = [CHANNELS * 2**k for k in range(LEVELS)]
    down = [pair for k, n in enumerate(wide) for pair in ((n, wide[k - 1] if k else n), (n, n))]
    up = [(max(n // 2, CHANNELS), 2 * n) for n in reversed(wide)]
    return (
        random.normal(size=(CHANNELS, IMAGE, IMAGE)),
        *(random.normal(size=(3, 3, *shape)) / (9 * shape[1]) ** 0.5 for shape in (*down, *up)),
    )


PROGRAMS = (
    Program(
        "1,000 steps of 100,000 doubles",
        march,
        lambda random: (random.normal(size=STATES), random.uniform(size=STATES)),
        (),
    ),
    Program("perceptron of 32 layers", multilayer, draw_layers, (0.6, 0.46, 0.36, 0.3)),
    Program("U-Net of 3 levels", u_net, draw_image, (0.7, 0.47, 0.31)),
    Program(
        "heat equation 128x128, 2,000 steps",
        heat,
        lambda random: (random.normal(size=(SIDE, SIDE)), random.uniform(size=(SIDE, SIDE))),
        (1 / 10, 1 / 30, 1 / 75, 1 / 150),
    ),
)
