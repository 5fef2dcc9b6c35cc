"""NumPy's functions of masked reads: reductions, products, scans, rearrangements.

A reduction over the masked axis counts the selected elements only and gives an array; any other
result is masked again. Elements that are left out are replaced by a neutral one wherever they
would be summed with others, so that neither their values nor their derivatives matter.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, message
from adgraph.ops.reduction import nonempty
from adgraph.tracing.masked import (
    FUNCTIONS,
    METHODS,
    Masked,
    aligned,
    along,
    check_same,
    described,
    elementwise,
    escape,
    filled,
    first_masked,
    has_masked,
    like_masked,
)
from adgraph.tracing.numpy_api.shape import normal_axes, normal_axis
from adgraph.tracing.numpy_api.table import refuse, store
from adgraph.tracing.tracer import as_tracer, read, tracer

Function = Callable[..., Any]


def _enter(*callables: Any, methods: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """Enter the decorated function for NumPy functions and for methods of ndarray."""

    def enter(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(callables, function))
        METHODS.update(dict.fromkeys(methods, function))
        return function

    return enter


def _needs_masked(a: Any, function: Function) -> Masked:
    """Return the operand of a function that must be the masked one, not an option."""
    if not isinstance(a, Masked):
        raise escape(f"np.{function.__name__} was called with an option {described()}")
    return a


# --- reductions -----------------------------------------------------------------------------------


def _axes(x: Masked, axis: Any) -> tuple[int, ...]:
    return normal_axes(axis, x.ndim)


def _chosen(x: Masked, where: Any) -> Any:
    """Return the mask of what a reduction counts, narrowed by `where=`."""
    return along(x) if where is True else np.logical_and(along(x), aligned(x, where))


def _beside(
    x: Masked, function: Function, axes: tuple[int, ...], options: dict[str, Any]
) -> Masked:
    """Reduce axes other than the masked one, with harmless elements where nothing is selected."""
    where = options.pop("where", True)
    if where is not True:
        options["where"] = aligned(x, where)
    values = function(filled(x, 1), axis=axes, **options)
    gone = 0 if options.get("keepdims") else builtins.sum(a < x.axis for a in axes)
    return Masked(values, x.mask, x.axis - gone)


def _reduces(function: Function, *names: str, ufunc: np.ufunc | None = None) -> None:
    """Enter a reduction that has `where=`."""

    @_enter(function, methods=names)
    def reduced(a: Any, axis: Any = None, *args: Any, where: Any = True, **options: Any) -> Any:
        x = _needs_masked(a, function)
        options.update(zip(_POSITIONS.get(function, ()), args, strict=False))
        axes = _axes(x, axis)
        if x.axis not in axes:
            return _beside(x, function, axes, {**options, "where": where})
        return function(x.values, axis=axes, where=_chosen(x, where), **options)

    if ufunc is not None:
        FUNCTIONS[ufunc, "reduce"] = lambda a, axis=0, *args, **kw: reduced(a, axis, *args, **kw)


_POSITIONS: dict[Any, tuple[str, ...]] = {
    np.sum: ("dtype", "out", "keepdims", "initial"),
    np.prod: ("dtype", "out", "keepdims", "initial"),
    np.any: ("out", "keepdims"),
    np.all: ("out", "keepdims"),
    np.mean: ("dtype", "out", "keepdims"),
    np.var: ("dtype", "out", "ddof", "keepdims"),
    np.std: ("dtype", "out", "ddof", "keepdims"),
}
_reduces(np.sum, "sum", ufunc=np.add)
_reduces(np.prod, "prod", ufunc=np.multiply)
_reduces(np.any, "any", ufunc=np.logical_or)
_reduces(np.all, "all", ufunc=np.logical_and)
_reduces(np.mean, "mean")
_reduces(np.var, "var")
_reduces(np.std, "std")


@_enter(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(_needs_masked(a, np.count_nonzero).astype(bool), axis=axis, keepdims=keepdims)


def least(dtype: np.dtype[Any]) -> Any:
    """Return what no number of a dtype is below."""
    if dtype.kind == "b":
        return False
    return -math.inf if dtype.kind in "fc" else int(np.iinfo(dtype).min)


def greatest(dtype: np.dtype[Any]) -> Any:
    """Return what no number of a dtype is above."""
    if dtype.kind == "b":
        return True
    return math.inf if dtype.kind in "fc" else int(np.iinfo(dtype).max)


def _extremum(function: Function, neutral: Function, ufunc: np.ufunc, *names: str) -> None:
    @_enter(function, methods=names)
    def extremum(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = _needs_masked(a, function)
        axes = _axes(x, axis)
        options: dict[str, Any] = {"keepdims": keepdims}
        if initial is not None:
            options["initial"] = initial
        if x.axis not in axes:
            return _beside(x, function, axes, {**options, "out": out, "where": where})
        chosen: Any = np.where(_chosen(x, where), x.values, as_tracer(neutral(x.dtype), x.dtype))
        result = function(chosen, axis=axes, **options)
        if initial is None:
            result = nonempty(result, np.any(x.mask), name=f"np.{function.__name__}")
        return store(result, out, f"np.{function.__name__}")

    FUNCTIONS[ufunc, "reduce"] = lambda a, axis=0, **kw: extremum(a, axis, **kw)


_extremum(np.max, least, np.maximum, "max")
_extremum(np.min, greatest, np.minimum, "min")
FUNCTIONS.update({np.amax: FUNCTIONS[np.max], np.amin: FUNCTIONS[np.min]})


@_enter(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    x = _needs_masked(a, np.ptp)
    largest: Any = np.max(x, axis, keepdims=keepdims)
    return store(largest - np.min(x, axis, keepdims=keepdims), out, "np.ptp")


@_enter(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, **options: Any
) -> Any:
    refuse("np.average of x[mask]", returned=returned)
    x = first_masked((a, weights))
    if weights is None:
        return np.mean(x, axis, **options)
    total: Any = np.sum(np.multiply(a, weights), axis, **options)
    return total / np.sum(weights, axis, **options)


def _position(function: Function, neutral: Function, name: str) -> None:
    """Enter a function that gives the position of an extremum among the selected elements."""

    @_enter(function, methods=(name,))
    def position(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        x = _needs_masked(a, function)
        refuse(f"np.{name} of x[mask]", keepdims=keepdims)
        if x.ndim > 1 and (axis is None or normal_axis(axis, x.ndim) == x.axis):
            raise escape(f"np.{name} was called with {described(x)}")
        if x.ndim > 1:
            return _along_rows(x, function, normal_axis(axis, x.ndim))
        found = function(filled(x, neutral(x.dtype)))
        before: Any = np.cumsum(x.mask)
        result = nonempty(before[found] - 1, np.any(x.mask), name=f"np.{name}")
        return store(result, out, f"np.{name}")


def _along_rows(x: Masked, function: Function, axis: int) -> Masked:
    return Masked(function(x.values, axis=axis), x.mask, x.axis - (axis < x.axis))


_position(np.argmax, least, "argmax")
_position(np.argmin, greatest, "argmin")


@_enter(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    a = _needs_masked(x, np.linalg.norm)
    axes = _axes(a, axis)
    if a.axis not in axes:
        return _beside(a, lambda v, axis, **kw: _row_norm(v, ord, axis, **kw), axes, {})
    if ord is not None and (isinstance(ord, str) or ord < 0 or (len(axes) > 1)):
        raise escape(f"np.linalg.norm with ord={ord!r} was called with {described(a)}")
    return np.linalg.norm(filled(a, 0), ord, axis, keepdims)


def _row_norm(values: Any, ord: Any, axes: tuple[int, ...]) -> Any:
    axis = axes[0] if len(axes) == 1 else axes
    return np.linalg.norm(values, ord, axis)


# --- products -------------------------------------------------------------------------------------


@_enter(np.matmul)
def matmul(a: Any, b: Any, out: Any = None) -> Any:
    """A product sums over the masked axis of both operands, or leaves that of one alone."""
    if np.ndim(a) > 2 or np.ndim(b) > 2:
        raise escape(f"np.matmul of more than two axes was called with {described(a, b)}")
    inner = isinstance(a, Masked) and a.behind == 0, isinstance(b, Masked) and b.axis == 0
    if inner == (True, True):
        check_same(a, b)
        return store(np.matmul(filled(a, 0), filled(b, 0)), out, "np.matmul")
    if True in inner or (isinstance(a, Masked) and isinstance(b, Masked)):
        raise ShapeError(
            message(
                f"a product with {described(a, b)} does not fit",
                "it sums over the selected elements of one operand, and the other must have an "
                "axis selected by the same mask there",
                "select from both: A[:, mask] @ x[mask]",
            )
        )
    left, right = (filled(x, 0) if isinstance(x, Masked) else x for x in (a, b))
    product = np.matmul(left, right)
    result = _placed(a, b, product)
    return result if out is None else elementwise(np.positive, result, out=out)


def _placed(a: Any, b: Any, product: Any) -> Masked:
    """Return a product that keeps the masked axis: the first of `a`, or the last of `b`."""
    if isinstance(a, Masked):
        return Masked(product, a.mask, 0)
    return Masked(product, b.mask, product.ndim - 1)


@_enter(np.dot, methods=("dot",))
def dot(a: Any, b: Any, out: Any = None) -> Any:
    scalar = not np.ndim(a) or not np.ndim(b)
    return np.multiply(a, b) if scalar else matmul(a, b, out)


@_enter(np.inner)
def inner(a: Any, b: Any) -> Any:
    return dot(a, b.T if np.ndim(b) > 1 else b)


@_enter(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    if np.ndim(a) != 1 or np.ndim(b) != 1:
        return np.sum(np.multiply(a, b))
    return matmul(a, b)


@_enter(np.einsum)
def einsum(subscripts: Any, *operands: Any, **options: Any) -> Any:
    """The label of the masked axes may be summed over, or be kept once in the result."""
    if not isinstance(subscripts, str) or "->" not in subscripts or "." in subscripts:
        raise escape(f"np.einsum without an explicit result was called with {described(*operands)}")
    terms, result = subscripts.replace(" ", "").split("->")
    pairs = list(zip(terms.split(","), operands, strict=True))
    like = first_masked(operands)
    label = next(term[x.axis] for term, x in pairs if x is like)
    for term, x in pairs:
        _check_label(like, x, term, label)
    values = (filled(x, 0) if isinstance(x, Masked) else x for x in operands)
    total: Any = np.einsum(subscripts, *values, **options)
    return total if label not in result else Masked(total, like.mask, result.index(label))


def _check_label(like: Masked, x: Any, term: str, label: str) -> None:
    if isinstance(x, Masked):
        check_same(like, x)
    places = [x.axis] if isinstance(x, Masked) else []
    if [i for i, c in enumerate(term) if c == label] != places:
        raise ShapeError(
            message(
                f"np.einsum: the label {label!r} of the selected elements does not fit {term!r}",
                "it must name the masked axis of every operand that has one, and no other axis",
                "select from the other operands too",
            )
        )


# --- scans ----------------------------------------------------------------------------------------


def _scans(function: Function, neutral: int, ufunc: np.ufunc, name: str) -> None:
    @_enter(function, methods=(name,))
    def scanned(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        x = _needs_masked(a, function)
        if axis is None and x.ndim > 1:
            raise escape(f"np.{name} without axis= was called with {described(x)}")
        values = function(filled(x, neutral), axis=0 if axis is None else axis, dtype=dtype)
        result = Masked(values, x.mask, x.axis)
        return result if out is None else elementwise(np.positive, result, out=out)

    FUNCTIONS[ufunc, "accumulate"] = scanned


_scans(np.cumsum, 0, np.add, "cumsum")
_scans(np.cumprod, 1, np.multiply, "cumprod")


# --- elementwise functions that are no ufuncs -----------------------------------------------------


def _elementwise(function: Function, *names: str) -> None:
    @_enter(function, methods=names)
    def apply(*args: Any, **kwargs: Any) -> Any:
        given = {name: x for name, x in kwargs.items() if x is not None}
        return elementwise(function, *args, **given)


for _function in (
    np.isclose,
    np.nan_to_num,
    np.sinc,
    np.i0,
    np.real,
    np.imag,
    np.angle,
    np.real_if_close,
    np.fix,
    np.isposinf,
    np.isneginf,
):
    _elementwise(_function)
_elementwise(np.round, "round")
_elementwise(np.where)
_elementwise(np.conjugate, "conj", "conjugate")
del FUNCTIONS[np.conjugate]  # a ufunc: its call comes here by its own way
FUNCTIONS[np.around] = FUNCTIONS[np.round]


@_enter(np.clip, methods=("clip",))
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **bounds: Any) -> Any:
    lower, upper = bounds.pop("min", a_min), bounds.pop("max", a_max)
    refuse("np.clip", **bounds)
    result = a if lower is None else np.maximum(a, lower)
    result = result if upper is None else np.minimum(result, upper)
    return elementwise(np.positive, result, out=out)


@_enter(np.copy, methods=("copy",))
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return like_masked(a, tracer(read(a.values)))


@_enter(np.astype, methods=("astype",))
def astype(x: Any, dtype: Any, *args: Any, **options: Any) -> Any:
    return like_masked(x, tracer(read(as_tracer(x.values, np.dtype(dtype)))))


def _like(function: Function) -> None:
    @_enter(function)
    def constructor(a: Any, *args: Any, **options: Any) -> Any:
        refuse(f"np.{function.__name__} of x[mask]", shape=options.pop("shape", None))
        return like_masked(a, function(a.values, *args, **options))


CONSTRUCTORS: tuple[Function, ...] = (np.zeros_like, np.ones_like, np.empty_like, np.full_like)
for _function in CONSTRUCTORS:
    _like(_function)


@_enter(methods=("fill",))
def fill(a: Masked, value: Any) -> None:
    a[...] = value


# --- axes -----------------------------------------------------------------------------------------


@_enter(np.ndim)
def ndim(a: Masked) -> int:
    return a.ndim


@_enter(np.shape)
def shape(a: Masked) -> Any:
    return a.shape


@_enter(np.size)
def size(a: Masked, axis: Any = None) -> Any:
    return a.size if axis is None else a.shape[axis]


def _rearranges(function: Function, *names: str) -> None:
    """Enter a function that moves, adds or drops axes: a probe tells where the masked one goes."""

    @_enter(function, methods=names)
    def rearranged(a: Any, *args: Any, **options: Any) -> Any:
        x = _needs_masked(a, function)
        extents = [1 if n == 1 else 3 for n in x.values.shape]
        extents[x.axis] = 2
        probe: Any = function(np.empty(extents), *args, **options)
        return Masked(function(x.values, *args, **options), x.mask, probe.shape.index(2))


_rearranges(np.transpose)
_rearranges(np.swapaxes, "swapaxes")
_rearranges(np.moveaxis)
_rearranges(np.expand_dims)
_rearranges(np.squeeze, "squeeze")
_rearranges(np.matrix_transpose)


@_enter(methods=("transpose",))
def transpose_method(a: Masked, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
    return np.transpose(a, given)


@_enter(np.ravel, methods=("ravel", "flatten"))
def ravel(a: Any, order: str = "C") -> Any:
    if a.ndim > 1:
        raise escape(f"ravel was called with {described(a)}")
    return copy(a)


@_enter(np.reshape)
def reshape(a: Any, shape: Any, *args: Any, **options: Any) -> Any:
    if a.ndim > 1 or shape not in (-1, (-1,), [-1]):
        raise escape(f"reshape was called with {described(a)}")
    return copy(a)


@_enter(methods=("reshape",))
def reshape_method(a: Any, *shape: Any) -> Any:
    return reshape(a, shape[0] if len(shape) == 1 else shape)


# --- what does not dispatch -----------------------------------------------------------------------


def builtin(function: Any, args: tuple[Any, ...]) -> Function | None:
    """Return what a call without dispatch does if an argument is a masked read."""
    return BUILTINS.get(function) if has_masked(args) else None


def _array(object: Any, dtype: Any = None, **options: Any) -> Any:
    return copy(object) if dtype is None else astype(object, dtype)


def _asarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    return a if dtype in (None, a.dtype) else astype(a, dtype)


def _number(x: Any, *args: Any) -> Any:
    raise escape(f"{described(x)} was converted to a number")


BUILTINS: dict[Any, Function] = {
    np.array: _array,
    np.asarray: _asarray,
    np.asanyarray: _asarray,
    np.ascontiguousarray: _asarray,
    **{function: FUNCTIONS[function] for function in CONSTRUCTORS},
    builtins.len: lambda x: x.shape[0],
    builtins.sum: lambda x, start=0: np.sum(x, axis=0) + start,
    builtins.max: lambda x: np.max(x, axis=0),
    builtins.min: lambda x: np.min(x, axis=0),
    builtins.any: lambda x: np.any(x, axis=0),
    builtins.all: lambda x: np.all(x, axis=0),
    builtins.float: _number,
    builtins.int: _number,
    builtins.bool: _number,
}
