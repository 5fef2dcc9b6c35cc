"""Print kernel text as LLVM IR: the compiler of the `llvm` backend.

`kernel_ir` takes a kernel's text and gives a module that defines it in the uniform ABI. The kernel
proper takes pointers that do not alias as arguments; the entry reads them from the table. Where all
innermost loops pass the check of `vector_loops`, they are written in vectors, and few of LLVM's
passes are needed; else only sums are, whose order must not depend on what stands beside them, and
LLVM's own vectorizer does what it can. What is left of sums goes from element to element: LLVM
reorders none. Begin with `kernel_ir`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adgraph.lower import vmath
from adgraph.lower.emitter import KERNEL_PARAMETERS, Scalar
from adgraph.lower.expressions import Expressions, slot_of
from adgraph.lower.instructions import ENTRY, Instructions, Part, Value, in_memory, literal
from adgraph.lower.kept_rows import KeptRows, kept_rows, key
from adgraph.lower.kernel_types import (
    BOOL,
    INT64,
    KernelTree,
    assignments,
    read_kernel,
    refused,
)
from adgraph.lower.native import IRText
from adgraph.lower.vector_loops import VectorLoop, fold_loops, vector_loops
from adgraph.lower.vector_source import (
    LONGEST_STRAIGHT,
    Trip,
    VectorLoopWriter,
    has_masks,
    lanes_of,
    straight_trips,
)
from adgraph.lower.widen import NotWidenedError, closure, wide_symbol

BODY = "adgraph.body"
ATTRIBUTES = 'nounwind "stackrealign"'  # else vectors on the stack may lie across cache lines


def kernel_ir(
    text: str, dtypes: Sequence[str], sizes: int, symbol: str, *, vectors: bool = True
) -> IRText:
    """Return the unoptimized IR text of a kernel, defined under a symbol."""
    tree = read_kernel(text, dtypes, sizes)
    loops = vector_loops(tree) if vectors else None
    if loops is not None:
        function = _Function(tree, {**fold_loops(tree), **loops})
        try:
            return IRText(symbol, _module(function.text(), tree, symbol), passes="few")
        except NotWidenedError:
            pass  # LLVM's vectorizer knows more ways
    return IRText(symbol, _module(_with_ordered_folds(tree), tree, symbol, all_passes=True))


def _with_ordered_folds(tree: KernelTree) -> Instructions:
    """Write a kernel for LLVM's vectorizer, but for the loops with sums."""
    loops = fold_loops(tree)
    while True:
        function = _Function(tree, loops, by_lanes=True)
        try:
            return function.text()
        except NotWidenedError:
            loops = {loop: facts for loop, facts in loops.items() if loop is not function.refused}


def _module(
    function: Instructions, tree: KernelTree, symbol: str, *, all_passes: bool = False
) -> str:
    """Write the kernel, the functions that it calls, and its entry."""
    wide = closure(function.wide)
    declared = function.declarations.union(*(part.declarations for part in wide))
    declarations = vmath.link("\n".join(sorted(declared)) + "\n")
    kept = _used([wide_symbol(*key) for key in sorted(function.wide)]) if all_passes else []
    parts = [declarations, *kept, *(part.text for part in wide), *function.lines]
    return "\n".join((*parts, *_entry(tree, symbol), ""))


def _used(symbols: Sequence[str]) -> list[str]:
    """Keep vector forms until LLVM has chosen which loops to write in vectors."""
    if not symbols:
        return []
    pointers = ", ".join(f'ptr @"{symbol}"' for symbol in symbols)
    kind = f"[{len(symbols)} x ptr]"
    return [f'@llvm.used = appending global {kind} [{pointers}], section "llvm.metadata"']


def _entry(tree: KernelTree, symbol: str) -> list[str]:
    """Write the function in the uniform ABI, which reads the kernel's arguments from the tables."""
    lines = [f"define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{"]
    arguments = []
    for kind, names in (("ptr", tuple(tree.pointers)), ("i64", tree.sizes)):
        table = "%pointers" if kind == "ptr" else "%sizes"
        for i in range(len(names)):
            at = f"%{kind}.{i}.at"
            lines.append(f"  {at} = getelementptr inbounds {kind}, ptr {table}, i64 {i}")
            lines.append(f"  %{kind}.{i} = load {kind}, ptr {at}")
            arguments.append(f"{kind} %{kind}.{i}")
    lines.append(f"  %status = call i64 @{BODY}({', '.join(arguments)}) noinline")
    return [*lines, "  ret i64 %status", "}"]


@dataclass(frozen=True)
class _Vector:
    """A vector of a row while it is kept in a slot."""

    kind: Scalar
    slot: str
    address: str
    lanes: int
    part: Part


class _Function:
    """The kernel proper: its statements one after the other."""

    def __init__(
        self, tree: KernelTree, loops: Mapping[ast.For, VectorLoop], *, by_lanes: bool = False
    ) -> None:
        self.refused: ast.For | None = None
        self._scope = Expressions(tree)
        self._scope.code.by_lanes = by_lanes
        self._loops = loops
        self._exits: list[str] = []
        self._closed = False
        self._kept: KeptRows | None = None

    def text(self) -> Instructions:
        """Write the function and return its instructions, head and tail included."""
        scope, tree = self._scope, self._scope.tree
        for name in tree.sizes:
            scope.keep(name, scope.known[name])
        self._statements(tree.body)
        if not self._closed:
            scope.code.do("ret i64 0")
        parameters = [f"ptr noalias %{name}" for name in tree.pointers]
        parameters += [f"i64 %{name}" for name in tree.sizes]
        head = f"define internal i64 @{BODY}({', '.join(parameters)}) {ATTRIBUTES} {{"
        slots = scope.slots()
        body = [line for line in scope.code.lines if slot_of(line) in (None, *slots)]
        frame = [*slots.values(), *scope.frame]
        scope.code.lines = [head, f"{ENTRY}:", *frame, *body, "}"]
        return scope.code

    # --- statements -------------------------------------------------------------------------------

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self._closed:
                raise refused(statement, "nothing reaches it")
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._scope.assign(name, self._scope.value(value))
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                self._store(target, self._scope.value(value))
            case ast.AugAssign(target=target, op=operator, value=value):
                self._change(target, operator, value)
            case ast.For():
                self._for(statement)
            case ast.While():
                self._while(statement)
            case ast.If():
                self._if(statement)
            case ast.Return(value=ast.expr() as value):
                status = self._scope.code.converted(self._scope.value(value), INT64)
                self._scope.code.do(f"ret {status.typed}")
                self._closed = True
            case ast.Break() if self._exits:
                self._scope.code.jump(self._exits[-1])
                self._closed = True
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return
            case _:
                raise refused(statement, "kernel text has no such statement")

    def _store(self, target: ast.Subscript, value: Value) -> None:
        kind, address = self._scope.address(target)
        self._scope.code.store(self._scope.code.converted(value, kind), address)

    def _change(self, target: ast.expr, operator: ast.operator, value: ast.expr) -> None:
        """Write `target op= value`; an element's address is computed once."""
        if isinstance(target, ast.Name):
            before = self._scope.variable(target.id)
            after = self._scope.operation(target, operator, before, self._scope.value(value))
            self._scope.assign(target.id, after)
        elif isinstance(target, ast.Subscript):
            kind, address = self._scope.address(target)
            before = self._scope.code.load(kind, address)
            after = self._scope.operation(target, operator, before, self._scope.value(value))
            self._scope.code.store(self._scope.code.converted(after, kind), address)
        else:
            raise refused(target, "only variables and elements are assigned")

    def _block(self, body: Sequence[ast.stmt], label: str, after: str) -> None:
        """Write a block of its own that goes on to another."""
        self._scope.code.open(label)
        self._closed = False
        self._statements(body)
        if not self._closed:
            self._scope.code.jump(after)

    def _if(self, statement: ast.If) -> None:
        code = self._scope.code
        then, orelse, done = code.label("then"), code.label("else"), code.label("done")
        condition = self._scope.condition(statement.test)
        code.branch(condition, then, orelse if statement.orelse else done)
        before = dict(self._scope.known)
        self._block(statement.body, then, done)
        ended = self._closed
        if statement.orelse:
            self._scope.known = dict(before)
            self._block(statement.orelse, orelse, done)
            ended = ended and self._closed
        else:
            ended = False
        self._scope.known = before
        self._scope.forget(_assigned((*statement.body, *statement.orelse)))
        self._closed = ended
        if not ended:
            code.open(done)

    def _while(self, statement: ast.While) -> None:
        code = self._scope.code
        head, done = code.label("head"), code.label("done")
        self._scope.forget(_assigned(statement.body))
        around = dict(self._scope.known)
        code.jump(head)
        code.open(head)
        self._exits.append(done)
        if not _is_true(statement.test):
            body = code.label("body")
            code.branch(self._scope.condition(statement.test), body, done)
            code.open(body)
        self._statements(statement.body)
        if not self._closed:
            code.jump(head)
        self._end_loop(done, around)

    def _end_loop(self, done: str, around: dict[str, Value]) -> None:
        self._exits.pop()
        self._scope.known = around
        self._closed = False
        self._scope.code.open(done)

    # --- counted loops ----------------------------------------------------------------------------

    def _for(self, loop: ast.For) -> None:
        """Write a loop over a range, tested at its end and once before."""
        start, stop, step = self._bounds(loop)
        if loop in self._loops:
            lanes, one = self._lanes(loop), literal(INT64, 1)
            kept = self._kept if self._kept and self._kept.inner is loop else None
            writer = VectorLoopWriter(self._scope, loop, self._loops[loop], lanes, kept)
            self.refused = loop
            writer.write(start, stop, lambda a, b: self._counted(loop, a, b, one, None))
        elif step.number is None:
            trips = self._trips(start, stop, step)
            self._counted(loop, literal(INT64, 0), trips, literal(INT64, 1), (start, step))
        else:
            self._counted(loop, start, stop, step, None)

    def _bounds(self, loop: ast.For) -> tuple[Value, Value, Value]:
        match loop:
            case ast.For(
                target=ast.Name(),
                iter=ast.Call(func=ast.Name(id="range"), args=[*arguments], keywords=[]),
                orelse=[],
            ) if 1 <= len(arguments) <= 3:
                values = [
                    self._scope.code.converted(self._scope.value(a), INT64) for a in arguments
                ]
            case _:
                raise refused(loop, "a loop runs over a range")
        if len(values) == 1:
            values.insert(0, literal(INT64, 0))
        return values[0], values[1], values[2] if len(values) == 3 else literal(INT64, 1)

    def _trips(self, start: Value, stop: Value, step: Value) -> Value:
        """The number of trips of a loop whose step may go up or down; at most 0 is none."""
        code = self._scope.code
        up = code.compared(ast.Gt, step, literal(INT64, 0))
        towards = code.select(up, literal(INT64, -1), literal(INT64, 1))
        span = code.emit(f"sub i64 {stop.text}, {start.text}")
        span = code.emit(f"add i64 {span}, {towards.text}")
        last = Value(code.emit(f"sdiv i64 {span}, {step.text}"), INT64)
        ahead = code.compared(ast.Gt, stop, start)
        runs = Value(code.emit(f"icmp eq i1 {ahead.text}, {up.text}"), BOOL)
        count = Value(code.emit(f"add i64 {last.text}, 1"), INT64)
        return code.select(runs, count, literal(INT64, 0))

    def _counted(
        self,
        loop: ast.For,
        start: Value,
        stop: Value,
        step: Value,
        walk: tuple[Value, Value] | None,
    ) -> None:
        """Write a loop with a known step; with `walk` its index is `first + counter * step`."""
        code = self._scope.code
        assert step.number
        assert isinstance(loop.target, ast.Name)
        test = "slt" if step.number > 0 else "sgt"
        body, latch, done = code.label("body"), code.label("latch"), code.label("done")
        runs = Value(code.emit(f"icmp {test} {start.typed}, {stop.text}"), BOOL)
        kept = self._rows_of(loop)
        enter, leave = (code.label("enter"), code.label("leave")) if kept else (body, done)
        code.branch(runs, enter, done)
        if kept:
            code.open(enter)
            rows = self._take(kept)
            code.jump(body)
        self._scope.forget({loop.target.id, *_assigned(loop.body)})
        around = dict(self._scope.known)
        before, counter, following = code.block, code.name(), code.name()
        code.open(body)
        code.do(f"{counter} = phi i64 [{start.text}, %{before}], [{following}, %{latch}]")
        index = Value(counter, INT64)
        if walk is not None:
            first, stride = walk
            scaled = code.emit(f"mul nsw i64 {counter}, {stride.text}")
            index = Value(code.emit(f"add nsw i64 {first.text}, {scaled}"), INT64)
        self._scope.assign(loop.target.id, index)
        self._exits.append(done)
        self._kept = kept
        self._statements(loop.body)
        self._kept = None
        if not self._closed:
            code.jump(latch)
        code.open(latch)
        code.do(f"{following} = add nsw i64 {counter}, {step.text}")
        again = Value(code.emit(f"icmp {test} i64 {following}, {stop.text}"), BOOL)
        code.branch(again, body, leave)
        if kept:
            code.open(leave)
            self._put_back(rows)
            code.jump(done)
        self._end_loop(done, around)

    # --- rows in registers ------------------------------------------------------------------------

    def _rows_of(self, loop: ast.For) -> KeptRows | None:
        """The rows that a loop keeps: those of a loop inside it that is written out."""
        kept = kept_rows(loop, self._loops) if has_masks() else None
        straight = kept and 0 < len(self._trips_of(kept.inner)) <= LONGEST_STRAIGHT
        return kept if straight else None

    def _trips_of(self, inner: ast.For) -> list[Trip]:
        """The trips of a vector loop of known extent."""
        match inner.iter:
            case ast.Call(args=[ast.Constant(value=int(n))]):
                return list(straight_trips(0, n, self._lanes(inner)))
        return []

    def _lanes(self, inner: ast.For) -> int:
        return lanes_of(inner, self._scope.tree.pointers, self._scope.tree.types)

    def _take(self, kept: KeptRows) -> list[_Vector]:
        """Read rows into vectors on the stack."""
        code, lanes = self._scope.code, self._lanes(kept.inner)
        rows = []
        for place in kept.places:
            for trip in self._trips_of(kept.inner):
                element, address = self._address_at(place, kept.inner, trip)
                kind = in_memory(element)
                read = code.load(kind, address, lanes, trip.part)
                slot = code.name()
                self._scope.frame.append(f"  {slot} = alloca {read.type}")
                code.store(read, slot, lanes)
                kept.slots.setdefault(key(place), []).append(slot)
                rows.append(_Vector(kind, slot, address, lanes, trip.part))
        return rows

    def _put_back(self, rows: list[_Vector]) -> None:
        code = self._scope.code
        for row in rows:
            value = code.load(row.kind, row.slot, row.lanes)
            code.store(value, row.address, row.lanes, row.part)

    def _address_at(self, place: ast.Subscript, inner: ast.For, trip: Trip) -> tuple[Scalar, str]:
        """The address of an element at the first index of a trip."""
        assert isinstance(inner.target, ast.Name)
        known = dict(self._scope.known)
        self._scope.known[inner.target.id] = trip.first
        try:
            return self._scope.address(place)
        finally:
            self._scope.known = known


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    return {name for name, _ in assignments(body)}
