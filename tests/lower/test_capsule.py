"""Functions of SciPy by address: right, without their package, and the package unharmed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from adgraph.lower.capsule import exported_address

FIRST = """
import sys
from adgraph.lower.capsule import exported_address
ours = exported_address("scipy.linalg.cython_blas", "dgemm")
assert "scipy.linalg" not in sys.modules
"""
THEN = {
    "import": "import scipy.linalg.cython_blas; module = scipy.linalg.cython_blas",
    "from": "from scipy.linalg import cython_blas as module",
    "package": "import scipy.linalg; from scipy.linalg import cython_blas as module; "
    "import numpy as np; assert scipy.linalg.cholesky(np.eye(2))[0, 0] == 1.0",
}
CHECK = """
from adgraph.lower import capsule
capsule._capsules.cache_clear()
assert module.__pyx_capi__ is not None
assert sys.modules["scipy.linalg.cython_blas"] is module
assert exported_address("scipy.linalg.cython_blas", "dgemm") == ours
"""


@pytest.mark.parametrize("later", THEN)
def test_the_package_may_be_imported_later(later: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = "\n".join((FIRST, THEN[later], CHECK))
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_a_function_of_several_types_is_the_one_of_float64() -> None:
    assert exported_address("scipy.special.cython_special", "psi") > 0


def test_a_function_that_scipy_does_not_export_is_named() -> None:
    with pytest.raises(LookupError, match="'dgemmm'"):
        exported_address("scipy.linalg.cython_blas", "dgemmm")
