"""A writer of kernels in LLVM IR text with loops and branches, in which `blas` states its routines.

Loop counters and arguments passed by reference are stack slots of the entry block; LLVM's passes
turn counters into registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adgraph.lower.emitter import KERNEL_PARAMETERS


class Routine:
    """Writes one kernel in the uniform ABI: `int64 kernel(void** pointers, int64* sizes)`.

    With `loops_as_written` LLVM neither vectorizes nor unrolls: the text does what there is to do,
    and compiles in half the time.
    """

    def __init__(self, symbol: str, *, loops_as_written: bool = False) -> None:
        self.symbol = symbol
        self._loops_as_written = loops_as_written
        self._loops = 0
        self._declarations: set[str] = set()
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def text(self) -> str:
        """Return the module, with success (0) as the last word."""
        head = f"define i64 @{self.symbol}({KERNEL_PARAMETERS}) nounwind {{"
        lines = [*sorted(self._declarations), head, "entry:", *self._slots, "  br label %start"]
        loops = self._loop_nodes()
        return "\n".join([*lines, "start:", *self._lines, "  ret i64 0", "}", *loops, ""])

    def _loop_nodes(self) -> list[str]:
        """Return the metadata that keep LLVM from changing the loops."""
        if not self._loops:
            return []
        kept = ['!0 = !{!"llvm.loop.unroll.disable"}']
        kept.append('!1 = !{!"llvm.loop.vectorize.enable", i1 false}')
        numbers = range(2, 2 + self._loops)
        return [*kept, *(f"!{i} = distinct !{{!{i}, !0, !1}}" for i in numbers)]

    def emit(self, instruction: str) -> str:
        """Append an instruction and return the name of its result."""
        name = self._name()
        self._lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def slot(self, kind: str) -> str:
        """Reserve a stack slot and return its address."""
        name = self._name()
        self._slots.append(f"  {name} = alloca {kind}")
        return name

    def by_reference(self, kind: str, value: str) -> str:
        """Store a value in a slot, as Fortran wants its arguments."""
        slot = self.slot(kind)
        self.do(f"store {kind} {value}, ptr {slot}")
        return slot

    def character(self, letter: str) -> str:
        """Pass a letter by reference."""
        return self.by_reference("i8", str(ord(letter)))

    def integer(self, value: str) -> str:
        """Pass an int64 to BLAS as its 32-bit integer."""
        return self.by_reference("i32", self.emit(f"trunc i64 {value} to i32"))

    def pointer(self, index: int) -> str:
        """Return pointer operand `index` of the kernel."""
        at = self.emit(f"getelementptr inbounds ptr, ptr %pointers, i64 {index}")
        return self.emit(f"load ptr, ptr {at}")

    def size(self, index: int) -> str:
        """Return size operand `index` of the kernel."""
        at = self.emit(f"getelementptr inbounds i64, ptr %sizes, i64 {index}")
        return self.emit(f"load i64, ptr {at}")

    def offset(self, kind: str, pointer: str, index: str) -> str:
        """Return the address of element `index`."""
        return self.emit(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {index}")

    def load(self, kind: str, pointer: str, index: str = "0") -> str:
        """Read element `index`."""
        return self.emit(f"load {kind}, ptr {self.offset(kind, pointer, index)}")

    def store(self, kind: str, value: str, pointer: str, index: str = "0") -> None:
        """Write element `index`."""
        self.do(f"store {kind} {value}, ptr {self.offset(kind, pointer, index)}")

    def binary(self, instruction: str, a: str, b: str, kind: str = "i64") -> str:
        """Append an instruction of two operands."""
        return self.emit(f"{instruction} {kind} {a}, {b}")

    def compare(self, predicate: str, a: str, b: str, kind: str = "i64") -> str:
        """Append an integer comparison."""
        return self.emit(f"icmp {predicate} {kind} {a}, {b}")

    def select(self, mask: str, a: str, b: str, kind: str = "i64") -> str:
        """Return a where the mask holds, else b."""
        return self.emit(f"select i1 {mask}, {kind} {a}, {kind} {b}")

    def at_least(self, value: str, least: str) -> str:
        """Return the larger of two int64."""
        return self.select(self.compare("sgt", value, least), value, least)

    def at_most(self, a: str, b: str) -> str:
        """Return the smaller of two int64."""
        return self.select(self.compare("slt", a, b), a, b)

    def call(self, result: str, function: str, arguments: list[tuple[str, str]]) -> str:
        """Call a function by name, declaring it; the result of a void call is "" ."""
        kinds = ", ".join(kind for kind, _ in arguments)
        self._declarations.add(f'declare {result} @"{function}"({kinds})')
        values = ", ".join(f"{kind} {value}" for kind, value in arguments)
        instruction = f'call {result} @"{function}"({values})'
        if result == "void":
            self.do(instruction)
            return ""
        return self.emit(instruction)

    @contextmanager
    def loop(self, count: str) -> Iterator[str]:
        """Write a loop over 0 ... count - 1."""
        counter = self.by_reference("i64", "0")
        head, body, done = self._labels("head", "body", "done")
        self.do(f"br label %{head}")
        self._lines.append(f"{head}:")
        index = self.load("i64", counter)
        self.do(f"br i1 {self.compare('slt', index, count)}, label %{body}, label %{done}")
        self._lines.append(f"{body}:")
        yield index
        self.do(f"store i64 {self.binary('add nuw nsw', index, '1')}, ptr {counter}")
        self.do(f"br label %{head}{self._loop_mark()}")
        self._lines.append(f"{done}:")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Write code that runs only if the condition holds."""
        then, after = self._labels("then", "after")
        self.do(f"br i1 {condition}, label %{then}, label %{after}")
        self._lines.append(f"{then}:")
        yield
        self.do(f"br label %{after}")
        self._lines.append(f"{after}:")

    def stop_when(self, condition: str, status: int) -> None:
        """Return a status if the condition holds."""
        stop, go_on = self._labels("stop", "continue")
        self.do(f"br i1 {condition}, label %{stop}, label %{go_on}")
        self._lines += [f"{stop}:", f"  ret i64 {status}", f"{go_on}:"]

    def _loop_mark(self) -> str:
        if not self._loops_as_written:
            return ""
        self._loops += 1
        return f", !llvm.loop !{1 + self._loops}"

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _labels(self, *names: str) -> tuple[str, ...]:
        self._count += 1
        return tuple(f"{name}{self._count}" for name in names)
