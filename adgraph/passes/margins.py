"""Zeros around what a loop puts into an array, written once and not in every trip.

`place` fills an array with zeros and writes a box of it. A loop that does so in every trip carries
the array from now on, starts it with zeros, and writes the box only. Arrays of one kind that follow
each other in a trip are one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from adgraph.ir.code import Control
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.substitute import symbols_of
from adgraph.ir.types import ArrayType, Constant, Slice
from adgraph.ops.constant import constant
from adgraph.ops.shape import broadcast, getitem, place, update
from adgraph.passes.boxes import relative
from adgraph.passes.rewrite import Hits

FEWEST_TRIPS = 4  # filling an array costs more than filling its margins
SMALLEST = 64  # elements of an array that is worth carrying


def margins(graph: Graph, hits: Hits | None = None) -> Graph:
    """Let the loops of a program carry what they place."""
    hits = Counter() if hits is None else hits
    nodes: list[Node] = []
    for node in graph.nodes:
        found = list(_chains(node.attrs["body"])) if _repeats(node) else []
        hits["margin written once"] += len(found)
        nodes += _carrying(node, found) if found else [node]
    return graph if tuple(nodes) == graph.nodes else replace(graph, nodes=tuple(nodes))


def _repeats(node: Node) -> bool:
    if not isinstance(node.op.code, Control) or node.op.code.form not in ("loop", "counted"):
        return False
    trips = node.attrs.get("trips", FEWEST_TRIPS)
    return not isinstance(trips, int) or trips >= FEWEST_TRIPS


# --- what can be carried --------------------------------------------------------------------------


def _chains(body: Graph) -> Iterator[tuple[Node, ...]]:
    """Iterate over what can be one carried array: nodes that place a box at one position.

    Each computes what it places from what was read of the one before.
    """
    uses = _Uses(body)
    chains: list[list[Node]] = []
    for node in body.nodes:
        if not _is_margin(node) or not uses.reads_only(uses.written(node)):
            continue
        chain = next((c for c in chains if _alike(c[-1], node) and uses.over(c[-1], node)), None)
        if chain is None:
            chains.append([node])
        else:
            chain.append(node)
    yield from map(tuple, chains)


def _is_margin(node: Node) -> bool:
    """Tell whether a node places a box, most of an array and the same one in every trip."""
    if node.op is not place or symbols_of(node):
        return False
    index, shape = node.attrs["index"], node.attrs["shape"]
    box = math.prod(int(i.size) for i in index if isinstance(i, Slice))
    size = math.prod(map(int, shape))
    return size >= SMALLEST and 2 * box > size


def _within(placed: Node, reader: Node) -> bool:
    """Tell whether a node looks at elements in the box that was placed."""
    return (
        reader.op is getitem
        and not symbols_of(reader)
        and relative(placed.attrs["index"], reader.attrs["index"]) is not None
    )


def _alike(a: Node, b: Node) -> bool:
    return a.attrs == b.attrs and a.output.type == b.output.type


class _Uses:
    """Who reads the values of a body, and on which nodes each depends (bit i is node i)."""

    def __init__(self, body: Graph) -> None:
        self._readers: dict[Value, list[Node]] = {}
        self._needs: dict[Value, int] = {}
        self._number = {node: i for i, node in enumerate(body.nodes)}
        self._returned = set(body.outputs)
        for i, node in enumerate(body.nodes):
            needs = 1 << i
            for value in node.inputs:
                self._readers.setdefault(value, []).append(node)
                needs |= self._needs.get(value, 0)
            self._needs.update(dict.fromkeys(node.outputs, needs))

    def reads_only(self, value: Value) -> bool:
        """Tell whether a value is read by nests only: nothing takes over its array."""
        kinds = (Kind.ELEMENTWISE, Kind.REDUCTION)
        return value not in self._returned and all(
            self.reads_only(n.output) if n.op.kind is Kind.VIEW else n.op.kind in kinds
            for n in self._readers.get(value, ())
        )

    def written(self, node: Node) -> Value:
        """Return an array that is placed after the writes into it that come before other reads.

        They write the same boxes in every trip. What they write may be read of the array itself,
        where it was placed.
        """
        value = node.output
        while value not in self._returned:
            readers = self._readers.get(value, [])
            writers = [n for n in readers if n.op is update and n.inputs[0] is value]
            inside = all(n in writers or _within(node, n) for n in readers)
            if len(writers) != 1 or not inside or symbols_of(writers[0]):
                break
            value = writers[0].output
        return value

    def over(self, before: Node, after: Node) -> bool:
        """Tell whether a node depends on all that is computed from the result of another one."""
        needed = self._needs.get(after.inputs[0], 0)
        return all(needed >> self._number[n] & 1 for n in self._nests(self.written(before)))

    def _nests(self, value: Value) -> Iterator[Node]:
        for node in self._readers.get(value, ()):
            if node.op.kind is Kind.VIEW:
                yield from self._nests(node.output)
            else:
                yield node


# --- the loop that carries them -------------------------------------------------------------------


@dataclass(frozen=True)
class _Carried:
    """An array on its way through the body: what the loop is given, what it gives back."""

    start: Value
    entry: Value
    end: Value


def _carrying(node: Node, chains: list[tuple[Node, ...]]) -> list[Node]:
    """Return the loop with arrays that it carries, behind the zeros that they start with."""
    nodes: list[Node] = []
    body: Graph = node.attrs["body"]
    uses = _Uses(body)
    replaced: dict[Node, Node] = {}
    carried = []
    for chain in chains:
        type = chain[0].output.type
        nodes += (zeros := _zeros(type, chain[0]))
        entry = last = Value(type)
        for placed in chain:
            box = {"index": placed.attrs["index"]}
            replaced[placed] = Node(
                update, (last, *placed.inputs), placed.outputs, box, placed.origin
            )
            last = uses.written(placed)
        carried.append(_Carried(zeros[-1].output, entry, last))
    inner = replace(
        body,
        inputs=(*body.inputs, *(c.entry for c in carried)),
        nodes=tuple(replaced.get(n, n) for n in body.nodes),
        outputs=(*body.outputs, *(c.end for c in carried)),
    )
    inputs = (*node.inputs, *(c.start for c in carried))
    outputs = (*node.outputs, *(Value(c.end.type) for c in carried))
    attrs = {**node.attrs, "body": inner}
    return [*nodes, replace(node, inputs=inputs, outputs=outputs, attrs=attrs)]


def _zeros(type: ArrayType, node: Node) -> list[Node]:
    """Return the nodes that fill an array with zeros."""
    element = type.with_shape((1,) * type.ndim)
    one, all_of_it = Value(element), Value(type)
    value = Constant.of(np.zeros(element.shape, type.dtype))
    return [
        Node(constant, (), (one,), {"value": value}, node.origin),
        Node(broadcast, (one,), (all_of_it,), {"shape": type.shape}, node.origin),
    ]
