"""Hypothesis strategies for random programs.

`programs()` draws a `Program`: a graph traced from a random NumPy program over small arrays, and
arguments for it. Programs are continuous: conditions depend on inputs only, divisors and arguments
of logarithms stay away from zero, so that rounding in one place cannot change a result much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

import adgraph.tracing.numpy_api  # noqa: F401  (fills the dispatch table)
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.types import type_of_array
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import Tracer, as_tracer, read, tracer

Array = np.ndarray[Any, Any]

NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, 0.3, -1.7)
EXTENTS = (0, 1, 1, 2, 2, 3, 3, 3, 4, 4)


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


def _value(rng: Random, pool: _Pool) -> Any:
    """A value, one of the latest more often than not."""
    return rng.choice(pool.floats[-2:] if rng.random() < 0.6 else pool.floats)


def _unary(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
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
    return rng.choice(functions)(x)


def _partner(rng: Random, pool: _Pool, x: Any) -> Any:
    """Another value that broadcasts against x, or a number."""
    fitting = [y for y in pool.floats if _broadcasts(x.shape, y.shape)]
    if fitting and rng.random() < 0.5:
        return rng.choice(fitting)
    return rng.choice(NUMBERS)


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        return math.prod(np.broadcast_shapes(*shapes)) <= 64
    except ValueError:
        return False


def _binary(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    y = _partner(rng, pool, x)
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
    return rng.choice(functions)(x, y)


def _power(rng: Random, pool: _Pool) -> Any:
    x = np.tanh(_value(rng, pool))
    exponent = rng.choice((0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 0.5))
    return (x if exponent in (0, 1, 2, 3, 4) else 1.5 + x) ** exponent


def _stable(rng: Random, pool: _Pool) -> Any:
    """Formulas that `stabilize` knows."""
    x = 4.0 * np.tanh(_value(rng, pool))
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
    return rng.choice(functions)(x)


def _reshape(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    shapes = [(x.size,), (1, *x.shape), (*x.shape, 1), tuple(n for n in x.shape if n != 1)]
    if x.ndim == 2:
        shapes.append(x.shape[::-1])
    return np.reshape(x, rng.choice(shapes))


def _transpose(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    return np.transpose(x, rng.sample(range(x.ndim), x.ndim))


def _broadcast(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    extents = tuple(rng.choice(EXTENTS) if n == 1 else n for n in x.shape)
    lead = rng.choice(((), (), (2,), (1,)))
    shape = (*lead, *extents)
    return np.broadcast_to(x, shape if math.prod(shape) <= 64 else x.shape)


def _index(rng: Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    parts: list[Any] = []
    for n in shape:
        if n and rng.randint(0, 2) == 0:
            parts.append(rng.randint(0, n - 1))
        else:
            start, stop = rng.randint(0, n), rng.randint(0, n)
            step = rng.choice((1, 1, 1, 2, -1))
            parts.append(rng.choice((slice(None), slice(start, stop, step), slice(None, stop))))
    return tuple(parts)


def _slice(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    return x[_index(rng, x.shape)] if x.ndim else x


def _sum(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    axis = tuple(a for a in range(x.ndim) if rng.random() < 0.5)
    return np.sum(x, axis=axis, keepdims=rng.random() < 0.5)


def _where(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    condition = rng.choice(pool.conditions)
    y = _partner(rng, pool, x)
    shapes = [condition.shape, x.shape, y.shape if isinstance(y, Tracer) else ()]
    return np.where(condition, x, y) if _broadcasts(*shapes) else x


def _convert(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    return x.astype(rng.choice(("f4", "f8")))


def _written(rng: Random, pool: _Pool) -> Any:
    """A fresh array, or a copy, and some writes into it."""
    x = _value(rng, pool)
    if not x.ndim:
        return x
    y = np.zeros_like(x) if rng.random() < 0.5 else x.copy()
    for _ in range(rng.randint(1, 4)):
        index = _index(rng, x.shape)
        part = y[index]
        fitting = [v for v in pool.floats if v.shape == part.shape]
        y[index] = rng.choice(fitting) if fitting else rng.choice(NUMBERS)
    return y


def _filled(rng: Random, pool: _Pool) -> Any:
    """An array filled element by element."""
    x = _value(rng, pool)
    n = x.shape[0] if x.ndim == 1 else 0
    if not n:
        return x
    y = np.zeros_like(x)
    for i in rng.sample(range(n), n):
        y[i] = x[n - 1 - i] * y[0]
    return y


def _join(rng: Random, pool: _Pool) -> Any:
    x = _value(rng, pool)
    if not x.ndim or x.size > 24:
        return np.sum(x)
    axis = rng.randint(0, x.ndim - 1)
    parts = [x[tuple(slice(0, 1) if a == axis else slice(None) for a in range(x.ndim))], x]
    return np.concatenate(parts[:: rng.choice((1, -1))], axis=axis)


def _matmul(rng: Random, pool: _Pool) -> Any:
    matrices = [x for x in pool.floats if x.ndim == 2]
    if not matrices:
        return _value(rng, pool)
    x = np.tanh(rng.choice(matrices))
    return x @ x.T if rng.random() < 0.5 else x.T @ x


def _counted(rng: Random, pool: _Pool) -> Any:
    """Arithmetic of integers, and conditions made of them."""
    i = rng.choice(pool.integers)
    functions = (
        lambda i: i * 1 + 0,
        lambda i: -np.negative(i) * i,
        lambda i: (i % 5) ** 2,
        lambda i: np.where(i > 1, i % 7, 3 - i),
    )
    result = rng.choice(functions)(i)
    pool.integers.append(result)
    pool.conditions.append(np.logical_not(result > 1))
    return result.astype(float) / 8.0 if rng.random() < 0.5 else np.tanh(result.astype("f4"))


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


def _floats(rng: Random, shape: tuple[int, ...], dtype: str) -> Array:
    size = math.prod(shape)
    return np.array(rng.choices(NUMBERS, k=size), dtype).reshape(shape)


def _shape(rng: Random) -> tuple[int, ...]:
    return tuple(rng.choice(EXTENTS) for _ in range(rng.randint(0, 2)))


@st.composite
def programs(draw: st.DrawFn, max_steps: int = 14) -> Program:
    """Draw a program of up to `max_steps` steps with one to three results.

    Hypothesis shrinks the number of steps; a seed decides the rest, for the sake of variety.
    """
    steps = draw(st.integers(1, max_steps))
    return _program(Random(draw(st.integers(0, 2**32))), steps)


def _program(rng: Random, steps: int) -> Program:
    n = rng.choice(EXTENTS)
    args = (
        _floats(rng, _shape(rng), "f8"),
        _floats(rng, _shape(rng), rng.choice(("f4", "f8"))),
        np.array([rng.randint(-3, 3) for _ in range(n)], "i8"),
        np.array([rng.random() < 0.5 for _ in range(n)], bool),
    )
    with building() as builder:
        inputs = (builder.input(type_of_array(a), n) for a, n in zip(args, "xyic", strict=True))
        x, y, i, c = map(tracer, inputs)
        pool = _Pool([x, y], [c, x > 0, np.logical_not(c)], [i])
        for _ in range(steps):
            result = as_tracer(rng.choice(STEPS)(rng, pool))
            if result.ndim <= 4 and result.size <= 256:
                pool.floats.append(result)
        outputs = pool.floats[-1:] + rng.choices(pool.floats, k=rng.randint(0, 2))
        graph = builder.build([read(v) for v in outputs], "random")
    return Program(graph, args)
