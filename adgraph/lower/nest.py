"""Loop nests: what the code printers read.

A `Nest` is a tree of loops and scalar statements over flat pointers, with integer parameters for
extents and strides. `adgraph.lower.fused` and `adgraph.lower.movement` make nests of single
operations, `adgraph.lower.region` whole programs with loops and branches of the user; the printer
(`adgraph.lower.numba_source`) turns them into kernel text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adgraph.ir.dims import Affine, Dim, Symbol, make, upper_bound
from adgraph.ir.types import Dtype, Shape

LARGEST_CONSTANT = 16  # integers up to this are constants of the kernel
LARGEST_UNROLLED = 6  # the same of extents, so that loops unroll: 8 unrolled elements cost 3x
LARGEST_ROW = 16  # the same of rows inside loops, which are vectors, and where passes share a row
LARGEST_SHARED = 4  # the same in a kernel of many nests: 8 unrolled points of a stencil cost 5x


@dataclass(frozen=True, slots=True)
class Offset:
    """Where an array begins in its buffer: as it is printed, and as a number or affine."""

    text: str = ""
    dim: Dim = field(default=0, compare=False)


AT_START = Offset()


@dataclass(frozen=True, slots=True)
class Access:
    """An element of a pointer: an offset and the sum of index times stride over some loops."""

    pointer: str
    terms: tuple[tuple[str, str], ...]
    offset: Offset = AT_START


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


ONCE = "1"


@dataclass(frozen=True, slots=True)
class Store:
    """Write a scalar to an element, or add `add` times the scalar, rounded once, to what is there.

    `add` is empty, `ONCE` or the text of a number in the dtype of the element.
    """

    access: Access
    name: str
    add: str = ""


def sum_of(name: str, dtype: Dtype, total: str, value: str, times: str) -> Let:
    """Return the statement that computes what a `Store` with `add` would leave in an element."""
    if times == ONCE:
        return Let(name, dtype, "{0} + {1}", (total, value))
    return Let(name, dtype, "fma({0}, {1}, {2})", (value, times, total))


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


@dataclass(frozen=True, slots=True)
class Set:
    """Give a variable the value of an expression of its own type: a copy, an integer."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """Run the body for an index in `range(start, stop, step)`: a loop of the user."""

    index: str
    start: str
    stop: str
    step: str
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class While:
    """Run the test and, as long as its condition holds, the body."""

    test: tuple[Statement, ...]
    condition: str
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Run one of two programs."""

    condition: str
    then: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave the kernel with a status if a condition holds."""

    condition: str
    status: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call a kernel by its address, and leave with its status unless that is 0."""

    address: str
    pointers: tuple[Access, ...]
    sizes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment: the user's line."""

    text: str


Statement = (
    Load | Let | Start | Store | Loop | Set | Range | While | Branch | Stop | Invoke | Remark
)


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
    """The integer parameters of a kernel under construction.

    In a kernel of many nests (`shared`) equal numbers are one parameter, and `symbols` names the
    indices of the user's loops. Extents up to `unrolled` are constants.
    """

    values: dict[str, int] = field(default_factory=dict)
    shared: bool = False
    symbols: Mapping[Symbol, str] = field(default_factory=dict)
    unrolled: int = LARGEST_UNROLLED

    def extent(self, n: Dim, *, innermost: bool = False) -> str:
        """Name an extent: a literal when it is small."""
        if isinstance(n, Affine):
            return self.dim(n)
        if n <= (LARGEST_SHARED if self.shared else LARGEST_ROW if innermost else self.unrolled):
            return str(n)
        return self._new("n", n)

    def stride(self, step: Dim) -> str:
        """Name a stride that no product of extents gives."""
        if isinstance(step, Affine):
            return f"({self.dim(step)})"
        if self.shared:
            return self.number(step)
        return str(step) if step in (1, -1) else self._new("s", step)

    def number(self, value: int) -> str:
        """Name an integer; a negative one as the opposite of its parameter."""
        if abs(value) <= LARGEST_CONSTANT:
            return str(value)
        return self._new("n", value) if value > 0 else f"-{self._new('n', -value)}"

    def dim(self, dim: Dim) -> str:
        """Write an affine expression of loop indices."""
        if not isinstance(dim, Affine):
            return self.number(dim)
        parts = [_factor(self.number(k), self.symbols[symbol]) for symbol, k in dim.terms]
        parts.sort(key=lambda part: part[0] == "-")
        if dim.constant:
            constant = self.number(dim.constant)
            parts.insert(0 if parts[0][0] == "-" and constant[0] != "-" else len(parts), constant)
        return join_terms(parts)

    def address(self, whole: Dim, strides: tuple[int, ...]) -> Offset:
        """Write an offset as multiples of the strides of a buffer and a rest; "" is zero."""
        parts, offset = [], whole
        for stride in sorted(set(strides), reverse=True):
            if stride > 1:
                quotient, offset = _divided(offset, stride)
                parts.append(_product(self.dim(quotient), self.number(stride)))
        parts.append(self.dim(offset))
        return Offset(join_terms([part for part in parts if part != "0"]), whole)

    def _new(self, letter: str, value: int) -> str:
        if self.shared:
            letter = "n"
            name = next((k for k, v in self.values.items() if v == value), None)
            if name is not None:
                return name
        name = f"{letter}{sum(key[0] == letter for key in self.values)}"
        self.values[name] = value
        return name


def join_terms(parts: list[str]) -> str:
    """Write a sum.

    >>> join_terms(["i", "-2*j", "3"])
    'i - 2*j + 3'
    """
    text = ""
    for part in parts:
        if not text:
            text = part
        else:
            text += f" - {part[1:]}" if part[0] == "-" else f" + {part}"
    return text


def _factor(factor: str, symbol: str) -> str:
    if factor in ("1", "-1"):
        return factor[:-1] + symbol
    return f"{factor}*{symbol}"


def _product(text: str, stride: str) -> str:
    if text == "0" or stride == "1":
        return text
    if text == "1":
        return stride
    return f"({text})*{stride}" if " " in text or text[0] == "-" else f"{text}*{stride}"


def _divided(dim: Dim, by: int) -> tuple[Dim, Dim]:
    """Return quotient and rest of a dim, each rest the nearest to zero."""
    if not isinstance(dim, Affine):
        quotient = (dim + by // 2) // by
        return quotient, dim - quotient * by
    constant, rest = _divided(dim.constant, by)
    quotients = {symbol: (k + by // 2) // by for symbol, k in dim.terms}
    rests = {symbol: k - quotients[symbol] * by for symbol, k in dim.terms}
    return make(0, quotients) + constant, make(0, rests) + rest


def most(extent: Dim) -> int | None:
    """Return the largest value of an extent, if that is known."""
    return upper_bound(extent)


def stride_names(
    strides: tuple[int, ...], extents: Shape, names: tuple[str, ...], sizes: Sizes
) -> tuple[str | None, ...]:
    """Name the strides of one operand in every loop, None for zero.

    A stride that is the product of the extents inside it is written as that product: then the
    kernel does not depend on the sizes.
    """
    result: list[str | None] = []
    step: Dim | None = 1
    factors: list[str] = []
    for stride, extent, name in reversed(list(zip(strides, extents, names, strict=True))):
        if stride == 0 or extent == 1:
            result.append(None)
            continue
        if stride == step:
            result.append(sizes.stride(stride) if sizes.shared else "*".join(factors) or "1")
            factors.append(name)
        else:
            result.append(sizes.stride(stride))
            factors = [result[-1] or "", name]
        step = _product_of(stride, extent)
    return tuple(reversed(result))


@dataclass(frozen=True)
class Axes:
    """The loops of a nest after neighbouring axes were merged.

    `groups` lists the axes of the space in each loop; `extents` the extents of the loops.
    """

    groups: tuple[tuple[int, ...], ...]
    extents: Shape

    def loops_before(self, axis: int) -> int:
        """Return how many loops lie outside an axis of the space."""
        return sum(group[0] < axis for group in self.groups)

    def merged(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides per loop of strides per axis: those of the last axis of each."""
        return tuple(strides[group[-1]] for group in self.groups)


def merge_axes(extents: Shape, operands: list[tuple[int, ...]], cuts: set[int]) -> Axes:
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


def _mergeable(axis: int, extents: Shape, operands: list[tuple[int, ...]]) -> bool:
    return all(s[axis - 1] == _product_of(s[axis], extents[axis]) for s in operands)


def _product_of(stride: Dim, extent: Dim) -> Dim | None:
    """The stride of the axis in front, if it is one that can be written down."""
    both = isinstance(stride, Affine) and isinstance(extent, Affine)
    return None if both else stride * extent
