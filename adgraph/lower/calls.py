"""Write the call of a kernel by its address, from inside another kernel.

What cannot be written inline (BLAS, LAPACK, scans, generated products) takes arrays in C order:
`write_call` copies what is not, borrows scratch for it, and brings the results to their places.
"""

from __future__ import annotations

from adgraph.ir.code import Loops, Routine
from adgraph.ir.graph import Node, Value
from adgraph.lower.callee import callee_of, strided_callee_of
from adgraph.lower.layout import Layout, c_strides
from adgraph.lower.materialize import product_reads
from adgraph.lower.nest import Invoke, Load
from adgraph.lower.places import Places
from adgraph.lower.storage import Memory, Slot, aligned
from adgraph.lower.tiles import Tile
from adgraph.lower.units import Unit


def write_call(places: Places, unit: Unit, node: Node) -> None:
    """Call a kernel by its address: operands and results are C-contiguous."""
    kernel = places.kernel
    callee, integers = callee_of(node)
    strided = isinstance(node.op.code, Routine) and node.op.code.strided
    borrowed: list[Slot] = []
    operands = [_operand(places, unit, i, node, borrowed) for i in range(len(node.inputs))]
    if strided:
        callee, integers = strided_callee_of(node, [m.strides for m in operands])
    results = [_result(places, v, borrowed) for v in node.outputs]
    scratch = []
    assert isinstance(node.op.code, (Loops, Routine))
    types = tuple(t.bounded() for t in node.types)
    for type in node.op.code.scratch(types, dict(node.attrs)):
        borrowed.append(slot := kernel.slot(type))
        scratch.append(Memory(slot.pointer, 0, (), ()))
    address = kernel.callees.setdefault(callee, f"f{len(kernel.callees)}")
    start = results if isinstance(callee, Tile) else []  # to which nothing is added
    pointers = tuple(map(kernel.access, (*operands, *results, *start, *scratch)))
    places.statements.append(
        Invoke(address, pointers, tuple(map(kernel.names.sizes.dim, integers)))
    )
    for value, memory in zip(node.outputs, results, strict=True):
        _leave(places, value, memory)
    for slot in borrowed:
        slot.free = True


def _operand(places: Places, unit: Unit, number: int, node: Node, borrowed: list[Slot]) -> Memory:
    """An operand as a call needs it: in C order, or a stack of matrices as products read them."""
    value = node.inputs[number]
    stored = places.operand(unit, value)
    type = value.type
    strided = isinstance(node.op.code, Routine) and node.op.code.strided
    if strided and type.ndim > 2:
        stack = node.output.type.shape[:-2]
        stored = aligned(stored, type.shape, len(stack) + 2)
        stretched = type.shape[:-2] != stack
        type = type.with_shape((*stack, *type.shape[-2:])) if stretched else type
    if isinstance(stored, Memory):
        fits = Layout(value, 0, stored.strides).contiguous(type)
        if fits or (strided and product_reads(node, number, stored.strides, type.shape)):
            return stored
    borrowed.append(slot := places.kernel.slot(type))
    memory = Memory(slot.pointer, 0, c_strides(type.shape), ())
    places.statements += places.kernel.copied(type, memory, stored)
    return memory


def _result(places: Places, value: Value, borrowed: list[Slot]) -> Memory:
    strides = c_strides(value.type.shape)
    if value.type.shape and places.result(value).strides == strides:
        return places.result(value)
    borrowed.append(slot := places.kernel.slot(value.type))
    return Memory(slot.pointer, 0, strides, ())


def _leave(places: Places, value: Value, memory: Memory) -> None:
    """Bring a result to its place: a variable, or a buffer with room for more."""
    if not value.type.shape:
        places.statements.append(Load(places.define(value), places.kernel.access(memory)))
    elif memory != places.result(value):
        places.statements += places.kernel.copied(value.type, places.result(value), memory)
