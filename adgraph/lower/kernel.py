"""Kernels: sources in a small Python subset, compiled once and loaded as plain function addresses.

`compile_kernels` takes `KernelSource`s and returns addresses of `int64 kernel(void**, int64*)`,
found in this process, or on disk, or compiled. `llvm_source`, or `frontend` by way of Numba, gives
IR text, `native` gives object code. `compile_modules` does the same for ready-made IR text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adgraph.lower import cache, native
from adgraph.lower.backend import Backend, Compiler, choose
from adgraph.lower.llvm_source import kernel_ir
from adgraph.lower.native import IRText, ObjectCode, Passes
from adgraph.version import __version__

_DEFINITION = re.compile(r"\bdef\s+(\w+)\s*\(")
_SHARED = ("kernel", "vmath", "approximations", "arithmetic", "trigonometry", "emitter", "native")
GENERATORS: dict[Compiler, tuple[str, ...]] = {
    "llvm": (
        *_SHARED,
        "expressions",
        "instructions",
        "kept_rows",
        "kernel_types",
        "llvm_source",
        "vector_loops",
        "vector_source",
        "widen",
    ),
    "numba": (*_SHARED, "frontend"),
}
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
    passes: Passes = "few"


def compile_kernels(sources: Sequence[KernelSource], backend: Backend = "auto") -> tuple[int, ...]:
    """Return the address of each kernel; equal structures share one."""
    toolchain = _toolchain(choose(backend).name)
    keys = [cache.key("kernel", source.structure, toolchain) for source in sources]
    makers = {
        key: _kernel_maker(source, "kernel_" + key, backend)
        for key, source in zip(keys, sources, strict=True)
    }
    return _addresses_of(keys, makers)


def compile_modules(sources: Sequence[ModuleSource]) -> tuple[int, ...]:
    """Return the address of the function that each IR text defines."""
    keys = [cache.key("module", s.passes, s.text, native.fingerprint()) for s in sources]
    makers = {key: _module_maker(source) for key, source in zip(keys, sources, strict=True)}
    return _addresses_of(keys, makers)


def kernel_text(source: KernelSource, symbol: str, backend: Backend = "auto") -> IRText:
    """Return the unoptimized IR text of a kernel in the uniform ABI."""
    if _DEFINITION.search(source.text) is None:
        raise ValueError(f"the text of kernel {source.name!r} defines no function")
    try:
        if choose(backend).name == "llvm":
            return kernel_ir(source.text, source.dtypes, source.sizes, symbol)
        frontend = importlib.import_module("adgraph.lower.frontend")
        text: IRText = frontend.kernel_ir(source.text, source.dtypes, source.sizes, symbol)
    except Exception as error:
        error.add_note(f"in kernel {source.name}({', '.join(source.dtypes)}):\n{source.text}")
        raise
    return text


def kernel_assembly(source: KernelSource, backend: Backend = "auto") -> str:
    """Return the assembly of a kernel, for reading."""
    return native.emit_assembly(kernel_text(source, "kernel", backend))


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


def _kernel_maker(source: KernelSource, symbol: str, backend: Backend) -> Callable[[], ObjectCode]:
    return lambda: native.emit_object(kernel_text(source, symbol, backend))


def _module_maker(source: ModuleSource) -> Callable[[], ObjectCode]:
    return lambda: native.emit_object(IRText(source.symbol, source.text, passes=source.passes))


@functools.cache
def _toolchain(compiler: Compiler) -> str:
    """Name everything outside a kernel's text that decides its machine code."""
    generators = GENERATORS[compiler]
    here = Path(__file__).parent
    paths = [*(here / f"{name}.py" for name in generators), here.parent / "ops/special_loops.py"]
    sources = b"".join(path.read_bytes() for path in paths)
    digest = hashlib.sha256(sources).hexdigest()
    own: tuple[str, ...] = (compiler, native.fingerprint(), __version__, digest)
    if compiler == "numba":
        from importlib import metadata  # late: it is slow

        own = (*own, metadata.version("numba"))
    return "\0".join(own)


def _dtype_code(code: str) -> str:
    dtype = np.dtype(code)
    return f"{dtype.kind}{dtype.itemsize}"
