"""What all tests share: examples drawn the same way in every run, and a cache of kernels.

`HYPOTHESIS_PROFILE=search` draws new examples instead. Kernels are cached in pytest's own folder,
never in the user's.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure(config: pytest.Config) -> None:
    """Keep kernels between runs: the second is warm, `pytest --cache-clear` makes it cold."""
    assert config.cache is not None
    os.environ["ADGRAPH_CACHE_DIR"] = str(config.cache.mkdir("adgraph-kernels"))


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in a folder of its own and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
