"""Joined arrays whose pieces are computed where they stand: `np.concatenate` without a copy.

A join (`concatenate`, and what is made of it: `stack`, `block`) becomes one node with the kernels
that compute its pieces: nests, matrix products, joins within the join. Behind it these pieces are
views of the joined array. A piece stays an array of its own, and is copied, where something reads
it before the join is complete, or needs it in C order; where rows of a few elements would keep a
nest from computing in vectors; or where its operands would be kept too long. Begin with `joined`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from adgraph.analysis.cost import evaluations
from adgraph.analysis.liveness import computes, scratch_types
from adgraph.control.kernel import assembly
from adgraph.ir.code import Piece, Pieces, Routine
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Index
from adgraph.lower.enclose import scope_of
from adgraph.lower.layout import Layout, layouts, root_layout, view_layout
from adgraph.lower.materialize import batch_stride, product_reads
from adgraph.lower.units import is_nest
from adgraph.ops.shape import boxed, getitem, reshape

LEAST = 1024  # bytes of a piece: to move less costs less than a kernel of another form
ROW = 16  # elements of a row that functions fill in vectors


def joined(graph: Graph) -> Graph:
    """Return the program with its joins computed in place; every value has a layout already."""
    return _Joiner(graph).run() if any(map(pieces_of, graph.nodes)) else graph


def pieces_of(node: Node) -> tuple[Piece, ...]:
    """Return the pieces of a join; nothing if a node is none."""
    if not isinstance(node.op.code, Pieces):
        return ()
    pieces = node.op.code.boxes(node.types, dict(node.attrs))
    plain = all(p.operand is not None and p.index is not None and not p.add for p in pieces)
    return pieces if plain else ()


@dataclass(eq=False)
class _Assembly:
    """A join, the nodes that compute its pieces, and the views which these are behind it."""

    join: Node
    end: int  # where in the program it stands
    parts: set[Node] = field(default_factory=set)
    views: list[Node] = field(default_factory=list)
    kept: set[Value] = field(default_factory=set)  # what it reads, and nothing behind it


class _Joiner:
    """What is known of the program, and where pieces stand so far."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._place = {node: i for i, node in enumerate(graph.nodes)}
        self._producers = graph.producers()
        self._layouts = layouts(graph)
        self._homes: dict[Value, Layout] = {}
        self._readers: dict[Value, list[tuple[Node, Value]]] = defaultdict(list)
        self._views: dict[Value, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for value in dict.fromkeys(node.inputs):
                root = self._layouts[value].root
                if node.op.kind is Kind.VIEW:
                    self._views[root].append(node)
                else:
                    self._readers[root].append((node, value))

    def run(self) -> Graph:
        part_of: dict[Node, _Assembly] = {}
        for node in reversed(self._graph.nodes):
            if node not in part_of and pieces_of(node):
                found = self._assembled(node)
                if len(found.parts) > 1:
                    part_of.update(dict.fromkeys(found.parts, found))
        if not part_of:
            return self._graph
        moved = {view for node in part_of for view in self._views_of(node)}
        nodes: list[Node] = []
        for node in self._graph.nodes:
            if node in part_of and node is part_of[node].join:
                nodes += self._emitted(part_of[node])
            elif node not in part_of and node not in moved:
                nodes.append(node)
        return Graph(self._graph.inputs, tuple(nodes), self._graph.outputs, self._graph.name)

    # --- what belongs to a join -------------------------------------------------------------------

    def _assembled(self, join: Node) -> _Assembly:
        """Find the nodes that may compute pieces of a join in place, the last ones first."""
        found = _Assembly(join, self._place[join], {join})
        wanted: dict[Value, tuple[Node, Index, Value]] = {}
        pending: list[tuple[int, Node]] = []
        self._want(join, wanted, pending)
        while pending:
            _, node = heapq.heappop(pending)
            pieces = [v for v in node.outputs if v in wanted] if node not in found.parts else []
            if not pieces or not self._may_wait(node, found):
                continue
            settled = [v for v in pieces if self._settle(node, v, *wanted[v], found)]
            if not settled:
                continue
            found.parts.add(node)
            if pieces_of(node):
                self._want(node, wanted, pending)
        return found

    def _want(
        self,
        join: Node,
        wanted: dict[Value, tuple[Node, Index, Value]],
        pending: list[tuple[int, Node]],
    ) -> None:
        """Note the arrays that are pieces of a join, each in the first of its boxes."""
        for piece in pieces_of(join):
            assert piece.operand is not None
            assert piece.index is not None
            value = join.inputs[piece.operand]
            layout = self._layouts[value]
            made = layout.root
            whole = layout.contiguous(value.type) and made.type.size == value.type.size
            if whole and made in self._producers and made not in wanted:
                wanted[made] = join, piece.index, value
                node = self._producers[made]
                heapq.heappush(pending, (-self._place[node], node))

    def _may_wait(self, node: Node, found: _Assembly) -> bool:
        """Whether a node can as well run with the join: nothing needs it before."""
        if not (is_nest(node) or _is_product(node) or pieces_of(node)):
            return False
        if scope_of(node) != scope_of(found.join):
            return False
        readers = [r for v in node.outputs for r, _ in self._readers[v]]
        if any(r not in found.parts and self._place[r] < found.end for r in readers):
            return False
        longer = {v for v in map(self._root, node.inputs) if self._dies_before(v, node, found)}
        longer -= found.kept
        if sum(v.type.nbytes for v in longer) > sum(v.type.nbytes for v in node.outputs):
            return False
        found.kept |= longer
        return True

    def _root(self, value: Value) -> Value:
        return self._layouts[value].root

    def _dies_before(self, value: Value, reader: Node, found: _Assembly) -> bool:
        """Whether an array would be free before a join is complete if one reader did not wait."""
        if value not in self._producers or not computes(self._producers[value]):
            return False
        return value not in self._graph.outputs and not any(
            node in found.parts or self._place[node] > found.end
            for node, _ in self._readers[value]
            if node is not reader
        )

    def _settle(
        self, node: Node, made: Value, join: Node, index: Index, value: Value, found: _Assembly
    ) -> bool:
        """Give an array its place in a join, if it suits those that write and read it."""
        home = self._home(made, join, index, value)
        if home is None or made in self._graph.outputs:
            return False
        if not _suits(node, made, home) or not self._readable(made, home, join):
            return False
        if self._last_use(made, found) > self._last_use(found.join.output, found):
            return False
        self._homes[made] = home
        shown = made if value.type == made.type else Value(value.type)
        origin = join.origin
        found.views.append(Node(getitem, (join.output,), (shown,), {"index": index}, origin))
        if shown is not made:
            attrs = {"shape": made.type.shape}
            found.views.append(Node(reshape, (shown,), (made,), attrs, origin))
        return True

    def _home(self, made: Value, join: Node, index: Index, value: Value) -> Layout | None:
        """Return the layout in a join of the array that belongs there under another shape."""
        whole = self._homes.get(join.output, root_layout(join.output))
        offset, strides = boxed((), whole.strides, {"index": index})
        box = Layout(whole.root, whole.offset + offset, strides)
        if value.type == made.type:
            return box
        view = Node(reshape, (value,), (made,), {"shape": made.type.shape})
        return view_layout(view, value.type, box)

    def _readable(self, made: Value, home: Layout, join: Node) -> bool:
        """Whether all that read an array can read it in its place in a join."""
        if home.contiguous(made.type):
            return True
        found: dict[Value, Layout] = {made: home}
        for view in self._views[made]:
            layout = view_layout(view, view.types[0], found[view.inputs[0]])
            if layout is None:
                return False
            found[view.output] = layout
        return all(
            node is join or _reads(node, value, found[value]) for node, value in self._readers[made]
        )

    def _last_use(self, value: Value, found: _Assembly) -> int:
        """Where in the program an array is read for the last time."""
        if value in self._graph.outputs:
            return len(self._graph.nodes)
        places = (self._place[n] for n, _ in self._readers[value] if n not in found.parts)
        return max(places, default=found.end)

    # --- the node ---------------------------------------------------------------------------------

    def _views_of(self, node: Node) -> Iterator[Node]:
        for value in node.outputs:
            yield from self._views[value]

    def _emitted(self, found: _Assembly) -> tuple[Node, ...]:
        """Return the node that computes a join and its pieces, and the views of it."""
        place = self._place.__getitem__
        views = sorted((v for n in found.parts for v in self._views_of(n)), key=place)
        early = {view for view in views if self._place[view] < found.end}
        nodes = sorted(found.parts | early, key=place)
        made = {v for node in nodes for v in node.outputs}
        inputs = tuple(dict.fromkeys(v for n in nodes for v in n.inputs if v not in made))
        pieces = {v for view in found.views for v in view.outputs}
        results = [v for n in nodes if n in found.parts for v in n.outputs if v not in pieces]
        body = Graph(inputs, tuple(nodes), tuple(results), found.join.op.name)
        attrs = {"body": body, "in_place": (), "scratch": _scratch(nodes)}
        node = Node(assembly, inputs, tuple(results), attrs, found.join.origin)
        return node, *found.views, *views


def _is_product(node: Node) -> bool:
    """Whether a node is a product that nothing is added to: its rows may have gaps."""
    code = node.op.code
    return isinstance(code, Routine) and code.strided and not code.adds


def _suits(node: Node, made: Value, home: Layout) -> bool:
    """Whether a node can write a result in a place with these strides, and as fast as elsewhere."""
    shape, strides = made.type.shape, home.strides
    if home.contiguous(made.type):
        return True
    if made.type.nbytes < LEAST:
        return False
    if isinstance(node.op.code, Routine):
        return (strides[-1] == 1 or shape[-1] == 1) and batch_stride(strides, shape) is not None
    if not is_nest(node):
        return True
    folds = any(n.op.kind is Kind.REDUCTION for n in node.attrs["body"].nodes)
    return not (folds or evaluations(node)) or _row(shape, strides) >= ROW


def _row(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return how many elements stand side by side."""
    count = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != count:
            break
        count *= n
    return count


def _reads(node: Node, value: Value, layout: Layout) -> bool:
    """Whether a node can read an operand that has gaps."""
    if isinstance(node.op.code, Routine) and node.op.code.strided:
        places = (i for i, v in enumerate(node.inputs) if v is value)
        return all(product_reads(node, i, layout.strides, value.type.shape) for i in places)
    return is_nest(node) or isinstance(node.op.code, Pieces)


def _scratch(nodes: list[Node]) -> tuple[ArrayType, ...]:
    """Return workspaces of which every node can have the first ones: they run one by one."""
    found: list[ArrayType] = []
    for node in nodes:
        for i, type in enumerate(scratch_types(node)):
            if i == len(found):
                found.append(type)
            elif type.nbytes > found[i].nbytes:
                found[i] = type
    return tuple(found)
