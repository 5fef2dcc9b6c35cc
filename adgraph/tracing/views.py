"""View steps: what a handle does to its array before it is read or written.

A step applies an op of kind view; its inverse writes a piece back. `composed` merges consecutive
slices; `writable` tells whether NumPy would give a view or a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.graph import Value
from adgraph.ir.op import Op
from adgraph.ir.types import ArrayType, Slice
from adgraph.ops.shape import getitem, reshape, transpose, update


@dataclass(frozen=True)
class View:
    """One step: an op of kind view and its attributes."""

    op: Op
    attrs: Mapping[str, Any]

    def inverse(self, base: Value, new: Value) -> tuple[Op, dict[str, Any], tuple[Value, ...]]:
        """Return the op, attributes and operands that put `new` back into `base`."""
        if self.op is getitem:
            return update, dict(self.attrs), (base, new)
        if self.op is transpose:
            axes = self.attrs["axes"]
            return transpose, {"axes": tuple(axes.index(i) for i in range(len(axes)))}, (new,)
        assert self.op is reshape
        return reshape, {"shape": base.type.shape}, (new,)


def step_type(step: View, type: ArrayType) -> ArrayType:
    """Return the type after a step."""
    (result,) = step.op.result_types((type,), step.attrs)
    return result


def composed(path: tuple[View, ...], step: View) -> tuple[View, ...]:
    """Append a step to a path; a slice of a slice becomes one slice."""
    if path and step.op is getitem and path[-1].op is getitem:
        index = compose_index(path[-1].attrs["index"], step.attrs["index"])
        return (*path[:-1], View(getitem, {"index": index}))
    return (*path, step)


def compose_index(
    outer: tuple[int | Slice, ...], inner: tuple[int | Slice, ...]
) -> tuple[int | Slice, ...]:
    """Return the index equal to indexing by `outer` and then by `inner`."""
    rest = iter(inner)
    return tuple(o if isinstance(o, int) else _within(o, next(rest)) for o in outer)


def _within(outer: Slice, inner: int | Slice) -> int | Slice:
    if isinstance(inner, int):
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


def _long(type: ArrayType) -> tuple[int, ...]:
    return tuple(n for n in type.shape if n != 1)


def contiguous(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path of a C-contiguous array leads to one in C order."""
    if not path:
        return True
    array = layout(base)
    for step in path:
        if step.op is reshape:
            array = np.reshape(array, step.attrs["shape"], copy=False)
        else:
            array = step.op.evaluate(array, **step.attrs)
    steps = [abs(s) for n, s in zip(array.shape, array.strides, strict=True) if n != 1]
    return steps == sorted(steps, reverse=True)


def writable(base: ArrayType, path: tuple[View, ...]) -> bool:
    """Tell whether the path gives a writable view of a C-contiguous array in NumPy."""
    array = layout(base)
    for step in path:
        if step.op is reshape:
            try:
                array = np.reshape(array, step.attrs["shape"], copy=False)
            except ValueError:
                return False
        elif step.op in (getitem, transpose):
            array = step.op.evaluate(array, **step.attrs)
        else:
            return False
    return True


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
