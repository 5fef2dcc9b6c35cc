"""Random imperative programs: values, written arguments and derivatives are plain NumPy's.

`ADGRAPH_RANDOM_PROGRAMS=2000` runs that many, `ADGRAPH_FIRST_PROGRAM` says from which on. Odd ones
have every loop captured, however few its trips. A program may be refused, with a message that says
why and what to write instead; the share of those is bounded.
"""

from __future__ import annotations

import copy
import itertools
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.errors import TracingError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.verify import verify
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.testing import adjoint_gap
from adgraph.tracing.loops import UNROLLING, Unrolling
from adgraph.tracing.trace import Trace, abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.programs.program import Arguments, distance
from tests.programs.random_source import SIZE, source

COUNT = int(os.environ.get("ADGRAPH_RANDOM_PROGRAMS", "60"))
FIRST = int(os.environ.get("ADGRAPH_FIRST_PROGRAM", "0"))
SEEDS = range(FIRST, FIRST + COUNT)
COMPILED = range(FIRST, FIRST + max(COUNT // 10, 1))
ARRAYS = 4
EVERY = range(5)
STEPS = (1e-2, 2e-3, 4e-4, 8e-5)
LARGEST = 1e4
SECOND = 10  # second derivatives are checked of one program in so many

Program = Callable[..., Any]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def written(seed: int, folder: Path) -> Program:
    """Write the program of a seed into a file and import it."""
    return loaded(source(seed), f"random_program_{seed}", folder)


def loaded(text: str, name: str, folder: Path) -> Program:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    program: Program = module.program
    return program


def arguments(seed: int) -> Arguments:
    rng = np.random.default_rng(seed)
    shapes = [(SIZE, SIZE), (SIZE, SIZE), (SIZE,), (SIZE,)]
    return (*(0.6 * rng.normal(size=shape) for shape in shapes), 0.5 * float(rng.normal()))


def moved(args: Arguments, directions: list[Any], step: float) -> Arguments:
    points = [x + step * d for x, d in zip(args, directions, strict=True)]
    return (*points[:ARRAYS], float(points[ARRAYS]))


def results(program: Program, args: Arguments) -> list[Any]:
    """Return the value of plain NumPy, and what the arrays hold behind the call."""
    own = copy.deepcopy(args)
    return [np.asarray(program(*own)), *own[:ARRAYS]]


def recorded(program: Program, args: Arguments, *, unrolled: bool = True) -> Trace | None:
    """Trace a program; None if it is refused as it should be."""
    leaves, structure = flatten((copy.deepcopy(args), {}))
    usual = UNROLLING.get()
    token = UNROLLING.set(usual if unrolled else Unrolling(trips=1, nodes=0))
    try:
        return trace_function(program, structure, [abstract(x) for x in leaves])
    except TracingError as error:
        text = str(error)
        assert "why: " in text, text
        assert "instead: " in text, text
        assert "random_program_" in text, text
        return None
    finally:
        UNROLLING.reset(token)


def optimised(graph: Graph) -> Graph:
    result, _ = run_pipeline(graph, (*CANONICAL, *FINAL))
    verify(result)
    return result


def difference(
    program: Program, args: Arguments, directions: list[Any], outputs: list[int]
) -> tuple[float, tuple[Any, ...]]:
    """Differentiate plain NumPy in a direction, and tell how far two steps are apart."""

    def at(step: float) -> list[Any]:
        found = results(program, moved(args, directions, step))
        return [found[i] for i in outputs]

    found: list[tuple[Any, ...]] = []
    for step in STEPS:
        samples = zip(at(-2 * step), at(-step), at(step), at(2 * step), strict=True)
        found.append(tuple((8 * (c - b) - (d - a)) / (12 * step) for a, b, c, d in samples))
    gaps = [distance(a, b) for a, b in itertools.pairwise(found)]
    best = int(np.argmin(gaps))
    return gaps[best], found[best + 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_and_its_derivatives(seed: int, tmp_path: Path) -> None:
    program, args = written(seed, tmp_path), arguments(seed)
    wanted = results(program, args)
    if not all(np.max(np.abs(y)) < LARGEST for y in wanted):
        pytest.skip("its values grow")
    found = recorded(program, args, unrolled=seed % 2 == 0)
    if found is None:
        pytest.skip("refused")
    outputs = [0, *(1 + i for i in found.written)]
    expected = [wanted[i] for i in outputs]
    unwritten = [i for i in range(ARRAYS) if i not in found.written]
    for i in unwritten:
        np.testing.assert_array_equal(wanted[1 + i], args[i])

    flat = [np.asarray(x) for x in args]
    verify(found.graph)
    assert distance(evaluate(found.graph, *flat), tuple(expected)) < 1e-12
    assert distance(evaluate(optimised(found.graph), *flat), tuple(expected)) < 1e-12

    rng = np.random.default_rng(seed + 1)
    directions = [rng.normal(size=x.shape) for x in flat]
    count = len(outputs)
    pushed = evaluate(jvp(found.graph, EVERY), *flat, *directions)
    assert distance(pushed[:count], tuple(expected)) < 1e-12
    uncertain, differences = difference(program, args, directions, outputs)
    if uncertain < 1e-6:  # else there is a jump or a kink nearby
        assert distance(pushed[count:], differences) < max(1e-6, 20 * uncertain)

    weights = [rng.normal(size=np.shape(y)) for y in expected]
    reverse = vjp(found.graph, EVERY)
    for graph in (reverse, optimised(reverse)):
        pulled = evaluate(graph, *flat, *weights)
        assert distance(pulled[:count], tuple(expected)) < 1e-12
        assert adjoint_gap(tuple(weights), pushed[count:], pulled[count:], directions) < 1e-11
    if seed % SECOND == 0:  # what FINAL makes is compiled, and not differentiated
        graph, _ = run_pipeline(reverse, CANONICAL)
        forward = evaluate(jvp(graph, EVERY), *flat, *weights, *directions)
        behind = len(graph.outputs) + count
        seeds = [*(np.zeros(np.shape(y)) for y in expected), *directions]
        again = evaluate(vjp(graph, EVERY), *flat, *weights, *seeds)
        assert distance(forward[behind:], again[len(graph.outputs) :]) < 1e-9


@pytest.mark.parametrize("seed", COMPILED)
def test_the_kernels_of_a_random_program(seed: int, tmp_path: Path) -> None:
    program, args = written(seed, tmp_path), arguments(seed)
    wanted = results(program, args)
    found = recorded(program, args)
    if found is None or not all(np.max(np.abs(y)) < LARGEST for y in wanted):
        pytest.skip("refused, or its values grow")
    own = copy.deepcopy(args)
    value = adgraph.trace(program)(*own)
    assert distance((value, *own[:ARRAYS]), tuple(wanted)) < 1e-11

    own = copy.deepcopy(args)
    gradient = adgraph.grad(program, argnums=tuple(EVERY))(*own)
    for mine, given in zip(own, args, strict=True):
        np.testing.assert_array_equal(mine, given)
    flat = [np.asarray(x) for x in args]
    weights = [np.ones(()), *(np.zeros(np.shape(args[i])) for i in found.written)]
    expected = evaluate(vjp(found.graph, EVERY), *flat, *weights)[len(weights) :]
    assert distance(tuple(gradient), tuple(expected)) < 1e-10


def test_most_random_programs_are_accepted(tmp_path: Path) -> None:
    seeds = range(100, 124)
    found = [recorded(written(seed, tmp_path), arguments(seed)) for seed in seeds]
    assert sum(trace is None for trace in found) <= len(seeds) // 8
