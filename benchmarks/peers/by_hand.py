"""Gradients written by hand in Numba: what generated code should come near.

Some are in the folder `--hand` (modules `kernels` and `vmath`), one adapter each here; the others
are in `hand_kernels`. They are no peers: the table shows how much longer adgraph takes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks.peers.contestant import Contestant, LeftOutError, Run
from benchmarks.peers.hand_kernels import OWN, add_multiple
from benchmarks.suite.program import Arguments, Array, Program, on

Adapter = Callable[..., Any]
fast = njit(fastmath=True, error_model="numpy")


# --- kernels of the folder ------------------------------------------------------------------------


def arc_distance(hand: Any, *given: Array) -> Any:
    """One pass."""
    *points, w = given
    found = [np.empty_like(p) for p in points]
    return hand.arcg(*points, w, *found, False), found


def softmax(hand: Any, x: Array, w: Array) -> Any:
    """Row by row."""
    dx = np.empty_like(x)
    return hand.smg(x, w, dx, False), dx


def clip_multiply_add(hand: Any, x: Array, y: Array, a: Array, b: Array, c: Array, w: Array) -> Any:
    """One pass."""
    dx, dy = np.empty_like(x), np.empty_like(y)
    value, da, db, dc = hand.cpg(x, y, float(a), float(b), float(c), w, dx, dy, False)
    return value, [dx, dy, da, db, dc]


def jacobi_2d(hand: Any, a: Array, b: Array, w: Array, steps: int) -> Any:
    """Two half steps; the adjoint gathers."""
    return hand.j2g(a, b, w, np.zeros_like(w), steps)


def heat_3d(hand: Any, a: Array, b: Array, w: Array, steps: int) -> Any:
    """Two half steps; the adjoint gathers."""
    return hand.h3g(a, b, w, np.zeros_like(w), steps, False)


def horizontal_diffusion(hand: Any, field: Array, coefficient: Array, w: Array) -> Any:
    """Row by row of levels."""
    i, j, k = coefficient.shape
    scratch = [np.empty(shape) for shape in ((i + 2, j + 2, k), (i + 1, j, k), (i, j + 1, k))]
    found = np.empty_like(field), np.empty_like(coefficient)
    return hand.hdg(field, coefficient, w, *scratch, *found, False)


def gauss_seidel(hand: Any, u: Array, w: Array, sweeps: int) -> Any:
    """Linear: nothing is recorded."""
    return hand.sdg(u, w, sweeps, False)


def triangular_solve(hand: Any, lower: Array, b: Array, w: Array) -> Any:
    """By rows."""
    found = np.empty_like(lower), np.empty_like(b)
    return hand.tsg(lower, b, w, *found, False), *found


def vertical_advection(hand: Any, *given: Array) -> Any:
    """A column at a time."""
    *arguments, w = given
    found = [np.empty_like(a) for a in arguments]
    return hand.vag(*arguments, w, *found, False), found


def cholesky_loops(hand: Any, a: Array, w: Array) -> Any:
    """By rows, the adjoint in place."""
    return hand.chg(a, w, False)


def logistic_regression(hand: Any, w: Array, b: Array, x: Array, y: Array) -> Any:
    """Blocks of 64 samples."""
    g = np.empty_like(w)
    value, gb = hand.lrg(w, float(b), x, y, g, len(y), False)
    return value, g, gb


def gaussian_mixture(hand: Any, alphas: Array, means: Array, icf: Array, x: Array) -> Any:
    """Blocks of points."""
    return hand.gmm_k(alphas, means, icf, np.ascontiguousarray(x.T), 1.0, 1.0, 128, False)


SHARED: dict[str, Adapter] = {
    adapter.__name__: adapter
    for adapter in (
        arc_distance,
        softmax,
        clip_multiply_add,
        jacobi_2d,
        heat_3d,
        horizontal_diffusion,
        gauss_seidel,
        triangular_solve,
        vertical_advection,
        cholesky_loops,
        logistic_regression,
        gaussian_mixture,
    )
}


def contestant(folder: Path) -> Contestant:
    """Return the gradients of this file, and of the folder if it exists."""
    written = _written(folder)

    def derivative(program: Program, arguments: Arguments) -> Run:
        name = program.function.__name__
        if name not in written:
            raise LeftOutError("not written by hand")
        run, fixed = written[name], program.fixed
        return lambda: run(*arguments, *fixed.values())

    return Contestant("hand", derivative)


def _written(folder: Path) -> dict[str, Adapter]:
    if not (folder / "kernels.py").exists():
        return {function.__name__: fast(function) for function in OWN}
    hand, vector = _modules(folder)
    names = {"exp": vector.vexp, "log": vector.vlog, "tanh": vector.vtanh}
    own = {function.__name__: fast(on(function, names)) for function in OWN}
    return {**own, **{name: partial(adapter, hand) for name, adapter in SHARED.items()}}


def _modules(folder: Path) -> tuple[Any, Any]:
    """Import the gradients and the vector math of the folder."""
    sys.path.insert(0, str(folder))
    try:
        kernels: Any = importlib.import_module("kernels")
        vector: Any = importlib.import_module("vmath")
    finally:
        sys.path.remove(str(folder))
    if not hasattr(kernels, "axpy"):
        kernels.axpy = fast(add_multiple)
    return kernels, vector
