"""What a loop or a branch needs to know of the values of variables: types, joins, equality.

A `Form` is the type of a variable that is carried from one trip to the next, or comes out of a
branch. Begin with `form_of` and `joined`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.errors import Location
from adgraph.ir.graph import Value
from adgraph.ir.op import type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.shape import broadcast
from adgraph.tracing.frames import current
from adgraph.tracing.source import UNDEFINED
from adgraph.tracing.tracer import (
    SUPPORTED_KINDS,
    WEAK,
    IndexTracer,
    PythonNumber,
    Tracer,
    as_tracer,
    emit,
    read,
    result_dtype,
    tracer,
    weak_type,
)


@dataclass(frozen=True)
class Form:
    """The type of a variable, and whether it is a Python number.

    `frozen` says why it must not be written in place.
    """

    type: ArrayType
    weak: PythonNumber | None
    frozen: str = ""

    def __str__(self) -> str:
        if self.weak is None:
            return f"{self.type}" if self.type.shape else f"a {self.type} scalar"
        return f"a Python {self.weak.__name__}"


def is_value(x: Any) -> bool:
    """Tell whether something is a number or an array, traced or not."""
    if isinstance(x, Tracer):
        return True
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind in SUPPORTED_KINDS
    return type(x) in (bool, int, float, complex)


def form_of(x: Any) -> Form:
    """Return the form of a number or an array."""
    frozen = x.cell.frozen if isinstance(x, Tracer) else ""
    return Form(type_of(x), weak_type(x), frozen)


def joined(a: Form, b: Form) -> Form | None:
    """Return the form of a variable that has one of two forms, None if their shapes differ.

    A Python number takes the dtype of the array or NumPy scalar it meets.
    """
    if a.type.shape != b.type.shape:
        return None
    frozen = a.frozen or b.frozen
    if a.type.dtype == b.type.dtype and a.weak == b.weak:
        return replace(a, frozen=frozen)
    dtype = result_dtype(_typed(a), _typed(b))
    weak = WEAK[dtype.kind] if a.weak is not None and b.weak is not None else None
    return Form(a.type.with_dtype(dtype), weak, frozen)


def _typed(form: Form) -> Any:
    return form.type.dtype if form.weak is None else form.weak()


def converted(x: Any, form: Form) -> Value:
    """Return the value of a variable in a form; a variable that is not bound is zero."""
    if x is UNDEFINED:
        zero = as_tracer(np.zeros((), form.type.dtype))
        if not form.type.shape:
            return read(zero)
        unit = as_tracer(np.zeros((1,) * form.type.ndim, form.type.dtype))
        return read(emit(broadcast, (unit,), {"shape": form.type.shape}))
    return read(as_tracer(x, form.type.dtype))


def handle_of(value: Value, form: Form) -> Tracer:
    """Return a new array or number with a value."""
    handle = tracer(value, form.weak)
    handle.cell.frozen = form.frozen
    return handle


def same(a: Any, b: Any) -> bool:
    """Tell whether two values of a variable are one: the same array, number or object."""
    if a is b:
        return True
    if isinstance(a, IndexTracer) or isinstance(b, IndexTracer):
        return isinstance(a, IndexTracer) and isinstance(b, IndexTracer) and a.dim == b.dim
    if isinstance(a, Tracer) and isinstance(b, Tracer):
        return a.cell is b.cell and a.path == b.path and a.weak == b.weak
    if isinstance(a, (Tracer, np.ndarray)) or isinstance(b, (Tracer, np.ndarray)):
        return False
    return type(a) is type(b) and _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b) and repr(a) == repr(b)
    except Exception:
        return False


def made_at(x: Any) -> Location | None:
    """Return the user's line that computed a value of the current program."""
    if not isinstance(x, Tracer) or isinstance(x, IndexTracer) or not current().owns(x.cell.value):
        return None
    node = current().producer(read(x))
    return node.origin.location if node is not None else None


def described(x: Any) -> str:
    """Describe the value of a variable in a message."""
    if x is UNDEFINED:
        return "not bound"
    return str(form_of(x)) if is_value(x) else f"a {type(x).__name__}"
