"""Constructors of ops: each supplies what follows from what the op is.

`elementwise` needs partials, `linear` a transpose, `bilinear` two; both derivative modes, batching
and cost follow. `reduction` and `movement` only fill in the common facets.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from adgraph.errors import DerivativeError, DtypeError, Location, ShapeError, message
from adgraph.ir.code import Code, Expression
from adgraph.ir.dims import Dim
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape
from adgraph.ops import complex_parts
from adgraph.ops.complex_order import COMPARISONS
from adgraph.ops.scipy_special import Special

Partials = Callable[..., tuple[Any, ...]]
PARTS = {**complex_parts.PARTS, **COMPARISONS}
UNSUPPORTED = "egG"  # float16 and the long doubles


@dataclass(frozen=True)
class NoPartial:
    """Stands in the place of a partial that no formula is known for: to ask for it is an error."""

    function: str
    operand: str

    def error(self, at: Location | None) -> DerivativeError:
        """Return the error of a program that needs it for a call on this line."""
        return DerivativeError(
            message(
                f"there is no formula for the derivative of {self.function} by its argument "
                f"`{self.operand}`",
                "the function is differentiated by its other arguments only, or by none",
                "pass a number for that argument, or wrap it in adgraph.stop_gradient",
                at,
            )
        )


def add_tangents(a: Any, b: Any) -> Any:
    """Add two tangents or cotangents of which `None` is zero."""
    if a is None:
        return b
    return a if b is None else a + b


def broadcast_shape(name: str, types: tuple[ArrayType, ...]) -> Shape:
    """Return the common shape of elementwise operands, or raise an error that names them."""
    try:
        return common_shape(*(t.shape for t in types))
    except ValueError:
        shapes = " and ".join(str(t.shape) for t in types)
        raise ShapeError(
            message(
                f"{name}: operands of shapes {shapes} do not broadcast together",
                "axes are aligned from the last one; two extents must be equal or one of them 1",
                "insert an axis with x[:, None], or reshape one operand",
            )
        ) from None


def common_shape(*shapes: Shape) -> Shape:
    """Return the shape that shapes broadcast to; affine extents are equal if they are the same."""
    first, *others = shapes
    if all(shape == first for shape in others):
        return first
    if all(isinstance(n, int) for shape in shapes for n in shape):
        return np.broadcast_shapes(*shapes)
    rank = max(map(len, shapes))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(map(_common_extent, zip(*aligned, strict=True)))


def _common_extent(extents: tuple[Dim, ...]) -> Dim:
    long = {n for n in extents if n != 1}
    if len(long) > 1:
        raise ValueError(f"extents {' and '.join(map(str, long))} are not the same expression")
    return long.pop() if long else 1


def no_partials(y: Any, *args: Any) -> tuple[None, ...]:
    """The partials of a function that is constant almost everywhere."""
    return (None,) * len(args)


def elementwise(
    ufunc: np.ufunc | Special,
    partials: Partials | None,
    text: str,
    *,
    weight: float = 1.0,
    singular: bool = False,
    masks: bool = False,
    commutative: bool = False,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    parts: Callable[..., Any] | None = None,
) -> Op:
    """Register a ufunc as an elementwise op.

    Operands have the dtypes of one of the ufunc's loops: the tracer converts before. `partials`
    is None for a function that is constant almost everywhere, or when `jvp` and `vjp` are given.
    """
    name = ufunc.__name__
    return elementwise_function(
        name,
        ufunc,
        lambda *dtypes: _result_dtype(ufunc, name, dtypes),
        partials,
        text,
        numpy=ufunc,
        weight=weight,
        singular=singular,
        masks=masks,
        commutative=commutative,
        jvp=jvp,
        vjp=vjp,
        parts=parts,
    )


def elementwise_function(
    name: str,
    evaluate: Callable[..., Any],
    dtype: Callable[..., Any],
    partials: Partials | None,
    text: str,
    *,
    numpy: Callable[..., Any] | None = None,
    weight: float = 1.0,
    singular: bool = False,
    masks: bool = False,
    commutative: bool = False,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    parts: Callable[..., Any] | Literal["each"] | None = None,
) -> Op:
    """Register an elementwise op that is no ufunc; `dtype` maps operand dtypes to the result's.

    If `PARTS` has a function of its name, that gives its `parts`.
    """

    def infer(*types: ArrayType, **attrs: Any) -> ArrayType:
        result = dtype(*(t.dtype for t in types), **attrs)
        return ArrayType(np.dtype(result), broadcast_shape(name, types))

    def batch(args: tuple[Any, ...], batched: tuple[bool, ...], **attrs: Any) -> Any:
        ranks = [type_of(a).ndim - b for a, b in zip(args, batched, strict=True)]
        aligned = (_align(a, max(ranks)) if b else a for a, b in zip(args, batched, strict=True))
        return op(*aligned, **attrs)

    op = register(
        Op(
            name=name,
            kind=Kind.ELEMENTWISE,
            evaluate=evaluate,
            infer=infer,
            partials=None if jvp else partials or no_partials,
            jvp=jvp,
            vjp=vjp,
            batch=batch,
            parts=parts or PARTS.get(name),
            flops=lambda *types, **attrs: (
                weight * math.prod(common_shape(*(t.shape for t in types)))
            ),
            code=Expression(text, weight),
            numpy=numpy,
            singular=singular,
            masks=masks,
            commutative=commutative,
            differentiable=partials is not None or jvp is not None,
        )
    )
    return op


def _result_dtype(ufunc: np.ufunc | Special, name: str, operands: tuple[Any, ...]) -> Any:
    resolved = resolve_dtypes(ufunc, name, operands)
    if resolved[: len(operands)] != operands:
        listed = ", ".join(map(str, operands))
        raise DtypeError(f"{name} has no loop for operands of dtypes {listed}; convert them first")
    return resolved[-1]


@functools.lru_cache(maxsize=4096)
def resolve_dtypes(
    ufunc: np.ufunc | Special, name: str, operands: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the dtypes of the operands and results of the loop NumPy takes.

    An operand is a dtype, or one of the types `int`, `float`, `complex` for a Python scalar. Python
    scalars among themselves are int64, float64 and complex128: NumPy would compare them as objects.
    """
    if not any(isinstance(d, np.dtype) for d in operands):
        operands = tuple(map(np.dtype, operands))
    try:
        dtypes = ufunc.resolve_dtypes((*operands, *(None,) * ufunc.nout))
    except TypeError:
        raise _no_loop(name, operands, "NumPy has no loop for them") from None
    if any(d.char in UNSUPPORTED for d in dtypes):
        width = next(d for d in dtypes if d.char in UNSUPPORTED)
        raise _no_loop(name, operands, f"NumPy computes it in {width}, which has no kernels here")
    return dtypes


def _no_loop(name: str, operands: tuple[Any, ...], why: str) -> DtypeError:
    listed = ", ".join(getattr(d, "name", None) or d.__name__ for d in operands)
    found = f"{name} is not defined for operands of dtypes {listed}"
    return DtypeError(message(found, why, "convert with x.astype(...), to float64 for example"))


def _align(x: Any, rank: int) -> Any:
    """Insert axes of extent one behind the batch axis, up to `rank` axes after it."""
    first, *rest = type_of(x).shape
    return np.reshape(x, (first, *(1,) * (rank - len(rest)), *rest))


def linear(
    name: str,
    kind: Kind,
    evaluate: Callable[..., Any],
    infer: Callable[..., ArrayType],
    transpose: Callable[..., Any],
    *,
    batch: Callable[..., Mapping[str, Any]],
    code: Code | None = None,
    flops: Callable[..., float] | None = None,
    masks: bool = False,
    accumulate: Callable[..., Any] | None = None,
) -> Op:
    """Register an op that is linear in its first operand; the others (indices) are not varied.

    `transpose(ct, x_type, *others, **attrs)` applies the transpose, `accumulate(total, ct, *others,
    **attrs)` adds it to a cotangent so far; `batch(n, **attrs)` gives the
    attributes for an operand with a batch axis of n in front.
    """

    def jvp(tangents: tuple[Any, ...], y: Any, x: Any, *others: Any, **attrs: Any) -> Any:
        return None if tangents[0] is None else op(tangents[0], *others, **attrs)

    def vjp(ct: Any, y: Any, x: Any, *others: Any, **attrs: Any) -> tuple[Any, ...]:
        return (transpose(ct, type_of(x), *others, **attrs), *(None for _ in others))

    def batched(args: tuple[Any, ...], flags: tuple[bool, ...], **attrs: Any) -> Any:
        return op(args[0], *args[1:], **batch(type_of(args[0]).shape[0], **attrs))

    def added(total: Any, ct: Any, y: Any, x: Any, *others: Any, **attrs: Any) -> Any:
        assert accumulate is not None
        return accumulate(total, ct, *others, **attrs)

    op = register(
        Op(
            name=name,
            kind=kind,
            evaluate=evaluate,
            infer=infer,
            jvp=jvp,
            vjp=vjp,
            accumulate=added if accumulate is not None else None,
            batch=batched,
            parts="each",
            flops=flops or _no_flops,
            code=code,
            masks=masks,
        )
    )
    return op


def bilinear(
    name: str,
    kind: Kind,
    evaluate: Callable[..., Any],
    infer: Callable[..., ArrayType],
    left: Callable[..., Any],
    right: Callable[..., Any],
    *,
    batch: Callable[..., Any],
    code: Code | None = None,
    flops: Callable[..., float],
    product: bool = False,
) -> Op:
    """Register an op linear in each of two operands.

    `left(ct, a, b, **attrs)` and `right(ct, a, b, **attrs)` give their cotangents.
    """

    def jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any, **attrs: Any) -> Any:
        da, db = tangents
        first = None if da is None else op(da, b, **attrs)
        return add_tangents(first, None if db is None else op(a, db, **attrs))

    def vjp(ct: Any, y: Any, a: Any, b: Any, **attrs: Any) -> tuple[Any, Any]:
        return left(ct, a, b, **attrs), right(ct, a, b, **attrs)

    op = register(
        Op(
            name=name,
            kind=kind,
            evaluate=evaluate,
            infer=infer,
            jvp=jvp,
            vjp=vjp,
            batch=batch,
            parts=lambda z, w, **attrs: complex_parts.product(functools.partial(op, **attrs), z, w),
            flops=flops,
            code=code,
            product=product,
        )
    )
    return op


def _no_flops(*types: ArrayType, **attrs: Any) -> float:
    return 0.0
