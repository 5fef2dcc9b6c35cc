"""Loops and branches as functions, with the signatures of `jax.lax`.

In a traced function they record what a `for`, a `while` or an `if` would; elsewhere they run as
plain Python and NumPy. State and results are pytrees. Plain statements need none of these: they are
for who prefers functions, and for code that comes from JAX.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.api.function import trace
from adgraph.errors import ShapeError, message
from adgraph.ir.op import type_of
from adgraph.tracing import items, loops
from adgraph.tracing.branches import choice, decided, predicate
from adgraph.tracing.frames import Part, inside, new_region, tracing
from adgraph.tracing.hooks import getitem, rewritten
from adgraph.tracing.numpy_api.creation import filled
from adgraph.tracing.source import Variables
from adgraph.tracing.tree import flatten, unflatten
from adgraph.tracing.whiles import run_while


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return `val` after `val = body_fun(i, val)` for every i from `lower` to `upper - 1`.

    >>> import adgraph
    >>> @adgraph.trace
    ... def power(x, n):
    ...     return adgraph.fori_loop(0, n, lambda i, y: y * x, 1.0)
    >>> fori_loop(0, 10, lambda i, y: y * 2.0, 1.0), power(2.0, 10)
    (1024.0, 1024.0)
    """
    if not tracing():
        value = init_val
        for i in builtins.range(lower, upper):
            value = body_fun(i, value)
        return value
    body = rewritten(body_fun)
    state = Variables.one("val", init_val)
    trips = items.items_of(items.range(lower, upper))
    assert trips is not None
    loops.run(trips, lambda i: state.set((body(i, state.get()[0]),)), state)
    return state.get()[0]


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Return `val` after `val = body_fun(val)` while `cond_fun(val)` is true.

    >>> while_loop(lambda x: x < 100, lambda x: 2 * x, 3)
    192
    """
    if not tracing():
        value = init_val
        while cond_fun(value):
            value = body_fun(value)
        return value
    test, body = rewritten(cond_fun), rewritten(body_fun)
    state = Variables.one("val", init_val)
    run_while(lambda: test(state.get()[0]), lambda: state.set((body(state.get()[0]),)), state)
    return state.get()[0]


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Return `true_fun(*operands)` if `pred` is true, else `false_fun(*operands)`.

    >>> cond(3 > 2, lambda x: x + 1, lambda x: x - 1, 10)
    11
    """
    test = predicate(pred) if tracing() else None
    if test is None:
        chosen = true_fun if decided(pred) else false_fun
        return (rewritten(chosen) if tracing() else chosen)(*operands)
    then, orelse = rewritten(true_fun), rewritten(false_fun)
    return choice(test, lambda: then(*operands), lambda: orelse(*operands))


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Apply `carry, y = f(carry, x)` for the elements of `xs`; return the last carry and all `y`.

    The elements are those along the first axis of every leaf of `xs`, which may be None if
    `length` is given. The results are stacked in the order of `xs`, also where `reverse` goes
    through it from the end.

    >>> scan(lambda total, x: (total + x, total), 0.0, np.array([1.0, 2.0, 4.0]))
    (np.float64(7.0), array([0., 1., 3.]))
    """
    leaves, structure = flatten(xs)
    count = _length(leaves, length)

    empty = isinstance(count, int) and count == 0
    if empty and not tracing():  # only a trace learns the types of results without running
        traced = trace(lambda carry, none: scan(f, carry, none, length, reverse))
        result: tuple[Any, Any] = traced(init, xs)
        return result

    def at(i: Any) -> Any:
        return unflatten(structure, [_blank(x) if empty else getitem(x, i) for x in leaves])

    order = items.Items(0, count, 1, at)
    order = order.reversed() if reverse else order
    return _record_scan(rewritten(f), init, order) if tracing() else _run_scan(f, init, order)


def _length(leaves: list[Any], length: int | None) -> Any:
    """Return the common extent of the first axes."""
    extents = {type_of(leaf).shape[0] if type_of(leaf).shape else 0 for leaf in leaves}
    extents |= set() if length is None else {length}
    if len(extents) != 1:
        raise ShapeError(
            message(
                f"scan: the leading extents {sorted(extents, key=str)} of xs and length= differ"
                if extents
                else "scan was called without xs and without length=",
                "there must be as many elements in every array",
            )
        )
    return extents.pop()


def _run_scan(f: Callable[[Any, Any], Any], carry: Any, order: items.Items) -> tuple[Any, Any]:
    rows, structure = [], flatten(None)[1]
    for x in order:
        carry, y = f(carry, x)
        leaves, structure = flatten(y)
        rows.append(leaves)
    if order.step < 0:
        rows.reverse()
    stacked = [np.stack(column) for column in zip(*rows, strict=True)]
    return carry, unflatten(structure, stacked) if rows else None


def _blank(x: Any) -> Any:
    """Return what has the type of an element of an array without elements."""
    type = type_of(x)
    return filled(type.shape[1:], 0, type.dtype)


def _record_scan(step: Callable[[Any, Any], Any], init: Any, order: items.Items) -> tuple[Any, Any]:
    with inside(new_region(Part.BRANCH)):  # only to learn the types of the results
        leaves, structure = flatten(step(init, order.item(0))[1])
        types = [type_of(leaf) for leaf in leaves]
    stacks = [filled((order.count, *t.shape), 0, t.dtype) for t in types]
    carry = Variables.one("carry", init)

    def trip(position: Any) -> None:
        new, y = step(carry.get()[0], order.at(position))
        for stack, value in zip(stacks, flatten(y)[0], strict=True):
            stack[position] = value
        carry.set((new,))

    loops.run(items.Items(order.first, order.count, order.step, _same), trip, carry)
    return carry.get()[0], unflatten(structure, stacks)


def _same(position: Any) -> Any:
    return position


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return the results of `f` for the elements of `xs`, stacked.

    >>> map(lambda row: row.sum(), np.ones((3, 2)))
    array([2., 2., 2.])
    """
    apply = rewritten(f) if tracing() else f
    return scan(lambda carry, x: (carry, apply(x)), None, xs)[1]
