"""Compiled programs against NumPy and the interpreter: patterns of kernels over many sizes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from adgraph import trace
from adgraph.ir.evaluate import evaluate
from adgraph.lower.program import lower
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.compiled import Compiled
from tests.strategies import Program, programs

close = np.testing.assert_allclose


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(max_steps=8))
def test_random_programs_compile_to_what_the_interpreter_computes(program: Program) -> None:
    graph, _ = run_pipeline(program.graph, (*CANONICAL, *FINAL))
    with np.errstate(all="ignore"):
        expected = evaluate(graph, *program.args)
        tolerance = program.tolerance()
    arrays = [np.ascontiguousarray(a) for a in program.args]
    compiled = Compiled(lower(graph))
    found = compiled(arrays)
    for f, e in zip(found, expected, strict=True):
        assert (f.dtype, f.shape) == (e.dtype, e.shape)
        close(f, e, rtol=0, atol=tolerance)
    for f, again in zip(found, compiled(arrays), strict=True):
        np.testing.assert_array_equal(f, again)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def logsumexp(x: Any) -> Any:
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def layer_norm(x: Any) -> Any:
    mean = np.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def three_stages(x: Any) -> Any:
    y = x / (1 + np.sum(np.abs(x), axis=1, keepdims=True))
    z = y - np.mean(y, axis=1, keepdims=True)
    return z / (1 + np.sqrt(np.sum(z * z, axis=1, keepdims=True))), np.sum(z, axis=1)


MATRIX: dict[str, Callable[..., Any]] = {
    "softmax": softmax,
    "softmax of columns": lambda x: softmax(x.T).T,
    "logsumexp": logsumexp,
    "layer norm": layer_norm,
    "three stages": three_stages,
    "variance": lambda x: (np.var(x, axis=0), np.var(x, axis=1), np.std(x)),
    "column sums": lambda x: np.sum(np.sin(x), axis=0),
    "row sums": lambda x: np.sum(np.sin(x), axis=1),
    "total": lambda x: np.sum(x * x),
    "several reductions": lambda x: (np.sum(x), np.max(x), np.min(x * x), np.mean(np.abs(x))),
    "reductions both ways": lambda x: (np.sum(x, 0), np.sum(x, 1), np.sum(x), x + np.sum(x)),
    "outer": lambda x: x[:, :1] * x[:1, :],
    "transposed operand": lambda x: (x.T * 2 + 1, x.T.ravel(), (x + 1).T @ x),
    "gram": lambda x: x @ x.T + x.sum(axis=1)[:, None],
    "slices": lambda x: x[1:, ::2] * 2 - x[:-1, ::2],
    "reversed": lambda x: x[::-1, ::-1] + x,
    "shifted": lambda x: np.concatenate([x[1:], x[:1]]) - np.pad(x, 1)[1:-1, 1:-1],
    "masked": lambda x: (np.where(x > 0, x, -1.0), (x > 0) & (x < 1), np.sum(x > 0, axis=0)),
    "integers": lambda x: (np.floor(x).astype(int) % 3, np.argmax(x, axis=1), x.astype(np.int32)),
    "many outputs": lambda x: tuple(np.sin(x + i) for i in range(9)),
    "cumulative": lambda x: (np.cumsum(x, axis=0), np.cumsum(x, axis=1), np.cumsum(x)),
    "distances": lambda x: np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1),
    "centred": lambda x: (x - x.mean(0)) / (1 + x.std(0)),
    "stacked": lambda x: np.stack([x, x * 2, -x], axis=1).reshape(-1),
    "scalars": lambda x: (x[0, 0] * 2, x[-1, -1] + x[0, -1]),
}
SHAPES = [(1, 1), (1, 7), (7, 1), (3, 5), (17, 33), (64, 130)]


def equal(found: Any, expected: Any, scale: float) -> None:
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            equal(f, e, scale)
        return
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert np.shape(found) == np.shape(expected)
    kind = np.asarray(expected).dtype.kind
    eps = float(np.finfo(np.asarray(expected).dtype).eps) if kind == "f" else 0.0
    close(found, expected, rtol=64 * eps, atol=16 * eps * scale)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", MATRIX)
def test_a_program_over_matrices_equals_numpy(name: str, dtype: str) -> None:
    f = MATRIX[name]
    compiled = trace(f)
    rng = np.random.default_rng(3)
    for shape in SHAPES:
        x = rng.standard_normal(shape).astype(dtype)
        equal(compiled(x), f(x), max(shape) * 4.0)


EMPTY = {"column sums", "row sums", "total", "outer", "transposed operand", "gram", "slices",
         "reversed", "many outputs", "cumulative", "distances", "stacked", "masked"}  # fmt: skip


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
@pytest.mark.parametrize("name", sorted(EMPTY))
def test_a_program_over_nothing_equals_numpy(name: str, shape: tuple[int, int]) -> None:
    x = np.zeros(shape)
    equal(trace(MATRIX[name])(x), MATRIX[name](x), 1.0)


def test_a_maximum_of_nothing_is_refused_as_numpy_does() -> None:
    for f in (np.max, np.argmin):
        with pytest.raises(ValueError, match=r"no identity|empty"):
            trace(lambda x, f=f: f(x))(np.zeros(0))


DEEPER: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "batched matmul": (np.matmul, ((4, 3, 5), (4, 5, 2))),
    "batched matmul, broadcast": (np.matmul, ((2, 1, 3, 5), (4, 5, 2))),
    "batched matmul, transposed": (lambda a, b: a.swapaxes(-1, -2) @ b, ((4, 5, 3), (4, 5, 2))),
    "matrix and vector": (lambda a, b: (a @ b, b @ a.T), ((6, 5), (5,))),
    "dot": (np.dot, ((37,), (37,))),
    "einsum": (lambda a, b: np.einsum("bij,bkj->bik", a, b), ((2, 3, 4), (2, 5, 4))),
    "tensordot": (lambda a, b: np.tensordot(a, b, axes=([0, 2], [1, 0])), ((2, 3, 4), (4, 2, 5))),
    "middle axis": (lambda a: (a.sum(1), a.max(1), a.mean((0, 2))), ((3, 7, 5),)),
    "outer axes": (lambda a: (a.sum((0, 1)), a.sum((1, 2)), a.sum((0, 2))), ((3, 7, 5),)),
    "(n, 1) * (1, m)": (lambda a, b: a * b + a - b, ((9, 1), (1, 4))),
    "(n,) - (m, 1, 1)": (lambda a, b: np.exp(-((a - b) ** 2)).sum(axis=1), ((5,), (3, 1, 1))),
    "normalised over the middle": (lambda a: a / a.sum(1, keepdims=True), ((3, 4, 5),)),
    "moved axes": (lambda a: np.moveaxis(a, 0, -1) * 2 + a.transpose(1, 2, 0), ((3, 4, 5),)),
    "solve": (lambda a, b: np.linalg.solve(a @ a.T + np.eye(4), b), ((4, 4), (4, 2))),
}


@pytest.mark.parametrize("name", DEEPER)
def test_a_program_over_several_axes_equals_numpy(name: str) -> None:
    f, shapes = DEEPER[name]
    rng = np.random.default_rng(4)
    args = [rng.uniform(0.5, 1.5, shape) for shape in shapes]
    equal(trace(f)(*args), f(*args), 30.0)
    turned = [np.asfortranarray(a) for a in args]
    equal(trace(f)(*turned), f(*turned), 30.0)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 15, 16, 17, 1023, 4096, 4097, 100_003])
def test_a_vector_of_any_size_equals_numpy(size: int) -> None:
    x = np.linspace(-2, 2, size)
    f = trace(VECTOR)
    equal(f(x), VECTOR(x), 4.0)


def VECTOR(x: Any) -> Any:
    return np.tanh(x) * x + 1, np.sum(x * x), np.mean(np.abs(x) + 1) if x.size else 0.0, x @ x


def test_long_sums_stay_far_below_the_error_of_a_running_total() -> None:
    x = np.full(2_000_001, 0.1, np.float32)
    exact = float(np.sum(x.astype(np.float64)))
    running = float(np.cumsum(x)[-1])
    assert abs(float(trace(np.sum)(x)) - exact) < 0.1 * abs(running - exact)
    rows = np.full((2, 500_000), 0.1, np.float32)
    close(trace(lambda x: np.sum(x, axis=1))(rows), rows.astype("f8").sum(1), rtol=1e-4)


def test_repeated_runs_give_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((50, 70))
    f = trace(lambda x: np.sum(layer_norm(np.tanh(x @ x.T))))
    first = f.grad(x)
    for _ in range(5):
        np.testing.assert_array_equal(f.grad(x), first)


def test_a_warm_call_allocates_its_results_and_nothing_else() -> None:
    f = trace(lambda x: np.sum(layer_norm(np.tanh(x @ x.T) + x)))
    x = np.random.default_rng(6).standard_normal((200, 200))
    f.grad(x)
    facts = f.grad.explain(x)
    assert facts.peak_bytes == facts.arena_bytes + facts.output_bytes
    assert facts.output_bytes == 200 * 200 * 8
    for code in (facts.arena_bytes // 2, 4096):  # the second call makes the native way, no arena
        tracemalloc.start()
        try:
            result = f.grad(x)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert result.nbytes == facts.output_bytes
        assert peak <= facts.output_bytes + code


def test_the_first_call_allocates_the_arena_that_the_plan_predicts() -> None:
    f = trace(lambda x: np.sum(layer_norm(np.tanh(x @ x.T) + x)))
    x = np.random.default_rng(6).standard_normal((300, 300))
    facts = f.grad.explain(x)  # compiled, not yet run
    tracemalloc.start()
    try:
        f.grad(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert facts.peak_bytes <= peak <= facts.peak_bytes + 4096
