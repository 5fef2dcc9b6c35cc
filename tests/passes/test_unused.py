"""Decompositions compute what is read, and derivatives find what they need."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace
from adgraph.testing import assert_close, check_derivatives

RNG = np.random.default_rng(7)
SQUARE, TALL, WIDE = (RNG.normal(size=s) for s in ((4, 4), (2, 6, 3), (3, 5)))
TURNED = SQUARE + 1j * RNG.normal(size=(4, 4))

CASES: dict[str, tuple[Callable[..., Any], Any, str]] = {
    "eigvalsh": (np.linalg.eigvalsh, SQUARE, "eigh"),
    "complex eigvalsh": (np.linalg.eigvalsh, TURNED, "eigh"),
    "upper eigvalsh": (lambda a: np.linalg.eigvalsh(a, "U"), SQUARE, "eigh_upper"),
    "eigvals": (lambda a: np.linalg.eigvals(a).astype(complex), SQUARE, "eig"),
    "complex eigvals": (np.linalg.eigvals, TURNED, "eig"),
    "svdvals": (np.linalg.svdvals, TALL, "svd"),
    "complex svdvals": (np.linalg.svdvals, TURNED, "svd"),
    "r": (lambda a: np.abs(np.linalg.qr(a, "r")), TALL, "qr"),
    "r of complete": (lambda a: np.abs(np.linalg.qr(a[0], "complete")[1]), TALL, "qr"),
    "complex r": (lambda a: np.abs(np.linalg.qr(a, "r")), TURNED, "qr"),
}


def _sorted(values: Any) -> Any:
    return np.sort_complex(values) if values.dtype.kind == "c" else values


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("single", [False, True])
def test_what_is_not_read_is_not_computed(name: str, single: bool) -> None:
    function, a, op = CASES[name]
    narrow = np.complex64 if a.dtype.kind == "c" else np.float32
    matrix = a.astype(narrow) if single else a
    traced = trace(function)
    tolerance = "rounded" if not single else "differenced"
    assert_close(_sorted(traced(matrix)), _sorted(function(matrix)), tolerance)
    assert re.search(rf"^unused .* {op}: 1$", str(traced.explain(matrix)), re.MULTILINE)


def test_vectors_are_computed_where_a_derivative_needs_them() -> None:
    def energy(a: Any) -> Any:
        return np.sum(np.linalg.eigvalsh(a @ a.T) ** 2)

    check_derivatives(energy, SQUARE)
    assert_close(grad(energy)(SQUARE), 4 * SQUARE @ SQUARE.T @ SQUARE, "rounded")


def test_loops_leave_out_results_too() -> None:
    def steps(a: Any) -> Any:
        for _ in range(30):
            a = a + np.sum(np.linalg.svdvals(a)) / 100
        return a

    assert_close(trace(steps)(WIDE), steps(WIDE), "rounded")
