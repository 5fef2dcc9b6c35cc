"""Samples of the decompositions of matrices; what has no sign of its own is squared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import lu_factor

from adgraph.ops.matrix_functions import expm
from tests.samples.sample import Sample


def symmetric(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    """Make matrices whose eigenvalues are apart."""
    a = rng.normal(size=(2, 4, 4))
    return ((a + np.swapaxes(a, 1, 2) + np.diag([0.0, 5.0, 10.0, 15.0])).astype(dtype),)


def _spectrum(a: Any, triangle: str = "L") -> Any:
    w, v = np.linalg.eigh(a, triangle)
    return np.sin(w) + np.sum(np.abs(v) ** 2 * np.arange(4.0)[:, None], axis=1)


def _hermitian_spectrum(a: Any, triangle: str = "L") -> Any:
    w, v = np.linalg.eigh(a + 1j * np.tril(a, -1) - 1j * np.triu(a, 1), triangle)
    return np.sin(w) + np.sum(np.abs(v) ** 2 * np.arange(4.0)[:, None], axis=1)


def matrices(rows: int, columns: int) -> Callable[..., tuple[Any, ...]]:
    """Make matrices whose singular values are apart."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        a = rng.normal(size=(2, rows, columns))
        return ((a + 5 * np.eye(rows, columns) * np.arange(1.0, columns + 1)).astype(dtype),)

    return make


def _parts(*arrays: Any) -> Any:
    return tuple(part for x in arrays for part in (np.real(x), np.imag(x)))


def _projections(full: bool) -> Callable[[Any], Any]:
    def function(a: Any) -> Any:
        u, s, vh = np.linalg.svd(a, full_matrices=full)
        left = np.sum(np.abs(u) ** 2 * np.arange(1.0, u.shape[-1] + 1), axis=-1)
        right = np.sum(np.abs(vh) ** 2 * np.arange(1.0, vh.shape[-1] + 1), axis=-1)
        return np.concatenate([left, np.sin(s), right], axis=-1)

    return function


SAMPLES = (
    Sample(
        name="svd", ops=("svd",), function=_projections(False), make=matrices(4, 3), exact=False
    ),
    Sample(
        name="svd_full",
        ops=("svd_full",),
        function=_projections(True),
        make=matrices(3, 4),
        exact=False,
    ),
    Sample(
        name="svd of complex",
        ops=("svd",),
        function=lambda a: _projections(False)(a * (1 + 0.5j) + 1j),
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(name="qr", ops=("qr",), function=np.linalg.qr, make=matrices(4, 3), exact=False),
    Sample(
        name="raw qr",
        ops=("qr_raw",),
        function=lambda a: np.linalg.qr(a[0], "raw"),
        make=matrices(4, 3),
        exact=False,
        differentiable=False,
        skip={"zero": "its derivative is refused, not zero"},
    ),
    Sample(
        name="qr of complex",
        ops=("qr",),
        function=lambda a: _parts(*np.linalg.qr(a * (1 + 0.5j) + 1j)),
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(
        name="eig",
        ops=("eig",),
        function=lambda a: _parts(*np.linalg.eig(a)),
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(
        name="eig of complex",
        ops=("eig",),
        function=lambda a: _parts(*np.linalg.eig(a + 1j * np.tril(a))),
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(name="pinv", ops=("pinv",), function=np.linalg.pinv, make=matrices(3, 4), exact=False),
    Sample(
        name="lu_factor",
        ops=("lu_factors",),
        function=lambda a: lu_factor(a)[0],
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(
        name="expm",
        ops=("expm",),
        function=lambda a: expm(0.1 * a),
        make=matrices(3, 3),
        exact=False,
    ),
    Sample(name="eigh", ops=("eigh",), function=_spectrum, make=symmetric, exact=False),
    Sample(
        name="eigh of the upper triangle",
        ops=("eigh_upper",),
        function=lambda a: _spectrum(a, "U"),
        make=symmetric,
        exact=False,
    ),
    Sample(
        name="eigh of the upper triangle of complex",
        ops=("eigh_upper",),
        function=lambda a: _hermitian_spectrum(a, "U"),
        make=symmetric,
        exact=False,
    ),
    Sample(
        name="eigh of complex",
        ops=("eigh",),
        function=_hermitian_spectrum,
        make=symmetric,
        exact=False,
    ),
)
