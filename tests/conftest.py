"""What all tests share: kernels are cached in pytest's own folder, never in the user's."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

LOWERING = Path(__file__).parent.parent / "adgraph" / "lower"


def pytest_configure(config: pytest.Config) -> None:
    """Keep kernels between runs, until a source of the lowering changes: then all are made anew.

    `pytest --cache-clear` makes a cold run.
    """
    assert config.cache is not None
    kept = Path(config.cache.mkdir("adgraph-kernels"))
    sources = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(LOWERING.glob("*.py"))))
    folder = kept / sources.hexdigest()[:16]
    if not hasattr(config, "workerinput"):
        for other in set(kept.iterdir()) - {folder}:
            shutil.rmtree(other, ignore_errors=True)
    os.environ["ADGRAPH_CACHE_DIR"] = str(folder)


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in a folder of its own and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
