"""Run the plan of an in-place kernel in NumPy, with NaN where a buffer was written over.

Every version of an array is a copy of its own here. When a unit writes the next version of a
buffer, what it overwrites becomes NaN in all earlier versions: a plan that lets something read them
later gives NaN. `run_poisoned` takes a program whose kernels are enclosed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.ir.code import Pieces
from adgraph.ir.dims import Symbol, value_of
from adgraph.ir.evaluate import evaluate_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.substitute import resolve
from adgraph.ir.types import native_index
from adgraph.lower.inplace import plan_program
from adgraph.lower.units import (
    Copy,
    Into,
    Locate,
    ProgramPlan,
    Ties,
    Unit,
    branch_ties,
    is_nest,
    program_ties,
    tied_operand,
    written_pieces,
)
from adgraph.ops.indexing import wrapped

Array = np.ndarray[Any, Any]


def run_poisoned(graph: Graph, *args: Any) -> tuple[Array, ...]:
    """Run a program; its `kernel` nodes follow their plans."""
    env = dict(zip(graph.inputs, map(np.asarray, args), strict=True))
    for node in graph.nodes:
        operands = [env[v] for v in node.inputs]
        if "in_place" in node.attrs:
            body: Graph = node.attrs["body"]
            results = _run(plan_program(body, program_ties(body)), operands, {})
        else:
            results = list(evaluate_node(node, env))
        env.update(zip(node.outputs, results, strict=True))
    return tuple(env[v] for v in graph.outputs)


def _run(plan: ProgramPlan, args: list[Array], symbols: Mapping[Symbol, int]) -> list[Array]:
    return _Run(plan, args, symbols).run()


class _Run:
    def __init__(self, plan: ProgramPlan, args: list[Array], symbols: Mapping[Symbol, int]) -> None:
        self.plan = plan
        self.symbols = dict(symbols)
        self.shapes: dict[Value, tuple[int, ...]] = {}
        inputs = plan.graph.inputs
        self.env = {v: np.array(x) for v, x in zip(inputs, args, strict=True)}

    def run(self) -> list[Array]:
        for unit in self.plan.units:
            self._unit(unit)
        return [self._final(k, v) for k, v in enumerate(self.plan.graph.outputs)]

    def _final(self, output: int, value: Value) -> Array:
        """What is in the buffer of an output when all is done."""
        for buffer in self.plan.buffers.values():
            tied = self.plan.ties.get(output)
            if value.type.shape and (
                buffer.output == output or (tied is not None and buffer.input == tied)
            ):
                return self._read(buffer.versions[-1])
        return self._read(value)

    def _read(self, value: Value) -> Array:
        if value in self.plan.boxes:
            into = self.plan.boxes[value]
            return np.reshape(self.env[into.result][self._native(into.index)], self.shapes[value])
        if value in self.env:
            return self.env[value]
        node = self.plan.views[value]
        operands = {v: self._read(v) for v in node.inputs}
        return evaluate_node(node, operands, self.symbols)[0]

    def _unit(self, unit: Unit) -> None:
        match unit.action:
            case Copy(source=source, result=result, but=but):
                array = self._read(unit.renamed.get(source, source))
                copy = np.array(np.broadcast_to(array, array.shape or result.type.bounded().shape))
                if but is not None:
                    copy[self._native(but)] = np.nan if copy.dtype.kind == "f" else 1
                self._write(result, copy)
            case Locate(index=index, symbol=symbol, extent=extent):
                at = wrapped(self._read(index), value_of(extent, self.symbols))
                self.symbols[symbol] = int(at)
            case Node() as node:
                operands = [np.array(self._read(unit.renamed.get(v, v))) for v in node.inputs]
                self._node(unit, node, operands)

    def _node(self, unit: Unit, node: Node, operands: list[Array]) -> None:
        if node.op.kind is Kind.REGION and not is_nest(node):
            results = _region(node, operands, self.symbols)
        else:
            results = list(
                evaluate_node(node, dict(zip(node.inputs, operands, strict=True)), self.symbols)
            )
        for value, result in zip(node.outputs, results, strict=True):
            if value in unit.into:
                self.shapes[value] = result.shape
                self._store(unit.into[value], result)
            else:
                index = None
                if tied_operand(node, 0) == 0 and len(pieces := _pieces(node)) == 1:
                    index = pieces[0].index
                self._write(value, np.array(result), index)

    def _store(self, into: Into, part: Array) -> None:
        """Do what an update does whose value a nest has computed."""
        versions = self.plan.buffers[into.result].versions
        before = versions[versions.index(into.result) - 1]
        result = np.array(self._read(before))
        box = self._native(into.index)
        shaped = np.reshape(part, result[box].shape)
        result[box] = result[box] + shaped if into.add else shaped
        self._write(into.result, result, into.index)

    def _native(self, index: Any) -> Any:
        if index is None:
            return ...
        return (*native_index(resolve({"index": index}, self.symbols)["index"]), ...)

    def _write(self, value: Value, array: Array, index: Any = None) -> None:
        """Define a version of a buffer; what it overwrites is lost in all earlier ones."""
        self.env[value] = array
        if value not in self.plan.buffers:
            return
        versions = self.plan.buffers[value].versions
        for version in versions[: versions.index(value)]:
            if version in self.env:
                poisoned = self.env[version]
                poisoned[self._native(index)] = np.nan if poisoned.dtype.kind == "f" else 1


def _pieces(node: Node) -> Any:
    return written_pieces(node) if isinstance(node.op.code, Pieces) else ()


def _region(node: Node, operands: list[Array], symbols: Mapping[Symbol, int]) -> list[Array]:
    """Run a loop or branch by the plans of its programs."""
    attrs = node.attrs

    def body(graph: Graph, args: list[Array], ties: Ties, at: Mapping[Symbol, int]) -> list[Array]:
        return _run(plan_program(graph, ties), args, at)

    if node.op.name == "cond":
        graph = attrs["then" if operands[0] else "orelse"]
        return body(graph, operands[1:], {k: i - 1 for k, i in branch_ties(node).items()}, symbols)
    skip = int(node.op.name == "counted")
    count = skip + attrs["constants"]
    constants, carried = operands[skip:count], operands[count:]
    ties = {k: attrs["constants"] + k for k, v in enumerate(node.outputs) if v.type.shape}
    if node.op.name == "while":
        at = {**symbols, attrs["symbol"]: 0}
        while body(attrs["test"], [*constants, *carried], {}, at)[0]:
            carried = body(attrs["body"], [*constants, *carried], ties, at)
            at[attrs["symbol"]] += 1
        return carried
    if skip:
        indices = list(range(int(operands[0])))
        indices = indices[::-1] if attrs["reverse"] else indices
    else:
        start, trips, step = (attrs[k] for k in ("start", "trips", "step"))
        first = value_of(start, symbols)
        indices = [first + t * step for t in range(value_of(trips, symbols))]
    for i in indices:
        carried = body(attrs["body"], [*constants, *carried], ties, {**symbols, attrs["symbol"]: i})
    return carried
