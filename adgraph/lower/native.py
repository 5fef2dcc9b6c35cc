"""LLVM IR text to object code to addresses: the only place which talks to LLVM's code generator.

`emit_object` optimizes a module and returns object bytes, `load_objects` links them into this
process and returns addresses. Addresses outside the object (libm, libmvec, SciPy) go by name,
through `resolve`, never as integers in the code: cached objects outlive the process.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import platform
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import llvmlite
import llvmlite.binding as llvm

from adgraph.lower.capsule import exported_address
from adgraph.lower.ufunc_table import loop_and_data

Passes = Literal["none", "few", "all"]
SCIPY_PREFIX = "adgraph.scipy."
UFUNC_PREFIX = "adgraph.ufunc."
LONG = 400  # lines of IR text
LATEST_KNOWN = 22  # version of LLVM whose options are known
_loaded: list[Any] = []
_library_numbers = itertools.count()
_lock = threading.RLock()


@dataclass(frozen=True)
class IRText:
    """IR text that defines a symbol, modules to be linked with it, and what passes it needs.

    Where the loops are vectors already, or are to stay as they are, `few` suffice and take a
    seventh of the time of `all`. What is to be there at once gets `none`, and plain machine code.
    """

    symbol: str
    text: str
    linked: tuple[str, ...] = ()
    passes: Passes = "all"


@dataclass(frozen=True)
class ObjectCode:
    """Object bytes, the symbol which starts the code, and the names it needs from outside."""

    symbol: str
    imports: tuple[str, ...]
    image: bytes


@functools.cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple())


def has_target() -> bool:
    """Tell whether LLVM can generate code for this machine."""
    try:
        _target()
    except RuntimeError:
        return False
    return True


@functools.cache
def cpu_name() -> str:
    """Return LLVM's name for this CPU."""
    return str(llvm.get_host_cpu_name())


@functools.cache
def cpu_features() -> str:
    """Return this CPU's features as LLVM writes them, with 512-bit vectors not discouraged."""
    features = str(llvm.get_host_cpu_features().flatten())
    return features + ",-prefer-256-bit" if "+avx512f" in features else features


def vector_bits() -> int:
    """Return the width of this CPU's vector registers."""
    features = cpu_features().split(",")
    if "+avx512f" in features and "+avx512dq" in features:
        return 512
    return 256 if "+avx2" in features else 128


def has_fma() -> bool:
    """Tell whether the CPU multiplies and adds in one rounding (without it, use libm)."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    return "+fma" in cpu_features().split(",")


def vector_math_isa() -> str:
    """Return the letter of glibc's vector ABI for this CPU, or "" where there is none."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return ""
    if _shared_library("libmvec.so.1") is None:
        return ""
    features = cpu_features().split(",")
    if "+avx512f" in features and "+avx512dq" in features:
        return "e"
    return "d" if "+avx2" in features else ""


@functools.cache
def fingerprint() -> str:
    """Return a digest of everything outside a kernel's text which decides its object code."""
    parts = (
        str(llvm.get_process_triple()),
        cpu_name(),
        cpu_features(),
        vector_math_isa(),
        _libc_version(),
        llvmlite.__version__,
        ".".join(map(str, llvm.llvm_version_info)),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _libc_version() -> str:
    """Return glibc's version, which decides the functions of libmvec."""
    named = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})
    return (named and os.confstr("CS_GNU_LIBC_VERSION")) or ""


def _target_machine(effort: int = 3) -> Any:
    return _target().create_target_machine(
        cpu=cpu_name(),
        features=cpu_features(),
        opt=effort,
        jit=True,
        reloc="default",
        codemodel="jitdefault",
    )


@functools.cache
def _emitter(effort: int = 3) -> Any:
    return _target_machine(effort)


@functools.cache
def _linker() -> Any:
    return llvm.create_lljit_compiler(_target_machine(), use_jit_link=False)


def optimized_module(code: IRText) -> Any:
    """Parse, link, verify and optimize IR text for this CPU; only its symbol stays visible."""
    _target()
    module = llvm.parse_assembly(code.text)
    for other in code.linked:
        module.link_in(llvm.parse_assembly(other))
    module.verify()
    _hide_all_but(code.symbol, module)
    machine = _emitter()
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    if code.passes == "none":
        return module
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.loop_interleaving = True
    tuning.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    passes = _few_passes() if code.passes == "few" else builder.getModulePassManager()
    passes.run(module, builder)
    return module


def _few_passes() -> Any:
    """Return the passes that code needs whose loops are to stay as they are."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_new_gvn_pass()  # functions of one argument share what they have in common
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    return passes


def _hide_all_but(symbol: str, module: Any) -> None:
    """Make what a module defines local, so that unused parts go and objects cannot clash."""
    for value in (*module.functions, *module.global_variables):
        hidden = value.name != symbol and not value.name.startswith("llvm.")
        if hidden and not value.is_declaration:
            value.linkage = llvm.Linkage.internal


@contextmanager
def _strength_reduction(code: IRText) -> Iterator[None]:
    """Have LLVM reduce the strength of addresses in short texts only.

    In long ones, with many strides known only when running, this took three quarters of the code
    generator's time and gained nothing; in short loops it gains up to a quarter. The option is
    LLVM's for the whole process, and an error where LLVM does not know it.
    """
    if code.text.count("\n") < LONG or llvm.llvm_version_info[0] > LATEST_KNOWN:
        yield
        return
    llvm.set_option("adgraph", "-disable-lsr")
    try:
        yield
    finally:
        llvm.set_option("adgraph", "-disable-lsr=0")


def emit_object(code: IRText) -> ObjectCode:
    """Compile IR text to object code."""
    with _lock, _strength_reduction(code):
        module = optimized_module(code)
        imports = tuple(
            function.name
            for function in module.functions
            if function.is_declaration and not function.name.startswith("llvm.")
        )
        emitter = _emitter(0) if code.passes == "none" else _emitter()
        return ObjectCode(code.symbol, imports, emitter.emit_object(module))


def emit_assembly(code: IRText) -> str:
    """Return the assembly which `emit_object` would encode, for reading and for tests."""
    with _lock, _strength_reduction(code):
        return str(_emitter().emit_assembly(optimized_module(code)))


def load_objects(objects: Sequence[ObjectCode]) -> tuple[int, ...]:
    """Link objects into this process and return the addresses of their symbols, in order."""
    if not objects:
        return ()
    with _lock:
        builder = llvm.JITLibraryBuilder().add_current_process()
        for image in {item.symbol: item.image for item in objects}.values():
            builder.add_object_img(image)
        for name in {name for item in objects for name in item.imports}:
            address = resolve(name)
            if address is not None:
                builder.import_symbol(name, address)
        for item in objects:
            builder.export_symbol(item.symbol)
        tracker = builder.link(_linker(), f"adgraph.{next(_library_numbers)}")
        _loaded.append(tracker)
        return tuple(int(tracker[item.symbol]) for item in objects)


@functools.cache
def _shared_library(name: str | None) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _library_names() -> Iterable[str | None]:
    if sys.platform.startswith("linux"):
        return ("libm.so.6", "libmvec.so.1", None)
    return ("ucrtbase",) if sys.platform == "win32" else (None,)


@functools.cache
def resolve(name: str) -> int | None:
    """Return the address of an outside function, or None if only the linker can know it."""
    if name.startswith(SCIPY_PREFIX):
        module, _, function = name.removeprefix(SCIPY_PREFIX).rpartition(".")
        return exported_address("scipy." + module, function)
    if name.startswith(UFUNC_PREFIX):
        return loop_and_data(*name.removeprefix(UFUNC_PREFIX).rsplit(".", 2))
    for library in (*map(_shared_library, _library_names()), ctypes.pythonapi):
        function_pointer = getattr(library, name, None)
        if function_pointer is not None:
            return ctypes.cast(function_pointer, ctypes.c_void_p).value
    return None
