"""A graph as a picture: what is forward, backward, kept between them, fused, checkpointed.

`draw(graph)` returns a `Picture` (a `graphviz.Digraph`). Small graphs show every node: a kernel, a
loop or a branch is a frame around its ops, and what a loop carries comes back by a dashed edge.
Large ones show one box per kernel, loop or line of the user's program. `adgraph.sheet` draws them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adgraph.grouping import flat_nodes
from adgraph.ir.graph import RENDERERS, Graph
from adgraph.looks import heading

if TYPE_CHECKING:
    from adgraph.picture import Picture

COLLAPSE_ABOVE = 80


def draw(graph: Graph, *, title: str | None = None, collapse: bool | None = None) -> Picture:
    """Draw a graph; the picture shows itself in Jupyter and has `save(path)`.

    With `collapse` (the default above 80 nodes) boxes stand for kernels and lines of the program.

    >>> from adgraph.ir.graph import Graph
    >>> "0 nodes" in draw(Graph((), (), ())).source
    True
    """
    from adgraph.sheet import Sheet, empty_picture  # late: it imports graphviz

    size = sum(1 for _ in flat_nodes(graph.nodes))
    if collapse is None:
        collapse = size > COLLAPSE_ABOVE
    sheet = Sheet(empty_picture(graph.name), graph)
    if collapse:
        sheet.draw_boxes()
    else:
        sheet.draw_nodes()
    sheet.draw_outputs()
    words = title or f"{graph.name}: {size} nodes"
    sheet.picture.attr(label=f"<{heading(words, sheet.met)}>", labelloc="t")
    return sheet.picture


RENDERERS["draw"] = draw
