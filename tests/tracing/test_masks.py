"""Masked reads: what is computed from `x[mask]` equals NumPy, and so do its derivatives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import ShapeError, TracingError
from adgraph.testing import check_derivatives
from adgraph.tracing.masked import Masked

Array = np.ndarray[Any, Any]
Program = Callable[..., Any]

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=7), RNG.normal(size=7)
A = RNG.normal(size=(7, 3))
W = RNG.normal(size=3)
INDEX = np.array([2, 0, 3, 3, 1, 0, 2])

REDUCTIONS: dict[str, Program] = {
    "sum": lambda x: x[x > 0].sum(),
    "mean": lambda x: x[x > 0].mean(),
    "max": lambda x: x[x > 0].max(),
    "min": lambda x: x[x > 0].min(),
    "std": lambda x: x[x > 0].std(),
    "std with ddof": lambda x: x[x > 0].std(ddof=1),
    "var": lambda x: x[x > 0].var(),
    "prod": lambda x: x[x > 0].prod(),
    "any": lambda x: x[x > 0].any(),
    "all": lambda x: (x[x > 0] > 0.5).all(),
    "ptp": lambda x: np.ptp(x[x > 0]),
    "argmax": lambda x: x[x > 0].argmax(),
    "argmin": lambda x: np.argmin(x[x > 0]),
    "norm": lambda x: np.linalg.norm(x[x > 0]),
    "norm 1": lambda x: np.linalg.norm(x[x > 0], 1),
    "average": lambda x: np.average(x[x > 0]),
    "weighted": lambda x: np.average(x[x > 0] ** 2, weights=x[x > 0]),
    "functions": lambda x: np.sum(x[x > 0]) + np.mean(x[x > 0]) + np.max(x[x > 0]),
    "builtins": lambda x: sum(x[x > 0]) + max(x[x > 0]) + min(x[x > 0]) + len(x[x > 0]),
    "reduce": lambda x: np.add.reduce(x[x > 0]) * np.maximum.reduce(x[x > 0]),
    "where": lambda x: np.sum(x[x > 0], where=x[x > 0] > 0.4, initial=2.0),
    "keepdims": lambda x: x[x > 0].sum(keepdims=True),
    "integers": lambda x: (x[x > 0] * 10).astype(int).max(),
    "bools": lambda x: np.count_nonzero(x[x > 0] > 0.5) + (x[x > 0] > 0.5).sum(),
    "sizes": lambda x: x[x > 0].size + x[x > 0].shape[0] + np.count_nonzero(x > 0),
    "the others": lambda x: x[~(x > 0)].sum(),
    "compress": lambda x: np.compress(x > 0, x).sum() + x.compress(x > 0).sum(),
    "extract": lambda x: np.extract(x > 0, x).sum(),
    "narrowed": lambda x: x[x > 0][x[x > 0] > 0.3].sum(),
    "all selected": lambda x: x[x < 9].mean() + x[x < 9].max(),
    "empty sum": lambda x: x[x > 9].sum() + x[x > 9].prod(),
}

PAIRS: dict[str, Program] = {
    "dot": lambda x, y: np.dot(x[x > 0], y[x > 0]),
    "at": lambda x, y: x[x > 0] @ y[x > 0] + x[x > 0].dot(y[x > 0]),
    "vdot": lambda x, y: np.vdot(x[x > 0], y[x > 0]) + np.inner(x[x > 0], y[x > 0]),
    "einsum": lambda x, y: np.einsum("i,i->", x[x > 0], y[x > 0]),
    "chain": lambda x, y: np.sum(x[x > 0] * y[x > 0] ** 2),
    "long chain": lambda x, y: np.sum(np.exp(-x[x > 0]) / (1 + np.abs(y[x > 0])) - 2 * x[x > 0]),
    "outside the domain": lambda x, y: np.sum(np.log(x[x > 0]) * np.sqrt(x[x > 0]) * y[x > 0]),
    "clip": lambda x, y: np.sum(np.clip(x[x > 0], 0.2, 0.8) + y[x > 0].clip(-0.5)),
    "where": lambda x, y: np.sum(np.where(x[x > 0] > 0.5, x[x > 0], y[x > 0])),
    "divmod": lambda x, y: sum(np.sum(part) for part in np.modf(x[x > 0] * y[x > 0])),
    "cumsum": lambda x, y: np.dot(np.cumsum(x[x > 0]), y[x > 0]),
    "cumprod": lambda x, y: np.dot(np.cumprod(x[x > 0]), y[x > 0]),
    "copies": lambda x, y: np.sum(np.array(x[x > 0]) * np.ones_like(y[x > 0]).copy()),
    "full arrays": lambda x, y: np.sum(x[x > 0] * np.max(y) + y[:1]),
}

MATRICES: dict[str, Program] = {
    "sum of rows": lambda x, a: a[x > 0].sum(axis=0),
    "sum of all": lambda x, a: a[x > 0].sum(),
    "sum in rows": lambda x, a: np.sum(a[x > 0].sum(axis=1) * x[x > 0]),
    "mean of rows": lambda x, a: a[x > 0].mean(axis=0),
    "max of rows": lambda x, a: a[x > 0].max(axis=0) + a[x > 0].min(axis=0),
    "extrema in rows": lambda x, a: np.sum(a[x > 0].max(1) * a[x > 0].prod(1)),
    "std of rows": lambda x, a: np.std(a[x > 0], axis=0, keepdims=True),
    "column": lambda x, a: a[x > 0, 0].sum() + a[x > 0][:, 1].sum() + a[x > 0, -1].max(),
    "columns": lambda x, a: a[x > 0, 1:].sum(0) + a[x > 0][:, ::-2].mean(0),
    "turned": lambda x, a: a.T[:, x > 0].sum(axis=1) + np.sum(a.T[0, x > 0]),
    "in front": lambda x, a: a[None].T[0, x > 0, 0].sum() + a[:, None, :][x > 0, :, 1].sum(0),
    "gram": lambda x, a: a[x > 0].T @ a[x > 0],
    "products": lambda x, a: a[x > 0].T @ x[x > 0] + x[x > 0] @ a[x > 0],
    "rows times": lambda x, a: np.sum((a[x > 0] @ W) ** 2) + np.sum(W @ a.T[:, x > 0]),
    "einsum": lambda x, a: np.einsum("ij,i->j", a[x > 0], x[x > 0]),
    "einsum kept": lambda x, a: np.einsum("ij,j->i", a[x > 0], W).max(),
    "broadcast": lambda x, a: np.sum(a[x > 0] * x[x > 0][:, None] + W, axis=0),
    "centred": lambda x, a: ((a[x > 0] - a[x > 0].mean(axis=0)) ** 2).sum(axis=0),
    "norms": lambda x, a: np.linalg.norm(a[x > 0], axis=1).sum(),
    "elements": lambda x, a: a[a > 0].sum() + np.dot(a[a > 0], a[a > 0]),
    "elements of a stack": lambda x, a: np.stack([a, a * 2])[:, a > 0].sum(axis=1),
    "swapped": lambda x, a: np.swapaxes(a[x > 0], 0, 1).sum(axis=1) + a[x > 0].transpose().max(1),
    "two conditions": lambda x, a: a[(x > -1) & (a[:, 0] > 0)].sum(axis=0),
    "positions in rows": lambda x, a: a[x > 0].argmax(axis=1).sum() + np.argmax(a[x > 0, 0]),
    "gathered": lambda x, a: x[INDEX[x > 0]].sum() + a[INDEX[x > 0]].sum(axis=0),
}


POSITIONS: dict[str, Program] = {
    "where": lambda x, a: x[np.where(x > 0)].sum() + a[np.where(a > 0)].mean(),
    "first of where": lambda x, a: x[np.where(x > 0)[0]] @ a[np.where(x > 0)[0], 1],
    "nonzero": lambda x, a: a[np.nonzero(x > 0)].sum(axis=0) + x[(x > 0).nonzero()].max(),
    "flatnonzero": lambda x, a: a[np.flatnonzero(x < 0)].sum() + x[np.flatnonzero(x > 0)].prod(),
    "rows and columns": lambda x, a: np.sum(a[np.nonzero(a > 0)[0], np.nonzero(a > 0)[1]] ** 2),
    "as numbers": lambda x, a: np.sum(x[np.flatnonzero(x > 0)] * np.flatnonzero(x > 0)),
    "shifted": lambda x, a: np.sum(x[np.flatnonzero(x > 0) - 1] * x[x > 0]),
    "counted": lambda x, a: len(np.flatnonzero(x > 0)) * x.sum() + np.where(x > 0)[0].size,
    "argwhere": lambda x, a: np.argwhere(a > 0).sum(axis=0) * a[0, 0],
    "gathered pairs": lambda x, a: a[INDEX[x > 0], INDEX[x > 0] % 3].sum(),
}


def written_positions(x: Any, y: Any) -> Any:
    a = np.outer(x, y)
    i = np.where(x > 0)[0]
    a[i] *= 2.0
    a[i, 0] = y[i]
    a[np.nonzero(a < -0.5)] = 0.0
    rows, columns = np.nonzero(a > 1.0)
    a[rows, columns] **= 2
    return a


def powers(x: Any, y: Any) -> Any:
    z = np.abs(x)
    z[x > 0] **= -1.5
    return z


def every_operator(x: Any, y: Any) -> Any:
    m = x > 0
    z = x * y
    z[m] += y[m]
    z[m] -= 2.0
    z[m] *= x[m]
    z[m] /= 1 + x[m] ** 2
    z[~m] //= 0.3
    z[~m] %= 0.7
    z[m] = -z[m]
    return z


def integer_operators(x: Any, y: Any) -> Any:
    k = (10 * x).astype(int)
    m = x > 0
    k[m] <<= 2
    k[m] |= 1
    k[~m] ^= 3
    k[~m] &= 6
    k[m] >>= 1
    return k * y


def through_the_same_mask(x: Any, y: Any) -> Any:
    z = np.zeros_like(x)
    z[x > 0] = np.sqrt(x[x > 0]) * y[x > 0]
    z[x <= 0] = np.exp(x[x <= 0])
    return z


def kept_reads(x: Any, y: Any) -> Any:
    t = x[x > 0]
    u = t
    t *= y[x > 0]
    t[t > 0.1] = 0.1
    t[:] += 1.0
    np.multiply(t, 3.0, out=t)
    z = y.copy()
    z[x > 0] = u
    return z


def rows(x: Any, y: Any) -> Any:
    a = np.outer(x, y)
    m = x > 0
    a[m] *= x[m][:, None]
    a[m, 0] = y[m]
    a[:, m] += 1.0
    a[~m, 1:3] = y[1:3]
    a[m, :2] -= a[m, 2:4]
    return a


def matrix_mask(x: Any, y: Any) -> Any:
    a = np.outer(x, y)
    m = a > 0.1
    a[m] = np.log(a[m]) - a[m].mean()
    a.T[m] = 0.5
    b = np.stack([a, 2 * a])
    b[:, m] += 1.0
    b[1, m] = 3.0
    b[0][a < 0] = a[a < 0]
    return b


def views(x: Any, y: Any) -> Any:
    z = np.concatenate([x, y])
    part = z[2:9]
    part[y > 0] = x[y > 0]
    part[::-1][x > 0] *= 2.0
    return z


def functions_that_write(x: Any, y: Any) -> Any:
    z = x * y
    np.putmask(z, x > 0, y)
    np.place(z, y > 0.5, [7.0])
    np.copyto(z, 2 * y, where=x < -0.5)
    np.multiply(z, y, out=z, where=y > 0)
    return z


def accumulated(x: Any, y: Any) -> Any:
    h = np.zeros(4)
    np.add.at(h, INDEX[x > 0], y[x > 0])
    np.subtract.at(h, INDEX[x < 0], 0.5)
    np.add.at(h, h > 0, 1.0)
    table = np.zeros((4, 3))
    np.add.at(table, (INDEX[x > 0], INDEX[x > 0] % 3), y[x > 0])
    columns: Any = (INDEX[y > 0], slice(1, None))
    np.add.at(table, columns, y[y > 0][:, None])
    h += table.sum(axis=1) * table[:, 1]
    np.maximum.at(h, h < 0, -0.3)
    return h


def leaky_relu(x: Any, y: Any) -> Any:
    x[x < 0] *= 0.1
    return x @ y


WRITES = [
    powers,
    every_operator,
    integer_operators,
    through_the_same_mask,
    kept_reads,
    rows,
    matrix_mask,
    views,
    functions_that_write,
    accumulated,
    leaky_relu,
    written_positions,
]

CASES = [
    *(pytest.param(f, (X,), id=name) for name, f in REDUCTIONS.items()),
    *(pytest.param(f, (X, Y), id=name) for name, f in PAIRS.items()),
    *(pytest.param(f, (X, A), id=name) for name, f in MATRICES.items()),
    *(pytest.param(f, (X, A), id=f"positions, {name}") for name, f in POSITIONS.items()),
    *(pytest.param(f, (X, Y), id=f.__name__) for f in WRITES),
]


@pytest.mark.parametrize(("program", "arguments"), CASES)
def test_masked_code_equals_numpy_for_the_caller_too(
    program: Program, arguments: tuple[Array, ...]
) -> None:
    ours, numpys = copy.deepcopy(arguments), copy.deepcopy(arguments)
    found, expected = trace(program)(*ours), program(*numpys)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    for kept, wanted in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(kept, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("program", "arguments"), CASES)
def test_masked_code_has_its_derivatives(program: Program, arguments: tuple[Array, ...]) -> None:
    def pure(*xs: Any) -> Any:
        return program(*(np.array(x) for x in xs)) * 1.0

    check_derivatives(pure, *arguments)


GARBAGE: dict[str, Program] = {
    "log": lambda x: np.sum(np.log(x[x > 0])),
    "roots": lambda x: np.sum(np.sqrt(x[x > 0]) / x[x > 0] ** 1.5),
    "mean": lambda x: np.log(x[x > 0]).mean(),
    "max": lambda x: np.log(x[x > 0]).max(),
    "std": lambda x: np.sqrt(x[x > 0]).std(),
    "prod": lambda x: np.arctanh(x[x > 0] / 10).prod(),
    "dot": lambda x: np.dot(np.log(x[x > 0]), 1 / x[x > 0]),
    "matrix": lambda x: np.sum(np.log(x[:, None] * W**2)[x > 0] @ W),
    "cumsum": lambda x: np.cumsum(np.log(x[x > 0]))[x[x > 0] > 1].sum(),
    "rows": lambda x: np.log(x[:, None] * np.ones(2))[x > 0].prod(axis=1).sum(),
    "norm": lambda x: np.linalg.norm(np.log(x[x > 0])),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_the_mask_leaves_out_has_derivative_zero_and_no_nan(name: str) -> None:
    f = GARBAGE[name]
    x = np.array([-1.0, 0.0, 0.5, 2.0, -np.inf, np.nan])
    chosen = x > 0
    gradient = trace(f).grad(x)
    np.testing.assert_array_equal(gradient[~chosen], 0.0)
    assert np.isfinite(gradient[chosen]).all()
    np.testing.assert_allclose(gradient[chosen], trace(f).grad(x[chosen]), rtol=1e-13)
    value, tangent = trace(f).jvp((x,), (np.ones(6),))
    np.testing.assert_allclose(value, f(x[chosen]), rtol=1e-13)
    np.testing.assert_allclose(tangent, gradient.sum(), rtol=1e-12)
    hessian = trace(f).hessian(x)
    assert np.isfinite(hessian).all()
    np.testing.assert_allclose(
        hessian[np.ix_(chosen, chosen)], trace(f).hessian(x[chosen]), rtol=1e-12
    )


def test_the_mean_of_nothing_is_nan_and_its_gradient_is_zero_elsewhere() -> None:
    f = trace(lambda x: x[x > 9].mean())
    assert np.isnan(f(X))
    np.testing.assert_array_equal(f.grad(X), 0.0)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_the_extremum_of_nothing_is_refused_when_running(name: str) -> None:
    f = trace(lambda x: getattr(x[x > 0], name)())
    f(X)
    with pytest.raises(ValueError, match=rf"np.{name} of an empty selection(.|\n)*test_masks.py"):
        f(-np.abs(X))


def test_masks_computed_alike_are_one_mask_until_the_array_is_written() -> None:
    def stale(x: Any) -> Any:
        old = x[x > 0]
        x[0] = 3.0
        return np.sum(old * x[x > 0])

    with pytest.raises(ShapeError, match="different masks"):
        trace(stale)(X.copy())


ESCAPES: dict[str, tuple[Program, str]] = {
    "returned": (lambda x: x[x > 0], "returned x[mask]"),
    "returned in a tuple": (lambda x: (x, x[x > 0] * 2), "returned x[mask]"),
    "concatenated": (lambda x: np.concatenate([x, x[x > 0]]), "np.concatenate"),
    "concatenated alone": (lambda x: np.concatenate([x[x > 0]]), "concatenate"),
    "stacked": (lambda x: np.array([x[x > 0]]), "array of known shape"),
    "sorted": (lambda x: np.sort(x[x > 0]), "np.sort"),
    "differences": (lambda x: np.diff(x[x > 0]).sum(), "np.diff"),
    "element": (lambda x: x[x > 0][0], "by position"),
    "part": (lambda x: x[x > 0][1:].sum(), "by position"),
    "iterated": (lambda x: list(x[x > 0]), "iterated"),
    "outer": (lambda x: np.outer(x[x > 0], x).sum(), "np.outer"),
    "assigned": (lambda x: x.__setitem__(slice(0, 2), x[x > 0]), "array of known shape"),
    "number": (lambda x: float(x[x > 0]), "converted to a number"),
    "truth": (lambda x: 1 if x[x > 0] else 2, "truth value"),
    "attribute": (lambda x: x[x > 0].tolist(), "'tolist'"),
    "two masked axes": (lambda x: np.outer(x, x)[x > 0][:, x > 0].sum(), "by position"),
    "positions": (lambda x: np.where(x > 0), "returned x[mask]"),
    "written elsewhere": (lambda x: x.__setitem__(np.flatnonzero(x > 0) - 1, 0.0), "written at"),
    "first position": (lambda x: np.flatnonzero(x > 0)[0], "by position"),
    "reshaped": (lambda x: x[x > 0].reshape(2, -1), "reshape"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_shape_that_depends_on_data_is_refused_where_it_escapes(name: str) -> None:
    program, named = ESCAPES[name]
    with pytest.raises((TracingError, AttributeError)) as error:
        trace(program)(X.copy())
    text = str(error.value)
    assert named in text
    assert "test_masks.py:" in text
    assert "np.where(mask, f(x), 0)" in text


MISFITS: dict[str, tuple[Program, type[Exception], str]] = {
    "full array": (lambda x: np.sum(x[x > 0] * x), ShapeError, "x[mask] * y[mask]"),
    "other mask": (lambda x: np.dot(x[x > 0], x[x > 1]), ShapeError, "different masks"),
    "other axis": (lambda x: np.sum(np.outer(x, x)[x > 0] * x[x > 0]), ShapeError, "combined"),
    "product": (lambda x: np.outer(x, x) @ x[x > 0], ShapeError, "does not fit"),
    "values": (lambda x: x.__setitem__(x > 0, x[:2]), TracingError, "x[mask] = y[mask]"),
    "mask shape": (lambda x: x[(x > 0)[:3]].sum(), IndexError, "mask of shape (3,)"),
    "too many": (lambda x: x[x > 0, 1].sum(), IndexError, "too many indices"),
    "dtype": (lambda x: (10 * x).astype(int)[x > 0].__iadd__(0.5), TypeError, "dtype"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_operands_that_do_not_fit_are_named(name: str) -> None:
    program, kind, named = MISFITS[name]
    with pytest.raises(kind) as error:
        trace(program)(X.copy())
    assert named in str(error.value)
    assert "test_masks.py:" in str(error.value)


def test_a_masked_read_tells_what_it_is() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(x[x > 0])
        return seen[0].sum()

    trace(f)(X)
    assert isinstance(seen[0], Masked)
    assert repr(seen[0]) == "Masked(f64[7], axis 0)"
