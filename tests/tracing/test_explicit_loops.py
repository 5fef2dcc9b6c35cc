"""fori_loop, scan, while_loop, cond and map: in a trace and outside, against plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.errors import ShapeError
from tests.tracing.captured import A, X, assert_equals_numpy, operations


def power(x: Any, n: int) -> Any:
    return adgraph.fori_loop(0, n, lambda i, y: y * x + i, np.ones_like(x))


def two_states(x: Any, n: int) -> Any:
    def body(i: int, state: Any) -> Any:
        total, rest = state["total"], state["rest"]
        return {"total": total + rest[i], "rest": rest * 0.5}

    return adgraph.fori_loop(2, 18, body, {"total": 0.0, "rest": x})


def prefix_sums(x: Any, n: int) -> Any:
    return adgraph.scan(lambda total, v: (total + v, total * n), 0.0, x)


def from_the_end(x: Any, n: int) -> Any:
    pairs = {"a": x, "b": x * 2}
    return adgraph.scan(lambda c, v: (c * 0.5 + v["a"], (c, v["b"] * n)), 1.0, pairs, reverse=True)


def without_elements(x: Any, n: int) -> Any:
    return adgraph.scan(lambda c, _: (c * 0.5, c[:2]), x, None, length=15)


def newton(x: Any, n: int) -> Any:
    return adgraph.while_loop(
        lambda z: np.abs(z * z - x[3]) > 1e-10, lambda z: 0.5 * (z + x[3] / z), x[3]
    )


def chosen(x: Any, n: int) -> Any:
    return adgraph.cond(x[0] * n > 2, lambda a, b: a * b, lambda a, b: a - b, x, x + 1)


def chosen_by_python(x: Any, n: int) -> Any:
    return adgraph.cond(len(x) > 3, lambda: x * 2, lambda: x)


def mapped(x: Any, n: int) -> Any:
    return adgraph.map(lambda row: row.sum() * row, np.outer(x, x) * n)


FORMS = [
    power,
    two_states,
    prefix_sums,
    from_the_end,
    without_elements,
    newton,
    chosen,
    chosen_by_python,
    mapped,
]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("function", FORMS)
def test_a_form_does_the_same_in_a_trace_and_outside(function: Callable[..., Any], n: int) -> None:
    assert_equals_numpy(function, X / 10, n)


def test_forms_become_single_nodes() -> None:
    for function, op in (
        (power, "counted"),
        (prefix_sums, "loop"),
        (newton, "while"),
        (chosen, "cond"),
        (mapped, "loop"),
    ):
        graph = assert_equals_numpy(function, X / 10, 2)
        assert operations(graph).count(op) == 1


def test_scan_of_rows() -> None:
    assert_equals_numpy(lambda a: adgraph.scan(lambda c, r: (c + r, c @ r), a[0], a), A)


@pytest.mark.parametrize(
    "scan",
    [
        lambda x: adgraph.scan(lambda c, v: (c, v[0]), 0.0, (x, x[1:])),
        lambda x: adgraph.scan(lambda c, v: (c, c), 0.0),
    ],
)
def test_scan_needs_one_length(scan: Callable[[Any], Any]) -> None:
    with pytest.raises(ShapeError, match="scan"):
        scan(X)
