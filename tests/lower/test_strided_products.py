"""Products read operands of any strides where they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace, value_and_grad
from adgraph.testing import assert_close

Array = np.ndarray[Any, Any]
Cut = Callable[[Any], Any]

CUTS: dict[str, Cut] = {
    "as it is": lambda x: x[: x.shape[0] // 2, : x.shape[1] // 2],
    "rows upside down": lambda x: x[x.shape[0] // 2 - 1 :: -1, : x.shape[1] // 2],
    "every other row": lambda x: x[::2, x.shape[1] // 2 :],
    "columns backwards": lambda x: x[: x.shape[0] // 2, : x.shape[1] // 2 - 1 : -1],
    "every other element": lambda x: x[::2, 1::2],
    "turned": lambda x: x.T[: x.shape[1] // 2, : x.shape[0] // 2],
    "turned and thinned": lambda x: x.T[::2, ::-2],
}


def drawn(*shape: int, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 31])
@pytest.mark.parametrize(("left", "right"), list(itertools.product(CUTS, CUTS)))
def test_products_of_cut_matrices_are_those_of_numpy(
    left: str, right: str, n: int, dtype: Any
) -> None:
    cut_left, cut_right = CUTS[left], CUTS[right]
    for m, k in ((1, 31), (3, 5), (31, 31)):
        a = drawn(*((2 * k, 2 * m) if "turned" in left else (2 * m, 2 * k)), dtype=dtype)
        b = drawn(*((2 * n, 2 * k) if "turned" in right else (2 * k, 2 * n)), dtype=dtype)
        program = trace(lambda a, b: cut_left(a) @ cut_right(b))
        assert_close(program(a, b), cut_left(a) @ cut_right(b))
        assert program.plan(a, b).arena_bytes == 0


@pytest.mark.parametrize("cut", CUTS)
def test_products_with_vectors_copy_nothing(cut: str) -> None:
    a, v = drawn(400, 400), drawn(200)
    for product in (lambda a, v: CUTS[cut](a) @ v, lambda a, v: v @ CUTS[cut](a)):
        program = trace(product)
        assert_close(program(a, v), product(a, v))
        assert program.plan(a, v).arena_bytes == 0


def test_vectors_are_read_backwards() -> None:
    a, v = drawn(300, 300), drawn(300)
    for product in (
        lambda a, v: a @ v[::-1],
        lambda a, v: v[::-1] @ a,
        lambda a, v: a.T @ v[::-1],
        lambda a, v: a[:, :100] @ v[::-3],
    ):
        program = trace(product)
        assert_close(program(a, v), product(a, v))
        assert program.plan(a, v).arena_bytes == 0


def test_stacks_of_cut_matrices_are_read_where_they_are() -> None:
    s = drawn(6, 40, 40)
    for product in (
        lambda s: s[:, ::2, :] @ s[:, :, ::2],
        lambda s: s[::-2, ::-1] @ s[1::2, :, ::-1],
        lambda s: s[:, 1] @ s[:, 2].T,
        lambda s: s.transpose(1, 0, 2) @ s.transpose(1, 2, 0),
    ):
        program = trace(product)
        assert_close(program(s), product(s))
        assert program.plan(s).arena_bytes == 0


def test_products_in_loops_read_cut_matrices() -> None:
    def iterated(a: Any, v: Any) -> Any:
        for _ in range(5):
            v = a[::-1, ::2] @ v[::2] + a[:, ::-1] @ v
        return v

    a, v = drawn(30, 30) / 30, drawn(30)
    assert_close(trace(iterated)(a, v), iterated(a, v))


def test_gradients_of_cut_products_are_those_of_whole_ones() -> None:
    a, b = drawn(24, 24), drawn(24, 24)

    def cut(a: Any, b: Any) -> Any:
        return np.sum(np.sin(a[::-1, ::-1] @ b[::-1]))

    def whole(a: Any, b: Any) -> Any:
        return np.sum(np.sin(a @ b))

    value, (da, db) = value_and_grad(cut, argnums=(0, 1))(a[::-1, ::-1].copy(), b[::-1].copy())
    want, (ea, eb) = value_and_grad(whole, argnums=(0, 1))(a, b)
    assert_close(value, want)
    assert_close(da[::-1, ::-1], ea)
    assert_close(db[::-1], eb)
