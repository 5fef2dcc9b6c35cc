"""Iteration spaces: which nodes can run in one loop nest, and where in it each one stands.

A space has axes with extents. Every value in it has a map: for each of its axes the axis of the
space, or None where its elements do not vary. A value is *inner* (it varies over all axes), or
*outer* (over the first `depth` axes only, a row's sum for example). Inner values of one row are
computed in stages: a value that needs a row's fold runs in a later pass over that row. A later pass
computes again what is cheap, and reads what was kept of the rest.

`Space.admit(node)` adds a node if it fits. The fusion pass asks it which nodes to group, the
lowering replays it to print the nest.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from adgraph.ir.code import Expression, Pieces, Strided
from adgraph.ir.graph import Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType, Shape

Map = tuple[int | None, ...]
_Rereading = tuple[dict[Value, None], dict[int, dict[Node, None]]]
MOST_REPEATED = 6.0  # additions an element: what keeping it in memory for a later pass costs


@dataclass(frozen=True, slots=True)
class Place:
    """Where a computed value stands.

    `stage` is the pass over the row that computes it; for an outer value the pass after which it is
    known (-1: before all). `scattered` marks a fold over axes that are not the last ones: it is
    complete only when the whole nest is.
    """

    map: Map
    inner: bool
    stage: int
    scattered: bool = False


SCALAR = Place((), True, 0)


@dataclass
class Space:
    """An iteration space and the nodes admitted to it, in order."""

    extents: Shape | None = None
    depth: int | None = None
    nodes: list[Node] = field(default_factory=list)
    places: dict[Value, Place] = field(default_factory=dict)
    operands: dict[Value, Map] = field(default_factory=dict)
    makers: dict[Value, Node] = field(default_factory=dict)
    _known: tuple[int, _Rereading] | None = None

    def admit(self, node: Node) -> bool:
        """Add a node, or return False and change nothing."""
        if node.op.kind is Kind.ELEMENTWISE:
            return self._admit_elementwise(node)
        if node.op.kind is Kind.REDUCTION:
            return self._admit_reduction(node)
        if node.op.kind is Kind.MOVEMENT:
            return self._admit_assembly(node)
        return node.op.kind is Kind.VIEW and self._admit_view(node)

    def __contains__(self, value: Value) -> bool:
        return value in self.places

    # --- elementwise ----------------------------------------------------------------------------

    def _admit_elementwise(self, node: Node) -> bool:
        shape = node.output.type.shape
        if self.extents == shape == () and self.depth is None and self._admit_scalar(node):
            return True
        if shape == self.extents and self._admit_alike(node):
            return True
        extents = _long(shape) if self.extents is None else self.extents
        resolved = self._resolve(node, shape, extents)
        if resolved is None:
            return False
        used = {axis for axis in resolved if axis is not None}
        depth = self._depth_for(node)
        if depth is False:
            return False
        inner = used == set(range(len(extents)))
        if not inner and (depth is None or used != set(range(depth))):
            return False
        operands = self._external(node, resolved, len(shape))
        if operands is None:
            return False
        self.extents, self.depth = extents, depth
        self.operands.update(operands)
        stage = max((self._ready(v, inner) for v in node.inputs), default=0 if inner else -1)
        stage = max(stage, 0 if inner else -1)
        self._commit(node, Place(resolved, inner, stage))
        return True

    def _admit_scalar(self, node: Node) -> bool:
        """Admit an op on scalars to a space without loops, if it does not wait for a fold."""
        given = [v for v in node.inputs if v not in self.places]
        if any(not self.places[v].inner for v in node.inputs if v in self.places):
            return False
        self.operands.update(dict.fromkeys(given, ()))
        self._commit(node, SCALAR)
        return True

    def _admit_alike(self, node: Node) -> bool:
        """Admit an op on inner values, scalars and arrays that are walked as its result is.

        Most ops are like that, and need none of the general case's questions.
        """
        assert self.extents is not None
        whole, stage = tuple(range(len(self.extents))), 0
        given: dict[Value, Map] = {}
        for value in node.inputs:
            place = self.places.get(value)
            if place is None:
                map = whole if value.type.shape == self.extents else ()
                if value.type.shape not in (self.extents, ()):
                    return False
                if self.operands.get(value, map) != map:
                    return False
                given[value] = map
            elif place.inner and place.map == whole:
                stage = max(stage, place.stage)
            else:
                return False
        self.operands.update(given)
        self._commit(node, Place(whole, True, stage))
        return True

    def _resolve(self, node: Node, shape: Shape, extents: Shape) -> Map | None:
        """Find the axis of the space for every axis of an elementwise result."""
        found: list[int | None] = [None] * len(shape)
        for value in node.inputs:
            known = self._known_map(value)
            if known is None:
                continue
            lead = len(shape) - len(known)
            for i, axis in enumerate(known):
                if axis is None:
                    continue
                if found[lead + i] not in (None, axis):
                    return None
                found[lead + i] = axis
        return _fill(found, shape, extents)

    def _known_map(self, value: Value) -> Map | None:
        if value in self.places:
            return self.places[value].map
        return self.operands.get(value)

    def _depth_for(self, node: Node) -> int | bool | None:
        """The depth of the space once the node has read its operands; False if it cannot be."""
        depth = self.depth
        for value in node.inputs:
            place = self.places.get(value)
            if place is None or place.inner:
                continue
            if place.scattered:
                return False
            own = sum(axis is not None for axis in place.map)
            if depth not in (None, own):
                return False
            depth = own
        return depth

    def _external(self, node: Node, resolved: Map, rank: int) -> dict[Value, Map] | None:
        """The maps of the operands computed elsewhere; None if one is read in two ways."""
        found: dict[Value, Map] = {}
        for value in node.inputs:
            if value in self.places:
                continue
            lead = rank - value.type.ndim
            aligned = tuple(
                resolved[lead + i] if n != 1 else None for i, n in enumerate(value.type.shape)
            )
            if self.operands.get(value, aligned) != aligned or found.get(value, aligned) != aligned:
                return None
            found[value] = aligned
        return found

    def _ready(self, value: Value, inner: bool) -> int:
        """The first stage in which a reader at a level can use a value."""
        place = self.places.get(value)
        if place is None:
            return 0 if inner else -1
        return place.stage if place.inner or not inner else place.stage + 1

    # --- reductions -------------------------------------------------------------------------------

    def _admit_reduction(self, node: Node) -> bool:
        (operand,) = node.inputs
        extents = _long(operand.type.shape) if self.extents is None else self.extents
        source = self._known_map(operand)
        if source is None:
            source = _fill([None] * operand.type.ndim, operand.type.shape, extents)
        if source is None or {a for a in source if a is not None} != set(range(len(extents))):
            return False
        folded = {source[axis] for axis in node.attrs["axis"]} - {None}
        if any(a is None and n != 1 for a, n in zip(source, operand.type.shape, strict=True)):
            return False  # a stretched axis: it would be folded, or stored, as one element
        place = self.places.get(operand)
        if place is not None and not place.inner:
            return False
        rest = tuple(a for i, a in enumerate(source) if i not in node.attrs["axis"])
        depth = len(extents) - len(folded)
        scattered = folded != set(range(depth, len(extents))) or not _ascending(rest)
        if place is None:
            self.operands.setdefault(operand, source)
        self.extents = extents
        stage = 0 if place is None else place.stage
        self._commit(node, Place(rest, False, stage, scattered))
        return True

    # --- views that only rename axes --------------------------------------------------------------

    def _admit_view(self, node: Node) -> bool:
        (operand,) = node.inputs
        place = self.places.get(operand)
        renamed = axis_map(node) if place is not None else None
        if place is None or renamed is None or place.scattered:
            return False
        new = tuple(None if axis is None else place.map[axis] for axis in renamed)
        if {a for a in new if a is not None} != {a for a in place.map if a is not None}:
            return False
        self._commit(node, Place(new, place.inner, place.stage))
        return True

    # --- arrays of scalars ------------------------------------------------------------------------

    def _admit_assembly(self, node: Node) -> bool:
        """Admit what puts scalars into an array to a space of scalars, as its result."""
        if self.extents not in (None, ()) or not assembles_scalars(node):
            return False
        if any(p.scattered for v in node.inputs if (p := self.places.get(v)) is not None):
            return False
        for value in node.inputs:
            if value not in self.places:
                self.operands[value] = (None,) * value.type.ndim
        self.extents = ()
        stage = max(0, *(self._ready(v, inner=False) for v in node.inputs))
        self._commit(node, Place((None,) * node.output.type.ndim, False, stage, True))
        return True

    def _commit(self, node: Node, place: Place) -> None:
        self.nodes.append(node)
        self.places[node.output] = place
        self.makers[node.output] = node

    # --- questions of the lowering ----------------------------------------------------------------

    def reread(self) -> tuple[Value, ...]:
        """Return the inner values that one pass keeps for a later one."""
        return tuple(self._rereading()[0])

    def row_type(self, value: Value) -> ArrayType:
        """Return the type of one row of an inner value."""
        assert self.extents is not None
        return ArrayType(value.type.dtype, self.extents[self.depth or 0 :])

    def again(self, stage: int) -> tuple[Node, ...]:
        """Return the nodes of earlier passes that a pass computes again, in order."""
        return tuple(self._rereading()[1].get(stage, ()))

    def last_pass(self, operand: Value) -> int:
        """Return the last pass that reads an operand computed elsewhere."""
        if self.extents == () and self.depth is None:
            return 0
        stages = [self.places[n.output].stage for n in self.nodes if operand in n.inputs]
        for stage, nodes in self._rereading()[1].items():
            stages += [stage for n in nodes if operand in n.inputs]
        return max(stages, default=0)

    def behind_views(self, value: Value) -> Value:
        """Return the computed value, or the operand, that a value of the space shows."""
        while (node := self.makers.get(value)) is not None and node.op.kind is Kind.VIEW:
            value = node.inputs[0]
        return value

    def _rereading(self) -> _Rereading:
        """Return what is kept and what is computed again, found once for the same nodes."""
        if self._known is None or self._known[0] != len(self.nodes):
            self._known = len(self.nodes), self._find_rereading()
        return self._known[1]

    def _find_rereading(self) -> _Rereading:
        """Return what is kept between passes, and by pass the nodes that it computes again.

        A comparison sees the very value that was there before: repeated, it may be rounded
        otherwise.
        """
        crossing = self._crossing()
        order = {node.output: i for i, node in enumerate(self.nodes)}
        kept: dict[Value, None] = {}
        for value, stage, reader in sorted(crossing, key=lambda item: order[item[0]]):
            compares = reader.output.type.dtype.kind == "b"
            if compares or self._recipe(value, stage, kept) is None:
                kept[value] = None
        repeated: dict[int, dict[Node, None]] = {}
        for value, stage, _ in crossing:
            for node in self._recipe(value, stage, kept) or ():
                repeated.setdefault(stage, {})[node] = None
        return kept, {
            stage: dict.fromkeys(sorted(nodes, key=lambda n: order[n.output]))
            for stage, nodes in repeated.items()
        }

    def _crossing(self) -> list[tuple[Value, int, Node]]:
        """List the inner values that a later pass than their own reads, with the readers."""
        found: list[tuple[Value, int, Node]] = []
        if self.depth is None:
            return found  # nothing waits for a row's fold: there is one pass
        for node in self.nodes:
            place = self.places[node.output]
            if not place.inner or node.op.kind is Kind.VIEW:
                continue
            for value in map(self.behind_views, node.inputs):
                source = self.places.get(value)
                if source is not None and source.inner and source.stage < place.stage:
                    found.append((value, place.stage, node))
        return found

    def _recipe(self, value: Value, stage: int, kept: Container[Value]) -> list[Node] | None:
        """Return the nodes that compute a value again in a later pass, or None if they cost much.

        They begin at operands, at the results of rows and at kept values.
        """
        found: dict[Node, None] = {}
        pending, weight = [value], 0.0
        while pending:
            part = self.behind_views(pending.pop())
            place = self.places.get(part)
            if place is None or not place.inner or part in kept:
                continue
            maker = self.makers[part]
            if maker in found:
                continue
            found[maker] = None
            pending.extend(maker.inputs)
            weight += _weight(maker)
            if weight > MOST_REPEATED:
                return None
        return list(found)


def assembles_scalars(node: Node) -> bool:
    """Tell whether a node writes arrays of one element each side by side."""
    if not isinstance(node.op.code, Pieces) or any(v.type.size != 1 for v in node.inputs):
        return False
    pieces = node.op.code.boxes(node.types, dict(node.attrs))
    return all(p.index is not None and p.operand is not None and not p.add for p in pieces)


def _weight(node: Node) -> float:
    return node.op.code.weight if isinstance(node.op.code, Expression) else 0.0


def _long(shape: Shape) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _ascending(axes: Map) -> bool:
    known = [a for a in axes if a is not None]
    return known == sorted(known)


def _fill(found: list[int | None], shape: Shape, extents: Shape) -> Map | None:
    """Give the axes that no operand determines the free axes of the space, in order."""
    used = [axis for axis in found if axis is not None]
    if len(set(used)) != len(used):
        return None
    free = [axis for axis in range(len(extents)) if axis not in used]
    for i, n in enumerate(shape):
        axis = found[i]
        if axis is not None:
            if extents[axis] != n:
                return None
        elif n != 1:
            match = next((axis for axis in free if extents[axis] == n), None)
            if match is None:
                return None
            free.remove(match)
            found[i] = match
    if used or _ascending(tuple(found)):
        return tuple(found)
    return None  # to walk all operands across their rows


def axis_map(node: Node) -> Map | None:
    """Return for each axis of a view's result the operand's axis, or None where it has no own.

    The result is None if the view does more than rename, insert, drop or stretch axes.
    """
    (operand,) = node.inputs
    if not isinstance(node.op.code, Strided) or 0 in operand.type.shape:
        return None
    strides = _distinct_strides(operand.type)
    placed = node.op.code.place(operand.type.shape, strides, node.attrs)
    if placed is None or placed[0] != 0:
        return None
    return _match(node.output.type.shape, placed[1], operand.type, strides)


def _distinct_strides(type: ArrayType) -> tuple[int, ...]:
    """Strides from which an axis can be told; no two axes can be merged or split."""
    strides, step = [], 1
    for extent in reversed(type.bounded().shape):
        strides.append(step)
        step = step * max(extent, 1) + 7
    return tuple(reversed(strides))


def _match(
    shape: Shape, steps: tuple[int, ...], type: ArrayType, strides: tuple[int, ...]
) -> Map | None:
    result: list[int | None] = []
    for n, stride in zip(shape, steps, strict=True):
        if n == 1 or stride == 0:
            result.append(None)
            continue
        axis = next((a for a, s in enumerate(strides) if s == stride and type.shape[a] == n), None)
        if axis is None:
            return None
        result.append(axis)
    return tuple(result)
