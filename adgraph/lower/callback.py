"""C functions that SciPy calls: numbers in, a number out, and a program behind `user_data`.

`CALLBACKS` lists the C signatures that exist. `user_data` points to two int64 words: the address
of a thunk (`adgraph.lower.thunk`) and the count of doubles that its program reads. A program of
numbers takes one double per argument, a program of one array takes them all.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

from adgraph.lower.functions import Body, Fields, Native, Operand, Value, compile_function, native
from adgraph.lower.thunk import HEADER, call

Double = ctypes.c_double
Doubles = ctypes.POINTER(ctypes.c_double)

NAN = "0x7FF8000000000000"
WRONG_COUNT = -2


@native("i64 over(ptr, i64, ptr, ptr)")
def over(f: Body, numbers: Value, count: Value, result: Value, user: Value) -> None:
    """Run the program behind `user` over so many doubles."""
    thunk = user.pointer()
    f.leave_when(count.differs(user.word(1)), WRONG_COUNT)
    inputs = Fields(thunk, HEADER).word("inputs")
    table = f.room(inputs)
    with f.loop(inputs) as i:
        table.put(i, numbers.at(i))
    outputs = f.slot("ptr")
    outputs.store(result)
    f.leave(f.call(call, thunk, table, outputs))


def _value_or_nan(f: Body, numbers: Value, count: Operand, user: Value) -> None:
    result = f.slot("double")
    status = f.call(over, numbers, count, result, user)
    nan = f.constant("double", NAN)
    f.leave(status.differs(0).choose(nan, result.load("double")))


@native("double adgraph_callback_of_number(double, ptr)")
def of_number(f: Body, x: Value, user: Value) -> None:
    """Give the value at a number."""
    number = f.slot("double")
    number.store(x)
    _value_or_nan(f, number, 1, user)


@native("double adgraph_callback_of_numbers(i32, ptr, ptr)")
def of_numbers(f: Body, count: Value, numbers: Value, user: Value) -> None:
    """Give the value at several numbers."""
    _value_or_nan(f, numbers, count.cast("sext", "i64"), user)


@native("i32 adgraph_callback_with_status(ptr, i64, ptr, ptr)")
def with_status(f: Body, numbers: Value, count: Value, result: Value, user: Value) -> None:
    """Write the value, and tell whether there is one."""
    status = f.call(over, numbers, count, result, user)
    f.leave(status.equals(0).cast("zext", "i32"))


@dataclass(frozen=True)
class Callback:
    """A C signature: its ctypes, and the function which has it."""

    restype: Any
    argtypes: tuple[Any, ...]
    function: Native


# By the names under which SciPy knows them; a program that fails gives nan, or 0 for `int`.
CALLBACKS = {
    "double (double, void *)": Callback(Double, (Double, ctypes.c_void_p), of_number),
    "double (int, double *, void *)": Callback(
        Double, (ctypes.c_int, Doubles, ctypes.c_void_p), of_numbers
    ),
    "int (double *, npy_intp, double *, void *)": Callback(
        ctypes.c_int, (Doubles, ctypes.c_ssize_t, Doubles, ctypes.c_void_p), with_status
    ),
}


@functools.cache
def callback(signature: str) -> Any:
    """Return the function of a signature as a ctypes function pointer."""
    kind = CALLBACKS[signature]
    prototype = ctypes.CFUNCTYPE(kind.restype, *kind.argtypes)
    return prototype(compile_function(kind.function))
