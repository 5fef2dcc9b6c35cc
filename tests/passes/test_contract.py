"""Products in sums: which are contracted, and that values stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.op import OPS
from adgraph.ir.types import Slice
from adgraph.lower.native import has_fma
from adgraph.ops.shape import add_at, add_multiple_at
from adgraph.passes.contract import contract
from adgraph.passes.rewrite import Hits
from adgraph.testing import check_derivatives
from adgraph.transforms.batch import batch
from tests.strategies import graph_of

RNG = np.random.default_rng(3)
X, Y, Z = (RNG.normal(size=9) for _ in range(3))

# The function, the ops that are left, and how many products became part of a sum.
CASES: dict[str, tuple[Callable[..., Any], list[str], int]] = {
    "a product and a sum": (lambda x, y, z: x * y + z, ["multiply_add"], 1),
    "from the left": (lambda x, y, z: z + x * y, ["multiply_add"], 1),
    "a number": (lambda x, y, z: 0.1 * x + z, ["const", "multiply_add"], 1),
    "less a product": (lambda x, y, z: z - x * y, ["subtract_product"], 1),
    "a product less": (lambda x, y, z: x * y - z, ["multiply_subtract"], 1),
    "a square": (lambda x, y, z: x**2 + z, ["multiply_add"], 1),
    "two products": (lambda x, y, z: x * y + y * z, ["multiply", "multiply_add"], 1),
    "one product twice": (
        lambda x, y, z: x * y + (x * y - z),
        ["multiply_subtract", "multiply_add"],
        2,
    ),
    "a chain": (
        lambda x, y, z: x * y + z * x + z * z,
        ["multiply", "multiply_add", "multiply_add"],
        2,
    ),
    "also read elsewhere": (
        lambda x, y, z: (x * y + z) * np.sin(x * y),
        ["multiply", "add", "sin", "multiply"],
        0,
    ),
    "also returned": (lambda x, y, z: (x * y, x * y + z), ["multiply", "add"], 0),
    "of another shape": (
        lambda x, y, z: np.broadcast_to(x, (2, 9)) + y * z,
        ["broadcast", "reshape", "multiply", "add"],
        0,
    ),
    "of another dtype": (
        lambda x, y, z: (x.astype("f4") * y.astype("f4")) + z,
        ["convert", "convert", "multiply", "convert", "add"],
        0,
    ),
}


BOX, ALL = (Slice(2, 3, 1),), (Slice(0, 9, 1),)


def in_both(x: Any, y: Any, z: Any) -> Any:
    v = np.sin(y) * 0.3
    return add_at(x, v, index=ALL), v + z


def also_returned(x: Any, y: Any, z: Any) -> Any:
    v = np.sin(y) * 0.3
    return add_at(x, v, index=ALL), v


def overlapping(x: Any, y: Any, z: Any) -> Any:
    total = add_at(x, -0.7 * np.sin(y[:3]), index=BOX)
    return add_at(total, z[:8] * 0.3, index=(Slice(1, 8, 1),))


def trips(x: Any, y: Any, z: Any) -> Any:
    for _ in range(40):
        y = np.sin(add_at(x, (y[:8] - z[1:]) * 0.3, index=(Slice(1, 8, 1),)))
    return y


# Products that are added to boxes.
BOXES: dict[str, tuple[Callable[..., Any], list[str], int]] = {
    "a product by a number": (
        lambda x, y, z: add_at(x, y[:3] * 0.3, index=BOX),
        ["getitem", "add_multiple_at"],
        1,
    ),
    "overlapping boxes": (
        overlapping,
        ["getitem", "sin", "add_multiple_at", "getitem", "add_multiple_at"],
        2,
    ),
    "a product by a number of run time": (
        lambda x, y, z: add_at(x, y[:3] * z[0], index=BOX),
        ["getitem", "getitem", "multiply", "add_at"],
        0,
    ),
    "a product of arrays": (
        lambda x, y, z: add_at(x, y[:3] * z[:3], index=BOX),
        ["getitem", "getitem", "multiply", "add_at"],
        0,
    ),
    "a product that is added to": (
        lambda x, y, z: add_at(x * 0.3, y[:3], index=BOX),
        ["const", "multiply", "getitem", "add_at"],
        0,
    ),
    "a product in a box and a sum": (
        in_both,
        ["const", "sin", "add_multiple_at", "multiply_add"],
        2,
    ),
    "a product in a box and a result": (also_returned, ["const", "sin", "multiply", "add_at"], 0),
}


def traced(function: Callable[..., Any]) -> Graph:
    return trace(function).dispatch.entry((X, Y, Z), {}).trace.graph


@pytest.mark.parametrize("name", [*CASES, *BOXES])
def test_products_that_only_sums_read_are_parts_of_them(name: str) -> None:
    function, ops, count = (CASES | BOXES)[name]
    hits: Hits = Counter()
    graph = traced(function)
    contracted = contract(graph, hits)
    assert sorted(n.op.name for n in contracted.nodes) == sorted(ops)
    assert hits["product in a sum"] == count
    assert contract(contracted) == contracted


def test_bodies_of_loops_are_contracted_in_themselves() -> None:
    def repeated(x: Any, y: Any, z: Any) -> Any:
        for _ in range(40):
            x = x * y + z
        return x

    (loop,) = (n for n in contract(traced(repeated)).nodes if n.regions())
    (body,) = loop.regions()
    assert [n.op.name for n in body.nodes] == ["multiply_add"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["llvm", "numba"])
def test_compiled_values_are_those_of_numpy(name: str, backend: Any) -> None:
    function, *_ = CASES[name]
    found, expected = trace(function, backend=backend)(X, Y, Z), function(X, Y, Z)
    for a, b in zip(np.atleast_2d(found), np.atleast_2d(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6 if "dtype" in name else 1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(
    "function", [*(row[0] for row in BOXES.values()), trips], ids=[*BOXES, "trips"]
)
def test_compiled_additions_to_boxes_are_those_of_numpy(
    function: Callable[..., Any], dtype: str
) -> None:
    arguments = [array.astype(dtype) for array in (X, Y, Z)]
    graph = trace(function).dispatch.entry(arguments, {}).trace.graph
    for backend in ("llvm", "numba"):
        found = trace(function, backend=backend)(*arguments)
        for a, b in zip(np.atleast_2d(found), evaluate(graph, *arguments), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "f4" else 1e-13)


@pytest.mark.skipif(not has_fma(), reason="without FMA a product and a sum")
def test_a_product_is_rounded_with_the_addition_to_a_box() -> None:
    def function(x: Any, y: Any) -> Any:
        return add_at(x, y * 0.3, index=ALL)

    exact = [float(Fraction(a) + Fraction(b) * Fraction(0.3)) for a, b in zip(X, Y, strict=True)]
    np.testing.assert_array_equal(trace(function)(X, Y), exact)
    np.testing.assert_array_equal(trace(function, backend="numba")(X, Y), exact)


def test_both_backends_round_alike() -> None:
    def function(x: Any, y: Any, z: Any) -> Any:
        return x * y - z + (y * z + x * 0.3) * (x - y * y)

    first, second = (trace(function, backend=b)(X, Y, Z) for b in ("llvm", "numba"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["multiply_add", "multiply_subtract", "subtract_product"])
def test_the_ops_have_derivatives(name: str) -> None:
    check_derivatives(OPS[name], X, Y, Z)


def test_the_op_of_a_box_has_derivatives() -> None:
    check_derivatives(lambda x, v: add_multiple_at(x, v, index=BOX, factor=0.3), X, Y[:3])


@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True)])
def test_the_op_of_a_box_is_batched(flags: tuple[bool, bool]) -> None:
    graph = graph_of(lambda x, v: add_multiple_at(x, v, index=BOX, factor=0.3), X, Y[:3])
    stacked = np.stack([X, Z]), np.stack([Y[:3], Z[:3]])
    given = [a if flag else a[0] for a, flag in zip(stacked, flags, strict=True)]
    (found,) = evaluate(batch(graph, 2, flags), *given)
    for i, row in enumerate(found):
        x, v = (a[i if flag else 0] for a, flag in zip(stacked, flags, strict=True))
        np.testing.assert_array_equal(row, evaluate(graph, x, v)[0])
