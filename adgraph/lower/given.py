"""What a nest is given: where its operands and results are, and the names it may use.

`adgraph.lower.fused` writes nests with them, as kernels of their own or as parts of larger ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from adgraph.lower.nest import AT_START, Offset, Sizes


@dataclass(frozen=True)
class Operand:
    """What a kernel is given for an operand: its elements, or the scalar it always is."""

    pointer: str
    strides: tuple[int, ...]
    literal: str | None = None
    offset: Offset = AT_START


@dataclass(frozen=True)
class Target:
    """Where a kernel puts a result: into elements, or in a variable.

    With `add` so many times the result is added to what the elements hold.
    """

    pointer: str
    strides: tuple[int, ...]
    variable: str | None = None
    offset: Offset = AT_START
    add: str = ""


@dataclass(frozen=True)
class Names:
    """What the nests of one kernel share: its integer parameters and the numbers of its scalars."""

    sizes: Sizes = field(default_factory=Sizes)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def scalar(self) -> str:
        """Return a name that no other variable of the kernel has."""
        return f"t{next(self.numbers)}"
