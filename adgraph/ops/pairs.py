"""Ops on complex arrays by ops on arrays of pairs, which have a last axis of two for the parts.

What has a kernel of its own for complex numbers (LAPACK, the inner loop of a ufunc) reads and
writes their parts side by side. `of_pairs` registers the op that does, and gives the `Op.parts`
that make use of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.ir.code import InnerLoop, Routine
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops.complex_parts import Pair, as_pair, filled

PAIR = 2  # extent of the last axis of an array of pairs


def of_pairs(
    name: str,
    types: str,
    code: Routine,
    evaluate: Callable[..., Any],
    infer: Callable[..., Any],
    flops: Callable[..., float],
) -> Callable[..., Any]:
    """Register the op that works on arrays of pairs; return the parts by way of it.

    `types` are the letters of operands and results, such as `Di->D`: those with `D` are complex.
    `code`, `evaluate`, `infer` and `flops` are in terms of complex arrays.
    """
    given, _, made = types.partition("->")

    def whole(operands: Sequence[ArrayType]) -> list[ArrayType]:
        return [_complex_type(t) if c == "D" else t for t, c in zip(operands, given, strict=True)]

    def infer_pairs(*operands: ArrayType, **attrs: Any) -> Any:
        return _each_of(infer(*whole(operands), **attrs), made, _pairs_type)

    def evaluate_pairs(*arrays: Any, **attrs: Any) -> Any:
        operands = (_joined(x) if c == "D" else x for x, c in zip(arrays, given, strict=True))
        return _each_of(evaluate(*operands, **attrs), made, _split)

    def scratch(operands: tuple[ArrayType, ...], attrs: Any) -> tuple[ArrayType, ...]:
        room = code.scratch(tuple(whole(operands)), attrs)
        return tuple(_pairs_type(t) if t.dtype.kind == "c" else t for t in room)

    op = register(
        Op(
            name=f"{name}_of_pairs",
            kind=Kind.LIBRARY,
            evaluate=evaluate_pairs,
            infer=infer_pairs,
            flops=lambda *operands, **attrs: 4.0 * flops(*whole(operands), **attrs),
            code=replace(
                code,
                sizes=lambda operands, attrs: code.sizes(tuple(whole(operands)), attrs),
                scratch=scratch,
                pairs=not isinstance(code.name, InnerLoop),
            ),
            differentiable=False,
        )
    )

    def parts(*args: Any, **attrs: Any) -> Any:
        operands = (
            np.stack(filled(as_pair(x)), axis=-1) if c == "D" else x
            for x, c in zip(args, given, strict=True)
        )
        return _each_of(op(*operands, **attrs), made, lambda x: Pair(x[..., 0], x[..., 1]))

    return parts


def _each_of(results: Any, letters: str, change: Callable[[Any], Any]) -> Any:
    """Change the complex ones of one or several results."""
    if not isinstance(results, tuple):
        return change(results) if letters == "D" else results
    return tuple(change(x) if c == "D" else x for x, c in zip(results, letters, strict=True))


def _complex_type(type: ArrayType) -> ArrayType:
    return ArrayType(np.result_type(type.dtype, np.complex64), type.shape[:-1])


def _pairs_type(type: ArrayType) -> ArrayType:
    return ArrayType(np.zeros((), type.dtype).real.dtype, (*type.shape, PAIR))


def _joined(x: Any) -> Any:
    return x[..., 0] + 1j * x[..., 1]


def _split(z: Any) -> Any:
    return np.stack([z.real, z.imag], axis=-1)
