"""adgraph: the NumPy functions as they are, without a budget and with several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph import trace, value_and_grad
from benchmarks.memory.programs import PLAIN, Program

Run = Callable[[], Any]


def ways(program: Program) -> tuple[str, ...]:
    """Name the ways to take the gradient."""
    return (PLAIN, *map(_named, program.budgets))


def _named(fraction: float) -> str:
    parts = round(1 / fraction)
    return f"budget 1/{parts}" if fraction == 1 / parts else f"budget {fraction:.3g}"


def prepare(program: Program, way: str, arguments: tuple[np.ndarray[Any, Any], ...]) -> Run:
    """Compile the gradient; return a call of it."""
    positions = tuple(range(len(arguments)))
    gradient = _gradient(program, positions, None)
    if way != PLAIN:
        (fraction,) = (f for f in program.budgets if _named(f) == way)
        peak = gradient.explain(*arguments).peak_bytes
        gradient = _gradient(program, positions, int(fraction * peak))
    gradient.graph(*arguments)
    return lambda: gradient(*arguments)


def _gradient(program: Program, positions: tuple[int, ...], budget: int | None) -> Any:
    return value_and_grad(trace(program.function, memory_budget=budget), argnums=positions)
