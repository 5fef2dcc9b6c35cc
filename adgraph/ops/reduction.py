"""Folds over axes and scans along one axis.

`axis` of a fold is a tuple of non-negative axes, which the result does not keep; that of a scan is
one axis. NumPy's many reductions are composed of these in `tracing.numpy_api.reduction`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ir.code import Fold, Loops
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Shape, Slice
from adgraph.ops import complex_order, complex_parts
from adgraph.ops.kinds import elementwise_function, linear
from adgraph.ops.shape import getitem, place

Axes = tuple[int, ...]
Types = tuple[ArrayType, ...]


def kept(shape: Shape, axis: Axes) -> Shape:
    """Return the shape without the folded axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axis)


def unit(shape: Shape, axis: Axes) -> Shape:
    """Return the shape with the folded axes of extent one."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def spread(y: Any, x: ArrayType, axis: Axes) -> Any:
    """Broadcast a fold's result, or its cotangent, over the folded axes."""
    return np.broadcast_to(np.reshape(y, unit(x.shape, axis)), x.shape)


def fold_type(x: ArrayType, *, axis: Axes) -> ArrayType:
    """The type rule of folds that keep the dtype."""
    return x.with_shape(kept(x.shape, axis))


def shifted(n: int, *, axis: Axes) -> Mapping[str, Any]:
    """The attributes of a fold of an operand with a batch axis in front."""
    return {"axis": tuple(a + 1 for a in axis)}


def fold_flops(x: ArrayType, *, axis: Axes) -> float:
    """One operation for every element."""
    return float(x.size)


reduce_sum = linear(
    "sum",
    Kind.REDUCTION,
    lambda x, *, axis: np.sum(x, axis=axis, dtype=x.dtype),
    fold_type,
    lambda ct, x, *, axis: spread(ct, x, axis),
    batch=shifted,
    code=Fold(lambda dtype: 0, "fold_add({0}, {1})"),
    flops=fold_flops,
)


def reduction(
    name: str,
    evaluate: Callable[..., Any],
    fold: Fold,
    *,
    infer: Callable[..., ArrayType] = fold_type,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    masks: bool = False,
    parts: Callable[..., Any] | None = None,
) -> Op:
    """Register a fold of one operand."""

    def batch(args: tuple[Any, ...], batched: tuple[bool, ...], *, axis: Axes) -> Any:
        return op(args[0], **shifted(0, axis=axis))

    op = register(
        Op(
            name=name,
            kind=Kind.REDUCTION,
            evaluate=evaluate,
            infer=infer,
            jvp=jvp,
            vjp=vjp,
            batch=batch,
            parts=parts,
            flops=fold_flops,
            code=fold,
            masks=masks,
            differentiable=jvp is not None,
        )
    )
    return op


# --- max and min: elements that tie share the derivative evenly -----------------------------------


def extremum_type(x: ArrayType, *, axis: Axes) -> ArrayType:
    """The type rule of folds that need an element of an ordered dtype."""
    result = fold_type(x, axis=axis)
    if x.size == 0 and result.size:
        raise ShapeError(
            message(
                f"max or min over axes {axis} of an empty array of shape {x.shape}",
                "the extremum of no elements does not exist",
                "pass initial=, the value of an empty fold",
            )
        )
    return result


def _extremum_jvp(tangents: tuple[Any], y: Any, x: Any, *, axis: Axes) -> Any:
    hit = x == spread(y, type_of(x), axis)
    zero = np.zeros((), x.dtype)
    count = np.sum(np.where(hit, np.ones((), x.dtype), zero), axis=axis)
    return np.sum(np.where(hit, tangents[0], zero), axis=axis) / count


def _extremum_vjp(ct: Any, y: Any, x: Any, *, axis: Axes) -> tuple[Any]:
    hit = x == spread(y, type_of(x), axis)
    zero = np.zeros((), x.dtype)
    count = np.sum(np.where(hit, np.ones((), x.dtype), zero), axis=axis)
    return (np.where(hit, spread(ct / count, type_of(x), axis), zero),)


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return -math.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)


def _highest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return math.inf
    return True if dtype.kind == "b" else int(np.iinfo(dtype).max)


reduce_max = reduction(
    "max",
    lambda x, *, axis: np.max(x, axis=axis),
    Fold(_lowest, "fold_maximum({0}, {1})"),
    infer=extremum_type,
    jvp=_extremum_jvp,
    vjp=_extremum_vjp,
    masks=True,
    parts=complex_order.extremum(np.max, -math.inf),
)
reduce_min = reduction(
    "min",
    lambda x, *, axis: np.min(x, axis=axis),
    Fold(_highest, "fold_minimum({0}, {1})"),
    infer=extremum_type,
    jvp=_extremum_jvp,
    vjp=_extremum_vjp,
    masks=True,
    parts=complex_order.extremum(np.min, math.inf),
)


# --- any and all: of bools ------------------------------------------------------------------------

reduce_any = reduction(
    "any", lambda x, *, axis: np.any(x, axis=axis), Fold(lambda dtype: False, "{0} | {1}")
)
reduce_all = reduction(
    "all", lambda x, *, axis: np.all(x, axis=axis), Fold(lambda dtype: True, "{0} & {1}")
)


# --- scans: loops along one axis of (outer, n, inner) ---------------------------------------------


def split_at(x: ArrayType, axis: int) -> tuple[int, int, int]:
    """Return the numbers of elements before, along and behind an axis."""
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


def _scan_sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
    return *split_at(types[0], attrs["axis"]), int(attrs["reverse"])


# Along the last axis sums over blocks of four hang together by one addition each.
_CUMSUM = """
def kernel(x, y, outer, n, inner, reverse):
    step = 1 - 2 * reverse
    if inner == 1:
        blocks = (n - 1) // 4
        for i in range(outer):
            at = i * n + reverse * (n - 1)
            total = x[at]
            y[at] = total
            for block in range(blocks):
                one = x[at + step]
                two = one + x[at + 2 * step]
                three = two + x[at + 3 * step]
                four = three + x[at + 4 * step]
                y[at + step] = total + one
                y[at + 2 * step] = total + two
                y[at + 3 * step] = total + three
                at += 4 * step
                total = total + four
                y[at] = total
            for k in range(1 + 4 * blocks, n):
                at += step
                total = total + x[at]
                y[at] = total
    else:
        for i in range(outer):
            for k in range(n):
                row = i * n + k + reverse * (n - 1 - 2 * k)
                for j in range(inner):
                    at = row * inner + j
                    if k == 0:
                        y[at] = x[at]
                    else:
                        y[at] = y[at - step * inner] + x[at]
"""


def _cumsum(x: Any, *, axis: int, reverse: bool) -> Any:
    if reverse:
        return np.flip(np.cumsum(np.flip(x, axis), axis, dtype=x.dtype), axis)
    return np.cumsum(x, axis, dtype=x.dtype)


cumsum: Op = linear(
    "cumsum",
    Kind.MOVEMENT,
    _cumsum,
    lambda x, *, axis, reverse: x,
    lambda ct, x, *, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse),
    batch=lambda n, *, axis, reverse: {"axis": axis + 1, "reverse": reverse},
    code=Loops(_CUMSUM, _scan_sizes),
    flops=lambda x, *, axis, reverse: float(x.size),
)


# --- recurrence: z[k] = a[k] z[k-1] + b[k], z[0] = b[0] -------------------------------------------
# Cumulative products are such recurrences, and so are their derivatives: no division by an element
# that may be zero. Reversed, k runs from the last element to the first.

# Along the last axis four rows run side by side: each waits for its own last element only.
_RECURRENCE = """
def kernel(a, b, z, outer, n, inner, reverse):
    step = 1 - 2 * reverse
    if inner == 1:
        groups = outer // 4
        for group in range(groups):
            first = 4 * group * n + reverse * (n - 1)
            second = first + n
            third = second + n
            fourth = third + n
            one = b[first]
            two = b[second]
            three = b[third]
            four = b[fourth]
            z[first] = one
            z[second] = two
            z[third] = three
            z[fourth] = four
            for k in range(1, n):
                move = k * step
                one = a[first + move] * one + b[first + move]
                two = a[second + move] * two + b[second + move]
                three = a[third + move] * three + b[third + move]
                four = a[fourth + move] * four + b[fourth + move]
                z[first + move] = one
                z[second + move] = two
                z[third + move] = three
                z[fourth + move] = four
        for i in range(4 * groups, outer):
            first = i * n + reverse * (n - 1)
            one = b[first]
            z[first] = one
            for k in range(1, n):
                move = k * step
                one = a[first + move] * one + b[first + move]
                z[first + move] = one
    else:
        for i in range(outer):
            for k in range(n):
                row = i * n + k + reverse * (n - 1 - 2 * k)
                for j in range(inner):
                    at = row * inner + j
                    if k == 0:
                        z[at] = b[at]
                    else:
                        z[at] = a[at] * z[at - step * inner] + b[at]
"""


def _recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    factors, terms = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    z = np.empty(terms.shape, b.dtype)
    state = np.zeros((), b.dtype)
    for k in range(len(z))[:: -1 if reverse else 1]:
        first = k == (len(z) - 1 if reverse else 0)
        state = terms[k] if first else factors[k] * state + terms[k]
        z[k] = state
    return np.moveaxis(z, 0, axis)


def _recurrence_type(a: ArrayType, b: ArrayType, *, axis: int, reverse: bool) -> ArrayType:
    if a != b:
        raise ShapeError(f"recurrence: the factors {a} and the terms {b} differ in type")
    return b


def _previous(x: Any, axis: int, reverse: bool, fill: int) -> Any:
    """Shift along an axis so that element k holds element k - 1; the first becomes `fill`."""
    shape = type_of(x).shape
    if shape[axis] == 0:
        return x
    box = [Slice(0, n, 1) for n in shape]
    source, target = Slice(0, shape[axis] - 1, 1), Slice(1, shape[axis] - 1, 1)
    if reverse:
        source, target = target, source
    box[axis] = source
    rest = getitem(x, index=tuple(box))
    if fill == 0:
        box[axis] = target
        return place(rest, index=tuple(box), shape=shape)
    edge = np.full(unit(shape, (axis,)), fill, x.dtype)
    return np.concatenate([rest, edge] if reverse else [edge, rest], axis=axis)


def _recurrence_jvp(
    tangents: tuple[Any, Any], y: Any, a: Any, b: Any, *, axis: int, reverse: bool
) -> Any:
    da, db = tangents
    if da is None:
        return recurrence(a, db, axis=axis, reverse=reverse)
    terms = da * _previous(y, axis, reverse, 0)
    return recurrence(a, terms if db is None else terms + db, axis=axis, reverse=reverse)


def _recurrence_vjp(
    ct: Any, y: Any, a: Any, b: Any, *, axis: int, reverse: bool
) -> tuple[Any, Any]:
    back = recurrence(_previous(a, axis, not reverse, 0), ct, axis=axis, reverse=not reverse)
    return back * _previous(y, axis, reverse, 0), back


def _recurrence_batch(
    args: tuple[Any, Any], batched: tuple[bool, bool], *, axis: int, reverse: bool
) -> Any:
    shape = type_of(args[0] if batched[0] else args[1]).shape
    a, b = (x if flag else np.broadcast_to(x, shape) for x, flag in zip(args, batched, strict=True))
    return recurrence(a, b, axis=axis + 1, reverse=reverse)


recurrence = register(
    Op(
        name="recurrence",
        kind=Kind.MOVEMENT,
        evaluate=_recurrence,
        infer=_recurrence_type,
        jvp=_recurrence_jvp,
        vjp=_recurrence_vjp,
        batch=_recurrence_batch,
        parts=complex_parts.recurrence,
        flops=lambda a, b, *, axis, reverse: 2.0 * a.size,
        code=Loops(_RECURRENCE, _scan_sizes),
    )
)


def cumulative_product(x: Any, axis: int, *, reverse: bool = False) -> Any:
    """Return the products of the elements up to each one along an axis."""
    shape = type_of(x).shape
    box = [Slice(0, n, 1) for n in shape]
    box[axis] = Slice(max(shape[axis] - 1, 0) if reverse else 0, min(shape[axis], 1), 1)
    first = place(getitem(x, index=tuple(box)), index=tuple(box), shape=shape)
    return recurrence(x, first, axis=axis, reverse=reverse)


# --- prod: its derivative is the product of the others, from both sides ---------------------------


def _products_of_others(x: Any, axis: Axes) -> Any:
    """Return for every element the product of all others that are folded with it."""
    shape = type_of(x).shape
    order = (*(i for i in range(len(shape)) if i not in axis), *axis)
    rank = len(shape) - len(axis)
    count = math.prod(shape[a] for a in axis)
    rows = np.reshape(np.transpose(x, order), (*kept(shape, axis), count))
    left = _previous(cumulative_product(rows, rank), rank, False, 1)
    right = _previous(cumulative_product(rows, rank, reverse=True), rank, True, 1)
    others = np.reshape(left * right, tuple(shape[i] for i in order))
    return np.transpose(others, tuple(order.index(i) for i in range(len(shape))))


def _prod_jvp(tangents: tuple[Any], y: Any, x: Any, *, axis: Axes) -> Any:
    return np.sum(tangents[0] * _products_of_others(x, axis), axis=axis)


def _prod_vjp(ct: Any, y: Any, x: Any, *, axis: Axes) -> tuple[Any]:
    return (spread(ct, type_of(x), axis) * _products_of_others(x, axis),)


reduce_prod = reduction(
    "prod",
    lambda x, *, axis: np.prod(x, axis=axis, dtype=x.dtype),
    Fold(lambda dtype: 1, "fold_multiply({0}, {1})"),
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    parts=complex_parts.prod,
)


# --- root: sqrt with derivative 0 at 0 ------------------------------------------------------------
# The standard deviation of equal numbers and the norm of a zero vector have a kink there; 0 is the
# one subgradient that does not depend on a direction.


def _root_partials(y: Any, x: Any) -> tuple[Any]:
    zero = np.zeros((), y.dtype)
    flat = y == zero
    return (np.where(flat, zero, 0.5 / np.where(flat, np.ones((), y.dtype), y)),)


root = elementwise_function(
    "root", np.sqrt, lambda dtype: dtype, _root_partials, "sqrt({0})", weight=4
)


# --- nonempty: the result of a fold that needs an element, checked to have had one ----------------

_NONEMPTY = """
def kernel(x, flags, y, size, count):
    for p in range(count):
        if not flags[p]:
            return 5
    for i in range(size):
        y[i] = x[i]
    return 0
"""


def nothing_selected(name: str) -> str:
    """Word the error of a fold that has no element and no neutral one."""
    return f"{name} of an empty selection: the mask selects no element"


def _nonempty(x: Any, flags: Any, *, name: str) -> Any:
    if not np.all(flags):
        raise ShapeError(message(nothing_selected(name)))
    return np.array(x)


def _nonempty_batch(args: tuple[Any, Any], batched: tuple[bool, bool], *, name: str) -> Any:
    x, flags = args
    if not batched[0]:
        x = np.broadcast_to(x, (type_of(flags).shape[0], *type_of(x).shape))
    return nonempty(x, flags, name=name)


nonempty: Op = register(
    Op(
        name="nonempty",
        kind=Kind.MOVEMENT,
        evaluate=_nonempty,
        infer=lambda x, flags, *, name: x,
        jvp=lambda tangents, y, x, flags, *, name: tangents[0],
        vjp=lambda ct, y, x, flags, *, name: (ct, None),
        batch=_nonempty_batch,
        parts="each",
        code=Loops(_NONEMPTY, lambda types, attrs: (types[0].size, types[1].size)),
    )
)
