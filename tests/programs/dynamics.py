"""Trajectories: particles, orbits, chains of springs, populations, neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program

DT = 0.05


def accelerations(positions: Any, masses: Any, softening: Any) -> Any:
    x, y = positions[:, 0:1], positions[:, 1:2]
    dx, dy = x.T - x, y.T - y
    inverse = dx**2 + dy**2 + softening**2
    inverse[inverse > 0] = inverse[inverse > 0] ** -1.5
    ax = (dx * inverse) @ masses
    ay = (dy * inverse) @ masses
    return np.stack([ax, ay], axis=1)


def n_body(masses: Any, positions: Any, velocities: Any, steps: Any) -> Any:
    velocities -= np.mean(masses[:, None] * velocities, axis=0) / np.mean(masses)
    a = accelerations(positions, masses, 0.0)
    for _ in range(steps):
        velocities += a * DT / 2.0
        positions += velocities * DT
        a = accelerations(positions, masses, 0.0)
        velocities += a * DT / 2.0
    return a


def n_body_by_pairs(q: Any, v: Any, masses: Any) -> None:
    n = len(masses)
    for _ in range(2):
        for i in range(n):
            for j in range(i + 1, n):
                d = q[i] - q[j]
                f = 1.0 / (d[0] * d[0] + d[1] * d[1] + 0.1)
                v[i] -= DT * masses[j] * f * d
                v[j] += DT * masses[i] * f * d
        q += DT * v


def leapfrog(q: Any, p: Any, steps: Any) -> Any:
    p = p - 0.5 * DT * np.sin(q)
    for _ in range(steps - 1):
        q = q + DT * p
        p = p - DT * np.sin(q)
    q = q + DT * p
    p = p - 0.5 * DT * np.sin(q)
    return q, p, 0.5 * p**2 - np.cos(q)


def lorenz(state: Any, sigma: Any, rho: Any, beta: Any) -> Any:
    rate = np.empty_like(state)
    rate[0] = sigma * (state[1] - state[0])
    rate[1] = state[0] * (rho - state[2]) - state[1]
    rate[2] = state[0] * state[1] - beta * state[2]
    return rate


def runge_kutta(start: Any, sigma: Any, rho: Any, times: Any) -> Any:
    path = np.zeros((len(times), 3))
    path[0] = start
    for i in range(len(times) - 1):
        h = times[i + 1] - times[i]
        y = path[i]
        k1 = lorenz(y, sigma, rho, 2.0)
        k2 = lorenz(y + h / 2 * k1, sigma, rho, 2.0)
        k3 = lorenz(y + h / 2 * k2, sigma, rho, 2.0)
        k4 = lorenz(y + h * k3, sigma, rho, 2.0)
        path[i + 1] = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return path


def lotka_volterra(prey: Any, predators: Any, rates: Any) -> Any:
    a, b, c, d = rates
    history = np.zeros((5, 2, len(prey)))
    for t in range(5):
        history[t, 0], history[t, 1] = prey, predators
        prey, predators = (
            prey + DT * prey * (a - b * predators),
            predators + DT * predators * (d * prey - c),
        )
    return history


def epidemic(s: Any, i: Any, beta: Any, gamma: Any, days: Any) -> Any:
    r = 0.0
    peak = i
    for _ in range(days):
        infected = beta * s * i
        recovered = gamma * i
        s -= infected
        i += infected - recovered
        r += recovered
        peak = max(peak, i)
    return s, i, r, peak


def spring_chain(x: Any, v: Any, stiffness: Any, steps: Any) -> None:
    force = np.zeros_like(x)
    for _ in range(steps):
        force[:] = 0.0
        stretch = x[1:] - x[:-1] - 1.0
        force[:-1] += stiffness * stretch
        force[1:] -= stiffness * stretch
        v += DT * force
        x += DT * v


def spring_network(x: Any, ends: Any, stiffness: Any, steps: Any) -> Any:
    v = np.zeros_like(x)
    for _ in range(steps):
        force = np.zeros_like(x)
        for e in range(ends.shape[0]):
            i, j = ends[e, 0], ends[e, 1]
            pull = stiffness[e] * (x[j] - x[i])
            force[i] += pull
            force[j] -= pull
        v = v + DT * force
        x = x + DT * v
    return x


def box_of_particles(x: Any, v: Any, steps: Any) -> Any:
    for _ in range(steps):
        x += DT * v
        left = x < 0
        x[left] = -x[left]
        v[left] *= -1.0
        right = x > 1
        x[right] = 2 - x[right]
        v[right] = -v[right]
    return x, v


def bouncing_ball(height: Any, speed: Any, restitution: Any, steps: Any) -> Any:
    for _ in range(steps):
        height += DT * speed
        if height < 0:
            height = -height
            speed = -restitution * speed
        else:
            speed -= DT * 9.8
    return height, speed


def integrate_and_fire(current: Any, leak: Any) -> Any:
    v, spikes = 0.0, 0
    trace = np.zeros(len(current))
    for t in range(len(current)):
        v += current[t] - leak * v
        if v > 1.0:
            v -= 1.0
            spikes += 1
        trace[t] = v
    return trace, spikes


def kuramoto(phase: Any, frequency: Any, coupling: Any, steps: Any) -> Any:
    n = len(phase)
    for _ in range(steps):
        rate = frequency.copy()
        for i in range(n):
            rate[i] += coupling / n * np.sum(np.sin(phase - phase[i]))
        phase = phase + DT * rate
    return np.abs(np.mean(np.cos(phase)))


def gradient_descent(w: Any, x: Any, y: Any, rate: Any, steps: Any) -> Any:
    for _ in range(steps):
        residual = x @ w - y
        w = w - rate * (x.T @ residual)
    return np.sum((x @ w - y) ** 2)


def adam(w: Any, scale: Any, rate: Any, steps: int) -> Any:
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = scale * w
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * g * g
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3)
    return w


PROGRAMS = (
    Program(
        n_body,
        lambda rng, n: (
            rng.uniform(1, 2, n),
            2 * rng.normal(size=(n, 2)),
            rng.normal(size=(n, 2)),
            2,
        ),
        (1, 2, 11),
        (0, 1, 2),
        (1, 2),
        second=True,
    ),
    Program(
        n_body_by_pairs,
        lambda rng, n: (
            2 * rng.normal(size=(n, 2)),
            rng.normal(size=(n, 2)),
            rng.uniform(1, 2, n),
        ),
        (1, 2, 11),
        (0, 1, 2),
        (0, 1),
        exact=True,
    ),
    Program(
        leapfrog,
        lambda rng, n: (rng.normal(size=2), rng.normal(size=2), n),
        (1, 2, 11),
        (0, 1),
        second=True,
    ),
    Program(
        runge_kutta,
        lambda rng, n: (rng.normal(size=3), 10.0, 8.0, 0.02 * np.arange(n)),
        (1, 2, 11),
        (0, 1, 2, 3),
        exact=True,
        second=True,
    ),
    Program(
        lotka_volterra,
        lambda rng, n: (rng.uniform(1, 2, n), rng.uniform(1, 2, n), rng.uniform(size=4)),
        (1, 2, 11),
        (0, 1, 2),
        exact=True,
    ),
    Program(
        epidemic,
        lambda rng, n: (0.9, 0.1, 0.8, 0.3, n),
        (0, 1, 11),
        (0, 1, 2, 3),
        exact=True,
    ),
    Program(
        spring_chain,
        lambda rng, n: (np.arange(n) + 0.2 * rng.normal(size=n), rng.normal(size=n), 2.0, 3),
        (1, 2, 11),
        (0, 1, 2),
        (0, 1),
        exact=True,
        second=True,
    ),
    Program(
        spring_network,
        lambda rng, n: (
            rng.normal(size=(n, 2)),
            rng.integers(0, n, (2 * n, 2)),
            rng.uniform(1, 2, 2 * n),
            3,
        ),
        (1, 2, 11),
        (0, 2),
        exact=True,
    ),
    Program(
        box_of_particles,
        lambda rng, n: (rng.uniform(size=n), 10 * rng.normal(size=n), 3),
        (1, 2, 11),
        (0, 1),
        (0, 1),
        exact=True,
    ),
    Program(
        bouncing_ball,
        lambda rng, n: (rng.uniform(0.1, 0.5), 0.5, 0.8, n),
        (0, 1, 12),
        (0, 1, 2),
        exact=True,
        second=True,
    ),
    Program(
        integrate_and_fire,
        lambda rng, n: (rng.uniform(size=n), 0.1),
        (1, 2, 12),
        (0, 1),
        exact=True,
    ),
    Program(
        kuramoto,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n), 0.7, 3),
        (1, 2, 11),
        (0, 1, 2),
    ),
    Program(
        gradient_descent,
        lambda rng, n: (
            rng.normal(size=n),
            rng.normal(size=(n + 2, n)),
            rng.normal(size=n + 2),
            0.03,
            4,
        ),
        (1, 2, 11),
        (0, 1, 2, 3),
        second=True,
    ),
    Program(
        adam,
        lambda rng, n: (rng.normal(size=3), rng.uniform(1, 2, 3), 0.1, n),
        (1, 2, 11),
        (0, 1, 2),
    ),
)
