"""Distribution functions of `scipy.special` and their inverses.

They are differentiated by the variable and by what moves or scales it; inverses by the rule of the
inverse function. By shape parameters (degrees of freedom, counts) no formula is known.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ops.scipy_special import special
from adgraph.ops.special_gamma import gamma_density
from adgraph.ops.special_loops import function

INV_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


def _beta(x: Any, a: Any, b: Any) -> Any:
    return special._beta_pdf(x, a, b)


# --- binomial, negative binomial, Poisson: by the probability or the mean -------------------------


def _binomial(p: Any, k: Any, n: Any) -> Any:
    """Return minus the derivative of bdtr by p, which is 0 if no more than k can be drawn."""
    inside = n > np.floor(k)
    density = _beta(p, np.floor(k) + 1.0, np.where(inside, n - np.floor(k), 1.0))
    return np.where(inside, density, 0.0)


def _poisson(m: Any, k: Any) -> Any:
    return gamma_density(np.floor(k) + 1.0, m)


bdtr = function("bdtr", "k n p", {"p": lambda y, k, n, p: -_binomial(p, k, n)}, types="dld->d")
bdtrc = function("bdtrc", "k n p", {"p": lambda y, k, n, p: _binomial(p, k, n)}, types="dld->d")
bdtri = function(
    "bdtri", "k n y", {"y": lambda p, k, n, y: -1.0 / _binomial(p, k, n)}, types="dld->d"
)
bdtrik = function("bdtrik", "y n p")
bdtrin = function("bdtrin", "k y p")
nbdtr = function("nbdtr", "k n p", {"p": lambda y, k, n, p: _beta(p, n, k + 1.0)})
nbdtrc = function("nbdtrc", "k n p", {"p": lambda y, k, n, p: -_beta(p, n, k + 1.0)})
nbdtri = function("nbdtri", "k n y", {"y": lambda p, k, n, y: 1.0 / _beta(p, n, k + 1.0)})
nbdtrik = function("nbdtrik", "y n p")
nbdtrin = function("nbdtrin", "k y p")
pdtr = function("pdtr", "k m", {"m": lambda y, k, m: -_poisson(m, k)})
pdtrc = function("pdtrc", "k m", {"m": lambda y, k, m: _poisson(m, k)})
pdtri = function("pdtri", "k y", {"y": lambda m, k, y: -1.0 / _poisson(m, k)})
pdtrik = function("pdtrik", "p m")
btdtria = function("btdtria", "p b x")
btdtrib = function("btdtrib", "a p x")

# --- chi-square and gamma -------------------------------------------------------------------------


def _chi_square(v: Any, x: Any) -> Any:
    return 0.5 * gamma_density(0.5 * v, 0.5 * x)


chdtr = function("chdtr", "v x", {"x": lambda y, v, x: _chi_square(v, x)})
chdtrc = function("chdtrc", "v x", {"x": lambda y, v, x: -_chi_square(v, x)})
chdtri = function("chdtri", "v p", {"p": lambda x, v, p: -1.0 / _chi_square(v, x)})
chdtriv = function("chdtriv", "p x")
gdtr = function(
    "gdtr",
    "a b x",
    {
        "a": lambda y, a, b, x: x * gamma_density(b, a * x),
        "x": lambda y, a, b, x: a * gamma_density(b, a * x),
    },
)
gdtrc = function(
    "gdtrc",
    "a b x",
    {
        "a": lambda y, a, b, x: -x * gamma_density(b, a * x),
        "x": lambda y, a, b, x: -a * gamma_density(b, a * x),
    },
)
gdtria = function(
    "gdtria",
    "p b x",
    {
        "p": lambda a, p, b, x: 1.0 / (x * gamma_density(b, a * x)),
        "x": lambda a, p, b, x: -a / x,
    },
)
gdtrib = function("gdtrib", "a p x")
gdtrix = function(
    "gdtrix",
    "a b p",
    {
        "a": lambda x, a, b, p: -x / a,
        "p": lambda x, a, b, p: 1.0 / (a * gamma_density(b, a * x)),
    },
)

# --- Fisher and Student ---------------------------------------------------------------------------


def _fisher(n: Any, d: Any, x: Any) -> Any:
    """The distribution is that of n x / (n x + d), beta."""
    total = n * x + d
    return _beta(n * x / total, 0.5 * n, 0.5 * d) * (n * d) / (total * total)


def _student(df: Any, t: Any) -> Any:
    power = -0.5 * (df + 1.0) * np.log1p(t * t / df)
    return np.exp(power - special.betaln(0.5, 0.5 * df)) / np.sqrt(df)


fdtr = function("fdtr", "dfn dfd x", {"x": lambda y, n, d, x: _fisher(n, d, x)})
fdtrc = function("fdtrc", "dfn dfd x", {"x": lambda y, n, d, x: -_fisher(n, d, x)})
fdtri = function("fdtri", "dfn dfd p", {"p": lambda x, n, d, p: 1.0 / _fisher(n, d, x)})
fdtridfd = function("fdtridfd", "dfn p x")
stdtr = function("stdtr", "df t", {"t": lambda y, df, t: _student(df, t)})
stdtrit = function("stdtrit", "df p", {"p": lambda t, df, p: 1.0 / _student(df, t)})
stdtridf = function("stdtridf", "p t")

# --- noncentral: the derivative by the noncentrality compares degrees of freedom ------------------

ncx2_density = function(
    "_ncx2_pdf",
    "x df nc",
    {
        "x": lambda y, x, df, nc: (
            y * ((0.5 * df - 1.0) / x - 0.5) + 0.5 * nc / x * special._ncx2_pdf(x, df + 2.0, nc)
        ),
        "nc": lambda y, x, df, nc: 0.5 * (special._ncx2_pdf(x, df + 2.0, nc) - y),
    },
)


def _by_centre(x: Any, df: Any, nc: Any) -> Any:
    """Return minus the derivative by the noncentrality."""
    return special._ncx2_pdf(x, df + 2.0, nc)


chndtr = function(
    "chndtr",
    "x df nc",
    {
        "x": lambda y, x, df, nc: special._ncx2_pdf(x, df, nc),
        "nc": lambda y, x, df, nc: -_by_centre(x, df, nc),
    },
)
chndtrix = function(
    "chndtrix",
    "p df nc",
    {
        "p": lambda x, p, df, nc: 1.0 / special._ncx2_pdf(x, df, nc),
        "nc": lambda x, p, df, nc: _by_centre(x, df, nc) / special._ncx2_pdf(x, df, nc),
    },
)
chndtridf = function("chndtridf", "x p nc")
chndtrinc = function(
    "chndtrinc",
    "x df p",
    {
        "x": lambda nc, x, df, p: special._ncx2_pdf(x, df, nc) / _by_centre(x, df, nc),
        "p": lambda nc, x, df, p: -1.0 / _by_centre(x, df, nc),
    },
)

ncf_density = function("_ncf_pdf", "f dfn dfd nc")


def _ncf_by_centre(y: Any, n: Any, d: Any, nc: Any, f: Any) -> Any:
    """Compare with two degrees of freedom more, at the same n f."""
    return 0.5 * (special.ncfdtr(n + 2.0, d, nc, f * n / (n + 2.0)) - y)


def _at(f: Any, n: Any, d: Any, nc: Any) -> Any:
    return special.ncfdtr(n, d, nc, f)


ncfdtr = function(
    "ncfdtr",
    "dfn dfd nc f",
    {
        "nc": _ncf_by_centre,
        "f": lambda y, n, d, nc, f: special._ncf_pdf(f, n, d, nc),
    },
)
ncfdtri = function(
    "ncfdtri",
    "dfn dfd nc p",
    {
        "nc": lambda f, n, d, nc, p: (
            -_ncf_by_centre(_at(f, n, d, nc), n, d, nc, f) / special._ncf_pdf(f, n, d, nc)
        ),
        "p": lambda f, n, d, nc, p: 1.0 / special._ncf_pdf(f, n, d, nc),
    },
)
ncfdtridfd = function("ncfdtridfd", "dfn p nc f")
ncfdtridfn = function("ncfdtridfn", "p dfd nc f")
ncfdtrinc = function(
    "ncfdtrinc",
    "dfn dfd p f",
    {
        "p": lambda nc, n, d, p, f: 1.0 / _ncf_by_centre(_at(f, n, d, nc), n, d, nc, f),
        "f": lambda nc, n, d, p, f: (
            -special._ncf_pdf(f, n, d, nc) / _ncf_by_centre(_at(f, n, d, nc), n, d, nc, f)
        ),
    },
)
nct_density = function("_nct_pdf", "t df nc")
nctdtr = function("nctdtr", "df nc t", {"t": lambda y, df, nc, t: special._nct_pdf(t, df, nc)})
nctdtrit = function(
    "nctdtrit", "df nc p", {"p": lambda t, df, nc, p: 1.0 / special._nct_pdf(t, df, nc)}
)
nctdtridf = function("nctdtridf", "p nc t")
nctdtrinc = function("nctdtrinc", "df p t")

# --- normal: the parameter of a known probability -------------------------------------------------


def _inverse_density(z: Any) -> Any:
    return np.exp(0.5 * z * z) / INV_SQRT_TWO_PI


nrdtrimn = function(
    "nrdtrimn",
    "p std x",
    {
        "p": lambda mean, p, std, x: -std * _inverse_density((x - mean) / std),
        "std": lambda mean, p, std, x: -(x - mean) / std,
        "x": lambda mean, p, std, x: 1,
    },
)
nrdtrisd = function(
    "nrdtrisd",
    "mn p x",
    {
        "mn": lambda std, mean, p, x: -std / (x - mean),
        "p": lambda std, mean, p, x: -std * std / (x - mean) * _inverse_density((x - mean) / std),
        "x": lambda std, mean, p, x: std / (x - mean),
    },
)

# --- Kolmogorov and Smirnov -----------------------------------------------------------------------


def _kolmogorov_curvature(x: Any) -> Any:
    """Differentiate twice, by the two series that converge on either side of 1."""
    left = x < 1.0
    u = np.where(left, x, 1.0)
    total: Any = 0.0
    for k in (1, 3, 5, 7):
        c = k * k * math.pi**2 / 8.0 / (u * u)
        total = total + np.exp(-c) * (2.0 - 10.0 * c + 4.0 * c * c)
    near = -math.sqrt(2.0 * math.pi) / u**3 * total
    v = np.square(np.where(left, 1.0, x))
    far: Any = 0.0
    for k in (1, 2, 3, 4):
        far = far - (-1) ** k * np.exp(-2.0 * k * k * v) * (32.0 * k**4 * v - 8.0 * k * k)
    return np.where(left, near, far)


kolmogorov_slope = function("_kolmogp", "y", {"y": lambda p, y: _kolmogorov_curvature(y)})
kolmogorov = function("kolmogorov", "y", {"y": lambda p, y: special._kolmogp(y)})
kolmogi = function("kolmogi", "p", {"p": lambda y, p: 1.0 / special._kolmogp(y)})
smirnov_slope = function("_smirnovp", "n d")
smirnov = function("smirnov", "n d", {"d": lambda p, n, d: special._smirnovp(n, d)})
smirnovi = function("smirnovi", "n p", {"p": lambda d, n, p: 1.0 / special._smirnovp(n, d)})
