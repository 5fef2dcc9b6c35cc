"""Which transposed arrays are worth a copy: those that loops would read column by column too often.

A loop over columns reads elements that are far apart, and LLVM makes no vectors of it. Once, that
costs as much as to copy them; if they go through functions, or are read again, a copy is cheaper:
the sine of a transposed array of 1000 by 1000, times another, takes 18 ms without one and 1.4 ms
with it. BLAS reads either order. Begin with `worth_copying`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from adgraph.analysis.cost import evaluations, expected_trips
from adgraph.ir.code import Control, Routine
from adgraph.ir.dims import upper_bound
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import own_operands
from adgraph.ops.shape import transpose

EVALUATED = 4  # what reading an element for a function counts
ENOUGH = 1.5  # times that an array is read

Readers = Mapping[Value, list[Node]]


def worth_copying(graph: Graph) -> set[Value]:
    """Return the transposed views that a program should copy; its nests are made already."""
    readers = _readers(graph)
    return {
        node.output
        for node in graph.nodes
        if node.op is transpose
        and _moves_rows(node)
        and _elements_read(node.output, readers) >= ENOUGH * node.output.type.size
    }


def _moves_rows(node: Node) -> bool:
    """Whether neighbours on the last axis were none before; axes of extent one do not count."""
    shape = node.inputs[0].type.shape
    axes = [axis for axis in node.attrs["axes"] if shape[axis] != 1]
    return axes[-1:] != sorted(axes)[-1:]


def _readers(graph: Graph) -> Readers:
    readers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        for value in dict.fromkeys(node.inputs):
            readers.setdefault(value, []).append(node)
    return readers


def _elements_read(value: Value, readers: Readers) -> float:
    return sum(_read_by(node, value, readers) for node in readers.get(value, ()))


def _read_by(node: Node, value: Value, readers: Readers) -> float:
    """Count the elements of a transposed value that a node reads column by column."""
    if node.op is transpose or isinstance(node.op.code, Routine):
        return 0.0
    if node.op.kind is Kind.VIEW:
        return _elements_read(node.output, readers)
    if isinstance(node.op.code, Control):
        at = node.inputs.index(value) - own_operands(node)
        inside = sum(_elements_read(g.inputs[at], _readers(g)) for g in node.regions())
        return inside * expected_trips(node)
    size = math.prod(upper_bound(n) or 1 for n in value.type.shape)
    return float(size * EVALUATED if evaluations(node) else size)
