"""Samples of the folds and scans, and of what NumPy's reductions are composed of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.samples.sample import Make, Sample


def normal(*shapes: tuple[int, ...]) -> Make:
    """Make one array of normal numbers per shape."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)

    return make


def literal(*values: Any) -> Make:
    """Make the same floats every time."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        return tuple(np.array(value, dtype) for value in values)

    return make


def row(
    name: str,
    ops: str,
    function: Callable[..., Any],
    make: Make | None = None,
    *,
    analytic: bool = True,
    **options: Any,
) -> Sample:
    """Return a row; `ops` are names with spaces between them."""
    return Sample(
        name=name,
        ops=tuple(ops.split()),
        function=function,
        make=make or normal((4, 3, 2)),
        analytic=analytic,
        **options,
    )


def _kinked(name: str, ops: str, function: Callable[..., Any], **options: Any) -> Sample:
    return row(name, ops, function, analytic=False, **options)


def _flat(name: str, ops: str, function: Callable[..., Any], **options: Any) -> Sample:
    return _kinked(name, ops, function, differentiable=False, **options)


MASK = np.array([[True, False], [True, True], [False, False]])

# One zero, two zeros, none: the derivative of a product does not divide by it.
ZEROS = [[0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [1.5, -2.0, 0.5], [0.0, 0.0, 0.0]]

SUMS = [
    row("sum", "sum", np.sum, resizable=True),
    row("sum over axes", "sum", lambda x: np.sum(x, axis=(0, -1), keepdims=True), exact=False),
    row("sum where", "sum", lambda x: np.sum(x, axis=0, where=MASK, initial=2.0), exact=False),
    row("add.reduce", "sum", lambda x: np.add.reduce(x), exact=False, resizable=True),
    row("mean", "sum", lambda x: np.mean(x, axis=1), exact=False),
    row("mean where", "sum", lambda x: x.mean(axis=(0, 1), where=MASK), exact=False),
    _kinked("var", "sum", lambda x: np.var(x, axis=(0, 2), ddof=1), exact=False),
    _kinked("std", "root", lambda x: x.std(axis=0, keepdims=True), exact=False),
    row("average", "sum", lambda x, w: np.average(x, 1, w * w), normal((4, 3), (3,)), exact=False),
    row("cumsum", "cumsum", lambda x: np.cumsum(x, axis=1), exact=False, resizable=True),
    row("cumsum of all", "cumsum", lambda x: x.cumsum(), exact=False, resizable=True),
]

PRODUCTS = [
    row("prod", "prod recurrence", np.prod, normal((5,)), exact=False, resizable=True),
    row("prod of zeros", "prod recurrence", lambda x: np.prod(x, 1), literal(ZEROS)),
    row("prod over axes", "prod", lambda x: x.prod(axis=(2, 0)), exact=False),
    row("multiply.reduce", "prod", lambda x: np.multiply.reduce(x, -1), exact=False),
    row("cumprod", "recurrence", lambda x: np.cumprod(x, 1), literal(ZEROS), exact=False),
    row("cumprod of all", "recurrence", np.cumprod, exact=False, resizable=True),
]

EXTREMA = [
    _kinked("max", "max", np.max, errors=((normal((0, 2)), ValueError),)),
    _kinked("max over axes", "max", lambda x: x.max(axis=(0, 2), keepdims=True)),
    _kinked("max initial", "max", lambda x: np.max(x, 0, initial=0.1, where=MASK)),
    _kinked("min", "min", lambda x: np.min(x, axis=-1), errors=((normal((2, 0)), ValueError),)),
    _kinked("maximum.reduce", "max", lambda x: np.maximum.reduce(x)),
    _kinked("minimum.reduce", "min", lambda x: np.minimum.reduce(x, axis=(0, 1))),
    _kinked("ptp", "max min", lambda x: np.ptp(x, axis=0)),
    _kinked("max of a mask", "nonempty max", lambda x: x[x[..., 0] > 0].max(axis=0)),
]

LOGARITHMS = [
    _kinked(
        "logaddexp.reduce",
        "stop_gradient",
        lambda x: np.logaddexp.reduce(5 * x, axis=(1, 2)),
        exact=False,
    ),
    row(
        "logaddexp.reduce of infinities",
        "stop_gradient",
        lambda x: np.logaddexp.reduce(np.where(x > 0, x, -np.inf), axis=0, keepdims=True),
        literal([[1.0, -1.0], [2.0, -2.0], [-3.0, -1.0]]),
        analytic=False,
        exact=False,
        skip={
            "difference": "differences of -inf are nan",
            "second order": "differences of -inf are nan",
            "batch": "compared in the row above",
            "value": "NumPy's -inf is compared in test_numpy_api",
        },
    ),
]

POSITIONS = [
    _flat("argmax", "argmax", np.argmax, errors=((normal((0,)), ValueError),)),
    _flat("argmax axis", "argmax", lambda x: np.argmax(x, axis=1, keepdims=True)),
    _flat("argmin", "argmin", lambda x: x.argmin(0), errors=((normal((0, 3)), ValueError),)),
    _flat("argsort", "argsort", lambda x: np.argsort(np.round(x, 1), axis=1, kind="stable")),
    _flat("argsort of all", "argsort", lambda x: x.argsort(None), resizable=True),
    _flat("any", "any", lambda x: np.any(x > 1, axis=0), resizable=True),
    _flat("all", "all", lambda x: np.all(x > -1, axis=(0, 1)), resizable=True),
    _flat("count_nonzero", "sum", lambda x: np.count_nonzero(x > 0, axis=1)),
]

SAMPLES = [*SUMS, *PRODUCTS, *EXTREMA, *LOGARITHMS, *POSITIONS]
