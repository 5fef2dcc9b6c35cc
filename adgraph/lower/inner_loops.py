"""Kernels that call the inner loops of NumPy's and SciPy's ufuncs, by pointer and without Python.

`inner_loop(code, dtype)` returns the address of a kernel in the uniform ABI. Its pointers are the
operands and results of the ufunc, its sizes the dimensions that a loop takes and the strides.
"""

from __future__ import annotations

import functools
import re

from adgraph.ir.code import InnerLoop
from adgraph.lower.emitter import KERNEL_PARAMETERS
from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import UFUNC_PREFIX

FAILED = 6
INVALID = 1  # FE_INVALID, by which loops of numpy.linalg tell that they failed
ALL = 61  # FE_ALL_EXCEPT
SINGLE = str.maketrans("dD", "fF")


@functools.cache
def inner_loop(code: InnerLoop, dtype: str) -> int:
    """Return the kernel that runs a loop once, for float64 (`f8`) or float32 (`f4`) numbers."""
    types = code.types if dtype == "f8" else code.types.translate(SINGLE)
    function = f"{UFUNC_PREFIX}{code.ufunc}.{types}"
    symbol = re.sub(r"\W", "_", function)
    (address,) = compile_modules([ModuleSource(symbol, _text(code, symbol, function))])
    return address


def _text(code: InnerLoop, symbol: str, function: str) -> str:
    """Write the kernel. A loop moves the pointers it is given, so it gets a copy of them."""
    count = len(code.types.replace("->", ""))
    return f"""\
declare void @"{function}"()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @feclearexcept(i32)
declare i32 @fetestexcept(i32)
define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{
  %operands = alloca [{count} x ptr]
  call void @llvm.memcpy.p0.p0.i64(ptr %operands, ptr %pointers, i64 {8 * count}, i1 false)
  %strides = getelementptr i64, ptr %sizes, i64 {code.dimensions}
  %loop = load ptr, ptr @"{function}"
  %data_at = getelementptr ptr, ptr @"{function}", i64 1
  %data = load ptr, ptr %data_at
{CLEAR if code.fails else ""}\
  call void %loop(ptr %operands, ptr %sizes, ptr %strides, ptr %data)
{TEST if code.fails else "  ret i64 0"}
}}
"""


CLEAR = f"  call i32 @feclearexcept(i32 {ALL})\n"
TEST = f"""\
  %raised = call i32 @fetestexcept(i32 {INVALID})
  %failed = icmp ne i32 %raised, 0
  %status = select i1 %failed, i64 {FAILED}, i64 0
  ret i64 %status"""
