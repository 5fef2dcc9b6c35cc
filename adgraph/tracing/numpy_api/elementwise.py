"""Elementwise functions of NumPy that are no ufuncs: where, astype, clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ops.elementwise import where as where_op
from adgraph.tracing.numpy_api.table import implements, method
from adgraph.tracing.tracer import Tracer, as_tracer, emit, result_dtype


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    dtype = result_dtype(x, y)
    return emit(where_op, (as_tracer(condition, bool), as_tracer(x, dtype), as_tracer(y, dtype)), {})


@method("astype")
def astype(a: Tracer, dtype: Any, order: str = "K", casting: str = "unsafe", **_: Any) -> Any:
    return as_tracer(a, np.dtype(dtype))


@implements(np.astype)
def astype_function(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return as_tracer(x, np.dtype(dtype))
