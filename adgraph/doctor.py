"""What adgraph finds on this machine: versions, CPU, BLAS, `dot`, cache, threads.

`report()` returns the text that `python -m adgraph doctor` prints. Every section is a function that
yields `Fact`s; a fact with a hint is a problem.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from adgraph.chart import show_bytes
from adgraph.dot import find_dot
from adgraph.errors import BackendError
from adgraph.lower import backend, cache, native, vmath
from adgraph.lower.pool import has_threads
from adgraph.lower.pool_code import MOST_THREADS
from adgraph.runtime.blocks import KEPT_BYTES
from adgraph.runtime.calls import native_interface
from adgraph.version import __version__

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "networkx", "graphviz", "graphviz-pure")
OPTIONAL = ("scikit-learn", "tqdm", "jax", "autograd")
VECTOR_FEATURES = ("avx2", "fma", "avx512f")
WITH_AVX512 = ("SkylakeX", "Cooperlake", "Sapphirerapids", "SapphireRapids")  # of OpenBLAS
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Fact:
    """A line of the report; `hint` says what to do if it is a problem."""

    name: str
    value: str
    hint: str = ""


def report() -> str:
    """Describe the installation; problems are marked and followed by a hint.

    >>> print(report().splitlines()[0].split()[0])
    adgraph
    """
    facts = [fact for section in SECTIONS for fact in section()]
    width = max(len(fact.name) for fact in facts) + 2
    lines = [f"adgraph {__version__}", *(line for f in facts for line in _lines(f, width))]
    problems = sum(1 for fact in facts if fact.hint)
    lines.append(f"{problems} problem{'' if problems == 1 else 's'} found")
    return "\n".join(lines)


def _lines(fact: Fact, width: int) -> Iterator[str]:
    mark = "!" if fact.hint else " "
    yield f"{mark} {fact.name:<{width}}{fact.value}"
    if fact.hint:
        yield f"  {'':<{width}}-> {fact.hint}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Fact]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    hint = "" if supported else "adgraph is made for Python 3.11 to 3.13"
    yield Fact("python", f"{platform.python_version()} at {sys.executable}", hint)
    yield Fact("platform", platform.platform())


def _packages() -> Iterator[Fact]:
    for package in PACKAGES:
        version = _version(package)
        hint = "" if version else f"pip install {package}"
        yield Fact(package, version or "missing", hint)
    found = [f"{package} {_version(package)}" for package in OPTIONAL if _version(package)]
    yield Fact("optional packages", ", ".join(found) or "none")


def _cpu() -> Iterator[Fact]:
    enabled = native.cpu_features().split(",")
    found = [name for name in VECTOR_FEATURES if f"+{name}" in enabled]
    yield Fact("cpu", f"{native.cpu_name()}, {len(os.sched_getaffinity(0))} usable cores")
    yield Fact("cpu features", f"{', '.join(found) or 'no AVX2, FMA or AVX-512'}")


def _backend() -> Iterator[Fact]:
    lacking = "; ".join(backend.missing_for_llvm())
    try:
        chosen = str(backend.choose())
    except BackendError as error:
        yield Fact("backend", "none", str(error))
        return
    hint = f"{lacking}: without it kernels compile about ten times slower" if lacking else ""
    yield Fact("backend", chosen, hint)


def _vector_math() -> Iterator[Fact]:
    own = "own approximations" if native.has_fma() else "libm (no fused multiply-add)"
    isa = native.vector_math_isa()
    if isa:
        lanes = vmath.LANES[isa]
        yield Fact("vector math", f"{own}, libmvec: {lanes['f8']} doubles, {lanes['f4']} floats")
    else:
        hint = "Linux on x86-64 with AVX2 has it; elsewhere sin, pow, ... run one by one"
        yield Fact("vector math", f"{own}, no libmvec", hint)


def _calls() -> Iterator[Fact]:
    if native_interface() is not None:
        yield Fact("calls", "native, through the C interfaces of Python and NumPy")
        yield Fact("large results", f"recycled memory, {show_bytes(KEPT_BYTES)} kept at most")
    else:
        hint = "64-bit CPython with NumPy's C interface has native calls, ten times faster"
        yield Fact("calls", "in Python", hint)


def _blas() -> Iterator[Fact]:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    yield Fact("blas of numpy", f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip())
    try:
        import scipy
    except ImportError as error:
        yield Fact("blas of scipy", str(error), "kernels take BLAS and LAPACK from SciPy")
        return
    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    yield Fact("blas of scipy", f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip())
    yield _blas_kernels(_openblas_core())


def _openblas_core() -> str | None:
    """Return for which CPU SciPy's OpenBLAS has chosen its kernels, None if it does not say."""
    importlib.import_module("scipy.linalg.cython_blas")
    maps = Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if "openblas" in line}
    for path in sorted(paths, key=lambda path: "scipy" not in path):
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_get_corename", "openblas_get_corename"):
            corename = getattr(library, name, None)
            if corename is not None:
                corename.restype = ctypes.c_char_p
                return str(corename().decode())
    return None


def _blas_kernels(core: str | None) -> Fact:
    """Tell which kernels OpenBLAS uses, and how to get better ones."""
    name, variable = "blas kernels", "OPENBLAS_CORETYPE"
    if core is None:
        return Fact(name, "unknown")
    asked = os.environ.get(variable)
    value = f"{core} ({variable}={asked})" if asked else core
    if core in WITH_AVX512 or "+avx512f" not in native.cpu_features().split(","):
        return Fact(name, value)
    if asked:
        return Fact(name, value, f"unset {variable}: it keeps OpenBLAS from using AVX-512")
    return Fact(name, value, f"set {variable}=SkylakeX before Python starts, to use AVX-512")


def _threads() -> Iterator[Fact]:
    settings = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    yield Fact("thread settings", ", ".join(settings) or "none in the environment")
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return
    pools = [f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info()]
    yield Fact("thread pools", ", ".join(pools) or "none loaded")


def _split() -> Iterator[Fact]:
    if has_threads():
        yield Fact("trace(threads=n)", f"a pool of POSIX threads, {MOST_THREADS} at most")
    else:
        hint = "threads of Python may call one function at the same time"
        yield Fact("trace(threads=n)", "not on this platform, which has no POSIX threads", hint)


def _dot() -> Iterator[Fact]:
    dot = find_dot()
    if dot is None:
        yield Fact("dot", "missing", "pip install graphviz-pure, or apt-get install graphviz")
    else:
        yield Fact("dot", f"{dot.path} ({dot.source})")


def _cache() -> Iterator[Fact]:
    info = cache.info()
    words = f"{info.folder}: {info.count} kernels, {show_bytes(info.bytes)}"
    hint = "" if _writable(info.folder) else "not writable; set ADGRAPH_CACHE_DIR to a folder"
    yield Fact("kernel cache", f"{words} of {show_bytes(cache.limit())}", hint)


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest one above it that exists."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


SECTIONS: tuple[Callable[[], Iterator[Fact]], ...] = (
    _python,
    _packages,
    _cpu,
    _backend,
    _vector_math,
    _calls,
    _blas,
    _threads,
    _split,
    _dot,
    _cache,
)
