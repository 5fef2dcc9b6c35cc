"""np.vectorize and np.apply_along_axis: the function is traced once, with its branches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.errors import ShapeError
from adgraph.testing import assert_close, check_derivatives

RNG = np.random.default_rng(8)
X = RNG.normal(size=(4, 30))


def _scalar(a: Any, b: Any = 2.0) -> Any:
    if a > 0:
        return math.sin(a) * b
    return a**2 + a * b


bent = np.vectorize(_scalar)


@np.vectorize
def both(a: Any, b: Any) -> Any:
    return a * b, a > b


inner = np.vectorize(lambda u, v: u @ v, signature="(n),(n)->()")
outer = np.vectorize(lambda u, v: (np.multiply.outer(u, v), u[0]), signature="(n),(m)->(n,m),()")
typed = np.vectorize(lambda a: a + 1, otypes=[np.float32])
weighted = np.vectorize(lambda x, w: sum(c * x**k for k, c in enumerate(w)), excluded={1, "w"})

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "branches": (bent, (X,)),
    "few": (bent, (X[:2, :3],)),
    "keyword": (lambda x: bent(x, b=x[0]), (X,)),
    "broadcast": (lambda x: both(x, x[:, :1]), (X,)),
    "narrow": (bent, (X.astype("f4"), np.float32(3))),
    "integers": (bent, (np.arange(-5, 5),)),
    "number": (bent, (np.float64(0.5),)),
    "signature": (inner, (X, X[0])),
    "larger results": (outer, (X, X[:, :2])),
    "types": (typed, (X,)),
    "types of nothing": (typed, (X[:0],)),
    "excluded": (lambda x: weighted(x, [1.0, 2.0, 3.0]), (X,)),
    "excluded keyword": (lambda x: weighted(x, w=[1.0, 2.0, 3.0]), (X,)),
    "lines": (lambda x: np.apply_along_axis(np.sort, 0, x), (X,)),
    "numbers of lines": (lambda x: np.apply_along_axis(lambda r, k: r[k] ** 2, 1, x, 3), (X.T,)),
    "tables of lines": (lambda x: np.apply_along_axis(np.diag, -1, x[:, :2]), (X.T,)),
}


@pytest.mark.parametrize("name", CASES)
def test_results_equal_numpys(name: str) -> None:
    function, args = CASES[name]
    ours, numpys = trace(function)(*args), function(*args)
    pairs = zip(ours, numpys, strict=True) if isinstance(numpys, tuple) else [(ours, numpys)]
    for one, other in pairs:
        assert_close(one, np.asarray(other), "rounded")


def test_a_branch_is_one_of_the_program() -> None:
    traced = trace(lambda x: np.sum(bent(x)))
    check_derivatives(lambda x: np.sum(bent(x)), X + np.sign(X))  # away from the bend
    assert len(traced.graph(X).nodes) < 10


def test_lines_are_differentiable() -> None:
    def spread(x: Any) -> Any:
        return np.sum(np.apply_along_axis(lambda r: np.max(r) - np.min(r), 0, x) ** 2)

    check_derivatives(spread, X)
    assert grad(spread)(X).shape == X.shape


def test_no_elements_have_no_type() -> None:
    with pytest.raises(ShapeError, match="otypes="):
        trace(bent)(X[:0])
