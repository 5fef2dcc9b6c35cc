"""Graphs for the tests of schedules: chains with their adjoint, random programs, arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from adgraph.ir.builder import Builder
from adgraph.ir.code import Routine
from adgraph.ir.graph import Graph, Origin, Scope, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType, Slice
from adgraph.ops import elementwise, linalg, reduction, shape
from adgraph.schedule.remat import Remat
from adgraph.schedule.schedule import Schedule
from adgraph.schedule.segments import Chain

F8 = np.dtype(float)
INNER = Scope("t", outer=Scope("s"))  # a region in another one
BLOCK = 64  # bytes of the smallest buffer: eight float64


def vector(n: int = 8) -> ArrayType:
    return ArrayType(F8, (n,))


def chain(links: int, n: int = 8) -> Graph:
    """Links x -> 1/x with the adjoint of each: the textbook case of Revolve."""
    builder = Builder()
    values = [builder.input(vector(n), "x")]
    for _ in range(links):
        values += builder.emit(elementwise.reciprocal, [values[-1]], {})
    ct = values[-1]
    for value in reversed(values[:-1]):
        (ct,) = builder.emit(elementwise.multiply, [ct, value], {}, Origin(order=1))
    return builder.build([ct])


def blocks(count: int, depth: int, scoped: bool) -> Graph:
    """Blocks of `depth` elementwise links, each perhaps a checkpointed region, and the adjoint."""
    builder = Builder()
    (x,) = values = [builder.input(vector(), "x")]
    scopes = [Scope(f"block{k}") if scoped else None for k in range(count)]
    for scope in scopes:
        for _ in range(depth):
            (x,) = builder.emit(elementwise.reciprocal, [x], {}, Origin(scope=scope))
            values.append(x)
    (loss,) = builder.emit(reduction.reduce_sum, [x], {"axis": (0,)})
    ct = x
    for k in reversed(range(count * depth)):
        origin = Origin(order=1, scope=scopes[k // depth])
        (ct,) = builder.emit(elementwise.multiply, [ct, values[k]], {}, origin)
    return builder.build([loss, ct])


def square_pair(x: Any) -> tuple[Any, Any]:
    return x + x, x * x


# Two results: the same node is needed again for either of them.
pair = Op(
    name="pair",
    kind=Kind.LIBRARY,
    evaluate=square_pair,
    infer=lambda x: (x, x),
    code=Routine("pair", lambda types, attrs: (), lambda types, attrs: (types[0],)),
)


class Growing:
    """A random program: square matrices, views of them, two-result nodes, checkpointed regions."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.builder = Builder()
        self.values = [self.builder.input(ArrayType(F8, (4, 4)), "x")]
        self.half = Slice(0, 2, 1)

    def pick(self) -> Value:
        value: Value = self.draw(st.sampled_from(self.values[-6:] + self.values[:1]))
        return value

    def grow(self) -> None:
        a, b = self.pick(), self.pick()
        scope = self.draw(st.sampled_from((None, None, Scope("s"), INNER, Scope("t"))))
        with self.builder.at(Origin(scope=scope)):
            self._emit(a, b)

    def _emit(self, a: Value, b: Value) -> None:
        emit = self.builder.emit
        match self.draw(st.integers(0, 6)):
            case 0:
                found = emit(linalg.matmul, [a, b], {})
            case 1:
                found = emit(shape.transpose, [a], {"axes": (1, 0)})
            case 2:
                (flat,) = emit(shape.reshape, [a], {"shape": (16,)})
                (total,) = emit(reduction.reduce_sum, [flat], {"axis": (0,)})
                found = emit(elementwise.multiply, [b, total], {})
            case 3:
                (top,) = emit(shape.getitem, [a], {"index": (self.half, Slice(0, 4, 1))})
                (low,) = emit(shape.getitem, [b], {"index": (self.half, Slice(0, 4, 1))})
                found = emit(shape.concatenate, [top, low], {"axis": 0})
            case 4:
                found = emit(pair, [a], {})
            case 5:
                (turned,) = emit(shape.transpose, [a], {"axes": (1, 0)})
                found = emit(elementwise.multiply, [turned, a], {})
            case _:
                found = emit(elementwise.subtract, [a, b], {})
        self.values += found

    def adjoint(self) -> None:
        """Read what was computed in reverse order, as a derivative does."""
        ct = self.values[-1]
        for value in reversed(self.values):
            producer = self.builder.producer(value)
            scope = producer.origin.scope if producer else None
            origin = Origin(order=1, scope=scope)
            (ct,) = self.builder.emit(elementwise.add, [ct, value], {}, origin)
        self.values.append(ct)


@st.composite
def graphs(draw: Any) -> Graph:
    growing = Growing(draw)
    for _ in range(draw(st.integers(1, 14))):
        growing.grow()
    if draw(st.booleans()):
        growing.adjoint()
    computed = [
        v for node in growing.builder.nodes if node.op.kind is not Kind.VIEW for v in node.outputs
    ]
    more = draw(st.lists(st.sampled_from(computed), unique=True, max_size=2)) if computed else []
    last = [computed[-1]] if computed and computed[-1] not in more else []
    return growing.builder.build([*more, *last])


def arguments(graph: Graph, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, v.type.shape) for v in graph.inputs]


def fit(schedule: Schedule, budget: int) -> Schedule:
    """Lengthen a schedule until its live bytes fit a budget, which must be found to work."""
    if schedule.peak_bytes <= budget:
        return schedule
    flow = schedule.flow
    order = Remat(flow, Chain.of(flow)).cheapest(budget)
    assert order is not None
    return Schedule.of(schedule.graph, [flow.tasks[task] for task in order])
