"""The record of an operation, and the protocol of traced values.

An `Op` holds every facet of one operation: how to evaluate it, the types of its results, its
derivatives, its cost and how one element of it is computed. Its `kind` says how it is executed;
code outside the op's own block may match on kinds and never on names. Calling an op evaluates it
on arrays, or emits a node when one argument is `Traced`.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adgraph.ir.code import Code
from adgraph.ir.types import ArrayType, type_of_array

Types = tuple[ArrayType, ...]


class Kind(enum.Enum):
    """How an operation is executed."""

    CONSTANT = "constant"  # a literal array
    INDEX = "index"  # an affine function of loop indices
    ELEMENTWISE = "elementwise"  # one element from one element of each operand, with broadcasting
    REDUCTION = "reduction"  # a fold over axes
    VIEW = "view"  # the same elements under another shape and strides
    MOVEMENT = "movement"  # elements copied, gathered, scattered or scanned by a loop of its own
    LIBRARY = "library"  # a BLAS or LAPACK call
    REGION = "region"  # a program inside a node


class Traced:  # no ABC: the metaclass would make every `isinstance` ten times as slow
    """A stand-in for an array while a program is being recorded."""

    @property
    @abstractmethod
    def type(self) -> ArrayType:
        """The static type."""

    @abstractmethod
    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Emit a node of `op` and return its results as traced values."""


def type_of(x: Any) -> ArrayType:
    """Return the type of an array, a scalar or a traced value."""
    return x.type if isinstance(x, Traced) else type_of_array(x)


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operation.

    `evaluate(*arrays, **attrs)` gives an array, or a tuple for several results.
    `infer(*types, **attrs)` gives the type of the result, or a tuple of types.
    `jvp(tangents, y, *args, **attrs)` gives the tangent(s) of the result; `None` is a zero.
    `vjp(ct, y, *args, **attrs)` gives a tuple with the cotangent of every argument, or `None`.
    `partials(y, *args)` takes the place of both for elementwise operations: the derivative of one
    result element by one element of each argument; `None` is a zero.
    `accumulate(total, ct, y, *args, **attrs)` gives what `vjp` gives for the first argument, added
    to the cotangent it has already: an update in place of a sum of whole arrays.
    `batch(args, batched, **attrs)` applies the op to arguments of which those flagged have a batch
    axis in front, and gives a result with a batch axis in front.
    `parts(*args, **attrs)` gives the parts of the results from those of complex arguments (see
    `adgraph.ops.complex_parts`); "each": the op does the same to both parts.
    `fewer(used, *args, **attrs)` gives the results flagged as used, with less work (the others may
    be None), or None where there is no cheaper way.
    `flops(*types, **attrs)` counts floating-point operations.
    `code` is what the lowering of the op's kind reads: an expression or a name.
    """

    name: str
    kind: Kind
    evaluate: Callable[..., Any]
    infer: Callable[..., ArrayType | Types]
    partials: Callable[..., tuple[Any, ...]] | None = None
    jvp: Callable[..., Any] | None = None
    vjp: Callable[..., tuple[Any, ...]] | None = None
    accumulate: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    parts: Callable[..., Any] | Literal["each"] | None = None
    fewer: Callable[..., tuple[Any, ...] | None] | None = None
    flops: Callable[..., float] | None = None
    code: Code | None = None
    numpy: Callable[..., Any] | None = None
    singular: bool = False  # a partial may be infinite or nan where the arguments are finite
    masks: bool = False  # cotangents of arguments hold zeros where those of the results do not
    differentiable: bool = True  # False: constant almost everywhere, its derivative is zero
    commutative: bool = False  # the first two operands may change places
    product: bool = False  # a matrix product, of the last two operands

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """Record the op if an argument is traced, else compute it."""
        for argument in args:
            if isinstance(argument, Traced):
                return argument.apply(self, args, attrs)
        return self.evaluate(*args, **attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def result_types(self, types: Types, attrs: Mapping[str, Any]) -> Types:
        """Return the types of the results as a tuple."""
        result = self.infer(*types, **attrs)
        return result if isinstance(result, tuple) else (result,)


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Enter an op under its name, which must be new."""
    if op.name in OPS:
        raise ValueError(f"an op named {op.name!r} exists already")
    OPS[op.name] = op
    return op
