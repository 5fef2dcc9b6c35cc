"""Partial differential equations on grids, advanced in time or relaxed, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program

STEPS = 10


def heat_1d(u: Any, alpha: Any, steps: Any) -> None:
    for _ in range(steps):
        u[1:-1] += alpha * (u[2:] - 2 * u[1:-1] + u[:-2])


def heat_2d(u: Any, dt: Any) -> Any:
    new = u.copy()
    for _ in range(STEPS):
        new[1:-1, 1:-1] = u[1:-1, 1:-1] + dt * (
            (u[2:, 1:-1] - 2 * u[1:-1, 1:-1] + u[:-2, 1:-1])
            + (u[1:-1, 2:] - 2 * u[1:-1, 1:-1] + u[1:-1, :-2])
        )
        u[:] = new
    return u


def heat_3d_step(a: Any, b: Any) -> None:
    b[1:-1, 1:-1, 1:-1] = (
        0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[:-2, 1:-1, 1:-1])
        + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, :-2, 1:-1])
        + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, 1:-1, :-2])
        + a[1:-1, 1:-1, 1:-1]
    )


def heat_3d(a: Any, b: Any, steps: Any) -> None:
    for _ in range(steps):
        heat_3d_step(a, b)
        heat_3d_step(b, a)


def jacobi_2d(u: Any, f: Any, steps: Any) -> Any:
    v = u.copy()
    for _ in range(steps):
        v[1:-1, 1:-1] = 0.25 * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - f[1:-1, 1:-1]
        )
        u, v = v, u
    return u


def gauss_seidel_1d(u: Any, f: Any, sweeps: Any) -> None:
    for _ in range(sweeps):
        for i in range(1, len(u) - 1):
            u[i] = 0.5 * (u[i - 1] + u[i + 1] - f[i])


def gauss_seidel_2d(u: Any, sweeps: Any) -> None:
    n = u.shape[0]
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                u[i, j] = (
                    u[i - 1, j - 1] + u[i - 1, j] + u[i - 1, j + 1]
                    + u[i, j - 1] + u[i, j] + u[i, j + 1]
                    + u[i + 1, j - 1] + u[i + 1, j] + u[i + 1, j + 1]
                ) / 9.0  # fmt: skip


def red_black(u: Any, f: Any, omega: Any) -> Any:
    n, m = u.shape
    for _ in range(2):
        for colour in range(2):
            for i in range(1, n - 1):
                for j in range(1 + (i + colour) % 2, m - 1, 2):
                    around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                    u[i, j] += omega * (0.25 * (around - f[i, j]) - u[i, j])
    return u


def red_black_slices(u: Any, omega: Any) -> None:
    for _ in range(STEPS):
        for a in (1, 2):
            for b in (1, 2):
                n, m = u[a:-1:2, b:-1:2].shape
                up, down = u[a - 1 : a - 1 + 2 * n : 2, b:-1:2], u[a + 1 :: 2, b:-1:2][:n]
                left, right = u[a:-1:2, b - 1 : b - 1 + 2 * m : 2], u[a:-1:2, b + 1 :: 2][:, :m]
                mean = 0.25 * (up + down + left + right)
                u[a:-1:2, b:-1:2] = (1 - omega) * u[a:-1:2, b:-1:2] + omega * mean


def fdtd_2d(ex: Any, ey: Any, hz: Any, source: Any) -> None:
    for t in range(len(source)):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


def wave_1d(u: Any, c: Any, steps: Any) -> Any:
    before, now, after = u.copy(), u.copy(), np.zeros_like(u)
    for _ in range(steps):
        after[1:-1] = 2 * now[1:-1] - before[1:-1] + c**2 * (now[2:] - 2 * now[1:-1] + now[:-2])
        before, now, after = now, after, before
    return now


def advection_upwind(q: Any, velocity: Any, steps: Any) -> Any:
    flux = np.zeros_like(q)
    for _ in range(steps):
        for i in range(len(q)):  # q[-1] closes the circle
            flux[i] = max(velocity[i], 0) * q[i - 1] + min(velocity[i], 0) * q[i]
        q[:-1] -= flux[1:] - flux[:-1]
        q[-1] -= flux[0] - flux[-1]
    return q


def adi(u: Any, a: Any) -> Any:
    n = u.shape[0]
    v, p, q = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    diagonal = 1 + 2 * a
    for _ in range(2):
        v[0, :] = 1.0
        v[-1, :] = 1.0
        p[:, 0] = 0.0
        q[:, 0] = v[0, :]
        for j in range(1, n - 1):
            p[1:-1, j] = a / (diagonal - a * p[1:-1, j - 1])
            q[1:-1, j] = (
                a * u[j, :-2] + (1 - 2 * a) * u[j, 1:-1] + a * u[j, 2:] + a * q[1:-1, j - 1]
            ) / (diagonal - a * p[1:-1, j - 1])
        for j in range(n - 2, 0, -1):
            v[j, 1:-1] = p[1:-1, j] * v[j + 1, 1:-1] + q[1:-1, j]
        u[1:-1, 1:-1] = v.T[1:-1, 1:-1]
    return u


def vertical_advection(w: Any, u: Any, dt: Any) -> Any:
    nx, ny, nz = u.shape
    upper, right = np.ndarray((nx, ny, nz)), np.ndarray((nx, ny, nz))
    out = np.ndarray((nx, ny, nz))
    for k in range(nz):
        above = 0.25 * w[:, :, k + 1]
        if k == 0:
            diagonal = 1 / dt + above
            upper[:, :, k] = above / diagonal
            right[:, :, k] = u[:, :, k] / dt / diagonal
        else:
            below = 0.25 * w[:, :, k]
            pivot = 1.0 / (1 / dt - below + above + below * upper[:, :, k - 1])
            d = u[:, :, k] / dt - below * (u[:, :, k] - u[:, :, k - 1])
            upper[:, :, k] = above * pivot
            right[:, :, k] = (d + below * right[:, :, k - 1]) * pivot
    last = right[:, :, -1]
    out[:, :, -1] = last - u[:, :, -1]
    for k in range(nz - 2, -1, -1):
        last = right[:, :, k] - upper[:, :, k] * last
        out[:, :, k] = last - u[:, :, k]
    return out


def conditional_edges(w: Any, u: Any) -> Any:
    n = len(u)
    flux = np.empty_like(u)
    for k in range(n):
        below = w[k - 1] * u[k - 1] if k > 0 else 0.0
        above = w[k] * u[k + 1] if k < n - 1 else 0.0
        flux[k] = below - above
        if k > 1:
            flux[k] += 0.5 * flux[k - 2]
    return flux


def shallow_water(h: Any, v: Any, steps: Any) -> None:
    for _ in range(steps):
        momentum = h * v
        pressure = h * v**2 + 4.9 * h**2
        middle_h = 0.5 * (h[1:] + h[:-1]) - 0.01 * (momentum[1:] - momentum[:-1])
        middle_m = 0.5 * (momentum[1:] + momentum[:-1]) - 0.01 * (pressure[1:] - pressure[:-1])
        flux = middle_m**2 / middle_h + 4.9 * middle_h**2
        momentum[1:-1] -= 0.02 * (flux[1:] - flux[:-1])
        h[1:-1] -= 0.02 * (middle_m[1:] - middle_m[:-1])
        v[:] = momentum / h


def burgers(u: Any, dt: Any) -> Any:
    for _ in range(STEPS):
        forward, backward = u[2:] - u[1:-1], u[1:-1] - u[:-2]
        slope = np.where(
            forward * backward > 0,
            np.sign(forward) * np.minimum(np.abs(forward), np.abs(backward)),
            0.0,
        )
        face = u[1:-1] + 0.5 * slope
        u[2:-1] -= dt * 0.5 * (face[1:] * face[1:] - face[:-1] * face[:-1])
    return u


def crank_nicolson(u: Any, r: Any, steps: Any) -> Any:
    n = len(u)
    c, d = np.zeros(n), np.zeros(n)
    for _ in range(steps):
        d[0] = u[0]
        for i in range(1, n - 1):
            right = r * u[i - 1] + (2 - 2 * r) * u[i] + r * u[i + 1]
            m = 2 + 2 * r + r * c[i - 1]
            c[i] = -r / m
            d[i] = (right + r * d[i - 1]) / m
        for i in range(n - 2, 0, -1):
            u[i] = d[i] - c[i] * u[i + 1]
    return u


def v_cycle(u: Any, f: Any) -> Any:
    coarse = np.zeros(len(u) // 2 + 1)
    for _ in range(2):
        residual = np.zeros_like(u)
        residual[1:-1] = f[1:-1] - (2 * u[1:-1] - u[:-2] - u[2:])
        coarse[:] = 0.0
        for _ in range(STEPS):
            for i in range(1, len(coarse) - 1):
                right = residual[2 * i - 1] + 2 * residual[2 * i] + residual[2 * i + 1]
                coarse[i] = 0.5 * (coarse[i - 1] + coarse[i + 1] + right)
        u[::2] += coarse
        u[1::2] += 0.5 * (coarse[:-1] + coarse[1:])
        for i in range(1, len(u) - 1):
            u[i] = 0.5 * (u[i - 1] + u[i + 1] + f[i])
    return u


def torus(u: Any, dt: Any) -> Any:
    for _ in range(STEPS):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        u = u + dt * (around - 4.0 * u)
    return u


def lax_wendroff(u: Any, courant: Any) -> Any:
    for _ in range(STEPS):
        left, right = np.roll(u, 1), np.roll(u, -1)
        flux = courant * u
        u = u - 0.5 * flux * (right - left) + 0.5 * courant * flux * (right - 2.0 * u + left)
    return u


def wave_2d(before: Any, now: Any, speed: Any) -> Any:
    for _ in range(STEPS):
        around = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]
        after = np.zeros_like(now)
        after[1:-1, 1:-1] = 2.0 * now[1:-1, 1:-1] - before[1:-1, 1:-1]
        after[1:-1, 1:-1] += speed * (around - 4.0 * now[1:-1, 1:-1])
        before, now = now, after
    return before, now


def five_ways(a: Any, b: Any) -> None:
    for _ in range(STEPS):
        b[1:-1, 1:-1] = 0.2 * (
            a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + np.sin(a[2:, 1:-1]) + a[:-2, 1:-1]
        )
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, 2:] - b[:-2, :-2] + b[2:, 2:] * b[1:-1, :-2])


def bending(u: Any) -> Any:
    laplacian = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
    slopes = np.sum((u[1:] - u[:-1]) ** 2) + np.sum(np.diff(u, axis=1) ** 2)
    return np.sum(laplacian**2) + 0.5 * slopes + np.sum((np.roll(u, 1, 0) - u[:, ::-1]) ** 2)


PROGRAMS = (
    Program(torus, lambda rng, n: (rng.normal(size=(n, n + 1)), 0.1), (4, 20), (0, 1)),
    Program(lax_wendroff, lambda rng, n: (0.3 * rng.normal(size=n), 0.4), (4, 300), (0, 1)),
    Program(
        wave_2d,
        lambda rng, n: (
            rng.normal(size=(n, n)),
            rng.normal(size=(n, n)),
            rng.uniform(0.1, 0.2, (n - 2, n - 2)),
        ),
        (5, 20),
        (0, 1, 2),
    ),
    Program(
        five_ways,
        lambda rng, n: (0.5 * rng.normal(size=(n, n)), 0.5 * rng.normal(size=(n, n))),
        (5, 20),
        (0, 1),
        (0, 1),
    ),
    Program(bending, lambda rng, n: (rng.normal(size=(n, n)),), (5, 20), second=True),
    Program(
        heat_1d, lambda rng, n: (rng.normal(size=n), 0.3, 3), (2, 3, 11), (0, 1), (0,), exact=True
    ),
    Program(
        heat_2d,
        lambda rng, n: (rng.normal(size=(n, n + 1)), 0.1),
        (3, 6, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        heat_3d,
        lambda rng, n: (*(rng.normal(size=(n, n, n)) for _ in range(2)), 2),
        (3, 4, 11),
        (0, 1),
        (0, 1),
        exact=True,
    ),
    Program(
        jacobi_2d,
        lambda rng, n: (*(rng.normal(size=(n, n)) for _ in range(2)), 5),
        (2, 4, 11),
        (0, 1),
        (0,),
        exact=True,
        second=True,
    ),
    Program(
        gauss_seidel_1d,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n), 2),
        (2, 5, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        gauss_seidel_2d,
        lambda rng, n: (rng.normal(size=(n, n)), 2),
        (2, 4, 11),
        writes=(0,),
        exact=True,
        second=True,
    ),
    Program(
        red_black,
        lambda rng, n: (rng.normal(size=(n, n + 1)), rng.normal(size=(n, n + 1)), 1.3),
        (2, 4, 11),
        (0, 1, 2),
        (0,),
        exact=True,
        second=True,
    ),
    Program(
        red_black_slices,
        lambda rng, n: (rng.normal(size=(n, n)), 1.3),
        (4, 5, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        fdtd_2d,
        lambda rng, n: (*(rng.normal(size=(n, n + 1)) for _ in range(3)), rng.normal(size=n)),
        (2, 4, 11),
        (0, 1, 2, 3),
        (0, 1, 2),
        exact=True,
    ),
    Program(wave_1d, lambda rng, n: (rng.normal(size=n), 0.5, 4), (3, 5, 11), (0, 1), exact=True),
    Program(
        advection_upwind,
        lambda rng, n: (rng.normal(size=n), 0.4 * rng.normal(size=n), 2),
        (2, 4, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        adi, lambda rng, n: (rng.normal(size=(n, n)), 0.4), (3, 4, 11), (0, 1), (0,), exact=True
    ),
    Program(
        vertical_advection,
        lambda rng, n: (0.3 * rng.normal(size=(2, 3, n + 1)), rng.normal(size=(2, 3, n)), 0.7),
        (2, 3, 11),
        (0, 1, 2),
        exact=True,
        second=True,
    ),
    Program(
        conditional_edges,
        lambda rng, n: (rng.normal(size=(n, 2)), rng.normal(size=(n, 2))),
        (1, 2, 11),
        (0, 1),
        exact=True,
        unrolled=True,
    ),
    Program(
        shallow_water,
        lambda rng, n: (rng.uniform(1, 2, n), rng.normal(size=n), 2),
        (3, 5, 11),
        (0, 1),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        burgers, lambda rng, n: (rng.normal(size=n), 0.1), (5, 7, 11), (0, 1), (0,), exact=True
    ),
    Program(
        crank_nicolson,
        lambda rng, n: (rng.normal(size=n), 0.4, 2),
        (2, 4, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
    Program(
        v_cycle,
        lambda rng, n: (rng.normal(size=2 * n + 1), rng.normal(size=2 * n + 1)),
        (1, 3, 11),
        (0, 1),
        (0,),
        exact=True,
    ),
)
