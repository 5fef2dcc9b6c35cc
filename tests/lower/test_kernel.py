"""Kernels: dtypes, indexing, empty loops, work in place, memo and disk cache without Numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adgraph.lower import cache, kernel, native
from adgraph.lower.backend import Backend
from adgraph.lower.kernel import (
    KernelSource,
    ModuleSource,
    compile_kernels,
    compile_modules,
    kernel_assembly,
)

pytestmark = pytest.mark.usefixtures("backend")

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
COPY = "def copy(x, y, n):\n    for i in range(n):\n        y[i] = x[i]\n"
EXP = "def f(x, y, n):\n    for i in range(n):\n        y[i] = exp(x[i])\n"


def compiled(text: str, pointers: tuple[str, ...], sizes: int) -> int:
    (address,) = compile_kernels([KernelSource("test", pointers, sizes, text)])
    return address


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has compiled."""
    monkeypatch.setattr(kernel, "_addresses", {})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 7, 100])
def test_every_dtype_is_read_and_written(call: Any, dtype: str, n: int) -> None:
    x = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, n).astype(dtype)
    y = np.zeros_like(x)
    assert call(compiled(COPY, (dtype, dtype), 1), [x, y], n) == 0
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", ["?", "i4", "u8", "f4", "f8"])
def test_a_store_casts_as_numpy_does(call: Any, source: str, target: str) -> None:
    x = np.array([0, 1, 2, 100, 0, 3]).astype(source)
    y = np.zeros(6, target)
    call(compiled(COPY, (source, target), 1), [x, y], 6)
    np.testing.assert_array_equal(y, x.astype(target))


@pytest.mark.parametrize(
    "cast", ["int8", "int16", "int32", "int64", "uint8", "uint32", "float32", "float64", "boolean"]
)
def test_casts_are_in_scope(call: Any, cast: str) -> None:
    text = f"def f(x, y, n):\n    for i in range(n):\n        y[i] = {cast}(x[i])\n"
    x, y = np.array([0.0, 1.0, 2.75, 100.0]), np.zeros(4)
    call(compiled(text, ("f8", "f8"), 1), [x, y], 4)
    dtype = {"boolean": "?"}.get(cast, cast)
    np.testing.assert_array_equal(y, x.astype(dtype).astype("f8"))


def test_small_integers_wrap_when_cast_after_each_operation(call: Any) -> None:
    text = "def f(x, y, n):\n    for i in range(n):\n        y[i] = int8(x[i] + x[i]) // int8(2)\n"
    x = np.array([100, -100, 5], "i1")
    y = np.zeros(3, "i1")
    call(compiled(text, ("i1", "i1"), 1), [x, y], 3)
    np.testing.assert_array_equal(y, (x + x) // np.int8(2))


def test_flat_indices_reach_backwards_without_wraparound(call: Any) -> None:
    text = "def f(x, y, start, n):\n    for i in range(n):\n        y[i] = x[start - i]\n"
    x, y = np.arange(10.0), np.zeros(4)
    call(compiled(text, ("f8", "f8"), 2), [x[5:], y], 0, 4)
    np.testing.assert_array_equal(y, [5, 4, 3, 2])


def test_a_kernel_may_work_in_place_and_in_nested_loops(call: Any) -> None:
    text = """def f(x, n, m):
    for i in range(n):
        total = 0.0
        for j in range(m):
            total = fold_add(total, x[i * m + j])
        for j in range(m):
            x[i * m + j] /= total
"""
    x = np.random.default_rng(0).random((5, 17))
    expected = x / x.sum(1, keepdims=True)
    call(compiled(text, ("f8",), 2), [x], 5, 17)
    np.testing.assert_allclose(x, expected, rtol=1e-14)


def test_division_by_zero_follows_numpy_and_stops_nothing(call: Any) -> None:
    text = "def f(x, y, n):\n    for i in range(n):\n        y[i] = 1.0 / x[i]\n"
    y = np.zeros(3)
    assert call(compiled(text, ("f8", "f8"), 1), [np.array([0.0, -0.0, 2.0]), y], 3) == 0
    np.testing.assert_array_equal(y, [np.inf, -np.inf, 0.5])


def test_infinities_and_nan_survive_the_optimizer(call: Any) -> None:
    text = "def f(x, y, n):\n    for i in range(n):\n        y[i] = x[i] - x[i]\n"
    y = np.zeros(3)
    call(compiled(text, ("f8", "f8"), 1), [np.array([np.inf, np.nan, 1.0]), y], 3)
    np.testing.assert_array_equal(y, [np.nan, np.nan, 0.0])


def test_a_kernel_of_many_pointers_and_sizes(call: Any) -> None:
    inputs = [f"x{i}" for i in range(30)]
    offsets = [f"n{i}" for i in range(30)]
    total = " + ".join(f"x{i}[n{i}]" for i in range(30))
    text = f"def f({', '.join(inputs)}, y, {', '.join(offsets)}):\n    y[0] = {total}\n"
    arrays, y = [np.arange(i, i + 31.0) for i in range(30)], np.zeros(1)
    call(compiled(text, ("f8",) * 31, 30), [*arrays, y], *range(30))
    assert y[0] == sum(2 * i for i in range(30))


def test_equal_structures_share_one_address_whatever_their_names() -> None:
    first = KernelSource("one", ("f8", "f8"), 1, COPY)
    second = KernelSource("two", ("float64", "f8"), 1, COPY.replace("copy", "duplicate"))
    other = KernelSource("one", ("f4", "f4"), 1, COPY)
    a, b, c = compile_kernels([first, second, other])
    assert a == b != c


def test_no_kernels_compile_to_no_addresses() -> None:
    assert compile_kernels([]) == ()


def test_a_compiled_kernel_comes_back_from_disk(
    call: Any, forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled(EXP, ("f8", "f8"), 1)
    monkeypatch.setattr(kernel, "_addresses", {})
    monkeypatch.setattr(native, "emit_object", None)
    x, y = np.linspace(0, 1, 9), np.zeros(9)
    call(compiled(EXP, ("f8", "f8"), 1), [x, y], 9)
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-15)


def test_a_damaged_cache_file_is_compiled_again(
    call: Any, forgetful: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(tmp_path))
    compiled(COPY, ("f8", "f8"), 1)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(kernel, "_addresses", {})
    x, y = np.arange(5.0), np.zeros(5)
    call(compiled(COPY, ("f8", "f8"), 1), [x, y], 5)
    np.testing.assert_array_equal(x, y)
    assert cache.info().count == 1


def test_kernels_compile_where_nothing_can_be_written(
    call: Any, forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", "/dev/null/adgraph")
    x, y = np.arange(5.0), np.zeros(5)
    call(compiled(COPY, ("f8", "f8"), 1), [x, y], 5)
    np.testing.assert_array_equal(x, y)


def test_a_cache_hit_needs_no_numba(cache_folder: Path, backend: Backend) -> None:
    compiled(EXP, ("f8", "f8"), 1)
    program = f"""
import sys
from adgraph.lower.kernel import KernelSource, compile_kernels
compile_kernels([KernelSource("f", ("f8", "f8"), 1, {EXP!r})], {backend!r})
assert "numba" not in sys.modules, "numba was imported"
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["ADGRAPH_CACHE_DIR"] = str(cache_folder)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_ir_text_compiles_like_a_kernel(call: Any) -> None:
    text = """define i64 @answer(ptr %pointers, ptr %sizes) {
  %n = load i64, ptr %sizes
  ret i64 %n
}
"""
    (address,) = compile_modules([ModuleSource("answer", text)])
    assert call(address, [], 42) == 42


def test_a_text_without_a_function_is_refused() -> None:
    with pytest.raises(ValueError, match="defines no function"):
        compiled("x = 1\n", (), 0)


def test_a_kernel_may_call_what_numba_compiles_as_a_subroutine(call: Any, backend: str) -> None:
    if backend != "numba":
        pytest.skip("complex numbers are Numba's")
    text = "def f(x, y, n):\n    for i in range(n):\n        y[i] = x[i] * x[i] / (x[i] + 1.0)\n"
    x, y = np.array([1 + 2j, 3 - 1j, 0.5j]), np.zeros(3, "c16")
    assert call(compiled(text, ("c16", "c16"), 1), [x, y], 3) == 0
    np.testing.assert_allclose(y, x * x / (x + 1.0), rtol=1e-14)


def test_an_error_in_the_text_carries_the_text() -> None:
    text = "def f(x, n):\n    x[0] = unknown_function(n)\n"
    with pytest.raises(Exception, match="unknown_function") as caught:
        compiled(text, ("f8",), 1)
    assert text in "".join(caught.value.__notes__)


def test_an_object_exports_its_entry_only() -> None:
    source = KernelSource("f", ("f8", "f8"), 1, COPY)
    code = native.emit_object(kernel.kernel_text(source, "entry"))
    assert code.imports == ()
    assert b"NumbaEnv" not in code.image


def test_many_loops_in_one_kernel_compile_in_linear_time(call: Any) -> None:
    loops = ["    for i in range(n):\n        y[i] = y[i] * 0.5 + x[i]\n"] * 40
    x, y = np.ones(3), np.zeros(3)
    call(compiled("def f(x, y, n):\n" + "".join(loops), ("f8", "f8"), 1), [x, y], 3)
    np.testing.assert_allclose(y, 2.0, rtol=1e-11)


def test_a_sum_of_products_becomes_vector_code_without_alias_checks() -> None:
    text = "def f(a, b, y, n):\n    for i in range(n):\n        y[i] = fma(a[i], b[i], y[i])\n"
    assembly = kernel_assembly(KernelSource("f", ("f8", "f8", "f8"), 1, text))
    assert "vfmadd" in assembly or "fmla" in assembly
    assert "vmovupd" in assembly or "ldp" in assembly
