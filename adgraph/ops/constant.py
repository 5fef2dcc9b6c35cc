"""Literal arrays, conversions between dtypes, and marks."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import Dtype, type_of_array
from adgraph.ops.complex_parts import Pair, as_pair, filled, nonzero
from adgraph.ops.kinds import elementwise_function

constant = register(
    Op(
        name="const",
        kind=Kind.CONSTANT,
        evaluate=lambda *, value: value.array,
        infer=lambda *, value: type_of_array(value.array),
        differentiable=False,
    )
)


def _convert(x: Any, *, dtype: Dtype) -> Any:
    array = np.asarray(x)
    if array.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
        array = array.real  # what NumPy does, with a warning
    return array.astype(dtype)


def _convert_vjp(ct: Any, y: Any, x: Any, *, dtype: Dtype) -> tuple[Any]:
    return (ct.astype(x.dtype),)


def _convert_jvp(tangents: tuple[Any], y: Any, x: Any, *, dtype: Dtype) -> Any:
    return tangents[0].astype(dtype) if np.dtype(dtype).kind in "fc" else None


def _convert_parts(z: Any, *, dtype: Dtype) -> Any:
    """Convert both parts, or the real one; a number is true if it is not zero."""
    whole = np.dtype(dtype)
    if whole.kind == "b":
        return nonzero(z)
    if whole.kind != "c":
        return filled(z)[0].astype(whole)
    part = np.dtype(whole.char.lower())
    return Pair(*(x if x is None else x.astype(part) for x in as_pair(z)))


convert = elementwise_function(
    "convert",
    _convert,
    lambda source, *, dtype: dtype,
    None,
    "cast({0})",
    jvp=_convert_jvp,
    vjp=_convert_vjp,
    parts=_convert_parts,
)


def _same(source: Dtype) -> Dtype:
    return source


# The derivative of stop_gradient is zero by definition, whatever its value.
stop_gradient = elementwise_function(
    "stop_gradient", lambda x: np.array(x), _same, None, "{0}", parts="each"
)


copy = elementwise_function(
    "copy",
    lambda x: np.array(x),
    _same,
    None,
    "{0}",
    jvp=lambda t, y, x: t[0],
    vjp=lambda ct, y, x: (ct,),
    parts="each",
)


# The value itself, under a name by which the policy of a checkpoint knows it.
named = elementwise_function(
    "name",
    lambda x, *, tag: np.array(x),
    lambda source, *, tag: source,
    None,
    "{0}",
    weight=0.0,
    jvp=lambda t, y, x, *, tag: t[0],
    vjp=lambda ct, y, x, *, tag: (ct,),
    parts="each",
)
