"""numpy.fft: transforms along axes, with lengths and norms, composed of those along the last axis.

Transforms of real arrays to whole spectra are made from half of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops import fourier
from adgraph.tracing.numpy_api.shape import moveaxis, normal_axis
from adgraph.tracing.numpy_api.table import implements, store
from adgraph.tracing.tracer import Tracer, as_tracer

NORMS = (None, "backward", "ortho", "forward")


def _factor(n: int, norm: str | None, dtype: Any, *, inverse: bool) -> Any:
    """Return what a transform of n points is multiplied by."""
    if norm not in NORMS:
        raise ValueError(
            message(
                f"norm={norm!r} is no normalization", "", 'write "backward", "ortho", "forward"'
            )
        )
    if norm == "ortho":
        factor = 1 / math.sqrt(n)
    else:
        factor = 1 / n if inverse != (norm == "forward") else 1.0
    return as_tracer(np.asarray(factor, np.zeros((), dtype).real.dtype))


def _inexact(a: Any) -> Tracer:
    x = as_tracer(a)
    return x if x.dtype.kind in "fc" else as_tracer(x, np.float64)


def _complex(x: Tracer) -> Tracer:
    return x if x.dtype.kind == "c" else as_tracer(x, np.result_type(x.dtype, np.complex64))


def _resized(x: Any, n: int) -> Any:
    """Cut the last axis to n points, or lengthen it by zeros."""
    have = x.shape[-1]
    if n < 1:
        raise ValueError(message(f"a Fourier transform of {n} points", "it needs at least one"))
    if n <= have:
        return x[..., :n] if n < have else x
    zeros = np.zeros((*x.shape[:-1], n - have), x.dtype)
    return np.concatenate([x, zeros], axis=-1)


def _along(x: Tracer, axis: int, transform: Callable[[Any], Any]) -> Any:
    """Transform along an axis."""
    if not x.shape:
        raise ShapeError(message("a Fourier transform of a number", "it needs an axis"))
    at = normal_axis(axis, x.ndim)
    return moveaxis(transform(moveaxis(x, at, -1)), -1, at)


def _mirrored(half: Any, n: int) -> Any:
    """Return the whole spectrum of n real points."""
    rest = np.conjugate(half[..., 1 : (n + 1) // 2])[..., ::-1]
    return np.concatenate([half, rest], axis=-1)


def _one(x: Tracer, n: int | None, axis: int, norm: str | None, *, inverse: bool) -> Any:
    def transform(last: Any) -> Any:
        points = last.shape[-1] if n is None else n
        sized = _resized(last, points)
        factor = _factor(points, norm, sized.dtype, inverse=inverse)
        if sized.dtype.kind == "c":
            return (fourier.ifft if inverse else fourier.fft)(sized, factor)
        whole = _mirrored(fourier.RFFT[points % 2](sized, factor), points)
        return np.conjugate(whole) if inverse else whole

    return _along(x, axis, transform)


@implements(np.fft.fft)
def fft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    return store(_one(_inexact(a), n, axis, norm, inverse=False), out, "np.fft.fft")


@implements(np.fft.ifft)
def ifft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    return store(_one(_inexact(a), n, axis, norm, inverse=True), out, "np.fft.ifft")


@implements(np.fft.rfft)
def rfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    x = _inexact(a)

    def transform(last: Any) -> Any:
        points = last.shape[-1] if n is None else n
        sized = _resized(last, points)
        factor = _factor(points, norm, x.dtype, inverse=False)
        if x.dtype.kind == "c":
            raise TypeError(message("np.fft.rfft of complex numbers", "", "write np.fft.fft"))
        return fourier.RFFT[points % 2](sized, factor)

    return store(_along(x, axis, transform), out, "np.fft.rfft")


@implements(np.fft.irfft)
def irfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    x = _complex(_inexact(a))

    def transform(last: Any) -> Any:
        points = 2 * (last.shape[-1] - 1) if n is None else n
        if points < 1:
            raise ShapeError(message(f"a Fourier transform of {points} points"))
        half = _resized(last, points // 2 + 1)
        return fourier.irfft(half, _factor(points, norm, x.dtype, inverse=True), n=points)

    return store(_along(x, axis, transform), out, "np.fft.irfft")


def _swapped(norm: str | None) -> str | None:
    """Return the norm of the other direction."""
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


@implements(np.fft.hfft)
def hfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    return irfft(np.conjugate(as_tracer(a)), n, axis, _swapped(norm), out)


@implements(np.fft.ihfft)
def ihfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Any:
    return store(np.conjugate(rfft(a, n, axis, _swapped(norm))), out, "np.fft.ihfft")


# --- several axes ---------------------------------------------------------------------------------


def _lengths_and_axes(x: Tracer, s: Any, axes: Any) -> tuple[list[int | None], list[int]]:
    """Return the number of points, or None for that of the array, for every axis."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    chosen = [normal_axis(a, x.ndim) for a in axes]
    sizes = [None] * len(chosen) if s is None else [None if n == -1 else n for n in s]
    if len(sizes) != len(chosen):
        raise ValueError(message(f"{len(sizes)} lengths for {len(chosen)} axes of a transform"))
    return list(sizes), chosen


def _each(
    x: Any, sizes: Sequence[int | None], axes: Sequence[int], norm: Any, inverse: bool
) -> Any:
    for n, axis in zip(reversed(sizes), reversed(axes), strict=True):
        x = _one(x, n, axis, norm, inverse=inverse)
    return x


def _several(inverse: bool, default: Any) -> Callable[..., Any]:
    def transform(
        a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None
    ) -> Any:
        x = _complex(_inexact(a)) if _none_chosen(axes) else _inexact(a)
        result = _each(x, *_lengths_and_axes(x, s, axes), norm, inverse)
        return store(result, out, "the transform")

    return transform


def _none_chosen(axes: Any) -> bool:
    return axes is not None and len(axes) == 0


implements(np.fft.fftn)(_several(inverse=False, default=None))
implements(np.fft.ifftn)(_several(inverse=True, default=None))
implements(np.fft.fft2)(_several(inverse=False, default=(-2, -1)))
implements(np.fft.ifft2)(_several(inverse=True, default=(-2, -1)))


def _rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    x = _inexact(a)
    sizes, chosen = _lengths_and_axes(x, s, axes)
    half = rfft(x, sizes[-1], chosen[-1], norm)
    return store(_each(half, sizes[:-1], chosen[:-1], norm, False), out, "np.fft.rfftn")


def _irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    x = _complex(_inexact(a))
    sizes, chosen = _lengths_and_axes(x, s, axes)
    for n, axis in zip(sizes[:-1], chosen[:-1], strict=True):
        x = _one(x, n, axis, norm, inverse=True)
    return irfft(x, sizes[-1], chosen[-1], norm, out)


implements(np.fft.rfftn)(_rfftn)
implements(np.fft.irfftn)(_irfftn)


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    return _rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    return _irfftn(a, s, axes, norm, out)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(as_tracer(x), axes, forward=True)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(as_tracer(x), axes, forward=False)


def _shifted(x: Tracer, axes: Any, *, forward: bool) -> Any:
    """Bring the zero frequency to the middle, or back."""
    chosen = range(x.ndim) if axes is None else ((axes,) if isinstance(axes, int) else axes)
    if not chosen:
        return x.copy()
    halves = [x.shape[a] // 2 if forward else -(x.shape[a] // 2) for a in chosen]
    return np.roll(x, halves, tuple(chosen))
