"""Solutions of wave equations that SciPy gives with their derivative: by the equations themselves.

Mathieu functions (DLMF 28), spheroidal wave functions (DLMF 30) and parabolic cylinder functions
(DLMF 12). They are differentiated by the coordinate, not by order and parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.elementwise import DEGREE
from adgraph.ops.scipy_special import special
from adgraph.ops.special_loops import function

WAVES: dict[str, tuple[Op, Op]] = {}  # function and derivative, by the name of the ufunc


def _wave(name: str, operands: str, curvature: Callable[..., Any], scale: float = 1.0) -> None:
    """Register a solution and its derivative.

    `curvature` gives the second derivative from the two and the operands, in a coordinate that is
    the last operand times `scale`.
    """
    coordinate = operands.split()[-1]
    types = "d" * len(operands.split()) + "->dd"

    def of_value(y: Any, *args: Any) -> Any:
        return scale * slope(*args)

    def of_slope(yp: Any, *args: Any) -> Any:
        return scale * curvature(value(*args), yp, *args)

    value = function(name, operands, {coordinate: of_value}, op=f"{name}_value", types=types)
    slope = function(
        name, operands, {coordinate: of_slope}, op=f"{name}_slope", types=types, result=1
    )
    WAVES[name] = value, slope


# --- parabolic cylinder functions (DLMF 12.2) -----------------------------------------------------

_wave("pbdv", "v x", lambda y, yp, v, x: (0.25 * x * x - v - 0.5) * y)
_wave("pbvv", "v x", lambda y, yp, v, x: (0.25 * x * x - v - 0.5) * y)
_wave("pbwa", "a x", lambda y, yp, a, x: (a - 0.25 * x * x) * y)

# --- Mathieu functions (DLMF 28.2, 28.20): of degrees, and of a number ----------------------------

mathieu_a = function("mathieu_a", "m q")
mathieu_b = function("mathieu_b", "m q")


def _mathieu(characteristic: str) -> Callable[..., Any]:
    def curvature(y: Any, yp: Any, m: Any, q: Any, x: Any) -> Any:
        value = getattr(special, characteristic)(m, q)
        return (2.0 * q * np.cos(2.0 * DEGREE * x) - value) * y

    return curvature


def _modified(characteristic: str) -> Callable[..., Any]:
    def curvature(y: Any, yp: Any, m: Any, q: Any, x: Any) -> Any:
        value = getattr(special, characteristic)(m, q)
        return (value - 2.0 * q * np.cosh(2.0 * x)) * y

    return curvature


_wave("mathieu_cem", "m q x", _mathieu("mathieu_a"), DEGREE)
_wave("mathieu_sem", "m q x", _mathieu("mathieu_b"), DEGREE)
_wave("mathieu_modcem1", "m q x", _modified("mathieu_a"))
_wave("mathieu_modcem2", "m q x", _modified("mathieu_a"))
_wave("mathieu_modsem1", "m q x", _modified("mathieu_b"))
_wave("mathieu_modsem2", "m q x", _modified("mathieu_b"))

# --- spheroidal wave functions (DLMF 30.2, 30.13, 30.14) ------------------------------------------

pro_cv = function("pro_cv", "m n c")
obl_cv = function("obl_cv", "m n c")


def _prolate(y: Any, yp: Any, m: Any, n: Any, c: Any, cv: Any, x: Any) -> Any:
    """Angular inside of the unit interval, radial outside: the equation is the same."""
    w = (1.0 - x) * (1.0 + x)
    return (2.0 * x * yp - (cv - np.square(c * x) - m * m / w) * y) / w


def _oblate_angular(y: Any, yp: Any, m: Any, n: Any, c: Any, cv: Any, x: Any) -> Any:
    w = (1.0 - x) * (1.0 + x)
    return (2.0 * x * yp - (cv + np.square(c * x) - m * m / w) * y) / w


def _oblate_radial(y: Any, yp: Any, m: Any, n: Any, c: Any, cv: Any, x: Any) -> Any:
    w = 1.0 + x * x
    return ((cv - np.square(c * x) - m * m / w) * y - 2.0 * x * yp) / w


def _spheroidal(name: str, characteristic: str, curvature: Callable[..., Any]) -> None:
    """Register a function that computes the characteristic value, and one that is given it."""

    def computed(y: Any, yp: Any, m: Any, n: Any, c: Any, x: Any) -> Any:
        return curvature(y, yp, m, n, c, getattr(special, characteristic)(m, n, c), x)

    _wave(name, "m n c x", computed)
    _wave(f"{name}_cv", "m n c cv x", curvature)


_spheroidal("pro_ang1", "pro_cv", _prolate)
_spheroidal("pro_rad1", "pro_cv", _prolate)
_spheroidal("pro_rad2", "pro_cv", _prolate)
_spheroidal("obl_ang1", "obl_cv", _oblate_angular)
_spheroidal("obl_rad1", "obl_cv", _oblate_radial)
_spheroidal("obl_rad2", "obl_cv", _oblate_radial)
