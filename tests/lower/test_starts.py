"""Arrays that a loop carries from one start are filled where they stay."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from adgraph import trace
from adgraph.analysis.programs import nested
from adgraph.lower.program import arrange
from adgraph.lower.starts import separate_starts
from tests.control.construction import array, fori, program, put_at

TRIPS, WIDTH = 50, 300
X = np.linspace(0.1, 0.9, WIDTH)


def rolled(x: Any) -> Any:
    """Its derivative records two arrays of one type in every trip."""
    for _ in range(TRIPS):
        x = np.sin(x) * np.roll(x, 1)
    return np.sum(x)


def test_tapes_of_one_type_take_no_array_beside_them() -> None:
    gradient = trace(rolled).grad
    facts = gradient.explain(X)
    assert facts.taped_bytes == 2 * TRIPS * WIDTH * 8
    assert facts.peak_bytes < 1.1 * facts.taped_bytes
    assert facts.scratch_bytes < 10 * WIDTH * 8


def test_tapes_that_are_written_in_full_are_not_filled() -> None:
    text = trace(rolled).grad.source(X).split("# for _ in range(50)")[0]
    assert not re.search(r"= 0\.0", text)


def test_a_loop_whose_variables_start_alike_computes_what_it_did() -> None:
    def swapped(x: Any) -> Any:
        def step(i: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any, Any]:
            return b + 1, put_at(c, np.sin(a), (0, 4)), a

        zero = np.zeros(4)
        return fori(0, 5, 1, [zero, zero, zero], step)[0] + x

    graph = program([array(4)], swapped)
    (made,) = (n for n in separate_starts(graph).nodes if "trips" in n.attrs)
    assert len(set(made.inputs)) == len(made.inputs)
    settled, _, _ = arrange(graph)
    assert all(len(set(n.inputs)) == len(n.inputs) for n in nested(settled) if "trips" in n.attrs)

    def plain(x: Any) -> Any:
        a, b, c = np.zeros(4), np.zeros(4), np.zeros(4)
        for _ in range(5):
            a, b, c = b + 1, np.sin(a) + c, a
        return a + x

    np.testing.assert_allclose(trace(plain)(np.ones(4)), plain(np.ones(4)), rtol=1e-14)
