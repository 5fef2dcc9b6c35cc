"""Functions that are called without Python once they have a program: they behave as before."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.api.function import Function
from adgraph.runtime.calls import native_interface, natively_called
from adgraph.runtime.compiled import Compiled

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(native_interface() is None, reason="no native calls here")


@trace
def scaled(x: Array, k: float = 2.0) -> Array:
    return k * x


def called_natively(f: Function) -> bool:
    return isinstance(f, natively_called())


def test_a_function_is_called_natively_from_the_second_call_of_a_program() -> None:
    f = Function(lambda x: np.sum(np.sin(x)))
    first = f(np.ones(3))
    assert not called_natively(f)
    assert f(np.ones(3)) == first
    assert called_natively(f)
    assert isinstance(f, Function)
    assert f(np.ones(3)) == first


def test_arguments_of_other_kinds_find_their_programs() -> None:
    for _ in range(2):
        assert scaled(3.0) == 6.0
        assert scaled(np.float32(3.0)).dtype == np.float32
        np.testing.assert_array_equal(scaled(np.ones(3), k=4.0), [4.0, 4.0, 4.0])
        np.testing.assert_array_equal(scaled(np.ones(2), 5.0), [5.0, 5.0])
        np.testing.assert_array_equal(scaled(np.ones((2, 2))[:, 0]), [2.0, 2.0])


def test_inside_a_trace_it_becomes_part_of_the_program() -> None:
    scaled(np.ones(3))
    outer = trace(lambda x: np.sum(scaled(x) * x))
    np.testing.assert_array_equal(outer.grad(np.ones(3)), [4.0, 4.0, 4.0])
    assert scaled(np.ones(3))[0] == 2.0


def test_what_python_raises_comes_through() -> None:
    f = trace(lambda x: x + np.ones(3))
    f(np.ones(3))
    with pytest.raises(ValueError, match="shape"):
        f(np.ones(4))
    with pytest.raises(TypeError):
        f(np.ones(3), np.ones(3))


def test_it_is_pickled_and_copied_as_a_function() -> None:
    scaled(np.ones(3))
    assert pickle.loads(pickle.dumps(scaled)) is scaled
    again = copy.copy(Function(np.sin))
    assert again(0.0) == 0.0


def test_a_kernel_that_fails_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = trace(np.linalg.solve)
    identity, ones = np.eye(3), np.ones(3)
    solve(identity, ones)

    def again(self: Compiled, arrays: Any) -> Any:
        raise AssertionError("the program runs a second time")

    monkeypatch.setattr(Compiled, "__call__", again)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        solve(np.zeros((3, 3)), ones)
    np.testing.assert_array_equal(solve(identity, ones), ones)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        solve(np.zeros((3, 3)), ones)
    np.testing.assert_array_equal(solve(identity, ones), ones)
