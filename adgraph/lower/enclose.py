"""Make kernels of the loops and branches of a program, and of its updates in place.

The unit of code is the outermost loop. A chain of updates of one array is one kernel as well, with
the nests that compute what is written: they store it where it belongs. `enclose` takes a program
that is fused and whose values have layouts, and returns one in which these parts are the bodies of
`kernel` nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adgraph.control.kernel import kernel
from adgraph.ir.code import Control
from adgraph.ir.graph import Graph, Node, Scope, Value
from adgraph.ir.op import Kind
from adgraph.lower.layout import Layout, layouts
from adgraph.lower.numba_source import literal
from adgraph.lower.region import WrittenKernel
from adgraph.lower.starts import separate_starts
from adgraph.lower.storage import Memory, Scalar, Stored
from adgraph.lower.units import is_nest, program_ties, starts_with_literal, tied_operand
from adgraph.lower.written import WrittenKernels

MOST_UPDATES = 12  # in one kernel


def enclose(graph: Graph, kernels: WrittenKernels) -> Graph:
    """Return the program with its loops, branches and updates inside `kernel` nodes."""
    graph = separate_starts(graph)
    parts = _parts(graph)
    if not parts:
        return graph
    found = layouts(graph)
    literals = literal_texts(graph)
    views = {
        n.output: n for n in graph.nodes if n.op.kind is Kind.VIEW or literals.keys() & {*n.outputs}
    }
    at = {part.nodes[-1]: part for part in parts}
    inside = {node for part in parts for node in part.nodes}
    nodes = []
    for node in graph.nodes:
        if node in at:
            made = _enclosed(at[node], views)
            written = kernels.of(made, stored_operands(made, found, literals))
            nodes.append(with_scratch(made, written))
        elif node not in inside:
            nodes.append(node)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)


# --- which nodes make a kernel --------------------------------------------------------------------


@dataclass(eq=False)
class _Part:
    """Nodes of one kernel, in order; its results are those of the last one."""

    nodes: list[Node] = field(default_factory=list)
    updates: int = 0


def _parts(graph: Graph) -> list[_Part]:
    users = _users(graph)
    producers = graph.producers()
    part_of: dict[Node, _Part] = {}
    for node in graph.nodes:
        if isinstance(node.op.code, Control):
            part_of[node] = _Part([node])
        elif starts_with_literal(node):
            part_of[node] = _Part([node], 1)
        elif tied_operand(node, 0) == 0 and len(node.outputs) == 1:
            x = node.inputs[0]
            before = part_of.get(producers[x]) if x in producers else None
            joins = before is not None and users[x] == [node] and _may_join(before, node)
            part = before if before is not None and joins else _Part()
            part.nodes.append(node)
            part.updates += 1
            part_of[node] = part
    for node in reversed(graph.nodes):
        user = _only_user(node, users, part_of)
        if user is not None:
            part_of[node] = user
            user.nodes.append(node)
    place = {node: i for i, node in enumerate(graph.nodes)}
    for part in part_of.values():
        part.nodes.sort(key=place.__getitem__)
    return list(dict.fromkeys(part_of.values()))


def _users(graph: Graph) -> dict[Value, list[Node | None]]:
    """The nodes that read each value; None stands for the caller."""
    users: dict[Value, list[Node | None]] = {v: [None] for v in graph.outputs}
    for node in graph.nodes:
        for value in dict.fromkeys(node.inputs):
            users.setdefault(value, []).append(node)
    return users


def _only_user(
    node: Node, users: Mapping[Value, list[Node | None]], part_of: Mapping[Node, _Part]
) -> _Part | None:
    """The kernel that alone reads what a nest computes, to write it or to work on it in place."""
    if not is_nest(node) and node.op.kind is not Kind.VIEW:
        return None
    if node.attrs.get("scratch"):
        return None  # a kernel of many nests has no rows to give
    readers = [(user, v) for v in node.outputs for user in users.get(v, [])]
    parts = {part_of.get(user) if user is not None else None for user, _ in readers}
    if (
        len(parts) != 1
        or None in parts
        or any(scope_of(u) != scope_of(node) for u, _ in readers if u)
    ):
        return None
    if not all(user and _writes(user, value) for user, value in readers):
        return None
    return parts.pop()


def _writes(node: Node, value: Value) -> bool:
    """Whether a node changes an array, or writes it into another one; a view passes it on."""
    if node.op.kind is Kind.VIEW:
        return True
    if isinstance(node.op.code, Control):
        tied = {node.inputs[at] for at in _tied_operands(node)}
        return value in tied and node.inputs.count(value) == 1
    return not is_nest(node) and value in node.inputs[:2]


def _tied_operands(node: Node) -> Iterator[int]:
    """The operands whose buffers results of a node take over."""
    for k, value in enumerate(node.outputs):
        at = tied_operand(node, k) if value.type.shape else None
        if at is not None:
            yield at


def _may_join(part: _Part, node: Node) -> bool:
    return 0 < part.updates < MOST_UPDATES and scope_of(part.nodes[-1]) == scope_of(node)


def scope_of(node: Node) -> tuple[Scope, int] | None:
    """Return what nodes of one kernel share: the checkpointed region, and the pass.

    The forward and the backward part of such a region must stay apart, to be run apart.
    """
    origin = node.origin
    return None if origin.scope is None else (origin.scope, origin.order)


# --- the kernel -----------------------------------------------------------------------------------


def _enclosed(part: _Part, views: Mapping[Value, Node]) -> Node:
    """Put nodes into a kernel; literals, and views of what it may write, are made inside."""
    last = part.nodes[-1]
    computed = {v for node in part.nodes for v in node.outputs}
    written = set(_written(part))
    nodes: list[Node] = []
    for node in part.nodes:
        for value in node.inputs:
            nodes += [n for n in _views_of(value, written, views) if n not in nodes]
        nodes.append(node)
    computed |= {v for node in nodes for v in node.outputs}
    given = dict.fromkeys(v for node in nodes for v in node.inputs if v not in computed)
    renamed = {v: Value(v.type, v.name) for v in (*given, *computed)}
    inner = tuple(n.renamed(renamed) for n in nodes)
    inputs = tuple(renamed[v] for v in given)
    body = Graph(inputs, inner, tuple(renamed[v] for v in last.outputs), last.op.name)
    in_place = tuple((i, k) for k, i in program_ties(body).items())
    attrs = {"body": body, "in_place": in_place, "scratch": ()}
    return Node(kernel, tuple(given), last.outputs, attrs, last.origin)


def _written(part: _Part) -> Iterator[Value]:
    """The operands from outside that a kernel may write over."""
    for node in part.nodes:
        yield from (node.inputs[at] for at in _tied_operands(node))


def _views_of(value: Value, written: set[Value], views: Mapping[Value, Node]) -> tuple[Node, ...]:
    """The views through which a value is read of a literal, or of what the kernel may write."""
    chain: list[Node] = []
    while value in views and (value not in written or views[value].op.kind is Kind.CONSTANT):
        chain.insert(0, views[value])
        if not views[value].inputs:
            return tuple(chain)
        (value,) = views[value].inputs
    return tuple(chain) if value in written else ()


def with_scratch(node: Node, written: WrittenKernel) -> Node:
    """Say on a kernel which scratch it needs."""
    attrs = {**node.attrs, "scratch": written.scratch}
    return Node(node.op, node.inputs, node.outputs, attrs, node.origin)


# --- operands -------------------------------------------------------------------------------------


def literal_texts(graph: Graph) -> dict[Value, str]:
    """Return the text of the constants all of whose elements are equal."""
    return {
        node.output: literal(node.attrs["value"].fill, node.output.type.dtype)
        for node in graph.nodes
        if node.op.kind is Kind.CONSTANT and node.attrs["value"].fill is not None
    }


def stored_operands(
    node: Node, found: dict[Value, Layout], literals: dict[Value, str]
) -> tuple[Stored, ...]:
    """Tell where a kernel finds its operands: each behind a pointer of its own, or a literal."""
    stored: list[Stored] = []
    for i, value in enumerate(node.inputs):
        layout = found[value]
        if layout.root in literals:
            stored.append(Scalar(literals[layout.root]))
        else:
            stored.append(Memory(f"a{i}", 0, layout.strides, layout.strides))
    return tuple(stored)
