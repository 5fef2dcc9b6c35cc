"""Boolean masks and scattered writes: selection, counting, reduction of a part."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program


def rectify(x: Any) -> Any:
    x[x < 0] *= 0.1
    x[x > 2] = 2.0
    return x


def mean_of_positive(x: Any) -> Any:
    return x[x > 0].mean(), np.sum(x[x <= 0])


def inverse_square(r: Any) -> Any:
    r[r > 0] = r[r > 0] ** -1.5
    return r


def centre_inliers(x: Any, steps: Any) -> Any:
    for _ in range(steps):
        inside = np.abs(x) < 1.5
        x[inside] -= x[inside].mean()
    return x


def standardize_columns(data: Any, valid: Any) -> Any:
    for j in range(data.shape[1]):
        column = data[:, j]
        good = valid[:, j]
        mean = np.sum(column[good]) / np.sum(good)
        column[good] -= mean
        column[~good] = 0.0
        data[:, j] = column / np.sqrt(np.mean(column**2) + 1.0)
    return data


def masked_softmax(scores: Any, mask: Any) -> Any:
    weights = np.where(mask, scores, -1e30)
    weights = np.exp(weights - np.max(weights, axis=1, keepdims=True))
    weights[~mask] = 0.0
    return weights / np.sum(weights, axis=1, keepdims=True)


def barrier_by_masks(spot: Any, shocks: Any, barrier: Any, strike: Any) -> Any:
    s = np.full(shocks.shape[0], 1.0) * spot
    alive = np.ones(shocks.shape[0], dtype=bool)
    for t in range(shocks.shape[1]):
        s *= np.exp(0.2 * shocks[:, t] - 0.02)
        alive &= s < barrier
    payoff = np.maximum(s - strike, 0.0)
    payoff[~alive] = 0.0
    return payoff.mean()


def longstaff(paths: Any, strike: Any, discount: Any) -> Any:
    value = np.maximum(strike - paths[:, -1], 0.0)
    for t in range(paths.shape[1] - 2, 0, -1):
        value *= discount
        s = paths[:, t]
        money = s < strike
        n = np.sum(money)
        mx, my = np.sum(s[money]) / n, np.sum(value[money]) / n
        slope = np.sum(money * (s - mx) * (value - my)) / (np.sum(money * (s - mx) ** 2) + 0.1)
        hold = my + slope * (s - mx)
        exercise = money & (strike - s > hold)
        value[exercise] = strike - s[exercise]
    return discount * np.mean(value)


def histogram(x: Any, weights: Any, bins: Any) -> Any:
    counts = np.zeros_like(bins)
    index = np.floor(4 * x).astype(int)
    np.add.at(counts, index, weights)
    return counts + bins


def linear_deposit(x: Any, charge: Any, density: Any) -> None:
    cell = np.floor(x).astype(int)
    part = x - cell
    np.add.at(density, cell, charge * (1 - part))
    np.add.at(density, cell + 1, charge * part)


def deposit_in_a_loop(x: Any, charge: Any, density: Any) -> Any:
    for p in range(len(x)):
        i = int(x[p])
        part = x[p] - i
        density[i] += charge[p] * (1 - part)
        density[i + 1] += charge[p] * part
    return density


def quiet_rows(a: Any, level: Any) -> Any:
    a[np.max(np.abs(a), axis=1) < level] = 0.0
    a[:, np.sum(a, axis=0) < 0] *= -1.0
    return a


def copy_where(x: Any, y: Any) -> Any:
    out = np.zeros_like(x)
    np.copyto(out, y, where=x > 0)
    np.multiply(out, 3.0, out=out, where=y > 0.5)
    return out


def escape(c: Any, steps: Any) -> Any:
    z = np.zeros_like(c)
    trips = np.zeros(c.shape, dtype=np.int64)
    for _ in range(steps):
        inside = np.abs(z) <= 2.0
        z[inside] = z[inside] * z[inside] + c[inside]
        trips[inside] += 1
    return z, trips


def flagged(x: Any, flags: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        if flags[i]:
            total += x[i] * x[i]
    return total, np.count_nonzero(flags)


def limited_sources(u: Any, where: Any, strength: Any) -> Any:
    for _ in range(2):
        u[where] += strength
        u[1:-1] = 0.5 * u[1:-1] + 0.25 * (u[2:] + u[:-2])
        over = u > 1.0
        excess = np.sum(u[over] - 1.0)
        u[over] = 1.0
        u += 0.1 * excess
    return u


PROGRAMS = (
    Program(
        rectify,
        lambda rng, n: (2 * rng.normal(size=n),),
        (1, 2, 11),
        writes=(0,),
        exact=True,
        second=True,
    ),
    Program(mean_of_positive, lambda rng, n: (np.append(rng.normal(size=n), 0.4),), (1, 2, 11)),
    Program(
        inverse_square,
        lambda rng, n: (np.where(np.arange(n) % 3 == 1, -1.0, rng.uniform(0.5, 2, n)),),
        (1, 2, 11),
        writes=(0,),
        second=True,
    ),
    Program(
        centre_inliers,
        lambda rng, n: (np.append(rng.normal(size=n), 0.1), 3),
        (1, 2, 11),
        writes=(0,),
    ),
    Program(
        standardize_columns,
        lambda rng, n: (rng.normal(size=(n, 3)), np.arange(3 * n).reshape(n, 3) % 4 != 3),
        (2, 3, 11),
        writes=(0,),
        second=True,
    ),
    Program(
        masked_softmax,
        lambda rng, n: (rng.normal(size=(n, n)), np.tril(np.ones((n, n), bool))),
        (1, 2, 11),
    ),
    Program(
        barrier_by_masks,
        lambda rng, n: (1.0, rng.normal(size=(8, n)), 1.4, 0.9),
        (1, 2, 11),
        (0, 1, 3),
        second=True,
    ),
    Program(
        longstaff,
        lambda rng, n: (
            np.exp(0.2 * np.cumsum(rng.normal(size=(12, n)), axis=1)),
            1.05,
            0.97,
        ),
        (2, 3, 11),
        (0, 1, 2),
    ),
    Program(
        histogram,
        lambda rng, n: (rng.uniform(0, 0.999, n), rng.normal(size=n), rng.normal(size=4)),
        (1, 2, 11),
        (1, 2),
        exact=True,
    ),
    Program(
        linear_deposit,
        lambda rng, n: (rng.uniform(0.4, 3.6, n), rng.normal(size=n), np.zeros(5)),
        (1, 2, 11),
        (0, 1, 2),
        (2,),
        exact=True,
        second=True,
    ),
    Program(
        deposit_in_a_loop,
        lambda rng, n: (rng.uniform(0.4, 3.6, n), rng.normal(size=n), np.zeros(5)),
        (1, 2, 11),
        (0, 1, 2),
        (2,),
        exact=True,
    ),
    Program(quiet_rows, lambda rng, n: (rng.normal(size=(n, 3)), 1.1), (1, 2, 11), writes=(0,)),
    Program(
        copy_where,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        exact=True,
    ),
    Program(escape, lambda rng, n: (rng.uniform(-2, 0.5, n), 5), (1, 2, 11), exact=True),
    Program(
        flagged,
        lambda rng, n: (rng.normal(size=n), rng.uniform(size=n) > 0.4),
        (1, 2, 11),
        exact=True,
    ),
    Program(
        limited_sources,
        lambda rng, n: (rng.normal(size=n), np.arange(n) % 3 == 1, 0.9),
        (2, 3, 11),
        (0, 2),
        (0,),
    ),
)
