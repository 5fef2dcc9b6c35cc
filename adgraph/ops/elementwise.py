"""Arithmetic, comparisons, logic and the transcendental ufuncs of NumPy: one row each.

A row names the ufunc, its partials by every operand (`y` is the result) and the expression of one
element. Partials are written to be accurate over the whole range, not only correct on paper, and
so that the derivative of a partial is accurate as well. Where a function is constant almost
everywhere its derivative is zero; what happens at a kink stands beside the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.kinds import elementwise, elementwise_function
from adgraph.ops.scipy_special import special

LN2 = math.log(2.0)
LN10 = math.log(10.0)
DEGREE = math.pi / 180.0
SMALLEST_INVERTED = 2.0**-1022

# --- products that a mask has zeroed --------------------------------------------------------------


def _multiply_no_nan(ct: Any, p: Any) -> Any:
    return np.where(ct == 0, np.zeros((), ct.dtype), ct * p)


def _multiply_no_nan_jvp(tangents: tuple[Any, Any], y: Any, ct: Any, p: Any) -> Any:
    dct, dp = tangents
    first = None if dct is None else multiply_no_nan(dct, p)
    second = None if dp is None else multiply_no_nan(ct, dp)
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _multiply_no_nan_vjp(seed: Any, y: Any, ct: Any, p: Any) -> tuple[Any, Any]:
    return multiply_no_nan(seed, p), multiply_no_nan(ct, seed)


# A product that is 0 wherever its first factor is, even where the second is infinite or nan:
# cotangents that a mask has zeroed stay zero. Its derivative by the first factor is the second one
# also where the product is 0, or second derivatives would vanish wherever a cotangent does.
multiply_no_nan = elementwise_function(
    "multiply_no_nan",
    _multiply_no_nan,
    lambda a, b: a,
    None,
    "multiply_no_nan({0}, {1})",
    weight=2,
    jvp=_multiply_no_nan_jvp,
    vjp=_multiply_no_nan_vjp,
    masks=True,
)

# --- arithmetic -----------------------------------------------------------------------------------

add = elementwise(np.add, lambda y, a, b: (1, 1), "{0} + {1}", commutative=True)
subtract = elementwise(np.subtract, lambda y, a, b: (1, -1), "{0} - {1}")
multiply = elementwise(np.multiply, lambda y, a, b: (b, a), "{0} * {1}", commutative=True)

# Sums with a product, rounded once where the CPU can: see `adgraph.passes.contract`.
multiply_add = elementwise_function(
    "multiply_add",
    lambda a, b, c: a * b + c,
    lambda a, b, c: c,
    lambda y, a, b, c: (b, a, 1),
    "fma({0}, {1}, {2})",
    weight=2,
)
multiply_subtract = elementwise_function(
    "multiply_subtract",
    lambda a, b, c: a * b - c,
    lambda a, b, c: c,
    lambda y, a, b, c: (b, a, -1),
    "fma({0}, {1}, -{2})",
    weight=2,
)
subtract_product = elementwise_function(
    "subtract_product",
    lambda a, b, c: c - a * b,
    lambda a, b, c: c,
    lambda y, a, b, c: (-b, -a, 1),
    "fma(-{0}, {1}, {2})",
    weight=2,
)


def _divide_partials(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """One reciprocal serves both."""
    inverse = 1.0 / b
    return inverse, -y * inverse


divide = elementwise(np.divide, _divide_partials, "{0} / {1}", weight=4, singular=True)
negative = elementwise(np.negative, lambda y, x: (-1,), "-{0}")
positive = elementwise(np.positive, lambda y, x: (1,), "{0}")
conjugate = elementwise(
    np.conjugate,
    None,
    "{0}",
    jvp=lambda tangents, y, x: np.conjugate(tangents[0]),
    vjp=lambda ct, y, x: (np.conjugate(ct),),
)
reciprocal = elementwise(
    np.reciprocal, lambda y, x: (-y * y,), "cast(1) / {0}", weight=4, singular=True
)
square = elementwise(np.square, lambda y, x: (2.0 * x,), "{0} * {0}")


def _direction(y: Any, x: Any) -> tuple[Any]:
    """The sign; of a complex number z that of its conjugate, conj(z) / |z|."""
    if x.dtype.kind != "c":
        return (np.sign(x),)
    return (np.conjugate(x) / np.where(y == 0, np.ones((), y.dtype), y),)


# |x| has the derivative 0 at 0.
absolute = elementwise(np.absolute, _direction, "absolute({0})")
fabs = elementwise(np.fabs, lambda y, x: (np.sign(x),), "absolute({0})")
copysign = elementwise(
    np.copysign,
    lambda y, a, b: (np.sign(a) * np.copysign(1.0, b), None),
    "copysign({0}, {1})",
)
nextafter = elementwise(np.nextafter, lambda y, a, b: (1, None), "nextafter({0}, {1})", weight=4)
sign = elementwise(np.sign, None, "sign({0})")


# The quotient is constant between its jumps, and the jumps have the derivative of their right side.
floor_divide = elementwise(np.floor_divide, None, "floor_divide({0}, {1})", weight=8)
remainder = elementwise(
    np.remainder,
    lambda y, a, b: (1, -np.floor_divide(a, b)),
    "remainder({0}, {1})",
    weight=8,
    singular=True,
)
fmod = elementwise(
    np.fmod, lambda y, a, b: (1, -np.rint((a - y) / b)), "fmod({0}, {1})", weight=8, singular=True
)


def _power_partials(y: Any, x: Any, exponent: Any) -> tuple[Any, Any]:
    """The derivatives at the base 0 are 0 by the exponent, and 0 by the base if the exponent is 0.

    Only there is the lowered exponent changed: elsewhere it must keep its own derivative.
    """
    lowered = exponent - 1
    lowered = np.where(exponent == 0, np.where(x == 0, 1, lowered), lowered)
    return exponent * np.power(x, lowered), y * np.log(np.where(x == 0, 1, x))


power = elementwise(np.power, _power_partials, "power({0}, {1})", weight=30, singular=True)

# --- roots ----------------------------------------------------------------------------------------

sqrt = elementwise(  # the derivative at 0 is infinite, as it is for cbrt
    np.sqrt, lambda y, x: (0.5 / y,), "sqrt({0})", weight=6, singular=True
)
cbrt = elementwise(
    np.cbrt, lambda y, x: (1.0 / (3.0 * np.square(y)),), "cbrt({0})", weight=20, singular=True
)

# --- hypot ----------------------------------------------------------------------------------------


def _leg_over_hypot(a: Any, b: Any) -> Any:
    h = np.hypot(a, b)
    return a / np.where(h == 0, np.ones((), h.dtype), h)


def _leg_partials(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    h = np.hypot(a, b)
    other = leg(b, a)
    over = other / np.where(h == 0, 1, h)
    return over * other, -over * y


# a / hypot(a, b), and 0 at the origin: the derivative of hypot. As an op of its own because its
# derivative b**2 / h**3 would be lost to cancellation in 1 / h - a**2 / h**3.
leg = elementwise_function(
    "leg",
    _leg_over_hypot,
    lambda a, b: a,
    _leg_partials,
    "where(hypot({0}, {1}) == 0, 0, {0} / hypot({0}, {1}))",
    weight=20,
)
hypot = elementwise(
    np.hypot, lambda y, a, b: (leg(a, b), leg(b, a)), "hypot({0}, {1})", weight=15, commutative=True
)

# --- exponentials and logarithms ------------------------------------------------------------------

exp = elementwise(np.exp, lambda y, x: (y,), "exp({0})", weight=10)
exp2 = elementwise(np.exp2, lambda y, x: (y * LN2,), "exp2({0})", weight=10)
expm1 = elementwise(np.expm1, lambda y, x: (np.exp(x),), "expm1({0})", weight=12)
log = elementwise(np.log, lambda y, x: (1.0 / x,), "log({0})", weight=10, singular=True)
log2 = elementwise(np.log2, lambda y, x: (1.0 / (x * LN2),), "log2({0})", weight=12, singular=True)
log10 = elementwise(
    np.log10, lambda y, x: (1.0 / (x * LN10),), "log10({0})", weight=12, singular=True
)
log1p = elementwise(
    np.log1p, lambda y, x: (1.0 / (1.0 + x),), "log1p({0})", weight=12, singular=True
)


def _logistic_of_difference(a: Any, b: Any, scale: float) -> tuple[Any, Any]:
    """Weights of a sum of exponentials; two equal infinities share."""
    difference = a - b
    difference = np.where(np.isnan(difference), 0.0, difference) * scale
    return special.expit(difference), special.expit(-difference)


logaddexp = elementwise(
    np.logaddexp,
    lambda y, a, b: _logistic_of_difference(a, b, 1.0),
    "logaddexp({0}, {1})",
    weight=25,
    commutative=True,
)
logaddexp2 = elementwise(
    np.logaddexp2,
    lambda y, a, b: _logistic_of_difference(a, b, LN2),
    "logaddexp2({0}, {1})",
    weight=25,
    commutative=True,
)

# --- trigonometry ---------------------------------------------------------------------------------

# (1 - x)(1 + x) is accurate near 1 and -1, its derivative written as -2x is near 0.
one_minus_square = elementwise_function(
    "one_minus_square",
    lambda x: (1 - x) * (1 + x),
    lambda x: x,
    lambda y, x: (-2.0 * x,),
    "(1 - {0}) * (1 + {0})",
    weight=3,
)

sin = elementwise(np.sin, lambda y, x: (np.cos(x),), "sin({0})", weight=15)
cos = elementwise(np.cos, lambda y, x: (-np.sin(x),), "cos({0})", weight=15)
tan = elementwise(np.tan, lambda y, x: (1.0 + y * y,), "tan({0})", weight=20)
arcsin = elementwise(
    np.arcsin,
    lambda y, x: (1.0 / np.sqrt(one_minus_square(x)),),
    "arcsin({0})",
    weight=20,
    singular=True,
)
arccos = elementwise(
    np.arccos,
    lambda y, x: (-1.0 / np.sqrt(one_minus_square(x)),),
    "arccos({0})",
    weight=20,
    singular=True,
)
arctan = elementwise(np.arctan, lambda y, x: (1.0 / (1.0 + x * x),), "arctan({0})", weight=20)


def _arctan2_partials(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Scale twice by the inverse distance, whose square may overflow.

    At the origin, and where the inverse would overflow, both are 0 or nearly so.
    """
    h = np.hypot(a, b)
    inverse = 1.0 / np.where(h < SMALLEST_INVERTED, 1, h)
    return b * inverse * inverse, -a * inverse * inverse


arctan2 = elementwise(np.arctan2, _arctan2_partials, "arctan2({0}, {1})", weight=25)
deg2rad = elementwise(np.deg2rad, lambda y, x: (DEGREE,), f"{{0}} * cast({DEGREE!r})")
rad2deg = elementwise(np.rad2deg, lambda y, x: (1.0 / DEGREE,), f"{{0}} * cast({1.0 / DEGREE!r})")

# The derivative of sinc as x times a polynomial in x**2, for |x| < 1/2 (Taylor).
SINC_TERMS = tuple(
    (-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, 13)
)


def _sinc_partial(y: Any, x: Any) -> tuple[Any]:
    """(cos(pi x) - y) / x cancels near 0."""
    small = np.abs(x) < 0.5
    square_of_x = x * x
    series: Any = SINC_TERMS[-1]
    for term in reversed(SINC_TERMS[:-1]):
        series = series * square_of_x + term
    far = (np.cos(math.pi * x) - y) / np.where(small, 1, x)
    return (np.where(small, x * series, far),)


sinc = elementwise_function(
    "sinc",
    np.sinc,
    lambda x: x,
    _sinc_partial,
    f"where({{0}} == 0, cast(1), sin(cast({math.pi!r}) * {{0}}) / (cast({math.pi!r}) * {{0}}))",
    numpy=np.sinc,
    weight=20,
)

# --- hyperbolic functions -------------------------------------------------------------------------

sinh = elementwise(np.sinh, lambda y, x: (np.cosh(x),), "sinh({0})", weight=15)
cosh = elementwise(np.cosh, lambda y, x: (np.sinh(x),), "cosh({0})", weight=15)


def _expit_slope(x: Any) -> Any:
    decay = np.exp(-np.abs(x))
    return decay / np.square(1.0 + decay)


# The derivative of the logistic function, expit(x) expit(-x). As an op of its own because its
# derivative changes its sign at 0, where a sum of two products cancels.
expit_slope = elementwise_function(
    "expit_slope",
    _expit_slope,
    lambda x: x,
    lambda y, x: (-y * np.tanh(0.5 * x),),
    "exp(-absolute({0})) / ((1 + exp(-absolute({0}))) * (1 + exp(-absolute({0}))))",
    weight=18,
)


def _tanh_slope(x: Any) -> Any:
    decay = np.exp(-2.0 * np.abs(x))
    return 4.0 * decay / np.square(1.0 + decay)


# The derivative of tanh: not 1 - y * y, which is 0 at 20, nor 1 / cosh(x)**2, which overflows.
tanh_slope = elementwise_function(
    "tanh_slope",
    _tanh_slope,
    lambda x: x,
    lambda y, x: (-2.0 * y * np.tanh(x),),
    "tanh_slope({0})",
    weight=18,
)
tanh = elementwise(
    np.tanh,
    lambda y, x: (1.0 - y * y if y.dtype.kind == "c" else tanh_slope(x),),
    "tanh({0})",
    weight=15,
)


def _arcsinh_partials(y: Any, x: Any) -> tuple[Any]:
    return (1.0 / (np.sqrt(1.0 + x * x) if x.dtype.kind == "c" else np.hypot(1.0, x)),)


arcsinh = elementwise(np.arcsinh, _arcsinh_partials, "arcsinh({0})", weight=20)
arccosh = elementwise(
    np.arccosh,
    lambda y, x: (1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),),
    "arccosh({0})",
    weight=20,
    singular=True,
)
arctanh = elementwise(
    np.arctanh,
    lambda y, x: (1.0 / one_minus_square(x),),
    "arctanh({0})",
    weight=20,
    singular=True,
)

# --- extremes: operands that tie share the derivative evenly --------------------------------------


def _extremum(ufunc: np.ufunc, beats: Callable[[Any, Any], Any]) -> Op:
    """Register the choice of one of two operands: `beats(a, b)` tells where the result is a."""

    def jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any) -> Any:
        zero = np.zeros((), y.dtype)
        da, db = (zero if t is None else t for t in tangents)
        return np.where(beats(a, b), da, np.where(beats(b, a), db, 0.5 * (da + db)))

    def vjp(ct: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
        zero, half = np.zeros((), y.dtype), 0.5 * ct
        first, second = beats(a, b), beats(b, a)
        ct_a = np.where(first, ct, np.where(second, zero, half))
        return ct_a, np.where(second, ct, np.where(first, zero, half))

    text = f"{ufunc.__name__}({{0}}, {{1}})"
    return elementwise(ufunc, None, text, jvp=jvp, vjp=vjp, masks=True, commutative=True)


def _is_number_beside_nan(a: Any, b: Any) -> Any:
    return np.isnan(b) & (a == a)


maximum = _extremum(np.maximum, lambda a, b: a > b)
minimum = _extremum(np.minimum, lambda a, b: a < b)
fmax = _extremum(np.fmax, lambda a, b: (a > b) | _is_number_beside_nan(a, b))
fmin = _extremum(np.fmin, lambda a, b: (a < b) | _is_number_beside_nan(a, b))

# --- steps: the derivative is 0 at the jumps as well ----------------------------------------------

floor = elementwise(np.floor, None, "floor({0})")
ceil = elementwise(np.ceil, None, "ceil({0})")
trunc = elementwise(np.trunc, None, "trunc({0})")
rint = elementwise(np.rint, None, "rint({0})")


def _heaviside_jvp(tangents: tuple[Any, Any], y: Any, x: Any, at_zero: Any) -> Any:
    return None if tangents[1] is None else np.where(x == 0, tangents[1], np.zeros((), y.dtype))


def _heaviside_vjp(ct: Any, y: Any, x: Any, at_zero: Any) -> tuple[None, Any]:
    return None, np.where(x == 0, ct, np.zeros((), y.dtype))


heaviside = elementwise(
    np.heaviside,
    None,
    "heaviside({0}, {1})",
    weight=2,
    jvp=_heaviside_jvp,
    vjp=_heaviside_vjp,
    masks=True,
)

# --- predicates, comparisons and logic ------------------------------------------------------------

isnan = elementwise(np.isnan, None, "isnan({0})")
isinf = elementwise(np.isinf, None, "isinf({0})")
isfinite = elementwise(np.isfinite, None, "isfinite({0})")
signbit = elementwise(np.signbit, None, "signbit({0})")
greater = elementwise(np.greater, None, "{0} > {1}")
greater_equal = elementwise(np.greater_equal, None, "{0} >= {1}")
less = elementwise(np.less, None, "{0} < {1}")
less_equal = elementwise(np.less_equal, None, "{0} <= {1}")
equal = elementwise(np.equal, None, "{0} == {1}", commutative=True)
not_equal = elementwise(np.not_equal, None, "{0} != {1}", commutative=True)
logical_and = elementwise(np.logical_and, None, "({0} != 0) & ({1} != 0)", commutative=True)
logical_or = elementwise(np.logical_or, None, "({0} != 0) | ({1} != 0)", commutative=True)
logical_xor = elementwise(np.logical_xor, None, "({0} != 0) ^ ({1} != 0)", commutative=True)
logical_not = elementwise(np.logical_not, None, "{0} == 0")

# --- integers -------------------------------------------------------------------------------------

bitwise_and = elementwise(np.bitwise_and, None, "{0} & {1}", commutative=True)
bitwise_or = elementwise(np.bitwise_or, None, "{0} | {1}", commutative=True)
bitwise_xor = elementwise(np.bitwise_xor, None, "{0} ^ {1}", commutative=True)
invert = elementwise(np.invert, None, "~{0}")
left_shift = elementwise(np.left_shift, None, "left_shift({0}, {1})")
right_shift = elementwise(np.right_shift, None, "right_shift({0}, {1})")
gcd = elementwise(np.gcd, None, "gcd({0}, {1})", weight=50, commutative=True)
lcm = elementwise(np.lcm, None, "lcm({0}, {1})", weight=60, commutative=True)

# --- selection ------------------------------------------------------------------------------------


def _where_jvp(tangents: tuple[Any, ...], y: Any, condition: Any, a: Any, b: Any) -> Any:
    zero = np.zeros((), y.dtype)
    _, da, db = (zero if t is None else t for t in tangents)
    return np.where(condition, da, db)


def _where_vjp(ct: Any, y: Any, condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
    zero = np.zeros((), y.dtype)
    return None, np.where(condition, ct, zero), np.where(condition, zero, ct)


where = elementwise_function(
    "where",
    np.where,
    lambda condition, a, b: a,
    None,
    "where({0}, {1}, {2})",
    jvp=_where_jvp,
    vjp=_where_vjp,
    masks=True,
    parts="each",
)
