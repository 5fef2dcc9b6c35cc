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

from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.thunk import CALL, CALL_SYMBOL

Double = ctypes.c_double
Doubles = ctypes.POINTER(ctypes.c_double)

POINTS_AT = """
define internal i64 @over({header}) {{
entry:
  %thunk = load ptr, ptr %user
  %wanted_at = getelementptr i64, ptr %user, i64 1
  %wanted = load i64, ptr %wanted_at
  %right = icmp eq i64 %count, %wanted
  br i1 %right, label %fill, label %wrong_count
fill:
  %inputs_at = getelementptr i64, ptr %thunk, i64 5
  %inputs = load i64, ptr %inputs_at
  %table = alloca ptr, i64 %inputs
  %outputs = alloca ptr
  store ptr %result, ptr %outputs
  br label %next
next:
  %i = phi i64 [0, %fill], [%following, %point]
  %more = icmp slt i64 %i, %inputs
  br i1 %more, label %point, label %run
point:
  %number = getelementptr double, ptr %numbers, i64 %i
  %slot = getelementptr ptr, ptr %table, i64 %i
  store ptr %number, ptr %slot
  %following = add i64 %i, 1
  br label %next
run:
  %status = call i64 @{call}(ptr %thunk, ptr %table, ptr %outputs)
  ret i64 %status
wrong_count:
  ret i64 -2
}}
""".format(header="ptr %numbers, i64 %count, ptr %result, ptr %user", call=CALL_SYMBOL)

OR_NAN = """
  %failed = icmp ne i64 %status, 0
  %value = load double, ptr %result
  %answer = select i1 %failed, double 0x7FF8000000000000, double %value
  ret double %answer
}
"""


@dataclass(frozen=True)
class Callback:
    """A C signature: its ctypes, and the body of the function which has it."""

    restype: Any
    argtypes: tuple[Any, ...]
    text: str


# By the names under which SciPy knows them; a program that fails gives nan, or 0 for `int`.
CALLBACKS = {
    "double (double, void *)": Callback(
        Double,
        (Double, ctypes.c_void_p),
        """
define double @{symbol}(double %x, ptr %user) {
  %number = alloca double
  %result = alloca double
  store double %x, ptr %number
  %status = call i64 @over(ptr %number, i64 1, ptr %result, ptr %user)
"""
        + OR_NAN,
    ),
    "double (int, double *, void *)": Callback(
        Double,
        (ctypes.c_int, Doubles, ctypes.c_void_p),
        """
define double @{symbol}(i32 %n, ptr %numbers, ptr %user) {
  %count = sext i32 %n to i64
  %result = alloca double
  %status = call i64 @over(ptr %numbers, i64 %count, ptr %result, ptr %user)
"""
        + OR_NAN,
    ),
    "int (double *, npy_intp, double *, void *)": Callback(
        ctypes.c_int,
        (Doubles, ctypes.c_ssize_t, Doubles, ctypes.c_void_p),
        """
define i32 @{symbol}(ptr %numbers, i64 %count, ptr %result, ptr %user) {
  %status = call i64 @over(ptr %numbers, i64 %count, ptr %result, ptr %user)
  %good = icmp eq i64 %status, 0
  %answer = zext i1 %good to i32
  ret i32 %answer
}
""",
    ),
}


@functools.cache
def callback(signature: str) -> Any:
    """Return the function of a signature as a ctypes function pointer."""
    kind = CALLBACKS[signature]
    symbol = f"adgraph_callback_{list(CALLBACKS).index(signature)}"
    text = CALL + POINTS_AT + kind.text.replace("{symbol}", symbol)
    (address,) = compile_modules([ModuleSource(symbol, text)])
    return ctypes.CFUNCTYPE(kind.restype, *kind.argtypes)(address)
