"""Programs: a list of kernel calls as flat int64 memory, run by one precompiled function.

`build_program` lays out steps, `run_program` runs them over base addresses (arena, inputs,
outputs). A program holds no array and no state; the pointer table of the running step lives in a
scratch array that the caller owns, so threads may share a program, each with its own scratch.

Layout in int64 words: the number of steps, then per step the kernel's address, the number of
pointers, the number of sizes, a pair (source, byte offset) per pointer, and the sizes.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import Passes

Words = NDArray[np.int64]
STATUS_BITS = 8
HEADER = 3  # words of a step before its pointers
SYMBOL = "adgraph_run_program"

DRIVER = f"""
define i64 @{SYMBOL}(ptr noalias readonly %program, ptr noalias readonly %sources, ptr %scratch) {{
entry:
  %count = load i64, ptr %program
  %empty = icmp sle i64 %count, 0
  br i1 %empty, label %finished, label %step
step:
  %number = phi i64 [0, %entry], [%next_number, %succeeded]
  %word = phi i64 [1, %entry], [%next_word, %succeeded]
  %address_at = getelementptr inbounds i64, ptr %program, i64 %word
  %kernel = load ptr, ptr %address_at
  %pointers_at = getelementptr inbounds i64, ptr %address_at, i64 1
  %pointers = load i64, ptr %pointers_at
  %sizes_at = getelementptr inbounds i64, ptr %address_at, i64 2
  %sizes = load i64, ptr %sizes_at
  %pairs = getelementptr inbounds i64, ptr %address_at, i64 3
  %no_pointers = icmp sle i64 %pointers, 0
  br i1 %no_pointers, label %call, label %fill
fill:
  %i = phi i64 [0, %step], [%next_i, %fill]
  %pair = shl i64 %i, 1
  %source_at = getelementptr inbounds i64, ptr %pairs, i64 %pair
  %source = load i64, ptr %source_at
  %offset_at = getelementptr inbounds i64, ptr %source_at, i64 1
  %offset = load i64, ptr %offset_at
  %base_at = getelementptr inbounds ptr, ptr %sources, i64 %source
  %base = load ptr, ptr %base_at
  %pointer = getelementptr inbounds i8, ptr %base, i64 %offset
  %slot = getelementptr inbounds ptr, ptr %scratch, i64 %i
  store ptr %pointer, ptr %slot
  %next_i = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next_i, %pointers
  br i1 %more, label %fill, label %call
call:
  %pair_words = shl i64 %pointers, 1
  %size_table = getelementptr inbounds i64, ptr %pairs, i64 %pair_words
  %status = call i64 %kernel(ptr %scratch, ptr %size_table)
  %failed = icmp ne i64 %status, 0
  br i1 %failed, label %stopped, label %succeeded
succeeded:
  %step_words = add i64 %pair_words, %sizes
  %past_header = add i64 %word, 3
  %next_word = add i64 %past_header, %step_words
  %next_number = add nuw nsw i64 %number, 1
  %more_steps = icmp slt i64 %next_number, %count
  br i1 %more_steps, label %step, label %finished
stopped:
  %shifted = shl i64 %number, {STATUS_BITS}
  %code = or i64 %shifted, %status
  ret i64 %code
finished:
  ret i64 0
}}
"""


GATHER_SYMBOL = "adgraph_gather"
PY_BUFFER_BYTES = 80  # of CPython's Py_buffer, part of its stable ABI; `buf` is its first field

# Fills in the addresses of contiguous arrays through the buffer protocol; the GIL must be held.
GATHER = f"""
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare void @PyBuffer_Release(ptr)
define i64 @{GATHER_SYMBOL}(ptr %objects, i64 %count, ptr %sources) {{
entry:
  %view = alloca [{PY_BUFFER_BYTES} x i8], align 8
  %empty = icmp sle i64 %count, 0
  br i1 %empty, label %finished, label %next
next:
  %i = phi i64 [0, %entry], [%following, %filled]
  %object_at = getelementptr inbounds ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %object_at
  %status = call i32 @PyObject_GetBuffer(ptr %object, ptr %view, i32 0)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %stopped, label %filled
filled:
  %address = load ptr, ptr %view
  %source_at = getelementptr inbounds ptr, ptr %sources, i64 %i
  store ptr %address, ptr %source_at
  call void @PyBuffer_Release(ptr %view)
  %following = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %following, %count
  br i1 %more, label %next, label %finished
stopped:
  ret i64 -1
finished:
  ret i64 0
}}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call: pointers are (index of a source, byte offset) pairs."""

    address: int
    pointers: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """The step which stopped a program, and the status (1 to 255) of its kernel."""

    step: int
    status: int


def build_program(steps: Sequence[Step]) -> Words:
    """Lay out steps as the flat program which the driver reads.

    >>> build_program([Step(4096, ((0, 0), (1, 64)), (8,))]).tolist()
    [1, 4096, 2, 1, 0, 0, 1, 64, 8]
    """
    words = [len(steps)]
    for step in steps:
        words += (step.address, len(step.pointers), len(step.sizes))
        for source, offset in step.pointers:
            words += (source, offset)
        words += step.sizes
    return np.array(words, dtype=np.int64)


def single_steps(program: Words) -> Iterator[Words]:
    """Cut a program into programs of one step each.

    >>> program = build_program([Step(4096, ((0, 64),), ()), Step(8192, (), (7,))])
    >>> [one.tolist() for one in single_steps(program)]
    [[1, 4096, 1, 0, 0, 64], [1, 8192, 0, 1, 7]]
    """
    at = 1
    for _ in range(int(program[0])):
        pointers, sizes = int(program[at + 1]), int(program[at + 2])
        end = at + HEADER + 2 * pointers + sizes
        yield np.concatenate([np.ones(1, np.int64), program[at:end]])
        at = end


def scratch_words(steps: Sequence[Step]) -> int:
    """Return how many int64 words of scratch a run of these steps needs (at least one)."""
    return max((len(step.pointers) for step in steps), default=1) or 1


@functools.cache
def driver_address(passes: Passes = "few") -> int:
    """Return the address of `int64 run(program, sources, scratch)`."""
    (address,) = compile_modules([ModuleSource(SYMBOL, DRIVER, passes)])
    return address


@functools.cache
def driver(passes: Passes = "none") -> Callable[[int, int, int], int]:
    """Return the driver as a callable of three addresses; it releases the GIL.

    The result is 0, or a code for `failure`. The caller keeps the three memories alive. A program's
    first call takes this way, so the code is to be there soon; it takes 1.5 ns more for a pointer.
    """
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    return prototype(driver_address(passes))


@functools.cache
def gather() -> Callable[[Any, int, int], int]:
    """Return the function that stores the addresses of arrays: (objects, count, sources).

    `objects` is a ctypes array of `py_object`s, each a C-contiguous array. It holds the GIL and
    costs about a tenth of reading `__array_interface__` in Python.
    """
    (address,) = compile_modules([ModuleSource(GATHER_SYMBOL, GATHER, "none")])
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    return prototype(address)


def run_program(program: Words, sources: Words, scratch: Words) -> int:
    """Run a program over base addresses; return 0, or a code for `failure`."""
    return driver()(program.ctypes.data, sources.ctypes.data, scratch.ctypes.data)


def failure(code: int) -> Failure | None:
    """Say which step stopped a program and why, or None for success.

    >>> failure(3 * 256 + 1)
    Failure(step=3, status=1)
    """
    if code == 0:
        return None
    return Failure(code >> STATUS_BITS, code & (1 << STATUS_BITS) - 1)
