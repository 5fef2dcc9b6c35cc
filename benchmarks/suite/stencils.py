"""Stencils with time loops, and one without."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.program import Arguments, Array, Generator, Program, normal

GROUP = "stencils"


def five_points(a: Array) -> Array:
    """Average the points inside with their four neighbours."""
    return 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])


def jacobi_2d(a: Array, b: Array, steps: int) -> Array:
    """Average five points from one array to the other and back."""
    a, b = a.copy(), b.copy()
    for _ in range(steps):
        b[1:-1, 1:-1] = five_points(a)
        a[1:-1, 1:-1] = five_points(b)
    return a


def seven_points(a: Array) -> Array:
    """Average the points inside with their six neighbours."""
    inside = a[1:-1, 1:-1, 1:-1]
    return (
        0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * inside + a[:-2, 1:-1, 1:-1])
        + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * inside + a[1:-1, :-2, 1:-1])
        + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * inside + a[1:-1, 1:-1, :-2])
        + inside
    )


def heat_3d(a: Array, b: Array, steps: int) -> Array:
    """Diffuse in three dimensions from one array to the other and back."""
    a, b = a.copy(), b.copy()
    for _ in range(steps):
        b[1:-1, 1:-1, 1:-1] = seven_points(a)
        a[1:-1, 1:-1, 1:-1] = seven_points(b)
    return a


def fdtd_2d(ex: Array, ey: Array, hz: Array, source: Array, steps: int) -> Array:
    """Step Maxwell's equations in two dimensions, with a source along one side."""
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for t in range(steps):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def horizontal_diffusion(field: Array, coefficient: Array) -> Array:
    """Diffuse horizontally with a flux limiter."""
    laplacian = 4.0 * field[1:-1, 1:-1] - (
        field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]
    )
    across = laplacian[1:, 1:-1] - laplacian[:-1, 1:-1]
    uphill = across * (field[2:-1, 2:-2] - field[1:-2, 2:-2]) > 0
    across = np.where(uphill, 0.0, across)
    along = laplacian[1:-1, 1:] - laplacian[1:-1, :-1]
    uphill = along * (field[2:-2, 2:-1] - field[2:-2, 1:-2]) > 0
    along = np.where(uphill, 0.0, along)
    change = across[1:] - across[:-1] + along[:, 1:] - along[:, :-1]
    return field[2:-2, 2:-2] - coefficient * change


def fields(random: Generator) -> Arguments:
    """Draw the fields of a grid and the source at every time."""
    grids = tuple(random.normal(size=(200, 220)) for _ in range(3))
    return *grids, random.normal(size=20)


PROGRAMS = (
    Program(
        "Jacobi 2d, 200, 2x20",
        GROUP,
        jacobi_2d,
        normal((200, 200), (200, 200)),
        (0, 1),
        weighed=True,
        fixed={"steps": 20},
    ),
    Program(
        "heat 3d, 40, 2x10",
        GROUP,
        heat_3d,
        normal((40, 40, 40), (40, 40, 40)),
        (0, 1),
        weighed=True,
        fixed={"steps": 10},
    ),
    Program(
        "FDTD 2d, 200, 20",
        GROUP,
        fdtd_2d,
        fields,
        (0, 1, 2, 3),
        weighed=True,
        fixed={"steps": 20},
    ),
    Program(
        "horizontal diffusion, 64",
        GROUP,
        horizontal_diffusion,
        normal((68, 68, 60), (64, 64, 60)),
        (0, 1),
        weighed=True,
    ),
)
