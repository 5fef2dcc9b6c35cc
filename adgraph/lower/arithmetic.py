"""Formulas of `vmath` that are exact: extremes, signs, division, integers, predicates.

Each writes LLVM IR for one scalar type and has NumPy's semantics: which operand an extreme takes
beside nan, the sign of a remainder, what a division by zero gives.
"""

from __future__ import annotations

import math

from adgraph.lower import native
from adgraph.lower.emitter import Emitter


def maximum(e: Emitter, a: str, b: str) -> str:
    """Write the larger operand, or nan."""
    return _extremum(e, a, b, "ge")


def minimum(e: Emitter, a: str, b: str) -> str:
    """Write the smaller operand, or nan."""
    return _extremum(e, a, b, "le")


def _order(e: Emitter, relation: str) -> str:
    if e.scalar.is_float:
        return "o" + relation
    return ("s" if e.scalar.is_signed else "u") + relation


def _extremum(e: Emitter, a: str, b: str, relation: str) -> str:
    chosen = e.compare(_order(e, relation), a, b)
    if e.scalar.is_float:
        chosen = e.logic("or", chosen, e.compare("uno", a, a))
    return e.select(chosen, a, b)


def fmax(e: Emitter, a: str, b: str) -> str:
    """Write the larger operand that is a number."""
    return _number_extremum(e, a, b, "ge")


def fmin(e: Emitter, a: str, b: str) -> str:
    """Write the smaller operand that is a number."""
    return _number_extremum(e, a, b, "le")


def _number_extremum(e: Emitter, a: str, b: str, relation: str) -> str:
    """Return the extremum which prefers a number to nan."""
    chosen = e.compare(_order(e, relation), a, b)
    if e.scalar.is_float:
        chosen = e.logic("or", chosen, e.compare("uno", b, b))
    return e.select(chosen, a, b)


def absolute(e: Emitter, x: str) -> str:
    """Write the magnitude."""
    if e.scalar.is_float:
        return e.abs(x)
    if not e.scalar.is_signed:
        return x
    return e.select(e.compare("slt", x, 0), e.binary("sub", 0, x), x)


def sign(e: Emitter, x: str) -> str:
    """Write -1, 0 or 1, or nan."""
    if e.scalar.is_float:
        y = e.select(e.compare("ogt", x, 0.0), 1.0, 0.0)
        y = e.select(e.compare("olt", x, 0.0), -1.0, y)
        return e.select(e.compare("uno", x, x), x, y)
    y = e.select(e.compare("ne", x, 0), 1, 0)
    return e.select(e.compare("slt", x, 0), -1, y) if e.scalar.is_signed else y


def heaviside(e: Emitter, x: str, at_zero: str) -> str:
    """Write 0 below zero, 1 above it, and a value of its own at zero."""
    y = e.select(e.compare("ogt", x, 0.0), 1.0, 0.0)
    y = e.select(e.compare("oeq", x, 0.0), at_zero, y)
    return e.select(e.compare("uno", x, x), x, y)


def _rest(e: Emitter, a: str, b: str) -> str:
    """Write fmod(a, b): one exact step where the quotient is not large, else libm's many."""
    quotient = e.div(a, b)
    rest = e.fma(e.neg(e.intrinsic("trunc", quotient)), b, a)
    passed = e.compare("olt", e.mul(e.copysign(1.0, a), e.copysign(1.0, rest)), 0.0)
    beyond = e.logic("and", passed, e.compare("one", rest, 0.0))
    rest = e.select(beyond, e.add(rest, e.copysign(b, a)), rest)
    rest = e.copysign(rest, a)
    digits = 2.0 ** (52 if e.scalar.code == "f8" else 23)
    small = e.compare("olt", e.abs(quotient), digits)
    near = e.logic("and", small, e.compare("olt", e.abs(b), math.inf))
    function = "fmod" if e.scalar.code == "f8" else "fmodf"  # as an instruction it would run always
    e.declarations.add(f"declare {e.type} @{function}({e.type}, {e.type}) nounwind willreturn")
    e.lines += [
        f"  br i1 {near}, label %done, label %far",
        "far:",
        f"  %many = call {e.type} @{function}({e.type} {a}, {e.type} {b})",
        "  br label %done",
        "done:",
        f"  %rest = phi {e.type} [{rest}, %entry], [%many, %far]",
    ]
    return "%rest"


def _floored(e: Emitter, a: str, b: str) -> tuple[str, str]:
    """Return fmod(a, b) moved to the sign of b, and whether it was moved (NumPy's npy_divmod)."""
    rest = _rest(e, a, b) if native.has_fma() else e.binary("frem", a, b)
    signs_differ = e.logic("xor", e.compare("olt", rest, 0.0), e.compare("olt", b, 0.0))
    move = e.logic("and", e.compare("one", rest, 0.0), signs_differ)
    return rest, move


def remainder(e: Emitter, a: str, b: str) -> str:
    """Write the rest of a floored division."""
    if not e.scalar.is_float:
        return _integer_remainder(e, a, b)
    rest, move = _floored(e, a, b)
    moved = e.select(move, e.add(rest, b), rest)
    return e.select(e.compare("oeq", rest, 0.0), e.copysign(0.0, b), moved)


def floor_divide(e: Emitter, a: str, b: str) -> str:
    """Write the quotient rounded down."""
    if not e.scalar.is_float:
        return _integer_floor_divide(e, a, b)
    rest, move = _floored(e, a, b)
    exact = e.div(e.sub(a, rest), b)
    exact = e.select(move, e.sub(exact, 1.0), exact)
    floor = e.intrinsic("floor", exact)
    floor = e.select(e.compare("ogt", e.sub(exact, floor), 0.5), e.add(floor, 1.0), floor)
    quotient = e.div(a, b)
    zero = e.compare("oeq", exact, 0.0)
    result = e.select(zero, e.copysign(0.0, quotient), floor)
    return e.select(e.compare("oeq", b, 0.0), quotient, result)


def fmod(e: Emitter, a: str, b: str) -> str:
    """Write the rest of a division rounded towards zero."""
    if e.scalar.is_float:
        return _rest(e, a, b) if native.has_fma() else e.binary("frem", a, b)
    return _truncated(e, a, b)[1]


def _truncated(e: Emitter, a: str, b: str) -> tuple[str, str]:
    """Return a / b and a % b truncated towards zero, where dividing by 0 gives 0 and 0."""
    by_zero = e.compare("eq", b, 0)
    signed = e.scalar.is_signed
    trapping = e.logic("or", by_zero, e.compare("eq", b, -1)) if signed else by_zero
    safe = e.select(trapping, 1, b)
    prefix = "s" if signed else "u"
    quotient = e.binary(prefix + "div", a, safe)
    if signed:
        quotient = e.select(trapping, e.binary("sub", 0, a), quotient)
    rest = e.binary("sub", a, e.binary("mul", quotient, b))
    return e.select(by_zero, 0, quotient), e.select(by_zero, 0, rest)


def _integer_move(e: Emitter, rest: str, b: str) -> str:
    signs_differ = e.compare("slt", e.binary("xor", rest, b), 0)
    return e.logic("and", e.compare("ne", rest, 0), signs_differ)


def _integer_remainder(e: Emitter, a: str, b: str) -> str:
    _, rest = _truncated(e, a, b)
    if not e.scalar.is_signed:
        return rest
    return e.select(_integer_move(e, rest, b), e.binary("add", rest, b), rest)


def _integer_floor_divide(e: Emitter, a: str, b: str) -> str:
    quotient, rest = _truncated(e, a, b)
    if not e.scalar.is_signed:
        return quotient
    return e.select(_integer_move(e, rest, b), e.binary("sub", quotient, 1), quotient)


def integer_power(e: Emitter, a: str, b: str) -> str:
    """Square and multiply; a negative exponent gives the truncated quotient (NumPy refuses it)."""
    t = e.type
    e.lines += [
        "  br label %square",
        "square:",
        f"  %result = phi {t} [1, %entry], [%next_result, %square]",
        f"  %base = phi {t} [{a}, %entry], [%next_base, %square]",
        f"  %exponent = phi {t} [{b}, %entry], [%next_exponent, %square]",
        f"  %low = and {t} %exponent, 1",
        f"  %odd = icmp ne {t} %low, 0",
        f"  %factor = select i1 %odd, {t} %base, {t} 1",
        f"  %next_result = mul {t} %result, %factor",
        f"  %next_base = mul {t} %base, %base",
        f"  %next_exponent = lshr {t} %exponent, 1",
        f"  %more = icmp ne {t} %next_exponent, 0",
        "  br i1 %more, label %square, label %done",
        "done:",
    ]
    if not e.scalar.is_signed:
        return "%next_result"
    unit = e.logic("or", e.compare("eq", a, 1), e.compare("eq", a, -1))
    truncated = e.select(unit, "%next_result", 0)
    return e.select(e.compare("slt", b, 0), truncated, "%next_result")


def gcd(e: Emitter, a: str, b: str) -> str:
    """Run Euclid's algorithm on magnitudes."""
    t = e.type
    start_a, start_b = absolute(e, a), absolute(e, b)
    e.lines += [
        "  br label %head",
        "head:",
        f"  %u = phi {t} [{start_a}, %entry], [%v, %step]",
        f"  %v = phi {t} [{start_b}, %entry], [%rest, %step]",
        f"  %finished = icmp eq {t} %v, 0",
        "  br i1 %finished, label %done, label %step",
        "step:",
        f"  %rest = urem {t} %u, %v",
        "  br label %head",
        "done:",
    ]
    return "%u"


def lcm(e: Emitter, a: str, b: str) -> str:
    """Write the least common multiple."""
    divisor = e.call("gcd", a, b)
    safe = e.select(e.compare("eq", divisor, 0), 1, divisor)
    magnitude_a, magnitude_b = absolute(e, a), absolute(e, b)
    return e.binary("mul", e.binary("udiv", magnitude_a, safe), magnitude_b)


def _shift(e: Emitter, instruction: str, a: str, b: str, beyond: str | float) -> str:
    inside = e.compare("ult", b, e.scalar.bits)
    return e.select(inside, e.binary(instruction, a, e.select(inside, b, 0)), beyond)


def left_shift(e: Emitter, a: str, b: str) -> str:
    """Write a * 2**b, 0 where all bits leave."""
    return _shift(e, "shl", a, b, 0)


def right_shift(e: Emitter, a: str, b: str) -> str:
    """Write a / 2**b rounded down."""
    if not e.scalar.is_signed:
        return _shift(e, "lshr", a, b, 0)
    return _shift(e, "ashr", a, b, e.select(e.compare("slt", a, 0), -1, 0))


def _bits_below(e: Emitter, x: str, predicate: str) -> str:
    infinity = e.constant(math.inf)
    return e.emit(f"fcmp {predicate} {e.type} {e.abs(x)}, {infinity}")


def isnan(e: Emitter, x: str) -> str:
    """Tell nan from numbers."""
    return e.compare("uno", x, x)


def isinf(e: Emitter, x: str) -> str:
    """Tell infinities from the rest."""
    return _bits_below(e, x, "oeq")


def isfinite(e: Emitter, x: str) -> str:
    """Tell numbers from infinities and nan."""
    return _bits_below(e, x, "olt")


def signbit(e: Emitter, x: str) -> str:
    """Tell what has a sign, -0.0 as well."""
    return e.bits_compare("slt", e.to_bits(x), 0)
