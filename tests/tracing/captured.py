"""What the tests of captured loops and branches share: a program's graph, its value, its size."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import adgraph.tracing.numpy_api  # noqa: F401  fills the table
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node
from adgraph.ir.verify import verify
from adgraph.testing import assert_close
from adgraph.tracing.trace import Trace, abstract, trace_function
from adgraph.tracing.tree import flatten

Function = Callable[..., Any]

X = np.arange(1.0, 21.0)
A = np.random.default_rng(0).standard_normal((12, 12))


def recorded(function: Function, *args: Any) -> Trace:
    """Trace a function on its arguments."""
    leaves, structure = flatten((copy.deepcopy(args), {}))
    return trace_function(function, structure, [abstract(x) for x in leaves])


def nodes(graph: Graph) -> Iterator[Node]:
    """Iterate over the nodes of a graph and of the programs in it."""
    for node in graph.nodes:
        yield node
        for region in node.regions():
            yield from nodes(region)


def operations(graph: Graph) -> list[str]:
    """Return the names of the ops of a graph and of the programs in it."""
    return [node.op.name for node in nodes(graph)]


def assert_equals_numpy(function: Function, *args: Any) -> Graph:
    """Check value, dtype and written arguments by the reference interpreter."""
    trace = recorded(function, *args)
    verify(trace.graph)
    own = copy.deepcopy(args)
    with np.errstate(all="ignore"):
        wanted = list(flatten(function(*own))[0])
    wanted += [flatten((own, {}))[0][i] for i in trace.written]
    actual = evaluate(trace.graph, *map(np.asarray, flatten((args, {}))[0]))
    assert len(actual) == len(wanted)
    for a, w in zip(actual, wanted, strict=True):
        assert a.dtype == np.asarray(w).dtype
        assert_close(a, np.asarray(w), "rounded")
    return trace.graph
