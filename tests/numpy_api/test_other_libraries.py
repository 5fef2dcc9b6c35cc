"""What a NumPy user tries first beside NumPy: it works, or the error names what to write."""

from __future__ import annotations

import builtins
import cmath
import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.optimize
import scipy.signal
import scipy.sparse
import scipy.special
import scipy.stats

from adgraph import trace
from adgraph.errors import AdgraphError
from adgraph.testing import assert_close, check_derivatives

X = np.array([0.3, 1.2, -0.7, 2.0, 0.4])
IDENTITY = scipy.sparse.csr_matrix(np.eye(5))
RNG = np.random.default_rng(0)
NORMAL = scipy.stats.norm
WORKS: list[Callable[[Any], Any]] = [
    lambda x: abs(scipy.fft.fft(x, n=8, norm="ortho", workers=2)),
    lambda x: scipy.fft.irfft(scipy.fft.rfft(x), n=5),
    lambda x: scipy.fft.fftshift(abs(scipy.fft.fft2(np.outer(x, x)))),
    lambda x: abs(scipy.fft.fftn(np.outer(x, x), s=(4,))),
    lambda x: scipy.integrate.trapezoid(x, dx=0.5),
    lambda x: scipy.integrate.cumulative_trapezoid(x, np.arange(5.0) ** 2, initial=0),
    lambda x: scipy.signal.convolve(x, x[:2], "same"),
    lambda x: scipy.signal.fftconvolve(x, x[:4], "valid"),
    lambda x: scipy.signal.correlate(x, x[:3], "same"),
    lambda x: scipy.signal.lfilter([1.0, 0.5], [2.0, -0.3, 0.2], np.resize(x, 40)),
    lambda x: scipy.signal.lfilter(x[:2], [1.0, 0.5], np.outer(x, x), axis=0),
    lambda x: scipy.signal.lfilter(x[:2], 2.0, x),
    lambda x: NORMAL.pdf(x, 0.5, 2.0),
    lambda x: NORMAL.logpdf(x, loc=x[0], scale=2.0),
    lambda x: NORMAL.cdf(x) + NORMAL.sf(x, scale=3.0),
    lambda x: NORMAL.logcdf(x) + NORMAL.logsf(x),
    lambda x: NORMAL.ppf(x[:1], 1.0, 2.0),
    lambda x: cmath.exp(x[0] * 1j).real + cmath.sqrt(x[2]).imag + cmath.log(x[2], 2).imag,
    lambda x: math.fsum(x) + math.dist(x, x * x),
    lambda x: math.modf(x[1])[0] + (1.0 if math.isclose(x[1], 7.0) else x[0]),
    lambda x: copy.deepcopy(x) * copy.copy(x),
    lambda x: np.float32(x[0]) * 2,
    lambda x: x * np.int64(x[1]) + np.complex128(x[0]).real,
    lambda x: x * 2.0 if any(x > 1) and not all(x > 1) else x,
    lambda x: x * 2.0 if any([x[0] > 1, x[1] > 1]) else x,
    lambda x: x[0] if bool(x[0] > 0) else x[1],
    lambda x: np.lib.stride_tricks.sliding_window_view(x, 3).mean(axis=1),
    lambda x: np.lib.stride_tricks.sliding_window_view(np.outer(x, x), (2, 3)).sum((0, 3)),
]


@pytest.mark.parametrize("function", WORKS)
def test_it_works_and_is_differentiable(function: Callable[..., Any]) -> None:
    assert_close(trace(function)(X), np.asarray(function(X)), "rounded")
    if np.asarray(function(X)).dtype == X.dtype:
        check_derivatives(function, X)


def _matrix(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(x)


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: math.exp(x), "write np.exp(x)"),
    (lambda x: cmath.exp(x), "write np.exp(x)"),
    (lambda x: math.erf(x), "write scipy.special.erf(x)"),
    (lambda x: math.gcd(4, x[0]), "use the function of np"),
    (lambda x: "%f" % x[0], "format results outside"),  # noqa: UP031  what is tested
    (lambda x: x.view(complex), "x[..., 0] + 1j * x[..., 1]"),
    (lambda x: (x + 1j).view(float), "np.real(z) and np.imag(z)"),
    (lambda x: scipy.fft.dct(x), "real part of the FFT"),
    (lambda x: scipy.fft.dct(x), "by scipy.fft.dct, which"),
    (lambda x: scipy.linalg.lstsq(x[None], x[:1]), "by scipy, which"),
    (lambda x: scipy.special.sph_harm_y(1, 1, x, x), "by scipy.special, which"),
    (lambda x: scipy.integrate.simpson(x), "np.trapezoid"),
    (lambda x: scipy.integrate.odeint(lambda y, t: -y, x, [0.0, 1.0]), "as a loop"),
    (lambda x: scipy.interpolate.interp1d(np.arange(5), x)(0.5), "np.interp"),
    (lambda x: scipy.optimize.minimize(np.sum, x), "outside the traced function"),
    (lambda x: scipy.signal.convolve(x[None], x[None]), "one axis"),
    (lambda x: scipy.stats.zscore(x), "write the density"),
    (lambda x: IDENTITY @ x, "np.add.at(y, c.row, c.data * x[c.col])"),
    (lambda x: RNG.normal(x), "mean + scale * rng.normal(size=n)"),
    (lambda x: np.ma.masked_array(x, x > 1).mean(), "x[mask].sum()"),
    (lambda x: np.polynomial.Polynomial(x)(0.5), "np.polynomial.polynomial.polyval"),
    (lambda x: _matrix(x), "whose product is @"),
    (lambda x: np.testing.assert_allclose(x, x), "outside the traced function"),
    (lambda x: pickle.dumps(x), "pickle arguments and results"),
    (lambda x: builtins.float(x), "x.astype(float)"),
    (lambda x: np.lib.stride_tricks.sliding_window_view(x, 6), "a window of 6"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_the_error_names_what_to_write(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(AdgraphError) as caught:
        trace(function)(X)
    assert words in str(caught.value)


def test_products_with_sparse_matrices_are_written_with_their_entries() -> None:
    matrix = scipy.sparse.random(6, 5, 0.5, random_state=1)

    def product(x: Any) -> Any:
        c = matrix.tocoo()
        y = np.zeros(matrix.shape[0])
        np.add.at(y, c.row, c.data * x[c.col])
        return y

    assert_close(trace(product)(X), matrix @ X)
    check_derivatives(product, X)
