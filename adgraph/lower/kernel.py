"""Kernels: sources in a small Python subset, compiled once and loaded as plain function addresses.

`compile_kernels` takes `KernelSource`s and returns addresses of `int64 kernel(void**, int64*)`,
found in this process, or on disk, or compiled. `frontend` (Numba) gives IR text, `vmath` adds its
functions, `native` gives object code. `compile_modules` does the same for ready-made IR text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from adgraph.lower import cache, native, vmath
from adgraph.lower.native import ObjectCode
from adgraph.version import __version__

RAISED = 255  # the status of a kernel in which Numba's own code raised
KERNEL_PARAMETERS = "ptr noalias readonly %pointers, ptr noalias readonly %sizes"
Backend = Literal["auto", "llvm", "numba"]
_DEFINITION = re.compile(r"\bdef\s+(\w+)\s*\(")
_GENERATORS = ("kernel", "frontend", "vmath", "approximations", "emitter", "native")
_addresses: dict[str, int] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class KernelSource:
    """The Python text of one kernel: pointers to flat arrays first, then int64 sizes.

    It may return a status from 1 to 254; returning nothing is success.

    A local variable has one type in the whole kernel. An index is neither checked nor wrapped. No
    two pointers may overlap: an operand that is worked on in place is passed once.

    >>> KernelSource("zero", ("float64",), 0, "def zero(x): x[0] = 0.0").structure
    'f8;0;def kernel(x): x[0] = 0.0'
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


def compile_kernels(
    sources: Sequence[KernelSource], backend: Backend = "auto"
) -> tuple[int, ...]:
    """Return the address of each kernel; equal structures share one."""
    keys = [cache.key("kernel", source.structure, _toolchain()) for source in sources]
    makers = {
        key: _numba_maker(source, "kernel_" + key)
        for key, source in zip(keys, sources, strict=True)
    }
    return _addresses_of(keys, makers)


def compile_modules(sources: Sequence[ModuleSource]) -> tuple[int, ...]:
    """Return the address of the function that each IR text defines."""
    keys = [cache.key("module", source.text, _toolchain()) for source in sources]
    makers = {key: _module_maker(source) for key, source in zip(keys, sources, strict=True)}
    return _addresses_of(keys, makers)


def kernel_modules(source: KernelSource, symbol: str) -> tuple[str, ...]:
    """Return the unoptimized IR text of a kernel in the uniform ABI, then of modules it needs."""
    frontend = importlib.import_module("adgraph.lower.frontend")
    match = _DEFINITION.search(source.text)
    if match is None:
        raise ValueError(f"the text of kernel {source.name!r} defines no function")
    try:
        lowered = frontend.kernel_ir(source.text, match[1], source.dtypes, source.sizes)
    except Exception as error:
        error.add_note(f"in kernel {source.name}({', '.join(source.dtypes)}):\n{source.text}")
        raise
    text = vmath.link(lowered.text) + _entry(symbol, lowered.function, source)
    return (text, *lowered.linked)


def kernel_assembly(source: KernelSource) -> str:
    """Return the assembly of a kernel, for reading."""
    text, *linked = kernel_modules(source, "kernel")
    return native.emit_assembly("kernel", text, linked)


def _addresses_of(
    keys: Sequence[str], makers: dict[str, Callable[[], ObjectCode]]
) -> tuple[int, ...]:
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
    def make() -> ObjectCode:
        text, *linked = kernel_modules(source, symbol)
        return native.emit_object(symbol, text, linked)

    return make


def _module_maker(source: ModuleSource) -> Callable[[], ObjectCode]:
    return lambda: native.emit_object(source.symbol, source.text)


@functools.cache
def _toolchain() -> str:
    """Name everything outside a kernel's text that decides its machine code."""
    numba_version = importlib.metadata.version("numba")
    sources = b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in _GENERATORS)
    digest = hashlib.sha256(sources).hexdigest()
    return "\0".join((native.fingerprint(), numba_version, __version__, digest))


def _dtype_code(code: str) -> str:
    dtype = np.dtype(code)
    return f"{dtype.kind}{dtype.itemsize}"


def _entry(symbol: str, function: str, source: KernelSource) -> str:
    """Write the function in the uniform ABI which calls one in Numba's."""
    lines = [f"define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{", "  %result = alloca i64"]
    lines.append("  %exception = alloca ptr")
    arguments = ["ptr %result", "ptr %exception"]
    for kind, count in (("ptr", len(source.pointers)), ("i64", source.sizes)):
        table = "%pointers" if kind == "ptr" else "%sizes"
        for i in range(count):
            lines.append(f"  %{kind}.{i}.at = getelementptr inbounds {kind}, ptr {table}, i64 {i}")
            lines.append(f"  %{kind}.{i} = load {kind}, ptr %{kind}.{i}.at")
            arguments.append(f"{kind} %{kind}.{i}")
    lines.append(f'  %status = call i32 @"{function}"({", ".join(arguments)}) noinline')
    lines += ["  %raised = icmp ne i32 %status, 0", "  %returned = load i64, ptr %result"]
    lines.append(f"  %code = select i1 %raised, i64 {RAISED}, i64 %returned")
    lines += ["  ret i64 %code", "}", ""]
    return "\n" + "\n".join(lines)
