"""Look at the elements of a window only: what a mask between two numbers selects.

A slice whose ends are known only when the program runs is a mask (`adgraph.tracing.windows`): every
element of the axis is looked at. Inside a loop, where the windows of all trips together are often
one array (the rows of a sparse matrix), that costs trips times elements. Here the elementwise
operations and gathers under such a mask, up to the folds, additions and writes to which the
elements outside contribute nothing, become a loop over the window. Begin with `narrow`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.code import Fold
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.prune import carries, own_operands, prune
from adgraph.ir.types import Constant
from adgraph.ops.constant import constant, convert
from adgraph.ops.control import between, index
from adgraph.ops.elementwise import (
    add,
    bitwise_and,
    greater_equal,
    less,
    maximum,
    minimum,
    multiply,
    where,
)
from adgraph.ops.indexing import index_add, put, take, wrap_index
from adgraph.ops.reduction import reduce_max, reduce_min, reduce_prod, reduce_sum
from adgraph.ops.shape import add_at, getitem, update
from adgraph.passes.rewrite import Hits, with_regions

STEPS: dict[Op, Op] = {
    reduce_sum: add,
    reduce_prod: multiply,
    reduce_max: maximum,
    reduce_min: minimum,
}
Window = tuple[Value | None, Value | None]  # positions not before the first, before the second
OPEN: Window = (None, None)


def narrow(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace work under masks that are windows, inside loops, by loops over the windows."""
    if all(node.op.kind is not Kind.REGION for node in graph.nodes):
        return graph
    return _narrowed(graph, {}, Counter() if hits is None else hits, inside=False)


def _narrowed(graph: Graph, known: Mapping[Value, _Known], hits: Hits, *, inside: bool) -> Graph:
    """Narrow a program; `known` tells which of its inputs number positions, or are all true."""
    known = dict(known)
    nodes = []
    for node in graph.nodes:
        found = _knowledge(node, known)
        if found is not None:
            known[node.output] = found
        nodes.append(with_regions(node, _Inner(node, known, hits)))
    if tuple(nodes) != graph.nodes:
        graph = replace(graph, nodes=tuple(nodes))
    return _Narrowing(graph, known, hits).run() if inside else graph


@dataclass(frozen=True)
class _Inner:
    """Narrows the programs of a node; what is known of its operands is known of their inputs."""

    node: Node
    known: Mapping[Value, _Known]
    hits: Hits

    def __call__(self, region: Graph) -> Graph:
        node, lead = self.node, own_operands(self.node)
        fixed: int = node.attrs["constants"] if carries(node) else len(region.inputs)
        pairs = zip(region.inputs[:fixed], node.inputs[lead : lead + fixed], strict=True)
        inner = {value: self.known[given] for value, given in pairs if given in self.known}
        return _narrowed(region, inner, self.hits, inside=True)


# --- what is known of arrays ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    """An array of positions 0, 1, ..., or a mask that is true all over a window."""

    positions: bool = False
    window: Window | None = None


def _knowledge(node: Node, known: Mapping[Value, _Known]) -> _Known | None:
    """Tell whether a node numbers positions, or is a window."""
    if node.op is constant:
        array = node.attrs["value"].array
        if array.dtype.kind == "b" and array.all():
            return _Known(window=OPEN)
        ramp = array.ndim == 1 and array.dtype == np.int64 and array.size > 1
        return _Known(positions=True) if ramp and _counts(array) else None
    facts = [known.get(v, _Known()) for v in node.inputs]
    if node.op.kind is Kind.VIEW and facts[0].window == OPEN:
        return facts[0]
    if node.op in (greater_equal, less) and facts[0].positions and not _extended(node.inputs[1]):
        edge = node.inputs[1]
        return _Known(window=(edge, None) if node.op is greater_equal else (None, edge))
    if node.op is bitwise_and and all(fact.window is not None for fact in facts):
        return _meeting([fact.window or OPEN for fact in facts])
    return None


def _counts(array: np.ndarray[Any, Any]) -> bool:
    return bool(array[0] == 0 and (array == np.arange(array.size)).all())


def _extended(value: Value) -> bool:
    return value.type.ndim > 0


def _meeting(windows: list[Window]) -> _Known | None:
    """The window where two windows overlap, if each end is that of one of them."""
    ends: list[Value | None] = []
    for side in (0, 1):
        given = {w[side] for w in windows} - {None}
        if len(given) > 1:
            return None
        ends.append(next(iter(given), None))
    return _Known(window=(ends[0], ends[1]))


# --- one program ----------------------------------------------------------------------------------


class _Narrowing:
    """One program, the masks in it, and its users."""

    def __init__(self, graph: Graph, known: Mapping[Value, _Known], hits: Hits) -> None:
        self.graph = graph
        self.known = known
        self.hits = hits

    def run(self) -> Graph:
        windows = {
            (window, v.type.shape)
            for n in self.graph.nodes
            for v in n.outputs
            if (window := self.known.get(v, _Known()).window) and window != OPEN and v.type.ndim
        }
        order = {v: i for i, n in enumerate(self.graph.nodes) for v in n.outputs}
        for window, shape in sorted(windows, key=lambda w: _rank(w[0], order)):
            if len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 1:
                self.graph = self._without(window, shape[0])
        return self.graph

    def _without(self, window: Window, extent: int) -> Graph:
        """Return the program with what one window selects in a loop, if all of it fits."""
        work = _Work.of(self.graph, self.known, window, extent)
        if work is None:
            return self.graph
        graph = prune(_assembled(self.graph, work))
        rest = {n for n in graph.nodes if n in work.under}
        if rest:
            return self.graph  # some of the masked work is needed elsewhere
        self.hits["window"] += 1
        return graph


def _rank(window: Window, order: Mapping[Value, int]) -> int:
    """Narrow windows first: those with two ends, later ends first."""
    ends = [v for v in window if v is not None]
    return -len(ends) * len(order) - max((order.get(v, 0) for v in ends), default=0)


@dataclass
class _Work:
    """What happens under a window.

    `under` are the nodes whose elements depend on it, `lifted` those computed element by element,
    `sinks` the nodes at which it ends, with the operand that holds the elements.
    """

    window: Window
    extent: int
    known: Mapping[Value, _Known]
    masks: set[Value]
    under: set[Node] = field(default_factory=set)
    lifted: dict[Value, Node] = field(default_factory=dict)
    sinks: dict[Node, Value] = field(default_factory=dict)

    @staticmethod
    def of(
        graph: Graph, known: Mapping[Value, _Known], window: Window, extent: int
    ) -> _Work | None:
        masks = {
            v for n in graph.nodes for v in n.outputs if v in known and known[v].window == window
        }
        work = _Work(window, extent, known, masks)
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
            needed.update(self._elements(node))
        whole = {_changed(n, self) for n in self.sinks if not isinstance(n.op.code, Fold)}
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

    def _elements(self, sink: Node) -> Iterator[Value]:
        """The operands of a sink of which it takes elements, not the array it goes on with."""
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


# --- the program with loops over the window -------------------------------------------------------


def _assembled(graph: Graph, work: _Work) -> Graph:
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


def _groups(graph: Graph, work: _Work) -> list[list[Node]]:
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


def _loop(work: _Work, sinks: tuple[Node, ...]) -> list[Node]:
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


def _outer(work: _Work, sinks: tuple[Node, ...]) -> list[Value]:
    """The values that the loop over a window reads."""
    read = [v for v in work.window if v is not None]
    read += [v for sink in sinks for v in sink.inputs]
    read += [v for node in work.lifted.values() for v in node.inputs]
    return list(dict.fromkeys(v for v in read if v not in work.lifted))


def _ends(work: _Work, builder: Builder, env: Mapping[Value, Value]) -> tuple[Value, Value]:
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


def _start(builder: Builder, sink: Node, env: Mapping[Value, Value], work: _Work) -> Value:
    """What the loop begins with: an empty fold, or the array that is changed."""
    if isinstance(sink.op.code, Fold):
        dtype = sink.output.type.dtype
        start = Constant.of(np.asarray(sink.op.code.start(dtype), dtype))
        return builder.emit(constant, [], {"value": start})[0]
    return env[_changed(sink, work)]


def _changed(sink: Node, work: _Work) -> Value:
    """The array that a sink adds to, or writes."""
    if sink.op is index_add:
        return sink.inputs[0]
    if sink.op is where:
        return sink.inputs[2]
    (other,) = (v for v in sink.inputs if v is not work.sinks[sink])
    return other


class _Body:
    """The program for one position of a window."""

    def __init__(self, work: _Work, sinks: tuple[Node, ...]) -> None:
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
        needed = {v for sink in sinks for v in self.work._elements(sink)}
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
        known = self.work.known.get(value, _Known())
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
