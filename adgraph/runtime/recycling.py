"""Memory of large results that comes back when an array dies, by a handler of NumPy (NEP 49).

The system gives fresh memory page by page, which costs more than what kernels write into it, and
the C library gives large blocks back at every `free`. So the handler of `recycling` is set while
the arrays of results are made; they own their data as any others do, and their blocks are kept for
the next call. `adgraph.runtime.blocks` has its code.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.types import ArrayType
from adgraph.lower.functions import compile_function
from adgraph.runtime.blocks import ALLOCATOR, STATE, STATE_WORDS, fill
from adgraph.runtime.numpy_interface import numpy_interface

RECYCLED_BYTES = 1 << 17  # of all results of a call; setting a handler takes 0.2 us
CAPSULE_NAME = b"mem_handler"
NAME = b"adgraph"

Array = np.ndarray[Any, Any]


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, and the state of ours behind it."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("allocator", ctypes.c_void_p * len(ALLOCATOR)),
        ("state", ctypes.c_int64 * STATE_WORDS),
    )


@dataclass(frozen=True)
class Recycling:
    """Our handler, NumPy's own one, and the memory of ours."""

    capsule: Any
    own: Any
    set_handler: Callable[[Any], Any]  # returns the one that was set
    memory: Handler

    @property
    def kept(self) -> int:
        """The bytes of the blocks that wait for their next use."""
        kept: int = self.memory.state[STATE.index("kept")]
        return kept


def are_recycled(results: Sequence[ArrayType]) -> bool:
    """Tell whether results are so large that their memory should come back."""
    return sum(type.nbytes for type in results) >= RECYCLED_BYTES


def new_arrays(results: Sequence[ArrayType]) -> list[Array]:
    """Make arrays for results."""
    return [np.empty(type.shape, type.dtype) for type in results]


def array_maker(results: Sequence[ArrayType]) -> Callable[[], list[Array]]:
    """Return what makes the arrays of results, large ones in memory that is used again."""
    make = functools.partial(new_arrays, results)
    handler = recycling() if are_recycled(results) else None
    return make if handler is None else functools.partial(_with_handler, handler, make)


def _with_handler(handler: Recycling, make: Callable[[], list[Array]]) -> list[Array]:
    former = handler.set_handler(handler.capsule)
    try:
        if former is not handler.own:  # the user's, who wants it for all arrays
            handler.set_handler(former)
        return make()
    finally:
        handler.set_handler(former)


@functools.cache
def recycling() -> Recycling | None:
    """Return the handler; None on a platform without NumPy's interface."""
    interface = numpy_interface()
    if interface is None:
        return None
    own = ctypes.cast(interface["own_handler"], ctypes.py_object).value
    own_address = _capsule_pointer(own, CAPSULE_NAME)
    memory = Handler(NAME, 1)
    state = ctypes.addressof(memory) + Handler.state.offset
    memory.allocator[ALLOCATOR.index("context")] = state
    memory.state[STATE.index("own")] = own_address + Handler.allocator.offset
    fill_in = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(compile_function(fill, "none"))
    fill_in(ctypes.addressof(memory) + Handler.allocator.offset)
    capsule = _new_capsule(memory)
    for owner in (memory, CAPSULE_NAME, capsule):  # arrays may die after all modules are gone
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(interface["set_handler"])
    return Recycling(capsule, own, set_handler, memory)


def _capsule_pointer(capsule: Any, name: bytes) -> int:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer: int = get_pointer(capsule, name)
    return pointer


def _new_capsule(memory: Handler) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(memory), CAPSULE_NAME, None)
