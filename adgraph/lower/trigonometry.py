"""Own sine and cosine in float64.

Both write the same reduction and the same two polynomials of one quarter turn, which LLVM computes
once where a loop needs both: the pair takes half the time of libmvec's two functions, and each
alone about theirs. They need fused multiply-add. The polynomials are fdlibm's (k_sin.c, k_cos.c,
Sun Microsystems, 1993), the reduction is Cody and Waite's (Software Manual for the Elementary
Functions, 1980) with exact products. Begin with `sin`.
"""

from __future__ import annotations

from collections.abc import Callable

from adgraph.lower.emitter import Emitter

Libm = Callable[..., str]
TWO_OVER_PI = 0.6366197723675814
HALF_PI = (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32)
ROUND_TO_INTEGER = 6755399441055744.0
LARGEST_REDUCED = 2.0**27  # beyond it three parts of pi / 2 are not enough near its multiples
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


def sin(e: Emitter, x: str, libm: Libm) -> str:
    """Write the sine; `libm` writes that of large arguments."""
    turns, sine, cosine = _quarter(e, x)
    return _beyond(e, x, _turned(e, turns, sine, cosine), libm)


def cos(e: Emitter, x: str, libm: Libm) -> str:
    """Write the cosine; `libm` writes that of large arguments."""
    turns, sine, cosine = _quarter(e, x)
    return _beyond(e, x, _turned(e, e.bits("add", turns, 1), sine, cosine), libm)


def _quarter(e: Emitter, x: str) -> tuple[str, str, str]:
    """Return the number of quarter turns nearest to x, and sine and cosine of the rest.

    The number is in the last bits of an integer. -0.0 keeps its sign.
    """
    shifted = e.fma(x, TWO_OVER_PI, ROUND_TO_INTEGER)
    number = e.sub(shifted, ROUND_TO_INTEGER)
    rest = x
    for part in HALF_PI:
        rest = e.fma(number, -part, rest)
    z = e.mul(rest, rest)
    sine = e.fma(e.mul(z, rest), e.polynomial(z, SIN_TERMS), rest)
    cosine = e.fma(z, e.fma(z, e.polynomial(z, COS_TERMS), -0.5), 1.0)
    return e.to_bits(shifted), e.copysign(sine, rest), cosine


def _turned(e: Emitter, turns: str, sine: str, cosine: str) -> str:
    """Return the sine of an angle and some quarter turns."""
    odd = e.bits_compare("ne", e.bits("and", turns, 1), 0)
    sign = e.bits("shl", e.bits("and", turns, 2), 62)
    return e.from_bits(e.bits("xor", e.to_bits(e.select(odd, cosine, sine)), sign))


def _beyond(e: Emitter, x: str, near: str, libm: Libm) -> str:
    return e.rarely(e.compare("ogt", e.abs(x), LARGEST_REDUCED), near, lambda: libm(e, x))
