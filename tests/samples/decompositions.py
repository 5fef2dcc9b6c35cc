"""Samples of the decompositions of matrices; what has no sign of its own is squared."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples.sample import Sample


def symmetric(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    """Make matrices whose eigenvalues are apart."""
    a = rng.normal(size=(2, 4, 4))
    return ((a + np.swapaxes(a, 1, 2) + np.diag([0.0, 5.0, 10.0, 15.0])).astype(dtype),)


def _spectrum(a: Any) -> Any:
    w, v = np.linalg.eigh(a)
    return np.sin(w) + np.sum(v**2 * np.arange(4.0)[:, None], axis=1)


def _hermitian_spectrum(a: Any) -> Any:
    w, v = np.linalg.eigh(a + 1j * np.tril(a, -1))
    return np.sin(w) + np.sum(np.abs(v) ** 2 * np.arange(4.0)[:, None], axis=1)


SAMPLES = (
    Sample(name="eigh", ops=("eigh",), function=_spectrum, make=symmetric, exact=False),
    Sample(
        name="eigh of complex",
        ops=("eigh",),
        function=_hermitian_spectrum,
        make=symmetric,
        exact=False,
    ),
)
