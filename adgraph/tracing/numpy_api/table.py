"""The table from NumPy callables to what records them, and the four entries of `Dispatch`.

`implements(np.sum)` enters a function for one NumPy function; `method` for one of ndarray. Ufuncs
need no entry: their op's row names them. With `differentiable=False` no result has a derivative;
what is not in the table has a reason in `refusals`. `adgraph.coverage` reports all of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, message
from adgraph.ir.op import OPS, Op
from adgraph.ops.scipy_special import MODULE, Special, stand_in
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.masked import Masked
from adgraph.tracing.numpy_api.core_axes import KEYWORDS, call_along
from adgraph.tracing.numpy_api.refusals import REFUSALS, reason_of
from adgraph.tracing.operators import apply_ufunc, index_arithmetic
from adgraph.tracing.tracer import Tracer, advice, as_tracer, promotion, write

CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
Function = Callable[..., Any]

FUNCTIONS: dict[Function, Function] = {}
METHODS: dict[str, Function] = {}
UFUNC_METHODS: dict[tuple[np.ufunc, str], Function] = {}


# What works and has no derivative: keys of the three tables, and constructors.
CONSTANT: set[Any] = set()


def enters(
    table: dict[Any, Function], keys: tuple[Any, ...], differentiable: bool = True
) -> Callable[[Function], Function]:
    """Enter the decorated function in a table, and whether its results have derivatives."""

    def enter(function: Function) -> Function:
        table.update(dict.fromkeys(keys, function))
        if not differentiable:
            CONSTANT.update(keys)
        return function

    return enter


def implements(*callables: Function, differentiable: bool = True) -> Callable[[Function], Function]:
    """Enter the decorated function for NumPy functions."""
    return enters(FUNCTIONS, callables, differentiable)


def method(*names: str, differentiable: bool = True) -> Callable[[Function], Function]:
    """Enter the decorated function for methods of ndarray; the array is its first argument."""
    return enters(METHODS, names, differentiable)


def ufunc_method(
    ufunc: np.ufunc, name: str, differentiable: bool = True
) -> Callable[[Function], Function]:
    """Enter the decorated function for a method of a ufunc, such as `np.add.reduce`."""
    return enters(UFUNC_METHODS, ((ufunc, name),), differentiable)


def _ops_of_ufuncs() -> dict[Any, Op]:
    return {op.numpy: op for op in OPS.values() if isinstance(op.numpy, np.ufunc | Special)}


_ufuncs: dict[Any, Op] = {}


def op_of_ufunc(ufunc: np.ufunc | Special) -> Op | None:
    """Return the op of a ufunc."""
    if ufunc not in _ufuncs:
        _ufuncs.update(_ops_of_ufuncs())
    return _ufuncs.get(ufunc)


def has_derivative(ufunc: np.ufunc) -> bool:
    """Tell whether the results of a ufunc have derivatives."""
    op = op_of_ufunc(ufunc)
    return op is None or op.differentiable


def dispatch_ufunc(ufunc: np.ufunc, how: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of a ufunc or of one of its methods."""
    if any(isinstance(x, Masked) for x in args):
        return NotImplemented
    if how == "outer":
        return dispatch_ufunc(ufunc, "__call__", _crossed(ufunc, args), kwargs)
    if how != "__call__":
        if (ufunc, how) not in UFUNC_METHODS:
            raise _unknown(f"np.{ufunc.__name__}.{how}")
        return UFUNC_METHODS[ufunc, how](*args, **kwargs)
    args = tuple(FUNCTIONS[np.asarray](x) if isinstance(x, (list, tuple)) else x for x in args)
    if not kwargs:
        known = index_arithmetic(ufunc, args)
        return _call_ufunc(ufunc, args) if known is None else known
    options = dict(kwargs)
    along = _core_keywords(ufunc, options)
    out = options.pop("out", None)
    mask = options.pop("where", True)
    dtype, casting = options.pop("dtype", None), options.pop("casting", "same_kind")
    options = {k: v for k, v in options.items() if not _is_default(k, v)}
    if options:
        raise TracingError(
            message(
                f"np.{ufunc.__name__} was called with {', '.join(options)}",
                "a traced ufunc accepts out=, dtype=, casting= and where= (of matrices and vectors "
                "axes=, axis= and keepdims=) only",
            )
        )
    if dtype is not None or casting != "same_kind":
        args = _in_loop(ufunc, args, dtype, casting)
    apply = functools.partial(_call_ufunc, ufunc)
    result = call_along(ufunc, apply, args, along) if along else apply(args)
    return store(result, out, f"np.{ufunc.__name__}", mask, casting=casting, stretches=True)


def _core_keywords(ufunc: np.ufunc, options: dict[str, Any]) -> dict[str, Any]:
    """Take from the keywords those that generalized ufuncs have; they have no `where=`."""
    if ufunc.signature is None:
        return {}
    if "where" in options:
        raise TracingError(message(f"np.{ufunc.__name__} takes no where="))
    return {name: options.pop(name) for name in KEYWORDS if name in options}


def _in_loop(ufunc: np.ufunc, args: tuple[Any, ...], dtype: Any, casting: Any) -> tuple[Any, ...]:
    """Convert operands to the dtypes of the loop that NumPy chooses for `dtype=` and `casting=`."""
    if casting not in CASTINGS:
        raise ValueError(message(f"casting={casting!r} is none of {', '.join(CASTINGS)}"))
    kinds = tuple(map(promotion, args))
    if not any(isinstance(kind, np.dtype) for kind in kinds):
        kinds = tuple(map(np.dtype, kinds))
    chosen = None if dtype is None else np.dtype(dtype)
    signature = (*(None,) * ufunc.nin, *(chosen,) * ufunc.nout)
    try:
        dtypes = ufunc.resolve_dtypes(
            (*kinds, *(None,) * ufunc.nout), signature=signature, casting=casting
        )
    except TypeError as error:
        raise DtypeError(
            message(
                f"np.{ufunc.__name__} with dtype={dtype} and casting={casting!r}",
                str(error),
                "convert the operands with astype",
            )
        ) from None
    return tuple(as_tracer(x, d) for x, d in zip(args, dtypes, strict=False))


def _crossed(ufunc: np.ufunc, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the operands of `ufunc.outer`, aligned so that all pairs of elements meet."""
    if ufunc.nin != 2 or ufunc.signature is not None:
        raise _unknown(f"np.{ufunc.__name__}.outer")
    a, b = (FUNCTIONS[np.asarray](x) if isinstance(x, (list, tuple)) else x for x in args)
    rank = np.ndim(b)
    return (FUNCTIONS[np.expand_dims](a, tuple(range(-rank, 0))) if rank else a), b


def _is_default(key: str, value: Any) -> bool:
    defaults = {"order": "K", "subok": True}
    return key in defaults and defaults[key] == value


def _call_ufunc(ufunc: np.ufunc, args: tuple[Any, ...]) -> Any:
    known = stand_in(ufunc)
    if known in FUNCTIONS:
        return FUNCTIONS[known](*args)
    op = op_of_ufunc(known)
    if op is None:
        raise _unknown(_name_of(ufunc))
    return apply_ufunc(op, args)


def _name_of(ufunc: np.ufunc) -> str:
    """Return the name by which users know a ufunc, or what made it of a Python function."""
    if ufunc.__name__.endswith(" (vectorized)"):
        return "np.frompyfunc"
    return f"{'np' if hasattr(np, ufunc.__name__) else MODULE}.{ufunc.__name__}"


def store(
    result: Any,
    out: Any,
    name: str,
    mask: Any = True,
    *,
    casting: Any = "same_kind",
    stretches: bool = False,
) -> Any:
    """Return a result, or store it as `out=` and `where=` of the function `name` ask.

    Ufuncs stretch their results to the shape of `out=`.
    """
    if isinstance(result, tuple):
        outs = out if isinstance(out, tuple) else (out,) * len(result)
        return tuple(
            store(r, o, name, mask, casting=casting, stretches=stretches)
            for r, o in zip(result, outs, strict=True)
        )
    target = out[0] if isinstance(out, tuple) else out
    if target is None:
        if mask is not True:
            raise TracingError(
                message(
                    f"{name} was called with where= and without out=",
                    "NumPy leaves the unselected elements undefined",
                    "pass out=, or use np.where(condition, f(x), default)",
                )
            )
        return result
    if not isinstance(target, Tracer):
        raise TracingError(
            message(
                f"{name} would write traced values into a plain NumPy array",
                "the array was made outside the trace and cannot hold traced values",
                advice(
                    "make it inside the traced function (np.zeros, np.empty_like, ...), or copy "
                    "it there: a = np.array(a)"
                ),
            )
        )
    if not stretches and result.shape != target.shape:
        raise ShapeError(
            message(f"{name}: out= has the shape {target.shape}, the result {result.shape}")
        )
    if not np.can_cast(result.dtype, target.dtype, casting):
        raise DtypeError(
            message(
                f"{name} cannot store a result of dtype {result.dtype} in out= of dtype "
                f"{target.dtype}",
                "NumPy casts into out= within one kind of numbers only",
                "make out= of the result's dtype, or convert afterwards with astype",
            )
        )
    write(target, result if mask is True else np.where(mask, result, target))
    return target


def refuse(name: str, **options: Any) -> None:
    """Raise an error if one of the options of a NumPy function is neither None nor False."""
    given = {k: v for k, v in options.items() if v is not None and v is not False}
    if given:
        listed = ", ".join(f"{k}={v!r}" for k, v in given.items())
        raise TracingError(
            message(
                f"{name} was called with {listed}",
                "adgraph has no program for this option",
                "leave it out, or compute the result with other functions of np",
            )
        )


def dispatch_function(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of a NumPy function."""
    if any(isinstance(x, Masked) for x in (*args, *kwargs.values())):
        return NotImplemented
    if function not in FUNCTIONS:
        module = getattr(function, "__module__", "numpy") or "numpy"
        raise _unknown(f"{module.replace('numpy', 'np')}.{function.__name__}")
    return FUNCTIONS[function](*args, **kwargs)


def _unknown(name: str) -> TracingError:
    reason = reason_of(name)
    if reason is not None:
        return reason.error(name)
    return TracingError(
        message(
            f"{name} is not supported on traced arrays",
            "adgraph knows no derivative program for it",
            "write it with supported functions (docs/adding_an_op.md shows how to add one), or "
            "call it outside the traced function",
        )
    )


def _refuses_method(name: str) -> None:
    @method(name)
    def refused(a: Tracer, *args: Any, **options: Any) -> Any:
        raise _unknown(f"ndarray.{name}")


for _refusal in REFUSALS:
    for _name in _refusal.names:
        if _name.startswith("ndarray."):
            _refuses_method(_name.removeprefix("ndarray."))

DISPATCH.ufunc = dispatch_ufunc
DISPATCH.function = dispatch_function
DISPATCH.method = METHODS.get
