"""Loop nests of data movement: boxes of a result copied from operands or filled with literals."""

from __future__ import annotations

from adgraph.ir.types import ArrayType, Shape
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
    shape: Shape,
    target: tuple[int, ...],
    strides: tuple[int, ...] | None,
    literal: float = 0.0,
    *,
    add: str = "",
) -> Nest:
    """Write the nest that fills a box of a result: the box's shape, its strides in `target`.

    `strides` are those of the operand (aligned to the box's axes), or None to fill with `literal`;
    with `add` so many times the operand is added to what is there.
    """
    sizes = Sizes()
    to = Access(RESULT, ()), target
    pointers = [Parameter(RESULT, result.dtype)]
    if strides is None:
        start = Start("value", result.dtype, literal)
        statements = box_statements(shape, to, start, sizes, add=add)
    else:
        source = Access(SOURCE, ()), strides
        statements = box_statements(shape, to, source, sizes, add=add)
        pointers.insert(0, Parameter(SOURCE, result.dtype))
    name = "fill" if strides is None else "move"
    return Nest(name, tuple(pointers), sizes.values, statements)


def box_statements(
    shape: Shape,
    target: tuple[Access, tuple[int, ...]],
    source: tuple[Access, tuple[int, ...]] | Start | str,
    sizes: Sizes,
    *,
    add: str = "",
    letter: str = "i",
    value: str = "value",
) -> tuple[Statement, ...]:
    """Write the loops that fill a box.

    `target` and `source` are the first elements and the strides of the box's axes; a source may
    also be a literal or the name of a scalar. `letter` begins the names of the loops' indices.
    """
    to, into = target
    strides = (0,) * len(shape) if isinstance(source, (Start, str)) else source[1]
    axes = merge_axes(shape, [into, strides], set())
    names = tuple(sizes.extent(n) for n in axes.extents)

    def at(first: Access, walked: tuple[int, ...]) -> Access:
        named = stride_names(axes.merged(walked), axes.extents, names, sizes)
        terms = [(f"{letter}{loop}", s) for loop, s in enumerate(named) if s is not None]
        return Access(first.pointer, tuple(terms), first.offset)

    if isinstance(source, str):
        statements: tuple[Statement, ...] = (Store(at(to, into), source, add),)
    elif isinstance(source, Start):
        statements = (source, Store(at(to, into), source.name, add))
    else:
        statements = (Load(value, at(source[0], strides)), Store(at(to, into), value, add))
    for loop in reversed(range(len(names))):
        statements = (Loop(f"{letter}{loop}", names[loop], statements),)
    return statements
