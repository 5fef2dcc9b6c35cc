"""Arrays that are rolled in several ways are copied once, with margins that hold the far ends.

`np.roll(u, 1)` is a concatenation of two slices of `u`. Several of them, by a few positions along
one axis each, become views of one copy of `u` in the middle of a larger array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from adgraph.ir.code import Control
from adgraph.ir.graph import Graph, Node, Origin, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import prune
from adgraph.ir.types import ArrayType, Index, Shape, Slice
from adgraph.ops.shape import concatenate, getitem, place, update
from adgraph.passes.rewrite import Hits, with_regions

FEWEST = 2  # rolls of one array
SMALLEST = 256  # elements of an array
NARROW = 4  # how often a shift fits into the extent at least


@dataclass(frozen=True)
class _Roll:
    """A node that moves all elements of an array by `shift` positions along an axis, around."""

    node: Node
    source: Value
    axis: int
    shift: int


def wraps(graph: Graph, hits: Hits | None = None) -> Graph:
    """Copy rolled arrays once, in all programs."""
    hits = Counter() if hits is None else hits
    framed = [_framed(node, hits) for node in graph.nodes]
    nodes = tuple(
        with_regions(n, lambda region: wraps(region, hits)) for part in framed for n in part
    )
    wrapped: dict[Node, list[Node]] = {}
    for rolls in _groups(nodes).values():
        hits["rolls of one array"] += 1
        wrapped.update(_wrapped(rolls))
    if not wrapped:
        return graph if nodes == graph.nodes else replace(graph, nodes=nodes)
    new = tuple(n for node in nodes for n in wrapped.get(node, [node]))
    return prune(replace(graph, nodes=new))


def _groups(nodes: tuple[Node, ...]) -> dict[Value, list[_Roll]]:
    """Return the arrays that are rolled several times, with their rolls."""
    groups: dict[Value, list[_Roll]] = {}
    for roll in _rolls(nodes):
        groups.setdefault(roll.source, []).append(roll)
    return {source: rolls for source, rolls in groups.items() if len(rolls) >= FEWEST}


def _rolls(nodes: tuple[Node, ...]) -> Iterator[_Roll]:
    slices = {n.output: n for n in nodes if n.op is getitem}
    for node in nodes:
        if node.op is not concatenate or len(node.inputs) != 2 or node.output.type.ragged:
            continue
        if any(v not in slices for v in node.inputs):
            continue
        first, second = (slices[v] for v in node.inputs)
        shift = _shift(first, second, node.attrs["axis"])
        if shift is not None and node.output.type.size >= SMALLEST:
            yield _Roll(node, first.inputs[0], node.attrs["axis"], shift)


def _shift(first: Node, second: Node, axis: int) -> int | None:
    """Return by how much the end of an array in front of its beginning rolls it, if it is short."""
    (source,) = first.inputs
    shape = source.type.shape
    if second.inputs[0] is not source or source.type.ragged:
        return None
    cut = second.attrs["index"][axis]
    if not isinstance(cut, Slice) or not isinstance(cut.size, int):
        return None
    n, ends = shape[axis], shape[axis] - cut.size
    if first.attrs["index"] != _box(shape, axis, cut.size, ends):
        return None
    if second.attrs["index"] != _box(shape, axis, 0, cut.size):
        return None
    shift = ends if 2 * ends <= n else ends - n
    return shift if NARROW * abs(shift) <= n else None


def _box(shape: Shape, axis: int, start: int, size: int) -> Index:
    """Return the index of positions of one axis."""
    sides = [Slice(0, n, 1) for n in shape]
    sides[axis] = Slice(start, size, 1)
    return tuple(sides)


# --- the copy with margins ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Frame:
    """The place of an array in its copy, and the shape of that: margins hold the far ends."""

    low: Shape
    shape: Shape
    high: Shape

    @staticmethod
    def around(rolls: list[_Roll]) -> _Frame:
        """Return a frame that is wide enough for some rolls of one array."""
        shape = rolls[0].source.type.shape
        axes = range(len(shape))
        forth = (max((r.shift for r in rolls if r.axis == a), default=0) for a in axes)
        back = (max((-r.shift for r in rolls if r.axis == a), default=0) for a in axes)
        return _Frame(tuple(max(n, 0) for n in forth), shape, tuple(max(n, 0) for n in back))

    @property
    def middle(self) -> Index:
        """The box of the array itself."""
        return tuple(Slice(a, n, 1) for a, n in zip(self.low, self.shape, strict=True))

    def value(self, type: ArrayType) -> Value:
        """Return a value with the shape of the copy."""
        sides = zip(self.low, self.shape, self.high, strict=True)
        return Value(type.with_shape(tuple(a + n + b for a, n, b in sides)))

    def copy(self, source: Value, origin: Origin) -> list[Node]:
        """Return the nodes that copy an array; the result is that of the last one."""
        copy = self.value(source.type)
        attrs = {"index": self.middle, "shape": copy.type.shape}
        made = [Node(place, (source,), (copy,), attrs, origin)]
        for axis, n in enumerate(self.shape):
            before, after = self.low[axis], self.high[axis]
            for start, to, size in ((n - before, 0, before), (0, before + n, after)):
                if size:
                    end = self._moved(axis, Slice(self.low[axis] + start, size, 1))
                    into = self._moved(axis, Slice(to, size, 1))
                    made += _copied(made[-1].output, end, into, origin)
        return made

    def view(self, copy: Value, roll: _Roll) -> Node:
        """Return the node that shows a roll of the array."""
        side = Slice(self.low[roll.axis] - roll.shift, self.shape[roll.axis], 1)
        attrs = {"index": self._moved(roll.axis, side)}
        return Node(getitem, (copy,), roll.node.outputs, attrs, roll.node.origin)

    def _moved(self, axis: int, side: Slice) -> Index:
        return (*self.middle[:axis], side, *self.middle[axis + 1 :])


def _wrapped(rolls: list[_Roll]) -> Iterator[tuple[Node, list[Node]]]:
    """Iterate over the rolls, each with the nodes that take its place."""
    frame = _Frame.around(rolls)
    copied = frame.copy(rolls[0].source, rolls[0].node.origin)
    for roll in rolls:
        view = frame.view(copied[-1].output, roll)
        yield roll.node, [*copied, view] if roll is rolls[0] else [view]


def _copied(array: Value, end: Index, into: Index, origin: Origin) -> list[Node]:
    """Return the nodes that copy a box of an array into another box of it."""
    part = Value(array.type.with_shape(tuple(side.size for side in end)))
    result = Value(array.type)
    return [
        Node(getitem, (array,), (part,), {"index": end}, origin),
        Node(update, (array, part), (result,), {"index": into}, origin),
    ]


# --- loops that carry the copy --------------------------------------------------------------------


def _framed(node: Node, hits: Hits) -> list[Node]:
    """Let a loop carry the copy, margins and all, of an array that every trip computes anew.

    A trip then writes what it computes into the copy, and what the next one reads is there.
    """
    if not isinstance(node.op.code, Control) or node.op.code.form != "loop":
        return [node]
    before, after = [], list[Node]()
    body, constants = node.attrs["body"], node.attrs["constants"]
    made = {v: n for n in body.nodes for v in n.outputs}
    for source, rolls in _groups(body.nodes).items():
        at = body.inputs.index(source) if source in body.inputs else -1
        new = made.get(body.outputs[at - constants]) if at >= constants else None
        if new is None or new.op.kind is not Kind.ELEMENTWISE:
            continue
        hits["rolled array carried"] += 1
        frame = _Frame.around(rolls)
        start = frame.copy(node.inputs[at], node.origin)
        end = frame.value(source.type)
        body = _with_frame(body, frame, rolls, at, at - constants)
        show = Node(getitem, (end,), (node.outputs[at - constants],), {"index": frame.middle})
        node = replace(
            node,
            inputs=_put(node.inputs, at, start[-1].output),
            outputs=_put(node.outputs, at - constants, end),
            attrs={**node.attrs, "body": body},
        )
        before += start
        after.append(replace(show, origin=node.origin))
    return [*before, node, *after]


def _with_frame(body: Graph, frame: _Frame, rolls: list[_Roll], at: int, output: int) -> Graph:
    """Return the program that takes the copy of an array and gives that of the next one."""
    source, entry = body.inputs[at], frame.value(body.inputs[at].type)
    views = {roll.node: frame.view(entry, roll) for roll in rolls}
    first = Node(getitem, (entry,), (source,), {"index": frame.middle}, rolls[0].node.origin)
    copied = frame.copy(body.outputs[output], rolls[0].node.origin)
    return prune(
        replace(
            body,
            inputs=_put(body.inputs, at, entry),
            nodes=(first, *(views.get(n, n) for n in body.nodes), *copied),
            outputs=_put(body.outputs, output, copied[-1].output),
        )
    )


def _put(values: tuple[Value, ...], at: int, value: Value) -> tuple[Value, ...]:
    return (*values[:at], value, *values[at + 1 :])
