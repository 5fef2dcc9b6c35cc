"""The benchmark of memory: its lines, its refusals, and that its programs are those of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adgraph.errors import BudgetError
from benchmarks.memory import __main__ as table
from benchmarks.memory import in_adgraph
from benchmarks.memory.fresh import Measured
from benchmarks.memory.programs import PLAIN, PROGRAMS, Program


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
    _, expected = in_adgraph.prepare(SMALL, PLAIN, arguments)()
    _, found = in_adgraph.prepare(SMALL, "budget 0.8", arguments)()
    assert [g.tobytes() for g in found] == [g.tobytes() for g in expected]


def test_a_budget_that_cannot_be_kept_is_an_error_of_its_own() -> None:
    with pytest.raises(BudgetError, match="smallest budget"):
        in_adgraph.prepare(SMALL, "budget 1/100", SMALL.arguments())


def test_a_line_compares_with_the_first_one() -> None:
    first, little = Measured(300_000_000, 2.0), Measured(30_000_000, 3.0)
    assert table._line("p", "a", first, first) == "| p | a | 300.0 | 2.000 | 1 | 1.00 |"
    assert table._line("", "b", little, first) == "|  | b | 30.0 | 3.000 | 0.1 | 1.50 |"
    refused = Measured(0, 0.0, "not so")
    assert table._line("", "c", refused, first) == "|  | c | not so | | | |"


def test_the_table_is_written_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PROGRAMS", (SMALL,))
    monkeypatch.setattr(table, "measured", _without_a_process)
    target = tmp_path / "memory.md"
    table.main(["--packages", "adgraph", "--markdown", str(target)])
    lines = target.read_text(encoding="utf-8").splitlines()
    begin = lines.index(table.HEAD.splitlines()[0])
    assert lines[begin + 2 :] == [
        "| small | adgraph, plain | 0.5 | 1.000 | 1 | 1.00 |",
        "|  | adgraph, budget 0.8 | 0.5 | 1.000 | 1 | 1.00 |",
        "|  | adgraph, budget 1/100 | 0.5 | 1.000 | 1 | 1.00 |",
    ]


def _without_a_process(name: str, package: str, way: str, file: Path) -> Measured:
    np.savez(file, np.ones(3))
    return Measured(500_000, 1.0)


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
