"""Short branches without a `cond`: both are computed, and a `where` chooses.

Possible where a branch only computes numbers that cannot fail, and writes single elements: these
are written with what they had before where the branch is not taken. Then a loop over elements with
an `if` in it stays a loop that vectorizes. (If-conversion: Allen, Kennedy, Porterfield and Warren,
Conversion of control dependence to data dependence, POPL 1983.) Begin with `is_short`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adgraph.ir.builder import copy_node
from adgraph.ir.code import Expression
from adgraph.ir.graph import Node, Value
from adgraph.ir.op import Kind
from adgraph.ops.elementwise import logical_and, logical_not, logical_or, where
from adgraph.ops.shape import getitem, update
from adgraph.tracing.frames import (
    Frame,
    current,
    known_constant,
    origin,
    read_cell,
    write_cell,
)

# Longer branches are worth a jump. In units of one addition.
LONGEST_BRANCH = 40.0


def is_short(frames: Sequence[Frame], results: Sequence[Value]) -> bool:
    """Tell whether branches may be computed both."""
    numbers = all(not v.type.shape for v in results)
    nodes = [node for frame in frames for node in frame.builder.nodes]
    return numbers and all(map(_is_total, nodes)) and sum(map(_weight, nodes)) <= LONGEST_BRANCH


def _is_total(node: Node) -> bool:
    """Tell whether a node may be computed where the branch is not taken."""
    if node.op is update:
        return not node.types[1].shape
    if len(node.outputs) > 1 or node.output.type.shape:
        return False
    if node.op.kind is Kind.ELEMENTWISE:
        return not node.op.singular
    return node.op.kind in (Kind.CONSTANT, Kind.INDEX, Kind.VIEW)


def _weight(node: Node) -> float:
    if node.op is update:
        return 2.0
    return node.op.code.weight if isinstance(node.op.code, Expression) else 0.0


def merged(
    test: Value, frames: Sequence[Frame], ends: Sequence[Sequence[Value]]
) -> tuple[Value, ...]:
    """Compute both branches where they are; write what they write, return what they choose."""
    (negated,) = _emit(logical_not, test)
    sides = [
        _inlined(frame, predicate, values)
        for frame, predicate, values in zip(frames, (test, negated), ends, strict=True)
    ]
    return tuple(_chosen(test, negated, *pair) for pair in zip(*sides, strict=True))


def _inlined(frame: Frame, predicate: Value, ends: Sequence[Value]) -> list[Value]:
    builder = current()
    env = {v: read_cell(c) for c, v in frame.inputs.items() if c not in frame.literals}
    env.update({inner: builder.capture(outer) for outer, inner in frame.builder.captures.items()})
    for node in frame.builder.nodes:
        if node.op is update:
            env[node.output] = _updated(node, predicate, env)
        else:
            copy_node(builder, node, env)
    for cell, (final, _) in frame.finals.items():
        write_cell(cell, env[final])
    return [env[v] for v in ends]


def _updated(node: Node, predicate: Value, env: dict[Value, Value]) -> Value:
    """Write one element if the predicate is true, else what is there."""
    base, new = (env[v] for v in node.inputs)
    with current().at(node.origin):
        (old,) = _emit(getitem, base, **node.attrs)
        (chosen,) = _emit(where, predicate, new, old)
        return _emit(update, base, chosen, **node.attrs)[0]


def _chosen(test: Value, negated: Value, a: Value, b: Value) -> Value:
    """Return `a if test else b`; between bools that is logic."""
    if a is b:
        return a
    if a.type.dtype.kind == "b":
        then = True if a is test else _known(a)
        orelse = False if b is test else _known(b)
        if then is not None and then is not orelse and orelse is not None:
            return test if then else negated
        if then is not None:
            return _emit(logical_or, test, b)[0] if then else _emit(logical_and, negated, b)[0]
        if orelse is not None:
            return _emit(logical_or, negated, a)[0] if orelse else _emit(logical_and, test, a)[0]
    return _emit(where, test, a, b)[0]


def _known(value: Value) -> bool | None:
    constant = known_constant(value)
    return None if constant is None else bool(constant.array)


def _emit(op: Any, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
    return current().emit(op, operands, attrs, origin())
