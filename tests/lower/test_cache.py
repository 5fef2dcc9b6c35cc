"""The object cache: round trip, damage, bounds, unwritable folders, many writers, two machines."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.errors import AdgraphError
from adgraph.lower import cache, kernel, native

NAME = cache.key("a kernel")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stored_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("data", [b"", b"code", bytes(range(256)) * 100])
def test_what_is_stored_is_loaded(data: bytes) -> None:
    cache.store(NAME, data)
    assert cache.load(NAME) == data


def test_an_unknown_key_loads_nothing() -> None:
    assert cache.load(NAME) is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "foreign", "extended"])
def test_a_damaged_file_is_removed_and_counts_as_missing(own_folder: Path, damage: str) -> None:
    cache.store(NAME, b"code" * 100)
    path = stored_file(own_folder)
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncated": content[:-5],
            "flipped": content[:-1] + bytes([content[-1] ^ 1]),
            "emptied": b"",
            "foreign": b"something else",
            "extended": content + b"x",
        }[damage]
    )
    assert cache.load(NAME) is None
    assert not path.exists()


def test_a_folder_that_cannot_be_made_keeps_nothing_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    cache.store(NAME, b"code")
    assert cache.load(NAME) is None
    assert cache.info().count == 0
    cache.clear()


def test_a_full_disk_leaves_no_half_written_file(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    cache.store(NAME, b"code")
    assert list(own_folder.iterdir()) == []


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADGRAPH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.folder() == Path("/somewhere/adgraph")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "adgraph"


def test_info_counts_and_clear_removes() -> None:
    for i in range(3):
        cache.store(cache.key(str(i)), b"x" * 100)
    held = cache.info()
    assert held.count == 3
    assert held.bytes > 300
    cache.clear()
    assert cache.info().count == 0


def test_the_files_unused_for_longest_go_first(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [cache.key(str(i)) for i in range(4)]
    for age, name in enumerate(names):
        cache.store(name, b"x" * 1000)
        os.utime(own_folder / (name + cache.SUFFIX), (1000 + age, 1000 + age))
    assert cache.load(names[0]) is not None
    monkeypatch.setenv("ADGRAPH_CACHE_BYTES", "2500")
    cache.trim()
    assert [cache.load(name) is not None for name in names] == [True, False, False, True]


def test_two_processes_may_write_the_same_key_at_once(own_folder: Path) -> None:
    program = f"""
from adgraph.lower import cache
for i in range(200):
    cache.store({NAME!r}, b"code" * 1000)
    assert cache.load({NAME!r}) == b"code" * 1000
"""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(list(own_folder.iterdir())) == 1


def test_threads_may_write_read_and_clear_at_once() -> None:
    names = [cache.key(str(i)) for i in range(5)]
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for turn in range(100):
            name = names[(number + turn) % 5]
            if number == 0 and turn % 10 == 0:
                cache.clear()
            cache.store(name, name.encode() * 50)
            assert cache.load(name) in (None, name.encode() * 50)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert cache.info().count <= 5


GRADIENT = """
import numpy as np
import adgraph
x = np.linspace(0.1, 1.0, 7)
for k in range(1, 4):
    found = adgraph.grad(lambda x: np.sum(np.exp(k * x) * x))(x)
    np.testing.assert_allclose(found, np.exp(k * x) * (1 + k * x), rtol=1e-14)
"""


def test_processes_that_compile_the_same_kernels_share_them(own_folder: Path) -> None:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run() -> int:
        return subprocess.run([sys.executable, "-c", GRADIENT], env=environment).returncode

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda _: run(), range(3))) == [0, 0, 0]
    kept = {path: path.stat().st_ino for path in own_folder.iterdir()}
    assert run() == 0
    assert {path: path.stat().st_ino for path in own_folder.iterdir()} == kept


def squares() -> Any:
    return adgraph.grad(lambda x: np.sum(np.sinh(x) ** 2 * 1.375))(np.ones(3))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has loaded, so that kernels are read from disk."""
    monkeypatch.setattr(kernel, "_addresses", {})


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-9] + bytes(9)])
def test_a_damaged_kernel_is_compiled_again(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, damage: Any
) -> None:
    expected = squares()
    whole = {path: path.read_bytes() for path in own_folder.iterdir()}
    kernels = {path: content for path, content in whole.items() if b"kernel_" in content}
    assert kernels
    for path, content in kernels.items():
        path.write_bytes(damage(content))
    monkeypatch.setattr(kernel, "_addresses", {})
    assert np.array_equal(squares(), expected)
    assert {path: path.read_bytes() for path in kernels} == kernels


@pytest.mark.usefixtures("forgetful")
def test_a_machine_with_another_cpu_keeps_its_own_kernels(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares()
    first = set(own_folder.iterdir())
    features = native.cpu_features()
    monkeypatch.setattr(native, "cpu_features", lambda: features + ",-avx512fp16")
    for cached in (native.fingerprint, kernel._toolchain):
        monkeypatch.setattr(*owner_of(cached), cached.__wrapped__)
    monkeypatch.setattr(kernel, "_addresses", {})
    squares()
    assert first < set(own_folder.iterdir())


def owner_of(function: Any) -> tuple[Any, str]:
    return sys.modules[function.__module__], function.__name__


@pytest.mark.usefixtures("forgetful")
def test_without_a_home_programs_run_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ADGRAPH_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    squares()
    assert cache.info().count == 0


def test_a_limit_of_nothing_keeps_nothing(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADGRAPH_CACHE_BYTES", "0")
    cache.store(NAME, b"code")
    assert not own_folder.exists()


def test_the_limit_may_have_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADGRAPH_CACHE_BYTES", "2MB")
    assert cache.limit() == 2_000_000


def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADGRAPH_CACHE_BYTES", "plenty")
    with pytest.raises(AdgraphError, match="ADGRAPH_CACHE_BYTES is 'plenty'"):
        cache.limit()


def test_a_file_left_half_written_goes_with_the_others(own_folder: Path) -> None:
    cache.store(NAME, b"code")
    (own_folder / f"{cache.WRITING}abc").write_bytes(b"half")
    assert cache.info().count == 2
    cache.clear()
    assert list(own_folder.iterdir()) == []
