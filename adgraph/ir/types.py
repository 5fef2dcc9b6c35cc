"""Array types and the hashable forms of indices and constant arrays.

`ArrayType` is the static type of a value; `Slice` and `Constant` are the frozen attribute forms of
a slice and of an array. Begin with `ArrayType`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adgraph.ir.dims import Dim, upper_bound

Dtype = np.dtype[Any]
Shape = tuple[Any, ...]  # of Dim: NumPy's stubs know plain ints only

_LETTER = {"f": "f", "c": "c", "i": "i", "u": "u"}


def dtype_code(dtype: Dtype) -> str:
    """Name a dtype by kind and bits: `f64`, `i32`, `bool`."""
    if dtype.kind not in _LETTER:  # bool, and what only an error message speaks of
        return dtype.name
    return f"{_LETTER[dtype.kind]}{dtype.itemsize * 8}"


def dtype_of_code(code: str) -> Dtype:
    """Invert `dtype_code`."""
    if code == "bool":
        return np.dtype(bool)
    return np.dtype(f"{code[0]}{int(code[1:]) // 8}")


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The dtype and shape of an array, printed `f64[128,3]`.

    Inside the body of a loop an extent may be an affine function of loop indices: `f64[i]`. Such
    extents are equal when they are the same expression.

    >>> str(ArrayType(np.dtype(float), (128, 3)))
    'f64[128,3]'
    """

    dtype: Dtype
    shape: Shape

    def __str__(self) -> str:
        return f"{dtype_code(self.dtype)}[{','.join(map(str, self.shape))}]"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Any:
        """The number of elements: an int unless an extent is affine."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of the elements; of an affine extent, at its upper bound."""
        return math.prod(self.bounded().shape) * self.dtype.itemsize

    @property
    def ragged(self) -> bool:
        """Whether an extent changes with a loop index."""
        return any(not isinstance(n, int) for n in self.shape)

    def bounded(self) -> ArrayType:
        """Return the type with every affine extent at its upper bound."""
        return ArrayType(self.dtype, tuple(map(_largest, self.shape))) if self.ragged else self

    @property
    def inexact(self) -> bool:
        """Whether derivatives with respect to such a value exist (float or complex)."""
        return self.dtype.kind in "fc"

    def with_shape(self, shape: Shape) -> ArrayType:
        """Return the type of the same dtype with another shape."""
        return ArrayType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: Any) -> ArrayType:
        """Return the type of the same shape with another dtype."""
        return ArrayType(np.dtype(dtype), self.shape)


def _largest(extent: Dim) -> int:
    most = upper_bound(extent)
    if most is None:
        raise ValueError(f"the extent {extent} has no upper bound")
    return max(most, 0)


@dataclass(frozen=True, slots=True)
class Slice:
    """A normalised slice: `size` elements from `start` in steps of `step`, nothing negative wraps.

    >>> Slice.of(slice(None, None, -1), 5)
    Slice(start=4, size=5, step=-1)
    """

    start: Dim
    size: Dim
    step: int

    @staticmethod
    def of(index: slice, extent: int) -> Slice:
        """Normalise a Python slice of an axis with `extent` elements."""
        start, stop, step = index.indices(extent)
        size = len(range(start, stop, step))
        return Slice(start if size else 0, size, step if size > 1 else 1)

    def native(self) -> slice:
        """Return the Python slice that selects the same elements; none is affine."""
        if not self.size:
            return slice(0, 0)
        stop = self.start + self.size * self.step
        return slice(self.start, stop if stop >= 0 else None, self.step)

    def __str__(self) -> str:
        stop = self.start + self.size * self.step
        return f"{self.start}:{stop}" + ("" if self.step == 1 else f":{self.step}")


Index = tuple[Any, ...]  # of Dim | Slice, one for each axis


def native_index(index: Index) -> tuple[Any, ...]:
    """Return the NumPy index of a normalised one without loop indices."""
    return tuple(i.native() if isinstance(i, Slice) else i for i in index)


@dataclass(frozen=True, eq=False)
class Constant:
    """A read-only array that compares and hashes by dtype, shape and bytes."""

    array: np.ndarray[Any, Any]

    @staticmethod
    def of(value: Any) -> Constant:
        """Freeze a copy of `value`."""
        array = np.array(value)
        array.setflags(write=False)
        return Constant(array)

    @cached_property
    def digest(self) -> str:
        """A name of the content: the first half of its SHA-256."""
        head = f"{self.array.dtype.str}{self.array.shape}".encode()
        return hashlib.sha256(head + self.array.tobytes()).hexdigest()[:32]

    @cached_property
    def fill(self) -> Any:
        """The NumPy scalar that every element is, bit for bit, or None if they differ."""
        if self.array.size == 0:
            return None
        first = self.array.flat[0]
        if self.array.size > 1 and self.array.tobytes() != first.tobytes() * self.array.size:
            return None
        return first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def type_of_array(x: Any) -> ArrayType:
    """Return the type of a NumPy array or scalar."""
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    return ArrayType(array.dtype, array.shape)
