"""The debug mode of memory: it finds what broken programs do, and nothing in ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import trace
from adgraph.errors import GraphError
from adgraph.ir.graph import Graph
from adgraph.lower.backend import Backend
from adgraph.lower.program import Program, lower
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.compiled import Compiled
from adgraph.runtime.guarded import VARIABLE, run_guarded
from adgraph.schedule.schedule import Compute, Free
from adgraph.tracing.trace import Abstract, abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.vjp import vjp
from tests.op_table import SAMPLES
from tests.programs import program as programs
from tests.programs.program import outcome
from tests.programs.table import PROGRAMS
from tests.samples.sample import Sample

RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(40, 30))
ROW = RNG.normal(size=30)


def chain(x: Any) -> Any:
    y = np.tanh(x @ x.T)
    return np.sum(y @ x, axis=0)


def program_of(function: Callable[..., Any], *args: Any) -> Program:
    leaves, structure = flatten((args, {}))
    graph = trace_function(function, structure, [abstract(x) for x in leaves]).graph
    return lower(run_pipeline(graph, (*CANONICAL, *FINAL))[0])


def with_word(program: Program, step: int, word: int, change: int) -> Program:
    """Change one integer of a step, counted from its end if negative."""
    begins = [1]
    for _ in range(int(program.words[0])):
        at = begins[-1]
        begins.append(at + 3 + 2 * int(program.words[at + 1]) + int(program.words[at + 2]))
    words = program.words.copy()
    words[begins[step] + word if word >= 0 else begins[step + 1] + word] += change
    return replace(program, words=words)


# --- what it finds -------------------------------------------------------------------------------


def test_a_write_behind_a_result_is_found_with_kernel_and_line() -> None:
    program = program_of(lambda x: (np.exp(x), np.sin(x) @ x), ROW)
    longer = with_word(program, 0, -1, 1)
    with pytest.raises(GraphError, match=r"kernel fused -> .* wrote \d+ bytes") as caught:
        run_guarded(longer, [ROW])
    assert "test_memory_guards.py" in str(caught.value)
    assert "bytes beside its results" in str(caught.value)


def test_a_read_behind_an_argument_is_found() -> None:
    program = program_of(np.exp, ROW)
    sources = [source for source, _ in program.calls[0].pointers]
    first = sources.index(1 + len(program.constants))  # the pointer to the argument
    with pytest.raises(GraphError, match="from memory that nobody has written"):
        run_guarded(with_word(program, 0, 4 + 2 * first, 8), [ROW])


def test_a_read_of_a_buffer_that_was_given_up_is_found() -> None:
    program = program_of(chain, MATRIX)
    steps, plan = program.schedule.steps, program.plan
    last = max(i for i, step in enumerate(steps) if isinstance(step, Free))
    order = list(range(len(steps)))
    before = max(i for i in range(last) if isinstance(steps[i], Compute))
    order.insert(before, order.pop(last))
    early = replace(
        program,
        schedule=replace(program.schedule, steps=tuple(steps[i] for i in order)),
        plan=replace(
            plan,
            offsets=tuple(plan.offsets[i] for i in order),
            scratch=tuple(plan.scratch[i] for i in order),
        ),
    )
    run_guarded(program, [MATRIX])
    with pytest.raises(GraphError, match="memory"):
        run_guarded(early, [MATRIX])


def test_a_result_that_is_not_written_to_its_end_is_found() -> None:
    program = program_of(np.exp, ROW)
    with pytest.raises(GraphError, match="a result has elements that depend on memory"):
        run_guarded(with_word(program, 0, -1, -1), [ROW])


# --- the mode ------------------------------------------------------------------------------------


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")


@pytest.mark.usefixtures("mode")
def test_functions_are_called_as_ever() -> None:
    def written(x: Any, y: Any) -> Any:
        y[1:] += x[0, 1:]
        return {"sum": np.sum(x), "product": x @ y}

    y = ROW.copy()
    found = trace(written)(MATRIX, y)
    expected = ROW.copy()
    expected[1:] += MATRIX[0, 1:]
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(found["product"], MATRIX @ expected)
    np.testing.assert_allclose(found["sum"], np.sum(MATRIX))


@pytest.mark.usefixtures("mode")
def test_gradients_on_two_threads_are_the_same_bits() -> None:
    def loss(x: Any) -> Any:
        return np.sum(np.exp(np.tanh(x)) / np.sum(np.cosh(x), axis=1, keepdims=True))

    x = np.random.default_rng(0).normal(size=(20_011, 23))
    assert trace(loss, threads=2).grad(x).tobytes() == trace(loss).grad(x).tobytes()


@pytest.mark.usefixtures("mode")
def test_errors_of_kernels_are_those_of_any_call() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="a matrix is singular"):
        trace(lambda a, b: np.linalg.solve(a, b))(np.zeros((3, 3)), np.ones(3))


@pytest.mark.usefixtures("mode")
def test_a_tape_that_is_outgrown_is_made_longer() -> None:
    def trips(x: Any) -> Any:
        while x < 1e6:
            x = x * np.float64(1.01) + 1
        return x

    found = adgraph.grad(trips)(0.5)
    np.testing.assert_allclose(found, 1.01 ** np.ceil(np.log(found) / np.log(1.01)), rtol=1e-9)


@pytest.mark.usefixtures("mode")
def test_what_is_computed_twice_in_a_row_is_told_apart() -> None:
    f = adgraph.checkpoint(np.exp)
    found = adgraph.grad(lambda x: np.sum(f(x)))(ROW)
    np.testing.assert_allclose(found, np.exp(ROW), rtol=1e-15)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("fraction", [0.5, 0.2, 0.1])
def test_loops_within_a_budget_stay_within_their_memory(fraction: float) -> None:
    def march(x: Any, drift: Any) -> Any:
        for _ in range(200):
            x = x + 0.01 * (np.sin(x) - drift * x)
        return np.sum(x**2)

    plain = trace(march).grad
    budget = int(fraction * plain.explain(ROW, ROW).peak_bytes)
    found = trace(march, memory_budget=budget).grad(ROW, ROW)
    np.testing.assert_allclose(found, plain(ROW, ROW), rtol=1e-12)


# --- our programs --------------------------------------------------------------------------------


def assert_clean(graph: Graph, arrays: list[Any], backend: Backend = "auto") -> None:
    """Run a program both ways: nothing is found, and the results are the same bits."""
    program = lower(run_pipeline(graph, (*CANONICAL, *FINAL))[0], backend=backend)
    inputs = zip(arrays, program.graph.inputs, strict=True)
    native = [np.require(a, v.type.dtype, ["C", "A"]) for a, v in inputs]
    found, code = run_guarded(program, native)
    expected = Compiled(program)(native)
    assert code == 0
    assert [y.tobytes() for y in found] == [y.tobytes() for y in expected]


def forward(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Graph, list[Any]]:
    """Return the program of a function, and arrays for its inputs."""
    leaves, structure = flatten((args, {}))
    described = [abstract(x) for x in leaves]
    graph = trace_function(function, structure, described).graph
    pairs = zip(leaves, described, strict=True)
    return graph, [np.asarray(x) for x, d in pairs if isinstance(d, Abstract)]


def backward(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Graph, list[Any]]:
    """Return the joint program of a function, and arrays for its inputs."""
    graph, arrays = forward(function, args)
    active = [i for i, v in enumerate(graph.inputs) if v.type.inexact]
    if active and any(v.type.inexact for v in graph.outputs):
        graph = vjp(graph, active)
    seeds = [np.full(v.type.shape, 0.5, v.type.dtype) for v in graph.inputs[len(arrays) :]]
    return graph, [*arrays, *seeds]


@pytest.mark.parametrize("tested", PROGRAMS, ids=lambda program: program.name)
def test_programs_stay_within_their_memory(tested: programs.Program) -> None:
    graph, arrays = backward(outcome(tested), tested.arguments(tested.sizes[0]))
    assert_clean(graph, arrays)


@pytest.mark.parametrize("backend", ["llvm", "numba"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_samples_stay_within_their_memory(sample: Sample, backend: Backend) -> None:
    dtype = np.dtype(sample.dtypes[-1])
    args = sample.make(np.random.default_rng(7), dtype)
    make = backward if sample.differentiable else forward
    assert_clean(*make(sample.function, args), backend)
