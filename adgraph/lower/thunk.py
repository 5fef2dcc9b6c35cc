"""Calls of a program from native code: no Python object, no GIL, memory of its own.

`Thunk` describes a lowered program in int64 words; `call` and `find` are the addresses of native
functions which run such a program over tables of pointers, and which look up the program for some
shapes. Numba code and SciPy's callbacks enter here; calls from Python go through `runtime`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from adgraph.lower.driver import Words, driver_address
from adgraph.lower.functions import Body, Fields, Value, compile_function, native, outside
from adgraph.lower.program import Program

ALIGNMENT = 64
NO_MEMORY = -1

HEADER = (
    "driver",
    "program",
    "bytes",  # of the arena
    "scratch_words",
    "constants",  # how many, as of the next two
    "inputs",
    "outputs",
    "constant_table",
)
MALLOC = outside("ptr malloc(i64)")
FREE = outside("void free(ptr)")


@native("i64 adgraph_call(ptr, ptr, ptr)")
def call(f: Body, thunk: Value, inputs: Value, outputs: Value) -> None:
    """Run a program over tables of pointers, in memory of its own: sources, scratch, the arena."""
    header = Fields(thunk, HEADER)
    constant_count, input_count, output_count, scratch_words = map(
        header.word, ("constants", "inputs", "outputs", "scratch_words")
    )
    source_words = input_count + output_count + constant_count + 1
    table_bytes = source_words + scratch_words << 3
    block = f.call(MALLOC, table_bytes + (header.word("bytes") + ALIGNMENT))
    f.leave_when(block.is_null(), NO_MEMORY)
    behind = block.past(table_bytes).cast("ptrtoint", "i64")
    block.store(behind + (ALIGNMENT - 1) & -ALIGNMENT)
    constants = block.at(1)
    f.copy_words(constants, header.pointer("constant_table"), constant_count)
    own_inputs = constants.at(constant_count)
    f.copy_words(own_inputs, inputs, input_count)
    f.copy_words(own_inputs.at(input_count), outputs, output_count)
    scratch = block.at(source_words)
    driver, program = header.pointer("driver"), header.pointer("program")
    status = f.call_at(driver, "i64", program, block, scratch)
    f.call(FREE, block)
    f.leave(status)


@native("i64 adgraph_find(ptr readonly, ptr readonly, i64) nounwind")
def find(f: Body, table: Value, key: Value, extents: Value) -> None:
    """Return the thunk of some extents, or 0.

    A table is a count, then rows: extents and the address of a thunk. Rows are complete before they
    are counted, so readers need no lock.
    """
    with f.loop(table.load("i64", "acquire")) as i:
        row = table.at(1).at(i * (extents + 1))
        with f.loop(extents) as k, f.when(row.word(k).differs(key.word(k))):
            f.skip(around=1)
        f.leave(row.word(extents))
    f.leave(0)


def call_address() -> int:
    """Return the address of `int64 call(thunk, inputs, outputs)`: a driver's code or NO_MEMORY."""
    return compile_function(call)


def find_address() -> int:
    """Return the address of `int64 find(table, extents, count)`: a thunk's address or 0."""
    return compile_function(find)


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
    """Describe a program for `call`: the words of `HEADER`, and extents."""
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
