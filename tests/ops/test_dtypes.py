"""Result dtypes and values of every ufunc for all pairs of operand dtypes, as NumPy has them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph.errors import DtypeError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.op import OPS, Kind
from adgraph.ops.scipy_special import Special
from adgraph.testing import assert_close
from adgraph.tracing.numpy_api.elementwise import SECOND_NAMES
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten

OPERANDS: dict[str, Any] = {
    "bool": np.array([True, False, True]),
    "u1": np.array([3, 0, 200], np.uint8),
    "i4": np.array([-7, 0, 5], np.int32),
    "i8": np.array([5, 2, -3]),
    "u8": np.array([5, 0, 9], np.uint64),
    "f4": np.array([0.75, -2.5, 0.0], np.float32),
    "f8": np.array([-0.25, 0.5, 3.0]),
    "f4 scalar": np.float32(1.5),
    "python int": 3,
    "python float": 0.625,
}


def ufunc_of(function: Any) -> Any:
    """Return SciPy's function for what stands for it in the tables."""
    return function.function if isinstance(function, Special) else function


UFUNCS = [
    ufunc_of(op.numpy)
    for op in OPS.values()
    if op.kind is Kind.ELEMENTWISE and isinstance(op.numpy, np.ufunc | Special)
]
UFUNCS += list(map(ufunc_of, SECOND_NAMES))
# SciPy warns of orders that are no integers, which the operands below have.
ORDERS = {"expn", "kn", "yn", "pdtri", "smirnov", "smirnovi", "_smirnovp", "_zeta"}
UFUNCS = [u for u in UFUNCS if u.__name__ not in ORDERS and "_spherical" not in u.__name__]
UNDEFINED = {"power", "float_power"}  # integers to negative powers, by the values


def numpy_result(ufunc: np.ufunc, operands: tuple[Any, ...]) -> Any:
    """Return what NumPy computes, or None where it has no loop or one in float16."""
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(ufunc(*operands))
    except TypeError:
        return None
    return None if result.dtype == np.float16 else result


def check(ufunc: np.ufunc, operands: tuple[Any, ...]) -> None:
    leaves, structure = flatten((operands, {}))
    wanted = numpy_result(ufunc, operands)
    if wanted is None:
        with pytest.raises(DtypeError):
            trace_function(ufunc, structure, [abstract(x) for x in leaves])
        return
    graph = trace_function(ufunc, structure, [abstract(x) for x in leaves]).graph
    (actual,) = evaluate(graph, *leaves)
    assert_close(actual, wanted, "exact", f"{ufunc.__name__} of {operands}")


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.nin == 1], ids=lambda u: u.__name__)
def test_unary_ufuncs_have_the_dtypes_and_values_of_numpy(ufunc: np.ufunc) -> None:
    for operand in OPERANDS.values():
        check(ufunc, (operand,))


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.nin == 2], ids=lambda u: u.__name__)
def test_binary_ufuncs_have_the_dtypes_and_values_of_numpy(ufunc: np.ufunc) -> None:
    for names in itertools.product(OPERANDS, repeat=2):
        a, b = (OPERANDS[name] for name in names)
        check(ufunc, (a, abs(b) if ufunc.__name__ in UNDEFINED else b))


OPERATORS = (
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.mod, operator.pow, operator.lt, operator.ge, operator.eq, operator.ne),
)


@pytest.mark.parametrize("operation", OPERATORS, ids=lambda f: f.__name__)
def test_operators_between_python_numbers_give_python_numbers(
    operation: Callable[[Any, Any], Any],
) -> None:
    for a, b in ((3, 2), (3.5, 2), (3, 0.5), (2.5, 1.5)):
        leaves, structure = flatten(((a, b), {}))
        trace = trace_function(operation, structure, [abstract(x) for x in leaves])
        assert trace.weak == (type(operation(a, b)),)
        assert evaluate(trace.graph, a, b)[0] == operation(a, b)
