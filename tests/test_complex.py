"""Complex numbers: NumPy's values, JAX's gradients, in every kind of program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, hvp, jacobian, jvp, trace, vjp
from adgraph.errors import DtypeError
from adgraph.ir.evaluate import evaluate
from adgraph.passes.parts import has_complex, parts
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten

RNG = np.random.default_rng(7)
Z, W = (RNG.normal(size=5) + 1j * RNG.normal(size=5) for _ in range(2))
R = RNG.normal(size=5)
FUNCTIONS = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "reciprocal", "square"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "sinc", "negative", "positive", "conjugate"),
    *("arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"),
)


def _filled_in_place(z: Any, w: Any) -> Any:
    table = np.zeros((3, 5), complex)
    table[1] = z * 1j
    table[:, 2] += w[0]
    table[0, 0] = R[1]
    return table


def _loop(z: Any, w: Any) -> Any:
    s = z * 1
    for i in range(1, 5):
        s[i] = s[i - 1] * w[i] + z[i]
    return s


def _branch(z: Any, w: Any) -> Any:
    if abs(z[0]) > 0.1:
        z = z * w
    return z


def _while(z: Any, w: Any) -> Any:
    y, n = z[0], 0
    while abs(y) < 2 and n < 20:
        y = y * y + w[0]
        n = n + 1
    return y


def _of_first(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(np, name)
    return lambda z, w: function(z)


PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda z, w: z * w,
    "quotient": lambda z, w: z / w,
    "distance": lambda z, w: np.abs(z * w),
    "parts": lambda z, w: z.real * w.imag + np.imag(z),
    "inner product": lambda z, w: np.conj(z) @ w,
    "power": lambda z, w: z**w,
    "cube": lambda z, w: z**3,
    "real beside complex": lambda z, w: 2 * z + R + 1j * np.sum(w) + w.mean(),
    "angle": lambda z, w: np.angle(z) + np.angle(w, deg=True),
    "prod": lambda z, w: np.prod(z) * w,
    "cumulative product": lambda z, w: np.cumprod(z[::-1]),
    "matrices": lambda z, w: np.outer(z, w) @ z,
    "movement": lambda z, w: np.concatenate([z[::-1], w[1:3]])[np.array([0, 5, 5, 2])],
    "choice": lambda z, w: np.where(z.real > 0, z, w),
    "sign": lambda z, w: np.sign(z) * w,
    "in place": _filled_in_place,
    "loop": _loop,
    "branch": _branch,
    "while": _while,
    **{name: _of_first(name) for name in FUNCTIONS},
}
each_program = pytest.mark.parametrize("name", PROGRAMS)


def _loss(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda z, w: np.sum(np.abs(f(z, w)) ** 2)


def _gradient(loss: Callable[[Any, Any], Any], z: Any, w: Any) -> Any:
    """Return d/dx - i d/dy by central differences."""
    step = 1e-6
    found = np.zeros(len(z), complex)
    for i in range(len(z)):
        for turn, weight in ((1, 1), (1j, -1j)):
            move = np.zeros(len(z), complex)
            move[i] = step * turn
            found[i] += weight * (loss(z + move, w) - loss(z - move, w)) / (2 * step)
    return found


@each_program
def test_values_are_numpys(name: str) -> None:
    f = PROGRAMS[name]
    found, expected = trace(f)(Z, W), f(Z.copy(), W)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@each_program
def test_gradients_are_jaxs_convention(name: str) -> None:
    loss = _loss(PROGRAMS[name])
    expected = _gradient(loss, Z, W)
    np.testing.assert_allclose(
        grad(loss)(Z, W), expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max(initial=1)
    )


@each_program
def test_forward_mode_is_the_real_part_of_gradient_times_direction(name: str) -> None:
    loss = _loss(PROGRAMS[name])
    _, change = jvp(loss, (Z, W), (W, np.zeros_like(W)))
    np.testing.assert_allclose(change, np.real(grad(loss)(Z, W) @ W), rtol=1e-10, atol=1e-10)


@each_program
def test_the_pass_keeps_the_meaning(name: str) -> None:
    leaves, structure = flatten(((Z, W), {}))
    graph = trace_function(PROGRAMS[name], structure, [abstract(x) for x in leaves]).graph
    split = parts(graph)
    inside = [v for n in split.nodes for v in n.outputs if v not in split.outputs]
    assert has_complex(graph)
    assert all(v.type.dtype.kind != "c" for v in inside)
    for new, old in zip(evaluate(split, Z, W), evaluate(graph, Z, W), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-13, atol=1e-13)


def test_single_precision_stays() -> None:
    z = Z.astype(np.complex64)
    assert trace(lambda z: np.exp(z) * 2)(z).dtype == np.complex64
    assert grad(lambda z: np.sum(np.abs(np.exp(z))))(z).dtype == np.complex64


def test_python_numbers() -> None:
    assert trace(lambda c: c * 2 + 1j)(1 + 2j) == 2 + 5j
    assert grad(lambda c: abs(c) ** 2)(1 + 2j) == 2 - 4j


def test_a_real_function_through_complex_numbers_has_a_real_gradient() -> None:
    f = trace(lambda x: np.sum((np.exp(1j * x) * x).real))
    found = f.grad(R)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.cos(R) - R * np.sin(R), rtol=1e-13)
    assert "sin(" in f.grad.source(R)


def test_pullback_jacobian_and_second_order() -> None:
    _, pullback = vjp(lambda z: z * z, Z)
    np.testing.assert_allclose(pullback(W)[0], 2 * Z * W)
    np.testing.assert_allclose(jacobian(lambda z: z * z)(Z[:2]), np.diag(2 * Z[:2]))
    np.testing.assert_allclose(hvp(lambda z: np.sum(np.abs(z) ** 2))(Z, W), 2 * W.conj())


def test_branch_cuts_are_numpys() -> None:
    on_the_cut = np.array([-2.0 + 0j, complex(-2.0, -0.0), 2.0 + 0j, complex(2.0, -0.0), 0j])
    for name in ("sqrt", "log", "arcsin", "arccos", "arctan", "arccosh", "arctanh"):
        f = getattr(np, name)
        with np.errstate(all="ignore"):
            expected = f(on_the_cut)
            np.testing.assert_allclose(trace(f)(on_the_cut), expected, rtol=1e-14, err_msg=name)


def test_large_and_small_quotients_do_not_overflow() -> None:
    z, w = np.array([1e300 + 1e300j, 1e-300 + 1e-300j]), np.array([1e300 - 1e300j, 1e-300 + 0j])
    np.testing.assert_allclose(trace(np.divide)(z, w), z / w, rtol=1e-14)


def test_the_order_is_numpys() -> None:
    z = np.array([[2 + 1j, 1 + 5j, 2 - 1j], [2 + 1j, 2 + 3j, complex(0, -np.inf)]])
    for f in (np.max, np.min, np.argmax, np.argmin):
        for axis in (None, 0, 1):
            found = trace(lambda z, f=f, axis=axis: f(z, axis=axis))(z)
            np.testing.assert_array_equal(found, f(z, axis=axis))
    for f in (np.maximum, np.minimum, np.fmax, np.fmin, np.less, np.greater_equal):
        np.testing.assert_array_equal(trace(f)(z[0], z[1]), f(z[0], z[1]))


@np.errstate(invalid="ignore")
def test_a_nan_in_either_part_is_the_extremum() -> None:
    for nan in (complex(np.nan, 0), complex(0, np.nan)):
        z = np.array([3 + 1j, nan, 5 + 0j, nan])
        for f in (np.argmax, np.argmin):
            assert trace(f)(z) == f(z) == 1
        for f in (np.max, np.min):
            assert np.isnan(trace(f)(z))
        for f in (np.maximum, np.minimum, np.fmax, np.fmin, np.less, np.greater_equal):
            for a, b in ((z, z[::-1].copy()), (z, z[0]), (z[0], z)):
                np.testing.assert_array_equal(trace(f)(a, b), f(a, b), err_msg=f.__name__)


def test_what_has_no_parts_is_refused_by_name() -> None:
    with pytest.raises(DtypeError, match="searchsorted of complex numbers"):
        trace(np.searchsorted)(Z, W)


@pytest.mark.parametrize("power", [0, 1, 2, 3, 17, -1, -2, 0.5])
def test_whole_powers_are_products_as_in_numpy(power: float) -> None:
    z = np.array([3j, -2.0 + 0j, 1 + 2j, -1.5 - 0.25j])
    found = trace(lambda z: z**power)(z)
    np.testing.assert_allclose(found, z**power, rtol=4e-16)
    assert found[0].real == 0 or found[0].imag == 0 or power == 0.5
    slope = trace(lambda z: np.sum((z**power).real)).grad(z)
    np.testing.assert_allclose(slope, power * z ** (power - 1), rtol=1e-14)
