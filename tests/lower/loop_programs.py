"""Random programs with loops, branches and updates of boxes, built node by node.

`random_program(seed)` gives a graph and arguments. Old versions of arrays stay in the pool from
which operands are drawn, so that a wrong update in place is likely to be read. Values are averages
and extrema of inputs: nothing grows, so rounding stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import OPS
from adgraph.ir.types import ArrayType, Constant, Shape, Slice
from adgraph.ops.control import loop_symbol

FLOAT = np.dtype(np.float64)
INTEGER = np.dtype(np.int64)
N = 9  # extent of every axis
MARGIN = 2  # loops stay so far from the ends: neighbours exist


class Program(Builder):
    """A builder whose ops are methods: `p.add(x, y)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        op = OPS[name]

        def emit(*operands: Value, **attrs: Any) -> Any:
            results = self.emit(op, operands, attrs)
            return results[0] if len(results) == 1 else results

        return emit

    def array(self, *shape: Dim, dtype: np.dtype[Any] = FLOAT, name: str | None = None) -> Value:
        """Add an input."""
        return self.input(ArrayType(dtype, tuple(shape)), name)

    def literal(self, value: Any) -> Value:
        """Emit a constant."""
        result: Value = self.const(value=Constant.of(value))
        return result

    def loop(
        self,
        name: str,
        start: Dim,
        trips: Dim,
        step: int,
        carried: Sequence[Value],
        write: Callable[[Program, Any, list[Value], list[Value]], Sequence[Value]],
        constants: Sequence[Value] = (),
    ) -> tuple[Value, ...]:
        """Emit a loop. `write(body, index, constants, carried)` gives what is carried on."""
        symbol = loop_symbol(name, start, trips, step)
        body, fixed, inside = self.inner(constants, carried)
        graph = body.build(write(body, symbol_dim(symbol), fixed, inside), "body")
        attrs = {"body": graph, "symbol": symbol, "start": start, "trips": trips, "step": step}
        return self.emit(
            OPS["loop"], (*constants, *carried), {**attrs, "constants": len(constants)}
        )

    def inner(
        self, constants: Sequence[Value], carried: Sequence[Value]
    ) -> tuple[Program, list[Value], list[Value]]:
        """Begin the program of a region with these operands."""
        body = Program(self)
        fixed = [body.input(v.type) for v in constants]
        return body, fixed, [body.input(v.type) for v in carried]


@dataclass
class _Scope:
    """What a body may use: arrays (all versions so far), scalars, loop indices."""

    program: Program
    arrays: list[Value]
    scalars: list[Value]
    symbols: list[Any]
    depth: int
    current: dict[int, Value] = field(default_factory=dict)


def random_program(seed: int) -> tuple[Graph, tuple[np.ndarray[Any, Any], ...]]:
    """Return a random program of loops and arguments for it."""
    rng = Random(seed)
    program = Program()
    shapes = [(N, N), (N, N), (N,)]
    inputs = [program.array(*shape) for shape in shapes]
    fixed = program.array(N, N)
    number = program.array()
    scope = _Scope(program, [*inputs, fixed], [number], [], 0)
    results = _region(rng, scope, inputs, [fixed], number)
    if rng.random() < 0.3:
        results = _region(rng, scope, list(results), [fixed], number)
    graph = program.build(results, "random")
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(v.type.shape) for v in graph.inputs]
    return graph, tuple(map(np.asarray, arrays))


def _region(
    rng: Random, scope: _Scope, carried: list[Value], constants: list[Value], number: Value
) -> tuple[Value, ...]:
    """A loop over the scope's arrays; one scalar is carried, too."""
    program = scope.program
    kind = rng.choice(("loop", "loop", "loop", "cond", "while", "counted"))
    if kind == "cond":
        return _cond(rng, scope, carried, constants, number)
    outer = scope.symbols
    if kind == "loop":
        start, trips, step = _range(rng, outer)
        results = program.loop(
            f"i{len(outer)}" if rng.random() < 0.5 else "ijk"[len(outer) % 3],
            start,
            trips,
            step,
            [*carried, number],
            lambda body, i, c, x: _body(rng, scope, body, i, c, x),
            constants,
        )
        return results[:-1]
    count = rng.randrange(1, 4)
    symbol = Symbol("k", 0, 3)
    operands = (*constants, *carried, number)
    body, fixed, inside = program.inner(constants, [*carried, number])
    graph = body.build(_body(rng, scope, body, symbol_dim(symbol) + MARGIN, fixed, inside), "body")
    attrs = {"body": graph, "symbol": symbol, "constants": len(constants), "capacity": None}
    if kind == "counted":
        trips_value = program.literal(np.int64(count))
        attrs["reverse"] = rng.random() < 0.5
        return program.emit(OPS["counted"], (trips_value, *operands), attrs)[:-1]
    test, _, _ = program.inner(operands, [])
    index = test.index(dim=symbol_dim(symbol))
    condition = test.less(index, test.literal(np.int64(count)))
    attrs["test"] = test.build([condition], "test")
    return program.emit(OPS["while"], operands, attrs)[:-1]


def _range(rng: Random, outer: list[Any]) -> tuple[Any, Any, int]:
    """Start, trips and step of a loop whose indices stay off the ends."""
    inside = N - 2 * MARGIN
    choice = rng.random()
    if outer and choice < 0.4:
        return MARGIN, outer[-1] - MARGIN + rng.randrange(0, 2), 1
    if choice < 0.7:
        return MARGIN, inside, 1
    if choice < 0.9:
        return N - MARGIN - 1, inside, -1
    return MARGIN, (inside + 1) // 2, 2


def _cond(
    rng: Random, scope: _Scope, carried: list[Value], constants: list[Value], number: Value
) -> tuple[Value, ...]:
    program = scope.program
    predicate = program.less(number, program.literal(0.1))
    operands = (*constants, *carried, number)
    arms = []
    for _ in range(2):
        body, inside, _ = program.inner(operands, [])
        fixed, x = inside[: len(constants)], inside[len(constants) :]
        arms.append(body.build(_body(rng, scope, body, None, fixed, x)[:-1], "arm"))
    attrs = {"then": arms[0], "orelse": arms[1]}
    return program.emit(OPS["cond"], (predicate, *operands), attrs)


def _body(
    rng: Random,
    around: _Scope,
    body: Program,
    index: Any,
    constants: list[Value],
    carried: list[Value],
) -> list[Value]:
    """Write some random statements; return new versions of what is carried."""
    *arrays, number = carried
    symbols = [*around.symbols, *([] if index is None else [index])]
    scope = _Scope(body, [*arrays, *constants], [number], symbols, around.depth + 1)
    current = list(arrays)
    for _ in range(rng.randrange(1, 6)):
        if scope.depth < 3 and rng.random() < 0.25:
            current = list(_region(rng, scope, current, constants, rng.choice(scope.scalars)))
        else:
            at = rng.randrange(len(current))
            source = current[at] if rng.random() < 0.85 else _like(rng, scope, current[at])
            current[at] = _statement(rng, scope, source)
        scope.arrays += current
    if rng.random() < 0.2:
        current[0], current[1] = current[1], current[0]
    if rng.random() < 0.2:
        at = rng.randrange(len(current))
        current[at] = _like(rng, scope, current[at])
    return [*current, _mean(rng, scope, rng.choice(scope.scalars))]


def _like(rng: Random, scope: _Scope, value: Value) -> Value:
    return rng.choice([v for v in scope.arrays if v.type == value.type])


def _statement(rng: Random, scope: _Scope, x: Value) -> Value:
    """Change an array: a point, a box, all of it."""
    program = scope.program
    choice = rng.random()
    if choice < 0.1:
        return _array(rng, scope, x.type.shape)
    if choice < 0.2:
        at = program.literal(np.int64(rng.randrange(-3, N)))
        if rng.random() < 0.5:
            shape = x.type.shape[1:]
            value = _array(rng, scope, shape) if shape else rng.choice(scope.scalars)
            if rng.random() < 0.5:
                return program.put(x, value, at, axis=0, unique=True)
            return program.multiply(program.index_add(x, value, at, axis=0), program.literal(0.5))
        row = program.take(x, at, axis=0)
        return program.update(x, row, index=_row_index(rng, x, row))
    if choice < 0.5 and scope.symbols:
        index = tuple(_position(rng, scope) for _ in x.type.shape)
        scope.scalars.append(_mean(rng, scope, program.getitem(x, index=index)))
        return program.update(
            x, rng.choice(scope.scalars), index=tuple(_position(rng, scope) for _ in x.type.shape)
        )
    index, shape = _box(rng, scope, x.type.shape)
    value = _array(rng, scope, shape) if shape else _element(rng, scope)
    if rng.random() < 0.3:
        half = program.multiply(value, program.literal(0.25))
        added = program.add_at(x, half, index=index)
        return program.multiply(added, program.literal(0.75)) if rng.random() < 0.3 else added
    return program.update(x, value, index=index)


def _row_index(rng: Random, x: Value, row: Value) -> tuple[Any, ...]:
    return (rng.randrange(N), *(Slice(0, n, 1) for n in row.type.shape))


def _element(rng: Random, scope: _Scope) -> Value:
    x = rng.choice(scope.arrays)
    return _mean(
        rng,
        scope,
        scope.program.getitem(x, index=tuple(_position(rng, scope) for _ in x.type.shape)),
    )


def _mean(rng: Random, scope: _Scope, x: Value) -> Value:
    program = scope.program
    result: Value = program.multiply(
        program.add(x, rng.choice(scope.scalars)), program.literal(0.5)
    )
    return result


def _position(rng: Random, scope: _Scope) -> Dim:
    if not scope.symbols or rng.random() < 0.2:
        return rng.randrange(N)
    result: Dim = rng.choice(scope.symbols) + rng.randrange(-MARGIN, MARGIN + 1)
    return result


def _box(rng: Random, scope: _Scope, shape: Shape) -> tuple[tuple[Any, ...], Shape]:
    index: list[Any] = []
    for _ in shape:
        choice = rng.random()
        if choice < 0.25:
            index.append(_position(rng, scope))
        elif choice < 0.5 and scope.symbols:
            i = rng.choice(scope.symbols)
            index.append(rng.choice((Slice(0, i, 1), Slice(i + 1, N - 1 - i, 1))))
        elif choice < 0.6:
            index.append(Slice(N - 2, N - 2, -1))
        else:
            index.append(Slice(rng.randrange(3), N - 2, 1))
    return tuple(index), tuple(i.size for i in index if isinstance(i, Slice))


def _array(rng: Random, scope: _Scope, shape: Shape) -> Value:
    """An array of a shape from boxes of the pool."""
    program = scope.program
    if all(isinstance(n, int) and n > 2 for n in shape) and rng.random() < 0.15:
        return _assembled(rng, scope, shape)
    parts = [_part(rng, scope, shape) for _ in range(rng.randrange(1, 4))]
    value = parts[0]
    for part in parts[1:]:
        value = program.multiply(program.add(value, part), program.literal(0.5))
    if not value.type.shape and shape:
        value = program.reshape(value, shape=(1,) * len(shape))
        value = program.broadcast(value, shape=shape)
    if rng.random() < 0.1 and len(shape) == 2:
        mean = program.multiply(program.sum(value, axis=(1,)), program.literal(1.0 / N))
        value = program.add(value, program.reshape(mean, shape=(*mean.type.shape, 1)))
        value = program.multiply(value, program.literal(0.5))
    return value


def _assembled(rng: Random, scope: _Scope, shape: Shape) -> Value:
    """An array put together from smaller ones: in zeros, or end to end."""
    program = scope.program
    first, *rest = shape
    if rng.random() < 0.5:
        start = rng.randrange(2)
        box = (Slice(start, first - 1, 1), *(Slice(0, n, 1) for n in rest))
        inner = _array(rng, scope, (first - 1, *rest))
        result: Value = program.place(inner, index=box, shape=shape)
        return result
    halves = (_array(rng, scope, (n, *rest)) for n in (1, first - 1))
    joined: Value = program.concatenate(*halves, axis=0)
    return joined


def _part(rng: Random, scope: _Scope, shape: Shape) -> Value:
    """A view of something in the pool, of this shape."""
    program = scope.program
    if not shape:
        return _element(rng, scope)
    candidates = [v for v in scope.arrays if v.type.ndim >= len(shape)]
    if not candidates or rng.random() < 0.1:
        return rng.choice(scope.scalars)
    x = rng.choice(candidates)
    if x.type.shape == shape and rng.random() < 0.3:
        return program.transpose(x, axes=(1, 0)) if len(shape) == 2 and rng.random() < 0.5 else x
    kept = sorted(rng.sample(range(x.type.ndim), len(shape)))
    index: list[Any] = []
    extents = iter(shape)
    for axis in range(x.type.ndim):
        if axis not in kept:
            index.append(_position(rng, scope))
            continue
        n = next(extents)
        slack = N - n if isinstance(n, int) else 0
        start = rng.randrange(slack + 1) if slack else 0
        backwards = rng.random() < 0.2
        index.append(Slice(start + n - 1 if backwards else start, n, -1 if backwards else 1))
    result: Value = program.getitem(x, index=tuple(index))
    return result
