"""Positions: of extrema along an axis, and of elements in sorted order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops import complex_order
from adgraph.ops.complex_parts import Parts
from adgraph.ops.reduction import extremum_type, fold_type, split_at

# --- argmax and argmin: the first position; nan is the extremum, as in NumPy ----------------------


def _arg_type(x: ArrayType, *, axis: int) -> ArrayType:
    extremum_type(x, axis=(axis,))
    return fold_type(x, axis=(axis,)).with_dtype(np.int64)


def _arg_extremum(
    name: str, function: Callable[..., Any], relation: str, fold: str, parts: Parts
) -> Op:
    """Register the position of an extremum: along the last axis that of a block, then in it."""
    text = f"""
def kernel(x, position, outer, n, inner):
    if inner == 1:
        for i in range(outer):
            row = i * n
            best = x[row]
            start = 0
            for block in range(0, n, 512):
                end = min(block + 512, n)
                value = x[row + block]
                for k in range(block, end):
                    value = {fold}(value, x[row + k])
                if value {relation} best or (value != value and best == best):
                    best = value
                    start = block
            found = start
            value = x[row + found]
            while value != best and value == value:
                found += 1
                value = x[row + found]
            position[i] = found
    else:
        for i in range(outer):
            for j in range(inner):
                best = x[i * n * inner + j]
                found = 0
                for k in range(1, n):
                    value = x[(i * n + k) * inner + j]
                    if value {relation} best or (value != value and best == best):
                        best = value
                        found = k
                position[i * inner + j] = found
"""

    def batch(args: tuple[Any], batched: tuple[bool], *, axis: int) -> Any:
        return op(args[0], axis=axis + 1)

    op = register(
        Op(
            name=name,
            kind=Kind.MOVEMENT,
            evaluate=lambda x, *, axis: function(x, axis=axis),
            infer=_arg_type,
            batch=batch,
            parts=parts,
            flops=lambda x, *, axis: float(x.size),
            code=Loops(text, lambda types, attrs: split_at(types[0], attrs["axis"])),
            differentiable=False,
        )
    )
    return op


argmax = _arg_extremum(
    "argmax", np.argmax, ">", "fold_maximum", complex_order.position(np.max, -math.inf)
)
argmin = _arg_extremum(
    "argmin", np.argmin, "<", "fold_minimum", complex_order.position(np.min, math.inf)
)


# --- argsort: stable, nan last, as in NumPy -------------------------------------------------------
# Short runs are sorted by insertion and merged, from one half of the workspaces to the other; the
# merge chooses without branches. von Neumann 1945; Knuth, The Art of Computer Programming, 5.2.4.

_RUN = 12

_ARGSORT = f"""
def kernel(x, position, keys, places, outer, n, inner):
    for i in range(outer):
        for j in range(inner):
            base = i * n * inner + j
            count = 0
            for k in range(n):
                v = x[base + k * inner]
                if v == v:
                    keys[count] = v
                    places[count] = k
                    count += 1
            behind = count
            if count < n:
                for k in range(n):
                    v = x[base + k * inner]
                    if v != v:
                        position[base + behind * inner] = k
                        behind += 1
            for start in range(0, count, {_RUN}):
                end = min(start + {_RUN}, count)
                for k in range(start + 1, end):
                    v = keys[k]
                    place = places[k]
                    at = k
                    while at > start:
                        w = keys[at - 1]
                        if v < w:
                            keys[at] = w
                            places[at] = places[at - 1]
                            at -= 1
                        else:
                            keys[at] = v
                            places[at] = place
                            at = int64(-1)
                    if at == start:
                        keys[at] = v
                        places[at] = place
            width = {_RUN}
            source = 0
            target = n
            while width < count:
                for start in range(0, count, 2 * width):
                    middle = min(start + width, count)
                    end = min(start + 2 * width, count)
                    left = source + start
                    right = source + middle
                    last = source + middle
                    stop = source + end
                    at = target + start
                    if right < stop and keys[right] < keys[right - 1]:
                        while left < last and right < stop:
                            v = keys[left]
                            w = keys[right]
                            p = places[left]
                            q = places[right]
                            later = where(w < v, 1, 0)
                            keys[at] = where(w < v, w, v)
                            places[at] = where(w < v, q, p)
                            right += later
                            left += 1 - later
                            at += 1
                    for k in range(left, last):
                        keys[at + k - left] = keys[k]
                        places[at + k - left] = places[k]
                    at += last - left
                    for k in range(right, stop):
                        keys[at + k - right] = keys[k]
                        places[at + k - right] = places[k]
                source = target
                target = n - source
                width = 2 * width
            for k in range(count):
                position[base + k * inner] = places[source + k]
"""


def _argsort_scratch(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> Any:
    """Two rows of elements, and two of positions."""
    both = (2 * max(types[0].shape[attrs["axis"]], 1),)
    return ArrayType(types[0].dtype, both), ArrayType(np.dtype(np.int64), both)


def _argsort_type(x: ArrayType, *, axis: int) -> ArrayType:
    return x.with_dtype(np.int64)


argsort: Op = register(
    Op(
        name="argsort",
        kind=Kind.MOVEMENT,
        evaluate=lambda x, *, axis: np.argsort(x, axis=axis, kind="stable"),
        infer=_argsort_type,
        batch=lambda args, batched, *, axis: argsort(args[0], axis=axis + 1),
        flops=lambda x, *, axis: x.size * math.log2(max(x.shape[axis], 2)),
        code=Loops(
            _ARGSORT,
            lambda types, attrs: split_at(types[0], attrs["axis"]),
            scratch=_argsort_scratch,
        ),
        differentiable=False,
    )
)
