"""Make one kernel of two loops if what one hands over to the other need not be there in full.

A backward loop reads the tape of the forward loop. Where the two can run for one block of columns
after the other (`adgraph.lower.blocks`), one kernel with scratch for a block takes their place.
`join_loops` tries that: it writes the kernel, and keeps it if its loops run in blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from adgraph.analysis.space import Space
from adgraph.control.kernel import kernel
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import prune
from adgraph.lower.enclose import literal_texts, scope_of, stored_operands, with_scratch
from adgraph.lower.layout import layouts
from adgraph.lower.units import is_nest, program_ties
from adgraph.lower.written import WrittenKernels

LEAST = 2**20  # bytes handed over: less stays in the cache anyway


def join_loops(graph: Graph, kernels: WrittenKernels) -> Graph:
    """Return the program with kernels joined that hand over arrays they need block by block."""
    tried: set[tuple[Node, Node]] = set()
    while (pair := next((p for p in _pairs(graph) if p not in tried), None)) is not None:
        tried.add(pair)
        graph = _joined(graph, *pair, kernels) or graph
    return graph


def _pairs(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Kernels, and those that alone read much of what these compute."""
    makers = {v: node for node in graph.nodes if "in_place" in node.attrs for v in node.outputs}
    for node in graph.nodes:
        if "in_place" in node.attrs:
            for first in dict.fromkeys(makers[v] for v in node.inputs if v in makers):
                handed = _handed(graph, first, node)
                large = handed and sum(v.type.nbytes for v in handed) >= LEAST
                if large and scope_of(first) == scope_of(node):
                    yield first, node


def _handed(graph: Graph, first: Node, second: Node) -> list[Value]:
    """The arrays that a node computes for another one only."""
    others = {v for node in graph.nodes if node is not second for v in node.inputs}
    others.update(graph.outputs)
    used = [v for v in first.outputs if v in second.inputs and v not in others]
    return [v for v in used if v.type.shape]


def _joined(graph: Graph, first: Node, second: Node, kernels: WrittenKernels) -> Graph | None:
    """Return the program with two kernels as one, if that runs in blocks."""
    graph = _parted(graph, first, second)
    between = _between(graph, first, second)
    if not all(n.op.kind is Kind.VIEW or _is_elementwise(n) for n in between):
        return None
    parts = [first, *between, second]
    node = _kernel_of(graph, parts)
    program = _in_order(graph, parts, node)
    stored = stored_operands(node, layouts(program), literal_texts(program))
    written = kernels.of(node, stored)
    if not written.in_blocks:
        return None
    return _in_order(graph, parts, with_scratch(node, written))


def _is_elementwise(node: Node) -> bool:
    """Whether a node is a nest whose results all have an element for each of its iterations."""
    if not is_nest(node) or not _in_one_pass(node):
        return False
    kinds = (Kind.ELEMENTWISE, Kind.CONSTANT, Kind.VIEW)
    return all(n.op.kind in kinds for n in node.attrs["body"].nodes)


def _in_one_pass(node: Node) -> bool:
    """Whether a node is no nest, or one that keeps nothing from pass to pass."""
    if not is_nest(node):
        return True
    space = Space()
    return all(map(space.admit, node.attrs["body"].nodes)) and not space.reread()


def _between(graph: Graph, first: Node, second: Node) -> list[Node]:
    """The nodes that need what one node computes, and compute what another one needs."""
    behind, needed = _behind(graph, [first]), _needed(graph, first, second)
    return [n for n in graph.nodes if n in behind and not needed.isdisjoint(n.outputs)]


def _needed(graph: Graph, first: Node, second: Node) -> set[Value]:
    """What a node needs of what is computed behind another one."""
    behind, needed = _behind(graph, [first]), set(second.inputs)
    for node in reversed(graph.nodes):
        if node in behind and node is not second and not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
    return needed


def _parted(graph: Graph, first: Node, second: Node) -> Graph:
    """Return the program with nests between two loops cut: what the second one needs, the rest.

    A loss and its cotangents are one nest; the second loop has to wait for the cotangents only.
    """
    needed = _needed(graph, first, second)
    between = _between(graph, first, second)
    nodes: list[Node] = []
    for node in graph.nodes:
        wanted = [v in needed for v in node.outputs]
        parts = [node]
        if node in between and is_nest(node) and not all(wanted):
            parts = [_part(node, wanted), _part(node, [not w for w in wanted])]
        nodes += parts if all(map(_in_one_pass, parts)) else [node]
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)


def _part(node: Node, wanted: Sequence[bool]) -> Node:
    """A nest with some of its results."""
    body: Graph = node.attrs["body"]
    body = prune(replace(body, outputs=tuple(itertools.compress(body.outputs, wanted))))
    read = {*body.outputs, *(v for n in body.nodes for v in n.inputs)}
    used = [v in read for v in body.inputs]
    body = replace(body, inputs=tuple(itertools.compress(body.inputs, used)))
    inputs = tuple(itertools.compress(node.inputs, used))
    outputs = tuple(itertools.compress(node.outputs, wanted))
    return Node(node.op, inputs, outputs, {**node.attrs, "body": body}, node.origin)


def _behind(graph: Graph, nodes: Sequence[Node]) -> set[Node]:
    """The nodes that need what some nodes compute."""
    values = {v for node in nodes for v in node.outputs}
    found = set()
    for node in graph.nodes:
        if node not in nodes and not values.isdisjoint(node.inputs):
            found.add(node)
            values.update(node.outputs)
    return found


def _kernel_of(graph: Graph, parts: Sequence[Node]) -> Node:
    """One kernel that does what some nodes do, kernels among them."""
    inside = {v for node in parts for v in node.outputs}
    given = list(dict.fromkeys(v for n in parts for v in n.inputs if v not in inside))
    others = {v for node in graph.nodes if node not in parts for v in node.inputs}
    others.update(graph.outputs)
    results = [v for node in parts for v in node.outputs if v in others]
    env = {v: Value(v.type, v.name) for v in given}
    nodes: list[Node] = []
    for part in parts:
        nodes += _unfolded(part, env)
    body = Graph(
        tuple(env[v] for v in given),
        tuple(nodes),
        tuple(env[v] for v in results),
        parts[-1].attrs["body"].name,
    )
    in_place = tuple((i, k) for k, i in program_ties(body).items())
    attrs = {"body": body, "in_place": in_place, "scratch": ()}
    return Node(kernel, tuple(given), tuple(results), attrs, parts[-1].origin)


def _unfolded(node: Node, env: dict[Value, Value]) -> Iterator[Node]:
    """The nodes of a kernel, or a node itself, on other values."""
    if "in_place" not in node.attrs:
        env.update((v, Value(v.type, v.name)) for v in node.outputs)
        yield node.renamed(env)
        return
    body: Graph = node.attrs["body"]
    env.update(zip(body.inputs, [env[v] for v in node.inputs], strict=True))
    for inner in body.nodes:
        env.update((v, Value(v.type, v.name)) for v in inner.outputs)
        yield inner.renamed(env)
    env.update(zip(node.outputs, [env[v] for v in body.outputs], strict=True))


def _in_order(graph: Graph, parts: Sequence[Node], joined: Node) -> Graph:
    """The program with a kernel in place of its parts; what needs these comes behind it."""
    behind = _behind(graph, parts)
    nodes: list[Node] = []
    waiting: list[Node] = []
    for node in graph.nodes:
        if node is parts[-1]:
            nodes += [joined, *waiting]
            waiting = []
        elif node not in parts:
            late = node in behind and joined not in nodes
            (waiting if late else nodes).append(node)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)
