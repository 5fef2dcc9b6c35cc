"""adgraph.random: the numbers of jax.random, and derivatives by what shifts and scales them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import grad, random, trace
from adgraph.errors import DtypeError, TracingError

KEY = random.key(5)


@pytest.fixture(scope="module")
def jax_random() -> Iterator[Any]:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield jax.random


@pytest.mark.parametrize("seed", [0, 5, 2**40 + 3])
def test_keys_are_those_of_jax(jax_random: Any, seed: int) -> None:
    mine, theirs = random.key(seed), jax_random.PRNGKey(seed)
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(random.split(mine, 3), jax_random.split(theirs, 3))
    np.testing.assert_array_equal(random.fold_in(mine, 9), jax_random.fold_in(theirs, 9))


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0,)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers_are_those_of_jax(jax_random: Any, shape: Any, dtype: Any) -> None:
    theirs = jax_random.PRNGKey(5)
    found = random.uniform(KEY, shape, dtype)
    assert (found.dtype, found.shape) == (dtype, shape)
    np.testing.assert_array_equal(found, jax_random.uniform(theirs, shape, dtype))
    drawn = random.normal(KEY, shape, dtype)
    assert drawn.dtype == dtype
    np.testing.assert_allclose(drawn, jax_random.normal(theirs, shape, dtype), rtol=2e-6)


def test_a_program_draws_the_same_numbers() -> None:
    @trace
    def draws(k: Any) -> Any:
        first, second = random.split(k)
        return random.normal(first, (5,)), random.bernoulli(second, 0.3, (5,)), random.bits(k, 4)

    for found, expected in zip(draws(KEY), draws.__wrapped__(KEY), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_loop_draws_other_numbers_in_every_trip() -> None:
    @trace
    def walk(x: float, k: Any) -> Any:
        for i in range(50):
            x = x + 0.1 * random.normal(random.fold_in(k, i))
        return x

    expected = 1.0 + 0.1 * sum(random.normal(random.fold_in(KEY, i)) for i in range(50))
    assert walk(1.0, KEY) == pytest.approx(expected, rel=1e-13)
    assert grad(walk)(1.0, KEY) == 1.0


def test_a_traced_number_makes_a_key() -> None:
    assert trace(random.fold_in)(KEY, 9).tolist() == random.fold_in(KEY, 9).tolist()

    def walk(scale: Any, trips: Any) -> Any:
        x = 0.0 * scale
        i = 0
        while i < trips:
            x = x + scale * random.normal(random.fold_in(KEY, i))
            i += 1
        return x

    assert trace(walk)(2.0, 7) == pytest.approx(walk(2.0, 7))


def test_a_loop_over_keys_is_not_unrolled() -> None:
    def walk(scale: Any) -> Any:
        x = 0.0 * scale
        for i in range(100):
            x = x + scale * random.normal(random.fold_in(KEY, 2 * i))
        return x

    assert trace(walk)(2.0) == pytest.approx(walk(2.0))
    assert len(trace(walk).graph(2.0).nodes) < 50


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_take_the_dtype_asked_for(dtype: Any) -> None:
    def drawn(low: Any) -> Any:
        return random.uniform(KEY, (3,), dtype, low, [1.0, 2.0, 3.0])

    assert drawn(np.zeros(3)).dtype == trace(drawn)(np.zeros(3)).dtype == dtype


def test_shifted_and_scaled_draws_have_derivatives() -> None:
    def loss(mean: float, scale: float, k: Any) -> Any:
        return np.sum((mean + scale * random.normal(k, (6,))) ** 2)

    z = random.normal(KEY, (6,))
    by_mean, by_scale = grad(loss, argnums=(0, 1))(0.5, 2.0, KEY)
    assert by_mean == pytest.approx(np.sum(2 * (0.5 + 2 * z)))
    assert by_scale == pytest.approx(np.sum(2 * (0.5 + 2 * z) * z))


def test_numbers_between_bounds_have_derivatives_by_them() -> None:
    unit = random.uniform(KEY, (4,))
    by_low, by_high = grad(
        lambda low, high: np.sum(random.uniform(KEY, (4,), minval=low, maxval=high)), (0, 1)
    )(1.0, 3.0)
    assert by_low == pytest.approx(np.sum(1 - unit))
    assert by_high == pytest.approx(np.sum(unit))


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"adgraph\.random\.key"):
        random.normal(np.zeros(2), (3,))
    with pytest.raises(DtypeError, match="int64"):
        random.uniform(KEY, (3,), int)


def test_a_draw_of_numpy_is_noted_as_a_constant() -> None:
    rng = np.random.default_rng(0)

    @trace
    def noisy(x: Any) -> Any:
        return x + rng.normal(size=3)

    x = np.zeros(3)
    np.testing.assert_array_equal(noisy(x), noisy(x))
    text = str(noisy.explain(x))
    assert "drawn once, a constant of the program: normal() of np.random at test_random.py" in text


def test_a_generator_is_no_argument() -> None:
    @trace
    def noisy(x: Any, rng: Any) -> Any:
        return x + rng.normal(size=3)

    with pytest.raises(TracingError, match="source of random numbers") as caught:
        noisy(np.zeros(3), np.random.default_rng(0))
    assert "f(x, rng.normal(size=n))" in str(caught.value)
