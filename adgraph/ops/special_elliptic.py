"""Elliptic integrals and functions of SciPy (DLMF 19 and 22), by Carlson's symmetric integrals.

Their derivatives do not cancel where those of Legendre's integrals do, at small parameters. That of
`elliprj` by an argument is a quotient of differences: it is not defined where the argument agrees
with `p`, and loses digits nearby.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.scipy_special import special
from adgraph.ops.special_integrals import is_complex
from adgraph.ops.special_loops import function

# --- Carlson's integrals (DLMF 19.18) -------------------------------------------------------------


def _rf_slope(x: Any, y: Any, z: Any) -> Any:
    return -special.elliprd(y, z, x) / 6.0


elliprf = function(
    "elliprf",
    "x y z",
    {
        "x": lambda r, x, y, z: _rf_slope(x, y, z),
        "y": lambda r, x, y, z: _rf_slope(y, z, x),
        "z": lambda r, x, y, z: _rf_slope(z, x, y),
    },
)


def _rc_by_x(r: Any, x: Any, y: Any) -> Any:
    """For negative y, Cauchy's principal value, x and y are not close to each other."""
    if is_complex(x):
        return -special.elliprd(y, y, x) / 6.0
    positive = np.where(y > 0.0, y, 1.0)
    principal = 0.5 * (1.0 / np.sqrt(x) - r) / (x - np.where(y > 0.0, -1.0, y))
    return np.where(y > 0.0, -special.elliprd(positive, positive, x) / 6.0, principal)


def _rc_by_y(r: Any, x: Any, y: Any) -> Any:
    if is_complex(x):
        return -special.elliprd(x, y, y) / 3.0
    positive = np.where(y > 0.0, y, 1.0)
    negative = np.where(y > 0.0, -1.0, y)
    principal = 0.5 * (r - np.sqrt(x) / negative) / (x - negative)
    return np.where(y > 0.0, -special.elliprd(x, positive, positive) / 3.0, principal)


elliprc = function("elliprc", "x y", {"x": _rc_by_x, "y": _rc_by_y})


def _rg_slope(x: Any, y: Any, z: Any) -> Any:
    return 0.25 * (special.elliprf(x, y, z) - x * special.elliprd(y, z, x) / 3.0)


elliprg = function(
    "elliprg",
    "x y z",
    {
        "x": lambda r, x, y, z: _rg_slope(x, y, z),
        "y": lambda r, x, y, z: _rg_slope(y, z, x),
        "z": lambda r, x, y, z: _rg_slope(z, x, y),
    },
)


def _rj_slope(r: Any, x: Any, y: Any, z: Any, p: Any) -> Any:
    """Differentiate by x: 1 / ((t + x) (t + p)) in partial fractions."""
    return 0.5 * (r - special.elliprd(y, z, x)) / (p - x)


def _rj_by_p(r: Any, x: Any, y: Any, z: Any, p: Any) -> Any:
    """By homogeneity of degree -3/2."""
    others = x * _rj_slope(r, x, y, z, p) + y * _rj_slope(r, y, z, x, p)
    return -(1.5 * r + others + z * _rj_slope(r, z, x, y, p)) / p


elliprj = function(
    "elliprj",
    "x y z p",
    {
        "x": _rj_slope,
        "y": lambda r, x, y, z, p: _rj_slope(r, y, z, x, p),
        "z": lambda r, x, y, z, p: _rj_slope(r, z, x, y, p),
        "p": _rj_by_p,
    },
)
_NEAR_TERMS = tuple(math.prod((1.5 + i) / (1 + i) for i in range(k)) for k in range(6))


def _rd_slope(r: Any, x: Any, y: Any, z: Any) -> Any:
    """Differentiate by x: as R_J, but by a series where x and z are close to each other."""
    near = np.abs(z - x) < 0.04 * np.abs(x + z)
    u = np.where(near, x, 1.0)
    w = np.where(near, z, 3.0)
    quotient = 0.5 * (r - special.elliprd(y, z, x)) / np.where(near, 1.0, z - x)
    return np.where(near, _near_slope(u, np.where(near, y, 1.0), w), quotient)


def _near_slope(x: Any, y: Any, z: Any) -> Any:
    """Expand ((t + x) (t + z))**-1.5 around the middle; the integrals are hypergeometric."""
    middle = 0.5 * (x + z)
    ratio = np.square((z - x) / (x + z))
    total: Any = 0.0
    for k, term in reversed(list(enumerate(_NEAR_TERMS))):
        n = 2.5 + 2 * k
        total = total * ratio + term / n * special.hyp2f1(0.5, n, n + 1.0, 1.0 - y / middle)
    return -0.75 * total / (middle * middle * np.sqrt(middle))


def _product(x: Any, slope: Any) -> Any:
    """Multiply by the derivative, which is infinite at 0, where the product is 0."""
    return np.where(x == 0.0, 0.0, x * slope)


def _rd_by_z(r: Any, x: Any, y: Any, z: Any) -> Any:
    """By homogeneity of degree -3/2."""
    others = _product(x, _rd_slope(r, x, y, z)) + _product(y, _rd_slope(r, y, x, z))
    return -(1.5 * r + others) / z


elliprd = function(
    "elliprd",
    "x y z",
    {
        "x": _rd_slope,
        "y": lambda r, x, y, z: _rd_slope(r, y, x, z),
        "z": _rd_by_z,
    },
)

# --- Legendre's complete integrals (DLMF 19.4, 19.5) ----------------------------------------------


def _near(m: Any) -> tuple[Any, Any, Any]:
    """Return where m is small, and m there and elsewhere."""
    near = np.abs(m) < 0.5
    return near, np.where(near, m, 0.0), np.where(near, 0.5, m)


def _k_slope(m: Any) -> Any:
    near, small, far = _near(m)
    one = 1.0 - far
    quotient = (special.ellipe(far) - one * special.ellipk(far)) / (2.0 * far * one)
    return np.where(near, math.pi / 8.0 * special.hyp2f1(1.5, 1.5, 2.0, small), quotient)


def _e_slope(m: Any) -> Any:
    near, small, far = _near(m)
    quotient = (special.ellipe(far) - special.ellipk(far)) / (2.0 * far)
    return np.where(near, -math.pi / 8.0 * special.hyp2f1(0.5, 1.5, 2.0, small), quotient)


def _km1_slope(p: Any) -> Any:
    near, small, far = _near(1.0 - p)
    close = np.where(near, 0.5, p)
    quotient = (special.ellipe(far) - close * special.ellipkm1(close)) / (-2.0 * far * close)
    return np.where(near, -math.pi / 8.0 * special.hyp2f1(1.5, 1.5, 2.0, small), quotient)


ellipk = function("ellipk", "m", {"m": lambda y, m: _k_slope(m)})
ellipkm1 = function("ellipkm1", "p", {"p": lambda y, p: _km1_slope(p)})
ellipe = function("ellipe", "m", {"m": lambda y, m: _e_slope(m)})

# --- Legendre's incomplete integrals (DLMF 19.25) -------------------------------------------------
# The amplitude is taken to the nearest multiple of pi, from where on a complete integral adds up.


def _reduced(phi: Any) -> tuple[Any, Any, Any]:
    """Return twice the number of half periods, and the sine and cosine of the amplitude left."""
    turns = np.rint(phi / math.pi)
    even = 1.0 - 2.0 * np.abs(np.fmod(turns, 2.0))
    return 2.0 * turns, even * np.sin(phi), even * np.cos(phi)


def _with_turns(turns: Any, once: Any, part: Any) -> Any:
    """Add the complete integrals, which may be infinite, where there are any."""
    return part + np.where(turns != 0.0, turns * once, 0.0)


def f_slope(phi: Any, m: Any) -> Any:
    """Return the derivative of F(phi, m) by m."""
    turns, s, c = _reduced(phi)
    part = s**3 * special.elliprd(c * c, 1.0, 1.0 - m * s * s) / 6.0
    return _with_turns(turns, _k_slope(m), part)


def _incomplete_e_slope(phi: Any, m: Any) -> Any:
    turns, s, c = _reduced(phi)
    part = s**3 * special.elliprd(c * c, 1.0 - m * s * s, 1.0) / -6.0
    return _with_turns(turns, _e_slope(m), part)


def _delta(phi: Any, m: Any) -> Any:
    return np.sqrt(1.0 - m * np.square(np.sin(phi)))


ellipkinc = function(
    "ellipkinc",
    "phi m",
    {"phi": lambda y, phi, m: 1.0 / _delta(phi, m), "m": lambda y, phi, m: f_slope(phi, m)},
)
ellipeinc = function(
    "ellipeinc",
    "phi m",
    {
        "phi": lambda y, phi, m: _delta(phi, m),
        "m": lambda y, phi, m: _incomplete_e_slope(phi, m),
    },
)

# --- Jacobi's functions (DLMF 22.13): all by the derivative of the amplitude ----------------------


def _am_by_m(ph: Any, u: Any, m: Any) -> Any:
    return -ellipj_dn(u, m) * f_slope(ph, m)


def _dn_by_m(y: Any, u: Any, m: Any) -> Any:
    s, c = ellipj_sn(u, m), ellipj_cn(u, m)
    return -0.5 * s * (s + 2.0 * m * c * _am_by_m(ellipj_ph(u, m), u, m)) / y


ellipj_sn: Op = function(
    "ellipj",
    "u m",
    {
        "u": lambda y, u, m: ellipj_cn(u, m) * ellipj_dn(u, m),
        "m": lambda y, u, m: ellipj_cn(u, m) * _am_by_m(ellipj_ph(u, m), u, m),
    },
    op="ellipj_sn",
    types="dd->dddd",
    result=0,
)
ellipj_cn: Op = function(
    "ellipj",
    "u m",
    {
        "u": lambda y, u, m: -ellipj_sn(u, m) * ellipj_dn(u, m),
        "m": lambda y, u, m: -ellipj_sn(u, m) * _am_by_m(ellipj_ph(u, m), u, m),
    },
    op="ellipj_cn",
    types="dd->dddd",
    result=1,
)
ellipj_dn: Op = function(
    "ellipj",
    "u m",
    {"u": lambda y, u, m: -m * ellipj_sn(u, m) * ellipj_cn(u, m), "m": _dn_by_m},
    op="ellipj_dn",
    types="dd->dddd",
    result=2,
)
ellipj_ph: Op = function(
    "ellipj",
    "u m",
    {"u": lambda y, u, m: ellipj_dn(u, m), "m": _am_by_m},
    op="ellipj_ph",
    types="dd->dddd",
    result=3,
)
