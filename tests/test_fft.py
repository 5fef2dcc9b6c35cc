"""numpy.fft: values, shapes and dtypes are NumPy's; gradients against differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import grad, trace

RNG = np.random.default_rng(0)
EVEN, ODD = RNG.normal(size=(4, 6)), RNG.normal(size=(3, 5))
COMPLEX = EVEN + 1j * RNG.normal(size=(4, 6))
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "irfft2", "irfftn")
OF_REALS = ("rfft", "ihfft", "rfft2", "rfftn")


def _options(name: str) -> list[dict[str, Any]]:
    norms: list[dict[str, Any]] = [{"norm": norm} for norm in (None, "ortho", "forward")]
    if name in ONE:
        return [*norms, {"n": 7}, {"n": 4, "axis": 0}, {"n": 3, "norm": "ortho"}]
    return [*norms, {"s": (3, 7), "axes": (0, 1)}, {"s": (-1, 4), "axes": (1, 0)}]


def _cases() -> Iterator[Any]:
    for name in (*ONE, *SEVERAL):
        for kind, x in (("even", EVEN), ("odd", ODD), ("complex", COMPLEX)):
            if kind == "complex" and name in OF_REALS:
                continue
            for options in _options(name):
                yield pytest.param(name, x, options, id=f"{name} {kind} {options}")


each_case = pytest.mark.parametrize(("name", "x", "options"), list(_cases()))


def _transform(name: str, options: dict[str, Any]) -> Callable[[Any], Any]:
    function = getattr(np.fft, name)
    return lambda x: function(x, **options)


@each_case
def test_values_shapes_and_dtypes(name: str, x: Any, options: dict[str, Any]) -> None:
    f = _transform(name, options)
    found, expected = trace(f)(x), f(x)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_single_precision(name: str) -> None:
    f, x = _transform(name, {}), EVEN.astype(np.float32)
    found, expected = trace(f)(x), f(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@each_case
def test_gradients(name: str, x: Any, options: dict[str, Any]) -> None:
    f = _transform(name, options)
    weights = np.arange(f(x).shape[-1])

    def loss(x: Any) -> Any:
        return np.sum(np.abs(f(x) - 1) ** 2 * weights)

    d = RNG.normal(size=x.shape).astype(x.dtype) * (1 if x.dtype.kind == "f" else 1 - 1j)
    expected = (loss(x + 1e-6 * d) - loss(x - 1e-6 * d)) / 2e-6
    assert np.real(np.sum(grad(loss)(x) * d)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@pytest.mark.parametrize("axes", [None, 0, (0, 1)])
def test_shifts(name: str, axes: Any) -> None:
    f = _transform(name, {"axes": axes})
    np.testing.assert_array_equal(trace(f)(ODD), f(ODD))


@pytest.mark.parametrize(
    ("f", "kind", "words"),
    [
        (lambda x: np.fft.fft(x, norm="half"), ValueError, "'half' is no normalization"),
        (lambda x: np.fft.fft(x, 0), ValueError, "transform of 0 points"),
        (lambda x: np.fft.rfft(x * 1j), TypeError, "rfft of complex numbers"),
        (lambda x: np.fft.fftn(x, (2, 3), (0,)), ValueError, "2 lengths for 1 axes"),
    ],
)
def test_errors_are_of_numpys_types(
    f: Callable[[Any], Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind):
        f(EVEN)
    with pytest.raises(kind, match=words):
        trace(f)(EVEN)
