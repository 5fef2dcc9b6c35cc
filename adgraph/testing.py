"""Checks of derivatives by independent means, and the one table of tolerances.

`complex_step` and `central_difference` give the derivative of a plain NumPy function in one
direction; `adjoint_gap` tells how far a forward and a reverse derivative are from being transposes.
Begin with `check_derivatives`, which applies all of them to a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
Accuracy = Literal["exact", "rounded", "differenced"]

DIFFERENCE_STEP = 1e-3
COMPLEX_STEP = 1e-100

__all__ = [
    "adjoint_gap",
    "assert_close",
    "central_difference",
    "check_derivatives",
    "complex_step",
    "direction",
    "tolerance",
]


def tolerance(dtype: Any, accuracy: Accuracy = "rounded") -> float:
    """Return the relative error allowed in a computation of this dtype.

    `exact` is a few units in the last place, `rounded` a program of several operations that may
    cancel a little, `differenced` a comparison with differences of function values. Integers and
    bools have none.

    >>> tolerance("f8", "exact")
    1.7763568394002505e-15
    """
    if np.dtype(dtype).kind not in "fc":
        return 0.0
    eps = float(np.finfo(dtype).eps)
    match accuracy:
        case "exact":
            return 8 * eps
        case "rounded":
            return float(eps**0.75)
        case "differenced":
            return float(eps**0.45)


def direction(x: Any, rng: np.random.Generator) -> Array:
    """Return a random direction of the shape and dtype of an array."""
    like = np.asarray(x)
    normal = np.asarray(rng.standard_normal(like.shape))
    if like.dtype.kind == "c":
        normal = normal + 1j * rng.standard_normal(like.shape)
    return normal.astype(like.dtype)


def assert_close(
    actual: Any, expected: Any, accuracy: Accuracy = "rounded", what: str = "value"
) -> None:
    """Check shape, dtype and elements; errors are relative to the largest finite element.

    >>> assert_close(np.float64(0.1 + 0.2), np.float64(0.3), "exact")
    """
    a, e = np.asarray(actual), np.asarray(expected)
    if (a.dtype, a.shape) != (e.dtype, e.shape):
        raise AssertionError(f"{what}: {a.dtype}{a.shape} where {e.dtype}{e.shape} was expected")
    finite = np.abs(e[np.isfinite(e)]) if e.dtype.kind in "fc" else np.zeros(0)
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    allowed = tolerance(e.dtype, accuracy)
    np.testing.assert_allclose(a, e, rtol=allowed, atol=allowed * scale, err_msg=what)


def complex_step(
    function: Function, args: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, ...]:
    """Differentiate an analytic function in one direction, to rounding error.

    `tangents` holds `None` for arguments that stay as they are. Squire & Trapp, SIAM Review 1998.

    >>> complex_step(np.sin, [0.0], [1.0])
    (np.float64(1.0),)
    """
    moved = [
        x if t is None else x + 1j * COMPLEX_STEP * np.asarray(t)
        for x, t in zip(args, tangents, strict=True)
    ]
    return tuple(np.imag(y) / COMPLEX_STEP for y in _leaves(function(*moved)))


def central_difference(
    function: Function, args: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, ...]:
    """Differentiate a function in one direction by differences of fourth order.

    >>> (dy,) = central_difference(np.square, [3.0], [1.0])
    >>> round(float(dy), 9)
    6.0
    """

    def at(step: float) -> list[Array]:
        moved = [
            x if t is None else x + step * np.asarray(t)
            for x, t in zip(args, tangents, strict=True)
        ]
        return _leaves(function(*moved))

    h = DIFFERENCE_STEP
    samples = zip(at(-2 * h), at(-h), at(h), at(2 * h), strict=True)
    return tuple((8 * (c - b) - (d - a)) / (12 * h) for a, b, c, d in samples)


def adjoint_gap(
    cotangents: Sequence[Any],
    output_tangents: Sequence[Any],
    gradients: Sequence[Any],
    input_tangents: Sequence[Any],
) -> float:
    """Return the relative difference of <ct, J v> and <J^T ct, v>, zero for transposes.

    The product of complex arrays is the real part of the sum of a b, without a conjugate.

    >>> A, v, ct = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 5.0]), np.array([2.0, 7.0])
    >>> adjoint_gap([ct], [A @ v], [A.T @ ct], [v])
    0.0
    """
    forward, scale = _inner(cotangents, output_tangents)
    reverse, other = _inner(gradients, input_tangents)
    return abs(forward - reverse) / max(scale, other, 1e-300)


def _inner(first: Sequence[Any], second: Sequence[Any]) -> tuple[float, float]:
    """Return the inner product of two lists of arrays, and that of their absolute values."""
    pairs = zip(first, second, strict=True)
    products = [np.multiply(np.ravel(a), np.ravel(b), dtype=complex) for a, b in pairs]
    return sum(float(p.sum().real) for p in products), sum(float(np.abs(p).sum()) for p in products)


def _leaves(result: Any) -> list[Array]:
    return [np.asarray(leaf) for leaf in flatten(result)[0]]


def check_derivatives(function: Function, *args: Any, seed: int = 0) -> None:
    """Check the derivatives of a function of float64 arrays at one point, in a random direction.

    The forward derivative is compared with differences, the reverse one with the forward one.

    >>> check_derivatives(lambda x, k: k * np.tanh(x), np.array([0.5, 30.0]), 2.0)
    """
    rng = np.random.default_rng(seed)
    leaves, structure = flatten((args, {}))
    graph = trace_function(function, structure, [abstract(x) for x in leaves]).graph
    active = [i for i, v in enumerate(graph.inputs) if v.type.inexact]
    tangents = [direction(x, rng) if i in active else None for i, x in enumerate(leaves)]

    def program(*point: Any) -> Any:
        return evaluate(graph, *point)

    dys = _forward(graph, active, leaves, tangents)
    for dy, difference in zip(dys, central_difference(program, leaves, tangents), strict=True):
        assert_close(dy, difference, "differenced", "jvp against central differences")
    cts = [direction(dy, rng) for dy in dys]
    pulled = evaluate(vjp(graph, active), *leaves, *cts)[len(graph.outputs) :]
    gap = adjoint_gap(cts, dys, pulled, [tangents[i] for i in active])
    if not gap <= tolerance("f8"):
        raise AssertionError(f"jvp and vjp are not transposes: relative difference {gap:.1e}")


def _forward(
    graph: Graph, active: Sequence[int], leaves: Sequence[Any], tangents: Sequence[Any]
) -> list[Array]:
    """Return the tangents of the outputs that have any."""
    results = evaluate(jvp(graph, active), *leaves, *(tangents[i] for i in active))
    return list(results[len(graph.outputs) :])
