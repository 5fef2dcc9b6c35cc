"""Cut a joint graph in two: what its first inputs decide, and the rest.

The values that cross the cut are the residuals. It serves linearize and the pullback of vjp.
"""

from __future__ import annotations

from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind


def split(joint: Graph, num_inputs: int, num_outputs: int) -> tuple[Graph, Graph]:
    """Return (first, second).

    `first` maps the first `num_inputs` inputs to the first `num_outputs` outputs and the residuals;
    `second` maps the residuals and the other inputs to the other outputs. A constant is no
    residual: both graphs hold it. Where one node computes outputs of both, `first` is not closed.
    """
    known = set(joint.inputs[:num_inputs])
    early, late = [], []
    for node in joint.nodes:
        if known.issuperset(node.inputs):
            early.append(node)
            known.update(node.outputs)
        else:
            late.append(node)
    literals = [node for node in early if node.op.kind is Kind.CONSTANT]
    free = {v for node in literals for v in node.outputs}
    needed = {v for node in late for v in node.inputs} | set(joint.outputs[num_outputs:])
    candidates = (*joint.inputs[:num_inputs], *(v for node in early for v in node.outputs))
    residuals = tuple(v for v in candidates if v in needed and v not in free)
    first = Graph(
        joint.inputs[:num_inputs], tuple(early), joint.outputs[:num_outputs] + residuals, joint.name
    )
    second = Graph(
        residuals + joint.inputs[num_inputs:],
        (*literals, *late),
        joint.outputs[num_outputs:],
        f"{joint.name}_back",
    )
    return first, second


def is_closed(graph: Graph) -> bool:
    """Tell whether a graph computes all of its outputs."""
    computed = {*graph.inputs, *(v for node in graph.nodes for v in node.outputs)}
    return computed.issuperset(graph.outputs)
