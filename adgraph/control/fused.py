"""A region of elementwise ops and reductions that runs as one loop nest.

`fused` nodes are made by `adgraph.passes.fuse` from programs that are differentiated already: they
have no derivative rules. `scratch` lists the rows that the nest keeps between its passes.
"""

from __future__ import annotations

from typing import Any

from adgraph.errors import GraphError
from adgraph.ir.evaluate import OUTSIDE, Symbols, evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType


def _evaluate(
    *args: Any, body: Graph, scratch: tuple[ArrayType, ...] = (), symbols: Symbols = OUTSIDE
) -> tuple[Any, ...]:
    return evaluate(body, *args, symbols=symbols)


def _infer(
    *types: ArrayType, body: Graph, scratch: tuple[ArrayType, ...] = ()
) -> tuple[ArrayType, ...]:
    expected = tuple(v.type for v in body.inputs)
    if types != expected:
        listed = [", ".join(map(str, t)) for t in (types, expected)]
        raise GraphError(f"fused: operands {listed[0]} do not fit the body's inputs {listed[1]}")
    return tuple(v.type for v in body.outputs)


fused = register(
    Op(
        name="fused",
        kind=Kind.REGION,
        evaluate=_evaluate,
        infer=_infer,
        differentiable=False,
    )
)
