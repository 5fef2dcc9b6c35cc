"""Functions that put arrays together or take them apart: concatenate, stack, split, tile, ...

Everything is made of slices, broadcasts and `concatenate`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message
from adgraph.ir.op import type_of
from adgraph.ir.types import Slice
from adgraph.ops import indexing
from adgraph.ops import shape as ops
from adgraph.tracing.affine import box as cut
from adgraph.tracing.numpy_api.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    check_cast,
    copy,
    dtype_of,
    expand_dims,
    normal_axes,
    normal_axis,
    ravel,
    reshape,
    strong,
    transpose,
)
from adgraph.tracing.numpy_api.table import implements, method, store
from adgraph.tracing.tracer import Tracer, as_tracer, known_value, result_dtype

# --- joining --------------------------------------------------------------------------------------


@implements(np.concatenate, np.concat)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    parts = list(arrays)
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    return store(join(parts, axis, dtype, casting), out, "np.concatenate")


def join(parts: list[Any], axis: int, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Concatenate arrays after converting them to their common dtype."""
    if not parts:
        raise ShapeError(message("need at least one array to concatenate"))
    common = np.dtype(dtype) if dtype is not None else result_dtype(*map(dtype_of, parts))
    for part in parts:
        check_cast("np.concatenate", dtype_of(part), common, casting)
    tracers = [as_tracer(p, common) for p in parts]
    ranks = [t.ndim for t in tracers]
    if not min(ranks) or len(set(ranks)) > 1:
        shapes = ", ".join(str(t.shape) for t in tracers)
        raise ShapeError(
            message(
                f"cannot concatenate arrays of shapes {shapes}",
                "they need the same number of axes, at least one",
                "use np.stack, or insert axes with x[None]",
            )
        )
    place = normal_axis(axis, ranks[0])
    return copy(tracers[0]) if len(tracers) == 1 else ops.concatenate(*tracers, axis=place)


@implements(np.stack)
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    parts = list(arrays)
    shapes = [type_of(p).shape for p in parts]
    if len(set(shapes)) > 1:
        listed = ", ".join(map(str, shapes))
        raise ShapeError(message(f"np.stack: all arrays must have one shape, found {listed}"))
    place = normal_axis(axis, len(shapes[0]) + 1) if parts else 0
    result = join([expand_dims(p, place) for p in parts], place, dtype, casting)
    return store(result, out, "np.stack")


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) or (type(x) is np.ndarray and x.ndim) else [x]


def _each(prepare: Callable[..., Any], arrays: Any) -> list[Any]:
    return _listed(prepare(*arrays))


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return join(_each(atleast_2d, tup), 0, dtype, casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = _each(atleast_1d, tup)
    flat = bool(parts) and type_of(parts[0]).ndim == 1
    return join(parts, 0 if flat else 1, dtype, casting)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    return join(_each(atleast_3d, tup), 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    parts = [transpose(atleast_2d(p)) if type_of(p).ndim < 2 else p for p in tup]
    return join(parts, 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate((arr, values), axis)


# --- taking apart ---------------------------------------------------------------------------------


def part(x: Tracer, axis: int, start: int, stop: int | None) -> Any:
    """Return the view `x[..., start:stop, ...]` along one axis."""
    box = [Slice(0, n, 1) for n in x.shape]
    box[axis] = cut(slice(start, stop), x.shape[axis])
    return ops.getitem(x, index=tuple(box))


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    x = as_tracer(ary)
    place = normal_axis(axis, x.ndim)
    extent = x.shape[place]
    edges = _edges(indices_or_sections, extent)
    return [part(x, place, start, stop) for start, stop in itertools.pairwise(edges)]


def _edges(sections: Any, extent: int) -> list[Any]:
    if np.ndim(sections):
        return [0, *(int(i) for i in sections), None]
    count = int(sections)
    if count <= 0:
        raise ShapeError(message(f"cannot split into {count} sections"))
    size, longer = divmod(extent, count)
    return [0, *itertools.accumulate([size + 1] * longer + [size] * (count - longer))]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    x = as_tracer(ary)
    extent = x.shape[normal_axis(axis, x.ndim)]
    if not np.ndim(indices_or_sections) and extent % int(indices_or_sections):
        raise ShapeError(
            message(
                f"np.split: {extent} elements do not divide into {indices_or_sections} equal parts",
                "",
                "use np.array_split",
            )
        )
    return array_split(x, indices_or_sections, axis)


def _split_along(function: Callable[..., Any], axis: int, rank: int) -> None:
    @implements(function)
    def split_along(ary: Any, indices_or_sections: Any) -> Any:
        x = as_tracer(ary)
        if x.ndim < rank:
            raise ShapeError(message(f"np.{function.__name__} needs {rank} axes, found {x.shape}"))
        return split(x, indices_or_sections, axis if x.ndim > 1 else 0)


_split_along(np.vsplit, 0, 2)
_split_along(np.hsplit, 1, 1)
_split_along(np.dsplit, 2, 3)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    return tuple(_moved_first(as_tracer(x), axis))


def _moved_first(x: Tracer, axis: int) -> Any:
    place = normal_axis(axis, x.ndim)
    return transpose(x, (place, *(i for i in range(x.ndim) if i != place)))


# --- turning --------------------------------------------------------------------------------------


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = as_tracer(m)
    axes = normal_axes(axis, x.ndim)
    box = tuple(
        Slice(n - 1, n, -1) if i in axes and n not in (0, 1) else Slice(0, n, 1)
        for i, n in enumerate(x.shape)
    )
    return ops.getitem(x, index=box) if axes else x


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    x = as_tracer(m)
    if len(axes) != 2:
        raise ShapeError(message(f"np.rot90: axes={tuple(axes)} are not two axes"))
    i, j = (normal_axis(a, x.ndim) for a in axes)
    if i == j:
        raise ShapeError(message(f"np.rot90: the axes {tuple(axes)} must differ"))
    order = list(range(x.ndim))
    order[i], order[j] = j, i
    match k % 4:
        case 0:
            return x
        case 1:
            return transpose(flip(x, j), order)
        case 2:
            return flip(x, (i, j))
        case _:
            return flip(transpose(x, order), j)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = as_tracer(a)
    if axis is None:
        return reshape(_rolled(ravel(x), sum(_listed(shift)), 0), x.shape)
    shifts, axes = _listed(shift), _listed(axis)
    count = max(len(shifts), len(axes))
    if not {len(shifts), len(axes)} <= {1, count}:
        raise ShapeError(message(f"np.roll: {len(shifts)} shifts for {len(axes)} axes"))
    pairs = zip(shifts * (count // len(shifts)), axes * (count // len(axes)), strict=True)
    for distance, place in pairs:
        x = _rolled(x, distance, normal_axis(place, x.ndim))
    return x if x is not a else strong(x)


def _rolled(x: Tracer, shift: Any, axis: int) -> Any:
    extent = x.shape[axis]
    if isinstance(shift, Tracer) and known_value(shift) is None:
        return indexing.take(x, (np.arange(extent) - shift) % extent, axis=axis)
    start = -int(shift) % extent if extent else 0
    if start == 0:
        return strong(x)
    return join([part(x, axis, start, extent), part(x, axis, 0, start)], axis)


# --- repeating ------------------------------------------------------------------------------------


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:  # noqa: N803  NumPy's name
    x = as_tracer(A)
    counts = tuple(int(n) for n in _listed(reps))
    rank = max(x.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - x.ndim) + x.shape
    pairs = tuple(itertools.chain.from_iterable(zip(counts, shape, strict=True)))
    columns = reshape(x, tuple(itertools.chain.from_iterable((1, n) for n in shape)))
    whole = tuple(c * n for c, n in zip(counts, shape, strict=True))
    return strong(reshape(broadcast_to(columns, pairs), whole))


@implements(np.repeat)
@method("repeat")
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    x = as_tracer(a)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    counts = known_repeats(repeats)
    extent = x.shape[place]
    if counts.size != 1:
        if counts.shape != (extent,):
            raise ShapeError(
                message(f"np.repeat: {counts.size} repeats for {extent} elements along {axis}")
            )
        return indexing.take(x, np.repeat(np.arange(extent), counts), axis=place)
    count = int(counts.flat[0])
    before, behind = x.shape[:place], x.shape[place + 1 :]
    columns = reshape(x, (*before, extent, 1, *behind))
    spread = broadcast_to(columns, (*before, extent, count, *behind))
    return strong(reshape(spread, (*before, extent * count, *behind)))


def known_repeats(repeats: Any) -> Any:
    """Return the numbers of repeats, which decide a shape, as a plain array."""
    counts = known_value(repeats) if isinstance(repeats, Tracer) else np.asarray(repeats)
    if counts is None:
        raise TracingError(
            message(
                "np.repeat was called with traced repeats",
                "they decide the shape of the result, which must be known while tracing",
                "mark them as static, or compute them outside the traced function",
            )
        )
    if (counts < 0).any():
        raise ShapeError(message("np.repeat: repeats may not be negative"))
    return counts


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    x = ravel(a)
    shape = tuple(int(n) for n in _listed(new_shape))
    size = int(np.prod(shape, dtype=int))
    if not x.size:
        return np.zeros(shape, x.dtype)
    return reshape(indexing.take(x, np.arange(size) % x.size, axis=0), shape)


# --- runs of positions ----------------------------------------------------------------------------


def read_runs(x: Tracer, axis: int, positions: list[int]) -> Any:
    """Read an array at known positions along an axis, run by run."""
    return join([_run(x, axis, run) for run in runs(positions)], axis)


def runs(positions: list[int]) -> list[list[int]]:
    """Cut positions into pieces with steps of 0, 1 or -1.

    >>> runs([0, 0, 1, 2, 1])
    [[0, 0], [1, 2], [1]]
    """
    found = [[positions[0]]]
    for position in positions[1:]:
        run = found[-1]
        step = position - run[-1]
        if abs(step) <= 1 and (len(run) == 1 or step == run[1] - run[0]):
            run.append(position)
        else:
            found.append([position])
    return found


def _run(x: Tracer, axis: int, run: list[int]) -> Any:
    step = run[1] - run[0] if len(run) > 1 else 1
    if step:
        box = [Slice(0, n, 1) for n in x.shape]
        box[axis] = Slice(run[0], len(run), step)
        return ops.getitem(x, index=tuple(box))
    edge = part(x, axis, run[0], run[0] + 1)
    return broadcast_to(edge, (*x.shape[:axis], len(run), *x.shape[axis + 1 :]))


# --- grids and differences ------------------------------------------------------------------------


@implements(np.meshgrid)
def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ShapeError(message(f"np.meshgrid: indexing={indexing!r} is neither 'xy' nor 'ij'"))
    flat = [ravel(x) for x in xi]
    order = list(range(len(flat)))
    if indexing == "xy" and len(flat) > 1:
        order[:2] = [1, 0]
    lines = [
        reshape(x, tuple(x.size if i == place else 1 for i in range(len(flat))))
        for x, place in zip(flat, order, strict=True)
    ]
    whole = np.broadcast_shapes(*(line.shape for line in lines))
    grids = lines if sparse else [broadcast_to(line, whole) for line in lines]
    return tuple(strong(g) for g in grids) if copy else tuple(grids)


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = as_tracer(a)
    if n < 0:
        raise ShapeError(message(f"np.diff: n={n} is negative"))
    if not x.ndim:
        raise ShapeError(message("np.diff needs an array with at least one axis"))
    if n == 0:
        return x
    place = normal_axis(axis, x.ndim)
    ends = (_end(prepend, x, place), x, _end(append, x, place))
    pieces = [p for p in ends if p is not None]
    x = join(pieces, place) if len(pieces) > 1 else x
    for _ in range(n):
        extent = x.shape[place]
        later, earlier = part(x, place, 1, extent), part(x, place, 0, max(extent - 1, 0))
        x = np.not_equal(later, earlier) if x.dtype.kind == "b" else later - earlier
    return x


def _end(value: Any, x: Tracer, axis: int) -> Any:
    if value is None:
        return None
    end = as_tracer(value)
    return end if end.ndim else broadcast_to(end, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> Any:
    """The multiples of the period that are added have no derivative."""
    x = as_tracer(p)
    place = normal_axis(axis, x.ndim)
    dtype = result_dtype(x, period)
    step = diff(x, axis=place)
    half = period / 2 if dtype.kind == "f" else period // 2
    ambiguous = dtype.kind == "f" or period % 2 == 0
    wrapped = np.mod(step + half, period) - half
    if ambiguous:
        wrapped = np.where((wrapped == -half) & (step > 0), half, wrapped)
    jump = np.abs(step) < (period / 2 if discont is None else discont)
    correction = np.cumsum(np.where(jump, 0, wrapped - step), axis=place)
    first = part(as_tracer(x, dtype), place, 0, 1)
    rest = part(as_tracer(x, dtype), place, 1, x.shape[place])
    return join([first, rest + correction], place, dtype)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    x = as_tracer(arr)
    x, place = (ravel(x), 0) if axis is None else (x, normal_axis(axis, x.ndim))
    if isinstance(obj, Tracer):
        raise TracingError(message("np.delete with a traced position has no fixed result"))
    rest = np.delete(np.arange(x.shape[place]), obj)
    if not rest.size:
        return part(x, place, 0, 0)
    return read_runs(x, place, rest.tolist())
