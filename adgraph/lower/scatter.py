"""Write the code of positions known at run time: what is read of them, checked, written there.

A position that counts from the end is wrapped, one outside stops the kernel with `OUT_OF_BOUNDS`.
`write_scatter` writes parts of an array, or adds them, where integers say; `write_locate` makes one
position a symbol of offsets.
"""

from __future__ import annotations

import math

from adgraph.ir.code import Loops
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Node
from adgraph.ir.types import ArrayType
from adgraph.lower.nest import ONCE, Range, Set, Statement, Stop
from adgraph.lower.places import Places
from adgraph.lower.storage import Kernel, Memory, Scalar, Stored
from adgraph.lower.units import Locate, Unit

OUT_OF_BOUNDS = "3"
MANY = 64  # positions which are checked before the first one is used


def write_locate(places: Places, locate: Locate) -> None:
    """Wrap an index that counts from the end, and check its bounds."""
    kernel = places.kernel
    name = kernel.names.scalar()
    kernel.symbols[locate.symbol] = name
    extent = kernel.names.sizes.dim(locate.extent)
    places.statements += _position(kernel, name, places.stored(locate.index), [], extent)


def write_scatter(places: Places, unit: Unit, node: Node) -> None:
    """Write parts, or add them, at positions that an array of integers gives."""
    assert isinstance(node.op.code, Loops)
    kernel, axis = places.kernel, node.attrs["axis"]
    part, indices = (places.operand(unit, v) for v in node.inputs[1:])
    loops = [Symbol("p", 0, n - 1) for n in node.inputs[2].type.shape]
    for symbol in loops:
        kernel.symbols[symbol] = kernel.names.scalar()
    at, symbol = kernel.names.scalar(), Symbol("k")
    kernel.symbols[symbol] = at
    if isinstance(part, Memory):
        part = _walked(part, axis, loops)
    box = _at(places.result(node.output), axis, symbol)
    shape = node.output.type.shape
    rest = node.output.type.with_shape(shape[:axis] + shape[axis + 1 :])
    extent = kernel.names.sizes.dim(shape[axis])
    read, wrap, check = _position(kernel, at, indices, loops, extent)
    copied = kernel.copied(rest, box, part, add=ONCE if node.op.code.point == "add" else "")
    if _has_many(node.inputs[2].type):
        places.statements += _all_checked(kernel, at, read, loops, extent)
        places.statements += _looped(kernel, loops, (read, wrap, *copied))
    else:
        places.statements += _looped(kernel, loops, (read, wrap, check, *copied))


def _walked(part: Memory, axis: int, loops: list[Symbol]) -> Memory:
    """The part that goes to the position at loop indices."""
    behind = axis + len(loops)
    offset = part.offset + _walk(loops, part.strides[axis:behind])
    strides = part.strides[:axis] + part.strides[behind:]
    return Memory(part.pointer, offset, strides, part.grid)


def _at(array: Memory, axis: int, symbol: Symbol) -> Memory:
    """The part of an array at a position of an axis."""
    offset = array.offset + array.strides[axis] * symbol_dim(symbol)
    strides = array.strides[:axis] + array.strides[axis + 1 :]
    return Memory(array.pointer, offset, strides, array.grid)


def _all_checked(
    kernel: Kernel, at: str, read: Statement, loops: list[Symbol], extent: str
) -> tuple[Statement, ...]:
    """Check the least and the greatest of many positions, which are found in vectors."""
    least, greatest = kernel.names.scalar(), kernel.names.scalar()
    fold = (Set(least, f"min({least}, {at})"), Set(greatest, f"max({greatest}, {at})"))
    return (
        Set(least, "int64(0)"),
        Set(greatest, "int64(-1)"),
        *_looped(kernel, loops, (read, *fold)),
        Stop(f"{least} + {extent} < 0 or {greatest} >= {extent}", OUT_OF_BOUNDS),
    )


def _looped(
    kernel: Kernel, loops: list[Symbol], body: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    """Write loops around statements, the outermost first."""
    for loop in reversed(loops):
        assert loop.upper is not None
        extent = kernel.names.sizes.dim(loop.upper + 1)
        body = (Range(kernel.symbols[loop], "0", extent, "1", body),)
    return body


def _position(
    kernel: Kernel, name: str, indices: Stored, loops: list[Symbol], extent: str
) -> tuple[Statement, Statement, Statement]:
    """Read a position, wrap it if it counts from the end, and check its bounds."""
    if isinstance(indices, Scalar):
        read: Statement = Set(name, f"int64({indices.text})")
    else:
        at = indices.offset + _walk(loops, indices.strides)
        access = kernel.access(Memory(indices.pointer, at, (), indices.grid))
        read = Set(name, f"int64({indices.pointer}[{access.offset.text or 0}])")
    return (
        read,
        Set(name, f"where({name} < 0, {name} + {extent}, {name})"),
        Stop(f"{name} < 0 or {name} >= {extent}", OUT_OF_BOUNDS),
    )


def _has_many(indices: ArrayType) -> bool:
    counts = [n for n in indices.shape if isinstance(n, int)]
    return len(counts) == indices.ndim and math.prod(counts) >= MANY


def _walk(symbols: list[Symbol], strides: tuple[int, ...]) -> Dim:
    """The offset of an element at loop indices."""
    offset: Dim = 0
    for symbol, stride in zip(symbols, strides, strict=True):
        offset = offset + stride * symbol_dim(symbol)
    return offset
