"""A part of a program that runs as one kernel: loops and branches of the user, writes in place.

`kernel` nodes are made by `adgraph.lower.enclose` from programs that are differentiated already:
they have no derivative rules. `scratch` are the types of the workspaces that the code needs,
`in_place` lists the (operand, result) pairs that may share a buffer.
"""

from __future__ import annotations

from typing import Any

from adgraph.errors import GraphError
from adgraph.ir.evaluate import OUTSIDE, Symbols, evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind, Op, Types, register
from adgraph.ir.types import ArrayType


def _evaluate(*args: Any, body: Graph, symbols: Symbols = OUTSIDE, **attrs: Any) -> Any:
    return evaluate(body, *args, symbols=symbols)


def _infer(*types: ArrayType, body: Graph, **attrs: Any) -> Types:
    if types != tuple(v.type for v in body.inputs):
        raise GraphError(f"kernel: operands {types} do not fit the inputs of its body")
    return tuple(v.type for v in body.outputs)


kernel = register(
    Op(
        name="kernel",
        kind=Kind.REGION,
        evaluate=_evaluate,
        infer=_infer,
        differentiable=False,
    )
)
