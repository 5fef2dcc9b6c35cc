"""Programs as Python functions written in native code: `f(args, kwargs)`, or `OTHERWISE`.

`native_call` describes a program to the function of `adgraph.runtime.entrance` and makes a Python
function of both, without a C compiler: CPython's `PyCFunction_NewEx` takes any address. The result
of a call that is not as described is `OTHERWISE`; the caller then does it another way.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType
from typing import Any

import numpy as np

from adgraph.ir.types import ArrayType, Dtype
from adgraph.lower.driver import driver_address
from adgraph.runtime import entrance
from adgraph.runtime.arena import address
from adgraph.runtime.compiled import Compiled
from adgraph.runtime.numpy_interface import numpy_interface
from adgraph.runtime.objects import ARRAY, BOOL, FLOAT, HEADER, INT, ITEM, SCALAR
from adgraph.runtime.recycling import are_recycled, recycling
from adgraph.tracing.tracer import PythonNumber

METH_FASTCALL = 0x80
OTHERWISE = object()
NOTHING: dict[str, Any] = {}

NativeCall = Callable[[tuple[Any, ...], dict[str, Any]], Any]

# Python numbers that have the representation of an element.
NUMBERS: dict[tuple[PythonNumber, Dtype], int] = {
    (float, np.dtype(np.float64)): FLOAT,
    (int, np.dtype(np.int64)): INT,
    (bool, np.dtype(np.bool)): BOOL,
}


@dataclass(frozen=True)
class Item:
    """An argument or a result: how it is represented in Python, and its type there.

    The elements of one that is `turned` are in Fortran order.
    """

    kind: int
    python_type: type
    type: ArrayType
    turned: bool = False


def argument_item(
    type: ArrayType, weak: PythonNumber | None, *, box: bool, turned: bool
) -> Item | None:
    """Describe an argument; None if only Python can convert it."""
    if type.shape or box:
        return Item(ARRAY, np.ndarray, type, turned)
    if weak is None:
        return Item(SCALAR, type.dtype.type, type)
    kind = NUMBERS.get((weak, type.dtype))
    return None if kind in (None, BOOL) else Item(kind, weak, type)


def result_item(type: ArrayType, weak: PythonNumber | None) -> Item | None:
    """Describe a result; None if only Python can convert it."""
    if type.shape:
        return Item(ARRAY, np.ndarray, type)
    if weak is None:
        return Item(SCALAR, type.dtype.type, type)
    kind = NUMBERS.get((weak, type.dtype))
    return None if kind is None else Item(kind, weak, type)


def native_call(
    compiled: Compiled,
    arguments: Sequence[Item],
    results: Sequence[Item],
    *,
    packed: bool,
    releases: bool,
    copies: bool,
) -> NativeCall | None:
    """Make the Python function of a program; `None` where the platform has no way to do it.

    It returns a tuple of results if `packed`, else the only result. The program runs without the
    GIL if it `releases` it. Arrays in no memory order it `copies`, or does not take. It may
    run in several threads at once: to all but the first it answers `OTHERWISE`, as after a run that
    failed for what `Compiled.fail` does not raise. The arena is one of the compiled program's.
    """
    interface = native_interface()
    if interface is None:
        return None
    handler = recycling() if are_recycled([item.type for item in results]) else None
    program, failed = compiled.program, compiled.fail
    items = (*arguments, *results)
    shapes = [np.array(item.type.shape, np.int64) for item in items]
    dtypes = [np.dtype(item.type.dtype.char) for item in items]  # as new arrays have
    slots = np.zeros(2 * len(items) + 2, np.int64)  # 16 bytes, the largest scalar's
    record = np.zeros(len(HEADER) + (len(ITEM) + 1) * len(items), np.int64)
    arena = compiled.lend(address(record) + record.itemsize * HEADER.index("busy"))
    record[: len(HEADER)] = [
        {
            **interface.words,
            "busy": 0,
            "arguments": len(arguments),
            "results": len(results),
            "releases": releases,
            "packs": packed,
            "failed": id(failed),
            "program": address(program.words),
            "sources": arena.sources_address,
            "scratch": arena.scratch_address,
            "pointers": arena.first_address,
            "handler": id(handler.capsule) if handler else 0,
            "objects": address(record) + 8 * (len(HEADER) + len(ITEM) * len(items)),
        }[name]
        for name in HEADER
    ]
    for i, (item, shape) in enumerate(zip(items, shapes, strict=True)):
        start = len(HEADER) + len(ITEM) * i
        words = (
            item.kind,
            id(item.python_type),
            id(dtypes[i]),
            len(item.type.shape),
            address(shape),
            item.type.dtype.alignment - 1,
            ord("F" if item.turned else "C"),
            copies and not item.turned,
            address(slots) + 16 * i,
        )
        record[start : start + len(ITEM)] = words
    # The function holds what the record's addresses point to.
    owned = (address(record), record, arena, program, items, shapes, dtypes, slots, failed)
    call: NativeCall = interface.new_function(owned)
    return call


@dataclass(frozen=True)
class Interface:
    """Addresses by their names in `HEADER`, and how to make a Python function of an object."""

    words: dict[str, int]
    new_function: Callable[[tuple[Any, ...]], Any]


@functools.cache
def native_interface() -> Interface | None:
    """Find CPython's and NumPy's functions; None on a platform that is not as expected."""
    numpy = numpy_interface()
    if numpy is None:
        return None
    words = {
        "otherwise": id(OTHERWISE),
        "driver": driver_address(),
        "array_type": id(np.ndarray),
        **numpy,
    }
    definition = _method_definition()
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]

    def new_function(owned: tuple[Any, ...]) -> Any:
        return new(ctypes.addressof(definition), owned, None)

    return Interface(words, new_function)


class _MethodDefinition(ctypes.Structure):
    """CPython's PyMethodDef, part of its stable ABI."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


def _method_definition() -> _MethodDefinition:
    return _MethodDefinition(b"call", entrance.address_of(entrance.METHOD), METH_FASTCALL, None)


# --- instances that are called natively ----------------------------------------------------------


class _Slot(ctypes.Structure):
    """CPython's PyType_Slot."""

    _fields_ = (("slot", ctypes.c_int), ("function", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    """CPython's PyType_Spec."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


TP_CALL = 50  # Py_tp_call
IS_BASE = 1 << 10  # Py_TPFLAGS_BASETYPE


@functools.cache
def natively_called() -> type:
    """Return a type whose instances are called by `entrance`, for others to derive from.

    What an instance's attribute `ways` must be says `ways_of`.
    """
    slots = (_Slot * 2)(_Slot(TP_CALL, entrance.address_of(entrance.CALL)), _Slot(0, None))
    name, size = b"adgraph.NativelyCalled", object.__basicsize__
    spec = _Spec(name, size, 0, IS_BASE, slots)
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p]
    made: type = make(ctypes.addressof(spec))
    return made


def ways_of(
    calls: Sequence[NativeCall], under_way: list[bool], left_to: Callable[..., Any]
) -> tuple[Any, ...]:
    """Return the attribute `ways` for native functions; other calls are left out.

    `left_to(instance, args, kwargs)` is called where none of them takes the arguments, or where the
    list is not empty.
    """
    native = (call.__self__ for call in calls if isinstance(call, BuiltinFunctionType))
    return (under_way, left_to, *native)
