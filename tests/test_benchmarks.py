"""The benchmark table: what it prints, and that it refuses to time wrong results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.fresh import First
from benchmarks.measure import Line, WrongResultError, measure
from benchmarks.peers import OURS, contestants
from benchmarks.peers.contestant import Contestant, LeftOutError, Run
from benchmarks.report import Fresh, first_header, first_line, losses, times_header
from benchmarks.suite import GROUPS, PROGRAMS
from benchmarks.suite.program import Arguments, Program, on

(POLYNOMIAL,) = (p for p in PROGRAMS if p.name == "polynomial")
SMALL = ["--rounds", "1", "--only", "times", "--peers", "numpy", "--hand", "nowhere"]


def by_differences(program: Program, arguments: Arguments, shift: Any = 0.0) -> Run:
    def run() -> tuple[Any, Any]:
        (x,), f = arguments, program.function
        return f(x), np.imag(f(x + 1e-30j)) / 1e-30 + shift

    return run


def unable(program: Program, arguments: Arguments) -> Run:
    raise LeftOutError("cannot do it")


def ours() -> Contestant:
    (one,) = contestants([OURS], hand=None)
    return one


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_two_programs_give_two_rows_under_the_header(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "polynomial", "Rosenbrock"])
    header, _, *found = rows(capsys.readouterr().out)
    assert header == rows(times_header([]))[0]
    assert [row[0] for row in found[:2]] == ["polynomial", "Rosenbrock 10"]
    assert all(len(row) == len(header) for row in found[:2])
    assert all(float(row[1].replace(",", "")) > 0 for row in found[:2])


def test_markdown_file_has_the_same_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main([*SMALL, "polynomial", "--markdown", str(tmp_path / "table.md")])
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("shift", [1e-6, np.nan, np.zeros(2)], ids=["value", "nan", "shape"])
def test_wrong_gradient_is_refused_before_it_is_timed(shift: Any) -> None:
    wrong = Contestant("wrong", partial(by_differences, shift=shift))
    with pytest.raises(WrongResultError, match="that of wrong differ by"):
        measure(POLYNOMIAL, [wrong, ours()], rounds=1)


def test_peer_that_cannot_run_a_program_is_named_with_the_reason() -> None:
    who = [Contestant("right", by_differences), Contestant("unable", unable), ours()]
    line = measure(POLYNOMIAL, who, rounds=1)
    assert line.left_out == {"unable": "cannot do it"}
    assert line.peers() == ["right"]


def test_unknown_program_is_an_error_that_lists_them() -> None:
    with pytest.raises(SystemExit, match="no such program; there are: polynomial"):
        main(["nothing of this name"])


def line_of(program: Program, ours: float, theirs: float, hand: float) -> Line:
    seconds = {OURS: [ours, 2 * ours], "jax": [theirs, 9.0], "hand": [hand, 9.0]}
    return Line(program, seconds, {}, 0.0, {})


def test_ratios_are_of_low_times_and_misses_are_flagged() -> None:
    program = next(p for p in PROGRAMS if p.group == "fused")
    slow = line_of(program, ours=2.0, theirs=1.0, hand=1.0)
    assert slow.best() == 0.5
    assert slow.hand() == 2.0
    assert slow.flags() == ["< 0.9 peer", "> 1.5 hand"]
    assert line_of(program, ours=1.0, theirs=2.0, hand=0.8).flags() == []
    assert line_of(POLYNOMIAL, ours=1.0, theirs=7.0, hand=1.0).flags() == ["< 8 jax"]


def test_first_gradients_later_than_those_of_jax_are_losses() -> None:
    slow, fast = First(0.1, 2.0, 10**8), First(0.2, 0.5, 2 * 10**8)
    (header, _), (cells,) = rows(first_header()), rows(first_line("x", Fresh(slow, fast, fast)))
    assert len(header) == len(cells)
    assert cells[1:] == [
        *("2.00", "0.50", "2.10", "0.70", "0.50", "0.70", "100", "200"),
        "first later than jax, warm > 0.3 s",
    ]
    line = line_of(POLYNOMIAL, ours=1.0, theirs=9.0, hand=1.0)
    assert "first later than jax" in next(losses([line], {"polynomial": Fresh(slow, fast, fast)}))


def test_the_same_code_runs_with_another_array_module() -> None:
    class Other:
        @staticmethod
        def sum(x: Any) -> Any:
            return "theirs"

    program = next(p for p in PROGRAMS if p.name == "Rosenbrock 10")
    assert on(program.function, {"np": Other})(np.ones(3)) == "theirs"


def test_every_group_of_the_issue_has_programs_of_different_names() -> None:
    assert set(GROUPS) == {
        *("latency", "fused", "dense", "stencils", "recurrences", "gather", "learning"),
    }
    assert len(PROGRAMS) >= 35
    assert len({p.name for p in PROGRAMS}) == len(PROGRAMS)
