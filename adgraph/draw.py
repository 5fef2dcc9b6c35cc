"""A graph as a picture: what is forward, backward, kept between them, fused, checkpointed.

`draw(graph)` returns a `Picture` (a `graphviz.Digraph`). Small graphs show every node, a fused
kernel as a frame around its ops; large ones show one box per kernel or line of the user's program.
Begin with `LOOKS`, the table of shapes and colours, which is also the legend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import graphviz

from adgraph.dot import Picture
from adgraph.errors import Location
from adgraph.grouping import (
    NO_WORK,
    Box,
    flat_nodes,
    forward_scope,
    group,
    kernel_body,
    order_made,
    order_read,
)
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.show import show_attr
from adgraph.timeline import draw_timeline, show_bytes

__all__ = ["draw", "draw_timeline"]

COLLAPSE_ABOVE = 80
MOST_RUNS = 60
LITERAL_ELEMENTS = 16
LABEL_WIDTH = 34
FONT = "Helvetica"


@dataclass(frozen=True)
class Look:
    """How one class of things is drawn: the colours are those of Okabe and Ito, tinted."""

    words: str
    shape: str
    style: str
    fill: str
    line: str
    peripheries: int = 1

    def attributes(self) -> dict[str, str]:
        """Return the attributes of a Graphviz node."""
        return {
            "shape": self.shape,
            "style": self.style,
            "fillcolor": self.fill,
            "color": self.line,
            "peripheries": str(self.peripheries),
        }


LOOKS = {
    "input": Look("input", "ellipse", "filled", "#ffffff", "#333333"),
    "output": Look("output", "ellipse", "filled", "#ffffff", "#333333", 2),
    "constant": Look("constant", "plaintext", "", "#ffffff", "#777777", 0),
    "forward": Look("forward", "box", "rounded,filled", "#d6ebf8", "#0072b2"),
    "backward": Look("backward", "box", "filled", "#fde3bf", "#b26a00"),
    "higher": Look("higher order", "octagon", "filled", "#f3d9e8", "#a4417c"),
    "residual": Look("residual: computed forward, read backward", "", "bold", "", "#009e73"),
    "kernel": Look("fused kernel", "", "rounded,filled", "#f1f1f1", "#999999"),
    "scope": Look("checkpointed", "", "rounded,dashed", "", "#d55e00"),
}
EDGE = "#8a8a8a"


def draw(graph: Graph, *, title: str | None = None, collapse: bool | None = None) -> Picture:
    """Draw a graph; the picture shows itself in Jupyter and has `save(path)`.

    With `collapse` (the default above 80 nodes) boxes stand for kernels and lines of the program.

    >>> from adgraph.ir.graph import Graph
    >>> "0 nodes" in draw(Graph((), (), ())).source
    True
    """
    count = sum(1 for _ in flat_nodes(graph.nodes))
    if collapse is None:
        collapse = count > COLLAPSE_ABOVE
    sheet = _Sheet(_empty_picture(graph.name), graph)
    if collapse:
        sheet.draw_boxes()
    else:
        sheet.draw_nodes()
    sheet.draw_outputs()
    words = title or f"{graph.name}: {count} nodes"
    sheet.picture.attr(label=f"<{_heading(words, sheet.met)}>", labelloc="t")
    return sheet.picture


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
            label = _label([(value.name or f"input {i}", "b"), (str(value.type), "s")])
            tip = f"input {value.name or i}: {value.type}, {show_bytes(value.type.nbytes)}"
            self._node(picture, f"in{i}", "input", label, tip)

    def _node(self, where: graphviz.Digraph, name: str, look: str, label: str, tip: str) -> None:
        self.met.add(look)
        attributes = LOOKS[look].attributes()
        where.node(name, label=f"<{label}>", tooltip=graphviz.escape(tip), **attributes)

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
            tip = f"{_count(len(body.nodes), 'op')} in one loop nest\n{_tip(kernel)}"
            with self._frame(where, "kernel", body.name, tip) as frame:
                self._draw_ops(frame, inside, names)

    def _frame(self, where: graphviz.Digraph, look: str, words: str, tip: str) -> graphviz.Digraph:
        """Return a context in which nodes are drawn inside a frame."""
        self.met.add(look)
        self._subgraphs += 1
        attributes = {
            "label": graphviz.escape(_short(words)),
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
                self._node(where, names[place], look, _node_label(place.node), _tip(place.node))

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
        label = _label([(_literal_words(source), "s")])
        self._node(self.picture, name, "constant", label, _tip(source))

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
            label, tip = _box_label(box), _box_tip(box)
            if not box.fused:
                self._node(where, names[box], _look(box.order), label, tip)
                continue
            with self._frame(where, "kernel", "", tip) as frame:
                frame.attr(margin="5")
                self._node(frame, names[box], _look(box.order), label, tip)

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
            label = _label([(f"output {i}", "b"), (str(value.type), "s")])
            tip = f"output {i}: {value.type}, {show_bytes(value.type.nbytes)}"
            self._node(self.picture, f"out{i}", "output", label, tip)
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


# --- words --------------------------------------------------------------------------------------


def _label(rows: Iterable[tuple[str, str]]) -> str:
    """Return an HTML-like label: rows in bold (`b`), plain (`p`) or small grey (`s`)."""
    form = {"b": "<b>{}</b>", "p": "{}", "s": '<font point-size="9" color="#555555">{}</font>'}
    return "<br/>".join(form[kind].format(escape(words)) for words, kind in rows if words)


def _short(words: str, width: int = LABEL_WIDTH) -> str:
    return words if len(words) <= width else words[: width - 1].rstrip() + "…"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _node_label(node: Node) -> str:
    if node.op.kind is Kind.VIEW:
        return _label([(f"{node.op.name} {node.output.type}", "s")])
    regions = tuple(map(id, node.regions()))
    plain = [v for v in node.attrs.values() if id(v) not in regions]
    attributes = _short(", ".join(map(_attribute, plain)))
    types = ", ".join(str(v.type) for v in node.outputs)
    return _label([(node.op.name, "b"), (attributes, "s"), (types, "s")])


def _attribute(value: object) -> str:
    """Print an attribute, a tuple without the comma of a single element."""
    text = show_attr(value)
    return text.replace(",)", ")")


def _literal_words(node: Node) -> str:
    (value,) = node.attrs.values()
    return _short(show_attr(value), 22)


def _box_label(box: Box) -> str:
    lines = box.locations()
    counts = box.ops()
    what = f"{_count(sum(counts.values()), 'op')}, {show_bytes(box.nbytes())}"
    if box.fused:
        what = f"kernel: {what}{_mixture(box)}"
    most = counts.most_common(4)
    names = ", ".join(name if n == 1 else f"{n} {name}" for name, n in most)
    names += ", …" if len(counts) > len(most) else ""
    head = [(_short(_lines_words(lines)), "b")]
    sources = [(_short(line.source()), "p") for line in lines[:3]]
    return _label([*head, *sources, (what, "s"), (names, "s")])


def _mixture(box: Box) -> str:
    """Say how much of a forward kernel's work is the backward program's."""
    orders = [n.origin.order > 0 for n in flat_nodes(box.nodes) if n.op.kind not in NO_WORK]
    backward = sum(orders)
    return f", {backward} backward" if 0 < backward < len(orders) else ""


def _lines_words(lines: Sequence[Location]) -> str:
    if not lines:
        return "constants and seeds"
    numbers = sorted({line.line for line in lines})
    first = str(lines[0]).rpartition(":")[0]
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
    return f"{first}:{span}"


def _tip(node: Node) -> str:
    """The text shown on hover: the user's line, then what the node is."""
    types = ", ".join(str(v.type) for v in node.outputs)
    size = show_bytes(sum(v.type.nbytes for v in node.outputs))
    names = " ".join(v.name for v in node.outputs if v.name)
    order = f", derivative of order {node.origin.order}" if node.origin.order else ""
    what = f"{node.op.name}: {types} {names}".rstrip()
    return "\n".join([*_location_words(node.origin.location), f"{what}, {size}{order}"])


def _box_tip(box: Box) -> str:
    lines = [words for location in box.locations()[:12] for words in _location_words(location)]
    counts = ", ".join(f"{n} {name}" for name, n in box.ops().most_common())
    return "\n".join([*lines, counts])


def _location_words(location: Location | None) -> list[str]:
    if location is None:
        return []
    source = location.source()
    return [f"{location}: {source}" if source else str(location)]


# --- heading ------------------------------------------------------------------------------------


def _heading(title: str, met: set[str]) -> str:
    """Return the title over a legend of the looks that were met, as an HTML-like table."""
    cells = [_legend_cell(name, look) for name, look in LOOKS.items() if name in met]
    rows = "".join(
        f"<tr><td><table border='0' cellborder='0' cellspacing='5'><tr>{''.join(row)}</tr></table>"
        "</td></tr>"
        for row in (cells[:4], cells[4:])
        if row
    )
    head = f"<tr><td><font point-size='14'><b>{escape(title)}</b></font></td></tr>"
    return f"<table border='0' cellborder='0' cellspacing='0'>{head}{rows}</table>".replace(
        "'", '"'
    )


def _legend_cell(name: str, look: Look) -> str:
    words = f"<font point-size='9'>{escape(look.words)}</font>"
    if name == "constant":
        return f"<td><font point-size='9' color='#777777'>0.5 {escape(look.words)}</font></td>"
    if name == "residual":
        bar = f"<td width='32' height='4' fixedsize='true' bgcolor='{look.line}'></td>"
        return f"<td><table border='0' cellborder='0'><tr>{bar}</tr></table></td><td>{words}</td>"
    border = 2 if look.peripheries == 2 else 1
    style = "rounded" if look.shape == "ellipse" or "rounded" in look.style else ""
    if "dashed" in look.style:
        style = "rounded,dashed"
    fill = f" bgcolor='{look.fill}'" if look.fill else ""
    styled = f" style='{style}'" if style else ""
    return f"<td border='{border}' color='{look.line}'{fill}{styled}>{words}</td>"
