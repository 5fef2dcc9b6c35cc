"""A graph as a picture: what is forward, backward, kept between them, fused, checkpointed.

`draw(graph)` returns a `Picture` (a `graphviz.Digraph`). Small graphs show every node, a fused
kernel as a frame around its ops; large ones show one box per kernel or line of the user's program.
`adgraph.looks` has the shapes, the colours and the words. Begin with `draw`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import graphviz

from adgraph.dot import Picture
from adgraph.grouping import (
    Box,
    flat_nodes,
    forward_scope,
    group,
    kernel_body,
    order_made,
    order_read,
)
from adgraph.ir.graph import RENDERERS, Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.looks import (
    FONT,
    LOOKS,
    box_label,
    box_tip,
    count,
    heading,
    label,
    literal_words,
    node_label,
    node_tip,
    short,
)
from adgraph.timeline import draw_timeline, show_bytes

__all__ = ["draw", "draw_timeline"]

COLLAPSE_ABOVE = 80
MOST_RUNS = 60
LITERAL_ELEMENTS = 16


EDGE = "#8a8a8a"


def draw(graph: Graph, *, title: str | None = None, collapse: bool | None = None) -> Picture:
    """Draw a graph; the picture shows itself in Jupyter and has `save(path)`.

    With `collapse` (the default above 80 nodes) boxes stand for kernels and lines of the program.

    >>> from adgraph.ir.graph import Graph
    >>> "0 nodes" in draw(Graph((), (), ())).source
    True
    """
    size = sum(1 for _ in flat_nodes(graph.nodes))
    if collapse is None:
        collapse = size > COLLAPSE_ABOVE
    sheet = _Sheet(_empty_picture(graph.name), graph)
    if collapse:
        sheet.draw_boxes()
    else:
        sheet.draw_nodes()
    sheet.draw_outputs()
    words = title or f"{graph.name}: {size} nodes"
    sheet.picture.attr(label=f"<{heading(words, sheet.met)}>", labelloc="t")
    return sheet.picture


RENDERERS["draw"] = draw


def _empty_picture(name: str) -> Picture:
    return Picture(
        name,
        graph_attr={
            "fontname": FONT,
            "fontsize": "12",
            "nodesep": "0.22",
            "ranksep": "0.3",
            "tooltip": " ",
        },
        node_attr={
            "fontname": FONT,
            "fontsize": "11",
            "margin": "0.12,0.05",
            "height": "0.3",
            "width": "0.3",
        },
        edge_attr={"color": EDGE, "arrowsize": "0.6", "penwidth": "1.0"},
    )


@dataclass(frozen=True)
class _Place:
    """A node, and the kernel it stands in: one body may serve several kernels."""

    node: Node
    kernel: Node | None = None


_Key = tuple[Node | None, Value]


class _Sheet:
    """A picture being filled: which Graphviz node gives each value, and which looks were met."""

    def __init__(self, picture: Picture, graph: Graph) -> None:
        self.picture = picture
        self.graph = graph
        self.met: set[str] = set()
        self._links: dict[_Key, _Key] = {}
        self._ids: dict[_Key, str] = {}
        self._producers: dict[_Key, Node] = {}
        self._subgraphs = 0
        for i, value in enumerate(graph.inputs):
            self._ids[None, value] = f"in{i}"
            caption = label([(value.name or f"input {i}", "b"), (str(value.type), "s")])
            tip = f"input {value.name or i}: {value.type}, {show_bytes(value.type.nbytes)}"
            self._node(picture, f"in{i}", "input", caption, tip)

    def _node(self, where: graphviz.Digraph, name: str, look: str, caption: str, tip: str) -> None:
        self.met.add(look)
        attributes = LOOKS[look].attributes()
        where.node(name, label=f"<{caption}>", tooltip=graphviz.escape(tip), **attributes)

    # --- every node -----------------------------------------------------------------------------

    def draw_nodes(self) -> None:
        """Draw every node, kernels and checkpointed scopes as frames around theirs."""
        places = list(self._places())
        for i, place in enumerate(places):
            for value in place.node.outputs:
                self._ids[place.kernel, value] = f"n{i}"
                self._producers[place.kernel, value] = place.node
        names = {place: f"n{i}" for i, place in enumerate(places)}
        for scope in dict.fromkeys(forward_scope(p.kernel or p.node) for p in places):
            inside = [p for p in places if forward_scope(p.kernel or p.node) == scope]
            if scope is None:
                self._draw_kernels(self.picture, inside, names)
            else:
                with self._frame(self.picture, "scope", scope, f"checkpointed: {scope}") as frame:
                    self._draw_kernels(frame, inside, names)
        for place in places:
            self._draw_operands(place, names[place])

    def _places(self) -> Iterator[_Place]:
        """Iterate over all nodes, those inside kernels included, and link their values."""
        for node in self.graph.nodes:
            body = kernel_body(node)
            if body is None:
                yield _Place(node)
                continue
            for inner, outer in zip(body.inputs, node.inputs, strict=True):
                self._links[node, inner] = (None, outer)
            for inner, outer in zip(body.outputs, node.outputs, strict=True):
                self._links[None, outer] = (node, inner)
            yield from (_Place(inner, node) for inner in body.nodes)

    def _draw_kernels(
        self, where: graphviz.Digraph, places: list[_Place], names: dict[_Place, str]
    ) -> None:
        for kernel in dict.fromkeys(place.kernel for place in places):
            inside = [place for place in places if place.kernel is kernel]
            body = None if kernel is None else kernel_body(kernel)
            if kernel is None or body is None:
                self._draw_ops(where, inside, names)
                continue
            tip = f"{count(len(body.nodes), 'op')} in one loop nest\n{node_tip(kernel)}"
            with self._frame(where, "kernel", body.name, tip) as frame:
                self._draw_ops(frame, inside, names)

    def _frame(self, where: graphviz.Digraph, look: str, words: str, tip: str) -> graphviz.Digraph:
        """Return a context in which nodes are drawn inside a frame."""
        self.met.add(look)
        self._subgraphs += 1
        attributes = {
            "label": graphviz.escape(short(words)),
            "style": LOOKS[look].style,
            "color": LOOKS[look].line,
            "fontname": FONT,
            "fontsize": "10",
            "fontcolor": "#555555",
            "labeljust": "l",
            "tooltip": graphviz.escape(tip),
        }
        if LOOKS[look].fill:
            attributes["fillcolor"] = LOOKS[look].fill
        return where.subgraph(name=f"cluster_{self._subgraphs}", graph_attr=attributes)

    def _draw_ops(
        self, where: graphviz.Digraph, places: list[_Place], names: dict[_Place, str]
    ) -> None:
        for place in places:
            if not _is_literal(place.node):
                look = _look(place.node.origin.order)
                if place.node.op.kind is Kind.CONSTANT:
                    look = "constant"
                self._node(where, names[place], look, node_label(place.node), node_tip(place.node))

    def _draw_operands(self, place: _Place, name: str) -> None:
        for i, value in enumerate(dict.fromkeys(place.node.inputs)):
            key = self._resolve((place.kernel, value))
            source = self._producers.get(key)
            if source is not None and _is_literal(source):
                self._literal(source, f"{name}_{i}")
                self.picture.edge(f"{name}_{i}", name, arrowsize="0.4")
            else:
                crosses = _crosses(source, key[1], place.node, value)
                self._edge(self._ids[key], name, [value], crosses)

    def _resolve(self, key: _Key) -> _Key:
        while key in self._links:
            key = self._links[key]
        return key

    def _literal(self, source: Node, name: str) -> None:
        """Draw a small constant once for every reader: shared, its edges would cross the page."""
        caption = label([(literal_words(source), "s")])
        self._node(self.picture, name, "constant", caption, node_tip(source))

    # --- boxes ----------------------------------------------------------------------------------

    def draw_boxes(self) -> None:
        """Draw one box for each group of nodes; views and small constants are left out."""
        drawn = []
        for node in self.graph.nodes:
            if node.op.kind is Kind.VIEW:
                self._links[None, node.output] = (None, node.inputs[0])
            elif not _is_literal(node):
                drawn.append(node)
        boxes = group(drawn, MOST_RUNS)
        names = {box: f"b{i}" for i, box in enumerate(boxes)}
        for box, name in names.items():
            for node in box.nodes:
                self._producers.update({(None, v): node for v in node.outputs})
                self._ids.update({(None, v): name for v in node.outputs})
        for scope in dict.fromkeys(box.scope for box in boxes):
            inside = [box for box in boxes if box.scope == scope]
            if scope is None:
                self._draw_box_nodes(self.picture, inside, names)
            else:
                with self._frame(self.picture, "scope", scope, f"checkpointed: {scope}") as frame:
                    self._draw_box_nodes(frame, inside, names)
        for box, name in names.items():
            self._draw_box_edges(box, name)

    def _draw_box_nodes(
        self, where: graphviz.Digraph, boxes: list[Box], names: dict[Box, str]
    ) -> None:
        for box in boxes:
            caption, tip = box_label(box), box_tip(box)
            if not box.fused:
                self._node(where, names[box], _look(box.order), caption, tip)
                continue
            with self._frame(where, "kernel", "", tip) as frame:
                frame.attr(margin="5")
                self._node(frame, names[box], _look(box.order), caption, tip)

    def _draw_box_edges(self, box: Box, name: str) -> None:
        flows: dict[str, dict[Value, bool]] = {}
        for node in box.nodes:
            for value in node.inputs:
                key = self._resolve((None, value))
                start = self._ids.get(key)
                if start is not None and start != name:
                    flow = flows.setdefault(start, {})
                    crosses = _crosses(self._producers.get(key), key[1], node, value)
                    flow[key[1]] = flow.get(key[1], False) or crosses
        for start, values in flows.items():
            self._edge(start, name, list(values), any(values.values()))

    # --- edges and outputs ----------------------------------------------------------------------

    def _edge(self, start: str, end: str, values: list[Value], residual: bool) -> None:
        total = show_bytes(sum(v.type.nbytes for v in values))
        types = ", ".join(str(v.type) for v in values[:4]) + (", ..." if len(values) > 4 else "")
        if not residual:
            self.picture.edge(start, end, tooltip=f"{types}: {total}")
            return
        self.met.add("residual")
        tip = f"kept for the backward program: {types}: {total}"
        self.picture.edge(start, end, tooltip=tip, color=LOOKS["residual"].line, penwidth="2.6")

    def draw_outputs(self) -> None:
        """Draw the results and what they are."""
        for i, value in enumerate(self.graph.outputs):
            caption = label([(f"output {i}", "b"), (str(value.type), "s")])
            tip = f"output {i}: {value.type}, {show_bytes(value.type.nbytes)}"
            self._node(self.picture, f"out{i}", "output", caption, tip)
            key = self._resolve((None, value))
            source = self._producers.get(key)
            if key not in self._ids or (source is not None and _is_literal(source)):
                self._literal(self.graph.producers()[key[1]], f"out{i}_0")
                self.picture.edge(f"out{i}_0", f"out{i}")
            else:
                self._edge(self._ids[key], f"out{i}", [value], residual=False)


def _look(order: int) -> str:
    return ("forward", "backward", "higher")[min(order, 2)]


def _is_literal(node: Node) -> bool:
    return node.op.kind is Kind.CONSTANT and node.output.type.size <= LITERAL_ELEMENTS


def _crosses(source: Node | None, made: Value, reader: Node, read: Value) -> bool:
    """Whether a value computed by the primal program is read by a derivative of it."""
    if source is None or source.op.kind is Kind.CONSTANT:
        return False
    return order_made(source, made) == 0 and order_read(reader, read) > 0
