"""The record of a program, and what its tests need of it.

A program is a function in plain NumPy with arguments of any size. `outcome` gives what it returns
and what it writes, as one tuple; `difference` the derivative of plain NumPy in a direction.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # an array, or a tracer in its place
Arguments = tuple[Any, ...]
Generator = np.random.Generator

FIRST_STEP = 2.0**-5
STEPS = 14


@dataclass(frozen=True)
class Program:
    """A function, its arguments at a size, and what is asked of it.

    `by` are the arguments that it is differentiated by, `writes` those that it writes into.
    `exact`: every operation rounds in one way only (no sum, no product of matrices, no power, no
    exp), so that the graph's value is NumPy's to the last bit. `second`: second derivatives are
    checked. The graph has as many nodes at any size unless it is `unrolled`.
    """

    function: Callable[..., Any]
    inputs: Callable[[Generator, int], Arguments]
    sizes: tuple[int, ...]
    by: tuple[int, ...] = (0,)
    writes: tuple[int, ...] = ()
    exact: bool = False
    second: bool = False
    unrolled: bool = False

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    def arguments(self, size: int, draw: int = 0) -> Arguments:
        """Draw arguments, the same at every call."""
        seed = zlib.crc32(self.name.encode()), size, draw
        return self.inputs(np.random.default_rng(seed), size)


def copied(arguments: Arguments) -> Arguments:
    """Copy the arrays among the arguments: programs write into theirs."""
    return tuple(x.copy() if isinstance(x, np.ndarray) else x for x in arguments)


def outcome(program: Program) -> Callable[..., tuple[Any, ...]]:
    """Return the function that gives what the program returns, then the arguments it wrote."""
    function, writes = program.function, program.writes

    def run(*args: Any) -> tuple[Any, ...]:
        result = function(*args)
        written = tuple([args[i] for i in writes])
        if result is None:
            return written
        if isinstance(result, tuple):
            return result + written
        return (result, *written)

    return run


def weighted(program: Program) -> Callable[..., Any]:
    """Return the scalar function (weights, *arguments) that sums the weighted outcome."""
    run = outcome(program)

    def total(weights: tuple[Any, ...], *args: Any) -> Any:
        outputs = run(*args)
        result = 0.0
        for k in range(len(outputs)):
            result = result + np.sum(weights[k] * outputs[k])
        return result

    return total


def tangents(program: Program, arguments: Arguments, rng: Generator) -> Arguments:
    """Draw a direction: zero for the arguments that are not differentiated."""
    directions = []
    for i, x in enumerate(arguments):
        like = np.asarray(x)
        drawn = rng.normal(size=like.shape) if i in program.by else np.zeros(like.shape, like.dtype)
        directions.append(
            drawn if like.shape else drawn[()] if i in program.by else like.dtype.type(0)
        )
    return tuple(directions)


def difference(
    function: Callable[..., tuple[Any, ...]], arguments: Arguments, directions: Arguments
) -> tuple[Any, ...]:
    """Differentiate in a direction by differences of fourth order, with the step that serves best.

    The step is halved; the results of two successive steps that differ least are believed.
    """

    def at(step: float) -> list[Any]:
        moved = [
            x + step * t if np.asarray(x).dtype.kind == "f" else x
            for x, t in zip(copied(arguments), directions, strict=True)
        ]
        return [np.array(y, float) for y in function(*moved)]

    best, least, last = None, np.inf, None
    for step in FIRST_STEP * 0.5 ** np.arange(STEPS):
        samples = zip(at(-2 * step), at(-step), at(step), at(2 * step), strict=True)
        now = tuple((8 * (c - b) - (d - a)) / (12 * step) for a, b, c, d in samples)
        if last is not None:
            gap = distance(now, last)
            if gap < least:
                best, least = now, gap
        last = now
    assert best is not None
    assert least < 1e-6, f"the differences do not converge, they stay {least:.1e} apart"
    return best


def distance(first: tuple[Any, ...], second: tuple[Any, ...]) -> float:
    """Return the largest difference of two tuples of arrays, relative to the largest element."""
    elements = [np.ravel(np.asarray(x, float)) for x in (*first, *second)]
    scale = max((float(np.max(np.abs(x))) for x in elements if x.size), default=0.0)
    gaps = [np.abs(np.asarray(a, float) - b) for a, b in zip(first, second, strict=True)]
    return max((float(np.max(g)) for g in gaps if g.size), default=0.0) / max(scale, 1.0)
