"""Which values that are read at several shifts are stored, and which are computed for each.

A stencil's gradient adds values at shifted boxes. What leads to them can be computed anew at every
shift, or be stored once and read: a minimum cut of the elementwise ops behind the values finds what
costs least (in additions an element). Begin with `stored`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adgraph.analysis.cut import Edge, minimum_cut
from adgraph.ir.code import Expression
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Value
from adgraph.ir.op import Kind
from adgraph.ir.types import Slice
from adgraph.passes.rules import Site, literal
from adgraph.tracing.tracer import read

STORED = 4.0  # additions an element: what writing it, and waiting for the memory, costs
READ = 0.5  # the same for loading it from a cache
MOST_NODES = 64  # of the ops behind the values: what lies deeper is stored
SCALE = 10  # capacities are whole numbers
SURE = 10**9  # the capacity of an edge that no cut may hold
ELSEWHERE = frozenset({Kind.LIBRARY, Kind.REGION})  # their operands are in memory

Part = tuple[Any, Sequence[Slice]]  # a value and the box of it that is read
Shift = tuple[Dim, ...]


def stored(site: Site, parts: Sequence[Part]) -> set[Value]:
    """Return the values that are to be read from memory; what is behind them does not matter."""
    found = _Reads(site)
    for value, box in parts:
        found.walk(value)
        found.count(value)
        found.shifts[read(value)].add(tuple(side.start for side in box))
    found.spread()
    return found.cut([read(value) for value, _ in parts])


@dataclass
class _Reads:
    """The elementwise ops behind values, operands first; at which shifts each result is read."""

    site: Site
    made: dict[Value, Site | None] = field(default_factory=dict)
    shifts: dict[Value, set[Shift]] = field(default_factory=dict)
    readers: dict[Value, int] = field(default_factory=dict)

    def walk(self, x: Any) -> None:
        """Enter a value and what it is computed from."""
        value = read(x)
        if value in self.shifts:
            return
        self.shifts[value], self.readers[value] = set(), 0
        made = self.site.made(x, Kind.ELEMENTWISE) if len(self.shifts) < MOST_NODES else None
        if made is not None:
            for operand in _operands(made):
                self.walk(operand)
                self.count(operand)
        self.made[value] = made

    def count(self, x: Any) -> None:
        """Note one more reader among the ops, or behind them."""
        self.readers[read(x)] += 1

    def spread(self) -> None:
        """Read the operands of every op wherever its result is read."""
        for value, made in reversed(self.made.items()):
            for operand in _operands(made) if made is not None else ():
                shape, lead = operand.shape, len(value.type.shape) - operand.ndim
                self.shifts[read(operand)] |= {
                    tuple(0 if n == 1 else at for n, at in zip(shape, shift[lead:], strict=True))
                    for shift in self.shifts[value]
                }

    def cut(self, roots: Sequence[Value]) -> set[Value]:
        """Return the values of the least cut."""
        edges: dict[Edge, int] = {}
        for value, made in self.made.items():
            edges[(value, "given"), (value, "read")] = round(SCALE * self._reading(value, made))
            edges["source", (value, "given")] = self._computing(value, made)
            for operand in _operands(made) if made is not None else ():
                edges[(read(operand), "read"), (value, "given")] = SURE
        edges.update(dict.fromkeys((((value, "read"), "sink") for value in roots), SURE))
        side = minimum_cut(edges, "source", "sink")
        return {v for v in self.made if (v, "given") in side and (v, "read") not in side}

    def _reading(self, value: Value, made: Site | None) -> float:
        loads = READ * len(self.shifts[value])
        return loads if made is None or _in_memory(made) else STORED + loads

    def _computing(self, value: Value, made: Site | None) -> int:
        """What it costs to compute a value at every shift: once more if others read it anyway."""
        if made is None or not isinstance(made.op.code, Expression):
            return SURE
        others = len(made.readers) > self.readers[value]
        times = len(self.shifts[value]) - 1 + others
        return round(SCALE * made.op.code.weight * times)


def _operands(made: Site) -> list[Any]:
    return [x for x in made.args if literal(x) is None]


def _in_memory(made: Site) -> bool:
    return any(op is None or op.kind in ELSEWHERE for op, _ in made.readers)
