"""Small programs, where the call and the scalar code count."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.suite.program import Array, Program, normal, uniform

GROUP = "latency"


def polynomial(x: Array) -> Array:
    """Return a polynomial of degree five of a scalar."""
    return ((((x + 2.0) * x - 3.0) * x + 1.0) * x - 4.0) * x + 0.5


def two_links(angles: Array) -> Array:
    """Return where the hand of an arm of two links is."""
    x = 1.5 * np.cos(angles[0]) + np.cos(angles[0] + angles[1])
    y = 1.5 * np.sin(angles[0]) + np.sin(angles[0] + angles[1])
    return np.stack([x, y])


def rosenbrock(x: Array) -> Array:
    """Return Rosenbrock's function."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def arm(angles: Array, target: Array, links: tuple[tuple[float, float], ...]) -> Array:
    """Return the squared distance from a target of the hand of an arm, in scalars.

    A link has a length and a twist, the angle between its joint's axis and the next one (Denavit
    and Hartenberg's convention): about 44 operations.
    """
    ax, ay, az = 1.0, 0.0, 0.0
    bx, by, bz = 0.0, 1.0, 0.0
    cx, cy, cz = 0.0, 0.0, 1.0
    x, y, z = 0.0, 0.0, 0.0
    for i, (length, twist) in enumerate(links):
        c, s = np.cos(angles[i]), np.sin(angles[i])
        ax, bx = c * ax + s * bx, c * bx - s * ax
        ay, by = c * ay + s * by, c * by - s * ay
        az, bz = c * az + s * bz, c * bz - s * az
        x, y, z = x + length * ax, y + length * ay, z + length * az
        c, s = math.cos(twist), math.sin(twist)
        bx, cx = c * bx + s * cx, c * cx - s * bx
        by, cy = c * by + s * cy, c * cy - s * by
        bz, cz = c * bz + s * cz, c * cz - s * bz
    return (x - target[0]) ** 2 + (y - target[1]) ** 2 + (z - target[2]) ** 2


def arm_of(nodes: int) -> Program:
    """Return the program of an arm with about so many operations."""
    count = round(nodes / 44)
    links = tuple((0.3 + 0.01 * (i % 7), math.pi * (0.1 + 0.05 * (i % 5))) for i in range(count))
    draw = uniform((count,), (3,))
    return Program(f"arm, {nodes} nodes", GROUP, arm, draw, fixed={"links": links})


PROGRAMS = (
    Program("polynomial", GROUP, polynomial, normal(())),
    Program("2x2 Jacobian", GROUP, two_links, uniform((2,)), derivative="jacobian"),
    Program("Rosenbrock 10", GROUP, rosenbrock, uniform((10,))),
    arm_of(100),
    arm_of(1000),
    arm_of(5000),
)
