"""What the lowering reads of an op: how its elements are computed, one form per kind of op.

Elementwise ops have an `Expression`, reductions a `Fold`, data movement is either `Pieces` (boxes
of the result, each copied or filled) or `Loops` (a kernel of its own), library ops are a `Routine`.
Scalar names in expressions are those of `adgraph.lower.vmath`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adgraph.ir.types import ArrayType, Dtype

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
    """A box of the result: filled from an operand (by number), or with a literal."""

    index: tuple[Any, ...]
    operand: int | None
    literal: float = 0.0


@dataclass(frozen=True)
class Pieces:
    """Data movement as boxes that are written in order. `boxes(types, attrs)` lists them."""

    boxes: Callable[[Types, dict[str, Any]], tuple[Piece, ...]]


@dataclass(frozen=True)
class Loops:
    """A kernel of its own over C-contiguous operands.

    `text` is the source of one function `kernel(operands..., results..., sizes...)` over flat
    pointers that may return a nonzero status; `sizes(types, attrs)` gives its integers. In the text
    `dtype` is the dtype of the first result.
    """

    text: str
    sizes: Callable[[Types, dict[str, Any]], tuple[int, ...]]


@dataclass(frozen=True)
class Routine:
    """A BLAS or LAPACK routine of `adgraph.lower.blas`.

    `sizes(types, attrs)` gives its integers; `scratch(types, attrs)` the types of its workspaces.
    A `strided` routine takes stacks of matrices with any strides BLAS has, and their strides after
    its sizes (see `adgraph.lower.program`); the others take C-contiguous operands.
    """

    name: str
    sizes: Callable[[Types, dict[str, Any]], tuple[int, ...]]
    scratch: Callable[[Types, dict[str, Any]], Types] = lambda types, attrs: ()
    strided: bool = False


Code = Expression | Fold | Pieces | Loops | Routine
