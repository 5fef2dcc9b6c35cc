"""Functions that write their arguments: for the caller, and in derivatives for nobody."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from adgraph import grad, jacobian, trace
from adgraph.errors import TracingError

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(2)
A = RNG.normal(size=(4, 4))
B = RNG.normal(size=4)


def kernel(a: Any, b: Any) -> Any:
    for i in range(1, a.shape[0]):
        a[i] -= b[i] * a[i - 1]
    b *= a[-1]
    return None


def loss(a: Any, b: Any) -> Any:
    kernel(a, b)
    return np.sum(a * a) + np.prod(b)


def pure_loss(a: Any, b: Any) -> Any:
    return loss(np.array(a), np.array(b))


def fresh() -> tuple[Array, Array]:
    return A.copy(), B.copy()


def test_a_function_that_returns_none_writes_for_the_caller() -> None:
    ours, numpys = fresh(), fresh()
    assert trace(kernel)(*ours) is None
    kernel(*numpys)
    for found, wanted in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_the_final_value_of_an_argument_can_be_returned_and_differentiated() -> None:
    final = trace(lambda a: (kernel(a, B.copy()), a)[1])
    a, direction = A.copy(), RNG.normal(size=A.shape)
    wanted = A.copy()
    kernel(wanted, B.copy())
    np.testing.assert_allclose(final(a), wanted, rtol=1e-13)
    np.testing.assert_allclose(a, wanted, rtol=1e-13)
    value, tangent = final.jvp((A,), (direction,))
    np.testing.assert_allclose(value, wanted, rtol=1e-13)
    np.testing.assert_allclose(np.tensordot(jacobian(final)(A), direction, 2), tangent, rtol=1e-12)
    ct = RNG.normal(size=A.shape)
    (pulled,) = final.vjp(A)[1](ct)
    np.testing.assert_allclose(np.vdot(pulled, direction), np.vdot(ct, tangent), rtol=1e-12)


CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad": lambda f, a, b: f.grad(a, b),
    "grad by all": lambda f, a, b: grad(f, argnums=(0, 1))(a, b),
    "value_and_grad": lambda f, a, b: f.value_and_grad(a, b),
    "jvp": lambda f, a, b: f.jvp((a, b), (a * 2.0, b)),
    "vjp": lambda f, a, b: f.vjp(a, b)[1](1.0),
    "linearize": lambda f, a, b: f.linearize(a, b)[1](a, b),
    "jacobian": lambda f, a, b: f.jacobian(a, b),
    "hessian": lambda f, a, b: f.hessian(a, b),
    "graph": lambda f, a, b: len(f.graph(a, b).inputs),
}


def _leaves(x: Any) -> list[Any]:
    return [leaf for part in x for leaf in _leaves(part)] if isinstance(x, tuple) else [x]


@pytest.mark.parametrize("name", CALLS)
def test_a_derivative_is_by_the_values_on_entry_and_writes_nothing(name: str) -> None:
    a, b = fresh()
    a.flags.writeable = b.flags.writeable = False
    found, wanted = (_leaves(CALLS[name](trace(f), a, b)) for f in (loss, pure_loss))
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(b, B)


@dataclass
class State:
    """A pytree of arrays."""

    position: Any
    fields: dict[str, Any]


def advance(state: State, speeds: list[Any]) -> Any:
    state.position += speeds[0] * 0.1
    state.fields["energy"][1:] = state.position[:-1] ** 2
    speeds[1][...] = 0.0
    return np.sum(state.position)


def test_arrays_in_pytrees_are_written() -> None:
    ours = State(B.copy(), {"energy": np.zeros(4)}), [B * 2.0, B * 3.0]
    numpys = copy.deepcopy(ours)
    np.testing.assert_allclose(trace(advance)(*ours), advance(*numpys), rtol=1e-13)
    np.testing.assert_allclose(ours[0].position, numpys[0].position, rtol=1e-14)
    np.testing.assert_allclose(ours[0].fields["energy"], numpys[0].fields["energy"], rtol=1e-14)
    np.testing.assert_array_equal(ours[1][0], B * 2.0)
    np.testing.assert_array_equal(ours[1][1], 0.0)
    gradient = grad(advance)(*copy.deepcopy(numpys))
    np.testing.assert_array_equal(gradient.position, 1.0)


def test_views_of_other_arrays_are_written_in_place() -> None:
    whole, line = np.ones((9, 9)), np.ones(12)
    ours = whole[::2, 1::2][:4], line[::3]
    numpys = copy.deepcopy(ours)
    trace(kernel)(*ours)
    kernel(*numpys)
    np.testing.assert_allclose(ours[0], numpys[0], rtol=1e-14)
    np.testing.assert_allclose(line[::3], numpys[1], rtol=1e-14)
    np.testing.assert_array_equal(np.delete(line, np.s_[::3]), 1.0)
    np.testing.assert_array_equal(whole[1::2], 1.0)


def test_a_fortran_ordered_argument_is_written() -> None:
    ours, numpys = np.asfortranarray(A), A.copy()
    trace(kernel)(ours, B.copy())
    kernel(numpys, B.copy())
    np.testing.assert_allclose(ours, numpys, rtol=1e-13)


def test_a_call_inside_a_trace_writes_the_caller_s_array() -> None:
    inner = trace(kernel)

    def f(a: Any, b: Any) -> Any:
        c = a * 2.0
        inner(c, b[::-1])
        inner(a, c[0])
        return np.sum(c), b

    ours, numpys = fresh(), fresh()
    for found, wanted in zip(trace(f)(*ours), f(*numpys), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
    np.testing.assert_allclose(ours[0], numpys[0], rtol=1e-13)


SHARED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "call": lambda f, a, b: f(a, b),
    **{name: CALLS[name] for name in ("grad", "jvp", "vjp", "linearize", "hessian")},
}


@pytest.mark.parametrize("name", SHARED)
def test_a_written_argument_that_shares_memory_with_another_is_refused(name: str) -> None:
    a = A.copy()
    with pytest.raises(TracingError, match="shares memory with") as error:
        SHARED[name](trace(loss), a, a[1])
    assert "test_written_arguments.py:" in str(error.value)
    assert "pass a copy" in str(error.value)
    np.testing.assert_array_equal(a, A)
    SHARED[name](trace(loss), a[1:], a[0, :4].copy())


def test_arrays_that_share_memory_may_be_read() -> None:
    f = trace(lambda x, y: np.sum(x * y))
    assert f(B, B) == np.sum(B * B)
    np.testing.assert_array_equal(f.grad(B, B[::-1]), B[::-1])


def test_parts_of_one_array_that_do_not_overlap_may_be_written() -> None:
    whole = RNG.normal(size=(5, 4))
    numpys = whole.copy()
    trace(kernel)(whole[1:], whole[0])
    kernel(numpys[1:], numpys[0])
    np.testing.assert_allclose(whole, numpys, rtol=1e-13)


def test_an_argument_that_cannot_be_written_is_refused_before_anything_is() -> None:
    a, b = fresh()
    b.flags.writeable = False
    with pytest.raises(TracingError, match="writes into b, which is read-only"):
        trace(kernel)(a, b)
    np.testing.assert_array_equal(a, A)
    with pytest.raises(TracingError, match="a number cannot be changed"):
        trace(lambda x: x.__class__ and _store(x))(2.0)


def _store(x: Any) -> Any:
    x[()] = 1.0
    return x


def test_a_function_that_fails_writes_nothing() -> None:
    def f(a: Any, b: Any) -> Any:
        kernel(a, b)
        return np.linalg.inv(a * 0.0)

    a, b = fresh()
    with pytest.raises(np.linalg.LinAlgError):
        trace(f)(a, b)
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(b, B)
