"""Series of orthogonal polynomials: the `...val` and `...vander` functions of `numpy.polynomial`.

NumPy does not dispatch them, so that they are met in rewritten calls. A basis is its recurrence
`P[n] = beta(n, x) P[n-1] - alpha(n) P[n-2]`; sums are taken by Clenshaw's rule (1955).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial

from adgraph.errors import ShapeError, message
from adgraph.ir.op import type_of
from adgraph.tracing.numpy_api.assembly import stack
from adgraph.tracing.numpy_api.creation import asarray, constructs, contains_tracer
from adgraph.tracing.numpy_api.shape import reshape
from adgraph.tracing.tracer import as_tracer


@dataclass(frozen=True)
class Basis:
    """A recurrence; `first` is the polynomial of degree one."""

    alpha: Callable[[int], float]
    beta: Callable[[int, Any], Any]
    first: Callable[[Any], Any]


POWERS = Basis(lambda n: 0, lambda n, x: x, lambda x: x)
CHEBYSHEV = Basis(lambda n: 1, lambda n, x: 2 * x, lambda x: x)
LEGENDRE = Basis(lambda n: (n - 1) / n, lambda n, x: x * ((2 * n - 1) / n), lambda x: x)
HERMITE = Basis(lambda n: 2 * (n - 1), lambda n, x: 2 * x, lambda x: 2 * x)
HERMITE_E = Basis(lambda n: n - 1, lambda n, x: x, lambda x: x)
LAGUERRE = Basis(lambda n: (n - 1) / n, lambda n, x: (2 * n - 1 - x) / n, lambda x: 1 - x)


def _floats(x: Any) -> Any:
    array = as_tracer(asarray(x))
    return array if array.dtype.kind in "fc" else as_tracer(array, np.float64)


def _evaluates(function: Callable[..., Any], basis: Basis) -> None:
    @constructs(function)
    def value(x: Any, c: Any, tensor: bool = True) -> Any:
        if not contains_tracer([x, c]):
            return function(x, c, tensor)
        at = as_tracer(asarray(x))
        given = _floats(c)
        lines = reshape(given, (given.size,)) if given.ndim < 1 else given
        if tensor:
            lines = reshape(lines, (*lines.shape, *(1,) * at.ndim))
        return _clenshaw(lines, at, basis)


def _clenshaw(lines: Any, x: Any, basis: Basis) -> Any:
    count = type_of(lines).shape[0]
    low, high = (lines[count - 2], lines[count - 1]) if count > 1 else (lines[0], 0)
    for n in range(count - 1, 1, -1):
        scale = basis.alpha(n)
        term = lines[n - 2] - high * scale if scale else lines[n - 2]
        low, high = term, low + high * basis.beta(n, x)
    return low + high * basis.first(x)


def _tabulates(function: Callable[..., Any], basis: Basis) -> None:
    @constructs(function)
    def vander(x: Any, deg: int) -> Any:
        if not contains_tracer(x):
            return function(x, deg)
        if deg < 0:
            raise ShapeError(message(f"{function.__name__}: deg={deg} is negative"))
        given = _floats(x)
        at = reshape(given, (1,)) if not given.ndim else given
        columns = [at * 0 + 1, basis.first(at)]
        for n in range(2, deg + 1):
            scale = basis.alpha(n)
            column = columns[-1] * basis.beta(n, at)
            columns.append(column - columns[-2] * scale if scale else column)
        return stack(columns[: deg + 1], axis=-1)


for _module, _name, _basis in (
    (polynomial, "poly", POWERS),
    (chebyshev, "cheb", CHEBYSHEV),
    (legendre, "leg", LEGENDRE),
    (hermite, "herm", HERMITE),
    (hermite_e, "herme", HERMITE_E),
    (laguerre, "lag", LAGUERRE),
):
    _evaluates(getattr(_module, f"{_name}val"), _basis)
    _tabulates(getattr(_module, f"{_name}vander"), _basis)
