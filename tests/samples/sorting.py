"""Samples of sorting, quantiles and searching, and of what counts into bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples.reduction import literal, normal, row
from tests.samples.sample import Sample

POINTS = [-1.5, -0.4, 0.3, 0.7, 2.1]
AT = [[-2.0, -1.0, 0.1], [0.5, 1.7, 3.0]]
UNORDERED = "searching needs numbers, not pairs: sort them by np.lexsort"
NUMBERS = np.array([3, 0, 3, 1, 0])


def _nearest(line: Any, x: Any) -> Any:
    """Both operands of the search depend on an argument, so that batching gives each its own."""
    found = np.searchsorted(line, x, side="right")
    return line[np.minimum(found, len(line) - 1)] * x


def _rank(x: Any) -> Any:
    return x * np.searchsorted(np.array(POINTS), x)


def _without_nan(x: Any) -> Any:
    return np.nanquantile(np.where(x > 1.5, np.nan, x), [0.2, 0.7], axis=1)


SAMPLES: list[Sample] = [
    row("sort", "argsort take", lambda x: np.sort(x, axis=0) * x, normal((4, 3)), analytic=False),
    row("median", "argselect", lambda x: np.median(x * x, axis=(0, 2)), analytic=False),
    row("quantiles", "argselect", lambda x: np.quantile(x, [0.1, 0.6], axis=1),
        normal((3, 5)), analytic=False),
    row("quantiles at arguments", "argselect", lambda x, q: np.quantile(x, q, method="hazen"),
        literal(POINTS, [0.17, 0.52]), analytic=False),
    row("quantiles without nan", "argselect", _without_nan, normal((3, 5)), analytic=False),
    row("searchsorted", "searchsorted", _nearest, literal(POINTS, AT), analytic=False,
        real=UNORDERED),
    row("searchsorted in constants", "searchsorted", _rank, literal(AT), analytic=False,
        real=UNORDERED),
    row("interp", "searchsorted take", np.interp, literal(AT, POINTS, [1.0, 3.0, 2.0, -1.0, 0.5]),
        analytic=False, dtypes=("f8",)),
    row("weights of bincount", "scatter_add", lambda w: np.bincount(NUMBERS, w * w, 6),
        normal((5,)), analytic=False, dtypes=("f8",)),
    row("weights of a histogram", "searchsorted scatter_add",
        lambda x, w: np.histogram(x, [-2.5, -0.9, 0.2, 4.0], weights=w, density=True)[0],
        literal(AT, [[0.3, 1.2, 0.7], [0.2, 0.9, 1.5]]), analytic=False, exact=False,
        dtypes=("f8",), real=UNORDERED),
]  # fmt: skip
