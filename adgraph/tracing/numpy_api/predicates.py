"""Comparisons of whole arrays, predicates of elements, and questions about dtypes.

None has a derivative. What depends on dtypes and shapes alone is known while tracing; what depends
on numbers is a traced bool.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.ir.op import type_of
from adgraph.ops.kinds import common_shape
from adgraph.tracing.numpy_api.creation import nested_array
from adgraph.tracing.numpy_api.table import implements, store
from adgraph.tracing.tracer import Tracer, as_tracer, read, result_dtype, tracer

# --- of elements ----------------------------------------------------------------------------------


@implements(np.isclose, differentiable=False)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    x, y = (as_tracer(nested_array(v)) for v in (a, b))
    if y.dtype.kind in "biu":
        y = as_tracer(y, np.float64)
    near = np.less_equal(np.abs(x - y), atol + rtol * np.abs(y))
    result = (near & np.isfinite(y)) | np.equal(x, y)
    return result | (np.isnan(x) & np.isnan(y)) if equal_nan else result


@implements(np.isposinf, differentiable=False)
def isposinf(x: Any, out: Any = None) -> Any:
    return store(np.equal(x, math.inf), out, "np.isposinf")


@implements(np.isneginf, differentiable=False)
def isneginf(x: Any, out: Any = None) -> Any:
    return store(np.equal(x, -math.inf), out, "np.isneginf")


@implements(np.iscomplex, differentiable=False)
def iscomplex(x: Any) -> Any:
    return np.not_equal(np.imag(as_tracer(nested_array(x))), 0)


@implements(np.isreal, differentiable=False)
def isreal(x: Any) -> Any:
    return np.equal(np.imag(as_tracer(nested_array(x))), 0)


# --- of whole arrays ------------------------------------------------------------------------------


def _number(flag: Any) -> Tracer:
    """Return a traced truth value as the Python bool that NumPy gives."""
    return tracer(read(as_tracer(flag)), bool)


@implements(np.allclose, differentiable=False)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    return _number(np.all(isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal, differentiable=False)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    a, b = (as_tracer(nested_array(x)) for x in (a1, a2))
    if a.shape != b.shape:
        return False
    same = np.equal(a, b)
    if equal_nan and a.dtype.kind in "fc" and b.dtype.kind in "fc":
        same = same | (np.isnan(a) & np.isnan(b))
    return _number(np.all(same))


@implements(np.array_equiv, differentiable=False)
def array_equiv(a1: Any, a2: Any) -> Any:
    a, b = (as_tracer(nested_array(x)) for x in (a1, a2))
    try:
        common_shape(a.shape, b.shape)
    except ValueError:
        return False
    return _number(np.all(np.equal(a, b)))


# --- of dtypes ------------------------------------------------------------------------------------


@implements(np.iscomplexobj, differentiable=False)
def iscomplexobj(x: Any) -> bool:
    return type_of(nested_array(x)).dtype.kind == "c"


@implements(np.isrealobj, differentiable=False)
def isrealobj(x: Any) -> bool:
    return not iscomplexobj(x)


@implements(np.result_type, differentiable=False)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    given = (x if isinstance(x, _OPERANDS) else np.dtype(x) for x in arrays_and_dtypes)
    return result_dtype(*given)


_OPERANDS = (Tracer, np.ndarray, np.generic, np.dtype, bool, int, float, complex)


@implements(np.can_cast, differentiable=False)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Tracer) else from_, to, casting)


@implements(np.common_type, differentiable=False)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*(np.empty(0, type_of(x).dtype) for x in arrays))


@implements(np.min_scalar_type, differentiable=False)
def min_scalar_type(a: Any, /) -> np.dtype[Any]:
    x = as_tracer(a)
    if x.ndim:
        return x.dtype
    raise TracingError(
        message(
            f"np.min_scalar_type of a traced number {x.type}",
            "the smallest dtype depends on the number, which is not known yet",
            "use the dtype of the number: x.dtype",
        )
    )


@implements(np.shares_memory, np.may_share_memory, differentiable=False)
def shares_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """Arrays that are views of one array count as sharing it."""
    traced = isinstance(a, Tracer) and isinstance(b, Tracer)
    return traced and a.cell is b.cell


@implements(np.einsum_path, differentiable=False)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: Any = False) -> Any:
    """The order depends on shapes alone."""
    known = (_of_its_shape(x) if isinstance(x, Tracer) else x for x in operands)
    return np.einsum_path(*known, optimize=optimize, einsum_call=einsum_call)


def _of_its_shape(x: Tracer) -> Any:
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)
