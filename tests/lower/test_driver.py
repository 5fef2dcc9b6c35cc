"""The driver: order of steps, offsets, failures, empty programs, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adgraph.lower import lapack
from adgraph.lower.driver import (
    Failure,
    Step,
    build_program,
    driver,
    driver_address,
    failure,
    run_program,
    scratch_words,
)
from adgraph.lower.kernel import KernelSource, ModuleSource, compile_kernels, compile_modules

ADD = "def add(x, y, n):\n    for i in range(n):\n        y[i] = x[i] + 1.0\n"


def add_one() -> int:
    (address,) = compile_kernels([KernelSource("add", ("f8", "f8"), 1, ADD)])
    return address


def bases(*arrays: NDArray[Any]) -> NDArray[np.int64]:
    return np.array([array.ctypes.data for array in arrays], dtype=np.int64)


def test_steps_run_in_order_over_offsets_into_their_sources() -> None:
    x, arena = np.zeros(8), np.zeros(40)
    steps = [Step(add_one(), ((1, 0), (0, 0)), (8,))]
    steps += [Step(add_one(), ((0, 64 * i), (0, 64 * i + 64)), (8,)) for i in range(4)]
    scratch = np.zeros(scratch_words(steps), np.int64)
    assert run_program(build_program(steps), bases(arena, x), scratch) == 0
    np.testing.assert_array_equal(arena, np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 8))


def test_an_empty_program_succeeds() -> None:
    assert run_program(build_program([]), np.zeros(1, np.int64), np.zeros(1, np.int64)) == 0
    assert scratch_words([]) == 1


def test_a_kernel_without_pointers_and_sizes_runs() -> None:
    text = "define i64 @nothing(ptr %pointers, ptr %sizes) {\n  ret i64 0\n}\n"
    (address,) = compile_modules([ModuleSource("nothing", text)])
    program = build_program([Step(address, (), ())] * 3)
    assert run_program(program, np.zeros(1, np.int64), np.zeros(1, np.int64)) == 0


@pytest.mark.parametrize("position", [0, 2])
def test_a_failing_step_stops_the_program_and_is_named(position: int) -> None:
    singular, x, arena = np.zeros((2, 2)), np.ones((2, 1)), np.zeros(16)
    inverse = Step(lapack.inv("f8"), ((1, 0), (0, 0), (0, 32), (0, 96)), (1, 2))
    after = Step(add_one(), ((2, 0), (0, 104)), (1,))
    steps = [Step(add_one(), ((2, 0), (0, 0)), (2,))] * position + [inverse, after]
    scratch = np.zeros(scratch_words(steps), np.int64)
    code = run_program(build_program(steps), bases(arena, singular, x), scratch)
    assert failure(code) == Failure(position, lapack.SINGULAR)
    assert arena[13] == 0


def test_success_is_no_failure() -> None:
    assert failure(0) is None


def test_the_layout_is_flat_words() -> None:
    program = build_program([Step(4096, ((0, 8), (2, 16)), (3, 5)), Step(64, (), ())])
    assert program.dtype == np.int64
    assert program.tolist() == [2, 4096, 2, 2, 0, 8, 2, 16, 3, 5, 64, 0, 0]


def test_the_driver_takes_plain_addresses() -> None:
    x, y = np.zeros(3), np.zeros(3)
    program = build_program([Step(add_one(), ((0, 0), (1, 0)), (3,))])
    sources, scratch = bases(x, y), np.zeros(2, np.int64)
    run = driver()
    assert run(program.ctypes.data, sources.ctypes.data, scratch.ctypes.data) == 0
    np.testing.assert_array_equal(y, 1.0)
    assert driver_address() > 0


def test_threads_share_a_program_with_scratch_of_their_own() -> None:
    n, address = 1000, add_one()
    steps = [Step(address, ((0, 0), (1, 0)), (n,)), Step(address, ((1, 0), (1, 8 * n)), (n,))]
    program = build_program(steps)
    wrong: list[int] = []

    def work(start: float) -> None:
        x, y, scratch = np.full(n, start), np.zeros(2 * n), np.zeros(2, np.int64)
        for _ in range(200):
            y[:] = 0
            run_program(program, bases(x, y), scratch)
            if not (y[n:] == start + 2).all():
                wrong.append(1)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
