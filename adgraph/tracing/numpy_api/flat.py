"""`x.flat`: the elements of an array in C order, whatever its order in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adgraph.tracing.numpy_api.indexing import getitem, setitem
from adgraph.tracing.numpy_api.shape import ravel, reshape, strong
from adgraph.tracing.numpy_api.table import method
from adgraph.tracing.tracer import Tracer, check_writable, write


class Flat:
    """What NumPy calls `flatiter`: it reads copies of elements, and writes into the array."""

    __slots__ = ("base",)

    def __init__(self, base: Tracer) -> None:
        self.base = base

    def __len__(self) -> int:
        return int(self.base.size)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return getitem(strong(ravel(self.base)), key)

    def __setitem__(self, key: Any, value: Any) -> None:
        write_flat(self.base, key, value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.base.__array__(dtype, copy)

    def copy(self) -> Any:
        """Return the elements as a new array."""
        return strong(ravel(self.base))


def write_flat(x: Tracer, key: Any, value: Any) -> None:
    """Write at positions of the flattened array; memory order does not matter to it."""
    check_writable(x)
    if x.ndim == 1:
        setitem(x, key, value)
        return
    elements = strong(ravel(x))
    setitem(elements, key, value)
    write(x, reshape(elements, x.shape))


@method("flat")
def flat(a: Tracer) -> Flat:
    return Flat(a)
