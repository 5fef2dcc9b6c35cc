"""`assert_agrees`: a traced function gives NumPy's value, dtype and shape, or its type of error."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph.tracing.numpy_api  # noqa: F401  fills the table
from adgraph.ir.evaluate import evaluate
from adgraph.ir.verify import verify
from adgraph.testing import Accuracy, assert_close
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten

Function = Callable[..., Any]


def results_of(function: Function, *args: Any) -> list[Any]:
    """Trace a function and evaluate its graph; what it wrote into its arguments comes last."""
    leaves, structure = flatten((copy.deepcopy(args), {}))
    trace = trace_function(function, structure, [abstract(x) for x in leaves])
    verify(trace.graph)
    with np.errstate(all="ignore"):
        return trace.with_static(evaluate(trace.graph, *map(np.asarray, leaves)))


def assert_agrees(
    function: Function, *args: Any, accuracy: Accuracy = "rounded", strict: bool = True
) -> bool:
    """Check a function against NumPy, and tell whether it has a value and raises no error.

    Where several arguments may be wrong, `strict=False` allows the error of any of them.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            wanted = flatten(function(*copy.deepcopy(args)))[0]
        except Exception as error:
            _assert_raises(type(error) if strict else Exception, function, args)
            return False
    found = results_of(function, *args)
    for one, other in zip(found, wanted, strict=True):
        assert_close(np.asarray(one), np.asarray(other), accuracy)
    return True


def _assert_raises(wanted: type[Exception], function: Function, args: tuple[Any, ...]) -> None:
    """NumPy's errors of dtypes have private types.

    Where it says that axes are too many for an array, the error here may be another of its bases.
    """
    kinds: Any = (ValueError, IndexError) if wanted is np.exceptions.AxisError else wanted
    if issubclass(wanted, TypeError):
        kinds = TypeError
    with pytest.raises(kinds):
        results_of(function, *args)
