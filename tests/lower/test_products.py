"""Matrix products in whole programs: what is called for them, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace, value_and_grad
from adgraph.lower import tiles
from adgraph.lower.program import Program
from adgraph.lower.tiles import Tile

Function = Callable[..., Any]


def drawn(*shape: int, dtype: str = "f8") -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def program(function: Function, *args: Any) -> Program:
    made: Program = trace(function).dispatch.entry(args, {}).compiled.program
    return made


def products(function: Function, *args: Any) -> list[Tile]:
    """Return the tiles of the products that a program calls."""
    calls = program(function, *args).calls
    return [call.kernel for call in calls if isinstance(call.kernel, Tile)]


def agrees(function: Function, *args: Any) -> None:
    single = any(x.dtype == np.float32 for x in args)
    found, expected = trace(function)(*args), function(*args)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 if single else 1e-10)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(
    "function",
    [
        lambda a: a @ a.T,
        lambda a: a.T @ a,
        lambda a: a[:, :20].T @ a[:, :20],
        lambda a: a[3:, 2:] @ a[3:, 2:].T,
        lambda a: np.swapaxes(np.stack([a, 2 * a]), 1, 2) @ np.stack([a, 2 * a]),
    ],
)
def test_a_matrix_times_its_own_transpose_is_a_symmetric_product(
    function: Function, dtype: str
) -> None:
    a = drawn(33, 40, dtype=dtype)
    agrees(function, a)
    if "stack" not in function.__code__.co_names:
        assert [tile.symmetric for tile in products(function, a)] == [True]


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a @ a,
        lambda a: a.T @ a.T,
        lambda a: a[1:] @ a[:-1].T,
        lambda a: a[:, 1:].T @ a[:, :-1],
        lambda a: a[:20, :20] @ a[:20, 20:].T,
    ],
)
def test_other_products_of_parts_of_one_matrix_are_not(function: Function) -> None:
    a = drawn(40, 40)
    agrees(function, a)
    assert [tile.symmetric for tile in products(function, a)] == [False]


def test_transposes_are_no_copies() -> None:
    a, b = drawn(30, 20), drawn(40, 30)
    calls = program(lambda a, b: a.T @ b.T, a, b).calls
    assert len(calls) == 1


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (20, 0, 30)])
def test_empty_extents(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    agrees(lambda a, b: a @ b, np.ones((m, k)), np.ones((k, n)))


@pytest.mark.parametrize(
    "shapes", [((5, 4, 4), (5, 4, 4)), ((4, 4), (5, 4, 4)), ((2, 1, 6, 3), (4, 3, 2))]
)
def test_stacks_of_small_matrices(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (drawn(*shape) for shape in shapes)
    agrees(lambda a, b: a @ b, a, b)
    agrees(lambda a, b: np.swapaxes(b, -1, -2) @ np.swapaxes(a, -1, -2), a, b)
    (tile,) = products(lambda a, b: a @ b, a, b)
    assert tile.inner == a.shape[-1]


@pytest.mark.parametrize("n", [3, 8, 20, 70])
def test_the_gradient_of_a_gram_matrix_is_one_product(n: int) -> None:
    a, w = drawn(n + 2, n), drawn(n, n)

    def loss(a: Any, w: Any) -> Any:
        return np.sum(w * (a.T @ a))

    gradient = value_and_grad(trace(loss))
    value, ct = gradient(a, w)
    np.testing.assert_allclose(value, loss(a, w))
    np.testing.assert_allclose(ct, a @ (w + w.T), rtol=0, atol=1e-10)
    if n >= 8:
        names = [node.op.name for node in gradient.graph(a, w).nodes]
        assert names.count("matmul") == 2


def test_a_chain_of_products_is_multiplied_from_its_cheap_end() -> None:
    a, b, v = drawn(50, 60), drawn(60, 40), drawn(40)

    def chain(a: Any, b: Any, v: Any) -> Any:
        return a @ b @ v

    agrees(chain, a, b, v)
    matrices = [n.output.type.shape for n in trace(chain).graph(a, b, v).nodes]
    assert (50, 40) not in matrices


def test_an_outer_product_is_not_stored_where_it_is_only_read() -> None:
    u, v, w = drawn(300), drawn(200), drawn(300, 200)

    def loss(u: Any, v: Any, w: Any) -> Any:
        return np.sum(w * np.matmul(u[:, None], v[None]))

    assert program(loss, u, v, w).plan.peak_bytes < w.nbytes // 2
    np.testing.assert_allclose(trace(loss)(u, v, w), loss(u, v, w))


def test_the_gradient_of_a_layer_has_no_copies() -> None:
    x, w, b = drawn(32, 50), drawn(50, 24), drawn(24)

    def loss(w: Any, b: Any, x: Any) -> Any:
        return np.sum(np.maximum(x @ w + b, 0.0) ** 2)

    gradient = value_and_grad(trace(loss), argnums=(0, 1))
    calls = gradient.dispatch.entry((w, b, x), {}).compiled.program.calls
    assert sum(isinstance(call.kernel, Tile) for call in calls) == 2
    assert len(calls) <= 4


def test_products_are_added_up_in_the_products() -> None:
    x, y, w, u = drawn(30, 20), drawn(31, 20)[1:], drawn(20, 25), drawn(21, 25)[1:]

    def total(x: Any, y: Any, w: Any, u: Any) -> Any:
        return x @ w + y @ u + np.tanh(x) @ u

    agrees(total, x, y, w, u)
    names = [node.op.name for node in program(total, x, y, w, u).graph.nodes]
    assert names.count("matmul_add") == 2
    assert len(program(total, x, y, w, u).calls) == 4  # with tanh, and without copies


def test_a_product_that_is_read_again_is_not_added_to() -> None:
    x, w = drawn(30, 20), drawn(20, 25)

    def both(x: Any, w: Any) -> Any:
        first = x @ w
        return np.sum((first + np.tanh(x) @ w) * first)

    agrees(both, x, w)


@pytest.mark.parametrize("order", [3, 40])
def test_sums_of_stacked_products(order: int) -> None:
    a, b = drawn(4, order, order), drawn(order, order)
    agrees(lambda a, b: a @ b + np.swapaxes(a, 1, 2) @ np.sin(b), a, b)


def test_large_sums_of_products_are_added_up_by_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ALONE", 0)
    monkeypatch.setattr(tiles, "AMONG", 0)
    x, w = drawn(30, 20), drawn(20, 25)
    agrees(lambda x, w: x @ w + np.sin(x) @ w, x, w)
    agrees(lambda x, w: x @ w + np.sin(x) @ np.cos(w), x, w)
    agrees(lambda x, w: x @ x.T + np.sin(x @ w) @ w.T @ x.T, x, w)
