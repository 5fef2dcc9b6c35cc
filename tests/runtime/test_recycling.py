"""Memory of large results: it comes back, it is nobody else's, it is bounded, it outlives all."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

from adgraph import trace, value_and_grad
from adgraph.runtime.blocks import ALIGNMENT, ALLOCATOR, KEPT_BYTES
from adgraph.runtime.numpy_interface import numpy_interface
from adgraph.runtime.recycling import CAPSULE_NAME, Handler, Recycling, recycling

pytestmark = pytest.mark.skipif(numpy_interface() is None, reason="there is no such interface")

LONG = np.linspace(0.1, 0.9, 50_000)
SHORT = LONG[:100].copy()
OURS, NUMPY = "adgraph", "default_allocator"


def two(x: Any) -> Any:
    return x * 2, x + 1


def written(x: Any, y: Any) -> Any:
    y[0] = 7
    return x * 2, x + 1


def handler() -> Recycling:
    found = recycling()
    assert found is not None
    return found


def places(arrays: Any) -> set[int]:
    return {a.ctypes.data for a in arrays}


# --- the arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [(), (np.zeros(3),)], ids=["native", "in Python"])
def test_large_results_own_memory_that_comes_back(y: tuple[Any, ...]) -> None:
    f = trace(written if y else two)
    f(LONG, *y)
    results = f(LONG, *y)
    for array in results:
        assert array.flags.owndata
        assert get_handler_name(array) == OURS
        assert array.ctypes.data % ALIGNMENT == 0
    first = places(results)
    del results, array
    for _ in range(5):
        assert places(f(LONG, *y)) == first
    assert get_handler_name(np.empty(50_000)) == NUMPY


def test_all_of_many_equal_results_come_back() -> None:
    f = trace(lambda x: tuple(x * k for k in range(1, 41)))
    f(LONG)
    first = places(f(LONG))
    assert len(first) == 40
    assert places(f(LONG)) == first


def test_results_that_are_alive_keep_their_memory() -> None:
    f = trace(two)
    held = [f(LONG + k) for k in range(30)]
    for k, (double, one_more) in enumerate(held):
        np.testing.assert_array_equal(double, (LONG + k) * 2)
        np.testing.assert_array_equal(one_more, (LONG + k) + 1)
    assert len({place for results in held for place in places(results)}) == 60


def test_a_view_keeps_the_memory_of_its_result() -> None:
    f = trace(two)
    view = f(LONG)[0][10:20]
    others = [f(LONG - 5) for _ in range(5)]
    np.testing.assert_array_equal(view, LONG[10:20] * 2)
    assert not any(np.shares_memory(view, a) for results in others for a in results)


def test_small_results_are_made_as_ever() -> None:
    f = trace(two)
    f(SHORT)
    assert [get_handler_name(a) for a in f(SHORT)] == [NUMPY, NUMPY]


def test_gradients_and_numbers_come_together() -> None:
    f = value_and_grad(lambda x, y: np.sum(np.sin(x) * y), argnums=(0, 1))
    f(LONG, LONG)
    value, gradients = f(LONG, LONG)
    np.testing.assert_allclose(value, np.sum(np.sin(LONG) * LONG), rtol=1e-12)
    np.testing.assert_allclose(gradients[0], np.cos(LONG) * LONG, rtol=1e-12)
    assert [get_handler_name(a) for a in gradients] == [OURS, OURS]


@pytest.mark.parametrize("count", [3, 49_999, 50_001, 400_000])
def test_a_result_can_be_resized(count: int) -> None:
    f = trace(two)
    result = f(LONG)[0]
    result.resize(count, refcheck=False)
    expected = (LONG * 2).copy()
    expected.resize(count, refcheck=False)
    np.testing.assert_array_equal(result, expected)


def test_tracemalloc_counts_results_that_are_alive_and_no_others() -> None:
    f = trace(two)
    f(LONG)
    tracemalloc.start()
    try:
        f(LONG)
        before, _ = tracemalloc.get_traced_memory()
        results = f(LONG)
        held, _ = tracemalloc.get_traced_memory()
        del results
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2 * LONG.nbytes <= held - before < 2.1 * LONG.nbytes
    assert abs(after - before) < 10_000


# --- handlers ------------------------------------------------------------------------------------


def test_a_handler_that_the_user_has_set_makes_the_results() -> None:
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype = ctypes.c_void_p
    address.argtypes = [ctypes.py_object, ctypes.c_char_p]
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    copied = Handler.state.offset
    memory = ctypes.create_string_buffer(
        ctypes.string_at(address(handler().own, CAPSULE_NAME), copied), copied
    )
    memory[:5] = b"users"
    memory[5] = b"\0"
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))  # what is compiled meanwhile is kept in it
    users = new(ctypes.addressof(memory), CAPSULE_NAME, None)
    native, in_python = trace(two), trace(written)
    native(LONG)
    former = handler().set_handler(users)
    try:
        results = (*native(LONG), *in_python(LONG, np.zeros(3)))
        assert {get_handler_name(a) for a in results} == {"users"}
        assert get_handler_name() == "users"
    finally:
        handler().set_handler(former)
    assert get_handler_name() == NUMPY
    assert {get_handler_name(a) for a in native(LONG)} == {OURS}
    del results


def test_where_numpy_has_no_handlers_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adgraph.runtime.calls.recycling", lambda: None)
    monkeypatch.setattr("adgraph.runtime.recycling.recycling", lambda: None)
    f = trace(two)
    for _ in range(3):
        double, one_more = f(LONG)
        np.testing.assert_array_equal(double, LONG * 2)
        np.testing.assert_array_equal(one_more, LONG + 1)
        assert get_handler_name(double) == NUMPY


def test_results_beyond_all_memory_are_refused_and_numpy_has_its_handler_back() -> None:
    f = trace(lambda x: (x * 2, x[:, None] * x[None, :] + x))
    x = np.broadcast_to(1.0, (1 << 23,))
    for _ in range(2):
        with pytest.raises(MemoryError):
            f(x)
        assert get_handler_name() == NUMPY


def allocator(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of our handler."""
    words = handler().memory.allocator
    context = words[ALLOCATOR.index("context")]
    made = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *arguments)(words[ALLOCATOR.index(name)])
    return lambda *values: made(context, *values)


def test_the_handler_clears_grows_and_refuses_memory() -> None:
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    malloc = allocator("malloc", pointer, size)
    calloc = allocator("calloc", pointer, size, size)
    realloc = allocator("realloc", pointer, pointer, size)
    free = allocator("free", None, pointer, size)
    for bytes in (1, 5000, 1 << 14, (1 << 14) + 1, 100_000, 1 << 20, (1 << 26) + 1):
        dirty = malloc(bytes)
        ctypes.memset(dirty, 255, bytes)
        free(dirty, bytes)
        clear = calloc(bytes, 1)
        assert ctypes.string_at(clear, bytes) == b"\0" * bytes
        ctypes.memset(clear, 7, bytes)
        longer = realloc(clear, 3 * bytes)
        assert ctypes.string_at(longer, bytes) == b"\7" * bytes
        free(longer, 3 * bytes)
    other = realloc(None, 100)
    free(other, 100)
    free(None, 0)
    assert calloc(1 << 33, 1 << 33) is None
    assert malloc((1 << 64) - 1) is None
    assert realloc(None, 1 << 60) is None


# --- how much is kept ----------------------------------------------------------------------------


def test_what_is_kept_has_a_bound_and_other_sizes_take_its_place() -> None:
    f = trace(two)
    most = 0
    for exponent in (*range(14, 22), *range(14, 22)):
        x = np.ones(3 << exponent)
        held = [f(x) for _ in range(1 + (1 << 23 - exponent))]
        del held
        most = max(most, handler().kept)
        assert handler().kept <= KEPT_BYTES
        f(x)
        first = places(f(x))
        assert places(f(x)) == first
    assert most > KEPT_BYTES // 2


def test_memory_does_not_grow_with_calls_of_many_sizes() -> None:
    script = """
        import resource
        import numpy as np
        from adgraph.runtime.recycling import array_maker, recycling
        from adgraph.ir.types import ArrayType

        def work(count):
            generator = np.random.default_rng(0)
            held = []
            for _ in range(count):
                sizes = (2 ** generator.uniform(14, 19, 3)).astype(int)
                types = [ArrayType(np.dtype(float), (int(n),)) for n in sizes]
                held.append(array_maker(types)())
                for array in held[-1]:
                    array.fill(1)
                del held[: len(held) - 3]

        work(500)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work(2000)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert recycling().kept > 0
        assert after - before < 40_000, (before, after)  # KB
    """
    run(script)


# --- threads, forks, exits -----------------------------------------------------------------------


def test_threads_make_and_drop_each_others_results() -> None:
    f = trace(lambda x, k: (x * k, x + k, x[: 20_000 + 1000 * 3] - k))
    f(LONG, 1.0)

    def work(k: int) -> list[Any]:
        held = [f(LONG, float(k + i)) for i in range(60)]
        for i, (product, total, part) in enumerate(held):
            np.testing.assert_array_equal(product, LONG * (k + i))
            np.testing.assert_array_equal(total, LONG + (k + i))
            np.testing.assert_array_equal(part, LONG[:23_000] - (k + i))
        return held

    with ThreadPoolExecutor(8) as executor:
        for _ in range(3):
            for held in executor.map(work, range(8)):
                del held[::2]
    assert 0 <= handler().kept <= KEPT_BYTES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_memory_of_its_own() -> None:
    f = trace(two)
    held = f(LONG)
    child = os.fork()
    if child == 0:
        held[0][:] = 0
        del held
        right = all(np.array_equal(f(LONG + k)[0], (LONG + k) * 2) for k in range(20))
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    np.testing.assert_array_equal(held[0], LONG * 2)
    np.testing.assert_array_equal(f(LONG)[0], LONG * 2)


EXITS = {
    "results in modules": """
        import json
        results = json.results = [f(x) for _ in range(5)]
    """,
    "results in a cycle with a finalizer": """
        class Last:
            def __del__(self):
                assert [array[7] for array in self.results] == [2, 2]
                self.results = f(x)
        last = Last()
        last.last, last.results = last, f(x)
    """,
    "functions are gone before": """
        results = f(x)
        del f
        import sys
        for name in [name for name in sys.modules if name.startswith("adgraph")]:
            del sys.modules[name]
        import gc
        gc.collect()
    """,
    "threads that call": """
        import threading
        import time
        def work():
            while True:
                f(x)
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
    """,
}


@pytest.mark.parametrize("name", EXITS)
def test_the_interpreter_ends_while_results_are_alive(name: str) -> None:
    begin = """
        import numpy as np
        from adgraph import trace
        f = trace(lambda x: (x * 2, x + 1))
        x = np.ones(50_000)
        f(x)
    """
    run(textwrap.dedent(begin) + textwrap.dedent(EXITS[name]))


def run(script: str) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, timeout=120, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
