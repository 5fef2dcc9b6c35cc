"""Products of matrices, solves and inverses; einsum and its relatives are in `contraction`.

The rest of numpy.linalg is in `decompositions` and `norms`. Integers become float64, as in NumPy;
stacks of matrices broadcast over their leading axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import MatrixError, ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.ops import solves as ops
from adgraph.ops.linalg import matmul as multiply_matrices
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.shape import (
    broadcast_to,
    matrix_transpose,
    moveaxis,
    normal_axis,
    ravel,
    reshape,
    transpose,
)
from adgraph.tracing.numpy_api.table import implements, method, store
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

SlogdetResult = type(np.linalg.slogdet(np.eye(1)))


# --- products -------------------------------------------------------------------------------------


@implements(np.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    dtype = result_dtype(x1, x2)
    a, b = as_tracer(x1, dtype), as_tracer(x2, dtype)
    if not a.shape or not b.shape:
        raise ShapeError(message("matmul: operands must have at least one axis", "", "use *"))
    if a.ndim == b.ndim == 1 and a.shape == b.shape and dtype.kind == "f":
        return reduction.sum(a * b)  # fuses with what is around it, as a BLAS call would not
    left = reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    right = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    product = matrix_product(left, right)
    shape = product.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = (*shape[:-2], *shape[-1:]) if b.ndim > 1 else shape[:-1]
    return reshape(product, shape)


def matrix_product(a: Tracer, b: Tracer) -> Any:
    """Multiply stacks of matrices of one dtype; BLAS has none for integers and bools."""
    if a.dtype.kind in "fc":
        return multiply_matrices(a, b)
    (infer,) = multiply_matrices.result_types((a.type, b.type), {})
    left = reshape(a, (*a.shape, 1))
    right = reshape(b, (*b.shape[:-2], 1, *b.shape[-2:]))
    if a.dtype.kind == "b":
        return reduction.any(np.logical_and(left, right), -2)
    return as_tracer(reduction.sum(left * right, -2), infer.dtype)


@implements(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any, /) -> Any:
    return matmul(x1, x2)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = as_tracer(a), as_tracer(b)
    if not x.shape or not y.shape:
        return store(x * y, out, "np.dot")
    if x.ndim <= 2 and y.ndim <= 2:
        return store(matmul(x, y), out, "np.dot")
    result = np.tensordot(x, y, axes=(x.ndim - 1, max(y.ndim - 2, 0)))
    return store(result, out, "np.dot")


@method("dot")
def dot_method(a: Tracer, b: Any, out: Any = None) -> Any:
    return dot(a, b, out)


def conjugate(x: Any) -> Any:
    """Return the conjugate of complex numbers, and real ones as they are."""
    return np.conjugate(x) if x.dtype.kind == "c" else x


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    x, y = ravel(a), ravel(b)
    _check_length("np.vdot", x, y)
    return matmul(conjugate(x), y)


def _check_length(name: str, x: Tracer, y: Tracer) -> None:
    if x.shape[-1:] != y.shape[-1:]:
        raise ShapeError(
            message(f"{name}: the last axes of shapes {x.shape} and {y.shape} differ in extent")
        )


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    a, b = as_tracer(x1), as_tracer(x2)
    last = [moveaxis(x, axis, -1) for x in (a, b)]
    _check_length("np.vecdot", *last)
    return reduction.sum(conjugate(last[0]) * last[1], -1)


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /) -> Any:
    return reshape_last(matmul(x1, np.expand_dims(x2, -1)))


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /) -> Any:
    row = np.expand_dims(conjugate(as_tracer(x1)), -2)
    product = matmul(row, x2)
    return reshape(product, (*product.shape[:-2], product.shape[-1]))


def reshape_last(x: Tracer) -> Any:
    """Remove the last axis, whose extent is one."""
    return reshape(x, x.shape[:-1])


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    x, y = as_tracer(a), as_tracer(b)
    if not x.shape or not y.shape:
        return x * y
    _check_length("np.inner", x, y)
    return np.tensordot(x, y, axes=(-1, -1))


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    x, y = ravel(a), ravel(b)
    return store(reshape(x, (x.size, 1)) * y, out, "np.outer")


@implements(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    if type_of(x1).ndim != 1 or type_of(x2).ndim != 1:
        raise ShapeError(message("np.linalg.outer takes two arrays of one axis", "", "np.outer"))
    return outer(x1, x2)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = as_tracer(a), as_tracer(b)
    rank = max(x.ndim, y.ndim)
    left = (1,) * (rank - x.ndim) + x.shape
    right = (1,) * (rank - y.ndim) + y.shape
    spread_x = reshape(x, tuple(n for m in left for n in (m, 1)))
    spread_y = reshape(y, tuple(n for m in right for n in (1, m)))
    return reshape(spread_x * spread_y, tuple(m * n for m, n in zip(left, right, strict=True)))


@implements(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if x.shape[-1] not in (2, 3) or y.shape[-1] not in (2, 3):
        raise ShapeError(
            message(
                f"np.cross of vectors with {x.shape[-1]} and {y.shape[-1]} components",
                "a cross product is of vectors with two or three components",
            )
        )
    first, second = _components(x), _components(y)
    if x.shape[-1] == y.shape[-1] == 2:
        return first[0] * second[1] - first[1] * second[0]
    turns = ((1, 2), (2, 0), (0, 1))
    parts = [_minor(first, second, i, j) for i, j in turns]
    return np.moveaxis(np.stack(np.broadcast_arrays(*parts), axis=-1), -1, axisc)


@implements(np.linalg.cross)
def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    if type_of(x1).shape[axis] != 3 or type_of(x2).shape[axis] != 3:
        raise ShapeError(message("np.linalg.cross takes vectors with three components"))
    return cross(x1, x2, axis=axis)


def _components(x: Any) -> list[Any]:
    """Return the components of vectors; a third one that is missing is None."""
    found = [x[..., i] for i in range(x.shape[-1])]
    return found + [None] * (3 - len(found))


def _minor(x: list[Any], y: list[Any], i: int, j: int) -> Any:
    """Return x[i] y[j] - x[j] y[i]."""
    plus: Any = None if x[i] is None or y[j] is None else x[i] * y[j]
    minus: Any = None if x[j] is None or y[i] is None else x[j] * y[i]
    if minus is None:
        return plus
    return -minus if plus is None else plus - minus


# --- square matrices ------------------------------------------------------------------------------


def float_dtype(*arrays: Any) -> np.dtype[Any]:
    """Return the dtype in which numpy.linalg computes."""
    dtype = result_dtype(*(type_of(a).dtype for a in arrays))
    return dtype if dtype.kind in "fc" else np.dtype(float)


def matrix(a: Any) -> Tracer:
    """Return an argument in the dtype in which numpy.linalg computes."""
    x = as_tracer(a)
    return as_tracer(x, float_dtype(x))


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """Solve by an LU factorization, which the derivative uses again.

    As in NumPy 2, `b` is a vector only if it has one axis, else a stack of matrices.
    """
    square, right, vector = system("np.linalg.solve", a, b)
    x = solved(square, right)
    return reshape_last(x) if vector else x


def system(name: str, a: Any, b: Any) -> tuple[Tracer, Tracer, bool]:
    """Return a matrix and columns of one dtype, and whether they are those of one vector."""
    dtype = float_dtype(a, b)
    square, right = as_tracer(a, dtype), as_tracer(b, dtype)
    ops.check_square(f"{name}: the matrix", square.type)
    vector = right.ndim == 1
    columns = reshape(right, (*right.shape, 1)) if vector else right
    if columns.ndim < 2 or columns.shape[-2] != square.shape[-1]:
        raise ShapeError(
            message(
                f"{name}: a matrix of shape {square.shape} and a right-hand side of shape "
                f"{right.shape} do not fit",
                "the right-hand side needs as many rows as the matrix; one with more than one axis "
                "is a stack of matrices",
                f"write {name}(a, b[..., None])[..., 0] for a stack of vectors",
            )
        )
    return square, columns, vector


def stacked(*arrays: tuple[Tracer, int]) -> list[Any]:
    """Broadcast arrays against each other, but for so many last axes of each."""
    stack = np.broadcast_shapes(*(x.shape[: x.ndim - core] for x, core in arrays))
    return [broadcast_to(x, stack + x.shape[x.ndim - core :]) for x, core in arrays]


def solved(square: Tracer, columns: Tracer, *, transposed: bool = False) -> Any:
    """Solve for columns."""
    factors, pivots = ops.lu(square)
    operands = stacked((square, 2), (factors, 2), (pivots, 1), (columns, 2))
    return ops.lu_solve(*operands, transposed=transposed)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    return ops.inv(matrix(a))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    return ops.det(matrix(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    return SlogdetResult(*ops.slogdet(matrix(a)))


@implements(np.linalg.matrix_transpose)
def linalg_matrix_transpose(x: Any, /) -> Any:
    return matrix_transpose(x)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    x = as_tracer(a)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise MatrixError(message(f"np.linalg.matrix_power of an array of shape {x.shape}"))
    if not hasattr(n, "__index__"):
        raise TracingError(message(f"np.linalg.matrix_power: the exponent {n!r} is no integer"))
    power = n.__index__()
    if power == 0:
        identity = as_tracer(np.eye(x.shape[-1], dtype=x.dtype))
        return broadcast_to(identity, x.shape)
    return _power(inv(x) if power < 0 else x, abs(power))


def _power(x: Tracer, n: int) -> Any:
    """Multiply by repeated squaring."""
    if n == 1:
        return x
    half = _power(x, n // 2)
    square = matmul(half, half)
    return matmul(square, x) if n % 2 else square


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    x, right = as_tracer(a), as_tracer(b)
    order = list(range(x.ndim))
    for axis in axes or ():
        order.remove(normal_axis(axis, x.ndim))
        order.append(normal_axis(axis, x.ndim))
    turned = transpose(x, tuple(order))
    shape = turned.shape[-(x.ndim - right.ndim) :]
    size = math.prod(shape)
    if x.size != size**2:
        raise MatrixError(
            message(
                f"np.linalg.tensorsolve: arrays of shapes {x.shape} and {right.shape} do not fit",
                "the axes that are solved for need as many elements as the others",
            )
        )
    return reshape(solve(reshape(turned, (size, size)), ravel(right)), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    x = as_tracer(a)
    if ind <= 0:
        raise ShapeError(message(f"np.linalg.tensorinv: ind={ind} must be positive"))
    rows, columns = x.shape[ind:], x.shape[:ind]
    size = math.prod(rows)
    if size != math.prod(columns):
        raise MatrixError(
            message(
                f"np.linalg.tensorinv of an array of shape {x.shape} with ind={ind}",
                "the first axes need as many elements as the others",
            )
        )
    return reshape(inv(reshape(x, (size, size))), (*rows, *columns))


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    parts = [as_tracer(a) for a in arrays]
    if len(parts) < 2:
        raise ShapeError(message("np.linalg.multi_dot needs at least two arrays"))
    labels = [chr(ord("a") + i) for i in range(len(parts) + 1)]
    terms = [labels[i] + labels[i + 1] for i in range(len(parts))]
    if parts[0].ndim == 1:
        terms[0] = labels[1]
    if parts[-1].ndim == 1:
        terms[-1] = labels[-2]
    ends = (labels[0] if parts[0].ndim > 1 else "") + (labels[-1] if parts[-1].ndim > 1 else "")
    result = np.einsum(f"{','.join(terms)}->{ends}", *parts)
    return store(result, out, "np.linalg.multi_dot")
