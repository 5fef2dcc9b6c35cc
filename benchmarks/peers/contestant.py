"""What a package is in the table: how it runs a program and its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.suite.program import Arguments, Program

Run = Callable[[], Any]  # one call, over when it returns
Make = Callable[[Program, Arguments], Run]


class LeftOutError(Exception):
    """A package does not run a program; the message is the reason."""


@dataclass(frozen=True)
class Contestant:
    """A package: `derivative` and `primal` make a run of a program, not compiled yet.

    Both raise LeftOutError where the package has no form of the program.
    """

    name: str
    derivative: Make
    primal: Make | None = None


def through_numpy(program: Program) -> bool:
    """Whether arguments and results are NumPy's for every package: the call counts."""
    return program.group == "latency"


def argnums(program: Program) -> int | tuple[int, ...]:
    """Return the positions as the packages take them."""
    return program.argnums if len(program.argnums) > 1 else program.argnums[0]


def leaves(result: Any) -> list[np.ndarray[Any, Any]]:
    """Return the arrays of a result, whatever its package nests them in."""
    if isinstance(result, tuple | list):
        return [leaf for item in result for leaf in leaves(item)]
    return [np.asarray(result)]
