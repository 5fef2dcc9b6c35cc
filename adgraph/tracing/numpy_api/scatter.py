"""`ufunc.at`, `np.put` and what else writes at positions or through masks.

`np.add.at` records a scatter. For other ufuncs the positions must be known while tracing: they are
taken in rounds, each of which meets an element at most once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.ops import indexing as ops
from adgraph.tracing.masked import FUNCTIONS as MASKED
from adgraph.tracing.masked import Masked, aligned, check_same, escape, filled, is_masked_key
from adgraph.tracing.numpy_api.assembly import resize
from adgraph.tracing.numpy_api.choosing import clamped, writable
from adgraph.tracing.numpy_api.creation import asarray
from adgraph.tracing.numpy_api.flat import write_flat
from adgraph.tracing.numpy_api.indexing import getitem, written
from adgraph.tracing.numpy_api.keys import basic, expanded_key, has_arrays, plain, without_bools
from adgraph.tracing.numpy_api.selection import Selection, flattened, parts_of, restored, selection
from adgraph.tracing.numpy_api.shape import broadcast_to, ravel, reshape, transpose
from adgraph.tracing.numpy_api.table import (
    UFUNC_METHODS,
    has_derivative,
    implements,
    method,
    ufunc_method,
)
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, write

ROUNDS = 32


@ufunc_method(np.add, "at")
def add_at(a: Any, indices: Any, b: Any) -> None:
    """Record `np.add.at`: every value is added, also where a position repeats."""
    x, indices = without_bools(writable(a, "np.add.at"), indices)
    parts = indices if isinstance(indices, tuple) else (indices,)
    if parts and isinstance(parts[0], Masked):
        _add_at_masked(x, parts, b)
        return
    if isinstance(b, Masked) or is_masked_key(indices) or not _has_positions(x, indices):
        _at_once(np.add, x, indices, b)
        return
    chosen = selection(x, expanded_key(x, indices))
    view = chosen.view
    flat = _turned(chosen)
    pieces = parts_of(chosen, b, view)
    added = ops.index_add(flat, pieces, chosen.indices, axis=chosen.place)
    write(view, restored(chosen, added))


def _add_at_masked(x: Tracer, parts: tuple[Any, ...], b: Any) -> None:
    """Add zeros at the first element for what the mask leaves out."""
    first = parts[0]
    for p in parts[1:]:
        if isinstance(p, Masked):
            check_same(first, p)
    everywhere = tuple(filled(p, 0) if isinstance(p, Masked) else p for p in parts)
    chosen = Masked(getitem(x, everywhere), first.mask, 0)
    given = broadcast_to(as_tracer(aligned(chosen, b), x.dtype), chosen.values.shape)
    add_at(x, everywhere, filled(Masked(given, first.mask, 0), 0))


def _turned(chosen: Selection) -> Any:
    return reshape(transpose(chosen.view, chosen.order), chosen.flat)


def _has_positions(x: Tracer, indices: Any) -> bool:
    return has_arrays(expanded_key(x, indices))


def _at_once(ufunc: np.ufunc, x: Tracer, indices: Any, *operand: Any) -> None:
    """Apply a ufunc to a part of an array, in which no element occurs twice."""
    if is_masked_key(indices) or _has_positions(x, indices):
        x[indices] = ufunc(x[indices], *operand)  # type: ignore[index]
        return
    parts = expanded_key(x, indices)
    target = basic(x, parts)
    write(written(x, parts, target), ufunc(target, *operand))


@ufunc_method(np.subtract, "at")
def subtract_at(a: Any, indices: Any, b: Any) -> None:
    add_at(a, indices, -b if isinstance(b, Masked) else -as_tracer(b))


def _applies(ufunc: np.ufunc) -> None:
    """Enter `ufunc.at` for positions that are known while tracing."""

    @ufunc_method(ufunc, "at", has_derivative(ufunc))
    def at(a: Any, indices: Any, *operand: Any) -> None:
        name = f"np.{ufunc.__name__}.at"
        x, indices = without_bools(writable(a, name), indices)
        if is_masked_key(indices) or not _has_positions(x, indices):
            _at_once(ufunc, x, indices, *operand)
            return
        chosen = selection(x, expanded_key(x, indices))
        view, place = chosen.view, chosen.place
        flat = _turned(chosen)
        operands = [parts_of(chosen, b, view) for b in operand]
        lines = [flattened(p, chosen) for p in operands]
        for at_once in _rounds(name, chosen.indices):
            positions = np.ravel(chosen.indices)[at_once]
            values = [ops.take(p, at_once, axis=place) for p in lines]
            changed = ufunc(ops.take(flat, positions, axis=place), *values)
            changed = as_tracer(changed, view.dtype)
            flat = ops.put(flat, changed, positions, axis=place, unique=True)
        write(view, restored(chosen, flat))


def _rounds(name: str, indices: Any) -> Iterator[Any]:
    """Split the numbers of positions so that no position occurs twice in a part."""
    if isinstance(indices, Tracer):
        raise TracingError(
            message(
                f"{name} was called with traced positions",
                "which positions repeat is not known while tracing, and only additions may be "
                "done in any order",
                "write a loop: for i, v in zip(indices, values): x[i] = ...",
            )
        )
    rest = np.arange(indices.size)
    line = np.ravel(indices)
    for _ in range(ROUNDS):
        if not rest.size:
            return
        _, first = np.unique(line[rest], return_index=True)
        yield np.sort(rest[first])
        rest = np.delete(rest, first)
    if rest.size:
        raise TracingError(
            message(
                f"{name} meets an element more than {ROUNDS} times",
                "every time is a step of the program",
                "reduce what belongs to one element first, with np.multiply.reduce or np.max",
            )
        )


for _ufunc in (
    np.multiply,
    np.divide,
    np.maximum,
    np.minimum,
    np.power,
    np.negative,
    np.square,
    np.sqrt,
    np.exp,
    np.log,
    np.absolute,
    np.logical_or,
    np.logical_and,
    np.bitwise_or,
    np.bitwise_and,
):
    _applies(_ufunc)

MASKED.update({key: at for key, at in UFUNC_METHODS.items() if key[1] == "at"})


# --- functions that write -------------------------------------------------------------------------


@implements(np.put)
@method("put")
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write into the flattened array; values are repeated as needed."""
    x = writable(a, "np.put")
    positions = clamped(plain(ind), x.size, mode)
    count = type_of(positions).size
    if not count:
        return
    values = as_tracer(asarray(v))
    values = values if values.size == 1 else resize(ravel(values), (count,))
    write_flat(x, reshape(positions, (count,)), reshape(values, (-1,)))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write where a mask is true; values are repeated by position."""
    x = writable(a, "np.putmask")
    chosen = broadcast_to(as_tracer(asarray(mask), bool), x.shape)
    new = as_tracer(asarray(values), x.dtype)
    if new.size == 0:
        return
    spread = new if new.size == 1 else resize(ravel(new), x.shape)
    write(x, np.where(chosen, reshape(spread, x.shape if new.size > 1 else ()), x))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write values one after the other where a mask is true."""
    x = writable(arr, "np.place")
    chosen = as_tracer(asarray(mask), bool)
    known = known_value(chosen)
    values = as_tracer(asarray(vals), x.dtype)
    if values.size == 0:
        raise ShapeError(message("np.place: cannot insert from an empty array"))
    if values.size == 1:
        putmask(x, reshape(chosen, x.shape), values)
        return
    if known is None:
        raise escape("np.place was called with a traced mask and several values")
    positions = np.flatnonzero(known)
    if positions.size:
        write_flat(x, positions, resize(ravel(values), (positions.size,)))
