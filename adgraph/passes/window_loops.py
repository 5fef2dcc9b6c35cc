"""Loops over the window of a mask in place of the work under it.

`assembled` takes a program and the work that a window selects (`adgraph.passes.masking`), and
returns the program with one loop for the sinks that do not depend on each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.code import Fold
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import Constant
from adgraph.ops.constant import constant, convert
from adgraph.ops.control import between, index
from adgraph.ops.elementwise import where
from adgraph.ops.indexing import index_add, take, wrap_index
from adgraph.ops.shape import add_at, getitem, update
from adgraph.passes.masking import OPEN, STEPS, Known, Work, changed


def assembled(graph: Graph, work: Work) -> Graph:
    """Return the program with loops in place of the sinks, in an order that holds."""
    groups = _groups(graph, work)
    items: list[tuple[Node, ...]] = [(n,) for n in graph.nodes if n not in work.sinks]
    items += [tuple(group) for group in groups]
    number = {n: i for i, n in enumerate(graph.nodes)}
    nodes: list[Node] = []
    for item in _ordered(items, number):
        if item[0] in work.sinks:
            nodes += _loop(work, item)
        else:
            nodes += item
    return replace(graph, nodes=tuple(nodes))


def _groups(graph: Graph, work: Work) -> list[list[Node]]:
    """Sinks none of which depends on another can share a loop."""
    behind: dict[Value, frozenset[Node]] = {}
    groups: list[list[Node]] = []
    for node in graph.nodes:
        depends = frozenset[Node]().union(*(behind.get(v, frozenset()) for v in node.inputs))
        if node in work.sinks:
            for group in groups:
                if depends.isdisjoint(group) and not _reached(group, depends, behind):
                    group.append(node)
                    break
            else:
                groups.append([node])
            depends |= {node}
        behind.update((v, depends) for v in node.outputs)
    return groups


def _reached(
    group: list[Node], depends: frozenset[Node], behind: Mapping[Value, frozenset[Node]]
) -> bool:
    """Whether a sink depends on one that in turn depends on a sink of the group."""
    return any(
        not behind[node.outputs[0]].isdisjoint(group) for node in depends if node not in group
    )


def _ordered(
    items: list[tuple[Node, ...]], number: Mapping[Node, int]
) -> Iterator[tuple[Node, ...]]:
    """The items in an order in which operands come first, else that of the program."""
    maker = {v: i for i, item in enumerate(items) for n in item for v in n.outputs}
    waits: list[set[int]] = []
    readers: dict[int, set[int]] = {}
    for i, item in enumerate(items):
        needs = {maker[v] for n in item for v in n.inputs if v in maker} - {i}
        waits.append(needs)
        for other in needs:
            readers.setdefault(other, set()).add(i)
    ready = [(max(map(number.__getitem__, items[i])), i) for i, w in enumerate(waits) if not w]
    heapq.heapify(ready)
    while ready:
        i = heapq.heappop(ready)[1]
        yield items[i]
        for other in readers.get(i, ()):
            waits[other].discard(i)
            if not waits[other]:
                heapq.heappush(ready, (max(map(number.__getitem__, items[other])), other))


def _loop(work: Work, sinks: tuple[Node, ...]) -> list[Node]:
    """The loop over a window that does what some sinks do."""
    outside = Builder()
    origin = sinks[0].origin
    given = [outside.input(v.type, v.name) for v in _outer(work, sinks)]
    env = dict(zip(_outer(work, sinks), given, strict=True))
    with outside.at(origin):
        ends = _ends(work, outside, env)
        starts = [_start(outside, sink, env, work) for sink in sinks]
        body = _Body(work, sinks)
        read = [env[v] for v in body.constants]
        attrs = {
            "body": body.graph,
            "symbol": body.symbol,
            "constants": len(read),
            "capacity": work.extent,
        }
        results = outside.emit(between, [*ends, *read, *starts], attrs)
    back = {inner: outer for outer, inner in env.items()}
    back.update(zip(results, (s.output for s in sinks), strict=True))
    return [
        replace(
            node,
            inputs=tuple(back.get(v, v) for v in node.inputs),
            outputs=tuple(back.get(v, v) for v in node.outputs),
        )
        for node in outside.nodes
    ]


def _outer(work: Work, sinks: tuple[Node, ...]) -> list[Value]:
    """The values that the loop over a window reads."""
    read = [v for v in work.window if v is not None]
    read += [v for sink in sinks for v in sink.inputs]
    read += [v for node in work.lifted.values() for v in node.inputs]
    return list(dict.fromkeys(v for v in read if v not in work.lifted))


def _ends(work: Work, builder: Builder, env: Mapping[Value, Value]) -> tuple[Value, Value]:
    """The first position of a window, and the one behind its last."""
    low, high = work.window
    first = _number(builder, 0) if low is None else _position(builder, env[low])
    last = _number(builder, work.extent) if high is None else _position(builder, env[high])
    return first, last


def _number(builder: Builder, number: int) -> Value:
    (value,) = builder.emit(constant, [], {"value": Constant.of(np.int64(number))})
    return value


def _position(builder: Builder, value: Value) -> Value:
    if value.type.dtype == np.int64:
        return value
    return builder.emit(convert, [value], {"dtype": np.dtype(np.int64)})[0]


def _start(builder: Builder, sink: Node, env: Mapping[Value, Value], work: Work) -> Value:
    """What the loop begins with: an empty fold, or the array that is changed."""
    if isinstance(sink.op.code, Fold):
        dtype = sink.output.type.dtype
        start = Constant.of(np.asarray(sink.op.code.start(dtype), dtype))
        return builder.emit(constant, [], {"value": start})[0]
    return env[changed(sink, work)]


class _Body:
    """The program for one position of a window."""

    def __init__(self, work: Work, sinks: tuple[Node, ...]) -> None:
        self.work = work
        self.symbol = Symbol("p", 0, work.extent - 1)
        self.builder = Builder()
        self.constants: list[Value] = []
        self._inner: dict[Value, Value] = {}
        self._known: dict[Value, Value] = {}
        self.place = {"index": (symbol_dim(self.symbol),)}
        needed = self._needed(sinks)
        for value, node in work.lifted.items():
            if value in needed:
                with self.builder.at(node.origin):
                    self._known[value] = self._lifted(node)
        carried = [Value(s.output.type) for s in sinks]
        outputs = []
        for sink, before in zip(sinks, carried, strict=True):
            self.builder._owned.add(before)
            with self.builder.at(sink.origin):
                outputs.append(self._step(sink, before))
        graph = self.builder.build(outputs, "window")
        self.graph = replace(graph, inputs=(*graph.inputs, *carried))

    def _needed(self, sinks: tuple[Node, ...]) -> set[Value]:
        needed = {v for sink in sinks for v in self.work.elements(sink)}
        for value, node in reversed(self.work.lifted.items()):
            if value in needed:
                needed.update(node.inputs)
        return needed

    def _outer(self, value: Value) -> Value:
        """A value from outside the loop, as an input."""
        if value not in self._inner:
            self._inner[value] = self.builder.input(value.type, value.name)
            self.constants.append(value)
        return self._inner[value]

    def _element(self, value: Value) -> Value:
        """The element of an array at the position under way; of one element, that one."""
        if value in self._known:
            return self._known[value]
        known = self.work.known.get(value, Known())
        if value.type.ndim == 0:
            return self._outer(value)
        if known.positions:
            (found,) = self.builder.emit(index, [], {"dim": symbol_dim(self.symbol)})
        elif known.window == OPEN:
            found = self._true()
        elif value.type.shape == (1,):
            (found,) = self.builder.emit(getitem, [self._outer(value)], {"index": (0,)})
        else:
            (found,) = self.builder.emit(getitem, [self._outer(value)], self.place)
        self._known[value] = found
        return found

    def _true(self) -> Value:
        return self.builder.emit(constant, [], {"value": Constant.of(np.True_)})[0]

    def _lifted(self, node: Node) -> Value:
        if node.output in self.work.masks:
            return self._true()
        if node.op is where and node.inputs[0] in self.work.masks:
            return self._element(node.inputs[1])
        if node.op is wrap_index:
            return self._element(node.inputs[0])
        if node.op is take:
            operands = [self._outer(node.inputs[0]), self._element(node.inputs[1])]
        else:
            operands = [self._element(v) for v in node.inputs]
        return self.builder.emit(node.op, operands, node.attrs)[0]

    def _step(self, sink: Node, before: Value) -> Value:
        element = self._element(self.work.sinks[sink])
        emit = self.builder.emit
        if sink.op in STEPS:
            return emit(STEPS[sink.op], [before, element], {})[0]
        if sink.op is index_add:
            at = self._element(sink.inputs[2])
            return emit(index_add, [before, element, at], {"axis": 0})[0]
        if sink.op is where:
            return emit(update, [before, element], self.place)[0]
        return emit(add_at, [before, element], self.place)[0]
