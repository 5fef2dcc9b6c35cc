"""The gamma and beta functions of SciPy and their relatives, incomplete and inverse ones too.

Formulas by number are those of the NIST Digital Library of Mathematical Functions (DLMF). Of the
incomplete functions there is the derivative by the variable; by the parameters none is known in
terms of functions that SciPy has.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ir.op import type_of
from adgraph.ops.kinds import elementwise
from adgraph.ops.scipy_special import special
from adgraph.ops.special_loops import function

# --- gamma (DLMF 5) -------------------------------------------------------------------------------

loggamma = function("loggamma", "z", {"z": lambda y, z: special.digamma(z)})
gammasgn = elementwise(special.gammasgn, None, "scipy_gammasgn({0})", weight=10)


def _rgamma_partial(y: Any, z: Any) -> Any:
    """Left of 1/2 by reflection (DLMF 5.5.3): psi has poles where 1 / gamma is smooth."""
    if type_of(z).dtype.kind == "c":
        return -y * special.digamma(z)
    mirrored = np.where(z < 0.5, 1.0 - z, 1.0)
    turned = special.gamma(mirrored)
    sine = np.sin(math.pi * np.fmod(z, 2.0)) / math.pi
    cosine = np.cos(math.pi * np.fmod(z, 2.0))
    left = turned * (cosine - special.digamma(mirrored) * sine)
    return np.where(z < 0.5, left, -y * special.digamma(np.where(z < 0.5, 1.0, z)))


rgamma = function("rgamma", "z", {"z": _rgamma_partial})
binom = function(
    "binom",
    "n k",
    {
        "n": lambda y, n, k: y * (special.digamma(n + 1.0) - special.digamma(n - k + 1.0)),
        "k": lambda y, n, k: y * (special.digamma(n - k + 1.0) - special.digamma(k + 1.0)),
    },
)
poch = function(
    "poch",
    "z m",
    {
        "z": lambda y, z, m: y * (special.digamma(z + m) - special.digamma(z)),
        "m": lambda y, z, m: y * special.digamma(z + m),
    },
)

# --- incomplete gamma (DLMF 8.2) ------------------------------------------------------------------

# x**a exp(-x) / gamma(a), accurate also where its factors are beyond float64.
igam_fac = function(
    "_igam_fac",
    "a x",
    {
        "a": lambda y, a, x: y * (np.log(x) - special.digamma(a)),
        "x": lambda y, a, x: y * ((a - x) / x),
    },
)


def gamma_density(a: Any, x: Any) -> Any:
    """Return the derivative of gammainc(a, x) by x."""
    positive = np.where(x > 0.0, x, 1.0)
    inside = special._igam_fac(a, positive) / positive
    return np.where(x > 0.0, inside, np.power(x, a - 1.0))


gammainc = function("gammainc", "a x", {"x": lambda y, a, x: gamma_density(a, x)})
gammaincc = function("gammaincc", "a x", {"x": lambda y, a, x: -gamma_density(a, x)})
gammaincinv = function("gammaincinv", "a y", {"y": lambda x, a, y: 1.0 / gamma_density(a, x)})
gammainccinv = function("gammainccinv", "a y", {"y": lambda x, a, y: -1.0 / gamma_density(a, x)})

# --- incomplete beta (DLMF 8.17) ------------------------------------------------------------------

beta_density = function(
    "_beta_pdf",
    "x a b",
    {
        "x": lambda y, x, a, b: y * ((a - 1.0) / x - (b - 1.0) / (1.0 - x)),
        "a": lambda y, x, a, b: y * (np.log(x) - special.digamma(a) + special.digamma(a + b)),
        "b": lambda y, x, a, b: y * (np.log1p(-x) - special.digamma(b) + special.digamma(a + b)),
    },
)
betainc = function("betainc", "a b x", {"x": lambda y, a, b, x: special._beta_pdf(x, a, b)})
betaincc = function("betaincc", "a b x", {"x": lambda y, a, b, x: -special._beta_pdf(x, a, b)})
betaincinv = function(
    "betaincinv", "a b y", {"y": lambda x, a, b, y: 1.0 / special._beta_pdf(x, a, b)}
)
betainccinv = function(
    "betainccinv", "a b y", {"y": lambda x, a, b, y: -1.0 / special._beta_pdf(x, a, b)}
)

# --- zeta (DLMF 25.11.17) -------------------------------------------------------------------------

zeta = function("_zeta", "x q", {"q": lambda y, x, q: -x * special._zeta(x + 1.0, q)})
riemann_zeta = function("_riemann_zeta", "x", called="zeta")
zetac = function("zetac", "x")
