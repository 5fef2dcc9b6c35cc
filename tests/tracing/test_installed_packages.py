"""Functions of installed packages are traced like the user's when they are given traced values."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.errors import TracingError
from adgraph.tracing.source import is_rewritten

X = np.array([1.0, 2.0, 3.0])

SOURCE = """
import math
import sys

import numpy as np


def rewritten_now():
    return sys._getframe(1).f_code.co_filename != __file__  # called through a hook


def filled(x, scale=1.0):
    out = np.zeros(3)
    for i in range(3):
        out[i] = scale * x[i] ** 2
    return math.sqrt(out.sum())


def through_helpers(state):
    return _helper(state["x"][1]) + _helper(2.0)


def _helper(v):
    return float(v) if rewritten_now() else float(v) + 0.0


def saw_rewriting(x):
    return rewritten_now()


def failing(x):
    return {x[0]: 1}


class Model:
    def __init__(self, weights):
        self.weights = weights

    def __call__(self, x):
        out = np.empty(2)
        out[0] = self.weights[0] * x[0]
        out[1] = math.exp(x[1])
        return out

    def of_itself(self):
        out = np.empty(2)
        out[:] = self.weights[:2]
        return out
"""


@pytest.fixture(params=["site-packages", "dist-packages"])
def package(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    folder = tmp_path / "lib" / request.param
    (folder / "numerics_kit").mkdir(parents=True)
    (folder / "numerics_kit" / "__init__.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield importlib.import_module("numerics_kit")
    sys.modules.pop("numerics_kit", None)


def test_a_function_given_a_traced_value_is_rewritten(package: Any) -> None:
    f = trace(lambda x: package.filled(x, scale=2.0) * x[0])
    assert f(X) == pytest.approx(package.filled(X, scale=2.0))
    step = 1e-6 * np.array([1.0, -2.0, 0.5])
    expected = f(X + step) - f(X - step)
    assert 2 * np.vdot(f.grad(X), step) == pytest.approx(expected, rel=1e-6)


def test_it_can_be_the_traced_function_itself(package: Any) -> None:
    f = trace(package.filled)
    assert f(X) == pytest.approx(package.filled(X))
    np.testing.assert_allclose(f.grad(X), X / package.filled(X), rtol=1e-13)


def test_what_it_calls_is_rewritten_too_and_containers_are_looked_into(package: Any) -> None:
    f = trace(lambda x: package.through_helpers({"x": x}))
    assert f(X) == package.through_helpers({"x": X})
    np.testing.assert_array_equal(f.grad(X), [0.0, 1.0, 0.0])


def test_classes_keep_traced_attributes(package: Any) -> None:
    f = trace(lambda x: package.Model(x)(x) + package.Model(x).of_itself())
    np.testing.assert_allclose(f(X), package.Model(X)(X) + X[:2], rtol=1e-15)


def test_a_function_without_traced_values_runs_as_it_is(package: Any) -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append((package.saw_rewriting(3), package.saw_rewriting(x)))
        return x * package.filled(X)

    np.testing.assert_allclose(trace(f)(X), X * package.filled(X), rtol=1e-15)
    assert seen == [(False, True)]
    assert not is_rewritten(package.filled)


def test_an_error_in_it_names_its_line(package: Any) -> None:
    with pytest.raises(TracingError, match=r"__init__.py:\d+: return \{x\[0\]: 1\}"):
        grad(lambda x: package.failing(x))(X)
