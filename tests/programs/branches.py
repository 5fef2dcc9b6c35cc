"""Branches on values: piecewise functions, early exits, sorting, options on paths."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program


def huber(residuals: Any, delta: Any) -> Any:
    total = 0.0
    for r in residuals:
        if abs(r) <= delta:
            total += 0.5 * r * r
        else:
            total += delta * (abs(r) - 0.5 * delta)
    return total


def piecewise(x: Any) -> Any:
    y = np.empty_like(x)
    for i in range(len(x)):
        if x[i] < -1:
            y[i] = -x[i] - 0.5
        elif x[i] < 0:
            y[i] = 0.5 * x[i] * x[i]
        elif x[i] < 1:
            y[i] = x[i] * x[i] * x[i]
        else:
            y[i] = 3 * x[i] - 2
    return y


def spline(knots: Any, values: Any, slopes: Any, x: Any) -> Any:
    y = np.zeros_like(x)
    for i in range(len(x)):
        k = 0
        while k < len(knots) - 2 and x[i] > knots[k + 1]:
            k += 1
        h = knots[k + 1] - knots[k]
        t = (x[i] - knots[k]) / h
        y[i] = (
            (1 + 2 * t) * (1 - t) * (1 - t) * values[k]
            + t * (1 - t) * (1 - t) * h * slopes[k]
            + t * t * (3 - 2 * t) * values[k + 1]
            + t * t * (t - 1) * h * slopes[k + 1]
        )
    return y


def income_tax(income: Any, limits: Any, rates: Any) -> Any:
    tax, lower = 0.0, 0.0
    for k in range(len(limits)):
        if income <= limits[k]:
            tax += rates[k] * (income - lower)
            break
        tax += rates[k] * (limits[k] - lower)
        lower = limits[k]
    return tax


def largest_sum(x: Any) -> Any:
    best = current = x[0]
    for i in range(1, len(x)):
        current = max(x[i], current + x[i])
        best = max(best, current)
    return best


def soft_threshold(x: Any, t: Any) -> Any:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = x[i, j] - t if x[i, j] > t else x[i, j] + t if x[i, j] < -t else 0.0
    return x


def sum_of_some(x: Any, low: Any, high: Any) -> Any:
    total, count = 0.0, 0
    for i in range(len(x)):
        if x[i] < low or x[i] > high:
            continue
        if not low + 0.1 < x[i] < high - 0.1:
            continue
        total += x[i] * x[i]
        count += 1
    return total, count


def first_above(x: Any, level: Any) -> Any:
    for i in range(1, len(x)):
        if x[i] > level:
            return i - 1 + (level - x[i - 1]) / (x[i] - x[i - 1])
    return -x[-1]


def barrier_option(spot: Any, shocks: Any, barrier: Any, strike: Any) -> Any:
    total = 0.0
    for p in range(shocks.shape[0]):
        s = spot
        alive = True
        for t in range(shocks.shape[1]):
            s *= np.exp(0.2 * shocks[p, t] - 0.02)
            if s > barrier:
                alive = False
                break
        if alive and s > strike:
            total += s - strike
    return total / shocks.shape[0]


def bubble_sort(a: Any) -> None:
    n = len(a)
    for i in range(n - 1):
        for j in range(n - 1 - i):
            if a[j] > a[j + 1]:
                a[j], a[j + 1] = a[j + 1], a[j]


def insertion_sort(a: Any) -> Any:
    for i in range(1, len(a)):
        x = a[i]
        j = i - 1
        while j >= 0 and a[j] > x:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = x
    return a


def median_of_three(x: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        a, b, c = x[i - 1], x[i], x[i + 1]
        if a > b:
            a, b = b, a
        if b > c:
            b = max(a, c)
        y[i] = b
    return y


def perceptron(x: Any, labels: Any, rate: Any) -> Any:
    w = np.zeros(x.shape[1])
    bias = 0.0
    for _ in range(2):
        for i in range(x.shape[0]):
            if labels[i] * (w @ x[i] + bias) <= 0.05:
                w += rate * labels[i] * x[i]
                bias += rate * labels[i]
    return w, bias


def upwind_by_branch(q: Any, v: Any, dt: Any) -> None:
    old = q.copy()
    for i in range(1, len(q) - 1):
        if v[i] > 0:
            q[i] -= dt * v[i] * (old[i] - old[i - 1])
        else:
            q[i] -= dt * v[i] * (old[i + 1] - old[i])


def branch_on_array(x: Any, y: Any) -> Any:
    if np.sum(x) > np.sum(y):
        z = x * 2
        if x[0] > 0:
            z[0] = y[-1]
    else:
        z = x + y
        z[-1] *= 3
    return z


def activation(x: Any, kind: Any) -> Any:
    y = x.copy()
    for i in range(len(x)):
        if kind == 0:
            y[i] = max(x[i], 0.0)
        elif kind == 1 and x[i] < 0:
            y[i] = 0.1 * x[i]
        elif kind == 1:
            pass
        else:
            y[i] = x[i] / (1 + abs(x[i]))
    return y


def clipped_walk(x: Any, low: Any, high: Any) -> Any:
    position = 0.0
    path = []
    for step in x:
        position = min(max(position + step, low), high)
        path.append(position)
    return np.array(path)


def annuity(rates: Any, price: Any) -> Any:
    balance, years = price, 0
    for r in rates:
        balance *= 1 + r
        if balance > 2 * price:
            break
        years += 1
    else:
        balance += 1.0
    return balance, years


PROGRAMS = (
    Program(
        huber,
        lambda rng, n: (2 * rng.normal(size=n), 1.0),
        (1, 2, 11),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        piecewise, lambda rng, n: (2 * rng.normal(size=n),), (1, 2, 11), exact=True, second=True
    ),
    Program(
        spline,
        lambda rng, n: (
            np.arange(4.0),
            rng.normal(size=4),
            rng.normal(size=4),
            rng.uniform(-0.5, 3.5, n),
        ),
        (1, 2, 11),
        (0, 1, 2, 3),
        exact=True,
    ),
    Program(
        income_tax,
        lambda rng, n: (
            n + rng.uniform(0, 0.9),
            np.array([1.0, 2.5, 4.0, np.inf]),
            np.array([0.1, 0.2, 0.3, 0.4]),
        ),
        (0, 1, 4),
        (0, 2),
        exact=True,
        second=True,
    ),
    Program(largest_sum, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(
        soft_threshold,
        lambda rng, n: (rng.normal(size=(n, n)), 0.4),
        (1, 2, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(sum_of_some, lambda rng, n: (rng.normal(size=n), -0.8, 0.9), (1, 2, 11), exact=True),
    Program(
        first_above,
        lambda rng, n: (np.linspace(0, 1, n) + 0.03 * rng.normal(size=n), 0.55),
        (1, 2, 11),
        (0, 1),
        exact=True,
    ),
    Program(
        barrier_option,
        lambda rng, n: (1.0, rng.normal(size=(n, 4)), 1.4, 0.9),
        (1, 2, 11),
        (0, 1, 3),
        second=True,
    ),
    Program(bubble_sort, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), writes=(0,), exact=True),
    Program(
        insertion_sort, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), writes=(0,), exact=True
    ),
    Program(median_of_three, lambda rng, n: (rng.normal(size=n),), (1, 3, 11), exact=True),
    Program(
        perceptron,
        lambda rng, n: (rng.normal(size=(n, 3)), np.sign(rng.normal(size=n)), 0.3),
        (1, 2, 11),
        (0, 2),
    ),
    Program(
        upwind_by_branch,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n), 0.2),
        (2, 3, 11),
        (0, 1, 2),
        (0,),
        exact=True,
        second=True,
    ),
    Program(
        branch_on_array,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        exact=True,
    ),
    Program(activation, lambda rng, n: (rng.normal(size=4), n), (0, 1, 2), exact=True),
    Program(
        clipped_walk,
        lambda rng, n: (rng.normal(size=n), -0.5, 0.6),
        (1, 2, 11),
        (0, 1, 2),
        exact=True,
        unrolled=True,
    ),
    Program(
        annuity, lambda rng, n: (rng.uniform(0.1, 0.3, n), 5.0), (1, 2, 11), (0, 1), exact=True
    ),
)
