"""What happens under a mask that is a window: which nodes, computed where, and where it ends.

`Work.of` follows a mask through a program: the elementwise work under it, up to the sinks: folds,
additions and writes to which the elements outside the window contribute nothing. It decides whether
all of that fits into a loop over the window (`adgraph.passes.window_loops`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adgraph.ir.code import Fold
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ops.elementwise import add, maximum, minimum, multiply, where
from adgraph.ops.indexing import index_add, put, take, wrap_index
from adgraph.ops.reduction import reduce_max, reduce_min, reduce_prod, reduce_sum

STEPS: dict[Op, Op] = {
    reduce_sum: add,
    reduce_prod: multiply,
    reduce_max: maximum,
    reduce_min: minimum,
}
Window = tuple[Value | None, Value | None]  # positions not before the first, before the second
OPEN: Window = (None, None)


@dataclass(frozen=True)
class Known:
    """An array of positions 0, 1, ..., or a mask that is true all over a window."""

    positions: bool = False
    window: Window | None = None


@dataclass
class Work:
    """What happens under a window.

    `under` are the nodes whose elements depend on it, `lifted` those computed element by element,
    `sinks` the nodes at which it ends, with the operand that holds the elements.
    """

    window: Window
    extent: int
    known: Mapping[Value, Known]
    masks: set[Value]
    under: set[Node] = field(default_factory=set)
    lifted: dict[Value, Node] = field(default_factory=dict)
    sinks: dict[Node, Value] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph, known: Mapping[Value, Known], window: Window, extent: int) -> Work | None:
        """Return the work under a window, if there is any and all of it fits into a loop."""
        masks = {
            v for n in graph.nodes for v in n.outputs if v in known and known[v].window == window
        }
        work = Work(window, extent, known, masks)
        work._look(graph)
        return work if work.sinks and work._fits(graph) else None

    def _look(self, graph: Graph) -> None:
        """Follow what the masks leave outside the window, up to where it has no effect."""
        outside: dict[Value, Any] = dict.fromkeys(self.masks, np.False_)
        touched = set(self.masks)
        for node in graph.nodes:
            if node.op.kind is Kind.CONSTANT and node.attrs["value"].fill is not None:
                outside[node.output] = node.attrs["value"].fill
            elif node.op.kind is Kind.VIEW and node.inputs[0] in outside:
                if node.inputs[0] not in touched:
                    outside[node.output] = outside[node.inputs[0]]
            if touched.isdisjoint(node.inputs):
                if self.masks.issuperset(node.outputs):
                    self.under.add(node)
                    self.lifted[node.output] = node
                continue
            if self._ends(node, outside, touched):
                continue
            self.under.add(node)
            touched.update(node.outputs)
            self.lifted[node.outputs[0]] = node
            rest = self._outside(node, outside)
            if rest is not None:
                outside[node.output] = rest

    def _outside(self, node: Node, outside: Mapping[Value, Any]) -> Any:
        """What every element outside the window is, if that is one value known now."""
        if node.op is where and node.inputs[0] in self.masks:
            return outside.get(node.inputs[2])
        if node.op.kind is not Kind.ELEMENTWISE or not all(v in outside for v in node.inputs):
            return None
        with np.errstate(all="ignore"):
            operands = [np.asarray(outside[v], v.type.dtype) for v in node.inputs]
            return np.asarray(node.op.evaluate(*operands, **node.attrs))[()]

    def _ends(self, node: Node, outside: Mapping[Value, Any], touched: set[Value]) -> bool:
        """Note a node to which only the elements in the window contribute."""
        operand: Value | None = None
        values = [v for v in node.inputs if v in touched]
        if node.op in STEPS and isinstance(node.op.code, Fold):
            start = node.op.code.start(node.output.type.dtype)
            if _same(outside.get(node.inputs[0]), start) and node.inputs[0].type.ndim == 1:
                operand = node.inputs[0]
        elif node.op is index_add and node.inputs[0] not in touched:
            flat = node.inputs[0].type.ndim == 1 and node.inputs[2].type.shape == (self.extent,)
            if flat and _same(outside.get(node.inputs[1]), 0):
                operand = node.inputs[1]
        elif node.op is add and len(values) == 1 and _same(outside.get(values[0]), 0):
            others = [v for v in node.inputs if v is not values[0]]
            if others and all(v.type == node.output.type for v in node.inputs):
                operand = values[0]
        elif node.op is where and node.inputs[0] in self.masks and node.inputs[2] not in touched:
            if node.inputs[2] not in outside and node.inputs[2].type == node.output.type:
                operand = node.inputs[1]
        if operand is None:
            return False
        self.sinks[node] = operand
        return True

    def _fits(self, graph: Graph) -> bool:
        """Keep of the lifted nodes what the sinks need, and of others what they alone need."""
        users: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                users.setdefault(value, []).append(node)
        needed: set[Value] = set()
        for node in self.sinks:
            needed.update(self.elements(node))
        whole = {changed(n, self) for n in self.sinks if not isinstance(n.op.code, Fold)}
        kept: dict[Value, Node] = {}
        inside = set(self.sinks)
        for node in reversed(graph.nodes):
            value = node.outputs[0]
            if len(node.outputs) > 1 or value not in needed or node in self.sinks:
                continue
            must = value in self.lifted
            alone = value not in graph.outputs and all(u in inside for u in users[value])
            if not (must or (alone and node.op.kind is Kind.ELEMENTWISE)):
                continue
            if value in whole or not self._liftable(node, users[value], inside):
                if must:
                    return False
                continue
            kept[value] = node
            inside.add(node)
            needed.update(node.inputs)
        self.lifted = dict(reversed(kept.items()))
        return True

    def elements(self, sink: Node) -> Iterator[Value]:
        """Return the operands of which a sink takes elements, not the array it goes on with."""
        yield self.sinks[sink]
        if sink.op is index_add:
            yield sink.inputs[2]

    def _liftable(self, node: Node, users: Iterable[Node], inside: set[Node]) -> bool:
        if node.output.type.shape != (self.extent,):
            return False
        if node.op is take:
            return node.inputs[0].type.ndim == 1 and node.inputs[0] not in self.lifted
        if node.op is wrap_index:
            gathers = (take, index_add, put)
            extent = node.attrs["extent"]
            return all(
                u in inside and u.op in gathers and u.inputs[0].type.shape[0] == extent
                for u in users
            )
        return node.op.kind is Kind.ELEMENTWISE


def _same(a: Any, b: Any) -> bool:
    return a is not None and bool(a == b)


def changed(sink: Node, work: Work) -> Value:
    """Return the array that a sink adds to, or writes."""
    if sink.op is index_add:
        return sink.inputs[0]
    if sink.op is where:
        return sink.inputs[2]
    (other,) = (v for v in sink.inputs if v is not work.sinks[sink])
    return other
