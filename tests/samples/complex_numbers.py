"""Samples of the ops of complex numbers, in functions of real arrays.

`tests/test_complex.py` has programs of complex arguments.
"""

from __future__ import annotations

import numpy as np

from adgraph.ops.complex_numbers import make_complex
from tests.samples.elementwise import uniform
from tests.samples.sample import Sample

SAMPLES = (
    Sample(
        name="real",
        ops=("real",),
        function=lambda x: np.real(np.exp(1j * x) * x),
        make=uniform((-3.0, 3.0)),
        exact=False,
    ),
    Sample(
        name="imag",
        ops=("imag",),
        function=lambda x: np.imag(np.exp(1j * x) / (x + 2j)),
        make=uniform((-3.0, 3.0)),
        exact=False,
    ),
    Sample(
        name="complex",
        ops=("complex",),
        function=lambda a, b: np.abs(make_complex(np.real(a), np.real(a * b)) ** 2 + 1j),
        make=uniform((0.5, 3.0), (-3.0, 3.0)),
        exact=False,
    ),
)
