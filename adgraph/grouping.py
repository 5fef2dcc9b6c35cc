"""The boxes of a large graph's drawing: which nodes are shown as one.

`group(nodes, most)` takes the nodes of a graph in order and returns `Box`es. A fused kernel is a
box, and so is a loop or a branch with all that is in it; so is a run of nodes from one line of the
user's program, of one derivative order. Where that leaves too many boxes, all nodes of a line form
one, and so do lines that feed each other (an unrolled loop).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from adgraph.analysis.liveness import computes
from adgraph.errors import Location
from adgraph.ir.code import Control
from adgraph.ir.graph import Graph, Node, Origin, Value


@dataclass(frozen=True, eq=False)
class Box:
    """Nodes that are drawn as one."""

    nodes: tuple[Node, ...]

    @property
    def order(self) -> int:
        """The least derivative order in the box."""
        return min(node.origin.order for node in self.nodes)

    @property
    def scope(self) -> str | None:
        """The name of the checkpointed region that computes all nodes forward, if there is one."""
        scopes = {forward_scope(node) for node in self.nodes}
        return scopes.pop() if len(scopes) == 1 else None

    @property
    def kernels(self) -> int:
        """The number of fused kernels in the box."""
        return sum(1 for node in self.nodes if kernel_body(node) is not None)

    @property
    def control(self) -> Node | None:
        """The loop or branch that the box is, if it is one."""
        return self.nodes[0] if len(self.nodes) == 1 and is_control(self.nodes[0]) else None

    @property
    def fused(self) -> bool:
        """Whether the box holds fused kernels and nothing else."""
        return self.kernels == len(self.nodes)

    def ops(self) -> Counter[str]:
        """Count the ops that compute something, those inside kernels included."""
        return Counter(node.op.name for node in flat_nodes(self.nodes) if computes(node))

    def nbytes(self) -> int:
        """Count the bytes of the arrays the box writes."""
        written = (v for n in self.nodes if computes(n) for v in n.outputs)
        return sum(v.type.nbytes for v in written)

    def locations(self) -> list[Location]:
        """List the user's lines, in the order of their first node."""
        found = (node.origin.location for node in flat_nodes(self.nodes))
        return list(dict.fromkeys(location for location in found if location is not None))


def forward_scope(node: Node) -> str | None:
    """Name the checkpointed region that computes the node in the primal program."""
    scope = node.origin.scope
    return None if scope is None or node.origin.order else str(scope)


def kernel_body(node: Node) -> Graph | None:
    """Return the program of a fused kernel; None for every other node."""
    body = node.attrs.get("body")
    return body if isinstance(body, Graph) and not is_control(node) else None


def is_control(node: Node) -> bool:
    """Tell whether a node is a loop or a branch."""
    return isinstance(node.op.code, Control)


def order_made(node: Node, value: Value) -> int:
    """Return the derivative order of the node that computes a result, inside a kernel too."""
    body = kernel_body(node)
    if body is None:
        return node.origin.order
    inner = body.outputs[node.outputs.index(value)]
    producer = body.producers().get(inner)
    return node.origin.order if producer is None else order_made(producer, inner)


def order_read(node: Node, value: Value) -> int:
    """Return the highest derivative order that reads an operand, inside a kernel too."""
    body = kernel_body(node)
    if body is None:
        return node.origin.order
    inside = [i for o, i in zip(node.inputs, body.inputs, strict=True) if o is value]
    readers = [(n, v) for n in body.nodes for v in n.inputs if v in inside]
    return max((order_read(n, v) for n, v in readers), default=node.origin.order)


def flat_nodes(nodes: Iterable[Node]) -> Iterable[Node]:
    """Iterate over nodes, over its contents in place of a kernel, a loop or a branch."""
    for node in nodes:
        regions = tuple(node.regions())
        if not regions:
            yield node
        for region in regions:
            yield from flat_nodes(region.nodes)


def group(nodes: Sequence[Node], most: int) -> list[Box]:
    """Put nodes into boxes, at most `most` of them if lines of source are few enough."""
    runs = [Box(tuple(run)) for _, run in groupby(nodes, _line)]
    return runs if len(runs) <= most else _by_line(runs)


def _line(node: Node) -> Hashable:
    """What the nodes of one run have in common."""
    if kernel_body(node) is not None or is_control(node):
        return id(node)
    return _place(node.origin)


def _place(origin: Origin) -> Hashable:
    return (origin.location, min(origin.order, 2), origin.scope)


def _line_key(box: Box, node: Node) -> Hashable:
    return id(node) if box.control is not None else (_place(node.origin), box.fused)


def _by_line(runs: list[Box]) -> list[Box]:
    """Merge all runs of a line; lines in a circle become one box, so that no edge goes back."""
    import networkx  # late: only pictures need it, and it is slow

    key_of = {node: _line_key(box, node) for box in runs for node in box.nodes}
    producer = {v: node for node in key_of for v in node.outputs}
    lines = networkx.DiGraph()
    lines.add_nodes_from(key_of.values())
    for node, key in key_of.items():
        sources = (producer[v] for v in node.inputs if v in producer)
        lines.add_edges_from((key_of[source], key) for source in sources)
    members: dict[int, list[Node]] = {}
    circle_of = {
        key: i
        for i, circle in enumerate(networkx.strongly_connected_components(lines))
        for key in circle
    }
    for node, key in key_of.items():
        members.setdefault(circle_of[key], []).append(node)
    return [Box(tuple(nodes)) for nodes in members.values()]
