"""Complex numbers and their parts.

The derivatives follow JAX's convention (docs/conventions.md): cotangents are not conjugated, so the
gradient of a real function of x + iy is d/dx - i d/dy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType, Dtype
from adgraph.ops.complex_parts import Pair, filled
from adgraph.ops.kinds import add_tangents, elementwise_function

REAL: dict[Dtype, Dtype] = {
    np.dtype(np.complex64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.float64),
}
COMPLEX: dict[Dtype, Dtype] = {part: whole for whole, part in REAL.items()}


def real_dtype(dtype: Dtype) -> Dtype:
    """Return the dtype of the parts of complex numbers; a real dtype is its own."""
    return REAL.get(dtype, dtype)


def _real_part(z: Pair) -> Any:
    return filled(z)[0]


def _imag_part(z: Pair) -> Any:
    return filled(z)[1]


real: Op = elementwise_function(
    "real",
    lambda z: np.real(z).copy(),
    real_dtype,
    None,
    "{0}",
    jvp=lambda tangents, y, z: real(tangents[0]),
    vjp=lambda ct, y, z: (ct.astype(type_of(z).dtype),),
    parts=_real_part,
)
imag: Op = elementwise_function(
    "imag",
    lambda z: np.imag(z).copy(),
    real_dtype,
    None,
    "{0}",
    jvp=lambda tangents, y, z: imag(tangents[0]),
    vjp=lambda ct, y, z: (make_complex(np.zeros_like(ct), -ct),),
    parts=_imag_part,
)


def _made(a: Any, b: Any) -> Any:
    whole = np.empty(np.broadcast_shapes(np.shape(a), np.shape(b)), COMPLEX[np.asarray(a).dtype])
    whole.real, whole.imag = a, b
    return whole


def _make_jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any) -> Any:
    da, db = tangents
    first = None if da is None else da.astype(y.dtype)
    return add_tangents(first, None if db is None else make_complex(np.zeros_like(db), db))


make_complex: Op = elementwise_function(
    "complex",
    _made,
    lambda a, b: COMPLEX[a],
    None,
    "{0}",
    jvp=_make_jvp,
    vjp=lambda ct, y, a, b: (real(ct), -imag(ct)),
    parts=Pair,
)

# --- the memory of complex numbers as real ones: a last axis for the two parts --------------------
# `adgraph.passes.parts` puts them at the interface of a program, and the lowering takes them away.


def _as_parts(z: Any) -> Any:
    array = np.array(z, order="C")
    return array.reshape(*array.shape, 1).view(real_dtype(array.dtype))


def parts_type(z: ArrayType) -> ArrayType:
    """Return the type of the real array that has the memory of a complex one."""
    return ArrayType(real_dtype(z.dtype), (*z.shape, 2))


def _from_parts(x: Any) -> Any:
    array = np.array(x, order="C")
    return array.view(COMPLEX[array.dtype]).reshape(array.shape[:-1])


def _from_parts_type(x: ArrayType) -> ArrayType:
    return ArrayType(COMPLEX[x.dtype], x.shape[:-1])


as_parts: Op = register(
    Op(
        name="as_parts",
        kind=Kind.MOVEMENT,
        evaluate=_as_parts,
        infer=parts_type,
        parts=lambda z: np.stack(filled(z), axis=-1),
        differentiable=False,
    )
)
from_parts: Op = register(
    Op(
        name="from_parts",
        kind=Kind.MOVEMENT,
        evaluate=_from_parts,
        infer=_from_parts_type,
        parts=lambda x: Pair(x[..., 0], x[..., 1]),
        differentiable=False,
    )
)
