"""The lowering law: a compiled program equals the interpreter, for every sample of every op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.lower.program import lower
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.compiled import Compiled
from adgraph.tracing.trace import Abstract, abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.op_table import SAMPLES
from tests.samples.sample import Sample

# Numba takes ten times as long: it gets one dtype of every sample, that of the longest texts.
CASES = [
    pytest.param(backend, sample, dtype, id=f"{sample.name}-{dtype}-{backend}")
    for sample in SAMPLES
    for dtype in sample.dtypes
    for backend in ("llvm", "numba")
    if backend == "llvm" or dtype == sample.dtypes[-1]
]
VARYING = [case for case in CASES if case.values[1].differentiable]
ARGUMENTS = ("backend", "sample", "dtype")


def traced(sample: Sample, dtype: str) -> tuple[Graph, list[Any]]:
    """Trace a sample; return its graph and the arrays of its inputs."""
    rng = np.random.default_rng(7)
    leaves, structure = flatten((sample.make(rng, np.dtype(dtype)), {}))
    described = [abstract(x) for x in leaves]
    trace = trace_function(sample.function, structure, described)
    arrays = [
        np.asarray(x) for x, d in zip(leaves, described, strict=True) if isinstance(d, Abstract)
    ]
    return trace.graph, arrays


def assert_compiled_equals_interpreted(graph: Graph, arrays: list[Any]) -> None:
    """Run a program both ways."""
    graph, _ = run_pipeline(graph, (*CANONICAL, *FINAL))
    expected = evaluate(graph, *arrays)
    native = [
        np.require(a, v.type.dtype, ["C", "A"]) for a, v in zip(arrays, graph.inputs, strict=True)
    ]
    found = Compiled(lower(graph))(native)
    floats = [v.type.dtype for n in graph.nodes for v in n.outputs if v.type.inexact]
    coarsest = max((np.finfo(d).eps for d in floats), default=0.0)
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == e.dtype
        assert f.shape == e.shape
        eps = coarsest if f.dtype.kind == "f" else 0.0
        scale = np.max(np.abs(e[np.isfinite(e)]), initial=1.0) if f.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(f, e, rtol=64 * eps, atol=64 * eps * scale)


@pytest.mark.parametrize(ARGUMENTS, CASES, indirect=["backend"])
@pytest.mark.usefixtures("backend")
def test_a_compiled_sample_equals_the_interpreter(sample: Sample, dtype: str) -> None:
    assert_compiled_equals_interpreted(*traced(sample, dtype))


@pytest.mark.parametrize(ARGUMENTS, VARYING, indirect=["backend"])
@pytest.mark.usefixtures("backend")
def test_a_compiled_derivative_equals_the_interpreter(sample: Sample, dtype: str) -> None:
    graph, arrays = traced(sample, dtype)
    active = [i for i, v in enumerate(graph.inputs) if v.type.inexact]
    rng = np.random.default_rng(8)
    if not active or not any(v.type.inexact for v in graph.outputs):
        pytest.skip("nothing varies")
    backward = vjp(graph, active)
    seeds = [
        rng.standard_normal(v.type.shape).astype(v.type.dtype)
        for v in backward.inputs[len(arrays) :]
    ]
    assert_compiled_equals_interpreted(backward, [*arrays, *seeds])
    forward = jvp(graph, active)
    seeds = [
        rng.standard_normal(v.type.shape).astype(v.type.dtype)
        for v in forward.inputs[len(arrays) :]
    ]
    assert_compiled_equals_interpreted(forward, [*arrays, *seeds])
