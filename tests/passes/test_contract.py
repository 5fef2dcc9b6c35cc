"""Products in sums: which are contracted, and that values stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.ir.graph import Graph
from adgraph.ir.op import OPS
from adgraph.passes.contract import contract
from adgraph.passes.rewrite import Hits
from adgraph.testing import check_derivatives

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


def traced(function: Callable[..., Any]) -> Graph:
    return trace(function).dispatch.entry((X, Y, Z), {}).trace.graph


@pytest.mark.parametrize("name", CASES)
def test_products_that_only_sums_read_are_parts_of_them(name: str) -> None:
    function, ops, count = CASES[name]
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


def test_both_backends_round_alike() -> None:
    def function(x: Any, y: Any, z: Any) -> Any:
        return x * y - z + (y * z + x * 0.3) * (x - y * y)

    first, second = (trace(function, backend=b)(X, Y, Z) for b in ("llvm", "numba"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["multiply_add", "multiply_subtract", "subtract_product"])
def test_the_ops_have_derivatives(name: str) -> None:
    check_derivatives(OPS[name], X, Y, Z)
