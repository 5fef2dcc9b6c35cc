"""Derivatives cost little more than what they are derivatives of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph as ad

N = 64
VECTOR = np.linspace(0.1, 0.9, N)
MATRIX = np.linspace(-1.0, 1.0, N * N).reshape(N, N)


def _softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return np.sum(MATRIX * (e / np.sum(e, axis=1, keepdims=True)))


def _log_sum_exp(x: Any) -> Any:
    top = np.max(x, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0])


def _layer_norm(x: Any) -> Any:
    centred = x - np.mean(x, axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1, keepdims=True)
    return np.sum(MATRIX * centred / np.sqrt(variance + 1e-5))


def _arc(x: Any) -> Any:
    t = np.sin(x / 2) ** 2 + np.cos(x) * np.sin(x * x) ** 2
    return np.sum(np.arctan2(np.sqrt(t), np.sqrt(2 - t)))


PROGRAMS: tuple[tuple[str, Callable[[Any], Any], Any, float], ...] = (
    ("softmax", _softmax, MATRIX, 1.6),
    ("log of sum of exponentials", _log_sum_exp, MATRIX, 1.3),
    ("layer norm", _layer_norm, MATRIX, 2.5),
    ("variance", lambda x: np.sum(np.var(x, axis=1)), MATRIX, 2.0),
    ("arc distance", _arc, VECTOR, 2.5),
    ("polynomial", lambda x: np.sum(x**5 - 3 * x**4 + x**0.5), VECTOR, 2.2),
    ("logistic", lambda x: np.sum(np.tanh(x) / (1 + np.exp(-x))), VECTOR, 3.0),
    ("cumulative sum", lambda x: np.sum(np.cumsum(x) ** 2), VECTOR, 2.5),
    ("products", lambda x: np.sum((x @ MATRIX) ** 2), MATRIX, 2.1),
    ("masked", lambda x: np.sum(np.where(x > 0, np.log1p(np.abs(x)), x * x)), MATRIX, 3.0),
)


@pytest.mark.parametrize(
    ("function", "x", "most"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS]
)
def test_a_gradient_needs_few_times_the_operations_of_the_value(
    function: Callable[[Any], Any], x: Any, most: float
) -> None:
    explained = ad.value_and_grad(function).explain(x)
    assert explained.primal_flops <= explained.cost.flops <= most * explained.primal_flops
    assert "flops of the function itself" in str(explained)


def test_a_value_alone_is_all_its_own() -> None:
    explained = ad.trace(_softmax).explain(MATRIX)
    assert explained.primal_flops == explained.cost.flops
    assert "flops of the function itself" not in str(explained)
