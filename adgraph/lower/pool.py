"""A pool of threads that run the parts of one kernel: native code, started once, parked in between.

`split_address` is the address of a kernel which runs another one over pieces of its outermost
loop, on the calling thread and on those of the pool, and then a last one over what the pieces
left. The pool serves one call at a time; a call that finds it busy runs all pieces by itself. Which
thread runs which piece does not matter for results. `split_words` writes the integers of such a
call; `adgraph.lower.split` decides on the pieces.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.lower.functions import compile_function
from adgraph.lower.pool_code import (
    COUNTS,
    DONE,
    FIELDS,
    MOST_THREADS,
    MUTEX,
    POOL_WORDS,
    SYSTEM_WORDS,
    WAKE,
    split,
)


@dataclass(frozen=True)
class SplitCall:
    """What runs a kernel in pieces, on several threads."""

    name: str  # of the kernel
    unit: int  # trips of the outermost loop in a piece
    pieces: int
    threads: int


def split_words(
    counts: dict[str, int],
    advances: tuple[int, ...],
    own: tuple[int, ...],
    partial_bytes: tuple[int, ...],
    sizes: tuple[int, ...],
    last_sizes: tuple[int, ...],
) -> tuple[int, ...]:
    """Lay out the integers of a split call; the addresses of the two kernels follow them."""
    header = tuple(counts[name] for name in COUNTS)
    return (*header, *advances, *own, *partial_bytes, *sizes, *last_sizes)


def split_address() -> int:
    """Return the address of the kernel that runs another one in pieces."""
    return compile_function(split)


def has_threads() -> bool:
    """Tell whether the platform has POSIX threads."""
    return sys.platform != "win32"


def check_threads(threads: Any) -> int:
    """Return a number of threads; refuse what is none, or what the platform cannot do."""
    whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
    if not whole or not 1 <= threads <= MOST_THREADS:
        raise TracingError(
            message(
                f"threads={threads!r} is no number of threads",
                f"kernels run on the calling thread and on others, {MOST_THREADS} at most in all",
                "give an int from 1 up, such as the number of cores: os.cpu_count()",
            )
        )
    if threads > 1 and not has_threads():
        raise TracingError(
            message(
                f"threads={threads!r}: kernels run on one thread on this platform",
                "the pool is made of POSIX threads",
                "leave threads=1; threads of Python may call one function at the same time",
            )
        )
    return int(threads)


@functools.cache
def pool() -> np.ndarray[Any, Any]:
    """Return the memory of the pool, which the first pointer of a split call leads to."""
    memory = np.zeros(POOL_WORDS, np.int64)
    _initialize(memory)
    os.register_at_fork(after_in_child=lambda: _initialize(memory))
    atexit.register(_stop, memory)
    return memory


def _initialize(memory: np.ndarray[Any, Any]) -> None:
    """Make a pool without threads; they start with the first call."""
    memory[:] = 0
    _system("pthread_mutex_init")(memory.ctypes.data + MUTEX, None)
    _system("pthread_cond_init")(memory.ctypes.data + WAKE, None)
    _system("pthread_cond_init")(memory.ctypes.data + DONE, None)


def _stop(memory: np.ndarray[Any, Any]) -> None:
    """End the threads before the interpreter drops the code they run."""
    start = memory.ctypes.data
    fields = 3 * SYSTEM_WORDS
    _system("pthread_mutex_lock")(start + MUTEX)
    memory[fields + FIELDS.index("stop")] = 1
    _system("pthread_cond_broadcast")(start + WAKE)
    _system("pthread_mutex_unlock")(start + MUTEX)
    first = fields + len(FIELDS)
    for thread in memory[first : first + memory[fields + FIELDS.index("count")]]:
        _system("pthread_join")(int(thread), None)


@functools.cache
def _system(name: str) -> Any:
    function = getattr(ctypes.CDLL(None), name)
    function.argtypes = [ctypes.c_void_p] * (1 if "lock" in name or "broadcast" in name else 2)
    return function
