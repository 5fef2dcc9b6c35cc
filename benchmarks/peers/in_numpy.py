"""NumPy itself, which has no derivatives: only its calls are compared."""

from __future__ import annotations

from benchmarks.peers.contestant import Contestant, LeftOutError, Run
from benchmarks.suite.program import Arguments, Program


def primal(program: Program, arguments: Arguments) -> Run:
    """Return a call of the function."""
    run = program.loss(program.function)
    return lambda: run(*arguments)


def derivative(program: Program, arguments: Arguments) -> Run:
    """Refuse."""
    raise LeftOutError("has no derivatives")


def contestant() -> Contestant:
    """Return NumPy."""
    return Contestant("numpy", derivative, primal)
