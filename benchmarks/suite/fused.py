"""Elementwise functions and reductions, which one pass over memory can compute."""

from __future__ import annotations

import numpy as np
from scipy import special

from benchmarks.suite.program import Arguments, Array, Generator, Program, normal, uniform

GROUP = "fused"


def arc_distance(theta1: Array, phi1: Array, theta2: Array, phi2: Array) -> Array:
    """Return the distances of points on a sphere."""
    t = np.sin((theta2 - theta1) / 2) ** 2
    t = t + np.cos(theta1) * np.cos(theta2) * np.sin((phi2 - phi1) / 2) ** 2
    return 2 * np.arctan2(np.sqrt(t), np.sqrt(1 - t))


def softmax(x: Array) -> Array:
    """Return the softmax of every row."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def clip_multiply_add(x: Array, y: Array, a: Array, b: Array, c: Array) -> Array:
    """Return a sum of a clipped array and another, with scalar factors."""
    return np.clip(x, 2.0, 10.0) * a + y * b + c


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    """Return normalized rows."""
    centred = x - np.mean(x, axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * gain + bias


def logsumexp(x: Array) -> Array:
    """Return the logarithm of the sum of the exponentials of every row."""
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def black_scholes(spot: Array, strike: Array, time: Array, rate: Array, sigma: Array) -> Array:
    """Return the prices of call options."""
    deviation = sigma * np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma**2) * time) / deviation
    d2 = d1 - deviation
    return spot * normal_cdf(d1) - strike * np.exp(-rate * time) * normal_cdf(d2)


def normal_cdf(x: Array) -> Array:
    """Return the distribution function of the normal distribution."""
    return 0.5 * (1.0 + special.erf(x / np.sqrt(2.0)))


def total_variation(image: Array) -> Array:
    """Return the smoothed total variation of an image."""
    down = image[1:, :-1] - image[:-1, :-1]
    right = image[:-1, 1:] - image[:-1, :-1]
    return np.sum(np.sqrt(down**2 + right**2 + 1e-6))


def differences(x: Array) -> Array:
    """Return the sum of the squared differences of neighbours."""
    return np.sum((x[1:] - x[:-1]) ** 2)


def angles(random: Generator) -> Arguments:
    """Draw two sets of points on a sphere, none at a pole or near its partner's antipode."""
    return tuple(random.uniform(0.2, 1.2, 100_000) for _ in range(4))


def clipped(random: Generator) -> Arguments:
    """Draw two arrays and three factors."""
    x, y = random.uniform(0, 12, 1_000_000), random.normal(size=1_000_000)
    return x, y, *(np.asarray(f) for f in (1.5, -0.5, 0.25))


def options(random: Generator) -> Arguments:
    """Draw 100,000 options and the interest rate."""
    spot, strike = random.uniform(80, 120, (2, 100_000))
    time, sigma = random.uniform(0.2, 2, 100_000), random.uniform(0.1, 0.4, 100_000)
    return spot, strike, time, np.asarray(0.03), sigma


PROGRAMS = (
    Program("arc distance", GROUP, arc_distance, angles, (0, 1, 2, 3), weighed=True),
    Program("softmax 1000x1000", GROUP, softmax, normal((1000, 1000)), weighed=True),
    Program("softmax 100x10", GROUP, softmax, normal((100, 10)), weighed=True),
    Program("clip-multiply-add", GROUP, clip_multiply_add, clipped, (0, 1, 2, 3, 4), weighed=True),
    Program(
        "layer norm 256x512",
        GROUP,
        layer_norm,
        normal((256, 512), (512,), (512,)),
        (0, 1, 2),
        weighed=True,
    ),
    Program("logsumexp 1000x200", GROUP, logsumexp, normal((1000, 200)), weighed=True),
    Program("Black-Scholes", GROUP, black_scholes, options, (0, 2, 3, 4), weighed=True),
    Program("total variation 512x512", GROUP, total_variation, uniform((512, 512))),
    Program("differences 100,000", GROUP, differences, normal((100_000,))),
)
