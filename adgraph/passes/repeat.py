"""Cheap values that a kernel computes again instead of reading them from memory.

A large operand of a group is repeated if few light elementwise nodes give it from small operands
(a difference of two broadcast vectors, say) or from what the group reads anyway. Then the group
reads less, and if every reader repeats it, nobody writes it. Begin with `repeated`.
"""

from __future__ import annotations

from collections.abc import Iterator

from adgraph.analysis.space import Space
from adgraph.ir.code import Expression
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind

LARGE = 2**18  # bytes; smaller operands stay in the second-level cache
SMALL_SHARE = 8  # an operand this many times smaller than the repeated one costs nothing to read
MOST_WEIGHT = 4.0  # additions an element: what reading the element costs


def makers(graph: Graph) -> dict[Value, Node]:
    """Return the light elementwise node of every value that has one."""
    return {
        node.output: node
        for node in graph.nodes
        if node.op.kind is Kind.ELEMENTWISE and _weight(node) <= MOST_WEIGHT
    }


def repeated(space: Space, maker: dict[Value, Node], most_nodes: int) -> Space:
    """Return the space with its repeatable operands computed in it."""
    for value in _candidates(space):
        recipe = _recipe(value, space, maker)
        if recipe is not None and len(space.nodes) + len(recipe) <= most_nodes:
            space = _admit_all(_inserted(space.nodes, value, recipe), space) or space
    return space


def _candidates(space: Space) -> list[Value]:
    """Return the large operands that fill the space, those made last first."""
    compared = {v for n in space.nodes if n.output.type.dtype.kind == "b" for v in n.inputs}
    full = max((v.type.size for v in space.places), default=0)
    return [
        value
        for value in reversed(space.operands)
        if value.type.nbytes >= LARGE and value.type.size == full
        # A product repeated in a sum may be rounded once instead of twice: no value is repeated
        # that is compared with itself, as the gradient of a maximum does.
        and value not in compared
    ]


def _recipe(value: Value, space: Space, maker: dict[Value, Node]) -> list[Node] | None:
    """Return the nodes that give a value, in order, or None if they are not cheap."""
    found: dict[Value, Node] = {}

    def gather(part: Value) -> bool:
        if part in found or _is_small(part, value):
            return part not in space
        node = maker.get(part)
        before = dict(found)
        if part not in space and node is not None and all(gather(v) for v in node.inputs):
            found[part] = node
            return True
        found.clear()
        found.update(before)
        return part is not value and part in space.operands

    cheap = gather(value) and sum(map(_weight, found.values())) <= MOST_WEIGHT
    return list(found.values()) if cheap and value in found else None


def _is_small(part: Value, value: Value) -> bool:
    return part.type.nbytes * SMALL_SHARE <= value.type.nbytes


def _weight(node: Node) -> float:
    return node.op.code.weight if isinstance(node.op.code, Expression) else 0.0


def _inserted(nodes: list[Node], value: Value, recipe: list[Node]) -> Iterator[Node]:
    """Write a recipe before the first reader of its value, and let all readers read the copy."""
    copies: dict[Value, Value] = {}
    for node in nodes:
        if value in node.inputs and not copies:
            for made in recipe:
                copies[made.output] = Value(made.output.type, made.output.name)
                inputs = tuple(copies.get(v, v) for v in made.inputs)
                yield Node(made.op, inputs, (copies[made.output],), made.attrs, node.origin)
        inputs = tuple(copies[v] if v is value else v for v in node.inputs)
        yield node if inputs == node.inputs else _reading(node, inputs)


def _reading(node: Node, inputs: tuple[Value, ...]) -> Node:
    return Node(node.op, inputs, node.outputs, node.attrs, node.origin)


def _admit_all(nodes: Iterator[Node], before: Space) -> Space | None:
    """Return the space of nodes, or None if they do not fit or must be kept between passes."""
    space = Space()
    fits = all(space.admit(node) for node in nodes)
    return space if fits and set(space.reread()) <= set(before.reread()) else None
