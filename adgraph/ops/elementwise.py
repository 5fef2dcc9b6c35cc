"""Arithmetic, comparisons, logic and the transcendental ufuncs of NumPy: one row each.

A row names the ufunc, its partials by every operand (`y` is the result) and the expression of one
element. Partials are written to be accurate over the whole range, not only correct on paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ops.kinds import elementwise, elementwise_function

# --- arithmetic -----------------------------------------------------------------------------

add = elementwise(np.add, lambda y, a, b: (1, 1), "{0} + {1}")
subtract = elementwise(np.subtract, lambda y, a, b: (1, -1), "{0} - {1}")
multiply = elementwise(np.multiply, lambda y, a, b: (b, a), "{0} * {1}")
divide = elementwise(
    np.divide, lambda y, a, b: (1.0 / b, -y / b), "{0} / {1}", weight=4, singular=True
)
negative = elementwise(np.negative, lambda y, x: (-1,), "-{0}")
positive = elementwise(np.positive, lambda y, x: (1,), "{0}")
reciprocal = elementwise(
    np.reciprocal, lambda y, x: (-y * y,), "reciprocal({0})", weight=4, singular=True
)
square = elementwise(np.square, lambda y, x: (2.0 * x,), "{0} * {0}")
absolute = elementwise(np.absolute, lambda y, x: (np.sign(x),), "absolute({0})")  # 0 at 0
sign = elementwise(np.sign, None, "sign({0})")


def _multiply_no_nan(ct: Any, p: Any) -> Any:
    return np.where(ct == 0, np.zeros((), ct.dtype), ct * p)


# A product that is 0 wherever its first factor is, even where the second is infinite or nan:
# cotangents that a mask has zeroed stay zero. Its derivative by the first factor is the second one
# also where the product is 0, or second derivatives would vanish wherever a cotangent does.
multiply_no_nan = elementwise_function(
    "multiply_no_nan",
    _multiply_no_nan,
    lambda a, b: a,
    lambda y, ct, p: (p, ct),
    "multiply_no_nan({0}, {1})",
    weight=2,
)


# --- selection ------------------------------------------------------------------------------


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
)
