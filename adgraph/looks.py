"""How pictures of graphs look: shapes, colours, labels, tips, the legend.

`LOOKS` is the table of what is told apart; it is also the legend. The functions word nodes and
boxes as Graphviz's HTML-like labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from adgraph.analysis.liveness import computes
from adgraph.chart import show_bytes
from adgraph.errors import Location
from adgraph.grouping import Box, flat_nodes
from adgraph.ir.code import Control
from adgraph.ir.graph import Node
from adgraph.ir.op import Kind
from adgraph.ir.show import show_attr
from adgraph.ir.types import ArrayType

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
    "carried": Look("carried from trip to trip", "box", "filled", "#ffffff", "#8f7700"),
    "decision": Look("decision", "diamond", "filled", "#ffffff", "#8f7700"),
    "loop": Look("loop, branch", "", "filled", "#fbf8e6", "#8f7700"),
    "part": Look("part of it", "", "dashed", "", "#8f7700"),
    "kernel": Look("fused kernel", "", "rounded,filled", "#f1f1f1", "#999999"),
    "scope": Look("checkpointed", "", "rounded,dashed", "", "#d55e00"),
}
# --- words --------------------------------------------------------------------------------------


def label(rows: Iterable[tuple[str, str]]) -> str:
    """Return an HTML-like label: rows in bold (`b`), plain (`p`) or small grey (`s`)."""
    form = {"b": "<b>{}</b>", "p": "{}", "s": '<font point-size="9" color="#555555">{}</font>'}
    return "<br/>".join(form[kind].format(escape(words)) for words, kind in rows if words)


def short(words: str, width: int = LABEL_WIDTH) -> str:
    """Cut words that are too long for a box."""
    return words if len(words) <= width else words[: width - 1].rstrip() + "…"


def count(n: int, noun: str) -> str:
    """Word a number of things.

    >>> count(1, "op"), count(2, "op")
    ('1 op', '2 ops')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")


def node_label(node: Node) -> str:
    """Return the label of a node: op, attributes, type; of a view the least."""
    if node.op.kind is Kind.VIEW:
        return label([(f"{node.op.name} {node.output.type}", "s")])
    regions = tuple(map(id, node.regions()))
    plain = [v for v in node.attrs.values() if id(v) not in regions]
    attributes = short(", ".join(map(_attribute, plain)))
    types = ", ".join(str(v.type) for v in node.outputs)
    return label([(node.op.name, "b"), (attributes, "s"), (types, "s")])


def control_words(node: Node) -> str:
    """Word the head of a loop or a branch.

    A loop over a range has it in its head: `for i in 1..n` stands for both ends included.
    """
    form = node.op.code.form if isinstance(node.op.code, Control) else ""
    attrs = node.attrs
    if form == "loop":
        start, step = attrs["start"], attrs["step"]
        last = start + (attrs["trips"] - 1) * step
        pace = "" if step == 1 else f" by {step}"
        return f"for {attrs['symbol'].name} in {start}..{last}{pace}"
    if form == "counted":
        return (
            f"for {attrs['symbol'].name}, backwards"
            if attrs["reverse"]
            else f"for {attrs['symbol'].name}"
        )
    return {"while": "while", "branch": "if"}.get(form, node.op.name)


def _attribute(value: object) -> str:
    """Print an attribute, a tuple without the comma of a single element."""
    text = show_attr(value)
    return text.replace(",)", ")")


def literal_words(node: Node) -> str:
    """Return the value of a constant, or what an index is, cut if long."""
    (value,) = node.attrs.values()
    return short(show_attr(value), 22)


def box_label(box: Box) -> str:
    """Return the label of a box: the user's lines, how much they compute, and with which ops."""
    lines = box.locations()[: 1 if box.control else None]
    counts = box.ops()
    what = f"{count(sum(counts.values()), 'op')}, {show_bytes(box.nbytes())}"
    if box.kernels:
        what = f"{count(box.kernels, 'kernel')}: {what}{_mixture(box)}"
    most = counts.most_common(4)
    names = ", ".join(name if n == 1 else f"{n} {name}" for name, n in most)
    names += ", …" if len(counts) > len(most) else ""
    head = [(short(_lines_words(box.locations())), "b")]
    sources = [(short(line.source()), "p") for line in lines[:3]]
    return label([*head, *sources, (what, "s"), (names, "s")])


def _mixture(box: Box) -> str:
    """Say how much of a forward kernel's work is the backward program's."""
    orders = [n.origin.order > 0 for n in flat_nodes(box.nodes) if computes(n)]
    backward = sum(orders)
    return f", {backward} backward" if 0 < backward < len(orders) else ""


def _lines_words(lines: Sequence[Location]) -> str:
    if not lines:
        return "constants and seeds"
    numbers = sorted({line.line for line in lines})
    first = str(lines[0]).rpartition(":")[0]
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
    return f"{first}:{span}"


def node_tip(node: Node) -> str:
    """Return the text shown on hover: the user's line, then what the node is."""
    types = ", ".join(str(v.type) for v in node.outputs)
    size = size_words(v.type for v in node.outputs)
    names = " ".join(v.name for v in node.outputs if v.name)
    order = f", derivative of order {node.origin.order}" if node.origin.order else ""
    what = f"{node.op.name}: {types} {names}".rstrip()
    return "\n".join([*_location_words(node.origin.location), f"{what}, {size}{order}"])


def size_words(types: Iterable[ArrayType]) -> str:
    """Word the bytes of arrays; extents that change with a loop index count in full."""
    try:
        return show_bytes(sum(t.nbytes for t in types))
    except ValueError:  # no bound is known
        return "as many bytes as it takes"


def box_tip(box: Box) -> str:
    """Return the text shown on hover: all lines, all ops."""
    lines = [words for location in box.locations()[:12] for words in _location_words(location)]
    counts = ", ".join(f"{n} {name}" for name, n in box.ops().most_common())
    return "\n".join([*lines, counts])


def _location_words(location: Location | None) -> list[str]:
    if location is None:
        return []
    source = location.source()
    return [f"{location}: {source}" if source else str(location)]


# --- heading ------------------------------------------------------------------------------------


def heading(title: str, met: set[str]) -> str:
    """Return the title over a legend of the looks that were met, as an HTML-like table."""
    cells = [_legend_cell(name, look) for name, look in LOOKS.items() if name in met]
    rows = "".join(
        f"<tr><td><table border='0' cellborder='0' cellspacing='5'><tr>{''.join(row)}</tr></table>"
        "</td></tr>"
        for row in (cells[:5], cells[5:])
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
