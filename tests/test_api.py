"""Tracing ordinary Python: functions of every kind, in-place updates, looking at programs."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import adgraph
from adgraph import grad, trace
from adgraph.errors import AdgraphError, DtypeError, TracingError
from adgraph.ir.types import ArrayType

close = np.testing.assert_allclose
X = np.array([0.5, -1.25, 2.0])
W = np.array([1.0, 2.0, 3.0])


# --- functions of every kind ---------------------------------------------------------------------


def test_trace_is_used_bare_or_with_options_and_keeps_name_and_docstring() -> None:
    @trace
    def bare(x: Any) -> Any:
        """Double."""
        return 2 * x

    @trace(memory_budget="1MB")
    def options(x: Any) -> Any:
        return 2 * x

    close(bare(X), options(X))
    assert (bare.__name__, bare.__doc__) == ("bare", "Double.")
    assert repr(bare) == "<traced bare>"
    assert options.options.memory_budget == 10**6
    assert isinstance(trace(bare), adgraph.Function)
    close(trace(bare)(X), 2 * X)


def test_a_traced_function_inside_another_becomes_part_of_its_graph() -> None:
    inner = trace(lambda x: np.sin(x) * 3)
    outer = trace(lambda x: inner(x) + inner(x))
    close(outer(X), 6 * np.sin(X))
    assert sum(n.op.name == "sin" for n in outer.graph(X).nodes) == 1


def test_closures_over_arrays_are_constants() -> None:
    scale = np.array([1.0, 2.0, 3.0])
    f = trace(lambda x: scale * x + W)
    close(f(X), scale * X + W)
    scale[:] = 0  # what NumPy cannot tell the program, documented in `trace`
    close(f(X), np.array([1.0, 2.0, 3.0]) * X + W)


def test_a_function_without_source_is_traced_through_dispatch() -> None:
    scope: dict[str, Any] = {"np": np}
    exec("def f(x):\n    y = np.sin(x) * 2\n    return np.sum(y[1:] @ y[1:])", scope)
    close(trace(scope["f"])(X), np.sum((2 * np.sin(X[1:])) ** 2))
    close(grad(scope["f"])(X), [0, *(4 * np.sin(2 * X[1:]))])


def test_decorated_functions_partials_and_recursion_are_followed() -> None:
    def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return 2 * function(*args, **kwargs)

        return wrapper

    @trace
    @doubled
    def f(x: Any) -> Any:
        return np.array([x[0], x[1], 1.0])

    close(f(X), [2 * X[0], 2 * X[1], 2.0])

    def horner(x: Any, coefficients: Any) -> Any:
        first, *rest = coefficients
        return first + (x * horner(x, rest) if rest else 0)

    close(trace(functools.partial(horner, coefficients=(1.0, 2.0, 3.0)))(X), 1 + 2 * X + 3 * X**2)
    close(grad(lambda x: np.sum(horner(x, [1.0, 2.0, 3.0])))(X), 2 + 6 * X)


class Layer:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @trace
    def loss(self, x: Any, power: Any = 2.0) -> Any:
        return self.scale * np.sum(x**power)

    @staticmethod
    @trace
    def double(x: Any) -> Any:
        return 2 * x

    def plain(self, x: Any) -> Any:
        return self.scale * np.sum(np.array([x[0], x[1]]) ** 2)

    def __call__(self, x: Any) -> Any:
        return self.scale * x


def test_methods_are_traced_and_their_derivatives_are_by_the_first_argument() -> None:
    layer, other = Layer(3.0), Layer(5.0)
    close(layer.loss(X), 3 * X @ X)
    close(other.loss(X), 5 * X @ X)
    close(layer.loss.grad(X), 6 * X)
    close(other.loss.value_and_grad(X)[1], 10 * X)
    close(layer.loss.hessian(X), 6 * np.eye(3))
    close(layer.loss.jacobian(X), 6 * X)
    close(layer.loss.jvp((X,), (W,))[1], 6 * X @ W)
    close(layer.loss.vjp(X)[1](1.0)[0], 6 * X)
    close(layer.loss.linearize(X)[1](W), 6 * X @ W)
    assert "sum" in str(layer.loss.graph(X))
    close(grad(layer.loss)(X), 6 * X)
    close(layer.double(X), 2 * X)
    close(trace(layer.plain)(X), 3 * X[:2] @ X[:2])
    close(trace(layer)(X), 3 * X)
    with pytest.raises(AttributeError, match="no attribute 'gradient'"):
        layer.loss.gradient  # noqa: B018


@dataclass
class Linear:
    w: Any
    b: Any

    @trace
    def __call__(self, x: Any) -> Any:
        return x @ self.w + self.b

    @trace
    def loss(self, x: Any) -> Any:
        return np.sum(self(x) ** 2)


def test_the_arrays_of_a_dataclass_are_inputs_of_its_methods() -> None:
    model = Linear(W.copy(), 1.0)
    residual = X @ W + 1
    close(model.loss(X), residual**2)
    close(model.loss.grad(X), 2 * residual * W)
    model.w[:] = 0  # not baked into the program
    close(model.loss(X), 1.0)
    by_model = Linear.loss.grad(Linear(W, 1.0), X)
    close(by_model.w, 2 * residual * X)
    close(by_model.b, 2 * residual)


# --- helper functions in NumPy's imperative style ------------------------------------------------


def filled(x: Any) -> Any:
    y = np.zeros(5)
    for i in range(3):
        y[i + 1] = x[i] * y[i] + i
    y[-1] += y[1:3].sum()
    return y


def viewed(x: Any) -> Any:
    m = np.empty((2, 3))
    m[0] = x
    m[1] = 2 * x
    column = m[:, 1]
    column *= 10
    m.T[0] -= 1
    m[1:, ::2] += x[::2]
    return m, column


def swapped(x: Any) -> Any:
    y = x.copy()
    y[0], y[2] = y[2], y[0]
    y[:2], y[1:] = y[1:].copy(), y[:2].copy()
    return y


def collected(x: Any) -> Any:
    rows = [np.sin(v) for v in x]
    rows.append(x[0] * x[1])
    table = {i: r**2 for i, r in enumerate(rows)}
    return np.array(rows), np.stack([table[3], table[0]])


def masked(x: Any) -> Any:
    y = x * 1.0
    y[y < 0] = 7.0
    np.add(y, 1.0, out=y)
    z = np.zeros_like(y)
    np.multiply(y, x, out=z)
    return y, z


@pytest.mark.parametrize("function", [filled, viewed, swapped, collected, masked])
def test_imperative_numpy_gives_what_it_gives_untraced(function: Callable[..., Any]) -> None:
    found, expected = trace(function)(X), function(X)
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    for a, b in zip(found, expected, strict=True):
        close(a, b, rtol=1e-14)

    def total(x: Any) -> Any:
        result = function(x)
        results = result if isinstance(result, tuple) else (result,)
        return sum(np.sum(r**2) for r in results)

    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        difference = (total(X + step) - total(X - step)) / 2e-6
        close(grad(total)(X)[i], difference, rtol=1e-7, atol=1e-7)


def test_a_written_argument_is_written_for_the_caller() -> None:
    def f(x: Any, y: Any) -> Any:
        x[1:] *= y[1:]
        y -= 1
        return x.sum()

    x, y = X.copy(), W.copy()
    wanted_x, wanted_y = X.copy(), W.copy()
    wanted = f(wanted_x, wanted_y)
    found = trace(f)(x, y)
    close(found, wanted)
    close(x, wanted_x)
    close(y, wanted_y)

    whole = np.arange(10.0)
    trace(f)(whole[1:7:2], W.copy())
    assert whole[3] == 3 * 2.0
    assert whole[2] == 2.0

    out = np.zeros(3)
    trace(lambda x, o: np.sin(x, out=o))(X, out)
    close(out, np.sin(X), rtol=1e-15)


def test_a_derivative_takes_the_value_on_entry_and_writes_nothing() -> None:
    def f(x: Any, y: Any) -> Any:
        x *= y
        x[0] = 1.0
        return np.sum(x**2)

    x, y = X.copy(), W.copy()
    of_x, of_y = grad(f, (0, 1))(x, y)
    close(of_x, [0, *(2 * X * W**2)[1:]])
    close(of_y, [0, *(2 * W * X**2)[1:]])
    close(adgraph.jvp(f, (x, y), (W, X))[1], of_x @ W + of_y @ X)
    close(adgraph.hessian(f)(x, y), np.diag([0, *(2 * W**2)[1:]]))
    adgraph.vjp(f, x, y)
    adgraph.jacobian(f)(x, y)
    close(x, X)
    close(y, W)


def test_a_traced_function_that_writes_its_argument_does_so_inside_another_trace() -> None:
    @trace
    def halve(x: Any) -> None:
        x /= 2

    def f(x: Any) -> Any:
        y = x * 1
        halve(y)
        return np.sum(y**2)

    close(trace(f)(X), np.sum(X**2) / 4)
    close(grad(f)(X), X / 2)


def test_writing_into_what_cannot_be_written_is_refused() -> None:
    f = trace(lambda x: x.__setitem__(0, 1.0))
    locked = X.copy()
    locked.flags.writeable = False
    with pytest.raises(
        TracingError, match=r"writes into x, which is read-only[\s\S]*np.array\(x\)"
    ):
        f(locked)

    def wider(x: Any) -> Any:
        x += 0.5
        return x

    with pytest.raises(DtypeError, match="cannot write the f64 result"):
        trace(wider)(np.arange(3))

    def longer(x: Any) -> Any:
        x[:2] = W
        return x

    with pytest.raises(AdgraphError, match=r"shape \(3,\) to one of shape \(2,\)"):
        trace(longer)(X.copy())


def test_writing_into_memory_that_another_argument_shares_is_refused() -> None:
    def f(x: Any, y: Any) -> Any:
        x += 1
        return x * y

    x = np.arange(10.0)
    for y in (x, x[::-1]):
        with pytest.raises(TracingError, match="writes into x, which shares memory with y"):
            trace(f)(x, y)
    close(x, np.arange(10.0))
    close(trace(f)(x[::2], x[1::2]), (np.arange(0, 10, 2.0) + 1) * np.arange(1, 10, 2.0))


def test_numbers_are_rebound_not_written() -> None:
    def f(x: Any, k: Any) -> Any:
        k += 1
        s = x[0]
        s *= 2
        return k + s

    x = X.copy()
    assert trace(f)(x, 2.0) == 4.0
    close(x, X)


def test_results_are_fresh_arrays() -> None:
    f = trace(lambda x: (x, x[1:], x.T, np.asarray(x)))
    x = X.copy()
    first = f(x)
    for y in first:
        assert not np.shares_memory(y, x)
        y[...] = 0
    close(x, X)
    for y, wanted in zip(f(x), (X, X[1:], X, X), strict=True):
        close(y, wanted)


# --- looking at programs -------------------------------------------------------------------------


def test_a_program_can_be_seen_as_graph_kernels_and_source() -> None:
    @trace
    def f(x: Any, k: Any) -> Any:
        return 0.5 * np.sum(k * np.diff(x) ** 2)

    graph = f.graph(X, 2.0)
    assert str(graph).startswith("graph @f(%x: f64[3], %k: f64[])")
    assert "test_api.py" in str(graph)
    assert "def " in f.source(X, 2.0)
    assert f.kernels(X, 2.0).nodes
    assert "peak" in str(f.explain(X, 2.0))
    assert "test_api.py" in f.grad.source(X, 2.0)
    assert len(f.dispatch.entries) == 1


def test_a_graph_can_be_asked_for_by_types_alone() -> None:
    vector = ArrayType(np.dtype(np.float32), (5,))
    f = trace(lambda p: p["w"] * 2.0)
    assert str(f.graph({"w": vector}).outputs[0].type) == "f32[5]"


# --- memory order --------------------------------------------------------------------------------


def _doubles_a_ravel_of_transposed(x):  # type: ignore[no-untyped-def]
    c = x.T * 1.0
    t = c.ravel()
    t *= 2.0
    return c.sum()


def _writes_a_reshape_of_a_copy_in_its_order(x):  # type: ignore[no-untyped-def]
    y = np.copy(x.T)
    y.reshape(-1)[0] = 9.0
    return y.sum()


def _writes_a_reshape_of_zeros_like(x):  # type: ignore[no-untyped-def]
    y = np.zeros_like(x.T)
    y.reshape(-1)[0] = 5.0
    return y.sum() + x.sum()


@pytest.mark.parametrize(
    "function",
    [
        _doubles_a_ravel_of_transposed,
        _writes_a_reshape_of_a_copy_in_its_order,
        _writes_a_reshape_of_zeros_like,
    ],
)
def test_writing_a_reshape_of_unknown_order_is_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TracingError, match="memory order is not known") as caught:
        trace(function)(np.ones((2, 3)))
    assert "order='C'" in str(caught.value)


def test_writing_a_reshape_in_c_order_is_numpys() -> None:
    def function(x):  # type: ignore[no-untyped-def]
        y = x * 2.0
        y.reshape(-1)[0] = 5.0
        z = x.T.copy()
        z.reshape(-1)[1] = 3.0
        w = np.array(x.T, order="C")
        w.ravel()[2] = 1.0
        v = x.T[:, :, None] * 1.0
        v[:, :, 0][0] = 4.0
        return y.sum() + z.sum() + w.sum() + v.sum()

    x = np.arange(6.0).reshape(2, 3)
    assert trace(function)(x) == function(x)


def test_an_argument_in_another_order_is_refused_where_a_reshape_is_written() -> None:
    def function(x):  # type: ignore[no-untyped-def]
        y = x + 1.0
        y.ravel()[0] = 7.0
        return y.sum()

    f = trace(function)
    x = np.arange(6.0).reshape(2, 3)
    assert f(x) == function(x)
    with pytest.raises(TracingError, match="x is not in C order"):
        f(np.asfortranarray(x))
    with pytest.raises(TracingError, match="x is not in C order"):
        f.grad(np.asfortranarray(x))


# --- functions without source, as typed at the prompt --------------------------------------------

_TYPED = """
import math
import numpy as np
from numpy import zeros

def fills(x):
    z = np.zeros(3)
    z[0] = x[0] ** 2
    w = zeros(3)
    w += x
    return z.sum() + w[2] * math.sin(w[1])

def gathers(x):
    return np.sum(np.array([x[0], max(x[1], x[2])]) * 2.0)

def mistaken(x, y=np.ones(2)):
    y[0] = x[0]
    return y.sum()
"""


def typed() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(_TYPED, names)
    return names


@pytest.mark.parametrize("name", ["fills", "gathers"])
def test_a_typed_function_sees_constructors_and_math(name: str) -> None:
    function = typed()[name]
    x = np.array([1.0, 2.0, 0.5])
    assert trace(function)(x) == pytest.approx(function(x))
    assert np.all(np.isfinite(grad(function)(x)))


def test_an_error_in_a_typed_function_says_that_its_source_cannot_be_read() -> None:
    with pytest.raises(TracingError, match="put mistaken into a file or a notebook"):
        grad(typed()["mistaken"])(np.ones(3))


def test_a_function_of_math_is_traced() -> None:
    assert grad(math.sin)(0.0) == 1.0


# --- pickles and copies --------------------------------------------------------------------------


@trace
def module_level(x):  # type: ignore[no-untyped-def]
    return np.sum(x**2)


def test_a_function_of_a_module_pickles_by_name() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.deepcopy(module_level) is module_level


def test_a_function_kept_elsewhere_copies_with_its_options() -> None:
    f = trace(np.sin, memory_budget="1MB")
    f(1.0)
    for twin in (copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        assert twin is not f
        assert twin.options == f.options
        assert twin(1.0) == np.sin(1.0)


def test_a_traced_index_out_of_bounds_names_the_extent() -> None:
    f = trace(lambda x, i: x[i])
    with pytest.raises(IndexError, match="out of bounds for an axis of extent 3"):
        f(np.ones(3), np.array([1, 7]))


def test_a_function_of_scipy_that_is_not_known_is_named_at_the_users_line() -> None:
    with pytest.raises(TracingError, match=r"by scipy\.linalg\.sqrtm") as caught:
        grad(lambda x: np.sum(scipy.linalg.sqrtm(x)))(np.eye(2))
    assert "test_api.py" in str(caught.value)


def test_a_traced_method_has_a_plan_and_a_memory_curve() -> None:
    class Model:
        @trace
        def energy(self, x):  # type: ignore[no-untyped-def]
            return np.sum(np.tanh(x @ x))

    x = np.ones((8, 8))
    assert Model().energy.grad.plan(x).peak_bytes == Model().energy.grad.explain(x).peak_bytes
    assert Model().energy.grad.memory(x).peak_bytes == Model().energy.grad.plan(x).peak_bytes
