"""The benchmark of memory: its lines, its refusals, and that its programs are those of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adgraph.errors import BudgetError
from benchmarks.memory import __main__ as table
from benchmarks.memory import in_adgraph
from benchmarks.memory.fresh import Measured
from benchmarks.memory.programs import PROGRAMS, Program


def small(x: np.ndarray, y: np.ndarray) -> np.float64:
    for _ in range(6):
        x = np.tanh(np.cumsum(x) * y)
    return np.sum(x**2)


SMALL = Program(
    "small",
    small,
    lambda random: (random.normal(size=3000), random.normal(size=3000)),
    (0.8, 0.01),
)


def test_a_budget_gives_the_same_gradient() -> None:
    arguments = SMALL.arguments()
    _, expected = in_adgraph.prepare(SMALL, "store-all", arguments)()
    _, found = in_adgraph.prepare(SMALL, "budget 0.8", arguments)()
    assert [g.tobytes() for g in found] == [g.tobytes() for g in expected]


def test_a_budget_that_cannot_be_kept_is_an_error_of_its_own() -> None:
    with pytest.raises(BudgetError, match="smallest budget"):
        in_adgraph.prepare(SMALL, "budget 1/100", SMALL.arguments())


def test_a_line_compares_with_the_first_one() -> None:
    first = Measured(300_000_000, 2.0)
    assert table._line("a", first, first) == "| a | 300.0 | 2.000 | 1/1 | 1.00 |"
    assert (
        table._line("b", Measured(30_000_000, 3.0), first) == "| b | 30.0 | 3.000 | 1/10 | 1.50 |"
    )
    assert table._line("c", Measured(0, 0.0, "not so"), first) == "| c | not so | | | |"


def test_gradients_that_differ_are_refused(tmp_path: Path) -> None:
    gradient = np.linspace(-3.0, 3.0, 7)
    np.savez(tmp_path / "a.npz", gradient)
    np.savez(tmp_path / "b.npz", gradient + 1e-12)
    np.savez(tmp_path / "c.npz", gradient + 1e-6)
    assert table._difference(tmp_path / "a.npz", tmp_path / "b.npz") == ""
    assert "its gradient differs by 3.3e-07" in table._difference(
        tmp_path / "a.npz", tmp_path / "c.npz"
    )


def test_an_unknown_program_ends_with_the_names_there_are() -> None:
    with pytest.raises(SystemExit, match="perceptron of 32 layers"):
        table.main(["no such name"])


def test_the_image_of_the_net_comes_back_to_its_size() -> None:
    (net,) = (program for program in PROGRAMS if program.name.startswith("U-Net"))
    x, *weights = net.arguments()
    assert np.isfinite(net.function(x[:, :32, :24], *weights))
