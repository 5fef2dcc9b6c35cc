"""What rewritten source calls in place of Python's own constructs.

`call` looks at the object called: NumPy constructors, builtins that would ask a tracer for a
number, `math.*`, and the user's functions, which are rewritten in turn. Loops and branches run as
Python would; they are the places where capture into regions attaches.
"""

from __future__ import annotations

import builtins
import dis
import functools
import math
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from adgraph.errors import TracingError, message
from adgraph.tracing.numpy_api.creation import CONSTRUCTORS, contains_tracer
from adgraph.tracing.source import rewrite
from adgraph.tracing.tracer import (
    PythonNumber,
    Tracer,
    as_tracer,
    current,
    known_value,
    operate,
    read,
    tracer,
    tracing,
)

# --- calls ----------------------------------------------------------------------------------------


def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a function as the rewritten source asks."""
    try:
        replacement = REPLACED.get(function)
    except TypeError:  # an unhashable callable is the user's own
        replacement = None
    if replacement is not None:
        return replacement(*args, **kwargs)
    return rewritten(function)(*args, **kwargs)


def rewritten(function: Any) -> Any:
    """Return a user's function with its source rewritten; anything else as it is."""
    plain = getattr(function, "__func__", function)
    if isinstance(plain, types.FunctionType) and is_users(plain):
        return rewrite(function, sys.modules[__name__]) or _without_source(function)
    return _swapped(function)


def _without_source(function: Any) -> Any:
    """Return a function whose source cannot be read with the functions it names swapped.

    Its globals become a copy in which NumPy's constructors, `math` and the like are those of
    `REPLACED`. Calls of what is no global name, and subscripts of plain arrays, are not met.
    """
    if tracing():
        current().unread.append(function.__name__)
    if not isinstance(function, types.FunctionType) or _stores_globals(function.__code__):
        return function
    swapped = {name: _swapped(value) for name, value in function.__globals__.items()}
    for name in ("max", "min", "sum", "round"):
        swapped.setdefault(name, REPLACED[getattr(builtins, name)])
    twin = types.FunctionType(
        function.__code__, swapped, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _stores_globals(code: types.CodeType) -> bool:
    stores = any(i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") for i in dis.get_instructions(code))
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return stores or any(map(_stores_globals, inner))


def _swapped(value: Any) -> Any:
    if isinstance(value, types.ModuleType):
        return _Module(value) if value in _MODULES else value
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
        return REPLACED.get(value, value)
    return value


_MODULES = (np, np.linalg, math, scipy, scipy.special)


class _Module:
    """A module that gives the replacements of its functions."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _swapped(getattr(self._module, name))


_LIBRARIES = tuple(
    f"{getattr(sys.modules[name], '__path__', [''])[0]}/" for name in ("numpy", "scipy", "adgraph")
)
_STANDARD = f"{sys.prefix}/lib/python", f"{sys.base_prefix}/lib/python"


def is_users(function: types.FunctionType) -> bool:
    """Tell whether a function belongs neither to Python, NumPy, SciPy nor adgraph."""
    file = function.__code__.co_filename
    return not file.startswith((*_LIBRARIES, *_STANDARD)) and not file.startswith("<frozen")


# --- builtins -------------------------------------------------------------------------------------


def _number(kind: PythonNumber, x: Any) -> Any:
    """`float(x)` and its like: a traced scalar becomes a traced Python number."""
    if not isinstance(x, Tracer):
        return kind(x)
    if x.size != 1:
        raise TracingError(
            message(f"{kind.__name__}() takes one number, found a traced array {x.type}")
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


def _isinstance(x: Any, kinds: Any) -> bool:
    """A traced array passes for an ndarray, a traced number for the scalar it stands for."""
    if isinstance(x, kinds) or not isinstance(x, Tracer):
        return isinstance(x, kinds)
    return isinstance(_stand_in(x), kinds)


def _stand_in(x: Tracer) -> Any:
    if x.weak is not None:
        return x.weak()
    return x.dtype.type() if not x.shape else np.empty((0,) * x.ndim, x.dtype)


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
        if not any(isinstance(x, Tracer) for x in args):
            return function(*args)
        return _number(float, ufunc(*(_number(float, x) for x in args)))

    return apply


_MATH = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh, "cbrt": np.cbrt,
    "copysign": np.copysign, "cos": np.cos, "cosh": np.cosh, "degrees": np.degrees,
    "erf": scipy.special.erf, "erfc": scipy.special.erfc, "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "fabs": np.fabs, "fmod": np.fmod, "hypot": np.hypot,
    "lgamma": scipy.special.gammaln, "log10": np.log10, "log1p": np.log1p, "log2": np.log2,
    "pow": np.power, "radians": np.radians, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt,
    "tan": np.tan, "tanh": np.tanh,
}  # fmt: skip


def _log(x: Any, base: Any = math.e) -> Any:
    if not isinstance(x, Tracer) and not isinstance(base, Tracer):
        return math.log(x) if base is math.e else math.log(x, base)
    result = _number(float, np.log(_number(float, x)))
    return result if base is math.e else result / _log(base)


def _whole(ufunc: np.ufunc, plain: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: _number(int, ufunc(x)) if isinstance(x, Tracer) else plain(x)


def _predicate(ufunc: np.ufunc, plain: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: _number(bool, ufunc(x)) if isinstance(x, Tracer) else plain(x)


def _dispatching(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that does not look for tracers inside a list."""

    def apply(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(_gathered(x), *args, **kwargs)

    return apply


def _gathered(x: Any) -> Any:
    return CONSTRUCTORS[np.asarray](x) if contains_tracer(x) else x


def _float64(x: Any = 0.0) -> Any:
    if isinstance(x, Tracer):
        return as_tracer(x, np.float64)
    return np.asarray(x).astype(np.float64)[()]


_BLIND_TO_LISTS: tuple[Callable[..., Any], ...] = (
    np.sum,
    np.prod,
    np.mean,
    np.max,
    np.min,
    np.any,
    np.all,
    np.cumsum,
    np.var,
    np.std,
    np.argmax,
    np.argmin,
    np.linalg.norm,
)

REPLACED: dict[Any, Callable[..., Any]] = {
    **CONSTRUCTORS,
    **{getattr(math, name): _math(getattr(math, name), ufunc) for name, ufunc in _MATH.items()},
    math.log: _log,
    math.floor: _whole(np.floor, math.floor),
    math.ceil: _whole(np.ceil, math.ceil),
    math.trunc: _whole(np.trunc, math.trunc),
    math.isnan: _predicate(np.isnan, math.isnan),
    math.isinf: _predicate(np.isinf, math.isinf),
    math.isfinite: _predicate(np.isfinite, math.isfinite),
    builtins.float: functools.partial(_number, float),
    builtins.int: lambda x=0, *base: int(x, *base) if base else _number(int, x),
    builtins.bool: lambda x=False: bool(x),
    builtins.complex: lambda *args: complex(*args) if len(args) != 1 else _number(complex, *args),
    builtins.max: _extreme(np.maximum, max),
    builtins.min: _extreme(np.minimum, min),
    builtins.isinstance: _isinstance,
    builtins.sum: _sum,
    builtins.round: _round,
    np.isscalar: _isscalar,
    np.float64: _float64,
    **{function: _dispatching(function) for function in _BLIND_TO_LISTS},
}


# --- subscripts -----------------------------------------------------------------------------------


def getitem(container: Any, key: Any) -> Any:
    """`container[key]`: a plain array indexed by a traced integer becomes a constant."""
    if isinstance(container, (np.ndarray, list, tuple)) and _traced_key(key):
        if isinstance(container, np.ndarray) or contains_tracer(container):
            return CONSTRUCTORS[np.array](container)[key]
    return container[key]


def _traced_key(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(p, Tracer) and known_value(p) is None for p in parts)


def setitem(container: Any, key: Any, value: Any) -> None:
    """`container[key] = value`."""
    if isinstance(container, np.ndarray) and (contains_tracer(value) or _traced_key(key)):
        raise TracingError(
            message(
                f"a traced value was stored into a plain NumPy array of shape {container.shape}",
                "the array was made outside the traced function (or by a function that adgraph "
                "does not see) and holds numbers only",
                "make it inside with np.zeros or np.empty, or copy it there: a = np.array(a)",
            )
        )
    container[key] = value


def augmented(name: str, container: Any, key: Any, value: Callable[[], Any]) -> None:
    """`container[key] op= value`: a view has been written already, anything else is put back."""
    piece = getitem(container, key)
    result = getattr(operator, name)(piece, value())
    if result is not piece or getattr(piece, "cell", None) is not getattr(container, "cell", piece):
        setitem(container, key, result)


# --- statements -----------------------------------------------------------------------------------


def for_(
    iterable: Any, body: Callable[[Any], Any], get: Any, set_: Any, names: Any, line: int
) -> None:
    """Run a loop. The trips are known here, so that the loop unrolls.

    The body returns whether the loop has been left by `break`.
    """
    for item in iterable:
        if body(item):
            break


def while_(
    test: Callable[[], Any], body: Callable[[], None], get: Any, set_: Any, names: Any, line: int
) -> None:
    """Run a loop whose condition Python can decide."""
    while test():
        body()


def if_(
    condition: Any,
    then: Callable[[], None],
    orelse: Callable[[], None],
    get: Any,
    set_: Any,
    names: Any,
    line: int,
) -> None:
    """Take the branch of a condition that Python can decide."""
    if condition:
        then()
    else:
        orelse()


def if_expression(condition: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`a if condition else b`."""
    return then() if condition else orelse()


def and_(*operands: Callable[[], Any]) -> Any:
    """`a and b`, each operand evaluated once and only when needed."""
    result: Any = True
    for operand in operands:
        result = operand()
        if not result:
            return result
    return result


def or_(*operands: Callable[[], Any]) -> Any:
    """`a or b`, each operand evaluated once and only when needed."""
    result: Any = False
    for operand in operands:
        result = operand()
        if result:
            return result
    return result


def not_(operand: Any) -> Any:
    """`not a`."""
    return not operand
