"""Integrals of exponentials, trigonometric functions and logarithms, and elementary functions.

Formulas by number are those of the NIST Digital Library of Mathematical Functions (DLMF). Where the
textbook's derivative cancels it is a hypergeometric function, whose derivatives are its relatives.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ir.op import type_of
from adgraph.ops.elementwise import DEGREE, LN10
from adgraph.ops.scipy_special import special
from adgraph.ops.special_loops import function

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
SQRT_TWO_PI = math.sqrt(2.0 * math.pi)


def is_complex(x: Any) -> bool:
    """Tell whether a function is computed with complex numbers."""
    return type_of(x).dtype.kind == "c"


# --- error functions of other arguments (DLMF 7) --------------------------------------------------

_DAWSN_TERMS = tuple(-math.prod(range(1, 2 * k, 2)) / 2.0**k for k in range(1, 13))


def _dawsn_partial(y: Any, x: Any) -> Any:
    """Take 1 - 2 x y, which cancels for large x: from 10 on the asymptotic series (DLMF 7.12.3)."""
    if is_complex(x):
        return 1.0 - 2.0 * x * y
    far = np.abs(x) > 10.0
    inverse = 1.0 / np.square(np.where(far, x, 10.0))
    series: Any = _DAWSN_TERMS[-1]
    for term in reversed(_DAWSN_TERMS[:-1]):
        series = series * inverse + term
    return np.where(far, inverse * series, 1.0 - 2.0 * x * y)


dawsn = function("dawsn", "x", {"x": _dawsn_partial})
erfi = function("erfi", "x", {"x": lambda y, x: TWO_OVER_SQRT_PI * np.exp(x * x)})
wofz = function("wofz", "z", {"z": lambda w, z: -2.0 * z * w + 1j * TWO_OVER_SQRT_PI})


def _faddeeva_slope(x: Any, sigma: Any, gamma: Any) -> Any:
    z = (x + 1j * gamma) / (sigma * math.sqrt(2.0))
    return (-2.0 * z * special.wofz(z) + 1j * TWO_OVER_SQRT_PI) / math.sqrt(2.0)


def _voigt_by_sigma(y: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    product = (x + 1j * gamma) * _faddeeva_slope(x, sigma, gamma)
    return -y / sigma - np.real(product) / (SQRT_TWO_PI * sigma**3)


# The real part of w(z) / (sigma sqrt(2 pi)) with z = (x + i gamma) / (sigma sqrt(2)).
voigt_profile = function(
    "voigt_profile",
    "x sigma gamma",
    {
        "x": lambda y, x, s, g: np.real(_faddeeva_slope(x, s, g)) / (SQRT_TWO_PI * s * s),
        "sigma": _voigt_by_sigma,
        "gamma": lambda y, x, s, g: -np.imag(_faddeeva_slope(x, s, g)) / (SQRT_TWO_PI * s * s),
    },
)
owens_t = function(
    "owens_t",
    "h a",
    {
        "h": lambda y, h, a: (
            np.exp(-0.5 * h * h) * special.erf(a * h * math.sqrt(0.5)) / (-2.0 * SQRT_TWO_PI)
        ),
        "a": lambda y, h, a: np.exp(-0.5 * h * h * (1.0 + a * a)) / (2.0 * math.pi * (1.0 + a * a)),
    },
)
ndtri_exp = function(
    "ndtri_exp",
    "y",
    {"y": lambda x, y: 0.5 * SQRT_TWO_PI * special.erfcx(-math.sqrt(0.5) * x)},
)

# --- Fresnel's integrals --------------------------------------------------------------------------

fresnel_s = function(
    "fresnel", "z", {"z": lambda y, z: np.sin(0.5 * math.pi * z * z)}, op="fresnel_s", result=0
)
fresnel_c = function(
    "fresnel", "z", {"z": lambda y, z: np.cos(0.5 * math.pi * z * z)}, op="fresnel_c", result=1
)

# modfresnelp and modfresnelm give a complex integral F and the scaled one K of a real number. Their
# parts, with sign 1 and -1: F' = -exp(sign i x**2), K' = -sign 2 i x K - exp(-sign i pi / 4) /
# sqrt(pi).


def _modified_fresnel(name: str, sign: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    constant = 1.0 / SQRT_TWO_PI
    integral = (
        _modified(name, 0, 0, lambda y, x: -np.cos(x * x)),
        _modified(name, 0, 1, lambda y, x: -sign * np.sin(x * x)),
    )

    def by_real(y: Any, x: Any) -> Any:
        return sign * 2.0 * x * scaled[1](x) - constant

    def by_imag(y: Any, x: Any) -> Any:
        return -sign * 2.0 * x * scaled[0](x) + sign * constant

    scaled = (_modified(name, 1, 0, by_real), _modified(name, 1, 1, by_imag))
    return integral, scaled


def _modified(name: str, result: int, part: int, partial: Any) -> Any:
    op = f"{name}_{'FK'[result]}_{('real', 'imag')[part]}"
    return function(name, "x", {"x": partial}, op=op, types="d->DD", result=result, part=part)


modfresnelp = _modified_fresnel("modfresnelp", 1.0)
modfresnelm = _modified_fresnel("modfresnelm", -1.0)

# --- exponential, sine and cosine integrals (DLMF 6) ----------------------------------------------

exp1 = function("exp1", "x", {"x": lambda y, x: -np.exp(-x) / x})
expi = function("expi", "x", {"x": lambda y, x: np.exp(x) / x})


def _expn_partial(y: Any, n: Any, x: Any) -> Any:
    """Take -E(n - 1, x) (DLMF 8.19.13), which SciPy has not for n = 0."""
    lower = special.expn(np.maximum(n - 1, 0), x)
    return np.where(n >= 1, -lower, -np.exp(-x) * (1.0 + x) / (x * x))


expn = function("expn", "n x", {"x": _expn_partial})


def _sinhc(x: Any) -> Any:
    near = np.abs(x) < 1.0
    small = np.where(near, x, 0.0)
    return np.where(
        near, special.hyp0f1(1.5, 0.25 * small * small), np.sinh(x) / np.where(near, 1.0, x)
    )


def _sinc(x: Any) -> Any:
    return np.sin(x) / x if is_complex(x) else np.sinc(x / math.pi)


sici_si = function("sici", "x", {"x": lambda y, x: _sinc(x)}, op="sici_si", result=0)
sici_ci = function("sici", "x", {"x": lambda y, x: np.cos(x) / x}, op="sici_ci", result=1)
shichi_shi = function(
    "shichi",
    "x",
    {"x": lambda y, x: np.sinh(x) / x if is_complex(x) else _sinhc(x)},
    op="shichi_shi",
    result=0,
)
shichi_chi = function("shichi", "x", {"x": lambda y, x: np.cosh(x) / x}, op="shichi_chi", result=1)


def log1p_ratio(u: Any) -> Any:
    """Return log(1 + u) / u, smooth at 0."""
    near = np.abs(u) < 0.5
    small = np.where(near, u, 0.0)
    far = np.where(near, 1.0, u)
    return np.where(near, special.hyp2f1(1.0, 1.0, 2.0, -small), np.log1p(far) / far)


spence = function(
    "spence",
    "z",
    {"z": lambda y, z: np.log(z) / (1.0 - z) if is_complex(z) else -log1p_ratio(z - 1.0)},
)

# --- the elementary, as SciPy has them ------------------------------------------------------------

exp10 = function("exp10", "x", {"x": lambda y, x: y * LN10}, weight=30)
cosm1 = function("cosm1", "x", {"x": lambda y, x: -np.sin(x)}, weight=30)
exprel = function("exprel", "x", {"x": lambda y, x: exprel_slope(x)}, weight=30)
sindg = function("sindg", "x", {"x": lambda y, x: DEGREE * special.cosdg(x)}, weight=30)
cosdg = function("cosdg", "x", {"x": lambda y, x: -DEGREE * special.sindg(x)}, weight=30)
tandg = function("tandg", "x", {"x": lambda y, x: DEGREE * (1.0 + y * y)}, weight=30)
cotdg = function("cotdg", "x", {"x": lambda y, x: -DEGREE * (1.0 + y * y)}, weight=30)
radian = function(
    "radian",
    "d m s",
    {
        "d": lambda y, d, m, s: DEGREE,
        "m": lambda y, d, m, s: DEGREE / 60.0,
        "s": lambda y, d, m, s: DEGREE / 3600.0,
    },
    weight=20,
)
wrightomega = function("wrightomega", "z", {"z": lambda y, z: y / (1.0 + y)})
lambertw = function(
    "_lambertw",
    "z k tol",
    {"z": lambda w, z, k, tol: 1.0 / (np.exp(w) * (1.0 + w))},
)
agm = function(
    "agm",
    "a b",
    {"a": lambda y, a, b: _agm_slope(y, a, b), "b": lambda y, a, b: _agm_slope(y, b, a)},
)


def _agm_slope(y: Any, a: Any, b: Any) -> Any:
    """Differentiate pi / (2 R_F(0, a**2, b**2)) by a (DLMF 19.8.6, 19.18.1)."""
    return y * y * a * special.elliprd(0.0, b * b, a * a) / (1.5 * math.pi)


powm1 = function(
    "powm1",
    "x y",
    {
        "x": lambda p, x, y: y * np.power(x, y - 1.0),
        "y": lambda p, x, y: (p + 1.0) * np.log(x),
    },
)

# --- Box and Cox ----------------------------------------------------------------------------------


def exprel_slope(u: Any) -> Any:
    """Return the derivative of (exp(u) - 1) / u, smooth at 0."""
    return 0.5 * special.hyp1f1(2.0, 3.0, u)


def log1p_slope(u: Any) -> Any:
    """Return the derivative of log(1 + u) / u, smooth at 0."""
    return -0.5 * special.hyp2f1(2.0, 2.0, 3.0, -u)


boxcox = function(
    "boxcox",
    "x lmbda",
    {
        "x": lambda y, x, m: np.exp(special.xlogy(m - 1.0, x)),
        "lmbda": lambda y, x, m: np.square(np.log(x)) * exprel_slope(m * np.log(x)),
    },
)
boxcox1p = function(
    "boxcox1p",
    "x lmbda",
    {
        "x": lambda y, x, m: np.exp(special.xlog1py(m - 1.0, x)),
        "lmbda": lambda y, x, m: np.square(np.log1p(x)) * exprel_slope(m * np.log1p(x)),
    },
)
inv_boxcox = function(
    "inv_boxcox",
    "y lmbda",
    {
        "y": lambda x, y, m: x / (1.0 + m * y),
        "lmbda": lambda x, y, m: x * y * y * log1p_slope(m * y),
    },
)
inv_boxcox1p = function(
    "inv_boxcox1p",
    "y lmbda",
    {
        "y": lambda x, y, m: (1.0 + x) / (1.0 + m * y),
        "lmbda": lambda x, y, m: (1.0 + x) * y * y * log1p_slope(m * y),
    },
)
tklmbda = function(
    "tklmbda",
    "x lmbda",
    {
        "x": lambda p, x, m: _tukey_density(p, m),
        "lmbda": lambda p, x, m: (
            _tukey_density(p, m) * (_power_slope(1 - p, m) - _power_slope(p, m))
        ),
    },
)


def _tukey_density(p: Any, m: Any) -> Any:
    """Return 1 / (p**(m - 1) + (1 - p)**(m - 1)) inside, 0 outside of the support."""
    inside = (p > 0.0) & (p < 1.0)
    p = np.where(inside, p, 0.5)
    return np.where(inside, 1.0 / (np.power(p, m - 1.0) + np.power(1.0 - p, m - 1.0)), 0.0)


def _power_slope(p: Any, m: Any) -> Any:
    """Return the derivative of (p**m - 1) / m by m."""
    logarithm = np.log(p)
    return np.square(logarithm) * exprel_slope(m * logarithm)
