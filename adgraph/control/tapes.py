"""Tapes: arrays a loop carries to record one value of every trip for its adjoint.

A tape has one row per trip. The number of trips of a `while`, or of a loop whose range is computed,
is not known when a program is made: its tape has room for a few trips at first (`rows`), and a
longer run is a `CapacityError`, upon which the program is made again with twice the room for that
loop. A loop inside a loop writes its rows into the tape of the outer one: `deepened`.
`taped_bytes(graph)` counts what a derivative program records. `with_written` and `with_read` give a
body that writes or reads other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.analysis.liveness import roots
from adgraph.analysis.programs import (
    LEADING,
    bodies,
    constants,
    is_loop,
    is_region,
    most_trips,
    operands,
)
from adgraph.errors import DerivativeError, message
from adgraph.ir.dims import Dim, symbol_dim, upper_bound
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Index, Slice
from adgraph.ops.control import loop, mark
from adgraph.ops.shape import getitem, update
from adgraph.tracing.tracer import as_tracer
from adgraph.transforms.regions import capacities

# Room for the first trips of a loop whose number of trips is not known.
FIRST_TRIPS, FIRST_INSIDE = 256, 32
FIRST_BYTES = 2**20

TAPE = "tape"  # the name of the inputs by which bodies carry tapes

Move = Callable[[Index], Index | None]  # another place for what an index selects, if it has one


def rows(node: Node, recorded: Sequence[Value], *, inside: bool) -> int:
    """Return the number of rows of a loop's tapes, which record values of its body.

    The rows of a loop `inside` another one are there for each of its trips.
    """
    most = most_trips(node)
    if most is not None:
        return most
    row = sum(v.type.bounded().nbytes for v in recorded)
    fitting = min(FIRST_BYTES // max(row, 1), FIRST_INSIDE if inside else FIRST_TRIPS)
    return capacities().get(mark(node.origin.location), max(1 << fitting.bit_length() >> 1, 2))


def trip(node: Node) -> Dim:
    """Return the number of the trip under way, counted from zero; a loop's step is 1 or -1."""
    symbol = symbol_dim(node.attrs["symbol"])
    if node.op is not loop:
        return symbol
    start: Dim = node.attrs["start"]
    step: int = node.attrs["step"]
    return (symbol - start) * step


def check_bounded(node: Node, value: Value) -> None:
    """Refuse to record an array of which nobody knows how large it may get."""
    if any(upper_bound(n) is None for n in value.type.shape):
        raise DerivativeError(
            message(
                f"the derivative of a loop must record an array {value.type} in every trip",
                "its extent is computed while the program runs, so its largest size is not known",
                "give the array a size that does not depend on data, and use a mask",
                node.origin.location,
            )
        )


def tape_type(value: Value, rows: int) -> ArrayType:
    """Return the type of the tape of a value in a loop's body."""
    return ArrayType(value.type.dtype, (rows, *value.type.bounded().shape))


def row_index(node: Node, value: Value) -> Index:
    """Return the box of a tape that the trip under way writes."""
    return (trip(node), *(Slice(0, n, 1) for n in value.type.shape))


def blank(type: ArrayType) -> Any:
    """Return a new tape."""
    return np.broadcast_to(as_tracer(np.zeros((), type.dtype)), type.shape)


def taped_bytes(graph: Graph) -> int:
    """Return the bytes that a program records for the adjoints of its loops, at most at one time.

    A tape inside another loop counts once: it is the outer loop's tape that lasts.
    """
    last = _last_reads(graph)
    most, alive = 0, dict[Value, int]()
    for position, node in enumerate(graph.nodes):
        alive = {v: n for v, n in alive.items() if v not in _continued(node)}
        here = _tapes_of(node)
        inside = max(map(taped_bytes, bodies(node)), default=0) if is_region(node) else 0
        most = max(most, sum(alive.values()) + (sum(here.values()) or inside))
        alive = {v: n for v, n in (alive | here).items() if last.get(v, -1) > position}
    return most


def _last_reads(graph: Graph) -> dict[Value, int]:
    """Where each buffer is read last; those of results, behind the end."""
    root = roots(graph)
    last: dict[Value, int] = {}
    for position, node in enumerate(graph.nodes):
        last.update((root[v], position) for v in node.inputs)
    last.update((root[v], len(graph.nodes)) for v in graph.outputs)
    return last


def _continued(node: Node) -> tuple[Value, ...]:
    return operands(node)[constants(node) :] if is_loop(node) else ()


def _tapes_of(node: Node) -> dict[Value, int]:
    """The tapes that a loop leaves, and their bytes."""
    if not is_loop(node):
        return {}
    (body,) = bodies(node)
    carried = body.inputs[constants(node) :]
    pairs = zip(node.outputs, carried, strict=True)
    return {result: v.type.nbytes for result, v in pairs if v.name == TAPE}


# --- tapes of loops inside a loop -----------------------------------------------------------------


def zeros(nodes: Sequence[Node]) -> set[Value]:
    """Return the values that are arrays of zeros."""
    found: set[Value] = set()
    for node in nodes:
        if node.op.kind is Kind.CONSTANT:
            fill = node.attrs["value"].fill
            if fill is not None and not fill:
                found.add(node.output)
        elif node.op.kind is Kind.VIEW and node.inputs[0] in found:
            found.add(node.output)
    return found


def deepened(node: Node, number: int, begin: Value, trip: Dim, blanks: set[Value]) -> Node | None:
    """Return an inner loop that writes its tape into row `trip` of the tape of the loop around.

    Result `number` then continues the larger tape `begin`. None if that result is no tape: one
    begins as zeros (`blanks`, as the rows of the larger one do), rows are all that a body writes
    into it, and nothing reads it.
    """
    if not is_loop(node) or operands(node)[constants(node) + number] not in blanks:
        return None
    return _loop_with_written(node, number, begin, lambda index: (trip, *index))


# --- other places of what is written and read -----------------------------------------------------


def with_written(body: Graph, at: int, number: int, type: ArrayType, move: Move) -> Graph | None:
    """Return a body whose tape, from input `at` to output `number`, has another type.

    `move` gives the places of what is written into it. None if something else happens to the tape,
    or something is written where it has no place. What is all of the new tape takes its place.
    """
    inputs = _with(body.inputs, at, type)
    old, new = body.inputs[at], inputs[at]
    nodes: list[Node] = []
    for node in body.nodes:
        if old not in node.inputs:
            nodes.append(node)
            continue
        if node.inputs.count(old) > 1:
            return None
        result = _result_behind(node, old)
        changed = None if result is None else _written(node, result, new, move)
        if result is None or changed is None:
            return None
        old = node.outputs[result]
        if changed.op is update and _is_all(changed.attrs["index"], type):
            new = changed.inputs[1]
        else:
            nodes.append(changed)
            new = changed.outputs[result]
    if old is not body.outputs[number] or body.outputs.count(old) > 1:
        return None
    outputs = (*body.outputs[:number], new, *body.outputs[number + 1 :])
    return replace(body, inputs=inputs, nodes=tuple(nodes), outputs=outputs)


def _loop_with_written(node: Node, number: int, begin: Value, move: Move) -> Node | None:
    at = constants(node) + number
    inside = with_written(node.attrs["body"], at, number, begin.type, move)
    if inside is None:
        return None
    attrs = {**node.attrs, "body": inside}
    if "test" in attrs:
        attrs["test"] = replace(attrs["test"], inputs=_with(attrs["test"].inputs, at, begin.type))
    outer = len(node.inputs) - len(inside.inputs) + at
    inputs = (*node.inputs[:outer], begin, *node.inputs[outer + 1 :])
    return replace(
        node, inputs=inputs, outputs=_with(node.outputs, number, begin.type), attrs=attrs
    )


def _with(values: tuple[Value, ...], at: int, type: ArrayType) -> tuple[Value, ...]:
    return (*values[:at], Value(type, TAPE), *values[at + 1 :])


def _result_behind(node: Node, tape: Value) -> int | None:
    """Return which result of a node continues a tape that it writes, or carries."""
    if node.op is update:
        return 0 if node.inputs[0] is tape else None
    carried = operands(node)[constants(node) :] if is_loop(node) else ()
    return carried.index(tape) if tape in carried else None


def _written(node: Node, result: int, tape: Value, move: Move) -> Node | None:
    if node.op is not update:
        return _loop_with_written(node, result, tape, move)
    index = move(node.attrs["index"])
    if index is None:
        return None
    operands = (tape, node.inputs[1])
    return Node(update, operands, (Value(tape.type, TAPE),), {"index": index}, node.origin)


def _is_all(index: Index, type: ArrayType) -> bool:
    return index == tuple(Slice(0, n, 1) for n in type.shape)


def with_read(body: Graph, at: int, type: ArrayType, move: Move) -> Graph | None:
    """Return a body that reads a tape of another type from input `at`.

    `move` gives the places of what is read. None if something else happens to the tape, or
    something is read that has no place.
    """
    old, new = body.inputs[at], Value(type, TAPE)
    nodes: list[Node] = []
    whole = {old: new}  # what stands for a value that the body no longer computes
    for node in body.nodes:
        changed = _reading(node, old, new, move) if old in node.inputs else node
        if changed is None:
            return None
        if changed.op is getitem and changed is not node and _is_all(changed.attrs["index"], type):
            whole[node.output] = new
        else:
            nodes.append(replace(changed, inputs=tuple(whole.get(v, v) for v in changed.inputs)))
    if old in body.outputs:
        return None
    inputs = (*body.inputs[:at], new, *body.inputs[at + 1 :])
    outputs = tuple(whole.get(v, v) for v in body.outputs)
    return replace(body, inputs=inputs, nodes=tuple(nodes), outputs=outputs)


def _reading(node: Node, old: Value, new: Value, move: Move) -> Node | None:
    if node.op is getitem:
        index = move(node.attrs["index"])
        return None if index is None else replace(node, inputs=(new,), attrs={"index": index})
    if not is_region(node):
        return None
    lead = LEADING[node.op]
    places = [i for i, v in enumerate(node.inputs) if v is old]
    if any(i < lead or (is_loop(node) and i - lead >= constants(node)) for i in places):
        return None
    attrs = dict(node.attrs)
    for name, program in node.attrs.items():
        for i in places if isinstance(program, Graph) else ():
            inner = with_read(attrs[name], i - lead, new.type, move)
            if inner is None:
                return None
            attrs[name] = inner
    inputs = tuple(new if v is old else v for v in node.inputs)
    return replace(node, inputs=inputs, attrs=attrs)
