"""Every program: its value is NumPy's, its derivatives agree with differences of plain NumPy.

Values of the graph are compared to the last bit where a program is exact; compiled kernels contract
a product and a sum into one rounding, so theirs are compared up to rounding.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import trace
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.testing import adjoint_gap, assert_close, tolerance
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.vjp import vjp
from tests.programs.program import (
    Arguments,
    Program,
    copied,
    difference,
    distance,
    outcome,
    tangents,
    weighted,
)
from tests.programs.table import PROGRAMS

DIFFERENCED = 1e-7
CASES = [
    pytest.param(program, size, id=f"{program.name}-{size}")
    for program in PROGRAMS
    for size in program.sizes
]
SECOND = [pytest.param(program, id=program.name) for program in PROGRAMS if program.second]
LOOPS = [pytest.param(program, id=program.name) for program in PROGRAMS if not program.unrolled]
LARGE = (40, 58)
DRAWS = (0, 1)
SINGLE = ("thomas", "biquad", "heat_2d", "huber", "n_body_by_pairs", "newton_of_arrays", "lstm")


@functools.cache
def traced(program: Program) -> adgraph.Function:
    return trace(program.function)


@functools.cache
def traced_outcome(program: Program) -> adgraph.Function:
    return trace(outcome(program))


@functools.cache
def gradient(program: Program) -> adgraph.Function:
    return adgraph.value_and_grad(weighted(program), argnums=tuple(1 + i for i in program.by))


def graph_of(program: Program, arguments: Arguments) -> Graph:
    leaves, structure = flatten((arguments, {}))
    return trace_function(outcome(program), structure, [abstract(x) for x in leaves]).graph


def weights_of(outputs: tuple[Any, ...], seed: int = 1) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=np.shape(y)) if np.shape(y) else rng.normal() for y in outputs)


def assert_same(found: Any, expected: Any, what: str) -> None:
    """Same shapes and kinds of numbers, equal up to the rounding of a few hundred operations."""
    assert np.shape(found) == np.shape(expected), what
    assert np.asarray(found).dtype == np.asarray(expected).dtype, what
    if np.asarray(expected).dtype.kind == "f":
        assert_close(found, expected, "rounded", what)
    else:
        np.testing.assert_array_equal(found, expected, what)


def test_there_are_enough_programs_and_their_names_differ() -> None:
    assert len(PROGRAMS) >= 100
    assert len({p.name for p in PROGRAMS}) == len(PROGRAMS)
    assert len(SECOND) >= len(PROGRAMS) / 3


@pytest.mark.parametrize(("program", "size"), CASES)
def test_the_value_is_numpys_and_so_is_what_it_writes(program: Program, size: int) -> None:
    for draw in DRAWS:
        assert_numpys_value(program, program.arguments(size, draw))


def assert_numpys_value(program: Program, arguments: Arguments) -> None:
    numpys, ours = copied(arguments), copied(arguments)
    expected, found = program.function(*numpys), traced(program)(*ours)
    if expected is None:
        assert found is None
    else:
        pairs = zip(flatten(found)[0], flatten(expected)[0], strict=True)
        for ours_leaf, numpys_leaf in pairs:
            assert_same(ours_leaf, numpys_leaf, "result")
    for i, (mine, theirs) in enumerate(zip(ours, numpys, strict=True)):
        assert_same(mine, theirs, f"argument {i}")
        if i not in program.writes:
            np.testing.assert_array_equal(mine, arguments[i])


@pytest.mark.parametrize(("program", "size"), [case for case in CASES if case.values[0].exact])
def test_the_graph_of_an_exact_program_has_numpys_value_to_the_last_bit(
    program: Program, size: int
) -> None:
    arguments = program.arguments(size)
    expected = outcome(program)(*copied(arguments))
    found = evaluate(graph_of(program, arguments), *copied(arguments))
    for ours, numpys in zip(found[: len(expected)], expected, strict=True):
        np.testing.assert_array_equal(ours, numpys)


@pytest.mark.parametrize(("program", "size"), CASES)
def test_the_derivatives_agree_with_differences_and_with_each_other(
    program: Program, size: int
) -> None:
    for draw in DRAWS:
        assert_derivatives(program, program.arguments(size, draw))


def assert_derivatives(program: Program, arguments: Arguments) -> None:
    directions = tangents(program, arguments, np.random.default_rng(2))
    outputs = outcome(program)(*copied(arguments))
    weights = weights_of(outputs)

    _, pushed = adgraph.jvp(traced_outcome(program), copied(arguments), directions)
    expected = difference(outcome(program), arguments, directions)
    assert distance(pushed, expected) < DIFFERENCED

    given = copied(arguments)
    value, pulled = gradient(program)(weights, *given)
    for kept, original in zip(given, arguments, strict=True):
        np.testing.assert_array_equal(kept, original, "a derivative writes into no argument")
    total = sum(float(np.sum(w * y)) for w, y in zip(weights, outputs, strict=True))
    assert_close(np.float64(value), np.float64(total), "rounded", "the value beside the gradient")
    seeds = [directions[i] for i in program.by]
    assert adjoint_gap(weights, pushed, pulled, seeds) < tolerance("f8")


@pytest.mark.parametrize("program", SECOND)
def test_the_gradient_of_a_gradient_agrees_with_differences_of_gradients(program: Program) -> None:
    arguments = program.arguments(program.sizes[-1])
    weights = weights_of(outcome(program)(*copied(arguments)))
    directions = tangents(program, arguments, np.random.default_rng(3))
    first = adgraph.grad(weighted(program), argnums=tuple(1 + i for i in program.by))
    seeds = [directions[i] for i in program.by]

    def along(*args: Any) -> Any:
        total = 0.0
        for k, g in enumerate(first(weights, *args)):
            total = total + np.sum(seeds[k] * g)
        return total

    found = adgraph.grad(along, argnums=program.by)(*copied(arguments))
    expected = difference(lambda *args: first(weights, *args), arguments, directions)
    for ours, differences in zip(found, expected, strict=True):
        assert distance((ours,), (differences,)) < 10 * DIFFERENCED


def in_single_precision(arguments: Any) -> Any:
    return tuple(
        x.astype(np.float32) if np.asarray(x).dtype == np.float64 and np.shape(x) else x
        for x in arguments
    )


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.name in SINGLE])
def test_single_precision_stays_single(program: Program) -> None:
    arguments = program.arguments(program.sizes[-1])
    weights = weights_of(outcome(program)(*copied(arguments)))
    single = in_single_precision(arguments)
    assert_numpys_value(program, single)
    by = tuple(1 + i for i in program.by)
    gradient = adgraph.grad(weighted(program), argnums=by)
    found = gradient(in_single_precision(weights), *copied(single))
    expected = gradient(weights, *copied(arguments))
    for i, narrow, wide in zip(program.by, found, expected, strict=True):
        assert np.asarray(narrow).dtype == np.asarray(single[i]).dtype
        assert distance((narrow,), (wide,)) < 1e-3


@pytest.mark.parametrize("program", LOOPS)
def test_the_graphs_do_not_grow_with_the_size(program: Program) -> None:
    nodes = {}
    for size in LARGE:
        graph = graph_of(program, program.arguments(size))
        by = [i for i in program.by if graph.inputs[i].type.inexact]
        nodes[size] = count(graph), count(vjp(graph, by))
    assert len(set(nodes.values())) == 1, nodes


def count(graph: Graph) -> int:
    """Return the number of nodes of a graph, those of bodies included."""
    inner = [a for node in graph.nodes for a in node.attrs.values() if isinstance(a, Graph)]
    return len(graph.nodes) + sum(map(count, inner))
