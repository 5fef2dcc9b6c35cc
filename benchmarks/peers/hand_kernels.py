"""Gradients written by hand in Numba, one function per program of `benchmarks.suite`.

Each takes the program's arguments and returns the value and the gradients. `exp`, `log` and `tanh`
are names of this module, so that `by_hand` can put vector forms in their place.
"""

from __future__ import annotations

from math import exp, log, sqrt, tanh
from typing import Any

import numpy as np
from numba import njit

from benchmarks.suite.program import Array


def add_multiple(y: Array, x: Array, factor: float) -> None:
    """Add a multiple of a row to another: the folder's flux limiter calls it."""
    for k in range(x.size):
        y[k] += factor * x[k]


def differences(x: Array) -> Any:
    """One pass that gathers."""
    value, d = 0.0, np.empty_like(x)
    n = x.size
    d[0] = -2.0 * (x[1] - x[0])
    for i in range(1, n - 1):
        left = x[i] - x[i - 1]
        value += left * left
        d[i] = 2.0 * left - 2.0 * (x[i + 1] - x[i])
    last = x[n - 1] - x[n - 2]
    d[n - 1] = 2.0 * last
    return value + last * last, d


def layer_norm(x: Array, gain: Array, bias: Array, w: Array) -> Any:
    """A row at a time: three passes over what is in the cache."""
    n, m = x.shape
    value = 0.0
    dx, dgain, dbias = np.empty_like(x), np.zeros(m), np.zeros(m)
    z, g = np.empty(m), np.empty(m)
    for i in range(n):
        mean = 0.0
        for j in range(m):
            mean += x[i, j]
        mean /= m
        variance = 0.0
        for j in range(m):
            z[j] = x[i, j] - mean
            variance += z[j] * z[j]
        inverse = 1.0 / sqrt(variance / m + 1e-5)
        total, dot = 0.0, 0.0
        for j in range(m):
            z[j] *= inverse
            value += w[i, j] * (z[j] * gain[j] + bias[j])
            dgain[j] += w[i, j] * z[j]
            dbias[j] += w[i, j]
            g[j] = w[i, j] * gain[j]
            total += g[j]
            dot += g[j] * z[j]
        total /= m
        dot /= m
        for j in range(m):
            dx[i, j] = inverse * (g[j] - total - z[j] * dot)
    return value, dx, dgain, dbias


def logsumexp(x: Array, w: Array) -> Any:
    """A row at a time; the exponentials are the gradient but for a factor."""
    n, m = x.shape
    value, dx = 0.0, np.empty_like(x)
    for i in range(n):
        top = -np.inf
        for j in range(m):
            top = max(top, x[i, j])
        total = 0.0
        for j in range(m):
            e = exp(x[i, j] - top)
            dx[i, j] = e
            total += e
        value += w[i] * (log(total) + top)
        factor = w[i] / total
        for j in range(m):
            dx[i, j] *= factor
    return value, dx


def total_variation(image: Array) -> Any:
    """A row of norms, then a row of the gradient that gathers from it and the one before."""
    n, m = image.shape
    value, d = 0.0, np.empty_like(image)
    down, right = np.zeros((2, m)), np.zeros((2, m + 1))
    for i in range(n):
        here, above = i % 2, 1 - i % 2
        for j in range(m - 1):
            if i == n - 1:
                down[here, j], right[here, j + 1] = 0.0, 0.0
            else:
                a = image[i + 1, j] - image[i, j]
                b = image[i, j + 1] - image[i, j]
                norm = sqrt(a * a + b * b + 1e-6)
                value += norm
                down[here, j], right[here, j + 1] = a / norm, b / norm
        for j in range(m - 1):
            d[i, j] = down[above, j] - down[here, j] + right[here, j] - right[here, j + 1]
        d[i, m - 1] = right[here, m - 1]
    return value, d


def segment_sum(values: Array, segments: Array, w: Array) -> Any:
    """Scatter, then gather."""
    totals = np.zeros(1000)
    for i in range(values.size):
        totals[segments[i]] += values[i]
    value = 0.0
    for k in range(1000):
        value += w[k] * totals[k] * totals[k]
        totals[k] *= 2.0 * w[k]
    d = np.empty_like(values)
    for i in range(values.size):
        d[i] = totals[segments[i]]
    return value, d


def embedding(table: Array, words: Array, weights: Array, w: Array) -> Any:
    """A word at a time."""
    value, d, dweights = 0.0, np.zeros_like(table), np.zeros_like(weights)
    m = weights.size
    for i in range(words.size):
        row, total = words[i], 0.0
        for j in range(m):
            t = tanh(table[row, j])
            total += t * weights[j]
            dweights[j] += w[i] * t
            d[row, j] += w[i] * weights[j] * (1.0 - t * t)
        value += w[i] * total
    return value, d, dweights


def k_means(centres: Array, x: Array) -> Any:
    """A point at a time: the nearest centre gets its gradient."""
    k, m = centres.shape
    value, d = 0.0, np.zeros_like(centres)
    for i in range(x.shape[0]):
        least, nearest = np.inf, 0
        for c in range(k):
            total = 0.0
            for j in range(m):
                difference = x[i, j] - centres[c, j]
                total += difference * difference
            if total < least:
                least, nearest = total, c
        value += least
        for j in range(m):
            d[nearest, j] -= 2.0 * (x[i, j] - centres[nearest, j])
    return value, d


def diagonal_mixture(alphas: Array, means: Array, logs: Array, x: Array) -> Any:
    """A point at a time, in two passes over the components."""
    k, m = means.shape
    scales, start = np.empty_like(logs), alphas.copy()
    for c in range(k):
        for j in range(m):
            scales[c, j] = exp(2.0 * logs[c, j])
            start[c] += logs[c, j]
    value, e = 0.0, np.empty(k)
    dalphas, dmeans, dlogs = np.zeros(k), np.zeros_like(means), np.zeros_like(logs)
    for i in range(x.shape[0]):
        top = -np.inf
        for c in range(k):
            total = 0.0
            for j in range(m):
                difference = x[i, j] - means[c, j]
                total += difference * difference * scales[c, j]
            e[c] = start[c] - 0.5 * total
            top = max(top, e[c])
        total = 0.0
        for c in range(k):
            e[c] = exp(e[c] - top)
            total += e[c]
        value += log(total) + top
        for c in range(k):
            weight = e[c] / total
            dalphas[c] += weight
            for j in range(m):
                difference = x[i, j] - means[c, j]
                scaled = difference * scales[c, j]
                dmeans[c, j] += weight * scaled
                dlogs[c, j] += weight * (1.0 - difference * scaled)
    return value, dalphas, dmeans, dlogs


def fdtd_2d(ex: Array, ey: Array, hz: Array, source: Array, w: Array, steps: int) -> Any:
    """Forward and backward in place; linear, so nothing is recorded."""
    n, m = hz.shape
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for t in range(steps):
        for j in range(m):
            ey[0, j] = source[t]
        for i in range(1, n):
            for j in range(m):
                ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
        for i in range(n):
            for j in range(1, m):
                ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
        for i in range(n - 1):
            for j in range(m - 1):
                hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
    value = (w * hz).sum()
    dex, dey, dhz = np.zeros_like(ex), np.zeros_like(ey), w.copy()
    dsource = np.zeros_like(source)
    for t in range(steps - 1, -1, -1):
        for i in range(n - 1):
            for j in range(m - 1):
                dex[i, j + 1] -= 0.7 * dhz[i, j]
            for j in range(m - 1):
                dex[i, j] += 0.7 * dhz[i, j]
                dey[i + 1, j] -= 0.7 * dhz[i, j]
                dey[i, j] += 0.7 * dhz[i, j]
        for i in range(n):
            for j in range(1, m):
                dhz[i, j] -= 0.5 * dex[i, j]
            for j in range(1, m):
                dhz[i, j - 1] += 0.5 * dex[i, j]
        for i in range(1, n):
            for j in range(m):
                dhz[i, j] -= 0.5 * dey[i, j]
                dhz[i - 1, j] += 0.5 * dey[i, j]
        for j in range(m):
            dsource[t] += dey[0, j]
            dey[0, j] = 0.0
    return value, dex, dey, dhz, dsource


def lu_loops(a: Array, w: Array) -> Any:
    """Row by row, and back from the last row to the first."""
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
    return value, g


def thomas(a: Array, b: Array, c: Array, d: Array, w: Array) -> Any:
    """Two sweeps and their two adjoints; the pivots and the right sides are kept."""
    n = d.size
    p, r, x = b.copy(), d.copy(), np.empty_like(d)
    for i in range(1, n):
        f = a[i] / p[i - 1]
        p[i] -= f * c[i - 1]
        r[i] -= f * r[i - 1]
    x[n - 1] = r[n - 1] / p[n - 1]
    value = w[n - 1] * x[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = (r[i] - c[i] * x[i + 1]) / p[i]
        value += w[i] * x[i]
    da, db, dc, dd = np.empty_like(a), np.empty_like(b), np.empty_like(c), np.empty_like(d)
    g = 0.0
    for i in range(n - 1):
        g = (w[i] + g) / p[i]
        dd[i] = g
        db[i] = -g * x[i]
        dc[i] = -g * x[i + 1]
        g = -g * c[i]
    g = (w[n - 1] + g) / p[n - 1]
    dd[n - 1] = g
    db[n - 1] = -g * x[n - 1]
    dc[n - 1] = 0.0
    for i in range(n - 1, 0, -1):
        inverse = 1.0 / p[i - 1]
        f = a[i] * inverse
        df = -(db[i] * c[i - 1] + dd[i] * r[i - 1])
        dc[i - 1] -= f * db[i]
        dd[i - 1] -= f * dd[i]
        da[i] = df * inverse
        db[i - 1] -= df * f * inverse
    da[0] = 0.0
    return value, da, db, dc, dd


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
            g[i] = 1.0 / (1.0 + exp(-g[i]))
        for i in range(size):
            g[3 * size + i] = tanh(g[3 * size + i])
            cells[t + 1, i] = g[size + i] * cells[t, i] + g[i] * g[3 * size + i]
            states[t + 1, i] = g[2 * size + i] * tanh(cells[t + 1, i])
            value += w[t, i] * states[t + 1, i]
    dh, dc = np.zeros(size), np.zeros(size)
    turned = np.ascontiguousarray(wh.T)
    for t in range(steps - 1, -1, -1):
        g = gates[t]
        for i in range(size):
            wide = tanh(cells[t + 1, i])
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


def ode_fit(rates: Array, start: Array, data: Array) -> Any:
    """Record the states; the stages are computed again."""
    h, n = 0.01, data.shape[0]
    a, b, c, d = rates
    states = np.empty((n + 1, 2))
    x, y = start
    value = 0.0
    for i in range(n):
        states[i, 0], states[i, 1] = x, y
        x1, y1 = a * x - b * x * y, c * x * y - d * y
        u, v = x + 0.5 * h * x1, y + 0.5 * h * y1
        x2, y2 = a * u - b * u * v, c * u * v - d * v
        u, v = x + 0.5 * h * x2, y + 0.5 * h * y2
        x3, y3 = a * u - b * u * v, c * u * v - d * v
        u, v = x + h * x3, y + h * y3
        x4, y4 = a * u - b * u * v, c * u * v - d * v
        x += h / 6.0 * (x1 + 2.0 * x2 + 2.0 * x3 + x4)
        y += h / 6.0 * (y1 + 2.0 * y2 + 2.0 * y3 + y4)
        value += (x - data[i, 0]) ** 2 + (y - data[i, 1]) ** 2
    states[n, 0], states[n, 1] = x, y
    g = np.zeros(4)
    gx = gy = 0.0
    for i in range(n - 1, -1, -1):
        gx += 2.0 * (states[i + 1, 0] - data[i, 0])
        gy += 2.0 * (states[i + 1, 1] - data[i, 1])
        x, y = states[i, 0], states[i, 1]
        x1, y1 = a * x - b * x * y, c * x * y - d * y
        u2, v2 = x + 0.5 * h * x1, y + 0.5 * h * y1
        x2, y2 = a * u2 - b * u2 * v2, c * u2 * v2 - d * v2
        u3, v3 = x + 0.5 * h * x2, y + 0.5 * h * y2
        x3, y3 = a * u3 - b * u3 * v3, c * u3 * v3 - d * v3
        u4, v4 = x + h * x3, y + h * y3
        kx, ky = h / 6.0 * gx, h / 6.0 * gy
        tx, ty = gx, gy
        sx, sy = pulled(g, a, b, c, d, u4, v4, kx, ky)
        tx, ty = tx + sx, ty + sy
        sx, sy = pulled(g, a, b, c, d, u3, v3, 2.0 * kx + h * sx, 2.0 * ky + h * sy)
        tx, ty = tx + sx, ty + sy
        sx, sy = pulled(g, a, b, c, d, u2, v2, 2.0 * kx + 0.5 * h * sx, 2.0 * ky + 0.5 * h * sy)
        tx, ty = tx + sx, ty + sy
        sx, sy = pulled(g, a, b, c, d, x, y, kx + 0.5 * h * sx, ky + 0.5 * h * sy)
        gx, gy = tx + sx, ty + sy
    return value, g, np.array([gx, gy])


@njit(fastmath=True)
def pulled(
    g: Array,
    a: float,
    b: float,
    c: float,
    d: float,
    x: float,
    y: float,
    kx: float,
    ky: float,
) -> Any:
    """Pull back Lotka and Volterra's right side, adding to the gradient of the rates."""
    g[0] += kx * x
    g[1] -= kx * x * y
    g[2] += ky * x * y
    g[3] -= ky * y
    return kx * (a - b * y) + ky * c * y, -kx * b * x + ky * (c * x - d)


OWN = (
    differences,
    layer_norm,
    logsumexp,
    total_variation,
    fdtd_2d,
    lu_loops,
    thomas,
    lstm,
    march,
    sparse_product,
    embedding,
    segment_sum,
    k_means,
    diagonal_mixture,
    ode_fit,
)
