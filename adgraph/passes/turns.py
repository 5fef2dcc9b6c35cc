"""Arrays of a loop that take turns: two or three trips become one where that saves copies.

What a trip computes anew from shifted elements of an array cannot be written over it, and an array
that a trip hands on under another name has to be copied there. In a body of two trips the first one
writes to an array of its own, and the second one back: nothing is copied (double buffering).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from adgraph.ir.code import Control
from adgraph.ir.dims import symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.substitute import substitute_all
from adgraph.ops.control import loop_symbol
from adgraph.ops.shape import add_at, add_multiple_at, getitem, transpose, update
from adgraph.passes.rewrite import Hits, count_nodes

FEWEST_TRIPS = 4
MOST_TURNS = 3
MOST_NODES = 60  # of the new body: each is code to compile
SMALLEST = 256  # elements of an array worth the code


def turns(graph: Graph, hits: Hits | None = None) -> Graph:
    """Run trips of a program's loops together whose arrays take turns."""
    hits = Counter() if hits is None else hits
    nodes: list[Node] = []
    for node in graph.nodes:
        count = _turns_of(node)
        hits["trips together"] += count > 1
        nodes += [node] if count < 2 else _together(node, count)
    return graph if tuple(nodes) == graph.nodes else replace(graph, nodes=tuple(nodes))


def _turns_of(node: Node) -> int:
    """Return how many trips make a turn: one, if nothing is to be gained."""
    if not isinstance(node.op.code, Control) or node.op.code.form != "loop":
        return 1
    trips, body = node.attrs["trips"], node.attrs["body"]
    if not isinstance(trips, int) or trips < FEWEST_TRIPS:
        return 1
    count = max(map(_turn(body, node.attrs["constants"]).__getitem__, range(len(body.outputs))))
    fits = count <= MOST_TURNS and count * count_nodes(body) <= MOST_NODES
    return count if fits else 1


def _turn(body: Graph, constants: int) -> list[int]:
    """Return for every carried variable after how many trips it is back in its place."""
    carried = body.inputs[constants:]
    made = {v: n for n in body.nodes for v in n.outputs}
    origins = [_origin(v, made) for v in body.outputs]
    found = []
    for k, value in enumerate(carried):
        if value.type.ragged or value.type.size < SMALLEST:
            found.append(1)
            continue
        steps, at = 1, origins[k]
        while at in carried and at is not value and steps <= MOST_TURNS:
            steps, at = steps + 1, origins[carried.index(at)]
        fresh = at not in carried
        moved = fresh and steps == 1 and _reads_moved(body, value)
        found.append(2 if moved else steps)
    return found


def _origin(value: Value, made: dict[Value, Node]) -> Value:
    """Follow writes into an array to the array they began with."""
    while value in made and made[value].op in (update, add_at, add_multiple_at):
        value = made[value].inputs[0]
    return value


def _reads_moved(body: Graph, value: Value) -> bool:
    """Tell whether elementwise ops read much of an array at other positions than their own."""
    views = {value: False}  # whether elements have moved
    for node in body.nodes:
        (source, *_) = node.inputs or (None,)
        if node.op.kind is Kind.VIEW and source in views:
            large = 2 * node.output.type.size > value.type.size
            moves = node.op in (getitem, transpose) and large
            views[node.output] = moves or views[source]
        elif node.op.kind is Kind.ELEMENTWISE and any(views.get(v) for v in node.inputs):
            return True
    return False


# --- the loop of several trips --------------------------------------------------------------------


def _together(node: Node, count: int) -> list[Node]:
    """Return the loop with `count` trips in its body, and the loop of the trips that are left."""
    attrs, constants = node.attrs, node.attrs["constants"]
    start, trips, step = attrs["start"], attrs["trips"], attrs["step"]
    whole, rest = divmod(trips, count)
    symbol = loop_symbol(attrs["symbol"].name, start, whole, count * step)
    bodies = [
        substitute_all(attrs["body"], {attrs["symbol"]: symbol_dim(symbol) + i * step})
        for i in range(count)
    ]
    main = {
        **attrs,
        "body": _chained(bodies, constants),
        "symbol": symbol,
        "trips": whole,
        "step": count * step,
    }
    if not rest:
        return [replace(node, attrs=main)]
    between = tuple(Value(v.type, v.name) for v in node.outputs)
    last = {**attrs, "start": start + whole * count * step, "trips": rest}
    given = (*node.inputs[:constants], *between)
    return [replace(node, outputs=between, attrs=main), replace(node, inputs=given, attrs=last)]


def _chained(bodies: list[Graph], constants: int) -> Graph:
    """Return one program of several that each continue with the results of the one before."""
    first = bodies[0]
    inputs = tuple(Value(v.type, v.name) for v in first.inputs)
    carried, nodes = inputs[constants:], list[Node]()
    for body in bodies:
        env = dict(zip(body.inputs, (*inputs[:constants], *carried), strict=True))
        nodes += _copied(body, env)
        carried = tuple(env[v] for v in body.outputs)
    return replace(first, inputs=inputs, nodes=tuple(nodes), outputs=carried)


def _copied(body: Graph, env: dict[Value, Value]) -> Iterator[Node]:
    for node in body.nodes:
        env.update((v, Value(v.type, v.name)) for v in node.outputs)
        inputs = tuple(env[v] for v in node.inputs)
        yield replace(node, inputs=inputs, outputs=tuple(env[v] for v in node.outputs))
