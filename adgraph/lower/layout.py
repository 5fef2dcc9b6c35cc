"""Where the elements of every value are: views become offsets and strides of a root's buffer.

A root is a graph input, a constant, or a value that a node computes; it is C-contiguous. `layouts`
follows every view with a one-byte NumPy array of the right strides: NumPy's own view rules decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType


@dataclass(frozen=True, slots=True)
class Layout:
    """A strided box in the buffer of `root`; offset and strides are in elements."""

    root: Value
    offset: int
    strides: tuple[int, ...]

    def contiguous(self, type: ArrayType) -> bool:
        """Tell whether the elements stand in C order without gaps."""
        expected = c_strides(type.shape)
        return (
            all(
                n == 1 or have == want
                for n, have, want in zip(type.shape, self.strides, expected, strict=True)
            )
            or not type.size
        )


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a C-contiguous array."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def layouts(graph: Graph) -> dict[Value, Layout]:
    """Return the layout of every value. Every view must be one (see `materialize`)."""
    found = {v: Layout(v, 0, c_strides(v.type.shape)) for v in graph.inputs}
    for node in graph.nodes:
        for value in node.outputs:
            found[value] = Layout(value, 0, c_strides(value.type.shape))
        if node.op.kind is Kind.VIEW:
            source = node.inputs[0]
            view = view_layout(node, source.type, found[source])
            assert view is not None, f"{node.op.name} is no view of its operand"
            found[node.output] = view
    return found


def view_layout(node: Node, type: ArrayType, layout: Layout) -> Layout | None:
    """Return the layout of a view of an operand that has one, or None if NumPy would copy."""
    result = node.output.type
    if not type.size or not result.size:
        return Layout(layout.root, 0, c_strides(result.shape))
    source = phantom(type.shape, layout.strides)
    try:
        if result.size == type.size and "shape" in node.attrs:
            view = np.reshape(source, result.shape, copy=False)
        else:
            view = node.op.evaluate(source, **node.attrs)
    except ValueError:
        return None
    return Layout(layout.root, layout.offset + _address(view) - _address(source), view.strides)


_BYTE = np.zeros(1, np.int8)


def phantom(shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return an array to compute addresses with; its elements must not be read."""
    return np.lib.stride_tricks.as_strided(_BYTE, shape, strides)


def _address(array: np.ndarray[Any, Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def box_layout(shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[int, tuple[int, ...], Any]:
    """Return offset, strides and shape of a NumPy index into a C-contiguous array."""
    source = phantom(shape, c_strides(shape))
    view = source[(*index, ...)]  # `...`: a single element is a view, too
    offset = _address(view) - _address(source) if view.size else 0
    return offset, view.strides, view.shape
