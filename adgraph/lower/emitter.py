"""A small writer of LLVM IR text for one scalar type, in which `vmath` states its formulas.

Every method appends one instruction and returns the name of its result. No fast-math flag is ever
set, so range reductions are computed exactly as written; constants are written as exact hex.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

KERNEL_PARAMETERS = "ptr noalias readonly %pointers, ptr noalias readonly %sizes"


@dataclass(frozen=True)
class Scalar:
    """A scalar type: its dtype code (`f8`, `i4`, `u1`, `b1`), LLVM name and width in bits."""

    code: str
    llvm: str
    bits: int

    @property
    def is_float(self) -> bool:
        """Tell floats from integers and bool."""
        return self.code[0] == "f"

    @property
    def is_signed(self) -> bool:
        """Tell signed integers from the rest."""
        return self.code[0] == "i"


SCALARS = {
    scalar.code: scalar
    for scalar in (
        Scalar("f8", "double", 64),
        Scalar("f4", "float", 32),
        Scalar("b1", "i1", 1),
        *(
            Scalar(f"{kind}{size}", f"i{8 * size}", 8 * size)
            for kind in "iu"
            for size in (1, 2, 4, 8)
        ),
    )
}


class Emitter:
    """Writes the body of one function over values of type `scalar`."""

    def __init__(self, scalar: Scalar) -> None:
        self.scalar = scalar
        self.type = scalar.llvm
        self.integer = f"i{scalar.bits}"
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.calls: set[tuple[str, str]] = set()
        self._count = 0

    def emit(self, text: str) -> str:
        """Append an instruction and return the name of its result."""
        self._count += 1
        name = f"%t{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def constant(self, value: float) -> str:
        """Return a number as LLVM writes it."""
        return constant(self.scalar, value)

    def value(self, operand: str | float) -> str:
        """Return an operand, writing plain numbers as constants."""
        return operand if isinstance(operand, str) else self.constant(operand)

    def binary(self, instruction: str, a: str | float, b: str | float) -> str:
        """Append an instruction of two operands of the scalar type."""
        return self.emit(f"{instruction} {self.type} {self.value(a)}, {self.value(b)}")

    def add(self, a: str | float, b: str | float) -> str:
        """Return a + b."""
        return self.binary("fadd", a, b)

    def sub(self, a: str | float, b: str | float) -> str:
        """Return a - b."""
        return self.binary("fsub", a, b)

    def mul(self, a: str | float, b: str | float) -> str:
        """Return a * b."""
        return self.binary("fmul", a, b)

    def div(self, a: str | float, b: str | float) -> str:
        """Return a / b."""
        return self.binary("fdiv", a, b)

    def neg(self, a: str) -> str:
        """Return -a."""
        return self.emit(f"fneg {self.type} {a}")

    def intrinsic(self, name: str, *operands: str | float) -> str:
        """Call an LLVM intrinsic overloaded on the scalar type."""
        suffix = f"f{self.scalar.bits}" if self.scalar.is_float else f"i{self.scalar.bits}"
        function = f"@llvm.{name}.{suffix}"
        parameters = ", ".join([self.type] * len(operands))
        self.declarations.add(f"declare {self.type} {function}({parameters})")
        arguments = ", ".join(f"{self.type} {self.value(operand)}" for operand in operands)
        return self.emit(f"call {self.type} {function}({arguments})")

    def fma(self, a: str | float, b: str | float, c: str | float) -> str:
        """Return a * b + c rounded once."""
        return self.intrinsic("fma", a, b, c)

    def abs(self, a: str) -> str:
        """Return the magnitude."""
        return self.intrinsic("fabs", a)

    def copysign(self, a: str | float, b: str) -> str:
        """Return the magnitude of a with the sign of b."""
        return self.intrinsic("copysign", a, b)

    def compare(self, predicate: str, a: str | float, b: str | float) -> str:
        """Return a mask; the predicate is that of fcmp or icmp."""
        instruction = "fcmp" if self.scalar.is_float else "icmp"
        return self.emit(f"{instruction} {predicate} {self.type} {self.value(a)}, {self.value(b)}")

    def select(self, mask: str, a: str | float, b: str | float) -> str:
        """Return a where the mask holds, else b."""
        return self.emit(
            f"select i1 {mask}, {self.type} {self.value(a)}, {self.type} {self.value(b)}"
        )

    def rarely(self, mask: str, usual: str, write: Callable[[], str]) -> str:
        """Return what `write` writes where the mask holds, else `usual`: a branch, once a function.

        `widen` takes it for some lanes as well.
        """
        self.lines += [f"  br i1 {mask}, label %rare, label %both", "rare:"]
        chosen = self.select(mask, write(), usual)
        self.lines += ["  br label %both", "both:"]
        return self.emit(f"phi {self.type} [{usual}, %entry], [{chosen}, %rare]")

    def logic(self, instruction: str, a: str, b: str) -> str:
        """Combine two masks."""
        return self.emit(f"{instruction} i1 {a}, {b}")

    def to_bits(self, a: str) -> str:
        """Return the bits of a float as an integer."""
        return self.emit(f"bitcast {self.type} {a} to {self.integer}")

    def from_bits(self, a: str) -> str:
        """Return the float with the given bits."""
        return self.emit(f"bitcast {self.integer} {a} to {self.type}")

    def bits(self, instruction: str, a: str, b: str | int) -> str:
        """Append an integer instruction on bits."""
        return self.emit(f"{instruction} {self.integer} {a}, {b}")

    def bits_compare(self, predicate: str, a: str, b: str | int) -> str:
        """Compare bits as integers."""
        return self.emit(f"icmp {predicate} {self.integer} {a}, {b}")

    def bits_maximum(self, a: str, b: int) -> str:
        """Return the larger of bits and a number, as integers."""
        larger = self.bits_compare("sgt", a, b)
        return self.emit(f"select i1 {larger}, {self.integer} {a}, {self.integer} {b}")

    def bits_to_float(self, a: str) -> str:
        """Convert a signed integer to the float type."""
        return self.emit(f"sitofp {self.integer} {a} to {self.type}")

    def call(self, name: str, *operands: str | float) -> str:
        """Call another vmath function of the same scalar type."""
        self.calls.add((name, self.scalar.code))
        arguments = ", ".join(f"{self.type} {self.value(operand)}" for operand in operands)
        return self.emit(f'call {self.type} @"{symbol(name, self.scalar.code)}"({arguments})')

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """Evaluate a polynomial, lowest coefficient first, in Estrin's order."""
        terms: list[str] = [self.constant(coefficient) for coefficient in coefficients]
        power = x
        while len(terms) > 1:
            paired = [self.fma(terms[i + 1], power, terms[i]) for i in range(0, len(terms) - 1, 2)]
            terms = paired + terms[2 * len(paired) :]
            if len(terms) > 1:
                power = self.mul(power, power)
        return terms[0]


def constant(scalar: Scalar, value: float) -> str:
    """Return a number as LLVM writes it, floats in exact hex."""
    if not scalar.is_float:
        return str(int(value))
    if scalar.bits == 32 and math.isfinite(value):
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def symbol(name: str, code: str) -> str:
    """Return the symbol of a vmath function for one dtype code."""
    return f"adgraph.{name}.{code}"
