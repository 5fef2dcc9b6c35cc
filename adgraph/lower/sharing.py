"""Which results of a program's kernels may lie where an operand does.

`may_share(graph)` answers the plan of buffers: a kernel may write over an operand that dies with it
if it reads no element of that after the result's element was written.
"""

from __future__ import annotations

from adgraph.analysis.space import Space
from adgraph.ir.code import Pieces, Routine
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.lower.fused import replay
from adgraph.lower.layout import layouts
from adgraph.schedule.buffers import MayShare


def may_share(graph: Graph) -> MayShare:
    """Return what tells which results of a program's kernels may lie where an operand does."""
    return _Sharing(graph).allows


class _Sharing:
    """Which results may take the buffer of an operand that dies with the node."""

    def __init__(self, graph: Graph) -> None:
        self._layouts = layouts(graph)
        self._spaces: dict[Node, Space] = {}

    def allows(self, node: Node, operand: Value, output: Value) -> bool:
        layout = self._layouts[operand]
        same_root = [v for v in node.inputs if self._layouts[v].root is layout.root]
        whole = layout.contiguous(operand.type) and layout.offset == 0
        root_type = layout.root.type
        if len(same_root) > 1 or not whole or root_type.nbytes != output.type.nbytes:
            return False
        if isinstance(node.op.code, Pieces):
            return _first_piece_is(node, operand)
        if isinstance(node.op.code, Routine):
            adds = node.op.code.adds and operand is node.inputs[0]
            return adds and operand.type == output.type
        if node.op.kind is not Kind.REGION or operand.type != output.type:
            return False
        if "in_place" in node.attrs:
            pair = node.inputs.index(operand), node.outputs.index(output)
            return pair in node.attrs["in_place"]
        if node not in self._spaces:
            self._spaces[node] = replay(node.attrs["body"])
        return _elementwise_in_place(node, operand, output, self._spaces[node])


def _first_piece_is(node: Node, operand: Value) -> bool:
    assert isinstance(node.op.code, Pieces)
    first = node.op.code.boxes(node.types, dict(node.attrs))[0]
    return first.index is None and first.operand == node.inputs.index(operand)


def _elementwise_in_place(node: Node, operand: Value, output: Value, space: Space) -> bool:
    """Whether no element of the operand is read after the result's element was written."""
    body: Graph = node.attrs["body"]
    inside = body.inputs[node.inputs.index(operand)]
    result = body.outputs[node.outputs.index(output)]
    place = space.places[result]
    if not place.inner or space.operands.get(inside) != place.map:
        return False
    return space.last_pass(inside) <= place.stage
