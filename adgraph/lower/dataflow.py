"""Which unit of a program writes and reads each value, and the order that follows from data alone.

`Dataflow` makes units of the nodes of a kernel's program: views become layouts of what they show,
positions known at run time symbols that a unit of its own checks. `adgraph.lower.inplace` then adds
buffers, copies, and the order that writing in place needs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adgraph.ir.code import Loops, Pieces
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.substitute import symbols_of
from adgraph.ir.types import Constant, Slice
from adgraph.lower.boxes import Box, box_of
from adgraph.lower.layout import Layout, root_layout, view_layout
from adgraph.lower.sequence import Order
from adgraph.lower.units import Action, Copy, Locate, Unit, point_index
from adgraph.ops.constant import constant
from adgraph.ops.shape import add_at, getitem, update


class Dataflow:
    """The units of a program with their order so far, and who writes and reads what.

    `views` and `layouts` tell what values show that no unit computes, `literals` which of them are
    numbers; `writers` and `readers` are by the value that is in memory.
    """

    def __init__(self, graph: Graph) -> None:
        self.order = Order()
        self.views: dict[Value, Node] = {}
        self.literals: set[Value] = set()
        self.layouts: dict[Value, Layout] = {v: root_layout(v) for v in graph.inputs}
        self.writers: dict[Value, Unit] = {}
        self.readers: dict[Value, list[tuple[Unit, Value]]] = {}
        self._locates: dict[Symbol, Unit] = {}
        self._positions: dict[tuple[Value, Dim], Symbol] = {}
        self._copies: dict[Value, Value] = {}
        for node in graph.nodes:
            self._expose(node)
        for unit in self.order.units:
            for before in self.needs(unit):
                self.order.edge(before, unit)

    # --- the units --------------------------------------------------------------------------------

    def _expose(self, node: Node) -> None:
        """Make units of a node: what happens at a run-time position is a view or an update."""
        code = node.op.code
        if isinstance(code, Loops) and code.point and not node.inputs[-1].type.shape:
            *operands, k = node.inputs
            axis = node.attrs["axis"]
            extent = operands[0].type.shape[axis]
            symbol = self._located(k, extent)
            attrs = {"index": point_index(operands[0].type, axis, symbol_dim(symbol))}
            op = {"read": getitem, "write": update, "add": add_at}[code.point]
            node = Node(op, tuple(operands), node.outputs, attrs, node.origin)
        if node.op.kind is Kind.VIEW:
            self._view(node)
        elif node.op.kind in (Kind.CONSTANT, Kind.INDEX):
            self.views[node.output] = node
            self.layouts[node.output] = root_layout(node.output)
            self.literals.add(node.output)
        else:
            self.unit(self._apart(node))

    def _apart(self, node: Node) -> Node:
        """Let an update of boxes that reads the array it changes read it as a view."""
        if not isinstance(node.op.code, Pieces) or node.inputs[0] not in node.inputs[1:]:
            return node
        first, *rest = node.inputs
        whole = tuple(Slice(0, n, 1) for n in first.type.shape)
        view = Value(first.type, first.name)
        self._view(Node(getitem, (first,), (view,), {"index": whole}, node.origin))
        inputs = (first, *(view if v is first else v for v in rest))
        return Node(node.op, inputs, node.outputs, node.attrs, node.origin)

    def _located(self, at: Value, extent: Dim) -> Symbol:
        """The symbol of a run-time position on an axis, which is checked once."""
        if (at, extent) not in self._positions:
            self._positions[at, extent] = symbol = Symbol("k", 0, extent - 1)
            self._locates[symbol] = self.unit(Locate(at, symbol, extent))
        return self._positions[at, extent]

    def _view(self, node: Node) -> None:
        (operand,) = node.inputs
        layout = view_layout(node, operand.type, self.layouts[operand])
        if layout is None:
            operand = self._copied(operand)
            node = Node(node.op, (operand,), node.outputs, node.attrs, node.origin)
            layout = view_layout(node, operand.type, self.layouts[operand])
            assert layout is not None
        if node.output.type.shape or not layout.root.type.shape or layout.root in self.literals:
            self.views[node.output] = node
            self.layouts[node.output] = layout
        else:
            self.unit(node)  # an element is read where the program says so

    def unit(self, action: Action, key: float | None = None) -> Unit:
        """Add a unit; its key tells where it stands unless the order says otherwise."""
        unit = Unit(action, len(self.order.units) if key is None else key)
        self.order.add(unit)
        for value in unit.outputs:
            self.layouts[value] = root_layout(value)
            self.writers[value] = unit
        for value in dict.fromkeys(unit.inputs):
            self.readers.setdefault(self.layouts[value].root, []).append((unit, value))
        return unit

    def _copied(self, value: Value) -> Value:
        """Copy an array whose elements a view needs in another order, once."""
        if value not in self._copies:
            self._copies[value] = Value(value.type, value.name)
            self.unit(Copy(value, self._copies[value]))
        return self._copies[value]

    def literal(self, node: Node) -> Value:
        """Return the literal that an op fills its result with before it writes boxes."""
        assert isinstance(node.op.code, Pieces)
        first = node.op.code.boxes(node.types, dict(node.attrs))[0]
        value = Value(node.output.type)
        element = Constant.of(np.asarray(first.literal, value.type.dtype))
        self.views[value] = Node(constant, (), (value,), {"value": element}, node.origin)
        self.layouts[value] = root_layout(value)
        self.literals.add(value)
        return value

    # --- what units read --------------------------------------------------------------------------

    def needs(self, unit: Unit) -> Iterator[Unit]:
        """Return the units that compute what a unit reads."""
        symbols: set[Symbol] = set()
        read = [unit.renamed.get(v, v) for v in unit.inputs]
        for value in dict.fromkeys((*read, *unit.renamed.values())):
            layout = self.layouts[value]
            if layout.root in self.writers:
                yield self.writers[layout.root]
            symbols |= symbols_of(layout.offset)
        if isinstance(unit.action, Node) and self._locates:
            symbols |= symbols_of(tuple(unit.action.attrs.values()))
        for into in unit.into.values():
            symbols |= symbols_of(into.index)
        for symbol in symbols:
            if symbol in self._locates and self._locates[symbol] is not unit:
                yield self._locates[symbol]

    def seen(self, value: Value) -> Box | None:
        """Return the box of an array that a value shows."""
        layout = self.layouts[value]
        return box_of(
            layout.offset, layout.strides, value.type.shape, layout.root.type.bounded().shape
        )
