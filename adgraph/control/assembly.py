"""An array that is computed piece by piece where it stands: several kernels, and one result of all.

`assembly` nodes are made by `adgraph.lower.joined` from programs that are differentiated already:
they have no derivative rules. The nodes of the body run one after the other as they would outside.
Its values are those of the program around it, in which the pieces are views of the results.
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
        raise GraphError(f"assembly: operands {types} do not fit the inputs of its body")
    return tuple(v.type for v in body.outputs)


assembly = register(
    Op(
        name="assembly",
        kind=Kind.REGION,
        evaluate=_evaluate,
        infer=_infer,
        differentiable=False,
    )
)
