"""Write the code of a unit without programs of its own: scalars, nests, updates of boxes, copies.

Each function adds to the statements of a program (`Places`). `write_nest` prints a group of
elementwise ops and reductions with `adgraph.lower.fused`, straight into the boxes where its results
belong; `write_pieces` what an update writes.
"""

from __future__ import annotations

from adgraph.ir.code import Piece, Pieces
from adgraph.ir.graph import Graph, Node, Value
from adgraph.lower.fused import fused_statements
from adgraph.lower.given import Operand, Target
from adgraph.lower.layout import placed_view
from adgraph.lower.nest import Let, Load, Set, sum_of
from adgraph.lower.numba_source import literal, multiple
from adgraph.lower.places import Places
from adgraph.lower.storage import Memory, Scalar, Stored, aligned, around, box_shape, part_of
from adgraph.lower.units import Copy, Into, Unit, tied_operand


def write_copy(places: Places, unit: Unit, copy: Copy) -> None:
    """Copy an array into a buffer, but for the box that is written over next."""
    stored, type = places.operand(unit, copy.source), copy.source.type
    for index in around(type, copy.but):
        part = part_of(stored, index)
        box = type.with_shape(box_shape(type, index))
        places.statements += places.kernel.copied(box, places.box(copy.result, index), part)


def write_element(places: Places, unit: Unit, node: Node) -> None:
    """Read the one element that a view shows."""
    source = places.operand(unit, node.inputs[0])
    if isinstance(source, Scalar):
        places.define(node.output, source.text)
        return
    placed = placed_view(node, node.inputs[0].type.shape, source.strides)
    assert placed is not None
    at = Memory(source.pointer, source.offset + placed[0], (), source.grid)
    places.statements.append(Load(places.define(node.output), places.kernel.access(at)))


def write_let(places: Places, unit: Unit, node: Node, text: str) -> None:
    """Compute a scalar from scalars."""
    name = places.kernel.names.scalar()
    operands = tuple(places.operand_text(unit, v) for v in node.inputs)
    places.statements.append(Let(name, node.output.type.dtype, text, operands))
    places.define(node.output, name)


def write_nest(places: Places, unit: Unit, node: Node) -> None:
    """Write the loops of a group of elementwise ops and reductions."""
    body: Graph = node.attrs["body"]
    given = {
        inside: _given(places, places.operand(unit, value), value.type.ndim)
        for value, inside in zip(node.inputs, body.inputs, strict=True)
    }
    results = {}
    for value, inside in zip(node.outputs, body.outputs, strict=True):
        if not value.type.shape:
            results[inside] = Target("", (), places.define(value))
        elif value in unit.into:
            results[inside] = _target(places, value, unit.into[value])
        else:
            memory = places.result(value)
            results[inside] = Target(memory.pointer, memory.strides)
    places.statements += fused_statements(body, given, results, places.kernel.names)


def _given(places: Places, stored: Stored, ndim: int) -> Operand:
    if isinstance(stored, Scalar):
        return Operand("", (0,) * ndim, stored.text)
    offset = places.kernel.access(stored).offset
    return Operand(stored.pointer, stored.strides, None, offset)


def _target(places: Places, value: Value, into: Into) -> Target:
    memory = places.boxed(value, into)
    offset = places.kernel.access(memory).offset
    add = multiple(into.add, value.type.dtype)
    return Target(memory.pointer, memory.strides, None, offset, add)


def write_pieces(places: Places, unit: Unit, node: Node) -> None:
    """Write boxes one after the other; what the first operand holds is there already."""
    assert isinstance(node.op.code, Pieces)
    pieces = node.op.code.boxes(node.types, dict(node.attrs))
    tied = tied_operand(node, 0) is not None
    result = node.output
    if not result.type.shape:
        _write_scalar(places, unit, node, pieces)
        return
    for piece in pieces[tied or unit.filled :]:
        shape = box_shape(result.type, piece.index)
        source: Stored = Scalar(literal(piece.literal, result.type.dtype))
        if piece.operand is not None:
            value = node.inputs[piece.operand]
            source = aligned(places.operand(unit, value), value.type.shape, len(shape))
        to = places.box(result, piece.index)
        box = result.type.with_shape(shape)
        add = multiple(piece.add, box.dtype)
        places.statements += places.kernel.copied(box, to, source, add=add)


def _write_scalar(places: Places, unit: Unit, node: Node, pieces: tuple[Piece, ...]) -> None:
    """A result of one element is what the last piece gives, or the sum of the last two."""
    name = places.kernel.names.scalar()
    *_, last = pieces
    assert last.operand is not None
    text = places.operand_text(unit, node.inputs[last.operand])
    if last.add:
        dtype, first = node.output.type.dtype, places.text(node.inputs[0])
        places.statements.append(sum_of(name, dtype, first, text, multiple(last.add, dtype)))
    else:
        places.statements.append(Set(name, text))
    places.define(node.output, name)
