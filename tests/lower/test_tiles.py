"""Products in tiles against NumPy: every layout, extents around those of tiles, hard values."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adgraph.lower import tiles
from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.tiles import Tile, product, tile_for

Array = NDArray[Any]
DTYPES = ["f8", "f4"]
LAYOUTS = list(itertools.product([False, True], repeat=2))


def drawn(shape: tuple[int, ...], dtype: str) -> Array:
    """Draw small integers: their sums of products are exact."""
    return np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype(dtype)


def stored(values: Array, *, transposed: bool) -> tuple[Array, tuple[int, int]]:
    """Return a copy in the wanted layout, and the strides of its rows and columns."""
    if transposed:
        return np.ascontiguousarray(values.swapaxes(1, 2)), (1, values.shape[1])
    return np.ascontiguousarray(values), (values.shape[2], 1)


def multiplied(
    call: Any,
    tile: Tile,
    a: Array,
    b: Array,
    layout: tuple[bool, bool],
    start: float | None = None,
) -> Array:
    """Run a kernel on stacks in a layout, adding to `start` if there is one."""
    batch, m, k = a.shape
    n = b.shape[2]
    (left, strides_a), (right, strides_b) = (
        stored(x, transposed=flag) for x, flag in zip((a, b), layout, strict=True)
    )
    c = np.full((batch, m, n), np.nan if start is None else start, a.dtype)
    steps = (m * k, k * n, m * n, int(start is not None))
    sizes = (batch, m, n, k, *strides_a, *strides_b, n, *steps)
    assert call(product(tile), [left, right, c, c], *sizes) == 0
    return c


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        *itertools.product([1, 4, 7], [1, 3, 8], [1, 2, 8]),
        *itertools.product([5, 16, 17, 40], [9, 16, 17, 35], [9, 0, 130]),
        (200, 33, 150),
    ],
)
def test_a_product_agrees_with_numpy(
    call: Any, dtype: str, layout: tuple[bool, bool], m: int, n: int, k: int
) -> None:
    a, b = drawn((2, m, k), dtype), drawn((2, k, n), dtype)
    tile = tile_for(dtype, m, n, k, turned=layout[1])
    if tile is None:
        assert min(m, n) == 1
        return
    np.testing.assert_array_equal(multiplied(call, tile, a, b, layout), a @ b)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 4), (10, 10, 30), (40, 33, 140), (40, 33, 0)])
def test_a_product_can_be_added_to_what_is_there(
    call: Any, layout: tuple[bool, bool], m: int, n: int, k: int
) -> None:
    a, b = drawn((2, m, k), "f8"), drawn((2, k, n), "f8")
    tile = tile_for("f8", m, n, k, turned=layout[1])
    assert tile is not None
    result = multiplied(call, tile, a, b, layout, 7.0)
    np.testing.assert_array_equal(result, a @ b + 7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "k"), [(17, 9), (40, 130), (64, 16), (200, 20)])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_matrix_times_its_transpose_is_mirrored(
    call: Any, dtype: str, n: int, k: int, transposed: bool
) -> None:
    a = np.random.default_rng(n).standard_normal((2, n, k)).astype(dtype)
    tile = tile_for(dtype, n, n, k, turned=not transposed, symmetric=True)
    assert tile is not None
    assert tile.symmetric
    result = multiplied(call, tile, a, a.swapaxes(1, 2), (transposed, not transposed))
    np.testing.assert_array_equal(result, result.swapaxes(1, 2))
    np.testing.assert_allclose(
        result, a @ a.swapaxes(1, 2), rtol=0, atol=1e-11 if dtype == "f8" else 1e-3
    )


@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 4), (9, 12, 20), (40, 33, 140)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_reach_what_they_meet_and_nothing_else(
    call: Any, m: int, n: int, k: int, value: float
) -> None:
    a, b = np.ones((1, m, k)), np.ones((1, k, n))
    a[0, 2, 1] = value
    tile = tile_for("f8", m, n, k, turned=False)
    assert tile is not None
    result = multiplied(call, tile, a, b, (False, False))[0]
    np.testing.assert_array_equal(result[2], np.full(n, value))
    np.testing.assert_array_equal(np.delete(result, 2, axis=0), float(k))


def test_results_do_not_depend_on_what_is_around_a_matrix(call: Any) -> None:
    """Parts of larger matrices are read and written, and nothing beside them."""
    a, b = drawn((1, 30, 40), "f8"), drawn((1, 40, 50), "f8")
    c = np.full((30, 60), -1.0)
    tile = tile_for("f8", 25, 21, 33, turned=False)
    assert tile is not None
    kernel = product(tile)
    assert call(kernel, [a, b, c, c], 1, 25, 21, 33, 40, 1, 50, 1, 60, 0, 0, 0, 0) == 0
    np.testing.assert_array_equal(c[:25, :21], a[0, :25, :33] @ b[0, :33, :21])
    assert (c[25:] == -1).all()
    assert (c[:, 21:] == -1).all()


def test_an_operand_is_repeated_with_batch_stride_zero(call: Any) -> None:
    a, b = drawn((1, 4, 3), "f8"), drawn((5, 3, 2), "f8")
    c = np.zeros((5, 4, 2))
    tile = tile_for("f8", 4, 2, 3, turned=False)
    assert tile is not None
    call(product(tile), [a, b, c, c], 5, 4, 2, 3, 3, 1, 2, 1, 2, 0, 6, 8, 0)
    np.testing.assert_array_equal(c, a @ b)


def test_a_product_has_the_same_bits_every_time(call: Any) -> None:
    a, b = (np.random.default_rng(i).standard_normal((1, 70, 70)) for i in range(2))
    tile = tile_for("f8", 70, 70, 70, turned=False)
    assert tile is not None
    first, second = (multiplied(call, tile, a, b, (False, False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("threads", ["1", "8"])
def test_large_products_go_to_the_library_the_sooner_the_more_threads_it_has(
    monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    tiles.library_threads.cache_clear()
    try:
        assert (tile_for("f8", 200, 200, 200, turned=False) is None) == (threads == "8")
        assert tile_for("f8", 2000, 2000, 2000, turned=False) is None
        assert tile_for("f8", 60, 60, 60, turned=False) is not None
    finally:
        tiles.library_threads.cache_clear()


def test_kernels_for_other_sizes_are_the_same() -> None:
    made = {tile_for("f8", n, n, n, turned=False) for n in (50, 75, 100)}
    assert len(made) == 1


@pytest.mark.parametrize("bits", [16, 32])
def test_kernels_for_shorter_vectors_agree(
    call: Any, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    monkeypatch.setattr(tiles, "vector_bytes", lambda: bits)
    for m, n, k in ((4, 4, 4), (7, 5, 3), (17, 13, 140), (9, 9, 20)):
        a, b = drawn((2, m, k), "f8"), drawn((2, k, n), "f8")
        tile = tile_for("f8", m, n, k, turned=False)
        assert tile is not None
        text = tiles.text(tile, f"adgraph_{bits}_{tile.name}")
        source = ModuleSource(f"adgraph_{bits}_{tile.name}", text)
        (kernel,) = compile_modules([source])
        c = np.full((2, m, n), np.nan)
        assert call(kernel, [a, b, c, c], 2, m, n, k, k, 1, n, 1, n, m * k, k * n, m * n, 0) == 0
        np.testing.assert_array_equal(c, a @ b)
