"""Abstract joint graphs for the planner: nodes with given costs and sizes, and their adjoint.

A `Primal` is built op by op; `joint` appends the adjoint and gives a graph whose estimated seconds
and buffer bytes are those given. `transformer`, `unet`, `layered` and `chain` are the graphs of the
tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from adgraph.ir.builder import Builder
from adgraph.ir.graph import Graph, Origin, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType

BYTE = np.dtype(np.uint8)
UNIT = 64  # bytes of a unit of size: the alignment of an arena
FLOPS = 1e12  # of a unit of cost, so that memory traffic does not count


work = Op(
    name="work",
    kind=Kind.LIBRARY,
    evaluate=lambda *operands, flops, number, units: np.zeros(units * UNIT, np.uint8),
    infer=lambda *types, flops, number, units: ArrayType(BYTE, (units * UNIT,)),
    flops=lambda *types, flops, number, units: flops,
)


@dataclass(frozen=True)
class Step:
    """An op of the primal program.

    Its derivative reads its operands (`needs` is "in"), its result ("out") or nothing of both; an
    op with `weight` units of parameters also has their gradient as an output of the program.
    """

    cost: float
    size: float
    operands: tuple[int, ...]
    needs: str
    weight: float


@dataclass
class Primal:
    """A program under construction: steps refer to earlier ones by number."""

    scale: float = 1.0  # of costs and sizes: how many samples are in a batch
    steps: list[Step] = field(default_factory=list)

    def op(
        self,
        cost: float,
        size: float,
        operands: Iterable[int] = (),
        needs: str = "in",
        weight: float = 0.0,
    ) -> int:
        """Add a step and return its number."""
        step = Step(cost * self.scale, size * self.scale, tuple(operands), needs, weight)
        self.steps.append(step)
        return len(self.steps) - 1


class _Emitter:
    """A graph under construction, of nodes with a cost and a size."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.x = self.builder.input(ArrayType(BYTE, (UNIT,)), "x")

    def emit(self, cost: float, size: float, operands: Sequence[Value], order: int) -> Value:
        attrs = {
            "flops": max(cost, 1e-6) * FLOPS,
            "number": len(self.builder.nodes),  # no two are one by common subexpressions
            "units": max(1, round(16 * size)),
        }
        origin = Origin(order=order)
        (value,) = self.builder.emit(work, [*operands] or [self.x], attrs, origin)
        return value


def joint(primal: Primal) -> Graph:
    """Return the program with its adjoint: the last step's value and the gradients are results."""
    emitter = _Emitter()
    values: list[Value] = []
    for step in primal.steps:
        operands = [values[i] for i in step.operands]
        values.append(emitter.emit(step.cost, step.size, operands, 0))
    results = [values[-1]]
    cts: dict[int, Value] = {}
    for number in reversed(range(len(primal.steps))):
        results += _adjoint(emitter, primal.steps, number, values, cts)
    return emitter.builder.build(results)


def _adjoint(
    emitter: _Emitter, steps: list[Step], number: int, values: list[Value], cts: dict[int, Value]
) -> list[Value]:
    """Emit the adjoint of a step; return the gradients that it gives."""
    step = steps[number]
    operands = [values[i] for i in step.operands]
    reads = {"in": operands, "out": [values[number]], "none": []}[step.needs]
    if number == len(steps) - 1:
        cts[number] = emitter.emit(0.0, step.size, reads if step.needs == "out" else [], 1)
    ct = cts.pop(number)
    gradients = []
    if step.weight:
        gradients.append(emitter.emit(step.cost, step.weight, [ct, *operands], 1))
    elif not operands:
        gradients.append(ct)
    for i in step.operands:
        part = emitter.emit(step.cost / len(operands), steps[i].size, [ct, *reads], 1)
        if i in cts:
            part = emitter.emit(0.008 * steps[i].size, steps[i].size, [cts[i], part], 1)
        cts[i] = part
    return gradients


def chain(links: int) -> Graph:
    """Return links of cost 1 and size 1 and their adjoint steps: the case of Revolve.

    The caller has the first state; the last link is computed with its adjoint.
    """
    emitter = _Emitter()
    states: list[list[Value]] = [[]]
    for _ in range(links - 1):
        states.append([emitter.emit(1.0, 1.0, states[-1], 0)])
    ct: list[Value] = [emitter.emit(0.0, 1.0, states[-1], 1)]
    for state in reversed(states):
        ct = [emitter.emit(1.0, 1.0, [*state, *ct], 1)]
    return emitter.builder.build(ct)


def transformer(blocks: int, tokens: int = 256, width: int = 256, heads: int = 8) -> Graph:
    """Return the gradient of a transformer-like program: attention and two wide layers a block."""
    primal = Primal(scale=8.0)
    row, scores = tokens * width / 1e3, heads * tokens * tokens / 1e3

    def linear(x: int, inner: int, outer: int) -> int:
        cost = 2 * tokens * inner * outer / 1e6
        return primal.op(cost, tokens * outer / 1e3, [x], "in", inner * outer / 1e3)

    def cheap(operands: list[int], size: float, needs: str, cost: float = 0.008) -> int:
        return primal.op(size * cost, size, operands, needs)

    def product(a: int, b: int, size: float) -> int:
        return primal.op(2 * tokens * tokens * width / 1e6, size, [a, b], "in")

    x = primal.op(0.1, row, weight=1.0)
    for _ in range(blocks):
        h = cheap([x], row, "in", 0.02)
        q, k, v = (linear(h, width, width) for _ in range(3))
        scaled = cheap([product(q, k, scores)], scores, "none")
        p = cheap([scaled], scores, "out", 0.03)
        x = cheap([x, linear(product(p, v, row), width, width)], row, "none")
        h = cheap([x], row, "in", 0.02)
        wide = cheap([linear(h, width, 4 * width)], 4 * row, "in", 0.05)
        x = cheap([x, linear(wide, 4 * width, width)], row, "none")
    primal.op(0.01, 0.001, [x])
    return joint(primal)


def unet(levels: int) -> Graph:
    """Return the gradient of a U-Net-like program: coarser and coarser, and up again with skips."""
    primal = Primal()
    x = primal.op(1.0, 4.0**levels, weight=1.0)
    skips = []
    for level in reversed(range(levels)):
        h = primal.op(0.05 * 4.0**level, 4.0 ** (level + 1), [x], "out")
        skips.append(h)
        x = primal.op(2.0 * 4.0**level, 2 * 4.0**level, [h], "in", 1.0)
    for level in range(levels):
        up = primal.op(2.0 * 4.0**level, 4.0 ** (level + 1), [x], "in", 1.0)
        x = primal.op(3.0 * 4.0**level, 4.0 ** (level + 1), [up, skips.pop()], "in", 1.0)
    primal.op(0.01, 0.01, [x])
    return joint(primal)


def layered(count: int, width: int = 8, seed: int = 0, cheap: float = 0.6) -> Graph:
    """Return the gradient of a random program of about `count` steps in layers."""
    rng = np.random.default_rng(seed)
    primal = Primal()
    layers: list[list[int]] = []
    while len(primal.steps) < count:
        wide = min(count - len(primal.steps), int(rng.integers(1, width + 1)))
        layers.append([_random_step(primal, layers, rng, cheap) for _ in range(wide)])
    read = {i for step in primal.steps for i in step.operands}
    loose = [i for i in range(len(primal.steps)) if i not in read]
    while len(loose) > 1:
        loose = [*loose[8:], primal.op(0.1, 0.01, loose[:8], "none")]
    return joint(primal)


def _random_step(
    primal: Primal, layers: list[list[int]], rng: np.random.Generator, cheap: float
) -> int:
    operands: set[int] = set()
    if layers:
        few = min(int(rng.integers(1, 3)), len(layers[-1]))
        operands.update(map(int, rng.choice(layers[-1], few, replace=False)))
    if len(layers) > 1 and rng.random() < 0.15:
        back = max(0, len(layers) - 1 - int(rng.geometric(0.2)))
        operands.add(int(rng.choice(layers[back])))
    size = float(np.round(2 ** rng.uniform(0, 5), 2))
    if rng.random() < cheap:
        needs = ("none", "in", "out")[int(rng.integers(0, 3))]
        return primal.op(0.05 * size, size, sorted(operands), needs)
    return primal.op(float(rng.uniform(0.5, 4)) * size, size, sorted(operands), "in")
