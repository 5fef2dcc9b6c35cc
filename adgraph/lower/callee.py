"""What is called for an op that is not a nest: a text, a routine or a product, and its integers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from adgraph.ir.code import InnerLoop, Loops, Routine
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Node
from adgraph.ir.types import Shape
from adgraph.lower.kernel import KernelSource
from adgraph.lower.layout import c_strides
from adgraph.lower.materialize import batch_stride
from adgraph.lower.pool import SplitCall
from adgraph.lower.tiles import Tile, tile_for
from adgraph.ops.complex_numbers import COMPLEX

# A text, a routine of `blas` or `lapack` by name and dtype, a product of `tiles`, or what runs
# another callee.
Callee = KernelSource | tuple[str | InnerLoop, str] | Tile | SplitCall

_PARAMETERS = re.compile(r"def kernel\((.*)\)")
SHORT = 8  # an innermost loop of a text of so many trips is unrolled


def callee_of(node: Node) -> tuple[Callee, tuple[Dim, ...]]:
    """Return what a node calls, and the integers it passes, strides left out."""
    code = node.op.code
    assert isinstance(code, (Loops, Routine))
    sizes: tuple[Dim, ...] = code.sizes(node.types, dict(node.attrs))
    if isinstance(code, Routine):
        dtype = node.inputs[0].type.dtype
        return (code.name, (COMPLEX[dtype] if code.pairs else dtype).str[1:]), sizes
    cast = node.outputs[0].type.dtype.name.replace("bool", "boolean")
    text = re.sub(r"\bdtype\(", f"{cast}(", code.text)
    text, sizes = _unrolled(text, sizes)
    text = text.replace("def kernel(", f"def {node.op.name}(", 1)
    work = code.scratch(tuple(t.bounded() for t in node.types), dict(node.attrs))
    types = (*node.types, *(v.type for v in node.outputs), *work)
    dtypes = tuple(t.dtype.str[1:] for t in types)
    return KernelSource(node.op.name, dtypes, len(sizes), text), sizes


def _unrolled(text: str, sizes: tuple[Dim, ...]) -> tuple[str, tuple[Dim, ...]]:
    """Write a small integer `inner` of a text as a number."""
    parameters = _PARAMETERS.search(text)
    assert parameters is not None
    names = parameters[1].split(", ")
    names = names[len(names) - len(sizes) :]
    if "inner" not in names:
        return text, sizes
    at = names.index("inner")
    inner = sizes[at]
    if not isinstance(inner, int) or inner > SHORT:
        return text, sizes
    text = text.replace(", inner", "", 1)
    return re.sub(r"\binner\b", str(inner), text), (*sizes[:at], *sizes[at + 1 :])


def strided_callee_of(
    node: Node,
    operands: Sequence[tuple[int, ...]],
    *,
    result: tuple[int, ...] | None = None,
    one_place: bool = False,
) -> tuple[Callee, tuple[Dim, ...]]:
    """Return what a product calls whose operands have these strides, and the integers it passes.

    The result has neighbours along its last axis; without `result` it is in C order.

    Where a product is added to its first operand, only those of the factors are given; a kernel
    that is no `Tile` finds that operand in the place of the result. `one_place` says that both
    factors begin at one address.
    """
    assert isinstance(node.op.code, Routine)
    callee, own = callee_of(node)
    strides = c_strides(node.output.type.shape) if result is None else result
    sizes = matrix_sizes(node, own, operands, strides)
    if not all(isinstance(n, int) for n in sizes):
        return callee, sizes
    return _product(callee, sizes, node.op.code.adds, one_place)


def _product(
    callee: Callee, sizes: tuple[Any, ...], adds: bool, one_place: bool
) -> tuple[Callee, tuple[Dim, ...]]:
    """Return the kernel of a product of known extents, and its integers."""
    assert isinstance(callee, tuple)
    _, m, n, k, row_a, column_a, row_b, column_b, _, step_a, step_b, _ = sizes
    mirrored = m == n and (row_a, column_a, step_a) == (column_b, row_b, step_b)
    symmetric = one_place and mirrored and not adds and min(m, k) > 1
    tile = tile_for(callee[1], m, n, k, turned=column_b != 1, symmetric=symmetric)
    if tile is not None:
        return tile, (*sizes, int(adds))
    return (("symmetric_product", callee[1]) if symmetric else callee), sizes


def matrix_sizes(
    node: Node,
    sizes: tuple[Dim, ...],
    operands: Sequence[tuple[int, ...]],
    result: tuple[int, ...],
) -> tuple[Any, ...]:
    """Add the stack's size and the strides of operands and result to the sizes of a product."""
    shape = node.output.type.shape
    batch = math.prod(shape[:-2])
    strides: list[Dim] = []
    steps: list[Dim] = []
    for value, own in zip(node.inputs[-2:], operands[-2:], strict=True):
        strides += _matrix_strides(own[-2:], value.type.shape[-2:])
        step = batch_stride(own, value.type.shape)
        assert step is not None
        steps.append(step)
    step = batch_stride(result, shape)
    assert step is not None
    steps.append(step)
    return (batch, *sizes, *strides, max(result[-2], 1), *steps)


def _matrix_strides(strides: tuple[int, ...], shape: Shape) -> tuple[int, int]:
    """Row and column stride as BLAS wants them: an axis of extent one gets a valid stride."""
    (rows, columns), (m, n) = strides, shape
    if columns == 1 or n == 1:
        return (rows if m > 1 else max(n, 1)), 1
    return (rows if m > 1 else 1), columns
