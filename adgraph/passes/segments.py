"""Trips of a loop as nodes: from one number on, forward or backwards, recorded or not.

`Trips` emits trips of a body at other positions, `emit_loop` any loop whose body is written by a
function. Tables of integers, arrays of zeros and `Rows` of snapshots are made here, too.
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
from adgraph.ops.control import between, loop, loop_symbol, while_
from adgraph.ops.elementwise import add
from adgraph.ops.shape import broadcast, getitem, update

Write = Callable[[Builder, list[Value]], Sequence[Value]]
Reverse = Callable[[Builder, dict[Value, Value]], None]  # emits the backward sweep of a loop


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
        names = body.inputs[len(fixed) :]
        return emit_loop(builder, loop, [], carried, attrs, write, names=names)


# --- nodes ----------------------------------------------------------------------------------------


def emit_loop(
    builder: Builder,
    op: Op,
    lead: Sequence[Value],
    carried: Sequence[Value],
    attrs: Mapping[str, object],
    write: Write,
    *,
    names: Sequence[Value] = (),
    change: Callable[[Graph], Graph] = lambda body: body,
) -> tuple[Value, ...]:
    """Emit a loop; `write` emits its body, and all that it uses from outside is a constant.

    What it carries is named like other values, if given. What becomes of the body is for `change`
    to say.
    """
    inside = Builder(builder)
    inputs = [inside.input(v.type, v.name) for v in names or carried]
    graph = inside.build(write(inside, inputs), "body")
    body = change(replace(graph, inputs=(*inside.captures.values(), *inputs)))
    fixed = list(inside.captures)
    changes = {"body": body, "constants": len(fixed)}
    return builder.emit(op, [*lead, *fixed, *carried], {**attrs, **changes})


def emit_while(
    builder: Builder,
    carried: Sequence[Value],
    symbol: Symbol,
    test: Callable[[Builder, list[Value]], Value],
    write: Write,
) -> tuple[Value, ...]:
    """Emit a loop that runs as long as a test of what it carries asks for."""
    programs: dict[str, Write] = {
        "body": write,
        "test": lambda inside, inputs: [test(inside, inputs)],
    }
    made: dict[str, Graph] = {}
    captures: dict[str, Mapping[Value, Value]] = {}
    for key, program in programs.items():
        inside = Builder(builder)
        inputs = [inside.input(v.type, v.name) for v in carried]
        graph = inside.build(program(inside, inputs), key)
        made[key] = replace(graph, inputs=tuple(inputs))
        captures[key] = inside.captures
    fixed = list(dict.fromkeys(v for found in captures.values() for v in found))
    attrs: dict[str, object] = {"symbol": symbol, "capacity": None, "constants": len(fixed)}
    for key, graph in made.items():
        first = tuple(captures[key].get(v) or Value(v.type) for v in fixed)
        attrs[key] = replace(graph, inputs=(*first, *graph.inputs))
    return builder.emit(while_, [*fixed, *carried], attrs)


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


# --- rows that may be none ------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Arrays of `count` rows, of which one is written or read if there is such a row.

    The number `count` stands for none.
    """

    count: int

    def blanks(self, builder: Builder, types: Sequence[ArrayType]) -> list[Value]:
        """Emit arrays of rows of some types."""
        return [blank(builder, type.with_shape((self.count, *type.shape))) for type in types]

    def store(
        self, builder: Builder, arrays: Sequence[Value], values: Sequence[Value], row: Value
    ) -> tuple[Value, ...]:
        """Emit the arrays with a row replaced."""

        def write(inside: Builder, inputs: list[Value], at: Dim) -> Sequence[Value]:
            return [with_row(inside, x, v, at) for x, v in zip(inputs, values, strict=True)]

        return self._once(builder, row, arrays, write)

    def restore(
        self, builder: Builder, arrays: Sequence[Value], values: Sequence[Value], row: Value
    ) -> tuple[Value, ...]:
        """Emit what the row holds, or the values given if it is none."""

        def write(inside: Builder, inputs: list[Value], at: Dim) -> Sequence[Value]:
            return [row_at(inside, x, at) for x in arrays]

        return self._once(builder, row, values, write)

    def _once(
        self,
        builder: Builder,
        row: Value,
        carried: Sequence[Value],
        write: Callable[[Builder, list[Value], Dim], Sequence[Value]],
    ) -> tuple[Value, ...]:
        symbol = Symbol("row", 0, self.count - 1)
        at = symbol_dim(symbol)
        (behind,) = builder.emit(add, [row, number_of(builder, 1)], {})
        attrs = {"symbol": symbol, "capacity": self.count, "typical": 1}
        return emit_loop(
            builder,
            between,
            [row, behind],
            carried,
            attrs,
            lambda inside, inputs: write(inside, inputs, at),
        )
