"""Own branch-free approximations in float64, inlined into kernels so that LLVM vectorizes them.

They stand in for libm where they are clearly faster. They need fused multiply-add. Each is tested
against mpmath to 3 ulp over the whole range. Reductions and coefficients of log follow fdlibm
(Sun Microsystems, 1993); those of the gamma functions interpolate at Chebyshev points, as mpmath
computes them; the others are Taylor series cut where they reach the last bit.
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
SINGLE_LN2_HIGH = 0.693359375
SINGLE_LN2_LOW = -2.12194440054690583e-04
SINGLE_LOG_TERMS = tuple(2 / (2 * k + 1) for k in range(1, 6))


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


def _negative_power(e: Emitter, k: str) -> str:
    """Return 2**-k for an integer that is a float."""
    shifted = e.sub(ROUND_TO_INTEGER, k)
    return _power_of_two(e, e.bits("sub", e.to_bits(shifted), ROUND_BITS))


def _clamp(e: Emitter, x: str, low: float, high: float) -> str:
    """Clamp to [low, high]; nan passes."""
    x = e.select(e.compare("ogt", x, high), high, x)
    return e.select(e.compare("olt", x, low), low, x)


def _scaled(e: Emitter, p: str, n: str) -> str:
    """Return p * 2**n in two steps, so that overflow and denormals round once."""
    half = e.bits("ashr", n, 1)
    p = e.mul(p, _power_of_two(e, half))
    return e.mul(p, _power_of_two(e, e.bits("sub", n, half)))


def _exp_growth(e: Emitter, r: str) -> str:
    """Return e**r - 1, but for what is lost beside 1."""
    return e.fma(e.mul(r, r), e.polynomial(r, EXP_TERMS), r)


def _exp_series(e: Emitter, r: str) -> str:
    return e.add(_exp_growth(e, r), 1.0)


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


def sinh(e: Emitter, x: str) -> str:
    """Write t + t / (2 t + 1) with t = expm1(|x|) / 2, which overflows where the result does."""
    magnitude = e.abs(x)
    r, n = _reduce_exp(e, _clamp(e, magnitude, 0.0, 710.6))
    scale = _power_of_two(e, e.bits("sub", n, 2))
    quarter = e.fma(scale, _expm1_series(e, r), e.sub(scale, 0.25))
    t = e.add(quarter, quarter)
    y = e.add(t, e.div(quarter, e.fma(quarter, 2.0, 0.5)))
    return e.copysign(e.select(e.compare("olt", magnitude, 2.0**-28), magnitude, y), x)


def cosh(e: Emitter, x: str) -> str:
    """Write h + 1 / (4 h) with h = e**|x| / 2, which overflows where the result does."""
    r, n = _reduce_exp(e, _clamp(e, e.abs(x), 0.0, 710.6))
    quarter = e.mul(_power_of_two(e, e.bits("sub", n, 2)), _exp_series(e, r))
    return e.add(e.add(quarter, quarter), e.div(0.125, quarter))


def tanh(e: Emitter, x: str) -> str:
    """Write expm1(-2 |x|) / (expm1(-2 |x|) + 2) with the sign of x."""
    growth, n = _decay(e, x)
    return e.copysign(_decayed_quotient(e, growth, n), x)


def tanh_slope(e: Emitter, x: str) -> str:
    """Write d (1 + tanh |x|)**2 with d = exp(-2 |x|), corrected for what 1 + tanh |x| has lost.

    All of `tanh` is in it: together they have one exponential and one division.
    """
    growth, n = _decay(e, x)
    decay = _scaled(e, e.add(growth, 1.0), n)
    u = e.sub(1.0, _decayed_quotient(e, growth, n))  # 2 / (1 + d)
    divisor = e.add(decay, 1.0)
    lost = e.sub(decay, e.sub(divisor, 1.0))
    missing = e.fma(e.neg(lost), u, e.fma(e.neg(divisor), u, 2.0))
    y = e.mul(e.mul(decay, u), u)
    return e.fma(y, missing, y)


def _decay(e: Emitter, x: str) -> tuple[str, str]:
    """Return g, n with exp(-2 |x|) = 2**n (1 + g)."""
    exponent = e.mul(e.abs(x), -2.0)
    limited = e.select(e.compare("olt", exponent, -746.0), -746.0, exponent)
    r, n = _reduce_exp(e, limited)
    return _exp_growth(e, r), n


def _decayed_quotient(e: Emitter, growth: str, n: str) -> str:
    """Return t / (t + 2) with t = expm1(-2 |x|), which is -1 long before 2**n is denormal."""
    scale = _power_of_two(e, e.bits_maximum(n, -1022))
    t = e.fma(scale, growth, e.sub(scale, 1.0))
    return e.div(t, e.add(t, 2.0))


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


def log_single(e: Emitter, x: str) -> str:
    """Write the natural logarithm in float32."""
    tiny = e.compare("olt", x, 2.0**-126)
    bits = e.to_bits(e.select(tiny, e.mul(x, 2.0**25), x))
    shifted = e.bits("ashr", e.bits("sub", bits, 0x3F3504F3), 23)
    m = e.from_bits(e.bits("sub", bits, e.bits("shl", shifted, 23)))
    exponent = e.bits_to_float(shifted)
    k = e.select(tiny, e.sub(exponent, 25.0), exponent)
    f = e.sub(m, 1.0)
    s = e.div(f, e.add(f, 2.0))
    z = e.mul(s, s)
    h = e.mul(e.mul(f, 0.5), f)
    t = e.mul(s, e.add(h, e.mul(z, e.polynomial(z, SINGLE_LOG_TERMS))))
    low = e.fma(k, SINGLE_LN2_LOW, t)
    y = e.fma(k, SINGLE_LN2_HIGH, e.sub(f, e.sub(h, low)))
    return _log_limits(e, x, y, 0.0)


def log1p(e: Emitter, x: str) -> str:
    """Write log(1 + x), correcting for what 1 + x loses."""
    u = e.add(x, 1.0)
    k, m = _split_log(e, u)
    direct = e.compare("oeq", k, 0.0)
    excess = e.sub(m, 1.0)
    inverse = e.fma(excess, e.sub(excess, 1.0), 1.0)  # of m, to a tenth: what is lost is small
    lost = e.mul(e.mul(e.sub(x, e.sub(u, 1.0)), _negative_power(e, k)), inverse)
    f = e.select(direct, x, excess)
    big = e.compare("ogt", x, 2.0**53)
    correction = e.select(e.logic("or", direct, big), 0.0, lost)
    y = _combine_log(e, k, f, correction)
    y = e.select(e.compare("olt", e.abs(x), 2.0**-54), x, y)
    return _log_limits(e, x, y, -1.0)


# --- the gamma function's logarithm and its derivative --------------------------------------------
# On [1, 3) a polynomial times the roots there; up to FAR the recurrence leads back to [2, 3), its
# factors in one product or quotient; from there on Stirling's series (DLMF 5.11). Arguments below 0
# are reflected (DLMF 5.5.3).

FAR = 9.0
GAMMALN_TERMS = (
    0.42278433509846713,
    -0.10031730167435392,
    0.03296500062115691,
    -0.012384192193371805,
    0.004998641164627129,
    -0.0021081308339216706,
    0.0009153769240386907,
    -0.0004057073983775151,
    0.0001825526153982638,
    -8.309511477709561e-05,
    3.816907658276081e-05,
    -1.7661767658452517e-05,
    8.221234475942905e-06,
    -3.846858091533014e-06,
    1.8113906873056685e-06,
    -8.54560908975883e-07,
    3.958940459367468e-07,
    -1.878442644643758e-07,
    1.042041826608264e-07,
    -4.9827532071170234e-08,
    5.910565853507869e-09,
    -2.7296358592514825e-09,
    1.6194359237484174e-08,
    -7.842557720538356e-09,
    -4.312495770350818e-09,
    2.0986002157033107e-09,
    1.5746606982777302e-09,
    -7.639292345836201e-10,
)  # gammaln(x) / ((x - 1) (x - 2)) in powers of x - 2
DIGAMMA_TERMS = (
    0.7853075386041053,
    -0.2607389546830014,
    0.10899991701762626,
    -0.04955103291767291,
    0.023447309597724546,
    -0.011338432553333682,
    0.005552254171350814,
    -0.0027395728831692795,
    0.0013581421903714414,
    -0.000675313369799565,
    0.00033643237613001386,
    -0.00016781518722379935,
    8.377966540530644e-05,
    -4.184622931937881e-05,
    2.0891708911121205e-05,
    -1.044106631983514e-05,
    5.26871942897218e-06,
    -2.6338311326151924e-06,
    1.2119815782595426e-06,
    -6.059322795045256e-07,
    4.6173797029851077e-07,
    -2.3086248081342955e-07,
    -5.6422994902202784e-08,
    2.821220170829738e-08,
    1.1540536834062045e-07,
    -5.77025926771739e-08,
    -3.5705337308985145e-08,
    1.7852672191376552e-08,
    1.0201545142033868e-08,
    -5.100770214989469e-09,
)  # digamma(x) / (x - root) in powers of x - 2
DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)
STIRLING_TERMS = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
)
DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
HALF_LOG_TWO_PI = 0.9189385332046727


def gammaln(e: Emitter, x: str) -> str:
    """Write the logarithm of the magnitude of the gamma function."""
    magnitude = e.abs(x)
    below_one = e.compare("olt", magnitude, 1.0)
    product, rest = e.constant(1.0), magnitude
    for k in range(1, 7):
        lower = e.sub(magnitude, float(k))
        takes = e.compare("oge", lower, 2.0)
        product = e.select(takes, e.mul(product, lower), product)
        rest = e.select(takes, lower, rest)
    t = e.sub(e.select(below_one, magnitude, rest), e.select(below_one, 1.0, 2.0))
    first = e.select(below_one, magnitude, e.sub(rest, 1.0))
    near = e.mul(e.mul(first, t), e.fma(t, e.polynomial(t, GAMMALN_TERMS[1:]), GAMMALN_TERMS[0]))
    far = e.compare("oge", magnitude, FAR)
    alone = e.logic("or", far, below_one)
    logarithm = e.call("log", e.select(alone, magnitude, product))
    raised = e.add(near, e.select(below_one, e.neg(logarithm), logarithm))
    inverse = e.div(1.0, e.select(far, magnitude, FAR))
    series = e.mul(inverse, e.polynomial(e.mul(inverse, inverse), STIRLING_TERMS))
    large = e.add(e.mul(e.sub(magnitude, 0.5), e.sub(logarithm, 1.0)), series)
    positive = e.select(far, e.add(large, HALF_LOG_TWO_PI - 0.5), raised)
    sine, cosine = _half_turns(e, magnitude)
    width = e.select(below_one, 1.0, magnitude)  # its logarithm would be added and subtracted
    area = e.mul(width, e.abs(e.mul(e.mul(sine, cosine), 2.0)))
    opposite = e.select(below_one, near, positive)
    below = e.sub(e.call("log", e.div(math.pi, area)), opposite)
    pole = e.compare("oeq", e.intrinsic("rint", x), x)
    below = e.select(pole, math.inf, below)
    result = e.select(e.compare("olt", x, 0.0), below, positive)
    return e.select(e.compare("oeq", x, -math.inf), -math.inf, result)


def digamma(e: Emitter, x: str) -> str:
    """Write the logarithmic derivative of the gamma function."""
    negative = e.compare("olt", x, 0.0)
    y = e.select(negative, e.sub(1.0, x), x)
    above, below, rest = e.constant(0.0), e.constant(1.0), y
    for k in range(1, 7):
        lower = e.sub(y, float(k))
        takes = e.compare("oge", lower, 2.0)
        above = e.select(takes, e.fma(above, lower, below), above)
        below = e.select(takes, e.mul(below, lower), below)
        rest = e.select(takes, lower, rest)
    below_one = e.compare("olt", y, 1.0)
    rest = e.select(below_one, e.add(y, 1.0), rest)
    quotient = e.div(
        e.select(below_one, -1.0, above),
        e.select(below_one, y, below),
    )
    root = e.sub(e.sub(rest, DIGAMMA_ROOT[0]), DIGAMMA_ROOT[1])
    t = e.sub(rest, 2.0)
    slope = e.fma(t, e.polynomial(t, DIGAMMA_TERMS[1:]), DIGAMMA_TERMS[0])
    near = e.fma(root, slope, quotient)
    far = e.compare("oge", y, FAR)
    large = e.select(far, y, FAR)
    inverse = e.div(1.0, large)
    z = e.mul(inverse, inverse)
    tail = e.fma(inverse, 0.5, e.mul(z, e.polynomial(z, DIGAMMA_SERIES)))
    positive = e.select(far, e.sub(e.call("log", large), tail), near)
    sine, cosine = _half_turns(e, x)
    cotangent = e.div(
        e.mul(e.mul(e.sub(cosine, sine), e.add(cosine, sine)), math.pi),
        e.mul(e.mul(sine, cosine), 2.0),
    )
    reflected = e.sub(positive, cotangent)
    pole = e.compare("oeq", e.intrinsic("rint", x), x)
    reflected = e.select(pole, math.nan, reflected)
    result = e.select(negative, reflected, positive)
    zero = e.compare("oeq", x, 0.0)
    return e.select(zero, e.copysign(math.inf, e.neg(x)), result)


def _half_turns(e: Emitter, x: str) -> tuple[str, str]:
    """Return sine and cosine of pi r / 2, where r is x less the nearest integer."""
    r = e.sub(x, e.intrinsic("rint", x))
    u = e.mul(r, math.pi / 2)
    z = e.mul(u, u)
    sine = e.fma(e.mul(z, u), e.polynomial(z, SIN_TERMS), u)
    cosine = e.fma(z, e.polynomial(z, COS_TERMS), 1.0)
    return sine, cosine


SIN_TERMS = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9))
COS_TERMS = tuple((-1) ** k / math.factorial(2 * k) for k in range(1, 10))
