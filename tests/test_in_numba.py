"""Traced functions inside Numba's compiled code and as callbacks of SciPy."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numba import njit, prange
from numba.core.errors import NumbaWarning, TypingError
from scipy import integrate, ndimage

from adgraph import trace
from adgraph.errors import AdgraphError


def spring(x: Any, k: Any) -> Any:
    return 0.5 * np.sum(k * (x[1:] - x[:-1]) ** 2)


def test_value_and_derivatives_of_arrays_are_those_of_python() -> None:
    f = trace(spring)
    x = np.arange(5.0) ** 2
    value, gradient, both, hessian = (g.numba for g in (f, f.grad, f.value_and_grad, f.hessian))
    for g in (value, gradient, both, hessian):
        g(x, 2.0)

    @njit
    def inside(x: Any, k: Any) -> Any:
        return value(x, k), gradient(x, k), both(x, k), hessian(x, k)

    for n in (5, 7, 2):  # shapes beyond the example's are compiled from inside
        y = np.sin(np.arange(float(n)))
        v, g, (v2, g2), h = inside(y, 2.0)
        assert v == v2 == f(y, 2.0)
        np.testing.assert_array_equal(g, f.grad(y, 2.0))
        np.testing.assert_array_equal(g2, g)
        np.testing.assert_array_equal(h, f.hessian(y, 2.0))


def test_numbers_need_no_example() -> None:
    derivative = trace(lambda x: np.sin(x) * x**3).grad.numba

    @njit
    def total(x: float) -> float:
        s = 0.0
        for i in range(5):
            s += derivative(x + i)
        return s

    expected = sum(np.cos(x) * x**3 + 3 * np.sin(x) * x**2 for x in 0.5 + np.arange(5))
    assert total(0.5) == pytest.approx(expected, rel=1e-14)


def test_strided_and_transposed_arguments_are_taken_as_they_are_read() -> None:
    f = trace(lambda a: np.sum(a * np.arange(a.size).reshape(a.shape), axis=0)).numba
    f(np.ones((3, 2)))
    call = njit(lambda a: f(a))
    base = np.random.default_rng(0).normal(size=(6, 4))
    for a in (base, base.T, base[::2, 1:], np.asfortranarray(base)):
        weights = np.arange(a.size).reshape(a.shape)
        np.testing.assert_allclose(call(a), (a * weights).sum(0), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.bool_])
def test_dtypes(dtype: Any) -> None:
    f = trace(lambda x: np.where(x, 2 * x, 1))
    g = f.numba
    x = np.array([0, 1, 1, 0]).astype(dtype)
    expected = g(x)
    result = njit(lambda x: g(x))(x)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


def test_scalar_results_of_every_kind() -> None:
    f = trace(lambda x, n: (np.square(x), n * 3, x > 0, x * n)).numba
    call = njit(lambda x, n: f(x, n))
    assert call(0.5, 4) == (0.25, 12, True, 2.0)


def test_tuples_in_and_out() -> None:
    f = trace(lambda p: ((p[0] * p[1][0], p[1][1]), p[0].sum())).numba
    x = np.arange(3.0)
    f((x, (2.0, x)))
    (a, b), c = njit(lambda x: f((x, (2.0, x))))(x)
    np.testing.assert_array_equal(a, 2 * x)
    np.testing.assert_array_equal(b, x)
    assert c == 3.0


def test_loops_branches_and_growing_tapes() -> None:
    def halve(x: Any) -> Any:
        while abs(x) > 1.0:
            x = x / 2 + 0.1
        return x * x

    gradient = trace(halve).grad
    inside = gradient.numba
    call = njit(lambda x: inside(x))
    for x in (0.5, 3.0, 1e30, 1e300, 5.0):
        assert call(x) == pytest.approx(trace(halve).grad(x), rel=1e-14)


def test_prange_runs_programs_on_several_threads() -> None:
    gradient = trace(spring).grad
    inside = gradient.numba
    inside(np.ones(50), 1.0)

    @njit(parallel=True)
    def rows(xs: Any) -> Any:
        out = np.empty_like(xs)
        for i in prange(len(xs)):
            out[i] = inside(xs[i], 1.5)
        return out

    xs = np.random.default_rng(1).normal(size=(400, 30))  # a shape that the example has not
    np.testing.assert_array_equal(rows(xs), [gradient(x, 1.5) for x in xs])


def test_many_threads_and_many_shapes() -> None:
    gradient = trace(lambda x: np.sum(np.sin(x) * x)).grad
    inside = gradient.numba
    inside(np.ones(3))
    call = njit(nogil=True)(lambda x: inside(x))
    call(np.ones(3))
    wrong: list[int] = []

    def work(seed: int) -> None:
        for n in np.random.default_rng(seed).integers(1, 25, 60):
            x = np.arange(float(n)) + seed
            if not np.array_equal(call(x), np.cos(x) * x + np.sin(x)) and not np.allclose(
                call(x), np.cos(x) * x + np.sin(x), rtol=1e-13
            ):
                wrong.append(int(n))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_errors_come_out_of_compiled_code_as_they_are() -> None:
    f = trace(lambda a, b: np.linalg.solve(a, b)).numba
    f(np.eye(2), np.ones(2))
    call = njit(lambda a, b: f(a, b))
    np.testing.assert_array_equal(call(2 * np.eye(2), np.ones(2)), [0.5, 0.5])
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        call(np.zeros((2, 2)), np.ones(2))
    with pytest.raises(AdgraphError, match="shape"):
        call(np.eye(3), np.ones(2))


def test_arrays_without_an_example_are_refused() -> None:
    f = trace(lambda x: x * 2).numba
    with pytest.raises(TypingError, match="once in Python"):
        njit(lambda x: f(x))(np.ones(3))


def test_what_numba_cannot_hold_is_refused() -> None:
    f = trace(lambda x: {"double": x * 2}).numba
    f(np.ones(3))
    with pytest.raises(TypingError, match="return a tuple"):
        njit(lambda x: f(x))(np.ones(3))
    with pytest.raises(TypingError, match="arrays, numbers, and tuples"):
        njit(lambda x: f("name"))(1.0)


def test_functions_that_write_into_arguments_are_refused() -> None:
    def fill(x: Any) -> Any:
        x[:] = 1.0
        return x.sum()

    f = trace(fill).numba
    f(np.zeros(3))
    with pytest.raises(TypingError, match="writes into its arguments"):
        njit(lambda x: f(x))(np.zeros(3))


def test_a_function_has_one_type_of_result() -> None:
    f = trace(lambda x: x[:2] if len(x) > 3 else x.sum()).numba
    f(np.ones(3))
    call = njit(lambda x: f(x))
    assert call(np.ones(2)) == 2.0
    with pytest.raises(AdgraphError, match="one type of result"):
        call(np.ones(5))


def test_numba_keeps_no_such_code_in_its_file_cache(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    f = trace(lambda x: x * 2).numba

    @njit(cache=True)
    def call(x: float) -> float:
        return f(x)

    with pytest.warns(NumbaWarning, match="dynamic globals"):
        assert call(1.0) == 2.0


def test_quad_and_nquad() -> None:
    bell = trace(lambda x: np.exp(-(x**2)))
    area, _ = integrate.quad(bell.low_level_callable(0.0), -8, 8)
    assert area**2 == pytest.approx(np.pi, rel=1e-12)
    fall, _ = integrate.quad(bell.grad.low_level_callable(0.0), 0, 8)
    assert fall == pytest.approx(-1.0, rel=1e-12)
    decay = trace(lambda x, y: np.exp(-x * y) / y**2)
    volume, _ = integrate.nquad(decay.low_level_callable(1.0, 1.0), [[0, np.inf], [1, np.inf]])
    assert volume == pytest.approx(0.5, rel=1e-10)


def test_generic_filter() -> None:
    signature = "int (double *, npy_intp, double *, void *)"
    f = trace(lambda window: np.std(window) + window[0])
    image = np.random.default_rng(2).normal(size=(12, 9))
    callback = f.low_level_callable(np.ones(9), signature=signature)
    filtered = ndimage.generic_filter(image, callback, size=3)
    expected = ndimage.generic_filter(image, lambda w: np.std(w) + w[0], size=3)
    np.testing.assert_allclose(filtered, expected, rtol=1e-13)
    for size in (2, 5):  # a window of another size than the program's
        with pytest.raises(RuntimeError):
            ndimage.generic_filter(image, callback, size=size)


def test_a_callback_that_fails_gives_nan() -> None:
    f = trace(lambda x: np.linalg.solve(np.ones((2, 2)) * x, np.ones(2))[0])
    with pytest.warns(integrate.IntegrationWarning):
        value, _ = integrate.quad(f.low_level_callable(1.0), 0, 1)
    assert np.isnan(value)


def test_callbacks_live_as_long_as_scipy_holds_them() -> None:
    callback = trace(lambda x: 3 * x**2).low_level_callable(0.0)
    assert integrate.quad(callback, 0, 2)[0] == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (lambda x: x * 1, (1,), "doubles"),
        (lambda x: x.sum(), (np.ones(2, np.float32),), "doubles"),
        (lambda x, y: x.sum() + y, (np.ones(2), 1.0), "doubles"),
        (lambda x: x * 1, (np.ones(2),), "one float64 number"),
    ],
)
def test_signatures_that_c_has_not_are_refused(function: Any, args: Any, words: str) -> None:
    with pytest.raises(AdgraphError, match=words):
        trace(function).low_level_callable(*args)


def test_an_unknown_c_signature_names_those_that_exist() -> None:
    with pytest.raises(AdgraphError, match="npy_intp"):
        trace(lambda x: x).low_level_callable(1.0, signature="float (float)")


class Spring:
    """An object with traced methods."""

    stiffness = 3.0

    @trace
    def energy(self, x):  # type: ignore[no-untyped-def]
        return 0.5 * self.stiffness * x**2

    @trace
    def total(self, x):  # type: ignore[no-untyped-def]
        return np.sum(self.stiffness * x**3)


def test_methods_and_their_derivatives_are_called_inside_njit() -> None:
    energy, force = Spring().energy.numba, Spring().energy.grad.numba

    @njit
    def both(x: Any) -> Any:
        return energy(x) + force(x)

    assert both(2.0) == 12.0


def test_methods_are_callbacks_of_scipy() -> None:
    value, _ = integrate.quad(Spring().energy.low_level_callable(0.0), 0, 1)
    assert value == pytest.approx(0.5)


def test_methods_have_products_of_hessian_and_vector() -> None:
    product = Spring().total.hvp(np.ones(2), np.array([1.0, 2.0]))
    np.testing.assert_allclose(product, [18.0, 36.0])
