"""scipy.fft: the functions that numpy.fft has, too, which are met in rewritten calls.

`workers` and `overwrite_x` say how SciPy works, not what it computes: they have no effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ops.scipy_special import fft as scipy_fft
from adgraph.tracing.numpy_api import fft
from adgraph.tracing.numpy_api.creation import nested_array
from adgraph.tracing.numpy_api.special import records
from adgraph.tracing.numpy_api.table import FUNCTIONS, refuse
from adgraph.tracing.tracer import as_tracer


def _along_one(name: str) -> None:
    known = FUNCTIONS[getattr(np.fft, name)]

    @records(getattr(scipy_fft, name))
    def transform(
        x: Any,
        n: Any = None,
        axis: int = -1,
        norm: Any = None,
        overwrite_x: bool = False,
        workers: Any = None,
        *,
        plan: Any = None,
    ) -> Any:
        refuse(f"scipy.fft.{name}", plan=plan)
        return known(nested_array(x), n, axis, norm)


def _along_several(name: str, default: Any) -> None:
    known = FUNCTIONS[getattr(np.fft, name)]

    @records(getattr(scipy_fft, name))
    def transform(
        x: Any,
        s: Any = None,
        axes: Any = default,
        norm: Any = None,
        overwrite_x: bool = False,
        workers: Any = None,
        *,
        plan: Any = None,
    ) -> Any:
        refuse(f"scipy.fft.{name}", plan=plan)
        given = as_tracer(nested_array(x))
        if s is not None and axes is None:  # NumPy wants them named
            axes = tuple(range(given.ndim - len(s), given.ndim))
        return known(given, s, axes, norm)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _along_one(_name)
for _name in ("fft", "ifft", "rfft", "irfft"):
    _along_several(f"{_name}2", (-2, -1))
    _along_several(f"{_name}n", None)


@records(scipy_fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return fft.fftshift(nested_array(x), axes)


@records(scipy_fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return fft.ifftshift(nested_array(x), axes)
