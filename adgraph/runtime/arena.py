"""The memory of one run of a program, apart from its arguments and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.lower.program import Program

ALIGNMENT = 64

Array = np.ndarray[Any, Any]


def address(array: Array) -> int:
    """Return the address of the first element."""
    pointer: int = array.__array_interface__["data"][0]
    return pointer


@dataclass(eq=False)
class Arena:
    """The memory of one run: intermediate values, the table of addresses, the driver's scratch."""

    memory: Array
    sources: Array
    scratch: Array
    sources_address: int
    first_address: int  # where the addresses of inputs and outputs begin
    scratch_address: int


def new_arena(program: Program) -> Arena:
    """Make the memory of one run."""
    memory = np.empty(program.plan.arena_bytes + ALIGNMENT, np.uint8)
    first = 1 + len(program.constants)
    count = len(program.graph.inputs) + len(program.graph.outputs)
    sources = np.zeros(first + count, np.int64)
    sources[0] = address(memory) + -address(memory) % ALIGNMENT
    for i, constant in enumerate(program.constants):
        sources[1 + i] = address(constant)
    scratch = np.zeros(program.scratch_words, np.int64)
    return Arena(
        memory,
        sources,
        scratch,
        address(sources),
        address(sources) + sources.itemsize * first,
        address(scratch),
    )
