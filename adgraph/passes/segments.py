"""Trips of a loop as nodes: from one number on, forward or backwards, recorded or not.

`Trips` emits trips of a body at other positions, `emit_loop` any loop whose body is written by a
function. Tables of integers and arrays of zeros are made here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adgraph.ir.builder import Builder, inline
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import Op
from adgraph.ir.substitute import substitute_all
from adgraph.ir.types import ArrayType, Constant, Slice
from adgraph.ops.constant import constant
from adgraph.ops.control import loop, loop_symbol
from adgraph.ops.shape import broadcast, getitem, update

Write = Callable[[Builder, list[Value]], Sequence[Value]]


@dataclass(frozen=True)
class Trips:
    """`count` trips of a loop from number `base` on, forward (1) or backwards (-1).

    `position` gives the loop's index for the number of a trip; `row` stands in a body for the
    number among these trips.
    """

    position: Callable[[Dim], Dim]
    base: Dim
    count: int
    step: int = 1
    row: Symbol | None = None

    def emit(
        self,
        builder: Builder,
        body: Graph,
        index: Symbol,
        fixed: Sequence[Value],
        carried: Sequence[Value],
    ) -> tuple[Value, ...]:
        """Emit the trips of a body whose index is `index`; a single one is written out."""
        if self.count == 1:
            here = substitute_all(body, {index: self.position(self.base)})
            return inline(builder, here, (*fixed, *carried))
        start = 0 if self.step > 0 else self.count - 1
        symbol = loop_symbol(index.name, start, self.count, self.step)
        number = symbol_dim(symbol)
        values = {index: self.position(self.base + number)}
        if self.row is not None:
            values[self.row] = number

        def write(inside: Builder, inputs: list[Value]) -> Sequence[Value]:
            return inline(inside, substitute_all(body, values), (*fixed, *inputs))

        attrs = {"symbol": symbol, "start": start, "trips": self.count, "step": self.step}
        return emit_loop(builder, loop, [], carried, attrs, write)


# --- nodes ----------------------------------------------------------------------------------------


def emit_loop(
    builder: Builder,
    op: Op,
    lead: Sequence[Value],
    carried: Sequence[Value],
    attrs: Mapping[str, object],
    write: Write,
    change: Callable[[Graph], Graph] = lambda body: body,
) -> tuple[Value, ...]:
    """Emit a loop; `write` emits its body, and all that it uses from outside is a constant.

    What becomes of the body is for `change` to say.
    """
    inside = Builder(builder)
    inputs = [inside.input(v.type, v.name) for v in carried]
    graph = inside.build(write(inside, inputs), "body")
    body = change(replace(graph, inputs=(*inside.captures.values(), *inputs)))
    fixed = list(inside.captures)
    changes = {"body": body, "constants": len(fixed)}
    return builder.emit(op, [*lead, *fixed, *carried], {**attrs, **changes})


def blank(builder: Builder, type: ArrayType) -> Value:
    """Emit an array of zeros."""
    zero = Constant.of(np.zeros((1,) * type.ndim, type.dtype))
    (value,) = builder.emit(constant, [], {"value": zero})
    if type.shape:
        (value,) = builder.emit(broadcast, [value], {"shape": type.shape})
    return value


def numbers_of(builder: Builder, numbers: Sequence[int]) -> Value:
    """Emit an array of integers."""
    value = Constant.of(np.array(numbers, np.int64))
    return builder.emit(constant, [], {"value": value})[0]


def number_at(builder: Builder, table: Value, at: Dim) -> Value:
    """Emit an element of a table."""
    return builder.emit(getitem, [table], {"index": (at,)})[0]


def number_of(builder: Builder, number: int) -> Value:
    """Emit an integer."""
    value = Constant.of(np.asarray(number, np.int64))
    return builder.emit(constant, [], {"value": value})[0]


def row_at(builder: Builder, array: Value, at: Dim) -> Value:
    """Emit a row of an array."""
    index = (at, *(Slice(0, n, 1) for n in array.type.shape[1:]))
    return builder.emit(getitem, [array], {"index": index})[0]


def with_row(builder: Builder, array: Value, row: Value, at: Dim) -> Value:
    """Emit an array with one row replaced."""
    index = (at, *(Slice(0, n, 1) for n in row.type.shape))
    return builder.emit(update, [array, row], {"index": index})[0]
