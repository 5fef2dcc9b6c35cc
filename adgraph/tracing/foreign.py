"""What to write in place of libraries that would look into arrays: they see numbers only."""

from __future__ import annotations

GENERAL = (
    "use functions of np that take the traced array itself (a @ x, not a.dot(x), for a plain array "
    "a)"
)

# The first name that a call begins with tells.
ADVICE = {
    "scipy.sparse": (
        "write the product with the entries: c = S.tocoo(); y = np.zeros(S.shape[0]); "
        "np.add.at(y, c.row, c.data * x[c.col])"
    ),
    "scipy.integrate.quad": (
        "sum over points of a rule: t, w = np.polynomial.legendre.leggauss(n); np.sum(w * f(t))"
    ),
    "scipy.integrate": "use np.trapezoid for samples; write the steps of a solver as a loop",
    "scipy.interpolate": (
        "use np.interp, or solve for the coefficients of a spline with np.linalg.solve"
    ),
    "scipy.optimize": (
        "call the optimizer outside the traced function, with f and f.grad as its functions, or "
        "write its steps as a loop"
    ),
    "scipy.signal": "use np.convolve, np.correlate, scipy.signal.lfilter or np.fft",
    "scipy.stats": (
        "write the density with np.exp, np.log and scipy.special; of scipy.stats the functions of "
        "norm work"
    ),
    "scipy.ndimage": "use np.convolve along an axis, or add shifted slices of np.pad(x, n)",
    "scipy.spatial": "for distances write np.sqrt(np.sum((x[:, None] - y[None]) ** 2, axis=-1))",
    "scipy.fft": (
        "use the transforms that np.fft has, too; a cosine transform is the real part of the FFT "
        "of an array and its mirror image"
    ),
    "scipy.linalg": (
        "use np.linalg, or what docs/coverage.md lists; a function of a symmetric matrix is "
        "(v * f(w)) @ v.T with w, v = np.linalg.eigh(a)"
    ),
    "scipy.special": "use the functions that docs/coverage.md lists, such as scipy.special.gamma",
    "numpy.ma": "use np.where(mask, 0, x), x[mask].sum() or the nan-functions, such as np.nanmean",
    "numpy.polynomial": "use functions of coefficients, such as np.polynomial.polynomial.polyval",
    "numpy.matrixlib": "use arrays with two axes, whose product is @",
    "numpy.testing": "compare the results, outside the traced function",
}


def instead_of(call: str | None) -> str:
    """Return what to write in place of a call of a library.

    >>> instead_of("numpy.matrixlib.defmatrix.__new__")
    'use arrays with two axes, whose product is @'
    """
    found = [advice for name, advice in ADVICE.items() if f"{call}.".startswith(f"{name}.")]
    return found[0] if found else GENERAL
