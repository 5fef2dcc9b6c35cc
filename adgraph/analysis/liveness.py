"""Which buffers a program has, how long each is read, and which the derivative needs of the primal.

A view has no buffer: it reads that of its root, the value at the end of its chain of views. Graph
inputs and constants are the caller's memory. Begin with `roots`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adgraph.errors import Location
from adgraph.ir.code import Control, Expression, Fold, Loops, Routine
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.prune import own_operands
from adgraph.ir.types import ArrayType

LIGHT = 2.0  # the most weight of a function that adds little to a kernel
ALIGNMENT = 64  # bytes of a cache line, and of the widest vector register


def computes(node: Node) -> bool:
    """Tell whether a node writes buffers: views and constants do not."""
    return node.op.kind not in (Kind.VIEW, Kind.CONSTANT)


def buffer_bytes(type: ArrayType) -> int:
    """Return the bytes that an array takes in an arena of aligned buffers."""
    return -(-type.nbytes // ALIGNMENT) * ALIGNMENT


def roots(graph: Graph) -> dict[Value, Value]:
    """Map every value to the one whose buffer it reads: itself, unless a view computes it."""
    root = {v: v for v in graph.inputs}
    for node in graph.nodes:
        if node.op.kind is Kind.VIEW:
            root[node.output] = root[node.inputs[0]]
        else:
            root.update((v, v) for v in node.outputs)
    return root


def scratch_types(node: Node) -> tuple[ArrayType, ...]:
    """Return the types of the workspaces which a node needs while it runs."""
    match node.op.code:
        case Loops(scratch=scratch) | Routine(scratch=scratch):
            return scratch(node.types, dict(node.attrs))
        case _:
            types: tuple[ArrayType, ...] = node.attrs.get("scratch", ())
            return types


@dataclass(frozen=True)
class Residual:
    """A value that the primal program leaves for its derivative, and those that read it there."""

    value: Value
    node: Node
    readers: tuple[Node, ...] = ()

    def __str__(self) -> str:
        line = self.location
        place = f", {line}: {line.source()}" if line is not None else ""
        size = f"{self.value.type} of {self.node.op.name}, {self.nbytes:,} bytes"
        return f"{size}{place} ({self.reason})"

    @property
    def reason(self) -> str:
        """Why the value is kept, and not computed again by the kernels that read it."""
        code = self.node.op.code
        outside = [n.op.name for n in self.readers if not isinstance(n.op.code, (Expression, Fold))]
        if outside:
            return f"{outside[0]} reads it from memory"
        if not isinstance(code, Expression):
            return f"{self.node.op.name} takes longer than to read its result"
        if code.weight > LIGHT:
            return f"{self.node.op.name} costs as much as {code.weight:g} additions an element"
        if self.value.type.dtype.kind == "b":
            return "its readers see what was compared, not what might be rounded otherwise"
        return "to compute it again, more would have to be kept or computed"

    @property
    def nbytes(self) -> int:
        """The bytes that stay occupied between the two."""
        return self.value.type.nbytes

    @property
    def location(self) -> Location | None:
        """The user's line that computes the value."""
        return self.node.origin.location


def residuals(graph: Graph, sequence: Sequence[Node] | None = None) -> tuple[Residual, ...]:
    """Return the values computed with the primal program and kept for its derivative, in order.

    A value is kept if the derivative, or a recomputation, reads what its first computation wrote.
    `sequence` is the order of the computing nodes, with repeats; the graph's own by default. A
    fused kernel may hold nodes of both programs. It runs with the primal one: what it reads is not
    kept for it. What it leaves may be part of a derivative already (the slope of a function, say);
    cotangents come from the last such kernel.
    """
    steps = list(filter(computes, graph.nodes) if sequence is None else sequence)
    last_mixed = max((i for i, node in enumerate(steps) if _is_mixed(node)), default=-1)
    root = roots(graph)
    made: dict[Value, Node] = {}
    kept: dict[Value, tuple[Node, dict[Node, None]]] = {}
    done: set[Node] = set()
    for i, node in enumerate(steps):
        again = node in done
        for value, reader in _readers(node):
            late = reader.origin.order > 0 and not _is_mixed(node)
            if root[value] in made and (again or late):
                kept.setdefault(root[value], (made[root[value]], {}))[1][reader] = None
        for value, maker in _makers(node):
            if again:
                made.pop(value, None)
            elif maker.origin.order == 0 or (i < last_mixed and _is_mixed(node)):
                made[value] = maker
        done.add(node)
    order = {v: i for i, v in enumerate(root)}
    found = sorted(kept.items(), key=lambda item: order[item[0]])
    return tuple(Residual(v, maker, tuple(readers)) for v, (maker, readers) in found)


def _is_mixed(node: Node) -> bool:
    """Tell whether a nest holds nodes of the primal program and of its derivative."""
    if isinstance(node.op.code, Control):
        return False
    inner = [n for region in node.regions() for n in region.nodes if computes(n)]
    return len({n.origin.order > 0 for n in inner}) == 2


def _makers(node: Node) -> Iterator[tuple[Value, Node]]:
    """Pair every result of a node with the node inside it that computes it, if one does."""
    inner: dict[Value, Node] = {}
    for key, region in node.attrs.items():
        if isinstance(region, Graph) and key != "test":  # whose result is for the loop itself
            producers = region.producers()
            results = zip(node.outputs, region.outputs, strict=True)
            inner.update((outer, producers[v]) for outer, v in results if v in producers)
    return ((v, inner.get(v, node)) for v in node.outputs)


def _readers(node: Node) -> Iterator[tuple[Value, Node]]:
    """Pair every operand of a node with the nodes that read it: those inside it, or itself."""
    regions = tuple(node.regions())
    own = own_operands(node) if regions else len(node.inputs)
    yield from ((v, node) for v in node.inputs[:own])
    for region in regions:
        outer = dict(zip(region.inputs, node.inputs[own:], strict=True))
        for inner in region.nodes:
            yield from ((outer[v], inner) for v in inner.inputs if v in outer)
