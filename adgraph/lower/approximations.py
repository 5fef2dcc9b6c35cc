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
SIN_TERMS = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
COS_TERMS = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
TRIG_LIMIT = 2.0**30


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
    r, n = _reduce_exp(e, _clamp(e, x, -746.0, 709.8))
    return _scaled(e, _exp_series(e, r), n)


def exp2(e: Emitter, x: str) -> str:
    clamped = _clamp(e, x, -1076.0, 1024.0)
    n, integer = _nearest_integer(e, clamped, 1.0)
    fraction = e.sub(clamped, n)
    r = e.mul(fraction, 0.6931471805599453)
    correction = e.fma(fraction, 0.6931471805599453, e.neg(r))
    r = e.add(r, e.fma(fraction, 2.3190468138462996e-17, correction))
    return _scaled(e, _exp_series(e, r), integer)


def expm1(e: Emitter, x: str) -> str:
    r, n = _reduce_exp(e, _clamp(e, x, -50.0, 709.8))
    scale = _power_of_two(e, e.bits("sub", n, 1))
    half = e.fma(scale, _expm1_series(e, r), e.sub(scale, 0.5))
    return e.copysign(e.add(half, half), x)


def tanh(e: Emitter, x: str) -> str:
    magnitude = e.abs(x)
    doubled = _clamp(e, e.add(magnitude, magnitude), 0.0, 44.0)
    r, n = _reduce_exp(e, doubled)
    scale = _power_of_two(e, n)
    t = e.fma(scale, _expm1_series(e, r), e.sub(scale, 1.0))
    return e.copysign(e.div(t, e.add(t, 2.0)), x)


def expit(e: Emitter, x: str) -> str:
    small = exp(e, e.neg(e.abs(x)))
    numerator = e.select(e.compare("olt", x, 0.0), small, 1.0)
    return e.div(numerator, e.add(small, 1.0))


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
    k, m = _split_log(e, x)
    y = _combine_log(e, k, e.sub(m, 1.0), e.constant(0.0))
    return _log_limits(e, x, y, 0.0)


def log1p(e: Emitter, x: str) -> str:
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


def _trigonometric(e: Emitter, x: str, phase: int) -> str:
    """Return sin(|x| + phase pi/2) for |x| < TRIG_LIMIT (Cody and Waite's reduction with fma)."""
    r = e.abs(x)
    n, quadrant = _nearest_integer(e, r, 0.6366197723675814)
    for part in HALF_PI:
        r = e.fma(n, -part, r)
    z = e.mul(r, r)
    sine = e.fma(e.mul(z, r), e.polynomial(z, SIN_TERMS), r)
    cosine = e.fma(e.mul(z, z), e.polynomial(z, COS_TERMS), e.fma(z, -0.5, 1.0))
    quadrant = e.bits("add", quadrant, phase)
    odd = e.bits_compare("ne", e.bits("and", quadrant, 1), 0)
    sign = e.bits("shl", e.bits("and", quadrant, 2), 62)
    return e.from_bits(e.bits("xor", e.to_bits(e.select(odd, cosine, sine)), sign))
