"""Loops and branches over a batch: an axis in front of what they carry.

What is carried gets the axis if it does in any trip: found by iteration. Where the elements of a
batch disagree on whether to go on, all go on, and those that are done keep what they carry; where
they disagree on a branch, both run and each element takes its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.analysis.programs import LEADING, branches, constants
from adgraph.ir.builder import inline
from adgraph.ir.dims import symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import ArrayType
from adgraph.ops.control import cond, counted, index, while_
from adgraph.tracing.frames import building, current
from adgraph.tracing.tracer import read, tracer
from adgraph.transforms.batch import batch_some
from adgraph.transforms.regions import Arrays, Flags


def batch_loop(node: Node, args: Arrays, batched: Flags, size: int) -> tuple[Arrays, Flags]:
    """Emit a loop over arguments with a batch axis; all of its results may get one."""
    lead, first = LEADING[node.op], constants(node)
    flags = list(batched[lead:])
    if any(batched[:lead]) or _test_batched(node, flags, size):
        flags[first:] = [True] * len(flags[first:])
        return _batch_unequal(node, args, batched, flags, size)
    body, flags = _batched_body(node, flags, size)
    given = [
        _given(x, b, f, size) for x, b, f in zip(args[lead:], batched[lead:], flags, strict=True)
    ]
    changes: dict[str, Any] = {"body": body}
    if node.op is while_:
        changes["test"] = batch_some(node.attrs["test"], size, flags, (False,))[0]
    results = node.op(*args[:lead], *given, **{**node.attrs, **changes})
    return results if isinstance(results, tuple) else (results,), tuple(flags[first:])


def _given(x: Any, has: bool, needs: bool, size: int) -> Any:
    """Give an argument the batch axis if it needs one."""
    return np.broadcast_to(x, (size, *x.shape)) if needs and not has else x


def _batched_body(node: Node, flags: list[bool], size: int) -> tuple[Graph, list[bool]]:
    """Batch a body until what leaves a trip has the axis of what enters the next."""
    first = constants(node)
    while True:
        body, found = batch_some(node.attrs["body"], size, flags, flags[first:])
        if list(found) == flags[first:]:
            return body, flags
        flags = [*flags[:first], *found]


def _test_batched(node: Node, flags: list[bool], size: int) -> bool:
    if node.op is not while_:
        return False
    _, flags = _batched_body(node, flags, size)
    _, found = batch_some(node.attrs["test"], size, flags, (False,))
    return found[0]


# --- trips that differ ----------------------------------------------------------------------------


def _batch_unequal(
    node: Node, args: Arrays, batched: Flags, flags: list[bool], size: int
) -> tuple[Arrays, Flags]:
    """Emit a loop that runs as long as any element of the batch does."""
    lead, first = LEADING[node.op], constants(node)
    body, _ = batch_some(node.attrs["body"], size, flags, flags[first:])
    given = [
        _given(x, b, f, size) for x, b, f in zip(args[lead:], batched[lead:], flags, strict=True)
    ]
    if node.op is while_:
        test, _ = batch_some(node.attrs["test"], size, flags, (True,))
        changes: dict[str, Any] = {"body": _while_going(body, test, first), "test": _any(test)}
        operands = given
    else:
        (trips,) = args[:lead]
        changes = {"body": _while_counting(node, body, size), "constants": first + 1}
        operands = [np.max(trips), trips, *given]
    results = node.op(*operands, **{**node.attrs, **changes})
    results = results if isinstance(results, tuple) else (results,)
    return results, (True,) * len(results)


def _any(test: Graph) -> Graph:
    with building() as builder:
        inputs = [builder.input(v.type, v.name) for v in test.inputs]
        (going,) = inline(builder, test, inputs)
        some: Any = np.any(tracer(going))
        return builder.build([read(some)], test.name)


def _while_going(body: Graph, test: Graph, first: int) -> Graph:
    """Return a body in which an element whose test fails keeps what it carries."""
    with building() as builder:
        inputs = [builder.input(v.type, v.name) for v in body.inputs]
        (going,) = inline(builder, test, inputs)
        new = inline(builder, body, inputs)
        return builder.build(_selected(going, new, inputs[first:]), body.name)


def _while_counting(node: Node, body: Graph, size: int) -> Graph:
    """Return a body, its first input the trips of each element, that stops those that are done."""
    assert node.op is counted
    with building() as builder:
        trips = builder.input(ArrayType(np.dtype(np.int64), (size,)))
        inputs = [builder.input(v.type, v.name) for v in body.inputs]
        (number,) = builder.emit(index, [], {"dim": symbol_dim(node.attrs["symbol"])})
        left: Any = np.less(tracer(number), tracer(trips))
        going = read(left)
        new = inline(builder, body, inputs)
        return builder.build(_selected(going, new, inputs[constants(node) :]), body.name)


def _selected(going: Value, new: Sequence[Value], old: Sequence[Value]) -> list[Value]:
    return [
        read(select(tracer(going), tracer(n), tracer(o))) for n, o in zip(new, old, strict=True)
    ]


def select(flags: Any, first: Any, second: Any) -> Any:
    """Choose between two batches, element by element of the batch."""
    shape = (*flags.shape, *(1,) * (first.ndim - 1))
    return np.where(np.reshape(flags, shape), first, second)


# --- branches -------------------------------------------------------------------------------------


def batch_cond(node: Node, args: Arrays, batched: Flags, size: int) -> tuple[Arrays, Flags]:
    """Emit a branch over arguments with a batch axis."""
    predicate, *operands = args
    if batched[0]:
        return _both(node, predicate, operands, batched[1:], size)
    none = (False,) * len(node.outputs)
    wanted = [
        any(both)
        for both in zip(
            *(batch_some(branch, size, batched[1:], none)[1] for branch in branches(node)),
            strict=True,
        )
    ]
    then, orelse = (batch_some(b, size, batched[1:], wanted)[0] for b in branches(node))
    results = cond(predicate, *operands, then=then, orelse=orelse)
    return results if isinstance(results, tuple) else (results,), tuple(wanted)


def _both(
    node: Node, predicate: Any, operands: Sequence[Any], batched: Flags, size: int
) -> tuple[Arrays, Flags]:
    """Run both branches and choose for each element of the batch."""
    wanted = (True,) * len(node.outputs)
    inputs = [read(x) for x in operands]
    graphs = (batch_some(branch, size, batched, wanted)[0] for branch in branches(node))
    first, second = (inline(current(), graph, inputs) for graph in graphs)
    pairs = zip(first, second, strict=True)
    return tuple(select(predicate, tracer(a), tracer(b)) for a, b in pairs), wanted
