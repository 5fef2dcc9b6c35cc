"""The binary exponent of a number: `frexp` takes it off, `ldexp` puts it on.

Both are the inner loops of NumPy's ufuncs, called by pointer: exact for every number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ir.types import ArrayType
from adgraph.ops.gufuncs import Loop, gufunc, same_batch

Types = tuple[ArrayType, ...]


def _frexp_type(x: ArrayType) -> Types:
    return x, x.with_dtype(np.int32)


def _frexp_jvp(tangents: tuple[Any], y: tuple[Any, Any], x: Any) -> tuple[Any, None]:
    return ldexp(tangents[0], _negated(y[1])), None


def _frexp_vjp(ct: tuple[Any, Any], y: tuple[Any, Any], x: Any) -> tuple[Any]:
    return (None if ct[0] is None else ldexp(ct[0], _negated(y[1])),)


def _negated(exponent: Any) -> Any:
    return -exponent.astype(np.int64)


# The exponent is constant between powers of 2, where the mantissa jumps.
frexp: Op = gufunc(
    "frexp",
    Loop("numpy.frexp", "()->(),()", "d->di"),
    None,
    np.frexp,
    _frexp_type,
    jvp=_frexp_jvp,
    vjp=_frexp_vjp,
    batch=same_batch(lambda: frexp),
    flops=lambda x: float(x.size),
)
ldexp: Op = gufunc(
    "ldexp",
    Loop("numpy.ldexp", "(),()->()", "dl->d"),
    None,
    np.ldexp,
    lambda x, exponent: x,
    jvp=lambda tangents, y, x, exponent: (
        None if tangents[0] is None else ldexp(tangents[0], exponent)
    ),
    vjp=lambda ct, y, x, exponent: (ldexp(ct, exponent), None),
    batch=same_batch(lambda: ldexp),
    flops=lambda x, exponent: float(x.size),
)
