"""Remove from a graph what no output needs: nodes, and of regions operands, results and carries.

A carried variable is alive if a result that is read depends on it over any number of trips. Begin
with `prune`; `Needs` answers which inputs of a program an output depends on.
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind

_whole: weakref.ref[Graph] | None = None  # which was found last to need everything


def prune(graph: Graph) -> Graph:
    """Return the graph without what no output needs: itself, if it needs everything.

    Its inputs stay, needed or not.
    """
    global _whole
    if _whole is not None and _whole() is graph:
        return graph
    pruned = _pruned(graph, range(len(graph.outputs)), Needs())
    if pruned is graph:
        _whole = weakref.ref(graph)
    return pruned


def carries(node: Node) -> bool:
    """Tell whether a region is a loop: the results of its body are operands of the next trip."""
    return "constants" in node.attrs


def own_operands(node: Node) -> int:
    """Return how many operands a region reads itself: a number of trips, a predicate.

    They come first, the others are the inputs of its programs.
    """
    return len(node.inputs) - len(next(node.regions()).inputs)


class Needs:
    """Which inputs the outputs of programs depend on, as bits: input i is `1 << i`.

    Answers are kept, so that nested programs are looked at once.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Graph, tuple[int, ...]]] = {}

    def outputs(self, graph: Graph) -> tuple[int, ...]:
        """Return for every output of a graph the inputs it depends on."""
        if id(graph) not in self._known:
            self._known[id(graph)] = (graph, self._outputs(graph))
        return self._known[id(graph)][1]

    def _outputs(self, graph: Graph) -> tuple[int, ...]:
        found = {v: 1 << i for i, v in enumerate(graph.inputs)}
        for node in graph.nodes:
            masks = [found[v] for v in node.inputs]
            if node.op.kind is Kind.REGION:
                results = (_union(masks[i] for i in _bits(mask)) for mask in self.results(node))
                found.update(zip(node.outputs, results, strict=True))
            else:
                found.update(dict.fromkeys(node.outputs, _union(masks)))
        return tuple(found[v] for v in graph.outputs)

    def results(self, node: Node) -> tuple[int, ...]:
        """Return for every result of a region the operands it depends on."""
        own = own_operands(node)
        always = (1 << own) - 1
        if not carries(node):
            regions = [self.outputs(region) for region in node.regions()]
            return tuple(_union(masks) << own | always for masks in zip(*regions, strict=True))
        if "test" in node.attrs:
            always |= _union(self.outputs(node.attrs["test"])) << own
        body = self.outputs(node.attrs["body"])
        first = own + node.attrs["constants"]
        masks = [always | mask << own | 1 << first + k for k, mask in enumerate(body)]
        return _closed(masks, first)


def _closed(masks: list[int], first: int) -> tuple[int, ...]:
    """Follow results of earlier trips: result k is the operand first + k of the next one."""
    while True:
        wider = [_union([m, *(masks[i] for i in _bits(m >> first))]) for m in masks]
        if wider == masks:
            return tuple(masks)
        masks = wider


def _union(masks: Iterable[int]) -> int:
    return functools.reduce(operator.or_, masks, 0)


def _bits(mask: int) -> Iterator[int]:
    return (i for i in range(mask.bit_length()) if mask >> i & 1)


def _pruned(graph: Graph, wanted: Sequence[int], needs: Needs) -> Graph:
    """Return the graph with those of its outputs that are wanted, and what they need."""
    outputs = tuple(graph.outputs[i] for i in wanted)
    needed = set(outputs)
    kept = []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        live = node
        if node.op.kind is Kind.REGION:
            results = [i for i, v in enumerate(node.outputs) if v in needed]
            live = _pruned_region(node, results, needs)
        kept.append(live)
        needed.update(live.inputs)
    nodes = tuple(reversed(kept))
    if nodes == graph.nodes and outputs == graph.outputs:
        return graph
    return replace(graph, nodes=nodes, outputs=outputs)


def _pruned_region(node: Node, wanted: list[int], needs: Needs) -> Node:
    """Return the region with the results that are wanted, or needed for them in later trips."""
    own = own_operands(node)
    loop = carries(node)
    first = node.attrs["constants"] if loop else 0
    if loop and len(wanted) < len(node.outputs):
        masks = needs.results(node)
        wanted = list(_bits(_union(masks[k] for k in wanted) >> own + first))
    regions = {
        key: _pruned(value, range(1) if key == "test" else wanted, needs)
        for key, value in node.attrs.items()
        if isinstance(value, Graph)
    }
    used: set[Value] = set().union(*(_used(region) for region in regions.values()))
    carried = {first + k for k in wanted} if loop else set()
    kept = [
        i
        for i, values in enumerate(zip(*(r.inputs for r in regions.values()), strict=True))
        if i in carried or not used.isdisjoint(values)
    ]
    if len(kept) == len(node.inputs) - own and all(node.attrs[k] is r for k, r in regions.items()):
        return node
    attrs = {**node.attrs, **{key: _with_inputs(r, kept) for key, r in regions.items()}}
    if loop:
        attrs["constants"] = sum(i < first for i in kept)
    inputs = (*node.inputs[:own], *(node.inputs[own + i] for i in kept))
    return replace(node, inputs=inputs, outputs=tuple(node.outputs[k] for k in wanted), attrs=attrs)


def _used(graph: Graph) -> set[Value]:
    return {v for node in graph.nodes for v in node.inputs}.union(graph.outputs)


def _with_inputs(graph: Graph, kept: list[int]) -> Graph:
    return replace(graph, inputs=tuple(graph.inputs[i] for i in kept))
