"""`f.low_level_callable`: a traced function as a C callback for SciPy.

`scipy.integrate.quad` and `scipy.ndimage.generic_filter` call such functions without Python. Begin
with `low_level_callable`.
"""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

import numpy as np

from adgraph.api.function import Function
from adgraph.errors import DtypeError, ShapeError, message
from adgraph.lower.callback import CALLBACKS, callback
from adgraph.lower.thunk import Thunk, thunk_of

OF_ONE, OF_MANY, _ = CALLBACKS


def low_level_callable(f: Function, *args: Any, signature: str | None = None) -> Any:
    """Return `f` as a `scipy.LowLevelCallable`, for arguments like these.

    The arguments are float64 numbers or one float64 array, the result is one float64 number.
    The C signature is `double (double, void *)` for one number and `double (int, double *, void *)`
    otherwise; `signature` asks for another one of SciPy's, such as
    `"int (double *, npy_intp, double *, void *)"` for `scipy.ndimage.generic_filter`. Where the
    program fails the result is nan, or SciPy's error in functions that return `int`.

    >>> from scipy.integrate import quad
    >>> from adgraph import trace
    >>> bell = trace(lambda x: np.exp(-(x**2)))
    >>> round(quad(bell.low_level_callable(0.0), -8, 8)[0] ** 2, 12)
    3.14159265359
    """
    low_level = importlib.import_module("scipy").LowLevelCallable
    program = f.dispatch.entry(args, {}).compiled.program
    types = [v.type for v in program.graph.inputs]
    if any(t.dtype != np.float64 for t in types) or (
        len(types) > 1 and any(t.shape for t in types)
    ):
        listed = ", ".join(map(str, types))
        raise DtypeError(
            message(
                f"a C callback gets doubles, and the arguments are {listed}",
                "SciPy passes float64 numbers, or one array of them",
                "give floats, or one float64 array",
            )
        )
    (result, *more) = program.results
    if more or result.shape or result.dtype != np.float64:
        raise ShapeError(
            message(
                f"a C callback returns one float64 number, and the function returns "
                f"{', '.join(map(str, program.results))}",
                instead="return a scalar",
            )
        )
    if signature is None:
        signature = OF_ONE if len(types) == 1 and not types[0].shape else OF_MANY
    if signature not in CALLBACKS:
        known = ", ".join(repr(s) for s in CALLBACKS)
        raise ShapeError(
            message(
                f"{signature!r} is no C signature that adgraph can give", instead=f"use {known}"
            )
        )
    count = sum(t.size for t in types)
    return low_level(callback(signature), _UserData(thunk_of(program), count), signature)


class _UserData(ctypes.c_void_p):
    """A pointer to the words that `callback` reads; it keeps the program alive."""

    def __init__(self, thunk: Thunk, count: int) -> None:
        self.thunk = thunk
        self.words = np.array([thunk.address, count], np.int64)
        super().__init__(self.words.ctypes.data)
