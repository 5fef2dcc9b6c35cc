"""A writer of native functions: Python that reads like the algorithm, and runs to write LLVM IR.

`native` makes a `Native` of a Python function of a `Body` and of `Value`s, the parameters.
Operators on values and the methods of the body append instructions; `compile_function` compiles a
function with all that it calls. Numbers are int64 unless a value is of another kind.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import Passes

Order = Literal["", "monotonic", "acquire", "release"]  # of an atomic access
_SIGNATURE = re.compile(r"(.+) (\S+)\((.*)\)(.*)")


@dataclass(frozen=True)
class Native:
    """A function: its kinds as LLVM names them, and who writes its body, if that is ours."""

    symbol: str
    result: str
    parameters: tuple[str, ...]
    attributes: str = ""
    write: Callable[..., None] | None = None

    def definition(self) -> tuple[str, Iterable[Native | Memory]]:
        """Return the text of the function, and what it uses."""
        kinds = ", ".join(self.parameters)
        if self.write is None:
            return f'declare {self.result} @"{self.symbol}"({kinds})', ()
        body = Body(self.result)
        names = [f"%p{i}" for i in range(len(self.parameters))]
        values = (
            Value(body, kind.split()[0], name)
            for kind, name in zip(self.parameters, names, strict=True)
        )
        self.write(body, *values)
        given = ", ".join(map(" ".join, zip(self.parameters, names, strict=True)))
        head = f'define {self.result} @"{self.symbol}"({given}) {self.attributes}'
        return f"{head} {{\n{body.text()}\n}}", body.used.values()


@dataclass(frozen=True)
class Memory:
    """A constant or a variable outside of functions, as LLVM states it."""

    symbol: str
    content: str

    def definition(self) -> tuple[str, Iterable[Native | Memory]]:
        """Return the text that makes room for it, and what it uses."""
        return f"@{self.symbol} = internal {self.content}", ()


def outside(signature: str) -> Native:
    """Name a function of C.

    >>> outside("i32 pthread_cond_wait(ptr, ptr)").parameters
    ('ptr', 'ptr')
    """
    found = _SIGNATURE.fullmatch(signature)
    assert found is not None, signature
    result, symbol, parameters, attributes = found.groups()
    kinds = tuple(parameters.split(", ")) if parameters else ()
    return Native(symbol, result, kinds, attributes.strip())


def native(signature: str) -> Callable[[Callable[..., None]], Native]:
    """Make a function of what a Python function writes.

    >>> @native("i64 larger(i64, i64)")
    ... def larger(f: Body, a: Value, b: Value) -> None:
    ...     f.leave((a > b).choose(a, b))
    >>> print(module_text(larger))
    define i64 @"larger"(i64 %p0, i64 %p1)  {
    start:
      %v1 = icmp sgt i64 %p0, %p1
      %v2 = select i1 %v1, i64 %p0, i64 %p1
      ret i64 %v2
    }
    """
    shape = outside(signature)

    def of(write: Callable[..., None]) -> Native:
        return Native(shape.symbol, shape.result, shape.parameters, shape.attributes, write)

    return of


def module_text(entry: Native) -> str:
    """Return the text of a function and of all that it uses."""
    texts: dict[str, str] = {}
    waiting: list[Native | Memory] = [entry]
    while waiting:
        part = waiting.pop()
        if part.symbol not in texts:
            texts[part.symbol], used = part.definition()
            waiting += used
    return "\n".join(texts.values())


@functools.cache
def compile_function(entry: Native, passes: Passes = "few") -> int:
    """Return the address of a function."""
    (address,) = compile_modules([ModuleSource(entry.symbol, module_text(entry), passes)])
    return address


@dataclass(frozen=True)
class Value:
    """The result of an instruction, a parameter or a constant; an address has the kind `ptr`."""

    body: Body
    kind: str
    text: str

    def _with(self, instruction: str, other: Operand) -> Value:
        return self.body.value(self.kind, f"{instruction} {self.kind} {self.text}, {_text(other)}")

    def compare(self, predicate: str, other: Operand) -> Value:
        """Compare integers by one of LLVM's predicates."""
        instruction = f"icmp {predicate} {self.kind} {self.text}, {_text(other)}"
        return self.body.value("i1", instruction)

    def __add__(self, other: Operand) -> Value:
        return self._with("add", other)

    def __sub__(self, other: Operand) -> Value:
        return self._with("sub", other)

    def __mul__(self, other: Operand) -> Value:
        return self._with("mul", other)

    def __floordiv__(self, other: Operand) -> Value:
        return self._with("sdiv", other)

    def __mod__(self, other: Operand) -> Value:
        return self._with("urem", other)

    def __lshift__(self, other: Operand) -> Value:
        return self._with("shl", other)

    def __rshift__(self, other: Operand) -> Value:
        return self._with("lshr", other)

    def __and__(self, other: Operand) -> Value:
        return self._with("and", other)

    def __or__(self, other: Operand) -> Value:
        return self._with("or", other)

    def __lt__(self, other: Operand) -> Value:
        return self.compare("slt", other)

    def __le__(self, other: Operand) -> Value:
        return self.compare("sle", other)

    def __gt__(self, other: Operand) -> Value:
        return self.compare("sgt", other)

    def __ge__(self, other: Operand) -> Value:
        return self.compare("sge", other)

    def equals(self, other: Operand) -> Value:
        """Tell whether two values are the same."""
        return self.compare("eq", other)

    def differs(self, other: Operand) -> Value:
        """Tell whether two values are not the same."""
        return self.compare("ne", other)

    def is_null(self) -> Value:
        """Tell whether an address leads nowhere."""
        return self.equals(self.body.null)

    def choose(self, a: Value, b: Operand) -> Value:
        """Return a where this bit is set, else b."""
        return self.body.value(
            a.kind, f"select i1 {self.text}, {a.kind} {a.text}, {a.kind} {_text(b)}"
        )

    def cast(self, instruction: str, kind: str) -> Value:
        """Convert to another kind by one of LLVM's instructions."""
        return self.body.value(kind, f"{instruction} {self.kind} {self.text} to {kind}")

    def part(self, index: int, kind: str) -> Value:
        """Return one of several values that came together."""
        return self.body.value(kind, f"extractvalue {self.kind} {self.text}, {index}")

    # --- addresses --------------------------------------------------------------------------------

    def past(self, count: Operand, kind: str = "i8") -> Value:
        """Return the address so many elements further; by default so many bytes."""
        at = f"getelementptr {kind}, ptr {self.text}, i64 {_text(count)}"
        return self.body.value("ptr", at)

    def at(self, index: Operand) -> Value:
        """Return the address of a word."""
        return self if index == 0 else self.past(index, "i64")

    def load(self, kind: str, order: Order = "") -> Value:
        """Read what is here."""
        atomic, how = _atomic(order)
        return self.body.value(kind, f"load {atomic}{kind}, ptr {self.text}{how}")

    def store(self, value: Operand, order: Order = "") -> None:
        """Write here."""
        atomic, how = _atomic(order)
        self.body.do(f"store {atomic}{_typed(value)}, ptr {self.text}{how}")

    def word(self, index: Operand = 0) -> Value:
        """Read a word of a table."""
        return self.at(index).load("i64")

    def pointer(self, index: Operand = 0) -> Value:
        """Read an address of a table."""
        return self.at(index).load("ptr")

    def put(self, index: Operand, value: Operand) -> None:
        """Write a word of a table."""
        self.at(index).store(value)

    def exchange(self, expected: Operand, value: Operand, order: Order) -> Value:
        """Write a word if it is what is expected; tell whether it was."""
        change = f"cmpxchg ptr {self.text}, {_typed(expected)}, {_typed(value)} {order} monotonic"
        pair = self.body.value(f"{{ {_kind(value)}, i1 }}", change)
        return pair.part(1, "i1")

    def change(self, operation: str, value: Operand, order: Order = "monotonic") -> Value:
        """Change a word at once for all threads; return what it was."""
        changed = f"atomicrmw {operation} ptr {self.text}, {_typed(value)} {order}"
        return self.body.value(_kind(value), changed)


Operand = Value | int


@dataclass(frozen=True)
class Fields:
    """Words behind an address, by their names."""

    base: Value
    names: tuple[str, ...]

    def at(self, name: str) -> Value:
        """Return the address of a field."""
        return self.base.at(self.names.index(name))

    def word(self, name: str) -> Value:
        """Read a field that is a number."""
        return self.at(name).load("i64")

    def pointer(self, name: str) -> Value:
        """Read a field that is an address."""
        return self.at(name).load("ptr")

    def put(self, name: str, value: Operand) -> None:
        """Write a field."""
        self.at(name).store(value)


class Body:
    """The instructions of one function, while they are written.

    With `loops_as_written` LLVM neither vectorizes nor unrolls: the text does what there is to do,
    and compiles in half the time.
    """

    def __init__(self, result: str = "i64", *, loops_as_written: bool = False) -> None:
        self.used: dict[str, Native | Memory] = {}
        self._result = result
        self._loops_as_written = loops_as_written
        self._loop_count = 0
        self._inside: list[tuple[str, str]] = []  # the labels of each loop's next trip and end
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._block: str | None = "start"  # None behind a jump

    @property
    def null(self) -> Value:
        """The address of nothing."""
        return Value(self, "ptr", "null")

    def constant(self, kind: str, value: str | int) -> Value:
        """Return a constant of a kind that is not i64."""
        return Value(self, kind, str(value))

    def text(self) -> str:
        """Return the blocks; a function whose end is reached returns nothing."""
        entry = ["entry:", *self._slots, "  br label %start"] if self._slots else []
        end = "ret void" if self._result == "void" else "unreachable"
        last = [] if self._block is None else [f"  {end}"]
        return "\n".join([*entry, "start:", *self._lines, *last])

    def loop_metadata(self) -> str:
        """Return the metadata that keep LLVM from changing the loops, for the end of the module."""
        if not self._loop_count:
            return ""
        numbers = range(2, 2 + self._loop_count)
        kept = ['!0 = !{!"llvm.loop.unroll.disable"}']
        kept.append('!1 = !{!"llvm.loop.vectorize.enable", i1 false}')
        return "\n".join([*kept, *(f"!{i} = distinct !{{!{i}, !0, !1}}" for i in numbers), ""])

    # --- instructions -----------------------------------------------------------------------------

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        assert self._block is not None, f"nothing leads to {instruction}"
        self._lines.append(f"  {instruction}")

    def emit(self, instruction: str) -> str:
        """Append an instruction and return the name of its result."""
        name = self._name()
        self.do(f"{name} = {instruction}")
        return name

    def value(self, kind: str, instruction: str) -> Value:
        """Append an instruction and return its result."""
        return Value(self, kind, self.emit(instruction))

    def slot(self, kind: str) -> Value:
        """Reserve room for one variable on the stack."""
        name = self._name()
        self._slots.append(f"  {name} = alloca {kind}")
        return Value(self, "ptr", name)

    def room(self, words: Operand) -> Value:
        """Reserve words on the stack, as many as are known only now."""
        return self.value("ptr", f"alloca i64, i64 {_text(words)}, align 8")

    def least(self, a: Value, b: Operand) -> Value:
        """Return the smaller number."""
        return (a < b).choose(a, b)

    def address(self, part: Native | Memory) -> Value:
        """Return the address of a function, a constant or a variable."""
        self.used[part.symbol] = part
        return Value(self, "ptr", f'@"{part.symbol}"')

    def call(self, function: Native, *arguments: Operand) -> Value:
        """Call a function by name."""
        kind = function.result
        if "..." in function.parameters:
            kind += f" ({', '.join(function.parameters)})"
        return self._call(function.result, kind, self.address(function), arguments)

    def call_at(self, address: Value, result: str, *arguments: Operand) -> Value:
        """Call the function at an address."""
        return self._call(result, result, address, arguments)

    def _call(self, result: str, kind: str, callee: Value, arguments: Iterable[Operand]) -> Value:
        instruction = f"call {kind} {callee.text}({', '.join(map(_typed, arguments))})"
        if result != "void":
            return self.value(result, instruction)
        self.do(instruction)
        return Value(self, "void", "")

    def copy_words(self, target: Value, source: Value, count: Value) -> None:
        """Copy words of memory."""
        self.call(_MEMCPY, target, source, count << 3, self.constant("i1", "false"))

    # --- the way through them ---------------------------------------------------------------------

    def leave(self, value: Operand | None = None) -> None:
        """Return."""
        self._jump("ret void" if value is None else f"ret {_typed(value)}")

    def leave_when(self, condition: Value, value: Operand | None = None) -> None:
        """Return if a condition holds."""
        with self.when(condition):
            self.leave(value)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Write what happens only if a condition holds."""
        then, after = self._labels("then", "after")
        self._jump(f"br i1 {condition.text}, label %{then}, label %{after}")
        self._begin(then)
        yield
        self._go_to(after)
        self._begin(after)

    @contextmanager
    def unless(self, condition: Value) -> Iterator[None]:
        """Write what happens only if a condition does not hold."""
        with self.when(condition.equals(0)):
            yield

    @contextmanager
    def loop(self, end: Operand, start: Operand = 0) -> Iterator[Value]:
        """Write a loop from start up to, and without, an end."""
        head, trip, following, done = self._labels("head", "trip", "next", "done")
        before, next_name = self._block, self._name()
        self._go_to(head)
        self._begin(head)
        entered = f"[{_text(start)}, %{before}], [{next_name}, %{following}]"
        index = self.value("i64", f"phi i64 {entered}")
        self._jump(f"br i1 {(index < end).text}, label %{trip}, label %{done}")
        self._begin(trip)
        with self._in_loop(following, done):
            yield index
        self._go_to(following)
        self._begin(following)
        self.do(f"{next_name} = add nuw nsw i64 {index.text}, 1")
        self._jump(f"br label %{head}{self._loop_mark()}")
        self._begin(done)

    @contextmanager
    def forever(self) -> Iterator[None]:
        """Write a loop that only `stop` or `leave` ends."""
        trip, done = self._labels("trip", "done")
        self._go_to(trip)
        self._begin(trip)
        with self._in_loop(trip, done):
            yield
        self._go_to(trip)
        self._begin(done)

    def stop(self) -> None:
        """End the innermost loop."""
        self._go_to(self._inside[-1][1])

    def stop_when(self, condition: Value) -> None:
        """End the innermost loop if a condition holds."""
        with self.when(condition):
            self.stop()

    def skip(self, around: int = 0) -> None:
        """Go on with the next trip of the innermost loop, or of one so many around it."""
        self._go_to(self._inside[-1 - around][0])

    @contextmanager
    def _in_loop(self, following: str, done: str) -> Iterator[None]:
        self._inside.append((following, done))
        yield
        self._inside.pop()

    def _loop_mark(self) -> str:
        if not self._loops_as_written:
            return ""
        self._loop_count += 1
        return f", !llvm.loop !{1 + self._loop_count}"

    def _begin(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._block = label

    def _go_to(self, label: str) -> None:
        if self._block is not None:
            self._jump(f"br label %{label}")

    def _jump(self, instruction: str) -> None:
        self.do(instruction)
        self._block = None

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _labels(self, *names: str) -> tuple[str, ...]:
        self._count += 1
        return tuple(f"{name}{self._count}" for name in names)


_MEMCPY = outside("void llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")


def _text(operand: Operand) -> str:
    return operand.text if isinstance(operand, Value) else str(operand)


def _kind(operand: Operand) -> str:
    return operand.kind if isinstance(operand, Value) else "i64"


def _typed(operand: Operand) -> str:
    return f"{_kind(operand)} {_text(operand)}"


def _atomic(order: Order) -> tuple[str, str]:
    return ("atomic ", f" {order}, align 8") if order else ("", "")
