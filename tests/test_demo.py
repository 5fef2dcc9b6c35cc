"""The demo and the command line, as a user meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from adgraph import checkpoint, grad, trace
from adgraph.__main__ import main
from adgraph.demo import (
    BATCH,
    PARTS,
    Parameters,
    backpropagation,
    in_parts,
    initial_parameters,
    largest_difference,
    loss,
)

ROOT = Path(__file__).parent.parent


def _sample(count: int) -> tuple[Parameters, np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    images = random.uniform(size=(count, 64))
    return initial_parameters(), images, random.integers(10, size=count)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} is not in:\n{text}"
    return float(found[1])


def _in_subprocess(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(frozen=True)
class Outcome:
    """What one run of the demo printed and drew."""

    text: str
    errors: str
    drawing: str


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run the demo once, in a folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    code = "import sys; from adgraph.__main__ import main; sys.exit(main(['demo']))"
    result = _in_subprocess(code, folder)
    assert result.returncode == 0, result.stderr
    drawing = (folder / "adgraph-demo" / "graph.svg").read_text(encoding="utf-8")
    return Outcome(result.stdout, result.stderr, drawing)


def test_the_demo_learns(outcome: Outcome) -> None:
    assert _number(r"accuracy +([\d.]+)% on the test images", outcome.text) >= 96


def test_the_demo_compares_with_backpropagation_by_hand(outcome: Outcome) -> None:
    assert _number(r"  adgraph +(\d+) us", outcome.text) > 0
    assert _number(r"by hand in NumPy +(\d+) us", outcome.text) > 0
    assert _number(r"largest difference of the two gradients +(\S+)", outcome.text) < 1e-12


def test_the_demo_shows_what_checkpoints_save(outcome: Outcome) -> None:
    assert _number(rf"in {PARTS} checkpointed parts .* (\d+)% of the memory", outcome.text) < 50
    assert _number(r"memory_budget.* ([\d.]+) kB", outcome.text) <= 600


def test_the_demo_is_quiet_and_narrow_without_a_terminal(outcome: Outcome) -> None:
    assert outcome.errors == ""
    assert "\r" not in outcome.text
    assert max(map(len, outcome.text.splitlines())) <= 100


def test_the_demo_draws_its_gradient(outcome: Outcome) -> None:
    assert "adgraph-demo/graph.svg" in outcome.text
    assert "<svg" in outcome.drawing
    assert "matmul" in outcome.drawing
    assert "fused kernel" in outcome.drawing
    assert "demo.py" in outcome.drawing  # the lines of the loss, on hover


def test_the_compiled_gradient_is_that_by_hand() -> None:
    sample = _sample(BATCH)
    assert largest_difference(grad(trace(loss))(*sample), backpropagation(*sample)) < 1e-14


def test_every_way_over_all_data_gives_the_same_gradient() -> None:
    sample = _sample(BATCH * PARTS)
    whole = grad(trace(loss))(*sample)
    parts = grad(trace(in_parts(loss)))
    checkpointed = grad(trace(in_parts(checkpoint(loss))))
    budget = parts.explain(*sample).peak_bytes * 2 // 3
    bounded = grad(trace(in_parts(loss), memory_budget=budget))
    assert bounded.explain(*sample).peak_bytes <= budget
    assert checkpointed.explain(*sample).peak_bytes < parts.explain(*sample).peak_bytes
    for way in (parts, checkpointed, bounded):
        assert largest_difference(way(*sample), whole) < 1e-14
    assert largest_difference(bounded(*sample), parts(*sample)) == 0  # to the last bit


def test_without_scikit_learn_the_demo_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "from adgraph.__main__ import main\n"
        "sys.exit(main(['demo']))\n"
    )
    result = _in_subprocess(code, tmp_path)
    assert result.returncode == 1
    assert "scikit-learn, which is not installed" in result.stderr
    assert 'pip install "adgraph[demo]"' in result.stderr
    assert 'pip install ".[demo]"' in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_help_lists_every_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("demo", "doctor", "cache"):
        assert re.search(rf"^    {command} +\w.*$", text, re.MULTILINE)


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "commands:" in capsys.readouterr().out


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["dmeo"])
    assert "invalid choice: 'dmeo'" in capsys.readouterr().err


def test_doctor_prints_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("adgraph ")
