"""What `python -m adgraph doctor` says of the BLAS kernels in use."""

from __future__ import annotations

import pytest

from adgraph import doctor
from adgraph.lower import native


def _with(monkeypatch: pytest.MonkeyPatch, features: str, asked: str | None) -> None:
    monkeypatch.setattr(native, "cpu_features", lambda: features)
    if asked is None:
        monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    else:
        monkeypatch.setenv("OPENBLAS_CORETYPE", asked)


def test_kernels_without_avx512_are_a_problem_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _with(monkeypatch, "+avx2,+avx512f", None)
    assert "OPENBLAS_CORETYPE=SkylakeX" in doctor._blas_kernels("Haswell").hint
    _with(monkeypatch, "+avx2,+avx512f", "Haswell")
    fact = doctor._blas_kernels("Haswell")
    assert fact.value == "Haswell (OPENBLAS_CORETYPE=Haswell)"
    assert fact.hint.startswith("unset OPENBLAS_CORETYPE")


def test_the_best_kernels_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "+avx2,+avx512f", None)
    assert not doctor._blas_kernels("SkylakeX").hint
    _with(monkeypatch, "+avx2", None)
    assert not doctor._blas_kernels("Haswell").hint


def test_a_library_that_does_not_say_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "+avx2,+avx512f", None)
    assert not doctor._blas_kernels(None).hint


def test_the_report_names_the_kernels() -> None:
    assert any("blas kernels" in line for line in doctor.report().splitlines())
