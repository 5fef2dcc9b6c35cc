"""Every function has a status, and what is said to work works: its value, and its derivative."""

from __future__ import annotations

import contextlib
import copy
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy

from adgraph import coverage
from adgraph.coverage import WORKS, Form, Status
from adgraph.errors import DerivativeError, TracingError
from adgraph.ir.evaluate import evaluate
from adgraph.testing import assert_close, check_derivatives
from adgraph.tracing.numpy_api.refusals import PLAIN, REFUSALS, reason_of
from adgraph.tracing.trace import Trace, abstract, trace_function
from adgraph.tracing.tree import flatten
from adgraph.transforms.jvp import jvp
from tests.numpy_api.examples import Function, example

DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"
FORMS = coverage.forms()
WORKING = [form for form in FORMS if form.status in WORKS]

# SciPy inverts these to few digits, so that differences of values say little.
INVERTED = {"scipy.special.ncfdtrinc"}

each_working = pytest.mark.parametrize("form", WORKING, ids=lambda form: form.full_name)


def test_every_function_has_a_status() -> None:
    assert [f.full_name for f in FORMS if f.status is Status.MISSING] == []


def test_the_goal_of_coverage_is_reached() -> None:
    assert len(WORKING) >= 400
    assert sum(form.status is Status.DERIVATIVES for form in WORKING) >= 330


def test_no_function_that_works_is_listed_as_refused_or_plain() -> None:
    listed = {name for refusal in REFUSALS for name in refusal.names} | PLAIN
    assert [form.full_name for form in WORKING if form.full_name in listed] == []


def test_the_document_is_what_the_code_says() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    versions = re.search(r"for NumPy (\S+) and SciPy (\S+)\.\n", text)
    assert versions is not None
    if versions.groups() != (np.__version__, scipy.__version__):
        pytest.skip("docs/coverage.md lists the functions of other versions")
    assert text == coverage.report() + "\n", "run: python -m adgraph coverage > docs/coverage.md"


def recorded(function: Function, args: tuple[Any, ...]) -> Trace:
    leaves, structure = flatten((args, {}))
    return trace_function(function, structure, [abstract(x) for x in leaves])


@each_working
def test_the_value_is_that_of_numpy(form: Form) -> None:
    function, args = example(form)
    t = recorded(function, args)
    leaves = flatten((args, {}))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        wanted = flatten(function(*copy.deepcopy(args)))[0]
    found = t.with_static(evaluate(t.graph, *leaves))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        if isinstance(other, (np.ndarray, np.generic, float)):
            assert_close(np.asarray(one), np.asarray(other))
        else:
            assert one == other


@each_working
def test_the_derivative_is_as_stated(form: Form) -> None:
    function, args = example(form)
    real = _real_results(function)
    if form.status is Status.DERIVATIVES:
        assert _tangents(real, args)
        if form.full_name not in INVERTED:
            check_derivatives(real, *args)
    elif not _makes_arrays(form):
        with contextlib.suppress(DerivativeError):  # there is no formula: to ask is an error
            assert not any(np.any(dy) for dy in _tangents(real, args))


def _makes_arrays(form: Form) -> bool:
    """Tell whether the example uses the result beside what is varied."""
    names = "arange bartlett blackman empty eye hamming hanning identity ones zeros"
    return form.space == "np" and form.name in names.split()


def _real_results(function: Function) -> Function:
    """Return the inexact results as real arrays."""

    def real(*args: Any) -> Any:
        leaves = flatten(function(*args))[0]
        arrays = [x for x in leaves if getattr(x, "dtype", np.dtype(int)).kind in "fc"]
        return [np.real(x) + 2 * np.imag(x) if x.dtype.kind == "c" else x for x in arrays]

    return real


def _tangents(function: Function, args: tuple[Any, ...]) -> list[Any]:
    """Push ones through a function; no entry if nothing of the result is a real number."""
    graph = recorded(function, args).graph
    leaves = flatten((args, {}))[0]
    active = [i for i, v in enumerate(graph.inputs) if v.type.inexact]
    ones = [np.ones_like(leaves[i]) for i in active]
    if not active:
        return []
    return list(evaluate(jvp(graph, active), *leaves, *ones)[len(graph.outputs) :])


@pytest.mark.parametrize("name", ["np.unique", "np.union1d", "np.array2string", "np.asmatrix"])
def test_a_refused_function_says_why_at_the_users_line(name: str) -> None:
    function = getattr(np, name.removeprefix("np."))
    refusal = reason_of(name)
    assert refusal is not None

    def program(x: Any) -> Any:
        return function(x, x) if name == "np.union1d" else function(x)

    with pytest.raises(TracingError) as caught:
        recorded(program, (np.ones((2, 2)),))
    for part in (name, refusal.why, refusal.instead, "test_coverage.py"):
        assert part in str(caught.value)
