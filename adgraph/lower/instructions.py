"""The instructions of one function in LLVM IR text: typed values, and arithmetic on them.

`Instructions` collects lines, opens blocks and converts between types; it knows nothing of kernel
text. A value has one or more lanes: where lanes meet a scalar, it is spread over them. Literals are
folded into operands, in the type in which they are used. Floating-point instructions carry the
flag `nsz` and no others: nan and infinities stay exact, and which product and sum are rounded once
the text says (`adgraph.passes.contract`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adgraph.lower import native, vmath
from adgraph.lower.emitter import SCALARS, Scalar, constant, symbol
from adgraph.lower.kernel_types import BOOL, INT64, compared_type, computed, operand_type, promoted
from adgraph.lower.widen import NotWidenedError, wide_symbol, widened

ENTRY = "entry.0"  # no variable has a dot in its name
FLAGS = "nsz"
FOLD_FLAGS = "reassoc nsz"
ORDERS = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
INTEGER = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
FLOAT = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
FUNCTIONS = {ast.FloorDiv: "floor_divide", ast.Mod: "remainder"}
OPPOSITE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


@dataclass(frozen=True, slots=True)
class Value:
    """An operand: its name or constant in the text, its type, and the number if it is a literal."""

    text: str
    kind: Scalar
    number: float | None = None
    lanes: int = 1

    @property
    def type(self) -> str:
        """The type in LLVM's words."""
        return lane_type(self.kind.llvm, self.lanes)

    @property
    def typed(self) -> str:
        """The operand with its type, as an argument is written."""
        return f"{self.type} {self.text}"

    @property
    def zero(self) -> str:
        """The zero of the type."""
        return constant(self.kind, 0) if self.lanes == 1 else "zeroinitializer"


@dataclass(frozen=True, slots=True)
class Part:
    """Which lanes of a vector take part: all, or those of a mask.

    Where that is known, they are the `first` ones. These are read and written as narrow vectors:
    what these have written, memory hands on to the next load, which it does not after a masked
    store.
    """

    mask: str = ""
    first: int = 0


WHOLE = Part()


def first_lanes(count: int, lanes: int) -> Part:
    """Return the first ones of some lanes."""
    if count == lanes:
        return WHOLE
    which = ", ".join(f"i1 {'true' if i < count else 'false'}" for i in range(lanes))
    return Part(f"<{lanes} x i1> <{which}>", count)


def lane_type(llvm: str, lanes: int) -> str:
    """Return the type of some lanes.

    >>> lane_type("double", 8)
    '<8 x double>'
    """
    return llvm if lanes == 1 else f"<{lanes} x {llvm}>"


def literal(kind: Scalar, number: float) -> Value:
    """Return a constant, rounded or wrapped to its type."""
    number = _in_type(kind, number)
    return Value(constant(kind, number), kind, number)


def _in_type(kind: Scalar, number: float) -> float:
    if kind.is_float:
        return float(np.float32(number)) if kind.bits == 32 else float(number)
    if kind == BOOL:
        return bool(number)
    wrapped: int = int(number) % 2**kind.bits
    return wrapped - 2**kind.bits if kind.is_signed and wrapped >= 2 ** (kind.bits - 1) else wrapped


class Instructions:
    """The lines of one function, the block they go to, and the functions they call.

    With `by_lanes` a function without a vector form is called for each lane.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.wide: set[tuple[str, str, int]] = set()
        self.spread: dict[Value, Value] = {}
        self.before: list[str] | None = None
        self.block = ENTRY
        self.by_lanes = False
        self._count = 0

    # --- lines and blocks -------------------------------------------------------------------------

    def emit(self, instruction: str) -> str:
        """Append an instruction and return the name of its result."""
        name = self.name()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def name(self) -> str:
        """Return a new name."""
        self._count += 1
        return f"%.{self._count}"

    def label(self, purpose: str) -> str:
        """Return a new name of a block."""
        self._count += 1
        return f"{purpose}.{self._count}"

    def open(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """Leave the block for another."""
        self.do(f"br label %{label}")

    def branch(self, condition: Value, then: str, orelse: str) -> None:
        """Leave the block for one of two."""
        self.do(f"br i1 {condition.text}, label %{then}, label %{orelse}")

    # --- values -----------------------------------------------------------------------------------

    def on_lanes(self, value: Value, lanes: int) -> Value:
        """Return a value on all lanes; a variable is spread once, before the loop."""
        if value.lanes == lanes:
            return value
        if value.number is not None:
            splat = f"splat ({value.typed})" if value.number else "zeroinitializer"
            return Value(splat, value.kind, value.number, lanes)
        if value not in self.spread:
            lines = self.lines if self.before is None else self.before
            first, all_lanes, kind = self.name(), self.name(), lane_type(value.kind.llvm, lanes)
            lines.append(f"  {first} = insertelement {kind} poison, {value.typed}, i64 0")
            mask = f"<{lanes} x i32> zeroinitializer"
            lines.append(f"  {all_lanes} = shufflevector {kind} {first}, {kind} poison, {mask}")
            self.spread[value] = Value(all_lanes, value.kind, None, lanes)
        return self.spread[value]

    def alike(self, *values: Value) -> tuple[Value, ...]:
        """Return values with as many lanes as the widest."""
        lanes = max(value.lanes for value in values)
        return values if lanes == 1 else tuple(self.on_lanes(value, lanes) for value in values)

    def converted(self, value: Value, kind: Scalar) -> Value:
        """Return a value in another type, as a cast in NumPy gives it."""
        own = value.kind
        if own == kind:
            return value
        if value.number is not None and (kind.is_float or not own.is_float):
            return literal(kind, value.number)
        if kind == BOOL:
            test = "fcmp une" if own.is_float else "icmp ne"
            instruction = f"{test} {value.typed}, {value.zero}"
        else:
            target = lane_type(kind.llvm, value.lanes)
            instruction = f"{_cast(own, kind)} {value.typed} to {target}"
        if value.lanes == 1 and self.before is not None:
            name = self.name()  # a scalar in a vector loop: the same in all trips
            self.before.append(f"  {name} = {instruction}")
        else:
            name = self.emit(instruction)
        return Value(name, kind, None, value.lanes)

    def arithmetic(
        self, operator: type[ast.operator], a: Value, b: Value, kind: Scalar, flags: str = ""
    ) -> Value:
        """Return `a operator b` in a type; `flags` are those of integer instructions."""
        a, b = self.alike(self.converted(a, kind), self.converted(b, kind))
        if operator in FUNCTIONS:
            return self.call(FUNCTIONS[operator], kind, kind, (a, b))
        if kind.is_float:
            instruction = f"{FLOAT[operator]} {FLAGS}"
        else:
            instruction = INTEGER[operator] + (flags if operator not in _BITWISE else "")
        return Value(self.emit(f"{instruction} {a.typed}, {b.text}"), kind, None, a.lanes)

    def negated(self, x: Value, kind: Scalar) -> Value:
        """Return -x."""
        if x.number is not None:
            return literal(kind, -x.number)
        x = self.converted(x, kind)
        if kind.is_float:
            return Value(self.emit(f"fneg {FLAGS} {x.typed}"), kind, None, x.lanes)
        return Value(self.emit(f"sub {x.type} {x.zero}, {x.text}"), kind, None, x.lanes)

    def inverted(self, x: Value, kind: Scalar) -> Value:
        """Return x with all bits turned."""
        x, ones = self.alike(self.converted(x, kind), literal(kind, -1))
        return Value(self.emit(f"xor {x.typed}, {ones.text}"), kind, None, x.lanes)

    def compared(self, operator: type[ast.cmpop], a: Value, b: Value) -> Value:
        """Return the bool `a operator b`; nan is unordered and unequal to everything."""
        order = ORDERS[operator]
        kind = compared_type(a.kind, b.kind)
        if kind is None:
            return self._compared_across_signs(order, a, b)
        a, b = self.alike(self.converted(a, kind), self.converted(b, kind))
        text = self.emit(f"{_comparison(order, kind)} {a.typed}, {b.text}")
        return Value(text, BOOL, None, a.lanes)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """Return `a` where the condition holds, else `b`, in their common type."""
        kind = promoted(a.kind, b.kind)
        a, b = self.converted(a, kind), self.converted(b, kind)
        condition, a, b = self.alike(self.converted(condition, BOOL), a, b)
        text = self.emit(f"select {condition.typed}, {a.typed}, {b.typed}")
        return Value(text, kind, None, a.lanes)

    def lesser(self, a: Value, b: Value, order: type[ast.cmpop]) -> Value:
        """Return the one of two integers that comes first in an order."""
        return self.select(self.compared(order, a, b), a, b)

    def fold(self, name: str, instructions: tuple[str, str], total: Value, x: Value) -> Value:
        """Return the next value of an accumulator."""
        kind = total.kind
        total, x = self.alike(total, self.converted(x, kind))
        of_float, of_integer = instructions
        if name in ("fold_maximum", "fold_minimum"):
            return self._folded_extremum(of_float, total, x)
        instruction = f"{of_float} {FLAGS}" if kind.is_float else of_integer
        return Value(self.emit(f"{instruction} {total.typed}, {x.text}"), kind, None, x.lanes)

    def vector_math(self, function: vmath.Function, operands: Sequence[Value]) -> Value:
        """Call a function of `vmath`."""
        kind = operand_type(function, [x.kind for x in operands])
        result = BOOL if function.family == "predicate" else kind
        return self.call(function.name, kind, result, [self.converted(x, kind) for x in operands])

    def call(self, name: str, kind: Scalar, result: Scalar, operands: Sequence[Value]) -> Value:
        """Call a function of `vmath` on operands of its type."""
        operands = self.alike(*operands)
        lanes = operands[0].lanes
        if lanes == 1:
            variant = self._variant(name, kind)
            return self.called(symbol(name, kind.code), result, operands, attributes=variant)
        try:
            widened(name, kind.code, lanes)
        except NotWidenedError:
            if not self.by_lanes:
                raise
            return self._called_by_lanes(name, kind, result, operands)
        self.wide.add((name, kind.code, lanes))
        arguments = ", ".join(x.typed for x in operands)
        function = wide_symbol(name, kind.code, lanes)
        text = self.emit(f'call {lane_type(result.llvm, lanes)} @"{function}"({arguments})')
        return Value(text, result, None, lanes)

    def _called_by_lanes(
        self, name: str, kind: Scalar, result: Scalar, operands: Sequence[Value]
    ) -> Value:
        lanes = operands[0].lanes
        type, total = lane_type(result.llvm, lanes), "poison"
        for i in range(lanes):
            parts = [
                Value(self.emit(f"extractelement {x.typed}, i64 {i}"), x.kind) for x in operands
            ]
            part = self.call(name, kind, result, parts)
            total = self.emit(f"insertelement {type} {total}, {part.typed}, i64 {i}")
        return Value(total, result, None, lanes)

    def _variant(self, name: str, kind: Scalar) -> str:
        """Return what keeps a call of a function with a branch and names its vector form.

        LLVM would compute both branches for all elements of a loop.
        """
        if "label %rare" not in vmath.define(name, kind.code).text:
            return ""
        lanes = native.vector_bits() // kind.bits
        self.wide.add((name, kind.code, lanes))
        scalar, vector = symbol(name, kind.code), wide_symbol(name, kind.code, lanes)
        variant = f"_ZGV_LLVM_N{lanes}v_{scalar}({vector})"
        return f' noinline "vector-function-abi-variant"="{variant}"'

    def called(
        self,
        function: str,
        result: Scalar,
        operands: Sequence[Value],
        flags: str = "",
        attributes: str = "",
    ) -> Value:
        """Call a function by its symbol, with as many lanes of the result as of its operands."""
        lanes = operands[0].lanes
        kind = lane_type(result.llvm, lanes)
        parameters = ", ".join(x.type for x in operands)
        arguments = ", ".join(x.typed for x in operands)
        self.declarations.add(f'declare {kind} @"{function}"({parameters})')
        text = self.emit(f'call {flags}{kind} @"{function}"({arguments}){attributes}')
        return Value(text, result, None, lanes)

    # --- memory -----------------------------------------------------------------------------------

    def load(self, kind: Scalar, address: str, lanes: int = 1, part: Part = WHOLE) -> Value:
        """Read an element, or neighbouring ones; lanes that take no part are zero."""
        memory = in_memory(kind)
        type, at = lane_type(memory.llvm, lanes), _aligned(memory)
        if part.first:
            read = self._load_first(memory, address, lanes, part.first)
        elif part.mask:
            function = f"llvm.masked.load.{suffix(memory, lanes)}.p0"
            self.declarations.add(f"declare {type} @{function}(ptr, i32, <{lanes} x i1>, {type})")
            arguments = f"ptr {address}, i32 {memory.bits // 8}, {part.mask}"
            read = self.emit(f"call {type} @{function}({arguments}, {type} zeroinitializer)")
        else:
            read = self.emit(f"load {type}, ptr {address}{at}")
        return self.converted(Value(read, memory, None, lanes), kind)

    def store(self, value: Value, address: str, lanes: int = 1, part: Part = WHOLE) -> None:
        """Write an element, or neighbouring ones; what takes no part stays as it is."""
        memory = in_memory(value.kind)
        value = self.on_lanes(self.converted(value, memory), lanes)
        if part.first:
            self._store_first(value, address, part.first)
        elif part.mask:
            function = f"llvm.masked.store.{suffix(memory, lanes)}.p0"
            self.declarations.add(
                f"declare void @{function}({value.type}, ptr, i32, <{lanes} x i1>)"
            )
            arguments = f"{value.typed}, ptr {address}, i32 {memory.bits // 8}, {part.mask}"
            self.do(f"call void @{function}({arguments})")
        else:
            self.do(f"store {value.typed}, ptr {address}{_aligned(memory)}")

    def element(self, kind: Scalar, pointer: str, index: Value, flags: str = " inbounds") -> str:
        """Return the address of an element."""
        at = self.converted(index, INT64)
        memory = in_memory(kind).llvm
        return self.emit(f"getelementptr{flags} {memory}, ptr {pointer}, {at.typed}")

    def _load_first(self, memory: Scalar, address: str, lanes: int, count: int) -> str:
        """Read the first of some lanes, vector by vector; the others are zero."""
        type, total = lane_type(memory.llvm, lanes), "zeroinitializer"
        for start, size in _vectors(count):
            narrow, at = f"<{size} x {memory.llvm}>", self._behind(memory, address, start)
            some = self.emit(f"load {narrow}, ptr {at}{_aligned(memory)}")
            spread = _chosen(min(i, size) for i in range(lanes))
            wide = f"{narrow} {some}, {narrow} zeroinitializer, <{lanes} x i32> {spread}"
            read = self.emit(f"shufflevector {wide}")
            which = _chosen(
                i if not start <= i < start + size else lanes + i - start for i in range(lanes)
            )
            both = f"{type} {total}, {type} {read}, <{lanes} x i32> {which}"
            total = self.emit(f"shufflevector {both}") if start else read
        return total

    def _store_first(self, value: Value, address: str, count: int) -> None:
        """Write the first of some lanes, vector by vector."""
        memory = value.kind
        for start, size in _vectors(count):
            at = self._behind(memory, address, start)
            which = f"<{size} x i32> {_chosen(range(start, start + size))}"
            some = self.emit(f"shufflevector {value.typed}, {value.type} poison, {which}")
            self.do(f"store <{size} x {memory.llvm}> {some}, ptr {at}{_aligned(memory)}")

    def _behind(self, memory: Scalar, address: str, count: int) -> str:
        if not count:
            return address
        return self.emit(f"getelementptr {memory.llvm}, ptr {address}, i64 {count}")

    # --- special cases ----------------------------------------------------------------------------

    def _folded_extremum(self, name: str, total: Value, x: Value) -> Value:
        """Use LLVM's nan-propagating extrema, whose loops it vectorizes."""
        kind = total.kind
        if not kind.is_float:
            return self.call(name, kind, kind, (total, x))
        lanes = f"v{x.lanes}" if x.lanes > 1 else ""
        return self.called(f"llvm.{name}.{lanes}f{kind.bits}", kind, (total, x), "nsz ")

    def _compared_across_signs(self, order: str, a: Value, b: Value) -> Value:
        """Compare signed with unsigned exactly: a negative number is less than any unsigned."""
        if a.lanes > 1 or b.lanes > 1:
            raise NotWidenedError("a comparison across signs")
        if b.kind.is_signed:
            a, b, order = b, a, OPPOSITE[order]
        a, b = self.converted(a, INT64), self.converted(b, computed(b.kind))
        negative = self.emit(f"icmp slt {a.typed}, 0")
        plain = self.emit(f"{_comparison(order, b.kind)} {a.typed}, {b.text}")
        if order in ("lt", "le", "ne"):
            return Value(self.emit(f"or i1 {negative}, {plain}"), BOOL)
        positive = self.emit(f"xor i1 {negative}, true")
        return Value(self.emit(f"and i1 {positive}, {plain}"), BOOL)


def _vectors(count: int) -> Iterator[tuple[int, int]]:
    """Cut some lanes into vectors: where each begins, and its length."""
    start = 0
    while count > start:
        size = 1 << ((count - start).bit_length() - 1)
        yield start, size
        start += size


def _chosen(lanes: Iterable[int]) -> str:
    return "<" + ", ".join(f"i32 {lane}" for lane in lanes) + ">"


def in_memory(kind: Scalar) -> Scalar:
    """Return the type of an element in memory: a bool is a byte."""
    return SCALARS["u1"] if kind == BOOL else kind


def _aligned(memory: Scalar) -> str:
    """Say that elements, and so vectors of them, have the alignment of one."""
    return f", align {memory.bits // 8}"


def suffix(memory: Scalar, lanes: int) -> str:
    """Return what the name of an intrinsic says of a vector.

    >>> suffix(SCALARS["f8"], 8)
    'v8f64'
    """
    return f"v{lanes}{'f' if memory.is_float else 'i'}{memory.bits}"


_BITWISE = (ast.BitAnd, ast.BitOr, ast.BitXor)


def _cast(own: Scalar, kind: Scalar) -> str:
    """Return the instruction that converts between two different types, neither of them to bool."""
    if own.is_float and kind.is_float:
        return "fpext" if kind.bits > own.bits else "fptrunc"
    if own.is_float:
        return "fptosi" if kind.is_signed else "fptoui"
    if kind.is_float:
        return "sitofp" if own.is_signed else "uitofp"
    if kind.bits == own.bits:
        return "bitcast"
    if kind.bits < own.bits:
        return "trunc"
    return "sext" if own.is_signed else "zext"


def _comparison(order: str, kind: Scalar) -> str:
    if kind.is_float:
        return "fcmp " + ("une" if order == "ne" else "o" + order)
    if order in ("eq", "ne"):
        return f"icmp {order}"
    return f"icmp {'s' if kind.is_signed else 'u'}{order}"
