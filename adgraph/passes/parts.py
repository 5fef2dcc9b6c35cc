"""Complex numbers as pairs of real ones: kernels know real arrays only.

Every complex value of a program becomes its real and its imaginary part, also in the programs of
loops and branches; each op's record tells what it makes of parts. A part that is zero everywhere
costs nothing. At the interface of the program the memory of complex arrays is read and written as
that of real ones, with a last axis of two. Derivatives are taken before: they are those of complex
functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.analysis.programs import bodies, constants, is_loop, is_region, nested, operands
from adgraph.errors import DtypeError, message
from adgraph.ir.builder import Builder, copy_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Constant
from adgraph.ops.complex_numbers import as_parts, from_parts, real_dtype
from adgraph.ops.complex_parts import Pair, each, filled
from adgraph.passes.rewrite import Hits
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import Tracer, as_tracer, lift, read, tracer


def is_complex(value: Value) -> bool:
    """Tell whether a value holds complex numbers."""
    return value.type.dtype.kind == "c"


def has_complex(graph: Graph) -> bool:
    """Tell whether a program, or one inside it, computes with complex numbers."""
    return any(
        any(map(is_complex, (*node.inputs, *node.outputs)))
        for node in nested(graph)
        if node.op not in (as_parts, from_parts)
    )


def parts(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace the complex values of a program by pairs of real ones."""
    if not has_complex(graph):
        return graph
    hits = Counter() if hits is None else hits
    with building() as builder:
        split = _Split(builder, hits)
        for value in graph.inputs:
            split.receive(value)
        for node in graph.nodes:
            split.add(node)
        return builder.build(list(map(split.leave, graph.outputs)), graph.name)


class _Split:
    """A program being rebuilt: `env` holds what stands for its real values, `pairs` for others."""

    def __init__(self, builder: Builder, hits: Hits) -> None:
        self.builder = builder
        self.hits = hits
        self.env: dict[Value, Value] = {}
        self.pairs: dict[Value, Pair] = {}

    # --- the interface ----------------------------------------------------------------------------

    def receive(self, value: Value) -> None:
        """Make an input; of complex numbers the parts are read where they lie."""
        new = self.builder.input(value.type, value.name)
        if is_complex(value):
            both: Any = tracer(self.builder.emit(as_parts, (new,), {})[0])
            self.pairs[value] = Pair(both[..., 0], both[..., 1])
        else:
            self.env[value] = new

    def leave(self, value: Value) -> Value:
        """Return an output."""
        if not is_complex(value):
            return self.env[value]
        both: Any = np.stack(filled(self.pairs[value]), axis=-1)
        return self.builder.emit(from_parts, (read(both),), {})[0]

    def inner(self, values: Sequence[Value]) -> list[Value]:
        """Return real values, and both parts of complex ones, in order."""
        found: list[Value] = []
        for value in values:
            if is_complex(value):
                found += (read(as_tracer(part)) for part in filled(self.pairs[value]))
            else:
                found.append(self.env[value])
        return found

    # --- nodes ------------------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        """Emit what a node becomes."""
        plain = not any(map(is_complex, (*node.inputs, *node.outputs)))
        if is_region(node) and (not plain or any(map(has_complex, node.regions()))):
            self._region(node)
        elif plain:
            copy_node(self.builder, node, self.env)
        else:
            with self.builder.at(node.origin):
                self._split(node)

    def _split(self, node: Node) -> None:
        self.hits[node.op.name] += 1
        if node.op.kind is Kind.CONSTANT:
            self.pairs[node.output] = _constant(node.attrs["value"])
            return
        rule = node.op.parts
        if rule is None:
            raise _no_parts(node)
        args = (self.pairs[v] if is_complex(v) else tracer(self.env[v]) for v in node.inputs)
        results = (each(node.op) if rule == "each" else rule)(*args, **node.attrs)
        many = results if len(node.outputs) > 1 else (results,)
        for value, result in zip(node.outputs, many, strict=True):
            self._enter(value, result)

    def _enter(self, value: Value, result: Any) -> None:
        if is_complex(value):
            type = value.type.with_dtype(real_dtype(value.type.dtype))
            real, imag = (None if x is None else _of_type(x, type) for x in result)
            if real is None and imag is None:
                real = _of_type(np.zeros((), type.dtype), type)
            self.pairs[value] = Pair(real, imag)
        else:
            self.env[value] = read(_of_type(result, value.type))

    # --- loops and branches -----------------------------------------------------------------------

    def _region(self, node: Node) -> None:
        """Emit a region whose programs take and give the parts of complex values."""
        inner = operands(node)
        lead = node.inputs[: len(node.inputs) - len(inner)]
        attrs = {
            key: _program(attr, self.hits) if isinstance(attr, Graph) else attr
            for key, attr in node.attrs.items()
        }
        if is_loop(node):
            attrs["constants"] = sum(1 + is_complex(v) for v in inner[: constants(node)])
        given = [*self.inner(lead), *self.inner(inner)]
        types = tuple(v.type for v in bodies(replace(node, attrs=attrs))[0].outputs)
        with self.builder.at(node.origin):
            results = iter(self.builder.emit(node.op, given, attrs, types=types))
        for value in node.outputs:
            if is_complex(value):
                self.pairs[value] = Pair(tracer(next(results)), tracer(next(results)))
            else:
                self.env[value] = next(results)


def _program(graph: Graph, hits: Hits) -> Graph:
    """Rebuild a program inside a region: its inputs and outputs are real values and parts."""
    with building() as builder:
        split = _Split(builder, hits)
        for value in graph.inputs:
            if is_complex(value):
                type = value.type.with_dtype(real_dtype(value.type.dtype))
                first, second = (tracer(builder.input(type)) for _ in range(2))
                split.pairs[value] = Pair(first, second)
            else:
                split.env[value] = builder.input(value.type, value.name)
        for node in graph.nodes:
            split.add(node)
        return builder.build(split.inner(graph.outputs), graph.name)


def _constant(value: Constant) -> Pair:
    """Split a literal; a part of zeros is none."""
    array = value.array
    real, imag = (np.array(part, order="C") for part in (array.real, array.imag))
    return Pair(
        tracer(lift(real)) if real.any() or not imag.any() else None,
        tracer(lift(imag)) if imag.any() else None,
    )


def _of_type(x: Any, type: ArrayType) -> Tracer:
    """Return a part with the shape and dtype of the value that it is a part of."""
    part = as_tracer(x, type.dtype)
    if part.shape == type.shape:
        return part
    stretched: Any = np.broadcast_to(part, type.shape)
    return as_tracer(stretched)


def _no_parts(node: Node) -> DtypeError:
    return DtypeError(
        message(
            f"{node.op.name} of complex numbers has no program",
            "its op does not say what becomes of real and imaginary parts",
            "compute it with real arrays: z.real, z.imag, np.abs(z)",
            node.origin.location,
        )
    )
