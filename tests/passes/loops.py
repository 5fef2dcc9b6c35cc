"""Programs with loops and branches as texts, for the tests of passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import adgraph  # noqa: F401  parse knows the ops that are imported
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind
from adgraph.ir.parse import parse
from adgraph.ir.verify import verify
from adgraph.passes.pipeline import CANONICAL, run_pipeline
from adgraph.tracing.trace import abstract, trace_function
from adgraph.tracing.tree import flatten


def program(text: str) -> Graph:
    """Read a graph; of its loops only what differs from five trips from zero is in the text."""
    return verify(parse(text.replace("FIVE", "symbol=i, start=0, trips=5, step=1")))


def arrays(graph: Graph, seed: int = 0) -> list[Any]:
    """Make an argument for every input: small integers, or numbers around one."""
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    for value in graph.inputs:
        shape, dtype = value.type.shape, value.type.dtype
        numbers = rng.integers(0, 4, shape) if dtype.kind in "bi" else rng.uniform(0.5, 2.0, shape)
        found.append(np.asarray(numbers).astype(dtype))
    return found


def assert_same(before: Graph, after: Graph, *, exact: bool = True) -> None:
    """Compare two graphs on arguments; the second one must be well-formed."""
    verify(after)
    assert str(parse(str(after), after.constants())) == str(after)
    assert [v.type for v in after.inputs] == [v.type for v in before.inputs]
    for seed in range(3):
        args = arrays(before, seed)
        for a, b in zip(evaluate(before, *args), evaluate(after, *args), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            if exact:
                np.testing.assert_array_equal(b, a)
            else:
                np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


def names(nodes: Sequence[Node]) -> list[str]:
    """List the names of ops."""
    return [node.op.name for node in nodes]


def region(graph: Graph) -> Node:
    """Return the only region of a graph."""
    (node,) = (n for n in graph.nodes if n.op.kind is Kind.REGION)
    return node


def captured(function: Callable[..., Any], *arguments: Any) -> Graph:
    """Record a function whose loops are captured, and bring it into canonical form."""
    leaves, structure = flatten((arguments, {}))
    trace = trace_function(function, structure, [abstract(x) for x in leaves])
    return run_pipeline(trace.graph, CANONICAL)[0]
