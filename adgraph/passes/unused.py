"""Results that nothing reads: where an op has several, and knows a cheaper way to some of them.

Derivatives are taken before: they may read what the program itself does not. An eigendecomposition
of which only the eigenvalues are read computes no vectors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from adgraph.ir.builder import copy_node
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.prune import prune
from adgraph.passes.rewrite import Hits, with_regions
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import as_tracer, read, tracer


def unused(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace nodes some of whose results are not read, as their ops say in `Op.fewer`."""
    hits = Counter() if hits is None else hits
    nodes = tuple(with_regions(node, lambda region: unused(region, hits)) for node in graph.nodes)
    inner = graph if nodes == graph.nodes else replace(graph, nodes=nodes)
    if all(node.op.fewer is None for node in nodes):
        return inner
    pruned = prune(inner)
    needed = {*pruned.outputs, *(v for node in pruned.nodes for v in node.inputs)}
    if all(node.op.fewer is None or needed.issuperset(node.outputs) for node in pruned.nodes):
        return inner
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in pruned.inputs}
        for node in pruned.nodes:
            with builder.at(node.origin):
                found = _fewer(node, env, needed)
            if found is None:
                copy_node(builder, node, env)
            else:
                env.update(found)
                hits[node.op.name] += 1
        return builder.build([env[v] for v in pruned.outputs], graph.name)


def _fewer(node: Node, env: dict[Value, Value], needed: set[Value]) -> dict[Value, Value] | None:
    """Emit what gives the results that are needed, if not all are and there is a cheaper way."""
    used = tuple(v in needed for v in node.outputs)
    if node.op.fewer is None or all(used):
        return None
    results = node.op.fewer(used, *(tracer(env[v]) for v in node.inputs), **node.attrs)
    if results is None:
        return None
    pairs = zip(node.outputs, results, used, strict=True)
    return {v: read(as_tracer(result)) for v, result, flag in pairs if flag}
