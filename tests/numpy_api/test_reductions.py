"""Reductions, scans and methods of ufuncs with random options: value, shape, dtype or error."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from adgraph.errors import AdgraphError
from adgraph.ir.evaluate import evaluate
from adgraph.testing import assert_close, check_derivatives
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten

Function = Callable[..., Any]

SUMS = ("sum", "prod", "nansum", "nanprod")
EXTREMA = ("max", "min", "nanmax", "nanmin")
MOMENTS = ("var", "std", "nanvar", "nanstd")
MEANS = ("mean", "nanmean")
LOGIC = ("any", "all")
POSITIONS = ("argmax", "argmin", "nanargmax", "nanargmin")
SCANS = ("cumsum", "cumprod", "nancumsum", "nancumprod")
OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SUMS, ("axes", "dtype", "keepdims", "initial", "where")),
    **dict.fromkeys(EXTREMA, ("axes", "keepdims", "initial", "where")),
    **dict.fromkeys(MOMENTS, ("axes", "dtype", "keepdims", "where", "ddof", "correction", "mean")),
    **dict.fromkeys(MEANS, ("axes", "dtype", "keepdims", "where")),
    **dict.fromkeys(LOGIC, ("axes", "keepdims", "where")),
    **dict.fromkeys(POSITIONS, ("axis", "keepdims")),
    **dict.fromkeys(SCANS, ("axis", "dtype")),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"), ("axis", "dtype", "include_initial")),
    "ptp": ("axes", "keepdims"),
    "count_nonzero": ("axes", "keepdims"),
}
FLOATING = "add multiply subtract divide maximum minimum fmax fmin logaddexp logaddexp2 hypot"
LOGICAL = "logical_or logical_and logical_xor"
OF_INTEGERS = "bitwise_or bitwise_and bitwise_xor gcd lcm"
REDUCED = f"{FLOATING} {LOGICAL} {OF_INTEGERS}".split()

dtypes = st.sampled_from(["f8", "f8", "f4", "c16", "i8", "i4", "u1", "?"])
shapes = st.sampled_from([(), (1,), (4,), (0,), (3, 2), (2, 1, 3), (2, 0), (2, 3, 2)])


def array(data: DataObject, dtype: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    numbers = rng.integers(-3, 4, shape)
    if dtype in ("u1", "?"):
        return np.abs(numbers).astype(dtype)
    if dtype in ("i8", "i4"):
        return numbers.astype(dtype)
    found = (numbers * 0.75 + (0.5j if dtype == "c16" else 0.0)).astype(dtype)
    holes = data.draw(st.booleans())
    return np.where(rng.random(shape) < 0.2 * holes, np.asarray(np.nan, dtype), found)


def option(data: DataObject, name: str, x: Any) -> dict[str, Any]:
    """Draw a keyword argument, or none."""
    if not data.draw(st.booleans()):
        return {}
    rank = np.ndim(x)
    match name:
        case "axis":
            return {"axis": data.draw(st.sampled_from([None, 0, -1, 1, rank]))}
        case "axes":
            return {"axis": data.draw(st.sampled_from([None, 0, -1, 1, (), (0,), (0, 1), (1, -1)]))}
        case "dtype":
            return {"dtype": data.draw(st.sampled_from([np.float64, np.float32]))}
        case "keepdims" | "include_initial":
            return {name: data.draw(st.booleans())}
        case "initial":
            return {"initial": data.draw(st.sampled_from([0, 1, 2.5]))}
        case "where":
            flags = np.asarray(np.arange(x.size).reshape(x.shape) % 3 > 0)
            narrow = flags[..., :1] if rank else flags
            return {"where": data.draw(st.sampled_from([flags, narrow, True]))}
        case "mean":
            centre = x.mean(dtype=np.result_type(x.dtype, np.float32)) if x.size else None
            return {} if centre is None or x.dtype.kind not in "f" else {"mean": centre}
        case _:
            return {name: data.draw(st.sampled_from([0, 1, 1.5]))}


def _called(function: Function, x: Any) -> Any:
    """Return what NumPy gives, or the exception it raises."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(x)
    except (TypeError, ValueError, IndexError) as error:
        return error


def _recorded(function: Function, x: Any) -> Any:
    try:
        leaves, structure = flatten(((x,), {}))
        t = trace_function(function, structure, [abstract(leaf) for leaf in leaves])
        with np.errstate(all="ignore"):
            return t.with_static(evaluate(t.graph, *leaves))[0]
    except AdgraphError as error:
        return error


def assert_same(function: Function, x: Any) -> None:
    wanted, found = _called(function, x), _recorded(function, x)
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        kinds = tuple(k for k in (TypeError, ValueError, IndexError) if isinstance(wanted, k))
        assert isinstance(found, kinds), (wanted, found)
        return
    assert_close(np.asarray(found), np.asarray(wanted))


@pytest.mark.parametrize("name", sorted(OPTIONS))
@settings(max_examples=40)
@given(st.data())
def test_reductions_with_random_options(name: str, data: DataObject) -> None:
    x = array(data, data.draw(dtypes), data.draw(shapes))
    options: dict[str, Any] = {}
    for option_name in OPTIONS[name]:
        options.update(option(data, option_name, x))
    if not x.ndim and name in (*MEANS, *MOMENTS):
        options.pop("axis", None)  # NumPy takes an axis of a number here, but not with keepdims
    assert_same(lambda a: getattr(np, name)(a, **options), x)


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("how", ["reduce", "accumulate", "reduceat"])
@settings(max_examples=10)
@given(st.data())
def test_methods_of_ufuncs_with_random_options(name: str, how: str, data: DataObject) -> None:
    kinds = ["i8", "u1"] if name in OF_INTEGERS.split() else ["f8", "f4", "i8"]
    x = array(data, data.draw(st.sampled_from(kinds)), data.draw(shapes))
    if name == "divide":
        x = np.where(x == 0, x + 1, x)  # infinities have the sign of zeros
    method = getattr(getattr(np, name), how)
    options = option(data, "axes" if how == "reduce" else "axis", x)
    if options.get("axis", 0) is None and how != "reduce":
        options = {}
    if how == "reduce":
        for extra in ("keepdims", "initial", "where"):
            options.update(option(data, extra, x))
        if name == "lcm" and options.get("axis", 0) not in (0, -1):
            options.pop("axis", None)  # NumPy takes one axis only
    if how == "reduceat":
        assert_same(lambda a: method(a, [0, 1, 0], **options), x)
    else:
        assert_same(lambda a: method(a, **options), x)


X = np.random.default_rng(3).uniform(0.3, 1.7, (3, 4))


@pytest.mark.parametrize(
    "name", ["maximum", "minimum", "fmax", "hypot", "logaddexp", "logaddexp2", "subtract", "divide"]
)
@pytest.mark.parametrize("how", ["reduce", "accumulate", "reduceat"])
def test_methods_of_ufuncs_have_derivatives(name: str, how: str) -> None:
    method = getattr(getattr(np, name), how)
    rest = ([0, 2, 1],) if how == "reduceat" else ()
    check_derivatives(lambda x: method(x, *rest, axis=1), X)


def test_a_result_is_stored_in_out() -> None:
    def stored(x: Any) -> Any:
        row, whole = np.zeros(4), np.zeros((3, 4))
        np.hypot.reduce(x, out=row)
        np.maximum.accumulate(x, axis=1, out=whole)
        np.nanvar(x, axis=0, out=row[:4], ddof=1)
        return row, whole

    rows = trace_function(stored, flatten(((X,), {}))[1], [abstract(X)])
    found = evaluate(rows.graph, X)
    for one, other in zip(found, stored(X), strict=True):
        assert_close(np.asarray(one), other)
