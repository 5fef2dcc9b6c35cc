"""Insert the copies without which a program has no layout.

Afterwards every view is a strided box of its root, every operand of a loop kernel or library
routine has the strides it needs, and every output is a buffer of its own that a node writes:
an output may have another shape than the result it stands for, never other elements. Transposed
arrays are copied, too, where `adgraph.lower.columns` finds that cheaper.
"""

from __future__ import annotations

import math

from adgraph.control.fused import fused
from adgraph.ir.code import Loops, Routine
from adgraph.ir.graph import Graph, Node, Origin, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import Shape
from adgraph.lower.columns import worth_copying
from adgraph.lower.layout import Layout, c_strides, view_layout
from adgraph.lower.tiles import tile_for
from adgraph.ops.constant import copy
from adgraph.ops.shape import broadcast, reshape


def materialize(graph: Graph) -> Graph:
    """Return an equal program all of whose values have a layout."""
    return _Copier(graph).run()


class _Copier:
    """The nodes written so far, the layouts of their values, and copies already made."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: list[Node] = []
        self._layouts: dict[Value, Layout] = {}
        self._env: dict[Value, Value] = {}
        self._copies: dict[Value, Value] = {}
        self._owners: set[Value] = set()
        self._worth_copying = worth_copying(graph)

    def run(self) -> Graph:
        for value in self._graph.inputs:
            self._env[value] = value
            self._define(value)
        for node in self._graph.nodes:
            self._place(node)
        outputs = self._outputs()
        return Graph(self._graph.inputs, tuple(self._nodes), outputs, self._graph.name)

    def _define(self, value: Value) -> None:
        self._layouts[value] = Layout(value, 0, c_strides(value.type.shape))

    def _place(self, node: Node) -> None:
        inputs = tuple(self._env[v] for v in node.inputs)
        if node.op.kind is Kind.VIEW:
            self._place_view(node, inputs)
            return
        settled = tuple(self._settle(v, node, i) for i, v in enumerate(inputs))
        new = Node(node.op, settled, node.outputs, node.attrs, node.origin)
        self._append(new)
        for value in node.outputs:
            self._env[value] = value
            self._define(value)
        if node.op.kind is not Kind.CONSTANT:
            self._owners.update(node.outputs)

    def _settle(self, value: Value, node: Node, operand: int) -> Value:
        """Return an operand as the node can read it, copied if need be."""
        code = node.op.code
        if isinstance(code, Routine) and code.strided:
            value = self._stretched(value, node)
            fits = product_reads(node, operand, self._layouts[value].strides, value.type.shape)
        elif isinstance(code, (Loops, Routine)):
            fits = self._layouts[value].contiguous(value.type)
        else:
            fits = True
        return value if fits else self._copy(value, node.origin)

    def _stretched(self, value: Value, node: Node) -> Value:
        """Broadcast the stack of an operand to that of the result, unless it is one matrix."""
        stack = node.outputs[0].type.shape[:-2]
        own = value.type.shape[:-2]
        if own == stack or math.prod(own) == 1:
            return value
        matrix = value.type.shape[-2:]
        aligned = (1,) * (len(stack) - len(own)) + own + matrix
        value = self._view(reshape, value, aligned, node.origin)
        return self._view(broadcast, value, (*stack, *matrix), node.origin)

    def _view(self, op: Op, value: Value, shape: tuple[int, ...], origin: Origin) -> Value:
        result = Value(value.type.with_shape(shape))
        node = Node(op, (value,), (result,), {"shape": shape}, origin)
        self._place_view(node, (value,))
        return result

    def _append(self, node: Node) -> None:
        self._nodes.append(node)

    def _place_view(self, node: Node, inputs: tuple[Value, ...]) -> None:
        (source,) = inputs
        new = Node(node.op, inputs, node.outputs, node.attrs, node.origin)
        layout = view_layout(new, source.type, self._layouts[source])
        if layout is None:
            source = self._copy(source, node.origin)
            new = Node(node.op, (source,), node.outputs, node.attrs, node.origin)
            layout = view_layout(new, source.type, self._layouts[source])
            assert layout is not None
        self._append(new)
        self._layouts[node.output] = layout
        copied = node.output in self._worth_copying
        self._env[node.output] = self._copy(node.output, node.origin) if copied else node.output

    def _copy(self, value: Value, origin: Origin) -> Value:
        """Emit a contiguous copy, once for each value."""
        if value not in self._copies:
            self._copies[value] = self._fresh_copy(value, origin)
        return self._copies[value]

    def _fresh_copy(self, value: Value, origin: Origin) -> Value:
        source, result = Value(value.type), Value(value.type)
        body = Graph((source,), (Node(copy, (source,), (result,), {}, origin),), (result,), "copy")
        output = Value(value.type, value.name)
        self._append(Node(fused, (value,), (output,), {"body": body}, origin))
        self._define(output)
        self._owners.add(output)
        return output

    def _outputs(self) -> tuple[Value, ...]:
        """Return the buffer of every output; a reshaped result is its root's buffer."""
        taken: set[Value] = set()
        outputs = []
        for value in (self._env[v] for v in self._graph.outputs):
            root = self._whole_root(value)
            own = root in self._owners and root not in taken
            outputs.append(root if own else self._fresh_copy(value, Origin()))
            taken.add(outputs[-1])
        return tuple(outputs)

    def _whole_root(self, value: Value) -> Value:
        """Return the root whose buffer holds exactly the elements of a value, in order."""
        layout = self._layouts[value]
        whole = layout.contiguous(value.type) and layout.root.type.size == value.type.size
        return layout.root if whole else value


def product_reads(node: Node, operand: int, strides: tuple[int, ...], shape: Shape) -> bool:
    """Whether a product can read one of its operands where it is.

    Generated products read any matrices, BLAS also vectors of which the last element comes first.
    """
    if matrix_strided(strides, shape):
        return True
    (m, k), n = node.inputs[-2].type.shape[-2:], node.inputs[-1].type.shape[-1]
    factor = operand - len(node.inputs) + 2
    if factor < 0 or batch_stride(strides, shape) is None:
        return False
    if not all(isinstance(extent, int) for extent in (m, n, k)):
        return False
    if (m, n)[factor] == 1 and strides[-1 - factor]:
        return True
    return tile_for(node.inputs[-1].type.dtype.str[1:], m, n, k, turned=False) is not None


def matrix_strided(strides: tuple[int, ...], shape: Shape) -> bool:
    """Whether BLAS can read a stack of matrices: one of the last strides 1, one batch stride."""
    rows, columns = strides[-2:]
    m, n = shape[-2:]
    plain = (columns == 1 or n == 1) and (rows >= n or m == 1)
    turned = (rows == 1 or m == 1) and (columns >= m or n == 1)
    return (plain or turned) and batch_stride(strides, shape) is not None


def batch_stride(strides: tuple[int, ...], shape: Shape) -> int | None:
    """Return the one stride by which the matrices of a stack follow each other, if there is one."""
    pairs = [(n, s) for n, s in zip(shape[:-2], strides[:-2], strict=True) if n != 1]
    if not pairs:
        return 0
    step = pairs[-1][1]
    expected = step
    for n, stride in reversed(pairs):
        if stride != expected:
            return None
        expected = stride * n
    return step
