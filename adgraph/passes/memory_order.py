"""Arguments in Fortran order: a program reads them where they are.

The memory of such an array is that of its transpose in C order, which the program takes in its
place; a view gives it back the axes that the traced function saw. What the passes then do with
views, and matrix products with strides, holds for these arguments too.
"""

from __future__ import annotations

from collections.abc import Collection

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ops.shape import transpose


def with_turned(graph: Graph, numbers: Collection[int]) -> Graph:
    """Return the program that takes the transposes of some of its inputs."""
    inputs = list(graph.inputs)
    views = []
    for i in numbers:
        x = graph.inputs[i]
        inputs[i] = Value(x.type.with_shape(tuple(reversed(x.type.shape))), x.name)
        axes = tuple(reversed(range(x.type.ndim)))
        views.append(Node(transpose, (inputs[i],), (x,), {"axes": axes}))
    return Graph(tuple(inputs), (*views, *graph.nodes), graph.outputs, graph.name)
