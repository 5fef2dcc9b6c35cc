"""What a traced array offers of ndarray: attributes, operators, methods and NumPy's protocols.

`ArrayInterface` says how each of them reaches the function that does it, through `DISPATCH`, for
the NumPy interface stands above. `tracer` says what a traced array is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import message
from adgraph.ir.op import Traced
from adgraph.ir.types import ArrayType, Shape


class Dispatch:
    """What an array needs of the modules above it: `operators` and `numpy_api` fill it in."""

    operate: Callable[..., Any]
    operate_in_place: Callable[..., Any]
    ufunc: Callable[..., Any]
    function: Callable[..., Any]
    method: Callable[[str], Callable[..., Any] | None]
    getitem: Callable[[Any, Any], Any]
    setitem: Callable[[Any, Any, Any], None]
    namespace: Callable[[str | None], Any]


DISPATCH = Dispatch()


class ArrayInterface(Traced):
    """NumPy's side of a traced array: what follows from its type, and what is dispatched."""

    __slots__ = ("_type",)
    __array_priority__ = 1000.0
    _type: ArrayType

    # --- what an array tells of itself ------------------------------------------------------------

    @property
    def type(self) -> ArrayType:
        """The shape and the dtype."""
        return self._type

    @property
    def shape(self) -> Shape:
        """The extents of the axes."""
        return self._type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return self._type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._type.shape)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return self._type.size

    @property
    def nbytes(self) -> int:
        """The number of bytes of the elements."""
        return self._type.nbytes

    @property
    def itemsize(self) -> int:
        """The number of bytes of one element."""
        return self._type.dtype.itemsize

    @property
    def device(self) -> str:
        """Where the elements are, which the Array API asks for."""
        return "cpu"

    @property
    def T(self) -> Any:  # noqa: N802  NumPy's name
        """The transpose."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802
        """The transpose of the last two axes."""
        return np.matrix_transpose(self)

    @property
    def flat(self) -> Any:
        """The elements in C order."""
        method = DISPATCH.method("flat")
        assert method is not None
        return method(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[...] = value

    @property
    def real(self) -> Any:
        """The real part."""
        return np.real(self)

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return np.imag(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        return DISPATCH.ufunc(ufunc, method, args, kwargs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        return DISPATCH.function(function, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return DISPATCH.namespace(api_version)

    def __add__(self, other: Any) -> Any:
        return DISPATCH.operate(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return DISPATCH.operate(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return DISPATCH.operate(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return DISPATCH.operate(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return DISPATCH.operate(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return DISPATCH.operate(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return DISPATCH.operate(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return DISPATCH.operate(np.true_divide, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return DISPATCH.operate(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return DISPATCH.operate(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return DISPATCH.operate(np.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return DISPATCH.operate(np.remainder, other, self)

    def __pow__(self, other: Any) -> Any:
        return DISPATCH.operate(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return DISPATCH.operate(np.power, other, self)

    def __matmul__(self, other: Any) -> Any:
        return np.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)

    def __and__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return DISPATCH.operate(np.bitwise_xor, other, self)

    def __lshift__(self, other: Any) -> Any:
        return DISPATCH.operate(np.left_shift, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return DISPATCH.operate(np.left_shift, other, self)

    def __rshift__(self, other: Any) -> Any:
        return DISPATCH.operate(np.right_shift, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return DISPATCH.operate(np.right_shift, other, self)

    def __neg__(self) -> Any:
        return DISPATCH.operate(np.negative, self)

    def __pos__(self) -> Any:
        return DISPATCH.operate(np.positive, self)

    def __abs__(self) -> Any:
        return DISPATCH.operate(np.absolute, self)

    def __invert__(self) -> Any:
        return DISPATCH.operate(np.invert, self)

    def __lt__(self, other: Any) -> Any:
        return DISPATCH.operate(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return DISPATCH.operate(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return DISPATCH.operate(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return DISPATCH.operate(np.greater_equal, self, other)

    def __eq__(self, other: Any) -> Any:
        if other is None:
            return np.zeros_like(self, bool) if self.shape else False
        return DISPATCH.operate(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        if other is None:
            return np.ones_like(self, bool) if self.shape else True
        return DISPATCH.operate(np.not_equal, self, other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __iadd__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.add, self, other)

    def __isub__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.subtract, self, other)

    def __imul__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.multiply, self, other)

    def __itruediv__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.true_divide, self, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.floor_divide, self, other)

    def __imod__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.remainder, self, other)

    def __ipow__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.power, self, other)

    def __iand__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.bitwise_and, self, other)

    def __ior__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.bitwise_or, self, other)

    def __ixor__(self, other: Any) -> Any:
        return DISPATCH.operate_in_place(np.bitwise_xor, self, other)

    def __getattr__(self, name: str) -> Any:
        method = DISPATCH.method(name)
        if method is None:
            raise AttributeError(
                message(
                    f"a traced array has no attribute {name!r}",
                    "only what can become part of a graph is offered",
                    "use the function of np with the same purpose",
                )
            )
        return lambda *args, **kwargs: method(self, *args, **kwargs)
