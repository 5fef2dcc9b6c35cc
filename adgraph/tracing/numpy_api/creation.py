"""Constructors: what NumPy cannot dispatch on, met in rewritten calls.

Inside a trace an array made by a constructor must be able to take traced elements later, so the
constructors of writable arrays give tracers of constants. `CONSTRUCTORS` maps the NumPy functions
to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ir.dims import Affine, UndecidedError, nonnegative, upper_bound
from adgraph.ir.op import type_of
from adgraph.tracing.affine import steps
from adgraph.tracing.numpy_api.assembly import stack, vstack
from adgraph.tracing.numpy_api.refusals import REFUSALS, Refusal
from adgraph.tracing.numpy_api.shape import broadcast_to, check_order, shape_tuple, strong
from adgraph.tracing.numpy_api.table import enters, implements, refuse
from adgraph.tracing.tracer import Tracer, as_tracer, dim_of, in_c_order, integer, result_dtype

CONSTRUCTORS: dict[Callable[..., Any], Callable[..., Any]] = {}


def constructs(*callables: Callable[..., Any], differentiable: bool = True) -> Callable[[Any], Any]:
    """Enter the decorated function for NumPy constructors."""
    return enters(CONSTRUCTORS, callables, differentiable)


def nested_array(x: Any, dtype: Any = None) -> Any:
    """Return nested sequences with traced elements as one traced array."""
    if isinstance(x, Tracer):
        return x
    if isinstance(x, (list, tuple)) and contains_tracer(x):
        parts = [nested_array(item) for item in x]
        if len({type_of(p).shape for p in parts}) > 1:
            shapes = ", ".join(str(type_of(p).shape) for p in parts)
            raise ShapeError(
                message(
                    f"np.array of elements with shapes {shapes} is ragged",
                    "an array needs elements of one shape",
                    "pad them, or keep a list of arrays",
                )
            )
        common = result_dtype(*parts)
        return stack([as_tracer(p, common) for p in parts])
    return np.asarray(x, dtype)


def contains_tracer(x: Any) -> bool:
    """Tell whether a nested sequence has a traced element."""
    if isinstance(x, (list, tuple)):
        return any(map(contains_tracer, x))
    return isinstance(x, Tracer)


@constructs(np.array)
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    check_order("np.array", order)
    refuse("np.array", subok=subok, like=like)
    x = as_tracer(nested_array(object, dtype), dtype)
    fresh = boxed(x) if copy or x.weak else x
    return np.reshape(fresh, (1,) * (ndmin - x.ndim) + x.shape) if ndmin > x.ndim else fresh


@constructs(np.asarray, np.asanyarray)
@implements(np.asarray)
def asarray(
    a: Any,
    dtype: Any = None,
    order: Any = None,
    *,
    device: Any = None,
    copy: Any = None,
    like: Any = None,
) -> Any:
    check_order("np.asarray", order)
    refuse("np.asarray", device=None if device == "cpu" else device, like=like)
    x = nested_array(a, dtype)
    if not isinstance(x, Tracer):
        return x
    converted = as_tracer(x, dtype)
    return boxed(converted) if copy or not (x.shape or x.writable) else converted


@constructs(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    x = asarray(a, dtype, like=like)
    if not isinstance(x, Tracer):
        return np.ascontiguousarray(x)
    return np.atleast_1d(x if in_c_order(x) else strong(x))


@constructs(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """The result is a copy if NumPy's could be one: adgraph lays out new arrays itself."""
    x = asarray(a, dtype, like=like)
    if not isinstance(x, Tracer):
        return np.asfortranarray(x)
    return np.atleast_1d(x if x.ndim < 2 else strong(x))


@constructs(np.require)
def require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    """A traced array is aligned, writable and no subclass; its order is adgraph's choice."""
    if not contains_tracer(a):
        return np.require(a, dtype, requirements, like=like)
    letters = {str(r)[0].upper() for r in requirements or ()}
    return (asfortranarray if "F" in letters else ascontiguousarray)(a, dtype, like=like)


def boxed(x: Tracer) -> Tracer:
    """Return a new array with the same elements; unlike a scalar it can be written."""
    array = strong(x)
    array.writable = True
    return array


def _shape(name: str, shape: Any, order: Any, device: Any, like: Any) -> tuple[int, ...]:
    """Check the options that all constructors have, and return the shape."""
    check_order(name, order)
    refuse(name, device=None if device == "cpu" else device, like=like)
    return shape_tuple(shape)


@constructs(np.zeros, np.empty, differentiable=False)
def zeros(
    shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    return filled(_shape("np.zeros", shape, order, device, like), 0, dtype or float)


@constructs(np.ones, differentiable=False)
def ones(
    shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    return filled(_shape("np.ones", shape, order, device, like), 1, dtype or float)


@constructs(np.full)
def full(
    shape: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    return filled(_shape("np.full", shape, order, device, like), fill_value, dtype)


def filled(shape: tuple[int, ...], value: Any, dtype: Any = None) -> Any:
    """Return a new traced array with every element equal to `value`."""
    element = as_tracer(nested_array(value, dtype), dtype)
    return boxed(broadcast_to(element, shape))


@constructs(np.ndarray)
def ndarray(shape: Any, dtype: Any = float, *placement: Any, **placed: Any) -> Any:
    if placement or placed:
        raise DtypeError(
            message(
                "np.ndarray was called with a buffer, strides or an order",
                "a traced array has no memory of its own",
                "use np.zeros(shape) and slices",
            )
        )
    return filled(shape_tuple(shape), 0, dtype)


@constructs(np.eye, differentiable=False)
def eye(
    N: int,  # noqa: N803  NumPy's name
    M: int | None = None,  # noqa: N803
    k: int = 0,
    dtype: Any = float,
    order: str = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    _shape("np.eye", (), order, device, like)
    return as_tracer(np.eye(N, M, k, dtype))


@constructs(np.identity, differentiable=False)
def identity(n: int, dtype: Any = None, *, like: Any = None) -> Any:
    refuse("np.identity", like=like)
    return as_tracer(np.identity(n, dtype))


@constructs(np.broadcast_to)
def broadcast_numbers(array: Any, shape: Any, subok: bool = False) -> Any:
    """A shape that a loop index gives makes the result traced."""
    if isinstance(array, Tracer) or not contains_tracer(shape):
        return np.broadcast_to(array, shape, subok)
    return broadcast_to(as_tracer(array), shape, subok)


def _of_numbers(function: Callable[..., Any]) -> None:
    """Enter a constructor whose result may be written; positions (integers) stay plain arrays."""

    @constructs(function)
    def constructor(*args: Any, **options: Any) -> Any:
        return _if_real(function(*args, **options))  # NumPy dispatches on traced operands


def _if_real(numbers: Any) -> Any:
    real = isinstance(numbers, np.ndarray) and numbers.dtype.kind == "f"
    return as_tracer(numbers) if real else numbers


for _constructor in (np.copy, np.linspace, np.logspace, np.geomspace, np.tri, np.vander):
    _of_numbers(_constructor)


@constructs(np.arange, differentiable=False)
def arange(*bounds: Any, **options: Any) -> Any:
    """A range as long as an affine function of loop indices is the beginning of the longest."""
    dims: list[Any] = [dim_of(b) for b in bounds]
    if options or None in dims or not any(isinstance(d, Affine) for d in dims):
        return _if_real(np.arange(*bounds, **options))
    start, stop, step = (0, dims[0], 1) if len(dims) == 1 else (*dims, 1)[:3]
    count = steps((stop - start) * (1 if step > 0 else -1), abs(step))
    longest = upper_bound(count)
    if longest is None or not nonnegative(count):
        raise UndecidedError(f"the length of np.arange{bounds} has no known bounds")
    numbers: Any = as_tracer(np.arange(longest))
    numbers = numbers[: integer(count)]
    return numbers * step + integer(start) if (start, step) != (0, 1) else strong(numbers)


def _like(value: Any) -> Any:
    """Make `zeros_like` and its relatives, which fill with `value`."""

    def constructor(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Any:
        return full_like(a, value, dtype, order, subok, shape, device=device)

    return constructor


@implements(np.full_like)
@constructs(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    like = type_of(nested_array(a))
    extents = _shape("np.full_like", like.shape if shape is None else shape, order, device, None)
    result = filled(extents, fill_value, dtype or like.dtype)
    result.cell.c_ordered = order == "C" or shape is not None or in_c_order(a)
    return result


for _functions, _value in (((np.zeros_like, np.empty_like), 0), ((np.ones_like,), 1)):
    _constructor = _like(_value)
    implements(*_functions, differentiable=False)(_constructor)
    constructs(*_functions)(_constructor)


if hasattr(np, "row_stack"):  # deprecated
    constructs(getattr(np, "row_stack"))(vstack)  # noqa: B009  NumPy 2 would be asked for vstack


def _refuses(name: str, refusal: Refusal) -> None:
    """Enter a refused function, since NumPy does not dispatch on all of them."""
    original = getattr(np, name.removeprefix("np."), None)
    if original is None:
        return

    @constructs(original)
    def refused(*args: Any, **kwargs: Any) -> Any:
        if contains_tracer((*args, *kwargs.values())):
            raise refusal.error(name)
        return original(*args, **kwargs)


for _refusal in REFUSALS:
    for _name in _refusal.names:
        if _name.startswith("np."):
            _refuses(_name, _refusal)
