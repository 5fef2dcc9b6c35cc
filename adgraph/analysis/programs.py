"""How nodes that hold programs are made up: which operand is which input of which program.

A loop's body takes the loop's constants, then what it carries; the branches of a `cond` take all of
its operands. Operands that are none of these (a number of trips, a predicate) lead. Begin with
`operands`.
"""

from __future__ import annotations

from collections.abc import Iterator

from adgraph.ir.dims import Dim, upper_bound
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Op
from adgraph.ops.control import between, cond, counted, loop, while_

LOOPS = frozenset({loop, counted, between, while_})
LEADING: dict[Op, int] = {loop: 0, while_: 0, counted: 1, between: 2, cond: 1}


def is_loop(node: Node) -> bool:
    """Tell whether a node repeats a program."""
    return node.op in LOOPS


def is_region(node: Node) -> bool:
    """Tell whether a node is a loop or a branch."""
    return node.op in LEADING


def operands(node: Node) -> tuple[Value, ...]:
    """Return the operands that the inputs of the node's programs stand for, in their order."""
    return node.inputs[LEADING[node.op] :]


def constants(node: Node) -> int:
    """Return the number of a loop's constants: the first of its operands."""
    count: int = node.attrs["constants"]
    return count


def branches(node: Node) -> tuple[Graph, Graph]:
    """Return the programs of a `cond`."""
    return node.attrs["then"], node.attrs["orelse"]


def bodies(node: Node) -> tuple[Graph, ...]:
    """Return the programs that give a node its results: a loop's body, or both branches."""
    return (node.attrs["body"],) if is_loop(node) else branches(node)


def trips_of(node: Node) -> Dim | None:
    """Return the number of trips of a loop, at most its capacity if it is counted while running."""
    trips: Dim | None = node.attrs["trips" if node.op is loop else "capacity"]
    return trips


def most_trips(node: Node) -> int | None:
    """Return a number of trips that a loop never exceeds, if one is known."""
    trips = trips_of(node)
    most = None if trips is None else upper_bound(trips)
    return None if most is None else max(most, 0)


def nested(graph: Graph) -> Iterator[Node]:
    """Iterate over the nodes of a graph and of the programs inside it."""
    for node in graph.nodes:
        yield node
        for region in node.regions():
            yield from nested(region)
