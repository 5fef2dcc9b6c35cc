"""Searches in sorted arrays: by bisection, and among edges that are equally far apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError
from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.gufuncs import stretched

# --- searchsorted: where values belong in sorted rows; nan is last --------------------------------
# Bisection without branches: `position` elements are known to be less (with `right`, not greater).
# Every value takes the same steps, so a block of values takes each of them together.

_STEP = """
                for j in range(block, end):
                    v = value[i * values + j]
                    at = position[i * values + j]
                    w = line[i * n + at + {half} - 1]
                    position[i * values + j] = at + {half} * int64({passed})"""

_BISECTION = f"""
                while count > 1:
                    half = count // 2{textwrap.indent(_STEP, "    ").replace("{half}", "half")}
                    count -= half
                if count == 1:{textwrap.indent(_STEP, "    ").replace("{half}", "1")}"""

_SEARCH = f"""
def kernel(line, value, position, rows, n, values, right):
    for i in range(rows):
        for block in range(0, values, 256):
            end = min(block + 256, values)
            for j in range(block, end):
                position[i * values + j] = 0
            count = n
            if right == 1:{_BISECTION.format(passed="(w <= v) | (v != v)")}
            else:{_BISECTION.format(passed="(w < v) | ((v != v) & (w == w))")}
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


def _search_batch(op: Op, args: tuple[Any, Any], batched: tuple[bool, bool], **attrs: Any) -> Any:
    line, value = args
    if batched[1] and type_of(line).ndim == 1:
        found = op(line, np.reshape(value, (-1,)), **attrs)
        return np.reshape(found, type_of(value).shape)
    return op(*stretched(args, batched), **attrs)


def _search_sizes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    line, value = types
    return math.prod(line.shape[:-1]), line.shape[-1], value.shape[-1], *map(int, attrs.values())


searchsorted: Op = register(
    Op(
        name="searchsorted",
        kind=Kind.MOVEMENT,
        evaluate=_search,
        infer=_search_type,
        batch=lambda *args, **attrs: _search_batch(searchsorted, *args, **attrs),
        flops=lambda line, value, *, right: value.size * math.log2(max(line.shape[-1], 2)),
        code=Loops(_SEARCH, _search_sizes),
        differentiable=False,
    )
)


# --- evensearch: how many edges are not greater than a value; nan is greater than all -------------
# The edge before a value is guessed from its distance. Where edges were rounded the guess may be
# wrong by one: the two around it decide, as in NumPy's histogram.

_EVEN = """
def kernel(line, value, position, rows, n, values):
    for i in range(rows):
        first = line[i * n]
        extent = line[i * n + n - 1] - first
        for j in range(values):
            v = value[i * values + j]
            guess = (v - first) / extent * (n - 1)
            guess = where(guess > 0, guess, 0)
            at = int64(where(guess < n - 2, guess, n - 2))
            passed = int64(line[i * n + at] <= v) + int64(line[i * n + at + 1] <= v)
            position[i * values + j] = where(v == v, at + passed, n)
"""


def _even_type(line: ArrayType, value: ArrayType) -> ArrayType:
    if line.dtype.kind != "f" or line.shape[-1] < 2:
        raise ShapeError(f"evensearch: edges {line} are not two floats or more")
    return _search_type(line, value, right=True)


evensearch: Op = register(
    Op(
        name="evensearch",
        kind=Kind.MOVEMENT,
        evaluate=lambda line, value: _search(line, value, right=True),
        infer=_even_type,
        batch=lambda *args: _search_batch(evensearch, *args),
        flops=lambda line, value: 8.0 * value.size,
        code=Loops(_EVEN, _search_sizes),
        differentiable=False,
    )
)
