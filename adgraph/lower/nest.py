"""Loop nests: what the code printers read.

A `Nest` is a tree of loops and scalar statements over flat pointers, with integer parameters for
extents and strides. `adgraph.lower.fused` and `adgraph.lower.movement` make nests, the printers
(`adgraph.lower.numba_source`) turn them into kernel text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from adgraph.ir.types import Dtype

LARGEST_CONSTANT = 16  # extents up to this are constants of the kernel, so that loops unroll


@dataclass(frozen=True, slots=True)
class Access:
    """An element of a pointer: the sum of index times stride over some loops."""

    pointer: str
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Read an element into a new scalar."""

    name: str
    access: Access


@dataclass(frozen=True, slots=True)
class Let:
    """Compute a scalar from others. `operands` fill the holes of the expression."""

    name: str
    dtype: Dtype
    text: str
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Set an accumulator to a literal."""

    name: str
    dtype: Dtype
    value: Any


@dataclass(frozen=True, slots=True)
class Store:
    """Write a scalar to an element."""

    access: Access
    name: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Run the body for an index from 0 to an extent.

    A blocked loop runs in blocks: `before` and `after` surround each, which keeps long sums exact.
    """

    index: str
    extent: str
    body: tuple[Statement, ...]
    before: tuple[Statement, ...] = ()
    after: tuple[Statement, ...] = ()
    blocked: bool = False


Statement = Load | Let | Start | Store | Loop


@dataclass(frozen=True, slots=True)
class Parameter:
    """A pointer of a kernel: the name and dtype of its elements."""

    name: str
    dtype: Dtype


@dataclass(frozen=True)
class Nest:
    """A kernel: pointers, named integers with their values in this program, and statements."""

    name: str
    pointers: tuple[Parameter, ...]
    sizes: dict[str, int]
    body: tuple[Statement, ...]


@dataclass
class Sizes:
    """The integer parameters of a kernel under construction."""

    values: dict[str, int] = field(default_factory=dict)

    def extent(self, n: int) -> str:
        """Name an extent: a literal when it is small."""
        if n <= LARGEST_CONSTANT:
            return str(n)
        return self._new("n", n)

    def stride(self, step: int) -> str:
        """Name a stride that no product of extents gives."""
        return str(step) if step in (1, -1) else self._new("s", step)

    def _new(self, letter: str, value: int) -> str:
        name = f"{letter}{sum(key[0] == letter for key in self.values)}"
        self.values[name] = value
        return name


def stride_names(
    strides: tuple[int, ...], extents: tuple[int, ...], names: tuple[str, ...], sizes: Sizes
) -> tuple[str | None, ...]:
    """Name the strides of one operand in every loop, None for zero.

    A stride that is the product of the extents inside it is written as that product: then the
    kernel does not depend on the sizes.
    """
    result: list[str | None] = []
    step: int | None = 1
    factors: list[str] = []
    for stride, extent, name in reversed(list(zip(strides, extents, names, strict=True))):
        if stride == 0 or extent == 1:
            result.append(None)
            continue
        if stride == step:
            result.append("*".join(factors) or "1")
            factors.append(name)
        else:
            result.append(sizes.stride(stride))
            factors = [result[-1] or "", name]
        step = stride * extent
    return tuple(reversed(result))


@dataclass(frozen=True)
class Axes:
    """The loops of a nest after neighbouring axes were merged.

    `groups` lists the axes of the space in each loop; `extents` the extents of the loops.
    """

    groups: tuple[tuple[int, ...], ...]
    extents: tuple[int, ...]

    def loops_before(self, axis: int) -> int:
        """Return how many loops lie outside an axis of the space."""
        return sum(group[0] < axis for group in self.groups)

    def merged(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides per loop of strides per axis: those of the last axis of each."""
        return tuple(strides[group[-1]] for group in self.groups)


def merge_axes(extents: tuple[int, ...], operands: list[tuple[int, ...]], cuts: set[int]) -> Axes:
    """Merge neighbouring axes that every operand walks as one.

    `operands` are strides per axis; no merge crosses a cut (an axis that must begin a loop).
    """
    groups: list[list[int]] = []
    for axis in range(len(extents)):
        if groups and axis not in cuts and _mergeable(axis, extents, operands):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return Axes(
        tuple(map(tuple, groups)),
        tuple(math.prod(extents[a] for a in group) for group in groups),
    )


def _mergeable(axis: int, extents: tuple[int, ...], operands: list[tuple[int, ...]]) -> bool:
    return all(s[axis - 1] == s[axis] * extents[axis] for s in operands)
