"""The object cache: round trip, damage, bounds, unwritable folders, two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adgraph.lower import cache

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
