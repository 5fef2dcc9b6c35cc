"""Print the expressions of kernel text as LLVM instructions, and keep track of variables.

A variable is a name of the text where one assignment is known to hold, else a slot on the stack,
which LLVM turns into registers. Inside a vector loop the same expressions give values of many
lanes: what differs there is asked of the loop's writer.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

from adgraph.lower import vmath
from adgraph.lower.emitter import Scalar
from adgraph.lower.instructions import Instructions, Value, literal
from adgraph.lower.kernel_types import (
    BOOL,
    CASTS,
    FLOAT64,
    FOLDS,
    INT64,
    NUMBERS,
    KernelTree,
    arithmetic_type,
    literal_type,
    negated_type,
    refused,
)
from adgraph.lower.vector_loops import VectorLoop
from adgraph.lower.widen import NotWidenedError

EXACT_INDEX = " nsw"  # an index that overflows is no index of anything


class Lanes(Protocol):
    """A vector loop under construction: what its expressions ask."""

    facts: VectorLoop

    def invariant(self, node: ast.expr, write: Callable[[], Value]) -> Value:
        """Compute what all trips share before the loop, once."""

    def index(self) -> Value:
        """Return the loop's index on every lane."""

    def element(self, node: ast.Subscript) -> Value:
        """Read neighbouring elements."""


class Expressions:
    """The expressions of one function, and its variables.

    `known` holds what a variable is known to be at this point of the text; it shrinks where paths
    meet, to the variables that none of them assigns. `frame` are lines for the function's start.
    """

    def __init__(self, tree: KernelTree) -> None:
        self.tree = tree
        self.code = Instructions()
        self.known = {name: Value(f"%{name}", INT64) for name in tree.sizes}
        self.frame: list[str] = []
        self.vector: Lanes | None = None
        self._loaded: set[str] = set()

    # --- variables --------------------------------------------------------------------------------

    def assign(self, name: str, value: Value) -> None:
        """Give a variable a value."""
        value = self.code.converted(value, self.tree.types[name])
        self.known[name] = value
        self.keep(name, value)

    def keep(self, name: str, value: Value) -> None:
        """Store a value for where paths meet; the line goes if no path ever reads it."""
        self.code.do(f"store {value.typed}, ptr {_slot(name)}")

    def variable(self, name: str) -> Value:
        """Return the value of a variable."""
        if name not in self.known:
            self._loaded.add(name)
            kind = self.tree.types[name]
            self.known[name] = Value(self.code.emit(f"load {kind.llvm}, ptr {_slot(name)}"), kind)
        return self.known[name]

    def forget(self, names: set[str]) -> None:
        """Know no more of variables that may have been assigned."""
        self.known = {name: value for name, value in self.known.items() if name not in names}

    def slots(self) -> dict[str, str]:
        """Return the lines that make room for variables that are read from memory."""
        return {
            _slot(name): f"  {_slot(name)} = alloca {self.tree.types[name].llvm}"
            for name in sorted(self._loaded)
        }

    # --- expressions ------------------------------------------------------------------------------

    def condition(self, node: ast.expr) -> Value:
        """Write an expression as a bool."""
        return self.code.converted(self.value(node), BOOL)

    def value(self, node: ast.expr, flags: str = "") -> Value:
        """Write an expression; `flags` are those of its integer arithmetic."""
        if self.vector is not None and not self.vector.facts.varies(node):
            return self.vector.invariant(node, lambda: self.value(node, flags))
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return literal(literal_type(number), number)
            case ast.Name(id=name):
                return self._named(node, name)
            case ast.BinOp(left=left, op=operator, right=right):
                a, b = self.value(left, flags), self.value(right, flags)
                return self.operation(node, operator, a, b, flags)
            case ast.UnaryOp(op=operator, operand=operand):
                return self._unary(node, operator, self.value(operand, flags))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self.code.compared(type(operator), self.value(left), self.value(right))
            case ast.BoolOp(op=operator, values=values):
                return self._junction(isinstance(operator, ast.And), values)
            case ast.Subscript() if self.vector is not None:
                return self.vector.element(node)
            case ast.Subscript():
                return self.code.load(*self.address(node))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments)
        raise refused(node, "kernel text has no such expression")

    def _named(self, node: ast.expr, name: str) -> Value:
        if name in NUMBERS:
            return literal(FLOAT64, NUMBERS[name])
        if name not in self.tree.types:
            raise refused(node, f"there is no variable `{name}`")
        if self.vector is not None and name == self.vector.facts.index:
            return self.vector.index()
        return self.variable(name)

    def operation(
        self, node: ast.expr, operator: ast.operator, a: Value, b: Value, flags: str = ""
    ) -> Value:
        """Write `a operator b`."""
        kind = arithmetic_type(operator, a.kind, b.kind)
        if kind is None:
            raise refused(node, f"no such operation on {a.kind.code} and {b.kind.code}")
        return self.code.arithmetic(type(operator), a, b, kind, flags)

    def _unary(self, node: ast.expr, operator: ast.unaryop, x: Value) -> Value:
        kind = negated_type(operator, x.kind)
        match operator:
            case ast.USub() if kind is not None:
                return self.code.negated(x, kind)
            case ast.UAdd() if kind is not None:
                return self.code.converted(x, kind)
            case ast.Not() | ast.Invert() if kind is not None:
                return self.code.inverted(x, kind)
        raise refused(node, f"no such operation on {x.kind.code}")

    def _junction(self, every: bool, values: Sequence[ast.expr]) -> Value:
        """Write `and` or `or`; an operand that reads memory is reached only if it decides."""
        result = self.condition(values[0])
        for node in values[1:]:
            if _is_safe(node):
                operator = ast.BitAnd if every else ast.BitOr
                result = self.code.arithmetic(operator, result, self.condition(node), BOOL)
            else:
                result = self._decided(every, result, node)
        return result

    def _decided(self, every: bool, first: Value, node: ast.expr) -> Value:
        code = self.code
        if code.before is not None:
            raise NotWidenedError("a condition that is computed only where it decides")
        more, done = code.label("more"), code.label("done")
        code.branch(first, *((more, done) if every else (done, more)))
        before, known = code.block, dict(self.known)
        code.open(more)
        second = self.condition(node)
        code.jump(done)
        behind = code.block
        self.known = known
        code.open(done)
        early = "false" if every else "true"
        text = code.emit(f"phi i1 [{early}, %{before}], [{second.text}, %{behind}]")
        return Value(text, BOOL)

    # --- memory -----------------------------------------------------------------------------------

    def address(self, node: ast.Subscript) -> tuple[Scalar, str]:
        """Return the type of an element, and its address."""
        kind, pointer = self.pointer(node.value)
        index = self.value(node.slice, EXACT_INDEX)
        if index.kind.is_float:
            raise refused(node, "an index is an integer")
        return kind, self.code.element(kind, pointer, index)

    def pointer(self, node: ast.expr) -> tuple[Scalar, str]:
        """Return the type of a pointer's elements, and the pointer."""
        match node:
            case ast.Name(id=name) if name in self.tree.pointers:
                return self.tree.pointers[name], f"%{name}"
            case ast.Call(func=ast.Name(id="behind"), args=[base, offset]):
                kind, pointer = self.pointer(base)
                return kind, self.code.element(kind, pointer, self.value(offset, EXACT_INDEX))
        raise refused(node, "it is no pointer")

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, node: ast.expr, name: str, arguments: Sequence[ast.expr]) -> Value:
        if name in CASTS:
            (x,) = self._arguments(node, arguments, 1)
            return self.code.converted(x, CASTS[name])
        if name in FOLDS:
            total, x = self._arguments(node, arguments, 2)
            return self.code.fold(name, FOLDS[name], total, x)
        if name in SPECIAL:
            return SPECIAL[name](self, node, arguments)
        if name in vmath.FUNCTIONS:
            function = vmath.FUNCTIONS[name]
            return self.code.vector_math(function, self._arguments(node, arguments, function.arity))
        raise refused(node, f"there is no function `{name}`")

    def _arguments(self, node: ast.expr, arguments: Sequence[ast.expr], count: int) -> list[Value]:
        if len(arguments) != count:
            raise refused(node, f"it takes {count} arguments")
        return [self.value(argument) for argument in arguments]

    def _where(self, node: ast.expr, arguments: Sequence[ast.expr]) -> Value:
        return self.code.select(*self._arguments(node, arguments, 3))

    def _least(
        self, node: ast.expr, arguments: Sequence[ast.expr], order: type[ast.cmpop] = ast.Lt
    ) -> Value:
        a, b = self._arguments(node, arguments, 2)
        if a.kind.is_float or b.kind.is_float:
            raise refused(node, "it is for integers: which of two floats is less if one is nan?")
        return self.code.lesser(a, b, order)

    def _invoke(self, node: ast.expr, arguments: Sequence[ast.expr]) -> Value:
        """Call a kernel by its address: a table of pointers and one of integers, on the stack."""
        address, *rest = arguments
        pointers: list[str] = []
        sizes: list[str] = []
        for argument in rest:
            if self._is_pointer(argument):
                pointers.append(f"ptr {self.pointer(argument)[1]}")
            else:
                sizes.append(self.code.converted(self.value(argument), INT64).typed)
        called = self.code.converted(self.value(address), INT64)
        function = self.code.emit(f"inttoptr {called.typed} to ptr")
        tables = [self._table(pointers), self._table(sizes)]
        arguments_text = ", ".join(f"ptr {table}" for table in tables)
        return Value(self.code.emit(f"call i64 {function}({arguments_text})"), INT64)

    def _is_pointer(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in self.tree.pointers
            case ast.Call(func=ast.Name(id="behind")):
                return True
        return False

    def _table(self, entries: Sequence[str]) -> str:
        """Store operands in a table of the stack frame."""
        code = self.code
        table = code.name()
        self.frame.append(f"  {table} = alloca [{max(len(entries), 1)} x i64], align 8")
        for i, entry in enumerate(entries):
            at = code.emit(f"getelementptr inbounds i64, ptr {table}, i64 {i}")
            code.do(f"store {entry}, ptr {at}")
        return table


SPECIAL: dict[str, Callable[[Expressions, ast.expr, Sequence[ast.expr]], Value]] = {
    "where": Expressions._where,
    "invoke": Expressions._invoke,
    "min": Expressions._least,
    "max": functools.partial(Expressions._least, order=ast.Gt),
}


def _slot(name: str) -> str:
    return f'%"{name}.slot"'


def slot_of(line: str) -> str | None:
    """Return the slot that an instruction keeps a variable in, None if it does something else."""
    if not (line.startswith("  store ") and line.endswith('.slot"')):
        return None
    return line[line.rindex(" ") + 1 :]


def _is_safe(node: ast.expr) -> bool:
    """Whether an expression may be computed where it is not needed: it reads no memory."""
    return not any(isinstance(part, ast.Subscript | ast.Call) for part in ast.walk(node))
