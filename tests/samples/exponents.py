"""Samples of the ops that take the binary exponent off a number and put it on."""

from __future__ import annotations

import numpy as np

from tests.samples.elementwise import uniform
from tests.samples.sample import Sample

SAMPLES = (
    Sample(
        name="frexp",
        ops=("frexp",),
        function=lambda x: np.frexp(x)[0] * np.frexp(x)[1],
        make=uniform((1.1, 1.9)),
    ),
    Sample(
        name="ldexp",
        ops=("ldexp",),
        function=lambda x: np.ldexp(x, np.arange(-2, np.shape(x)[-1] - 2)),
        make=uniform((-2.0, 2.0)),
    ),
)
