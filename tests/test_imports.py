"""What `import adgraph` and a first gradient import: nothing slow that they do not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = {"scipy", "numba", "jax", "networkx", "graphviz", "IPython", "matplotlib"}

GRADIENTS = {
    "a ufunc of NumPy": "lambda x: np.sum(np.exp(-x * x))",
    "a softplus, whose derivative is SciPy's expit": "lambda x: np.sum(np.log(1 + np.exp(x)))",
    "a log-sum-exp": "lambda x: np.log(np.sum(np.exp(x)))",
    "slices and a clip": "lambda x: np.sum(np.clip(x[1:] - x[:-1], 0.0, 1.0) ** 2)",
}


def imported_by(program: str, folder: Path) -> set[str]:
    """Return the packages that a fresh process has imported at the end of a program."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ADGRAPH_CACHE_DIR": str(folder),
    }
    text = f"{program}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    (folder / "program.py").write_text(text)
    command = [sys.executable, str(folder / "program.py")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_adgraph_imports_nothing_slow(tmp_path: Path) -> None:
    assert imported_by("import adgraph", tmp_path) & SLOW == set()


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_without_matrices_imports_nothing_slow(name: str, tmp_path: Path) -> None:
    program = f"""
import numpy as np
import adgraph
adgraph.grad({GRADIENTS[name]})(np.array([0.5, 1.0, 2.0]))
"""
    imported_by(program, tmp_path)  # compiles, which may take Numba's front end
    assert imported_by(program, tmp_path) & SLOW == set()


def test_a_gradient_of_a_loop_imports_nothing_slow(tmp_path: Path) -> None:
    program = """
import numpy as np
import adgraph
def f(x):
    total = 0.0
    for i in range(100):
        total = total + np.sin(total) * x[i % 3] + total * x[0]
    return total
adgraph.grad(f)(np.array([0.5, 1.0, 2.0]))
"""
    imported_by(program, tmp_path)
    assert imported_by(program, tmp_path) & SLOW == set()


def test_what_the_test_reads_are_imports(tmp_path: Path) -> None:
    assert "scipy" in imported_by("import scipy", tmp_path)
