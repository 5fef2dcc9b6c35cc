"""Vectors of elements that lie apart in memory.

`strided` reads elements at equal distances: near ones with the vectors that hold them, the others
one by one, which is as fast as a gather and on some CPUs faster. `gather` and `scatter` take any
indices, and a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adgraph.lower.emitter import Scalar
from adgraph.lower.instructions import (
    WHOLE,
    Instructions,
    Part,
    Value,
    in_memory,
    lane_type,
    suffix,
)
from adgraph.lower.kernel_types import INT64

NEAREST = 4  # elements from one to the next: up to these, whole vectors are read


def strided(
    code: Instructions, kind: Scalar, first: str, steps: Sequence[Value], lanes: int
) -> Value:
    """Read elements at distances from the first: `steps` are those of all lanes from it."""
    memory = in_memory(kind)
    step = steps[1].number
    if step is not None and 0 < abs(step) <= NEAREST:
        read = _chosen(code, memory, first, int(step), lanes)
    else:
        read = "poison"
        for i, distance in enumerate(steps):
            part = code.load(memory, code.element(memory, first, distance, ""))
            into = f"{lane_type(memory.llvm, lanes)} {read}, {part.typed}, i64 {i}"
            read = code.emit(f"insertelement {into}")
    return code.converted(Value(read, memory, None, lanes), kind)


def _chosen(code: Instructions, memory: Scalar, first: str, step: int, lanes: int) -> str:
    """Read all vectors from the first element to the last, and choose."""
    type = lane_type(memory.llvm, lanes)
    lowest = min(0, (lanes - 1) * step)
    places = [i * step - lowest for i in range(lanes)]
    read = "poison"
    for start in _starts(max(places) + 1, lanes):
        at = code.emit(f"getelementptr {memory.llvm}, ptr {first}, i64 {lowest + start}")
        some = code.load(memory, at, lanes)
        held = [
            lanes + p - start if start <= p < start + lanes else i for i, p in enumerate(places)
        ]
        which = ", ".join(f"i32 {i}" for i in held)
        read = code.emit(f"shufflevector {type} {read}, {some.typed}, <{lanes} x i32> <{which}>")
    return read


def _starts(span: int, lanes: int) -> Iterator[int]:
    """Where vectors begin that cover a span and nothing beyond it."""
    yield from range(0, span - lanes, lanes)
    yield span - lanes


def gather(
    code: Instructions, kind: Scalar, pointer: str, index: Value, part: Part = WHOLE
) -> Value:
    """Read elements by their indices; lanes that take no part are zero."""
    memory, lanes = in_memory(kind), index.lanes
    places, mask, type = _places(code, memory, pointer, index, part)
    function = f"llvm.masked.gather.{suffix(memory, lanes)}.v{lanes}p0"
    parameters = f"<{lanes} x ptr>, i32, <{lanes} x i1>, {type}"
    code.declarations.add(f"declare {type} @{function}({parameters})")
    arguments = f"{places}, i32 {memory.bits // 8}, {mask}, {type} zeroinitializer"
    read = code.emit(f"call {type} @{function}({arguments})")
    return code.converted(Value(read, memory, None, lanes), kind)


def scatter(
    code: Instructions, value: Value, pointer: str, index: Value, part: Part = WHOLE
) -> None:
    """Write elements by their indices; what takes no part stays as it is."""
    memory, lanes = in_memory(value.kind), index.lanes
    value = code.on_lanes(code.converted(value, memory), lanes)
    places, mask, type = _places(code, memory, pointer, index, part)
    function = f"llvm.masked.scatter.{suffix(memory, lanes)}.v{lanes}p0"
    parameters = f"{type}, <{lanes} x ptr>, i32, <{lanes} x i1>"
    code.declarations.add(f"declare void @{function}({parameters})")
    code.do(f"call void @{function}({value.typed}, {places}, i32 {memory.bits // 8}, {mask})")


def _places(
    code: Instructions, memory: Scalar, pointer: str, index: Value, part: Part
) -> tuple[str, str, str]:
    """The addresses of elements, which of them take part, and the type of the elements."""
    at, lanes = code.converted(index, INT64), index.lanes
    places = code.emit(f"getelementptr {memory.llvm}, ptr {pointer}, {at.typed}")
    mask = part.mask or f"<{lanes} x i1> splat (i1 true)"
    return f"<{lanes} x ptr> {places}", mask, lane_type(memory.llvm, lanes)
