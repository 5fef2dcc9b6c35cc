"""Samples of gathers and scatters, the index constant or an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ops.indexing import index_add
from tests.samples.linalg import ALIKE
from tests.samples.reduction import normal, row
from tests.samples.sample import Make, Sample

ROWS = np.array([[0, 2], [-1, 1]])


def indexed(shape: tuple[int, ...], *indices: Any) -> Make:
    """Make an array of normal numbers, and arrays of integers which are arguments too."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        return rng.standard_normal(shape).astype(dtype), *(np.array(i) for i in indices)

    return make


def valued(shape: tuple[int, ...], value: tuple[int, ...], *indices: Any) -> Make:
    """Make two arrays of normal numbers, and arrays of integers."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        return (*normal(shape, value)(rng, dtype), *(np.array(i) for i in indices))

    return make


def _assigned(x: Any, v: Any, i: Any) -> Any:
    out = np.array(x)
    out[:, i] = v
    return out


def _assigned_constants(x: Any, v: Any) -> Any:
    out = x * 1
    out[[2, 0], 1:, [1, 0]] = v
    return out * x


def _added(x: Any, v: Any, i: Any) -> Any:
    out = np.zeros_like(x)
    np.add.at(out, (slice(1, None), i), v)
    return out * x[0]


def _added_to(x: Any, v: Any, i: Any) -> Any:
    return index_add(np.sin(x), v, i, axis=1) * x


def _added_to_rows(x: Any) -> Any:
    """The index depends on a float argument, so that batching gives every element its own."""
    order = np.rint(np.real(x[:, 0]) * 0).astype(np.int64) + np.arange(len(x)) // 2
    return index_add(x * x, np.sin(x), order, axis=0)


def _masked(x: Any) -> Any:
    out = np.array(x)
    out[x < 0] = 0.5
    return out * x


def _batched_index(x: Any) -> Any:
    """The index depends on a float argument, so that batching gives every element its own."""
    order = np.rint(np.real(x[:, 0]) * 0).astype(np.int64) + np.arange(len(x))[::-1]
    y = x[order]
    np.add.at(y, order[:2], x[:2])
    y[order[1:]] = y[order[1:]] * x[1:]
    return y


def _one(x: Any, i: Any) -> Any:
    return x[i] * x[0, i - 1]


def _gather(name: str, function: Callable[..., Any], make: Make, **options: Any) -> Sample:
    return row(name, "take scatter_add", function, make, **options)


SAMPLES: list[Sample] = [
    _gather(
        "rows by constants",
        lambda x: x[ROWS],
        normal((3, 4)),
        errors=((normal((1, 4)), IndexError),),
    ),
    _gather("rows by arguments", lambda x, i: x[i], indexed((3, 4), [[0, 2], [-1, 1]])),
    _gather("take", lambda x, i: np.take(x, i, axis=1), indexed((3, 4), [3, 3, 0])),
    row(
        "two index arrays",
        "take wrap_index",
        lambda x, i, j: x[i, j],
        indexed((3, 4, 2), [[0], [-1]], [1, 1, -4]),
    ),
    row("separated index arrays", "take wrap_index", lambda x, i: x[i, :, i],
        indexed((3, 4, 3), [0, -1])),
    row("index arrays, slices and new axes", "take", lambda x: x[None, 1:, [0, 2], None, [1, 0]]),
    row("one element", "take", _one, indexed((3, 4), 2)),
    _gather("constant mask", lambda x: x[np.array([True, False, True])], normal((3, 2))),
    _gather(
        "take_along_axis",
        lambda x, i: np.take_along_axis(x, i, 1),
        indexed((3, 4), [[0, 1], [1, -1], [3, 3]]),
    ),
    row("put", "put", _assigned, valued((3, 4), (3, 2), [3, 1])),
    row("put where indices repeat", "put", _assigned, valued((3, 4), (3, 3), [3, 1, 3])),
    row("put at constants", "put", _assigned_constants, normal((3, 3, 2), (2, 2))),
    row("add.at", "scatter_add", _added, valued((3, 4), (2, 3), [3, 1, 3]), exact=False),
    row("index_add", "index_add", _added_to, valued((3, 4), (3, 3), [3, 1, 3]), exact=False,
        skip=ALIKE),
    row("index_add at one position", "index_add", _added_to, valued((3, 4), (3,), 2), skip=ALIKE),
    row("batched index_add", "index_add", _added_to_rows, normal((4, 3)), exact=False,
        analytic=False),
    row("write through a traced mask", "where", _masked, normal((3, 4)), analytic=False),
    row("batched indices", "take put scatter_add", _batched_index, normal((4, 3)),
        analytic=False, exact=False),
    row("select by conditions", "where", lambda x: np.select([x > 1, x > 0], [x, x * x], -x),
        analytic=False),
]  # fmt: skip
