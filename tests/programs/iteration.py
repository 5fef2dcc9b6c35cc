"""Iterations until something holds: roots, fixed points, means, series."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program


def newton(a: Any) -> Any:
    x = 1.0 + 0.5 * a
    while abs(x**3 - a) > 1e-13:
        x = x - (x**3 - a) / (3 * x**2)
    return x


def heron(a: Any) -> Any:
    x, last = a, 0.0
    while np.abs(x - last) > 1e-12 * x:
        last = x
        x = 0.5 * (x + a / x)
    return x


def newton_of_arrays(a: Any) -> Any:
    x = np.ones_like(a)
    step = np.ones_like(a)
    trips = 0
    while np.max(np.abs(step)) > 1e-12 and trips < 50:
        step[:] = (x * np.exp(x) - a) / (np.exp(x) * (1 + x))
        x -= step
        trips += 1
    return x


def bisection(c: Any, low: Any, high: Any, steps: Any) -> Any:
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if middle**3 + middle < c:
            low = middle
        else:
            high = middle
    x = 0.5 * (low + high)
    return x - (x**3 + x - c) / (3 * x**2 + 1)


def secant(c: Any) -> Any:
    x0, x1 = 0.0, 1.0
    f0 = x0 * x0 * x0 + x0 - c
    for _ in range(20):
        f1 = x1 * x1 * x1 + x1 - c
        if abs(f1) < 1e-9:
            break
        x0, x1, f0 = x1, x1 - f1 * (x1 - x0) / (f1 - f0), f1
    return x1


def fixed_point(x: Any, c: Any) -> Any:
    for _ in range(200):
        new = np.cos(c * x)
        if np.sum((new - x) ** 2) < 1e-24:
            return new
        x = new
    return x


def continued_fraction(x: Any) -> Any:
    """The tangent by Lentz's method."""
    f, c, d = 1e-30, 1e-30, 0.0
    for k in range(40):
        b = 2.0 * k + 1.0
        a = x if k == 0 else -x * x
        d = b + a * d
        c = b + a / c
        d = 1.0 / d
        change = c * d
        f *= change
        if abs(change - 1.0) < 1e-15:
            break
    return f


def exponential_series(x: Any) -> Any:
    total = term = 1.0
    k = 0
    while abs(term) > 1e-17 * abs(total):
        k += 1
        term *= x / k
        total += term
    return total


def conjugate_gradients_while(a: Any, b: Any) -> Any:
    a = 0.5 * (a + a.T)
    x = np.zeros_like(b)
    r, p = b.copy(), b.copy()
    rr = r @ r
    trips = 0
    while rr > 1e-22 and trips < 3 * len(b):
        ap = a @ p
        alpha = rr / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        last, rr = rr, r @ r
        p *= rr / last
        p += r
        trips += 1
    return x


def relax_until_steady(u: Any, f: Any) -> Any:
    change = 1.0
    while change > 1e-12:
        change = 0.0
        for i in range(1, len(u) - 1):
            new = 0.4 * (u[i - 1] + u[i + 1]) + f[i]
            change = max(change, abs(new - u[i]))
            u[i] = new
    return u


def kepler(mean: Any, eccentricity: Any) -> Any:
    anomaly = np.empty_like(mean)
    for i in range(len(mean)):
        e = mean[i]
        for _ in range(30):
            step = (e - eccentricity * np.sin(e) - mean[i]) / (1 - eccentricity * np.cos(e))
            e -= step
            if abs(step) < 1e-12:
                break
        anomaly[i] = e
    return anomaly


def arithmetic_geometric_mean(a: Any, g: Any) -> Any:
    while abs(a - g) > 1e-13:
        a, g = 0.5 * (a + g), np.sqrt(a * g)
    return a


def march(rate: Any, end: Any) -> Any:
    t, y, h = 0.0, 1.0, 0.3
    while t < end:
        if t + h > end:
            h = end - t
        y += h * rate * y * (1 - 0.5 * y)
        t += h
        h = min(1.1 * h, 0.5)
    return y


def decay(x: Any, rate: Any) -> Any:
    """More than a thousand trips if the rate is near a hundred."""
    total = 0.0
    while x > 1e-6:
        x *= rate / (1 + rate)
        total += x * x
    return x, total


def adaptive_step(y: Any, rate: Any) -> Any:
    t, h = 0.0, 0.2
    while t < 1.0 - 1e-12:
        h = min(h, 1.0 - t)
        full = y - h * rate * y**2
        middle = y - 0.5 * h * rate * y**2
        two = middle - 0.5 * h * rate * middle**2
        error = abs(full - two)
        if error > 2e-2:
            h = 0.5 * h
            continue
        t += h
        y = 2 * two - full
        h = 1.3 * h
    return y


def eigenvector_until_converged(a: Any) -> Any:
    x = np.ones(a.shape[0]) / np.sqrt(a.shape[0])
    change = 1.0
    while change > 1e-26:
        y = a @ x
        y = y / np.sqrt(y @ y)
        change = np.sum((y - x) ** 2)
        x = y
    return x @ a @ x, x


def golden_section(c: Any, low: Any, high: Any) -> Any:
    ratio = 0.6180339887498949
    while high - low > 0.05:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if (left - c) ** 2 < (right - c) ** 2:
            high = right
        else:
            low = left
    return 0.5 * (low + high)


def sinkhorn(cost: Any, rows: Any, columns: Any, steps: Any) -> Any:
    k = np.exp(-cost)
    v = np.ones_like(columns)
    u = np.ones_like(rows)
    for _ in range(steps):
        u[:] = rows / (k @ v)
        v[:] = columns / (k.T @ u)
    return u[:, None] * k * v


PROGRAMS = (
    Program(newton, lambda rng, n: (n + rng.uniform(0.5, 2),), (0, 1, 5), second=True),
    Program(heron, lambda rng, n: (n + rng.uniform(0.1, 5),), (0, 1, 7), exact=True, second=True),
    Program(newton_of_arrays, lambda rng, n: (rng.uniform(1, 3, n),), (1, 2, 11)),
    Program(
        bisection,
        lambda rng, n: (rng.uniform(0.1, 3), 0.0, 2.0, n),
        (0, 1, 11),
        (0, 1, 2),
        second=True,
    ),
    Program(secant, lambda rng, n: (n + rng.uniform(0.5, 2),), (0, 1, 3), exact=True),
    Program(fixed_point, lambda rng, n: (rng.uniform(size=n), 0.9), (1, 2, 11), (0, 1)),
    Program(
        continued_fraction, lambda rng, n: (rng.uniform(0.1, 0.3) + 0.3 * n,), (0, 1, 3), exact=True
    ),
    Program(
        exponential_series,
        lambda rng, n: (rng.uniform(0.1, 0.4) - 0.8 * n,),
        (0, 1, 3),
        exact=True,
        second=True,
    ),
    Program(
        conjugate_gradients_while,
        lambda rng, n: (
            np.eye(n) * 2 + np.diag(np.full(n - 1, 0.5), 1) + np.diag(np.full(n - 1, 0.5), -1),
            rng.normal(size=n),
        ),
        (1, 2, 11),
        (0, 1),
    ),
    Program(
        relax_until_steady,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n)),
        (2, 3, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        kepler, lambda rng, n: (rng.uniform(0.5, 2.5, n), 0.4), (1, 2, 11), (0, 1), second=True
    ),
    Program(
        arithmetic_geometric_mean,
        lambda rng, n: (1.0, rng.uniform(0.1, 0.5) + n),
        (0, 1, 4),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        march, lambda rng, n: (0.8, rng.uniform(0.1, 0.2) + 0.9 * n), (0, 1, 3), (0, 1), exact=True
    ),
    Program(
        decay,
        lambda rng, n: (rng.uniform(1, 2), (1.0, 9.0, 99.0)[min(n, 2)]),
        (0, 1, 2),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(adaptive_step, lambda rng, n: (rng.uniform(0.8, 1.2) + n, 0.7), (0, 1, 3), (0, 1)),
    Program(
        eigenvector_until_converged,
        lambda rng, n: (np.diag(np.arange(1.0, n + 1) ** 2) + 0.1,),
        (1, 2, 11),
    ),
    Program(
        golden_section,
        lambda rng, n: (rng.uniform(0.3, 0.6), 0.0, 1.0 + 0.3 * n),
        (0, 1, 3),
        (1, 2),
    ),
    Program(
        sinkhorn,
        lambda rng, n: (
            rng.uniform(size=(n, n + 1)),
            np.full(n, 1 / n),
            np.full(n + 1, 1 / (n + 1)),
            3,
        ),
        (1, 2, 11),
        (0, 1, 2),
    ),
)
