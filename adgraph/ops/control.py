"""Ops that hold programs: loops and branches.

`loop` makes a number of trips that is an affine function of the loops around it, `counted` one
that is an operand, `while` as many as its test asks for; `between` runs for the positions of an
axis from one operand up to another; `cond` runs one of two programs. A body's inputs are the
region's constants, then what it carries; its outputs are carried to the next trip.
Bodies are closed: what they use is an input, but for the indices (`Symbol`) of the loops around.
Their derivatives are in `adgraph.control`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.errors import CapacityError, GraphError, Location
from adgraph.ir.code import Control
from adgraph.ir.dims import Dim, Symbol, loop_bounds
from adgraph.ir.evaluate import OUTSIDE, Symbols, evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind, Op, Types, register
from adgraph.ir.types import ArrayType

Arrays = tuple[Any, ...]


def loop_symbol(name: str, start: Dim, trips: Dim, step: int) -> Symbol:
    """Make the index of a loop, with the bounds that its range implies."""
    return Symbol(name, *loop_bounds(start, trips, step))


# --- index: the value of an affine function of the loop indices -----------------------------------

index = register(
    Op(
        name="index",
        kind=Kind.INDEX,
        evaluate=lambda *, dim: np.int64(dim),
        infer=lambda *, dim: ArrayType(np.dtype(np.int64), ()),
        differentiable=False,
    )
)


# --- loops ----------------------------------------------------------------------------------------


def _carried_types(what: str, operands: Types, body: Graph, constants: int) -> Types:
    """The types a loop carries: the same for operands, inputs and outputs of the body."""
    _check(what, operands, tuple(v.type for v in body.inputs))
    carried = operands[constants:]
    _check(what, carried, tuple(v.type for v in body.outputs))
    return carried


def _check(what: str, found: Types, expected: Types) -> None:
    if found != expected:
        have, want = (", ".join(map(str, types)) for types in (found, expected))
        raise GraphError(f"{what}: {have} do not fit the types {want} of its program")


def _loop(
    *args: Any,
    body: Graph,
    symbol: Symbol,
    start: int,
    trips: int,
    step: int,
    constants: int,
    symbols: Symbols = OUTSIDE,
) -> Arrays:
    fixed, carried = args[:constants], args[constants:]
    for trip in range(trips):
        inside = {**symbols, symbol: start + trip * step}
        carried = evaluate(body, *fixed, *carried, symbols=inside)
    return carried


def _loop_types(*types: ArrayType, body: Graph, constants: int, **attrs: Any) -> Types:
    return _carried_types("loop", types, body, constants)


loop = register(
    Op(name="loop", kind=Kind.REGION, evaluate=_loop, infer=_loop_types, code=Control("loop"))
)


def _counted(
    trips: Any,
    *args: Any,
    body: Graph,
    symbol: Symbol,
    constants: int,
    reverse: bool,
    capacity: int | None,
    symbols: Symbols = OUTSIDE,
) -> Arrays:
    fixed, carried = args[:constants], args[constants:]
    count = int(trips)
    _check_capacity(count, capacity)
    for trip in reversed(range(count)) if reverse else range(count):
        carried = evaluate(body, *fixed, *carried, symbols={**symbols, symbol: trip})
    return carried


FIRST_MARK, MARKS = 128, 127


def mark(location: Location | None) -> int:
    """Return by what number a kernel names the line of a loop that has outgrown its tape.

    Lines that are far apart may share one.
    """
    return FIRST_MARK + (location.line % MARKS if location else 0)


def _check_capacity(trips: int, capacity: int | None) -> None:
    if capacity is not None and trips > capacity:
        raise CapacityError(f"a loop made more than the {capacity} trips its tape has room for")


def _counted_types(
    trips: ArrayType, *types: ArrayType, body: Graph, constants: int, **attrs: Any
) -> Types:
    _check("counted", (trips,), (ArrayType(np.dtype(np.int64), ()),))
    return _carried_types("counted", types, body, constants)


counted = register(
    Op(
        name="counted",
        kind=Kind.REGION,
        evaluate=_counted,
        infer=_counted_types,
        code=Control("counted"),
    )
)


def _between(
    first: Any,
    last: Any,
    *args: Any,
    body: Graph,
    symbol: Symbol,
    constants: int,
    capacity: int,
    typical: float | None = None,
    symbols: Symbols = OUTSIDE,
) -> Arrays:
    fixed, carried = args[:constants], args[constants:]
    for position in range(max(int(first), 0), min(int(last), capacity)):
        carried = evaluate(body, *fixed, *carried, symbols={**symbols, symbol: position})
    return carried


def _between_types(
    first: ArrayType, last: ArrayType, *types: ArrayType, body: Graph, constants: int, **attrs: Any
) -> Types:
    position = ArrayType(np.dtype(np.int64), ())
    _check("between", (first, last), (position, position))
    return _carried_types("between", types, body, constants)


# Made by passes over programs that are not differentiated any more: it has no derivatives. The
# positions are those of an axis of extent `capacity`; others between the operands are left out.
# How many there are on the average is `typical`, where that is known.
between = register(
    Op(
        name="between",
        kind=Kind.REGION,
        evaluate=_between,
        infer=_between_types,
        code=Control("between"),
    )
)


def _while(
    *args: Any,
    test: Graph,
    body: Graph,
    symbol: Symbol,
    constants: int,
    capacity: int | None,
    symbols: Symbols = OUTSIDE,
) -> Arrays:
    fixed, carried = args[:constants], args[constants:]
    inside = {**symbols, symbol: 0}
    while bool(evaluate(test, *fixed, *carried, symbols=inside)[0]):
        inside[symbol] += 1
        _check_capacity(inside[symbol], capacity)
        trip = {**inside, symbol: inside[symbol] - 1}
        carried = evaluate(body, *fixed, *carried, symbols=trip)
    return carried


def _while_types(
    *types: ArrayType, test: Graph, body: Graph, constants: int, **attrs: Any
) -> Types:
    _check("while", types, tuple(v.type for v in test.inputs))
    _check("while", (ArrayType(np.dtype(bool), ()),), tuple(v.type for v in test.outputs))
    return _carried_types("while", types, body, constants)


while_ = register(
    Op(name="while", kind=Kind.REGION, evaluate=_while, infer=_while_types, code=Control("while"))
)


# --- cond -----------------------------------------------------------------------------------------


def _cond(
    predicate: Any, *args: Any, then: Graph, orelse: Graph, symbols: Symbols = OUTSIDE
) -> Arrays:
    return evaluate(then if bool(predicate) else orelse, *args, symbols=symbols)


def _cond_types(predicate: ArrayType, *types: ArrayType, then: Graph, orelse: Graph) -> Types:
    _check("cond", (predicate,), (ArrayType(np.dtype(bool), ()),))
    for branch in (then, orelse):
        _check("cond", types, tuple(v.type for v in branch.inputs))
    results = tuple(v.type for v in then.outputs)
    _check("cond", tuple(v.type for v in orelse.outputs), results)
    return results


cond = register(
    Op(name="cond", kind=Kind.REGION, evaluate=_cond, infer=_cond_types, code=Control("branch"))
)
