"""Samples of the ops that move or rename elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.types import Slice
from adgraph.ops.shape import add_at
from tests.samples.linalg import ALIKE
from tests.samples.reduction import normal, row
from tests.samples.sample import Sample


def _filled(x: Any, y: Any) -> Any:
    out = np.zeros((4, 3), x.dtype)
    out[1:3, ::2] = x
    out[0] += y
    return out


def _written(x: Any) -> Any:
    x[1:] *= 2
    x.T[0] = x[:, 1] ** 2
    return x


def _added_to(x: Any, v: Any) -> Any:
    y = add_at(np.sin(x), v, index=(Slice(1, 2, 2), Slice(2, 3, -1)))
    return add_at(y, v[0] * v[1], index=(0, Slice(0, 3, 1))) * y


def _tied(x: Any) -> Any:
    a, b = np.split(x, [1])
    return np.hstack([np.vstack([b, a]), np.tile(a, (3, 2))])


SAMPLES: list[Sample] = [
    row("reshape", "reshape", lambda x: x.reshape(-1, 6), errors=((normal((3, 5)), ValueError),)),
    row("reshape in Fortran's order", "reshape transpose", lambda x: np.reshape(x, (6, 4), "F")),
    row("ravel", "reshape", np.ravel, resizable=True),
    row("transpose", "transpose", lambda x: np.transpose(x, (1, 2, 0)), resizable=True),
    row("moveaxis", "transpose", lambda x: np.moveaxis(x, 0, -1).swapaxes(0, 1).T),
    row("broadcast_to", "broadcast", lambda x: np.broadcast_to(x, (5, 4, 3, 2)), resizable=False),
    row(
        "broadcast of ones",
        "broadcast",
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        normal((3, 1)),
        errors=((normal((2, 5)), ValueError),),
    ),
    row("getitem", "getitem place", lambda x: x[1:, ::-2, 0]),
    row("flip", "getitem", lambda x: np.flip(x, (0, 2)), resizable=True),
    row("place", "place", lambda x: np.pad(x, ((1, 2), (0, 1))), normal((3, 2)), resizable=True),
    row(
        "update",
        "update",
        _filled,
        normal((2, 2), (3,)),
        skip={"mixed": "complex numbers are not written into a real array"},
    ),
    row("update of an argument", "update getitem", _written, normal((4, 3))),
    row("add_at", "add_at getitem", _added_to, normal((4, 3), (2, 3)), skip=ALIKE),
    row(
        "concatenate",
        "concatenate",
        lambda x, y: np.concatenate([x, 2 * y, x], axis=1),
        normal((2, 3), (2, 1)),
        resizable=True,
        errors=((normal((2, 3), (3, 1)), ValueError),),
    ),
    row(
        "stack",
        "concatenate",
        lambda x, y: np.stack([x, y], axis=-1),
        normal((2, 3), (2, 3)),
        errors=((normal((2, 3), (2, 2)), ValueError),),
    ),
    row("split and tile", "broadcast concatenate", _tied, normal((3, 2))),
    row("roll", "concatenate", lambda x: np.roll(x, (1, -1), (0, 2))),
    row("rot90", "transpose getitem", lambda x: np.rot90(x, 3, (0, 2))),
    row("pad by reflection", "concatenate", lambda x: np.pad(x, 5, "reflect"), normal((3, 4))),
    row("pad with edges", "broadcast", lambda x: np.pad(x, (2, 1), "edge"), normal((3, 2))),
    row("pad with a value", "update", lambda x: np.pad(x, 1, constant_values=2.5)),
    row("repeat", "broadcast", lambda x: np.repeat(x, 3, axis=1)),
    row("repeat by counts", "take", lambda x: np.repeat(x, [2, 0, 1], axis=1)),
    row("diff", "getitem", lambda x: np.diff(x, 2, axis=0, prepend=0), exact=False),
    row("diagonal", "getitem", lambda x: np.diagonal(x, 1, 2, 1)),
    row("diag", "place", lambda x: np.diag(x, -1) + np.diag(np.diag(x[:, None] * x)[1:], 2).sum(),
        normal((3,)), exact=False),
    row("trace", "sum", lambda x: np.trace(x, 0, 0, 1), exact=False),
    row("tril", "where", lambda x: np.tril(x, -1) + np.triu(x)[::-1], normal((3, 3))),
    row("meshgrid", "broadcast", lambda x, y: np.meshgrid(x, y)[0] * y[:, None],
        normal((3,), (2,))),
]  # fmt: skip
