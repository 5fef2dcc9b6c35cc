"""Kernels in pieces on several threads: the same bits for any number, forks, exits, hammering."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.types import ArrayType
from adgraph.lower.pool import SplitCall
from adgraph.lower.program import lower
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.compiled import Compiled
from adgraph.tracing.tree import flatten
from tests.strategies import Program, programs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pool is of POSIX threads")

RNG = np.random.default_rng(5)
LONG = RNG.standard_normal(300_007)
WIDE = RNG.standard_normal((37, 9001))
TALL = RNG.standard_normal((20_011, 23))
SQUARE = RNG.standard_normal((501, 501))
CUBE = RNG.standard_normal((301, 37, 41))


# Pieces of so few trips that small arrays have several.
TINY = {"PIECE": 2, "BLOCK": 2, "ROWS": 1, "FOLDED_ROWS": 2}


def pieces(f: Any, *args: Any) -> list[int]:
    """Return the number of pieces of each split kernel."""
    calls = f.dispatch.entry(args, {}).compiled.program.calls
    return [call.kernel.pieces for call in calls if isinstance(call.kernel, SplitCall)]


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def normalized(x: Any) -> Any:
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5)


# What runs in pieces, and gives the same bits as on one thread.
SAME: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elementwise": (lambda x: np.exp(np.sin(x) * x), (LONG,)),
    "several results": (lambda x: (np.tanh(x), np.cos(x) > 0, np.sqrt(np.abs(x))), (LONG,)),
    "float32": (lambda x: np.exp(np.tanh(x) * x), (LONG.astype(np.float32),)),
    "reversed": (lambda x: np.exp(np.tanh(x[::-1])) * x, (LONG,)),
    "slices": (lambda x: np.tanh(x[1:] * x[:-1]) * np.exp(x[:-1]), (LONG,)),
    "rows with a column": (lambda x: np.exp(np.tanh(x * x[:, :1])), (TALL,)),
    "three axes": (lambda x: np.exp(np.tanh(x[:, 1:, :-1] * x[:, :-1, 1:])), (CUBE,)),
    "sum": (lambda x: np.sum(np.tanh(np.sin(x))), (LONG,)),
    "sum of float32": (lambda x: np.sum(np.tanh(np.sin(x))), (LONG.astype(np.float32),)),
    "sum and what is made of it": (lambda x: np.sqrt(np.mean(np.exp(np.tanh(x)))), (LONG,)),
    "several folds": (
        lambda x: (np.sum(np.exp(x)), np.max(np.tanh(x)), np.min(np.sin(x)), np.any(x > 4)),
        (LONG,),
    ),
    "folds and elements": (lambda x: (np.sum(np.exp(x)), np.tanh(x)), (LONG,)),
    "sums of rows": (lambda x: np.sum(np.exp(np.tanh(x)), axis=1), (TALL,)),
    "transposed and not": (lambda x: np.exp(np.tanh(x.T * x)), (SQUARE,)),
    "elements and one of them": (lambda x: np.exp(np.tanh(x * x[7])) * x[0], (LONG,)),
    "elements and their sum": (lambda x: (x[5] + np.sum(np.exp(np.tanh(x)))) * x, (LONG,)),
    "softmax": (softmax, (TALL,)),
    "softmax of long rows": (softmax, (WIDE,)),
    "normalized rows": (normalized, (TALL,)),
    "two passes": (lambda x: (x - np.mean(np.exp(np.tanh(x)))) * np.exp(np.sin(x)), (LONG,)),
    "three passes": (
        lambda x: softmax(np.tanh(x)[None])[0] * np.sum(np.exp(np.sin(x))) + np.max(x),
        (LONG,),
    ),
    "passes and scalars": (
        lambda x, a: (np.tanh(x * a) * np.exp(-np.sum(x * x) / 1e6) + np.sqrt(a), np.sum(x) + a),
        (LONG, 2.5),
    ),
    "with a scalar": (lambda x, a, b: np.exp(np.tanh(x * a)) + b, (LONG, 2.5, np.float32(3))),
}


def assert_identical(found: Any, expected: Any) -> None:
    for a, b in zip(flatten(found)[0], flatten(expected)[0], strict=True):
        assert type(a) is type(b)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SAME)
def test_results_are_the_same_bits_on_any_number_of_threads(name: str) -> None:
    function, args = SAME[name]
    expected = trace(function)(*args)
    for threads in (2, 3, 8):
        f = trace(function, threads=threads)
        for _ in range(3):
            assert_identical(f(*args), expected)
        assert all(count > 1 for count in pieces(f, *args))
        assert pieces(f, *args), "no kernel was split"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(max_steps=8))
def test_random_programs_in_tiny_pieces_compute_what_the_interpreter_does(
    program: Program,
) -> None:
    graph, _ = run_pipeline(program.graph, (*CANONICAL, *FINAL))
    with np.errstate(all="ignore"):
        expected = evaluate(graph, *program.args)
        tolerance = program.tolerance()
    arrays = [np.ascontiguousarray(a) for a in program.args]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adgraph.lower.room.SPLIT_SECONDS", -1.0)
        for name, value in TINY.items():
            patch.setattr(f"adgraph.lower.split.{name}", value)
        compiled = Compiled(lower(graph, threads=2))
    for found, wanted in zip(compiled(arrays), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("x", [TALL, CUBE, WIDE])
def test_a_sum_over_rows_adds_the_same_groups_of_rows_on_any_number_of_threads(
    x: np.ndarray[Any, Any],
) -> None:
    def total(x: Any) -> Any:
        return np.sum(np.exp(np.tanh(x[..., 1:] * x[..., :-1])))

    two = trace(total, threads=2)
    expected = two(x)
    assert pieces(two, x)
    np.testing.assert_allclose(expected, total(x), rtol=1e-13)
    for threads in (3, 4, 16):
        assert trace(total, threads=threads)(x) == expected


@pytest.mark.parametrize("name", ["elementwise", "sum", "softmax", "sums of rows"])
def test_gradients_are_the_same_bits_on_several_threads(name: str) -> None:
    function, args = SAME[name]

    def total(x: Any) -> Any:
        return np.sum(function(x) ** 2)

    expected = trace(total).grad(*args)
    f = trace(total, threads=2)
    assert_identical(f.grad(*args), expected)
    assert pieces(f.grad, *args)


def test_arguments_that_are_written_are_written_by_all_threads() -> None:
    @trace(threads=2)
    def f(x: Any) -> Any:
        x *= np.exp(np.tanh(x))
        return np.sum(np.exp(np.sin(x)))

    x = LONG.copy()
    f(x)
    np.testing.assert_allclose(x, LONG * np.exp(np.tanh(LONG)), rtol=1e-13)


def test_nan_and_infinity_come_through() -> None:
    x = LONG.copy()
    x[[7, 150_000]] = np.nan, np.inf
    f = trace(lambda x: (np.sum(np.exp(np.sin(x))), np.max(np.tanh(x)), np.exp(x)), threads=2)
    with np.errstate(all="ignore"):
        total, top, elements = f(x)
    assert np.isnan(total)
    assert np.isnan(top)
    assert np.isnan(elements[7])
    assert elements[150_000] == np.inf


# --- what is split, and what the user sees of it -------------------------------------------------


def test_small_work_and_one_thread_are_not_split() -> None:
    def function(x: Any) -> Any:
        return np.exp(np.tanh(x))

    assert not pieces(trace(function, threads=4), np.ones(1000))
    assert not pieces(trace(function), LONG)


def test_explain_and_source_show_the_pieces() -> None:
    f = trace(lambda x: np.sum(np.exp(np.tanh(x))), threads=3)
    text = str(f.explain(LONG))
    assert "runs on 3 threads, in 293 pieces" in text
    assert "test_threads.py" in text
    assert "def tanh_exp_sum_last(p0, b0, m0, m1, n0)" in f.source(LONG)
    assert not trace(lambda x: np.exp(x)).explain(LONG).split


def test_a_profile_names_kernels_on_several_threads() -> None:
    f = trace(lambda x: np.sum(np.exp(np.tanh(x))), threads=2)
    assert [kernel.name for kernel in f.profile(LONG).kernels] == ["tanh_exp_sum on 2 threads"]


@pytest.mark.parametrize("threads", [0, -1, 2.0, True, "2", None, 1000])
def test_what_is_no_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(
        TracingError, match=r"threads=.* is no number of threads[\s\S]*os.cpu_count"
    ):
        trace(lambda x: x, threads=threads)


def test_numbers_of_numpy_are_numbers_of_threads() -> None:
    assert trace(lambda x: x, threads=np.int64(2)).options.threads == 2


def test_programs_on_threads_are_explained_without_arrays() -> None:
    f = trace(lambda x: np.exp(np.tanh(x)), threads=2)
    assert f.explain(ArrayType(np.dtype(float), (10**12,))).split


# --- many callers, forks, exits ------------------------------------------------------------------


def test_many_threads_of_python_share_the_pool() -> None:
    f = trace(
        lambda x, k: (np.sum(np.exp(np.sin(x * k))), np.tanh(x) * k, softmax(TALL * k)), threads=3
    )
    one = trace(lambda x, k: (np.sum(np.exp(np.sin(x * k))), np.tanh(x) * k, softmax(TALL * k)))
    expected = [one(LONG, float(k)) for k in range(6)]
    f(LONG, 1.0)
    assert pieces(f, LONG, 1.0)
    start = threading.Barrier(6)

    def work(k: int) -> None:
        start.wait()
        for _ in range(15):
            assert_identical(f(LONG, float(k)), expected[k])

    with ThreadPoolExecutor(6) as executor:
        list(executor.map(work, range(6)))


def test_functions_of_other_numbers_of_threads_take_turns() -> None:
    made = [trace(lambda x: np.sum(np.exp(np.sin(x))), threads=n) for n in (2, 5, 3, 1)]
    expected = made[-1](LONG)
    for _ in range(20):
        assert all(f(LONG) == expected for f in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_pool_of_its_own() -> None:
    f = trace(lambda x: np.sum(np.exp(np.sin(x))), threads=2)
    expected = f(LONG)
    child = os.fork()
    if child == 0:
        os._exit(0 if all(f(LONG) == expected for _ in range(20)) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert f(LONG) == expected


EXITS = {
    "idle": "",
    "busy": """
        import threading
        def work():
            while True:
                f(x)
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        import time
        time.sleep(0.3)
    """,
    "error": "\nraise SystemExit(0)",
}


@pytest.mark.parametrize("name", EXITS)
def test_the_interpreter_ends_while_threads_wait_or_work(name: str) -> None:
    script = textwrap.dedent("""
        import numpy as np
        from adgraph import trace
        f = trace(lambda x: np.sum(np.exp(np.sin(x))), threads=3)
        x = np.ones(300_000)
        assert f(x) == f(x)
    """) + textwrap.dedent(EXITS[name])
    done = subprocess.run([sys.executable, "-c", script], timeout=120, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
