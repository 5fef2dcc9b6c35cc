"""A writer of kernels over matrices, in which `blas`, `lapack` and `tiles` state their routines.

It names values by LLVM's text, as kinds of matrices vary; `adgraph.lower.functions` writes the
instructions and the loops. Arguments passed by reference are slots of the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adgraph.lower.emitter import KERNEL_PARAMETERS
from adgraph.lower.functions import Body, Native, Value


class Routine:
    """Writes one kernel in the uniform ABI: `int64 kernel(void** pointers, int64* sizes)`."""

    def __init__(self, symbol: str, *, loops_as_written: bool = False) -> None:
        self.symbol = symbol
        self._body = Body(loops_as_written=loops_as_written)

    def text(self) -> str:
        """Return the module, with success (0) as the last word."""
        self._body.leave(0)
        used = self._body.used
        declarations = [used[name].definition()[0] for name in sorted(used)]
        head = f"define i64 @{self.symbol}({KERNEL_PARAMETERS}) nounwind {{"
        return "\n".join([*declarations, head, self._body.text(), "}", self._body.loop_metadata()])

    def emit(self, instruction: str) -> str:
        """Append an instruction and return the name of its result."""
        return self._body.emit(instruction)

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._body.do(instruction)

    def slot(self, kind: str) -> str:
        """Reserve a stack slot and return its address."""
        return self._body.slot(kind).text

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
        callee = Native(function, result, tuple(kind for kind, _ in arguments))
        values = (Value(self._body, kind, text) for kind, text in arguments)
        return self._body.call(callee, *values).text

    @contextmanager
    def loop(self, count: str) -> Iterator[str]:
        """Write a loop over 0 ... count - 1."""
        with self._body.loop(Value(self._body, "i64", count)) as index:
            yield index.text

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Write code that runs only if the condition holds."""
        with self._body.when(Value(self._body, "i1", condition)):
            yield

    def stop_when(self, condition: str, status: int) -> None:
        """Return a status if the condition holds."""
        self._body.leave_when(Value(self._body, "i1", condition), status)
