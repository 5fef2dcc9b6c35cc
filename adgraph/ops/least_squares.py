"""Derivatives of solutions of least squares, of any rank, without a matrix of the first one's size.

The ops are values that are known, like `pinv` of `adgraph.ops.matrix_functions`, and differentiated
by their first operands where the rank does not change: Golub & Pereyra, SIAM J. Numer. Anal. 10
(1973). Each is applied by a function that computes the value from `v`, the right singular vectors
of `a` as columns, and `inverse`, the inverses of its singular values, 0 where one does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.op import Kind, Op, register
from adgraph.ops.constant import stop_gradient
from adgraph.ops.gufuncs import same_batch
from adgraph.ops.kinds import add_tangents
from adgraph.ops.solves import adjoint, conjugate


def _known(name: str, jvp: Callable[..., Any], vjp: Callable[..., Any]) -> Op:
    """Register an op that gives its second operand; the others say how it is differentiated."""
    op: Op = register(
        Op(
            name=name,
            kind=Kind.LIBRARY,
            evaluate=lambda a, known, g, v, inverse: np.array(known),
            infer=lambda a, known, g, v, inverse: known,
            jvp=lambda tangents, y, *args: jvp(tangents[0], tangents[2], y, args[0], *args[2:]),
            vjp=lambda ct, y, *args: _placed(vjp(conjugate(ct), y, args[0], *args[2:])),
            batch=same_batch(lambda: op),
            parts=lambda a, known, g, v, inverse: known,
            flops=lambda *types: 0.0,
        )
    )
    return op


def _placed(gradients: tuple[Any, Any]) -> tuple[Any, ...]:
    """Return the cotangents of all operands."""
    by_a, by_g = map(conjugate, gradients)
    return by_a, None, by_g, None, None


def _scaled(v: Any, weights: Any, g: Any) -> Any:
    return v @ (weights[..., None] * (adjoint(v) @ g))


# --- gram: (a^H a)^+ g ----------------------------------------------------------------------------


def gram_solve(a: Any, g: Any, v: Any, inverse: Any) -> Any:
    """Return the pseudoinverse of a^H a times g."""
    return gram(a, _scaled(v, inverse * inverse, stop_gradient(g)), g, v, inverse)


def _gram_jvp(da: Any, dg: Any, z: Any, a: Any, g: Any, v: Any, inverse: Any) -> Any:
    if da is None:
        return gram_solve(a, dg, v, inverse)
    outside = a @ gram_solve(a, z, v, inverse)
    right = _normal(a, da @ _rest(a, g, v, inverse), v, inverse)
    left = adjoint(da) @ (a @ z) + adjoint(a) @ (da @ z)
    change = gram_solve(a, add_tangents(right - left, dg), v, inverse)
    return change + _rest(a, adjoint(da) @ outside, v, inverse)


def _gram_vjp(c: Any, z: Any, a: Any, g: Any, v: Any, inverse: Any) -> tuple[Any, Any]:
    u, w = gram_solve(a, c, v, inverse), gram_solve(a, z, v, inverse)
    twice = a @ gram_solve(a, u, v, inverse)
    inner = (a @ z) @ adjoint(u) + (a @ u) @ adjoint(z)
    outer = twice @ adjoint(_rest(a, g, v, inverse)) + (a @ w) @ adjoint(_rest(a, c, v, inverse))
    return outer - inner, u


gram = _known("gram", _gram_jvp, _gram_vjp)

# --- row_space: the part of g in the span of v, which is that of the rows of a --------------------


def project(a: Any, g: Any, v: Any, inverse: Any) -> Any:
    """Return the part of g in the row space of a."""
    counts = (inverse != 0).astype(inverse.dtype)
    return row_space(a, _scaled(v, counts, stop_gradient(g)), g, v, inverse)


def _rest(a: Any, g: Any, v: Any, inverse: Any) -> Any:
    """Return the part of g that is orthogonal to the rows of a."""
    return g - project(a, g, v, inverse)


def _normal(a: Any, t: Any, v: Any, inverse: Any) -> Any:
    """Return a^+ t by the normal equations."""
    return gram_solve(a, adjoint(a) @ t, v, inverse)


def _project_jvp(da: Any, dg: Any, y: Any, a: Any, g: Any, v: Any, inverse: Any) -> Any:
    change = None if dg is None else project(a, dg, v, inverse)
    if da is None:
        return change
    left = _normal(a, da @ _rest(a, g, v, inverse), v, inverse)
    right = _rest(a, adjoint(da) @ (a @ gram_solve(a, g, v, inverse)), v, inverse)
    return add_tangents(left + right, change)


def _project_vjp(c: Any, y: Any, a: Any, g: Any, v: Any, inverse: Any) -> tuple[Any, Any]:
    left = (a @ gram_solve(a, c, v, inverse)) @ adjoint(_rest(a, g, v, inverse))
    right = (a @ gram_solve(a, g, v, inverse)) @ adjoint(_rest(a, c, v, inverse))
    return left + right, project(a, c, v, inverse)


row_space = _known("row_space", _project_jvp, _project_vjp)

# --- least_squares: a^+ b -------------------------------------------------------------------------


def _solution_jvp(da: Any, db: Any, x: Any, a: Any, b: Any, v: Any, inverse: Any) -> Any:
    """The normal equations are corrected once: Björck, Linear Algebra Appl. 88 (1987)."""
    change = add_tangents(None if da is None else -(da @ x), db)
    first = _normal(a, change, v, inverse)
    total = first + _normal(a, change - a @ first, v, inverse)
    if da is None:
        return total
    turned = adjoint(da)
    total = total + gram_solve(a, turned @ (b - a @ x), v, inverse)
    return total + _rest(a, turned @ (a @ gram_solve(a, x, v, inverse)), v, inverse)


def _solution_vjp(c: Any, x: Any, a: Any, b: Any, v: Any, inverse: Any) -> tuple[Any, Any]:
    u = gram_solve(a, c, v, inverse)
    ct_b = a @ u
    outside = (a @ gram_solve(a, x, v, inverse)) @ adjoint(_rest(a, c, v, inverse))
    return (b - a @ x) @ adjoint(u) - ct_b @ adjoint(x) + outside, ct_b


least_squares = _known("least_squares", _solution_jvp, _solution_vjp)
