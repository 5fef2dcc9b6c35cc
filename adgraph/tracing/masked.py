"""Masked reads: `x[mask]` for a mask that is known only when the program runs.

How many elements it selects is not known while tracing, so a `Masked` keeps all of them, with the
mask's axes made one, beside the mask. Elementwise functions act on all; reductions and products
count the selected ones only; writing through the same mask keeps the others. Masks are the same
if they are one value of the program. `numpy_api/compressed.py` holds NumPy's functions of masked
reads; begin here with `masked_read`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from adgraph.errors import (
    AxisIndexError,
    DtypeError,
    Location,
    ShapeError,
    TracingError,
    message,
)
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, read, tracer, write

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


class Masked(NDArrayOperatorsMixin):
    """The selected elements of an array: all of its elements, and a mask along one axis.

    Where it is a `view`, as of a slice in NumPy, `values` is a part of an array with other names.
    """

    __slots__ = ("axis", "mask", "values", "view")
    __array_priority__ = 2000.0

    def __init__(self, values: Tracer, mask: Tracer, axis: int, view: bool = False) -> None:
        self.values = values
        self.mask = mask
        self.axis = axis
        self.view = view

    # --- what an array tells of itself ------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """The number of axes, that of the selected elements being one."""
        return self.values.ndim

    @property
    def count(self) -> Tracer:
        """How many elements the mask selects: a traced integer."""
        return python_integer(np.count_nonzero(self.mask))

    @property
    def shape(self) -> tuple[Any, ...]:
        """The extents of the axes, of which one is a traced integer."""
        shape: list[Any] = list(self.values.shape)
        shape[self.axis] = self.count
        return tuple(shape)

    @property
    def size(self) -> Any:
        """The number of elements: a traced integer."""
        rest = (n for i, n in enumerate(self.values.shape) if i != self.axis)
        return self.count * math.prod(rest)

    @property
    def T(self) -> Any:  # noqa: N802  NumPy's name
        """The transpose."""
        return np.transpose(self)

    @property
    def real(self) -> Any:
        """The real part."""
        return self

    @property
    def behind(self) -> int:
        """The number of axes behind the masked one, by which operands are aligned."""
        return self.ndim - self.axis - 1

    def __repr__(self) -> str:
        return f"Masked({self.values.type}, axis {self.axis})"

    # --- NumPy's functions ------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "__call__" and ufunc not in FUNCTIONS:
            return elementwise(ufunc, *args, **kwargs)
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        function = FUNCTIONS.get(ufunc if method == "__call__" else (ufunc, method))
        if function is None:
            raise escape(f"{name} was called with {described(*args)}")
        return function(*args, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS:
            raise escape(f"np.{function.__name__} was called with {described(*args)}")
        return FUNCTIONS[function](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        method = METHODS.get(name)
        if method is None:
            raise AttributeError(str(escape(f"the attribute {name!r} of {described(self)}")))
        return lambda *args, **kwargs: method(self, *args, **kwargs)

    # --- what would need to know the selected elements now ------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise escape(f"{described(self)} was used where an array of known shape is needed")

    def __len__(self) -> int:
        raise escape(f"the length of {described(self)} was asked for")

    def __iter__(self) -> Iterator[Any]:
        raise escape(f"{described(self)} was iterated over")

    def __bool__(self) -> bool:
        raise escape(f"the truth value of {described(self)} was asked for")

    # --- parts ------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Masked):
            return Masked(self.values, _narrowed(self, key), self.axis)
        parts, axis = _unmasked_key(self, key)
        return Masked(DISPATCH.getitem(self.values, parts), self.mask, axis)

    def __setitem__(self, key: Any, value: Any) -> None:
        chosen = self[key]
        write_masked(chosen.values, chosen.mask, chosen.axis, value)


# --- errors ---------------------------------------------------------------------------------------


def described(*operands: Any) -> str:
    """Describe the first masked read among the arguments of a function."""
    for x in operands:
        if isinstance(x, Masked):
            return f"x[mask] of {x.values.type} (mask {x.mask.type} along axis {x.axis})"
    return "x[mask]"


def escape(found: str, at: Location | None = None) -> TracingError:
    """Return the error about a masked read whose shape would have to be known."""
    return TracingError(
        message(
            found,
            "how many elements a traced mask selects, and so the shape, is not known while "
            "tracing; such a read can be computed with elementwise and then be reduced, "
            "multiplied with a read of the same mask, or written back through it",
            "reduce it (x[mask].sum(), .mean(), .max(), np.dot(x[mask], y[mask])), write it back "
            "(y[mask] = f(x[mask])), or keep all elements: np.where(mask, f(x), 0)",
            at,
        )
    )


def python_integer(x: Any) -> Tracer:
    """Return a traced integer that takes its partner's dtype."""
    result = as_tracer(x, np.int64)
    result.weak = int
    return result


# --- which operands fit together ------------------------------------------------------------------


def first_masked(operands: Any) -> Masked:
    """Return the first masked read of several operands."""
    return next(x for x in operands if isinstance(x, Masked))


def has_masked(operands: Any) -> bool:
    """Tell whether an operand is a masked read."""
    return any(isinstance(x, Masked) for x in operands)


def check_same(a: Masked, b: Masked) -> None:
    """Refuse two masked reads with different masks."""
    if a.mask.cell.value is not b.mask.cell.value and read(a.mask) is not read(b.mask):
        raise ShapeError(
            message(
                f"two reads through different masks were used together: {described(a)} and "
                f"{described(b)}",
                "elements that different masks select do not correspond; masks are the same if "
                "they are computed alike from arrays that were not written in between",
                "compute the mask once, m = ..., and use x[m] and y[m]",
            )
        )


def aligned(of: Masked, operand: Any) -> Any:
    """Return an operand as what is to be combined with all elements of a masked read."""
    if isinstance(operand, Masked):
        check_same(of, operand)
        if of.behind != operand.behind:
            raise _no_partner(of, operand.ndim)
        return operand.values
    shape = np.shape(operand)
    if len(shape) > of.behind and shape[-of.behind - 1] != 1:
        raise _no_partner(of, len(shape))
    return operand


def _no_partner(of: Masked, rank: int) -> ShapeError:
    return ShapeError(
        message(
            f"an array of {rank} axes was combined with {described(of)}",
            "an array with an axis for the selected elements must be selected by the same mask",
            "select from it too: x[mask] * y[mask]",
        )
    )


def elementwise(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Apply an elementwise function to all elements of masked reads with one mask."""
    out, where = kwargs.pop("out", None), kwargs.pop("where", None)
    target = out[0] if isinstance(out, tuple) else out
    like = first_masked((*args, *kwargs.values(), target, where))
    args = tuple(aligned(like, x) for x in args)
    options = {name: aligned(like, x) for name, x in kwargs.items()}
    result = function(*args, **options)
    if isinstance(result, tuple):
        return tuple(like_masked(like, r) for r in result)
    if target is None:
        return like_masked(like, result)
    return _stored(like, result, target, where)


def like_masked(like: Masked, values: Tracer) -> Masked:
    """Return values with the mask of a read, which is as far from the last axis."""
    return Masked(values, like.mask, values.ndim - like.behind - 1)


def _stored(like: Masked, result: Tracer, target: Any, where: Any) -> Masked:
    """Store a result as `out=` and `where=` of a ufunc ask."""
    if not isinstance(target, Masked):
        raise escape(f"{described(like)} was to be written into an array through out=")
    check_same(like, target)
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise DtypeError(
            message(
                f"cannot write values of dtype {result.dtype} into x[mask] of dtype {target.dtype}",
                "NumPy's in-place operators keep the array's dtype",
                "write y = x[mask] + z",
            )
        )
    chosen: Any = True if where is None else aligned(like, where)
    if target.view:
        chosen = chosen & along(target)
    write(target.values, result if chosen is True else np.where(chosen, result, target.values))
    return target


# --- reading and writing --------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What a key with a traced mask selects from: a view, and the mask from `axis` on."""

    view: Tracer
    mask: Tracer
    axis: int

    @property
    def flat(self) -> tuple[int, ...]:
        """The shape of the view with the mask's axes made one."""
        shape = self.view.shape
        behind = shape[self.axis + self.mask.ndim :]
        extent = self.mask.shape[0] if self.mask.ndim == 1 else math.prod(self.mask.shape)
        return (*shape[: self.axis], extent, *behind)


def traced_mask(key: Any) -> Tracer | None:
    """Return the first mask of a key that is a bool array known only when the program runs."""
    parts = key if isinstance(key, tuple) else (key,)
    masks = (p for p in parts if isinstance(p, Tracer) and p.dtype.kind == "b")
    return next((m for m in masks if known_value(m) is None), None)


def is_masked_key(key: Any) -> bool:
    """Tell whether what a key selects is known only when the program runs."""
    parts = key if isinstance(key, tuple) else (key,)
    return has_masked(parts) or traced_mask(key) is not None


def masked_view(x: Tracer, key: Any) -> Masked:
    """Record `x[key]` for a key in which masks stand for slices."""
    place = _place(x, key, sliced=True)
    shared = place.view.cell is x.cell
    values = place.view if shared else tracer(read(place.view))
    return Masked(values, line(place.mask), place.axis, shared)


def masked_read(x: Tracer, key: Any) -> Masked:
    """Record `x[key]` for a key with a traced mask."""
    place = _place(x, key)
    view: Any = place.view if place.mask.ndim == 1 else np.reshape(place.view, place.flat)
    return Masked(tracer(read(view)), line(place.mask), place.axis)


def line(mask: Tracer) -> Tracer:
    """Return a new mask with one axis."""
    flat: Any = mask if mask.ndim == 1 else np.reshape(mask, (-1,))
    return tracer(read(flat))


def masked_write(x: Tracer, key: Any, value: Any) -> None:
    """Record `x[key] = value` for a key with a traced mask."""
    place = _place(x, key)
    if place.view.cell is not x.cell:
        raise TracingError(
            message(
                "an array was written through a traced mask beside a traced integer",
                "a part at a position known only when the program runs is a copy",
                "take the part, write it and put it back: y = x[i]; y[mask] = v; x[i] = y",
            )
        )
    mask = line(place.mask)
    if place.mask.ndim == 1:
        write_masked(place.view, mask, place.axis, value)
        return
    whole: Any = np.reshape(place.view, place.flat)
    flat = tracer(read(whole))
    write_masked(flat, mask, place.axis, value)
    write(place.view, np.reshape(flat, place.view.shape))


def write_masked(target: Tracer, mask: Tracer, axis: int, value: Any) -> None:
    """Replace the elements of an array that a mask along one axis selects."""
    write_view(Masked(target, mask, axis), value)


def write_view(chosen: Masked, value: Any) -> None:
    """Replace the selected elements of the array that a masked read is a view of."""
    target = chosen.values
    new = value if isinstance(value, Masked) else as_tracer(value, target.dtype)
    fitting = _assignable(chosen, new)
    write(target, np.where(along(chosen), as_tracer(fitting, target.dtype), target))


def _assignable(chosen: Masked, value: Any) -> Any:
    """Return what is to be assigned, one value for every element or one for all."""
    if isinstance(value, Masked):
        return aligned(chosen, value)
    extra = value.ndim - chosen.ndim
    if extra > 0 and value.shape[:extra] == (1,) * extra:
        value = np.reshape(value, value.shape[extra:])
    if value.ndim > chosen.behind and value.shape[-chosen.behind - 1] != 1:
        raise TracingError(
            message(
                f"an array of shape {value.shape} was assigned through a traced mask",
                "how many of its elements are used is not known while tracing",
                "assign a number, a read through the same mask (x[mask] = y[mask]), or give a "
                "value for every element: np.where(mask, value, x)",
            )
        )
    return value


def along(x: Masked) -> Tracer:
    """Return the mask in a shape that broadcasts against all elements."""
    if x.ndim == 1:
        return x.mask
    shape = [1] * x.ndim
    shape[x.axis] = x.mask.shape[0]
    reshaped: Tracer = np.reshape(x.mask, tuple(shape))  # type: ignore[assignment]
    return reshaped


def filled(x: Masked, otherwise: Any) -> Tracer:
    """Return all elements, with those the mask leaves out replaced."""
    chosen: Any = np.where(along(x), x.values, as_tracer(otherwise, x.dtype))
    return as_tracer(chosen)


# --- keys -----------------------------------------------------------------------------------------


def _place(x: Tracer, key: Any, sliced: bool = False) -> Place:
    """Analyse a key with a traced mask: what else it holds is a view.

    Ints count as indexed axes, as in NumPy: apart from the mask they send it to the front, unless
    it stands for a slice.
    """
    parts = _without_ellipsis(x.ndim, key if isinstance(key, tuple) else (key,))
    mask = traced_mask(tuple(parts))
    assert mask is not None
    at = next(i for i, p in enumerate(parts) if p is mask)
    _check_beside(parts, at)
    first = sum(p is not None and not _is_int(p) for p in parts[:at])
    every = [slice(None)] * mask.ndim
    view = DISPATCH.getitem(x, (*parts[:at], *every, *parts[at + 1 :]))
    axis = first + sum(p is None for p in parts[:at])
    if view.shape[axis : axis + mask.ndim] != mask.shape:
        raise AxisIndexError(
            message(
                f"a mask of shape {mask.shape} indexes axes of extents "
                f"{view.shape[axis : axis + mask.ndim]} of an array of shape {x.shape}",
                "a mask has the shape of what it selects from",
            )
        )
    indexed = [i for i, p in enumerate(parts) if i == at or _is_int(p)]
    if sliced or indexed[-1] - indexed[0] == len(indexed) - 1:
        return Place(view, mask, axis)
    masked_axes = range(axis, axis + mask.ndim)
    others = (i for i in range(view.ndim) if i not in masked_axes)
    turned: Any = np.transpose(view, (*masked_axes, *others))
    return Place(turned, mask, 0)


def _without_ellipsis(rank: int, parts: tuple[Any, ...]) -> list[Any]:
    used = sum(_used_axes(p) for p in parts)
    places = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(places) > 1:
        raise AxisIndexError(message("an index can only have a single ellipsis ('...')"))
    if used > rank:
        raise AxisIndexError(message(f"too many indices: {used} for an array of {rank} axes"))
    at = places[0] if places else len(parts)
    return [*parts[:at], *[slice(None)] * (rank - used), *parts[at + 1 :]]


def _used_axes(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, (Tracer, np.ndarray)) and part.dtype.kind == "b":
        return part.ndim
    return 1


def _is_int(part: Any) -> bool:
    return part is not None and not isinstance(part, slice) and not np.ndim(part)


def _check_beside(parts: list[Any], at: int) -> None:
    for i, part in enumerate(parts):
        if i != at and not (part is None or isinstance(part, slice) or _is_int(part)):
            raise TracingError(
                message(
                    "a traced mask stands in an index beside another array",
                    "how many elements it selects is not known while tracing, so that their "
                    "positions cannot be paired",
                    "combine masks first (m & n), or index in two steps: y = x[:, idx]; y[mask]",
                )
            )


def _unmasked_key(x: Masked, key: Any) -> tuple[tuple[Any, ...], int]:
    """Check that a key takes the whole masked axis; return it and where the axis goes."""
    parts = _without_ellipsis(x.ndim, key if isinstance(key, tuple) else (key,))
    places = [i for i, p in enumerate(parts) if p is not None]
    at = places[x.axis]
    basic = all(p is None or isinstance(p, slice) or _is_int(p) for p in parts)
    if not basic or parts[at] != slice(None):
        raise escape(f"{described(x)} was indexed by position")
    axis = sum(not _is_int(p) for p in parts[:at])
    return tuple(parts), axis


def _narrowed(x: Masked, key: Masked) -> Tracer:
    """Return the mask of what a condition on selected elements selects."""
    check_same(x, key)
    if key.dtype.kind != "b" or key.ndim != 1 or x.axis != 0:
        raise escape(f"{described(x)} was indexed by {described(key)}")
    both: Tracer = np.logical_and(x.mask, key.values)  # type: ignore[assignment]
    return both
