"""Pieces of joined arrays are computed where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from adgraph import trace
from adgraph.testing import assert_close

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((2, 40, 40))
X, Y = RNG.standard_normal((2, 300))
STACK = RNG.standard_normal((3, 40, 40))


def end_to_end(x: Any, y: Any) -> Any:
    return np.concatenate([np.sin(x), y * 2.0 + x, x[::-1]])


def side_by_side(a: Any, b: Any) -> Any:
    return np.hstack([a @ b, np.tanh(a), np.sum(b, axis=1)[:, None], b])


def blocks(a: Any, b: Any) -> Any:
    return np.block([[a @ b, np.exp(a)], [np.zeros((40, 40)), b * a]])


def reductions(a: Any, b: Any) -> Any:
    return np.stack([a.sum(axis=0), np.exp(b).sum(axis=1), a.max(axis=0), b.min(axis=0)])


def softmax_rows(a: Any, b: Any) -> Any:
    e = np.exp(a - np.max(a, axis=1, keepdims=True))
    return np.concatenate([e / np.sum(e, axis=1, keepdims=True), a @ b.T], axis=1)


def flattened(a: Any, b: Any) -> Any:
    return np.concatenate([(a * b).ravel(), (a @ b).ravel(), a[0]])


def turned(a: Any, b: Any) -> Any:
    return np.concatenate([a.T * b, np.exp(b.T), (a @ b).T])


def last_axis(a: Any, b: Any) -> Any:
    return np.stack([a * b, np.sin(a), a @ b], axis=-1)


def stacks_of_matrices(s: Any) -> Any:
    return np.concatenate([s @ s, np.cosh(s)], axis=2)


def a_piece_read_by_another(a: Any, b: Any) -> Any:
    p = np.sin(a) @ b
    return np.concatenate([p, np.exp(p * 0.1)], axis=1)


def a_piece_read_behind(a: Any, b: Any) -> Any:
    p, q = np.sin(a) @ b, np.cos(a)
    joint = np.concatenate([p, q], axis=1)
    return joint @ joint.T + p @ q + p.T


def a_piece_twice(x: Any, y: Any) -> Any:
    p = np.sin(x) * y
    return np.concatenate([p, p, p * p])


def a_piece_before(a: Any, b: Any) -> Any:
    p = np.sin(a)
    q = p @ (p @ b)
    return np.concatenate([p, np.linalg.solve(q + 50 * np.eye(40), p)])


def a_piece_that_is_a_result(x: Any, y: Any) -> Any:
    p = np.sin(x) * y
    return np.concatenate([p, y]), p


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    **{f.__name__: (f, (X, Y)) for f in (end_to_end, a_piece_twice, a_piece_that_is_a_result)},
    **{
        f.__name__: (f, (A, B))
        for f in (
            side_by_side,
            blocks,
            reductions,
            softmax_rows,
            flattened,
            last_axis,
            turned,
            a_piece_read_by_another,
            a_piece_read_behind,
            a_piece_before,
        )
    },
    "stacks_of_matrices": (stacks_of_matrices, (STACK,)),
}


@pytest.mark.parametrize("name", CASES)
def test_joins_are_those_of_numpy(name: str, backend: str) -> None:
    function, args = CASES[name]
    for have, want in zip(_several(trace(function)(*args)), _several(function(*args)), strict=True):
        assert_close(have, want)


def _several(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", ["end_to_end", "blocks", "reductions", "stacks_of_matrices"])
def test_pieces_take_no_memory_beside_the_join(name: str) -> None:
    function, args = CASES[name]
    assert trace(function).plan(*args).arena_bytes == 0


@pytest.mark.parametrize("name", ["reductions", "stacks_of_matrices", "flattened"])
def test_pieces_that_kernels_compute_are_not_moved(name: str) -> None:
    function, args = CASES[name]
    moves = trace(function).source(*args).count("def move")
    assert moves == (1 if name == "flattened" else 0)  # a[0] is no result of a kernel


def test_inner_joins_stand_in_the_outer_one() -> None:
    assert trace(blocks).source(A, B).count("def move") == 1  # the zeros


def test_a_product_writes_rows_with_gaps() -> None:
    big = RNG.standard_normal((200, 200))
    program = trace(side_by_side)
    assert program.plan(big, big).peak_bytes < 1.02 * 8 * 200 * 601
    assert_close(program(big, big), side_by_side(big, big))


def test_a_piece_that_is_read_before_the_join_is_complete_is_copied() -> None:
    assert trace(a_piece_before).source(A, B).count("def move") == 1


def test_results_do_not_depend_on_threads() -> None:
    x, y = RNG.standard_normal((2, 400_000))
    one, two = (trace(end_to_end, threads=n)(x, y) for n in (1, 2))
    assert np.array_equal(one, two)
    wide = RNG.standard_normal((700, 700))
    one, two = (trace(softmax_rows, threads=n)(wide, wide) for n in (1, 2))
    assert np.array_equal(one, two)


def test_a_budget_changes_no_bit_of_a_gradient_of_joins() -> None:
    def loss(a: Any, b: Any) -> Any:
        for _ in range(4):
            half = np.concatenate([np.tanh(a @ b), np.sin(a)], axis=1)
            a = half[:, 20:60] * 0.5
        return np.sum(half**2)

    free = trace(loss)
    bounded = trace(loss, memory_budget=0.7)
    assert bounded.grad.plan(A, B).peak_bytes <= 0.7 * free.grad.plan(A, B).peak_bytes
    assert np.array_equal(free.grad(A, B), bounded.grad(A, B))


@pytest.mark.parametrize("seed", range(12))
def test_random_joins_are_those_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    args = [rng.standard_normal((24, 24)) for _ in range(3)]

    def program(*arrays: Any) -> Any:
        return _random_joins(np.random.default_rng(seed), list(arrays))

    assert_close(trace(program)(*args), program(*args))


def _random_joins(rng: np.random.Generator, found: list[Any]) -> Any:
    """Compute arrays of 24 columns of each other, joined along either axis and cut again."""
    steps: list[Callable[[Any, Any], Any]] = [
        lambda p, q: np.sin(p) + q,
        lambda p, q: 0.1 * (p @ q),
        lambda p, q: p * np.max(q, axis=0),
        lambda p, q: np.concatenate([p, np.tanh(q)], axis=1)[:, 12:36],
        lambda p, q: np.concatenate([p * 0.5, q, p + q])[10:34],
        lambda p, q: np.hstack([np.exp(-p * p), q.T])[:, ::2],
    ]
    for _ in range(10):
        step = steps[rng.integers(len(steps))]
        one, other = (found[k] for k in rng.integers(len(found), size=2))
        found.append(step(one, other))
    return np.concatenate(found[-4:], axis=int(rng.integers(2)))


def test_blocks_of_a_diagonal_are_kernels_that_are_joined() -> None:
    x = np.arange(600.0)
    f = trace(lambda x: scipy.linalg.block_diag(x, np.sin(x)))
    for _ in range(3):
        np.testing.assert_array_equal(f(x)[0], np.concatenate([x, np.zeros(600)]))
        np.testing.assert_allclose(f(x)[1], np.concatenate([np.zeros(600), np.sin(x)]), atol=1e-15)
