"""Samples of the Fourier transforms, in functions of real arrays; tests/test_fft.py has the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.samples.elementwise import uniform
from tests.samples.sample import Sample


def _distances(transform: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: np.abs(transform(x) - 4.0)


def _row(op: str, transform: Callable[[Any], Any]) -> Sample:
    return Sample(
        name=op,
        ops=(op,),
        function=_distances(transform),
        make=uniform((-1.0, 1.0)),
        exact=False,
    )


SAMPLES = (
    _row("fft", lambda x: np.fft.fft(x * (1 + 1j))),
    _row("ifft", lambda x: np.fft.ifft(x * (1 + 1j), norm="ortho")),
    _row("rfft_even", np.fft.rfft),
    _row("rfft_odd", lambda x: np.fft.rfft(x, 5)),
    _row("irfft", lambda x: np.fft.irfft(x * (1 + 1j))),
)
