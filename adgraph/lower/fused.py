"""Turn a `fused` node into a loop nest.

The space of the body (`adgraph.analysis.space`) says where each value stands; here the loops are
written around them: outer loops over the rows, in each row one pass per stage, folds in
accumulators. `fused_nest` makes a kernel of its own, `fused_statements` a part of a larger one.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import numpy as np

from adgraph.analysis.space import Map, Place, Space
from adgraph.ir.code import Expression, Fold, Pieces
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.op import Kind
from adgraph.ir.types import Dtype
from adgraph.lower.given import Names, Operand, Target
from adgraph.lower.layout import box_offset, c_strides
from adgraph.lower.nest import (
    LARGEST_ROW,
    Access,
    Axes,
    Let,
    Load,
    Loop,
    Nest,
    Offset,
    Parameter,
    Sizes,
    Start,
    Statement,
    Store,
    join_terms,
    merge_axes,
    most,
    stride_names,
)

BLOCKED_FROM = 4096  # a fold over more elements in one loop is cut into blocks


def replay(body: Graph) -> Space:
    """Rebuild the space of a body."""
    space = Space()
    for node in body.nodes:
        if not space.admit(node):
            raise AssertionError(f"the space of @{body.name} refuses {node.op.name}")
    return space


def fused_nest(
    body: Graph,
    operands: dict[Value, Operand],
    results: dict[Value, Target],
    rows: Sequence[str] = (),
) -> Nest:
    """Write the kernel of a body.

    `operands` tells the pointer and strides of every input, `results` those of every output; an
    output that shares its buffer with an input has the input's pointer. `rows` are pointers to one
    row each, for `kept_rows`.
    """
    targets = dict(results)
    space = replay(body)
    for value, pointer in zip(kept_rows(space, results), rows, strict=True):
        targets[value] = Target(pointer, _row_strides(space, value))
    several = any(place.stage > 0 for place in space.places.values())
    sizes = Sizes(unrolled=LARGEST_ROW) if several else Sizes()
    return _Writer(body, space, operands, targets, Names(sizes)).nest()


def kept_rows(space: Space, results: Container[Value]) -> tuple[Value, ...]:
    """Return the values that are kept only from one pass over a row to the next."""
    return tuple(v for v in space.reread() if v not in results)


def _row_strides(space: Space, value: Value) -> tuple[int, ...]:
    """Return strides that lead to the same row from everywhere."""
    row = space.row_type(value).shape
    inner = (*(0,) * (space.depth or 0), *c_strides(row))
    return tuple(0 if axis is None else inner[axis] for axis in space.places[value].map)


def fused_statements(
    body: Graph, operands: dict[Value, Operand], results: dict[Value, Target], names: Names
) -> tuple[Statement, ...]:
    """Write the nest of a body as a part of a kernel with these names."""
    return _Writer(body, replay(body), operands, results, names).statements()


class _Writer:
    """The names and tables of one kernel under construction."""

    def __init__(
        self,
        body: Graph,
        space: Space,
        operands: dict[Value, Operand],
        results: dict[Value, Target],
        names: Names,
    ) -> None:
        self._body = body
        self._space = space
        self._operands = operands
        self._results = results
        self._extents = space.extents or ()
        self._names = {v: t.variable for v, t in results.items() if t.variable}
        self._new_name = names.scalar
        self._axes = self._merge()
        self._sizes = names.sizes
        last = len(self._axes.extents) - 1
        self._extent_names = tuple(
            self._sizes.extent(n, innermost=loop == last > 0)
            for loop, n in enumerate(self._axes.extents)
        )
        self._strides = {v: self._named(s) for v, s in self._all_strides().items()}
        self._depth = self._axes.loops_before(space.depth) if space.depth else 0
        self._count = len(self._axes.extents)
        self._reread = set(space.reread())
        last = max((p.stage for p in space.places.values()), default=0)
        self._again = {stage: space.again(stage) for stage in range(last + 1)}
        self._read_by_stage: dict[int, set[Value]] = {}

    # --- the loops and the addresses in them -----------------------------------------------------

    def _all_strides(self) -> dict[Value, tuple[int, ...]]:
        """Strides per axis of the space of everything in memory."""
        found = {}
        for value, map in self._space.operands.items():
            found[value] = self._spread(map, self._operands[value].strides)
        for value, target in self._results.items():
            place = self._space.places[value]
            found[value] = self._spread(place.map, target.strides)
        return found

    def _spread(self, map: Map, strides: tuple[int, ...]) -> tuple[int, ...]:
        result = [0] * len(self._extents)
        for axis, stride in zip(map, strides, strict=True):
            if axis is not None:
                result[axis] = stride
        return tuple(result)

    def _merge(self) -> Axes:
        cuts = {self._space.depth or 0}
        walked = list(self._all_strides().values())
        for node in self._folds():
            place = self._space.places[node.output]
            kept = {a for a in place.map if a is not None}
            for axis in range(1, len(self._extents)):
                if (axis in kept) != (axis - 1 in kept):
                    cuts.add(axis)
        return merge_axes(self._extents, walked, cuts)

    def _folds(self) -> list[Node]:
        return [n for n in self._space.nodes if n.op.kind is Kind.REDUCTION]

    def _named(self, strides: tuple[int, ...]) -> tuple[str | None, ...]:
        merged = self._axes.merged(strides)
        return stride_names(merged, self._axes.extents, self._extent_names, self._sizes)

    def _access(self, value: Value, at: Operand | Target) -> Access:
        terms = tuple(
            (_index(loop), stride)
            for loop, stride in enumerate(self._strides[value])
            if stride is not None
        )
        return Access(at.pointer, terms, at.offset)

    def _level(self, value: Value) -> int:
        """The loop depth at which an operand's element is known."""
        named = [loop for loop, s in enumerate(self._strides[value]) if s is not None]
        return max(named) + 1 if named else 0

    # --- values -----------------------------------------------------------------------------------

    def _name(self, value: Value) -> str:
        if value not in self._names:
            operand = self._operands.get(value)
            literal = operand.literal if operand else None
            self._names[value] = literal or self._new_name()
        return self._names[value]

    def _place(self, value: Value) -> Place:
        return self._space.places[value]

    def _let(self, node: Node) -> Let | None:
        """The statement of an elementwise node; a view is its operand under another shape."""
        if node.op.kind is Kind.VIEW:
            return None
        assert isinstance(node.op.code, Expression)
        operands = tuple(self._name(self._behind_views(v)) for v in node.inputs)
        return Let(self._name(node.output), node.output.type.dtype, node.op.code.text, operands)

    def _assemble(self, node: Node) -> list[Statement]:
        """Write scalars side by side into a result."""
        assert isinstance(node.op.code, Pieces)
        target = self._results[node.output]
        statements: list[Statement] = []
        for piece in node.op.code.boxes(node.types, dict(node.attrs)):
            assert piece.operand is not None
            behind = box_offset(target.strides, piece.index)
            parts = [target.offset.text] * bool(target.offset.text) + [str(behind)] * bool(behind)
            offset = Offset(join_terms(parts), target.offset.dim + behind)
            value = self._name(self._behind_views(node.inputs[piece.operand]))
            statements.append(Store(Access(target.pointer, (), offset), value, target.add))
        return statements

    def _store(self, value: Value) -> list[Statement]:
        target = self._results.get(value)
        if target is None or target.variable:
            return []
        return [Store(self._access(value, target), self._name(value), target.add)]

    # --- the nest ---------------------------------------------------------------------------------

    def statements(self) -> tuple[Statement, ...]:
        return (*self._clear_scattered(), *self._rows(0))

    def nest(self) -> Nest:
        body = self.statements()
        dtypes = {o.pointer: v.type.dtype for v, o in self._operands.items() if not o.literal}
        dtypes.update({target.pointer: v.type.dtype for v, target in self._results.items()})
        pointers = tuple(Parameter(name, dtypes[name]) for name in sorted(dtypes, key=_number))
        return Nest(self._body.name, pointers, self._sizes.values, body)

    def _rows(self, level: int) -> list[Statement]:
        """The loops over rows, and inside them the passes over one row."""
        if level == self._depth:
            return self._row()
        folds = [n for n in self._suffix_folds() if self._fold_level(n) == level]
        loop = Loop(
            _index(level),
            self._extent_names[level],
            (*self._loads(level + 1, None), *self._rows(level + 1)),
        )
        opening = [] if level else self._loads(0, None)
        return [*opening, *self._starts(folds), loop, *self._finish(folds)]

    def _row(self) -> list[Statement]:
        statements: list[Statement] = [] if self._depth else self._loads(0, None)
        statements += self._outer(-1)
        last = max((p.stage for p in self._space.places.values()), default=0)
        for stage in range(last + 1):
            statements += self._pass(stage, self._depth)
            statements += self._outer(stage)
        return statements

    def _outer(self, stage: int) -> list[Statement]:
        """The statements on a row's folds, once a pass is over."""
        statements: list[Statement] = []
        for node in self._space.nodes:
            place = self._place(node.output)
            if place.inner or place.stage != stage or node.op.kind is Kind.REDUCTION:
                continue
            if node.op.kind is Kind.MOVEMENT:
                statements += self._assemble(node)
                continue
            let = self._let(node)
            if let is not None:
                statements += [let, *self._store(node.output)]
        return statements

    def _pass(self, stage: int, level: int) -> list[Statement]:
        """The loops of one pass over a row."""
        if level == self._count:
            return self._innermost(stage)
        folds = [
            n
            for n in self._suffix_folds()
            if self._place(n.output).stage == stage and self._fold_level(n) == level
        ]
        inside = (*self._loads(level + 1, stage), *self._pass(stage, level + 1))
        if not inside:
            return []
        return [*self._starts(folds), self._loop(stage, level, inside), *self._finish(folds)]

    def _loop(self, stage: int, level: int, inside: tuple[Statement, ...]) -> Loop:
        """A loop of a pass; the innermost folds into partial results."""
        index, extent = _index(level), self._extent_names[level]
        if level + 1 < self._count:
            return Loop(index, extent, inside)
        partial = [n for n in self._suffix_folds() if self._is_partial(n, stage)]
        blocked = self._is_blocked(stage)
        before = self._starts(partial, partial=True)
        after = [self._combine(n, self._total(n), self._running(n)) for n in partial]
        return Loop(index, extent, inside, tuple(before), tuple(after), blocked)

    def _innermost(self, stage: int) -> list[Statement]:
        statements: list[Statement] = []
        stores: list[Statement] = []
        if self._count == self._depth:
            statements += self._loads(self._count, stage) if self._count else []
        for value in self._rereads(stage):
            statements.append(Load(self._fresh(value), self._access(value, self._results[value])))
        statements += self._repeated(stage)
        for node in self._space.nodes:
            place = self._place(node.output)
            if place.stage != stage:
                continue
            if node.op.kind is Kind.REDUCTION:
                statements += self._fold_step(node)
            elif place.inner:
                let = self._let(node)
                if let is not None:
                    statements.append(let)
                    stores += self._store(node.output)
        return [*statements, *stores]

    def _repeated(self, stage: int) -> list[Statement]:
        """The cheap statements of earlier passes that this pass needs again."""
        statements: list[Statement] = []
        for node in self._again[stage]:
            operands = tuple(self._name(self._behind_views(v)) for v in node.inputs)
            assert isinstance(node.op.code, Expression)
            name = self._fresh(node.output)
            statements.append(Let(name, node.output.type.dtype, node.op.code.text, operands))
        return statements

    def _rereads(self, stage: int) -> list[Value]:
        """Inner values of earlier passes that this pass reads again."""
        inner = [n for n in self._space.nodes if self._place(n.output).inner]
        own = [n for n in inner if self._place(n.output).stage == stage]
        found: dict[Value, None] = {}
        for node in (*self._again[stage], *own):
            for value in map(self._behind_views, node.inputs):
                if value in self._reread and self._place(value).stage < stage:
                    found[value] = None
        return list(found)

    def _behind_views(self, value: Value) -> Value:
        return self._space.behind_views(value)

    def _fresh(self, value: Value) -> str:
        self._names[value] = self._new_name()
        return self._names[value]

    # --- loads ------------------------------------------------------------------------------------

    def _loads(self, level: int, stage: int | None) -> list[Statement]:
        """Load the operands whose element is known at a loop depth.

        `stage` is None in the loops over rows: what is loaded there serves all passes.
        """
        statements: list[Statement] = []
        for value, operand in self._operands.items():
            if operand.literal or value not in self._strides or self._level(value) != level:
                continue
            if stage is not None and level <= self._depth:
                continue
            if stage is not None and not self._read_in(value, stage):
                continue
            name = self._name(value) if stage is None else self._stage_name(value, stage)
            statements.append(Load(name, self._access(value, operand)))
        return statements

    def _stage_name(self, value: Value, stage: int) -> str:
        """Each pass loads its elements anew."""
        if value not in self._names or stage == 0:
            return self._name(value)
        return self._fresh(value)

    def _read_in(self, value: Value, stage: int) -> bool:
        if stage not in self._read_by_stage:
            self._read_by_stage[stage] = {v for n in self._readers_in(stage) for v in n.inputs}
        return value in self._read_by_stage[stage]

    def _readers_in(self, stage: int) -> Iterator[Node]:
        yield from self._again[stage]
        for node in self._space.nodes:
            place = self._place(node.output)
            if place.stage == stage and (place.inner or node.op.kind is Kind.REDUCTION):
                yield node

    # --- folds ------------------------------------------------------------------------------------

    def _suffix_folds(self) -> list[Node]:
        return [n for n in self._folds() if not self._place(n.output).scattered]

    def _fold_level(self, node: Node) -> int:
        kept = sum(axis is not None for axis in self._place(node.output).map)
        return self._axes.loops_before(kept) if kept else 0

    def _is_blocked(self, stage: int) -> bool:
        longest = most(self._axes.extents[-1]) if self._count else 0
        return (longest is None or longest > BLOCKED_FROM) and any(
            self._place(n.output).stage == stage and self._fold_level(n) < self._count
            for n in self._suffix_folds()
        )

    def _is_partial(self, node: Node, stage: int) -> bool:
        """Whether a fold first folds one innermost loop, or block, into a result of its own."""
        if self._place(node.output).stage != stage or self._fold_level(node) >= self._count:
            return False
        if self._depth == self._count:
            return False  # the loops over rows are all there are
        return self._fold_level(node) < self._count - 1 or self._is_blocked(stage)

    def _is_wide(self, node: Node) -> bool:
        """Whether partial float32 results are folded in float64: there may be millions."""
        stage = self._place(node.output).stage
        return node.output.type.dtype == np.float32 and self._is_partial(node, stage)

    def _total(self, node: Node) -> str:
        return self._name(node.output) + ("w" if self._is_wide(node) else "")

    def _total_dtype(self, node: Node) -> Dtype:
        return np.dtype(np.float64) if self._is_wide(node) else node.output.type.dtype

    def _running(self, node: Node) -> str:
        stage = self._place(node.output).stage
        partial = self._is_partial(node, stage)
        return f"{self._name(node.output)}p" if partial else self._total(node)

    def _starts(self, folds: list[Node], *, partial: bool = False) -> list[Statement]:
        statements: list[Statement] = []
        for node in folds:
            own = node.output.type.dtype
            name = self._running(node) if partial else self._total(node)
            dtype = own if partial else self._total_dtype(node)
            statements.append(Start(name, dtype, _fold(node).start(own)))
        return statements

    def _combine(self, node: Node, total: str, value: str) -> Statement:
        dtype = self._total_dtype(node) if total == self._total(node) else node.output.type.dtype
        return Let(total, dtype, _fold(node).combine, (total, value))

    def _finish(self, folds: list[Node]) -> list[Statement]:
        statements: list[Statement] = []
        for node in folds:
            if self._is_wide(node):
                rounded = (self._name(node.output), node.output.type.dtype)
                statements.append(Let(*rounded, "cast({0})", (self._total(node),)))
            statements += self._store(node.output)
        return statements

    def _fold_step(self, node: Node) -> list[Statement]:
        """Fold one element; a fold over leading axes accumulates in memory."""
        value = self._name(self._behind_views(node.inputs[0]))
        if self._place(node.output).scattered:
            access = self._access(node.output, self._results[node.output])
            name = self._name(node.output)
            return [Load(name, access), self._combine(node, name, value), Store(access, name)]
        if self._fold_level(node) == self._count:
            statements = self._starts([node])
            return [
                *statements,
                self._combine(node, self._total(node), value),
                *self._finish([node]),
            ]
        return [self._combine(node, self._running(node), value)]

    def _clear_scattered(self) -> list[Statement]:
        statements: list[Statement] = []
        for node in self._folds():
            if not self._place(node.output).scattered:
                continue
            access = self._access(node.output, self._results[node.output])
            start = Start(
                self._name(node.output),
                node.output.type.dtype,
                _fold(node).start(node.output.type.dtype),
            )
            inner: list[Statement] = [start, Store(access, self._name(node.output))]
            for index, _ in reversed(access.terms):
                loop = int(index[1:])
                inner = [Loop(index, self._extent_names[loop], tuple(inner))]
            statements += inner
        return statements


def _fold(node: Node) -> Fold:
    assert isinstance(node.op.code, Fold)
    return node.op.code


def _index(loop: int) -> str:
    return f"i{loop}"


def _number(pointer: str) -> tuple[str, int]:
    return pointer.rstrip("0123456789"), int(pointer.lstrip("abcdefghijklmnopqrstuvwxyz"))
