"""View steps: what a handle does to its array before it is read or written.

A step applies an op of kind view, or selects at a position known only when running; its inverse
writes a piece back. `composed` merges consecutive slices; `writable` tells whether NumPy would give
a view or a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.dims import Dim
from adgraph.ir.graph import Value
from adgraph.ir.op import Op
from adgraph.ir.substitute import symbols_of
from adgraph.ir.types import ArrayType, Index, Shape, Slice
from adgraph.ops.complex_numbers import imag, make_complex, real
from adgraph.ops.indexing import put, take
from adgraph.ops.shape import broadcast, getitem, reshape, transpose, update
from adgraph.tracing.frames import Cell, current, origin, read_cell

PARTS = (real, imag)


@dataclass(frozen=True)
class View:
    """One step: an op of kind view and its attributes, or `take` and the position it takes.

    `real` and `imag` are steps too: a part of a complex array is every second number of its memory.
    """

    op: Op
    attrs: Mapping[str, Any]
    position: Cell | None = None

    def operands(self, base: Value) -> tuple[Value, ...]:
        """Return the operands of the op for a base."""
        return (base,) if self.position is None else (base, read_cell(self.position))

    def inverse(self, base: Value, new: Value) -> tuple[Op, dict[str, Any], tuple[Value, ...]]:
        """Return the op, attributes and operands that put `new` back into `base`."""
        if self.position is not None:
            return put, {**self.attrs, "unique": True}, (base, new, read_cell(self.position))
        if self.op is getitem:
            return update, dict(self.attrs), (base, new)
        if self.op in PARTS:
            other = imag if self.op is real else real
            (kept,) = current().emit(other, (base,), {}, origin())
            return make_complex, {}, (new, kept) if self.op is real else (kept, new)
        if self.op is transpose:
            axes = self.attrs["axes"]
            return transpose, {"axes": tuple(axes.index(i) for i in range(len(axes)))}, (new,)
        assert self.op is reshape
        return reshape, {"shape": base.type.shape}, (new,)


def step_type(step: View, type: ArrayType) -> ArrayType:
    """Return the type after a step."""
    types = (type,) if step.position is None else (type, step.position.value.type)
    (result,) = step.op.result_types(types, step.attrs)
    return result


def composed(path: tuple[View, ...], step: View) -> tuple[View, ...]:
    """Append a step to a path; a slice of a slice becomes one slice."""
    if path and step.op is getitem and path[-1].op is getitem:
        index = compose_index(path[-1].attrs["index"], step.attrs["index"])
        return (*path[:-1], View(getitem, {"index": index}))
    return (*path, step)


def compose_index(outer: Index, inner: Index) -> Index:
    """Return the index equal to indexing by `outer` and then by `inner`."""
    rest = iter(inner)
    return tuple(_within(o, next(rest)) if isinstance(o, Slice) else o for o in outer)


def _within(outer: Slice, inner: Dim | Slice) -> Dim | Slice:
    if not isinstance(inner, Slice):
        return outer.start + inner * outer.step
    start = outer.start + inner.start * outer.step
    return Slice(start, inner.size, outer.step * inner.step)


def reshaped(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether a path has a reshape that does more than insert or drop axes of extent one."""
    type = base
    for step in path:
        before, type = type, step_type(step, type)
        if step.op is reshape and _long(before) != _long(type):
            return True
    return False


def _long(type: ArrayType) -> Shape:
    return tuple(n for n in type.shape if n != 1)


def contiguous(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path of a C-contiguous array is known to lead to one in C order."""
    if not path:
        return True
    if _symbolic(base, path):
        return False
    array = layout(base)
    for step in path:
        if step.op is reshape:
            array = np.reshape(array, step.attrs["shape"], copy=False)
        elif step.op not in PARTS:
            array = step.op.evaluate(array, **step.attrs)
    steps = [abs(s) for n, s in zip(array.shape, array.strides, strict=True) if n != 1]
    return steps == sorted(steps, reverse=True)


def in_one_block(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path of a C-contiguous array leads to a C-contiguous one, as far as known.

    Where extents are not numbers it is taken for one.
    """
    array, type = layout(base) if not base.ragged else None, base
    for step in path:
        type = step_type(step, type)
        if array is None or type.ragged:
            return True
        if step.op in PARTS:
            return False
        if step.op is reshape:
            array = np.reshape(array, type.shape, copy=False)
        else:
            array = _part(array, step)
    return array is None or array.flags.c_contiguous


def picks(op: Op) -> bool:
    """Tell whether a step to no axes gives a scalar, and not an array without axes."""
    return op is getitem


def writable(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path gives a writable view of a C-contiguous array in NumPy."""
    return all(step.op is not broadcast for step in path) and viewable(base, path)


def viewable(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path gives a view of a C-contiguous array in NumPy.

    Where extents are not numbers, reshapes that do more than insert or drop axes of extent one are
    taken for copies.
    """
    array, type = None if base.ragged else layout(base), base
    for step in path:
        before, type = type, step_type(step, type)
        if step.op is not reshape:
            if step.op not in (getitem, transpose, broadcast, take, *PARTS):
                return False
            array = None if array is None or type.ragged else _part(array, step)
        elif array is None or type.ragged:
            if _long(before) != _long(type):
                return False
            array = None
        else:
            try:
                array = np.reshape(array, type.shape, copy=False)
            except ValueError:
                return False
    return True


def _part(array: np.ndarray[Any, Any], step: View) -> Any:
    """Return an array laid out as the part that a step selects, wherever it begins."""
    if step.op in PARTS:
        return array
    if step.op is take:
        return array[(slice(None),) * step.attrs["axis"] + (0,)]
    if step.op is not getitem:
        return step.op.evaluate(array, **step.attrs)
    return getitem.evaluate(array, index=tuple(map(_moved_to_start, step.attrs["index"])))


def _moved_to_start(entry: Dim | Slice) -> Dim | Slice:
    if not isinstance(entry, Slice):
        return 0
    return Slice(max((1 - entry.size) * entry.step, 0), entry.size, entry.step)


def _symbolic(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether a shape or a step changes with a loop index or when running."""
    moving = (step.position or symbols_of(tuple(step.attrs.values())) for step in path)
    return base.ragged or any(moving)


def layout(type: ArrayType) -> np.ndarray[Any, Any]:
    """Return an array of the type's shape and C strides that owns one element only.

    Its strides and data address may be computed with; its elements must not be read.
    """
    strides, step = [], 1
    for extent in reversed(type.shape):
        strides.append(step)
        step *= max(extent, 1)
    one = np.zeros(1, np.int8)
    return np.lib.stride_tricks.as_strided(one, type.shape, tuple(reversed(strides)))
