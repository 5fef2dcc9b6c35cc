"""Values that a kernel computes again instead of reading them from memory.

Behind what a group reads are elementwise nodes of other groups. A minimum cut through them finds
what it should read: arrays that are in memory anyway, small ones (a difference of two broadcast
vectors is read as these), or what would take longer to compute than to move. What lies between the
cut and the group is computed in the group. So a forward kernel leaves less for the backward one,
and what all readers compute nobody writes. Begin with `repeat`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from adgraph.analysis.cost import moving_seconds
from adgraph.analysis.cut import Edge, minimum_cut
from adgraph.analysis.liveness import roots
from adgraph.analysis.space import Space
from adgraph.ir.code import Expression
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind

# Weight computed in a second beside what a kernel does anyway, one core, float64: 16 multiply-adds
# an element are hidden behind three arrays of 1 MB; exp and tanh take 0.45 and 0.55 ns.
LIGHT, RATE, RATE_OF_FUNCTIONS = 2.0, 6e10, 2.5e10
SMALLEST = 2**14  # bytes; smaller operands stay in the first cache and cost nothing
MOST_BEHIND = 96  # nodes behind what a group reads that are looked at
KEPT = 0.75  # what bytes cost that are kept only for one reader, in ways through the memory
SURE = 10**18  # the capacity of an edge that no cut may hold
PICOSECOND = 1e-12  # capacities are whole numbers

Unit = Space | Node


def repeat(graph: Graph, units: Sequence[Unit], most_nodes: int) -> list[Unit]:
    """Return the units, in order, with spaces that compute what takes less time than to read it.

    A space has at most `most_nodes` after that.
    """
    program = _Program(graph, units)
    for at in reversed(range(len(units))):
        unit = units[at]
        if isinstance(unit, Space):
            program.replace(at, _repeating(program, at, unit, most_nodes))
    return program.units


class _Program:
    """The units of a program, last ones settled first, and which of them read an array."""

    def __init__(self, graph: Graph, units: Sequence[Unit]) -> None:
        self.units = list(units)
        self.makers = _makers(graph)
        self.number = {node: i for i, node in enumerate(graph.nodes)}
        self.root = roots(graph)
        self.fixed = _fixed(graph, units)
        self.needed = self._needed_at_home()
        self._home = {v: at for at, unit in enumerate(units) for v in _results(unit)}
        self._lasting = {self.root[v] for v in (*graph.inputs, *graph.outputs)}
        self._readers: dict[Value, set[int]] = {}
        for at, unit in enumerate(units):
            self._note(at, unit)

    def replace(self, at: int, space: Space) -> None:
        """Put a space in the place of one of the units."""
        for value in _operands(self.units[at]):
            self._readers[self.root[value]].discard(at)
        self.units[at] = space
        self._note(at, space)

    def _note(self, at: int, unit: Unit) -> None:
        for value in _operands(unit):
            self._readers.setdefault(self.root[value], set()).add(at)

    def _needed_at_home(self) -> set[Value]:
        """The values that the unit which computes them needs whatever others read."""
        needed = set(self.fixed)
        for unit in reversed(self.units):
            if isinstance(unit, Node):
                continue
            for node in reversed(unit.nodes):
                if node.output in needed or node.output not in self.makers:
                    needed.update(v for v in node.inputs if v in unit.places)
        return needed

    def readers(self, value: Value) -> set[int]:
        """Return the units that read an array, or views of it."""
        return self._readers.get(self.root[value], set())

    def is_written(self, value: Value) -> bool:
        """Tell whether an array is in memory whatever the groups compute again."""
        return value in self.fixed or (value not in self.makers and bool(self.readers(value)))

    def lives(self, value: Value, at: int) -> bool:
        """Tell whether an array is kept anyway for most of the time until a unit reads it."""
        root = self.root[value]
        last = max(self.readers(value) - {at}, default=-1)
        return root in self._lasting or 2 * last >= self._home.get(root, 0) + at


def _makers(graph: Graph) -> dict[Value, Node]:
    """Return the nodes that may be computed again, by their results.

    A comparison may only if what it compares is read: a product repeated in a sum may be rounded
    once instead of twice. What is checkpointed is computed again as its user says.
    """
    found: dict[Value, Node] = {}
    for node in graph.nodes:
        if node.op.kind is not Kind.ELEMENTWISE or node.origin.scope is not None:
            continue
        if isinstance(node.op.code, Expression):
            if not _compares(node) or not any(v in found for v in node.inputs):
                found[node.output] = node
    return found


def _compares(node: Node) -> bool:
    return node.output.type.dtype.kind == "b"


def _results(unit: Unit) -> Sequence[Value]:
    return unit.outputs if isinstance(unit, Node) else tuple(unit.places)


def _operands(unit: Unit) -> Sequence[Value]:
    return unit.inputs if isinstance(unit, Node) else tuple(unit.operands)


def _fixed(graph: Graph, units: Sequence[Unit]) -> set[Value]:
    """The values that are in memory whatever the groups read."""
    fixed = {*graph.inputs, *graph.outputs}
    for unit in units:
        if isinstance(unit, Node):
            fixed.update(unit.inputs, unit.outputs)
    for node in graph.nodes:
        if node.op.kind is Kind.VIEW:
            fixed.update(node.inputs)
    return fixed


# --- one group ------------------------------------------------------------------------------------


def _repeating(program: _Program, at: int, space: Space, most_nodes: int) -> Space:
    """Return the space of a group with what it should compute, or as it is."""
    wanted = _wanted(program, space)
    behind = _behind(program, wanted)
    computed = _Network(program, at, space, wanted, behind).computed()
    recipe = [behind[v] for v in behind if v in computed]
    if not recipe or len(space.nodes) + len(recipe) > most_nodes:
        return space
    return _admit_all(_inserted(space.nodes, recipe), space) or space


def _wanted(program: _Program, space: Space) -> list[Value]:
    """Return the operands that are large, read once in every point, and by no comparison.

    The gradient of a maximum compares values with the very one that was found among them.
    """
    size = max((v.type.size for v in space.places), default=0)
    compared = {v for node in space.nodes if _compares(node) for v in node.inputs}
    return [
        v
        for v in space.operands
        if v in program.makers
        and v.type.size == size
        and v.type.nbytes >= SMALLEST
        and v not in compared
    ]


def _behind(program: _Program, wanted: Sequence[Value]) -> dict[Value, Node]:
    """Return the nodes that lead to values and may run in every point, operands first."""
    found: dict[Value, Node] = {}
    pending = list(wanted)
    for value in pending:
        node = program.makers.get(value)
        if node is None or value in found or value.type.size != wanted[0].type.size:
            continue
        if len(found) == MOST_BEHIND:
            break
        found[value] = node
        pending += node.inputs
    ordered = sorted(found.values(), key=program.number.__getitem__)
    return {node.output: node for node in ordered}


class _Network:
    """What it takes a group to read each value, and to compute it."""

    def __init__(
        self,
        program: _Program,
        at: int,
        space: Space,
        wanted: Sequence[Value],
        behind: dict[Value, Node],
    ) -> None:
        self._program = program
        self._at = at
        self._wanted = wanted
        self._behind = behind
        self._read_anyway = space.operands.keys() - set(wanted)
        self._sharers = self._count_sharers()

    def _count_sharers(self) -> dict[Value, int]:
        """Count the units that read a value, or what is computed from it."""
        sharers = {v: len(self._program.readers(v)) for v in self._wanted}
        for value, node in reversed(self._behind.items()):
            for operand in node.inputs:
                sharers[operand] = max(sharers.get(operand, 1), sharers[value])
        return sharers

    def computed(self) -> set[Value]:
        """Return the values that the group should compute: those behind the least cut."""
        if not self._behind:
            return set()
        edges: dict[Edge, int] = {}
        for value in self._sharers:
            edges[(value, "given"), (value, "used")] = self._reading(value)
            edges["source", (value, "given")] = self._computing(value)
            for operand in self._behind[value].inputs if value in self._behind else ():
                edges[(operand, "used"), (value, "given")] = SURE
        for value in self._wanted:
            edges[(value, "used"), "sink"] = SURE
        read = minimum_cut(edges, "source", "sink")
        return {v for v in self._behind if (v, "given") not in read}

    def _reading(self, value: Value) -> int:
        """The time to read an array, to write it if only groups want it, and a price for bytes."""
        if value in self._read_anyway or value.type.nbytes < SMALLEST:
            return 0
        ways = 1.0
        if not self._program.is_written(value):
            ways += 1 / self._sharers[value]
        if not self._program.lives(value, self._at):
            ways += KEPT
        return round(ways * moving_seconds(value.type.nbytes) / PICOSECOND)

    def _computing(self, value: Value) -> int:
        """The time to compute a value, once more than before: nobody else may need it then."""
        if value not in self._behind:
            return SURE
        sharers = self._sharers[value]
        times = 1.0 if value in self._program.needed else (sharers - 1) / sharers
        return round(times * _seconds(self._behind[value]) / PICOSECOND)


def _seconds(node: Node) -> float:
    assert isinstance(node.op.code, Expression)
    weight = node.op.code.weight
    return weight * float(node.output.type.size) / (RATE if weight <= LIGHT else RATE_OF_FUNCTIONS)


# --- nodes in a group -----------------------------------------------------------------------------


def _inserted(nodes: Sequence[Node], recipe: Sequence[Node]) -> Iterator[Node]:
    """Write a recipe before the first reader of its results; all readers read the copies."""
    made = {node.output for node in recipe}
    copies: dict[Value, Value] = {}
    for node in nodes:
        if not copies and not made.isdisjoint(node.inputs):
            for part in recipe:
                copies[part.output] = Value(part.output.type, part.output.name)
                yield replace(part.renamed(copies), origin=node.origin)
        yield node if made.isdisjoint(node.inputs) else node.renamed(copies)


def _admit_all(nodes: Iterator[Node], before: Space) -> Space | None:
    """Return the space of nodes, or None if they do not fit or must be kept between passes."""
    space = Space()
    fits = all(space.admit(node) for node in nodes)
    return space if fits and set(space.reread()) <= set(before.reread()) else None
