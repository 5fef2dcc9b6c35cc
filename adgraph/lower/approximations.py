"""Own branch-free approximations in float64, inlined into kernels so that LLVM vectorizes them.

They stand in for libm where they are clearly faster. They need fused multiply-add. Each is tested
against mpmath to 4 ulp over the whole range. Reductions and coefficients of log follow fdlibm
(Sun Microsystems, 1993); the others are Taylor series cut where they reach the last bit.
"""

from __future__ import annotations

import math

from adgraph.lower.emitter import Emitter

LOG2_E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
ROUND_TO_INTEGER = 6755399441055744.0
ROUND_BITS = 0x4338000000000000
SMALLEST_NORMAL = 2.2250738585072014e-308
EXP_TERMS = tuple(1 / math.factorial(k) for k in range(2, 14))
EXPM1_TERMS = tuple(1 / math.factorial(k) for k in range(2, 15))
LOG_TERMS = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


def _nearest_integer(e: Emitter, x: str, scale: float) -> tuple[str, str]:
    """Return round(x * scale) as a float and as an integer (|x * scale| < 2**51)."""
    shifted = e.fma(x, scale, ROUND_TO_INTEGER)
    return e.sub(shifted, ROUND_TO_INTEGER), e.bits("sub", e.to_bits(shifted), ROUND_BITS)


def _reduce_exp(e: Emitter, x: str) -> tuple[str, str]:
    """Return r, n with x = n ln 2 + r and |r| <= ln(2) / 2."""
    n, integer = _nearest_integer(e, x, LOG2_E)
    r = e.fma(n, -LN2_HIGH, x)
    return e.fma(n, -LN2_LOW, r), integer


def _power_of_two(e: Emitter, n: str) -> str:
    return e.from_bits(e.bits("shl", e.bits("add", n, 1023), 52))


def _clamp(e: Emitter, x: str, low: float, high: float) -> str:
    """Clamp to [low, high]; nan passes."""
    x = e.select(e.compare("ogt", x, high), high, x)
    return e.select(e.compare("olt", x, low), low, x)


def _scaled(e: Emitter, p: str, n: str) -> str:
    """Return p * 2**n in two steps, so that overflow and denormals round once."""
    half = e.bits("ashr", n, 1)
    p = e.mul(p, _power_of_two(e, half))
    return e.mul(p, _power_of_two(e, e.bits("sub", n, half)))


def _exp_series(e: Emitter, r: str) -> str:
    tail = e.polynomial(r, EXP_TERMS)
    return e.add(e.fma(e.mul(r, r), tail, r), 1.0)


def _expm1_series(e: Emitter, r: str) -> str:
    return e.fma(e.mul(r, r), e.polynomial(r, EXPM1_TERMS), r)


def exp(e: Emitter, x: str) -> str:
    """Write e**x by reduction to |r| <= ln(2) / 2."""
    r, n = _reduce_exp(e, _clamp(e, x, -746.0, 709.8))
    return _scaled(e, _exp_series(e, r), n)


def exp2(e: Emitter, x: str) -> str:
    """Write 2**x; the fraction times ln 2 is carried in two parts."""
    clamped = _clamp(e, x, -1076.0, 1024.0)
    n, integer = _nearest_integer(e, clamped, 1.0)
    fraction = e.sub(clamped, n)
    r = e.mul(fraction, 0.6931471805599453)
    correction = e.fma(fraction, 0.6931471805599453, e.neg(r))
    r = e.add(r, e.fma(fraction, 2.3190468138462996e-17, correction))
    return _scaled(e, _exp_series(e, r), integer)


def expm1(e: Emitter, x: str) -> str:
    """Write e**x - 1, with half the scale so that the largest results do not overflow early."""
    r, n = _reduce_exp(e, _clamp(e, x, -50.0, 709.8))
    scale = _power_of_two(e, e.bits("sub", n, 1))
    half = e.fma(scale, _expm1_series(e, r), e.sub(scale, 0.5))
    return e.copysign(e.add(half, half), x)


def tanh(e: Emitter, x: str) -> str:
    """Write expm1(2 |x|) / (expm1(2 |x|) + 2) with the sign of x."""
    magnitude = e.abs(x)
    doubled = _clamp(e, e.add(magnitude, magnitude), 0.0, 44.0)
    r, n = _reduce_exp(e, doubled)
    scale = _power_of_two(e, n)
    t = e.fma(scale, _expm1_series(e, r), e.sub(scale, 1.0))
    return e.copysign(e.div(t, e.add(t, 2.0)), x)


def _split_log(e: Emitter, x: str) -> tuple[str, str]:
    """Return k, m with x = 2**k m and sqrt(1/2) <= m < sqrt(2), for 0 < x < inf."""
    tiny = e.compare("olt", x, SMALLEST_NORMAL)
    bits = e.to_bits(e.select(tiny, e.mul(x, 2.0**54), x))
    k = e.bits("ashr", e.bits("sub", bits, 0x3FE6A09E667F3BCD), 52)
    m = e.from_bits(e.bits("sub", bits, e.bits("shl", k, 52)))
    exponent = e.bits_to_float(k)
    return e.select(tiny, e.sub(exponent, 54.0), exponent), m


def _log_series(e: Emitter, f: str) -> tuple[str, str]:
    """Return h, t with log(1 + f) = f - (h - t)."""
    s = e.div(f, e.add(f, 2.0))
    z = e.mul(s, s)
    tail = e.mul(z, e.polynomial(z, LOG_TERMS))
    h = e.mul(e.mul(f, 0.5), f)
    return h, e.mul(s, e.add(h, tail))


def _log_limits(e: Emitter, x: str, y: str, zero: float) -> str:
    """Put in the values of a logarithm whose zero of the argument lies at `zero`."""
    y = e.select(e.compare("oeq", x, math.inf), math.inf, y)
    y = e.select(e.compare("oeq", x, zero), -math.inf, y)
    return e.select(e.compare("ult", x, zero), math.nan, y)


def _combine_log(e: Emitter, k: str, f: str, correction: str) -> str:
    h, t = _log_series(e, f)
    low = e.add(t, e.fma(k, LN2_LOW, correction))
    return e.fma(k, LN2_HIGH, e.sub(f, e.sub(h, low)))


def log(e: Emitter, x: str) -> str:
    """Write the natural logarithm, denormals included."""
    k, m = _split_log(e, x)
    y = _combine_log(e, k, e.sub(m, 1.0), e.constant(0.0))
    return _log_limits(e, x, y, 0.0)


def log1p(e: Emitter, x: str) -> str:
    """Write log(1 + x), correcting for what 1 + x loses."""
    u = e.add(x, 1.0)
    lost = e.div(e.sub(x, e.sub(u, 1.0)), u)
    k, m = _split_log(e, u)
    direct = e.compare("oeq", k, 0.0)
    f = e.select(direct, x, e.sub(m, 1.0))
    big = e.compare("ogt", x, 2.0**53)
    correction = e.select(e.logic("or", direct, big), 0.0, lost)
    y = _combine_log(e, k, f, correction)
    y = e.select(e.compare("olt", e.abs(x), 2.0**-54), x, y)
    return _log_limits(e, x, y, -1.0)
