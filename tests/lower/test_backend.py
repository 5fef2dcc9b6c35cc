"""Which backend compiles kernels: the choice, its fallback, its words; lesser CPUs, simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import adgraph
from adgraph import doctor
from adgraph.errors import BackendError, BackendWarning
from adgraph.lower import backend, kernel, native
from adgraph.lower.backend import choose
from adgraph.lower.kernel import KernelSource, compile_kernels

COPY = "def copy(x, y, n):\n    for i in range(n):\n        y[i] = x[i]\n"


@pytest.fixture
def undecided() -> Iterator[None]:
    """Let the choice be made again, and once more after the test."""
    choose.cache_clear()
    yield
    choose.cache_clear()


def test_the_default_is_llvm_and_explain_says_so() -> None:
    f = adgraph.trace(lambda x: np.sum(x * x))
    assert choose().name == "llvm"
    assert "kernels compiled by llvm (the default)" in str(f.explain(np.ones(3)))
    assert "llvm (the default)" in doctor.report()


@pytest.mark.parametrize("name", ["llvm", "numba"])
def test_a_backend_that_is_asked_for_is_taken(name: backend.Backend) -> None:
    f = adgraph.trace(lambda x: np.sum(np.exp(x) * x), backend=name)
    x = np.linspace(0.0, 1.0, 50)
    np.testing.assert_allclose(f.grad(x), np.exp(x) * (1.0 + x), rtol=1e-14)
    assert f"kernels compiled by {name} (as asked for)" in str(f.grad.explain(x))


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BackendError, match=r"no backend 'gcc'(.|\n)*'auto', 'llvm', 'numba'"):
        adgraph.trace(lambda x: x, backend="gcc")


@pytest.mark.usefixtures("undecided")
def test_what_llvm_lacks_makes_numba_the_default_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "has_target", lambda: False)
    with pytest.warns(BackendWarning, match="no code generator"):
        assert choose().name == "numba"
    assert choose().name == "numba"  # a second warning would be an error
    with pytest.raises(BackendError, match="'llvm' does not work here"):
        choose("llvm")


@pytest.mark.usefixtures("undecided")
def test_numba_is_not_insisted_on_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "missing_for_numba", lambda: iter(["numba is not installed"]))
    with pytest.raises(BackendError, match="numba is not installed"):
        choose("numba")
    assert choose().name == "llvm"


def test_backends_do_not_share_cached_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_addresses", {})
    source = KernelSource("copy", ("f8", "f8"), 1, COPY)
    first = compile_kernels([source], "llvm")
    second = compile_kernels([source], "numba")
    assert first != second
    assert compile_kernels([source]) == first


def run_python(program: str, cache_folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["ADGRAPH_CACHE_DIR"] = str(cache_folder)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)


def test_a_first_gradient_and_its_source_need_no_numba(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
import adgraph
f = adgraph.trace(lambda x: np.sum(np.exp(x) / (1.0 + x)))
f.grad(np.ones(5))
f.grad.source(np.ones(5))
f.explain(np.ones(5))
assert "numba" not in sys.modules, "numba was imported"
"""
    run_python(program, tmp_path)


OTHER_MACHINES = {
    "no AVX": ("x86-64-v2", ""),
    "AVX2 without AVX-512": ("x86-64-v3", "+avx,+avx2,+fma"),
    "AVX2 without fused multiply-add": ("x86-64-v3", "+avx,+avx2,-fma"),
}


@pytest.mark.skipif("+avx2" not in native.cpu_features(), reason="this CPU cannot run the code")
@pytest.mark.parametrize("machine", OTHER_MACHINES)
def test_kernels_for_a_lesser_cpu_equal_the_interpreter(machine: str, tmp_path: Path) -> None:
    name, features = OTHER_MACHINES[machine]
    program = f"""
from adgraph.lower import native
native.cpu_name = lambda: {name!r}
native.cpu_features = lambda: {features!r}
from tests.lower.test_programs import CASES, assert_compiled_equals_interpreted, traced
for case in CASES[::9]:
    backend, sample, dtype = case.values
    if backend == "llvm":
        assert_compiled_equals_interpreted(*traced(sample, dtype))
"""
    run_python(program, tmp_path)
