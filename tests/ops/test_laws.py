"""The laws of ops, each tried on every row of the table of samples.

A law is a test over `ROWS` or some of them (`tests/ops/laws.py`). A row may leave out a law with a
written reason (`Sample.skip`). tests/ops/test_complex_laws.py has more laws of complex numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ir.show import show
from adgraph.ir.verify import verify
from adgraph.testing import (
    adjoint_gap,
    assert_close,
    central_difference,
    complex_step,
    tolerance,
)
from adgraph.tracing.tree import flatten, unflatten
from adgraph.transforms.batch import batch
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.op_table import SAMPLES, ops_without_a_row, rows_without_an_op
from tests.ops.laws import (
    DOUBLE_ROWS,
    FLOAT_ROWS,
    LAWS,
    REAL_DOUBLE_ROWS,
    REAL_ROWS,
    ROWS,
    Array,
    Program,
    cotangents,
    directions,
    expected,
    forward,
    generator,
    gradients,
    law,
    of_complex,
    program,
    reverse,
    tangents,
    traced,
    varies,
)
from tests.samples.sample import Sample

BATCH = 3

# --- the table ------------------------------------------------------------------------------------


def test_every_op_has_a_row() -> None:
    assert ops_without_a_row() == set()


def test_every_row_names_ops_that_exist() -> None:
    assert rows_without_an_op() == set()


def test_names_of_rows_are_unique() -> None:
    names = [sample.name for sample in SAMPLES]
    assert sorted(set(names)) == sorted(names)


def test_rows_leave_out_laws_that_exist() -> None:
    assert {name for sample in SAMPLES for name in sample.skip} <= {*LAWS, *map(of_complex, LAWS)}


@law(REAL_ROWS, "table")
def test_the_programs_of_a_row_contain_its_ops(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    graphs = [p.graph]
    if varies(sample, dtype):
        graphs += [forward(sample.name, dtype), reverse(sample.name, dtype)]
        graphs += [jvp(graphs[-1], p.active)]
    found = {name for graph in graphs for name in _op_names(graph)}
    assert set(sample.ops) <= found


def _op_names(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        yield node.op.name
        for region in node.regions():
            yield from _op_names(region)


# --- values and types -----------------------------------------------------------------------------


@law(ROWS, "value")
def test_evaluation_equals_numpy(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    accuracy = "exact" if sample.exact else "rounded"
    for actual, wanted in zip(evaluate(p.graph, *p.arrays), expected(sample, p), strict=True):
        assert_close(actual, np.asarray(wanted), accuracy)


@law(ROWS, "weak")
def test_python_numbers_come_back_as_python_numbers(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    results = flatten(sample.function(*copy.deepcopy(p.args)))[0] if _silent(sample, p) else []
    for weak, wanted in zip(p.trace.weak, results, strict=False):
        assert (weak is None) == (type(wanted) not in (bool, int, float, complex))


def _silent(sample: Sample, p: Program) -> bool:
    """Tell whether NumPy computes the row without a warning, which would be an error here."""
    try:
        sample.function(*copy.deepcopy(p.args))
    except RuntimeWarning:
        return False
    return True


@law(ROWS, "verify")
def test_declared_types_follow_the_rules(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    verify(p.graph)
    for actual, value in zip(evaluate(p.graph, *p.arrays), p.graph.outputs, strict=True):
        assert (actual.dtype, actual.shape) == (value.type.dtype, value.type.shape)
    if varies(sample, dtype):
        verify(forward(sample.name, dtype))
        verify(reverse(sample.name, dtype))


@law(REAL_ROWS, "text")
def test_the_text_of_a_program_reads_back(sample: Sample, dtype: str) -> None:
    graphs = [program(sample, dtype).graph]
    if varies(sample, dtype):
        graphs += [forward(sample.name, dtype), reverse(sample.name, dtype)]
    for graph in graphs:
        again = parse(show(graph), graph.constants())
        assert show(again) == show(graph)
        assert again.fingerprint == graph.fingerprint
        assert parse(show(graph, data=True)).fingerprint == graph.fingerprint


@law(ROWS, "errors")
def test_what_numpy_refuses_is_refused(sample: Sample, dtype: str) -> None:
    for make, error in sample.errors:
        args = make(generator(sample), np.dtype(dtype))
        with pytest.raises(error):
            sample.function(*copy.deepcopy(args))
        with pytest.raises(error):
            _traced_and_run(sample, args)


def _traced_and_run(sample: Sample, args: tuple[Any, ...]) -> None:
    p = traced(sample.function, args)
    evaluate(p.graph, *p.arrays)


@law([row for row in FLOAT_ROWS if row[1] == "f4"], "narrow")
def test_derivatives_of_float32_stay_float32(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    if "f8" in _float_dtypes(p.graph):
        pytest.skip("the program itself computes in float64")
    assert "f8" not in _float_dtypes(forward(sample.name, dtype))
    assert "f8" not in _float_dtypes(reverse(sample.name, dtype))


def _float_dtypes(graph: Graph) -> set[str]:
    values = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
    return {v.type.dtype.str[1:] for v in values if v.type.inexact}


@law([row for row in ROWS if row[0].resizable], "sizes")
@pytest.mark.parametrize("size", [0, 1])
def test_arrays_of_no_and_of_one_element(sample: Sample, dtype: str, size: int) -> None:
    args = program(sample, dtype).args
    cut = tuple(x[:size] if isinstance(x, np.ndarray) and x.ndim else x for x in args)
    p = traced(sample.function, cut)
    accuracy = "exact" if sample.exact else "rounded"
    for actual, wanted in zip(evaluate(p.graph, *p.arrays), expected(sample, p), strict=True):
        assert_close(actual, np.asarray(wanted), accuracy)
    if varies(sample, dtype):
        for gradient, x in zip(_pulled(p), p.points, strict=True):
            assert (gradient.dtype, gradient.shape) == (x.dtype, x.shape)


def _pulled(p: Program) -> tuple[Array, ...]:
    results = evaluate(vjp(p.graph, p.active), *p.arrays, *cotangents(p))
    return results[len(p.graph.outputs) :]


# --- first derivatives ----------------------------------------------------------------------------


def moved(p: Program, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return `run` as a function of the active inputs alone."""

    def at(*points: Any) -> Any:
        arrays = list(p.arrays)
        for i, x in zip(p.active, points, strict=True):
            arrays[i] = x
        with np.errstate(all="ignore"):
            return run(*arrays)

    return at


def plainly(sample: Sample, p: Program) -> Callable[..., Any]:
    """Return the row's own function, of arrays in the order of the graph's inputs."""

    def run(*arrays: Any) -> list[Any]:
        leaves = list(p.leaves)
        for i, x in zip(p.traced, arrays, strict=True):
            leaves[i] = x
        args, kwargs = unflatten(p.structure, copy.deepcopy(leaves))
        results = flatten(sample.function(*args, **kwargs))[0]
        after = flatten((args, kwargs))[0]
        results += [after[p.traced[i]] for i in p.trace.written]
        return [results[i] for i in p.inexact_outputs]

    return run


@law([row for row in DOUBLE_ROWS if row[0].analytic and row[1] == "f8"], "complex step")
def test_jvp_agrees_with_the_complex_step(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    steps = complex_step(moved(p, plainly(sample, p)), p.points, directions(p))
    for dy, step in zip(tangents(sample, dtype), steps, strict=True):
        assert_close(dy, step, "rounded")


@law([row for row in DOUBLE_ROWS if not row[0].analytic or row[1] == "c16"], "difference")
def test_jvp_agrees_with_differences(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    for turn in (1, 1j) if dtype == "c16" else (1,):
        ways = tuple((t * turn).astype(t.dtype) for t in directions(p))
        differences = central_difference(moved(p, plainly(sample, p)), p.points, ways)
        for dy, difference in zip(tangents(sample, dtype, ways), differences, strict=True):
            assert_close(dy, difference, "differenced")


@law(FLOAT_ROWS, "adjoint")
def test_vjp_is_the_transpose_of_jvp(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    dys, pulled = tangents(sample, dtype), gradients(sample, dtype)
    gap = adjoint_gap(cotangents(p), dys, pulled, directions(p))
    assert gap <= tolerance(dtype)


@law([row for row in FLOAT_ROWS if row[1] == "f4"], "narrow value")
def test_derivatives_of_float32_agree_with_those_of_float64(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    leaves = [x.astype("f8") if getattr(x, "dtype", None) == "f4" else x for x in p.leaves]
    args, _ = unflatten(p.structure, leaves)
    wide = traced(sample.function, args)
    cts = [ct.astype(v.type.dtype) for ct, v in zip(cotangents(p), _inexact(wide), strict=True)]
    results = evaluate(vjp(wide.graph, wide.active), *wide.arrays, *cts)
    for narrow, g in zip(gradients(sample, dtype), results[len(wide.graph.outputs) :], strict=True):
        assert_close(narrow, g.astype(narrow.dtype), "differenced")


def _inexact(p: Program) -> list[Any]:
    return [v for v in p.graph.outputs if v.type.inexact]


@law([row for row in ROWS if not row[0].differentiable], "zero")
def test_what_is_constant_almost_everywhere_has_the_derivative_zero(
    sample: Sample, dtype: str
) -> None:
    if program(sample, dtype).active:
        for dy in tangents(sample, dtype):
            assert not dy.any()
        for gradient in gradients(sample, dtype):
            assert not gradient.any()


# --- second derivatives ---------------------------------------------------------------------------


def curvature_by_difference(sample: Sample, dtype: str) -> tuple[Array, ...]:
    """Return the change of the gradient in the direction, by differences."""
    p = program(sample, dtype)
    graph, cts = reverse(sample.name, dtype), cotangents(p)

    def gradient(*arrays: Any) -> list[Array]:
        return list(evaluate(graph, *arrays, *cts)[len(p.graph.outputs) :])

    return central_difference(moved(p, gradient), p.points, directions(p))


def agree(actual: Sequence[Array], wanted: Sequence[Array]) -> None:
    for a, w in zip(actual, wanted, strict=True):
        assert_close(a, w, "differenced")


@law(DOUBLE_ROWS, "second order")
def test_forward_over_reverse_agrees_with_differences_of_the_gradient(
    sample: Sample, dtype: str
) -> None:
    p = program(sample, dtype)
    graph = jvp(reverse(sample.name, dtype), p.active)
    results = evaluate(verify(graph), *p.arrays, *cotangents(p), *directions(p))
    agree(results[-len(p.active) :], curvature_by_difference(sample, dtype))


@law(DOUBLE_ROWS, "second order")
def test_reverse_over_forward_agrees_with_differences_of_the_gradient(
    sample: Sample, dtype: str
) -> None:
    p = program(sample, dtype)
    graph = vjp(forward(sample.name, dtype), p.active)
    seeds = [np.zeros(v.type.shape, v.type.dtype) for v in _inexact(p)]
    seeds += _tangent_seeds(p)
    results = evaluate(verify(graph), *p.arrays, *directions(p), *seeds)
    agree(results[-len(p.active) :], curvature_by_difference(sample, dtype))


def _tangent_seeds(p: Program) -> list[Array]:
    """Return the cotangents of all tangents; those of integers are float64 zeros."""
    cts = iter(cotangents(p))
    outputs = [v.type for v in p.graph.outputs]
    return [next(cts) if t.inexact else np.zeros(t.shape) for t in outputs]


@law(DOUBLE_ROWS, "second order")
def test_reverse_over_reverse_agrees_with_differences_of_the_gradient(
    sample: Sample, dtype: str
) -> None:
    p = program(sample, dtype)
    graph = vjp(reverse(sample.name, dtype), p.active)
    seeds = [np.zeros(v.type.shape, v.type.dtype) for v in _inexact(p)]
    results = evaluate(verify(graph), *p.arrays, *cotangents(p), *seeds, *directions(p))
    agree(results[-len(p.active) :], curvature_by_difference(sample, dtype))


# --- batching -------------------------------------------------------------------------------------


def assert_batches(graph: Graph, arrays: Sequence[Any], flags: Sequence[bool]) -> None:
    """Compare the batched program with the program run on one element of the batch at a time."""
    scales = 1.0 + 1e-3 * np.arange(BATCH)
    stacked = [
        np.stack([(np.asarray(x) * s).astype(np.asarray(x).dtype) for s in scales]) if flag else x
        for x, flag in zip(arrays, flags, strict=True)
    ]
    results = evaluate(verify(batch(graph, BATCH, flags)), *stacked)
    for k in range(BATCH):
        one = [x[k] if flag else x for x, flag in zip(stacked, flags, strict=True)]
        for together, alone in zip(results, evaluate(graph, *one), strict=True):
            assert_close(together[k], alone, "rounded")


@law(FLOAT_ROWS, "batch")
def test_batching_equals_stacking(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    assert_batches(p.graph, p.arrays, [i in p.active for i in range(len(p.arrays))])


@law(REAL_DOUBLE_ROWS, "batch")
def test_batching_one_argument_equals_stacking(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    for active in p.active:
        assert_batches(p.graph, p.arrays, [i == active for i in range(len(p.arrays))])


@law(REAL_DOUBLE_ROWS, "batch")
def test_batching_the_gradient_equals_stacking(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    graph = reverse(sample.name, dtype)
    assert_batches(graph, (*p.arrays, *cotangents(p)), [v.type.inexact for v in graph.inputs])
