"""Samples of least squares: of more rows than columns, and of fewer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples.sample import Make, Sample


def _matrix(*shape: int) -> Make:
    return lambda rng, dtype: (rng.normal(size=shape).astype(dtype),)


def _solution(a: Any) -> Any:
    return np.linalg.lstsq(a[:, :-1], a[:, -1:])[0]


SAMPLES = [
    Sample(
        name=name,
        ops=("least_squares", "gram", "row_space"),
        function=_solution,
        make=make,
        exact=False,
    )
    for name, make in (("lstsq", _matrix(4, 3)), ("lstsq of few rows", _matrix(2, 4)))
]
