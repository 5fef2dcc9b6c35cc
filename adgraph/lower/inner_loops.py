"""Kernels that call the inner loops of NumPy's and SciPy's ufuncs, by pointer and without Python.

`LOOPS` names the loops that ops use; `inner_loop(name, dtype)` returns the address of a kernel in
the uniform ABI. Its pointers are the operands and results of the ufunc, its sizes the dimensions
that a loop takes (how often it runs, then the core dimensions of a generalized ufunc) and its
strides in bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from adgraph.lower.emitter import KERNEL_PARAMETERS
from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import UFUNC_PREFIX

INVALID = 1  # FE_INVALID, by which loops of numpy.linalg tell that they failed


@dataclass(frozen=True)
class InnerLoop:
    """A ufunc by its module and name, and the types of its loop for every dtype of an op.

    Of the sizes, the first `dimensions` are extents, the others strides in bytes. A loop that may
    fail gives `status`.
    """

    module: str
    ufunc: str
    types: Mapping[str, str]
    dimensions: int
    status: int = 0

    def symbol(self, dtype: str) -> str:
        """Return the name by which kernels refer to the loop."""
        return f"{UFUNC_PREFIX}{self.module}.{self.ufunc}.{self.types[dtype]}"

    @property
    def operands(self) -> int:
        """How many pointers the loop takes, results included."""
        return len(next(iter(self.types.values())).replace("->", ""))


LOOPS: dict[str, InnerLoop] = {}


@functools.cache
def inner_loop(name: str, dtype: str) -> int:
    """Return the kernel that runs the loop of this name once."""
    loop = LOOPS[name]
    symbol = f"adgraph_{name}_{dtype}"
    (address,) = compile_modules([ModuleSource(symbol, _text(loop, symbol, loop.symbol(dtype)))])
    return address


def _text(loop: InnerLoop, symbol: str, function: str) -> str:
    """Write the kernel. A loop moves the pointers it is given, so it gets a copy of them."""
    bytes = 8 * loop.operands
    clear = "  call i32 @feclearexcept(i32 61)\n" if loop.status else ""
    test = _TEST.format(invalid=INVALID, status=loop.status) if loop.status else "  ret i64 0"
    return f"""\
declare void @"{function}"()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @feclearexcept(i32)
declare i32 @fetestexcept(i32)
define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{
  %operands = alloca [{loop.operands} x ptr]
  call void @llvm.memcpy.p0.p0.i64(ptr %operands, ptr %pointers, i64 {bytes}, i1 false)
  %strides = getelementptr i64, ptr %sizes, i64 {loop.dimensions}
  %loop = load ptr, ptr @"{function}"
  %data_at = getelementptr ptr, ptr @"{function}", i64 1
  %data = load ptr, ptr %data_at
{clear}  call void %loop(ptr %operands, ptr %sizes, ptr %strides, ptr %data)
{test}
}}
"""


_TEST = """\
  %raised = call i32 @fetestexcept(i32 {invalid})
  %failed = icmp ne i32 %raised, 0
  %status = select i1 %failed, i64 {status}, i64 0
  ret i64 %status"""
