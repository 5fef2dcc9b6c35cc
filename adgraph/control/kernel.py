"""Parts of a program that are lowered together; `adgraph.lower` makes them of derived programs.

A `kernel` runs as one kernel: loops and branches of the user, writes in place. `scratch` are the
types of the workspaces that its code needs, `in_place` lists the (operand, result) pairs that may
share a buffer. An `assembly` is an array that several kernels compute, piece by piece where it
stands: the nodes of its body run one after the other as they would outside, and the pieces are
views of its results. They have no derivative rules.
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


def _part(name: str) -> Op:
    def infer(*types: ArrayType, body: Graph, **attrs: Any) -> Types:
        if types != tuple(v.type for v in body.inputs):
            raise GraphError(f"{name}: operands {types} do not fit the inputs of its body")
        return tuple(v.type for v in body.outputs)

    return register(
        Op(name=name, kind=Kind.REGION, evaluate=_evaluate, infer=infer, differentiable=False)
    )


kernel = _part("kernel")
assembly = _part("assembly")
