"""Ops that are a generalized ufunc of NumPy over stacks of matrices: decompositions, transforms.

`gufunc` registers one from its signature, such as `(m,m)->(m),(m,m)`, and beside it the op that
takes and gives complex operands as arrays of pairs (`adgraph.ops.pairs`). Derivatives are the
caller's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.code import InnerLoop, Routine
from adgraph.ir.op import Kind, Op, register, type_of
from adgraph.ir.types import ArrayType
from adgraph.ops.pairs import of_pairs

Types = tuple[ArrayType, ...]


@dataclass(frozen=True)
class Loop:
    """The loop of a gufunc for float64: `types` in NumPy's letters, `D` being complex."""

    ufunc: str
    signature: str
    types: str
    fails: bool = False

    @property
    def operands(self) -> list[tuple[str, ...]]:
        """The names of the core dimensions of every operand and result."""
        groups = re.findall(r"\(([^)]*)\)", self.signature)
        return [tuple(name.strip() for name in g.split(",") if name.strip()) for g in groups]

    @property
    def names(self) -> list[str]:
        """The core dimensions in the order in which the loop takes their extents."""
        return list(dict.fromkeys(name for group in self.operands for name in group))

    def code(self, results: Callable[..., Any]) -> Routine:
        """Return how the loop is called; `results` gives the types of an op's results."""

        def sizes(types: Types, attrs: Mapping[str, Any]) -> tuple[int, ...]:
            made = results(*types, **attrs)
            return self._sizes((*types, *(made if isinstance(made, tuple) else (made,))))

        dimensions = 1 + len(self.names)
        return Routine(InnerLoop(self.ufunc, self.types, dimensions, self.fails), sizes)

    def _sizes(self, types: Sequence[ArrayType]) -> tuple[int, ...]:
        """Return the number of runs, the core extents, the strides of runs, those of the cores."""
        extents: dict[str, int] = {}
        outer, core = [], []
        runs = 1
        for type, names in zip(types, self.operands, strict=True):
            shape, item = type.shape, type.dtype.itemsize
            rank = len(shape) - len(names)
            extents.update(zip(names, shape[rank:], strict=True))
            runs = max(runs, math.prod(shape[:rank])) if math.prod(shape[:rank]) else 0
            outer.append(item * math.prod(shape[rank:]) if rank else 0)
            core += [item * math.prod(shape[i + 1 :]) for i in range(rank, len(shape))]
        return (runs, *(extents[name] for name in self.names), *outer, *core)


def gufunc(
    name: str,
    loop: Loop | None,
    pairs: Loop | None,
    evaluate: Callable[..., Any],
    infer: Callable[..., Any],
    *,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    batch: Callable[..., Any],
    fewer: Callable[..., tuple[Any, ...] | None] | None = None,
    flops: Callable[..., float],
) -> Op:
    """Register an op whose loop for real numbers is `loop`, and `pairs` if some are complex."""
    return register(
        Op(
            name=name,
            kind=Kind.LIBRARY,
            evaluate=evaluate,
            infer=infer,
            jvp=jvp,
            vjp=vjp,
            batch=batch,
            fewer=fewer,
            flops=flops,
            code=loop.code(infer) if loop else None,
            parts=(
                of_pairs(name, pairs.types, pairs.code(infer), evaluate, infer, flops)
                if pairs
                else None
            ),
            differentiable=jvp is not None,
        )
    )


def same_batch(op: Callable[..., Op]) -> Callable[..., Any]:
    """Return the batching of an op that works on stacks: it takes another leading axis."""
    return lambda args, batched, **attrs: op()(*stretched(args, batched), **attrs)


def stretched(args: tuple[Any, ...], batched: tuple[bool, ...]) -> tuple[Any, ...]:
    """Give every operand the batch axis in front that some have."""
    n = next(type_of(x).shape[0] for x, flag in zip(args, batched, strict=True) if flag)
    return tuple(
        x if flag else np.broadcast_to(x, (n, *type_of(x).shape))
        for x, flag in zip(args, batched, strict=True)
    )
