"""A picture being filled: the nodes, frames and wires of a program for Graphviz.

`Sheet` is given an empty picture of a graph and draws every node of it, or a box for each kernel,
loop or line. Importing this module imports `graphviz`. `adgraph.looks` has the shapes, the colours
and the words. Begin with `Sheet.draw_nodes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import graphviz

from adgraph.grouping import (
    Box,
    forward_scope,
    group,
    is_control,
    kernel_body,
    order_made,
    order_read,
)
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import own_operands
from adgraph.looks import (
    FONT,
    LOOKS,
    box_label,
    box_tip,
    control_words,
    count,
    label,
    literal_words,
    node_label,
    node_tip,
    short,
    size_words,
)
from adgraph.picture import Picture

MOST_RUNS = 60
LITERAL_ELEMENTS = 16


EDGE = "#8a8a8a"
PLAIN: Mapping[str, str] = {}
NEXT_TRIP = {"style": "dashed", "constraint": "false", "color": LOOKS["carried"].line}


def empty_picture(name: str) -> Picture:
    """Return a picture with the looks that all share."""
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


_Path = tuple[
    tuple[Node, str], ...
]  # the programs around a value, one body may serve several nodes
_Key = tuple[_Path, Value]
OUTSIDE: _Path = ()


@dataclass(frozen=True)
class _Wire:
    """An edge to be drawn when all nodes are: where a value is read, and by what."""

    path: _Path
    value: Value
    end: str
    reader: Node
    style: Mapping[str, str] = field(default_factory=dict)


class Sheet:
    """A picture being filled: which Graphviz node gives each value, and which looks were met."""

    def __init__(self, picture: Picture, graph: Graph) -> None:
        self.picture = picture
        self.graph = graph
        self.met: set[str] = set()
        self._links: dict[_Key, _Key] = {}
        self._ids: dict[_Key, str] = {}
        self._producers: dict[_Key, Node] = {}
        self._literals: set[_Key] = set()
        self._wires: list[_Wire] = []
        self._counts: Counter[str] = Counter()
        for i, value in enumerate(graph.inputs):
            self._ids[OUTSIDE, value] = f"in{i}"
            caption = label([(value.name or f"input {i}", "b"), (str(value.type), "s")])
            tip = f"input {value.name or i}: {value.type}, {size_words([value.type])}"
            self._node(picture, f"in{i}", "input", caption, tip)

    def _node(self, where: graphviz.Digraph, name: str, look: str, caption: str, tip: str) -> None:
        self.met.add(look)
        attributes = LOOKS[look].attributes()
        where.node(name, label=f"<{caption}>", tooltip=graphviz.escape(tip), **attributes)

    def _new(self, letter: str) -> str:
        self._counts[letter] += 1
        return f"{letter}{self._counts[letter] - 1}"

    def _frame(self, where: graphviz.Digraph, look: str, words: str, tip: str) -> graphviz.Digraph:
        """Return a context in which nodes are drawn inside a frame."""
        self.met.add(look)
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
        return where.subgraph(name=self._new("cluster_"), graph_attr=attributes)

    # --- every node -----------------------------------------------------------------------------

    def draw_nodes(self) -> None:
        """Draw every node; kernels, loops, branches and checkpoints are frames around theirs."""
        nodes = self.graph.nodes
        for scope in dict.fromkeys(map(forward_scope, nodes)):
            inside = [node for node in nodes if forward_scope(node) == scope]
            if scope is None:
                self._draw_program(self.picture, inside, OUTSIDE)
            else:
                with self._frame(self.picture, "scope", scope, f"checkpointed: {scope}") as frame:
                    self._draw_program(frame, inside, OUTSIDE)
        for wire in self._wires:
            self._draw_wire(wire)

    def _draw_program(self, where: graphviz.Digraph, nodes: Iterable[Node], path: _Path) -> None:
        for node in nodes:
            if kernel_body(node) is not None:
                self._draw_kernel(where, node, path)
            elif not is_control(node):
                self._draw_op(where, node, path)
            elif "orelse" in node.attrs:
                self._draw_branch(where, node, path)
            else:
                self._draw_loop(where, node, path)

    def _draw_op(self, where: graphviz.Digraph, node: Node, path: _Path) -> None:
        name = self._new("n")
        for value in node.outputs:
            self._ids[path, value] = name
            self._producers[path, value] = node
        if _is_literal(node) and not _leaves(node, path):
            self._literals.add((path, node.output))
        else:
            look = "constant" if node.op.kind is Kind.CONSTANT else _look(node.origin.order)
            self._node(where, name, look, node_label(node), node_tip(node))
            for value in dict.fromkeys(node.inputs):
                self._read(where, _Wire(path, value, name, node))

    def _link(
        self, path: _Path, values: Iterable[Value], to: _Path, others: Iterable[Value]
    ) -> None:
        """Say that values are others, of a program around them or inside."""
        for value, other in zip(values, others, strict=True):
            self._links[path, value] = (to, other)

    def _draw_kernel(self, where: graphviz.Digraph, node: Node, path: _Path) -> None:
        body = node.attrs["body"]
        inside = (*path, (node, "body"))
        self._link(inside, body.inputs, path, node.inputs)
        self._link(path, node.outputs, inside, body.outputs)
        tip = f"{count(len(body.nodes), 'op')} in one loop nest\n{node_tip(node)}"
        with self._frame(where, "kernel", body.name, tip) as frame:
            self._draw_program(frame, body.nodes, inside)

    def _draw_loop(self, where: graphviz.Digraph, node: Node, path: _Path) -> None:
        """Draw a loop as a frame; what it carries enters at the top and comes back from below."""
        own, body = own_operands(node), node.attrs["body"]
        first = node.attrs["constants"]
        inside = (*path, (node, "body"))
        operands = node.inputs[own:]
        self._link(inside, body.inputs[:first], path, operands[:first])
        self._link(path, node.outputs, inside, body.outputs)
        with self._frame(where, "loop", control_words(node), node_tip(node)) as frame:
            for value in node.inputs[:own]:
                self._decide(frame, "how often", _Wire(path, value, "", node))
            for k, value in enumerate(body.inputs[first:]):
                name = self._new("c")
                self._ids[inside, value] = name
                caption = label([(value.name or f"variable {k}", "b"), (str(value.type), "s")])
                tip = f"carried from trip to trip: {value.type}, {size_words([value.type])}"
                self._node(frame, name, "carried", caption, tip)
                self._wires.append(_Wire(path, operands[first + k], name, node))
                if body.outputs[k] is not value:
                    self._wires.append(_Wire(inside, body.outputs[k], name, node, NEXT_TRIP))
            if "test" in node.attrs:
                self._draw_test(frame, node, path, inside)
            self._draw_program(frame, body.nodes, inside)

    def _draw_test(self, where: graphviz.Digraph, node: Node, path: _Path, body: _Path) -> None:
        test, inside = node.attrs["test"], (*path, (node, "test"))
        self._link(inside, test.inputs, body, node.attrs["body"].inputs)
        with self._frame(where, "part", "as long as", node_tip(node)) as frame:
            self._draw_program(frame, test.nodes, inside)
            self._decide(frame, "go on", _Wire(inside, test.outputs[0], "", node))

    def _decide(self, where: graphviz.Digraph, words: str, wire: _Wire) -> None:
        name = self._new("d")
        self._node(where, name, "decision", label([(words, "s")]), node_tip(wire.reader))
        self._wires.append(replace(wire, end=name))

    def _draw_branch(self, where: graphviz.Digraph, node: Node, path: _Path) -> None:
        """Draw a branch as a frame around those of its programs, and what either of them gives."""
        with self._frame(where, "loop", control_words(node), node_tip(node)) as frame:
            self._decide(frame, "if", _Wire(path, node.inputs[0], "", node))
            paths = {}
            for key, words in (("then", "then"), ("orelse", "else")):
                region = node.attrs[key]
                paths[key] = inside = (*path, (node, key))
                self._link(inside, region.inputs, path, node.inputs[1:])
                with self._frame(frame, "part", words, node_tip(node)) as part:
                    self._draw_program(part, region.nodes, inside)
            for k, value in enumerate(node.outputs):
                name = self._new("m")
                self._ids[path, value] = name
                self._producers[path, value] = node
                self._node(frame, name, "carried", label([(str(value.type), "s")]), node_tip(node))
                for key, inside in paths.items():
                    self._wires.append(_Wire(inside, node.attrs[key].outputs[k], name, node))

    def _read(self, where: graphviz.Digraph, wire: _Wire) -> None:
        """Draw an edge when all nodes are drawn, that of a literal now, within the frame."""
        key = self._resolve((wire.path, wire.value))
        if key in self._literals:
            self._draw_literal_wire(where, self._producers[key], wire)
        else:
            self._wires.append(wire)

    def _draw_wire(self, wire: _Wire) -> None:
        key = self._resolve((wire.path, wire.value))
        if key in self._literals:
            self._draw_literal_wire(self.picture, self._producers[key], wire)
        else:
            crosses = _crosses(self._producers.get(key), key[1], wire.reader, wire.value)
            self._edge(self._ids[key], wire.end, [wire.value], crosses, wire.style)

    def _draw_literal_wire(self, where: graphviz.Digraph, source: Node, wire: _Wire) -> None:
        name = self._new("l")
        self._literal(where, source, name)
        self.picture.edge(name, wire.end, arrowsize="0.4", **wire.style)

    def _resolve(self, key: _Key) -> _Key:
        while key in self._links:
            key = self._links[key]
        return key

    def _literal(self, where: graphviz.Digraph, source: Node, name: str) -> None:
        """Draw a small constant once for every reader: shared, its edges would cross the page."""
        caption = label([(literal_words(source), "s")])
        self._node(where, name, "constant", caption, node_tip(source))

    # --- boxes ----------------------------------------------------------------------------------

    def draw_boxes(self) -> None:
        """Draw one box for each group of nodes; views and small constants are left out."""
        drawn = []
        for node in self.graph.nodes:
            if node.op.kind is Kind.VIEW:
                self._links[OUTSIDE, node.output] = (OUTSIDE, node.inputs[0])
            elif not _is_literal(node):
                drawn.append(node)
        boxes = group(drawn, MOST_RUNS)
        names = {box: f"b{i}" for i, box in enumerate(boxes)}
        for box, name in names.items():
            for node in box.nodes:
                self._producers.update({(OUTSIDE, v): node for v in node.outputs})
                self._ids.update({(OUTSIDE, v): name for v in node.outputs})
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
            if not box.fused and box.control is None:
                self._node(where, names[box], _look(box.order), caption, tip)
                continue
            look = "kernel" if box.control is None else "loop"
            words = "" if box.control is None else control_words(box.control)
            with self._frame(where, look, words, tip) as frame:
                frame.attr(margin="5")
                self._node(frame, names[box], _look(box.order), caption, tip)

    def _draw_box_edges(self, box: Box, name: str) -> None:
        flows: dict[str, dict[Value, bool]] = {}
        for node in box.nodes:
            for value in node.inputs:
                key = self._resolve((OUTSIDE, value))
                start = self._ids.get(key)
                if start is not None and start != name:
                    flow = flows.setdefault(start, {})
                    crosses = _crosses(self._producers.get(key), key[1], node, value)
                    flow[key[1]] = flow.get(key[1], False) or crosses
        for start, values in flows.items():
            self._edge(start, name, list(values), any(values.values()))

    # --- edges and outputs ----------------------------------------------------------------------

    def _edge(
        self,
        start: str,
        end: str,
        values: list[Value],
        residual: bool,
        style: Mapping[str, str] = PLAIN,
    ) -> None:
        total = size_words(v.type for v in values)
        types = ", ".join(str(v.type) for v in values[:4]) + (", ..." if len(values) > 4 else "")
        if not residual:
            self.picture.edge(start, end, tooltip=f"{types}: {total}", **style)
            return
        self.met.add("residual")
        tip = f"kept for the backward program: {types}: {total}"
        self.picture.edge(start, end, tooltip=tip, color=LOOKS["residual"].line, penwidth="2.6")

    def draw_outputs(self) -> None:
        """Draw the results and what they are."""
        for i, value in enumerate(self.graph.outputs):
            caption = label([(f"output {i}", "b"), (str(value.type), "s")])
            tip = f"output {i}: {value.type}, {size_words([value.type])}"
            self._node(self.picture, f"out{i}", "output", caption, tip)
            key = self._resolve((OUTSIDE, value))
            if key in self._literals or key not in self._ids:
                self._literal(self.picture, self.graph.producers()[key[1]], f"out{i}_0")
                self.picture.edge(f"out{i}_0", f"out{i}")
            else:
                self._edge(self._ids[key], f"out{i}", [value], residual=False)


def _look(order: int) -> str:
    return ("forward", "backward", "higher")[min(order, 2)]


def _leaves(node: Node, path: _Path) -> bool:
    """Tell whether a program inside another one returns what a node computes."""
    return any(v in around.attrs[key].outputs for around, key in path[-1:] for v in node.outputs)


def _is_literal(node: Node) -> bool:
    if node.op.kind is Kind.INDEX:
        return True
    return node.op.kind is Kind.CONSTANT and node.output.type.size <= LITERAL_ELEMENTS


def _crosses(source: Node | None, made: Value, reader: Node, read: Value) -> bool:
    """Whether a value computed by the primal program is read by a derivative of it."""
    if source is None or source.op.kind is Kind.CONSTANT:
        return False
    return order_made(source, made) == 0 and order_read(reader, read) > 0
