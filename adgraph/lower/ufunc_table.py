"""The addresses of the inner loops of ufuncs, and of the data they are called with.

They stand in `PyUFuncObject`, whose fields and whose loops' signature the C API of NumPy documents
("Python types and C-structures"); neither has changed since NumPy 1.0.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np


class _UfuncObject(ctypes.Structure):
    _fields_ = (
        ("reference_count", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    )


_tables: list[Any] = []  # kernels read them for as long as the process lives


@functools.cache
def loop_and_data(module: str, ufunc: str, types: str) -> int:
    """Return the address of two words: the loop for these types, and the data it is called with.

    The loop has the signature `void loop(char** operands, npy_intp* dimensions, npy_intp* strides,
    void* data)`. Unknown types are a `LookupError`.

    >>> loop_and_data("numpy", "hypot", "dd->d") > 0
    True
    """
    found = getattr(importlib.import_module(module), ufunc)
    if not isinstance(found, np.ufunc) or types not in found.types:
        raise LookupError(f"{module}.{ufunc} has no inner loop for {types}")
    number = found.types.index(types)
    struct = _UfuncObject.from_address(id(found))
    data = struct.data[number] if struct.data else None
    table = (ctypes.c_void_p * 2)(struct.functions[number], data)
    _tables.append(table)
    return ctypes.addressof(table)
