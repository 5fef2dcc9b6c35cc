"""Which buffer every array of a kernel's program lives in, and the order that makes this sound.

A chain of versions (an array, updates of boxes of it, loops that carry it on) is one buffer. A unit
may write the next version of a buffer over the last one if

1. the buffer is the kernel's to write: a carried array, a result, scratch; never a constant;
2. every other unit that reads an earlier version runs before it, or reads elsewhere;
3. a reader that cannot run before it reads a copy of its box, made before;
4. what the unit itself reads of the buffer is read before it is overwritten: it is elsewhere, or at
   the same elements, or ahead of a nest that ascends; what it writes there as well is elsewhere.

Where the copies of (3) would be as large as the array, or (4) fails for an array the unit needs in
full, the unit writes a fresh copy of the array instead. NumPy's overlap semantics follow: what
stands on the right of an assignment is read before anything is written. This module is the only
place that decides it; `adgraph.lower.region` writes the code. Begin with `plan_program`.
"""

from __future__ import annotations

import math

from adgraph.analysis.space import Map, Space
from adgraph.ir.code import Piece, Pieces
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.types import ArrayType, Index, Slice
from adgraph.lower.boxes import Box, ahead, box_of, disjoint
from adgraph.lower.dataflow import Dataflow
from adgraph.lower.fused import replay
from adgraph.lower.layout import Layout, box_layout, root_layout
from adgraph.lower.units import (
    Buffer,
    Copy,
    Into,
    ProgramPlan,
    Ties,
    Unit,
    align_axes,
    is_nest,
    starts_with_literal,
    tied_operand,
    writes_anew,
    written_pieces,
)

# --- the planner ----------------------------------------------------------------------------------


def plan_program(graph: Graph, ties: Ties) -> ProgramPlan:
    """Plan a program whose units are fused already.

    Inputs named in `ties` are carried: their buffers are the program's, and what the tied outputs
    compute must be there in the end. Other inputs are constants; other outputs have new buffers.
    """
    return _Planner(graph, ties).run()


class _Planner:
    """The buffers so far; in `flow`, the units with their order and what they read."""

    def __init__(self, graph: Graph, ties: Ties) -> None:
        self.graph = graph
        self.ties = ties
        self.flow = Dataflow(graph)
        self.buffers: dict[Value, Buffer] = {}
        self.results = dict(enumerate(graph.outputs))
        self.boxes: dict[Value, Into] = {}
        self.claims: dict[Value, int] = {}
        self.claimed: set[int] = set()
        for i, value in enumerate(graph.inputs):
            if value.type.shape:
                self.buffers[value] = Buffer(value.type, i, None, i in ties.values(), [value])

    def run(self) -> ProgramPlan:
        self._claim_outputs()
        for unit in list(self.flow.order.units):
            if not unit.dropped:
                self._place(unit)
        for output in self.results:
            self._finish(output)
        units = tuple(self.flow.order.sequence())
        outputs = tuple(self.results[k] for k in range(len(self.graph.outputs)))
        return ProgramPlan(
            self.graph, self.ties, units, self.flow.views, self.buffers, self.boxes, outputs
        )

    # --- buffers ----------------------------------------------------------------------------------

    def _claim_outputs(self) -> None:
        """Note of which outputs the values are earlier versions: they may use its buffer."""
        for output, value in self.results.items():
            while value.type.shape and value in self.flow.writers and value not in self.claims:
                self.claims[value] = output
                unit = self.flow.writers[value]
                if not isinstance(unit.action, Node):
                    break
                at = tied_operand(unit.action, unit.action.outputs.index(value))
                if at is None:
                    break
                value = unit.action.inputs[at]

    def _place(self, unit: Unit) -> None:
        match unit.action:
            case Node(op=op, outputs=outputs) as node:
                for output, value in enumerate(outputs):
                    if not value.type.shape:
                        continue
                    tied = tied_operand(node, output)
                    if tied is None and starts_with_literal(node):
                        unit.filled = True
                        self._write_copy(unit, value, self.flow.literal(node), written_pieces(node))
                    elif tied is None:
                        self._fresh(value, unit)
                    elif isinstance(op.code, Pieces):
                        self._place_update(unit, node, value, node.inputs[tied])
                    elif self._starts_anew(node, output, node.inputs[tied]):
                        self._fresh(value, unit)
                    else:
                        self._place_tied(unit, value, node.inputs[tied])
            case Copy(result=result):
                if result not in self.buffers:
                    self._fresh(result, unit)

    def _starts_anew(self, node: Node, output: int, x: Value) -> bool:
        """Whether a loop writes over all elements of a literal, which need not be there."""
        return self.flow.layouts[x].root in self.flow.literals and writes_anew(node, output)

    def _fresh(self, value: Value, unit: Unit, leads_to: Value | None = None) -> None:
        """Give a value a new buffer: that of the output it leads to if it is free, or scratch."""
        output = self.claims.get(leads_to or value)
        if output is not None and output in self.ties:
            if self._take_over(self._carried(output), value, unit):
                return
            output = None
        if output in self.claimed:
            output = None
        elif output is not None:
            self.claimed.add(output)
        self.buffers[value] = Buffer(value.type, None, output, True, [value])

    def _take_over(self, buffer: Buffer, value: Value, unit: Unit) -> bool:
        """Let a unit write all of a carried array anew, if nothing of it is needed any more."""
        written = [self.flow.writers[v] for v in buffer.versions if v in self.flow.writers]
        if any(self.flow.order.before(unit, w) for w in written) or self._conflicts(
            buffer, unit, None
        ):
            return False
        target = root_layout(value)
        box = self._box(value.type, None)
        for read in self._reads_of(unit, buffer):
            match unit.action:
                case Copy():
                    safe = self._copies_safely(unit, read, buffer.versions[-1], box)
                case Node() if is_nest(unit.action):
                    safe = self._nest_reads_first(unit, buffer, value, target, box)
                case _:
                    safe = False
            if not safe:
                return False
        self._append(buffer, value, unit, None)
        return True

    def _carried(self, output: int) -> Buffer:
        return self.buffers[self.graph.inputs[self.ties[output]]]

    def _place_update(self, unit: Unit, node: Node, result: Value, x: Value) -> None:
        """Write boxes into the buffer of the operand, or into a copy of it."""
        pieces = written_pieces(node)
        box = self._box(result.type, pieces[0].index) if len(pieces) == 1 else None
        buffer = self._last_of(x)
        if buffer is None or not self._write_here(unit, buffer, result, x, box, pieces):
            self._write_copy(unit, result, x, pieces)

    def _write_copy(self, unit: Unit, result: Value, x: Value, pieces: tuple[Piece, ...]) -> None:
        """Write boxes into a copy of an array, of which only the rest is copied."""
        box = self._box(result.type, pieces[0].index) if len(pieces) == 1 else None
        start = Value(result.type, result.name)
        copy = self._late(Copy(x, start, _overwritten(result.type, pieces)), unit.key - 0.5)
        self.flow.order.edge(copy, unit)
        self._fresh(start, copy, result)
        unit.renamed[x] = start
        written = self._write_here(unit, self.buffers[start], result, x, box, pieces)
        assert written, "a fresh copy has no other readers"

    def _last_of(self, x: Value) -> Buffer | None:
        """The buffer whose last version an operand is, if a unit may write there."""
        layout = self.flow.layouts[x]
        whole = layout == root_layout(x) or (
            layout.root.type == x.type
            and layout.offset == 0
            and layout.strides == root_layout(layout.root).strides
        )
        buffer = self.buffers.get(layout.root)
        if not whole or buffer is None or not buffer.writable:
            return None
        return buffer if buffer.versions[-1] is layout.root else None

    def _box(self, type: ArrayType, index: Index | None) -> Box | None:
        buffer = type.bounded().shape
        offset, strides, shape = box_layout(buffer, index)
        return box_of(offset, strides, type.shape if index is None else shape, buffer)

    def _write_here(
        self,
        unit: Unit,
        buffer: Buffer,
        result: Value,
        x: Value,
        box: Box | None,
        pieces: tuple[Piece, ...],
    ) -> bool:
        """Let an update write its boxes into a buffer whose last version is `x`."""
        if len(pieces) == 1 and self._merge(unit, buffer, result, pieces[0], box):
            return True
        copies = self._conflicts(buffer, unit, box)
        copies += [
            (unit, value)
            for value in self._reads_of(unit, buffer)
            if value is not x and not self._copies_safely(unit, value, x, box)
        ]
        if not self._worth_copying(copies, result.type):
            return False
        self._snapshot(copies, unit)
        self._append(buffer, result, unit, box)
        return True

    def _copies_safely(self, unit: Unit, value: Value, x: Value, box: Box | None) -> bool:
        """Whether an update may copy its operand, element by element, into the box."""
        layout = self.flow.layouts[value]
        if layout.root is not self.flow.layouts[unit.renamed.get(x, x)].root:
            return False
        read = self.flow.seen(value)
        return disjoint(read, box) or ahead(read, box)

    def _place_tied(self, unit: Unit, result: Value, x: Value) -> None:
        """Let a loop or branch carry the array on in the buffer of its operand, or in a copy."""
        buffer = self._last_of(x)
        if buffer is not None:
            copies = self._conflicts(buffer, unit, None)
            copies += [(unit, v) for v in self._reads_of(unit, buffer) if v is not x]
            once = sum(v is x for v in unit.inputs) == 1
            if once and self._worth_copying(copies, result.type):
                self._snapshot(copies, unit)
                self._append(buffer, result, unit, None)
                return
        start = Value(result.type, result.name)
        copy = self._late(Copy(x, start), unit.key - 0.5)
        self.flow.order.edge(copy, unit)
        self._fresh(start, copy, result)
        self._append(self.buffers[start], result, unit, None)

    def _late(self, action: Copy, key: float) -> Unit:
        """Add a copy; it runs before what overwrites its operand.

        A nest that writes several versions leaves each result in a box of its own.
        """
        copy = self.flow.unit(action, key)
        root = self.flow.layouts[action.source].root
        if root in self.flow.writers:
            self.flow.order.edge(self.flow.writers[root], copy)
        for need in self.flow.needs(copy):
            self.flow.order.edge(need, copy)
        buffer = self.buffers.get(root)
        if buffer is not None:
            for later in buffer.versions[buffer.versions.index(root) + 1 :]:
                if self.flow.writers[later] is not self.flow.writers.get(root):
                    self.flow.order.edge(copy, self.flow.writers[later])
        return copy

    def _append(self, buffer: Buffer, value: Value, unit: Unit, box: Box | None) -> None:
        """Make a value the next version of a buffer: earlier ones are read and written before."""
        for version in buffer.versions:
            if version in self.flow.writers:
                self.flow.order.edge(self.flow.writers[version], unit)
            for reader, seen in self.flow.readers.get(version, ()):
                if reader.dropped or reader is unit or seen in reader.renamed:
                    continue
                if not disjoint(self.flow.seen(seen), box):
                    self.flow.order.edge(reader, unit)
        buffer.versions.append(value)
        self.buffers[value] = buffer
        self.flow.layouts[value] = root_layout(value)

    def _conflicts(self, buffer: Buffer, unit: Unit, box: Box | None) -> list[tuple[Unit, Value]]:
        """The reads of a buffer by other units that cannot come before the unit's write."""
        found = []
        for version in buffer.versions:
            for reader, value in self.flow.readers.get(version, ()):
                if reader is unit or reader.dropped or value in reader.renamed:
                    continue
                if self.flow.order.before(unit, reader) and not disjoint(
                    self.flow.seen(value), box
                ):
                    found.append((reader, value))
        return found

    def _reads_of(self, unit: Unit, buffer: Buffer) -> list[Value]:
        """The operands of a unit that are in a buffer."""
        found = []
        for value in dict.fromkeys(unit.inputs):
            root = self.flow.layouts[unit.renamed.get(value, value)].root
            if self.buffers.get(root) is buffer:
                found.append(value)
        return found

    def _worth_copying(self, copies: list[tuple[Unit, Value]], type: ArrayType) -> bool:
        values = {value for _, value in copies}
        return not values or sum(v.type.nbytes for v in values) < type.nbytes

    def _snapshot(self, reads: list[tuple[Unit, Value]], unit: Unit) -> None:
        """Let readers read copies that are made before a unit writes."""
        copies: dict[Value, Value] = {}
        for reader, value in reads:
            if value not in copies:
                copies[value] = Value(value.type, value.name)
                copy = self._late(Copy(value, copies[value]), unit.key - 0.5)
                self.flow.order.edge(copy, unit)
                self._fresh(copies[value], copy)
            reader.renamed[value] = copies[value]
            self.flow.readers.setdefault(copies[value], []).append((reader, value))
            self.flow.order.edge(self.flow.writers[copies[value]], reader)

    # --- nests that store straight into a box -----------------------------------------------------

    def _merge(
        self, unit: Unit, buffer: Buffer, result: Value, piece: Piece, box: Box | None
    ) -> bool:
        """Let the nest that computes the value of an update store it, if (1) to (4) allow it."""
        value = unit.inputs[piece.operand] if piece.operand is not None else None
        group = None if value is None else self._sole_nest(value, unit, piece.add)
        if group is None or value is None:
            return False
        before = [u for u in self.flow.needs(unit) if u is not group]
        if any(self.flow.order.before(group, u) for u in before):
            return False
        if any(reader is not unit for reader, _ in self._conflicts(buffer, group, box)):
            return False
        made = self.flow.layouts[value].root
        target = self._target(result.type, piece.index, value, made)
        if piece.add and replay(_body(group)).places[_inside(group, made)].scattered:
            return False
        if target is None or not self._nest_reads_first(group, buffer, made, target, box):
            return False
        unit.dropped = True
        del self.buffers[made]
        for other in before:
            self.flow.order.edge(other, group)
        group.into[made] = Into(result, piece.index, piece.add)
        self.flow.writers[result] = group
        self._append(buffer, result, group, box)
        self._read_in_box(made, unit, group.into[made], target)
        return True

    def _read_in_box(self, made: Value, unit: Unit, into: Into, target: Layout) -> None:
        """Let the other readers of a value read the box in which its nest has put it."""
        readers = [(u, v) for u, v in self.flow.readers.pop(made) if u is not unit]
        if readers:
            self.boxes[made] = into
            self.flow.layouts[made] = Layout(into.result, target.offset, target.strides)
            self.flow.readers.setdefault(into.result, []).extend(readers)

    def _sole_nest(self, value: Value, unit: Unit, add: float) -> Unit | None:
        """The nest that computes a value, if all others can read it where the update puts it."""
        layout = self.flow.layouts[value]
        made = layout.root
        group = self.flow.writers.get(made)
        if group is None or group.dropped or not isinstance(group.action, Node):
            return None
        if not is_nest(group.action) or made not in group.outputs or made in group.into:
            return None
        if not layout.contiguous(value.type):
            return None
        readers = [
            r for r in self.flow.readers.get(made, ()) if not r[0].dropped and r[0] is not unit
        ]
        direct = all(v is made and v not in r.renamed for r, v in readers) and not add
        outside = any(self.flow.layouts[v].root is made for v in self.results.values())
        reread = set(replay(_body(group)).reread())
        alone = (direct or not readers) and not outside and _inside(group, made) not in reread
        buffer = self.buffers.get(made)
        own = buffer is not None and buffer.output is None and buffer.versions == [made]
        return group if alone and own else None

    def _target(
        self, type: ArrayType, index: Index | None, value: Value, made: Value
    ) -> Layout | None:
        """The place in a buffer for a value, in the axes of what the nest computes."""
        offset, strides, _ = box_layout(type.bounded().shape, index)
        aligned = align_axes(value.type.shape, strides, made.type.shape)
        return None if aligned is None else Layout(made, offset, aligned)

    def _nest_reads_first(
        self, group: Unit, buffer: Buffer, made: Value, target: Layout, box: Box | None
    ) -> bool:
        """Whether a nest is done with what it needs of a buffer before it stores a result there."""
        space = replay(_body(group))
        place = space.places[_inside(group, made)]
        if any(version in group.outputs for version in buffer.versions):
            return False
        for into in group.into.values():
            other = self._box(into.result.type, into.index)
            if self.buffers[into.result] is buffer and not disjoint(other, box):
                return False
        write = _spread(target, place.map, space, buffer)
        for value in self._reads_of(group, buffer):
            if disjoint(self.flow.seen(value), box):
                continue
            operand = _body(group).inputs[group.inputs.index(value)]
            layout = self.flow.layouts[group.renamed.get(value, value)]
            read = _spread(layout, space.operands[operand], space, buffer)
            in_time = not place.scattered and space.last_pass(operand) <= place.stage
            in_line = place.inner and not space.depth and place.stage == 0
            if not (in_time and (read == write or (in_line and ahead(read[2], write[2])))):
                return False
        return True

    # --- outputs ----------------------------------------------------------------------------------

    def _finish(self, output: int) -> None:
        """See that an output is in its buffer in the end."""
        value = self.results[output]
        if not value.type.shape:
            return
        root = self.flow.layouts[value].root
        buffer = self.buffers.get(root)
        carried = self._carried(output) if output in self.ties else None
        own = buffer is not None and (buffer is carried if carried else buffer.output == output)
        if own and self.flow.layouts[value].strides == root_layout(value).strides:
            assert buffer is not None
            if buffer.versions[-1] is root and self.flow.layouts[value].offset == 0:
                return
        stale = buffer is not None and buffer.versions[-1] is not root
        if carried is not None and (stale or (buffer is carried and not self._stays(value))):
            value = self._saved(value)
        result = Value(value.type, value.name)
        copy = self._late(Copy(value, result), len(self.flow.order.units))
        if carried is None:
            for other in self.buffers.values():
                if other.output == output:
                    other.output = None  # it was written on after the version that is returned
            self.buffers[result] = Buffer(value.type, None, output, True, [result])
            return
        box = self._box(value.type, None)
        self._snapshot(self._conflicts(carried, copy, box), copy)
        self._append(carried, result, copy, box)

    def _stays(self, value: Value) -> bool:
        """Whether a view of a buffer can be copied over it, element by element."""
        return ahead(self.flow.seen(value), self._box(value.type, None))

    def _saved(self, value: Value) -> Value:
        """Copy a value to scratch before what overwrites it."""
        copy = Value(value.type, value.name)
        self._fresh(copy, self._late(Copy(value, copy), len(self.flow.order.units)))
        return copy


# --- what the planner reads of nodes --------------------------------------------------------------


def _overwritten(type: ArrayType, pieces: tuple[Piece, ...]) -> Index | None:
    """The box that an update writes all of, if it is most of the array."""
    (piece,) = pieces if len(pieces) == 1 else (None,)
    if piece is None or piece.add or piece.index is None or type.ragged:
        return None
    sizes = [at.size if isinstance(at, Slice) and at.step == 1 else 1 for at in piece.index]
    if not all(isinstance(n, int) for n in sizes):
        return None
    return piece.index if 2 * math.prod(sizes) > type.size else None


def _body(group: Unit) -> Graph:
    assert isinstance(group.action, Node)
    body: Graph = group.action.attrs["body"]
    return body


def _inside(group: Unit, made: Value) -> Value:
    """The value in the body of a nest that is one of its results."""
    return _body(group).outputs[group.outputs.index(made)]


Walk = tuple[Dim, tuple[int, ...], Box | None]


def _spread(layout: Layout, map: Map, space: Space, buffer: Buffer) -> Walk:
    """How the loops of a space walk a view: offset, stride of every loop, box."""
    extents = space.extents or ()
    strides = [0] * len(extents)
    for axis, stride in zip(map, layout.strides, strict=True):
        if axis is not None:
            strides[axis] = stride
    walked = tuple(n if s else 1 for n, s in zip(extents, strides, strict=True))
    box = box_of(layout.offset, tuple(strides), walked, buffer.type.bounded().shape)
    return layout.offset, tuple(strides), box
