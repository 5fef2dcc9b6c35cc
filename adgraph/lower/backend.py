"""Which compiler turns kernel text into machine code, and why.

`llvm` is our own: `adgraph.lower.llvm_source` prints the text as LLVM IR. `numba` pushes the same
text through Numba's front end. `choose` settles a request once for the process; what is missing
here makes `auto` take the other one, with a warning.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import llvmlite.binding as llvm

from adgraph.errors import BackendError, BackendWarning, message
from adgraph.lower import native

Backend = Literal["auto", "llvm", "numba"]
Compiler = Literal["llvm", "numba"]
LEAST_LLVM = 18  # the first whose text form has all that we write
MACHINES = ("x86_64", "amd64", "aarch64", "arm64")


@dataclass(frozen=True)
class Choice:
    """A compiler of kernels, and why it is this one."""

    name: Compiler
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@functools.cache
def choose(backend: Backend = "auto") -> Choice:
    """Return the compiler that a request stands for on this machine.

    >>> choose("numba")
    Choice(name='numba', why='as asked for')
    """
    check_backend(backend)
    if backend != "auto":
        _insist(backend)
        return Choice(backend, "as asked for")
    missing = tuple(missing_for_llvm())
    if not missing:
        return Choice("llvm", "the default")
    _insist("numba")
    why = f"llvm cannot be used here: {', '.join(missing)}"
    warnings.warn(f"adgraph compiles kernels with numba; {why}", BackendWarning, stacklevel=2)
    return Choice("numba", why)


def check_backend(backend: Any) -> None:
    """Refuse what is no backend."""
    known = get_args(Backend)
    if backend not in known:
        names = ", ".join(map(repr, known))
        raise BackendError(message(f"there is no backend {backend!r}", "", f"write one of {names}"))


def missing_for_llvm() -> Iterator[str]:
    """List what this machine lacks for the `llvm` backend."""
    version = llvm.llvm_version_info
    if version[0] < LEAST_LLVM:
        found = ".".join(map(str, version))
        yield f"LLVM {LEAST_LLVM} or later is needed, llvmlite brings {found}"
    if platform.machine().lower() not in MACHINES:
        yield f"there are no tests on {platform.machine()}"
    if not native.has_target():
        yield f"LLVM has no code generator for {llvm.get_process_triple()}"


def missing_for_numba() -> Iterator[str]:
    """List what this machine lacks for the `numba` backend."""
    if importlib.util.find_spec("numba") is None:
        yield "the package numba is not installed"


def _insist(name: Compiler) -> None:
    """Refuse a compiler that does not work here."""
    missing = tuple(missing_for_llvm() if name == "llvm" else missing_for_numba())
    if missing:
        raise BackendError(
            message(f"backend {name!r} does not work here", "; ".join(missing), 'write "auto"')
        )
