"""`python -m adgraph cache`: what it shows, where it is, and that it clears."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from adgraph.__main__ import main
from adgraph.lower import cache


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(tmp_path))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cache", *arguments]) == 0
    return capsys.readouterr().out


def test_the_cache_is_described(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, age in (("one", 10.0), ("two", 3 * 86400.0)):
        cache.store(cache.key(name), b"object code")
        used = time.time() - age
        os.utime(own_folder / (cache.key(name) + cache.SUFFIX), (used, used))
    rows = dict(line.split(maxsplit=1) for line in shown(capsys).splitlines()[:3])
    assert rows["folder"] == str(own_folder)
    assert rows["kernels"] == "2"
    assert rows["size"].endswith("of at most 512 MB")
    assert "last used  10 seconds to 3 days ago" in shown(capsys, "info")


def test_an_empty_cache_has_no_age(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert "kernels    0" in text
    assert "last used" not in text


def test_the_path_is_all_that_is_printed(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, "path") == f"{own_folder}\n"


def test_the_cache_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    cache.store(cache.key("one"), b"object code")
    assert "removed 1 of 1 kernel" in shown(capsys, "clear")
    assert cache.info().count == 0
