"""Recurrences along one axis: filters, series, statistics of the past, interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program


def cumulative_product(x: Any) -> Any:
    y = np.empty_like(x)
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = y[i - 1] * x[i]
    return y


def exponential_smoothing(x: Any, alpha: Any) -> Any:
    s = np.zeros_like(x)
    s[0] = x[0]
    for t in range(1, x.shape[0]):
        s[t] = alpha * x[t] + (1 - alpha) * s[t - 1]
    return s


def holt_winters(x: Any, a: Any, b: Any) -> Any:
    level, trend = x[0], x[1] - x[0]
    fitted = np.zeros(len(x))
    for t in range(1, len(x)):
        last = level
        level = a * x[t] + (1 - a) * (level + trend)
        trend = b * (level - last) + (1 - b) * trend
        fitted[t] = level + trend
    return fitted


def garch(returns: Any, omega: Any, alpha: Any, beta: Any) -> Any:
    variance = np.empty(len(returns))
    variance[0] = omega / (1 - alpha - beta)
    for t in range(1, len(returns)):
        variance[t] = omega + alpha * returns[t - 1] ** 2 + beta * variance[t - 1]
    return 0.5 * np.sum(np.log(variance) + returns**2 / variance)


def iir_filter(b: Any, a: Any, x: Any) -> Any:
    y = np.zeros_like(x)
    for n in range(len(x)):
        for k in range(min(n + 1, len(b))):
            y[n] += b[k] * x[n - k]
        for k in range(1, min(n + 1, len(a))):
            y[n] -= a[k] * y[n - k]
        y[n] /= a[0]
    return y


def biquad(b: Any, a: Any, x: Any) -> Any:
    y = np.empty_like(x)
    z1 = z2 = 0.0
    for n in range(len(x)):
        y[n] = b[0] * x[n] + z1
        z1 = b[1] * x[n] - a[1] * y[n] + z2
        z2 = b[2] * x[n] - a[2] * y[n]
    return y


def deriche(image: Any, alpha: Any) -> Any:
    k = (1 - np.exp(-alpha)) ** 2 / (1 + 2 * alpha * np.exp(-alpha) - np.exp(-2 * alpha))
    a1, a2 = k, k * np.exp(-alpha) * (alpha - 1)
    b1, b2 = 2 * np.exp(-alpha), -np.exp(-2 * alpha)
    down, up = np.empty_like(image), np.empty_like(image)
    down[0] = a1 * image[0]
    down[1] = a1 * image[1] + a2 * image[0] + b1 * down[0]
    for i in range(2, image.shape[0]):
        down[i] = a1 * image[i] + a2 * image[i - 1] + b1 * down[i - 1] + b2 * down[i - 2]
    up[-1] = 0.0
    up[-2] = a1 * image[-1]
    for i in range(image.shape[0] - 3, -1, -1):
        up[i] = a1 * image[i + 1] + a2 * image[i + 2] + b1 * up[i + 1] + b2 * up[i + 2]
    return down + up


def horner(coefficients: Any, x: Any) -> Any:
    y = np.zeros_like(x)
    for c in coefficients[::-1]:
        y = y * x + c
    return y


def clenshaw(c: Any, x: Any) -> Any:
    b1, b2 = 0.0, 0.0
    for k in range(len(c) - 1, 0, -1):
        b1, b2 = c[k] + 2 * x * b1 - b2, b1
    return c[0] + x * b1 - b2


def legendre(x: Any, degree: Any) -> Any:
    before, now = np.ones_like(x), x
    for n in range(1, degree):
        before, now = now, ((2 * n + 1) * x * now - n * before) / (n + 1)
    return now


def kalman(y: Any, q: Any, r: Any) -> Any:
    mean, variance, score = y[0], 1.0, 0.0
    means = np.zeros(len(y))
    for t in range(1, len(y)):
        variance = variance + q
        s = variance + r
        gain = variance / s
        innovation = y[t] - mean
        mean = mean + gain * innovation
        variance = (1 - gain) * variance
        score -= 0.5 * (np.log(s) + innovation**2 / s)
        means[t] = mean
    return means, score


def kalman_matrices(ys: Any, f: Any, h: Any, q: Any) -> Any:
    x, p = np.zeros(f.shape[0]), np.eye(f.shape[0])
    total = 0.0
    for y in ys:
        x = f @ x
        p = f @ p @ f.T + q
        s = h @ p @ h + 0.5
        k = p @ h / s
        v = y - h @ x
        x = x + k * v
        p = p - np.outer(k, h @ p)
        total += np.log(s) + v * v / s
    return total


def logistic_map(x: Any, r: Any) -> Any:
    orbit = np.zeros((6, len(x)))
    orbit[0] = x
    for n in range(5):
        orbit[n + 1] = r * orbit[n] * (1 - orbit[n])
    return orbit


def de_casteljau(points: Any, t: Any) -> Any:
    b = points.copy()
    n = len(points)
    for k in range(1, n):
        b[: n - k] = (1 - t) * b[: n - k] + t * b[1 : n - k + 1]
    return b[0]


def divided_differences(x: Any, y: Any) -> Any:
    c = y.copy()
    for k in range(1, len(x)):
        for i in range(len(x) - 1, k - 1, -1):
            c[i] = (c[i] - c[i - 1]) / (x[i] - x[i - k])
    return c


def neville(x: Any, y: Any, at: Any) -> Any:
    p = np.copy(y)
    n = len(x)
    for m in range(1, n):
        for i in range(n - m):
            p[i] = ((at - x[i + m]) * p[i] + (x[i] - at) * p[i + 1]) / (x[i] - x[i + m])
    return p[0]


def binomial_option(spot: Any, strikes: Any, up: Any, rate: Any) -> Any:
    steps = len(strikes) - 1
    down = 1 / up
    p = (rate - down) / (up - down)
    price = np.zeros(steps + 1)
    for j in range(steps + 1):
        price[j] = max(spot * up**j * down ** (steps - j) - strikes[j], 0.0)
    for i in range(steps - 1, -1, -1):
        price[: i + 1] = (p * price[1 : i + 2] + (1 - p) * price[: i + 1]) / rate
    return price[0]


def american_put(spot: Any, strike: Any, up: Any, rate: Any, tree: Any) -> Any:
    n = len(tree) - 1
    p = (rate - 1 / up) / (up - 1 / up)
    for j in range(n + 1):
        tree[j] = max(strike - spot * up ** (2 * j - n), 0)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1):
            hold = (p * tree[j + 1] + (1 - p) * tree[j]) / rate
            exercise = strike - spot * up ** (2 * j - i)
            tree[j] = hold if hold > exercise else exercise
    return tree[0]


def running_statistics(x: Any) -> Any:
    mean, m2 = 0.0, 0.0
    highest = x[0]
    for i in range(len(x)):
        delta = x[i] - mean
        mean += delta / (i + 1)
        m2 += delta * (x[i] - mean)
        highest = max(highest, x[i])
    return mean, m2 / len(x), highest


def moving_average(x: Any) -> Any:
    y = np.zeros_like(x)
    for i in range(len(x)):
        y[i] = np.mean(x[max(0, i - 2) : min(len(x), i + 3)])
    return y


def convolution(image: Any, kernel: Any) -> Any:
    h, w = kernel.shape
    out = np.empty((image.shape[0] - h + 1, image.shape[1] - w + 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = np.sum(image[i : i + h, j : j + w] * kernel)
    return out


def convolution_by_shifts(image: Any, kernel: Any) -> Any:
    h, w = kernel.shape
    m, n = image.shape[0] - h + 1, image.shape[1] - w + 1
    out = np.zeros((m, n))
    for a in range(h):
        for b in range(w):
            out += kernel[a, b] * image[a : a + m, b : b + n]
    return out


def summed_area(a: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(1, a.shape[1]):
            a[i, j] += a[i, j - 1]
    for i in range(1, a.shape[0]):
        a[i] += a[i - 1]


def haar(x: Any) -> Any:
    n = len(x)
    while n > 1:
        n //= 2
        half, rest = x[: 2 * n : 2].copy(), x[1 : 2 * n : 2].copy()
        x[:n] = (half + rest) * 0.5
        x[n : 2 * n] = (half - rest) * 0.5
    return x


def spline_moments(x: Any, y: Any) -> Any:
    n = len(x)
    u, m = np.zeros(n), np.zeros(n)
    for i in range(1, n - 1):
        s = (x[i] - x[i - 1]) / (x[i + 1] - x[i - 1])
        p = s * m[i - 1] + 2
        m[i] = (s - 1) / p
        slope = (y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1])
        u[i] = (6 * slope / (x[i + 1] - x[i - 1]) - s * u[i - 1]) / p
    for k in range(n - 2, -1, -1):
        m[k] = m[k] * m[k + 1] + u[k]
    return m


PROGRAMS = (
    Program(
        cumulative_product,
        lambda rng, n: (rng.normal(size=n),),
        (1, 2, 11),
        exact=True,
        second=True,
    ),
    Program(
        exponential_smoothing,
        lambda rng, n: (rng.normal(size=n), 0.3),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        holt_winters,
        lambda rng, n: (rng.normal(size=n), 0.4, 0.2),
        (2, 3, 11),
        (0, 1, 2),
        exact=True,
    ),
    Program(
        garch,
        lambda rng, n: (rng.normal(size=n), 0.1, 0.2, 0.6),
        (1, 2, 11),
        (0, 1, 2, 3),
        second=True,
    ),
    Program(
        iir_filter,
        lambda rng, n: (rng.normal(size=3), np.array([1.0, -0.5, 0.2]), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1, 2),
        exact=True,
    ),
    Program(
        biquad,
        lambda rng, n: (rng.normal(size=3), np.array([1.0, -0.5, 0.2]), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1, 2),
        exact=True,
        second=True,
    ),
    Program(
        deriche, lambda rng, n: (rng.normal(size=(n, 3)), 0.5), (2, 3, 11), (0, 1), second=True
    ),
    Program(
        horner,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=3)),
        (1, 2, 11),
        (0, 1),
        exact=True,
    ),
    Program(
        clenshaw,
        lambda rng, n: (rng.normal(size=n), 0.4),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(legendre, lambda rng, n: (rng.uniform(-1, 1, 4), n), (1, 2, 11), exact=True),
    Program(kalman, lambda rng, n: (rng.normal(size=n), 0.1, 0.5), (1, 2, 11), (0, 1, 2)),
    Program(
        kalman_matrices,
        lambda rng, n: (
            rng.normal(size=n),
            np.array([[1.0, 0.1], [0.0, 0.9]]),
            np.array([1.0, 0.3]),
            0.1 * np.eye(2),
        ),
        (1, 2, 11),
        (0, 1, 2, 3),
    ),
    Program(
        logistic_map, lambda rng, n: (rng.uniform(0.1, 0.9, n), 3.1), (1, 2, 11), (0, 1), exact=True
    ),
    Program(
        de_casteljau,
        lambda rng, n: (rng.normal(size=(n, 2)), 0.3),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        divided_differences,
        lambda rng, n: (np.arange(n) + 0.3 * rng.uniform(size=n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        neville,
        lambda rng, n: (np.arange(n) + 0.3 * rng.uniform(size=n), rng.normal(size=n), 0.6),
        (1, 2, 11),
        (0, 1, 2),
        exact=True,
        second=True,
    ),
    Program(
        binomial_option,
        lambda rng, n: (100.0 + n, rng.uniform(90, 110, n + 1), 1.1, 1.01),
        (1, 2, 11),
        (0, 1, 2, 3),
    ),
    Program(
        american_put,
        lambda rng, n: (100.0 + n, 103.5, 1.1, 1.01, np.zeros(n + 1)),
        (1, 2, 11),
        (0, 1, 2, 3),
        (4,),
    ),
    Program(running_statistics, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(moving_average, lambda rng, n: (rng.normal(size=n),), (1, 3, 11), unrolled=True),
    Program(
        convolution,
        lambda rng, n: (rng.normal(size=(n, n + 1)), rng.normal(size=(3, 2))),
        (3, 4, 11),
        (0, 1),
    ),
    Program(
        convolution_by_shifts,
        lambda rng, n: (rng.normal(size=(n + 2, n + 3)), rng.normal(size=(n, n))),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        summed_area,
        lambda rng, n: (rng.normal(size=(n, n + 1)),),
        (1, 2, 11),
        writes=(0,),
        exact=True,
    ),
    Program(
        haar,
        lambda rng, n: (rng.normal(size=n),),
        (1, 2, 16),
        writes=(0,),
        exact=True,
        unrolled=True,
    ),
    Program(
        spline_moments,
        lambda rng, n: (np.arange(n) + 0.3 * rng.uniform(size=n), rng.normal(size=n)),
        (2, 3, 11),
        (0, 1),
        exact=True,
    ),
)
