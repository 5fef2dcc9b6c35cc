"""What the tests of the lowering share: a cache folder of their own, and a way to call a kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Call = Callable[..., int]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "object-cache"
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def call() -> Call:
    """Call a kernel address with arrays and sizes; return its status."""

    def call_kernel(address: int, arrays: Sequence[np.ndarray[Any, Any]], *sizes: int) -> int:
        prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        pointers = np.array([array.ctypes.data for array in arrays] or [0], dtype=np.int64)
        words = np.array(sizes or [0], dtype=np.int64)
        return int(prototype(address)(pointers.ctypes.data, words.ctypes.data))

    return call_kernel
