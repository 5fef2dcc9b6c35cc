"""The special functions of SciPy, one row each: their ufuncs need no wrapper.

Partials as in `adgraph.ops.elementwise`. Formulas are those of the NIST Digital Library of
Mathematical Functions (DLMF), cited by number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, message
from adgraph.ir.op import Op, type_of
from adgraph.ops.elementwise import expit_slope, leg, multiply_no_nan
from adgraph.ops.kinds import elementwise, elementwise_function
from adgraph.ops.scipy_special import special
from adgraph.ops.special_loops import complex_parts

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
INV_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)

# --- the logistic function ------------------------------------------------------------------------

expit = elementwise(
    special.expit,
    lambda y, x: (expit_slope(x),),
    "expit({0})",
    weight=15,
)
log_expit = elementwise(
    special.log_expit,
    lambda y, x: (special.expit(-x),),
    "minimum({0}, cast(0)) - log1p(exp(-absolute({0})))",
    weight=25,
)
logit = elementwise(
    special.logit,
    lambda y, x: (1.0 / (x * (1.0 - x)),),
    "where(({0} < 0.3) | ({0} > 0.65), log({0} / (1 - {0})), "
    "log1p(2 * {0} - 1) - log1p(1 - 2 * {0}))",
    weight=30,
    singular=True,
)

# --- error functions (DLMF 7.2) -------------------------------------------------------------------

erf = elementwise(
    special.erf,
    lambda y, x: (TWO_OVER_SQRT_PI * np.exp(-x * x),),
    "erf({0})",
    weight=15,
    parts=complex_parts("erf"),
)
erfc = elementwise(
    special.erfc,
    lambda y, x: (-TWO_OVER_SQRT_PI * np.exp(-x * x),),
    "erfc({0})",
    weight=20,
    parts=complex_parts("erfc"),
)
erfinv = elementwise(
    special.erfinv,
    lambda y, x: (np.exp(y * y) / TWO_OVER_SQRT_PI,),
    "erfinv({0})",
    weight=40,
    singular=True,
)
erfcinv = elementwise(
    special.erfcinv,
    lambda y, x: (-np.exp(y * y) / TWO_OVER_SQRT_PI,),
    "erfcinv({0})",
    weight=40,
    singular=True,
)

# erfcx'(x) = 2 x erfcx(x) - 2 / sqrt(pi) cancels for large x: from 10 on its asymptotic series,
# 2 / sqrt(pi) times the sum of (-1)**k (2k - 1)!! / (2 x**2)**k over k > 0 (DLMF 7.12.1).
_ERFCX_TERMS = tuple((-1) ** k * math.prod(range(1, 2 * k, 2)) / 2.0**k for k in range(1, 13))


def _erfcx_partial(y: Any, x: Any) -> tuple[Any]:
    if type_of(x).dtype.kind == "c":
        return (2.0 * x * y - TWO_OVER_SQRT_PI,)
    far = x > 10.0
    inverse = 1.0 / np.square(np.where(far, x, 10.0))
    series: Any = _ERFCX_TERMS[-1]
    for term in reversed(_ERFCX_TERMS[:-1]):
        series = series * inverse + term
    near = 2.0 * x * y - TWO_OVER_SQRT_PI
    return (np.where(far, TWO_OVER_SQRT_PI * inverse * series, near),)


erfcx = elementwise(
    special.erfcx, _erfcx_partial, "erfcx({0})", weight=20, parts=complex_parts("erfcx")
)

# --- the normal distribution ----------------------------------------------------------------------

ndtr = elementwise(
    special.ndtr,
    lambda y, x: (INV_SQRT_TWO_PI * np.exp(-0.5 * x * x),),
    "ndtr({0})",
    weight=20,
    parts=complex_parts("ndtr"),
)
# Density over distribution is the inverse of Mills' ratio, which is erfcx.
log_ndtr = elementwise(
    special.log_ndtr,
    lambda y, x: (2.0 * INV_SQRT_TWO_PI / special.erfcx(-math.sqrt(0.5) * x),),
    "log_ndtr({0})",
    weight=30,
    parts=complex_parts("log_ndtr"),
)
ndtri = elementwise(
    special.ndtri,
    lambda y, x: (np.exp(0.5 * y * y) / INV_SQRT_TWO_PI,),
    "ndtri({0})",
    weight=40,
    singular=True,
)

# --- gamma and beta functions (DLMF 5) ------------------------------------------------------------


def _polygamma(order: Any, x: Any) -> Any:
    return np.asarray(special.polygamma(order, x)).astype(np.asarray(x).dtype)


def _polygamma_dtype(order: Any, x: Any) -> Any:
    if x.kind == "c":
        raise DtypeError(message("polygamma of complex numbers", "SciPy has no loop for them"))
    return x


# The order is an array of integers, by which there is no derivative.
polygamma: Op = elementwise_function(
    "polygamma",
    _polygamma,
    _polygamma_dtype,
    lambda y, order, x: (None, polygamma(order + 1, x)),
    "polygamma({0}, {1})",
    weight=60,
    singular=True,
)


SHIFTS = 10  # the series of trigamma is as accurate as float64 from here on
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _trigamma(z: Any) -> Any:
    """Of complex numbers SciPy has none: left of 1/2 by reflection (DLMF 5.15.6)."""
    if type_of(z).dtype.kind != "c":
        return polygamma(1, z)
    left = np.real(z) < 0.5
    sine = np.sin(math.pi * np.where(left, z, 0.5)) / math.pi
    found = _trigamma_right(np.where(left, 1.0 - z, z))
    return np.where(left, 1.0 / (sine * sine) - found, found)


def _trigamma_right(z: Any) -> Any:
    """Shift by recurrence (DLMF 5.15.5), then expand for large numbers (DLMF 5.15.8)."""
    inverse = 1.0 / (z + SHIFTS)
    square = inverse * inverse
    series: Any = 0.0
    for number in reversed(BERNOULLI):
        series = (series + number) * square
    total = inverse * (1.0 + 0.5 * inverse + series)
    for k in range(SHIFTS):
        total = total + np.reciprocal(np.square(z + k))
    return total


digamma = elementwise(
    special.digamma,
    lambda y, x: (_trigamma(x),),
    "digamma({0})",
    weight=30,
    singular=True,
    parts=complex_parts("digamma"),
)
gammaln = elementwise(
    special.gammaln,
    lambda y, x: (special.digamma(x),),
    "gammaln({0})",
    weight=30,
    singular=True,
)
gamma = elementwise(
    special.gamma,
    lambda y, x: (y * special.digamma(x),),
    "gamma({0})",
    weight=30,
    singular=True,
    parts=complex_parts("gamma"),
)


def _betaln_partials(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    both = special.digamma(a + b)
    return special.digamma(a) - both, special.digamma(b) - both


betaln = elementwise(special.betaln, _betaln_partials, "betaln({0}, {1})", weight=60, singular=True)


def _beta_partials(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    first, second = _betaln_partials(y, a, b)
    return y * first, y * second


beta = elementwise(special.beta, _beta_partials, "beta({0}, {1})", weight=60, singular=True)

# --- entropies: 0 log 0 is 0, and so is the derivative by the logarithm's argument ----------------

xlogy = elementwise(
    special.xlogy,
    lambda y, a, b: (np.log(b), multiply_no_nan(a, 1.0 / b)),
    "xlogy({0}, {1})",
    weight=12,
    singular=True,
    parts=complex_parts("xlogy"),
)
xlog1py = elementwise(
    special.xlog1py,
    lambda y, a, b: (np.log1p(b), multiply_no_nan(a, 1.0 / (1.0 + b))),
    "xlog1py({0}, {1})",
    weight=14,
    singular=True,
    parts=complex_parts("xlog1py"),
)
entr = elementwise(
    special.entr,
    lambda y, x: (-np.log(x) - 1.0,),
    "where({0} < 0, -inf, where({0} == 0, 0, -{0} * log({0})))",
    weight=12,
    singular=True,
)


def _log_ratio(a: Any, b: Any) -> Any:
    excess = (a - b) / b
    near = np.abs(excess) < 0.5
    return np.where(near, np.log1p(np.where(near, excess, 0.0)), np.log(a / b))


# log(a / b), accurate also where the two are nearly equal.
log_ratio = elementwise_function(
    "log_ratio",
    _log_ratio,
    lambda a, b: a,
    lambda y, a, b: (1.0 / a, -1.0 / b),
    "where(absolute(({0} - {1}) / {1}) < 0.5, log1p(({0} - {1}) / {1}), log({0} / {1}))",
    weight=25,
    singular=True,
)
# 1 - a / b, accurate there too.
relative_gap = elementwise_function(
    "relative_gap",
    lambda a, b: (b - a) / b,
    lambda a, b: a,
    lambda y, a, b: (-1.0 / b, a / b / b),
    "({1} - {0}) / {1}",
    weight=5,
    singular=True,
)
rel_entr = elementwise(
    special.rel_entr,
    lambda y, a, b: (log_ratio(a, b) + 1.0, multiply_no_nan(a, -1.0 / b)),
    "where(isnan({0}) | isnan({1}), {0} + {1}, "
    "where(({0} < 0) | ({1} < 0) | (({0} > 0) & ({1} == 0)), inf, "
    "where({0} == 0, 0, {0} * log({0} / {1}))))",
    weight=20,
    singular=True,
)
kl_div = elementwise(
    special.kl_div,
    lambda y, a, b: (log_ratio(a, b), relative_gap(a, b)),
    "where(isnan({0}) | isnan({1}), {0} + {1}, "
    "where(({0} < 0) | ({1} < 0) | (({0} > 0) & ({1} == 0)), inf, "
    "where({0} == 0, {1}, {0} * log({0} / {1}) - {0} + {1})))",
    weight=20,
    singular=True,
)

# --- robust losses --------------------------------------------------------------------------------


def _huber_partials(y: Any, delta: Any, r: Any) -> tuple[Any, Any]:
    size = np.abs(r)
    inside = size <= delta
    return np.where(inside, 0.0, size - delta), np.where(inside, r, delta * np.sign(r))


huber = elementwise(
    special.huber,
    _huber_partials,
    "where({0} < 0, inf, where(absolute({1}) <= {0}, cast(0.5) * {1} * {1}, "
    "{0} * (absolute({1}) - cast(0.5) * {0})))",
    weight=5,
)


# r / hypot(1, r / delta), whose derivatives are cubes of delta / h and r / h, h = hypot(delta, r).
pseudo_huber_slope = elementwise_function(
    "pseudo_huber_slope",
    lambda delta, r: r / np.hypot(1.0, r / delta),
    lambda delta, r: r,
    lambda y, delta, r: (leg(r, delta) ** 3, leg(delta, r) ** 3),
    "{1} / hypot(cast(1), {1} / {0})",
    weight=25,
    singular=True,
)


def _pseudo_huber_partials(y: Any, delta: Any, r: Any) -> tuple[Any, Any]:
    """With v = r / delta and h = hypot(1, v): h - 1 is v**2 / (h + 1)."""
    v = r / delta
    h = np.hypot(1.0, v)
    excess = v * v / (h + 1.0)
    return delta * excess * excess / h, pseudo_huber_slope(delta, r)


pseudo_huber = elementwise(
    special.pseudo_huber,
    _pseudo_huber_partials,
    "where({0} < 0, inf, where(({0} == 0) | ({1} == 0), 0, "
    "{0} * {0} * expm1(cast(0.5) * log1p(({1} / {0}) * ({1} / {0})))))",
    weight=20,
    singular=True,
)

# --- Bessel functions of orders 0 and 1 (DLMF 10.6.1 and 10.29.1) ---------------------------------

j0 = elementwise(special.j0, lambda y, x: (-special.j1(x),), "bessel_j0({0})", weight=30)
j1 = elementwise(
    special.j1,
    lambda y, x: (0.5 * (special.j0(x) - special.jv(2.0, x)),),
    "bessel_j1({0})",
    weight=30,
)
i0 = elementwise(special.i0, lambda y, x: (special.i1(x),), "bessel_i0({0})", weight=30)
i1 = elementwise(
    special.i1,
    lambda y, x: (0.5 * (special.i0(x) + special.iv(2.0, x)),),
    "bessel_i1({0})",
    weight=30,
)

# Scaled by exp(-|x|), whose derivative at 0 is taken as 0.
i0e = elementwise(
    special.i0e,
    lambda y, x: (special.i1e(x) - np.sign(x) * y,),
    "bessel_i0e({0})",
    weight=30,
)
i1e = elementwise(
    special.i1e,
    lambda y, x: (0.5 * (special.i0e(x) + special.ive(2.0, x)) - np.sign(x) * y,),
    "bessel_i1e({0})",
    weight=30,
)
