"""What derivatives are where there is no unique one: at kinks, and beside masked branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp

Array = np.ndarray[Any, Any]


def graph_of(function: Callable[..., Any], *args: Any) -> Graph:
    leaves, structure = flatten((args, {}))
    return trace_function(function, structure, [abstract(x) for x in leaves]).graph


def gradient(function: Callable[..., Any], *args: Any) -> tuple[Array, ...]:
    """Return the gradient of the sum of a function's elements."""
    graph = graph_of(lambda *xs: np.sum(function(*xs)), *args)
    return evaluate(vjp(graph, range(len(args)), unit_seed=True), *args)[1:]


def pulled(function: Callable[..., Any], *args: Any) -> tuple[Array, ...]:
    """Return the same by a seed from outside, which could hold zeros."""
    graph = graph_of(function, *args)
    ones = np.ones(graph.outputs[0].type.shape)
    return evaluate(vjp(graph, range(len(args))), *args, ones)[1:]


def pushed(function: Callable[..., Any], x: Array) -> Array:
    """Return the derivative of an elementwise function in the direction of ones."""
    return evaluate(jvp(graph_of(function, x), [0]), x, np.ones(x.shape))[1]


def second(function: Callable[..., Any], x: Array, *, outer: Any) -> Array:
    """Return the second derivative of the sum of an elementwise function, element by element."""
    graph = vjp(graph_of(lambda x: np.sum(function(x)), x), [0], unit_seed=True)
    if outer is jvp:
        return evaluate(jvp(graph, [0]), x, np.ones(x.shape))[-1]
    return evaluate(vjp(graph, [0]), x, np.zeros(()), np.ones(x.shape))[-1]


MASKED = {
    "logarithm": (lambda x: np.where(x > 0, np.log(x), 0.0), lambda x: 1 / x),
    "root": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), lambda x: 0.5 / np.sqrt(x)),
    "root of a product": (
        lambda x: np.where(x > 0, np.sqrt(x * 4.0), 0.0),
        lambda x: 1 / np.sqrt(x),
    ),
    "quotient": (lambda x: np.where(x > 0, 1 / x, x * 0.0), lambda x: -1 / x**2),
    "power": (lambda x: np.where(x > 0, x**0.3, 0.0), lambda x: 0.3 * x**-0.7),
    "arccosh": (
        lambda x: np.where(x > 0, np.arccosh(1 + x), 0.0),
        lambda x: 1 / np.sqrt(x * (x + 2)),
    ),
    "logarithm of maximum": (
        lambda x: np.log(np.maximum(x, 0.5)),
        lambda x: np.where(x > 0.5, 1 / x, 0.0),
    ),
}
POINTS = np.array([-2.0, -0.0, 0.0, 1.5, 3.0])


@pytest.mark.parametrize("mode", [gradient, pulled])
@pytest.mark.parametrize("name", MASKED)
def test_the_gradient_beside_a_mask_is_zero(name: str, mode: Callable[..., Any]) -> None:
    function, slope = MASKED[name]
    with np.errstate(all="ignore"):
        wanted = np.where(POINTS > 0, slope(POINTS), 0.0)
    np.testing.assert_allclose(mode(function, POINTS)[0], wanted, rtol=1e-14)
    np.testing.assert_allclose(pushed(function, POINTS), wanted, rtol=1e-14)


@pytest.mark.parametrize("outer", [jvp, vjp])
@pytest.mark.parametrize("name", MASKED)
def test_the_second_derivative_beside_a_mask_is_zero(name: str, outer: Any) -> None:
    function, slope = MASKED[name]
    h = 1e-5
    with np.errstate(all="ignore"):
        wanted = np.where(POINTS > 0, (slope(POINTS + h) - slope(POINTS - h)) / (2 * h), 0.0)
    np.testing.assert_allclose(second(function, POINTS, outer=outer), wanted, rtol=1e-6)


@pytest.mark.parametrize("mode", [gradient, pulled])
def test_nan_is_masked_in_both_factors(mode: Callable[..., Any]) -> None:
    x, w = np.array([1.0, np.nan, 3.0]), np.array([2.0, 5.0, np.nan])
    dx, dw = mode(lambda x, w: np.where(np.isnan(x) | np.isnan(w), 0.0, x * w), x, w)
    np.testing.assert_array_equal(dx, [2.0, 0.0, 0.0])
    np.testing.assert_array_equal(dw, [1.0, 0.0, 0.0])


@pytest.mark.parametrize("mode", [gradient, pulled])
def test_a_slice_masks_what_it_leaves_out(mode: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(mode(lambda x: np.log(x)[1:], np.array([0.0, 2.0]))[0], [0, 0.5])


@pytest.mark.parametrize("mode", [gradient, pulled])
def test_maximum_masks_an_infinite_logarithm(mode: Callable[..., Any]) -> None:
    x = np.array([0.0, 0.5, 2.0])
    np.testing.assert_array_equal(mode(lambda x: np.maximum(np.log(x), 0.0), x)[0], [0, 0, 0.5])


@pytest.mark.parametrize("outer", [jvp, vjp])
def test_a_cotangent_that_happens_to_be_zero_keeps_its_derivative(outer: Any) -> None:
    """d2/dxdy of sqrt(x) * y at y = 0 is 0.25 at x = 4 (LOOPS 6.10)."""
    x, y = np.array([4.0]), np.array([0.0])
    graph = vjp(graph_of(lambda x, y: np.sqrt(x) * y, x, y), [0])
    one = np.ones(1)
    if outer is jvp:
        assert evaluate(jvp(graph, [1]), x, y, one, one)[-1] == 0.25
    else:
        assert evaluate(vjp(graph, [1]), x, y, one, 0 * one, one)[-1] == 0.25


def test_a_zero_seed_of_the_second_derivative_spares_an_infinite_slope() -> None:
    """The gradient of sqrt, differentiated by its cotangent, from a seed that is 0 at 0."""
    x, seed = np.array([0.0, 4.0]), np.array([0.0, 1.0])
    graph = vjp(vjp(graph_of(np.sqrt, x), [0]), [1])
    np.testing.assert_array_equal(evaluate(graph, x, seed, 0 * x, seed)[-1], [0.0, 0.25])


def test_an_infinite_seed_spares_a_cotangent_that_is_zero() -> None:
    x, ct, seed = np.array([4.0]), np.array([0.0]), np.array([np.inf])
    graph = vjp(vjp(graph_of(np.sqrt, x), [0]), [0])
    np.testing.assert_array_equal(evaluate(graph, x, ct, 0 * x, seed)[-1], [0.0])


KINKS: dict[str, tuple[Callable[..., Any], tuple[float, ...], tuple[float, ...]]] = {
    "absolute": (np.absolute, (0.0,), (0.0,)),
    "fabs": (np.fabs, (0.0,), (0.0,)),
    "sign": (np.sign, (0.0,), (0.0,)),
    "floor": (np.floor, (1.0,), (0.0,)),
    "maximum": (np.maximum, (2.0, 2.0), (0.5, 0.5)),
    "minimum": (np.minimum, (2.0, 2.0), (0.5, 0.5)),
    "fmax": (np.fmax, (2.0, 2.0), (0.5, 0.5)),
    "fmax beside nan": (np.fmax, (2.0, np.nan), (1.0, 0.0)),
    "fmin beside nan": (np.fmin, (np.nan, 2.0), (0.0, 1.0)),
    "sqrt": (np.sqrt, (0.0,), (np.inf,)),
    "cbrt": (np.cbrt, (0.0,), (np.inf,)),
    "hypot": (np.hypot, (0.0, 0.0), (0.0, 0.0)),
    "arctan2": (np.arctan2, (0.0, 0.0), (0.0, 0.0)),
    "sinc": (np.sinc, (0.0,), (0.0,)),
    "power of exponent 0": (np.power, (0.0, 0.0), (0.0, 0.0)),
    "power of base 0": (np.power, (0.0, 2.0), (0.0, 0.0)),
    "power 3/2 of 0": (lambda x: x**1.5, (0.0,), (0.0,)),
    "power 5/2 of 0": (lambda x: x**2.5, (0.0,), (0.0,)),
    "power -2 of 0": (lambda x: x**-2, (0.0,), (-np.inf,)),
    "power -3 of infinity": (lambda x: x**-3, (np.inf,), (0.0,)),
    "3-norm of zeros": (lambda x, y: np.linalg.norm(np.stack([x, y]), 3, 0), (0, 0), (0, 0)),
    "power 1 of base 0": (np.power, (0.0, 1.0), (1.0, 0.0)),
    "xlogy": (special.xlogy, (0.0, 0.0), (-np.inf, 0.0)),
    "logaddexp of equal infinities": (np.logaddexp, (-np.inf, -np.inf), (0.5, 0.5)),
    "logaddexp of one infinity": (np.logaddexp, (-np.inf, 1.0), (0.0, 1.0)),
    "heaviside": (np.heaviside, (0.0, 0.3), (0.0, 1.0)),
    "clip at its bound": (lambda x: np.clip(x, 0.0, 1.0), (1.0,), (0.5,)),
    "copysign": (np.copysign, (3.0, -2.0), (-1.0, 0.0)),
    "i1": (special.i1, (0.0,), (0.5,)),
    "j1": (special.j1, (0.0,), (0.5,)),
}


@pytest.mark.parametrize("name", KINKS)
def test_the_convention_at(name: str) -> None:
    function, point, wanted = KINKS[name]
    actual = gradient(function, *(np.array([x]) for x in point))
    np.testing.assert_array_equal(np.concatenate(actual), wanted)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (np.sinc, -(np.pi**2) / 3),
        (np.tanh, 0.0),
        (special.expit, 0.0),
        (special.i0, 0.5),
        (np.cosh, 1.0),
    ],
)
def test_second_derivatives_at_zero(function: Callable[..., Any], wanted: float) -> None:
    x = np.zeros(1)
    np.testing.assert_allclose(second(function, x, outer=jvp), [wanted], rtol=1e-14)
    np.testing.assert_allclose(second(function, x, outer=vjp), [wanted], rtol=1e-14)


def test_the_exponent_0_keeps_its_mixed_derivative() -> None:
    """d2/dxdb of x**b is 1 / x at b = 0."""
    x, b = np.array([2.0]), np.array([0.0])
    graph = vjp(graph_of(np.power, x, b), [0])
    np.testing.assert_allclose(evaluate(jvp(graph, [1]), x, b, np.ones(1), np.ones(1))[-1], [0.5])
