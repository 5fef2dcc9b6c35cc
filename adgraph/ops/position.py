"""Positions: of extrema along an axis, of elements in sorted order, and in sorted arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError
from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.reduction import extremum_type, fold_type, split_at

# --- argmax and argmin: the first position; nan is the extremum, as in NumPy ----------------------


def _arg_type(x: ArrayType, *, axis: int) -> ArrayType:
    extremum_type(x, axis=(axis,))
    return fold_type(x, axis=(axis,)).with_dtype(np.int64)


def _arg_extremum(name: str, function: Callable[..., Any], relation: str, fold: str) -> Op:
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
            flops=lambda x, *, axis: float(x.size),
            code=Loops(text, lambda types, attrs: split_at(types[0], attrs["axis"])),
            differentiable=False,
        )
    )
    return op


argmax = _arg_extremum("argmax", np.argmax, ">", "fold_maximum")
argmin = _arg_extremum("argmin", np.argmin, "<", "fold_minimum")


# --- argsort: stable, nan last, as in NumPy -------------------------------------------------------
# Heapsort of positions by (value, position); Williams, CACM 1964. It needs no memory of its own.

_LESS = """{0} < {1} or ({1} != {1} and {0} == {0}) or (
                not {1} < {0} and not ({0} != {0} and {1} == {1}) and {2} < {3})"""

_ARGSORT = f"""
def kernel(x, position, outer, n, inner):
    for i in range(outer):
        for j in range(inner):
            base = i * n * inner + j
            for k in range(n):
                position[base + k * inner] = k
            start = n // 2
            end = n
            while end > 1:
                if start > 0:
                    start -= 1
                else:
                    end -= 1
                    last = position[base + end * inner]
                    position[base + end * inner] = position[base]
                    position[base] = last
                root = start
                child = 2 * root + 1
                while child < end:
                    p = position[base + child * inner]
                    if child + 1 < end:
                        q = position[base + (child + 1) * inner]
                        a = x[base + p * inner]
                        b = x[base + q * inner]
                        if {_LESS.format("a", "b", "p", "q")}:
                            child += 1
                            p = q
                    r = position[base + root * inner]
                    a = x[base + r * inner]
                    b = x[base + p * inner]
                    if {_LESS.format("a", "b", "r", "p")}:
                        position[base + root * inner] = p
                        position[base + child * inner] = r
                        root = child
                        child = 2 * root + 1
                    else:
                        child = end
"""


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
        code=Loops(_ARGSORT, lambda types, attrs: split_at(types[0], attrs["axis"])),
        differentiable=False,
    )
)


# --- searchsorted: where values belong in sorted rows; nan is last --------------------------------
# Bisection, which ends before the first element that is not less (or, with `right`, is greater).

_SEARCH = """
def kernel(line, value, position, rows, n, count, right):
    for i in range(rows):
        for j in range(count):
            v = value[i * count + j]
            low = 0
            high = n
            while low < high:
                middle = (low + high) // 2
                w = line[i * n + middle]
                if right == 1:
                    passed = w <= v or v != v
                else:
                    passed = w < v or (v != v and w == w)
                if passed:
                    low = middle + 1
                else:
                    high = middle
            position[i * count + j] = low
"""


def _search_type(line: ArrayType, value: ArrayType, *, right: bool) -> ArrayType:
    if line.shape[:-1] != value.shape[:-1] or line.dtype != value.dtype:
        raise ShapeError(f"searchsorted: rows {line} and values {value} do not fit")
    return value.with_dtype(np.int64)


def _search(line: Any, value: Any, *, right: bool) -> Any:
    rows, values = np.atleast_2d(line), np.atleast_2d(value)
    side: Any = "right" if right else "left"
    found = np.zeros(values.shape, np.int64)
    for i in np.ndindex(values.shape[:-1]):
        found[i] = np.searchsorted(rows[i], values[i], side)
    return found.reshape(np.shape(value))


def _search_batch(args: tuple[Any, Any], batched: tuple[bool, bool], *, right: bool) -> Any:
    line, value = args
    if batched[1] and type_of(line).ndim == 1:
        found = searchsorted(line, np.reshape(value, (-1,)), right=right)
        return np.reshape(found, type_of(value).shape)
    batches = type_of(line if batched[0] else value).shape[0]
    both = (
        x if flag else np.broadcast_to(x, (batches, *type_of(x).shape))
        for x, flag in zip(args, batched, strict=True)
    )
    return searchsorted(*both, right=right)


def _search_sizes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    line, value = types
    return math.prod(line.shape[:-1]), line.shape[-1], value.shape[-1], int(attrs["right"])


searchsorted: Op = register(
    Op(
        name="searchsorted",
        kind=Kind.MOVEMENT,
        evaluate=_search,
        infer=_search_type,
        batch=_search_batch,
        flops=lambda line, value, *, right: value.size * math.log2(max(line.shape[-1], 2)),
        code=Loops(_SEARCH, _search_sizes),
        differentiable=False,
    )
)
