"""Rules of algebraic passes, and what they see of a program.

A `Rule` looks at one application of an op (a `Site`) and at what made its operands, and returns
tracers that compute the same, or None. `adgraph.passes.rewrite` applies tables of them. Begin with
`Rule` and `Site`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.graph import Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType
from adgraph.tracing.frames import current
from adgraph.tracing.tracer import as_tracer, read, tracer

Key = Op | Kind | np.ufunc
Producer = Callable[[Value], Node | None]
Reader = tuple[Op | None, int]  # an op and the position of its operand; None is an output


@dataclass(frozen=True)
class Rule:
    """A rewrite of nodes of one of the ops (or ufuncs, or kinds) in `on`.

    `apply(site)` returns what replaces the site's result, or None. `accepted` says how the values
    may differ from the original's, if they are not bitwise the same. If there are keys in `behind`,
    the rule can apply only where one of them makes an operand; with `arrays` only where the result
    is no scalar.
    """

    name: str
    on: tuple[Key, ...]
    apply: Callable[[Site], Any]
    accepted: str = ""
    behind: tuple[Key, ...] = ()
    arrays: bool = False


class Surroundings:
    """What a walk knows around a site: what makes a value, and what reads it in the old graph.

    `asked` tells whether a rule wanted to know about readers. What it found then may change
    although the site and all that it is computed from stay the same.
    """

    def __init__(
        self, builder: Builder, inside: bool, readers: dict[Value, tuple[Reader, ...]]
    ) -> None:
        self.producer = builder.producer
        self.inside = inside
        self.asked = False
        self._readers = readers

    def enter(self, value: Value, more: tuple[Reader, ...]) -> None:
        """Add readers of a value."""
        known = self._readers.get(value)
        self._readers[value] = known + more if known else more

    def readers(self, value: Value) -> tuple[Reader, ...]:
        """Return the readers of a value; of a node that a rule has just made none are known."""
        return self._readers.get(value, ())

    def __contains__(self, value: Value) -> bool:
        return value in self._readers


class Site:
    """One application of an op: its operands are tracers of the graph being rebuilt."""

    __slots__ = ("_readers", "args", "around", "attrs", "op", "type")

    def __init__(
        self,
        op: Op,
        args: tuple[Any, ...],
        attrs: Mapping[str, Any],
        type: ArrayType,
        readers: tuple[Reader, ...],
        around: Surroundings,
    ) -> None:
        self.op = op
        self.args = args
        self.attrs = attrs
        self.type = type
        self.around = around
        self._readers = readers

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Those that read the result in the old graph."""
        self.around.asked = True
        return self._readers

    @property
    def inside(self) -> bool:
        """Whether the program is one inside a node."""
        return self.around.inside

    def made(self, x: Any, *keys: Key) -> Site | None:
        """Return the site that computes `x` if its op is one of `keys`."""
        value = _value(x)
        node = self.around.producer(value)
        if node is None or not is_one_of(node.op, keys) or len(node.outputs) > 1:
            return None
        return site_of(node, self.around.readers(value), self.around)

    def with_args(self, args: tuple[Any, ...]) -> Site:
        """Return the application of the op to other operands, seen by the same readers."""
        return Site(self.op, args, self.attrs, self.type, self._readers, self.around)

    def fitted(self, x: Any) -> Any:
        """Broadcast `x` to the site's shape; None if it does not have the site's dtype."""
        if x.dtype != self.type.dtype:
            return None
        return x if x.shape == self.type.shape else np.broadcast_to(x, self.type.shape)

    def filled(self, value: Any) -> Any:
        """Return the site's type filled with one number."""
        return np.broadcast_to(self.number(value), self.type.shape)

    def number(self, value: Any) -> Any:
        """Return a number as a constant of the site's dtype."""
        return as_tracer(np.asarray(value, self.type.dtype))


def site_of(node: Node, readers: tuple[Reader, ...], around: Surroundings) -> Site:
    """Return the site that a node is."""
    args = tuple(map(tracer, node.inputs))
    return Site(node.op, args, node.attrs, node.output.type, readers, around)


LITERAL: tuple[Key, ...] = (Kind.CONSTANT, Kind.VIEW)  # what may make a literal


def is_one_of(op: Op, keys: tuple[Key, ...]) -> bool:
    """Tell whether an op is one of the ops, kinds or ufuncs in `keys`."""
    return op in keys or op.kind in keys or (op.numpy is not None and op.numpy in keys)


def _value(x: Any) -> Value:
    """Read a tracer; most have no path of views to follow."""
    return read(x) if x.path else x.cell.value


def same(a: Any, b: Any) -> bool:
    """Tell whether two tracers are one value."""
    return _value(a) is _value(b)


def literal(x: Any) -> Any:
    """Return the number that every element of `x` is known to be, or None."""
    node = current().producer(_value(x))
    while node is not None and node.op.kind is Kind.VIEW and not empty(node.output.type):
        node = current().producer(node.inputs[0])
    if node is None or node.op.kind is not Kind.CONSTANT:
        return None
    return node.attrs["value"].fill


def empty(type: ArrayType) -> bool:
    """Tell whether a type is known to have no elements; what it holds is then nobody's business."""
    return not type.ragged and type.size == 0


def equals(x: Any, number: float) -> bool:
    """Tell whether every element of `x` is known to equal a number."""
    known = literal(x)
    return known is not None and bool(known == number)
