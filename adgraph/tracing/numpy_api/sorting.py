"""Sorting, positions in sorted order, and searching in sorted arrays.

All of it is `argsort`, which is stable and puts nan last, and gathers at the positions it gives; so
the derivative of a sorted array is a scatter. Complex numbers are sorted by key after key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ir.op import type_of
from adgraph.ops.position import argsort as argsort_op
from adgraph.ops.search import evensearch
from adgraph.ops.search import searchsorted as search
from adgraph.tracing.numpy_api.choosing import take_along_axis, writable
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.shape import broadcast_to, normal_axis, ravel, reshape
from adgraph.tracing.numpy_api.table import implements, method, refuse
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, result_dtype, write

KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")

# --- sort and argsort -----------------------------------------------------------------------------


def _check_kind(name: str, kind: Any, order: Any, stable: Any) -> None:
    if kind not in KINDS:
        raise ShapeError(message(f"{name}: kind={kind!r} names no way of sorting"))
    if kind is not None and stable is not None:
        raise ShapeError(message(f"{name}: kind= and stable= mean the same, give one"))
    refuse(name, order=order)


def _line(a: Any, axis: Any) -> tuple[Tracer, int]:
    """Return an array and the axis to sort along; None stands for all elements."""
    x = as_tracer(asarray(a))
    return (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))


def _order(x: Tracer, axis: int) -> Any:
    """Return the stable order of the elements along an axis."""
    if x.dtype.kind != "c":
        return argsort_op(x, axis=axis)
    real, imag = np.real(x), np.imag(x)
    nans: Any = np.where(np.isnan(real), 2, np.isnan(imag).astype(np.int64))  # NumPy puts them last
    return _lexical([imag, real, nans], axis)


def _lexical(keys: list[Any], axis: int) -> Any:
    """Return the order by the last key; those before decide where it ties."""
    order = argsort_op(as_tracer(keys[0]), axis=axis)
    for key in keys[1:]:
        again = argsort_op(take_along_axis(key, order, axis), axis=axis)
        order = take_along_axis(order, again, axis)
    return order


@implements(np.argsort, differentiable=False)
@method("argsort", differentiable=False)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """The order of equal elements is kept, as `kind="stable"` does in NumPy."""
    _check_kind("np.argsort", kind, order, stable)
    x = as_tracer(asarray(a))
    return _order(*_line(reshape(x, (1,)) if not x.ndim else x, axis))


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    _check_kind("np.sort", kind, order, stable)
    return ordered(*_line(a, axis))


def ordered(x: Tracer, axis: int) -> Any:
    """Return an array sorted along an axis."""
    return take_along_axis(x, _order(x, axis), axis)


@method("sort")
def sort_method(
    a: Tracer, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> None:
    write(a, sort(a, axis, kind, order, stable=stable))


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    x = as_tracer(sort(a))
    small = x.dtype.kind in "iu" and x.dtype.itemsize <= 2
    dtype = x.dtype if x.dtype.kind == "c" else np.complex64 if small else np.complex128
    return as_tracer(x, dtype)


@implements(np.lexsort, differentiable=False)
def lexsort(keys: Any, axis: int = -1) -> Any:
    listed = [as_tracer(asarray(k)) for k in keys]
    if not listed:
        raise DtypeError(message("np.lexsort needs at least one key"))
    if len({k.shape for k in listed}) > 1:
        shapes = ", ".join(str(k.shape) for k in listed)
        raise ShapeError(message(f"np.lexsort: all keys need the same shape, found {shapes}"))
    return _lexical(listed, normal_axis(axis, listed[0].ndim))


# --- partitions: sorted altogether ----------------------------------------------------------------


def _check_kth(name: str, kth: Any, extent: int, kind: str) -> None:
    if kind != "introselect":
        raise ShapeError(message(f"{name}: kind={kind!r} is not 'introselect'"))
    known = known_value(kth) if isinstance(kth, Tracer) else np.asarray(kth)
    if known is None:
        return
    if known.dtype.kind not in "iu":
        raise DtypeError(message(f"{name}: kth={kth!r} must hold integers"))
    if ((known < -extent) | (known >= extent)).any():
        raise ShapeError(message(f"{name}: kth={kth} is out of bounds for extent {extent}"))


@implements(np.partition)
def partition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """Return the array sorted: every position is the one that a partition asks for."""
    refuse("np.partition", order=order)
    x, place = _line(a, axis)
    _check_kth("np.partition", kth, x.shape[place], kind)
    return ordered(x, place)


@method("partition")
def partition_method(
    a: Tracer, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> None:
    write(writable(a, "partition"), partition(a, kth, axis, kind, order))


@implements(np.argpartition, differentiable=False)
@method("argpartition", differentiable=False)
def argpartition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    refuse("np.argpartition", order=order)
    x, place = _line(a, axis)
    _check_kth("np.argpartition", kth, x.shape[place], kind)
    return _order(x, place)


# --- searching ------------------------------------------------------------------------------------


def _common(*arrays: Any) -> tuple[Tracer, ...]:
    """Convert arrays that are compared to their common dtype."""
    given = [as_tracer(asarray(a)) for a in arrays]
    common = result_dtype(*given)
    if common.kind == "c":
        raise DtypeError(
            message(
                "np.searchsorted of complex numbers",
                "adgraph does not order complex numbers",
                "search for the real parts, or for np.abs(x)",
            )
        )
    return tuple(as_tracer(x, np.uint8 if common.kind == "b" else common) for x in given)


@implements(np.searchsorted, differentiable=False)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if side not in ("left", "right"):
        raise ShapeError(message(f"np.searchsorted: side={side!r} is neither 'left' nor 'right'"))
    line: Any
    line, values = _common(a, v)
    if line.ndim != 1:
        raise ShapeError(message(f"np.searchsorted needs one axis to search in, found {line.type}"))
    if sorter is not None:
        order = as_tracer(asarray(sorter))
        if order.shape != line.shape:
            raise ShapeError(
                message(f"np.searchsorted: sorter= of shape {order.shape} for {line.type}")
            )
        line = line[order]
    found = search(line, ravel(values), right=side == "right")
    return reshape(found, values.shape)


@method("searchsorted", differentiable=False)
def searchsorted_method(a: Tracer, v: Any, side: str = "left", sorter: Any = None) -> Any:
    return searchsorted(a, v, side, sorter)


def search_evenly(edges: Any, values: Any) -> Any:
    """Return how many edges, which are equally far apart, are not greater than a value."""
    line, given = _common(edges, values)
    return reshape(evensearch(line, ravel(given)), given.shape)


def search_rows(lines: Any, values: Any) -> Any:
    """Return where values belong in sorted rows; the values are the same for all rows."""
    x = as_tracer(lines)
    same = broadcast_to(as_tracer(values, x.dtype), (*x.shape[:-1], type_of(values).size))
    return search(x, same, right=False)


@implements(np.digitize, differentiable=False)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """Traced bins may rise or fall; that they do either is not checked."""
    values = as_tracer(asarray(x))
    edges: Any = as_tracer(asarray(bins))
    if values.dtype.kind == "c":
        raise DtypeError(message("np.digitize: x may not be complex"))
    if edges.ndim != 1:
        raise ShapeError(message(f"np.digitize: bins must have one axis, found {edges.type}"))
    side = "left" if right else "right"
    rising = searchsorted(edges, values, side)
    known = known_value(edges)
    if known is not None and (np.diff(known) >= 0).all():
        return rising
    falling = edges.size - searchsorted(np.flip(edges), values, side)
    if known is None:
        return np.where(edges[0] <= edges[-1], rising, falling) if edges.size else rising
    if (np.diff(known) <= 0).all():
        return falling
    raise ShapeError(message("np.digitize: bins must rise or fall monotonically"))


@implements(np.isin, differentiable=False)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    if kind not in (None, "sort", "table"):
        raise ShapeError(message(f"np.isin: kind={kind!r} is none of None, 'sort' and 'table'"))
    values, tests = _common(element, test_elements)
    if not tests.size:
        return as_tracer(np.full(values.shape, invert))
    line: Any = ordered(ravel(tests), 0)
    nearest = line[np.minimum(searchsorted(line, values), tests.size - 1)]
    return np.not_equal(nearest, values) if invert else np.equal(nearest, values)
