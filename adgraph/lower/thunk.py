"""Calls of a program from native code: no Python object, no GIL, memory of its own.

`Thunk` describes a lowered program in int64 words; `call` and `find` are the addresses of native
functions which run such a program over tables of pointers, and which look up the program for some
shapes. Numba code and SciPy's callbacks enter here; calls from Python go through `runtime`.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass

import numpy as np

from adgraph.lower.driver import Words, driver_address
from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.program import Program

ALIGNMENT = 64
NO_MEMORY = -1

CALL_SYMBOL = "adgraph_call"
CALL = f"""
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define i64 @{CALL_SYMBOL}(ptr %thunk, ptr %inputs, ptr %outputs) {{
entry:
  %driver = load ptr, ptr %thunk
  %program_at = getelementptr i64, ptr %thunk, i64 1
  %program = load ptr, ptr %program_at
  %bytes_at = getelementptr i64, ptr %thunk, i64 2
  %bytes = load i64, ptr %bytes_at
  %scratch_words_at = getelementptr i64, ptr %thunk, i64 3
  %scratch_words = load i64, ptr %scratch_words_at
  %constants_at = getelementptr i64, ptr %thunk, i64 4
  %constants = load i64, ptr %constants_at
  %input_count_at = getelementptr i64, ptr %thunk, i64 5
  %input_count = load i64, ptr %input_count_at
  %output_count_at = getelementptr i64, ptr %thunk, i64 6
  %output_count = load i64, ptr %output_count_at
  %arguments = add i64 %input_count, %output_count
  %behind_arena = add i64 %arguments, %constants
  %sources_words = add i64 %behind_arena, 1
  %table_words = add i64 %sources_words, %scratch_words
  %table_bytes = shl i64 %table_words, 3
  %arena_bytes = add i64 %bytes, {ALIGNMENT}
  %total = add i64 %table_bytes, %arena_bytes
  %block = call ptr @malloc(i64 %total)
  %none = icmp eq ptr %block, null
  br i1 %none, label %no_memory, label %fill
fill:
  %scratch = getelementptr i64, ptr %block, i64 %sources_words
  %past_tables = getelementptr i8, ptr %block, i64 %table_bytes
  %past = ptrtoint ptr %past_tables to i64
  %rounded = add i64 %past, {ALIGNMENT - 1}
  %arena = and i64 %rounded, -{ALIGNMENT}
  store i64 %arena, ptr %block
  %own_constants = getelementptr i64, ptr %block, i64 1
  %their_constants_at = getelementptr ptr, ptr %thunk, i64 7
  %their_constants = load ptr, ptr %their_constants_at
  %constant_bytes = shl i64 %constants, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own_constants, ptr %their_constants, i64 %constant_bytes,
                                   i1 false)
  %own_inputs = getelementptr i64, ptr %own_constants, i64 %constants
  %input_bytes = shl i64 %input_count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own_inputs, ptr %inputs, i64 %input_bytes, i1 false)
  %own_outputs = getelementptr i64, ptr %own_inputs, i64 %input_count
  %output_bytes = shl i64 %output_count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own_outputs, ptr %outputs, i64 %output_bytes, i1 false)
  %status = call i64 %driver(ptr %program, ptr %block, ptr %scratch)
  call void @free(ptr %block)
  ret i64 %status
no_memory:
  ret i64 {NO_MEMORY}
}}
"""

FIND_SYMBOL = "adgraph_find"
# A table is a count, then rows: extents and the address of a thunk. Rows are complete before they
# are counted, so readers need no lock.
FIND = f"""
define i64 @{FIND_SYMBOL}(ptr readonly %table, ptr readonly %key, i64 %extents) nounwind {{
entry:
  %count = load atomic i64, ptr %table acquire, align 8
  %row_words = add i64 %extents, 1
  %first = getelementptr i64, ptr %table, i64 1
  br label %next_row
next_row:
  %i = phi i64 [0, %entry], [%following, %differs]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %missing
look:
  %start = mul i64 %i, %row_words
  %row = getelementptr i64, ptr %first, i64 %start
  br label %compare
compare:
  %k = phi i64 [0, %look], [%next_k, %same]
  %rest = icmp slt i64 %k, %extents
  br i1 %rest, label %extent, label %found
extent:
  %theirs_at = getelementptr i64, ptr %row, i64 %k
  %theirs = load i64, ptr %theirs_at
  %ours_at = getelementptr i64, ptr %key, i64 %k
  %ours = load i64, ptr %ours_at
  %equal = icmp eq i64 %theirs, %ours
  br i1 %equal, label %same, label %differs
same:
  %next_k = add i64 %k, 1
  br label %compare
differs:
  %following = add i64 %i, 1
  br label %next_row
found:
  %thunk_at = getelementptr i64, ptr %row, i64 %extents
  %thunk = load i64, ptr %thunk_at
  ret i64 %thunk
missing:
  ret i64 0
}}
"""


@functools.cache
def call_address() -> int:
    """Return the address of `int64 call(thunk, inputs, outputs)`: a driver's code or NO_MEMORY."""
    (address,) = compile_modules([ModuleSource(CALL_SYMBOL, CALL)])
    return address


@functools.cache
def find_address() -> int:
    """Return the address of `int64 find(table, extents, count)`: a thunk's address or 0."""
    (address,) = compile_modules([ModuleSource(FIND_SYMBOL, FIND)])
    return address


@dataclass(frozen=True)
class Thunk:
    """What native code needs of a program; it must outlive the code that has its address.

    Behind the header stand the extents of the results, at the same place for all programs whose
    results have the same numbers of axes.
    """

    program: Program
    constants: Words
    words: Words
    extents_at: tuple[int, ...]  # of each result, in words

    @property
    def address(self) -> int:
        """The address of the words."""
        return int(self.words.ctypes.data)


def thunk_of(program: Program) -> Thunk:
    """Describe a program for `call`."""
    constants = np.array([c.ctypes.data for c in program.constants], np.int64)
    header = [
        driver_address(),
        program.words.ctypes.data,
        program.plan.arena_bytes,
        program.scratch_words,
        len(program.constants),
        len(program.graph.inputs),
        len(program.graph.outputs),
        constants.ctypes.data,
    ]
    extents_at = []
    for result in program.results:
        extents_at.append(len(header))
        header += result.shape
    return Thunk(program, constants, np.array(header, np.int64), tuple(extents_at))


class Table:
    """Thunks by the extents of a program's arguments, readable by native code at any time."""

    def __init__(self, extents: int, rows: int = 1024) -> None:
        self._extents = extents
        self._words = np.zeros(1 + rows * (extents + 1), np.int64)
        self._thunks: list[Thunk] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> int:
        """The address of the words, which stays the same."""
        return int(self._words.ctypes.data)

    @property
    def full(self) -> bool:
        """Whether there is no room for another row."""
        return 1 + (len(self._thunks) + 1) * (self._extents + 1) > len(self._words)

    def enter(self, extents: tuple[int, ...], thunk: Thunk) -> None:
        """Add a row, or give the row of these extents another thunk."""
        width = self._extents + 1
        with self._lock:
            count = int(self._words[0])
            rows = self._words[1 : 1 + count * width].reshape(count, width)
            known = np.flatnonzero((rows[:, :-1] == extents).all(axis=1))
            at = int(known[0]) if len(known) else count
            self._thunks.append(thunk)
            self._words[1 + at * width : 1 + (at + 1) * width] = (*extents, thunk.address)
            self._words[0] = max(count, at + 1)
