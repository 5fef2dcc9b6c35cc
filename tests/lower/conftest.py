"""What the tests of the lowering share: a cache folder, a way to call a kernel, the backends."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adgraph.lower import kernel
from adgraph.lower.backend import Choice

Call = Callable[..., int]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "object-cache"
    monkeypatch.setenv("ADGRAPH_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(params=["llvm", "numba"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compile every kernel of the test with one backend, whatever it asks for."""
    choice = Choice(request.param, "as a test asked for")
    monkeypatch.setattr(kernel, "choose", lambda backend="auto": choice)
    return choice.name


def call_kernel(address: int, arrays: Sequence[np.ndarray[Any, Any]], *sizes: int) -> int:
    """Call a kernel address with arrays and sizes; return its status."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    pointers = np.array([array.ctypes.data for array in arrays] or [0], dtype=np.int64)
    words = np.array(sizes or [0], dtype=np.int64)
    return int(prototype(address)(pointers.ctypes.data, words.ctypes.data))


@pytest.fixture
def call() -> Call:
    """Give tests the way to call a kernel."""
    return call_kernel
