"""Hypergeometric functions, orthogonal polynomials and Legendre functions (DLMF 13, 15, 18, 14).

They are differentiated by their argument: by order and parameters no formula is known here. The
polynomials are two ops, of integer orders and of real ones, which SciPy computes in two ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.scipy_special import Special, special
from adgraph.ops.special_loops import LOOPS, function

# --- hypergeometric functions ---------------------------------------------------------------------

hyp0f1 = function("hyp0f1", "v z", {"z": lambda y, v, z: special.hyp0f1(v + 1.0, z) / v})
hyp1f1 = function(
    "hyp1f1", "a b z", {"z": lambda y, a, b, z: a / b * special.hyp1f1(a + 1.0, b + 1.0, z)}
)
hyp2f1 = function(
    "hyp2f1",
    "a b c z",
    {"z": lambda y, a, b, c, z: a * b / c * special.hyp2f1(a + 1.0, b + 1.0, c + 1.0, z)},
)
hyperu = function(
    "hyperu", "a b x", {"x": lambda y, a, b, x: -a * special.hyperu(a + 1.0, b + 1.0, x)}
)
wright_bessel = function(
    "wright_bessel", "a b x", {"x": lambda y, a, b, x: special.wright_bessel(a, a + b, x)}
)
log_wright_bessel = function(
    "log_wright_bessel",
    "a b x",
    {"x": lambda y, a, b, x: np.exp(special.log_wright_bessel(a, a + b, x) - y)},
)

# --- orthogonal polynomials (DLMF 18.9) -----------------------------------------------------------

POLYNOMIALS: dict[Special, tuple[Op, Op | None]] = {}  # of integer orders, of real ones


def _polynomial(name: str, operands: str, by_x: Callable[..., Any]) -> None:
    """Register a family; the derivative by x is that of the polynomial of degree n."""
    ufunc = f"eval_{name}"
    arity = len(operands.split())
    partials = {"x": lambda y, *args: by_x(*args)}
    real_types = "d" * arity + "->d"
    of_integer = function(
        ufunc, operands, partials, types=f"l{real_types[1:]}", weight=60.0, op=f"{ufunc}_of_integer"
    )
    real = None
    if ufunc in LOOPS[real_types].split():
        real = function(ufunc, operands, partials, types=real_types, op=f"{ufunc}_of_real")
    POLYNOMIALS[getattr(special, ufunc)] = of_integer, real


def _lowered(ufunc: str, n: Any, *rest: Any) -> Any:
    """Return the polynomial of one degree less, which is 0 for n = 0."""
    lower = getattr(special, ufunc)(np.maximum(n - 1, 0), *rest)
    return (
        np.where(n > 0, lower, 0.0)
        if n.dtype.kind == "i"
        else getattr(special, ufunc)(n - 1, *rest)
    )


_polynomial("legendre", "n x", lambda n, x: _lowered("eval_gegenbauer", n, 1.5, x))
_polynomial(
    "sh_legendre", "n x", lambda n, x: 2.0 * _lowered("eval_gegenbauer", n, 1.5, 2.0 * x - 1.0)
)
_polynomial("chebyt", "n x", lambda n, x: n * _lowered("eval_chebyu", n, x))
_polynomial("chebyu", "n x", lambda n, x: 2.0 * _lowered("eval_gegenbauer", n, 2.0, x))
_polynomial("chebyc", "n x", lambda n, x: n * _lowered("eval_chebys", n, x))
_polynomial("chebys", "n x", lambda n, x: _lowered("eval_gegenbauer", n, 2.0, 0.5 * x))
_polynomial("sh_chebyt", "n x", lambda n, x: 2.0 * n * _lowered("eval_sh_chebyu", n, x))
_polynomial(
    "sh_chebyu", "n x", lambda n, x: 4.0 * _lowered("eval_gegenbauer", n, 2.0, 2.0 * x - 1.0)
)
_polynomial(
    "gegenbauer",
    "n alpha x",
    lambda n, alpha, x: 2.0 * alpha * _lowered("eval_gegenbauer", n, alpha + 1.0, x),
)
_polynomial("laguerre", "n x", lambda n, x: -_lowered("eval_genlaguerre", n, 1.0, x))
_polynomial(
    "genlaguerre", "n alpha x", lambda n, alpha, x: -_lowered("eval_genlaguerre", n, alpha + 1.0, x)
)
_polynomial("hermite", "n x", lambda n, x: 2.0 * n * _lowered("eval_hermite", n, x))
_polynomial("hermitenorm", "n x", lambda n, x: n * _lowered("eval_hermitenorm", n, x))
_polynomial(
    "jacobi",
    "n alpha beta x",
    lambda n, alpha, beta, x: (
        0.5 * (n + alpha + beta + 1.0) * _lowered("eval_jacobi", n, alpha + 1.0, beta + 1.0, x)
    ),
)
_polynomial(
    "sh_jacobi",
    "n p q x",
    lambda n, p, q, x: n * _lowered("eval_sh_jacobi", n, p + 2.0, q + 1.0, x),
)

# --- Legendre functions (DLMF 14.10.5) ------------------------------------------------------------

lpmv = function(
    "lpmv",
    "m v x",
    {
        "x": lambda y, m, v, x: (
            ((v + m) * special.lpmv(m, v - 1.0, x) - v * x * y) / ((1.0 - x) * (1.0 + x))
        )
    },
)
