"""Samples of convolutions, differences, polynomials and covariances."""

from __future__ import annotations

import numpy as np

from tests.samples.reduction import normal, row
from tests.samples.sample import Sample

SAMPLES: list[Sample] = [
    row("convolve", "convolve", lambda a, v: np.convolve(a, v) * np.sum(v), normal((7,), (3,)),
        exact=False),
    row("convolve, the part with all terms", "convolve",
        lambda a, v: np.convolve(a, v * v, "valid"), normal((4,), (6,)), exact=False),
    row("correlate", "convolve", lambda a, v: np.correlate(a, v, "same"), normal((5,), (4,)),
        analytic=False, exact=False),
    row("gradient at unequal distances", "getitem",
        lambda f, x: np.gradient(f, np.cumsum(np.exp(x)), edge_order=2), normal((5,), (5,)),
        exact=False),
    row("trapezoid", "sum", lambda y, x: np.trapezoid(y, x, axis=0), normal((4, 3), (4,))),
    row("covariance", "matmul", lambda x, y: np.cov(x, y, aweights=np.arange(1.0, 5.0)),
        normal((4,), (4,)), analytic=False, exact=False),
    row("quotient of polynomials", "concatenate", lambda u, v: np.polydiv(u, np.exp(v)),
        normal((5,), (3,)), exact=False,
        dtypes=("f8",)),
]  # fmt: skip
