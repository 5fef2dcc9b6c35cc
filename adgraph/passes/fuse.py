"""Group elementwise ops and reductions into `fused` nodes, one loop nest each.

The program becomes an ordered list of units: groups, and nodes that stand alone (data movement,
library calls). A node joins the first unit at or behind the last of its producers whose iteration
space admits it, so the order of units is always an order of execution. Then groups
become one where the later reads what the earlier computes, or both read the same. In the end groups
repeat cheap nodes whose results they would have to read (`adgraph.passes.repeat`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from adgraph.analysis.space import Space, assembles_scalars
from adgraph.control.fused import fused
from adgraph.ir.dims import upper_bound
from adgraph.ir.graph import Graph, Node, Origin, Scope, Value
from adgraph.ir.op import Kind
from adgraph.passes.repeat import repeat

MOST_NODES = 40  # of a group as it grows; two groups may become a larger one
MOST_JOINED = 120  # more live values than these would not stay in registers
MOST_REPEATING = 240  # values that are computed again serve at once, or could be spilled
MOST_SCALARS = 500  # of a group without loops: compile time grows faster than longer ones
LOOK_AHEAD = 16  # units searched for a common operand
SHORT_ROW = 16  # elements: what is computed in such rows hardly fills vectors


@dataclass
class _Group:
    """A unit under construction: a space and what it may hold."""

    origin: Origin
    space: Space = field(default_factory=Space)

    def takes(self, node: Node) -> bool:
        most = MOST_SCALARS if self.is_scalar() else MOST_NODES
        if len(self.space.nodes) >= most or _scope(self.origin) != _scope(node.origin):
            return False
        return self.space.admit(node)

    def is_scalar(self) -> bool:
        """Tell whether the group has no loops."""
        return self.space.extents == ()

    def suits(self, node: Node) -> bool:
        """Tell whether group and node share a value, or are both without loops."""
        if self.is_scalar() and not node.output.type.shape:
            return True
        return any(v in self.space or v in self.space.operands for v in node.inputs)


def _scope(origin: Origin) -> tuple[Scope, int] | None:
    """A checkpointed region's forward and backward parts must stay apart, to be run apart."""
    return None if origin.scope is None else (origin.scope, origin.order)


def fuse(graph: Graph, *, inside: bool = False) -> Graph:
    """Return the program with every elementwise op and reduction inside a `fused` node.

    In the programs of loops and branches (`inside`) scalars are variables of the code around the
    nests: their ops, and the reading of single elements, stay nodes of their own.
    """
    units: list[_Group | Node] = []
    unit_of: dict[Value, int] = {}
    views: dict[Value, Node] = {}
    for node in map(_with_fused_programs, graph.nodes):
        if inside and _is_scalar(node):
            unit_of.update(dict.fromkeys(node.outputs, len(units)))
            units.append(node)
        elif node.op.kind in (Kind.VIEW, Kind.CONSTANT, Kind.INDEX):
            _attach_view(node, units, unit_of, views)
        elif node.op.kind in (Kind.ELEMENTWISE, Kind.REDUCTION) or (
            not inside and assembles_scalars(node)
        ):
            at = _join(node, units, unit_of)
            unit_of.update(dict.fromkeys(node.outputs, at))
        else:
            unit_of.update(dict.fromkeys(node.outputs, len(units)))
            units.append(node)
    if inside:
        _join_sole_readers(graph, units, views)
    else:
        _join_groups(units, views)
        _repeat_cheap_nodes(graph, units)
    _drop_dead_nodes(graph, units, views)
    return _assemble(graph, units, views, inside=inside)


def _with_fused_programs(node: Node) -> Node:
    programs = {k: fuse(a, inside=True) for k, a in node.attrs.items() if isinstance(a, Graph)}
    if not programs:
        return node
    return Node(node.op, node.inputs, node.outputs, {**node.attrs, **programs}, node.origin)


def _is_scalar(node: Node) -> bool:
    """Whether a node computes one element from others, or reads one of an array."""
    if node.op.kind is Kind.VIEW:
        return not node.output.type.shape and bool(node.inputs[0].type.shape)
    return node.op.kind is Kind.ELEMENTWISE and not node.output.type.shape


def _repeat_cheap_nodes(graph: Graph, units: list[_Group | Node]) -> None:
    spaces = [unit if isinstance(unit, Node) else unit.space for unit in units]
    for unit, space in zip(units, repeat(graph, spaces, MOST_REPEATING), strict=True):
        if isinstance(unit, _Group) and isinstance(space, Space):
            unit.space = space


class _Borders:
    """What units read and make, found once for each of them, and which pairs do not join."""

    def __init__(self, views: dict[Value, Node]) -> None:
        self.root = _roots(views)
        self._known: dict[int, tuple[_Group | Node, set[Value], set[Value]]] = {}
        self._apart: set[tuple[int, int]] = set()

    def reads(self, unit: _Group | Node) -> set[Value]:
        """Return what a unit reads, in place of views what they are views of."""
        return self._of(unit)[1]

    def makes(self, unit: _Group | Node) -> set[Value]:
        """Return what a unit computes."""
        return self._of(unit)[2]

    def _of(self, unit: _Group | Node) -> tuple[_Group | Node, set[Value], set[Value]]:
        if id(unit) not in self._known:
            read = {self.root.get(v, v) for v in _operands(unit)}
            self._known[id(unit)] = (unit, read, _makes(unit))
        return self._known[id(unit)]

    def joined(self, first: _Group, second: _Group) -> _Group | None:
        """Return one group of two, or None where their nodes do not run in one nest."""
        pair = id(first), id(second)
        if pair in self._apart:
            return None
        group = _joined(first, second, self.root)
        if group is None:
            self._apart.add(pair)
        return group


def _join_groups(units: list[_Group | Node], views: dict[Value, Node]) -> None:
    """Make one group of two where the later reads what the earlier computes, or both read alike.

    What both read has to be as large as what they compute: groups that share no more than a
    broadcast row would only keep each other's results alive.

    What stands between them and reads the earlier comes after the new group, the rest before.
    """
    borders = _Borders(views)
    at = 0
    while at < len(units):
        begin = max(at - LOOK_AHEAD, 0)
        window = units[begin : at + 1]
        joined = _joined_window(window, borders)
        if joined is None:
            at += 1
        else:
            units[begin : at + 1] = joined
            at = begin


def _joined_window(window: list[_Group | Node], borders: _Borders) -> list[_Group | Node] | None:
    """Return the units with the last one joined to an earlier group, the nearest that takes it."""
    last = window[-1]
    if not isinstance(last, _Group):
        return None
    wanted = borders.reads(last)
    size = max(map(_most_elements, borders.makes(last)))
    for first in reversed(range(len(window) - 1)):
        group = window[first]
        if not isinstance(group, _Group):
            continue
        alike = {v for v in wanted & borders.reads(group) if _most_elements(v) >= size}
        if not any(v.type.shape for v in alike | (wanted & borders.makes(group))):
            continue
        between = range(first + 1, len(window) - 1)
        behind = _dependents(group, window, between, borders)
        if any(borders.makes(window[k]) & wanted for k in behind):
            continue
        joined = borders.joined(group, last)
        if joined is not None:
            before = [window[k] for k in between if k not in behind]
            after = [window[k] for k in behind]
            return [*window[:first], *before, joined, *after]
    return None


def _most_elements(value: Value) -> float:
    """The number of elements, at most: in a loop of the user extents may depend on its index."""
    bounds = (upper_bound(n) for n in value.type.shape)
    return math.prod(math.inf if n is None else n for n in bounds)


def _dependents(
    group: _Group, window: list[_Group | Node], between: range, borders: _Borders
) -> list[int]:
    """Return which units need, by themselves or through others, what a group computes."""
    made = set(borders.makes(group))
    found = []
    for k in between:
        if not made.isdisjoint(borders.reads(window[k])):
            made |= borders.makes(window[k])
            found.append(k)
    return found


def _makes(unit: _Group | Node) -> set[Value]:
    return set(unit.space.places) if isinstance(unit, _Group) else set(unit.outputs)


def _joined(first: _Group, second: _Group, root: dict[Value, Value]) -> _Group | None:
    """Return one group of two, or None where their nodes do not run in one nest."""
    nodes = [*first.space.nodes, *second.space.nodes]
    if _scope(first.origin) != _scope(second.origin) or len(nodes) > MOST_JOINED:
        return None
    space = Space()
    if not all(map(space.admit, nodes)):
        return None
    if any(root.get(v, v) in space for v in space.operands):
        return None  # read through a view that moves elements
    if any(_in_short_rows(space) and not _in_short_rows(g.space) for g in (first, second)):
        return None
    order = min(first.origin.order, second.origin.order)
    return _Group(Origin(first.origin.location, order, first.origin.scope), space)


def _in_short_rows(space: Space) -> bool:
    if space.depth is None or space.extents is None:
        return False
    row = [n for n in space.extents[space.depth :] if isinstance(n, int)]
    return math.prod(row) < SHORT_ROW


def _roots(views: dict[Value, Node]) -> dict[Value, Value]:
    """Map every view to what it is a view of in the end."""
    root: dict[Value, Value] = {}
    for view in views.values():
        root[view.output] = root.get(view.inputs[0], view.inputs[0]) if view.inputs else view.output
    return root


def _join_sole_readers(graph: Graph, units: list[_Group | Node], views: dict[Value, Node]) -> None:
    """Move a group into the one that alone reads it: scalars known in between held it back."""
    root = _roots(views)
    returned = {root.get(v, v) for v in graph.outputs}
    read = [{root.get(v, v) for v in _operands(unit)} for unit in units]
    for first in reversed(range(len(units))):
        group = units[first]
        if not isinstance(group, _Group) or returned & group.space.places.keys():
            continue
        readers = [at for at, values in enumerate(read) if values & group.space.places.keys()]
        other = units[readers[0]] if len(readers) == 1 else None
        if not isinstance(other, _Group) or _scope(other.origin) != _scope(group.origin):
            continue
        between = zip(units[first + 1 : readers[0]], read[first + 1 : readers[0]], strict=True)
        if any(_may_write(unit) and values & read[first] for unit, values in between):
            continue  # what the group reads would be written over
        joined = Space()
        nodes = [*group.space.nodes, *other.space.nodes]
        if len(nodes) <= MOST_NODES and all(map(joined.admit, nodes)):
            apart = all(root.get(v, v) not in joined for v in joined.operands)
            if apart and set(joined.reread()) <= set(other.space.reread()):
                other.space = joined
                group.space = Space()
                read[readers[0]] |= read[first]
                read[first] = set()


def _may_write(unit: _Group | Node) -> bool:
    return isinstance(unit, Node) and not _is_scalar(unit)


def _operands(unit: _Group | Node) -> Iterable[Value]:
    """What a unit reads that is computed elsewhere."""
    if isinstance(unit, Node):
        return unit.inputs
    return [v for node in unit.space.nodes for v in node.inputs if v not in unit.space]


def _drop_dead_nodes(graph: Graph, units: list[_Group | Node], views: dict[Value, Node]) -> None:
    """Take out of the groups what nobody reads any more."""
    read: set[Value] = set()
    _mark(graph.outputs, views, read)
    for unit in reversed(units):
        if isinstance(unit, _Group):
            unit.space = _live(unit.space, read)
            for node in unit.space.nodes:
                _mark(node.inputs, views, read)
        else:
            _mark(unit.inputs, views, read)
    units[:] = [u for u in units if isinstance(u, Node) or u.space.nodes]


def _mark(values: tuple[Value, ...], views: dict[Value, Node], read: set[Value]) -> None:
    """Add values, and what they are views of."""
    for value in values:
        while value not in read:
            read.add(value)
            if value in views and views[value].inputs:
                (value,) = views[value].inputs


def _live(space: Space, read: set[Value]) -> Space:
    """Return the space of the nodes on which values that are read depend."""
    live: list[Node] = []
    inside: set[Value] = set()
    for node in reversed(space.nodes):
        if node.output in read or node.output in inside:
            live.append(node)
            inside.update(node.inputs)
    if len(live) == len(space.nodes):
        return space
    pruned = Space()
    return pruned if all(map(pruned.admit, reversed(live))) else space


def _attach_view(
    node: Node,
    units: list[_Group | Node],
    unit_of: dict[Value, int],
    views: dict[Value, Node],
) -> None:
    """A view has no unit of its own; a group that holds its operand may read through it."""
    views[node.output] = node
    at = max((unit_of.get(v, -1) for v in node.inputs), default=-1)
    if at >= 0:
        unit_of[node.output] = at
        unit = units[at]
        if isinstance(unit, _Group) and node.op.kind is Kind.VIEW:
            unit.space.admit(node)


def _join(node: Node, units: list[_Group | Node], unit_of: dict[Value, int]) -> int:
    first = max([0, *(unit_of.get(v, 0) for v in node.inputs)])
    near = range(first, min(len(units), first + LOOK_AHEAD))
    last = range(max(near.stop, len(units) - 1), len(units))
    for at in itertools.chain(near, last):
        unit = units[at]
        if not isinstance(unit, _Group) or not unit.suits(node):
            continue
        if _readable(node, unit, at, unit_of) and unit.takes(node):
            return at
    group = _Group(node.origin)
    if not group.takes(node):
        raise AssertionError(f"an empty iteration space refuses {node.op.name}")
    units.append(group)
    return len(units) - 1


def _readable(node: Node, group: _Group, at: int, unit_of: dict[Value, int]) -> bool:
    """An operand made in this very group must be in its space, not a view of another kind."""
    return all(v in group.space or unit_of.get(v, -1) < at for v in node.inputs)


def _assemble(
    graph: Graph, units: list[_Group | Node], views: dict[Value, Node], *, inside: bool
) -> Graph:
    """Write the units in order, each view before its first reader."""
    needed = _needed_outside(graph, units, views)
    if inside:  # the kernel around has no rows to give
        needed.update(v for u in units if isinstance(u, _Group) for v in u.space.reread())
    nodes: list[Node] = []
    written: set[Value] = set(graph.inputs)

    def write_views(values: tuple[Value, ...]) -> None:
        for value in values:
            if value not in written and value in views:
                write_views(views[value].inputs)
                nodes.append(views[value])
                written.add(value)

    for unit in units:
        if isinstance(unit, _Group):
            node = _fused_node(unit, needed)
        else:
            node = unit
        write_views(node.inputs)
        nodes.append(node)
        written.update(node.outputs)
    write_views(graph.outputs)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name)


def _needed_outside(
    graph: Graph, units: list[_Group | Node], views: dict[Value, Node]
) -> set[Value]:
    """The values that something outside their group reads, through views or directly."""
    needed = set(graph.outputs)
    for unit in units:
        if isinstance(unit, Node):
            needed.update(unit.inputs)
            continue
        inside = unit.space
        needed.update(v for n in inside.nodes for v in n.inputs if v not in inside)
    pending = [v for v in needed if v in views]
    while pending:
        view = views[pending.pop()]
        fresh = [v for v in view.inputs if v not in needed]
        needed.update(fresh)
        pending.extend(v for v in fresh if v in views)
    return needed


def _fused_node(group: _Group, needed: set[Value]) -> Node:
    """Make the node of a group; views stay inside where only the group reads through them."""
    space = group.space
    inside = list(space.nodes)
    inputs = dict.fromkeys(v for n in inside for v in n.inputs if v not in space)
    outputs = tuple(n.output for n in inside if n.op.kind is not Kind.VIEW and n.output in needed)
    renamed = {v: Value(v.type, v.name) for v in (*inputs, *space.places)}
    nodes = tuple(n.renamed(renamed) for n in inside)
    body = Graph(
        tuple(renamed[v] for v in inputs),
        nodes,
        tuple(renamed[v] for v in outputs),
        _name(inside),
    )
    attrs: dict[str, Any] = {"body": body}
    rows = tuple(space.row_type(v) for v in space.reread() if v not in outputs)
    if rows:
        attrs["scratch"] = rows
    return Node(fused, tuple(inputs), outputs, attrs, _common_origin(group, inside))


def _name(nodes: list[Node]) -> str:
    """Name a kernel after its ops: the first, the most telling ones, the last."""
    names = list(dict.fromkeys(n.op.name for n in nodes if n.op.kind is not Kind.VIEW))
    if len(names) == 1:
        return f"{names[0]}_kernel"  # not to be taken for the op itself
    return "_".join(names if len(names) <= 4 else [*names[:2], *names[-2:]])


def _common_origin(group: _Group, nodes: list[Node]) -> Origin:
    order = min(n.origin.order for n in nodes)
    return Origin(group.origin.location, order, group.origin.scope)
