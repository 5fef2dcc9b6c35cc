"""Loops in which a step needs the one before, and triangular loops."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.program import Arguments, Array, Generator, Program, normal

GROUP = "recurrences"


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


def triangular_solve(lower: Array, b: Array) -> Array:
    """Substitute forward, a product of pieces of a row and of the solution at a time."""
    x = np.empty_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]
    return x


def vertical_advection(old: Array, u: Array, w: Array, before: Array, forcing: Array) -> Array:
    """Advect implicitly along the last axis: a tridiagonal system for every column of air."""
    dt = 0.15
    levels = u.shape[2]
    upper, right, out = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    above = 0.125 * (w[1:, :, 1] + w[:-1, :, 1])
    change = -above * (u[:, :, 1] - u[:, :, 0])
    pivot = 1.0 / (dt - above)
    upper[:, :, 0] = above * pivot
    right[:, :, 0] = (dt * before[:, :, 0] + forcing[:, :, 0] + old[:, :, 0] + change) * pivot
    for k in range(1, levels - 1):
        below = -0.125 * (w[1:, :, k] + w[:-1, :, k])
        above = 0.125 * (w[1:, :, k + 1] + w[:-1, :, k + 1])
        change = -below * (u[:, :, k - 1] - u[:, :, k]) - above * (u[:, :, k + 1] - u[:, :, k])
        pivot = 1.0 / (dt - below - above - upper[:, :, k - 1] * below)
        known = dt * before[:, :, k] + forcing[:, :, k] + old[:, :, k] + change
        upper[:, :, k] = above * pivot
        right[:, :, k] = (known - right[:, :, k - 1] * below) * pivot
    k = levels - 1
    below = -0.125 * (w[1:, :, k] + w[:-1, :, k])
    change = -below * (u[:, :, k - 1] - u[:, :, k])
    pivot = 1.0 / (dt - below - upper[:, :, k - 1] * below)
    known = dt * before[:, :, k] + forcing[:, :, k] + old[:, :, k] + change
    new = (known - right[:, :, k - 1] * below) * pivot
    out[:, :, k] = dt * (new - before[:, :, k])
    for k in range(levels - 2, -1, -1):
        new = right[:, :, k] - upper[:, :, k] * new
        out[:, :, k] = dt * (new - before[:, :, k])
    return out


def cholesky_loops(a: Array) -> Array:
    """Factorize in place, element by element, each a product of two pieces of rows."""
    a = a.copy()
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[j, :j]) / a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])
    return np.tril(a)


def lu_loops(a: Array) -> Array:
    """Factorize in place, element by element, each a product of a row's and a column's piece."""
    a = a.copy()
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    return a


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


def lstm(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """Run a long short-term memory over a sequence."""
    size = wh.shape[1]
    state, cell = np.zeros(size), np.zeros(size)
    states = np.zeros((len(x), size))
    for t in range(len(x)):
        gates = wx @ x[t] + wh @ state + b
        opened = 1.0 / (1.0 + np.exp(-gates[: 3 * size]))
        cell = opened[size : 2 * size] * cell + opened[:size] * np.tanh(gates[3 * size :])
        state = opened[2 * size :] * np.tanh(cell)
        states[t] = state
    return states


def march(x: Array, a: Array, steps: int) -> Array:
    """Follow many equations of their own through time."""
    for _ in range(steps):
        x = x + 0.01 * (a - x * x)
    return x


def system(random: Generator) -> Arguments:
    """Draw a well-conditioned triangle and a right-hand side."""
    return np.tril(random.normal(size=(400, 400))) + 800 * np.eye(400), random.normal(size=400)


def columns_of_air(random: Generator) -> Arguments:
    """Draw columns of 40 levels."""
    shape = (32, 32, 40)
    old, u, before, forcing = (random.normal(size=shape) for _ in range(4))
    return old, u, 0.1 * random.uniform(size=(33, 32, 40)), before, forcing


def definite(random: Generator) -> Arguments:
    """Draw a positive definite matrix."""
    a = random.normal(size=(120, 120))
    return (a @ a.T + 120 * np.eye(120),)


def tridiagonal(random: Generator) -> Arguments:
    """Draw a dominant diagonal, its neighbours and a right-hand side."""
    a, c, d = (random.normal(size=10_000) for _ in range(3))
    return a, random.uniform(4, 5, 10_000), c, d


def recurrent_network(random: Generator) -> Arguments:
    """Draw 1024 steps of a sequence of 16 numbers and the weights of 32 states."""
    return (
        random.normal(size=(1024, 16)),
        0.1 * random.normal(size=(128, 16)),
        0.1 * random.normal(size=(128, 32)),
        0.1 * random.normal(size=128),
    )


def positive(random: Generator) -> Arguments:
    """Draw two positive vectors."""
    return random.uniform(0.5, 1.5, 100_000), random.uniform(0.5, 1.5, 100_000)


PROGRAMS = (
    Program(
        "Gauss-Seidel 120, 10",
        GROUP,
        gauss_seidel,
        normal((120, 120)),
        weighed=True,
        fixed={"sweeps": 10},
    ),
    Program("triangular solve 400", GROUP, triangular_solve, system, (0, 1), weighed=True),
    Program(
        "vertical advection 32x32x40",
        GROUP,
        vertical_advection,
        columns_of_air,
        (0, 1, 2, 3, 4),
        weighed=True,
    ),
    Program("Cholesky by loops 120", GROUP, cholesky_loops, definite, weighed=True),
    Program("LU by loops 120", GROUP, lu_loops, definite, weighed=True),
    Program("Thomas 10,000", GROUP, thomas, tridiagonal, (0, 1, 2, 3), weighed=True),
    Program("LSTM, 1024 steps", GROUP, lstm, recurrent_network, (0, 1, 2, 3), weighed=True),
    Program(
        "1000 steps of 100,000",
        GROUP,
        march,
        positive,
        (0, 1),
        weighed=True,
        fixed={"steps": 1000},
    ),
)
