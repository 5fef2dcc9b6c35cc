"""Print an innermost loop of kernel text as vector instructions.

Main trips work on whole vectors, several at once if the body is short; the rest is masked where the
CPU has masks, else scalar. What is the same in all trips is computed before the loop. A fold has
four accumulators, which take its vectors in turns whatever the length of a trip: a sum's order
depends on its type and number of elements alone, not on what else the loop computes. Where wider
elements stand beside it, and a vector of the loop is half a register of the sum's, it has eight.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adgraph.lower import native, vmath
from adgraph.lower.apart import gather, scatter, strided
from adgraph.lower.emitter import Scalar
from adgraph.lower.expressions import EXACT_INDEX, Expressions
from adgraph.lower.instructions import (
    FOLD_FLAGS,
    WHOLE,
    Part,
    Value,
    first_lanes,
    lane_type,
    literal,
)
from adgraph.lower.kept_rows import KeptRows, key
from adgraph.lower.kernel_types import BOOL, FOLDS, INT64
from adgraph.lower.vector_loops import VectorLoop, stride
from adgraph.lower.widen import NotWidenedError, weight

LIGHT, MODERATE = 60, 240  # instructions of a body: four vectors a trip, two, or one
ACCUMULATORS = 4  # of each fold
LONGEST_STRAIGHT = ACCUMULATORS  # vectors of a loop of known extent that is written out
NARROWEST = 32  # smaller elements are computed in wider ones
NEUTRAL = {"fold_add": 0, "fold_multiply": 1}
REDUCTIONS = {
    "fold_add": ("fadd", "add", "add"),
    "fold_multiply": ("fmul", "mul", "mul"),
    "fold_maximum": ("fmaximum", "smax", "umax"),
    "fold_minimum": ("fminimum", "smin", "umin"),
    "or": ("", "or", "or"),
    "and": ("", "and", "and"),
}
ScalarLoop = Callable[[Value, Value], None]


@dataclass
class Trip:
    """The vector of elements that is worked on: where it begins, and which lanes take part."""

    first: Value
    number: int
    part: Part = WHOLE


@dataclass
class VectorLoopWriter:
    """One loop under construction: the lines that precede it, and what they have computed."""

    scope: Expressions
    loop: ast.For
    facts: VectorLoop
    lanes: int
    kept: KeptRows | None = None
    lines: list[str] = field(default_factory=list)
    invariants: dict[ast.expr, Value] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    steps: dict[str, list[Value]] = field(default_factory=dict)
    indices: dict[Value, Value] = field(default_factory=dict)
    accumulators: dict[tuple[str, int], tuple[str, Value]] = field(default_factory=dict)
    trip: Trip = field(default_factory=lambda: Trip(literal(INT64, 0), 0))

    def write(self, start: Value, stop: Value, scalar_loop: ScalarLoop) -> None:
        """Write the loop; the block at its end is open."""
        code, scope = self.scope.code, self.scope
        scope.forget({self.facts.index, *self.facts.given})
        around = dict(scope.known)
        entry, done = code.label("vector"), code.label("done")
        runs = Value(code.emit(f"icmp slt {start.typed}, {stop.text}"), BOOL)
        code.branch(runs, entry, done)
        code.open(entry)
        place = len(code.lines)
        code.before, code.spread, scope.vector = self.lines, {}, self
        self._trips(start, stop, scalar_loop)
        code.before, scope.vector = None, None
        code.lines[place:place] = self._accumulators_start()
        code.lines[place:place] = self.lines
        code.jump(done)
        code.open(done)
        scope.known = around

    # --- trips ------------------------------------------------------------------------------------

    def _trips(self, start: Value, stop: Value, scalar_loop: ScalarLoop) -> None:
        """Write trips of several vectors, then of one, then the rest."""
        cost = sum(map(_cost, self.loop.body))
        if has_masks() and start.number is not None and stop.number is not None:
            trips = list(straight_trips(int(start.number), int(stop.number), self.lanes))
            if 0 < len(trips) <= LONGEST_STRAIGHT:
                for trip in trips:
                    self._body(trip)
                self._join_folds()
                self._leave_folds()
                return
        # A mask costs more than a few short scalar trips, which would add in another order.
        masked = has_masks() and (cost > LIGHT or bool(self.facts.folds))
        sizes = (4, 1) if cost <= LIGHT else (1,) if cost > MODERATE else (2,) if masked else (2, 1)
        for size in sizes:
            end = self._whole(start, stop, size * self.lanes)
            self._loop(start, end, size, None)
            start = end
        if masked:
            self._loop(start, stop, 1, stop)
        self._join_folds()
        self._leave_folds()
        if not masked:
            self.scope.vector, self.scope.code.before = None, None
            scalar_loop(start, stop)

    def _whole(self, start: Value, stop: Value, size: int) -> Value:
        """The end of the trips of whole vectors."""
        code = self.scope.code
        count = code.emit(f"sub i64 {stop.text}, {start.text}")
        count = code.emit(f"and i64 {count}, {-size}")
        return Value(code.emit(f"add i64 {start.text}, {count}"), INT64)

    def _loop(self, start: Value, stop: Value, vectors: int, masked_by: Value | None) -> None:
        """Write a loop of trips of whole vectors, or of one masked vector each."""
        code = self.scope.code
        head, after = code.label("trip"), code.label("after")
        counter, following = code.name(), code.name()
        runs = Value(code.emit(f"icmp slt {start.typed}, {stop.text}"), BOOL)
        code.branch(runs, head, after)
        before = code.block
        code.open(head)
        code.do(f"{counter} = phi i64 [{start.text}, %{before}], [{following}, %{head}]")
        for number in range(vectors):
            first = Value(counter, INT64)
            if number:
                first = Value(code.emit(f"add nsw i64 {counter}, {number * self.lanes}"), INT64)
            self._body(Trip(first, number, self._part(first, masked_by) if masked_by else WHOLE))
        self._take_turns(vectors)
        code.do(f"{following} = add nsw i64 {counter}, {vectors * self.lanes}")
        again = Value(code.emit(f"icmp slt i64 {following}, {stop.text}"), BOOL)
        code.branch(again, head, after)
        code.open(after)

    def _part(self, first: Value, stop: Value) -> Part:
        """The lanes that lie before the end."""
        code = self.scope.code
        left = Value(code.emit(f"sub i64 {stop.text}, {first.text}"), INT64)
        lanes = self._spread_here(left)
        type = lane_type("i64", self.lanes)
        mask = code.emit(f"icmp sgt {type} {lanes}, {self._numbers()}")
        return Part(f"<{self.lanes} x i1> {mask}")

    def _spread_here(self, value: Value) -> str:
        """Spread a value that changes with the trip."""
        code, type = self.scope.code, lane_type("i64", self.lanes)
        first = code.emit(f"insertelement {type} poison, {value.typed}, i64 0")
        mask = f"<{self.lanes} x i32> zeroinitializer"
        return code.emit(f"shufflevector {type} {first}, {type} poison, {mask}")

    def _numbers(self) -> str:
        return "<" + ", ".join(f"i64 {i}" for i in range(self.lanes)) + ">"

    # --- the body ---------------------------------------------------------------------------------

    def _body(self, trip: Trip) -> None:
        self.trip = trip
        scope = self.scope
        for statement in self.loop.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]) if name in self.facts.folds:
                    self._fold(name)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    kind = scope.tree.types[name]
                    given = scope.code.converted(scope.value(value), kind)
                    scope.known[name] = scope.code.on_lanes(given, self.lanes)
                case ast.Assign(targets=[ast.Subscript() as target], value=value):
                    self._store(target, scope.value(value))
                case ast.AugAssign(target=ast.Subscript() as target, op=operator, value=value):
                    before = self.element(target)
                    after = scope.operation(target, operator, before, scope.value(value))
                    self._store(target, after)
                case _:
                    raise NotWidenedError("a statement of another form")

    def invariant(self, node: ast.expr, write: Callable[[], Value]) -> Value:
        """Compute what all trips share before the loop, once."""
        if node not in self.invariants:
            with self._before_loop():
                self.invariants[node] = write()
        return self.invariants[node]

    def index(self) -> Value:
        """The loop's index on every lane."""
        if self.trip.first not in self.indices:
            code, type = self.scope.code, lane_type("i64", self.lanes)
            first = self._spread_here(self.trip.first)
            text = code.emit(f"add nsw {type} {first}, {self._numbers()}")
            self.indices[self.trip.first] = Value(text, INT64, None, self.lanes)
        return self.indices[self.trip.first]

    def element(self, node: ast.Subscript) -> Value:
        """Read the elements of a trip."""
        slot = self._slot(node)
        if slot is not None:
            return self.scope.code.load(self.scope.pointer(node.value)[0], slot, self.lanes)
        if not self.facts.is_near(node):
            return self._apart(node)
        kind, address = self._address(node)
        return self.scope.code.load(kind, address, self.lanes, self._part_of(node))

    def _part_of(self, node: ast.Subscript) -> Part:
        """The lanes to read or write: by a mask where several narrow vectors were no gain."""
        part = self.trip.part
        is_vector = part.first & (part.first - 1) == 0
        assert isinstance(node.value, ast.Name)
        return part if is_vector or node.value.id in self.facts.changed else Part(part.mask)

    def _slot(self, node: ast.Subscript) -> str | None:
        """Where the elements of a trip are kept, if they are."""
        return self.kept.slot(node, self.trip.number) if self.kept else None

    def _store(self, node: ast.Subscript, value: Value) -> None:
        code = self.scope.code
        slot = self._slot(node)
        if slot is not None:
            kind = self.scope.pointer(node.value)[0]
            code.store(code.converted(value, kind), slot, self.lanes)
            return
        if not self.facts.is_near(node):
            kind, pointer = self.scope.pointer(node.value)
            value = code.converted(value, kind)
            scatter(code, value, pointer, self.scope.value(node.slice, EXACT_INDEX), self.trip.part)
            return
        kind, address = self._address(node)
        code.store(code.converted(value, kind), address, self.lanes, self._part_of(node))

    def _apart(self, node: ast.Subscript) -> Value:
        """Read elements that are no neighbours."""
        code = self.scope.code
        if self.trip.part.mask or not self.facts.is_linear(node):
            kind, pointer = self.scope.pointer(node.value)
            places = self.scope.value(node.slice, EXACT_INDEX)
            return gather(code, kind, pointer, places, self.trip.part)
        steps = self._steps(node)
        moved = code.arithmetic(ast.Mult, self.trip.first, steps[1], INT64, EXACT_INDEX)
        kind, start = self._address(node, moved)
        return strided(code, kind, start, steps, self.lanes)

    def _steps(self, node: ast.Subscript) -> list[Value]:
        """By how much the index of each lane's element is greater than the first one's."""
        place = key(node)
        if place not in self.steps:
            step = stride(node.slice, self.facts.index, self.facts.given)
            with self._before_loop():
                one = literal(INT64, step) if step is not None else self._step(node)
                self.steps[place] = [self._times(one, i) for i in range(self.lanes)]
        return self.steps[place]

    def _step(self, node: ast.Subscript) -> Value:
        """By how much an index grows in a trip, as it is known when running."""
        at_0, at_1 = (self._index_at(node, i) for i in (0, 1))
        return self.scope.code.arithmetic(ast.Sub, at_1, at_0, INT64, EXACT_INDEX)

    def _times(self, step: Value, count: int) -> Value:
        if step.number is not None:
            return literal(INT64, step.number * count)
        factor = literal(INT64, count)
        return self.scope.code.arithmetic(ast.Mult, step, factor, INT64, EXACT_INDEX)

    def _address(self, node: ast.Subscript, moved: Value | None = None) -> tuple[Scalar, str]:
        """The address of a trip's first element: one of the loop's, moved by the index."""
        kind, pointer = self.scope.pointer(node.value)
        place = key(node)
        if place not in self.bases:
            self.bases[place] = self._base(node, kind, pointer)
        return kind, self.scope.code.element(kind, self.bases[place], moved or self.trip.first, "")

    def _base(self, node: ast.Subscript, kind: Scalar, pointer: str) -> str:
        """The address of the element at index 0, whether or not the loop reaches it."""
        with self._before_loop():
            return self.scope.code.element(kind, pointer, self._index_at(node, 0), "")

    def _index_at(self, node: ast.Subscript, index: int) -> Value:
        self.scope.known[self.facts.index] = literal(INT64, index)
        return self.scope.value(node.slice, EXACT_INDEX)

    @contextmanager
    def _before_loop(self) -> Iterator[None]:
        """Write scalars in front of the loop."""
        code, scope = self.scope.code, self.scope
        inside, code.lines = code.lines, self.lines
        scope.vector, known = None, dict(scope.known)
        try:
            yield
        finally:
            code.lines, scope.vector, scope.known = inside, self, known

    # --- folds ------------------------------------------------------------------------------------

    def _fold(self, name: str) -> None:
        code = self.scope.code
        slot, start = self._accumulator(name, self.trip.number)
        total = Value(code.emit(f"load {start.type}, ptr {slot}"), start.kind, None, self.lanes)
        x = self.scope.value(self.facts.folds[name][1])
        after = self._folded(name, total, x)
        if self.trip.part.mask:
            kept = f"select {self.trip.part.mask}, {after.typed}, {total.typed}"
            after = Value(code.emit(kept), after.kind, None, self.lanes)
        code.do(f"store {after.typed}, ptr {slot}")

    def _accumulator(self, name: str, number: int) -> tuple[str, Value]:
        key = (name, number)
        if key not in self.accumulators:
            fold, kind = self.facts.folds[name][0], self.scope.tree.types[name]
            initial = literal(kind, NEUTRAL[fold]) if fold in NEUTRAL else self._initial(name)
            slot = self.scope.code.name()
            self.scope.frame.append(f"  {slot} = alloca {lane_type(kind.llvm, self.lanes)}")
            self.accumulators[key] = slot, self.scope.code.on_lanes(initial, self.lanes)
        return self.accumulators[key]

    def _initial(self, name: str) -> Value:
        """The value of an accumulator before the loop."""
        node = ast.Name(name, ast.Load())
        return self.invariant(node, lambda: self.scope.variable(name))

    def _accumulators_start(self) -> list[str]:
        pairs = self.accumulators.values()
        return [f"  store {start.typed}, ptr {slot}" for slot, start in pairs]

    def _folded(self, name: str, total: Value, x: Value) -> Value:
        code, fold = self.scope.code, self.facts.folds[name][0]
        if fold in FOLDS:
            return code.fold(fold, FOLDS[fold], total, x)
        operator = ast.BitOr if fold == "or" else ast.BitAnd
        if total.kind.is_float:
            raise NotWidenedError("bits of floats")
        return code.arithmetic(operator, total, x, total.kind)

    def _take_turns(self, vectors: int) -> None:
        """Let the next trip begin with the accumulator behind those that this one has used."""
        for name in self.facts.folds:
            count = ACCUMULATORS * self._vectors_of(name)
            if vectors % count:
                slots = [self._accumulator(name, number)[0] for number in range(count)]
                values = [self._loaded((name, number)) for number in range(count)]
                for value, number in zip(values, range(count), strict=True):
                    self.scope.code.do(f"store {value.typed}, ptr {slots[number - vectors]}")

    def _join_folds(self) -> None:
        """Combine the accumulators of each fold in its first one, whichever is the next in turn.

        The order is the same from all of them: 0 and 2, 1 and 3, and both; then the vectors that
        together are one register of the fold's type.
        """
        for name in self.facts.folds:
            width = self._vectors_of(name)
            groups: dict[tuple[int, int], list[tuple[str, int]]] = {}
            for number in sorted(n for other, n in self.accumulators if other == name):
                turn, part = divmod(number, width)
                groups.setdefault((part, turn % 2), []).append((name, number))
            pairs: dict[int, list[Value]] = {}
            for (part, _), keys in sorted(groups.items()):
                pairs.setdefault(part, []).append(self._total(name, map(self._loaded, keys)))
            total = self._total(name, [self._total(name, pair) for pair in pairs.values()])
            self.scope.code.do(f"store {total.typed}, ptr {self.accumulators[name, 0][0]}")

    def _vectors_of(self, name: str) -> int:
        """How many vectors of the loop fill a register with elements of a fold's type."""
        kind = self.scope.tree.types[name]
        return native.vector_bits() // kind.bits // self.lanes if kind.is_float else 1

    def _total(self, name: str, parts: Iterable[Value]) -> Value:
        return functools.reduce(lambda a, b: self._folded(name, a, b), parts)

    def _leave_folds(self) -> None:
        """Combine the lanes of each fold, then its value before the loop."""
        scope = self.scope
        for name in self.facts.folds:
            lanes = self._loaded((name, 0))
            scope.vector = None
            total = self._folded(name, scope.variable(name), self._reduced(name, lanes))
            scope.assign(name, total)
            scope.vector = self

    def _loaded(self, key: tuple[str, int]) -> Value:
        slot, start = self.accumulators[key]
        text = self.scope.code.emit(f"load {start.type}, ptr {slot}")
        return Value(text, start.kind, None, self.lanes)

    def _reduced(self, name: str, x: Value) -> Value:
        """Fold the lanes of a vector."""
        kind, fold = x.kind, self.facts.folds[name][0]
        of_float, signed, unsigned = REDUCTIONS[fold]
        if kind == BOOL and fold not in ("or", "and"):
            raise NotWidenedError("a fold of bools")
        reduction = of_float if kind.is_float else signed if kind.is_signed else unsigned
        function = (
            f"llvm.vector.reduce.{reduction}.v{x.lanes}{'f' if kind.is_float else 'i'}{kind.bits}"
        )
        first = (
            f"{literal(kind, NEUTRAL[fold]).typed}, " if kind.is_float and fold in NEUTRAL else ""
        )
        flags = f"{FOLD_FLAGS} " if first else "nsz " if kind.is_float else ""
        parameters = f"{kind.llvm}, {x.type}" if first else x.type
        code = self.scope.code
        code.declarations.add(f"declare {kind.llvm} @{function}({parameters})")
        return Value(code.emit(f"call {flags}{kind.llvm} @{function}({first}{x.typed})"), kind)


def straight_trips(start: int, stop: int, lanes: int) -> Iterator[Trip]:
    """Return the trips of a loop of known extent; the last may be a part."""
    for number, first in enumerate(range(start, stop, lanes)):
        yield Trip(literal(INT64, first), number, first_lanes(min(lanes, stop - first), lanes))


def lanes_of(loop: ast.For, pointers: dict[str, Scalar], types: dict[str, Scalar]) -> int:
    """Return how many elements one vector register holds, of the widest type in a loop."""
    names = [n for s in loop.body for n in ast.walk(s) if isinstance(n, ast.Name)]
    kinds = [pointers[n.id] for n in names if n.id in pointers]
    kinds += [types[n.id] for n in names if isinstance(n.ctx, ast.Store)]
    return native.vector_bits() // max(NARROWEST, *(kind.bits for kind in kinds))


def has_masks() -> bool:
    """Tell whether the CPU has masked loads and stores of all element sizes."""
    return {"+avx512bw", "+avx512vl"} <= set(native.cpu_features().split(","))


def _cost(statement: ast.stmt) -> int:
    """Estimate the instructions of a statement."""
    cost = 0
    for node in ast.walk(statement):
        if isinstance(node, ast.BinOp | ast.Compare | ast.Subscript | ast.UnaryOp):
            cost += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            cost += weight(name, "f8") if name in vmath.FUNCTIONS else 1
    return cost
