"""What is called for an op that is not a nest: a text or a routine, and the integers it gets."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from adgraph.ir.code import Loops, Routine
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Node
from adgraph.ir.types import Shape
from adgraph.lower.kernel import KernelSource
from adgraph.lower.layout import c_strides
from adgraph.lower.materialize import batch_stride

Callee = KernelSource | tuple[str, str]  # a text, or the name and dtype of a routine of `blas`


def callee_of(node: Node) -> tuple[Callee, tuple[Dim, ...]]:
    """Return what a node calls, and the integers it passes, strides left out."""
    code = node.op.code
    assert isinstance(code, (Loops, Routine))
    sizes = code.sizes(node.types, dict(node.attrs))
    if isinstance(code, Routine):
        return (code.name, node.inputs[0].type.dtype.str[1:]), sizes
    cast = node.outputs[0].type.dtype.name.replace("bool", "boolean")
    text = re.sub(r"\bdtype\(", f"{cast}(", code.text)
    text = text.replace("def kernel(", f"def {node.op.name}(", 1)
    dtypes = tuple(v.type.dtype.str[1:] for v in (*node.inputs, *node.outputs))
    return KernelSource(node.op.name, dtypes, len(sizes), text), sizes


def matrix_sizes(
    node: Node, sizes: tuple[Dim, ...], operands: Sequence[tuple[int, ...]]
) -> tuple[Any, ...]:
    """Add the stack's size and the strides of operands and result to the sizes of a product."""
    shape = node.output.type.shape
    batch = math.prod(shape[:-2])
    strides: list[Dim] = []
    steps: list[Dim] = []
    for value, own in zip(node.inputs, operands, strict=True):
        strides += _matrix_strides(own[-2:], value.type.shape[-2:])
        step = batch_stride(own, value.type.shape)
        assert step is not None
        steps.append(step)
    own = c_strides(shape)
    steps.append(own[-3] if len(own) > 2 else 0)
    return (batch, *sizes, *strides, max(own[-2], 1), *steps)


def _matrix_strides(strides: tuple[int, ...], shape: Shape) -> tuple[int, int]:
    """Row and column stride as BLAS wants them: an axis of extent one gets a valid stride."""
    (rows, columns), (m, n) = strides, shape
    if columns == 1 or n == 1:
        return (rows if m > 1 else max(n, 1)), 1
    return 1, (columns if n > 1 else max(m, 1))
