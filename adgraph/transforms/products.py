"""The product of a cotangent, or tangent, with a partial: the one step of every chain rule.

`None` is the structural zero, the integers 1 and -1 are literal partials. Where the first factor
may have been zeroed by a mask, the product is 0 there even if the partial is infinite or nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import type_of
from adgraph.ops.elementwise import multiply_no_nan
from adgraph.ops.kinds import NoPartial
from adgraph.tracing.frames import origin
from adgraph.tracing.tracer import Tracer, as_tracer


def weigh(ct: Any, partial: Any, *, masked: bool) -> Any:
    """Multiply a (co)tangent by a partial."""
    if ct is None or partial is None:
        return None
    if isinstance(partial, NoPartial):
        raise partial.error(origin().location)
    if type(partial) is int:
        return ct if partial == 1 else -ct
    if not masked or not isinstance(partial, Tracer):
        return ct * partial
    dtype = type_of(ct).dtype
    if partial.dtype.kind == "c":  # of a real function of complex numbers
        dtype = np.result_type(dtype, np.complex64)
    return multiply_no_nan(as_tracer(ct, dtype), as_tracer(partial, dtype))


def fit(ct: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its value was broadcast."""
    have = type_of(ct).shape
    if have == shape:
        return ct
    lead = len(have) - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 and have[lead + i] != 1
    )
    if lead < 0 or any(h != n for h, n in zip(have[lead:], shape, strict=True) if n != 1):
        return np.broadcast_to(ct, shape)
    return np.reshape(np.sum(ct, axis=axes), shape)
