"""Where the values of one program inside a kernel are, and the statements written so far.

`Places` finds for a value of a planned program its variable or its memory: an input, a result, a
box of another array, a view, or scratch that is free again after its last use. What writes the code
of the units (`adgraph.lower.region`) asks it, and adds to its `statements`.
"""

from __future__ import annotations

from adgraph.ir.graph import Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Index
from adgraph.lower.layout import box_layout, c_strides, placed_view
from adgraph.lower.nest import Statement
from adgraph.lower.numba_source import literal
from adgraph.lower.storage import Kernel, Memory, Scalar, Slot, Stored, box_shape
from adgraph.lower.units import Buffer, Into, ProgramPlan, Unit, align_axes


class Places:
    """The values of one program: the body of a loop, a branch, or the whole."""

    def __init__(
        self,
        kernel: Kernel,
        plan: ProgramPlan,
        inputs: tuple[Stored, ...],
        results: tuple[Memory, ...] = (),
    ) -> None:
        self.kernel = kernel
        self.plan = plan
        self.statements: list[Statement] = []
        self._inputs = inputs
        self._results = results
        self._env: dict[Value, Stored] = {}
        self._memories: dict[Buffer, Memory] = {}
        self._slots: dict[Buffer, Slot] = {}
        self._settled_slots: list[Slot] = []
        self._last = _last_uses(plan)
        for value, stored in zip(plan.graph.inputs, inputs, strict=True):
            if not value.type.shape:
                self._env[value] = stored

    # --- values -----------------------------------------------------------------------------------

    def stored(self, value: Value) -> Stored:
        """Return where a value is."""
        if value not in self._env:
            if value in self.plan.views:
                self._env[value] = self._viewed(self.plan.views[value])
            elif value in self.plan.boxes:
                self._env[value] = self.boxed(value, self.plan.boxes[value])
            else:
                self._env[value] = self._memory(self.plan.buffers[value])
        return self._env[value]

    def _viewed(self, node: Node) -> Stored:
        if node.op.kind is Kind.CONSTANT:
            fill = node.attrs["value"].fill
            assert fill is not None, "array constants are operands of a kernel"
            return Scalar(literal(fill, node.output.type.dtype))
        if node.op.kind is Kind.INDEX:
            text = self.kernel.names.sizes.dim(node.attrs["dim"])
            return Scalar(f"({text})" if " " in text or text[0] == "-" else text)
        source = self.stored(node.inputs[0])
        if isinstance(source, Scalar):
            return source
        type = node.inputs[0].type
        placed = placed_view(node, type.shape, source.strides)
        if placed is None:
            source = self._settled(type, source)
            placed = placed_view(node, type.shape, source.strides)
            assert placed is not None
        return Memory(source.pointer, source.offset + placed[0], placed[1], source.grid)

    def _settled(self, type: ArrayType, source: Stored) -> Memory:
        """Copy an array to scratch in C order, for as long as the program runs."""
        strides = c_strides(type.bounded().shape)
        self._settled_slots.append(slot := self.kernel.slot(type))
        memory = Memory(slot.pointer, 0, strides, strides)
        self.statements += self.kernel.copied(type, memory, source)
        return memory

    def _memory(self, buffer: Buffer) -> Memory:
        if buffer not in self._memories:
            if buffer.input is not None:
                stored = self._inputs[buffer.input]
                if isinstance(stored, Scalar):
                    return stored  # type: ignore[return-value]
                self._memories[buffer] = stored
            elif buffer.output is not None:
                self._memories[buffer] = self._results[buffer.output]
            else:
                self._slots[buffer] = slot = self.kernel.slot(buffer.type)
                strides = c_strides(buffer.type.bounded().shape)
                self._memories[buffer] = Memory(slot.pointer, 0, strides, strides)
        return self._memories[buffer]

    def operand(self, unit: Unit, value: Value) -> Stored:
        """Return where a unit finds an operand."""
        return self.stored(unit.renamed.get(value, value))

    def text(self, value: Value) -> str:
        """Return the text of a scalar."""
        stored = self.stored(value)
        assert isinstance(stored, Scalar)
        return stored.text

    def operand_text(self, unit: Unit, value: Value) -> str:
        """Return the text of a scalar operand of a unit."""
        return self.text(unit.renamed.get(value, value))

    def result(self, value: Value) -> Memory:
        """Return the memory of an array that a unit computes."""
        return self._memory(self.plan.buffers[value])

    def define(self, value: Value, text: str | None = None) -> str:
        """Give a scalar its text: by default the name of a new variable, which is returned."""
        text = self.kernel.names.scalar() if text is None else text
        self._env[value] = Scalar(text)
        return text

    def boxed(self, value: Value, into: Into) -> Memory:
        """Return the box in which a nest puts a value, in the value's axes."""
        memory = self.box(into.result, into.index)
        shape = box_shape(into.result.type, into.index)
        strides = align_axes(shape, memory.strides, value.type.shape)
        assert strides is not None
        return Memory(memory.pointer, memory.offset, strides, memory.grid)

    def box(self, result: Value, index: Index | None) -> Memory:
        """Return a box of the array that a value is a version of."""
        memory = self.result(result)
        offset, strides, _ = box_layout(result.type.bounded().shape, index)
        return Memory(memory.pointer, memory.offset + offset, strides, memory.grid)

    # --- scratch ----------------------------------------------------------------------------------

    def release_after(self, step: int) -> None:
        """Give back the scratch that no unit behind this one uses."""
        for buffer in [b for b in self._slots if self._last[b] == step]:
            self._slots.pop(buffer).free = True

    def release(self) -> None:
        """Give back what the program had as long as it ran."""
        for slot in self._settled_slots:
            slot.free = True


def _last_uses(plan: ProgramPlan) -> dict[Buffer, int]:
    """The last unit that reads or writes a buffer."""
    last: dict[Buffer, int] = {}
    for i, unit in enumerate(plan.units):
        read = [unit.renamed.get(v, v) for v in unit.inputs]
        stored = [into.result for into in unit.into.values()]
        for value in (*read, *unit.outputs, *stored):
            while value in plan.views and plan.views[value].inputs:
                (value,) = plan.views[value].inputs
            if value in plan.boxes:
                value = plan.boxes[value].result
            if value in plan.buffers:
                last[plan.buffers[value]] = i
    return last
