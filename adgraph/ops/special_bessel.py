"""Bessel, Hankel, Airy, Kelvin and Struve functions of SciPy (DLMF 9, 10 and 11).

Derivatives by the argument follow the recurrences of order; by the order none is known. Scaled by
a factor that is no holomorphic function, they are differentiated for real arguments only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.kinds import NoPartial
from adgraph.ops.scipy_special import MODULE, special
from adgraph.ops.special_integrals import is_complex
from adgraph.ops.special_loops import Partial, function

# --- of order v (DLMF 10.6, 10.29) ----------------------------------------------------------------


def _between(name: str, below: float, above: float) -> Partial:
    """Combine the functions of the orders below and above."""
    neighbour = getattr(special, name)

    def partial(y: Any, v: Any, z: Any) -> Any:
        return below * neighbour(v - 1, z) + above * neighbour(v + 1, z)

    return partial


def _scaled(partial: Partial, factor: Callable[[Any], Any], name: str) -> Partial:
    """Add what the scaling adds; without a factor for complex numbers."""

    def scaled(y: Any, v: Any, z: Any) -> Any:
        if is_complex(z):
            return NoPartial(f"{MODULE}.{name} of complex numbers", "z")
        return partial(y, v, z) + factor(z) * y

    return scaled


def _turned(partial: Partial, factor: complex) -> Partial:
    return lambda y, v, z: partial(y, v, z) + factor * y


def _nothing(z: Any) -> Any:
    return 0.0


jv = function("jv", "v z", {"z": _between("jv", 0.5, -0.5)})
yv = function("yv", "v z", {"z": _between("yv", 0.5, -0.5)})
iv = function("iv", "v z", {"z": _between("iv", 0.5, 0.5)})
kv = function("kv", "v z", {"z": _between("kv", -0.5, -0.5)})
jve = function("jve", "v z", {"z": _scaled(_between("jve", 0.5, -0.5), _nothing, "jve")})
yve = function("yve", "v z", {"z": _scaled(_between("yve", 0.5, -0.5), _nothing, "yve")})
# Scaled by exp(-|x|), whose derivative at 0 is taken as 0.
ive = function(
    "ive", "v z", {"z": _scaled(_between("ive", 0.5, 0.5), lambda z: -np.sign(z), "ive")}
)
kve = function("kve", "v z", {"z": _turned(_between("kve", -0.5, -0.5), 1.0)})
hankel1 = function("hankel1", "v z", {"z": _between("hankel1", 0.5, -0.5)})
hankel2 = function("hankel2", "v z", {"z": _between("hankel2", 0.5, -0.5)})
hankel1e = function("hankel1e", "v z", {"z": _turned(_between("hankel1e", 0.5, -0.5), -1j)})
hankel2e = function("hankel2e", "v z", {"z": _turned(_between("hankel2e", 0.5, -0.5), 1j)})
kn = function("kn", "n x", {"x": _between("kn", -0.5, -0.5)})
yn = function("yn", "n x", {"x": _between("yn", 0.5, -0.5)})
besselpoly = function(
    "besselpoly",
    "a lmb nu",
    {
        "a": lambda y, a, m, nu: (
            special.besselpoly(a, m + 1.0, nu - 1.0) - special.besselpoly(a, m + 1.0, nu + 1.0)
        )
    },
)

# --- of the orders 0 and 1 ------------------------------------------------------------------------

y0 = function("y0", "x", {"x": lambda y, x: -special.y1(x)}, weight=30)
y1 = function("y1", "x", {"x": lambda y, x: 0.5 * (special.y0(x) - special.yn(2.0, x))}, weight=30)
k0 = function("k0", "x", {"x": lambda y, x: -special.k1(x)}, weight=30)
k1 = function("k1", "x", {"x": lambda y, x: -0.5 * (special.k0(x) + special.kn(2.0, x))}, weight=30)
k0e = function("k0e", "x", {"x": lambda y, x: y - special.k1e(x)}, weight=30)
k1e = function(
    "k1e", "x", {"x": lambda y, x: y - 0.5 * (special.k0e(x) + special.kve(2.0, x))}, weight=30
)

# --- spherical (DLMF 10.51): (2n + 1) f' = s n f(n - 1) + t (n + 1) f(n + 1), n an integer --------


def _spherical(name: str, below: float, above: float) -> Op:
    neighbour = getattr(special, name)

    def by_z(y: Any, n: Any, z: Any) -> Any:
        order = n.astype(y.dtype)
        lower = below * order * neighbour(np.maximum(n - 1, 0), z)
        return (lower + above * (order + 1.0) * neighbour(n + 1, z)) / (2.0 * order + 1.0)

    return function(name, "n z", {"z": by_z}, types="ld->d")


spherical_jn = _spherical("_spherical_jn", 1.0, -1.0)
spherical_yn = _spherical("_spherical_yn", 1.0, -1.0)
spherical_in = _spherical("_spherical_in", 1.0, 1.0)
spherical_kn = _spherical("_spherical_kn", -1.0, -1.0)

# --- Airy functions (DLMF 9) ----------------------------------------------------------------------

airy_ai: Op = function("airy", "z", {"z": lambda y, z: airy_aip(z)}, op="airy_ai", result=0)
airy_aip: Op = function("airy", "z", {"z": lambda y, z: z * airy_ai(z)}, op="airy_aip", result=1)
airy_bi: Op = function("airy", "z", {"z": lambda y, z: airy_bip(z)}, op="airy_bi", result=2)
airy_bip: Op = function("airy", "z", {"z": lambda y, z: z * airy_bi(z)}, op="airy_bip", result=3)

# Scaled by exp(2/3 z**1.5), and by exp(-2/3 |Re z**1.5|): 1 on the left of 0.


def _root(z: Any) -> Any:
    return np.sqrt(z) if is_complex(z) else np.sqrt(np.where(z > 0.0, z, 0.0))


def _of_bi(partial: Callable[[Any, Any], Any]) -> Partial:
    """Refuse complex numbers, of which the scaling is not holomorphic."""
    missing = NoPartial(f"{MODULE}.airye (eBi and eBip) of complex numbers", "z")
    return lambda y, z: missing if is_complex(z) else partial(y, z) - _root(z) * y


airye_ai: Op = function(
    "airye", "z", {"z": lambda y, z: airye_aip(z) + _root(z) * y}, op="airye_ai", result=0
)
airye_aip: Op = function(
    "airye", "z", {"z": lambda y, z: z * airye_ai(z) + _root(z) * y}, op="airye_aip", result=1
)
airye_bi: Op = function(
    "airye", "z", {"z": _of_bi(lambda y, z: airye_bip(z))}, op="airye_bi", result=2
)
airye_bip: Op = function(
    "airye", "z", {"z": _of_bi(lambda y, z: z * airye_bi(z))}, op="airye_bip", result=3
)

# --- Kelvin functions (DLMF 10.61): x**2 w'' + x w' = i x**2 w, w = ber + i bei, ker + i kei ------


def _over(slope: Any, x: Any, limit: float) -> Any:
    away = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, limit, slope / away)


ber = function("ber", "x", {"x": lambda y, x: special.berp(x)})
bei = function("bei", "x", {"x": lambda y, x: special.beip(x)})
ker = function("ker", "x", {"x": lambda y, x: special.kerp(x)})
kei = function("kei", "x", {"x": lambda y, x: special.keip(x)})
berp = function("berp", "x", {"x": lambda y, x: -special.bei(x) - _over(y, x, 0.0)})
beip = function("beip", "x", {"x": lambda y, x: special.ber(x) - _over(y, x, 0.5)})
kerp = function("kerp", "x", {"x": lambda y, x: -special.kei(x) - y / x})
keip = function("keip", "x", {"x": lambda y, x: special.ker(x) - y / x})

# --- Struve functions (DLMF 11.4.24, 11.4.26) -----------------------------------------------------


def _struve_term(v: Any, x: Any) -> Any:
    """Return (x / 2)**v / (sqrt(pi) gamma(v + 3/2))."""
    return np.power(0.5 * x, v) * special.rgamma(v + 1.5) / math.sqrt(math.pi)


struve = function(
    "struve",
    "v x",
    {
        "x": lambda y, v, x: (
            0.5 * (special.struve(v - 1.0, x) - special.struve(v + 1.0, x) + _struve_term(v, x))
        )
    },
)
modstruve = function(
    "modstruve",
    "v x",
    {
        "x": lambda y, v, x: (
            0.5
            * (special.modstruve(v - 1.0, x) + special.modstruve(v + 1.0, x) + _struve_term(v, x))
        )
    },
)

# --- integrals of them ----------------------------------------------------------------------------

_TERMS = tuple(0.25**k / math.factorial(k) ** 2 for k in range(1, 11))


def _excess(x: Any, sign: float) -> Any:
    """Return (1 - j0(x)) / x for sign -1, (i0(x) - 1) / x for sign 1, by the series near 0."""
    near = np.abs(x) < 1.0
    square = np.square(np.where(near, x, 0.0))
    series: Any = _TERMS[-1]
    for term in reversed(_TERMS[:-1]):
        series = series * (sign * square) + term
    far = np.where(near, 1.0, x)
    quotient = (special.i0(far) - 1.0 if sign > 0 else 1.0 - special.j0(far)) / far
    return np.where(near, x * series, quotient)


def _integral(name: str, results: str, *partials: Callable[[Any], Any]) -> tuple[Op, ...]:
    """Register the ops of several integrals of one ufunc, by their integrands."""
    return tuple(
        function(
            name,
            "x",
            {"x": lambda y, x, integrand=integrand: integrand(x)},
            op=f"{name}_{word}",
            result=i,
        )
        for i, (word, integrand) in enumerate(zip(results.split(), partials, strict=True))
    )


itj0y0 = _integral("itj0y0", "j y", lambda x: special.j0(x), lambda x: special.y0(x))
iti0k0 = _integral("iti0k0", "i k", lambda x: special.i0(x), lambda x: special.k0(x))
it2j0y0 = _integral("it2j0y0", "j y", lambda x: _excess(x, -1.0), lambda x: -special.y0(x) / x)
it2i0k0 = _integral("it2i0k0", "i k", lambda x: _excess(x, 1.0), lambda x: -special.k0(x) / x)
itairy = _integral(
    "itairy",
    "apt bpt ant bnt",
    lambda x: airy_ai(x),
    lambda x: airy_bi(x),
    lambda x: airy_ai(-x),
    lambda x: airy_bi(-x),
)
itstruve0 = function("itstruve0", "x", {"x": lambda y, x: special.struve(0.0, x)})
it2struve0 = function("it2struve0", "x", {"x": lambda y, x: -special.struve(0.0, x) / x})
itmodstruve0 = function("itmodstruve0", "x", {"x": lambda y, x: special.modstruve(0.0, x)})
