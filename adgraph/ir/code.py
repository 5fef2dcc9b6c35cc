"""What the lowering reads of an op: how its elements are computed, one form per kind of op.

Elementwise ops have an `Expression`, reductions a `Fold`, data movement is either `Pieces` (boxes
of the result, each copied or filled) or `Loops` (a kernel of its own), library ops are a `Routine`,
views are `Strided`, ops that hold programs have a `Control`. Scalar names in expressions are those
of `adgraph.lower.vmath`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adgraph.ir.dims import Dim
from adgraph.ir.types import ArrayType, Dtype, Index, Shape

Types = tuple[ArrayType, ...]


@dataclass(frozen=True)
class Expression:
    """One element of the result: `text` holds `{0}`, `{1}`, ... for elements of the operands.

    `weight` is its cost in units of one addition.
    """

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Fold:
    """A reduction: the value of an empty fold, and `combine` of `{0}` (so far) and `{1}` (next).

    The operand has been converted to the dtype of the result.
    """

    start: Callable[[Dtype], Any]
    combine: str


@dataclass(frozen=True)
class Piece:
    """A box of the result (None: all of it): filled from an operand by number, or with a literal.

    With `add` so many times the operand is added to what earlier pieces have put there.
    """

    index: Index | None
    operand: int | None
    literal: float = 0.0
    add: float = 0.0


@dataclass(frozen=True)
class Pieces:
    """Data movement as boxes that are written in order. `boxes(types, attrs)` lists them."""

    boxes: Callable[[Types, dict[str, Any]], tuple[Piece, ...]]


@dataclass(frozen=True)
class Loops:
    """A kernel of its own over C-contiguous operands.

    `text` is the source of one function `kernel(operands..., results..., sizes...)` over flat
    pointers that may return a nonzero status; `sizes(types, attrs)` gives its integers. Pointers to
    workspaces of the types `scratch(types, attrs)` follow those to the results. In the text `dtype`
    is the dtype of the first result; loops up to an integer `inner` are unrolled if it is
    small. `point` says what the op does at one position of the first operand's `axis`, if its last
    operand is that single position: the result is the part there, or the first operand with the
    second one in its place, or added to it.
    """

    text: str
    sizes: Callable[[Types, dict[str, Any]], tuple[int, ...]]
    point: Literal["read", "write", "add"] | None = None
    scratch: Callable[[Types, dict[str, Any]], Types] = lambda types, attrs: ()


@dataclass(frozen=True)
class InnerLoop:
    """The inner loop of a (generalized) ufunc: `ufunc` by module and name, `types` of float64.

    Its integers are `dimensions` extents (how often it runs, the core dimensions), then strides in
    bytes. With `fails` the loop may fail, which it tells by the invalid flag.
    """

    ufunc: str
    types: str
    dimensions: int
    fails: bool = False


@dataclass(frozen=True)
class Routine:
    """A routine of `adgraph.lower.blas` or `lapack`, by its name, or the loop of a ufunc.

    `sizes(types, attrs)` gives its integers; `scratch(types, attrs)` the types of its workspaces.
    A `strided` routine takes stacks of matrices with any strides BLAS has, and their strides after
    its sizes (see `adgraph.lower.program`); the others take C-contiguous operands. One that `adds`
    adds to its first operand, in the place of that if it dies. With `pairs` it is the routine for
    complex matrices, whose elements are pairs along a last axis.
    """

    name: str | InnerLoop
    sizes: Callable[[Types, dict[str, Any]], tuple[int, ...]]
    scratch: Callable[[Types, dict[str, Any]], Types] = lambda types, attrs: ()
    strided: bool = False
    adds: bool = False
    pairs: bool = False


@dataclass(frozen=True)
class Strided:
    """A view. `place(shape, strides, attrs)` maps the shape and strides of the operand.

    It gives the offset and the strides of the result, or None where elements would have to move.
    """

    place: Callable[[Shape, tuple[int, ...], Mapping[str, Any]], Placed | None]


Placed = tuple[Dim, tuple[int, ...]]


@dataclass(frozen=True)
class Control:
    """How the programs of a region run: see `adgraph.ops.control`."""

    form: Literal["loop", "counted", "between", "while", "branch"]


Code = Expression | Fold | Pieces | Loops | Routine | Strided | Control
