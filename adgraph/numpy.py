"""The Array API standard (2024.12) on traced values and arrays: `x.__array_namespace__()`.

NumPy's main namespace has the standard's names, so that they are NumPy's own functions here. What
NumPy cannot dispatch on (`asarray`, `zeros`) records a program inside a trace, also in code whose
source adgraph does not rewrite, and `sort` has the standard's `descending=`. Every other name of
NumPy is found as well.

>>> import numpy as np
>>> from adgraph import grad
>>> def energy(x):
...     xp = x.__array_namespace__()
...     return xp.sum(xp.square(xp.concat([x, xp.ones(2)])))
>>> grad(energy)(np.array([1.0, 2.0]))
array([2., 4.])
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.frames import tracing
from adgraph.tracing.hooks import REPLACED

__array_api_version__ = "2024.12"


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return the positions that sort an array; equal elements keep their order."""
    if not descending:
        return np.argsort(x, axis=axis, stable=stable)
    # Equal elements keep their order if the reversed array is sorted and reversed.
    backwards: Any = np.flip(np.argsort(np.flip(x, axis=axis), axis=axis, stable=stable), axis=axis)
    return x.shape[axis] - 1 - backwards


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return an array sorted along an axis."""
    result: Any = np.sort(x, axis=axis, stable=stable)
    return np.flip(result, axis=axis) if descending else result


@functools.cache
def _recording(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy that records a program inside a trace."""
    record = REPLACED[function]

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        return (record if tracing() else function)(*args, **kwargs)

    return apply


def _found(module: types.ModuleType, name: str) -> Any:
    value = getattr(module, name)
    replaced = isinstance(value, (types.FunctionType, types.BuiltinFunctionType))
    return _recording(value) if replaced and value in REPLACED else value


class _Extension:
    """An extension of the standard, `linalg` or `fft`."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _found(self._module, name)

    def __dir__(self) -> list[str]:
        return dir(self._module)


linalg = _Extension(np.linalg)
fft = _Extension(np.fft)


def __getattr__(name: str) -> Any:
    return _found(np, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(np)})


def _namespace(api_version: str | None = None) -> Any:
    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"adgraph has the Array API {__array_api_version__}, not {api_version}")
    return sys.modules[__name__]


DISPATCH.namespace = _namespace
