"""The derivatives a user asks for, against closed forms, complex steps and differences."""

from __future__ import annotations

import math
import tracemalloc
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
)
from adgraph.errors import AdgraphError, DerivativeError, ShapeError
from adgraph.testing import central_difference, complex_step

close = np.testing.assert_allclose
X = np.array([0.5, -1.25, 2.0])
V = np.array([1.0, 0.25, -0.5])
A = np.array([[2.0, 0.5, 0.1], [0.3, 1.5, -0.2], [0.0, 0.4, 1.0]])
Pair = namedtuple("Pair", "first second")


@dataclass(frozen=True)
class Params:
    w: Any
    b: Any


def energy(x: Any) -> Any:
    """sum(sin(x)^2) + x.Ax: gradient sin(2x) + (A + A')x, Hessian diag(2 cos 2x) + A + A'."""
    return np.sum(np.sin(x) ** 2) + x @ A @ x


def energy_gradient(x: Any) -> Any:
    return np.sin(2 * x) + (A + A.T) @ x


def energy_hessian(x: Any) -> Any:
    return np.diag(2 * np.cos(2 * x)) + A + A.T


def vector(x: Any) -> Any:
    return np.exp(0.3 * x) * (A @ x)


# --- one function, every transform, as function and as method ------------------------------------


@pytest.mark.parametrize("style", [lambda f: f, trace], ids=["plain", "traced"])
def test_every_transform_agrees_with_the_closed_form(style: Callable[..., Any]) -> None:
    f = style(energy)
    g, h = energy_gradient(X), energy_hessian(X)
    close(grad(f)(X), g)
    value, gradient = value_and_grad(f)(X)
    close(value, energy(X))
    close(gradient, g)
    close(jacobian(f)(X), g)
    close(jacfwd(f)(X), g)
    close(jacrev(f)(X), g)
    close(hessian(f)(X), h)
    close(hvp(f)(X, V), h @ V)
    close(jvp(f, (X,), (V,)), (energy(X), g @ V))
    y, pullback = vjp(f, X)
    close(y, energy(X))
    close(pullback(2.0)[0], 2 * g)
    y, push = linearize(f, X)
    close((y, push(V)), (energy(X), g @ V))


def test_every_transform_is_a_method_too() -> None:
    f = trace(energy)
    g, h = energy_gradient(X), energy_hessian(X)
    close(f.grad(X), g)
    close(f.value_and_grad(X)[1], g)
    for jac in (f.jacobian, f.jacfwd, f.jacrev):
        close(jac(X), g)
    close(f.hessian(X), h)
    close(f.hvp(X, V), h @ V)
    close(f.jvp((X,), (V,))[1], g @ V)
    close(f.vjp(X)[1](1.0)[0], g)
    close(f.linearize(X)[1](V), g @ V)
    close(f.grad.jacobian(X), h)
    close(f.grad.jvp((X,), (V,))[1], h @ V)


def test_derivatives_agree_with_a_complex_step_and_with_differences() -> None:
    close(jvp(vector, (X,), (V,))[1], complex_step(vector, (X,), (V,))[0], rtol=1e-13)
    close(vjp(vector, X)[1](V)[0] @ X, V @ complex_step(vector, (X,), (X,))[0], rtol=1e-13)
    close(jvp(energy, (X,), (V,))[1], central_difference(energy, (X,), (V,))[0], rtol=1e-8)


# --- argnums, structures, aux --------------------------------------------------------------------


def three(a: Any, b: Any, c: Any) -> Any:
    return np.sum(a * b**2) + c**3


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, X**2),
        (1, 2 * V * X),
        (2, 12.0),
        (-1, 12.0),
        (-3, X**2),
        ((0, 2), (X**2, 12.0)),
        ((2, 0), (12.0, X**2)),
        ([1], (2 * V * X,)),
        ((-1, 1), (12.0, 2 * V * X)),
    ],
)
def test_argnums_name_one_or_several_arguments(argnums: Any, expected: Any) -> None:
    found = grad(three, argnums)(V, X, 2.0)
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            close(a, b)
    else:
        close(found, expected)


def test_a_gradient_by_several_arguments_has_blocks_in_jacobian_and_hessian() -> None:
    (aa, ab), (ba, bb) = hessian(three, (0, 1))(V, X, 2.0)
    close(aa, np.zeros((3, 3)))
    close(ab, np.diag(2 * X))
    close(ba, np.diag(2 * X))
    close(bb, np.diag(2 * V))
    by_a, by_c = jacobian(lambda a, b, c: a * c, (0, 2))(X, V, 2.0)
    close(by_a, 2 * np.eye(3))
    close(by_c, X)


def model(params: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ params["w"] + params["b"]) ** 2)


@pytest.mark.parametrize("wrap", [dict, lambda w, b: {"inner": [Pair(w, (b,))]}, Params])
def test_gradients_have_the_structure_of_the_argument(wrap: Callable[..., Any]) -> None:
    params = wrap(w=A, b=V)

    def f(p: Any) -> Any:
        if isinstance(p, Params):
            p = {"w": p.w, "b": p.b}
        elif "inner" in p:
            p = {"w": p["inner"][0].first, "b": p["inner"][0].second[0]}
        return model(p, X)

    found = grad(f)(params)
    u = np.tanh(X @ A + V)
    of_b = 2 * u * (1 - u**2)
    expected = wrap(w=np.outer(X, of_b), b=of_b)
    assert type(found) is type(expected)
    leaves, structure = adgraph.tracing.tree.flatten(found)
    wanted, wanted_structure = adgraph.tracing.tree.flatten(expected)
    assert structure == wanted_structure
    for a, b in zip(leaves, wanted, strict=True):
        close(a, b)


def test_hessians_and_jacobians_of_dicts_nest_the_structures() -> None:
    h = hessian(lambda p: np.sum(p["a"] ** 2) * p["b"])({"a": X, "b": 3.0})
    close(h["a"]["a"], 6 * np.eye(3))
    close(h["a"]["b"], 2 * X)
    close(h["b"]["a"], 2 * X)
    close(h["b"]["b"], 0)
    j = jacobian(lambda p: {"y": p["a"] * p["b"], "z": [np.sum(p["a"])]})({"a": X, "b": 3.0})
    close(j["y"]["a"], 3 * np.eye(3))
    close(j["y"]["b"], X)
    close(j["z"][0]["a"], np.ones(3))
    close(j["z"][0]["b"], 0)


def test_dicts_match_whatever_the_order_of_their_keys() -> None:
    def f(p: Any) -> Any:
        return {"y": p["a"] * p["b"], "z": p["a"] - p["b"]}

    _, dy = jvp(f, ({"a": 2.0, "b": 3.0},), ({"b": 1.0, "a": 10.0},))
    assert dy == {"y": 32.0, "z": 9.0}
    _, pullback = vjp(f, {"a": 2.0, "b": 3.0})
    assert pullback({"z": 1.0, "y": 10.0}) == ({"a": 31.0, "b": 19.0},)


def test_has_aux_returns_what_is_not_differentiated() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**2), {"twice": 2 * x, "name": 3}

    (value, aux), gradient = value_and_grad(f, has_aux=True)(X)
    close(value, X @ X)
    close(gradient, 2 * X)
    close(aux["twice"], 2 * X)
    assert aux["name"] == 3
    gradient, aux = grad(f, has_aux=True)(X)
    close(gradient, 2 * X)
    y, pullback, aux = vjp(f, X, has_aux=True)
    close((y, *pullback(3.0)[0]), (X @ X, *(6 * X)))
    close(aux["twice"], 2 * X)


def test_stop_gradient_makes_constants_of_arrays_and_trees() -> None:
    close(grad(lambda x: np.sum(stop_gradient(x) * x))(X), X)
    close(jvp(lambda x: stop_gradient({"a": x})["a"] * x, (X,), (V,))[1], X * V)
    close(stop_gradient(X), X)
    close(grad(grad(lambda x: stop_gradient(x**2) * x))(2.0), 0.0)


# --- nesting -------------------------------------------------------------------------------------


def test_the_fifth_derivative_agrees_with_the_closed_form() -> None:
    f: Callable[..., Any] = lambda x: np.sin(x) * x**3  # noqa: E731
    for _ in range(5):
        f = grad(f)
    x = 1.3
    s, c = math.sin(x), math.cos(x)
    # Leibniz: sum_k C(5, k) (x^3)^(k) sin^(5-k)
    exact = x**3 * c + 5 * 3 * x**2 * s - 10 * 6 * x * c - 10 * 6 * s
    close(f(x), exact, rtol=1e-12)


def test_derivatives_of_derivatives_agree_in_every_order() -> None:
    h = energy_hessian(X)
    close(jacfwd(jacrev(energy))(X), h)
    close(jacrev(jacfwd(energy))(X), h)
    close(jacfwd(jacfwd(energy))(X), h)
    close(jacrev(jacrev(energy))(X), h)
    close(jvp(grad(energy), (X,), (V,))[1], h @ V)
    close(vjp(grad(energy), X)[1](V)[0], h.T @ V)
    close(grad(lambda x: energy_gradient_norm(x))(X), 2 * h @ energy_gradient(X))
    close(grad(lambda x: np.sum(jacobian(vector)(x) ** 2))(X), _squared_jacobian_gradient())
    close(grad(lambda x: jvp(energy, (x,), (V,))[1])(X), h @ V)
    close(grad(lambda x: np.sum(vjp(vector, x)[1](V)[0]))(X), _pulled_gradient())


def energy_gradient_norm(x: Any) -> Any:
    return np.sum(grad(energy)(x) ** 2)


def _squared_jacobian_gradient() -> Any:
    def squared(x: Any) -> Any:
        e = np.exp(0.3 * x)
        return np.sum((np.diag(0.3 * e * (A @ x)) + e[:, None] * A) ** 2)

    return [complex_step(squared, (X,), (np.eye(3)[i],))[0] for i in range(3)]


def _pulled_gradient() -> Any:
    def pulled(x: Any) -> Any:
        e = np.exp(0.3 * x)
        return np.sum(0.3 * e * (A @ x) * V + (e * V) @ A)

    return [complex_step(pulled, (X,), (np.eye(3)[i],))[0] for i in range(3)]


def test_a_pullback_of_a_pullback_is_the_primal_map() -> None:
    def pulled(ct: Any) -> Any:
        return vjp(vector, X)[1](ct)[0]

    close(vjp(pulled, V)[1](X)[0], jvp(vector, (X,), (X,))[1])


def test_transforms_run_inside_a_traced_function_on_tracers() -> None:
    @trace
    def newton(x: Any) -> Any:
        return x - np.linalg.solve(hessian(energy)(x), grad(energy)(x))

    close(newton(X), X - np.linalg.solve(energy_hessian(X), energy_gradient(X)))

    @trace
    def all_of_them(x: Any, v: Any) -> Any:
        y, push = linearize(vector, x)
        z, pull = vjp(vector, x)
        return y - z, push(v) - jvp(vector, (x,), (v,))[1], pull(v)[0] - v @ jacobian(vector)(x)

    for difference in all_of_them(X, V):
        close(difference, 0, atol=1e-14)


def test_functions_that_close_over_an_outer_tracer_are_differentiated_by_both() -> None:
    def outer(x: Any) -> Any:
        return grad(lambda y: np.sum(x**2 * y**3))(2 * x).sum()  # 3 x^2 (2x)^2 = 12 x^4

    close(trace(outer)(X), np.sum(12 * X**4))
    close(grad(outer)(X), 48 * X**3)
    close(np.diag(hessian(outer)(X)), 144 * X**2)

    def inner(x: Any) -> Any:
        _, push = linearize(lambda y: x * y**2, x)  # 2 x y dy at y = x
        return np.sum(push(np.ones(3)))

    close(grad(inner)(X), 4 * X)

    def perturbation(x: Any) -> Any:
        return x * grad(lambda y: x + y)(1.0)  # a confusion of perturbations would give 2

    assert grad(perturbation)(1.0) == 1.0


# --- the program chosen for a Jacobian -----------------------------------------------------------


def test_auto_takes_reverse_mode_for_wide_functions_and_forward_mode_for_tall_ones() -> None:
    wide_matrix = np.arange(200.0).reshape(2, 100) / 200
    wide = trace(lambda x: np.tanh(wide_matrix @ x))
    tall = trace(lambda x: np.tanh(wide_matrix.T @ x))
    for f, x, mode, passes in (
        (wide, np.ones(100), "reverse", 2),
        (tall, np.ones(2), "forward", 2),
    ):
        explanation = f.jacobian.explain(x)
        (note,) = explanation.notes
        assert f"{mode} mode, {passes} passes" in note
        assert "estimated at" in note
        close(f.jacobian(x), f.jacfwd(x))
        close(f.jacobian(x), f.jacrev(x))


def test_the_mode_is_chosen_without_the_unit_matrix_of_the_other_one() -> None:
    f = trace(lambda w, x: np.tanh(w @ x))
    w, x = np.full((4, 1000), 0.01), np.ones(1000)  # a unit matrix of 4000 rows has 128 MB
    f.jacobian(w[:, :2], x[:2])
    tracemalloc.start()
    try:
        found = f.jacobian(w, x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    close(found, (1 - np.tanh(w @ x) ** 2)[:, None, None] * np.eye(4)[:, :, None] * x)
    assert peak < 16_000_000


def test_explain_counts_flops_bytes_and_residuals() -> None:
    facts = trace(energy).grad.explain(X)
    assert facts.cost.flops > 0
    assert facts.cost.bytes_read > 0
    assert facts.cost.bytes_written > 0
    assert facts.peak_bytes >= facts.output_bytes == 24
    text = str(facts)
    for word in ("flops", "bytes read", "written", "peak", "residuals"):
        assert word in text


def test_jacobians_of_matrices_have_the_shape_of_result_and_argument() -> None:
    j = jacobian(lambda m: m @ m)(A)
    assert j.shape == (3, 3, 3, 3)
    expected = np.einsum("ik,lj->ijkl", np.eye(3), A) + np.einsum("ik,jl->ijkl", A, np.eye(3))
    close(j, expected)
    assert jacobian(lambda x: x**2)(3.0) == 6.0
    assert jacobian(lambda x: np.zeros((0, 2)) * x)(3.0).shape == (0, 2)
    assert jacobian(lambda x: np.sum(x))(np.zeros((0, 2))).shape == (0, 2)
    for mode in ("fwd", "rev"):
        assert jacobian(lambda x: x * 2, mode=mode)(np.zeros((2, 0))).shape == (2, 0, 2, 0)


# --- dtypes --------------------------------------------------------------------------------------


def test_float32_derivatives_are_float32() -> None:
    x = X.astype(np.float32)

    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * 2.0 / (1 + x * x))

    for found in (
        grad(f)(x),
        value_and_grad(f)(x)[0],
        jacfwd(f)(x),
        hessian(f)(x),
        hvp(f)(x, x),
        jvp(f, (x,), (x,))[1],
        vjp(f, x)[1](1.0)[0],
        linearize(f, x)[1](x),
        grad(lambda x: np.sum(x.astype(np.float64) ** 2))(x),
    ):
        assert found.dtype == np.float32
    of_x, of_y = grad(lambda x, y: np.sum(x * y), (0, 1))(x, X)
    assert (of_x.dtype, of_y.dtype) == (np.float32, np.float64)


def test_a_python_float_has_a_float64_scalar_as_gradient() -> None:
    found = grad(lambda x, k: np.sum(x * k**2), 1)(X.astype(np.float32), 2.0)
    assert type(found) is np.float64
    assert type(grad(lambda x: x**2)(3.0)) is np.float64
    assert type(grad(lambda x: x**2)(np.float32(3.0))) is np.float32


def test_integer_arguments_take_no_part() -> None:
    index = np.array([2, 0])
    _, pullback = vjp(lambda x, i: x[i] ** 2, X, index)
    gradient, nothing = pullback(np.ones(2))
    close(gradient, [2 * X[0], 0, 2 * X[2]])
    assert nothing is None
    _, dy = jvp(lambda x, i: x[i] ** 2, (X, index), (V, np.zeros(2, int)))
    close(dy, (2 * X * V)[index])


# --- linear functions, used many times -----------------------------------------------------------


def test_a_pullback_and_a_pushforward_may_be_called_many_times() -> None:
    f = trace(vector)
    _, pullback = f.vjp(X)
    _, push = f.linearize(X)
    j = f.jacobian(X)
    rng = np.random.default_rng(0)
    for _ in range(5):
        v = rng.normal(size=3)
        close(pullback(v)[0], v @ j)
        close(push(v), j @ v)
    other = f.vjp(2 * X)[1]
    close(other(V)[0], V @ f.jacobian(2 * X))
    close(pullback(V)[0], V @ j)
    assert len(adgraph.api.linear.apply_linear.dispatch.entries) >= 2


def test_a_seed_is_not_changed_and_results_are_fresh() -> None:
    seed = V.copy()
    _, pullback = vjp(lambda x: x + 1.0, X)
    (first,) = pullback(seed)
    first[:] = 7
    close(seed, V)
    close(pullback(seed)[0], V)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (
            lambda: grad(lambda x: x**2)(X),
            r"needs a real scalar, its result is f64\[3\][\s\S]*np.sum",
        ),
        (lambda: grad(lambda x: (x, x))(1.0), r"returns 2 arrays[\s\S]*has_aux=True"),
        (lambda: grad(lambda x: x**2)(3), r"by x, which has type i64\[\][\s\S]*2\.0"),
        (lambda: grad(lambda x: np.sum(x))(np.arange(3)), r"by x, which has type i64\[3\]"),
        (lambda: grad(lambda p: p["n"] * p["x"])({"n": 2, "x": 1.0}), r"by p\['n'\]"),
        (lambda: grad(lambda x, s: x)(1.0, "a"), None),
        (lambda: grad(lambda x, s: x, 1)(1.0, "a"), r"by s, which is static"),
        (lambda: grad(lambda x: x, 1)(1.0), r"argnums names argument 1"),
        (lambda: grad(lambda x: x, -2)(1.0), r"argnums names argument -2"),
        (lambda: grad(lambda x: x)(x=1.0), r"0 positional arguments"),
        (lambda: grad(lambda x: x > 0)(1.0), r"needs a real scalar, its result is bool\[\]"),
        (lambda: grad(lambda x: None)(1.0), r"returns 0 arrays"),
        (lambda: grad(lambda x: x, has_aux=True)(1.0), r"must return \(value, aux\)"),
        (lambda: vjp(lambda x: x, 1.0, has_aux=True), r"must return \(value, aux\)"),
        (lambda: jacobian(lambda x: x > 0)(X), r"returns bool\[3\], which has no derivative"),
        (lambda: jacobian(lambda x: x, mode="up"), r"mode='up' is none of"),
        (lambda: jvp(np.sin, X, X), r"takes tuples"),
        (lambda: jvp(np.sin, (X,), (V, V)), r"2 tangents for 1 arrays"),
        (lambda: jvp(np.sin, (X,), ([V],)), r"do not have the structure"),
        (lambda: jvp(np.sin, (X,), (V[:2],)), r"a tangent of sin is f64\[2\], .* is f64\[3\]"),
        (lambda: jvp(np.sin, (X,), (1.0,)), r"a tangent of sin is f64\[\]"),
        (lambda: vjp(np.sin, X)[1](1.0), r"a cotangent of sin is f64\[\], .* is f64\[3\]"),
        (lambda: vjp(np.sin, X)[1]((V,)), r"does not have the structure of its result"),
        (lambda: vjp(np.sin, X)[1](np.array(["a", "b", "c"])), r"cotangent of sin"),
        (lambda: vjp(np.sin, X)[1](V * 1j), r"cotangent of sin"),
        (lambda: linearize(np.sin, X)[1](V[:1]), r"a tangent of sin is f64\[1\]"),
        (lambda: linearize(np.sin, X)[1](V, V), r"found 2 arrays for 1"),
    ],
)
def test_a_wrong_request_names_what_was_found(call: Callable[[], Any], found: str | None) -> None:
    if found is None:
        call()
        return
    with pytest.raises((DerivativeError, ShapeError), match=found) as error:
        call()
    assert "test_transforms.py" in str(error.value)


def test_a_failed_derivative_leaves_nothing_behind() -> None:
    f = trace(lambda x: x * 2)
    with pytest.raises(AdgraphError):
        f.grad(X)
    assert f.grad(3.0) == 2.0
    close(f(X), 2 * X)


# --- integers have no derivatives ---------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        lambda: adgraph.jvp(np.sin, (1,), (1,)),
        lambda: adgraph.jvp(lambda x, k: k * x, (1.0, 2), (1.0, 1.0)),
        lambda: adgraph.linearize(lambda x: x * 2.0, 3),
        lambda: adgraph.linearize(lambda x, k: k * x, 3.0, 2)[1](1.0, 1.0),
        lambda: adgraph.vjp(lambda x: np.sum(x * 1.0), np.array([1, 2, 3])),
    ],
)
def test_a_derivative_by_an_integer_is_refused(request_) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DerivativeError, match="cannot differentiate by") as caught:
        request_()
    assert "pass a float" in str(caught.value)


def test_an_integer_beside_a_float_has_a_zero_tangent_and_no_gradient() -> None:
    y, dy = adgraph.jvp(lambda x, k: k * x, (3.0, 2), (1.0, 0))
    assert (y, dy) == (6.0, 2.0)
    _, pullback = adgraph.vjp(lambda x, k: k * x, 3.0, 2)
    assert pullback(1.0) == (2.0, None)
