"""How transforms treat ops that hold programs: a table that `adgraph.control` fills.

A transform of a region transforms its programs, with transforms that live in this package; so the
rules stand in the layer above and are entered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from adgraph.analysis.regions import Levels
from adgraph.ir.op import Op

Arrays = tuple[Any, ...]
Flags = tuple[bool, ...]
Pull = Callable[[Arrays, Arrays], Arrays]


@dataclass(frozen=True)
class Surroundings:
    """What the adjoint of a region must know of the program it stands in.

    `levels` are the loops and branches around it. Cotangents of its results may be zeros that must
    not become nan where a partial is infinite: `seeded` if they come from a caller or from elements
    that nothing has read, `masked` if a condition has put them there. With `store_all` every value
    that a loop's adjoint needs is recorded: the reference for what is recorded otherwise.
    """

    levels: Levels = ()
    seeded: bool = False
    masked: bool = False
    store_all: bool = False


@dataclass(frozen=True)
class Rules:
    """The derivatives and the batching of one region op.

    `jvp(node, seeds, args)` emits the region with its tangents, and gives results and tangents.
    `linearize(node, args, varied, useful, around)` emits the region with what its adjoint needs to
    know, and gives the results and `pull(cts, totals)`: the cotangents of the operands, each
    continued from its running total where there is one (the result then replaces the total).
    `varied` flags operands and `useful` results.
    `batch(node, args, batched, size)` applies the region to arguments of which some have a batch
    axis in front, and gives the results and which of them have one.
    """

    jvp: Callable[..., tuple[Arrays, Arrays]]
    linearize: Callable[..., tuple[Arrays, Pull]]
    batch: Callable[..., tuple[Arrays, Flags]]


RULES: dict[Op, Rules] = {}

_capacities: ContextVar[Mapping[int, int]] = ContextVar("tape capacities", default={})  # noqa: B039


def capacities() -> Mapping[int, int]:
    """Return for how many trips the tapes of loops have room, by mark, where that is given."""
    return _capacities.get()


@contextmanager
def with_capacities(trips: Mapping[int, int]) -> Iterator[None]:
    """Give the tapes of derivatives that are made in the block room for so many trips, by mark."""
    token = _capacities.set(trips)
    try:
        yield
    finally:
        _capacities.reset(token)
