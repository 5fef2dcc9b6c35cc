"""Samples of searches among edges that are equally far apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples.reduction import literal, row
from tests.samples.sample import Sample
from tests.samples.sorting import UNORDERED

AT = [[-2.0, -1.0, 0.1], [0.5, 1.7, 3.0]]
WEIGHTS = [[0.3, 1.2, 0.7], [0.2, 0.9, 1.5]]


def _counted(x: Any, w: Any) -> Any:
    return np.histogram(x, 3, (-2.5, 4.0), weights=w, density=True)[0]


SAMPLES: list[Sample] = [
    row("weights in equal bins", "evensearch scatter_add", _counted, literal(AT, WEIGHTS),
        analytic=False, exact=False, dtypes=("f8",), real=UNORDERED),
    row("bins between extrema", "evensearch", lambda x: x * np.histogram(x, 4)[0][:3],
        literal([[-2.0, -1.1, 0.1], [0.6, 1.7, 3.0]]), analytic=False, dtypes=("f8",),
        real=UNORDERED),
]  # fmt: skip
