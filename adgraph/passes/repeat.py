"""Cheap values that a kernel computes again instead of reading them from memory.

A large operand of a group is repeated if few light elementwise nodes give it from small operands
(a difference of two broadcast vectors, say) or from what the group reads anyway. Then the group
reads less, and if every reader repeats it, nobody writes it. `repeat` is for one group; `replace`
trades an operand of several groups for a value that is in memory anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

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


def repeat(space: Space, maker: dict[Value, Node], most_nodes: int) -> Space:
    """Return the space with its repeatable operands computed in it."""
    for value in reversed(space.operands):
        space = _with(value, space, maker, set(space.operands), most_nodes) or space
    return space


def replace(
    value: Value,
    spaces: list[Space],
    maker: dict[Value, Node],
    kept: Set[Value],
    most_nodes: int,
) -> list[Space]:
    """Return the spaces with a value computed in each, or as they are unless all can.

    They may read one large value instead of it, one of `kept`: those of its size which stay in
    memory anyway.
    """
    if not all(_is_candidate(value, space) for space in spaces):
        return spaces
    for other in kept:
        found = [_with(value, s, maker, {*s.operands, other}, most_nodes) for s in spaces]
        if None not in found:
            return [space for space in found if space is not None]
    return spaces


def _with(
    value: Value,
    space: Space,
    maker: dict[Value, Node],
    readable: Set[Value],
    most_nodes: int,
) -> Space | None:
    """Return the space with one operand computed in it, or None if that is not worth it."""
    if not _is_candidate(value, space):
        return None
    recipe = _recipe(value, space, maker, readable, most_nodes)
    if recipe is None or len(space.nodes) + len(recipe) > most_nodes:
        return None
    return _admit_all(_inserted(space.nodes, value, recipe), space)


def _is_candidate(value: Value, space: Space) -> bool:
    """Whether an operand is large, is read once in every point, and not by a comparison.

    A product repeated in a sum may be rounded once instead of twice, and the gradient of a maximum
    compares values with what was found among them.
    """
    if value.type.nbytes < LARGE or value.type.size != max(v.type.size for v in space.places):
        return False
    return all(n.output.type.dtype.kind != "b" for n in space.nodes if value in n.inputs)


def _recipe(
    value: Value,
    space: Space,
    maker: dict[Value, Node],
    readable: Set[Value],
    most_nodes: int,
) -> list[Node] | None:
    """Return the nodes that give a value, in order, or None if they are not cheap."""
    found: dict[Value, Node] = {}

    def gather(part: Value, allowed: int = most_nodes) -> bool:
        if part in space or part in found or _is_small(part, value):
            return part not in space
        node = maker.get(part) if allowed else None  # a longer chain would not fit anyway
        before = dict(found)
        if node is not None and all(gather(v, allowed - 1) for v in node.inputs):
            found[part] = node
            return True
        found.clear()
        found.update(before)
        return part is not value and part in readable

    cheap = gather(value) and sum(map(_weight, found.values())) <= MOST_WEIGHT
    return list(found.values()) if cheap else None


def _is_small(part: Value, value: Value) -> bool:
    return part is not value and part.type.nbytes * SMALL_SHARE <= value.type.nbytes


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
