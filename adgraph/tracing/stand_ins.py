"""What stands in for functions that would ask a tracer for a number, or do not see one.

`STAND_INS` has NumPy's constructors, builtins (`float`, `max`, `len`, `range`), functions of `math`
and a few of NumPy's own. Of plain numbers they give what the originals give.
"""

from __future__ import annotations

import builtins
import cmath
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.ops.scipy_special import special
from adgraph.tracing import items
from adgraph.tracing.numpy_api.creation import CONSTRUCTORS, contains_tracer
from adgraph.tracing.numpy_api.table import CONSTANT
from adgraph.tracing.operators import operate
from adgraph.tracing.tracer import (
    ArrayTracer,
    PythonNumber,
    Tracer,
    as_tracer,
    integer,
    known_value,
    read,
    tracer,
)


def _number(kind: PythonNumber, x: Any) -> Any:
    """`float(x)` and its like: a traced scalar becomes a traced Python number."""
    if not isinstance(x, Tracer):
        return kind(x)
    if x.size != 1:
        raise TracingError(
            message(
                f"{kind.__name__}() takes one number, found a traced array {x.type}",
                "only an array of one element is a number",
                f"convert the elements, x.astype({kind.__name__}), or pick one: x[0]",
            )
        )
    known = known_value(x)
    if known is not None:
        return kind(known.item())
    dtype = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}[kind]
    number = np.reshape(np.trunc(x) if kind is int and x.dtype.kind == "f" else x, ())
    return tracer(read(as_tracer(number, dtype)), kind)


def _extreme(choose: np.ufunc, plain: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(*args: Any, **kwargs: Any) -> Any:
        items = list(args[0]) if len(args) == 1 else list(args)
        if kwargs or not any(isinstance(x, Tracer) for x in items):
            return plain(*(args if len(args) > 1 else (items,)), **kwargs)
        return functools.reduce(lambda a, b: operate(choose, a, b), items)

    return extreme


def _fromiter(iterable: Any, dtype: Any, count: int = -1, **options: Any) -> Any:
    items = list(iterable)
    if not contains_tracer(items):
        return np.fromiter(items, dtype, count, **options)
    return CONSTRUCTORS[np.array](items if count < 0 else items[:count], dtype)


def _isinstance(x: Any, kinds: Any) -> bool:
    """A traced array passes for an ndarray, a traced number for the scalar it stands for."""
    if isinstance(x, kinds) or not isinstance(x, Tracer):
        return isinstance(x, kinds)
    return isinstance(_stand_in(x), kinds)


def _stand_in(x: Tracer) -> Any:
    if x.weak is not None:
        return x.weak()
    return x.dtype.type() if not x.shape else np.empty((0,) * x.ndim, x.dtype)


def _len(x: Any) -> Any:
    return integer(x.shape[0]) if isinstance(x, ArrayTracer) else len(x)


def _isscalar(x: Any) -> bool:
    return np.isscalar(_stand_in(x) if isinstance(x, Tracer) else x)


def _sum(items: Any, /, start: Any = 0) -> Any:
    return functools.reduce(operator.add, list(items), start)


def _round(x: Any, digits: Any = None) -> Any:
    if not isinstance(x, Tracer):
        return round(x, digits)
    return _number(int, np.rint(x)) if digits is None else np.round(x, digits)


def _math(function: Callable[..., Any], ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `math`: of traced scalars it is the ufunc, with a Python float as result."""

    def apply(*args: Any) -> Any:
        for x in args:
            if isinstance(x, Tracer) and x.size != 1:
                raise _of_one_number(function, ufunc, x)
        if not any(isinstance(x, Tracer) for x in args):
            return function(*args)
        return _number(float, ufunc(*(_number(float, x) for x in args)))

    return apply


def _of_one_number(
    function: Callable[..., Any], ufunc: Callable[..., Any], x: Tracer
) -> TracingError:
    module = "np" if isinstance(ufunc, np.ufunc) else "scipy.special"
    return TracingError(
        message(
            f"{function.__module__}.{function.__name__}() takes one number, found {x.type}",
            "it knows no arrays",
            f"write {module}.{ufunc.__name__}(x), which takes numbers and arrays",
        )
    )


_MATH: dict[str, Callable[..., Any]] = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh, "cbrt": np.cbrt,
    "copysign": np.copysign, "cos": np.cos, "cosh": np.cosh, "degrees": np.degrees,
    "erf": special.erf, "erfc": special.erfc, "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "fabs": np.fabs, "fmod": np.fmod, "hypot": np.hypot,
    "lgamma": special.gammaln, "log10": np.log10, "log1p": np.log1p, "log2": np.log2,
    "pow": np.power, "radians": np.radians, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt,
    "tan": np.tan, "tanh": np.tanh,
}  # fmt: skip


def _of_complex(function: Callable[..., Any], ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `cmath`: of a traced scalar it is the ufunc of a complex number."""

    def apply(x: Any, /) -> Any:
        if isinstance(x, Tracer) and x.size != 1:
            raise _of_one_number(function, ufunc, x)
        return ufunc(_number(complex, x)) if isinstance(x, Tracer) else function(x)

    return apply


_CMATH: dict[str, np.ufunc] = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atanh": np.arctanh, "cos": np.cos, "cosh": np.cosh, "exp": np.exp,
    "log10": np.log10, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt, "tan": np.tan,
    "tanh": np.tanh,
}  # fmt: skip


def _complex_log(x: Any, *base: Any) -> Any:
    if not any(isinstance(n, Tracer) for n in (x, *base)):
        return cmath.log(x, *base)
    logarithms = [np.log(_number(complex, n)) for n in (x, *base)]
    return logarithms[0] / logarithms[1] if base else logarithms[0]


def _fsum(items: Any, /) -> Any:
    numbers = list(items)
    return _number(float, _sum(numbers)) if contains_tracer(numbers) else math.fsum(numbers)


def _dist(p: Any, q: Any, /) -> Any:
    first, second = list(p), list(q)
    if not contains_tracer([first, second]):
        return math.dist(first, second)
    squares = [(a - b) ** 2 for a, b in zip(first, second, strict=True)]
    return _number(float, np.sqrt(_sum(squares)))


def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    if not contains_tracer([a, b, rel_tol, abs_tol]):
        return math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    largest = np.maximum(np.abs(a), np.abs(b))
    near = np.abs(a - b) <= np.maximum(rel_tol * largest, abs_tol)
    return _number(bool, near | np.equal(a, b))


def _modf(x: Any, /) -> Any:
    return tuple(map(_float, np.modf(x))) if isinstance(x, Tracer) else math.modf(x)


_float = functools.partial(_number, float)


def _every(join: np.ufunc, plain: Callable[..., Any]) -> Callable[..., Any]:
    """`any` or `all` of traced truth values."""

    def every(items: Any, /) -> Any:
        values = items if isinstance(items, Tracer) else list(items)
        if not contains_tracer([values]):
            return plain(values)
        if isinstance(values, list):
            return _number(bool, functools.reduce(join, (_number(bool, x) for x in values)))
        return _number(bool, join.reduce(values)) if values.ndim == 1 else plain(values)

    return every


def _log(x: Any, base: Any = math.e) -> Any:
    if not isinstance(x, Tracer) and not isinstance(base, Tracer):
        return math.log(x) if base is math.e else math.log(x, base)
    result = _number(float, np.log(_number(float, x)))
    return result if base is math.e else result / _log(base)


def _whole(ufunc: np.ufunc, plain: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: _number(int, ufunc(x)) if isinstance(x, Tracer) else plain(x)


def _predicate(ufunc: np.ufunc, plain: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: _number(bool, ufunc(x)) if isinstance(x, Tracer) else plain(x)


def _scalar(kind: type[np.generic]) -> Callable[..., Any]:
    """A type of NumPy, called to convert: arrays stay arrays."""
    return lambda x=0: as_tracer(x, kind) if isinstance(x, Tracer) else kind(x)


def _float64(x: Any = 0.0) -> Any:
    if isinstance(x, Tracer):
        return as_tracer(x, np.float64)
    return np.asarray(x).astype(np.float64)[()]


_SCALARS = (np.float32, np.int64, np.int32, np.bool_, np.complex64, np.complex128)


STAND_INS: dict[Any, Callable[..., Any]] = {
    **CONSTRUCTORS,
    **{getattr(math, name): _math(getattr(math, name), ufunc) for name, ufunc in _MATH.items()},
    **{getattr(cmath, k): _of_complex(getattr(cmath, k), u) for k, u in _CMATH.items()},
    cmath.log: _complex_log,
    math.log: _log,
    math.fsum: _fsum,
    math.dist: _dist,
    math.isclose: _isclose,
    math.modf: _modf,
    math.floor: _whole(np.floor, math.floor),
    math.ceil: _whole(np.ceil, math.ceil),
    math.trunc: _whole(np.trunc, math.trunc),
    math.isnan: _predicate(np.isnan, math.isnan),
    math.isinf: _predicate(np.isinf, math.isinf),
    math.isfinite: _predicate(np.isfinite, math.isfinite),
    builtins.float: functools.partial(_number, float),
    builtins.int: lambda x=0, *base: int(x, *base) if base else _number(int, x),
    builtins.bool: functools.partial(_number, bool),
    builtins.complex: lambda *args: complex(*args) if len(args) != 1 else _number(complex, *args),
    builtins.any: _every(np.logical_or, any),
    builtins.all: _every(np.logical_and, all),
    builtins.max: _extreme(np.maximum, max),
    builtins.min: _extreme(np.minimum, min),
    builtins.isinstance: _isinstance,
    builtins.range: items.range,
    builtins.enumerate: items.enumerate,
    builtins.zip: items.zip,
    builtins.reversed: items.reversed,
    builtins.len: _len,
    builtins.sum: _sum,
    builtins.round: _round,
    np.isscalar: _isscalar,
    np.fromiter: _fromiter,
    np.float64: _float64,
    **{kind: _scalar(kind) for kind in _SCALARS},
}


_STEPS = (
    *(math.floor, math.ceil, math.trunc),
    *(math.isnan, math.isinf, math.isfinite, math.isclose, np.isscalar),
)
CONSTANT.update(_STEPS)
