"""Rules about arithmetic, powers, selections and conversions of elements: the table `ALGEBRA`.

Rules name ops by their ufuncs. "Zero signs" in `accepted` means that a zero may change its sign;
"ends of the range" that results may differ where an intermediate over- or underflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Kind
from adgraph.ops.constant import convert
from adgraph.ops.elementwise import multiply_no_nan, where
from adgraph.ops.shape import broadcast, reshape
from adgraph.passes.rules import LITERAL, Rule, Site, equals, literal, same
from adgraph.tracing.tracer import as_tracer

# --- operands that are broadcast -----------------------------------------------------------------


def _strip_broadcasts(site: Site) -> Any:
    """Ops broadcast by themselves, and what is the same everywhere is computed once."""
    args = tuple(_narrow(site, x) for x in site.args)
    if all(new is old for new, old in zip(args, site.args, strict=True)):
        return None
    return site.fitted(site.op(*args, **site.attrs))


def _narrow(site: Site, x: Any) -> Any:
    """Return an operand before it was broadcast."""
    if not x.shape:
        return x
    number = literal(x)
    if number is not None:
        return as_tracer(np.asarray(number, x.dtype))
    stretched = site.made(x, broadcast)
    if stretched is not None:
        return stretched.args[0]
    inner = site.made(x, reshape)
    if inner is None:
        return x
    source = inner.args[0]
    lead = x.ndim - source.ndim
    return source if lead > 0 and (1,) * lead + source.shape == x.shape else x


# --- sums and differences ------------------------------------------------------------------------


def _add_zero(site: Site) -> Any:
    a, b = site.args
    if equals(b, 0):
        return site.fitted(a)
    return site.fitted(b) if equals(a, 0) else None


def _subtract_zero(site: Site) -> Any:
    a, b = site.args
    return site.fitted(a) if equals(b, 0) else None


def _zero_minus(site: Site) -> Any:
    a, b = site.args
    return site.fitted(-b) if equals(a, 0) else None


def _add_negative(site: Site) -> Any:
    a, b = site.args
    if (negative := site.made(b, np.negative)) is not None:
        return a - negative.args[0]
    if (negative := site.made(a, np.negative)) is not None:
        return b - negative.args[0]
    return None


def _subtract_negative(site: Site) -> Any:
    a, b = site.args
    negative = site.made(b, np.negative)
    return None if negative is None else a + negative.args[0]


def _negative_of_negative(site: Site) -> Any:
    inner = site.made(site.args[0], np.negative)
    return None if inner is None else inner.args[0]


def _negative_of_difference(site: Site) -> Any:
    inner = site.made(site.args[0], np.subtract)
    if inner is None or len(inner.readers) > 1:
        return None
    return inner.args[1] - inner.args[0]


# --- products and quotients ----------------------------------------------------------------------


def _multiply_one(site: Site) -> Any:
    a, b = site.args
    if equals(b, 1):
        return site.fitted(a)
    return site.fitted(b) if equals(a, 1) else None


def _divide_one(site: Site) -> Any:
    a, b = site.args
    return site.fitted(a) if equals(b, 1) else None


def _multiply_minus_one(site: Site) -> Any:
    a, b = site.args
    if site.type.dtype.kind not in "ifc":
        return None
    if equals(b, -1):
        return site.fitted(-a)
    return site.fitted(-b) if equals(a, -1) else None


def _negative_factor(site: Site) -> Any:
    """Signs move outwards, where they meet other signs, or into a literal."""
    a, b = site.args
    for x, other, swap in ((a, b, False), (b, a, True)):
        inner = site.made(x, np.negative)
        if inner is None or site.type.dtype.kind not in "ifc":
            continue
        factors = (other, inner.args[0]) if swap else (inner.args[0], other)
        number = literal(other)
        if number is not None and number.dtype.kind in "fc":
            opposite = site.number(-number)
            factors = (opposite, inner.args[0]) if swap else (inner.args[0], opposite)
            return site.fitted(site.op(*factors))
        if x.shape == site.type.shape:
            return -site.op(*factors)
    return None


def _negative_of_scaled(site: Site) -> Any:
    """-(2 x) is (-2) x."""
    inner = site.made(site.args[0], np.multiply)
    if inner is None or len(inner.readers) > 1:
        return None
    for number, x in (inner.args, inner.args[::-1]):
        value = literal(number)
        if value is not None and value.dtype.kind in "fc":
            return site.fitted(site.number(-value) * x)
    return None


def _square_of_factor(site: Site) -> Any:
    a, b = site.args
    return np.square(a) if same(a, b) and site.type.dtype.kind in "iuf" else None


def _power_of_two(number: Any) -> bool:
    if number is None or number.dtype.kind != "f" or not np.isfinite(number) or number == 0:
        return False
    return abs(math.frexp(float(number))[0]) == 0.5


def _divide_by_power_of_two(site: Site) -> Any:
    a, b = site.args
    number = literal(b)
    if not _power_of_two(number):
        return None
    inverse = site.type.dtype.type(1) / number
    return site.fitted(a * site.number(inverse)) if np.isfinite(inverse) and inverse else None


def _scale_twice(site: Site) -> Any:
    """Two literal factors become one if that is exact."""
    for number, x in (site.args, site.args[::-1]):
        outer = literal(number)
        inner = site.made(x, np.multiply)
        if outer is None or inner is None or site.type.dtype.kind != "f":
            continue
        for factor, rest in (inner.args, inner.args[::-1]):
            first = literal(factor)
            if first is None or not (_power_of_two(first) or _power_of_two(outer)):
                continue
            with np.errstate(all="ignore"):
                scale = first * outer
            if np.isfinite(scale) and abs(scale) >= np.finfo(scale.dtype).tiny:
                return site.fitted(site.number(scale) * rest)
    return None


def _scale_both(site: Site) -> Any:
    """(c x) (d y) has one factor if c and d are powers of two: c d, exactly."""
    first, second = (_power_and_rest(site, x) for x in site.args)
    if first is None or second is None:
        return None
    (c, x), (d, y) = first, second
    if abs(math.frexp(float(c))[1] + math.frexp(float(d))[1]) > MODERATE_EXPONENT:
        return None
    return site.fitted(site.number(c * d) * (x * y))


MODERATE_EXPONENT = 100


def _power_and_rest(site: Site, x: Any) -> tuple[Any, Any] | None:
    product = site.made(x, np.multiply)
    if product is None:
        return None
    for factor, rest in (product.args, product.args[::-1]):
        number = literal(factor)
        if _power_of_two(number):
            return number, rest
    return None


def _no_nan_by_literal(site: Site) -> Any:
    ct, p = site.args
    partial, first = literal(p), literal(ct)
    if first is not None and first == 0:
        return site.filled(0)
    if partial is not None and np.isfinite(partial):
        return ct * p
    return ct * p if first is not None else None


# --- powers and roots ----------------------------------------------------------------------------


def _inverse(x: Any) -> Any:
    return np.reciprocal(x) if x.dtype.kind == "f" else None


def _root(x: Any) -> Any:
    return np.sqrt(x) if x.dtype.kind == "f" else None


def _ones(x: Any) -> Any:
    return np.broadcast_to(as_tracer(np.ones((), x.dtype)), x.shape)


POWERS: dict[float, Callable[[Any], Any]] = {
    0.0: _ones,
    1.0: lambda x: x,
    2.0: np.square,
    3.0: lambda x: np.square(x) * x,
    4.0: lambda x: np.square(np.square(x)),
    5.0: lambda x: np.square(np.square(x)) * x,
    6.0: lambda x: np.square(np.square(x) * x),
    7.0: lambda x: np.square(np.square(x) * x) * x,
    8.0: lambda x: np.square(np.square(np.square(x))),
    -1.0: _inverse,
    0.5: _root,
    -0.5: lambda x: None if x.dtype.kind != "f" else _inverse(np.sqrt(x)),
}


# The derivatives of these products are nan at 0 and beyond the range earlier than that of a power.
SETTLED_POWERS: dict[float, Callable[[Any], Any]] = {
    -2.0: lambda x: np.square(np.reciprocal(x)),
    -3.0: lambda x: np.square(np.reciprocal(x)) * np.reciprocal(x),
    -4.0: lambda x: np.square(np.square(np.reciprocal(x))),
    1.5: lambda x: x * np.sqrt(x),
    2.5: lambda x: np.square(x) * np.sqrt(x),
}


def _literal_power(site: Site, powers: dict[float, Callable[[Any], Any]] = POWERS) -> Any:
    base, exponent = site.args
    number = literal(exponent)
    if number is None or base.dtype != site.type.dtype or number.dtype.kind not in "iuf":
        return None
    if float(number) not in powers:
        return None
    result = powers[float(number)](base)
    return None if result is None else site.fitted(result)


def settled_power(site: Site) -> Any:
    """Write a power that is not derived any more as a product."""
    return _literal_power(site, SETTLED_POWERS) if site.type.dtype.kind == "f" else None


def _root_of_square(site: Site) -> Any:
    inner = site.made(site.args[0], np.square)
    return None if inner is None or site.type.dtype.kind != "f" else np.absolute(inner.args[0])


def _even_of_sign(site: Site) -> Any:
    """Squares and absolute values do not see a sign."""
    inner = site.made(site.args[0], np.negative, np.absolute)
    if inner is None or inner.args[0].dtype != site.type.dtype:
        return None
    negative_only = site.type.dtype.kind == "c" and inner.op.numpy is np.absolute
    return None if negative_only else site.op(inner.args[0])


def _absolute_of_square(site: Site) -> Any:
    inner = site.made(site.args[0], np.square)
    return None if inner is None or site.type.dtype.kind != "f" else site.args[0]


# --- selections and conversions ------------------------------------------------------------------


def _positive(site: Site) -> Any:
    return site.args[0]


def _extremum_of_same(site: Site) -> Any:
    a, b = site.args
    return site.fitted(a) if same(a, b) else None


def _where_same(site: Site) -> Any:
    _, a, b = site.args
    return site.fitted(a) if same(a, b) else None


def _where_known(site: Site) -> Any:
    condition, a, b = site.args
    known = literal(condition)
    if known is None:
        return None
    return site.fitted(a if known else b)


def _where_not(site: Site) -> Any:
    condition, a, b = site.args
    inner = site.made(condition, np.logical_not, np.invert)
    if inner is None or inner.args[0].dtype != bool:
        return None
    return site.fitted(site.op(inner.args[0], b, a))


def _where_again(site: Site) -> Any:
    """What a selection by the same condition cannot choose is left out."""
    condition, a, b = site.args
    chosen, other = site.made(a, where), site.made(b, where)
    if chosen is not None and same(chosen.args[0], condition):
        return site.fitted(site.op(condition, chosen.args[1], b))
    if other is not None and same(other.args[0], condition):
        return site.fitted(site.op(condition, a, other.args[2]))
    return None


def _convert_to_same(site: Site) -> Any:
    return site.fitted(site.args[0])


def _convert_twice(site: Site) -> Any:
    inner = site.made(site.args[0], convert)
    if inner is None:
        return None
    source = inner.args[0]
    if not _keeps(source.dtype, inner.type.dtype, site.type.dtype):
        return None
    return as_tracer(source, site.type.dtype)


def _keeps(source: np.dtype[Any], middle: np.dtype[Any], end: np.dtype[Any]) -> bool:
    """Tell whether a conversion over a middle dtype is the direct one."""
    if not np.can_cast(source, middle, "safe") or (source.kind == "f" and end.kind in "biu"):
        return False
    if source.kind in "iu" and middle.kind in "fc":
        part = np.finfo(middle)
        return source.itemsize * 8 <= part.nmant + 1 and end.kind in "fc"
    return middle.kind != "c" or end.kind == "c"


ZERO_SIGNS = "zero signs"
RANGE = "ends of the range"

ALGEBRA = (
    Rule("strip broadcasts", (Kind.ELEMENTWISE,), _strip_broadcasts, "", LITERAL, arrays=True),
    Rule("x + 0", (np.add,), _add_zero, ZERO_SIGNS, LITERAL),
    Rule("x - 0", (np.subtract,), _subtract_zero, ZERO_SIGNS, LITERAL),
    Rule("0 - x", (np.subtract,), _zero_minus, ZERO_SIGNS, LITERAL),
    Rule("x + -y", (np.add,), _add_negative, behind=(np.negative,)),
    Rule("x - -y", (np.subtract,), _subtract_negative, behind=(np.negative,)),
    Rule("-(-x)", (np.negative,), _negative_of_negative, behind=(np.negative,)),
    Rule("-(x - y)", (np.negative,), _negative_of_difference, ZERO_SIGNS, (np.subtract,)),
    Rule("x * 1", (np.multiply,), _multiply_one, behind=LITERAL),
    Rule("x / 1", (np.divide,), _divide_one, behind=LITERAL),
    Rule("x * -1", (np.multiply,), _multiply_minus_one, behind=LITERAL),
    Rule("-x * y", (np.multiply, np.divide), _negative_factor, behind=(np.negative,)),
    Rule("-(c * x)", (np.negative,), _negative_of_scaled, behind=(np.multiply,)),
    Rule("x * x", (np.multiply,), _square_of_factor),
    Rule("x / power of two", (np.divide,), _divide_by_power_of_two, behind=LITERAL),
    Rule("c * (d * x)", (np.multiply,), _scale_twice, RANGE, (np.multiply,)),
    Rule("c * x * (d * y)", (np.multiply,), _scale_both, RANGE, (np.multiply,)),
    Rule(
        "product guarded for nothing", (multiply_no_nan,), _no_nan_by_literal, ZERO_SIGNS, LITERAL
    ),
    Rule("literal power", (np.power,), _literal_power, "rounding, " + RANGE, LITERAL),
    Rule("sqrt of square", (np.sqrt,), _root_of_square, "rounding, " + RANGE, (np.square,)),
    Rule("even of sign", (np.square, np.absolute), _even_of_sign),
    Rule("absolute of square", (np.absolute,), _absolute_of_square),
    Rule("+x", (np.positive,), _positive),
    Rule("extremum of same", (np.maximum, np.minimum, np.fmax, np.fmin), _extremum_of_same),
    Rule("where of same", (where,), _where_same),
    Rule("where of known", (where,), _where_known),
    Rule("where of not", (where,), _where_not),
    Rule("where in where", (where,), _where_again),
    Rule("convert to same", (convert,), _convert_to_same),
    Rule("convert twice", (convert,), _convert_twice),
)
