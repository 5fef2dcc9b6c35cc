"""The programs that are measured: plain NumPy functions with arguments of a fixed size.

A function finds `np` among its globals, so that `on` can give the same code another array module.
To add a benchmark, write the function and a row of `PROGRAMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import numpy as np

Array = Any  # of whichever package runs the function
Arguments = tuple[np.ndarray[Any, Any], ...]
Generator = np.random.Generator
Derivative = Literal["value_and_grad", "jacobian", "hessian"]


@dataclass(frozen=True)
class Program:
    """A function, its arguments, and the derivative to measure, by the arguments `argnums`."""

    name: str
    function: Callable[..., Array]
    arguments: Callable[[Generator], Arguments]
    argnums: tuple[int, ...] = (0,)
    derivative: Derivative = "value_and_grad"


def on(function: Callable[..., Array], module: Any) -> Callable[..., Array]:
    """Return the same code with another module for `np`."""
    assert isinstance(function, FunctionType)
    names = {**function.__globals__, "np": module}
    return FunctionType(function.__code__, names, function.__name__)


# --- learning -------------------------------------------------------------------------------------


def network(w1: Array, b1: Array, w2: Array, b2: Array, x: Array, labels: Array) -> Array:
    """Return the cross-entropy of a network with one hidden layer."""
    hidden = np.maximum(x @ w1 + b1, 0.0)
    logits = hidden @ w2 + b2
    top = np.max(logits, axis=1, keepdims=True)
    total = np.log(np.sum(np.exp(logits - top), axis=1)) + top[:, 0]
    return np.mean(total - np.sum(logits * labels, axis=1))


def network_arguments(random: Generator) -> Arguments:
    """Draw a 784-256-10 network and a batch of 32."""
    return (
        random.normal(size=(784, 256)) * 0.05,
        np.zeros(256),
        random.normal(size=(256, 10)) * 0.1,
        np.zeros(10),
        random.normal(size=(32, 784)),
        np.eye(10)[random.integers(0, 10, 32)],
    )


def softmax(x: Array, w: Array) -> Array:
    """Return the weighted sum of the softmax of every row."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return np.sum(w * (e / np.sum(e, axis=1, keepdims=True)))


def logistic_regression(w: Array, x: Array, y: Array) -> Array:
    """Return the negative log-likelihood of labels -1 and 1."""
    return np.sum(np.log(1 + np.exp(-y * (x @ w))))


def logistic_arguments(random: Generator) -> Arguments:
    """Draw 10,000 samples of 20 features."""
    x = random.normal(size=(10000, 20))
    return random.normal(size=20) * 0.1, x, np.sign(random.normal(size=10000))


def layer_norm(x: Array, gain: Array, bias: Array, w: Array) -> Array:
    """Return the weighted sum of the normalized rows."""
    centred = x - np.mean(x, axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1, keepdims=True)
    return np.sum(w * (centred / np.sqrt(variance + 1e-5) * gain + bias))


def layer_norm_arguments(random: Generator) -> Arguments:
    """Draw 256 rows of 512."""
    rows = random.normal(size=(256, 512))
    return rows, random.normal(size=512), random.normal(size=512), random.normal(size=(256, 512))


D, K, N = 10, 25, 1000
LOWER = np.tril(np.ones((D, D)), -1)
POSITIONS = (D + np.cumsum(LOWER).reshape(D, D) - 1).astype(np.int64) % (D * (D + 1) // 2)


def gaussian_mixture(alphas: Array, means: Array, icf: Array, x: Array) -> Array:
    """Return the log-likelihood of a mixture of Gaussians with a Wishart prior.

    The formula is ADBench's (Srajer et al. 2018): a row of `icf` holds the logarithms of the
    diagonal of an inverse covariance factor and the elements below it.
    """
    diagonal = np.exp(icf[:, :D])
    logs = np.sum(icf[:, :D], axis=1)
    lower = icf[:, POSITIONS] * LOWER
    centred = x - means[:, None, :]
    scaled = diagonal[:, None, :] * centred + centred @ np.swapaxes(lower, 1, 2)
    main = (alphas + logs)[:, None] - 0.5 * np.sum(scaled**2, axis=2)
    top = np.max(main, axis=0)
    likelihood = np.sum(np.log(np.sum(np.exp(main - top), axis=0)) + top)
    highest = np.max(alphas)
    normal = np.log(np.sum(np.exp(alphas - highest))) + highest
    prior = 0.5 * (np.sum(diagonal**2) + np.sum(icf[:, D:] ** 2)) - np.sum(logs)
    return likelihood - N * normal + prior


def mixture_arguments(random: Generator) -> Arguments:
    """Draw a mixture of 25 Gaussians in 10 dimensions, and 1000 points."""
    return (
        random.normal(size=K),
        random.normal(size=(K, D)),
        random.normal(size=(K, D * (D + 1) // 2)) * 0.1,
        random.normal(size=(N, D)),
    )


def diagonal_mixture(alphas: Array, means: Array, logs: Array, x: Array) -> Array:
    """Return the log-likelihood of a mixture of Gaussians with diagonal covariances."""
    scaled = (x[:, None, :] - means) * np.exp(logs)
    main = -0.5 * np.sum(scaled * scaled, axis=2) + alphas + np.sum(logs, axis=1)
    top = np.max(main, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(main - top), axis=1)) + top[:, 0])


def diagonal_arguments(random: Generator) -> Arguments:
    """Draw a mixture of 25 Gaussians in 10 dimensions, and 1000 points."""
    logs = random.normal(size=(K, D)) * 0.1
    return random.normal(size=K), random.normal(size=(K, D)), logs, random.normal(size=(N, D))


# --- elementwise and stencils ---------------------------------------------------------------------


def arc_distance(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Return the sum of the distances of points on a sphere."""
    t = np.sin((a - c) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((b - d) / 2) ** 2
    return np.sum(2 * np.arctan2(np.sqrt(t), np.sqrt(1 - t)))


def differences(x: Array) -> Array:
    """Return the sum of the squared differences of neighbours."""
    return np.sum((x[1:] - x[:-1]) ** 2)


def reaction(x: Array) -> Array:
    """Return the right side of a reaction-diffusion equation at the inner points."""
    return x[2:] - 2 * x[1:-1] + x[:-2] + x[1:-1] * (1 - x[1:-1])


# --- small programs -------------------------------------------------------------------------------


def rosenbrock(x: Array) -> Array:
    """Return Rosenbrock's function."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def polynomial(x: Array) -> Array:
    """Return a polynomial of degree five of a scalar."""
    return ((((x + 2.0) * x - 3.0) * x + 1.0) * x - 4.0) * x + 0.5


def arm(angles: Array, target: Array) -> Array:
    """Return the squared distance of the hand of an arm of two links."""
    x = 1.5 * np.cos(angles[0]) + np.cos(angles[0] + angles[1])
    y = 1.5 * np.sin(angles[0]) + np.sin(angles[0] + angles[1])
    return (x - target[0]) ** 2 + (y - target[1]) ** 2


def one_array(x: Array) -> Array:
    """Do almost nothing: the time is the call's."""
    return np.sum(x * x)


def five_arrays(a: Array, b: Array, c: Array, d: Array, e: Array) -> Array:
    """Do almost nothing with five arrays."""
    return np.sum(a * b + c * d + e)


def warm_up(x: Array) -> Array:
    """Compile something that no program of the table shares."""
    return np.sum(np.tanh(x) * x)


def normal(*shapes: tuple[int, ...]) -> Callable[[Generator], Arguments]:
    """Return arguments of these shapes."""
    return lambda random: tuple(np.asarray(random.normal(size=shape)) for shape in shapes)


def uniform(*shapes: tuple[int, ...]) -> Callable[[Generator], Arguments]:
    """Return arguments between 0 and 1."""
    return lambda random: tuple(random.uniform(0, 1, size=shape) for shape in shapes)


WARM_UP = Program("warm-up", warm_up, normal((3,)))
PROGRAMS = (
    Program("network", network, network_arguments, (0, 1, 2, 3)),
    Program("softmax 1000x1000", softmax, normal((1000, 1000), (1000, 1000))),
    Program("softmax 100x10", softmax, normal((100, 10), (100, 10))),
    Program("Gaussian mixture", gaussian_mixture, mixture_arguments, (0, 1, 2)),
    Program("diagonal mixture", diagonal_mixture, diagonal_arguments, (0, 1, 2)),
    Program("logistic regression", logistic_regression, logistic_arguments),
    Program("layer norm", layer_norm, layer_norm_arguments, (0, 1, 2)),
    Program("arc distance", arc_distance, uniform(*[(100_000,)] * 4), (0, 1)),
    Program("differences", differences, normal((100_000,))),
    Program("stencil Jacobian", reaction, uniform((200,)), derivative="jacobian"),
    Program("Rosenbrock Hessian", rosenbrock, uniform((20,)), derivative="hessian"),
    Program("Rosenbrock 10", rosenbrock, uniform((10,))),
    Program("polynomial", polynomial, normal(())),
    Program("arm", arm, uniform((2,), (2,))),
    Program("one array", one_array, normal((1,))),
    Program("five arrays", five_arrays, normal(*[(1,)] * 5), (0, 1, 2, 3, 4)),
)
