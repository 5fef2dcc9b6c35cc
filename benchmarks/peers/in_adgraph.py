"""adgraph: the NumPy functions as they are."""

from __future__ import annotations

from typing import Any

import adgraph
from benchmarks.peers.contestant import Contestant, Run, argnums
from benchmarks.suite.program import Arguments, Program

TRANSFORMS: dict[str, Any] = {
    "value_and_grad": adgraph.value_and_grad,
    "jacobian": adgraph.jacobian,
}


def primal(program: Program, arguments: Arguments) -> Run:
    """Return a call of the function."""
    run = adgraph.trace(program.loss(program.function))
    return lambda: run(*arguments)


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    transform = TRANSFORMS[program.derivative]
    run = transform(program.loss(program.function), argnums=argnums(program))
    return lambda: run(*arguments)


def contestant() -> Contestant:
    """Return adgraph."""
    return Contestant("adgraph", derivative, primal)
