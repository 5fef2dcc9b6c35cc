"""Ops that are a generalized ufunc of NumPy over stacks of matrices: decompositions, transforms.

`gufunc` registers one from its signature, such as `(m,m)->(m),(m,m)`, and beside it the op that
takes and gives complex operands as arrays of pairs, of which `Op.parts` makes use. Derivatives are
the caller's.
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
from adgraph.ir.types import ArrayType, Shape
from adgraph.ops.complex_parts import Pair, as_pair, filled

Types = tuple[ArrayType, ...]
PAIR = 2  # extent of the last axis of an array of pairs


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
    def letters(self) -> str:
        """The type of every operand and result."""
        return self.types.replace("->", "")

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
        shapes = [self._plain(t, letter) for t, letter in zip(types, self.letters, strict=True)]
        extents: dict[str, int] = {}
        outer, core = [], []
        runs = 1
        for type, letter, shape, names in zip(
            types, self.letters, shapes, self.operands, strict=True
        ):
            item = type.dtype.itemsize * (PAIR if letter == "D" else 1)
            rank = len(shape) - len(names)
            extents.update(zip(names, shape[rank:], strict=True))
            runs = max(runs, math.prod(shape[:rank])) if math.prod(shape[:rank]) else 0
            outer.append(item * math.prod(shape[rank:]) if rank else 0)
            core += [item * math.prod(shape[i + 1 :]) for i in range(rank, len(shape))]
        return (runs, *(extents[name] for name in self.names), *outer, *core)

    @staticmethod
    def _plain(type: ArrayType, letter: str) -> Shape:
        return type.shape[:-1] if letter == "D" else type.shape


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
            flops=flops,
            code=loop.code(infer) if loop else None,
            parts=_of_pairs(name, pairs, evaluate, infer, flops) if pairs else None,
            differentiable=jvp is not None,
        )
    )


def _of_pairs(
    name: str,
    loop: Loop,
    evaluate: Callable[..., Any],
    infer: Callable[..., Any],
    flops: Callable[..., float],
) -> Callable[..., Any]:
    """Register the op that works on arrays of pairs; return the parts by way of it."""
    count = len(loop.types.partition("->")[0])
    given, made = loop.letters[:count], loop.letters[count:]

    def whole(types: Sequence[ArrayType]) -> list[ArrayType]:
        return [_complex_type(t) if c == "D" else t for t, c in zip(types, given, strict=True)]

    def infer_pairs(*types: ArrayType, **attrs: Any) -> Any:
        found = infer(*whole(types), **attrs)
        if not isinstance(found, tuple):
            return _pairs_type(found) if made == "D" else found
        return tuple(_pairs_type(t) if c == "D" else t for t, c in zip(found, made, strict=True))

    def evaluate_pairs(*arrays: Any, **attrs: Any) -> Any:
        operands = [_joined(x) if c == "D" else x for x, c in zip(arrays, given, strict=True)]
        found = evaluate(*operands, **attrs)
        results = found if isinstance(found, tuple) else (found,)
        split = tuple(_split(x) if c == "D" else x for x, c in zip(results, made, strict=True))
        return split if isinstance(found, tuple) else split[0]

    op = register(
        Op(
            name=f"{name}_of_pairs",
            kind=Kind.LIBRARY,
            evaluate=evaluate_pairs,
            infer=infer_pairs,
            flops=lambda *types, **attrs: 4.0 * flops(*whole(types), **attrs),
            code=loop.code(infer_pairs),
            differentiable=False,
        )
    )

    def parts(*args: Any, **attrs: Any) -> Any:
        operands = (
            np.stack(filled(as_pair(x)), axis=-1) if c == "D" else x
            for x, c in zip(args, given, strict=True)
        )
        found = op(*operands, **attrs)
        results = found if isinstance(found, tuple) else (found,)
        split = tuple(
            Pair(x[..., 0], x[..., 1]) if c == "D" else x
            for x, c in zip(results, made, strict=True)
        )
        return split if isinstance(found, tuple) else split[0]

    return parts


def _complex_type(type: ArrayType) -> ArrayType:
    return ArrayType(np.result_type(type.dtype, np.complex64), type.shape[:-1])


def _pairs_type(type: ArrayType) -> ArrayType:
    return ArrayType(np.zeros((), type.dtype).real.dtype, (*type.shape, PAIR))


def _joined(x: Any) -> Any:
    return x[..., 0] + 1j * x[..., 1]


def _split(z: Any) -> Any:
    return np.stack([z.real, z.imag], axis=-1)


def same_batch(op: Callable[..., Op]) -> Callable[..., Any]:
    """Return the batching of an op that works on stacks: it takes another leading axis."""
    return lambda args, batched, **attrs: op()(*_stretched(args, batched), **attrs)


def _stretched(args: tuple[Any, ...], batched: tuple[bool, ...]) -> tuple[Any, ...]:
    """Give every operand the batch axis in front that some have."""
    n = next(type_of(x).shape[0] for x, flag in zip(args, batched, strict=True) if flag)
    return tuple(
        x if flag else np.broadcast_to(x, (n, *type_of(x).shape))
        for x, flag in zip(args, batched, strict=True)
    )
