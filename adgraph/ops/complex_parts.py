"""Functions of complex numbers by their real and imaginary parts, in plain NumPy on real arrays.

Kernels know real numbers only: `adgraph.passes.parts` replaces every complex value of a program by
a `Pair`, and asks each op's record (`Op.parts`) for what the op makes of pairs. A part that is
`None` is zero everywhere; at most one of them is. Formulas with branch cuts follow Kahan, Branch
Cuts for Complex Elementary Functions, 1987; the quotient is Smith's, CACM 5 (1962).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LN2 = math.log(2.0)
LN10 = math.log(10.0)
FAR = 22.0  # tanh is 1 in float64 from here on


class Pair(NamedTuple):
    """The parts of a complex array."""

    real: Any
    imag: Any


Parts = Callable[..., Any]

# --- parts that may be zero -----------------------------------------------------------------------


def plus(a: Any, b: Any) -> Any:
    """Add two parts."""
    if a is None:
        return b
    return a if b is None else a + b


def minus(a: Any, b: Any) -> Any:
    """Subtract two parts."""
    if b is None:
        return a
    return -b if a is None else a - b


def times(a: Any, b: Any) -> Any:
    """Multiply two parts."""
    return None if a is None or b is None else a * b


def filled(z: Pair) -> tuple[Any, Any]:
    """Return both parts as arrays."""
    real = np.zeros_like(z.imag) if z.real is None else z.real
    return real, np.zeros_like(real) if z.imag is None else z.imag


def as_pair(x: Any) -> Pair:
    """Return a pair as it is, and a real array as one."""
    return x if isinstance(x, Pair) else Pair(x, None)


def on_filled(function: Callable[..., Any]) -> Parts:
    """Make parts of a function of both parts of every operand."""
    return lambda *operands: function(*(part for z in operands for part in filled(as_pair(z))))


def each(op: Callable[..., Any]) -> Parts:
    """Make parts of an op that does the same to both parts of its operands."""

    def parts(*operands: Any, **attrs: Any) -> Pair:
        return Pair(_one(op, operands, attrs, 0), _one(op, operands, attrs, 1))

    return parts


def _one(op: Callable[..., Any], operands: tuple[Any, ...], attrs: Any, side: int) -> Any:
    """Apply an op to one part of every pair; zero if all of those are."""
    if all(z[side] is None for z in operands if isinstance(z, Pair)):
        return None
    chosen = (
        (np.zeros_like(z[1 - side]) if z[side] is None else z[side]) if isinstance(z, Pair) else z
        for z in operands
    )
    return op(*chosen, **attrs)


# --- arithmetic -----------------------------------------------------------------------------------


def add(z: Any, w: Any) -> Pair:
    """Add numbers."""
    a, b = as_pair(z), as_pair(w)
    return Pair(plus(a.real, b.real), plus(a.imag, b.imag))


def subtract(z: Any, w: Any) -> Pair:
    """Subtract numbers."""
    a, b = as_pair(z), as_pair(w)
    return Pair(minus(a.real, b.real), minus(a.imag, b.imag))


def multiply(z: Any, w: Any) -> Pair:
    """Multiply numbers."""
    return product(times, z, w)


def product(bilinear: Callable[[Any, Any], Any], z: Any, w: Any) -> Pair:
    """Apply a bilinear function of real arrays to pairs."""
    (a, b), (c, d) = as_pair(z), as_pair(w)
    real = minus(_applied(bilinear, a, c), _applied(bilinear, b, d))
    return Pair(real, plus(_applied(bilinear, a, d), _applied(bilinear, b, c)))


def _applied(bilinear: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    return None if a is None or b is None else bilinear(a, b)


def divide(z: Any, w: Any) -> Pair:
    """Scale by the larger part of the divisor, whose square might overflow."""
    (a, b), (c, d) = as_pair(z), as_pair(w)
    if d is None:
        return Pair(None if a is None else a / c, None if b is None else b / c)
    if c is None:
        return Pair(None if b is None else b / d, None if a is None else -a / d)
    flat = np.abs(c) >= np.abs(d)
    ratio = np.where(flat, d, c) / np.where(flat, c, d)
    scale = 1.0 / (np.where(flat, c, d) + np.where(flat, d, c) * ratio)
    a, b = filled(Pair(a, b))
    real = np.where(flat, a + b * ratio, a * ratio + b) * scale
    return Pair(real, np.where(flat, b - a * ratio, b * ratio - a) * scale)


def reciprocal(z: Pair) -> Pair:
    """Divide 1 by a number."""
    return divide(Pair(np.ones_like(filled(z)[0]), None), z)


def negative(z: Pair) -> Pair:
    """Change the sign."""
    return Pair(minus(None, z.real), minus(None, z.imag))


def conjugate(z: Pair) -> Pair:
    """Change the sign of the imaginary part."""
    return Pair(z.real, minus(None, z.imag))


def square(z: Pair) -> Pair:
    """Multiply a number by itself."""
    return multiply(z, z)


def absolute(z: Pair) -> Any:
    """Return the distance from 0."""
    if z.real is None or z.imag is None:
        return np.abs(z.imag if z.real is None else z.real)
    return np.hypot(z.real, z.imag)


def one_minus_square(z: Pair) -> Pair:
    """Multiply 1 - z by 1 + z."""
    return multiply(Pair(minus(1.0, z.real), minus(None, z.imag)), Pair(plus(1.0, z.real), z.imag))


def multiply_no_nan(z: Any, w: Any) -> Pair:
    """A product that is zero wherever its first factor is."""
    zero = np.logical_not(nonzero(as_pair(z)))
    real, imag = multiply(z, w)
    return Pair(
        *(None if x is None else np.where(zero, np.zeros((), x.dtype), x) for x in (real, imag))
    )


def prod(z: Pair, *, axis: tuple[int, ...]) -> Pair:
    """Multiply the elements over axes: halves by halves."""
    real, imag = (np.moveaxis(part, axis, tuple(range(len(axis)))) for part in filled(z))
    rest = real.shape[len(axis) :]
    count = math.prod(real.shape[: len(axis)])
    total = Pair(np.reshape(real, (count, *rest)), np.reshape(imag, (count, *rest)))
    if not count:
        return Pair(np.ones(rest, real.dtype), None)
    while (n := total.real.shape[0]) > 1:
        half = n // 2
        low, high = (Pair(*(x[i : i + half] for x in total)) for i in (0, half))
        folded = multiply(low, high)
        rest_of = [x[2 * half :] for x in total]
        total = Pair(*(np.concatenate(both) for both in zip(folded, rest_of, strict=True)))
    return Pair(total.real[0], total.imag[0])


def recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Pair:
    """Solve z[k] = a[k] z[k-1] + b[k] in log n steps, of which each doubles the reach."""
    factors, totals = (
        Pair(*(_ahead(x, axis, reverse) for x in filled(as_pair(z)))) for z in (a, b)
    )
    reach, n = 1, totals.real.shape[0]
    while reach < n:
        low, high = (Pair(*(x[:-reach] for x in z)) for z in (factors, totals))
        late = Pair(*(x[reach:] for x in factors))
        added = add(multiply(late, high), Pair(*(x[reach:] for x in totals)))
        scaled = multiply(late, low)
        totals, factors = _joined(totals, added, reach), _joined(factors, scaled, reach)
        reach *= 2
    return Pair(*(_back(x, axis, reverse) for x in totals))


def _ahead(x: Any, axis: int, reverse: bool) -> Any:
    first = np.moveaxis(x, axis, 0)
    return first[::-1] if reverse else first


def _back(x: Any, axis: int, reverse: bool) -> Any:
    return np.moveaxis(x[::-1] if reverse else x, 0, axis)


def _joined(old: Pair, new: Pair, reach: int) -> Pair:
    """Keep the first elements, which reach the beginning already."""
    return Pair(*(np.concatenate((x[:reach], y)) for x, y in zip(old, new, strict=True)))


# --- exponentials, logarithms and roots -----------------------------------------------------------


def exp(z: Pair) -> Pair:
    """Turn e**a by the angle b."""
    a, b = z
    if b is None:
        return Pair(np.exp(a), None)
    if a is None:
        return Pair(np.cos(b), np.sin(b))
    size = np.exp(a)
    return Pair(size * np.cos(b), size * np.sin(b))


def exp2(z: Pair) -> Pair:
    """Return exp(z log 2)."""
    return exp(Pair(times(z.real, LN2), times(z.imag, LN2)))


@on_filled
def expm1(a: Any, b: Any) -> Pair:
    """Take 1 from the cosine by the sine of the half."""
    half = np.sin(0.5 * b)
    return Pair(np.expm1(a) * np.cos(b) - 2.0 * half * half, np.exp(a) * np.sin(b))


@on_filled
def log(a: Any, b: Any) -> Pair:
    """Near the unit circle, log |z| by the logarithm of |z|**2 - 1."""
    size = np.hypot(a, b)
    large = np.maximum(np.abs(a), np.abs(b))
    small = np.minimum(np.abs(a), np.abs(b))
    near = (size > 0.5) & (size < 3.0)
    excess = np.where(near, (large - 1.0) * (large + 1.0) + small * small, 0.0)
    safe = np.where(near, np.ones_like(size), size)
    return Pair(np.where(near, 0.5 * np.log1p(excess), np.log(safe)), np.arctan2(b, a))


def _log_of_base(scale: float) -> Parts:
    def parts(z: Pair) -> Pair:
        real, imag = log(z)
        return Pair(real * scale, imag * scale)

    return parts


log2 = _log_of_base(1.0 / LN2)
log10 = _log_of_base(1.0 / LN10)


@on_filled
def log1p(a: Any, b: Any) -> Pair:
    """Return log(1 + z), near 0 without forming 1 + z."""
    near = np.hypot(a, b) < 0.5
    excess = np.where(near, a * (2.0 + a) + b * b, 0.0)
    far, angle = log(Pair(1.0 + a, b))
    return Pair(np.where(near, 0.5 * np.log1p(excess), far), angle)


@on_filled
def sqrt(a: Any, b: Any) -> Pair:
    """The part that does not cancel from |z| + |a|, the other one from their product b / 2."""
    large = np.sqrt(0.5 * np.hypot(a, b) + 0.5 * np.abs(a))
    small = 0.5 * b / np.where(large == 0, np.ones_like(large), large)
    right = a >= 0
    return Pair(
        np.where(right, large, np.abs(small)), np.where(right, small, np.copysign(large, b))
    )


def power(z: Any, w: Any) -> Pair:
    """exp(w log z); 0 to a power is 0, and 1 for the exponent 0."""
    base, exponent = as_pair(z), as_pair(w)
    zero = np.logical_not(nonzero(base))
    a, b = filled(base)
    safe = Pair(np.where(zero, np.ones_like(a), a), b)
    found = exp(multiply(exponent, log(safe)))
    at_zero = np.where(nonzero(exponent), 0.0, 1.0)
    real, imag = filled(found)
    return Pair(np.where(zero, at_zero, real), np.where(zero, 0.0, imag))


@on_filled
def rint(a: Any, b: Any) -> Pair:
    """Round both parts."""
    return Pair(np.rint(a), np.rint(b))


# --- trigonometric and hyperbolic functions -------------------------------------------------------


@on_filled
def sin(a: Any, b: Any) -> Pair:
    """Take sin a cosh b and cos a sinh b."""
    return Pair(np.sin(a) * np.cosh(b), np.cos(a) * np.sinh(b))


@on_filled
def cos(a: Any, b: Any) -> Pair:
    """Take cos a cosh b and -sin a sinh b."""
    return Pair(np.cos(a) * np.cosh(b), -(np.sin(a) * np.sinh(b)))


@on_filled
def sinh(a: Any, b: Any) -> Pair:
    """Take sinh a cos b and cosh a sin b."""
    return Pair(np.sinh(a) * np.cos(b), np.cosh(a) * np.sin(b))


@on_filled
def cosh(a: Any, b: Any) -> Pair:
    """Take cosh a cos b and sinh a sin b."""
    return Pair(np.cosh(a) * np.cos(b), np.sinh(a) * np.sin(b))


@on_filled
def tanh(a: Any, b: Any) -> Pair:
    """From tan(b) and sinh(a), and beyond `FAR` from what is left of them."""
    far = np.abs(a) > FAR
    s = np.sinh(np.where(far, np.zeros_like(a), a))
    t = np.tan(b)
    beta = 1.0 + t * t
    below = 1.0 + beta * s * s
    rest = 4.0 * np.sin(b) * np.cos(b) * np.exp(-2.0 * np.abs(a))
    real = beta * np.sqrt(1.0 + s * s) * s / below
    return Pair(np.where(far, np.copysign(1.0, a), real), np.where(far, rest, t / below))


def _turned(function: Parts) -> Parts:
    """Make the parts of -i f(i z)."""

    def parts(z: Any) -> Pair:
        a, b = filled(as_pair(z))
        real, imag = function(Pair(-b, a))
        return Pair(imag, -real)

    return parts


tan = _turned(tanh)  # tan(z) = -i tanh(i z)


def _roots(z: Any) -> tuple[Pair, Pair]:
    """Return the square roots of 1 - z and 1 + z."""
    a, b = filled(as_pair(z))
    return sqrt(Pair(1.0 - a, -b)), sqrt(Pair(1.0 + a, b))


def _imag_of_product(z: Pair, w: Pair) -> Any:
    """Return the imaginary part of conj(z) w."""
    return z.real * w.imag - z.imag * w.real


def arcsin(z: Any) -> Pair:
    """Return Kahan's arcsin."""
    less, more = _roots(z)
    below = less.real * more.real - less.imag * more.imag
    return Pair(np.arctan2(filled(as_pair(z))[0], below), np.arcsinh(_imag_of_product(less, more)))


def arccos(z: Any) -> Pair:
    """Return Kahan's arccos."""
    less, more = _roots(z)
    real = 2.0 * np.arctan2(less.real, more.real)
    return Pair(real, np.arcsinh(_imag_of_product(more, less)))


arcsinh = _turned(arcsin)


@on_filled
def arccosh(a: Any, b: Any) -> Pair:
    """Return Kahan's arccosh."""
    less, more = sqrt(Pair(a - 1.0, b)), sqrt(Pair(a + 1.0, b))
    real = np.arcsinh(less.real * more.real + less.imag * more.imag)
    return Pair(real, 2.0 * np.arctan2(less.imag, more.real))


@on_filled
def arctanh(a: Any, b: Any) -> Pair:
    """Return the half difference of the logarithms of 1 + z and 1 - z."""
    real = 0.25 * np.log1p(4.0 * a / ((1.0 - a) * (1.0 - a) + b * b))
    return Pair(real, 0.5 * np.arctan2(2.0 * b, (1.0 - a) * (1.0 + a) - b * b))


arctan = _turned(arctanh)


def sinc(z: Pair) -> Pair:
    """Return sin(pi z) / (pi z), and 1 at 0."""
    scaled = Pair(times(z.real, math.pi), times(z.imag, math.pi))
    zero = np.logical_not(nonzero(z))
    a, b = filled(scaled)
    real, imag = divide(sin(scaled), Pair(np.where(zero, np.ones_like(a), a), b))
    return Pair(np.where(zero, 1.0, real), np.where(zero, 0.0, imag))


# --- predicates -----------------------------------------------------------------------------------


def nonzero(z: Any) -> Any:
    """Tell where a number is not zero."""
    parts = [part != 0 for part in as_pair(z) if part is not None]
    return parts[0] if len(parts) == 1 else parts[0] | parts[1]


@on_filled
def isnan(a: Any, b: Any) -> Any:
    """Tell whether a part is nan."""
    return np.isnan(a) | np.isnan(b)


@on_filled
def isinf(a: Any, b: Any) -> Any:
    """Tell whether a part is infinite."""
    return np.isinf(a) | np.isinf(b)


@on_filled
def isfinite(a: Any, b: Any) -> Any:
    """Tell whether both parts are finite."""
    return np.isfinite(a) & np.isfinite(b)


def logical(ufunc: np.ufunc) -> Parts:
    """Make the parts of a function of truth values."""
    return lambda *operands: ufunc(*map(nonzero, operands))


# The parts of elementwise ops, by their names; `adgraph.ops.complex_order` has those that compare.
PARTS: dict[str, Parts] = {
    **{
        function.__name__: function
        for function in (
            *(add, subtract, multiply, divide, reciprocal, negative, conjugate, square, absolute),
            *(one_minus_square, multiply_no_nan, power, sinc, exp, exp2, arcsin, arccos),
        )
    },
    "positive": as_pair,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "sqrt": sqrt,
    "rint": rint,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "arctan": arctan,
    "arcsinh": arcsinh,
    "arccosh": arccosh,
    "arctanh": arctanh,
    "isnan": isnan,
    "isinf": isinf,
    "isfinite": isfinite,
    "logical_and": logical(np.logical_and),
    "logical_or": logical(np.logical_or),
    "logical_xor": logical(np.logical_xor),
    "logical_not": logical(np.logical_not),
}
