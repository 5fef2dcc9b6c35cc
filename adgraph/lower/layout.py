"""Where the elements of every value are: views become offsets and strides of a root's buffer.

A root is a graph input, a constant, or a value that a node computes; it is C-contiguous, a ragged
one with room for its largest extents. `layouts` follows every view; the ops' own records
(`adgraph.ir.code.Strided`) decide what is a view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from adgraph.ir.code import Placed, Strided
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Index, Shape, Slice


@dataclass(frozen=True, slots=True)
class Layout:
    """A strided box in the buffer of `root`; offset and strides are in elements."""

    root: Value
    offset: Dim
    strides: tuple[int, ...]

    def contiguous(self, type: ArrayType) -> bool:
        """Tell whether the elements stand in C order without gaps."""
        expected = c_strides(type.shape)
        return (
            all(
                n == 1 or have == want
                for n, have, want in zip(type.shape, self.strides, expected, strict=True)
            )
            or 0 in type.shape
        )


def c_strides(shape: Shape) -> tuple[int, ...]:
    """Return the strides, in elements, of a C-contiguous array."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def root_layout(value: Value) -> Layout:
    """Return the layout of a value with a buffer of its own."""
    return Layout(value, 0, c_strides(value.type.bounded().shape))


def layouts(graph: Graph) -> dict[Value, Layout]:
    """Return the layout of every value. Every view must be one (see `materialize`)."""
    found = {v: root_layout(v) for v in graph.inputs}
    for node in graph.nodes:
        for value in node.outputs:
            found[value] = root_layout(value)
        if node.op.kind is Kind.VIEW:
            source = node.inputs[0]
            view = view_layout(node, source.type, found[source])
            assert view is not None, f"{node.op.name} is no view of its operand"
            found[node.output] = view
    return found


def view_layout(node: Node, type: ArrayType, layout: Layout) -> Layout | None:
    """Return the layout of a view of an operand that has one, or None if NumPy would copy."""
    result = node.output.type
    if 0 in type.shape or 0 in result.shape:
        return Layout(layout.root, 0, c_strides(result.shape))
    placed = placed_view(node, type.shape, layout.strides)
    if placed is None:
        return None
    return Layout(layout.root, layout.offset + placed[0], placed[1])


def placed_view(node: Node, shape: Shape, strides: tuple[int, ...]) -> Placed | None:
    """Return offset and strides of a view in an operand with these strides."""
    assert isinstance(node.op.code, Strided)
    return node.op.code.place(shape, strides, node.attrs)


def box_layout(
    shape: Shape, index: Index | None, within: tuple[int, ...] | None = None
) -> tuple[Dim, tuple[int, ...], Shape]:
    """Return offset, strides and shape of a box (None: all) of an array.

    That has the strides `within`, by default those of C order.
    """
    strides = c_strides(shape) if within is None else within
    if index is None:
        return 0, strides, shape
    offset: Dim = 0
    steps = []
    sizes = []
    for at, stride in zip(index, strides, strict=True):
        offset = offset + stride * (at.start if isinstance(at, Slice) else at)
        if isinstance(at, Slice):
            steps.append(stride * at.step)
            sizes.append(at.size)
    return offset, tuple(steps), tuple(sizes)


def walk_alike(shape: Shape, strides: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Tell whether strides lead to the same elements of an array of some shape."""
    return all(n == 1 or a == b for n, a, b in zip(shape, strides, others, strict=True))


def box_offset(strides: tuple[int, ...], index: Index | None) -> Dim:
    """Return where a box (None: all) begins in an array with these strides."""
    offset: Dim = 0
    for at, stride in zip(index or (), strides, strict=index is not None):
        offset = offset + stride * (at.start if isinstance(at, Slice) else at)
    return offset
