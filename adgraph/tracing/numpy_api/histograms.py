"""Counting: bincount, histogram and their relatives.

Every element is given the number of its bin, by a search in the edges, and its weight is added
there. How many bins there are must be known while tracing; the edges need not be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.ops.indexing import scatter_add
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.ranges import linspace
from adgraph.tracing.numpy_api.shape import ravel, reshape
from adgraph.tracing.numpy_api.sorting import search_evenly, searchsorted
from adgraph.tracing.numpy_api.table import implements
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, result_dtype

# --- bincount -------------------------------------------------------------------------------------


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """For traced numbers `minlength` is the length; a larger number is an IndexError."""
    numbers = as_tracer(asarray(x))
    if numbers.ndim != 1 or (numbers.dtype.kind not in "biu" and numbers.size):
        problem = ShapeError if numbers.ndim != 1 else DtypeError
        raise problem(message(f"np.bincount needs one axis of integers, found {numbers.type}"))
    known = known_value(numbers)
    if known is None and not minlength:
        raise TracingError(
            message(
                f"np.bincount of traced numbers {numbers.type}",
                "the largest one decides the shape of the result, which must be known now",
                "give the length with minlength=, which no number may exceed, or pass the numbers "
                "as a constant",
            )
        )
    length = int(minlength)
    if known is not None and known.size:
        if known.min() < 0:
            raise ShapeError(message("np.bincount: the numbers may not be negative"))
        length = max(length, int(known.max()) + 1)
    counted = _ones(numbers.shape, np.int64) if weights is None else _weights(weights, numbers)
    if not numbers.size:
        return as_tracer(np.zeros(length, np.int64))  # also with weights
    return binned(as_tracer(numbers, np.int64), counted, length)


def _ones(shape: tuple[int, ...], dtype: Any) -> Tracer:
    return as_tracer(np.ones(shape, dtype))


def _weights(weights: Any, numbers: Tracer) -> Tracer:
    w = as_tracer(asarray(weights))
    if w.dtype.kind == "c":
        raise DtypeError(message("np.bincount: weights may not be complex"))
    if w.shape != numbers.shape:
        raise ShapeError(message(f"np.bincount: weights of shape {w.shape} for {numbers.type}"))
    return as_tracer(w, np.float64)


def binned(numbers: Tracer, weights: Tracer, length: int) -> Any:
    """Add every weight at its number; one that is negative or too large is an IndexError."""
    if not numbers.size:
        return as_tracer(np.zeros(length, weights.dtype))
    inside = np.where(numbers < 0, length, numbers)  # a negative one would count from the end
    return scatter_add(weights, inside, axis=0, extent=length)


# --- edges ----------------------------------------------------------------------------------------


def _edges(name: str, a: Tracer, bins: Any, range: Any) -> Any:
    """Return the edges of the bins: those given, or `bins` equal ones between two ends."""
    if isinstance(bins, str):
        raise TracingError(
            message(
                f"{name} of traced numbers with bins={bins!r}",
                "how many bins there are would depend on the numbers",
                "give a number of bins or their edges",
            )
        )
    if np.ndim(bins) == 1:
        return _given_edges(name, bins)
    if np.ndim(bins) > 1:
        raise ShapeError(message(f"{name}: bins must be a number or have one axis"))
    count = int(bins)
    if count < 1:
        raise ShapeError(message(f"{name}: bins={count} must be positive"))
    first, last = _ends(name, a, range)
    dtype = result_dtype(first, last, a)
    dtype = dtype if dtype.kind in "fc" else result_dtype(dtype, np.dtype(float))
    return linspace(first, last, count + 1, dtype=dtype)


def _given_edges(name: str, bins: Any) -> Any:
    edges = as_tracer(asarray(bins))
    known = known_value(edges)
    if known is not None and (known[:-1] > known[1:]).any():
        raise ShapeError(message(f"{name}: the edges of the bins must rise monotonically"))
    return edges


def _ends(name: str, a: Tracer, range: Any) -> tuple[Any, Any]:
    """Return the first and the last edge; if they are equal, they are moved apart."""
    if range is not None:
        first, last = range
        known = [known_value(as_tracer(end)) for end in (first, last)]
        if _all_known(known) and not math.isfinite(known[0] + known[1]):
            raise ShapeError(message(f"{name}: range={tuple(range)} is not finite"))
        if _all_known(known) and known[0] > known[1]:
            raise ShapeError(message(f"{name}: range={tuple(range)}: max must be larger than min"))
    elif not a.size:
        first, last = 0.0, 1.0
    else:
        first, last = np.min(a), np.max(a)
    if first is last or not (isinstance(first, Tracer) or isinstance(last, Tracer)):
        return (first - 0.5, last + 0.5) if first == last else (first, last)
    equal = np.equal(first, last)
    return np.where(equal, first - 0.5, first), np.where(equal, last + 0.5, last)


def _all_known(values: list[Any]) -> bool:
    return all(v is not None for v in values)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    x = ravel(asarray(a))
    return _edges("np.histogram_bin_edges", x, bins, range)


# --- histograms -----------------------------------------------------------------------------------


def _bin_of(x: Any, edges: Any, bins: Any) -> Any:
    """Return the bin of every element, from 1: 0 and the number of edges are outside.

    The last bin has both its edges, and nan is beyond it. The edges are those given as `bins`, or
    equally far apart.
    """
    even = np.ndim(bins) == 0
    found = search_evenly(edges, x) if even else searchsorted(edges, x, "right")
    return np.where(np.equal(x, edges[-1]), type_of(edges).size - 1, found)


@implements(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any]:
    x = ravel(asarray(a))
    if x.dtype.kind == "b":
        x = as_tracer(x, np.uint8)
    w = None if weights is None else as_tracer(asarray(weights))
    if w is not None and w.size != x.size:
        raise ShapeError(message(f"np.histogram: weights of shape {w.shape} for {x.type}"))
    edges = _edges("np.histogram", x, bins, range)
    counted = _ones(x.shape, np.int64) if w is None else _summable(ravel(w))
    count = type_of(edges).size
    found = binned(_bin_of(x, edges, bins), counted, count + 1)[1:count]
    found = found if w is None else as_tracer(found, w.dtype)
    if not density:
        return found, edges
    return found / np.diff(edges).astype(np.float64) / np.sum(found), edges


def _summable(weights: Tracer) -> Tracer:
    """Numbers of less than 64 bits are added in float64, as NumPy does."""
    return as_tracer(weights, np.result_type(weights.dtype, np.float64))


@implements(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    columns = _columns(sample)
    rank = len(columns)
    listed = list(bins) if isinstance(bins, (tuple, list)) or np.ndim(bins) else [bins] * rank
    ranges = [None] * rank if range is None else list(range)
    if len(listed) != rank or len(ranges) != rank:
        raise ShapeError(
            message(f"np.histogramdd: {len(listed)} bins and {len(ranges)} ranges for {rank} axes")
        )
    edges = [
        as_tracer(_edges("np.histogramdd", x, b, r), np.float64 if np.ndim(b) == 0 else None)
        for x, b, r in zip(columns, listed, ranges, strict=True)
    ]
    extents = tuple(type_of(e).size + 1 for e in edges)
    place: Any = 0
    for x, edge, given in zip(columns, edges, listed, strict=True):
        place = place * (type_of(edge).size + 1) + _bin_of(x, edge, given)
    size = columns[0].size
    w = _ones((size,), float) if weights is None else as_tracer(asarray(weights), np.float64)
    if w.shape != (size,):
        raise ShapeError(message(f"np.histogramdd: weights of shape {w.shape} for {size} samples"))
    whole = reshape(binned(as_tracer(place), w, math.prod(extents)), extents)
    found = whole[(slice(1, -1),) * rank]
    return (_density(found, edges) if density else found), tuple(edges)


def _columns(sample: Any) -> list[Tracer]:
    """Return the coordinates of the samples, one array for each."""
    if isinstance(sample, (tuple, list)):
        return [ravel(asarray(x)) for x in sample]
    x: Any = as_tracer(asarray(sample))
    table: Any = x if x.ndim == 2 else reshape(x, (x.size, 1))
    return [table[:, i] for i in range(table.shape[1])]


def _density(found: Any, edges: list[Any]) -> Any:
    total = np.sum(found)
    for i, edge in enumerate(edges):
        widths = np.diff(edge)
        found = found / reshape(widths, (-1,) + (1,) * (len(edges) - i - 1))
    return found / total


@implements(np.histogram2d)
def histogram2d(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,
    density: Any = None,
    weights: Any = None,
) -> tuple[Any, Any, Any]:
    if len(asarray(x)) != len(asarray(y)):
        raise ShapeError(message("np.histogram2d: x and y must have one length"))
    listed = isinstance(bins, (tuple, list))
    if (listed and len(bins) not in (1, 2)) or (not listed and np.ndim(bins) == 1):
        bins = [asarray(bins), asarray(bins)]
    found, (first, second) = histogramdd([x, y], bins, range, density, weights)
    return found, first, second
