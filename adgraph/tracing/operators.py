"""Operators of traced arrays and loop indices, with NumPy's promotion of what they are applied to.

Between Python numbers the result is one; of loop indices it is affine if it can be. In-place
operators write an array and rebind a number. Begin with `operate`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, message
from adgraph.ir.dims import Affine
from adgraph.ir.op import Op
from adgraph.ir.types import dtype_code
from adgraph.ops.kinds import resolve_dtypes
from adgraph.ops.scipy_special import Special
from adgraph.tracing.affine import combine
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.tracer import (
    WEAK,
    IndexTracer,
    Tracer,
    as_tracer,
    dim_of,
    emit,
    promotion,
    weak_type,
    write,
)


def operate(ufunc: np.ufunc, *operands: Any) -> Any:
    """Apply an operator: between Python numbers the result is a Python number."""
    if any(isinstance(x, (list, tuple)) for x in operands):
        if ufunc is np.multiply and any(map(_is_count, operands)):
            known = (operator.index(x) if isinstance(x, Tracer) else x for x in operands)
            return operator.mul(*known)
        operands = tuple(
            DISPATCH.function(np.asarray, (x,), {}) if isinstance(x, (list, tuple)) else x
            for x in operands
        )
    if not all(_operand(x) for x in operands):
        return NotImplemented
    result = DISPATCH.ufunc(ufunc, "__call__", operands, {})
    if isinstance(result, Tracer) and all(weak_type(x) is not None for x in operands):
        result.weak = WEAK[result.dtype.kind]
    return result


def index_arithmetic(ufunc: np.ufunc, operands: tuple[Any, ...]) -> Any:
    """Return what an operator gives for loop indices if that is affine or decided, else None."""
    dims = tuple(map(dim_of, operands))
    if None in dims or not any(isinstance(x, IndexTracer) for x in operands):
        return None
    result = combine(ufunc, dims)  # type: ignore[arg-type]  # None was excluded
    if not isinstance(result, Affine):
        return result
    weak = all(weak_type(x) is not None for x in operands)
    return IndexTracer(result, int if weak else None)


def _is_count(x: Any) -> bool:
    """Tell whether a list times this is a longer list."""
    return isinstance(x, Tracer) and not x.shape and x.dtype.kind in "iu"


def _operand(x: Any) -> bool:
    return isinstance(x, (Tracer, np.ndarray, np.generic, bool, int, float, complex))


def operate_in_place(ufunc: np.ufunc, handle: Tracer, other: Any) -> Any:
    """Apply an in-place operator: an array is written, a number is rebound."""
    result = operate(ufunc, handle, other)
    if result is NotImplemented or not (handle.shape or handle.writable):
        return result
    if not np.can_cast(result.dtype, handle.dtype, "same_kind"):
        raise DtypeError(
            message(
                f"cannot write the {dtype_code(result.dtype)} result of {ufunc.__name__} into an "
                f"array of dtype {dtype_code(handle.dtype)}",
                "NumPy's in-place operators keep the array's dtype",
                "write x = x + y, or make the array of the wider dtype first",
            )
        )
    write(handle, result)
    return handle


def apply_ufunc(op: Op, operands: tuple[Any, ...]) -> Any:
    """Record an elementwise op after converting its operands to the dtypes of NumPy's loop."""
    assert isinstance(op.numpy, np.ufunc | Special)
    dtypes = resolve_dtypes(op.numpy, op.name, tuple(map(promotion, operands)))
    converted = tuple(as_tracer(x, d) for x, d in zip(operands, dtypes, strict=False))
    return emit(op, converted, {})


DISPATCH.operate = operate
DISPATCH.operate_in_place = operate_in_place
