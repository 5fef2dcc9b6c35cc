"""What a `for` runs over: ranges with traced or affine bounds, arrays, `enumerate`, `zip`.

`Items` gives the item at a position that may be a loop index, so that a body can be traced once.
Lists, generators and the like have no `Items`: a loop over them unrolls. Begin with `items_of`.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, message
from adgraph.ir.dims import Affine, Dim, UndecidedError, lower_bound
from adgraph.tracing.affine import steps
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.frames import uncapturable
from adgraph.tracing.tracer import ArrayTracer, Tracer, as_tracer, dim_of, integer, known_value


@dataclass(frozen=True)
class Items:
    """`count` items; the one in trip t is `at(first + t * step)`.

    `first` and `count` are dims, or traced integers; there are no items if `count` is negative.
    The count of the trips of a `while` is None.
    """

    first: Any
    count: Any
    step: int
    at: Callable[[Any], Any]

    @property
    def counted(self) -> bool:
        """Whether the number of trips is known only when the program runs."""
        dims = (int, Affine)
        return not isinstance(self.count, dims) or not isinstance(self.first, dims)

    @property
    def least(self) -> int:
        """The number of trips that are made in any case."""
        return 0 if self.counted else max(lower_bound(self.count) or 0, 0)

    def position(self, trip: Any) -> Any:
        """Return what stands for the position in a trip."""
        return integer(self.first) + trip * self.step

    def item(self, trip: Any) -> Any:
        """Return the item of a trip."""
        return self.at(self.position(trip))

    def rest(self) -> Items:
        """Return the items behind the first one."""
        return Items(self.first + self.step, self.count - 1, self.step, self.at)

    def reversed(self) -> Items:
        """Return the items from the last to the first."""
        last = self.first + (self.count - 1) * self.step
        return Items(last, self.count, -self.step, self.at)

    def __iter__(self) -> Iterator[Any]:
        return (self.item(trip) for trip in builtins.range(self._known()))

    def __len__(self) -> int:
        return self._known()

    def _known(self) -> int:
        if isinstance(self.count, int):
            return max(self.count, 0)
        raise uncapturable(
            TracingError(
                message(
                    "Python itself runs over a range whose length is not known while tracing",
                    "a for statement over such a range becomes a loop; a comprehension, list() or "
                    "sum() does not",
                    "write a for statement that fills an array made before",
                )
            )
        )


def items_of(x: Any) -> Items | None:
    """Return what a loop over `x` runs over, if it has an item for every position."""
    match x:
        case Items():
            return x
        case builtins.range():
            return Items(x.start, len(x), x.step, _same)
        case ArrayTracer():
            return Items(0, x.shape[0], 1, lambda i: DISPATCH.getitem(x, i))
        case np.ndarray() if type(x) is np.ndarray and x.ndim and x.dtype.kind in "biufc":
            return Items(0, len(x), 1, lambda i: _part(x, i))
        case _:
            return None


def _same(position: Any) -> Any:
    return position


def _part(array: np.ndarray[Any, Any], position: Any) -> Any:
    if isinstance(position, int):
        return array[position]
    return DISPATCH.getitem(as_tracer(array), position)


# --- builtins -------------------------------------------------------------------------------------


def range(*bounds: Any) -> Any:
    """`range`, of which bounds may be loop indices or traced integers."""
    known = [_known(b) for b in bounds]
    if not any(isinstance(b, (Affine, Tracer)) for b in known):
        return builtins.range(*known)
    start, stop, step = (0, known[0], 1) if len(known) == 1 else (*known, 1)[:3]
    if isinstance(step, (Affine, Tracer)):
        raise uncapturable(
            TracingError(
                message(
                    "the step of a range is not known while tracing",
                    "whether the loop counts up or down must be known",
                    "multiply in the body: for t in range(n): i = start + t * step",
                )
            )
        )
    step = operator.index(step)
    if step == 0:
        raise ShapeError(message("range() arg 3 must not be zero"))
    return Items(start, _trips(start, stop, step), step, _same)


def _known(bound: Any) -> Any:
    if not isinstance(bound, Tracer):
        return bound
    if bound.shape or bound.dtype.kind not in "iub":
        raise DtypeError(
            message(
                f"range() of a traced {bound.dtype} of shape {bound.shape}",
                "its bounds are integers, as in Python",
                "pass n as an int, or write range(int(n)) to leave out what is behind the point",
            )
        )
    dim = dim_of(bound)
    known = known_value(bound) if dim is None else None
    if dim is not None:
        return dim
    return bound if known is None else operator.index(known.item())


def _trips(start: Any, stop: Any, step: int) -> Any:
    """Return how many steps there are from start to stop, a traced integer if it is not affine."""
    if isinstance(start, Tracer) or isinstance(stop, Tracer):
        return _steps(integer(start), integer(stop), step)
    distance: Dim = (stop - start) if step > 0 else (start - stop)
    try:
        return distance if abs(step) == 1 else steps(distance, abs(step))
    except UndecidedError:
        return _steps(integer(start), integer(stop), step)


def _steps(start: Any, stop: Any, step: int) -> Any:
    distance = stop - start if step > 0 else start - stop
    whole = (distance + (abs(step) - 1)) // abs(step)
    return as_tracer(np.maximum(whole, 0), np.int64)


def enumerate(iterable: Any, start: Any = 0) -> Any:
    """`enumerate`, of an array or a range in a way that a loop can be captured over."""
    items = items_of(iterable)
    if items is None:
        return builtins.enumerate(iterable, start)
    return Items(0, items.count, 1, lambda trip: (trip + start, items.item(trip)))


def zip(*iterables: Any, strict: bool = False) -> Any:
    """`zip`, of arrays and ranges in a way that a loop can be captured over."""
    parts = [items_of(x) for x in iterables]
    counts = {p.count for p in parts if p is not None}
    if None in parts or not parts or not all(isinstance(c, (int, Affine)) for c in counts):
        return builtins.zip(*iterables, strict=strict)
    if len(counts) > 1 and (strict or not all(isinstance(c, int) for c in counts)):
        return builtins.zip(*iterables, strict=strict)
    return Items(0, min(counts), 1, lambda trip: tuple(p.item(trip) for p in parts if p))


def reversed(x: Any) -> Any:
    """`reversed`, of arrays and ranges in a way that a loop can be captured over."""
    items = items_of(x)
    return builtins.reversed(x) if items is None else items.reversed()
