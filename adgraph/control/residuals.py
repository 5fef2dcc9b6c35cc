"""What the adjoint of a loop or a branch needs of its program, and where that comes from.

A `Joint` is a body's forward sweep and its reverse walk in one program. What depends on the body's
inputs alone is *early*, the rest *late*; a late node needs early values. `choose` finds, for each
that crosses, the first of these that holds: it is an operand of the region; it is read from an
array that leaves the region, where nothing has written since (`analysis.regions.final`), or was
written there; it is computed again from such by cheap ops, or by any that a checkpoint inside the
body gives up; it is read from an array as it entered.
A minimum vertex cut decides what is recorded for the others. `rebuild` emits early values, found in
that way, and the late nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adgraph.analysis.checkpoints import saved_by_name, settled, within
from adgraph.analysis.cut import Edge, minimum_cut
from adgraph.analysis.ordering import reads_first
from adgraph.analysis.programs import is_loop, most_trips
from adgraph.analysis.regions import (
    CHEAP,
    Box,
    Levels,
    final,
    full_box,
    index_box,
    initial,
    lasting,
    reads,
    seen,
)
from adgraph.ir.builder import Builder
from adgraph.ir.dims import upper_bound
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType
from adgraph.ops.indexing import take, wrap_index
from adgraph.ops.shape import getitem, update

UNBOUNDED = 10**12  # bytes of what has no bound, and trips of a loop without one
SURE = 10**18  # the capacity of an edge that no cut may hold
BYTE = 100  # what it costs to record a byte
DETOUR = 1  # what it costs to record a value that is not itself needed


@dataclass(frozen=True)
class Joint:
    """The joint program of a body.

    Its inputs are those of the body, of which the first `fixed` are constants, and `seeds`
    cotangents; its outputs the body's `results`, then cotangents. `values` maps the body's values
    to the program's. `levels` are the programs around, the body itself last.
    """

    graph: Graph
    fixed: int
    seeds: int
    results: int
    values: Mapping[Value, Value]
    levels: Levels

    @property
    def primal(self) -> tuple[Value, ...]:
        """The inputs that are those of the body."""
        return self.graph.inputs[: len(self.graph.inputs) - self.seeds]

    @property
    def pulled(self) -> tuple[Value, ...]:
        """The outputs that are cotangents."""
        return self.graph.outputs[self.results :]


@dataclass(frozen=True)
class Step:
    """A view or a gather, to be applied to another array."""

    op: Op
    attrs: Mapping[str, Any]
    others: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Same:
    """An operand of the region."""


@dataclass(frozen=True)
class Recomputed:
    """The value's own node runs again."""


@dataclass(frozen=True)
class Kept:
    """A part of an array that leaves the region, or as it enters it."""

    leaving: bool
    number: int
    path: tuple[Step, ...] = ()


Source = Same | Recomputed | Kept


@dataclass(frozen=True)
class Residuals:
    """Where the early values come from that late nodes need; `recorded` have no source."""

    early: tuple[Node, ...]
    late: tuple[Node, ...]
    needed: tuple[Value, ...]
    sources: Mapping[Value, Source]
    recorded: tuple[Value, ...]


def choose(joint: Joint, *, store_all: bool = False) -> Residuals:
    """Decide where the values come from that the reverse walk needs of the forward sweep."""
    return _Choice(joint, store_all).residuals()


def nbytes(type: ArrayType) -> int:
    """Return the bytes of an array at the bounds of its extents."""
    total = type.dtype.itemsize
    for extent in type.shape:
        most = upper_bound(extent)
        if most is None:
            return UNBOUNDED
        total *= max(most, 0)
    return min(total, UNBOUNDED)


@dataclass
class _Choice:
    """The decisions so far, in the order of the program."""

    joint: Joint
    store_all: bool
    sources: dict[Value, Source] = field(default_factory=dict)
    whole: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.early, self.late = _cut(self.joint)
        self.producers = {v: node for node in self.early for v in node.outputs}
        here = self.joint.levels[-1]
        values = self.joint.values
        self.versions = {values[v]: v for v in here.chains if v in values}
        self.written = {
            node.inputs[1]: node
            for node in reversed(self.early)
            if node.op is update and node.output in self.versions
        }
        self.operands = {values[v]: outer for v, outer in here.operands.items()}
        self.around = self.joint.levels[:-1]
        self.walk = Graph(self.joint.graph.inputs, self.late, self.joint.pulled)
        around = here.node.origin.scope
        regions = settled(self.early).items()
        self.again = {node for node, scope in regions if within(scope, around)}
        self.saved = saved_by_name(self.early)
        self.trips = _trips(self.joint.levels[-1:])
        self.all_trips = _trips(self.joint.levels)

    def residuals(self) -> Residuals:
        known = {*self.joint.primal, *self.producers}
        needed = _needed(self.walk, known)
        for i, value in enumerate(self.joint.primal):
            source: Source | None = Same() if i < self.joint.fixed else self._version(value)
            self._enter(value, source)
        for node in self.early:
            for value in node.outputs:
                self._enter(value, self._source(node, value))
        missing = [v for v in needed if v not in self.sources]
        recorded = self._recorded(missing, set(needed))
        return Residuals(self.early, self.late, needed, self.sources, recorded)

    def _enter(self, value: Value, source: Source | None) -> None:
        if source is not None:
            self.sources[value] = source

    # --- one value ------------------------------------------------------------------------------

    def _source(self, node: Node, value: Value) -> Source | None:
        if node.op.kind in (Kind.CONSTANT, Kind.INDEX):
            return Recomputed()
        if self.store_all:
            return None
        return (
            self._read_after(value)
            or self._written_after(value)
            or self._again(node, value)
            or self._read_before(value)
            or self._version(value)
        )

    def _path(self, value: Value) -> tuple[Value, tuple[Step, ...], Box]:
        """Follow views and gathers back to an array; return it, the steps, and the box read."""
        steps: list[Step] = []
        box = full_box(value.type)
        while value not in self.versions and (node := self.producers.get(value)) is not None:
            if not _shows(node) or not all(map(self._usable, node.inputs[1:])):
                break
            steps.append(Step(node.op, node.attrs, node.inputs[1:]))
            box = seen(node, box)
            value = node.inputs[0]
        return value, tuple(reversed(steps)), box

    def _read_after(self, value: Value) -> Source | None:
        array, path, box = self._path(value)
        if not path or array not in self.versions:
            return None
        version = self.versions[array]
        if not final(self.joint.levels, version, box):
            return None
        return Kept(True, self._number(version), path)

    def _written_after(self, value: Value) -> Source | None:
        node = self.written.get(value)
        if node is None:
            return None
        version = self.versions[node.output]
        if not final(self.joint.levels, version, index_box(node.attrs["index"])):
            return None
        return Kept(True, self._number(version), (Step(getitem, node.attrs),))

    def _read_before(self, value: Value) -> Source | None:
        """Read from the entering array: it must be copied, so less than the slices would take."""
        array, path, box = self._path(value)
        if not path or array not in self.versions:
            return None
        if nbytes(value.type) * self.all_trips <= nbytes(array.type):
            return None
        version = self.versions[array]
        if not initial(self.joint.levels, version, box):
            return None
        return Kept(False, self._number(version), path)

    def _again(self, node: Node, value: Value) -> Source | None:
        if not self._repeats(node) or not all(map(self._usable, node.inputs)):
            return None
        array, path, box = self._path(value)
        if path and array in self.operands and not self._worth_keeping(array, value, box):
            return None
        return Recomputed()

    def _worth_keeping(self, array: Value, value: Value, box: Box) -> bool:
        """Tell whether an operand of the region is there for its adjoint at no great cost."""
        if lasting(self.around, self.operands[array], box):
            return True
        return nbytes(value.type) * self.trips > nbytes(array.type)

    def _version(self, value: Value) -> Source | None:
        """Use an array that leaves or enters in place of a version, for all that is read of it."""
        if self.store_all or value not in self.versions:
            return None
        version, levels = self.versions[value], self.joint.levels
        number = self._number(version)
        if final(levels, version, full_box(value.type)):
            self.whole.add(value)
            return Kept(True, number)
        boxes = reads(self.walk, value)
        if boxes and all(final(levels, version, box) for box in boxes):
            return Kept(True, number)
        if boxes and all(initial(levels, version, box) for box in boxes):
            return Kept(False, number)
        return None

    def _number(self, version: Value) -> int:
        return self.joint.levels[-1].chains[version][0].number

    def _usable(self, value: Value) -> bool:
        """Tell whether all of a value can be had in the reverse walk."""
        source = self.sources.get(value)
        if value in self.versions and not isinstance(source, Same):
            return value in self.whole
        return source is not None

    def _repeats(self, node: Node) -> bool:
        """Tell whether a node may run again: if it is cheap or a checkpoint says so."""
        return node in self.again or (_cheap(node) and node not in self.saved)

    # --- what must be recorded ------------------------------------------------------------------

    def _recorded(self, missing: list[Value], needed: set[Value]) -> tuple[Value, ...]:
        """Return the values of least size from which the missing ones can be computed."""
        if not missing:
            return ()
        network: dict[Edge, int] = {((value, True), "sink"): SURE for value in missing}
        waiting, met = list(missing), set(missing)
        while waiting:
            value = waiting.pop()
            size = BYTE * nbytes(value.type) + (0 if value in needed else DETOUR)
            network[(value, False), (value, True)] = size
            origins = self._origins(value)
            if not origins:
                network["source", (value, False)] = SURE
            for origin in origins:
                network[(origin, True), (value, False)] = SURE
            new = [v for v in origins if v not in met]
            met.update(new)
            waiting.extend(new)
        near = minimum_cut(network, "source", "sink")
        cut = {v for v in met if (v, False) in near and (v, True) not in near}
        order = {v: i for i, v in enumerate((*self.joint.primal, *self.producers))}
        return tuple(sorted(cut, key=order.__getitem__))

    def _origins(self, value: Value) -> list[Value]:
        """Return the operands from which a value could be computed again, if they were there."""
        node = self.producers.get(value)
        if node is None or self.store_all or not self._repeats(node):
            return []
        return [v for v in dict.fromkeys(node.inputs) if not self._usable(v)]


def _cheap(node: Node) -> bool:
    return node.op.kind in CHEAP or node.op in (take, wrap_index)


def _shows(node: Node) -> bool:
    return node.op.kind is Kind.VIEW or node.op is take


def _trips(levels: Levels) -> int:
    total = 1
    for level in levels:
        most = most_trips(level.node) if is_loop(level.node) else 1
        total *= UNBOUNDED if most is None else most
    return total


def _cut(joint: Joint) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Split the nodes in those that depend on the body's inputs alone, and the others."""
    known = set(joint.primal)
    early, late = [], []
    for node in joint.graph.nodes:
        if known.issuperset(node.inputs):
            early.append(node)
            known.update(node.outputs)
        else:
            late.append(node)
    return tuple(early), tuple(late)


def _needed(walk: Graph, known: set[Value]) -> tuple[Value, ...]:
    crossing = [v for node in walk.nodes for v in node.inputs if v in known]
    return tuple(dict.fromkeys([*crossing, *(v for v in walk.outputs if v in known)]))


# --- the reverse walk, emitted --------------------------------------------------------------------


@dataclass(frozen=True)
class Supply:
    """What a reverse walk takes from outside, as values of the builder."""

    same: Callable[[int], Value]
    kept: Callable[[bool, int], Value]
    recorded: Callable[[int], Value]


def rebuild(
    builder: Builder, joint: Joint, residuals: Residuals, seeds: Iterable[Value], supply: Supply
) -> list[Value]:
    """Emit the reverse walk; return the cotangents."""
    env = dict(zip(joint.graph.inputs[len(joint.primal) :], seeds, strict=True))
    wanted = _wanted(residuals)
    recorded = {v: i for i, v in enumerate(residuals.recorded)}
    early = _Early(builder, residuals, env, supply, recorded)
    for i, value in enumerate(joint.primal):
        if value in wanted:
            early.emit(value, None, i)
    for node in residuals.early:
        for value in node.outputs:
            if value in wanted:
                early.emit(value, node, -1)
    for node in reads_first(residuals.late):
        copy_typed(builder, node, env)
    return [env[v] for v in joint.pulled]


def copy_typed(builder: Builder, node: Node, env: dict[Value, Value]) -> None:
    """Emit a node of another graph whose types are known."""
    with builder.at(node.origin):
        types = tuple(v.type for v in node.outputs)
        operands = [env[v] for v in node.inputs]
        results = builder.emit(node.op, operands, node.attrs, types=types)
    env.update(zip(node.outputs, results, strict=True))


def _wanted(residuals: Residuals) -> set[Value]:
    """Return the early values that the reverse walk computes or reads."""
    wanted = set(residuals.needed)
    recorded = set(residuals.recorded)
    for node in reversed(residuals.early):
        for value in node.outputs:
            if value not in wanted or value in recorded:
                continue
            match residuals.sources.get(value):
                case Kept(path=path):
                    wanted.update(v for step in path for v in step.others)
                case _:
                    wanted.update(node.inputs)
    return wanted


@dataclass(frozen=True)
class _Early:
    """Emits early values in the reverse walk, each from its source."""

    builder: Builder
    residuals: Residuals
    env: dict[Value, Value]
    supply: Supply
    recorded: Mapping[Value, int]

    def emit(self, value: Value, node: Node | None, number: int) -> None:
        """Emit a value computed by `node`, or input `number` of the body."""
        if value in self.recorded:
            self.env[value] = self.supply.recorded(self.recorded[value])
            return
        match self.residuals.sources.get(value):
            case Kept(leaving, array, path):
                self.env[value] = self._follow(self.supply.kept(leaving, array), path)
            case Same():
                self.env[value] = self.supply.same(number)
            case _:
                assert node is not None
                copy_typed(self.builder, node, self.env)

    def _follow(self, value: Value, path: tuple[Step, ...]) -> Value:
        for step in path:
            others = [self.env[v] for v in step.others]
            (value,) = self.builder.emit(step.op, [value, *others], step.attrs)
        return value
