"""Complex inputs and outputs of a program as real arrays, whose memory they are."""

from __future__ import annotations

from dataclasses import replace

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import Constant
from adgraph.ops.complex_numbers import as_parts, from_parts, parts_type


def with_real_interface(graph: Graph) -> Graph:
    """Take out what turns complex arrays into real ones and back; make the interface real.

    Inside the graph nothing is complex: see `adgraph.passes.parts`.
    """
    if not any(map(_is_complex, (*graph.inputs, *graph.outputs))):
        return graph
    env = {v: Value(parts_type(v.type), v.name) if _is_complex(v) else v for v in graph.inputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        operands = tuple(env.get(v, v) for v in node.inputs)
        if node.op in (as_parts, from_parts):
            env[node.output] = operands[0]
        elif node.op.kind is Kind.CONSTANT and _is_complex(node.output):
            nodes.append(_literal(node))
            env[node.output] = nodes[-1].output
        else:
            nodes.append(node if operands == node.inputs else replace(node, inputs=operands))
    inputs, outputs = (tuple(env.get(v, v) for v in some) for some in (graph.inputs, graph.outputs))
    return Graph(inputs, tuple(nodes), outputs, graph.name)


def _is_complex(value: Value) -> bool:
    return value.type.dtype.kind == "c"


def _literal(node: Node) -> Node:
    """Return a literal of complex numbers, which an output may be, as one of their parts."""
    value = Constant.of(as_parts.evaluate(node.attrs["value"].array))
    return replace(node, outputs=(Value(parts_type(node.output.type)),), attrs={"value": value})
