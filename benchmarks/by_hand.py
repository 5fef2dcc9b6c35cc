"""Gradients written by hand in Numba: what generated code should come near.

Each takes the arguments of a program of `benchmarks.recurrences`, weights last, and returns the
value and the gradients. Four are in `../shared/hand`, where that folder exists; the others are
here. Begin with `written`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
Written = Callable[..., Any]
FOLDER = Path(__file__).parents[2] / "shared" / "hand"


def lu(a: Array, w: Array) -> Any:
    """Factorize row by row, and pull back from the last row to the first."""
    n = a.shape[0]
    a = a.copy()
    value = 0.0
    for i in range(n):
        for j in range(i):
            a[i, j] /= a[j, j]
            factor = a[i, j]
            for k in range(j + 1, n):
                a[i, k] -= factor * a[j, k]
        for k in range(n):
            value += w[i, k] * a[i, k]
    g = w.copy()
    for i in range(n - 1, -1, -1):
        for j in range(i - 1, -1, -1):
            factor, total = a[i, j], 0.0
            for k in range(j + 1, n):
                total += g[i, k] * a[j, k]
                g[j, k] -= g[i, k] * factor
            total = (g[i, j] - total) / a[j, j]
            g[i, j] = total
            g[j, j] -= total * factor
            # row i loses what this step subtracted only in its cotangents: values are never undone
    return value, g


def syrk(c: Array, a: Array, w: Array) -> Any:
    """Products of rows: one pass over pairs of rows forward, one backward."""
    n, m = a.shape
    value = 0.0
    dc, da = w.copy(), np.zeros_like(a)
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(m):
                total += a[i, k] * a[j, k]
            value += w[i, j] * (0.8 * c[i, j] + 1.5 * total)
            dc[i, j] = 0.8 * w[i, j]
            weight = 1.5 * w[i, j]
            for k in range(m):
                da[i, k] += weight * a[j, k]
            for k in range(m):
                da[j, k] += weight * a[i, k]
        for j in range(i + 1, c.shape[1]):
            value += w[i, j] * c[i, j]
    return value, dc, da


def sparse_product(pointers: Array, columns: Array, data: Array, x: Array, w: Array) -> Any:
    """Gather along the rows, scatter back."""
    value = 0.0
    d_data, dx = np.empty_like(data), np.zeros_like(x)
    for i in range(pointers.size - 1):
        total = 0.0
        for p in range(pointers[i], pointers[i + 1]):
            total += data[p] * x[columns[p]]
            d_data[p] = w[i] * x[columns[p]]
            dx[columns[p]] += w[i] * data[p]
        value += w[i] * total
    return value, d_data, dx


def lstm(x: Array, wx: Array, wh: Array, b: Array, w: Array) -> Any:
    """Record gates and states; the gradients of weights are products after the loop."""
    steps, size = x.shape[0], wh.shape[1]
    gates = x @ wx.T
    states, cells = np.zeros((steps + 1, size)), np.zeros((steps + 1, size))
    value = 0.0
    for t in range(steps):
        g = gates[t]
        g += wh @ states[t] + b
        for i in range(3 * size):
            g[i] = 1.0 / (1.0 + math.exp(-g[i]))
        for i in range(size):
            g[3 * size + i] = math.tanh(g[3 * size + i])
            cells[t + 1, i] = g[size + i] * cells[t, i] + g[i] * g[3 * size + i]
            states[t + 1, i] = g[2 * size + i] * math.tanh(cells[t + 1, i])
            value += w[t, i] * states[t + 1, i]
    dh, dc = np.zeros(size), np.zeros(size)
    turned = np.ascontiguousarray(wh.T)
    for t in range(steps - 1, -1, -1):
        g = gates[t]
        for i in range(size):
            wide = math.tanh(cells[t + 1, i])
            h, c, o = dh[i] + w[t, i], dc[i], g[2 * size + i]
            c += h * o * (1.0 - wide * wide)
            into, forget, new = g[i], g[size + i], g[3 * size + i]
            g[2 * size + i] = h * wide * o * (1.0 - o)
            g[i] = c * new * into * (1.0 - into)
            g[size + i] = c * cells[t, i] * forget * (1.0 - forget)
            g[3 * size + i] = c * into * (1.0 - new * new)
            dc[i] = c * forget
        dh = turned @ g
    back = np.ascontiguousarray(gates.T)
    return value, gates @ wx, back @ x, back @ states[:steps], back.sum(axis=1)


def march(x: Array, a: Array, w: Array, steps: int) -> Any:
    """All steps of a block of elements while it is in the cache."""
    value, block = 0.0, 256
    dx, da = np.empty_like(x), np.empty_like(a)
    tape = np.empty((steps, block))
    for start in range(0, x.size, block):
        count = min(block, x.size - start)
        for i in range(count):
            dx[start + i] = x[start + i]
            da[start + i] = 0.0
        for k in range(steps):
            for i in range(count):
                y = dx[start + i]
                tape[k, i] = y
                dx[start + i] = y + 0.01 * (a[start + i] - y * y)
        for i in range(count):
            value += w[start + i] * dx[start + i]
            dx[start + i] = w[start + i]
        for k in range(steps - 1, -1, -1):
            for i in range(count):
                g = dx[start + i]
                da[start + i] += 0.01 * g
                dx[start + i] = g * (1.0 - 0.02 * tape[k, i])
    return value, dx, da


def written() -> dict[str, Written]:
    """Return the gradients that there are, compiled, by the name of the program."""
    numba = import_module("numba")
    fast = numba.njit(fastmath=True, error_model="numpy")
    own = {
        "LU": lu,
        "syrk": syrk,
        "sparse product": sparse_product,
        "LSTM": lstm,
        "march": march,
    }
    return {**{name: fast(function) for name, function in own.items()}, **_shared()}


def _shared() -> dict[str, Written]:
    """The kernels of the folder beside the repository, called like the others."""
    if not FOLDER.exists():
        return {}
    sys.path.insert(0, str(FOLDER))
    try:
        hand = import_module("kernels")
    finally:
        sys.path.remove(str(FOLDER))

    def triangular_solve(lower: Array, b: Array, w: Array) -> Any:
        d_lower, db = np.empty_like(lower), np.empty_like(b)
        return hand.tsg(lower, b, w, d_lower, db, False), d_lower, db

    def vertical_advection(*given: Array) -> Any:
        *arguments, w = given
        found = [np.empty_like(a) for a in arguments]
        return (hand.vag(*arguments, w, *found, False), *found)

    return {
        "gauss-seidel": lambda a, w, sweeps: hand.sdg(a, w, sweeps, False),
        "cholesky": lambda a, w: hand.chg(a, np.tril(w), False),
        "triangular solve": triangular_solve,
        "vertical advection": vertical_advection,
    }
