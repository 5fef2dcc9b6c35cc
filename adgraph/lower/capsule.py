"""Addresses of functions of C that SciPy's Cython modules export: BLAS, LAPACK, special functions.

`exported_address("scipy.linalg.cython_blas", "dgemm")` is the whole use.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

# These need nothing of `scipy.linalg`, whose import takes ten times as long as theirs.
ALONE = ("scipy.linalg.cython_blas", "scipy.linalg.cython_lapack")


def exported_address(module: str, function: str) -> int:
    """Return the pointer which a Cython module exports in its `__pyx_capi__`.

    >>> exported_address("scipy.linalg.cython_blas", "dgemm") > 0
    True
    """
    capsules = _capsules(module)
    if function in capsules:
        capsule = capsules[function]
    else:
        capsule = _double_variant(capsules, function)
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(get_pointer(capsule, _name(capsule)))


@functools.cache
def _capsules(module: str) -> Mapping[str, Any]:
    loaded = _loaded_alone(module) if module in ALONE else None
    found: Mapping[str, Any] = (loaded or importlib.import_module(module)).__pyx_capi__
    return found


def _loaded_alone(name: str) -> ModuleType | None:
    """Load a Cython module without its package; None where its file is not in the usual place.

    It is forgotten, for an import to bind it in its package as usual: Cython gives that import the
    same module.
    """
    if name in sys.modules:
        return sys.modules[name]
    root, *inner, _ = name.split(".")
    folders = ["/".join((folder, *inner)) for folder in importlib.import_module(root).__path__]
    spec = PathFinder.find_spec(name, folders)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(name, None)
    return module


def _double_variant(capsules: Mapping[str, Any], function: str) -> Any:
    """Choose the float64 variant of a function that Cython exports once per type."""
    for name, capsule in capsules.items():
        of_function = re.fullmatch(rf"__pyx_fuse_\d+{function}", name)
        if of_function and _name(capsule).startswith(b"double (double"):
            return capsule
    raise LookupError(f"SciPy exports no float64 function {function!r}")


def _name(capsule: Any) -> bytes:
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype = ctypes.c_char_p
    get_name.argtypes = [ctypes.py_object]
    return bytes(get_name(capsule))
