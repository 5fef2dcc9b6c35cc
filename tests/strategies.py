"""Hypothesis strategies for random programs.

`programs()` draws a `Program`: a graph traced from a random NumPy program over small arrays, and
arguments for it. Programs are continuous: conditions depend on inputs only, divisors and arguments
of logarithms stay away from zero, so that rounding in one place cannot change a result much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import adgraph.tracing.numpy_api  # noqa: F401  (fills the dispatch table)
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.types import type_of_array
from adgraph.tracing.tracer import Tracer, as_tracer, building, read, tracer

Draw = Callable[[Any], Any]
Array = np.ndarray[Any, Any]

NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, 0.3, -1.7)
EXTENTS = (0, 1, 2, 3, 3, 4)


@dataclass(frozen=True)
class Program:
    """A graph and arguments for its inputs."""

    graph: Graph
    args: tuple[Array, ...]

    def run(self, graph: Graph | None = None) -> tuple[Array, ...]:
        """Evaluate the graph, or another one with the same inputs."""
        return evaluate(graph or self.graph, *self.args)

    def tolerance(self) -> float:
        """Return how far rounding may move a result: relative to the largest value computed."""
        values = [v for node in self.graph.nodes for v in node.outputs]
        every = evaluate(replace(self.graph, outputs=tuple(values)), *self.args)
        finite = [np.abs(x[np.isfinite(x)]) for x in every if x.dtype.kind in "fc"]
        largest = max((float(x.max()) for x in finite if x.size), default=1.0)
        types = [v.type.dtype for v in (*values, *self.graph.inputs) if v.type.inexact]
        coarsest = max((float(np.finfo(t).eps) for t in types), default=0.0)
        return 1e3 * coarsest * max(1.0, largest)


def graph_of(function: Callable[..., Any], *args: Any, name: str = "f") -> Graph:
    """Trace a function that uses only NumPy functions which dispatch."""
    with building() as builder:
        inputs = []
        for letter, x in zip("xyzuvw", args, strict=False):
            array = np.asarray(x)
            inputs.append(tracer(builder.input(type_of_array(array), letter)))
        result = function(*inputs)
        results = result if isinstance(result, (tuple, list)) else (result,)
        return builder.build([read(as_tracer(r)) for r in results], name)


# --- the pool of values and the steps ------------------------------------------------------------


@dataclass
class _Pool:
    """What a program has computed so far, by kind."""

    floats: list[Tracer]
    conditions: list[Tracer]
    integers: list[Tracer]


def _pick(draw: Draw, values: Sequence[Any]) -> Any:
    return values[draw(st.integers(0, len(values) - 1))]


def _unary(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    functions = (
        np.negative,
        np.square,
        np.absolute,
        np.sin,
        np.tanh,
        np.positive,
        lambda x: np.sqrt(np.square(x)),
        lambda x: np.reciprocal(1 + np.square(x)),
        lambda x: np.exp(-np.square(x)),
    )
    return _pick(draw, functions)(x)


def _partner(draw: Draw, pool: _Pool, x: Any) -> Any:
    """Another value that broadcasts against x, or a number."""
    fitting = [y for y in pool.floats if _broadcasts(x.shape, y.shape)]
    if fitting and draw(st.booleans()):
        return _pick(draw, fitting)
    return _pick(draw, NUMBERS)


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        return math.prod(np.broadcast_shapes(*shapes)) <= 64
    except ValueError:
        return False


def _binary(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    y = _partner(draw, pool, x)
    functions = (
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: np.tanh(x) * np.tanh(y) if isinstance(y, Tracer) else x * y,
        lambda x, y: x / (1.0 + np.square(y)),
        lambda x, y: np.maximum(x, y),
        lambda x, y: np.minimum(y, x),
        lambda x, y: np.tanh(y) * 2.0 - x,
        lambda x, y: x / 2.0 + (-y),
        lambda x, y: x - (-y),
        lambda x, y: (-np.tanh(x)) * y,
    )
    return _pick(draw, functions)(x, y)


def _power(draw: Draw, pool: _Pool) -> Any:
    x = np.tanh(_pick(draw, pool.floats))
    exponent = _pick(draw, (0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 0.5))
    return (x if exponent in (0, 1, 2, 3, 4) else 1.5 + x) ** exponent


def _stable(draw: Draw, pool: _Pool) -> Any:
    """Formulas that `stabilize` knows."""
    x = 4.0 * np.tanh(_pick(draw, pool.floats))
    last = (x.ndim - 1,) if x.ndim and x.size else ()
    functions = (
        lambda x: np.log(1.0 + np.square(x)),
        lambda x: np.exp(x) - 1.0,
        lambda x: np.log(np.exp(x) + 1.0),
        lambda x: np.log(np.exp(x) + np.exp(-x)),
        lambda x: np.log(np.sum(np.exp(x), axis=last, keepdims=True)),
        lambda x: np.log(np.exp(x) / np.sum(np.exp(x), axis=last, keepdims=True)),
        lambda x: np.exp(x) / np.sum(np.exp(x), axis=last, keepdims=True),
        lambda x: np.log(np.cosh(x)),
    )
    return _pick(draw, functions)(x)


def _reshape(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    shapes = [(x.size,), (1, *x.shape), (*x.shape, 1), tuple(n for n in x.shape if n != 1)]
    if x.ndim == 2:
        shapes.append(x.shape[::-1])
    return np.reshape(x, _pick(draw, shapes))


def _transpose(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    return np.transpose(x, draw(st.permutations(range(x.ndim))))


def _broadcast(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    extents = tuple(_pick(draw, EXTENTS) if n == 1 else n for n in x.shape)
    lead = _pick(draw, ((), (), (2,), (1,)))
    shape = (*lead, *extents)
    return np.broadcast_to(x, shape if math.prod(shape) <= 64 else x.shape)


def _index(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, ...]:
    parts: list[Any] = []
    for n in shape:
        if n and draw(st.integers(0, 2)) == 0:
            parts.append(draw(st.integers(0, n - 1)))
        else:
            start, stop = draw(st.integers(0, n)), draw(st.integers(0, n))
            step = _pick(draw, (1, 1, 1, 2, -1))
            parts.append(_pick(draw, (slice(None), slice(start, stop, step), slice(None, stop))))
    return tuple(parts)


def _slice(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    return x[_index(draw, x.shape)] if x.ndim else x


def _sum(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    axis = tuple(a for a in range(x.ndim) if draw(st.booleans()))
    return np.sum(x, axis=axis, keepdims=draw(st.booleans()))


def _where(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    condition = _pick(draw, pool.conditions)
    y = _partner(draw, pool, x)
    shapes = [condition.shape, x.shape, y.shape if isinstance(y, Tracer) else ()]
    return np.where(condition, x, y) if _broadcasts(*shapes) else x


def _convert(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    return x.astype(_pick(draw, ("f4", "f8")))


def _written(draw: Draw, pool: _Pool) -> Any:
    """A fresh array, or a copy, and some writes into it."""
    x = _pick(draw, pool.floats)
    if not x.ndim:
        return x
    y = np.zeros_like(x) if draw(st.booleans()) else x.copy()
    for _ in range(draw(st.integers(1, 4))):
        index = _index(draw, x.shape)
        part = y[index]
        fitting = [v for v in pool.floats if v.shape == part.shape]
        y[index] = _pick(draw, fitting) if fitting else _pick(draw, NUMBERS)
    return y


def _filled(draw: Draw, pool: _Pool) -> Any:
    """An array filled element by element."""
    x = _pick(draw, pool.floats)
    n = x.shape[0] if x.ndim == 1 else 0
    if not n:
        return x
    y = np.zeros_like(x)
    for i in draw(st.permutations(range(n))):
        y[i] = x[n - 1 - i] * y[0]
    return y


def _join(draw: Draw, pool: _Pool) -> Any:
    x = _pick(draw, pool.floats)
    if not x.ndim or x.size > 24:
        return np.sum(x)
    axis = draw(st.integers(0, x.ndim - 1))
    parts = [x[tuple(slice(0, 1) if a == axis else slice(None) for a in range(x.ndim))], x]
    return np.concatenate(parts[:: _pick(draw, (1, -1))], axis=axis)


def _matmul(draw: Draw, pool: _Pool) -> Any:
    matrices = [x for x in pool.floats if x.ndim == 2]
    if not matrices:
        return _pick(draw, pool.floats)
    x = np.tanh(_pick(draw, matrices))
    return x @ x.T if draw(st.booleans()) else x.T @ x


def _counted(draw: Draw, pool: _Pool) -> Any:
    """Arithmetic of integers, and conditions made of them."""
    i = _pick(draw, pool.integers)
    functions = (
        lambda i: i * 1 + 0,
        lambda i: -np.negative(i) * i,
        lambda i: (i % 5) ** 2,
        lambda i: np.where(i > 1, i % 7, 3 - i),
    )
    result = _pick(draw, functions)(i)
    pool.integers.append(result)
    pool.conditions.append(np.logical_not(result > 1))
    return result.astype(float) / 8.0 if draw(st.booleans()) else np.tanh(result.astype("f4"))


STEPS = (
    _unary,
    _binary,
    _binary,
    _power,
    _stable,
    _reshape,
    _transpose,
    _broadcast,
    _slice,
    _slice,
    _sum,
    _where,
    _convert,
    _written,
    _filled,
    _join,
    _matmul,
    _counted,
)


def _floats(draw: Draw, shape: tuple[int, ...], dtype: str) -> Array:
    size = math.prod(shape)
    listed = draw(st.lists(st.sampled_from(NUMBERS), min_size=size, max_size=size))
    return np.array(listed, dtype).reshape(shape)


def _shape(draw: Draw) -> tuple[int, ...]:
    return tuple(_pick(draw, EXTENTS) for _ in range(draw(st.integers(0, 2))))


@st.composite
def programs(draw: Draw, max_steps: int = 10) -> Program:
    """Draw a program of up to `max_steps` steps with one to three results."""
    args = [
        _floats(draw, _shape(draw), "f8"),
        _floats(draw, _shape(draw), _pick(draw, ("f4", "f8"))),
    ]
    size = _pick(draw, EXTENTS)
    args.append(np.array(draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size)), "i8"))
    args.append(np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool))
    with building() as builder:
        inputs = [
            tracer(builder.input(type_of_array(a), n)) for a, n in zip(args, "xyic", strict=True)
        ]
        x, y, i, c = inputs
        pool = _Pool([x, y], [c, x > 0, np.logical_not(c)], [i])
        for _ in range(draw(st.integers(1, max_steps))):
            result = as_tracer(_pick(draw, STEPS)(draw, pool))
            if result.ndim <= 4 and result.size <= 256:
                pool.floats.append(result)
        count = draw(st.integers(1, 3))
        outputs = [pool.floats[-1], *(_pick(draw, pool.floats) for _ in range(count - 1))]
        graph = builder.build([read(v) for v in outputs], "random")
    return Program(graph, tuple(args))
