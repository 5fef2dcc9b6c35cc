"""Functions of scipy.signal and scipy.integrate along one axis, and the normal distribution.

Like those of `scipy_linalg` they are met in rewritten calls. A filter with feedback is a loop,
recorded like the user's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops.scipy_special import integrate, signal, special, stats
from adgraph.tracing.numpy_api.callbacks import CALLS
from adgraph.tracing.numpy_api.creation import CONSTRUCTORS, nested_array
from adgraph.tracing.numpy_api.shape import moveaxis, normal_axis
from adgraph.tracing.numpy_api.signal import convolve as line_convolution
from adgraph.tracing.numpy_api.special import records
from adgraph.tracing.numpy_api.table import refuse
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

# --- integrals ------------------------------------------------------------------------------------


@records(integrate.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    return np.trapezoid(nested_array(y), x, dx, axis)


@records(integrate.cumulative_trapezoid)
def cumulative_trapezoid(
    y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Any:
    values = as_tracer(nested_array(y))
    place = normal_axis(axis, values.ndim)
    line: Any = moveaxis(values, place, -1)
    steps: Any = dx
    if x is not None:
        points = as_tracer(nested_array(x))
        steps = np.diff(points if points.ndim == 1 else moveaxis(points, place, -1), axis=-1)
    found = np.cumsum(steps * (line[..., 1:] + line[..., :-1]) / 2.0, axis=-1)
    if initial is not None:
        if initial != 0:
            raise ShapeError(message(f"initial={initial} of an integral is neither None nor 0"))
        found = np.concatenate([np.zeros((*found.shape[:-1], 1), found.dtype), found], axis=-1)
    return moveaxis(found, -1, place)


# --- convolutions ---------------------------------------------------------------------------------


def _lines(name: str, *arrays: Any) -> list[Tracer]:
    found = [as_tracer(nested_array(a)) for a in arrays]
    if any(x.ndim != 1 for x in found):
        shapes = ", ".join(str(x.shape) for x in found)
        raise ShapeError(
            message(
                f"{name} of arrays of shapes {shapes}",
                "adgraph has a program for arrays with one axis",
                "write np.fft.ifft2(np.fft.fft2(x, s) * np.fft.fft2(k, s)).real",
            )
        )
    return found


def _convolved(name: str, in1: Any, in2: Any, mode: str) -> Any:
    """The result of `same` has the length of the first, in the middle of the whole."""
    first, second = _lines(name, in1, in2)
    if mode not in ("full", "same", "valid"):
        raise ShapeError(message(f"{name}: mode={mode!r} is none of full, valid and same"))
    if mode != "same":
        return line_convolution(first, second, mode)
    start = (second.size - 1) // 2
    return line_convolution(first, second)[start : start + first.size]


@records(signal.convolve)
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    return _convolved("scipy.signal.convolve", in1, in2, mode)


@records(signal.fftconvolve)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    refuse("scipy.signal.fftconvolve", axes=axes)
    return _convolved("scipy.signal.fftconvolve", in1, in2, mode)


@records(signal.correlate)
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    first, second = _lines("scipy.signal.correlate", in1, in2)
    turned = np.conj(np.flip(second))
    return _convolved("scipy.signal.correlate", first, turned, mode)


# --- filters --------------------------------------------------------------------------------------


def feed_back(y: Any, forced: Any, coefficients: Any, order: int, count: int) -> None:
    """Subtract multiples of the results before from what a filter gives without feedback."""
    for i in range(count):
        total = forced[i]
        for k in range(1, order + 1):
            total = total - coefficients[k] * y[i + order - k]
        y[i + order] = total


@records(signal.lfilter)
def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    refuse("scipy.signal.lfilter", zi=zi)
    forward, back, values = (as_tracer(nested_array(v)) for v in (b, a, x))
    dtype = result_dtype(forward, back, values)
    dtype = dtype if dtype.kind in "fc" else np.dtype(float)
    forward, back, values = (as_tracer(np.atleast_1d(v), dtype) for v in (forward, back, values))
    place = normal_axis(axis, values.ndim)
    rows: Any = moveaxis(values, place, 0)
    count, order = rows.shape[0], back.size - 1
    scale: Any = back[0]  # type: ignore[index]
    padded = np.concatenate([np.zeros((forward.size - 1, *rows.shape[1:]), dtype), rows])
    terms = [
        forward[k] * padded[forward.size - 1 - k : forward.size - 1 - k + count]  # type: ignore[index]
        for k in range(forward.size)
    ]
    forced: Any = sum(terms[1:], terms[0]) / scale
    if not order:
        return moveaxis(forced, 0, place)
    y = CONSTRUCTORS[np.zeros]((count + order, *rows.shape[1:]), dtype)
    CALLS.rewrite(feed_back)(y, forced, back / scale, order, count)
    return moveaxis(y[order:], 0, place)


# --- the normal distribution ----------------------------------------------------------------------


def _standard(x: Any, loc: Any, scale: Any) -> Any:
    return (nested_array(x) - loc) / scale


@records(getattr(stats, "norm.pdf"))
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z = _standard(x, loc, scale)
    return np.exp(-0.5 * z * z) / (math.sqrt(2 * math.pi) * nested_array(scale))


@records(getattr(stats, "norm.logpdf"))
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z = _standard(x, loc, scale)
    return -0.5 * z * z - (0.5 * math.log(2 * math.pi) + np.log(nested_array(scale)))


@records(getattr(stats, "norm.cdf"))
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.ndtr(_standard(x, loc, scale))


@records(getattr(stats, "norm.logcdf"))
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.log_ndtr(_standard(x, loc, scale))


@records(getattr(stats, "norm.sf"))
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.ndtr(-_standard(x, loc, scale))


@records(getattr(stats, "norm.logsf"))
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.log_ndtr(-_standard(x, loc, scale))


@records(getattr(stats, "norm.ppf"))
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.ndtri(nested_array(q)) * scale + loc
