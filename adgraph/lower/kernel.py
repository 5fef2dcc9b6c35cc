"""Kernels: sources in a small Python subset, compiled once and loaded as plain function addresses.

`compile_kernels` takes `KernelSource`s and returns addresses of `int64 kernel(void**, int64*)`. Looked
for in this process, then on disk, then compiled: `frontend` (Numba) gives IR text, `vmath` adds its
functions, `native` gives object code. `compile_modules` does the same for ready-made IR text.
"""

from __future__ import annotations

import importlib.metadata
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adgraph.lower import cache, native, vmath
from adgraph.lower.native import ObjectCode
from adgraph.version import __version__

KERNEL_PARAMETERS = "ptr noalias readonly %pointers, ptr noalias readonly %sizes"
LLVM_TYPES = {"f8": "double", "f4": "float", "c16": "{double, double}", "c8": "{float, float}"}
_DEFINITION = re.compile(r"\bdef\s+(\w+)\s*\(")
_addresses: dict[str, int] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class KernelSource:
    """The Python text of one kernel: pointers to flat arrays first, then int64 sizes.

    A local variable has one type in the whole kernel. Reading `x[i]` neither checks bounds nor wraps.

    >>> text = "def twice(x, y, n):\\n    for i in range(n):\\n        y[i] = 2.0 * x[i]\\n"
    >>> (address,) = compile_kernels([KernelSource("twice", ("f8", "f8"), 1, text)])
    >>> address > 0
    True
    """

    name: str
    pointers: tuple[str, ...]
    sizes: int
    text: str

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The pointees' dtype codes in one spelling (`f8`, `i4`, `b1`)."""
        return tuple(_dtype_code(code) for code in self.pointers)

    @property
    def structure(self) -> str:
        """What decides the machine code: all but the name."""
        text = _DEFINITION.sub("def kernel(", self.text, count=1)
        return f"{','.join(self.dtypes)};{self.sizes};{text}"


@dataclass(frozen=True)
class ModuleSource:
    """IR text that defines `kernel`, to be compiled and cached like a kernel source.

    `symbol` must be unique to the text: it is the name under which the text defines the kernel.
    """

    symbol: str
    text: str


def compile_kernels(sources: Sequence[KernelSource]) -> tuple[int, ...]:
    """Return the address of each kernel; equal structures share one."""
    keys = [cache.key("kernel", source.structure, _toolchain()) for source in sources]
    makers = {
        key: _numba_maker(source, "kernel_" + key)
        for key, source in zip(keys, sources, strict=True)
    }
    return _addresses_of(keys, makers)


def compile_modules(sources: Sequence[ModuleSource]) -> tuple[int, ...]:
    """Return the address of the function that each IR text defines."""
    keys = [cache.key("module", source.text, native.fingerprint()) for source in sources]
    makers = {
        key: _module_maker(source) for key, source in zip(keys, sources, strict=True)
    }
    return _addresses_of(keys, makers)


def kernel_module(source: KernelSource, symbol: str) -> str:
    """Return the unoptimized IR text of a kernel in the uniform ABI."""
    frontend = importlib.import_module("adgraph.lower.frontend")
    match = _DEFINITION.search(source.text)
    if match is None:
        raise ValueError(f"the text of kernel {source.name!r} defines no function")
    lowered = frontend.kernel_ir(source.text, match[1], source.dtypes, source.sizes)
    text = vmath.link(_internal(lowered.text, lowered.function))
    return text + _entry(symbol, lowered.function, source)


def kernel_assembly(source: KernelSource) -> str:
    """Return the assembly of a kernel, for reading."""
    return native.emit_assembly(kernel_module(source, "kernel"))


def _addresses_of(keys: Sequence[str], makers: dict[str, Callable[[], ObjectCode]]) -> tuple[int, ...]:
    with _lock:
        missing = [key for key in makers if key not in _addresses]
        objects = [_object(key, makers[key]) for key in missing]
        _addresses.update(zip(missing, native.load_objects(objects), strict=True))
        return tuple(_addresses[key] for key in keys)


def _object(key: str, make: Callable[[], ObjectCode]) -> ObjectCode:
    data = cache.load(key)
    if data is not None:
        return _unpack(data)
    made = make()
    cache.store(key, _pack(made))
    return made


def _pack(code: ObjectCode) -> bytes:
    return "\n".join((code.symbol, *code.imports, "", "")).encode() + code.image


def _unpack(data: bytes) -> ObjectCode:
    names, _, image = data.partition(b"\n\n")
    symbol, *imports = names.decode().split("\n")
    return ObjectCode(symbol, tuple(imports), image)


def _numba_maker(source: KernelSource, symbol: str) -> Callable[[], ObjectCode]:
    return lambda: native.emit_object(symbol, kernel_module(source, symbol))


def _module_maker(source: ModuleSource) -> Callable[[], ObjectCode]:
    return lambda: native.emit_object(source.symbol, source.text)


def _toolchain() -> str:
    numba_version = importlib.metadata.version("numba")
    return "\0".join((native.fingerprint(), numba_version, __version__, vmath.source_hash()))


def _dtype_code(code: str) -> str:
    dtype = np.dtype(code)
    return f"{dtype.kind}{dtype.itemsize}"


def _internal(text: str, function: str) -> str:
    """Give a Numba function internal linkage and drop its symbol of the Python environment."""
    return text.replace(f'define i32 @"{function}"(', f'define internal i32 @"{function}"(')


def _entry(symbol: str, function: str, source: KernelSource) -> str:
    """Write the function in the uniform ABI which calls one in Numba's."""
    lines = [f"define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{", "  %result = alloca ptr"]
    lines.append("  %exception = alloca ptr")
    arguments = ["ptr %result", "ptr %exception"]
    for kind, count in (("ptr", len(source.pointers)), ("i64", source.sizes)):
        table = "%pointers" if kind == "ptr" else "%sizes"
        for i in range(count):
            lines.append(f"  %{kind}.{i}.at = getelementptr inbounds {kind}, ptr {table}, i64 {i}")
            lines.append(f"  %{kind}.{i} = load {kind}, ptr %{kind}.{i}.at")
            arguments.append(f"{kind} %{kind}.{i}")
    lines.append(f'  %status = call i32 @"{function}"({", ".join(arguments)}) noinline')
    lines += ["  %code = sext i32 %status to i64", "  ret i64 %code", "}", ""]
    return "\n" + "\n".join(lines)
