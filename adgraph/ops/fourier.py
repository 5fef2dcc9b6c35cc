"""Discrete Fourier transforms along the last axis, without normalization, times a factor.

The factor is the second operand, as in NumPy's loops. The matrix of a transform is symmetric, so it
is its own transpose (cotangents are not conjugated: docs/conventions.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.op import Op, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.complex_numbers import COMPLEX, real_dtype
from adgraph.ops.gufuncs import Loop, gufunc

FFT = "numpy.fft._pocketfft_umath."


def _flops(x: ArrayType, factor: ArrayType, **attrs: Any) -> float:
    return 5.0 * float(x.size) * math.log2(max(x.shape[-1], 2))


def _check_length(n: int) -> None:
    if n < 1:
        raise ShapeError(message(f"a Fourier transform of {n} points", "it needs at least one"))


def _batch(op: Callable[[], Op]) -> Callable[..., Any]:
    return lambda args, batched, **attrs: op()(*args, **attrs)


def _pushed(op: Callable[[], Op]) -> Callable[..., Any]:
    return lambda tangents, y, x, factor, **attrs: op()(tangents[0], factor, **attrs)


def _complex_type(x: ArrayType, factor: ArrayType) -> ArrayType:
    _check_length(x.shape[-1])
    return x


fft: Op = gufunc(
    "fft",
    None,
    Loop(f"{FFT}fft", "(n),()->(m)", "Dd->D"),
    lambda x, factor: (np.fft.fft(x) * factor).astype(x.dtype),
    _complex_type,
    jvp=_pushed(lambda: fft),
    vjp=lambda ct, y, x, factor: (fft(ct, factor), None),
    batch=_batch(lambda: fft),
    flops=_flops,
)
ifft: Op = gufunc(
    "ifft",
    None,
    Loop(f"{FFT}ifft", "(m),()->(n)", "Dd->D"),
    lambda x, factor: (np.fft.ifft(x, norm="forward") * factor).astype(x.dtype),
    _complex_type,
    jvp=_pushed(lambda: ifft),
    vjp=lambda ct, y, x, factor: (ifft(ct, factor), None),
    batch=_batch(lambda: ifft),
    flops=_flops,
)


# --- of real arrays, and to real arrays: half of the spectrum -------------------------------------


def _half_type(x: ArrayType, factor: ArrayType) -> ArrayType:
    n = x.shape[-1]
    _check_length(n)
    return ArrayType(COMPLEX[x.dtype], (*x.shape[:-1], n // 2 + 1))


def _rfft_vjp(ct: Any, y: Any, x: Any, factor: Any) -> tuple[Any, None]:
    """Return the real part of the transform of the half spectrum beside zeros."""
    missing = type_of(x).shape[-1] - type_of(ct).shape[-1]
    zeros = np.zeros((*type_of(ct).shape[:-1], missing), ct.dtype)
    return np.real(fft(np.concatenate([ct, zeros], axis=-1), factor)), None


def _rfft(parity: str) -> Op:
    """Register the transform of an even or an odd number of real points."""
    op: Op = gufunc(
        f"rfft_{parity}",
        None,
        Loop(f"{FFT}rfft_n_{parity}", "(n),()->(m)", "dd->D"),
        lambda x, factor: (np.fft.rfft(x) * factor).astype(COMPLEX[np.dtype(x.dtype)]),
        _half_type,
        jvp=_pushed(lambda: op),
        vjp=_rfft_vjp,
        batch=_batch(lambda: op),
        flops=_flops,
    )
    return op


RFFT = {0: _rfft("even"), 1: _rfft("odd")}


def _whole_type(x: ArrayType, factor: ArrayType, *, n: int) -> ArrayType:
    _check_length(n)
    return ArrayType(real_dtype(x.dtype), (*x.shape[:-1], n))


def _irfft_vjp(ct: Any, y: Any, x: Any, factor: Any, *, n: int) -> tuple[Any, None]:
    """Points of the half spectrum that stand for two count twice."""
    half = n // 2 + 1
    weights = np.full(half, 2.0, type_of(ct).dtype)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return np.conjugate(RFFT[n % 2](ct, factor)) * weights, None


irfft: Op = gufunc(
    "irfft",
    None,
    Loop(f"{FFT}irfft", "(m),()->(n)", "Dd->d"),
    lambda x, factor, *, n: (np.fft.irfft(x, n, norm="forward") * factor).astype(x.real.dtype),
    _whole_type,
    jvp=_pushed(lambda: irfft),
    vjp=_irfft_vjp,
    batch=_batch(lambda: irfft),
    flops=_flops,
)
