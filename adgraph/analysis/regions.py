"""Which elements of an array are read and written, and whether they keep their values.

A `Box` has an interval of positions for every axis, affine in the indices of the loops around.
`disjoint(a, b)` decides for all values of all indices. `index_box`, `reads` and `written` give the
boxes of a subscript, of the readers of a value and of what makes a new version of an array;
`history` is the chain of versions of one array inside a program.

A `Level` is a program around a value: the body of a loop, or a branch. `final(levels, v, box)`
tells whether a box of a version keeps its value until the outermost level ends, so that it can be
read from the result there; `initial` whether it has had its value since that level began. Levels
are listed from the outermost to the innermost. The adjoint of loops asks these two; lowering in
place asks `disjoint` of what a node reads and writes.

All functions are pure, and cautious: what they cannot decide is False, or the whole array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from adgraph.analysis.programs import bodies, constants, is_loop, is_region, operands
from adgraph.ir.dims import Affine, Dim, Symbol, nonnegative, substitute, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType, Index, Slice
from adgraph.ops.control import counted, loop
from adgraph.ops.indexing import index_add, put
from adgraph.ops.shape import add_at, add_multiple_at, getitem, reshape, transpose, update

# --- boxes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """The positions start, start + step, ... before `stop`; a step of 0 is a single position."""

    start: Dim
    stop: Dim
    step: int = 1

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}" + (f":{self.step}" if self.step > 1 else "")


Box = tuple[Interval, ...]


def full_box(type: ArrayType) -> Box:
    """Return the box of all elements."""
    return tuple(Interval(0, n) for n in type.shape)


def index_box(index: Index) -> Box:
    """Return the box that a subscript selects.

    >>> print(*index_box((3, Slice(8, 5, -2))))
    3:4 0:9:2
    """
    return tuple(map(_interval, index))


def _interval(item: Dim | Slice) -> Interval:
    if not isinstance(item, Slice):
        return Interval(item, item + 1, 0)
    far = item.start + (item.size - 1) * item.step
    low, high = (item.start, far) if item.step > 0 else (far, item.start)
    return Interval(low, high + 1, abs(item.step))


def disjoint(a: Box, b: Box) -> bool:
    """Tell whether two boxes of one array share no element, whatever the loop indices are.

    >>> disjoint((Interval(0, 3),), (Interval(3, 9),))
    True
    """
    return any(map(_apart, a, b))


def _apart(x: Interval, y: Interval) -> bool:
    before = nonnegative(x.start - y.stop) or nonnegative(y.start - x.stop)
    return before or _interleaved(x.start - y.start, gcd(x.step, y.step))


def _interleaved(distance: Dim, step: int) -> bool:
    """Tell whether two lattices of positions with a common step have no position in common."""
    if step < 2:
        return False
    if not isinstance(distance, Affine):
        return distance % step != 0
    return distance.constant % step != 0 and all(k % step == 0 for _, k in distance.terms)


def _replaced(box: Box, values: Mapping[Symbol, Dim]) -> Box:
    def one(dim: Dim) -> Dim:
        return substitute(dim, values)

    return tuple(Interval(one(x.start), one(x.stop), x.step) for x in box)


def _symbols(dims: Iterable[Dim | None]) -> set[Symbol]:
    return {symbol for dim in dims if isinstance(dim, Affine) for symbol, _ in dim.terms}


def _renamed(boxes: Sequence[Box], values: Mapping[Symbol, Dim]) -> tuple[Box, ...]:
    """Replace symbols, and also in the bounds of other symbols, which are then new ones."""
    found = _closure(_symbols(d for box in boxes for x in box for d in (x.start, x.stop)))
    values = dict(values)
    for symbol in sorted(found, key=lambda s: s.number):
        bounds = (symbol.lower, symbol.upper)
        if symbol not in values and not _symbols(bounds).isdisjoint(values):
            moved = (None if b is None else substitute(b, values) for b in bounds)
            values[symbol] = symbol_dim(Symbol(symbol.name, *moved))
    return tuple(_replaced(box, values) for box in boxes)


def _closure(symbols: set[Symbol]) -> set[Symbol]:
    """Add the symbols in the bounds of symbols."""
    found: set[Symbol] = set()
    waiting = list(symbols)
    while waiting:
        symbol = waiting.pop()
        if symbol not in found:
            found.add(symbol)
            waiting.extend(_symbols((symbol.lower, symbol.upper)))
    return found


# --- what a node reads ----------------------------------------------------------------------------


def seen(node: Node, box: Box) -> Box:
    """Return the box of a view's operand that a box of its result shows."""
    operand = node.inputs[0].type
    if node.op is getitem:
        return _within(node.attrs["index"], box)
    if node.op is transpose:
        axes = node.attrs["axes"]
        return tuple(box[axes.index(i)] for i in range(len(axes)))
    return full_box(operand)


def _within(index: Index, box: Box) -> Box:
    """Return the box that a subscript selects, restricted to a box of its result."""
    rest = iter(box)
    return tuple(
        _inside(item, next(rest)) if isinstance(item, Slice) else _interval(item) for item in index
    )


def _inside(outer: Slice, inner: Interval) -> Interval:
    first = outer.start + inner.start * outer.step
    last = outer.start + (inner.stop - 1) * outer.step
    low, high = (first, last) if outer.step > 0 else (last, first)
    return Interval(low, high + 1, abs(outer.step) * inner.step)


def reads(graph: Graph, value: Value) -> tuple[Box, ...]:
    """Return the boxes of a value that the nodes and outputs of a program read."""
    found: list[Box] = []
    if value in graph.outputs:
        found.append(full_box(value.type))
    for node in graph.nodes:
        if value in node.inputs:
            found.extend(_read_by(graph, node, value))
    return tuple(dict.fromkeys(found))


def _read_by(graph: Graph, node: Node, value: Value) -> Iterable[Box]:
    whole = full_box(value.type)
    if node.op is getitem:
        return (index_box(node.attrs["index"]),)
    if node.op is transpose:
        return (seen(node, box) for box in reads(graph, node.output))
    if is_region(node):
        inner = [_read_inside(node, i) for i, v in enumerate(operands(node)) if v is value]
        boxes = [box for listed in inner for box in listed]
        return boxes if len(inner) == node.inputs.count(value) else (whole, *boxes)
    return (whole,)


def _read_inside(node: Node, number: int) -> Iterable[Box]:
    """The boxes of one operand that the programs of a node read, for new indices of theirs."""
    if is_loop(node) and number >= constants(node):
        return (full_box(operands(node)[number].type),)
    boxes = [box for body in bodies(node) for box in reads(body, body.inputs[number])]
    if "test" in node.attrs:
        boxes.extend(reads(node.attrs["test"], node.attrs["test"].inputs[number]))
    return _renamed(boxes, _own_index(node))


def _own_index(node: Node) -> dict[Symbol, Dim]:
    """A new symbol for that of a loop: another loop may have the same."""
    if not is_loop(node):
        return {}
    symbol = node.attrs["symbol"]
    return {symbol: symbol_dim(Symbol(symbol.name, symbol.lower, symbol.upper))}


# --- versions of an array -------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """An array after a write, and the boxes in which it differs from the version before."""

    value: Value
    writes: tuple[Box, ...] = ()


def _box_written(node: Node) -> Box:
    return index_box(node.attrs["index"])


def _anywhere(node: Node) -> Box:
    """The box of a write whose positions are known only while running."""
    return full_box(node.inputs[0].type)


WRITES: dict[Op, Callable[[Node], Box]] = {
    update: _box_written,
    add_at: _box_written,
    add_multiple_at: _box_written,
    put: _anywhere,
    index_add: _anywhere,
}


def history(graph: Graph, output: Value) -> tuple[Version, ...] | None:
    """Return the versions of an array from an input of a program to `output`, or None.

    The first is the input. Arrays written through a transpose are followed, and through a reshape,
    where a write counts as one of the whole array.
    """
    producers = graph.producers()
    versions: list[Version] = []
    pending: list[Box] = []
    value, view = output, _View(tuple(range(output.type.ndim)))
    while (node := producers.get(value)) is not None:
        if view.plain:
            versions.append(Version(value, ()))
        step = _before(node, value)
        if step is None:
            return None
        before, boxes = step
        if node.op in (transpose, reshape):
            moved = view.behind(node)
            if moved is None:
                return None
            view = moved
        pending.extend(view.box(box, output.type) for box in boxes)
        value = before
        if view.plain and versions:
            versions[-1] = Version(versions[-1].value, tuple(pending))
            pending = []
    if not view.plain or value not in graph.inputs:
        return None
    return (Version(value), *reversed(versions))


@dataclass(frozen=True)
class _View:
    """Where the axes of a value are among those of the array: None if a reshape is between."""

    axes: tuple[int, ...] | None
    shape: tuple[Any, ...] | None = None  # before the reshape, seen from the array

    @property
    def plain(self) -> bool:
        """Whether the value has the array's own axes."""
        return self.axes is not None and self.axes == tuple(range(len(self.axes)))

    def behind(self, node: Node) -> _View | None:
        """Return the view of a view's operand; None if it is not known."""
        if node.op is reshape:
            if not self.plain and self.axes is not None:
                return None
            outer = self.shape or node.output.type.shape
            inner = node.inputs[0].type.shape
            return _View(tuple(range(len(inner)))) if inner == outer else _View(None, outer)
        if self.axes is None:
            return None
        axes = node.attrs["axes"]
        return _View(tuple(self.axes[axes.index(i)] for i in range(len(axes))))

    def box(self, box: Box, array: ArrayType) -> Box:
        """Return the box of the array for one of the value."""
        if self.axes is None:
            return full_box(array)
        return tuple(box[self.axes.index(i)] for i in range(len(self.axes)))


def _before(node: Node, value: Value) -> tuple[Value, tuple[Box, ...]] | None:
    """Return the version before a node and what the node writes; None if it writes a new array."""
    if node.op in WRITES:
        return node.inputs[0], (WRITES[node.op](node),)
    if node.op in (transpose, reshape):
        return node.inputs[0], ()
    if not is_region(node):
        return None
    number = node.outputs.index(value)
    origin = _origin(node, number)
    return None if origin is None else (operands(node)[origin], written(node, number))


def _origin(node: Node, number: int) -> int | None:
    """Return which operand a result is a later version of."""
    origins = set()
    for body in bodies(node):
        versions = history(body, body.outputs[number])
        if versions is None:
            return None
        origins.add(body.inputs.index(versions[0].value))
    if len(origins) != 1 or (is_loop(node) and origins != {constants(node) + number}):
        return None
    return origins.pop()


def written(node: Node, number: int) -> tuple[Box, ...]:
    """Return the boxes of one result of a loop or branch that differ from its operand.

    The indices in them are new symbols: another loop may bind the same.
    """
    boxes: list[Box] = []
    for body in bodies(node):
        versions = history(body, body.outputs[number])
        if versions is None:
            return (full_box(node.outputs[number].type),)
        boxes.extend(box for version in versions for box in version.writes)
    return _renamed(boxes, _own_index(node))


# --- levels: the programs around a value ----------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """The versions of one array in a level, from what enters to what leaves it.

    `later` and `earlier` are the boxes written in later and in earlier trips of a loop.
    """

    number: int
    versions: tuple[Version, ...]
    begin: Value
    end: Value
    later: tuple[Box, ...]
    earlier: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class Level:
    """A program around a value: its node, the operands behind its inputs, the chains in it."""

    node: Node
    body: Graph
    producers: Mapping[Value, Node]
    operands: Mapping[Value, Value]
    chains: Mapping[Value, tuple[Chain, int]]


Levels = tuple[Level, ...]


def level(node: Node, body: Graph) -> Level:
    """Describe one program of a loop or branch."""
    fixed = operands(node)[: constants(node)] if is_loop(node) else operands(node)
    behind = dict(zip(body.inputs, fixed, strict=False))
    chains: dict[Value, tuple[Chain, int]] = {}
    for number, output in enumerate(body.outputs):
        versions = history(body, output)
        if versions is None or not _belongs(node, body, number, versions[0].value):
            continue
        begin = operands(node)[body.inputs.index(versions[0].value)]
        found = Chain(number, versions, begin, node.outputs[number], *_other_trips(node, versions))
        chains.update((version.value, (found, i)) for i, version in enumerate(versions))
    return Level(node, body, body.producers(), behind, chains)


def _belongs(node: Node, body: Graph, number: int, start: Value) -> bool:
    return not is_loop(node) or start is body.inputs[constants(node) + number]


def _other_trips(
    node: Node, versions: tuple[Version, ...]
) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """Return what a loop writes into an array in later and in earlier trips."""
    if not is_loop(node):
        return (), ()
    boxes = [box for version in versions for box in version.writes]
    symbol: Symbol = node.attrs["symbol"]
    step = _step(node)
    after = _renamed(boxes, {symbol: symbol_dim(_beyond(symbol, step))})
    before = _renamed(boxes, {symbol: symbol_dim(_beyond(symbol, -step))})
    return after, before


def _step(node: Node) -> int:
    if node.op is loop:
        step: int = node.attrs["step"]
        return step
    return -1 if node.op is counted and node.attrs["reverse"] else 1


def _beyond(symbol: Symbol, step: int) -> Symbol:
    """Return the index in another trip, at least one step further."""
    next = symbol_dim(symbol) + step
    lower, upper = (next, symbol.upper) if step > 0 else (symbol.lower, next)
    return Symbol(f"{symbol.name}'", lower, upper)


def final(levels: Levels, value: Value, box: Box) -> bool:
    """Tell whether a box of a version keeps its value until the outermost level ends."""
    if not levels:
        return True
    *around, here = levels
    if value not in here.chains:
        return _fixed(here, value) and final(tuple(around), here.operands[value], box)
    chain, place = here.chains[value]
    return (
        spared_later(chain, place, box)
        and spared_in_later_trips(chain, box)
        and final_around(tuple(around), chain, box)
    )


def initial(levels: Levels, value: Value, box: Box) -> bool:
    """Tell whether a box of a version has had its value since the outermost level began."""
    if not levels:
        return True
    *around, here = levels
    if value not in here.chains:
        return _fixed(here, value) and initial(tuple(around), here.operands[value], box)
    chain, place = here.chains[value]
    return (
        spared_earlier(chain, place, box)
        and spared_in_earlier_trips(chain, box)
        and initial_around(tuple(around), chain, box)
    )


def _fixed(here: Level, value: Value) -> bool:
    return value in here.operands


def _spared(boxes: Iterable[Box], box: Box) -> bool:
    return all(disjoint(written_box, box) for written_box in boxes)


def spared_later(chain: Chain, place: int, box: Box) -> bool:
    """Tell whether no later write of the same trip touches a box."""
    return all(_spared(version.writes, box) for version in chain.versions[place + 1 :])


def spared_in_later_trips(chain: Chain, box: Box) -> bool:
    """Tell whether no write of a later trip touches a box."""
    return _spared(chain.later, box)


def final_around(around: Levels, chain: Chain, box: Box) -> bool:
    """Tell whether a box of the array that leaves a level keeps its value in those around it."""
    return final(around, chain.end, box)


def spared_earlier(chain: Chain, place: int, box: Box) -> bool:
    """Tell whether no earlier write of the same trip, up to this version, touches a box."""
    return all(_spared(version.writes, box) for version in chain.versions[: place + 1])


def spared_in_earlier_trips(chain: Chain, box: Box) -> bool:
    """Tell whether no write of an earlier trip touches a box."""
    return _spared(chain.earlier, box)


def initial_around(around: Levels, chain: Chain, box: Box) -> bool:
    """Tell whether a box of the array that enters a level has had its value in those around it."""
    return initial(around, chain.begin, box)


def lasting(levels: Levels, value: Value, box: Box) -> bool:
    """Tell whether a box of a value can be had again after the outermost level has ended.

    It is final, or computed by cheap ops from what is.
    """
    if final(levels, value, box):
        return True
    *around, here = levels
    if value in here.operands:
        return lasting(tuple(around), here.operands[value], box)
    node = here.producers.get(value)
    if node is None or node.op.kind not in CHEAP:
        return False
    if node.op.kind is Kind.VIEW:
        return lasting(levels, node.inputs[0], seen(node, box))
    return all(lasting(levels, v, full_box(v.type)) for v in node.inputs)


CHEAP = frozenset({Kind.CONSTANT, Kind.INDEX, Kind.ELEMENTWISE, Kind.VIEW})
