"""Samples of the special functions of SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from tests.samples.elementwise import ANY, POSITIVE, smooth

UNIT = (0.1, 0.9)


def _polygammas(x: Any) -> Any:
    return special.digamma(x) * special.digamma(2.0 * x) + special.polygamma(2, x)


def _bessel(x: Any) -> Any:
    return special.jv(2, x) + special.iv(3, x) - np.i0(x) * special.ive(2, x)


def _second_names(x: Any) -> Any:
    return special.log1p(x) + special.expm1(x) + special.cbrt(x) * special.exp2(x)


def _degrees(x: Any) -> Any:
    return np.radians(x) * np.degrees(x) + np.fmod(x, 360.0)


SAMPLES = [
    smooth("expit", special.expit, ANY, analytic=False, ops=("expit", "expit_slope")),
    smooth("log_expit", special.log_expit, ANY, analytic=False),
    smooth("logit", special.logit, UNIT, analytic=False),
    smooth("erf", special.erf, ANY),
    smooth("erfc", special.erfc, ANY),
    smooth("erfcx", special.erfcx, ANY),
    smooth("erfinv", special.erfinv, (-0.8, 0.8), analytic=False),
    smooth("erfcinv", special.erfcinv, (0.2, 1.8), analytic=False),
    smooth("ndtr", special.ndtr, ANY),
    smooth("log_ndtr", special.log_ndtr, ANY),
    smooth("ndtri", special.ndtri, UNIT, analytic=False),
    smooth("gamma", special.gamma, POSITIVE),
    smooth("gammaln", special.gammaln, POSITIVE, analytic=False),
    smooth("digamma", special.digamma, POSITIVE),
    smooth("polygamma", _polygammas, POSITIVE, analytic=False),
    smooth("beta", special.beta, POSITIVE, POSITIVE, analytic=False),
    smooth("betaln", special.betaln, POSITIVE, POSITIVE, analytic=False),
    smooth("xlogy", special.xlogy, ANY, POSITIVE, ops=("xlogy", "multiply_no_nan")),
    smooth("xlog1py", special.xlog1py, ANY, POSITIVE),
    smooth("entr", special.entr, POSITIVE, analytic=False),
    smooth("rel_entr", special.rel_entr, POSITIVE, POSITIVE, analytic=False),
    smooth(
        "kl_div",
        special.kl_div,
        POSITIVE,
        POSITIVE,
        analytic=False,
        ops=("kl_div", "log_ratio", "relative_gap"),
    ),
    # The residual on one side of the threshold at a time: it is the kink of second derivatives.
    smooth("huber", special.huber, (1.0, 2.0), (0.2, 0.9), analytic=False),
    smooth("huber beyond", special.huber, (0.2, 0.9), (1.0, 2.0), analytic=False, ops=("huber",)),
    smooth(
        "pseudo_huber",
        special.pseudo_huber,
        POSITIVE,
        ANY,
        analytic=False,
        ops=("pseudo_huber", "pseudo_huber_slope"),
    ),
    smooth("j0", special.j0, ANY, analytic=False),
    smooth("j1", special.j1, ANY, analytic=False),
    smooth("i0", special.i0, ANY, analytic=False),
    smooth("i1", special.i1, ANY, analytic=False),
    smooth("i0e", special.i0e, POSITIVE, analytic=False),
    smooth("i1e", special.i1e, (-3.0, -0.3), analytic=False),
    smooth("bessel of order n", _bessel, ANY, analytic=False, ops=("jv", "iv", "ive"), exact=False),
    smooth("names of scipy", _second_names, POSITIVE, analytic=False, ops=("log1p", "exp2")),
    smooth("degrees", _degrees, (0.0, 350.0), analytic=False, ops=("fmod", "deg2rad", "rad2deg")),
]
