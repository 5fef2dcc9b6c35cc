"""Loop nests of data movement: boxes of a result copied from operands or filled with literals."""

from __future__ import annotations

from adgraph.ir.types import ArrayType
from adgraph.lower.layout import box_layout
from adgraph.lower.nest import (
    Access,
    Load,
    Loop,
    Nest,
    Parameter,
    Sizes,
    Start,
    Statement,
    Store,
    merge_axes,
    stride_names,
)

RESULT, SOURCE = "b0", "a0"


def box_nest(
    result: ArrayType,
    index: tuple[object, ...],
    strides: tuple[int, ...] | None,
    literal: float = 0.0,
) -> tuple[Nest, int]:
    """Write the nest that fills the box of a result, and return it with the box's offset.

    `strides` are those of the operand (aligned to the box's axes), or None to fill with `literal`.
    """
    offset, target, shape = box_layout(result.shape, index)
    source = (0,) * len(shape) if strides is None else strides
    axes = merge_axes(shape, [target, source], set())
    sizes = Sizes()
    names = tuple(sizes.extent(n) for n in axes.extents)
    to = _access(RESULT, axes.merged(target), axes.extents, names, sizes)
    statements: tuple[Statement, ...]
    pointers = [Parameter(RESULT, result.dtype)]
    if strides is None:
        statements = (Start("value", result.dtype, literal), Store(to, "value"))
    else:
        read = Load("value", _access(SOURCE, axes.merged(source), axes.extents, names, sizes))
        statements = (read, Store(to, "value"))
        pointers.insert(0, Parameter(SOURCE, result.dtype))
    for loop in reversed(range(len(names))):
        statements = (Loop(f"i{loop}", names[loop], statements),)
    name = "fill" if strides is None else "move"
    return Nest(name, tuple(pointers), sizes.values, statements), offset


def _access(
    pointer: str,
    strides: tuple[int, ...],
    extents: tuple[int, ...],
    names: tuple[str, ...],
    sizes: Sizes,
) -> Access:
    named = stride_names(strides, extents, names, sizes)
    return Access(pointer, tuple((f"i{loop}", s) for loop, s in enumerate(named) if s is not None))
