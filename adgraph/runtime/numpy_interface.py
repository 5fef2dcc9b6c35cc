"""NumPy's table of functions for extensions: addresses by name, for native code and for ctypes."""

from __future__ import annotations

import ctypes
import functools
import importlib
import struct
import sys
from typing import Any

import numpy as np

# Positions in the table, which never change.
SLOTS = {
    "to_scalar": 60,
    "from_scalar": 62,
    "new_array": 94,
    "copied": 109,
    "get_pointer": 160,
    "equivalent": 182,
    "set_handler": 304,
    "own_handler": 306,
}
DTYPE_AT = 56  # in an array's object, whose layout is compiled into extensions


@functools.cache
def numpy_interface() -> dict[str, int] | None:
    """Return the entries of the table; None on a platform that is not as expected."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return None
    sample = np.empty(0, np.dtype([("unlike any other", np.int8)]))
    if ctypes.c_void_p.from_address(id(sample) + DTYPE_AT).value != id(sample.dtype):
        return None
    try:
        capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    except (ImportError, AttributeError):
        return None
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    start = get_pointer(capsule, None)
    entries: Any = (ctypes.c_void_p * (max(SLOTS.values()) + 1)).from_address(start)
    found: dict[str, int] = {name: entries[slot] for name, slot in SLOTS.items()}
    own = ctypes.c_void_p.from_address(found["own_handler"])  # a variable, unlike the others
    return {**found, "own_handler": own.value or 0}
