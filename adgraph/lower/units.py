"""The steps of a kernel's program and the buffers they work on: what a plan consists of.

`adgraph.lower.inplace` makes a `ProgramPlan`, `adgraph.lower.region` writes its code. Which results
of a node are changed versions of its operands, and may share their buffers, is told by
`tied_operand`. Begin with `ProgramPlan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adgraph.ir.code import Control, Loops, Piece, Pieces
from adgraph.ir.dims import Dim, Symbol, substitute, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import own_operands
from adgraph.ir.types import ArrayType, Index, Slice
from adgraph.ops.shape import add_at, update

Ties = Mapping[int, int]  # output to the input whose buffer it takes over


# --- what a plan consists of ----------------------------------------------------------------------


@dataclass(eq=False)
class Buffer:
    """Memory for the versions of one array.

    It is that of an input of the program, that of an output, or scratch.
    """

    type: ArrayType
    input: int | None = None
    output: int | None = None
    writable: bool = True
    versions: list[Value] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Copy:
    """Copy an array, or a literal, into a buffer of its own.

    What is in the box `but` need not be copied: it is written over next.
    """

    source: Value
    result: Value
    but: Index | None = None


@dataclass(frozen=True, eq=False)
class Locate:
    """Check an index that is known at run time, and make it a symbol."""

    index: Value
    symbol: Symbol
    extent: Dim


Action = Node | Copy | Locate


@dataclass(frozen=True)
class Into:
    """A box of another array, in which a nest puts what it computes, or adds multiples of it."""

    result: Value
    index: Index | None
    add: float


@dataclass(eq=False)
class Unit:
    """One step of a program: a node, a copy, a check of an index.

    `into` tells which results of a nest go straight into a box of an array, `renamed` which
    operands are read in a copy. An array is `filled` if its literal was put there by a copy before.
    """

    action: Action
    key: float
    into: dict[Value, Into] = field(default_factory=dict)
    renamed: dict[Value, Value] = field(default_factory=dict)
    filled: bool = False
    dropped: bool = False

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The operands as they stand in the program."""
        match self.action:
            case Node(inputs=inputs):
                return inputs
            case Copy(source=source):
                return (source,)
            case Locate(index=index):
                return (index,)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """What the unit computes."""
        match self.action:
            case Node(outputs=outputs):
                return outputs
            case Copy(result=result):
                return (result,)
            case Locate():
                return ()


@dataclass(frozen=True, eq=False)
class ProgramPlan:
    """The units of a program in the order of execution, and where its arrays are."""

    graph: Graph
    ties: Ties
    units: tuple[Unit, ...]
    views: Mapping[Value, Node]
    buffers: Mapping[Value, Buffer]
    boxes: Mapping[Value, Into]  # values that are read where an update has put them
    outputs: tuple[Value, ...]


# --- what ties a result to an operand -------------------------------------------------------------


def tied_operand(node: Node, output: int) -> int | None:
    """Return the operand that a result of a node is a changed version of, if there is one."""
    match node.op.code:
        case Pieces(boxes=boxes):
            first = boxes(node.types, dict(node.attrs))[0]
            return first.operand if first.index is None else None
        case Loops(point="write" | "add"):
            return 0
        case Control(form="branch"):
            return branch_ties(node).get(output)
        case Control():
            constants: int = node.attrs["constants"]
            return own_operands(node) + constants + output
        case _:
            return None


def branch_ties(node: Node) -> Ties:
    """Return for the results of a branch the operands that both or one of its programs changes."""
    found: dict[int, int] = {}
    for output, value in enumerate(node.outputs):
        origins = [origin(g, g.outputs[output]) for g in (node.attrs["then"], node.attrs["orelse"])]
        for at in origins:
            if at is None or not value.type.shape or at + 1 in found.values():
                continue
            if node.inputs[at + 1].type == value.type:
                found[output] = at + 1
                break
    return found


def origin(graph: Graph, value: Value) -> int | None:
    """Return the input that a value is a changed version of, if there is one."""
    producers = graph.producers()
    while value in producers:
        node = exposed_update(producers[value])
        at = tied_operand(node, node.outputs.index(value))
        if at is None:
            return None
        value = node.inputs[at]
    return graph.inputs.index(value)


def writes_anew(node: Node, output: int) -> bool:
    """Tell whether a loop writes all of an array that it carries, and reads nothing of it.

    Every trip writes the position of an axis that its index tells: all of a tape, say.
    """
    if not isinstance(node.op.code, Control) or node.op.code.form != "loop":
        return False
    body: Graph = node.attrs["body"]
    before, after = body.inputs[node.attrs["constants"] + output], body.outputs[output]
    readers = [n for n in body.nodes for v in n.inputs if v is before]
    if len(readers) != 1 or before in body.outputs or body.outputs.count(after) > 1:
        return False
    (write,) = readers
    again = any(after in n.inputs for n in body.nodes)
    if (
        write.op is not update
        or write.inputs[0] is not before
        or write.output is not after
        or again
    ):
        return False
    rows = [
        (at, n)
        for at, n in zip(write.attrs["index"], before.type.shape, strict=True)
        if at != Slice(0, n, 1)
    ]
    return len(rows) == 1 and _walks_all(node, *rows[0])


def _walks_all(node: Node, at: Dim | Slice, extent: Dim) -> bool:
    """Whether a position takes every value on an axis in the course of a loop."""
    start, trips = node.attrs["start"], node.attrs["trips"]
    if isinstance(at, Slice) or not isinstance(trips, int) or trips != extent or trips < 1:
        return False
    symbol, step = node.attrs["symbol"], node.attrs["step"]
    first, last = (substitute(at, {symbol: start + t * step}) for t in (0, trips - 1))
    return {first, last} == {0, trips - 1}


def program_ties(graph: Graph) -> Ties:
    """Return for the outputs of a closed program the inputs they are changed versions of."""
    found: dict[int, int] = {}
    for output, value in enumerate(graph.outputs):
        at = origin(graph, value) if value.type.shape else None
        if at is not None and at not in found.values() and graph.inputs[at].type == value.type:
            found[output] = at
    return found


def exposed_update(node: Node) -> Node:
    """Return a write at one run-time position as the update of a box with an unknown place."""
    code = node.op.code
    if not isinstance(code, Loops) or code.point in (None, "read") or node.inputs[-1].type.shape:
        return node
    x, v, _ = node.inputs
    index = point_index(x.type, node.attrs["axis"], symbol_dim(Symbol("k")))
    op = update if code.point == "write" else add_at
    return Node(op, (x, v), node.outputs, {"index": index}, node.origin)


def point_index(type: ArrayType, axis: int, at: Dim) -> Index:
    """Return the box of an array at one position of an axis."""
    return tuple(at if a == axis else Slice(0, n, 1) for a, n in enumerate(type.shape))


# --- what nodes are and write -------------------------------------------------------------------


def is_nest(node: Node) -> bool:
    """Tell whether a node is a group of elementwise ops and reductions, and no kernel yet."""
    return node.op.kind is Kind.REGION and node.op.code is None and "in_place" not in node.attrs


def written_pieces(node: Node) -> tuple[Piece, ...]:
    """Return the boxes that an update writes into its first operand."""
    assert isinstance(node.op.code, Pieces)
    return node.op.code.boxes(node.types, dict(node.attrs))[1:]


def starts_with_literal(node: Node) -> bool:
    """Tell whether an op fills its result and then writes boxes from operands."""
    if not isinstance(node.op.code, Pieces):
        return False
    first, *rest = node.op.code.boxes(node.types, dict(node.attrs))
    return first.index is None and first.operand is None and bool(rest)


def align_axes(
    shape: tuple[Dim, ...], strides: tuple[int, ...], other: tuple[Dim, ...]
) -> tuple[int, ...] | None:
    """Return the strides in the axes of a shape that differs by axes of extent one only."""
    long = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if [n for n, _ in long] != [n for n in other if n != 1]:
        return None
    walked = iter(long)
    return tuple(0 if n == 1 else next(walked)[1] for n in other)
