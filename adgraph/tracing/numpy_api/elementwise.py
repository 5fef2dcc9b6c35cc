"""Elementwise functions of NumPy and SciPy that are no ufuncs, and ufuncs that record another op.

Most ufuncs need no entry here: their op's row names them. Entries are for second names of one op,
for loops over bools and integers that are another op, and for what is made of several ops.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, message
from adgraph.ir.op import Op
from adgraph.ops import complex_numbers
from adgraph.ops import elementwise as ops
from adgraph.ops import special as special_ops
from adgraph.ops.kinds import broadcast_shape, resolve_dtypes
from adgraph.ops.scipy_special import Special, special
from adgraph.tracing.numpy_api.creation import constructs
from adgraph.tracing.numpy_api.positions import nonzero
from adgraph.tracing.numpy_api.table import implements, method, refuse, store
from adgraph.tracing.operators import apply_ufunc
from adgraph.tracing.tracer import (
    Tracer,
    as_tracer,
    emit,
    known_value,
    promotion,
    read,
    result_dtype,
    tracer,
)

# --- ufuncs ---------------------------------------------------------------------------------------


def record(ufunc: np.ufunc | Special, op: Op, *operands: Any) -> Any:
    """Record an op on operands converted to the dtypes of a ufunc's loop."""
    return _converted(ufunc, op, operands, tuple(map(promotion, operands)))


def _converted(
    ufunc: np.ufunc | Special, op: Op, operands: tuple[Any, ...], kinds: tuple[Any, ...]
) -> Any:
    dtypes = resolve_dtypes(ufunc, ufunc.__name__, kinds)
    return emit(op, tuple(as_tracer(x, d) for x, d in zip(operands, dtypes, strict=False)), {})


SECOND_NAMES: dict[np.ufunc | Special, Op] = {
    np.degrees: ops.rad2deg,
    np.radians: ops.deg2rad,
    np.float_power: ops.power,
    special.cbrt: ops.cbrt,
    special.exp2: ops.exp2,
    special.expm1: ops.expm1,
    special.log1p: ops.log1p,
    special.round: ops.rint,
}
for _ufunc, _op in SECOND_NAMES.items():
    implements(_ufunc)(functools.partial(record, _ufunc, _op))

# For bools NumPy's loop is a logical one.
BOOL_LOOPS = {
    np.add: (ops.add, ops.logical_or),
    np.multiply: (ops.multiply, ops.logical_and),
    np.maximum: (ops.maximum, ops.logical_or),
    np.minimum: (ops.minimum, ops.logical_and),
    np.fmax: (ops.fmax, ops.logical_or),
    np.fmin: (ops.fmin, ops.logical_and),
    np.invert: (ops.invert, ops.logical_not),
}


BOOL = np.dtype(bool)


def _is_bool(x: Any) -> bool:
    return bool(promotion(x) == BOOL)


def _logical_for_bools(ufunc: np.ufunc, op: Op, logical: Op, *operands: Any) -> Any:
    kinds = tuple(map(promotion, operands))
    if all(kind == BOOL for kind in kinds):
        return emit(logical, operands, {})
    return _converted(ufunc, op, operands, kinds)


for _ufunc, _pair in BOOL_LOOPS.items():
    implements(_ufunc)(functools.partial(_logical_for_bools, _ufunc, *_pair))


def _same_for_integers(ufunc: np.ufunc, op: Op, x: Any) -> Any:
    whole = x.dtype.kind in "biu"
    return _fresh(x) if whole else record(ufunc, op, x)


def _fresh(x: Any) -> Tracer:
    """Return a new array with the same elements, so that writing to one spares the other."""
    return tracer(read(x))


for _ufunc, _op in ((np.floor, ops.floor), (np.ceil, ops.ceil), (np.trunc, ops.trunc)):
    implements(_ufunc)(functools.partial(_same_for_integers, _ufunc, _op))


@implements(np.absolute)
def absolute(x: Any) -> Any:
    return _fresh(as_tracer(x)) if _is_bool(x) else record(np.absolute, ops.absolute, x)


@implements(np.signbit, differentiable=False)
def signbit(x: Any) -> Any:
    """NumPy looks at the sign of integers after converting them to floats, of 16 bits if it can."""
    return np.less(x, 0) if x.dtype.kind in "biu" else record(np.signbit, ops.signbit, x)


@implements(np.power)
def power(x: Any, exponent: Any) -> Any:
    """As NumPy's `**`, exponents 2, 1, 1/2 and -1 are a square, a copy, a root and a reciprocal."""
    dtype = resolve_dtypes(np.power, "power", (promotion(x), promotion(exponent)))[0]
    known = known_value(exponent) if isinstance(exponent, Tracer) else np.asarray(exponent)
    if known is None or known.shape != ():
        return record(np.power, ops.power, x, exponent)
    if dtype.kind == "c":
        found = _complex_power(as_tracer(x, dtype), complex(known))
        return record(np.power, ops.power, x, exponent) if found is None else found
    if dtype.kind in "iu" and known < 0:
        raise ShapeError(
            message(
                f"power: integers of dtype {dtype} to the negative power {known}",
                "NumPy refuses it, for the result is no integer",
                "convert with x.astype(float), or write the exponent as a float",
            )
        )
    special_case = _POWERS.get(float(known))
    if special_case is None or (dtype.kind != "f" and float(known) not in (1.0, 2.0)):
        return record(np.power, ops.power, x, exponent)
    return emit(special_case, (as_tracer(x, dtype),), {})


def _complex_power(z: Any, exponent: complex) -> Any:
    """As NumPy: a root, or products for whole exponents below 100; else None."""
    if exponent == 0.5:
        return np.sqrt(z)
    if exponent.imag or not exponent.real.is_integer() or abs(exponent.real) >= 100:
        return None
    if exponent == 0:
        return np.ones_like(z)
    result = np.positive(z)
    for digit in f"{abs(int(exponent.real)):b}"[1:]:
        result = np.square(result) if digit == "0" else np.square(result) * z
    return np.reciprocal(result) if exponent.real < 0 else result


_POWERS = {2.0: ops.square, 1.0: ops.positive, 0.5: ops.sqrt, -1.0: ops.reciprocal}


@implements(np.divmod)
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    return np.floor_divide(x, y), np.remainder(x, y)


@implements(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    x = as_tracer(x, resolve_dtypes(np.modf, "modf", (promotion(x),))[0])
    whole = np.trunc(x)
    return np.where(np.isinf(x), 0.0, x - whole), whole


# --- selection ------------------------------------------------------------------------------------


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        return nonzero(condition)
    dtype = result_dtype(x, y)
    operands = as_tracer(condition, bool), as_tracer(x, dtype), as_tracer(y, dtype)
    known = known_value(operands[0])
    if known is None or known.size == 0 or (known.any() and not known.all()):
        return emit(ops.where, operands, {})
    shape = broadcast_shape("where", tuple(t.type for t in operands))
    chosen = operands[1] if known.all() else operands[2]
    return _fresh(np.broadcast_to(chosen, shape))


@implements(np.clip)
@method("clip")
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    """At a bound the element and the bound share the derivative, as in maximum and minimum."""
    lower = options.pop("min", a_min)
    upper = options.pop("max", a_max)
    out = options.pop("out", out)
    mask, dtype = options.pop("where", True), options.pop("dtype", None)
    refuse("np.clip", **options)
    lower, upper = _reached(as_tracer(a).dtype, lower, upper)
    bounds = [x for x in (lower, upper) if x is not None]
    result: Any = as_tracer(a, None if dtype else result_dtype(a, *bounds))
    if lower is not None:
        result = np.maximum(result, lower, dtype=dtype)
    if upper is not None:
        result = np.minimum(result, upper, dtype=dtype)
    if not bounds:
        result = np.positive(result, dtype=dtype)
    return store(result, out, "np.clip", mask, stretches=True)


def _reached(dtype: np.dtype[Any], lower: Any, upper: Any) -> tuple[Any, Any]:
    """Leave out Python integers that no element of an integer dtype is beyond."""
    if dtype.kind not in "iu":
        return lower, upper
    limits = np.iinfo(dtype)
    return (
        None if type(lower) is int and lower <= limits.min else lower,
        None if type(upper) is int and upper >= limits.max else upper,
    )


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    x = as_tracer(x)
    if x.dtype.kind == "c":
        parts = (nan_to_num(part, True, nan, posinf, neginf) for part in (np.real(x), np.imag(x)))
        result = functools.reduce(lambda real, imag: real + 1j * imag, parts)
    elif x.dtype.kind != "f":
        return _fresh(x)
    else:
        result = _finite(x, nan, posinf, neginf)
    if not copy and x.shape:
        x[...] = result
    return result


def _finite(x: Tracer, nan: Any, posinf: Any, neginf: Any) -> Any:
    limits = np.finfo(x.dtype)
    upper = float(limits.max) if posinf is None else posinf
    lower = float(limits.min) if neginf is None else neginf
    result: Any = np.where(np.isnan(x), nan, x)
    result = np.where(x == math.inf, upper, result)
    return np.where(x == -math.inf, lower, result)


# --- rounding, parts, dtypes ----------------------------------------------------------------------


@implements(np.round, np.around, differentiable=False)
@method("round", differentiable=False)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    return store(_rounded(as_tracer(a), decimals), out, "np.round")


def _rounded(x: Tracer, decimals: int) -> Any:
    if x.dtype.kind == "b":
        raise DtypeError(message("np.round of bools", "NumPy gives float16 there"))
    if x.dtype.kind in "iu" and decimals >= 0:
        return _fresh(x)
    if decimals == 0:
        return np.rint(x)
    if x.dtype.kind in "iu":
        return as_tracer(_rounded(as_tracer(x, np.float64), decimals), x.dtype)
    scale = float(10 ** abs(decimals))
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


@implements(np.fix, differentiable=False)
def fix(x: Any, out: Any = None) -> Any:
    return store(np.trunc(x), out, "np.fix")


@implements(np.real)
def real(val: Any) -> Any:
    x = as_tracer(val)
    return complex_numbers.real(x) if x.dtype.kind == "c" else x


@implements(np.sign)
def sign(x: Any) -> Any:
    """Of a complex number it is no step: z / |z| has a derivative."""
    a = as_tracer(x)
    if a.dtype.kind != "c":
        return apply_ufunc(ops.sign, (x,))
    size = np.abs(a)
    return a / np.where(size == 0, np.ones((), size.dtype), size)


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    x = as_tracer(a)
    if x.dtype.kind == "c":
        raise DtypeError(
            message(
                f"np.real_if_close of a traced array of dtype {x.dtype}",
                "whether the result is real depends on the numbers, which are not known yet",
                "write x.real",
            )
        )
    return x


@implements(np.imag)
def imag(val: Any) -> Any:
    x = as_tracer(val)
    return complex_numbers.imag(x) if x.dtype.kind == "c" else np.zeros_like(x)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    x = as_tracer(z)
    if x.dtype.kind == "c":
        found = np.arctan2(imag(x), real(x))
        return np.rad2deg(found) if deg else found
    x = as_tracer(x, np.result_type(x.dtype, np.float32))
    return np.where(x < 0, 180.0 if deg else math.pi, np.where(np.isnan(x), x, 0.0))


@method("conj", "conjugate")
def conjugate(a: Tracer) -> Any:
    return np.conjugate(a)


@method("astype")
def astype(a: Tracer, dtype: Any, order: str = "K", casting: str = "unsafe", **_: Any) -> Any:
    return _fresh(as_tracer(a, np.dtype(dtype)))


@implements(np.astype)
def astype_function(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return _fresh(as_tracer(x, np.dtype(dtype)))


# --- functions made of several ops ----------------------------------------------------------------


@implements(np.sinc)
def sinc(x: Any) -> Any:
    return ops.sinc(as_tracer(x, _float_dtype(x)))


def _float_dtype(x: Any) -> np.dtype[Any]:
    dtype = result_dtype(x)
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


@implements(np.i0)
def i0(x: Any) -> Any:
    return special_ops.i0(as_tracer(x, _float_dtype(x)))


def _of_integer_order(name: str, op: Op, order: Any, x: Any) -> Any:
    known = known_value(order) if isinstance(order, Tracer) else np.asarray(order)
    if known is None or np.any(known != np.rint(known)):
        raise TracingError(
            message(
                f"the order of {name} is traced or no integer",
                "there is no derivative by the order, and derivatives change it by one",
                "pass the order as a Python integer",
            )
        )
    dtype = _float_dtype(x)
    return emit(op, (as_tracer(known.astype(np.int64)), as_tracer(x, dtype)), {})


@constructs(special.polygamma)
def polygamma(n: Any, x: Any) -> Any:
    """A Python function of SciPy, which would convert a traced array; its result is float64."""
    if not isinstance(n, Tracer) and not isinstance(x, Tracer):
        return special.polygamma(n, x)
    wide = as_tracer(x, np.result_type(as_tracer(x).dtype, np.float64))
    return _of_integer_order("polygamma", special_ops.polygamma, n, wide)
